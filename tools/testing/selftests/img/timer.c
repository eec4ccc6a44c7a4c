// SPDX-License-Identifier: GPL-2.0
/*
 * Interval timers and POSIX timers go on with the time that was left, with
 * their IDs, overruns and pending signals.  Time between the dump and the
 * resume does not count, except on clocks that tell the time of day.
 */
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include "img_test.h"

#define SEC		1000000000LL
#define MSEC		1000000LL

/* How long a process is away in tests that measure it. */
#define AWAY_MS		1500
#define AWAY		(img_nodump() ? 0 : AWAY_MS * MSEC)

/* What a tick and a rounding to microseconds may add to time that is left. */
#define COARSE		(20 * MSEC)

static volatile int counts[65];
static volatile int last_id, last_code, last_overrun;
static volatile long last_value;

static void count(int sig, siginfo_t *info, void *context)
{
	counts[sig]++;
	last_code = info->si_code;
	last_id = info->si_timerid;
	last_overrun = info->si_overrun;
	last_value = (long)info->si_value.sival_ptr;
}

static void handle(int sig)
{
	struct sigaction sa = { .sa_sigaction = count, .sa_flags = SA_SIGINFO | SA_RESTART };

	MUST(sigaction(sig, &sa, NULL));
}

static void block(int how, int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	MUST(sigprocmask(how, &set, NULL));
}

static bool is_pending(int sig)
{
	sigset_t set;

	MUST(sigpending(&set));
	return sigismember(&set, sig);
}

/* The next pending one of this number, as it was sent; 0 if there is none. */
static int take(int sig, siginfo_t *info, long long ns)
{
	struct timespec ts = { ns / SEC, ns % SEC };
	uint64_t set = 1ULL << (sig - 1);
	int ret;

	memset(info, 0, sizeof(*info));
	ret = syscall(SYS_rt_sigtimedwait, &set, info, &ts, 8);
	return ret < 0 ? 0 : ret;
}

static long long clock_ns(clockid_t clock)
{
	struct timespec ts;

	MUST(clock_gettime(clock, &ts));
	return ts.tv_sec * SEC + ts.tv_nsec;
}

static void burn(long long ns)
{
	long long end = clock_ns(CLOCK_PROCESS_CPUTIME_ID) + ns;

	while (clock_ns(CLOCK_PROCESS_CPUTIME_ID) < end)
		;
}

/* Until @sig has been counted @n times, using the CPU meanwhile. */
static bool await_count(int sig, int n)
{
	long long end = clock_ns(CLOCK_MONOTONIC) + 20LL * SEC * img_slow();

	while (counts[sig] < n)
		if (clock_ns(CLOCK_MONOTONIC) > end)
			return false;
	return true;
}

/*
 * The system calls: the library has IDs of its own.
 */

static int try_make(clockid_t clock, int notify, int sig, long value)
{
	struct sigevent ev = {
		.sigev_notify = notify,
		.sigev_signo = sig,
		.sigev_value.sival_ptr = (void *)value,
	};
	int id;

	if (notify == SIGEV_THREAD_ID)
		ev._sigev_un._tid = syscall(SYS_gettid);
	return syscall(SYS_timer_create, clock, &ev, &id) ? -errno : id;
}

static int make(clockid_t clock, int notify, int sig, long value)
{
	int id = try_make(clock, notify, sig, value);

	CHECKF(id >= 0, "clock %d: %s", clock, strerror(-id));
	return id;
}

static void arm(int id, int flags, long long ns, long long interval)
{
	struct itimerspec its = {
		.it_value = { ns / SEC, ns % SEC },
		.it_interval = { interval / SEC, interval % SEC },
	};

	MUST(syscall(SYS_timer_settime, id, flags, &its, NULL));
}

static bool exists(int id)
{
	struct itimerspec its;

	return !syscall(SYS_timer_gettime, id, &its);
}

static long long left(int id, long long *interval)
{
	struct itimerspec its = {};

	MUST(syscall(SYS_timer_gettime, id, &its));
	if (interval)
		*interval = its.it_interval.tv_sec * SEC + its.it_interval.tv_nsec;
	return its.it_value.tv_sec * SEC + its.it_value.tv_nsec;
}

static int overrun(int id)
{
	return MUST(syscall(SYS_timer_getoverrun, id));
}

static void drop(int id)
{
	MUST(syscall(SYS_timer_delete, id));
}

static void set_itimer(int which, long long ns, long long interval)
{
	struct itimerval it = {
		.it_value = { ns / SEC, ns % SEC / 1000 },
		.it_interval = { interval / SEC, interval % SEC / 1000 },
	};

	MUST(setitimer(which, &it, NULL));
}

static long long itimer_left(int which, long long *interval)
{
	struct itimerval it;

	MUST(getitimer(which, &it));
	if (interval)
		*interval = it.it_interval.tv_sec * SEC + it.it_interval.tv_usec * 1000LL;
	return it.it_value.tv_sec * SEC + it.it_value.tv_usec * 1000LL;
}

/*
 * @lost of a timer's time was used up in the time since @start, of which the
 * process was away for AWAY.  @which: 'm'onotonic, 'w'all clock, 'c'pu.
 */
static void check_lost(char which, long long lost, long long start)
{
	long long elapsed = clock_ns(CLOCK_MONOTONIC) - start;

	CHECKF(lost >= -COARSE, "gained %lld ns", -lost);
	switch (which) {
	case 'm':
		CHECKF(lost <= elapsed - AWAY + COARSE, "lost %lld of %lld ns", lost, elapsed);
		break;
	case 'w':
		CHECKF(lost >= AWAY && lost <= elapsed + COARSE, "lost %lld of %lld ns",
		       lost, elapsed);
		break;
	case 'c':
		CHECKF(lost <= 2 * SEC * img_slow() && lost <= elapsed - AWAY + COARSE,
		       "lost %lld of %lld ns", lost, elapsed);
		break;
	}
}

/* As IMG_RUN(), with some time between the dump and the resume. */
#define RUN_AWAY(target, mode, arg, how) do {				\
	struct img_proc __p;						\
									\
	IMG_SPAWN(&__p, target, mode, arg, how);			\
	ASSERT_EQ(0, img_dump(&__p));					\
	img_kill(&__p);							\
	if (!img_nodump())						\
		img_msleep(AWAY_MS);					\
	ASSERT_EQ(0, img_resume(&__p));					\
	ASSERT_EQ(0, img_finish(&__p));					\
	IMG_SKIP_IF_SKIPPED(&__p);					\
} while (0)

