// SPDX-License-Identifier: GPL-2.0
/*
 * A process that sleeps in a system call is dumped.  It does not notice: no
 * EINTR, no early or late wake-up.  What is resumed sleeps in the same call,
 * which ends as it would have: by the event, by the time, by a signal.
 *
 * A relative sleep goes on with what was left of its time at the dump.
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "img_test.h"

#define FD_LOCK		6	/* a file that the test has locked */

/* A relative sleep, and an absolute one, which must outlast a dump. */
#define SLEEP_MS	300
#define SLEEP_ABS_MS	1200

enum event {
	BY_TIME,
	BY_PIPE,
	BY_SIGUSR2,
	BY_SIGUSR1,	/* nothing but the signal ends it */
	BY_SEM,
	BY_MSG,
	BY_LOCK,
	BY_FIFO,
	BY_HANDLER,	/* the handler of SIGUSR1 does what is waited for */
};

static int ipc_id;
static unsigned int sleep_times = 1;
static volatile int handled;
static volatile uint32_t futex_word;
static uint64_t sleep_ns;

static long sys(long ret)
{
	return ret < 0 ? -errno : ret;
}

static struct timespec *after(unsigned int ms, bool absolute)
{
	static struct timespec ts;
	uint64_t ns = ms * IMG_NSEC_PER_MSEC;

	ns *= sleep_times;
	sleep_ns = ns;
	if (absolute)
		ns += img_now();
	ts.tv_sec = ns / IMG_NSEC_PER_SEC;
	ts.tv_nsec = ns % IMG_NSEC_PER_SEC;
	return &ts;
}

static const uint64_t no_signals;

static long do_nanosleep(void)
{
	return sys(syscall(SYS_nanosleep, after(SLEEP_MS, false), NULL));
}

static long do_clock_relative(void)
{
	return sys(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0,
			   after(SLEEP_MS, false), NULL));
}

static long do_clock_absolute(void)
{
	return sys(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME,
			   after(SLEEP_ABS_MS, true), NULL));
}

static long do_poll(void)
{
	struct pollfd pfd = { .fd = IMG_FD_EVENT, .events = POLLIN };

	return sys(syscall(SYS_poll, &pfd, 1, -1));
}

static long do_poll_timeout(void)
{
	struct pollfd pfd = { .fd = IMG_FD_EVENT, .events = POLLIN };

	after(SLEEP_MS, false);
	return sys(syscall(SYS_poll, &pfd, 1, (int)(sleep_ns / IMG_NSEC_PER_MSEC)));
}

static long do_ppoll_mask(void)
{
	struct pollfd pfd = { .fd = IMG_FD_EVENT, .events = POLLIN };

	return sys(syscall(SYS_ppoll, &pfd, 1, NULL, &no_signals, 8));
}

static long do_ppoll_timeout(void)
{
	struct pollfd pfd = { .fd = IMG_FD_EVENT, .events = POLLIN };

	return sys(syscall(SYS_ppoll, &pfd, 1, after(SLEEP_MS, false), NULL, 8));
}

static long do_select(void)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(IMG_FD_EVENT, &set);
	return sys(syscall(SYS_select, IMG_FD_EVENT + 1, &set, NULL, NULL, NULL));
}

static long do_select_timeout(void)
{
	struct timeval tv;

	after(SLEEP_MS, false);
	tv.tv_sec = sleep_ns / IMG_NSEC_PER_SEC;
	tv.tv_usec = sleep_ns % IMG_NSEC_PER_SEC / 1000;
	return sys(syscall(SYS_select, 0, NULL, NULL, NULL, &tv));
}

