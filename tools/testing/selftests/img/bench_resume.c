// SPDX-License-Identifier: GPL-2.0
/*
 * How long it takes until a resumed process runs, against an exec of the smallest
 * program there is; what touching its memory costs then, against memory that is
 * new; how fast a dump is read, against a file in memory.
 *
 * All times are from one guest; what is compared alternates.
 *
 * usage: bench_resume [-n RUNS] [-d DIR] what MEGABYTES...
 *	what: resume, touch, read, copies; or count, for a processor whose clock
 *	counts instructions: lines "COUNT NAME RATIO", what ours takes by what the
 *	kernel's own takes
 *	DIR is where images are made (/tmp); on tmpfs
 */
#include <getopt.h>

#include "bench_proc.h"

static uint64_t one_tiny(void)
{
	char *argv[] = { tiny, NULL };
	uint64_t began;
	struct child c;

	start(&c, argv);
	get(&c, &began, sizeof(began));
	stop(&c);
	return ticks_to_ns(began - c.started);
}

/* The same program, started and resumed; and one that has the C library in it. */
static bool bench_resume(unsigned long mb)
{
	struct series ours = {}, theirs = {}, libc = {};
	struct stat st;
	double touched;
	int i;

	make_image(mb, LIBC);
	one_resume();
	for (i = 0; i < runs; i++)
		add(&libc, one_resume());
	touched = make_image(mb, BARE);
	must(stat(image_path(), &st) ? -errno : 0, "stat");
	one_tiny();
	one_resume();
	for (i = 0; i < runs; i++) {
		add(&theirs, one_tiny());
		add(&ours, one_resume());
	}
	tell("resume", mb, "exec of a tiny program", &theirs);
	tell("resume", mb, "exec of its image", &ours);
	tell("resume", mb, "of one with the C library", &libc);
	return verdict("image-size", mb, st.st_size / (touched * 1.01 + 64 * 1024), 1.0) &
		verdict("resume-vs-exec", mb, (double)median(&ours) / median(&theirs), 1.3);
}

static bool bench_touch(unsigned long mb)
{
	struct series ours = {}, theirs = {}, read = {}, write = {};
	uint64_t r, w;
	struct message m;
	struct child c;
	char *p;
	int i;

	make_image(mb, TOUCHES);
	for (i = 0; i <= runs; i++) {
		run_image(&c, &m);
		stop(&c);
		pin(1);
		p = new_small_pages(mb * MB);
		r = read_pages(p, mb * MB);
		w = write_pages(p, mb * MB);
		munmap(p, mb * MB);
		pin(0);
		if (!i)
			continue;
		add(&read, m.read_ns);
		add(&write, m.write_ns);
		add(&ours, m.read_ns + m.write_ns);
		add(&theirs, r + w);
	}
	tell("touch", mb, "new memory", &theirs);
	tell("touch", mb, "resumed memory", &ours);
	tell("touch", mb, "of that reading", &read);
	tell("touch", mb, "of that writing", &write);
	return verdict("touch-vs-new", mb, (double)median(&ours) / median(&theirs), 1.5);
}

static uint64_t time_copy(int from, int to)
{
	uint64_t t = now_raw();

	must(lseek(from, 0, SEEK_SET) ? -errno : 0, "lseek");
	copy_fd(from, to);
	return now_raw() - t;
}

static int new_file(const char *path)
{
	int fd;

	unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	must(fd < 0 ? -errno : 0, path);
	return fd;
}

/* What the dump of a running process costs its reader. */
static bool bench_read(unsigned long mb)
{
	struct series file_null = {}, dump_null = {}, file_file = {}, dump_file = {};
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC), dump, file, to, i;
	char path[4200];
	struct child c;

	snprintf(path, sizeof(path), "%s/bench.%d.copy", dir, getpid());
	make_image(mb, LIBC);
	file = open(image_path(), O_RDONLY | O_CLOEXEC);
	start_spinning(&c, mb, LIBC);
	dump = open_dump(c.pid);
	for (i = 0; i <= runs; i++) {
		uint64_t fn = time_copy(file, null), dn = time_copy(dump, null), ff, df;

		to = new_file(path);
		ff = time_copy(file, to);
		close(to);
		to = new_file(path);
		df = time_copy(dump, to);
		close(to);
		if (!i)
			continue;
		add(&file_null, fn);
		add(&dump_null, dn);
		add(&file_file, ff);
		add(&dump_file, df);
	}
	unlink(path);
	close(file);
	close(dump);
	stop(&c);
	tell("read", mb, "a file to nowhere", &file_null);
	tell("read", mb, "a dump to nowhere", &dump_null);
	tell("read", mb, "a file to a file", &file_file);
	tell("read", mb, "a dump to a file", &dump_file);
	return verdict_least("dump-to-null", mb,
			     (double)median(&file_null) / median(&dump_null), 0.9) &
		verdict_least("dump-to-file", mb,
			      (double)median(&file_file) / median(&dump_file), 0.9);
}

