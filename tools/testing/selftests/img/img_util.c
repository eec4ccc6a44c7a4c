// SPDX-License-Identifier: GPL-2.0
/*
 * What the tests of process images share: see img_util.h.
 */
#include "img_util.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <linux/loop.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

char img_dir[200];
char img_self[4096];
char img_mode = 's';
int img_failures;

static struct img_target *img_targets;

/*
 * Both sides
 */

int img_slow(void)
{
	static int slow;
	const char *s;

	if (!slow) {
		s = getenv("IMG_SLOW");
		slow = s ? atoi(s) : 1;
		if (slow < 1)
			slow = 1;
	}
	return slow;
}

/*
 * By how much to multiply limits of time.  An emulated processor is no slower in its
 * own time, but has less of that, the more others run beside it.
 */
int img_patience(void)
{
	const char *s = getenv("IMG_EMULATED");

	return img_slow() * (s && *s ? 3 : 1);
}

bool img_nodump(void)
{
	const char *s = getenv("IMG_NODUMP");

	return s && *s && *s != '0';
}

uint64_t img_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * IMG_NSEC_PER_SEC + ts.tv_nsec;
}

void img_msleep(unsigned int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

/* splitmix64 */
uint64_t img_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

void img_fill(void *p, size_t len, uint64_t seed)
{
	uint64_t *w = p;
	size_t i;

	for (i = 0; i < len / 8; i++)
		w[i] = img_random(&seed);
}

/* The first byte that img_fill() would not have written there, or @len. */
size_t img_differs(const void *p, size_t len, uint64_t seed)
{
	const uint64_t *w = p;
	size_t i;

	for (i = 0; i < len / 8; i++)
		if (w[i] != img_random(&seed))
			return i * 8;
	return len;
}

size_t img_nonzero(const void *p, size_t len)
{
	const uint8_t *b = p;
	size_t i;

	for (i = 0; i < len; i++)
		if (b[i])
			break;
	return i;
}

/* A path in the scratch directory; good until the eighth call after this. */
const char *img_path(const char *fmt, ...)
{
	static char ring[8][512];
	static unsigned int n;
	char *buf = ring[n++ % 8];
	int len;
	va_list ap;

	len = snprintf(buf, sizeof(ring[0]), "%s/", img_dir);
	va_start(ap, fmt);
	vsnprintf(buf + len, sizeof(ring[0]) - len, fmt, ap);
	va_end(ap);
	return buf;
}

int img_write_file(const char *path, const void *data, size_t len)
{
	const char *p = data;
	ssize_t n;
	int fd;

	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	if (fd < 0)
		return -errno;
	while (len) {
		n = write(fd, p, len);
		if (n < 0) {
			n = -errno;
			close(fd);
			return n;
		}
		p += n;
		len -= n;
	}
	fchmod(fd, 0755);
	close(fd);
	return 0;
}

int img_write_str(const char *path, const char *text)
{
	int fd, ret = 0;

	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

int img_make_file(const char *path, size_t len, uint64_t seed)
{
	void *buf = malloc(len);
	int ret;

	if (!buf)
		return -ENOMEM;
	img_fill(buf, len, seed);
	ret = img_write_file(path, buf, len);
	free(buf);
	return ret;
}

/* The whole of a file, also of one in /proc, with a NUL after it. */
char *img_read_file(const char *path, size_t *len)
{
	size_t used = 0, size = 65536;
	char *buf = malloc(size), *more;
	ssize_t n;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || !buf)
		goto fail;
	while ((n = read(fd, buf + used, size - used - 1)) > 0) {
		used += n;
		if (used < size - 4096)
			continue;
		size *= 2;
		more = realloc(buf, size);
		if (!more)
			goto fail;
		buf = more;
	}
	if (n < 0)
		goto fail;
	close(fd);
	buf[used] = 0;
	if (len)
		*len = used;
	return buf;
fail:
	n = errno;
	if (fd >= 0)
		close(fd);
	free(buf);
	errno = n;
	return NULL;
}

/* A number from /proc/PID/status, or -1; @field as it is there, "SigCgt:". */
long img_status_field(pid_t pid, const char *field, int base)
{
	char path[64], *text, *p;
	long val = -1;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	text = img_read_file(path, NULL);
	if (!text)
		return -1;
	for (p = text; p; p = strchr(p, '\n')) {
		if (*p == '\n')
			p++;
		if (!strncmp(p, field, strlen(field))) {
			val = (long)strtoull(p + strlen(field), NULL, base);
			break;
		}
	}
	free(text);
	return val;
}

/*
 * The side of the target
 */

void img_register_target(struct img_target *t)
{
	t->next = img_targets;
	img_targets = t;
}

void img_send(char type, const char *fmt, ...)
{
	char buf[2048];
	va_list ap;
	int n;

	buf[0] = type;
	va_start(ap, fmt);
	n = vsnprintf(buf + 1, sizeof(buf) - 1, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(buf) - 2)
		n = sizeof(buf) - 2;
	send(IMG_FD_CTL, buf, n + 1, MSG_NOSIGNAL);
}

bool img_check(bool ok, const char *file, int line, const char *fmt, ...)
{
	const char *base = strrchr(file, '/');
	char buf[1024];
	va_list ap;

	if (ok)
		return true;
	img_failures++;
	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	if (img_failures <= 20)
		img_send('F', "%s:%d: %s", base ? base + 1 : file, line, buf);
	return false;
}

void img_target_skip(const char *fmt, ...)
{
	char buf[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	img_send('S', "%s", buf);
	_exit(4);
}

static volatile sig_atomic_t img_left;

static void img_leave(int sig)
{
	img_left = 1;
}

/*
 * Be dumped here.  Running, the way out is a signal handler, as nothing else
 * reaches a process that makes no system call.
 */
void img_freeze(void)
{
	struct sigaction sa = { .sa_handler = img_leave }, old;
	char buf[16];
	ssize_t n;

	if (img_mode == 'r' || img_mode == 'x') {
		img_left = 0;
		sigaction(SIGUSR2, &sa, &old);
		img_send('R', "run");
		while (!img_left)
			__asm__ volatile("pause");
		sigaction(SIGUSR2, &old, NULL);
		return;
	}
	img_send('R', "sleep");
	n = recv(IMG_FD_CTL, buf, sizeof(buf), 0);
	if (n == 0)	/* The test is gone. */
		_exit(3);
	img_check(n == 1 && buf[0] == 'G', __FILE__, __LINE__,
		  "recv() in img_freeze() gave %zd, errno %d", n, errno);
}

int img_target_main(int argc, char **argv)
{
	struct img_target *t;

	if (argc < 4) {
		fprintf(stderr, "usage: %s --target NAME MODE [ARG]\n", argv[0]);
		return 2;
	}
	img_mode = argv[3][0];
	for (t = img_targets; t; t = t->next) {
		if (strcmp(t->name, argv[2]))
			continue;
		t->fn(argc > 4 ? argv[4] : "");
		return img_failures ? 1 : 0;
	}
	fprintf(stderr, "%s: no target %s\n", argv[0], argv[2]);
	return 2;
}

/*
 * The side of the test
 */

void img_diag(const char *fmt, ...)
{
	char buf[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	fprintf(stderr, "# %s\n", buf);
}

static pid_t img_main_pid;

static int img_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void img_remove_dir(void)
{
	if (getpid() == img_main_pid)
		nftw(img_dir, img_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Called by both sides: the scratch directory is the test's. */
void img_init(void)
{
	const char *dir = getenv("IMG_DIR");
	const char *tmp = getenv("TMPDIR");
	ssize_t n;

	n = readlink("/proc/self/exe", img_self, sizeof(img_self) - 1);
	if (n < 0)
		exit(1);
	if (dir) {
		snprintf(img_dir, sizeof(img_dir), "%s", dir);
		return;
	}
	snprintf(img_dir, sizeof(img_dir), "%s/img.XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(img_dir)) {
		perror(img_dir);
		exit(1);
	}
	chmod(img_dir, 0755);
	setenv("IMG_DIR", img_dir, 1);
	img_main_pid = getpid();
	atexit(img_remove_dir);
	signal(SIGPIPE, SIG_IGN);
}

/* The path of another program of this directory. */
const char *img_sibling(const char *name)
{
	static char path[4096 + 64];
	char *slash = strrchr(img_self, '/');

	snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - img_self), img_self, name);
	return path;
}

static uint64_t img_deadline(unsigned int seconds)
{
	return img_now() + seconds * IMG_NSEC_PER_SEC * img_patience();
}

char img_state(pid_t pid)
{
	char path[64], *text, *p, c = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	text = img_read_file(path, NULL);
	if (!text)
		return 0;
	p = strrchr(text, ')');
	if (p)
		c = p[2];
	free(text);
	return c;
}

/* The number of the system call that it sleeps in; -1: in none, -2: it runs. */
long img_syscall(pid_t pid)
{
	char path[64], *text;
	long nr = -2;

	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	text = img_read_file(path, NULL);
	if (!text)
		return -2;
	if (text[0] != 'r')
		nr = strtol(text, NULL, 10);
	free(text);
	return nr;
}

char *img_maps(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	return img_read_file(path, NULL);
}

int img_wait_state(pid_t pid, const char *states)
{
	uint64_t end = img_deadline(20);
	char c;

	for (;;) {
		c = img_state(pid);
		if (c && strchr(states, c))
			return 0;
		if (img_now() > end || !c)
			break;
		img_msleep(1);
	}
	img_diag("process %d is in state %c, not in one of %s", pid, c ?: '-', states);
	return -ETIMEDOUT;
}

/* Until it sleeps in system call @nr, -1: in any. */
int img_wait_syscall(pid_t pid, long nr)
{
	uint64_t end = img_deadline(20);
	char state = 0;
	long now = -2;

	do {
		now = img_syscall(pid);
		state = img_state(pid);
		/* In state D, it may have these registers and not all of the rest. */
		if (now >= 0 && (nr == -1 || now == nr) && state && strchr("STt", state))
			return 0;
		if (!state || state == 'Z')
			break;
		img_msleep(1);
	} while (img_now() < end);
	img_diag("process %d: in system call %ld (state %c), not in %ld", pid, now,
		 state ?: '-', nr);
	return -ETIMEDOUT;
}

/* Until it has handlers for the signals in @mask: then it is itself again. */
int img_wait_caught(pid_t pid, uint64_t mask)
{
	uint64_t end = img_deadline(20);
	long caught;
	char c;

	do {
		caught = img_status_field(pid, "SigCgt:", 16);
		if (caught != -1 && ((uint64_t)caught & mask) == mask)
			return 0;
		c = img_state(pid);
		if (!c || c == 'Z')
			break;
		img_msleep(1);
	} while (img_now() < end);
	img_diag("process %d does not get its signal handlers", pid);
	return -ETIMEDOUT;
}

static int img_launch_child(const char *path, const struct img_launch *how, int ctl, int event,
			    pid_t parent)
{
	char *const own[] = { (char *)path, NULL };
	struct epoll_event ev = { .events = EPOLLIN };
	int null, ep, ret;

	/* Do not outlive a test that failed; an image carries this too. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);

	/* Out of the way of the fixed numbers. */
	ctl = fcntl(ctl, F_DUPFD, 64);
	event = fcntl(event, F_DUPFD, 64);
	null = open("/dev/null", O_RDWR);
	if (ctl < 0 || event < 0 || null < 0)
		return -errno;
	if (dup2(ctl, IMG_FD_CTL) < 0 || dup2(event, IMG_FD_EVENT) < 0 || dup2(null, 0) < 0)
		return -errno;
	ep = epoll_create1(0);
	if (ep < 0)
		return -errno;
	if (ep != IMG_FD_EPOLL && (dup2(ep, IMG_FD_EPOLL) < 0 || close(ep)))
		return -errno;
	if (epoll_ctl(IMG_FD_EPOLL, EPOLL_CTL_ADD, IMG_FD_EVENT, &ev))
		return -errno;
	if (syscall(SYS_close_range, IMG_FD_EPOLL + 1, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */))
		return -errno;
	signal(SIGPIPE, SIG_DFL);
	if (how && how->uid) {
		if (setgroups(0, NULL) || setresgid(how->uid, how->uid, how->uid) ||
		    setresuid(how->uid, how->uid, how->uid))
			return -errno;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	}
	if (how && how->prepare) {
		ret = how->prepare(how->data);
		if (ret)
			return ret;
	}
	if (how && how->envp)
		execve(path, how->argv ?: own, how->envp);
	else
		execv(path, how && how->argv ? how->argv : own);
	return -errno;
}

/* Run a program; returns after its execve(), with that one's error if it failed. */
/*
 * The first process of a PID namespace: it is there until the test lets go of
 * what it launched.
 */
static void img_be_init(int event)
{
	struct pollfd pfd;

	dup2(event, 0);
	syscall(SYS_close_range, 1, ~0U, 0);
	pfd = (struct pollfd){ .fd = 0 };
	while (poll(&pfd, 1, -1) < 0 || !(pfd.revents & POLLHUP))
		;
	_exit(0);
}

/*
 * Go on as a process with that ID in a new PID namespace, still a child of the
 * test, which is told what it is called there.
 */
static int img_enter_pidns(pid_t pid, int event, int report)
{
	pid_t tid = pid;
	struct clone_args args = {
		.flags = CLONE_PARENT, .set_tid = (unsigned long)&tid, .set_tid_size = 1,
	};
	long ret;

	if (unshare(CLONE_NEWPID))
		return -errno;
	ret = fork();
	if (ret < 0)
		return -errno;
	if (!ret)
		img_be_init(event);
	ret = syscall(SYS_clone3, &args, sizeof(args));
	if (ret < 0)
		return -errno;
	if (!ret)
		return img_write_str("/proc/self/keep_ids", "1");
	if (write(report, &(int){ ret }, sizeof(int)) < 0)
		_exit(126);
	_exit(0);
}

/* 0, or a negative errno, or the ID of another process that it is now. */
static int img_read_report(struct img_proc *p, int report)
{
	pid_t first = p->pid;
	int ret;

	while (read(report, &ret, sizeof(ret)) == sizeof(ret)) {
		if (ret <= 0)
			return ret;
		p->pid = ret;
		waitpid(first, NULL, 0);
	}
	return 0;
}

int img_launch(struct img_proc *p, const char *path, const struct img_launch *how)
{
	int ctl[2], event[2], report[2];
	pid_t parent = getpid();
	int ret = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ctl))
		return -errno;
	if (pipe2(event, O_CLOEXEC) || pipe2(report, O_CLOEXEC))
		return -errno;
	fflush(NULL);
	p->pid = fork();
	if (p->pid < 0)
		return -errno;
	if (!p->pid) {
		report[1] = fcntl(report[1], F_DUPFD_CLOEXEC, 128);
		if (how && how->pid)
			ret = img_enter_pidns(how->pid, event[0], report[1]);
		if (!ret)
			ret = img_launch_child(path, how, ctl[1], event[0],
					       how && how->pid ? 0 : parent);
		if (write(report[1], &ret, sizeof(ret)) < 0)
			_exit(126);
		_exit(127);
	}
	close(ctl[1]);
	close(event[0]);
	close(report[1]);
	ret = img_read_report(p, report[0]);
	close(report[0]);
	p->sock = ctl[0];
	p->event = event[1];
	if (ret) {
		waitpid(p->pid, NULL, 0);
		close(p->sock);
		close(p->event);
		p->pid = 0;
		p->sock = -1;
		p->event = -1;
	}
	return ret;
}

/* What the threads of a process are doing, the first few. */
static void img_diag_threads(pid_t pid)
{
	char path[300], *call, *where, *status;
	struct dirent *e;
	DIR *d;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && n++ < 12 && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/syscall", pid, e->d_name);
		call = img_read_file(path, NULL);
		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/wchan", pid, e->d_name);
		where = img_read_file(path, NULL);
		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/stat", pid, e->d_name);
		status = img_read_file(path, NULL);
		img_diag("thread %.40s, in %s, system call %s", status ?: "?", where ?: "?",
			 call ?: "?");
		free(call);
		free(where);
		free(status);
	}
	if (d)
		closedir(d);
}

