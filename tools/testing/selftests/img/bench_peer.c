// SPDX-License-Identifier: GPL-2.0
/*
 * Process images against what people have otherwise: CRIU, and starting anew.
 *
 * usage: bench_peer [-n RUNS] [-d DIR] criu|freeze MEGABYTES...
 *	  bench_peer [-n RUNS] [-d DIR] python
 *
 * Exit status 77 when there is no CRIU that works here.
 */
#include <getopt.h>
#include <stdarg.h>

#include "bench_proc.h"

/* What takes a millisecond or two can be measured often. */
#define QUICK_RUNS	99

static int __attribute__((format(printf, 1, 2))) run(const char *fmt, ...)
{
	char command[8192];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	return system(command);
}

static const char *criu_dir(void)
{
	static char path[4200];

	/* Children, too, are to find that of their parent. */
	if (!path[0])
		snprintf(path, sizeof(path), "%s/bench.%d.criu", dir, getpid());
	return path;
}

/* A process that is dumped, and not a child, perhaps. */
static pid_t target;
static pid_t owner;

static void clean_up(void)
{
	if (getpid() != owner)
		return;
	if (target > 0)
		kill(target, SIGKILL);
	unlink(image_path());
	run("rm -rf %s", criu_dir());
}

static void end_target(void)
{
	kill(target, SIGKILL);
	waitpid(target, NULL, 0);
	target = 0;
}

/*
 * CRIU takes regular files only.  The process leads a session, which the one
 * that restores it does not have to be in then.
 */
static void start_for_criu(char *const *argv)
{
	int fd;

	must(run("rm -rf %s && mkdir %s", criu_dir(), criu_dir()), "mkdir");
	target = fork();
	must(target < 0 ? -errno : 0, "fork");
	if (!target) {
		setsid();
		fd = open("/dev/null", O_RDWR);
		dup2(fd, 0);
		dup2(fd, 2);
		close(fd);
		fd = chdir(criu_dir()) ? -1 : open("out", O_WRONLY | O_CREAT | O_APPEND, 0600);
		dup2(fd, 1);
		close(fd);
		closefrom(3);
		if (set_cpu(1))
			execv(argv[0], argv);
		_exit(127);
	}
}

/* The message that a process has written as its Nth. */
static void get_from_file(void *m, size_t len, int nth)
{
	char path[4300];
	int fd, i;

	snprintf(path, sizeof(path), "%s/out", criu_dir());
	for (i = 0; i < 60000; i++) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && pread(fd, m, len, nth * len) == (ssize_t)len) {
			close(fd);
			return;
		}
		if (fd >= 0)
			close(fd);
		usleep(1000);
	}
	must(-ETIMEDOUT, "a process under CRIU");
}

static bool criu_dump(const char *options)
{
	if (!run("criu dump -t %d -D %s -o dump.log %s >/dev/null 2>&1", target, criu_dir(),
		 options))
		return true;
	run("tail -n 5 %s/dump.log >&2", criu_dir());
	return false;
}

/* Started as an image is, but it may use all processors. */
static bool criu_restore(void)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC), status = -1;
	const char *from = criu_dir();
	cpu_set_t all;
	pid_t pid;

	memset(&all, 0xff, sizeof(all));
	pid = vfork();
	must(pid < 0 ? -errno : 0, "vfork");
	if (!pid) {
		dup2(null, 1);
		dup2(null, 2);
		sched_setaffinity(0, sizeof(all), &all);
		*shared = tsc();
		execlp("criu", "criu", "restore", "-d", "-D", from, "-o", "restore.log", NULL);
		_exit(127);
	}
	close(null);
	waitpid(pid, &status, 0);
	if (!status)
		return true;
	run("tail -n 5 %s/restore.log >&2", criu_dir());
	return false;
}

/* ns from the exec of "criu restore" to the first instruction, 0: it fails. */
static uint64_t one_criu(unsigned long mb)
{
	struct bare_args args;
	struct message m;
	bool dumped;

	start_for_criu(bare_args(&args, mb));
	get_from_file(&m, sizeof(m), 0);
	dumped = criu_dump("");
	if (!dumped)
		kill(target, SIGKILL);
	waitpid(target, NULL, 0);
	usleep(2 * AWAY_NS / 1000);
	if (!dumped || !criu_restore()) {
		target = 0;
		return 0;
	}
	get_from_file(&m, sizeof(m), 1);
	/* It took a pause of the machine for its own. */
	must(m.began < *shared ? -EAGAIN : 0, "a process that was to be dumped ran on");
	kill(target, SIGKILL);
	target = 0;
	usleep(10000);
	return ticks_to_ns(m.began - *shared);
}

/*
 * CRIU's and ours take turns: a few seconds later the machine may be a faster or
 * slower one.  What takes a millisecond is done often, as an exec is that it is
 * compared with elsewhere; the first of each turn, which has nothing in the
 * processor's caches, is told for itself.
 */
static bool bench_criu(unsigned long mb)
{
	int often = MAX_RUNS / runs < QUICK_RUNS ? MAX_RUNS / runs : QUICK_RUNS, i, k;
	struct series ours = {}, first = {}, theirs = {};

	make_image(mb, BARE);
	spawns = true;
	for (i = 0; i <= runs; i++) {
		uint64_t t = one_criu(mb);

		/* The first one after boot makes what others find made. */
		if (!t && !i)
			exit(77);
		must(t ? 0 : -EIO, "criu");
		if (!i)
			continue;
		add(&theirs, t);
		add(&first, one_resume());
		for (k = 0; k < often; k++)
			add(&ours, one_resume());
	}
	spawns = false;
	tell("criu-restore", mb, "criu restore", &theirs);
	tell("criu-restore", mb, "first exec of the image", &first);
	tell("criu-restore", mb, "exec of the image", &ours);
	return verdict_least("criu-vs-resume", mb, (double)median(&theirs) / median(&ours),
			     mb >= 1024 ? 1000 : 50);
}