/* Free memory, with what is only cached counted as free, in bytes. */
static uint64_t available(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long long kb = 0;
	char line[200];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %llu", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb * 1024;
}

#define NR_COPIES	100

static double max_of(double a, double b)
{
	return a > b ? a : b;
}

static bool bench_copies(unsigned long mb)
{
	static struct child copies[NR_COPIES];
	struct series alone = {}, last = {};
	uint64_t before, after;
	struct message m;
	double each;
	int i, k;

	make_image(mb, LIBC);
	one_resume();
	for (k = 0, each = 0; k < 3; k++) {
		for (i = 0; i < runs; i++)
			add(&alone, one_resume());
		before = available();
		for (i = 0; i < NR_COPIES; i++) {
			run_image(&copies[i], &m);
			if (i >= NR_COPIES - 5)
				add(&last, ticks_to_ns(m.began - copies[i].started));
		}
		after = available();
		if (before > after)
			each = max_of(each, (double)(before - after) / NR_COPIES);
		for (i = 0; i < NR_COPIES; i++)
			stop(&copies[i]);
	}
	tell("copies", mb, "the first alone", &alone);
	tell("copies", mb, "the 96th to 100th", &last);
	printf("%-20s %6lu MB %-28s %12.3f MB\n", "copies", mb, "memory of each", each / MB);
	return verdict("hundredth-copy", mb, (double)median(&last) / median(&alone), 1.5) &
		verdict("memory-per-copy", mb, each / MB, 1.0);
}

static uint64_t time_fork(void)
{
	uint64_t t = now_raw();
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	t = now_raw() - t;
	waitpid(pid, NULL, 0);
	return t;
}

static uint64_t time_dump(pid_t pid, uint64_t *open_ns)
{
	uint64_t t = now_raw(), total;
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int dump = open_dump(pid);

	*open_ns = now_raw() - t;
	copy_fd(dump, null);
	total = now_raw() - t;
	close(dump);
	close(null);
	return total - *open_ns;
}

static void count(const char *name, struct series *ours, struct series *theirs)
{
	printf("COUNT %s %.4f\n", name, (double)median(ours) / median(theirs));
}

static bool bench_count(unsigned long mb)
{
	struct series tiny_ns = {}, resume = {}, fresh = {}, touch = {}, forks = {}, opens = {};
	struct series file = {}, dump = {};
	char *p = new_small_pages(mb * MB);
	int i, null, image;
	struct message m;
	struct child c;
	uint64_t ns;

	/* All in turn: where instructions are counted, those of the other one are, too. */
	pin(1);
	make_image(mb, TOUCHES);
	image = open(image_path(), O_RDONLY | O_CLOEXEC);
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	write_pages(p, mb * MB);
	for (i = 0; i <= runs; i++) {
		char *q = new_small_pages(mb * MB);

		add(&tiny_ns, one_tiny());
		run_image(&c, &m);
		/* One that sleeps is not waited for. */
		usleep(20000);
		add(&dump, time_dump(c.pid, &ns));
		add(&opens, ns);
		stop(&c);
		add(&resume, ticks_to_ns(m.began - c.started));
		add(&touch, m.read_ns + m.write_ns);
		ns = read_pages(q, mb * MB);
		add(&fresh, ns + write_pages(q, mb * MB));
		munmap(q, mb * MB);
		add(&forks, time_fork());
		add(&file, time_copy(image, null));
	}
	count("resume", &resume, &tiny_ns);
	count("touch", &touch, &fresh);
	count("open", &opens, &forks);
	count("read", &dump, &file);
	return true;
}

static const struct {
	const char *name;
	bool (*fn)(unsigned long mb);
} benches[] = {
	{ "resume", bench_resume }, { "touch", bench_touch },
	{ "read", bench_read }, { "copies", bench_copies }, { "count", bench_count },
};

int main(int argc, char **argv)
{
	bool ok = true;
	size_t i;
	int opt;

	begin(argc, argv);
	while ((opt = getopt(argc, argv, "n:d:")) != -1) {
		if (opt == 'n')
			runs = atoi(optarg);
		else if (opt == 'd')
			dir = optarg;
		else
			return 2;
	}
	if (runs < 1 || runs > MAX_RUNS / 3 || optind + 2 > argc)
		return 2;
	for (i = 0; i < sizeof(benches) / sizeof(benches[0]); i++) {
		int k;

		if (strcmp(benches[i].name, argv[optind]))
			continue;
		for (k = optind + 1; k < argc; k++)
			ok &= benches[i].fn(strtoul(argv[k], NULL, 0));
		unlink(image_path());
		return ok ? 0 : 1;
	}
	return 2;
}