/* Wait for a message of this type; 0, or -ESRCH when the target is gone. */
int img_recv(struct img_proc *p, char type, char *text, size_t size)
{
	uint64_t end = img_deadline(60);
	struct pollfd pfd = { .fd = p->sock, .events = POLLIN };
	char buf[2048];
	ssize_t n;

	for (;;) {
		if (poll(&pfd, 1, 100) < 0 && errno != EINTR)
			return -errno;
		if (!pfd.revents) {
			if (img_now() < end)
				continue;
			img_diag("process %d says nothing", p->pid);
			img_diag_threads(p->pid);

			return -ETIMEDOUT;
		}
		n = recv(p->sock, buf, sizeof(buf) - 1, 0);
		if (n <= 0)
			return -ESRCH;
		buf[n] = 0;
		if (buf[0] == 'F') {
			p->fails++;
			img_diag("%s", buf + 1);
			continue;
		}
		if (buf[0] == 'S') {
			p->skipped = true;
			snprintf(p->skip, sizeof(p->skip), "%.199s", buf + 1);
			return -ECANCELED;
		}
		if (buf[0] != type) {
			if (type)
				img_diag("message %s", buf);
			continue;
		}
		if (text)
			snprintf(text, size, "%s", buf + 1);
		return 0;
	}
}

