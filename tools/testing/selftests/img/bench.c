// SPDX-License-Identifier: GPL-2.0
/*
 * How long a dump stops its target, compared with a fork() of the same process.
 *
 * The target, on processor 0, reads the clock in a loop and notes each time at
 * which it was away for long.  Its dump is opened from processor 1; the longest
 * gap meanwhile is the stop.  A fork() is timed by the target itself.  Before
 * each of them the target writes to all of its memory, so that no page is still
 * shared from the last time.  Dumps and forks alternate; medians count.  On an
 * emulated or busy machine a processor stands still at times: a dump that finds
 * its target off the processor in the millisecond before is done again.
 *
 * Then the same for a target with many threads, which are at rest or wake up all
 * the time.  Each of them may add something to the stop.
 *
 * usage: bench [-n RUNS] [-l LIMIT] [-r] [-t] [MEGABYTES...]
 *	-r: also without high-resolution timers, where each wait for the target
 *	    lasts for a whole tick (default: exit status 75)
 *	-t: with transparent huge pages (default: without); no limit then
 *
 * Each line "BENCH stop-vs-fork SIZE ratio=X limit=Y ok|MISS" is a verdict; the
 * exit status is 1 if one was missed.  "BENCH stop-64-threads ..." has the ratio
 * to LIMIT times a fork() and PER_THREAD_NS for each thread.
 */
#include <fcntl.h>
#include <getopt.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "img_util.h"

#define MB	(1UL << 20)
#define PAGE	4096UL

#define MAX_RUNS	99
#define MAX_GAPS	40
#define GAP_NS		20000
#define MAX_NOISE	200000

/* What a thread may add to the stop, in an emulated guest. */
#define PER_THREAD_NS	1000000ULL
#define THREADS		64

static uint64_t now_raw(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return ts.tv_sec * IMG_NSEC_PER_SEC + ts.tv_nsec;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set)) {
		perror("bench: two processors are needed");
		exit(4);
	}
}

