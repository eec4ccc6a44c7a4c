// SPDX-License-Identifier: GPL-2.0
/*
 * Processes with several threads: all of them at one instant, and again with
 * all that is theirs.
 */
#include <dirent.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "img_test.h"
#include "img_threads.h"

static int count_tasks(void)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	int n = 0;

	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

/* One that was joined may still be about to leave. */
static void await_tasks(int nr)
{
	int n;

	for (n = 0; count_tasks() > nr && n < 20000; n++)
		usleep(500);
	CHECK_EQ(nr, count_tasks());
}

/*
 * Registers
 */

/**
 * struct pattern - what a thread has in its registers
 * @go: the thread waits for it; first, since it is the address in RDI
 * @spin: it does so in user mode
 * @avx: the processor has YMM registers
 * @gpr: RBX, RBP, R12 to R15, R8, R9
 * @vec: YMM0 to YMM15, or the XMM in the first half of each
 * @seen_gpr: the same, afterwards
 * @seen_vec: the same, afterwards
 */
struct pattern {
	volatile int go;
	int spin;
	uint64_t avx;
	uint64_t gpr[8];
	uint8_t vec[16][32];
	uint64_t seen_gpr[8];
	uint8_t seen_vec[16][32];
};

void pattern_wait(struct pattern *p);

#define LOAD_X(n)	"movdqu (80 + 32 * " #n ")(%rdi), %xmm" #n "\n"
#define LOAD_Y(n)	"vmovdqu (80 + 32 * " #n ")(%rdi), %ymm" #n "\n"
#define STORE_X(n)	"movdqu %xmm" #n ", (656 + 32 * " #n ")(%rdi)\n"
#define STORE_Y(n)	"vmovdqu %ymm" #n ", (656 + 32 * " #n ")(%rdi)\n"
#define EACH(x)		x(0) x(1) x(2) x(3) x(4) x(5) x(6) x(7) x(8) x(9) x(10)	\
			x(11) x(12) x(13) x(14) x(15)

_Static_assert(offsetof(struct pattern, vec) == 80, "see LOAD_X");
_Static_assert(offsetof(struct pattern, seen_gpr) == 592, "see below");
_Static_assert(offsetof(struct pattern, seen_vec) == 656, "see STORE_X");

__asm__(
	".text\n"
	".globl pattern_wait\n"
	"pattern_wait:\n"
	"push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\n"
	"mov 16(%rdi), %rbx\nmov 24(%rdi), %rbp\n"
	"mov 32(%rdi), %r12\nmov 40(%rdi), %r13\nmov 48(%rdi), %r14\nmov 56(%rdi), %r15\n"
	"mov 64(%rdi), %r8\nmov 72(%rdi), %r9\n"
	"cmpq $0, 8(%rdi)\nje 1f\n"
	EACH(LOAD_Y)
	"jmp 2f\n"
	"1:\n"
	EACH(LOAD_X)
	"2:\n"
	"mov $128, %esi\n"	/* FUTEX_WAIT_PRIVATE */
	"xor %edx, %edx\nxor %r10d, %r10d\n"
	"3:\n"
	"cmpl $0, (%rdi)\njne 5f\n"
	"cmpl $0, 4(%rdi)\nje 4f\n"
	"pause\njmp 3b\n"
	"4:\n"
	"mov $202, %eax\n"	/* futex */
	"syscall\n"
	"jmp 3b\n"
	"5:\n"
	"mov %rbx, 592(%rdi)\nmov %rbp, 600(%rdi)\n"
	"mov %r12, 608(%rdi)\nmov %r13, 616(%rdi)\nmov %r14, 624(%rdi)\nmov %r15, 632(%rdi)\n"
	"mov %r8, 640(%rdi)\nmov %r9, 648(%rdi)\n"
	"cmpq $0, 8(%rdi)\nje 6f\n"
	EACH(STORE_Y)
	"vzeroupper\n"
	"jmp 7f\n"
	"6:\n"
	EACH(STORE_X)
	"7:\n"
	"pop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\n"
	"ret\n"
);

/*
 * As many threads, each with its own of everything
 */

struct own {
	struct pattern pattern;
	pthread_t thread;
	int nr;
	int tid;
	char altstack[8192];
};

static struct own *owns;
static volatile int waiting, handled;
static __thread uint64_t tls_words[16];

static sigset_t own_mask(int nr)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + nr % 20);
	return set;
}