/* Until the target is where img_freeze() wants it to be dumped. */
int img_settle(struct img_proc *p)
{
	int ret;

	if (p->mode == 't' || p->mode == 'x')
		return img_wait_state(p->pid, "T");
	if (p->mode == 's')
		return img_wait_syscall(p->pid, SYS_recvfrom);
	ret = img_wait_caught(p->pid, 1ULL << (SIGUSR2 - 1));
	if (ret)
		return ret;
	if (p->mode == 'p')
		return img_wait_syscall(p->pid, SYS_pause);
	/* Nothing tells that it went on from send() to its loop. */
	img_msleep(10 * img_slow());
	return 0;
}

int img_await_ready(struct img_proc *p)
{
	int ret;

	ret = img_recv(p, 'R', NULL, 0);
	if (ret) {
		if (ret == -ESRCH)
			img_diag("the target ended before it was ready");
		return ret;
	}
	if (p->mode == 't') {
		ret = img_wait_syscall(p->pid, SYS_recvfrom);
		if (ret)
			return ret;
	}
	if (p->mode == 'x')
		img_msleep(10 * img_slow());
	if (p->mode == 't' || p->mode == 'x')
		kill(p->pid, SIGSTOP);
	return img_settle(p);
}

int img_start(struct img_proc *p, const char *target, char mode, const char *arg,
	      const struct img_launch *how)
{
	struct img_launch l = {};
	char mode_arg[2] = { mode, 0 };
	char *const argv[] = { img_self, "--target", (char *)target, mode_arg,
			       (char *)(arg ?: ""), NULL };
	static unsigned int n;
	int ret;

	memset(p, 0, sizeof(*p));
	if (how)
		l = *how;
	p->how = l;
	p->mode = mode;
	snprintf(p->image, sizeof(p->image), "%s/%.40s.%d.%u.img", img_dir, target,
		 getpid(), n++);
	if (!l.argv)
		l.argv = argv;
	ret = img_launch(p, img_self, &l);
	if (ret)
		img_diag("cannot start %s: %s", img_self, strerror(-ret));
	return ret;
}