/* Commands: 'F'ork, or be 'D'umped. */
static int send_command(int sock, char c)
{
	return send(sock, &c, 1, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

/*
 * The target
 */

static bool recv_command(char *c)
{
	return recv(IMG_FD_CTL, c, 1, 0) == 1;
}

static volatile sig_atomic_t left;

static void leave(int sig)
{
	left = 1;
}

static struct gap {
	uint64_t end, ns;
} gaps[MAX_GAPS];

/* Keep the longest ones. */
static void note_gap(uint64_t end, uint64_t ns)
{
	int i, least = 0;

	for (i = 1; i < MAX_GAPS; i++)
		if (gaps[i].ns < gaps[least].ns)
			least = i;
	if (ns > gaps[least].ns)
		gaps[least] = (struct gap){ end, ns };
}

static void send_gaps(void)
{
	char text[1900];
	int i, n = 0;

	for (i = 0; i < MAX_GAPS; i++)
		if (gaps[i].ns)
			n += snprintf(text + n, sizeof(text) - n, "%llu %llu ",
				      (long long)gaps[i].end, (long long)gaps[i].ns);
	text[n] = 0;
	img_send('M', "%s", text);
	memset(gaps, 0, sizeof(gaps));
}

static void touch(volatile char *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i += PAGE)
		p[i]++;
}

static void *rests(void *arg)
{
	static int word;

	pin(1);
	for (;;)
		syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	return NULL;
}

static void *ticks(void *arg)
{
	pin(1);
	for (;;)
		usleep(5000);
	return NULL;
}

static void make_threads(unsigned long nr)
{
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	while (nr-- > 1) {
		if (pthread_create(&t, &attr, nr % 3 ? rests : ticks, NULL))
			_exit(1);
	}
}

/* ARG is "MEGABYTES:THREADS:t", with the t for huge pages. */
TARGET(loop)
{
	size_t len = strtoul(arg, NULL, 10) * MB;
	uint64_t last, now;
	char command;
	pid_t pid;
	char *p;

	make_threads(strtoul(strchr(arg, ':') + 1, NULL, 10));
	pin(0);
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		_exit(1);
	madvise(p, len, strchr(arg, 't') ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	signal(SIGUSR1, leave);
	img_send('R', " ");
	while (recv_command(&command)) {
		touch(p, len);
		if (command == 'F') {
			last = now_raw();
			pid = fork();
			if (!pid)
				_exit(0);
			now = now_raw();
			waitpid(pid, NULL, 0);
			img_send('M', "%llu", (long long)(now - last));
			continue;
		}
		left = 0;
		img_send('R', " ");
		last = now_raw();
		while (!left) {
			now = now_raw();
			if (now - last > GAP_NS)
				note_gap(now, now - last);
			last = now;
		}
		send_gaps();
	}
}

/*
 * The other side
 */

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static uint64_t median(uint64_t *v, int n)
{
	qsort(v, n, sizeof(*v), compare);
	return v[n / 2];
}

static void must(int ret, const char *what)
{
	if (!ret)
		return;
	fprintf(stderr, "bench: %s: %s\n", what, strerror(-ret));
	exit(1);
}

static void command(struct img_proc *p, char c)
{
	if (send_command(p->sock, c))
		must(-errno, "command");
}

/* The longest gap in a window of time, as far as it is in there. */
static uint64_t longest(const char *text, uint64_t from, uint64_t to)
{
	unsigned long long end, ns;
	uint64_t max = 0, begin;
	int n;

	while (sscanf(text, "%llu %llu %n", &end, &ns, &n) == 2) {
		begin = end - ns > from ? end - ns : from;
		if (end > to)
			end = to;
		if (end > begin && end - begin > max)
			max = end - begin;
		text += n;
	}
	return max;
}

static uint64_t one_fork(struct img_proc *p)
{
	char text[64];

	command(p, 'F');
	must(img_recv(p, 'M', text, sizeof(text)), "fork");
	return strtoull(text, NULL, 10);
}

/* The stop, how long the open took, and the longest gap right before it. */
static void one_dump(struct img_proc *p, uint64_t *stop, uint64_t *took, uint64_t *noise)
{
	uint64_t from, to;
	char text[2000];
	int fd;

	command(p, 'D');
	must(img_recv(p, 'R', NULL, 0), "loop");
	img_msleep(150);
	from = now_raw();
	fd = img_open_dump(p->pid);
	to = now_raw();
	must(fd < 0 ? fd : 0, "dump");
	img_msleep(20);
	kill(p->pid, SIGUSR1);
	must(img_recv(p, 'M', text, sizeof(text)), "gaps");
	close(fd);
	*took = to - from;
	*stop = longest(text, from, to);
	*noise = longest(text, from - 1000000, from);
}

/**
 * struct figures - what was measured, sorted
 * @stop: ns
 * @forks: ns
 * @took: ns for the open()
 * @noise: ns of the longest gap right before it
 * @again: how many were done again
 */
struct figures {
	uint64_t stop[MAX_RUNS], forks[MAX_RUNS], took[MAX_RUNS], noise[MAX_RUNS];
	int again;
};

static void measure(struct figures *f, unsigned long mb, int threads, int runs, bool thp)
{
	struct img_proc p;
	char arg[64];
	int i;

	snprintf(arg, sizeof(arg), "%lu:%d:%s", mb, threads, thp ? "t" : "");
	must(img_start(&p, "loop", 's', arg, NULL), "target");
	must(img_recv(&p, 'R', NULL, 0), "target");
	/* Once of each that does not count. */
	one_fork(&p);
	one_dump(&p, &f->stop[0], &f->took[0], &f->noise[0]);
	for (i = 0, f->again = 0; i < runs; i++) {
		f->forks[i] = one_fork(&p);
		one_dump(&p, &f->stop[i], &f->took[i], &f->noise[i]);
		if (f->noise[i] > MAX_NOISE && f->again < 5 * runs) {
			f->again++;
			i--;
		}
	}
	img_forget(&p);
}

static void show(struct figures *f, unsigned long mb, int runs)
{
	double ratio = (double)median(f->stop, runs) / median(f->forks, runs);

	printf("%8lu MB %10.3f %10.3f %10.3f %10.3f %8.2f\n", mb,
	       median(f->forks, runs) / 1e6, median(f->stop, runs) / 1e6,
	       median(f->took, runs) / 1e6, median(f->noise, runs) / 1e6, ratio);
	printf("%11s %10.3f %10.3f %10.3f %10.3f %8.2f %d repeated\n", "least",
	       f->forks[0] / 1e6, f->stop[0] / 1e6, f->took[0] / 1e6, f->noise[0] / 1e6,
	       (double)f->stop[0] / f->forks[0], f->again);
}

static bool verdict(const char *name, unsigned long mb, double ratio, double limit)
{
	printf("BENCH %s %luMB ratio=%.2f limit=%.2f %s\n", name, mb, ratio, limit,
	       ratio <= limit ? "ok" : "MISS");
	fflush(stdout);
	return ratio <= limit;
}

static bool bench(unsigned long mb, int runs, double limit, bool thp)
{
	struct figures f;

	measure(&f, mb, 1, runs, thp);
	show(&f, mb, runs);
	return thp || verdict("stop-vs-fork", mb,
			      (double)median(f.stop, runs) / median(f.forks, runs), limit);
}

static bool bench_threads(unsigned long mb, int runs, double limit)
{
	struct figures f;
	double allowed;

	printf("the same with %d threads\n", THREADS);
	measure(&f, mb, THREADS, runs, false);
	show(&f, mb, runs);
	allowed = limit * median(f.forks, runs) + PER_THREAD_NS * THREADS;
	return verdict("stop-64-threads", mb, median(f.stop, runs) / allowed, 1.0);
}

static bool high_resolution(void)
{
	struct timespec ts;

	return !clock_getres(CLOCK_MONOTONIC, &ts) && !ts.tv_sec && ts.tv_nsec == 1;
}

int main(int argc, char **argv)
{
	static const unsigned long sizes[] = { 16, 128, 512 };
	bool ok = true, thp = false, regardless = false;
	double limit = 1.3;
	int opt, runs = 9;
	size_t i;

	img_init();
	if (argc > 1 && !strcmp(argv[1], "--target"))
		return img_target_main(argc, argv);
	while ((opt = getopt(argc, argv, "n:l:rt")) != -1) {
		if (opt == 'n')
			runs = atoi(optarg);
		else if (opt == 'l')
			limit = atof(optarg);
		else if (opt == 'r')
			regardless = true;
		else if (opt == 't')
			thp = true;
		else
			return 2;
	}
	if (runs < 1 || runs > MAX_RUNS)
		return 2;
	if (!regardless && !high_resolution()) {
		fprintf(stderr, "bench: no high-resolution timers\n");
		return 75;
	}
	pin(1);
	printf("stop of a process by a dump, and its fork(): medians of %d, ms%s\n", runs,
	       thp ? ", huge pages" : "");
	printf("%11s %10s %10s %10s %10s %8s\n", "memory", "fork", "stop", "open", "noise",
	       "ratio");
	if (optind == argc) {
		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
			ok &= bench(sizes[i], runs, limit, thp);
		if (!thp)
			ok &= bench_threads(256, runs, limit);
	}
	for (; optind < argc; optind++)
		ok &= bench(strtoul(argv[optind], NULL, 0), runs, limit, thp);
	return ok ? 0 : 1;
}