#define AWAY_TEST(_name)						\
	TEST(_name) { RUN_AWAY(#_name, 's', NULL, NULL); }		\
	TARGET(_name)

/*
 * Interval timers
 */

static const struct {
	int which, sig;
	char kind;
} itimers[] = {
	{ ITIMER_REAL, SIGALRM, 'm' },
	{ ITIMER_VIRTUAL, SIGVTALRM, 'c' },
	{ ITIMER_PROF, SIGPROF, 'c' },
};

AWAY_TEST(itimers_left)
{
	long long start = clock_ns(CLOCK_MONOTONIC), before[3], iv;
	int i;

	for (i = 0; i < 3; i++) {
		set_itimer(i, (20 + i) * SEC, i == 1 ? 0 : (5 + i) * SEC + 7000);
		before[i] = itimer_left(i, NULL);
	}
	img_freeze();
	for (i = 0; i < 3; i++) {
		check_lost(itimers[i].kind, before[i] - itimer_left(i, &iv), start);
		CHECK_EQ(i == 1 ? 0 : (5 + i) * SEC + 7000, iv);
		set_itimer(i, 0, 0);
		CHECK_EQ(0, itimer_left(i, &iv));
		CHECK_EQ(0, iv);
	}
}

TARGET(itimer_counts)
{
	int i = atoi(arg), sig = itimers[i].sig, n;

	handle(sig);
	set_itimer(i, 10 * MSEC, 10 * MSEC);
	CHECK(await_count(sig, 3));
	img_freeze();
	n = counts[sig];
	CHECK(n >= 3);
	CHECKF(await_count(sig, n + 5), "%d and then %d", n, counts[sig]);
	CHECK_EQ(SI_KERNEL, last_code);
}

TARGET(itimer_once)
{
	int i = atoi(arg), sig = itimers[i].sig;

	handle(sig);
	block(SIG_BLOCK, sig);
	/* Blocked: it may go off at any time before, during and after. */
	set_itimer(i, 500 * MSEC, 0);
	img_freeze();
	block(SIG_UNBLOCK, sig);
	CHECK(await_count(sig, 1));
	CHECK_EQ(0, itimer_left(i, NULL));
	burn(100 * MSEC);
	img_msleep(600);
	CHECK_EQ(1, counts[sig]);
}

FIXTURE(itimer) {
};

FIXTURE_VARIANT(itimer) {
	const char *arg;
};

FIXTURE_SETUP(itimer)
{
}

FIXTURE_TEARDOWN(itimer)
{
}

FIXTURE_VARIANT_ADD(itimer, real) { .arg = "0" };
FIXTURE_VARIANT_ADD(itimer, virtual) { .arg = "1" };
FIXTURE_VARIANT_ADD(itimer, prof) { .arg = "2" };

TEST_F(itimer, counts_asleep)
{
	IMG_RUN("itimer_counts", 's', variant->arg, NULL);
}

TEST_F(itimer, counts_running)
{
	IMG_RUN("itimer_counts", 'r', variant->arg, NULL);
}

TEST_F(itimer, once)
{
	IMG_RUN("itimer_once", 's', variant->arg, NULL);
}

/* The signal is pending: not running until that is taken. */
AWAY_TEST(itimer_pending)
{
	siginfo_t info;
	long long iv;

	block(SIG_BLOCK, SIGALRM);
	set_itimer(ITIMER_REAL, 5 * MSEC, 300 * MSEC);
	img_msleep(30);
	CHECK(is_pending(SIGALRM));
	CHECK_EQ(0, itimer_left(ITIMER_REAL, NULL));
	img_freeze();
	CHECK(is_pending(SIGALRM));
	CHECK_EQ(0, itimer_left(ITIMER_REAL, &iv));
	CHECK_EQ(300 * MSEC, iv);
	CHECK_EQ(SIGALRM, take(SIGALRM, &info, 0));
	CHECK_EQ(SI_KERNEL, info.si_code);
	CHECK(!is_pending(SIGALRM));
	CHECK(itimer_left(ITIMER_REAL, NULL) > 0);
	CHECK(itimer_left(ITIMER_REAL, NULL) <= 300 * MSEC);
	CHECK_EQ(SIGALRM, take(SIGALRM, &info, 5 * SEC * img_slow()));
	CHECK_EQ(SIGALRM, take(SIGALRM, &info, 5 * SEC * img_slow()));
}

IMG_TEST(itimer_pending_once)
{
	siginfo_t info;

	block(SIG_BLOCK, SIGALRM);
	set_itimer(ITIMER_REAL, 5 * MSEC, 0);
	img_msleep(30);
	CHECK(is_pending(SIGALRM));
	img_freeze();
	CHECK_EQ(SIGALRM, take(SIGALRM, &info, 0));
	CHECK_EQ(0, itimer_left(ITIMER_REAL, NULL));
	CHECK_EQ(0, take(SIGALRM, &info, 200 * MSEC));
}

/* Ignored when it expired: it waits for a signal of any sender. */
IMG_TEST(itimer_waits_without_signal)
{
	long long iv;

	signal(SIGALRM, SIG_IGN);
	set_itimer(ITIMER_REAL, 5 * MSEC, 10 * MSEC);
	img_msleep(30);
	img_freeze();
	CHECK_EQ(0, itimer_left(ITIMER_REAL, &iv));
	CHECK_EQ(10 * MSEC, iv);
	handle(SIGALRM);
	CHECK_EQ(0, counts[SIGALRM]);
	kill(getpid(), SIGALRM);
	CHECK(await_count(SIGALRM, 5));
}

/* The launcher's are not the image's, whether that has some or not. */
static int odd_timers(void *data)
{
	struct itimerval it = { .it_value.tv_usec = 300000, .it_interval.tv_usec = 100000 };
	int i;

	for (i = 0; i < 3; i++)
		if (setitimer(i, &it, NULL))
			return -errno;
	for (i = 0; i < 5; i++)
		arm(make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, i), 0, 300 * MSEC, 100 * MSEC);
	return 0;
}

TARGET(no_timers)
{
	long long iv;
	int i;

	img_freeze();
	for (i = 0; i < 3; i++) {
		CHECK_EQ(0, itimer_left(i, &iv));
		CHECK_EQ(0, iv);
	}
	CHECK(!exists(0));
	CHECK_EQ(0, make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0));
	img_msleep(500);
	burn(500 * MSEC);
}

TARGET(own_timers)
{
	long long start = clock_ns(CLOCK_MONOTONIC), before;
	int id = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 0);

	arm(id, 0, 20 * SEC, 0);
	set_itimer(ITIMER_REAL, 30 * SEC, 0);
	before = itimer_left(ITIMER_REAL, NULL);
	img_freeze();
	check_lost('m', before - itimer_left(ITIMER_REAL, NULL), start);
	check_lost('m', 20 * SEC - left(id, NULL), start);
	CHECK_EQ(0, itimer_left(ITIMER_PROF, NULL));
	CHECK_EQ(0, itimer_left(ITIMER_VIRTUAL, NULL));
	img_msleep(500);
	burn(500 * MSEC);
}

TEST(launcher_has_timers)
{
	struct img_proc p;

	IMG_SPAWN(&p, "no_timers", 's', NULL, NULL);
	p.how.prepare = odd_timers;
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

TEST(launcher_and_image_have_timers)
{
	struct img_proc p;

	IMG_SPAWN(&p, "own_timers", 's', NULL, NULL);
	p.how.prepare = odd_timers;
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	img_msleep(img_nodump() ? 0 : AWAY_MS);
	ASSERT_EQ(0, img_resume(&p));
	ASSERT_EQ(0, img_finish(&p));
}

/*
 * POSIX timers: IDs
 */

IMG_TEST(ids)
{
	static const bool gone[] = { true, false, true, true, false, false };
	int i;

	for (i = 0; i < 6; i++)
		CHECK_EQ(i, make(CLOCK_MONOTONIC, SIGEV_NONE, 0, i));
	for (i = 0; i < 6; i++)
		if (gone[i])
			drop(i);
	img_freeze();
	for (i = 0; i < 8; i++)
		CHECKF(exists(i) == (i < 6 && !gone[i]), "ID %d", i);
	CHECK_EQ(6, make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0));
	drop(1);
	CHECK(!exists(1));
	CHECK_EQ(7, make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0));
}