static long do_pselect_mask(void)
{
	const struct {
		const uint64_t *set;
		size_t size;
	} mask = { &no_signals, 8 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(IMG_FD_EVENT, &set);
	return sys(syscall(SYS_pselect6, IMG_FD_EVENT + 1, &set, NULL, NULL, NULL, &mask));
}

static long do_pselect_timeout(void)
{
	return sys(syscall(SYS_pselect6, 0, NULL, NULL, NULL, after(SLEEP_MS, false), NULL));
}

static long do_epoll_wait(void)
{
	struct epoll_event ev;

	return sys(syscall(SYS_epoll_wait, IMG_FD_EPOLL, &ev, 1, -1));
}

static long do_epoll_timeout(void)
{
	struct epoll_event ev;

	after(SLEEP_MS, false);
	return sys(syscall(SYS_epoll_wait, IMG_FD_EPOLL, &ev, 1,
			   (int)(sleep_ns / IMG_NSEC_PER_MSEC)));
}

static long do_epoll_pwait_mask(void)
{
	struct epoll_event ev;

	return sys(syscall(SYS_epoll_pwait, IMG_FD_EPOLL, &ev, 1, -1, &no_signals, 8));
}

static long do_epoll_pwait2(void)
{
	struct epoll_event ev;

	return sys(syscall(SYS_epoll_pwait2, IMG_FD_EPOLL, &ev, 1,
			   after(SLEEP_MS, false), NULL, 8));
}

static long do_read(void)
{
	char buf[8];

	return sys(syscall(SYS_read, IMG_FD_EVENT, buf, sizeof(buf)));
}

static long do_futex(void)
{
	return sys(syscall(SYS_futex, &futex_word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0));
}

static long do_futex_timeout(void)
{
	return sys(syscall(SYS_futex, &futex_word, FUTEX_WAIT_PRIVATE, 0,
			   after(SLEEP_MS, false), NULL, 0));
}

static long do_futex_absolute(void)
{
	return sys(syscall(SYS_futex, &futex_word, FUTEX_WAIT_BITSET_PRIVATE, 0,
			   after(SLEEP_ABS_MS, true), NULL, ~0U));
}

static long do_pause(void)
{
	return sys(syscall(SYS_pause));
}

static long do_sigsuspend(void)
{
	return sys(syscall(SYS_rt_sigsuspend, &no_signals, 8));
}

static long do_sigtimedwait(void)
{
	const uint64_t set = 1ULL << (SIGUSR2 - 1);

	return sys(syscall(SYS_rt_sigtimedwait, &set, NULL, NULL, 8));
}

static long do_sigtimedwait_timeout(void)
{
	const uint64_t set = 1ULL << (SIGUSR2 - 1);

	return sys(syscall(SYS_rt_sigtimedwait, &set, NULL, after(SLEEP_MS, false), 8));
}

static long do_semop(void)
{
	struct sembuf op = { .sem_op = -1 };

	return sys(syscall(SYS_semop, ipc_id, &op, 1));
}

static long do_semtimedop(void)
{
	struct sembuf op = { .sem_op = -1 };

	return sys(syscall(SYS_semtimedop, ipc_id, &op, 1, after(SLEEP_MS, false)));
}

static long do_msgrcv(void)
{
	struct {
		long type;
		char text[8];
	} msg;

	return sys(syscall(SYS_msgrcv, ipc_id, &msg, sizeof(msg.text), 0, 0));
}

static long do_flock(void)
{
	return sys(syscall(SYS_flock, FD_LOCK, LOCK_EX));
}

static long do_setlkw(void)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return sys(syscall(SYS_fcntl, FD_LOCK, F_SETLKW, &fl));
}

static long do_open_fifo(void)
{
	long fd = sys(syscall(SYS_openat, AT_FDCWD, img_path("fifo.%d", ipc_id), O_RDONLY));

	return fd < 0 ? fd : 1;
}

static const struct sleeper {
	const char *name;
	long nr;
	long (*call)(void);
	enum event event;
	long result;	/* when the event comes */
	bool blocked;	/* SIGUSR1 is, except in the call */
} sleepers[] = {
	{ "nanosleep", SYS_nanosleep, do_nanosleep, BY_TIME, 0 },
	{ "clock_relative", SYS_clock_nanosleep, do_clock_relative, BY_TIME, 0 },
	{ "clock_absolute", SYS_clock_nanosleep, do_clock_absolute, BY_TIME, 0 },
	{ "poll", SYS_poll, do_poll, BY_PIPE, 1 },
	{ "poll_timeout", SYS_poll, do_poll_timeout, BY_TIME, 0 },
	{ "ppoll_mask", SYS_ppoll, do_ppoll_mask, BY_PIPE, 1, true },
	{ "ppoll_timeout", SYS_ppoll, do_ppoll_timeout, BY_TIME, 0 },
	{ "select", SYS_select, do_select, BY_PIPE, 1 },
	{ "select_timeout", SYS_select, do_select_timeout, BY_TIME, 0 },
	{ "pselect_mask", SYS_pselect6, do_pselect_mask, BY_PIPE, 1, true },
	{ "pselect_timeout", SYS_pselect6, do_pselect_timeout, BY_TIME, 0 },
	{ "epoll_wait", SYS_epoll_wait, do_epoll_wait, BY_PIPE, 1 },
	{ "epoll_timeout", SYS_epoll_wait, do_epoll_timeout, BY_TIME, 0 },
	{ "epoll_pwait_mask", SYS_epoll_pwait, do_epoll_pwait_mask, BY_PIPE, 1, true },
	{ "epoll_pwait2", SYS_epoll_pwait2, do_epoll_pwait2, BY_TIME, 0 },
	{ "read", SYS_read, do_read, BY_PIPE, 1 },
	{ "futex", SYS_futex, do_futex, BY_HANDLER, -EAGAIN },
	{ "futex_timeout", SYS_futex, do_futex_timeout, BY_TIME, -ETIMEDOUT },
	{ "futex_absolute", SYS_futex, do_futex_absolute, BY_TIME, -ETIMEDOUT },
	{ "pause", SYS_pause, do_pause, BY_SIGUSR1, -EINTR },
	{ "sigsuspend", SYS_rt_sigsuspend, do_sigsuspend, BY_SIGUSR1, -EINTR, true },
	{ "sigtimedwait", SYS_rt_sigtimedwait, do_sigtimedwait, BY_SIGUSR2, SIGUSR2 },
	{ "sigtimedwait_timeout", SYS_rt_sigtimedwait, do_sigtimedwait_timeout, BY_TIME, -EAGAIN },
	{ "semop", SYS_semop, do_semop, BY_SEM, 0 },
	{ "semtimedop", SYS_semtimedop, do_semtimedop, BY_TIME, -EAGAIN },
	{ "msgrcv", SYS_msgrcv, do_msgrcv, BY_MSG, 8 },
	{ "flock", SYS_flock, do_flock, BY_LOCK, 0 },
	{ "setlkw", SYS_fcntl, do_setlkw, BY_LOCK, 0 },
	{ "open_fifo", SYS_openat, do_open_fifo, BY_FIFO, 1 },
};

