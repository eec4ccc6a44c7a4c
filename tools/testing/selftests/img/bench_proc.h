/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Processes to be dumped, and images of them, for benchmarks.  "Runs" means the
 * first instruction in user mode, by the time stamp counter, counted from right
 * before execve(2).
 */
#ifndef BENCH_PROC_H
#define BENCH_PROC_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench_util.h"

/* A loop that was left alone for so long is one that was resumed. */
#define AWAY_NS		500000000ULL

static int runs = 9;
static const char *dir = "/tmp";
static char self[4096];
static char tiny[4200];

static inline uint64_t tsc(void)
{
	return __builtin_ia32_rdtsc();
}

/* Ticks of the time stamp counter in a second. */
static inline double tsc_rate(void)
{
	static double rate;
	uint64_t t, c;

	if (rate)
		return rate;
	t = now_raw();
	c = tsc();
	usleep(300000);
	rate = (tsc() - c) * 1e9 / (now_raw() - t);
	return rate;
}

static inline uint64_t ticks_to_ns(uint64_t ticks)
{
	return ticks * 1e9 / tsc_rate();
}

/*
 * The process that is dumped
 */

/* What it says on descriptor 1. */
struct message {
	uint64_t began;		/* when it ran for the first time, ticks */
	uint64_t read_ns;	/* to read each page */
	uint64_t write_ns;	/* to write each page then */
};

static inline uint64_t read_pages(volatile char *p, size_t len)
{
	uint64_t t = now_raw();
	size_t i;

	for (i = 0; i < len; i += PAGE)
		(void)p[i];
	return now_raw() - t;
}

static inline uint64_t write_pages(volatile char *p, size_t len)
{
	uint64_t t = now_raw();
	size_t i;

	for (i = 0; i < len; i += PAGE)
		p[i] += 1;
	return now_raw() - t;
}

static inline char *new_memory(size_t len)
{
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		exit(3);
	return p;
}

/* To be compared page by page. */
static inline char *new_small_pages(size_t len)
{
	char *p = new_memory(len);

	madvise(p, len, MADV_NOHUGEPAGE);
	return p;
}

/* Never returns.  It is dumped while it runs, so that no call is to be restarted. */
static inline void spin(size_t len, bool touches)
{
	uint64_t away = tsc_rate() * AWAY_NS / 1e9, last, now;
	struct message m = {};
	char *p = touches ? new_small_pages(len) : new_memory(len);
	size_t i;

	for (i = 0; i < len; i += 8)
		*(uint64_t *)(p + i) = i * 0x9e3779b97f4a7c15ULL + 1;
	if (write(1, &m, sizeof(m)) != sizeof(m))
		exit(3);
	for (last = tsc(); ; last = now) {
		now = tsc();
		if (now - last > away)
			break;
	}
	m.began = now;
	if (touches) {
		m.read_ns = read_pages(p, len);
		m.write_ns = write_pages(p, len);
	}
	if (write(1, &m, sizeof(m)) != sizeof(m))
		exit(3);
	/* Whoever counts memory looks at it now. */
	pause();
	exit(0);
}

/*
 * The other side
 */

/**
 * struct child - a process of ours
 * @pid: its ID
 * @out: what it writes to descriptor 1
 * @started: right before its execve(), ticks
 */
struct child {
	pid_t pid;
	int out;
	uint64_t started;
};

static volatile uint64_t *shared;	/* with the child until its execve() */
/* Programs are started by vfork(2): no exec has memory of its own to give up. */
static bool spawns;

static inline void start(struct child *c, char *const *argv)
{
	int fd[2];

	must(pipe2(fd, O_CLOEXEC) ? -errno : 0, "pipe");
	c->pid = spawns ? vfork() : fork();
	must(c->pid < 0 ? -errno : 0, "fork");
	if (!c->pid) {
		dup2(fd[1], 1);
		/* What we do until we wait for it is not to be in between. */
		if (!set_cpu(1))
			_exit(4);
		*shared = tsc();
		execv(argv[0], argv);
		_exit(127);
	}
	close(fd[1]);
	c->out = fd[0];
}

static inline void get(struct child *c, void *data, size_t len)
{
	ssize_t n = read(c->out, data, len);

	c->started = *shared;
	must(n < 0 ? -errno : n != (ssize_t)len ? -EPIPE : 0, "a process");
}