/*
 * How long a process stands still, by its own clock, while it is dumped
 */

static volatile sig_atomic_t asked;

static void ask(int sig)
{
	asked = 1;
}

/* Says the longest time that it was away for since it was asked the last time. */
static void watch(size_t len)
{
	uint64_t last, now, most = 0;
	char *p = new_memory(len);

	memset(p, 1, len);
	signal(SIGUSR1, ask);
	if (write(1, &most, sizeof(most)) != sizeof(most))
		exit(3);
	for (last = tsc(); ; last = now) {
		now = tsc();
		if (now - last > most)
			most = now - last;
		if (!asked)
			continue;
		asked = 0;
		/* Whoever has the answer may rely on it that this is over. */
		memset(p, 1, len);
		if (write(1, &most, sizeof(most)) != sizeof(most))
			exit(3);
		most = 0;
		now = tsc();
	}
}

/* @nth: how often it was asked before. */
static uint64_t longest_gap(int *nth)
{
	uint64_t most;

	kill(target, SIGUSR1);
	get_from_file(&most, sizeof(most), ++*nth);
	return ticks_to_ns(most);
}

/* After a while without a gap of another kind. */
static void forget_gaps(int *nth)
{
	longest_gap(nth);
	usleep(300000);
	longest_gap(nth);
	usleep(300000);
}

static bool bench_freeze(unsigned long mb)
{
	struct series ours = {}, theirs = {};
	char arg[32], *argv[] = { self, "--watch", arg, NULL };
	uint64_t zero, our, their;
	int i, fd, nth;

	snprintf(arg, sizeof(arg), "%lu", mb);
	for (i = 0; i <= runs; i++) {
		start_for_criu(argv);
		nth = 0;
		get_from_file(&zero, sizeof(zero), nth);
		forget_gaps(&nth);
		fd = open_dump(target);
		usleep(20000);
		our = longest_gap(&nth);
		close(fd);
		forget_gaps(&nth);
		if (!criu_dump("-R"))
			exit(77);
		their = longest_gap(&nth);
		end_target();
		if (!i)
			continue;
		add(&ours, our);
		add(&theirs, their);
	}
	tell("freeze", mb, "criu dump", &theirs);
	tell("freeze", mb, "our dump", &ours);
	return verdict_least("freeze-vs-criu", mb, (double)median(&theirs) / median(&ours), 50);
}

/*
 * An interpreter that is warm
 */

static const char python[] =
	"import json, hashlib, decimal, re, os, time\n"
	"os.write(1, b'12345678')\n"
	"last = time.monotonic()\n"
	"while True:\n"
	"    now = time.monotonic()\n"
	"    if now - last > 0.2:\n"
	"        os._exit(0)\n"
	"    last = now\n";

static uint64_t until_exit(char *const *argv)
{
	uint64_t t = now_raw();
	int status = -1;
	struct child c;

	start(&c, argv);
	waitpid(c.pid, &status, 0);
	t = now_raw() - t;
	must(status ? -ECHILD : 0, argv[0]);
	close(c.out);
	return t;
}

static bool bench_python(unsigned long unused)
{
	char *warm[] = { "/usr/bin/python3", "-c", (char *)python, NULL };
	char *cold[] = { "/usr/bin/python3", "-c", "pass", NULL };
	char *image[] = { (char *)image_path(), NULL };
	struct series ours = {}, theirs = {};
	char text[8];
	struct child c;
	int i;

	start(&c, warm);
	get(&c, text, sizeof(text));
	usleep(50000);
	save_image(&c);
	for (i = 0; i <= runs; i++) {
		uint64_t a = until_exit(cold), b = until_exit(image);

		if (!i)
			continue;
		add(&theirs, a);
		add(&ours, b);
	}
	tell("python", 0, "python3 -c pass", &theirs);
	tell("python", 0, "a warm one resumed", &ours);
	return verdict("python-vs-start", 0, (double)median(&ours) / median(&theirs), 0.5);
}

int main(int argc, char **argv)
{
	bool (*bench)(unsigned long mb) = NULL;
	bool ok = true;
	int opt;

	if (argc == 3 && !strcmp(argv[1], "--watch"))
		watch(strtoul(argv[2], NULL, 10) * MB);
	begin(argc, argv);
	owner = getpid();
	atexit(clean_up);
	while ((opt = getopt(argc, argv, "n:d:")) != -1) {
		if (opt == 'n')
			runs = atoi(optarg);
		else if (opt == 'd')
			dir = optarg;
		else
			return 2;
	}
	if (runs < 1 || runs > MAX_RUNS || optind == argc)
		return 2;
	if (!strcmp(argv[optind], "criu"))
		bench = bench_criu;
	else if (!strcmp(argv[optind], "freeze"))
		bench = bench_freeze;
	else if (!strcmp(argv[optind], "python"))
		ok = bench_python(0);
	else
		return 2;
	if (bench && optind + 1 == argc)
		return 2;
	while (bench && ++optind < argc)
		ok &= bench(strtoul(argv[optind], NULL, 0));
	return ok ? 0 : 1;
}
