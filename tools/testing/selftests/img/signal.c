// SPDX-License-Identifier: GPL-2.0
/*
 * Signal state survives: actions, masks, the alternate stack, pending signals,
 * the stopped state.
 */
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "img_test.h"

static volatile int calls, last_sig, last_code, last_value, depth, max_depth;
static volatile uintptr_t stack_in_handler;
static sigset_t mask_in_handler;

static void handler(int sig)
{
	char here;

	calls++;
	last_sig = sig;
	stack_in_handler = (uintptr_t)&here;
	pthread_sigmask(SIG_BLOCK, NULL, &mask_in_handler);
}

static void info_handler(int sig, siginfo_t *info, void *context)
{
	handler(sig);
	last_code = info->si_code;
	last_value = info->si_value.sival_int;
}

static void nesting_handler(int sig)
{
	calls++;
	depth++;
	if (depth > max_depth)
		max_depth = depth;
	if (calls == 1)
		raise(sig);
	depth--;
}

static void handle(int sig, void (*fn)(int), int flags)
{
	struct sigaction sa = { .sa_handler = fn, .sa_flags = flags };

	MUST(sigaction(sig, &sa, NULL));
}

static void handle_info(int sig, int flags)
{
	struct sigaction sa = { .sa_sigaction = info_handler, .sa_flags = SA_SIGINFO | flags };

	MUST(sigaction(sig, &sa, NULL));
}

IMG_TEST(handler_is_called)
{
	handle(SIGUSR1, handler, 0);
	img_freeze();
	raise(SIGUSR1);
	CHECK_EQ(1, calls);
	CHECK_EQ(SIGUSR1, last_sig);
	CHECK(sigismember(&mask_in_handler, SIGUSR1));
	raise(SIGUSR1);
	CHECK_EQ(2, calls);
}

IMG_TEST(handler_gets_siginfo)
{
	union sigval v = { .sival_int = 4711 };

	handle_info(SIGRTMIN + 3, 0);
	img_freeze();
	MUST(sigqueue(getpid(), SIGRTMIN + 3, v));
	CHECK_EQ(1, calls);
	CHECK_EQ(SI_QUEUE, last_code);
	CHECK_EQ(4711, last_value);
}

IMG_TEST(handler_nests_with_nodefer)
{
	handle(SIGUSR1, nesting_handler, SA_NODEFER);
	img_freeze();
	raise(SIGUSR1);
	CHECK_EQ(2, calls);
	CHECK_EQ(2, max_depth);
}

IMG_TEST(handler_does_not_nest)
{
	handle(SIGUSR1, nesting_handler, 0);
	img_freeze();
	raise(SIGUSR1);
	CHECK_EQ(2, calls);
	CHECK_EQ(1, max_depth);
}

IMG_TEST(handler_once_with_resethand)
{
	struct sigaction sa;

	handle(SIGUSR1, handler, SA_RESETHAND);
	img_freeze();
	raise(SIGUSR1);
	CHECK_EQ(1, calls);
	MUST(sigaction(SIGUSR1, NULL, &sa));
	CHECK(sa.sa_handler == SIG_DFL);
}

IMG_TEST(handler_mask)
{
	struct sigaction sa = { .sa_handler = handler };

	sigaddset(&sa.sa_mask, SIGTERM);
	sigaddset(&sa.sa_mask, SIGRTMAX);
	MUST(sigaction(SIGUSR1, &sa, NULL));
	img_freeze();
	raise(SIGUSR1);
	CHECK(sigismember(&mask_in_handler, SIGTERM));
	CHECK(sigismember(&mask_in_handler, SIGRTMAX));
	CHECK(!sigismember(&mask_in_handler, SIGINT));
}

IMG_TEST(ignored_and_default)
{
	pid_t pid;
	int status;

	signal(SIGTERM, SIG_IGN);
	img_freeze();
	raise(SIGTERM);
	pid = fork();
	if (!pid) {
		raise(SIGUSR1);
		_exit(0);
	}
	MUST(waitpid(pid, &status, 0));
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1);
}