/* Start a target and wait until it is ready to be dumped. */
int img_spawn(struct img_proc *p, const char *target, char mode, const char *arg,
	      const struct img_launch *how)
{
	int ret;

	ret = img_start(p, target, mode, arg, how);
	return ret ?: img_await_ready(p);
}

int img_open_dump(pid_t pid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/dump", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* cat /proc/PID/dump >path; chmod +x path */
int img_dump_to(pid_t pid, const char *path)
{
	static char buf[1 << 18];
	int in, out, ret = 0;
	ssize_t n;

	in = img_open_dump(pid);
	if (in < 0)
		return in;
	/* A new file: the old one may be in use by a process resumed from it. */
	unlink(path);
	out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	if (out < 0) {
		ret = -errno;
		close(in);
		return ret;
	}
	while ((n = read(in, buf, sizeof(buf))) > 0) {
		if (write(out, buf, n) != n) {
			ret = -errno;
			break;
		}
	}
	if (n < 0)
		ret = -errno;
	fchmod(out, 0755);
	close(in);
	if (close(out))
		ret = -errno;
	return ret;
}

int img_dump(struct img_proc *p)
{
	int ret;

	free(p->maps);
	p->maps = img_maps(p->pid);
	p->sig_caught = img_status_field(p->pid, "SigCgt:", 16);
	if (img_nodump())
		return 0;
	ret = img_dump_to(p->pid, p->image);
	if (ret)
		img_diag("dump of %d: %s", p->pid, strerror(-ret));
	return ret;
}

void img_kill(struct img_proc *p)
{
	if (img_nodump() || !p->pid)
		return;
	kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, 0);
	close(p->sock);
	close(p->event);
	p->pid = 0;
	p->sock = -1;
	p->event = -1;
}