static void own_set_up(struct own *o, char *stack, size_t len)
{
	stack_t ss = { .ss_sp = o->altstack, .ss_size = sizeof(o->altstack) };
	sigset_t mask = own_mask(o->nr);
	char name[16];

	img_fill(&o->pattern.gpr, sizeof(o->pattern.gpr), o->nr);
	img_fill(&o->pattern.vec, sizeof(o->pattern.vec), o->nr + 1);
	o->pattern.avx = !!__builtin_cpu_supports("avx");
	img_fill(tls_words, sizeof(tls_words), o->nr + 2);
	img_fill(stack, len, o->nr + 3);
	MUST(sigaltstack(&ss, NULL));
	MUST(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8));
	snprintf(name, sizeof(name), "own %d", o->nr);
	MUST(prctl(PR_SET_NAME, name));
	MUST(prctl(PR_SET_TIMERSLACK, 50000 + o->nr));
	MUST(prctl(PR_SET_PDEATHSIG, SIGRTMIN + o->nr % 7));
	o->tid = my_tid();
}

static void own_check(struct own *o, const char *stack, size_t len)
{
	sigset_t mask, want = own_mask(o->nr);
	size_t width = o->pattern.avx ? 32 : 16;
	char name[16], expect[16];
	int i, sig = 0;
	stack_t ss;

	CHECK(!memcmp(o->pattern.gpr, o->pattern.seen_gpr, sizeof(o->pattern.gpr)));
	for (i = 0; i < 16; i++)
		CHECK(!memcmp(o->pattern.vec[i], o->pattern.seen_vec[i], width));
	CHECK_FILL(tls_words, sizeof(tls_words), o->nr + 2);
	CHECK_FILL(stack, len, o->nr + 3);
	MUST(sigaltstack(NULL, &ss));
	CHECK(ss.ss_sp == o->altstack && ss.ss_size == sizeof(o->altstack));
	MUST(syscall(SYS_rt_sigprocmask, SIG_SETMASK, NULL, &mask, 8));
	CHECK(!memcmp(&mask, &want, 8));
	MUST(prctl(PR_GET_NAME, name));
	snprintf(expect, sizeof(expect), "own %d", o->nr);
	CHECK(!strcmp(name, expect));
	CHECK_EQ(50000 + o->nr, prctl(PR_GET_TIMERSLACK));
	MUST(prctl(PR_GET_PDEATHSIG, &sig));
	CHECK_EQ(SIGRTMIN + o->nr % 7, sig);
	/* The library's own note of it was brought up to date. */
	CHECK_EQ(0, pthread_kill(pthread_self(), SIGURG));
	if (!img_nodump())
		CHECK(my_tid() != o->tid);
}

static void *own_thread(void *arg)
{
	struct own *o = arg;
	char stack[4096];

	own_set_up(o, stack, sizeof(stack));
	add(&waiting, 1);
	pattern_wait(&o->pattern);
	own_check(o, stack, sizeof(stack));
	return o;
}

/* Which of them spin: enough to keep all processors busy, not to take hours. */
static bool own_spins(int nr, int of)
{
	return of <= 1000 && nr < 32 && nr % 2;
}

TARGET(each_its_own)
{
	int i, nr = atoi(arg) - 1;
	void *ret;

	owns = calloc(nr + 1, sizeof(*owns));
	CHECK(owns);
	for (i = 0; i < nr; i++) {
		owns[i].nr = i;
		owns[i].pattern.spin = own_spins(i, nr);
		start(&owns[i].thread, own_thread, &owns[i]);
	}
	await(&waiting, nr);
	img_freeze();
	CHECK_EQ(nr + 1, count_tasks());
	CHECK_EQ(nr + 1, img_status_field(getpid(), "Threads:", 10));
	for (i = 0; i < nr; i++)
		tell(&owns[i].pattern.go, 1);
	for (i = 0; i < nr; i++) {
		CHECK_EQ(0, pthread_join(owns[i].thread, &ret));
		CHECK(ret == &owns[i]);
	}
	await_tasks(1);
}

FIXTURE(number) {
};

FIXTURE_VARIANT(number) {
	const char *nr;
	char mode;
	int cycles;
};

FIXTURE_SETUP(number)
{
}

FIXTURE_TEARDOWN(number)
{
}

FIXTURE_VARIANT_ADD(number, one) { "1", 's', 2 };
FIXTURE_VARIANT_ADD(number, two) { "2", 's', 3 };
FIXTURE_VARIANT_ADD(number, two_stopped) { "2", 't', 3 };
FIXTURE_VARIANT_ADD(number, many) { "64", 's', 5 };
FIXTURE_VARIANT_ADD(number, many_stopped) { "64", 't', 2 };
FIXTURE_VARIANT_ADD(number, thousand) { "1000", 's', 2 };
FIXTURE_VARIANT_ADD(number, ten_thousand) { "10000", 's', 1 };