/* Every action as sigaction(2) shows it, which no library stands between. */
struct kernel_sigaction {
	uint64_t handler, flags, restorer, mask;
};

IMG_TEST(every_action)
{
	struct kernel_sigaction before[65] = {}, after[65] = {};
	uint64_t seed = 1;
	int sig;

	for (sig = 1; sig <= 64; sig++) {
		struct sigaction sa = { .sa_handler = handler };
		int k;

		if (sig == SIGKILL || sig == SIGSTOP || sig == 32 || sig == 33)
			continue;
		if (sig % 5 == 0)
			sa.sa_handler = SIG_IGN;
		if (sig % 7 == 0)
			sa.sa_handler = SIG_DFL;
		sa.sa_flags = img_random(&seed) & (SA_SIGINFO | SA_RESTART | SA_NODEFER |
						   SA_ONSTACK | SA_NOCLDSTOP |
						   SA_NOCLDWAIT | SA_RESETHAND);
		for (k = 1; k <= 64; k++)
			if (k != 32 && k != 33 && img_random(&seed) & 1)
				sigaddset(&sa.sa_mask, k);
		MUST(sigaction(sig, &sa, NULL));
	}
	for (sig = 1; sig <= 64; sig++)
		MUST(syscall(SYS_rt_sigaction, sig, NULL, &before[sig], 8));
	img_freeze();
	for (sig = 1; sig <= 64; sig++)
		MUST(syscall(SYS_rt_sigaction, sig, NULL, &after[sig], 8));
	for (sig = 1; sig <= 64; sig++)
		CHECKF(!memcmp(&before[sig], &after[sig], sizeof(before[0])), "signal %d", sig);
}

/* The launcher's dispositions and mask do not reach the image. */
static int odd_signals(void *data)
{
	sigset_t set;

	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigfillset(&set);
	return sigprocmask(SIG_BLOCK, &set, NULL) ? -errno : 0;
}

TARGET(own_signals)
{
	struct sigaction sa;
	sigset_t set;

	handle(SIGHUP, handler, 0);
	img_freeze();
	MUST(sigaction(SIGTERM, NULL, &sa));
	CHECK(sa.sa_handler == SIG_DFL);
	raise(SIGHUP);
	CHECK_EQ(1, calls);
	MUST(sigprocmask(SIG_BLOCK, NULL, &set));
	CHECK(sigisemptyset(&set));
}

TEST(launcher_ignores_signals)
{
	struct img_proc p;

	IMG_SPAWN(&p, "own_signals", 's', NULL, NULL);
	p.how.prepare = odd_signals;
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

IMG_TEST(mask)
{
	uint64_t before = 0x5a5a5a5a0f0f0f0f & ~(1ULL << 8 | 1ULL << 18), after = 0;

	MUST(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, 8));
	img_freeze();
	MUST(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &after, 8));
	CHECK_EQ(before, after);
}

static char alt_stack[65536];

IMG_TEST(alternate_stack)
{
	stack_t ss = { .ss_sp = alt_stack, .ss_size = sizeof(alt_stack) }, now;

	MUST(sigaltstack(&ss, NULL));
	handle(SIGUSR1, handler, SA_ONSTACK);
	img_freeze();
	MUST(sigaltstack(NULL, &now));
	CHECK(now.ss_sp == alt_stack);
	CHECK_EQ(sizeof(alt_stack), now.ss_size);
	CHECK_EQ(0, now.ss_flags);
	raise(SIGUSR1);
	CHECK(stack_in_handler >= (uintptr_t)alt_stack &&
	      stack_in_handler < (uintptr_t)alt_stack + sizeof(alt_stack));
}