/* IDs that were given out are not given out again, even with no timer left. */
IMG_TEST(next_id)
{
	int i;

	for (i = 0; i < 5; i++)
		drop(make(CLOCK_MONOTONIC, SIGEV_NONE, 0, i));
	img_freeze();
	CHECK_EQ(5, make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0));
}

IMG_TEST(disarmed)
{
	long long iv;
	int id;

	id = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 99);
	arm(id, 0, SEC, SEC);
	arm(id, 0, 0, 0);
	img_freeze();
	CHECK_EQ(0, left(id, &iv));
	CHECK_EQ(0, iv);
	handle(SIGRTMIN);
	arm(id, 0, MSEC, 5 * MSEC);
	CHECK(await_count(SIGRTMIN, 3));
	CHECK_EQ(99, last_value);
	CHECK_EQ(id, last_id);
	drop(id);
	CHECK(!exists(id));
}

IMG_TEST(hundreds)
{
	int i;

	for (i = 0; i < 400; i++)
		arm(make(i & 1 ? CLOCK_MONOTONIC : CLOCK_REALTIME, SIGEV_SIGNAL, SIGRTMIN, i),
		    0, (100 + i) * SEC, i * SEC);
	img_freeze();
	for (i = 0; i < 400; i++) {
		long long iv, ns = left(i, &iv);

		CHECKF(ns > (50 + i) * SEC && ns <= (100 + i) * SEC && iv == i * SEC,
		       "timer %d: %lld, %lld", i, ns, iv);
	}
}

/*
 * POSIX timers: clocks
 */

#define OWN_CLOCK(which, thread)	((~0U << 3) | (which) | ((thread) ? 4 : 0))

static const struct {
	const char *name;
	clockid_t clock;
	char relative, absolute;	/* see check_lost() */
} clocks[] = {
	{ "realtime", CLOCK_REALTIME, 'm', 'w' },
	{ "monotonic", CLOCK_MONOTONIC, 'm', 'm' },
	{ "boottime", CLOCK_BOOTTIME, 'm', 'm' },
	{ "tai", CLOCK_TAI, 'w', 'w' },
	{ "realtime_alarm", CLOCK_REALTIME_ALARM, 'w', 'w' },
	{ "boottime_alarm", CLOCK_BOOTTIME_ALARM, 'm', 'm' },
	{ "process_cpu", CLOCK_PROCESS_CPUTIME_ID, 'c', 'c' },
	{ "thread_cpu", CLOCK_THREAD_CPUTIME_ID, 'c', 'c' },
	{ "process_prof", OWN_CLOCK(0, false), 'c', 'c' },
	{ "thread_virt", OWN_CLOCK(1, true), 'c', 'c' },
};

static int find_clock(const char *name)
{
	size_t i;
	int id;

	for (i = 0; strcmp(clocks[i].name, name); i++)
		;
	id = try_make(clocks[i].clock, SIGEV_NONE, 0, 0);
	if (id == -EOPNOTSUPP || id == -EINVAL)
		img_target_skip("no clock %s that timers can use", name);
	CHECK(id >= 0);
	drop(id);
	return i;
}

TARGET(clock)
{
	static const int notify[] = { SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD_ID };
	int c = find_clock(arg), id[12], i;
	long long start, before[12], iv;
	clockid_t clock = clocks[c].clock;

	start = clock_ns(CLOCK_MONOTONIC);
	for (i = 0; i < 12; i++) {
		bool abs = i & 1, periodic = i & 2;
		long long ns = (100 + i) * SEC + i;

		id[i] = make(clock, notify[i / 4], SIGRTMIN, i);
		arm(id[i], abs ? TIMER_ABSTIME : 0, abs ? clock_ns(clock) + ns : ns,
		    periodic ? (30 + i) * SEC : 0);
		before[i] = left(id[i], NULL);
		CHECKF(before[i] > 99 * SEC, "%lld", before[i]);
	}
	img_freeze();
	for (i = 0; i < 12; i++) {
		long long lost = before[i] - left(id[i], &iv);

		check_lost(i & 1 ? clocks[c].absolute : clocks[c].relative, lost, start);
		CHECK_EQ(i & 2 ? (30 + i) * SEC : 0, iv);
		CHECK_EQ(0, overrun(id[i]));
	}
}

/* It sends its signals, again and again. */
TARGET(clock_counts)
{
	clockid_t clock = clocks[find_clock(arg)].clock;
	int id = make(clock, SIGEV_SIGNAL, SIGRTMIN + 2, 4711), n;

	handle(SIGRTMIN + 2);
	arm(id, 0, 10 * MSEC, 10 * MSEC);
	CHECK(await_count(SIGRTMIN + 2, 3));
	img_freeze();
	n = counts[SIGRTMIN + 2];
	CHECKF(await_count(SIGRTMIN + 2, n + 5), "%d and then %d", n, counts[SIGRTMIN + 2]);
	CHECK_EQ(SI_TIMER, last_code);
	CHECK_EQ(id, last_id);
	CHECK_EQ(4711, last_value);
}

FIXTURE(clocks) {
};

FIXTURE_VARIANT(clocks) {
	const char *arg;
};

FIXTURE_SETUP(clocks)
{
}

FIXTURE_TEARDOWN(clocks)
{
}

FIXTURE_VARIANT_ADD(clocks, realtime) { .arg = "realtime" };
FIXTURE_VARIANT_ADD(clocks, monotonic) { .arg = "monotonic" };
FIXTURE_VARIANT_ADD(clocks, boottime) { .arg = "boottime" };
FIXTURE_VARIANT_ADD(clocks, tai) { .arg = "tai" };
FIXTURE_VARIANT_ADD(clocks, realtime_alarm) { .arg = "realtime_alarm" };
FIXTURE_VARIANT_ADD(clocks, boottime_alarm) { .arg = "boottime_alarm" };
FIXTURE_VARIANT_ADD(clocks, process_cpu) { .arg = "process_cpu" };
FIXTURE_VARIANT_ADD(clocks, thread_cpu) { .arg = "thread_cpu" };
FIXTURE_VARIANT_ADD(clocks, process_prof) { .arg = "process_prof" };
FIXTURE_VARIANT_ADD(clocks, thread_virt) { .arg = "thread_virt" };

TEST_F(clocks, left)
{
	RUN_AWAY("clock", 's', variant->arg, NULL);
}

TEST_F(clocks, counts)
{
	IMG_RUN("clock_counts", 's', variant->arg, NULL);
}

/* By the ID of the process, which is another one afterwards. */
IMG_TEST(clock_of_own_id)
{
	int process = make(((~getpid()) << 3) | 2, SIGEV_SIGNAL, SIGRTMIN, 1);
	int thread = make(((~getpid()) << 3) | 6, SIGEV_SIGNAL, SIGRTMIN + 1, 2);

	handle(SIGRTMIN);
	handle(SIGRTMIN + 1);
	arm(process, 0, 5 * MSEC, 10 * MSEC);
	arm(thread, 0, 5 * MSEC, 10 * MSEC);
	CHECK(await_count(SIGRTMIN, 2));
	img_freeze();
	CHECK(await_count(SIGRTMIN, counts[SIGRTMIN] + 3));
	CHECK(await_count(SIGRTMIN + 1, counts[SIGRTMIN + 1] + 3));
}