/* Resume its image, in the same or another way than the target was started. */
int img_resume_as(struct img_proc *p, const struct img_launch *how)
{
	struct img_launch l = how ? *how : p->how;
	int ret;

	if (img_nodump())
		return 0;
	l.argv = NULL;
	ret = img_launch(p, p->image, &l);
	if (ret)
		img_diag("exec of %s: %s", p->image, strerror(-ret));
	return ret;
}

int img_resume(struct img_proc *p)
{
	int ret;

	ret = img_resume_as(p, NULL);
	return ret ?: img_settle(p);
}

static void img_diff_lines(const char *a, const char *b)
{
	int shown = 0;

	while ((*a || *b) && shown < 8) {
		size_t la = strcspn(a, "\n"), lb = strcspn(b, "\n");

		if (la != lb || memcmp(a, b, la)) {
			if (la)
				img_diag("- %.*s", (int)la, a);
			if (lb)
				img_diag("+ %.*s", (int)lb, b);
			shown++;
		}
		a += la + (a[la] == '\n');
		b += lb + (b[lb] == '\n');
	}
}

/*
 * What is an object of its own has another device and inode number in each
 * process: leave them out.
 */
static bool img_is_object(const char *line)
{
	static const char deleted[] = " (deleted)";
	size_t len = strlen(line);

	return strstr(line, "[anon_shmem:") ||
	       (len > strlen(deleted) && !strcmp(line + len - strlen(deleted), deleted));
}