IMG_TEST(alternate_stack_autodisarm)
{
	stack_t ss = {
		.ss_sp = alt_stack,
		.ss_size = sizeof(alt_stack),
		.ss_flags = 1U << 31, /* SS_AUTODISARM */
	}, now;

	MUST(sigaltstack(&ss, NULL));
	handle(SIGUSR1, handler, SA_ONSTACK);
	img_freeze();
	MUST(sigaltstack(NULL, &now));
	CHECK_EQ(1U << 31, (unsigned int)now.ss_flags);
	raise(SIGUSR1);
	CHECK(stack_in_handler >= (uintptr_t)alt_stack &&
	      stack_in_handler < (uintptr_t)alt_stack + sizeof(alt_stack));
}

IMG_TEST(no_alternate_stack)
{
	stack_t now;

	img_freeze();
	MUST(sigaltstack(NULL, &now));
	CHECK_EQ(SS_DISABLE, now.ss_flags);
}

static void freezing_handler(int sig)
{
	stack_t now;

	calls++;
	img_freeze();
	MUST(sigaltstack(NULL, &now));
	CHECK_EQ(SS_ONSTACK, now.ss_flags);
	CHECK((uintptr_t)&now >= (uintptr_t)alt_stack &&
	      (uintptr_t)&now < (uintptr_t)alt_stack + sizeof(alt_stack));
}

/* Dumped inside a handler: the way back is in its frame. */
IMG_TEST(inside_a_handler_on_the_alternate_stack)
{
	stack_t ss = { .ss_sp = alt_stack, .ss_size = sizeof(alt_stack) };
	volatile double x = 1.25;
	sigset_t set;

	MUST(sigaltstack(&ss, NULL));
	handle(SIGUSR1, freezing_handler, SA_ONSTACK);
	raise(SIGUSR1);
	CHECK_EQ(1, calls);
	CHECK(x == 1.25);
	MUST(sigprocmask(SIG_BLOCK, NULL, &set));
	CHECK(!sigismember(&set, SIGUSR1));
	CHECK((uintptr_t)&set < (uintptr_t)alt_stack ||
	      (uintptr_t)&set >= (uintptr_t)alt_stack + sizeof(alt_stack));
}

static sigjmp_buf jump;

static void fault_handler(int sig, siginfo_t *info, void *context)
{
	last_sig = sig;
	last_code = info->si_code;
	stack_in_handler = (uintptr_t)info->si_addr;
	siglongjmp(jump, 1);
}

IMG_TEST(faults_are_handled)
{
	struct sigaction sa = { .sa_sigaction = fault_handler, .sa_flags = SA_SIGINFO };
	volatile int *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile int zero = 0;

	MUST(sigaction(SIGSEGV, &sa, NULL));
	MUST(sigaction(SIGFPE, &sa, NULL));
	img_freeze();
	if (!sigsetjmp(jump, 1))
		p[5] = 1;
	CHECK_EQ(SIGSEGV, last_sig);
	CHECK_EQ(SEGV_ACCERR, last_code);
	CHECK_EQ((uintptr_t)&p[5], stack_in_handler);
	if (!sigsetjmp(jump, 1))
		zero = 7 / zero;
	CHECK_EQ(SIGFPE, last_sig);
	CHECK_EQ(FPE_INTDIV, last_code);
}

/*
 * Pending signals
 */

static void take(const sigset_t *set, siginfo_t *info, int sig)
{
	const struct timespec now = {};

	memset(info, 0, sizeof(*info));
	/* The C library's function hides how it was sent. */
	CHECK_EQ(sig, syscall(SYS_rt_sigtimedwait, set, info, &now, 8));
}

IMG_TEST(pending_kill)
{
	siginfo_t info;
	sigset_t set;
	pid_t pid = getpid();

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	MUST(kill(pid, SIGUSR1));
	img_freeze();
	MUST(sigpending(&set));
	CHECK(sigismember(&set, SIGUSR1));
	take(&set, &info, SIGUSR1);
	CHECK_EQ(SI_USER, info.si_code);
	CHECK_EQ(pid, info.si_pid);
	CHECK_EQ(getuid(), info.si_uid);
	MUST(sigpending(&set));
	CHECK(!sigismember(&set, SIGUSR1));
}