/* A time of day that has passed meanwhile, and time that has not. */
AWAY_TEST(expired_meanwhile)
{
	int wall = make(CLOCK_REALTIME, SIGEV_SIGNAL, SIGRTMIN, 1);
	int later = make(CLOCK_REALTIME, SIGEV_SIGNAL, SIGRTMIN + 1, 2);
	int mono = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 1, 2);
	long long at = clock_ns(CLOCK_REALTIME) + 60 * SEC;

	if (img_nodump())
		img_target_skip("needs a resume");
	block(SIG_BLOCK, SIGRTMIN);
	arm(mono, TIMER_ABSTIME, clock_ns(CLOCK_MONOTONIC) + 60 * SEC, 0);
	arm(later, TIMER_ABSTIME, at, 0);
	/* After the dump, unless that is slow, and before the resume. */
	arm(wall, TIMER_ABSTIME, clock_ns(CLOCK_REALTIME) + SEC, 0);
	img_freeze();
	CHECK(is_pending(SIGRTMIN));
	CHECK_EQ(0, left(wall, NULL));
	CHECK(left(later, NULL) <= at - clock_ns(CLOCK_REALTIME) + COARSE);
	CHECK(left(mono, NULL) >= left(later, NULL) + AWAY - COARSE);
}

/*
 * POSIX timers: notification
 */

AWAY_TEST(without_signal)
{
	long long start = clock_ns(CLOCK_MONOTONIC), iv;
	int once = make(CLOCK_MONOTONIC, SIGEV_NONE, 12345, 1);
	int over = make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 2);
	int periodic = make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 3);

	arm(once, 0, 50 * SEC, 0);
	arm(over, 0, MSEC, 0);
	arm(periodic, 0, MSEC, 7 * SEC);
	img_msleep(20);
	CHECK_EQ(0, left(over, NULL));
	img_freeze();
	check_lost('m', 50 * SEC - left(once, &iv), start);
	CHECK_EQ(0, iv);
	CHECK_EQ(0, left(over, &iv));
	CHECK_EQ(0, iv);
	CHECK(left(periodic, &iv) > 0 && left(periodic, NULL) <= 7 * SEC);
	CHECK_EQ(7 * SEC, iv);
}

IMG_TEST(to_the_thread)
{
	int id = make(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGRTMIN + 4, 77);
	siginfo_t info;

	block(SIG_BLOCK, SIGRTMIN + 4);
	arm(id, 0, 5 * MSEC, 30 * MSEC);
	img_msleep(20);
	CHECK(img_status_field(getpid(), "SigPnd:", 16) & 1L << (SIGRTMIN + 3));
	img_freeze();
	CHECK(img_status_field(getpid(), "SigPnd:", 16) & 1L << (SIGRTMIN + 3));
	CHECK(!(img_status_field(getpid(), "ShdPnd:", 16) & 1L << (SIGRTMIN + 3)));
	CHECK_EQ(SIGRTMIN + 4, take(SIGRTMIN + 4, &info, 0));
	CHECK_EQ(77, info.si_value.sival_int);
	CHECK_EQ(SIGRTMIN + 4, take(SIGRTMIN + 4, &info, 5 * SEC * img_slow()));
	CHECK_EQ(id, info.si_timerid);
}

/* As the library's SIGEV_THREAD before it has a thread, and with no sigevent. */
IMG_TEST(other_ways_to_be_told)
{
	int thread = make(CLOCK_MONOTONIC, SIGEV_THREAD, SIGRTMIN + 1, 5), bare;

	MUST(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &bare));
	handle(SIGRTMIN + 1);
	handle(SIGALRM);
	arm(thread, 0, 600 * SEC, 0);
	img_freeze();
	arm(thread, 0, MSEC, 0);
	CHECK(await_count(SIGRTMIN + 1, 1));
	CHECK_EQ(5, last_value);
	arm(bare, 0, MSEC, 0);
	CHECK(await_count(SIGALRM, 1));
	CHECK_EQ(bare, last_value);
}

/*
 * POSIX timers: pending signals and overruns
 */

static void check_overrun(clockid_t clock, int flags, bool away_counts)
{
	int id = make(clock, SIGEV_SIGNAL, SIGRTMIN, 31337);
	long long start = clock_ns(CLOCK_MONOTONIC), elapsed, iv;
	siginfo_t info;

	block(SIG_BLOCK, SIGRTMIN);
	arm(id, flags, flags ? clock_ns(clock) + 10 * MSEC : 10 * MSEC, 10 * MSEC);
	img_msleep(85);
	CHECK(is_pending(SIGRTMIN));
	CHECK_EQ(0, overrun(id));
	img_freeze();
	CHECK(is_pending(SIGRTMIN));
	CHECK_EQ(0, overrun(id));
	CHECK_EQ(SIGRTMIN, take(SIGRTMIN, &info, 0));
	elapsed = clock_ns(CLOCK_MONOTONIC) - start;
	CHECK_EQ(SI_TIMER, info.si_code);
	CHECK_EQ(31337, info.si_value.sival_int);
	CHECK_EQ(id, info.si_timerid);
	CHECK_EQ(info.si_overrun, overrun(id));
	CHECKF(info.si_overrun >= 7, "overrun %d", info.si_overrun);
	if (away_counts)
		CHECKF(info.si_overrun >= AWAY / (10 * MSEC) &&
		       info.si_overrun <= elapsed / (10 * MSEC),
		       "overrun %d in %lld ns", info.si_overrun, elapsed);
	else
		CHECKF(info.si_overrun <= (elapsed - AWAY) / (10 * MSEC),
		       "overrun %d in %lld ns", info.si_overrun, elapsed);
	/* It goes on. */
	CHECK(left(id, &iv) > 0);
	CHECK_EQ(10 * MSEC, iv);
	CHECK_EQ(SIGRTMIN, take(SIGRTMIN, &info, 5 * SEC * img_slow()));
	CHECK_EQ(SIGRTMIN, take(SIGRTMIN, &info, 5 * SEC * img_slow()));
	/* One entry each time. */
	arm(id, 0, 0, 0);
	take(SIGRTMIN, &info, 0);
	CHECK_EQ(0, take(SIGRTMIN, &info, 50 * MSEC));
}

AWAY_TEST(overrun_monotonic)
{
	check_overrun(CLOCK_MONOTONIC, 0, false);
}

AWAY_TEST(overrun_realtime)
{
	check_overrun(CLOCK_REALTIME, 0, false);
}

AWAY_TEST(overrun_time_of_day)
{
	check_overrun(CLOCK_REALTIME, TIMER_ABSTIME, true);
}