static const struct sleeper *find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sleepers); i++)
		if (!strcmp(sleepers[i].name, name))
			return &sleepers[i];
	return NULL;
}

static void handler(int sig)
{
	handled++;
}

/* For a call that restarts, and finds then what it waited for. */
static void restart_handler(int sig)
{
	handled++;
	futex_word = 1;
}

/*
 * ARG is "NAME:IPC-ID:FLAG", with the flag 'r' for a handler that lets calls
 * restart, 'l' for a sleep that does not end before the signal, 'm' for one of
 * medium length.
 */
TARGET(sleeper)
{
	struct sigaction sa = { .sa_handler = handler };
	char name[64] = {}, flag = 0;
	uint64_t before, after_mask = 0, start, set;
	const struct sleeper *s;
	long ret;

	if (sscanf(arg, "%63[^:]:%d:%c", name, &ipc_id, &flag) < 2)
		_exit(2);
	s = find(name);
	if (flag == 'l')
		sleep_times = 50;
	else if (flag == 'm')
		sleep_times = 5;
	if (flag == 'r') {
		sa.sa_handler = restart_handler;
		sa.sa_flags = SA_RESTART;
	}
	MUST(sigaction(SIGUSR1, &sa, NULL));
	set = 1ULL << (SIGUSR2 - 1) | 1ULL << (SIGRTMAX - 1);
	if (s->blocked)
		set |= 1ULL << (SIGUSR1 - 1);
	MUST(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &set, NULL, 8));
	MUST(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &before, 8));
	img_send('R', " ");
	start = img_now();
	ret = s->call();
	start = img_now() - start;
	MUST(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &after_mask, 8));
	CHECK_EQ(before, after_mask);
	img_send('M', "%ld %d %llu %llu", ret, handled, (long long)start,
		 (long long)sleep_ns);
}

FIXTURE(asleep) {
	const struct sleeper *s;
	struct img_proc p;
	struct img_launch how;
	int id;
	int lock;
	char arg[128];
};

FIXTURE_VARIANT(asleep) {
	const char *name;
};

#define VARIANT(_name)	FIXTURE_VARIANT_ADD(asleep, _name) { .name = #_name }

VARIANT(nanosleep);
VARIANT(clock_relative);
VARIANT(clock_absolute);
VARIANT(poll);
VARIANT(poll_timeout);
VARIANT(ppoll_mask);
VARIANT(ppoll_timeout);
VARIANT(select);
VARIANT(select_timeout);
VARIANT(pselect_mask);
VARIANT(pselect_timeout);
VARIANT(epoll_wait);
VARIANT(epoll_timeout);
VARIANT(epoll_pwait_mask);
VARIANT(epoll_pwait2);
VARIANT(read);
VARIANT(futex);
VARIANT(futex_timeout);
VARIANT(futex_absolute);
VARIANT(pause);
VARIANT(sigsuspend);
VARIANT(sigtimedwait);
VARIANT(sigtimedwait_timeout);
VARIANT(semop);
VARIANT(semtimedop);
VARIANT(msgrcv);
VARIANT(flock);
VARIANT(setlkw);
VARIANT(open_fifo);