/* Real-time signals queue; their order and values are kept. */
IMG_TEST(pending_queue)
{
	siginfo_t info;
	sigset_t set;
	int i;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	sigaddset(&set, SIGRTMIN + 2);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	for (i = 0; i < 20; i++)
		MUST(sigqueue(getpid(), SIGRTMIN + 1 + i % 2, (union sigval){ .sival_int = i }));
	img_freeze();
	for (i = 0; i < 10; i++) {
		take(&set, &info, SIGRTMIN + 1);
		CHECK_EQ(SI_QUEUE, info.si_code);
		CHECK_EQ(2 * i, info.si_value.sival_int);
	}
	for (i = 0; i < 10; i++) {
		take(&set, &info, SIGRTMIN + 2);
		CHECK_EQ(2 * i + 1, info.si_value.sival_int);
	}
	CHECK_EQ(-1, sigtimedwait(&set, &info, &(struct timespec){}));
	CHECK_EQ(EAGAIN, errno);
}

/* Those of the thread and those of the process are two queues. */
TARGET(pending_private_and_shared)
{
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGTERM);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	MUST(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1));
	MUST(kill(getpid(), SIGTERM));
	img_freeze();
	take(&set, &info, SIGUSR1);
	CHECK_EQ(SI_TKILL, info.si_code);
	take(&set, &info, SIGTERM);
	CHECK_EQ(SI_USER, info.si_code);
}

TEST(pending_private_and_shared)
{
	static const char * const fields[] = {
		"SigPnd:", "ShdPnd:", "SigBlk:", "SigIgn:", "SigCgt:",
	};
	long before[ARRAY_SIZE(fields)];
	struct img_proc p;
	size_t i;

	IMG_SPAWN(&p, "pending_private_and_shared", 's', NULL, NULL);
	for (i = 0; i < ARRAY_SIZE(fields); i++)
		before[i] = img_status_field(p.pid, fields[i], 16);
	EXPECT_EQ(1UL << (SIGUSR1 - 1), before[0]);
	EXPECT_EQ(1UL << (SIGTERM - 1), before[1]);
	ASSERT_EQ(0, img_cycle(&p));
	for (i = 0; i < ARRAY_SIZE(fields); i++)
		EXPECT_EQ(before[i], img_status_field(p.pid, fields[i], 16));
	ASSERT_EQ(0, img_finish(&p));
}

/* Unblocked after the resume, it is delivered there and then. */
IMG_TEST(pending_is_delivered)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 5);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	handle_info(SIGRTMIN + 5, 0);
	MUST(sigqueue(getpid(), SIGRTMIN + 5, (union sigval){ .sival_int = 1 }));
	MUST(sigqueue(getpid(), SIGRTMIN + 5, (union sigval){ .sival_int = 2 }));
	img_freeze();
	CHECK_EQ(0, calls);
	MUST(sigprocmask(SIG_UNBLOCK, &set, NULL));
	CHECK_EQ(2, calls);
	CHECK_EQ(2, last_value);
}

/* Pending in the launcher: not the image's. */
static int leave_pending(void *data)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	if (sigprocmask(SIG_BLOCK, &set, NULL) || raise(SIGALRM))
		return -errno;
	return 0;
}

TARGET(no_pending)
{
	sigset_t set;

	handle(SIGALRM, handler, 0);
	img_freeze();
	MUST(sigpending(&set));
	CHECK(sigisemptyset(&set));
	CHECK_EQ(0, calls);
	raise(SIGALRM);
	CHECK_EQ(1, calls);
}