static char *img_plain_maps(const char *maps)
{
	char *out = calloc(1, strlen(maps) + 1), *to = out, *line, *save = NULL;
	char *copy = strdup(maps);

	for (line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		int dev = 0, name = 0;

		if (img_is_object(line))
			sscanf(line, "%*s %*s %*s %n%*s %*s %n", &dev, &name);
		if (name)
			to += sprintf(to, "%.*s%s\n", dev, line, line + name);
		else
			to += sprintf(to, "%s\n", line);
	}
	free(copy);
	return out;
}

/* /proc/PID/maps as at the dump, line by line. */
int img_same_maps(struct img_proc *p)
{
	char *text = img_maps(p->pid);
	char *now = img_plain_maps(text ?: ""), *old = img_plain_maps(p->maps ?: "");
	int ret = 0;

	if (!*now || strcmp(now, old)) {
		img_diag("/proc/PID/maps differs:");
		img_diff_lines(old, now);
		ret = -EINVAL;
	}
	free(text);
	free(now);
	free(old);
	return ret;
}

/* Dump, kill, resume as @how says. */
int img_cycle_as(struct img_proc *p, const struct img_launch *how)
{
	int ret;

	ret = img_dump(p);
	if (ret)
		return ret;
	img_kill(p);
	return img_resume_as(p, how);
}

/* Dump, kill, resume. */
int img_cycle(struct img_proc *p)
{
	int ret = img_cycle_as(p, NULL);

	ret = ret ?: img_settle(p);
	return ret ?: img_same_maps(p);
}