IMG_TEST(overrun_cpu)
{
	int id = make(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGRTMIN, 1), seen;
	siginfo_t info;

	block(SIG_BLOCK, SIGRTMIN);
	arm(id, 0, 20 * MSEC, 20 * MSEC);
	burn(150 * MSEC);
	CHECK(is_pending(SIGRTMIN));
	img_freeze();
	CHECK_EQ(SIGRTMIN, take(SIGRTMIN, &info, 0));
	seen = info.si_overrun;
	CHECKF(seen >= 4 && seen < 4000, "overrun %d", seen);
	CHECK_EQ(seen, overrun(id));
	burn(60 * MSEC);
	CHECK_EQ(SIGRTMIN, take(SIGRTMIN, &info, 0));
}

/* The overrun of the signal that was taken last. */
IMG_TEST(overrun_last)
{
	int id = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 1), seen;
	siginfo_t info;

	block(SIG_BLOCK, SIGRTMIN);
	arm(id, 0, 10 * MSEC, 10 * MSEC);
	img_msleep(65);
	CHECK_EQ(SIGRTMIN, take(SIGRTMIN, &info, 0));
	seen = overrun(id);
	CHECK(seen >= 4);
	CHECK_EQ(seen, info.si_overrun);
	img_freeze();
	CHECK_EQ(seen, overrun(id));
}

IMG_TEST(pending_once)
{
	int id = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 7, 0x123456789abcdefL);
	siginfo_t info;

	block(SIG_BLOCK, SIGRTMIN + 7);
	arm(id, 0, MSEC, 0);
	img_msleep(20);
	CHECK(is_pending(SIGRTMIN + 7));
	img_freeze();
	CHECK_EQ(0, left(id, NULL));
	CHECK_EQ(SIGRTMIN + 7, take(SIGRTMIN + 7, &info, 0));
	CHECK_EQ(0x123456789abcdefL, (long)info.si_value.sival_ptr);
	CHECK_EQ(0, info.si_overrun);
	CHECK_EQ(0, take(SIGRTMIN + 7, &info, 100 * MSEC));
	arm(id, 0, MSEC, 0);
	CHECK_EQ(SIGRTMIN + 7, take(SIGRTMIN + 7, &info, 5 * SEC * img_slow()));
}

/* Several with one number that does not queue otherwise, in their order. */
IMG_TEST(pending_alarms)
{
	siginfo_t info;
	int i;

	block(SIG_BLOCK, SIGALRM);
	MUST(kill(getpid(), SIGALRM));
	for (i = 0; i < 3; i++) {
		arm(make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGALRM, 3 - i), 0, MSEC, 0);
		img_msleep(10);
	}
	img_freeze();
	CHECK_EQ(SIGALRM, take(SIGALRM, &info, 0));
	CHECK_EQ(SI_USER, info.si_code);
	for (i = 0; i < 3; i++) {
		CHECK_EQ(SIGALRM, take(SIGALRM, &info, 0));
		CHECK_EQ(SI_TIMER, info.si_code);
		CHECK_EQ(i, info.si_timerid);
		CHECK_EQ(3 - i, info.si_value.sival_int);
	}
	CHECK_EQ(0, take(SIGALRM, &info, 0));
}

/* The timer is gone, what it sent is not. */
IMG_TEST(pending_of_a_deleted_timer)
{
	int id = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 21), next;
	siginfo_t info;

	block(SIG_BLOCK, SIGRTMIN);
	arm(id, 0, MSEC, MSEC);
	img_msleep(20);
	drop(id);
	next = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 22);
	img_freeze();
	CHECK(!exists(id));
	CHECK(exists(next));
	CHECK_EQ(SIGRTMIN, take(SIGRTMIN, &info, 0));
	CHECK_EQ(SI_TIMER, info.si_code);
	CHECK_EQ(21, info.si_value.sival_int);
	CHECK_EQ(0, take(SIGRTMIN, &info, 50 * MSEC));
}

/* Set anew while its signal is pending: that one has nothing more to start. */
IMG_TEST(pending_of_a_timer_set_anew)
{
	int id = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 5);
	siginfo_t info;
	long long iv;

	block(SIG_BLOCK, SIGRTMIN);
	arm(id, 0, MSEC, MSEC);
	img_msleep(20);
	arm(id, 0, 50 * SEC, 60 * SEC);
	img_freeze();
	CHECK_EQ(SIGRTMIN, take(SIGRTMIN, &info, 0));
	CHECK_EQ(0, info.si_overrun);
	CHECK(left(id, &iv) > 30 * SEC && left(id, NULL) <= 50 * SEC);
	CHECK_EQ(60 * SEC, iv);
	CHECK_EQ(0, take(SIGRTMIN, &info, 50 * MSEC));
}

/* A forged one is as any other, though a timer has that ID. */
IMG_TEST(pending_forged)
{
	int id = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 5);
	siginfo_t info = { .si_code = SI_TIMER };

	block(SIG_BLOCK, SIGRTMIN);
	info.si_timerid = id;
	info.si_overrun = 7;
	MUST(syscall(SYS_rt_sigqueueinfo, getpid(), SIGRTMIN, &info));
	MUST(syscall(SYS_rt_sigqueueinfo, getpid(), SIGRTMIN, &info));
	img_freeze();
	CHECK_EQ(SIGRTMIN, take(SIGRTMIN, &info, 0));
	CHECK_EQ(7, info.si_overrun);
	CHECK_EQ(SIGRTMIN, take(SIGRTMIN, &info, 0));
	CHECK_EQ(0, left(id, NULL));
	arm(id, 0, MSEC, 0);
	CHECK_EQ(SIGRTMIN, take(SIGRTMIN, &info, 5 * SEC * img_slow()));
}

/* Nobody wanted to know; somebody does later. */
IMG_TEST(ignored)
{
	int id = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 8);

	signal(SIGRTMIN, SIG_IGN);
	arm(id, 0, MSEC, 10 * MSEC);
	img_msleep(50);
	img_freeze();
	handle(SIGRTMIN);
	CHECK(await_count(SIGRTMIN, 3));
	CHECK_EQ(id, last_id);
}

/*
 * Again and again
 */

/* Without the ID of the process. */
static char *timers_of(pid_t pid)
{
	char path[64], old[32], *text, *at;
	int i;

	snprintf(path, sizeof(path), "/proc/%d/timers", pid);
	text = img_read_file(path, NULL);
	for (i = 0; i < 2; i++) {
		snprintf(old, sizeof(old), "%cid.%d\n", "pt"[i], pid);
		while (text && (at = strstr(text, old)))
			memmove(at + 4, at + strlen(old), strlen(at + strlen(old)) + 1);
	}
	return text;
}

TARGET(all_sorts)
{
	int i;

	drop(make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0));
	for (i = 0; i < 4; i++) {
		make(CLOCK_REALTIME, SIGEV_NONE, 100 + i, i);
		make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + i, 1L << 50);
		make(CLOCK_PROCESS_CPUTIME_ID, SIGEV_THREAD_ID, SIGUSR1, -1);
		make(CLOCK_THREAD_CPUTIME_ID, SIGEV_SIGNAL, SIGUSR2, 0);
		make(OWN_CLOCK(1, false), SIGEV_THREAD, SIGTERM, 0);
	}
	drop(5);
	img_freeze();
}