static inline void stop(struct child *c)
{
	kill(c->pid, SIGKILL);
	waitpid(c->pid, NULL, 0);
	close(c->out);
}

static inline const char *image_path(void)
{
	static char path[4200];

	snprintf(path, sizeof(path), "%s/bench.%d.img", dir, getpid());
	return path;
}

/* What cat does. */
static inline void copy_fd(int from, int to)
{
	static char buf[128 * 1024];
	ssize_t n;

	while ((n = read(from, buf, sizeof(buf))) > 0)
		must(write(to, buf, n) != n ? -EIO : 0, "write");
	must(n < 0 ? -errno : 0, "read");
}

static inline int open_dump(pid_t pid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/dump", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	must(fd < 0 ? -errno : 0, path);
	return fd;
}

enum who {
	BARE,		/* without a library */
	LIBC,
	TOUCHES,	/* as LIBC, and touches its memory when it is resumed */
};

/* The command that runs the smallest program, as one to be dumped. */
struct bare_args {
	char bytes[32];
	char ticks[32];
	char *argv[4];
};

static inline char *const *bare_args(struct bare_args *args, unsigned long mb)
{
	snprintf(args->bytes, sizeof(args->bytes), "%lu", mb * MB);
	snprintf(args->ticks, sizeof(args->ticks), "%.0f", tsc_rate() * AWAY_NS / 1e9);
	args->argv[0] = tiny;
	args->argv[1] = args->bytes;
	args->argv[2] = args->ticks;
	args->argv[3] = NULL;
	return args->argv;
}

/* A process with so much memory. */
static inline void start_spinning(struct child *c, unsigned long mb, enum who who)
{
	char arg[32];
	char *argv[] = { self, who == TOUCHES ? "--spin-and-touch" : "--spin", arg, NULL };
	struct bare_args args;
	struct message m;

	snprintf(arg, sizeof(arg), "%lu", mb);
	start(c, who == BARE ? bare_args(&args, mb) : argv);
	get(c, &m, sizeof(m));
}

/* Memory of its own that a process has touched, in bytes. */
static inline uint64_t touched_bytes(pid_t pid)
{
	unsigned long long kb = 0;
	char line[200];
	FILE *f;

	snprintf(line, sizeof(line), "/proc/%d/smaps_rollup", pid);
	f = fopen(line, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Anonymous: %llu", &kb) == 1)
			break;
	if (f)
		fclose(f);
	must(kb ? 0 : -EIO, "smaps_rollup");
	return kb * 1024;
}

/* Dump a process, and end it. */
static inline void save_image(struct child *c)
{
	int from = open_dump(c->pid), to;
	struct pollfd said = { .fd = c->out, .events = POLLIN };

	/* It took a pause of the machine for its own, and has done what is measured. */
	must(poll(&said, 1, 0) ? -EAGAIN : 0, "a process that was to be dumped ran on");

	unlink(image_path());
	to = open(image_path(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	must(to < 0 ? -errno : 0, "image");
	copy_fd(from, to);
	close(from);
	close(to);
	stop(c);
	/* What it was is not to be taken for a resumed one. */
	usleep(2 * AWAY_NS / 1000);
}

/* Returns how much memory it had. */
static inline uint64_t make_image(unsigned long mb, enum who who)
{
	struct child c;
	uint64_t bytes;

	start_spinning(&c, mb, who);
	usleep(50000);
	bytes = touched_bytes(c.pid);
	save_image(&c);
	return bytes;
}

static inline void run_image(struct child *c, struct message *m)
{
	char *argv[] = { (char *)image_path(), NULL };

	start(c, argv);
	get(c, m, sizeof(*m));
}

static inline uint64_t one_resume(void)
{
	struct message m;
	struct child c;

	run_image(&c, &m);
	stop(&c);
	return ticks_to_ns(m.began - c.started);
}

/* From --spin, --spin-and-touch, and for all programs. */
static inline void begin(int argc, char **argv)
{
	ssize_t n;

	if (argc == 3 && !strncmp(argv[1], "--spin", 6))
		spin(strtoul(argv[2], NULL, 10) * MB, argv[1][6]);
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	must(n < 0 ? -errno : 0, "/proc/self/exe");
	snprintf(tiny, sizeof(tiny), "%.*s/bench_tiny", (int)(strrchr(self, '/') - self), self);
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(shared == MAP_FAILED ? -errno : 0, "mmap");
	pin(0);
}

#endif /* BENCH_PROC_H */