static int open_lock_file(void *data)
{
	int fd = open(img_path("lock"), O_RDWR);

	if (fd < 0)
		return -errno;
	if (fd != FD_LOCK && (dup2(fd, FD_LOCK) < 0 || close(fd)))
		return -errno;
	return 0;
}

FIXTURE_SETUP(asleep)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	self->s = find(variant->name);
	self->id = -1;
	self->lock = -1;
	switch (self->s->nr) {
	case SYS_semop:
	case SYS_semtimedop:
		self->id = semget(IPC_PRIVATE, 1, 0600);
		ASSERT_LE(0, self->id);
		break;
	case SYS_msgrcv:
		self->id = msgget(IPC_PRIVATE, 0600);
		ASSERT_LE(0, self->id);
		break;
	case SYS_flock:
	case SYS_fcntl:
		self->lock = open(img_path("lock"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		ASSERT_LE(0, self->lock);
		ASSERT_EQ(0, self->s->nr == SYS_flock ? flock(self->lock, LOCK_EX) :
			     fcntl(self->lock, F_SETLK, &fl));
		self->how.prepare = open_lock_file;
		break;
	case SYS_openat:
		self->id = getpid();
		ASSERT_EQ(0, mkfifo(img_path("fifo.%d", self->id), 0600));
		break;
	}
	snprintf(self->arg, sizeof(self->arg), "%s:%d:", variant->name, self->id);
}

FIXTURE_TEARDOWN(asleep)
{
	if (self->s->nr == SYS_msgrcv)
		msgctl(self->id, IPC_RMID, NULL);
	if (self->s->nr == SYS_semop || self->s->nr == SYS_semtimedop)
		semctl(self->id, 0, IPC_RMID);
}

/* Start it and wait until it sleeps. */
static int start(struct img_proc *p, FIXTURE_DATA(asleep) *self)
{
	int ret;

	ret = img_start(p, "sleeper", 's', self->arg, &self->how);
	if (!ret)
		ret = img_recv(p, 'R', NULL, 0);
	return ret ?: img_wait_syscall(p->pid, self->s->nr);
}

/* Dump it, kill it, resume it, wait until it sleeps again. */
static int resume(FIXTURE_DATA(asleep) *self)
{
	struct img_proc *p = &self->p;
	int ret;

	ret = img_dump(p);
	if (ret)
		return ret;
	img_kill(p);
	ret = img_resume_as(p, NULL);
	return ret ?: img_wait_syscall(p->pid, self->s->nr);
}

/* Let happen what it waits for. */
static int trigger(FIXTURE_DATA(asleep) *self)
{
	struct sembuf op = { .sem_op = 1 };
	struct flock fl = { .l_type = F_UNLCK, .l_whence = SEEK_SET };
	struct {
		long type;
		char text[8];
	} msg = { 1, "message" };
	int fd;

	switch (self->s->event) {
	case BY_TIME:
		return 0;
	case BY_PIPE:
		return write(self->p.event, "E", 1) == 1 ? 0 : -errno;
	case BY_SIGUSR2:
		return sys(kill(self->p.pid, SIGUSR2));
	case BY_HANDLER:
	case BY_SIGUSR1:
		return sys(kill(self->p.pid, SIGUSR1));
	case BY_SEM:
		return sys(semop(self->id, &op, 1));
	case BY_MSG:
		return sys(msgsnd(self->id, &msg, sizeof(msg.text), 0));
	case BY_LOCK:
		return sys(self->s->nr == SYS_flock ? flock(self->lock, LOCK_UN) :
			   fcntl(self->lock, F_SETLK, &fl));
	case BY_FIFO:
		fd = open(img_path("fifo.%d", self->id), O_WRONLY | O_CLOEXEC);
		return fd < 0 ? -errno : 0;
	}
	return -EINVAL;
}

struct outcome {
	long ret;
	int handled;
	unsigned long long took, asked;
};

static int outcome(struct img_proc *p, struct outcome *o)
{
	char text[200];
	int ret;

	ret = img_recv(p, 'M', text, sizeof(text));
	if (ret)
		return ret;
	if (sscanf(text, "%ld %d %llu %llu", &o->ret, &o->handled, &o->took, &o->asked) != 4)
		return -EINVAL;
	return img_wait_exit(p);
}

static uint64_t slack(void)
{
	return 1500 * IMG_NSEC_PER_MSEC;
}

/* The process that is dumped does not notice. */
TEST_F(asleep, live)
{
	struct outcome o;
	int i;

	if (self->s->event == BY_HANDLER)
		strcat(self->arg, "r");
	else if (self->s->event == BY_TIME)
		strcat(self->arg, "m");
	ASSERT_EQ(0, start(&self->p, self));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, img_dump(&self->p));
	if (self->s->event != BY_TIME) {
		EXPECT_EQ('S', img_state(self->p.pid));
		EXPECT_EQ(self->s->nr, img_syscall(self->p.pid));
	}
	ASSERT_EQ(0, trigger(self));
	ASSERT_EQ(0, outcome(&self->p, &o));
	EXPECT_EQ(self->s->result, o.ret);
	if (self->s->event != BY_SIGUSR1 && self->s->event != BY_HANDLER)
		EXPECT_EQ(0, o.handled);
	if (self->s->event == BY_TIME) {
		EXPECT_LE(o.asked - IMG_NSEC_PER_MSEC, o.took);
		EXPECT_GE(o.asked + slack(), o.took);
	}
}