TEST(proc_timers)
{
	struct img_proc p;
	char *before, *after;
	size_t i, lines = 0;

	IMG_SPAWN(&p, "all_sorts", 's', NULL, NULL);
	before = timers_of(p.pid);
	if (!before)
		SKIP(img_forget(&p); return, "no /proc/PID/timers");
	for (i = 0; before[i]; i++)
		lines += !strncmp(before + i, "id.", 3);
	EXPECT_EQ(19, lines);
	ASSERT_EQ(0, img_cycle(&p));
	after = timers_of(p.pid);
	ASSERT_TRUE(after != NULL);
	EXPECT_STREQ(before, after);
	ASSERT_EQ(0, img_finish(&p));
}

TARGET(generations)
{
	int id = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 1);
	int far = make(CLOCK_BOOTTIME, SIGEV_SIGNAL, SIGRTMIN, 2);
	int cpu = make(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGRTMIN + 1, 3);
	int blocked = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 2, 4);
	long long start = clock_ns(CLOCK_MONOTONIC), before;
	siginfo_t info;
	int i, n;

	handle(SIGRTMIN);
	handle(SIGRTMIN + 1);
	handle(SIGALRM);
	block(SIG_BLOCK, SIGRTMIN + 2);
	arm(id, 0, 5 * MSEC, 7 * MSEC);
	arm(far, 0, 500 * SEC, 0);
	arm(cpu, 0, 5 * MSEC, 20 * MSEC);
	arm(blocked, 0, MSEC, MSEC);
	set_itimer(ITIMER_REAL, 10 * MSEC, 11 * MSEC);
	set_itimer(ITIMER_PROF, 600 * SEC, 0);
	before = itimer_left(ITIMER_PROF, NULL);
	for (i = 0; i < atoi(arg); i++) {
		img_freeze();
		n = counts[SIGRTMIN];
		CHECKF(await_count(SIGRTMIN, n + 3), "generation %d", i);
		n = counts[SIGALRM];
		CHECKF(await_count(SIGALRM, n + 3), "generation %d", i);
		n = counts[SIGRTMIN + 1];
		CHECKF(await_count(SIGRTMIN + 1, n + 2), "generation %d", i);
		CHECK_EQ(4 + i, make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0));
	}
	CHECK(500 * SEC - left(far, NULL) <= clock_ns(CLOCK_MONOTONIC) - start);
	CHECK(left(far, NULL) <= 500 * SEC);
	/* Nothing is gained, not a tick in each generation. */
	CHECKF(itimer_left(ITIMER_PROF, NULL) <= before, "%lld",
	       before - itimer_left(ITIMER_PROF, NULL));
	CHECK_EQ(SIGRTMIN + 2, take(SIGRTMIN + 2, &info, 0));
	CHECK(info.si_overrun > 10);
}

static void generations(struct __test_metadata *_metadata, char mode)
{
	struct img_proc p;
	int i;

	IMG_SPAWN(&p, "generations", mode, "10", NULL);
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, img_cycle(&p));
		ASSERT_EQ(0, img_go(&p));
		if (i < 9)
			ASSERT_EQ(0, img_await_ready(&p));
	}
	ASSERT_EQ(0, img_wait_exit(&p));
}

TEST(ten_generations_asleep)
{
	generations(_metadata, 's');
}

TEST(ten_generations_running)
{
	generations(_metadata, 'r');
}

/* Timers that expire at any time, also while the process is held. */
TARGET(storm)
{
	int i, k, n[10], generations = atoi(arg);
	uint64_t seed = 7;

	for (i = 0; i < 10; i++) {
		handle(SIGRTMIN + i);
		if (i & 1)
			block(SIG_BLOCK, SIGRTMIN + i);
		make(CLOCK_MONOTONIC, i & 2 ? SIGEV_THREAD_ID : SIGEV_SIGNAL, SIGRTMIN + i, i);
	}
	for (k = 0; k < generations; k++) {
		for (i = 0; i < 10; i++) {
			n[i] = counts[SIGRTMIN + i];
			arm(i, 0, img_random(&seed) % (40 * MSEC), i < 8 ? 3 * MSEC + i : 0);
		}
		img_freeze();
		for (i = 0; i < 10; i++) {
			if (i & 1)
				block(SIG_UNBLOCK, SIGRTMIN + i);
			/* Once is not less than once, and not more. */
			CHECKF(await_count(SIGRTMIN + i, n[i] + (i < 8 ? 3 : 1)),
			       "timer %d in generation %d", i, k);
			if (i & 1)
				block(SIG_BLOCK, SIGRTMIN + i);
		}
		img_msleep(2);
		for (i = 8; i < 10; i++)
			CHECK_EQ(n[i] + 1, counts[SIGRTMIN + i]);
	}
}

TEST(storm)
{
	struct img_proc p;
	int i;

	IMG_SPAWN(&p, "storm", 's', "12", NULL);
	for (i = 0; i < 12; i++) {
		ASSERT_EQ(0, img_cycle(&p));
		ASSERT_EQ(0, img_go(&p));
		if (i < 11)
			ASSERT_EQ(0, img_await_ready(&p));
	}
	ASSERT_EQ(0, img_wait_exit(&p));
}

/* Copies have timers of their own. */
TARGET(copy)
{
	int id = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 6), n;

	handle(SIGRTMIN);
	arm(id, 0, 5 * MSEC, 5 * MSEC);
	img_freeze();
	n = counts[SIGRTMIN];
	CHECK(await_count(SIGRTMIN, n + 10));
	CHECK_EQ(id, last_id);
	CHECK_EQ(1, make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0));
}

TEST(two_at_once)
{
	struct img_proc p, copy[2] = { { .mode = 's' }, { .mode = 's' } };
	int i;

	if (img_nodump())
		SKIP(return, "needs a resume");
	IMG_SPAWN(&p, "copy", 's', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, img_launch(&copy[i], p.image, NULL));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, img_settle(&copy[i]));
		ASSERT_EQ(0, img_go(&copy[i]));
	}
	for (i = 0; i < 2; i++)
		EXPECT_EQ(0, img_wait_exit(&copy[i]));
	/* The original has lost nothing. */
	ASSERT_EQ(0, img_finish(&p));
}

/*
 * Programs
 */

static void program(struct __test_metadata *_metadata, char *path, char *option,
		    char *script)
{
	char *argv[] = { path, option, script, NULL };
	struct img_launch how = { .argv = argv };
	struct img_proc p = {};
	long long start;
	int status = 0;

	if (img_nodump())
		SKIP(return, "needs a resume");
	if (access(path, X_OK))
		SKIP(return, "no %s", path);
	snprintf(p.image, sizeof(p.image), "%s", img_path("program.img"));
	ASSERT_EQ(0, img_launch(&p, path, &how));
	ASSERT_EQ(0, img_recv(&p, 'R', NULL, 0));
	img_msleep(200);
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	img_msleep(2500);
	start = clock_ns(CLOCK_MONOTONIC);
	ASSERT_EQ(0, img_launch(&p, p.image, NULL));
	ASSERT_EQ(0, img_wait_status(p.pid, &status));
	p.pid = 0;
	img_forget(&p);
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(7, WEXITSTATUS(status));
	/* Five seconds, less those before the dump: in either case. */
	EXPECT_LT(2500 * MSEC, clock_ns(CLOCK_MONOTONIC) - start);
}

TEST(perl_alarm)
{
	program(_metadata, "/usr/bin/perl", "-e",
		"$SIG{ALRM} = sub { exit 7 }; alarm 5; open(F, '>&=', 3); "
		"syswrite F, 'R'; select(undef, undef, undef, 0.1) while 1;");
}