TEST_F_TIMEOUT(number, each_its_own, 120)
{
	struct img_proc p;
	int i;

	if (img_slow() > 1 && atol(variant->nr) > 1000)
		SKIP(return, "takes too long on a debug kernel");
	/* Each has a stack here and one in the kernel. */
	if (atol(variant->nr) * 20 > sysconf(_SC_AVPHYS_PAGES))
		SKIP(return, "not enough memory");
	IMG_SPAWN(&p, "each_its_own", variant->mode, variant->nr, NULL);
	for (i = 0; i < variant->cycles; i++)
		ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

/* Threads get it from who makes them. */
static int be_nice(void *data)
{
	return setpriority(PRIO_PROCESS, 0, 19) ? -errno : 0;
}

/* Threads that run, but seldom get a processor, are waited for together. */
TEST(late_threads)
{
	struct img_launch how = { .prepare = be_nice };
	struct img_proc p;
	pid_t pid[4];
	int i;

	if (img_nodump())
		SKIP(return, "needs a dump");
	IMG_SPAWN(&p, "each_its_own", 's', "12", &how);
	for (i = 0; i < 4; i++) {
		pid[i] = fork();
		if (!pid[i])
			for (;;)
				;
	}
	EXPECT_EQ(0, img_dump(&p));
	EXPECT_EQ(0, img_dump(&p));
	for (i = 0; i < 4; i++) {
		kill(pid[i], SIGKILL);
		waitpid(pid[i], NULL, 0);
	}
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

/*
 * Work that never rests
 */

static volatile sig_atomic_t left;

static void leave(int sig)
{
	left = 1;
}

#define QUEUE	16

static pthread_mutex_t q_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t q_more = PTHREAD_COND_INITIALIZER, q_room = PTHREAD_COND_INITIALIZER;
static uint64_t queue[QUEUE], q_head, q_tail, q_in[4], q_out[4];

static void *producer(void *arg)
{
	uint64_t *sum = arg, v = sum - q_in + 1;

	/* However late it gets the processor: some work for all. */
	while (!left || __atomic_load_n(&q_head, __ATOMIC_RELAXED) <= 100) {
		pthread_mutex_lock(&q_lock);
		while (q_head - q_tail == QUEUE)
			pthread_cond_wait(&q_room, &q_lock);
		queue[q_head++ % QUEUE] = v;
		pthread_cond_signal(&q_more);
		pthread_mutex_unlock(&q_lock);
		*sum += v;
		v = v * 6364136223846793005ULL + 1442695040888963407ULL;
	}
	return NULL;
}

/* A zero ends it. */
static void *consumer(void *arg)
{
	uint64_t *sum = arg, v;

	do {
		pthread_mutex_lock(&q_lock);
		while (q_head == q_tail)
			pthread_cond_wait(&q_more, &q_lock);
		v = queue[q_tail++ % QUEUE];
		pthread_cond_signal(&q_room);
		pthread_mutex_unlock(&q_lock);
		*sum += v;
	} while (v);
	return NULL;
}

static void put(uint64_t v)
{
	pthread_mutex_lock(&q_lock);
	while (q_head - q_tail == QUEUE)
		pthread_cond_wait(&q_room, &q_lock);
	queue[q_head++ % QUEUE] = v;
	pthread_cond_signal(&q_more);
	pthread_mutex_unlock(&q_lock);
}

TARGET(condvars)
{
	uint64_t in = 0, out = 0;
	pthread_t t[8];
	int i;

	signal(SIGUSR2, leave);
	for (i = 0; i < 4; i++) {
		start(&t[i], producer, &q_in[i]);
		start(&t[4 + i], consumer, &q_out[i]);
	}
	img_send('R', " ");
	while (!left)
		usleep(500);
	join_all(t, 4);
	for (i = 0; i < 4; i++)
		put(0);
	join_all(t + 4, 4);
	for (i = 0; i < 4; i++) {
		in += q_in[i];
		out += q_out[i];
	}
	CHECK(in == out);
	CHECK_EQ(q_head, q_tail);
	CHECK(q_head > 100);
}

/* All threads at the same few words. */
static pthread_mutex_t storm_lock[3];
static pthread_rwlock_t storm_rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t storm_barrier;
static sem_t storm_sem;
static uint64_t storm_count[3], storm_written[2];
static uint64_t storm_rounds[8];
static volatile int storm_end;

static void *storm(void *arg)
{
	uint64_t *rounds = arg;
	int i;

	for (;;) {
		for (i = 0; i < 3; i++) {
			pthread_mutex_lock(&storm_lock[i]);
			storm_count[i]++;
			pthread_mutex_unlock(&storm_lock[i]);
		}
		pthread_rwlock_rdlock(&storm_rw);
		CHECK(storm_written[0] == storm_written[1]);
		pthread_rwlock_unlock(&storm_rw);
		if (*rounds % 16 == 0) {
			pthread_rwlock_wrlock(&storm_rw);
			storm_written[0]++;
			storm_written[1]++;
			pthread_rwlock_unlock(&storm_rw);
		}
		sem_wait(&storm_sem);
		sem_post(&storm_sem);
		++*rounds;
		/* The same decision for all, between two barriers. */
		if (pthread_barrier_wait(&storm_barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
			storm_end = left && *rounds > 10;
		pthread_barrier_wait(&storm_barrier);
		if (storm_end)
			return NULL;
	}
}

TARGET(storm)
{
	static const int types[] = {
		PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_ADAPTIVE_NP,
	};
	pthread_mutexattr_t attr;
	pthread_t t[8];
	int i;

	for (i = 0; i < 3; i++) {
		pthread_mutexattr_init(&attr);
		pthread_mutexattr_settype(&attr, types[i]);
		/* That one has its owner's ID in the word itself. */
		if (i == 1)
			pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
		CHECK_EQ(0, pthread_mutex_init(&storm_lock[i], &attr));
	}
	pthread_barrier_init(&storm_barrier, NULL, 8);
	sem_init(&storm_sem, 0, 2);
	signal(SIGUSR2, leave);
	for (i = 0; i < 8; i++)
		start(&t[i], storm, &storm_rounds[i]);
	img_send('R', " ");
	while (!left)
		usleep(500);
	join_all(t, 8);
	for (i = 0; i < 8; i++)
		CHECK_EQ(storm_rounds[0], storm_rounds[i]);
	for (i = 0; i < 3; i++)
		CHECK_EQ(storm_rounds[0] * 8, storm_count[i]);
	CHECK(storm_rounds[0] > 10);
}

/* Threads that are made and end all the time, joined or detached. */
static volatile int born, died, detached;

static void *short_lived(void *arg)
{
	char stack[1024];

	img_fill(stack, sizeof(stack), (long)arg);
	__atomic_add_fetch(&born, 1, __ATOMIC_SEQ_CST);
	if ((long)arg % 3 == 0)
		sched_yield();
	CHECK_FILL(stack, sizeof(stack), (long)arg);
	__atomic_add_fetch(&died, 1, __ATOMIC_SEQ_CST);
	return arg;
}

static void *breeder(void *arg)
{
	pthread_t t;
	void *ret;
	long i = (long)arg;

	do {
		start(&t, short_lived, (void *)i);
		if (i % 4 == 0) {
			CHECK_EQ(0, pthread_detach(t));
			__atomic_add_fetch(&detached, 1, __ATOMIC_SEQ_CST);
		} else {
			CHECK_EQ(0, pthread_join(t, &ret));
			CHECK(ret == (void *)i);
		}
		i += 10;
	} while (!left);
	return NULL;
}

TARGET(breeding)
{
	pthread_t t[3];
	long i;
	int n;

	signal(SIGUSR2, leave);
	for (i = 0; i < 3; i++)
		start(&t[i], breeder, (void *)i);
	img_send('R', " ");
	while (!left)
		usleep(500);
	join_all(t, 3);
	for (n = 0; died < born && n < 20000; n++)
		usleep(500);
	CHECK_EQ(born, died);
	CHECK(born >= 3);
	await_tasks(1);
}

FIXTURE(busy) {
};

FIXTURE_VARIANT(busy) {
	const char *target;
	bool ids;
};

FIXTURE_SETUP(busy)
{
}

FIXTURE_TEARDOWN(busy)
{
}

FIXTURE_VARIANT_ADD(busy, condvars) { "condvars" };
FIXTURE_VARIANT_ADD(busy, storm) { "storm" };
/* Who makes a thread holds a recursive mutex of the C library, for a moment. */
FIXTURE_VARIANT_ADD(busy, breeding) { "breeding", .ids = true };

/* In a namespace where the IDs are free that the locks in its memory know of. */
static int resume_busy(struct img_proc *p, pid_t pid, bool ids)
{
	struct img_launch how = { .pid = ids ? pid : 0 };
	int ret;

	p->pid = 0;
	ret = img_resume_as(p, &how);
	return ret ?: img_settle(p);
}

/* One life after the other.  Its mappings come and go. */
TEST_F_TIMEOUT(busy, cycles, 120)
{
	struct img_proc p;
	pid_t pid;
	int i;

	if (variant->ids && geteuid())
		SKIP(return, "needs root");
	IMG_SPAWN(&p, variant->target, 'r', NULL, NULL);
	pid = p.pid;
	for (i = 0; i < 10; i++) {
		img_msleep(20);
		ASSERT_EQ(0, img_dump(&p));
		img_kill(&p);
		ASSERT_EQ(0, resume_busy(&p, pid, variant->ids));
	}
	img_msleep(50);
	ASSERT_EQ(0, img_finish(&p));
}

static int read_dump(pid_t pid)
{
	int fd = img_open_dump(pid);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

/* One process that lives on, and copies of it that are all in order. */
TEST_F_TIMEOUT(busy, live, 240)
{
	int i, dumps = img_slow() > 1 ? 102 : 340, copies = 17;
	struct img_proc p, copy;

	if (img_nodump())
		SKIP(return, "needs a dump");
	if (variant->ids && geteuid())
		SKIP(return, "needs root");
	IMG_SPAWN(&p, variant->target, 'r', NULL, NULL);
	for (i = 0; i < dumps; i++) {
		if (i % (dumps / copies)) {
			ASSERT_EQ(0, read_dump(p.pid));
			continue;
		}
		copy = p;
		copy.maps = NULL;
		ASSERT_EQ(0, img_dump(&copy));
		ASSERT_EQ(0, resume_busy(&copy, p.pid, variant->ids));
		img_msleep(20);
		ASSERT_EQ(0, img_finish(&copy));
	}
	ASSERT_EQ(0, img_finish(&p));
}


/*
 * Signals of single threads
 */

static volatile int got_tid, got_value, got_sig;

static void catch_info(int sig, siginfo_t *info, void *uc)
{
	got_tid = my_tid();
	got_value = info->si_value.sival_int;
	got_sig = sig;
	__atomic_add_fetch(&handled, 1, __ATOMIC_SEQ_CST);
	futex(&handled, FUTEX_WAKE, INT_MAX);
}

static void on(int sig)
{
	struct sigaction sa = { .sa_sigaction = catch_info, .sa_flags = SA_SIGINFO | SA_RESTART };

	MUST(sigaction(sig, &sa, NULL));
}

static void block(int sig, bool yes)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	pthread_sigmask(yes ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

static void send_to(int tid, int sig, int value)
{
	siginfo_t info = { .si_signo = sig, .si_code = SI_QUEUE };

	info.si_value.sival_int = value;
	info.si_pid = getpid();
	MUST(syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, sig, &info));
}

static volatile int go, tids[8];

/* Three of each of two signals are pending for it, with values that tell whose. */
static void *has_pending(void *arg)
{
	long me = (long)arg;
	int i;

	block(SIGRTMIN + 1, true);
	block(SIGRTMIN + 2, true);
	tids[me] = my_tid();
	for (i = 0; i < 3; i++) {
		send_to(my_tid(), SIGRTMIN + 2, me * 10 + i);
		send_to(my_tid(), SIGRTMIN + 1, me * 10 + 5 + i);
	}
	add(&waiting, 1);
	await(&go, 1);
	for (i = 0; i < 6; i++) {
		struct timespec now = {};
		siginfo_t info;
		sigset_t set;

		sigemptyset(&set);
		sigaddset(&set, SIGRTMIN + 1);
		sigaddset(&set, SIGRTMIN + 2);
		CHECK_EQ(SIGRTMIN + 1 + i / 3, sigtimedwait(&set, &info, &now));
		CHECK_EQ(me * 10 + (i < 3 ? 5 : 0) + i % 3, info.si_value.sival_int);
	}
	return NULL;
}

IMG_TEST(pending_signals)
{
	struct timespec now = {};
	siginfo_t info;
	pthread_t t[6];
	sigset_t set;
	long i;

	block(SIGRTMIN + 3, true);
	for (i = 0; i < 6; i++)
		start(&t[i], has_pending, (void *)i);
	await(&waiting, 6);
	MUST(sigqueue(getpid(), SIGRTMIN + 3, (union sigval){ .sival_int = 77 }));
	img_freeze();
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 3);
	CHECK_EQ(SIGRTMIN + 3, sigtimedwait(&set, &info, &now));
	CHECK_EQ(77, info.si_value.sival_int);
	tell(&go, 1);
	join_all(t, 6);
}

/* One accepts what is sent to the process, one waits for it in sigwait(). */
static void *accepts(void *arg)
{
	block(SIGUSR1, false);
	tids[0] = my_tid();
	add(&waiting, 1);
	await(&go, 1);
	tids[1] = my_tid();
	return NULL;
}

static void *waits(void *arg)
{
	sigset_t set;
	int sig = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	add(&waiting, 1);
	CHECK_EQ(0, sigwait(&set, &sig));
	CHECK_EQ(SIGHUP, sig);
	return NULL;
}

IMG_TEST(signals_of_the_process)
{
	pthread_t t[2];

	block(SIGUSR1, true);
	block(SIGHUP, true);
	on(SIGUSR1);
	start(&t[0], accepts, NULL);
	start(&t[1], waits, NULL);
	await(&waiting, 2);
	img_freeze();
	MUST(kill(getpid(), SIGUSR1));
	await(&handled, 1);
	MUST(kill(getpid(), SIGHUP));
	tell(&go, 1);
	join_all(t, 2);
	CHECK_EQ(tids[1], got_tid);
}

/* In a handler, on the thread's alternate stack, when it is dumped. */
static void on_altstack(int sig, siginfo_t *info, void *uc)
{
	stack_t ss;
	char here;

	add(&waiting, 1);
	await(&go, 1);
	MUST(sigaltstack(NULL, &ss));
	CHECK(ss.ss_flags & SS_ONSTACK);
	CHECK(&here > (char *)ss.ss_sp && &here < (char *)ss.ss_sp + ss.ss_size);
	got_tid = my_tid();
}

static void *handles(void *arg)
{
	static char stack[2][65536];
	stack_t ss = { .ss_sp = stack[(long)arg], .ss_size = sizeof(stack[0]) };

	MUST(sigaltstack(&ss, NULL));
	MUST(pthread_kill(pthread_self(), SIGUSR1));
	MUST(sigaltstack(NULL, &ss));
	CHECK_EQ(0, ss.ss_flags);
	return NULL;
}

IMG_TEST(in_handlers)
{
	struct sigaction sa = {
		.sa_sigaction = on_altstack, .sa_flags = SA_SIGINFO | SA_ONSTACK,
	};
	pthread_t t[2];

	MUST(sigaction(SIGUSR1, &sa, NULL));
	start(&t[0], handles, (void *)0);
	start(&t[1], handles, (void *)1);
	await(&waiting, 2);
	img_freeze();
	tell(&go, 1);
	join_all(t, 2);
}

/*
 * Timers of threads
 */

static timer_t timers[8];

static void *has_timer(void *arg)
{
	struct sigevent ev = {
		.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 4,
	};
	struct itimerspec cpu = { .it_value = { .tv_nsec = 20000000 } };
	volatile unsigned long n = 0;
	struct timespec used;
	long me = (long)arg;
	timer_t mine;

	/* To itself, from now on, by a clock of its own. */
	ev._sigev_un._tid = my_tid();
	ev.sigev_value.sival_int = me;
	MUST(timer_create(CLOCK_MONOTONIC, &ev, &timers[me]));
	ev.sigev_value.sival_int = me + 100;
	MUST(timer_create(CLOCK_THREAD_CPUTIME_ID, &ev, &mine));
	add(&waiting, 1);
	await(&go, me + 1);

	/* The main thread has set the timer that signals us. */
	while (handled < 2 * me + 1)
		await(&handled, 2 * me + 1);
	CHECK_EQ(my_tid(), got_tid);
	CHECK_EQ(me, got_value);
	MUST(timer_settime(mine, 0, &cpu, NULL));
	while (handled < 2 * me + 2)
		n++;
	CHECK_EQ(my_tid(), got_tid);
	CHECK_EQ(me + 100, got_value);
	MUST(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used));
	CHECK(used.tv_sec || used.tv_nsec >= 19000000);
	add(&waiting, -1);
	return NULL;
}

IMG_TEST(timers_of_threads)
{
	struct itimerspec soon = { .it_value = { .tv_nsec = 1000000 } };
	pthread_t t[4];
	long i;

	on(SIGRTMIN + 4);
	for (i = 0; i < 4; i++) {
		start(&t[i], has_timer, (void *)i);
		await(&waiting, i + 1);
	}
	img_freeze();
	for (i = 0; i < 4; i++) {
		tell(&go, i + 1);
		MUST(timer_settime(timers[i], 0, &soon, NULL));
		await(&waiting, 3 - i);
	}
	join_all(t, 4);
}

/* Of the CPU time of another thread, and running when it is dumped. */
static void *burns(void *arg)
{
	volatile unsigned long n = 0;

	tids[0] = my_tid();
	add(&waiting, 1);
	await(&go, 1);
	while (!handled)
		n++;
	return NULL;
}

IMG_TEST(timer_of_another_threads_time)
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 4 };
	struct itimerspec its = { .it_value = { .tv_nsec = 30000000 } };
	clockid_t clock;
	pthread_t t;
	timer_t id;

	on(SIGRTMIN + 4);
	start(&t, burns, NULL);
	await(&waiting, 1);
	CHECK_EQ(0, pthread_getcpuclockid(t, &clock));
	MUST(timer_create(clock, &ev, &id));
	MUST(timer_settime(id, 0, &its, NULL));
	img_freeze();
	CHECK_EQ(0, handled);
	tell(&go, 1);
	join_all(&t, 1);
	CHECK_EQ(1, handled);
}

/*
 * Sleeps of threads
 */

static void *sleeps(void *arg)
{
	struct timespec ts = { .tv_nsec = 300000000 };

	add(&waiting, 1);
	CHECK_EQ(0, nanosleep(&ts, NULL));
	add(&waiting, 1);
	return NULL;
}

IMG_TEST(sleeps_go_on)
{
	pthread_t t[8];

	start_all(t, 8, sleeps);
	while (waiting < 8)
		sched_yield();
	img_freeze();
	join_all(t, 8);
	CHECK_EQ(16, waiting);
}

/*
 * The thread library
 */

static pthread_key_t key;
static volatile int destroyed, cancelled, cleaned;

static void destroy(void *value)
{
	__atomic_add_fetch(&destroyed, (long)value, __ATOMIC_SEQ_CST);
}

static void clean_up(void *arg)
{
	cleaned++;
}

static void *has_key(void *arg)
{
	pthread_setspecific(key, arg);
	add(&waiting, 1);
	await(&go, 1);
	CHECK(pthread_getspecific(key) == arg);
	return NULL;
}

static void *is_cancelled(void *arg)
{
	add(&waiting, 1);
	pthread_cleanup_push(clean_up, NULL);
	/* A cancellation point, in which it is dumped. */
	for (;;)
		pause();
	pthread_cleanup_pop(0);
	return NULL;
}

static void *is_detached(void *arg)
{
	add(&waiting, 1);
	await(&go, 1);
	add(&handled, 1);
	return NULL;
}

IMG_TEST(library)
{
	pthread_t t[4], c, d, n;
	cpu_set_t set, seen;
	void *ret;
	long i;

	CHECK_EQ(0, pthread_key_create(&key, destroy));
	for (i = 0; i < 4; i++)
		start(&t[i], has_key, (void *)(i + 1));
	start(&c, is_cancelled, NULL);
	start(&d, is_detached, NULL);
	await(&waiting, 6);
	img_freeze();
	CHECK_EQ(0, pthread_kill(t[0], 0));
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	CHECK_EQ(0, pthread_setaffinity_np(t[1], sizeof(set), &set));
	CHECK_EQ(0, pthread_getaffinity_np(t[1], sizeof(seen), &seen));
	CHECK(CPU_EQUAL(&set, &seen));
	CHECK_EQ(0, pthread_setname_np(t[2], "renamed"));
	CHECK_EQ(0, pthread_detach(d));
	CHECK_EQ(0, pthread_cancel(c));
	CHECK_EQ(0, pthread_join(c, &ret));
	CHECK(ret == PTHREAD_CANCELED);
	CHECK_EQ(1, cleaned);
	tell(&go, 1);
	join_all(t, 4);
	CHECK_EQ(10, destroyed);
	await(&handled, 1);
	start(&n, has_key, (void *)5);
	join_all(&n, 1);
	CHECK_EQ(15, destroyed);
}

/* fork() from a thread, with all the others away in the child. */
static void *forks(void *arg)
{
	int status = 0;
	pid_t pid;

	add(&waiting, 1);
	await(&go, 1);
	pid = fork();
	if (!pid)
		_exit(count_tasks() == 1 && my_tid() == getpid() ? 7 : 1);
	CHECK_EQ(pid, waitpid(pid, &status, 0));
	CHECK_EQ(7 << 8, status);
	return NULL;
}

IMG_TEST(fork_from_a_thread)
{
	pthread_t t[3];

	start_all(t, 3, forks);
	await(&waiting, 3);
	img_freeze();
	tell(&go, 1);
	join_all(t, 3);
}

/* exec of another program ends the others, from whichever thread. */
static void *executes(void *arg)
{
	add(&waiting, 1);
	await(&go, 1);
	execl("/bin/true", "true", NULL);
	CHECK(false);
	return NULL;
}

IMG_TEST(exec_from_a_thread)
{
	pthread_t t[3];
	int i;

	for (i = 0; i < 3; i++)
		start(&t[i], i ? is_detached : executes, NULL);
	await(&waiting, 3);
	img_freeze();
	if (access("/bin/true", X_OK))
		_exit(0);
	tell(&go, 1);
	join_all(t, 1);
}

/*
 * Control groups
 */

#define CGROUP	"/sys/fs/cgroup/img-threads"

FIXTURE(cgroup) {
	struct img_proc p;
	int log;
};

FIXTURE_SETUP(cgroup)
{
	if (img_nodump() || geteuid())
		SKIP(return, "needs a dump, and root");
	img_write_str("/sys/fs/cgroup/cgroup.subtree_control", "+pids");
	rmdir(CGROUP);
	if (mkdir(CGROUP, 0755))
		SKIP(return, "no control groups");
	self->log = img_log_open();
	IMG_SPAWN(&self->p, "each_its_own", 's', "16", NULL);
}

FIXTURE_TEARDOWN(cgroup)
{
	int i;

	img_write_str(CGROUP "/cgroup.kill", "1");
	img_forget(&self->p);
	for (i = 0; i < 100 && rmdir(CGROUP); i++)
		img_msleep(20);
	close(self->log);
}

static int join_cgroup(void *data)
{
	return img_write_str(CGROUP "/cgroup.procs", "0");
}

static bool has_line(const char *file, const char *line)
{
	char *text = img_read_file(file, NULL);
	bool found = text && strstr(text, line);

	free(text);
	return found;
}

/* A limit that nobody can see before: then all die, and nothing is left. */
TEST_F(cgroup, no_room_for_threads)
{
	struct img_launch how = { .prepare = join_cgroup };
	int status = 0, i;
	pid_t pid;

	if (img_write_str(CGROUP "/pids.max", "10"))
		SKIP(return, "no limit of processes");
	ASSERT_EQ(0, img_dump(&self->p));
	ASSERT_EQ(0, img_try_exec(self->p.image, &how, &pid));
	ASSERT_EQ(0, img_wait_status(pid, &status));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	if (self->log >= 0)
		EXPECT_TRUE(img_log_has(self->log, self->p.image,
					"after the point of no return"));
	for (i = 0; i < 100 && !has_line(CGROUP "/pids.current", "0\n"); i++)
		img_msleep(10);
	EXPECT_TRUE(has_line(CGROUP "/pids.current", "0\n"));
	/* With room, it is resumed. */
	ASSERT_EQ(0, img_write_str(CGROUP "/pids.max", "16"));
	img_kill(&self->p);
	ASSERT_EQ(0, img_resume_as(&self->p, &how));
	ASSERT_EQ(0, img_settle(&self->p));
	EXPECT_TRUE(has_line(CGROUP "/pids.current", "16\n"));
	ASSERT_EQ(0, img_finish(&self->p));
}

/* Frozen when it is dumped, and frozen and thawed when it is resumed. */
TEST_F(cgroup, frozen)
{
	struct img_launch how = { .prepare = join_cgroup };
	char text[16];
	int i, round;

	snprintf(text, sizeof(text), "%d", self->p.pid);
	ASSERT_EQ(0, img_write_str(CGROUP "/cgroup.procs", text));
	for (round = 0; round < 3; round++) {
		if (img_write_str(CGROUP "/cgroup.freeze", "1"))
			SKIP(return, "no freezer");
		for (i = 0; i < 500 && !has_line(CGROUP "/cgroup.events", "frozen 1"); i++)
			img_msleep(10);
		EXPECT_TRUE(has_line(CGROUP "/cgroup.events", "frozen 1"));
		ASSERT_EQ(0, img_dump(&self->p));
		img_kill(&self->p);
		ASSERT_EQ(0, img_write_str(CGROUP "/cgroup.freeze", "0"));
		ASSERT_EQ(0, img_resume_as(&self->p, &how));
		ASSERT_EQ(0, img_settle(&self->p));
	}
	ASSERT_EQ(0, img_finish(&self->p));
}