/* What is resumed sleeps on, and gets what it waits for. */
TEST_F(asleep, event)
{
	struct outcome o;
	uint64_t t;

	if (self->s->event == BY_HANDLER)
		strcat(self->arg, "r");
	else if (self->s->event == BY_TIME)
		strcat(self->arg, "m");
	ASSERT_EQ(0, start(&self->p, self));
	ASSERT_EQ(0, resume(self));
	t = img_now();
	if (self->s->event != BY_TIME) {
		img_msleep(30);
		EXPECT_EQ(self->s->nr, img_syscall(self->p.pid));
	}
	ASSERT_EQ(0, trigger(self));
	ASSERT_EQ(0, outcome(&self->p, &o));
	t = img_now() - t;
	EXPECT_EQ(self->s->result, o.ret);
	if (self->s->event != BY_SIGUSR1 && self->s->event != BY_HANDLER)
		EXPECT_EQ(0, o.handled);
	if (self->s->event == BY_TIME) {
		EXPECT_LE(o.asked - IMG_NSEC_PER_MSEC, o.took);
		EXPECT_GE(o.asked + slack(), t);
	}
}

/* A signal's handler ends it with EINTR, as if it had always been there. */
TEST_F(asleep, signal)
{
	struct outcome o;

	strcat(self->arg, "l");
	ASSERT_EQ(0, start(&self->p, self));
	ASSERT_EQ(0, resume(self));
	ASSERT_EQ(0, kill(self->p.pid, SIGUSR1));
	ASSERT_EQ(0, outcome(&self->p, &o));
	EXPECT_EQ(-EINTR, o.ret);
	EXPECT_EQ(1, o.handled);
}

/* What sleeps since a resume is dumped as what never was away. */
TEST_F(asleep, twice)
{
	struct outcome o;

	if (self->s->event == BY_HANDLER)
		strcat(self->arg, "r");
	else if (self->s->event == BY_TIME)
		strcat(self->arg, "m");
	ASSERT_EQ(0, start(&self->p, self));
	ASSERT_EQ(0, resume(self));
	ASSERT_EQ(0, resume(self));
	ASSERT_EQ(0, trigger(self));
	ASSERT_EQ(0, outcome(&self->p, &o));
	EXPECT_EQ(self->s->result, o.ret);
}

/* Less than what is slept before a dump. */
static uint64_t half_slack(void)
{
	return 350 * IMG_NSEC_PER_MSEC;
}

/* Calls that sleep for a relative time. */
FIXTURE(relative) {
	const struct sleeper *s;
	struct img_proc p;
	int sem;
	char arg[128];
};

FIXTURE_VARIANT(relative) {
	const char *name;
};

#define RELATIVE(_name)	FIXTURE_VARIANT_ADD(relative, _name) { .name = #_name }

RELATIVE(nanosleep);
RELATIVE(clock_relative);
RELATIVE(poll_timeout);
RELATIVE(ppoll_timeout);
RELATIVE(select_timeout);
RELATIVE(pselect_timeout);
RELATIVE(epoll_timeout);
RELATIVE(epoll_pwait2);
RELATIVE(futex_timeout);
RELATIVE(sigtimedwait_timeout);
RELATIVE(semtimedop);

FIXTURE_SETUP(relative)
{
	self->s = find(variant->name);
	self->sem = semget(IPC_PRIVATE, 1, 0600);
	ASSERT_LE(0, self->sem);
	snprintf(self->arg, sizeof(self->arg), "%s:%d:m", variant->name, self->sem);
}

