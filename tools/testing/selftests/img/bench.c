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
 * Last, targets that write to their memory all the time.
 *
 * usage: bench [-n RUNS] [-l LIMIT] [-r] [-f FLAGS] [MEGABYTES...]
 *	-r: also without high-resolution timers, where each wait for the target
 *	    lasts for a whole tick (default: exit status 75)
 *	-f: t: with transparent huge pages (default: without); h, w: writes to 2 MB,
 *	    to all of its memory; -l 0: no verdict
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

#include "bench_util.h"
#include "img_util.h"

#define MAX_GAPS	40
#define GAP_NS		20000
#define MAX_NOISE	200000

/* What a thread may add to the stop, in an emulated guest. */
#define PER_THREAD_NS	1000000ULL
#define THREADS		64

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

/* Which page is next, of so much memory: all of them, in no order that helps. */
static size_t next_page(size_t span)
{
	static size_t n;

	n += 16381;
	return n * PAGE % span;
}

/*
 * ARG is "MEGABYTES:THREADS:FLAGS", with t for huge pages, h for who writes to 2 MB
 * of it all the time, w for who writes to all of it.
 */
TARGET(loop)
{
	size_t len = strtoul(arg, NULL, 10) * MB;
	size_t span = strchr(arg, 'w') ? len : strchr(arg, 'h') ? 2 * MB : 0;
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
			if (span)
				((volatile char *)p)[next_page(span)]++;
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
	struct series stop, forks, took, noise;
	int again;
};

static void measure(struct figures *f, unsigned long mb, int threads, int runs,
		    const char *flags)
{
	uint64_t fork, stop, took, noise;
	struct img_proc p;
	char arg[64];

	snprintf(arg, sizeof(arg), "%lu:%d:%s", mb, threads, flags);
	must(img_start(&p, "loop", 's', arg, NULL), "target");
	must(img_recv(&p, 'R', NULL, 0), "target");
	/* Once of each that does not count. */
	one_fork(&p);
	one_dump(&p, &stop, &took, &noise);
	memset(f, 0, sizeof(*f));
	while (f->stop.n < runs) {
		fork = one_fork(&p);
		one_dump(&p, &stop, &took, &noise);
		if (noise > MAX_NOISE && f->again < 5 * runs) {
			f->again++;
			continue;
		}
		add(&f->forks, fork);
		add(&f->stop, stop);
		add(&f->took, took);
		add(&f->noise, noise);
	}
	img_forget(&p);
}

static double ratio(struct figures *f)
{
	return (double)median(&f->stop) / median(&f->forks);
}

static void show(struct figures *f, const char *name, unsigned long mb)
{
	tell(name, mb, "fork", &f->forks);
	tell(name, mb, "stop", &f->stop);
	tell(name, mb, "open", &f->took);
	printf("%-20s %6lu MB noise %.3f ms, least ratio %.2f, %d repeated\n", name, mb,
	       median(&f->noise) / 1e6, (double)f->stop.v[0] / f->forks.v[0], f->again);
}

/* A verdict unless the limit is 0. */
static bool bench(const char *name, unsigned long mb, int runs, const char *flags,
		  double limit)
{
	char full[64];
	struct figures f;

	measure(&f, mb, 1, runs, flags);
	show(&f, name, mb);
	snprintf(full, sizeof(full), "%s-vs-fork", name);
	return !limit || verdict(full, mb, ratio(&f), limit);
}

static bool bench_threads(unsigned long mb, int runs, double limit)
{
	struct figures f;
	double allowed;

	measure(&f, mb, THREADS, runs, "");
	show(&f, "stop-threads", mb);
	allowed = limit * median(&f.forks) + PER_THREAD_NS * THREADS;
	return verdict("stop-64-threads", mb, median(&f.stop) / allowed, 1.0);
}

/* A target that only counts, one that writes everywhere, one that writes to 2 MB. */
static bool bench_all(int runs, double limit)
{
	static const unsigned long sizes[] = { 16, 128, 512, 1024 };
	bool ok = true;
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		ok &= bench("stop", sizes[i], runs, "", limit);
		ok &= bench("stop-writer", sizes[i], runs, "w", limit);
	}
	return ok & bench("stop-hot-set", 512, runs, "h", 0.25) &
		bench_threads(256, runs, 1.3);
}

static bool high_resolution(void)
{
	struct timespec ts;

	return !clock_getres(CLOCK_MONOTONIC, &ts) && !ts.tv_sec && ts.tv_nsec == 1;
}

int main(int argc, char **argv)
{
	bool ok = true, regardless = false;
	const char *flags = "";
	double limit = 1.0;
	int opt, runs = 9;

	img_init();
	if (argc > 1 && !strcmp(argv[1], "--target"))
		return img_target_main(argc, argv);
	while ((opt = getopt(argc, argv, "n:l:rf:")) != -1) {
		if (opt == 'n')
			runs = atoi(optarg);
		else if (opt == 'l')
			limit = atof(optarg);
		else if (opt == 'r')
			regardless = true;
		else if (opt == 'f')
			flags = optarg;
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
	if (optind == argc)
		return bench_all(runs, limit) ? 0 : 1;
	for (; optind < argc; optind++)
		ok &= bench("stop", strtoul(argv[optind], NULL, 0), runs, flags, limit);
	return ok ? 0 : 1;
}