TEST(bash_read_timeout)
{
	program(_metadata, "/bin/bash", "-c",
		"printf R >&3; read -t 5 -u 4 x; [ $? -gt 128 ] && exit 7; exit 8");
}

/*
 * Refused
 */

/* Three timers: 2 waits for its pending signal to be taken, 1 and 0 run. */
TARGET(hostile)
{
	int i;

	block(SIG_BLOCK, SIGRTMIN);
	for (i = 0; i < 3; i++)
		make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, i);
	arm(0, 0, 5000 * SEC, 0);
	arm(1, 0, 5000 * SEC, SEC);
	arm(2, 0, MSEC, MSEC);
	set_itimer(ITIMER_REAL, 5000 * SEC, SEC);
	img_msleep(20);
	MUST(sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 1 }));
	img_freeze();
}

#define TIMERS	((struct img_timers *)img_note(im, "IMG", NT_IMG_TIMERS, 0, NULL))
#define SIGNAL	((struct img_signal *)img_note(im, "IMG", NT_IMG_SIGNAL, 0, NULL))

/* They are stored with the latest one first. */
static struct img_timer *timer(struct img_image *im, int id)
{
	return (struct img_timer *)((char *)TIMERS + TIMERS->timers_off) + 2 - id;
}

static struct img_siginfo *pending(struct img_image *im)
{
	return (void *)((char *)SIGNAL + SIGNAL->pending_off);
}

#define SET(_name, _expr)						\
	static void set_##_name(struct img_image *im, uint64_t arg)	\
	{								\
		(_expr) = arg;						\
	}

SET(size, TIMERS->size)
SET(timer_size, TIMERS->timer_size)
SET(nr, TIMERS->nr)
SET(timers_off, TIMERS->timers_off)
SET(next_id, TIMERS->next_id)
SET(pad, TIMERS->pad)
SET(it_flags, TIMERS->itimers[0].flags)
SET(it_prof_flags, TIMERS->itimers[2].flags)
SET(it_left, TIMERS->itimers[0].left)
SET(it_interval, TIMERS->itimers[0].interval)
SET(it_virt_left, TIMERS->itimers[1].left)
SET(id, timer(im, 0)->id)
SET(clock, timer(im, 0)->clock)
SET(flags, timer(im, 0)->flags)
SET(expires, timer(im, 0)->expires)
SET(interval, timer(im, 0)->interval)
SET(overrun, timer(im, 0)->overrun)
SET(overrun_last, timer(im, 0)->overrun_last)
SET(notify, timer(im, 0)->notify)
SET(signo, timer(im, 0)->signo)
SET(tid, timer(im, 0)->tid)
SET(sig_overrun, timer(im, 0)->sig_overrun)
SET(waiting_interval, timer(im, 2)->interval)
SET(waiting_flags, timer(im, 2)->flags)
SET(waiting_notify, timer(im, 2)->notify)
SET(waiting_overrun, timer(im, 2)->sig_overrun)
SET(info_flags, pending(im)->flags)
SET(info_id, *(int32_t *)(pending(im)->info + offsetof(siginfo_t, si_timerid)))
SET(info_signo, *(int32_t *)pending(im)->info)
SET(info_code, *(int32_t *)(pending(im)->info + offsetof(siginfo_t, si_code)))

static void set_thread(struct img_image *im, uint64_t tid)
{
	timer(im, 0)->notify = SIGEV_THREAD_ID;
	timer(im, 0)->tid = tid;
}

/* A thread that did not know its own ID. */
static void set_no_thread(struct img_image *im, uint64_t arg)
{
	struct img_thread *th = img_note(im, "IMG", NT_IMG_THREAD, 0, NULL);

	th->tid = 0;
	set_thread(im, 0);
}

static void set_twice(struct img_image *im, uint64_t arg)
{
	pending(im)[1] = pending(im)[0];
}