FIXTURE_TEARDOWN(relative)
{
	semctl(self->sem, 0, IPC_RMID);
}

/*
 * What is left of a sleep is slept, in each generation: the time until its end,
 * without the times that the process was away, is what the program asked for.
 */
TEST_F(relative, left)
{
	uint64_t least = 0, most = 0;
	struct img_proc *p = &self->p;
	struct outcome o;
	int i;

	if (img_nodump())
		SKIP(return, "needs a resume");
	ASSERT_EQ(0, img_start(p, "sleeper", 's', self->arg, NULL));
	ASSERT_EQ(0, img_recv(p, 'R', NULL, 0));
	ASSERT_EQ(0, img_wait_syscall(p->pid, self->s->nr));
	for (i = 0; i < 2; i++) {
		uint64_t before, after;

		img_msleep(400);
		before = img_now();
		ASSERT_EQ(0, img_dump(p));
		after = img_now();
		img_kill(p);
		img_msleep(500);
		least += img_now() - after;
		ASSERT_EQ(0, img_resume_as(p, NULL));
		ASSERT_EQ(0, img_wait_syscall(p->pid, self->s->nr));
		most += img_now() - before;
	}
	ASSERT_EQ(0, outcome(p, &o));
	EXPECT_EQ(self->s->result, o.ret);
	EXPECT_EQ(0, o.handled);
	EXPECT_LE(o.asked + least - 2 * IMG_NSEC_PER_MSEC, o.took);
	EXPECT_GE(o.asked + most + half_slack(), o.took);
}

/* Calls that go on after a handler with SA_RESTART. */
FIXTURE(restarting) {
};

FIXTURE_VARIANT(restarting) {
	const char *name;
	long nr;
};

FIXTURE_SETUP(restarting)
{
}

FIXTURE_TEARDOWN(restarting)
{
}

FIXTURE_VARIANT_ADD(restarting, read) { .name = "read", .nr = SYS_read };
FIXTURE_VARIANT_ADD(restarting, futex) { .name = "futex", .nr = SYS_futex };

TEST_F(restarting, handler)
{
	struct outcome o;
	struct img_proc p;
	char arg[64];

	snprintf(arg, sizeof(arg), "%s:0:r", variant->name);
	ASSERT_EQ(0, img_start(&p, "sleeper", 's', arg, NULL));
	ASSERT_EQ(0, img_recv(&p, 'R', NULL, 0));
	ASSERT_EQ(0, img_wait_syscall(p.pid, variant->nr));
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	ASSERT_EQ(0, img_resume_as(&p, NULL));
	ASSERT_EQ(0, img_wait_syscall(p.pid, variant->nr));
	ASSERT_EQ(0, kill(p.pid, SIGUSR1));
	if (variant->nr == SYS_read) {
		img_msleep(30);
		ASSERT_EQ(0, img_wait_syscall(p.pid, variant->nr));
		ASSERT_EQ(1, write(p.event, "E", 1));
	}
	ASSERT_EQ(0, outcome(&p, &o));
	EXPECT_EQ(variant->nr == SYS_read ? 1 : -EAGAIN, o.ret);
	EXPECT_EQ(1, o.handled);
}

/*
 * After a stop, a sleep is no longer the call that was made but
 * restart_syscall(2), which goes on with what the kernel kept of it.
 */
FIXTURE(interrupted) {
};

FIXTURE_VARIANT(interrupted) {
	const char *name;
	bool stopped;	/* still, when it is dumped */
	long result;
};

FIXTURE_SETUP(interrupted)
{
}

FIXTURE_TEARDOWN(interrupted)
{
}

FIXTURE_VARIANT_ADD(interrupted, nanosleep_stopped) {
	.name = "nanosleep", .stopped = true,
};

FIXTURE_VARIANT_ADD(interrupted, nanosleep_continued) {
	.name = "nanosleep",
};

FIXTURE_VARIANT_ADD(interrupted, poll_stopped) {
	.name = "poll_timeout", .stopped = true,
};

FIXTURE_VARIANT_ADD(interrupted, poll_continued) {
	.name = "poll_timeout",
};

FIXTURE_VARIANT_ADD(interrupted, futex_stopped) {
	.name = "futex_timeout", .stopped = true, .result = -ETIMEDOUT,
};

FIXTURE_VARIANT_ADD(interrupted, futex_continued) {
	.name = "futex_timeout", .result = -ETIMEDOUT,
};