/* Let img_freeze() return. */
int img_go(struct img_proc *p)
{
	if (strchr("rxp", p->mode) && kill(p->pid, SIGUSR2))
		return -errno;
	if (strchr("tx", p->mode) && kill(p->pid, SIGCONT))
		return -errno;
	if (strchr("rxp", p->mode))
		return 0;
	return send(p->sock, "G", 1, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

int img_wait_status(pid_t pid, int *status)
{
	uint64_t end = img_deadline(60);
	unsigned int ms = 1;
	pid_t got;

	do {
		got = waitpid(pid, status, WNOHANG);
		if (got == pid)
			return 0;
		if (got < 0)
			return -errno;
		img_msleep(ms);
		if (ms < 20)
			ms++;
	} while (img_now() < end);
	img_diag("process %d does not end", pid);
	kill(pid, SIGKILL);
	waitpid(pid, status, 0);
	return -ETIMEDOUT;
}

/* Take its last messages and its exit status; 0 when all checks held. */
int img_wait_exit(struct img_proc *p)
{
	int status = 0, ret;

	ret = img_recv(p, 0, NULL, 0);	/* until the socket is closed */
	if (ret == -ETIMEDOUT)
		kill(p->pid, SIGKILL);
	if (img_wait_status(p->pid, &status))
		p->fails++;
	close(p->sock);
	close(p->event);
	free(p->maps);
	p->maps = NULL;
	unlink(p->image);
	p->pid = 0;
	if (p->skipped)
		return 0;
	if (WIFSIGNALED(status)) {
		img_diag("the target was killed by signal %d", WTERMSIG(status));
		return -ECHILD;
	}
	if (WEXITSTATUS(status) && !p->fails)
		img_diag("the target ended with status %d", WEXITSTATUS(status));
	return p->fails || WEXITSTATUS(status) ? -EINVAL : 0;
}

int img_finish(struct img_proc *p)
{
	int ret;

	ret = img_go(p);
	if (ret)
		img_diag("cannot let process %d go on: %s", p->pid, strerror(-ret));
	return img_wait_exit(p);
}

/* Get rid of a process and of its image. */
void img_forget(struct img_proc *p)
{
	if (p->pid) {
		kill(p->pid, SIGKILL);
		waitpid(p->pid, NULL, 0);
		close(p->sock);
		close(p->event);
		p->pid = 0;
	}
	unlink(p->image);
	free(p->maps);
	p->maps = NULL;
}

/* execve() in a child that has only the standard descriptors: 0 or -errno. */
int img_try_exec(const char *path, const struct img_launch *how, pid_t *pid)
{
	struct img_proc p = {};
	int ret;

	ret = img_launch(&p, path, how);
	if (ret)
		return ret;
	close(p.sock);
	close(p.event);
	*pid = p.pid;
	return 0;
}

/*
 * The kernel log
 */

int img_log_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
	return fd;
}

/* When the limit of twenty lines in five seconds is not used up by others. */
int img_log_open_quiet(void)
{
	img_msleep(5100);
	return img_log_open();
}

/* Is there a new record with both texts in it?  Reads on to the end. */
bool img_log_has(int fd, const char *a, const char *b)
{
	char buf[8192];
	bool found = false;
	ssize_t n;

	for (;;) {
		n = read(fd, buf, sizeof(buf) - 1);
		if (n < 0 && errno == EPIPE)	/* overwritten before we came */
			continue;
		if (n <= 0)
			return found;
		buf[n] = 0;
		if (strstr(buf, a) && strstr(buf, b))
			found = true;
	}
}

/*
 * Images
 */

int img_load(struct img_image *im, const char *path)
{
	void *head;

	im->head_at = 0;
	im->data = (uint8_t *)img_read_file(path, &im->len);
	if (!im->data)
		return -errno;
	head = img_note(im, IMG_NOTE_NAME, NT_IMG_HEADER, 0, NULL);
	if (head)
		im->head_at = (uint8_t *)head - im->data;
	return 0;
}

int img_save(const struct img_image *im, const char *path)
{
	unlink(path);
	return img_write_file(path, im->data, im->len);
}

void img_free(struct img_image *im)
{
	free(im->data);
	im->data = NULL;
}

int img_copy(struct img_image *to, const struct img_image *from)
{
	*to = *from;
	to->data = malloc(to->len);
	if (!to->data)
		return -ENOMEM;
	memcpy(to->data, from->data, to->len);
	return 0;
}

/* The descriptor of the @nth note of this owner and type. */
void *img_note(const struct img_image *im, const char *owner, uint32_t type,
	       unsigned int nth, size_t *len)
{
	const Elf64_Ehdr *eh = (void *)im->data;
	const Elf64_Phdr *ph;
	const Elf64_Nhdr *nh;
	size_t at, end, name, desc;

	if (im->len < sizeof(*eh) || im->len < eh->e_phoff + sizeof(*ph))
		return NULL;
	ph = (void *)(im->data + eh->e_phoff);
	at = ph->p_offset;
	end = at + ph->p_filesz;
	if (ph->p_type != PT_NOTE || end > im->len)
		return NULL;
	while (at + sizeof(*nh) <= end) {
		nh = (void *)(im->data + at);
		name = at + sizeof(*nh);
		desc = name + ((nh->n_namesz + 3) & ~3U);
		at = desc + ((nh->n_descsz + 3) & ~3U);
		if (at > end)
			break;
		if (nh->n_type != type || nh->n_namesz != strlen(owner) + 1 ||
		    strcmp((char *)im->data + name, owner))
			continue;
		if (nth--)
			continue;
		if (len)
			*len = nh->n_descsz;
		return im->data + desc;
	}
	return NULL;
}

struct img_header *img_head(const struct img_image *im)
{
	if (im->head_at && im->head_at + sizeof(struct img_header) <= im->len)
		return (void *)(im->data + im->head_at);
	return img_note(im, IMG_NOTE_NAME, NT_IMG_HEADER, 0, NULL);
}

uint32_t img_crc32c(uint32_t crc, const void *data, size_t len)
{
	static uint32_t table[256];
	const uint8_t *p = data;
	uint32_t c;
	int i, k;

	if (!table[1]) {
		for (i = 0; i < 256; i++) {
			c = i;
			for (k = 0; k < 8; k++)
				c = c & 1 ? c >> 1 ^ 0x82f63b78 : c >> 1;
			table[i] = c;
		}
	}
	crc = ~crc;
	while (len--)
		crc = table[(crc ^ *p++) & 255] ^ crc >> 8;
	return ~crc;
}

/* The checksum that the header should have. */
uint32_t img_head_crc(const struct img_image *im)
{
	struct img_header *h = img_head(im);
	size_t at = (uint8_t *)&h->crc - im->data;
	size_t end = h->head_len < im->len ? h->head_len : im->len;
	const uint32_t zero = 0;
	uint32_t crc;

	crc = img_crc32c(0, im->data, at);
	crc = img_crc32c(crc, &zero, sizeof(zero));
	if (end > at + 4)
		crc = img_crc32c(crc, im->data + at + 4, end - at - 4);
	return crc;
}

void img_fix_crc(struct img_image *im)
{
	struct img_header *h = img_head(im);

	if (h)
		h->crc = img_head_crc(im);
}

/*
 * Swap
 */

#define IMG_SWAP_SIZE	(64UL << 20)

/* A swap device: a file, a loop device on it, a header. */
int img_swap_on(char *dev, size_t size)
{
	static union {
		char page[4096];
		struct {
			char boot[1024];
			uint32_t version, last_page, nr_badpages;
		} h;
	} header;
	int ctl, loop, file, n;

	header.h.version = 1;
	header.h.last_page = IMG_SWAP_SIZE / 4096 - 1;
	memcpy(header.page + 4096 - 10, "SWAPSPACE2", 10);
	file = open(img_path("swap"), O_RDWR | O_CREAT, 0600);
	if (file < 0 || ftruncate(file, IMG_SWAP_SIZE) ||
	    pwrite(file, &header, 4096, 0) != 4096)
		return -1;
	ctl = open("/dev/loop-control", O_RDWR);
	n = ctl < 0 ? -1 : ioctl(ctl, LOOP_CTL_GET_FREE);
	if (n < 0)
		return -1;
	snprintf(dev, size, "/dev/loop%d", n);
	loop = open(dev, O_RDWR);
	if (loop < 0 || ioctl(loop, LOOP_SET_FD, file))
		return -1;
	close(file);
	close(ctl);
	if (swapon(dev, 0)) {
		ioctl(loop, LOOP_CLR_FD);
		close(loop);
		return -1;
	}
	return loop;
}

int img_swap_off(const char *dev, int loop)
{
	int ret = swapoff(dev);

	ioctl(loop, LOOP_CLR_FD);
	close(loop);
	return ret;
}