TEST(pending_in_the_launcher)
{
	struct img_proc p;

	IMG_SPAWN(&p, "no_pending", 's', NULL, NULL);
	p.how.prepare = leave_pending;
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

/*
 * Stopped
 */

TARGET(stops)
{
	handle(SIGCONT, handler, SA_RESTART);
	img_freeze();
	CHECK_EQ(1, calls);
}

TEST(stopped_by_sigstop)
{
	struct img_proc p;

	IMG_SPAWN(&p, "stops", 't', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	/* The dump did not wake it. */
	EXPECT_EQ('T', img_state(p.pid));
	img_kill(&p);
	ASSERT_EQ(0, img_resume(&p));
	ASSERT_EQ('T', img_state(p.pid));
	img_msleep(100);
	ASSERT_EQ('T', img_state(p.pid));
	ASSERT_EQ(0, img_same_maps(&p));
	ASSERT_EQ(0, img_finish(&p));
}

TARGET(stopped)
{
	img_freeze();
}

/* The launcher's parent sees it stop and go on, as it does of any child. */
TEST(stopped_seen_by_wait)
{
	struct img_proc p;
	int status = 0;

	if (img_nodump())
		SKIP(return, "needs a resume");
	IMG_SPAWN(&p, "stopped", 't', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	ASSERT_EQ(0, img_resume(&p));
	ASSERT_EQ(p.pid, waitpid(p.pid, &status, WUNTRACED | WNOHANG));
	EXPECT_TRUE(WIFSTOPPED(status));
	ASSERT_EQ(0, kill(p.pid, SIGCONT));
	ASSERT_EQ(p.pid, waitpid(p.pid, &status, WCONTINUED));
	EXPECT_TRUE(WIFCONTINUED(status));
	p.mode = 's';
	ASSERT_EQ(0, img_finish(&p));
}

TEST(stopped_while_running)
{
	IMG_RUN("stopped", 'x', NULL, NULL);
}

TEST(stopped_while_asleep)
{
	IMG_RUN("stopped", 't', NULL, NULL);
}

/* Killed while it is stopped, without ever having run. */
TEST(stopped_then_killed)
{
	struct img_proc p;
	int status;

	IMG_SPAWN(&p, "stopped", 't', NULL, NULL);
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, kill(p.pid, SIGKILL));
	ASSERT_EQ(0, img_wait_status(p.pid, &status));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	p.pid = 0;
	img_forget(&p);
}

/*
 * Children
 */

IMG_TEST(children_are_not_its_own)
{
	int status, fd[2];
	pid_t pid;
	char c;

	MUST(pipe(fd));
	pid = fork();
	if (!pid) {
		close(IMG_FD_CTL);
		close(fd[1]);
		_exit(read(fd[0], &c, 1));
	}
	handle(SIGCHLD, handler, SA_RESTART);
	img_freeze();
	if (img_nodump())
		return;
	CHECK_EQ(-1, waitpid(pid, &status, 0));
	CHECK_EQ(ECHILD, errno);
	CHECK_EQ(-1, wait(&status));
	CHECK_EQ(ECHILD, errno);
	CHECK_EQ(0, calls);
	/* New ones are. */
	pid = fork();
	if (!pid)
		_exit(5);
	CHECK_EQ(pid, waitpid(pid, &status, 0));
	CHECK_EQ(5, WEXITSTATUS(status));
	CHECK_EQ(1, calls);
}

/* The parent is told of the end of a resumed process as of any child's. */
TARGET(ends)
{
	img_freeze();
	if (arg[0] == 'k')
		raise(SIGKILL);
	_exit(42);
}

TEST(exit_status)
{
	struct img_proc p;
	int status = 0;

	IMG_SPAWN(&p, "ends", 's', "e", NULL);
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_go(&p));
	ASSERT_EQ(0, img_wait_status(p.pid, &status));
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(42, WEXITSTATUS(status));
	p.pid = 0;
	img_forget(&p);
}