/* Once more stopped and continued on the way if @times says so. */
static int stop_and_continue(struct img_proc *p, int times)
{
	int ret = 0;

	while (!ret && times--) {
		ret = sys(kill(p->pid, SIGSTOP)) ?: img_wait_state(p->pid, "T");
		if (!ret)
			ret = sys(kill(p->pid, SIGCONT)) ?: img_wait_state(p->pid, "S");
	}
	return ret;
}

TEST_F(interrupted, resumed)
{
	uint64_t before, after, least, most;
	struct outcome o;
	struct img_proc p;
	char arg[64];

	snprintf(arg, sizeof(arg), "%s:0:m", variant->name);
	ASSERT_EQ(0, img_start(&p, "sleeper", 's', arg, NULL));
	ASSERT_EQ(0, img_recv(&p, 'R', NULL, 0));
	ASSERT_EQ(0, img_wait_syscall(p.pid, find(variant->name)->nr));
	img_msleep(400);
	if (variant->stopped) {
		ASSERT_EQ(0, kill(p.pid, SIGSTOP));
		ASSERT_EQ(0, img_wait_state(p.pid, "T"));
	} else {
		ASSERT_EQ(0, stop_and_continue(&p, 1));
	}
	before = img_now();
	ASSERT_EQ(0, img_dump(&p));
	after = img_now();
	img_kill(&p);
	img_msleep(500);
	least = img_now() - after;
	ASSERT_EQ(0, img_resume_as(&p, NULL));
	if (variant->stopped) {
		ASSERT_EQ(0, img_wait_state(p.pid, "T"));
		ASSERT_EQ(0, kill(p.pid, SIGCONT));
		ASSERT_EQ(0, img_wait_state(p.pid, "S"));
	} else {
		ASSERT_EQ(0, img_wait_syscall(p.pid, find(variant->name)->nr));
		ASSERT_EQ(0, stop_and_continue(&p, 2));
	}
	most = img_now() - before;
	ASSERT_EQ(0, outcome(&p, &o));
	EXPECT_EQ(variant->result, o.ret);
	if (img_nodump())
		return;
	EXPECT_LE(o.asked + least - 2 * IMG_NSEC_PER_MSEC, o.took);
	EXPECT_GE(o.asked + most + half_slack(), o.took);
}

/* A handler ends what was stopped, and then dumped, with EINTR. */
TEST_F(interrupted, handler)
{
	struct outcome o;
	struct img_proc p;
	char arg[64];

	snprintf(arg, sizeof(arg), "%s:0:l", variant->name);
	ASSERT_EQ(0, img_start(&p, "sleeper", 's', arg, NULL));
	ASSERT_EQ(0, img_recv(&p, 'R', NULL, 0));
	ASSERT_EQ(0, img_wait_syscall(p.pid, find(variant->name)->nr));
	ASSERT_EQ(0, kill(p.pid, SIGSTOP));
	ASSERT_EQ(0, img_wait_state(p.pid, "T"));
	if (!variant->stopped) {
		ASSERT_EQ(0, kill(p.pid, SIGCONT));
		ASSERT_EQ(0, img_wait_state(p.pid, "S"));
	}
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	ASSERT_EQ(0, img_resume_as(&p, NULL));
	if (variant->stopped)
		ASSERT_EQ(0, img_wait_state(p.pid, "T"));
	ASSERT_EQ(0, kill(p.pid, SIGUSR1));
	if (variant->stopped)
		ASSERT_EQ(0, kill(p.pid, SIGCONT));
	ASSERT_EQ(0, outcome(&p, &o));
	EXPECT_EQ(-EINTR, o.ret);
	EXPECT_EQ(1, o.handled);
}

/*
 * CLOCK_MONOTONIC and CLOCK_BOOTTIME do not go back for a resumed process.  A
 * time namespace stands for another machine, or for a reboot.
 */
static int shift_clocks(void *data)
{
	char text[100];
	int ret;

	if (unshare(CLONE_NEWTIME))
		return -errno;
	snprintf(text, sizeof(text), "monotonic %d 0\nboottime %d 0\n",
		 *(int *)data, *(int *)data);
	ret = img_write_str("/proc/self/timens_offsets", text);
	if (ret)
		printf("# timens_offsets: %d\n", ret);
	return ret;
}