static const struct hostile {
	const char *name;
	void (*patch)(struct img_image *im, uint64_t arg);
	uint64_t arg;
	int error;
} hostile[] = {
	{ "note of 0 bytes", set_size, 0, EBADMSG },
	{ "note of 4 bytes", set_size, 4, EBADMSG },
	{ "note of 2^32-1 bytes", set_size, -1U, EBADMSG },
	{ "timers of 0 bytes", set_timer_size, 0, EBADMSG },
	{ "timers of 71 bytes", set_timer_size, 71, EBADMSG },
	{ "timers of 2^32-1 bytes", set_timer_size, -1U, EBADMSG },
	{ "4 timers", set_nr, 4, EBADMSG },
	{ "2^32-1 timers", set_nr, -1U, EBADMSG },
	{ "no timers", set_nr, 0, EBADMSG },
	{ "timers at the end", set_timers_off, -72U, EBADMSG },
	{ "timers beyond the end", set_timers_off, 400, EBADMSG },
	{ "next ID negative", set_next_id, 1U << 31, EBADMSG },
	{ "padding", set_pad, 1, EBADMSG },
	{ "interval timer with unknown flags", set_it_flags, 2, EOPNOTSUPP },
	{ "interval timer waits for nothing", set_it_prof_flags, 1, EBADMSG },
	{ "interval timer of 2^63 ns", set_it_left, 1ULL << 63, EBADMSG },
	{ "interval timer of 2^64-1 ns", set_it_left, -1ULL, EBADMSG },
	{ "interval of 2^63 ns", set_it_interval, 1ULL << 63, EBADMSG },
	{ "interval without a time", set_it_left, 0, EBADMSG },
	{ "virtual timer of 2^63 ns", set_it_virt_left, 1ULL << 63, EBADMSG },
	{ "ID negative", set_id, -1U, EBADMSG },
	{ "ID 2^31", set_id, 1U << 31, EBADMSG },
	{ "ID twice", set_id, 1, EBADMSG },
	{ "ID of the pending signal's timer twice", set_id, 2, EBADMSG },
	{ "clock 2", set_clock, CLOCK_PROCESS_CPUTIME_ID, EBADMSG },
	{ "clock 4", set_clock, CLOCK_MONOTONIC_RAW, EBADMSG },
	{ "clock 6", set_clock, CLOCK_MONOTONIC_COARSE, EBADMSG },
	{ "clock 10", set_clock, 10, EBADMSG },
	{ "clock 12", set_clock, 12, EBADMSG },
	{ "clock 2^31-1", set_clock, INT32_MAX, EBADMSG },
	{ "clock -1", set_clock, -1U, EBADMSG },
	{ "clock of a descriptor", set_clock, (~0U << 3) | 3, EBADMSG },
	{ "clock of process 1", set_clock, (~1U << 3) | 2, EBADMSG },
	{ "clock of thread 1", set_clock, (~1U << 3) | 6, EBADMSG },
	{ "clock -2^31", set_clock, 1U << 31, EBADMSG },
	{ "no flags", set_flags, 0, EBADMSG },
	{ "unknown flag", set_flags, 1 | 1 << 4, EOPNOTSUPP },
	{ "unknown high flag", set_flags, 1 | 1ULL << 63, EOPNOTSUPP },
	{ "all flags", set_flags, -1ULL, EOPNOTSUPP },
	{ "runs and waits", set_flags, 3, EBADMSG },
	{ "waits without an interval", set_flags, 2, EBADMSG },
	{ "time of a clock without one", set_flags, 1 | 8, EBADMSG },
	{ "runs for no time", set_expires, 0, EBADMSG },
	{ "runs for -1 ns", set_expires, -1ULL, EBADMSG },
	{ "runs for 2^63 ns", set_expires, 1ULL << 63, EBADMSG },
	{ "interval of -1 ns", set_interval, -1ULL, EBADMSG },
	{ "interval of -2^63 ns", set_interval, 1ULL << 63, EBADMSG },
	{ "overrun of -2", set_overrun, -2ULL, EBADMSG },
	{ "overrun of 2^63-1", set_overrun, INT64_MAX, EBADMSG },
	{ "last overrun of -2", set_overrun_last, -2ULL, EBADMSG },
	{ "last overrun of 2^63-1", set_overrun_last, INT64_MAX, EBADMSG },
	{ "notification 3", set_notify, 3, EBADMSG },
	{ "notification 5", set_notify, 5, EBADMSG },
	{ "notification -1", set_notify, -1U, EBADMSG },
	{ "signal 0", set_signo, 0, EBADMSG },
	{ "signal 65", set_signo, 65, EBADMSG },
	{ "signal -1", set_signo, -1U, EBADMSG },
	{ "thread without SIGEV_THREAD_ID", set_tid, 1, EBADMSG },
	{ "thread 0", set_thread, 0, EBADMSG },
	{ "thread 1", set_thread, 1, EBADMSG },
	{ "thread -1", set_thread, -1U, EBADMSG },
	{ "overrun of no signal", set_sig_overrun, 1, EBADMSG },
	{ "waits with an interval of 0", set_waiting_interval, 0, EBADMSG },
	{ "waits and runs", set_waiting_flags, 7, EBADMSG },
	{ "waits without notification", set_waiting_notify, SIGEV_NONE, EBADMSG },
	{ "overrun of the signal is negative", set_waiting_overrun, -1U, EBADMSG },
	{ "pending signal with unknown flags", set_info_flags, 2, EOPNOTSUPP },
	{ "pending signal of no timer", set_info_id, 3, EBADMSG },
	{ "pending signal of timer -1", set_info_id, -1U, EBADMSG },
	{ "pending signal of another number", set_info_signo, 35, EBADMSG },
	{ "pending signal of another kind", set_info_code, SI_QUEUE, EBADMSG },
	{ "two pending signals of one timer", set_twice, 0, EBADMSG },
	/* Odd, but what a process can do to itself. */
	{ "pending signal that says it is queued", set_info_flags, 0, 0 },
	{ "runs for 2^63-1 ns", set_expires, INT64_MAX, 0 },
	{ "interval of 2^63-1 ns", set_interval, INT64_MAX, 0 },
	{ "interval of 1 ns", set_interval, 1, 0 },
	{ "ID 2^31-1", set_id, INT32_MAX, 0 },
	{ "next ID 2^31-1", set_next_id, INT32_MAX, 0 },
	{ "overrun of 2^62", set_overrun, 1ULL << 62, 0 },
	{ "last overrun of 2^62", set_overrun_last, 1ULL << 62, 0 },
	{ "overrun of the signal of 2^31-1", set_waiting_overrun, INT32_MAX, 0 },
	{ "interval timer of 2^63-1 ns", set_it_left, INT64_MAX, 0 },
	{ "virtual timer of 2^63-1 ns", set_it_virt_left, INT64_MAX, 0 },
	{ "thread 0 that is ours", set_no_thread, 0, EBADMSG },
	{ "waits without a signal", set_waiting_flags, 2, 0 },
};

TEST(hostile_values)
{
	char path[300];
	struct img_image good, bad;
	struct img_proc p;
	pid_t pid;
	size_t i;
	int ret;

	if (img_nodump())
		SKIP(return, "needs a dump");
	snprintf(path, sizeof(path), "%s", img_path("hostile"));
	IMG_SPAWN(&p, "hostile", 's', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	ASSERT_EQ(0, img_load(&good, p.image));
	for (i = 0; i < ARRAY_SIZE(hostile); i++) {
		const struct hostile *h = &hostile[i];

		ASSERT_EQ(0, img_copy(&bad, &good));
		h->patch(&bad, h->arg);
		img_fix_crc(&bad);
		ASSERT_EQ(0, img_save(&bad, path));
		img_free(&bad);
		pid = 0;
		ret = img_try_exec(path, NULL, &pid);
		if (!ret) {
			img_msleep(20);
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
		}
		if (ret != -h->error) {
			img_diag("%s: %s", h->name, ret ? strerror(-ret) : "it ran");
			_metadata->exit_code = KSFT_FAIL;
		}
	}
	unlink(path);
	ASSERT_EQ(0, img_finish(&p));
}

/*
 * Limits
 */

static int limit_pending(void *data)
{
	struct rlimit lim = { (long)data, (long)data };

	return setrlimit(RLIMIT_SIGPENDING, &lim) ? -errno : 0;
}

/* The launcher's own timers are gone when the image's are made. */
static int limit_with_timers(void *data)
{
	int i, ret = limit_pending(data);

	for (i = 0; !ret && i < 60; i++)
		make(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0);
	return ret;
}

/* 60 timers, one of which has a pending signal, and one more of those. */
TARGET(many)
{
	int i;

	block(SIG_BLOCK, SIGRTMIN);
	for (i = 0; i < 60; i++)
		make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, i);
	arm(5, 0, MSEC, 0);
	MUST(sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 1 }));
	img_msleep(20);
	img_freeze();
	for (i = 0; i < 60; i++)
		CHECK(exists(i));
}

TEST(limit_of_pending_signals)
{
	struct img_launch how = { .uid = 54321 };
	struct img_proc p;
	long limit;
	pid_t pid;

	if (img_nodump())
		SKIP(return, "needs a dump");
	if (geteuid())
		SKIP(return, "not root: others may have timers");
	IMG_SPAWN(&p, "many", 's', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	how.prepare = limit_pending;
	for (limit = 0; limit <= 60; limit += limit < 58 ? 29 : 1) {
		how.data = (void *)limit;
		EXPECT_EQ(-EAGAIN, img_try_exec(p.image, &how, &pid));
	}
	how.data = (void *)61;
	how.prepare = limit_with_timers;
	ASSERT_EQ(0, img_resume_as(&p, &how));
	ASSERT_EQ(0, img_settle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

/* Waking up the machine takes a capability. */
TARGET(alarm_clock)
{
	arm(make(clocks[find_clock("boottime_alarm")].clock, SIGEV_SIGNAL, SIGRTMIN, 0), 0,
	    500 * SEC, 0);
	img_freeze();
}

TEST(alarm_needs_a_capability)
{
	struct img_launch how = { .uid = IMG_NOBODY };
	struct img_proc p;
	pid_t pid;

	if (img_nodump())
		SKIP(return, "needs a dump");
	if (geteuid())
		SKIP(return, "not root");
	IMG_SPAWN(&p, "alarm_clock", 's', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	EXPECT_EQ(-EPERM, img_try_exec(p.image, &how, &pid));
	ASSERT_EQ(0, img_resume(&p));
	ASSERT_EQ(0, img_finish(&p));
}