TEST(clocks_ahead)
{
	int hour = 3600;
	struct img_launch how = { .prepare = shift_clocks, .data = &hour };
	struct outcome o;
	struct img_proc p;

	if (geteuid() || img_nodump())
		SKIP(return, "not root, or no dump");
	/* Half a minute is over at once; what is relative is as before. */
	ASSERT_EQ(0, img_start(&p, "sleeper", 's', "clock_absolute:0:l", NULL));
	ASSERT_EQ(0, img_recv(&p, 'R', NULL, 0));
	ASSERT_EQ(0, img_wait_syscall(p.pid, SYS_clock_nanosleep));
	ASSERT_EQ(0, img_cycle_as(&p, &how));
	ASSERT_EQ(0, outcome(&p, &o));
	EXPECT_EQ(0, o.ret);
	EXPECT_LE(3600 * IMG_NSEC_PER_SEC, o.took);

	ASSERT_EQ(0, img_start(&p, "sleeper", 's', "clock_relative:0:m", NULL));
	ASSERT_EQ(0, img_recv(&p, 'R', NULL, 0));
	ASSERT_EQ(0, img_wait_syscall(p.pid, SYS_clock_nanosleep));
	ASSERT_EQ(0, img_cycle_as(&p, &how));
	ASSERT_EQ(0, img_wait_syscall(p.pid, SYS_clock_nanosleep));
	img_msleep(500);
	EXPECT_EQ(SYS_clock_nanosleep, img_syscall(p.pid));
	ASSERT_EQ(0, outcome(&p, &o));
	EXPECT_EQ(0, o.ret);
	EXPECT_LE(3600 * IMG_NSEC_PER_SEC + o.asked, o.took);
	EXPECT_GE(3600 * IMG_NSEC_PER_SEC + o.asked + 2 * slack(), o.took);
}

TEST(clocks_behind)
{
	int hour = 3600;
	struct img_launch how = { .prepare = shift_clocks, .data = &hour };
	struct img_proc p;
	struct outcome o;
	pid_t pid;
	int log;

	if (geteuid() || img_nodump())
		SKIP(return, "not root, or no dump");
	log = img_log_open_quiet();
	ASSERT_EQ(0, img_start(&p, "sleeper", 's', "clock_absolute:0:", &how));
	ASSERT_EQ(0, img_recv(&p, 'R', NULL, 0));
	ASSERT_EQ(0, img_wait_syscall(p.pid, SYS_clock_nanosleep));
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	EXPECT_EQ(-ERANGE, img_try_exec(p.image, NULL, &pid));
	EXPECT_TRUE(img_log_has(log, p.image, "--monotonic 3"));
	close(log);
	/* With the offset of the original, it sleeps as long as it had left. */
	ASSERT_EQ(0, img_resume_as(&p, &how));
	ASSERT_EQ(0, outcome(&p, &o));
	EXPECT_EQ(0, o.ret);
	EXPECT_LE(o.asked - IMG_NSEC_PER_MSEC, o.took);
	EXPECT_GE(o.asked + 2 * slack(), o.took);
}

/* wait4(): the live process gets its child, the resumed one has none. */
TARGET(waits)
{
	int fd[2], status = 0;
	pid_t pid, got;
	char c;

	MUST(pipe(fd));
	pid = fork();
	if (!pid) {
		/* Ends when the test says so. */
		_exit(read(IMG_FD_EVENT, &c, 1) == 1 ? 7 : 8);
	}
	img_send('R', " ");
	got = syscall(SYS_wait4, pid, &status, 0, NULL);
	img_send('M', "%d %d", got == pid ? 0 : -errno, WEXITSTATUS(status));
}

TEST(wait4_live)
{
	struct img_proc p;
	char text[100];
	int i;

	ASSERT_EQ(0, img_start(&p, "waits", 's', NULL, NULL));
	ASSERT_EQ(0, img_recv(&p, 'R', NULL, 0));
	ASSERT_EQ(0, img_wait_syscall(p.pid, SYS_wait4));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, img_dump(&p));
	ASSERT_EQ(SYS_wait4, img_syscall(p.pid));
	ASSERT_EQ(1, write(p.event, "E", 1));
	ASSERT_EQ(0, img_recv(&p, 'M', text, sizeof(text)));
	EXPECT_STREQ("0 7", text);
	ASSERT_EQ(0, img_wait_exit(&p));
}

TEST(wait4_resumed)
{
	struct img_proc p;
	char text[100];

	if (img_nodump())
		SKIP(return, "needs a resume");
	ASSERT_EQ(0, img_start(&p, "waits", 's', NULL, NULL));
	ASSERT_EQ(0, img_recv(&p, 'R', NULL, 0));
	ASSERT_EQ(0, img_wait_syscall(p.pid, SYS_wait4));
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	ASSERT_EQ(0, img_resume_as(&p, NULL));
	ASSERT_EQ(0, img_recv(&p, 'M', text, sizeof(text)));
	EXPECT_STREQ("-10 0", text);
	ASSERT_EQ(0, img_wait_exit(&p));
}
