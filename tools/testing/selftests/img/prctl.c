// SPDX-License-Identifier: GPL-2.0
/*
 * What a process asked of the kernel by prctl(2), membarrier(2), seccomp(2) and
 * the like: it is as it was, nobody gains a right by it, and nothing that the
 * launcher is subject to is lost.
 */
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/rseq.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "img_test.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER	57
#define PR_GET_IO_FLUSHER	58
#endif
#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH	59
#define PR_SYS_DISPATCH_OFF	0
#define PR_SYS_DISPATCH_ON	1
#define SYSCALL_DISPATCH_FILTER_ALLOW	0
#define SYSCALL_DISPATCH_FILTER_BLOCK	1
#endif
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE	67
#define PR_GET_MEMORY_MERGE	68
#endif
#ifndef PR_SPEC_L1D_FLUSH
#define PR_SPEC_L1D_FLUSH	2
#endif
#ifndef PR_SPEC_DISABLE_NOEXEC
#define PR_SPEC_DISABLE_NOEXEC	(1UL << 4)
#endif
#define CMD_GET_REGISTRATIONS	(1 << 9)

#define PAGE		4096UL
#define RSEQ_SIGNATURE	0x53053053

/* Twice: what comes from an image has to get into the next one. */
#define TWICE(target, arg, how) do {					\
	struct img_proc __p;						\
									\
	IMG_SPAWN(&__p, target, 's', arg, how);				\
	ASSERT_EQ(0, img_cycle(&__p));					\
	ASSERT_EQ(0, img_cycle(&__p));					\
	ASSERT_EQ(0, img_finish(&__p));					\
	IMG_SKIP_IF_SKIPPED(&__p);					\
} while (0)

#define TEST_TWICE(_name)						\
	TEST(_name) { TWICE(#_name, NULL, NULL); }			\
	TARGET(_name)

TARGET(plain)
{
	img_freeze();
}

/*
 * prctl(2)
 */

static int get_subreaper(void)
{
	int on = -1;

	MUST(prctl(PR_GET_CHILD_SUBREAPER, &on));
	return on;
}

TEST_TWICE(child_subreaper)
{
	pid_t child;

	MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
	img_freeze();
	CHECK_EQ(1, get_subreaper());
	/* An orphan comes to us. */
	child = fork();
	if (!child) {
		if (!fork()) {
			while (getppid() == child)
				usleep(1000);
			_exit(7);
		}
		_exit(0);
	}
	CHECK_EQ(child, waitpid(child, NULL, 0));
	child = waitpid(-1, NULL, 0);
	CHECK(child > 0);
}

static int be_subreaper(void *data)
{
	return prctl(PR_SET_CHILD_SUBREAPER, 1) ? -errno : 0;
}

TARGET(no_subreaper)
{
	img_freeze();
	CHECK_EQ(0, get_subreaper());
}

TEST(launcher_is_subreaper)
{
	struct img_proc p;

	if (img_nodump())
		SKIP(return, "needs a resume");
	IMG_SPAWN(&p, "no_subreaper", 's', NULL, NULL);
	p.how.prepare = be_subreaper;
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

TEST_TWICE(keep_capabilities)
{
	MUST(prctl(PR_SET_KEEPCAPS, 1));
	img_freeze();
	CHECK_EQ(1, prctl(PR_GET_KEEPCAPS));
}

static int lock_keepcaps(void *data)
{
	return prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS_LOCKED) ? -errno : 0;
}

TEST(keep_capabilities_locked)
{
	struct img_launch how = { .prepare = lock_keepcaps };
	struct img_proc p;
	pid_t pid;

	if (img_nodump())
		SKIP(return, "needs a resume");
	IMG_SPAWN(&p, "keep_capabilities", 's', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	EXPECT_EQ(-EPERM, img_try_exec(p.image, &how, &pid));
	img_forget(&p);
}

TEST_TWICE(no_keep_capabilities)
{
	img_freeze();
	CHECK_EQ(0, prctl(PR_GET_KEEPCAPS));
}

/* The slack that 0 asks for is the parent's at the fork. */
TARGET(default_slack)
{
	MUST(prctl(PR_SET_TIMERSLACK, 7654321));
	img_freeze();
	CHECK_EQ(7654321, prctl(PR_GET_TIMERSLACK));
	MUST(prctl(PR_SET_TIMERSLACK, 0));
	CHECK_EQ(333333, prctl(PR_GET_TIMERSLACK));
}

TEST(default_timer_slack)
{
	struct img_proc p;

	ASSERT_EQ(0, prctl(PR_SET_TIMERSLACK, 333333));
	IMG_SPAWN(&p, "default_slack", 's', NULL, NULL);
	ASSERT_EQ(0, prctl(PR_SET_TIMERSLACK, 0));
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

/* What a real-time thread has, which does not know of slack. */
static int be_real_time(void *data)
{
	struct sched_param param = { .sched_priority = 1 };

	return sched_setscheduler(0, SCHED_FIFO, &param) ? -errno : 0;
}

TARGET(slack_of_real_time)
{
	MUST(prctl(PR_SET_TIMERSLACK, 7654321));
	img_freeze();
	CHECK_EQ(0, prctl(PR_GET_TIMERSLACK));
}

TEST(launcher_is_real_time)
{
	struct img_launch how = { .prepare = be_real_time };
	struct img_proc p;
	int ret;

	if (img_nodump())
		SKIP(return, "needs a resume");
	IMG_SPAWN(&p, "slack_of_real_time", 's', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	ret = img_resume_as(&p, &how);
	if (ret == -EPERM)
		SKIP(return, "may not use SCHED_FIFO");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, img_settle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

FIXTURE(mce) {
};

FIXTURE_VARIANT(mce) {
	const char *policy;
};

FIXTURE_SETUP(mce)
{
}

FIXTURE_TEARDOWN(mce)
{
}

FIXTURE_VARIANT_ADD(mce, late) { .policy = "0" };
FIXTURE_VARIANT_ADD(mce, early) { .policy = "1" };
FIXTURE_VARIANT_ADD(mce, normal) { .policy = "2" };

TARGET(mce_kill)
{
	if (prctl(PR_MCE_KILL, PR_MCE_KILL_SET, atoi(arg), 0, 0))
		img_target_skip("no PR_MCE_KILL");
	img_freeze();
	CHECK_EQ(atoi(arg), prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
}

static int be_early(void *data)
{
	return prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0) ? -errno : 0;
}

static int be_late(void *data)
{
	return prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_LATE, 0, 0) ? -errno : 0;
}

TEST_F(mce, kept)
{
	struct img_proc p;

	IMG_SPAWN(&p, "mce_kill", 's', variant->policy, NULL);
	ASSERT_EQ(0, img_cycle(&p));
	p.how.prepare = be_early;
	ASSERT_EQ(0, img_cycle(&p));
	p.how.prepare = be_late;
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

TARGET(io_flusher)
{
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0))
		img_target_skip("no PR_SET_IO_FLUSHER");
	img_freeze();
	CHECK_EQ(1, prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0));
}

static int be_io_flusher(void *data)
{
	return prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) ? -errno : 0;
}

/* An I/O flusher without the capability: it was set by who had it. */
static int io_flusher_then_nobody(void *data)
{
	if (be_io_flusher(NULL))
		return -errno;
	if (setresgid(IMG_NOBODY, IMG_NOBODY, IMG_NOBODY) ||
	    setresuid(IMG_NOBODY, IMG_NOBODY, IMG_NOBODY))
		return -errno;
	return 0;
}

TEST(io_flusher)
{
	TWICE("io_flusher", NULL, NULL);
}

TEST(io_flusher_needs_the_right)
{
	struct img_launch how = { .uid = IMG_NOBODY };
	struct img_launch inherits = { .prepare = io_flusher_then_nobody };
	struct img_proc p;
	pid_t pid = 0;

	if (img_nodump() || geteuid())
		SKIP(return, "needs a resume, by root");
	IMG_SPAWN(&p, "io_flusher", 's', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	EXPECT_EQ(-EPERM, img_try_exec(p.image, &how, &pid));
	ASSERT_EQ(0, img_try_exec(p.image, &inherits, &pid));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	img_forget(&p);
}

TARGET(is_io_flusher)
{
	img_freeze();
	CHECK_EQ(1, prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0));
}

TEST(io_flusher_of_the_launcher)
{
	struct img_proc p;

	if (img_nodump() || geteuid())
		SKIP(return, "needs a resume, by root");
	IMG_SPAWN(&p, "is_io_flusher", 's', NULL, NULL);
	p.how.prepare = be_io_flusher;
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

TEST_TWICE(name_of_odd_bytes)
{
	static const char name[16] = "\xff\n(\t) \x80\\\"%s\x1b";
	char buf[16] = {};

	MUST(prctl(PR_SET_NAME, name));
	img_freeze();
	MUST(prctl(PR_GET_NAME, buf));
	CHECK(!memcmp(name, buf, sizeof(buf)));
}

TEST_TWICE(empty_name)
{
	char buf[16];

	memset(buf, 'x', sizeof(buf));
	MUST(prctl(PR_SET_NAME, ""));
	img_freeze();
	MUST(prctl(PR_GET_NAME, buf));
	CHECK_EQ(0, buf[0]);
}

TEST_TWICE(core_dump_filter)
{
	char *before, *after;

	/* Without the bits that put files into the image. */
	MUST(img_write_str("/proc/self/coredump_filter", "0x1a1"));
	before = img_read_file("/proc/self/coredump_filter", NULL);
	CHECK(before && strtoul(before, NULL, 16) == 0x1a1);
	img_freeze();
	after = img_read_file("/proc/self/coredump_filter", NULL);
	CHECKF(after && !strcmp(before, after), "%s", after ?: "nothing");
}

/* Is "mg" among the flags of the mapping at @p? */
static bool is_mergeable(void *p)
{
	char start[32], *text = img_read_file("/proc/self/smaps", NULL), *at, *flags, *end;
	bool found;

	snprintf(start, sizeof(start), "\n%lx-", (unsigned long)p);
	at = text ? strstr(text, start) : NULL;
	flags = at ? strstr(at, "VmFlags:") : NULL;
	if (!CHECK(flags))
		return false;
	end = strchr(flags, '\n');
	*end = 0;
	found = strstr(flags, " mg");
	free(text);
	return found;
}

static void *map(size_t len, int prot)
{
	void *p = mmap(NULL, len, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		MUST(-1);
	return p;
}

TEST_TWICE(memory_merge)
{
	char *p, *q, *r;

	if (prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0))
		img_target_skip("no PR_SET_MEMORY_MERGE");
	p = map(8 * PAGE, PROT_READ | PROT_WRITE);
	q = p + 4 * PAGE;
	img_fill(p, 8 * PAGE, 5);
	MUST(madvise(q, 4 * PAGE, MADV_UNMERGEABLE));
	CHECK(is_mergeable(p) && !is_mergeable(q));
	img_freeze();
	CHECK_EQ(1, prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0));
	CHECK(is_mergeable(p));
	CHECK(!is_mergeable(q));
	CHECK_FILL(p, 8 * PAGE, 5);
	r = map(4 * PAGE, PROT_NONE);
	CHECK(is_mergeable(r));
}

TEST_TWICE(no_memory_merge)
{
	if (prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0))
		img_target_skip("no PR_SET_MEMORY_MERGE");
	img_freeze();
	CHECK_EQ(0, prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0));
}

/*
 * Speculation control
 */

static int get_spec(int which)
{
	return prctl(PR_GET_SPECULATION_CTRL, which, 0, 0, 0);
}

static const struct spec {
	const char *name;
	int which;
	unsigned long ctrl;
} specs[] = {
	{ "ssb_disable", PR_SPEC_STORE_BYPASS, PR_SPEC_DISABLE },
	{ "ssb_force", PR_SPEC_STORE_BYPASS, PR_SPEC_FORCE_DISABLE },
	{ "ssb_noexec", PR_SPEC_STORE_BYPASS, PR_SPEC_DISABLE_NOEXEC },
	{ "ib_disable", PR_SPEC_INDIRECT_BRANCH, PR_SPEC_DISABLE },
	{ "ib_force", PR_SPEC_INDIRECT_BRANCH, PR_SPEC_FORCE_DISABLE },
	{ "l1d_flush", PR_SPEC_L1D_FLUSH, PR_SPEC_ENABLE },
};

static const struct spec *find_spec(const char *name)
{
	const struct spec *s = specs;

	while (strcmp(s->name, name))
		s++;
	return s;
}

static void set_spec(const struct spec *s)
{
	int state = get_spec(s->which);

	if (state < 0 || !(state & PR_SPEC_PRCTL))
		img_target_skip("speculation is not under control of programs here: %d", state);
	MUST(prctl(PR_SET_SPECULATION_CTRL, s->which, s->ctrl, 0, 0));
}

TARGET(speculation)
{
	const struct spec *s = find_spec(arg);

	set_spec(s);
	img_freeze();
	CHECK_EQ(PR_SPEC_PRCTL | s->ctrl, get_spec(s->which));
}

FIXTURE(speculation) {
};

FIXTURE_VARIANT(speculation) {
	const char *name;
};

FIXTURE_SETUP(speculation)
{
}

FIXTURE_TEARDOWN(speculation)
{
}

FIXTURE_VARIANT_ADD(speculation, store_bypass_off) { .name = "ssb_disable" };
FIXTURE_VARIANT_ADD(speculation, store_bypass_off_for_ever) { .name = "ssb_force" };
FIXTURE_VARIANT_ADD(speculation, store_bypass_off_until_exec) { .name = "ssb_noexec" };
FIXTURE_VARIANT_ADD(speculation, indirect_branch_off) { .name = "ib_disable" };
FIXTURE_VARIANT_ADD(speculation, indirect_branch_off_for_ever) { .name = "ib_force" };
FIXTURE_VARIANT_ADD(speculation, l1d_flush) { .name = "l1d_flush" };

TEST_F(speculation, kept)
{
	TWICE("speculation", variant->name, NULL);
}

static int force_ssb(void *data)
{
	return prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_FORCE_DISABLE,
		     0, 0) ? -errno : 0;
}

TARGET(speculation_of_both)
{
	set_spec(find_spec("ssb_noexec"));
	img_freeze();
	CHECK_EQ(PR_SPEC_PRCTL | PR_SPEC_FORCE_DISABLE, get_spec(PR_SPEC_STORE_BYPASS));
}

TEST(speculation_of_a_stricter_launcher)
{
	struct img_proc p;

	if (img_nodump())
		SKIP(return, "needs a resume");
	IMG_SPAWN(&p, "speculation_of_both", 's', NULL, NULL);
	p.how.prepare = force_ssb;
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

/* It ends with the next exec, which the resume was not. */
TARGET(until_exec)
{
	int status;

	set_spec(find_spec("ssb_noexec"));
	img_freeze();
	if (!fork()) {
		execl("/bin/grep", "grep", "-q", "^Speculation_Store_Bypass:.*thread vulnerable",
		      "/proc/self/status", NULL);
		_exit(126);
	}
	MUST(wait(&status));
	CHECK_EQ(0, status);
}

TEST(speculation_until_exec)
{
	TWICE("until_exec", NULL, NULL);
}

/*
 * Syscall user dispatch
 */

static volatile char selector;
static volatile int dispatched;

static void on_sigsys(int sig, siginfo_t *info, void *context)
{
	selector = SYSCALL_DISPATCH_FILTER_ALLOW;
	dispatched = info->si_syscall;
}

/* Whose system calls are never dispatched. */
__asm__(".pushsection .text\n"
	"free_getpid: mov $39, %eax\n"
	"syscall\n"
	"ret\n"
	"free_end:\n"
	".popsection\n");
extern char free_end[];
long free_getpid(void);

TEST_TWICE(syscall_dispatch)
{
	struct sigaction sa = { .sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO };
	size_t len = free_end - (char *)free_getpid;
	long pid;
	int i;

	MUST(sigaction(SIGSYS, &sa, NULL));
	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, free_getpid, len, &selector))
		img_target_skip("no system call dispatch");
	for (i = 0; i < 2; i++) {
		if (i)
			img_freeze();
		dispatched = 0;
		selector = SYSCALL_DISPATCH_FILTER_BLOCK;
		pid = free_getpid();
		CHECK_EQ(0, dispatched);
		syscall(SYS_getppid);
		CHECK_EQ(SYS_getppid, dispatched);
		CHECK_EQ(0, selector);
		CHECK_EQ(getpid(), pid);
	}
	MUST(prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0));
}

/* All, but for a range that is all of memory. */
TEST_TWICE(syscall_dispatch_without_selector)
{
	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 1, -2UL, 0))
		img_target_skip("no system call dispatch");
	img_freeze();
	CHECK_EQ(getpid(), syscall(SYS_gettid));
}

/* Not the launcher's. */
static int dispatch(void *data)
{
	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 1, -2UL, 0))
		return -errno;
	return 0;
}

TEST(syscall_dispatch_of_the_launcher)
{
	struct img_proc p;

	if (img_nodump())
		SKIP(return, "needs a resume");
	IMG_SPAWN(&p, "plain", 's', NULL, NULL);
	p.how.prepare = dispatch;
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

/*
 * membarrier(2)
 */

static long membarrier(int cmd)
{
	return syscall(SYS_membarrier, cmd, 0, 0);
}

static const struct {
	int do_it;
	int needs;
} barriers[] = {
	{ MEMBARRIER_CMD_PRIVATE_EXPEDITED, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED },
	{ MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE,
	  MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE },
	{ MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ,
	  MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ },
};

TARGET(barriers)
{
	int want = atoi(arg), have = membarrier(MEMBARRIER_CMD_QUERY), before;
	size_t i;

	if (have < 0 || (want & ~have))
		img_target_skip("no membarrier() %x", want);
	for (i = 0; i < 31; i++)
		if (want & 1 << i)
			MUST(membarrier(1 << i));
	before = membarrier(CMD_GET_REGISTRATIONS);
	img_freeze();
	CHECK_EQ(before, membarrier(CMD_GET_REGISTRATIONS));
	for (i = 0; i < sizeof(barriers) / sizeof(barriers[0]); i++) {
		long ret = membarrier(barriers[i].do_it);

		if (want & barriers[i].needs)
			CHECK_EQ(0, ret);
		else
			CHECKF(ret == -1 && errno == EPERM, "%x", barriers[i].needs);
	}
}

FIXTURE(membarrier) {
};

FIXTURE_VARIANT(membarrier) {
	int cmds;
};

FIXTURE_SETUP(membarrier)
{
}

FIXTURE_TEARDOWN(membarrier)
{
}

FIXTURE_VARIANT_ADD(membarrier, none) { .cmds = 0 };
FIXTURE_VARIANT_ADD(membarrier, global) {
	.cmds = MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED,
};
FIXTURE_VARIANT_ADD(membarrier, private) {
	.cmds = MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED,
};
FIXTURE_VARIANT_ADD(membarrier, sync_core) {
	.cmds = MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE,
};
FIXTURE_VARIANT_ADD(membarrier, rseq) {
	.cmds = MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ,
};
FIXTURE_VARIANT_ADD(membarrier, all) {
	.cmds = MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED |
		MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED |
		MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE |
		MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ,
};

TEST_F(membarrier, registered)
{
	char arg[16];

	snprintf(arg, sizeof(arg), "%d", variant->cmds);
	TWICE("barriers", arg, NULL);
}

/*
 * A restartable sequences area that is larger than the first ones were.
 */

static char own_rseq[256] __attribute__((aligned(256)));

TEST_TWICE(rseq_of_another_size)
{
	extern const ptrdiff_t __rseq_offset __attribute__((weak));
	extern const unsigned int __rseq_size __attribute__((weak));
	volatile struct rseq *rs = (void *)own_rseq;
	size_t len = 32;

	if (&__rseq_size && __rseq_size)
		while (syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, len,
			       1 /* unregister */, RSEQ_SIGNATURE)) {
			len += 32;
			if (len > 1024)
				img_target_skip("the C library's cannot be unregistered");
		}
	if (syscall(SYS_rseq, rs, 160, 0, 0x12345678))
		img_target_skip("no rseq area of 160 bytes: %d", errno);
	img_freeze();
	rs->cpu_id = -3;
	sched_yield();
	usleep(1000);
	CHECK_EQ(sched_getcpu(), rs->cpu_id);
	CHECK_EQ(-1, syscall(SYS_rseq, rs, 160, 0, 0x12345678));
	CHECK_EQ(EBUSY, errno);
	CHECK_EQ(-1, syscall(SYS_rseq, rs, 160, 0, 0x12345679));
	CHECK_EQ(EPERM, errno);
	CHECK_EQ(-1, syscall(SYS_rseq, rs, 192, 0, 0x12345678));
	CHECK_EQ(EINVAL, errno);
	CHECK_EQ(0, syscall(SYS_rseq, rs, 160, 1, 0x12345678));
}

/*
 * Hostile values in the notes of the thread and of the address space
 */

FIXTURE(hostile) {
	struct img_proc p;
	struct img_image im;
};

FIXTURE_SETUP(hostile)
{
	if (img_nodump())
		SKIP(return, "needs a dump");
	ASSERT_EQ(0, img_spawn(&self->p, "plain", 's', NULL, NULL));
	ASSERT_EQ(0, img_dump(&self->p));
	img_kill(&self->p);
	ASSERT_EQ(0, img_load(&self->im, self->p.image));
}

FIXTURE_TEARDOWN(hostile)
{
	img_forget(&self->p);
	img_free(&self->im);
}

/* The errno that execve() of the image gives, 0 if it runs, and no more. */
static int try_image(const struct img_image *im, const char *path,
		     const struct img_launch *how)
{
	struct img_image copy;
	pid_t pid = 0;
	int ret;

	if (img_copy(&copy, im))
		return -ENOMEM;
	img_fix_crc(&copy);
	ret = img_save(&copy, path);
	img_free(&copy);
	if (!ret)
		ret = img_try_exec(path, how, &pid);
	if (pid) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return ret;
}

#define THREAD_VALUE(_member, _value, _flags, _error) do {		\
	struct img_thread *__t = img_note(&self->im, "IMG", NT_IMG_THREAD, 0, NULL); \
	struct img_thread __old = *__t;					\
									\
	__t->_member = (_value);					\
	__t->flags |= (_flags);						\
	EXPECT_EQ(-(_error), try_image(&self->im, self->p.image, NULL)) { \
		TH_LOG("%s = %llx", #_member, (unsigned long long)(_value)); \
	}								\
	*__t = __old;							\
} while (0)

TEST_F(hostile, thread)
{
	THREAD_VALUE(dispatch_start, 0, 0, 0);
	THREAD_VALUE(pad2, 1, 0, EBADMSG);
	THREAD_VALUE(flags, IMG_THREAD_MCE_EARLY | IMG_THREAD_MCE_LATE, 0, EBADMSG);
	THREAD_VALUE(spec_store_bypass, PR_SPEC_PRCTL, 0, EBADMSG);
	THREAD_VALUE(spec_store_bypass, PR_SPEC_ENABLE, 0, EBADMSG);
	THREAD_VALUE(spec_store_bypass, PR_SPEC_DISABLE | PR_SPEC_FORCE_DISABLE, 0, EBADMSG);
	THREAD_VALUE(spec_store_bypass, 0xffffffff, 0, EBADMSG);
	THREAD_VALUE(spec_store_bypass, 1U << 31, 0, EBADMSG);
	THREAD_VALUE(spec_indirect_branch, PR_SPEC_DISABLE_NOEXEC, 0, EBADMSG);
	THREAD_VALUE(spec_l1d_flush, PR_SPEC_DISABLE, 0, EBADMSG);
	/* What this CPU or its kernel does not offer, and what it need not. */
	if (get_spec(PR_SPEC_STORE_BYPASS) == PR_SPEC_NOT_AFFECTED)
		THREAD_VALUE(spec_store_bypass, PR_SPEC_FORCE_DISABLE, 0, 0);
	if (get_spec(PR_SPEC_INDIRECT_BRANCH) == PR_SPEC_ENABLE)
		THREAD_VALUE(spec_indirect_branch, PR_SPEC_DISABLE, 0, ENODEV);
	if (!(get_spec(PR_SPEC_L1D_FLUSH) & PR_SPEC_PRCTL))
		THREAD_VALUE(spec_l1d_flush, PR_SPEC_ENABLE, 0, ENODEV);
	/* Members of something that is off. */
	THREAD_VALUE(dispatch_start, 1, 0, EBADMSG);
	THREAD_VALUE(dispatch_len, 1, 0, EBADMSG);
	THREAD_VALUE(dispatch_selector, 1, 0, EBADMSG);
	/* As the system call. */
	THREAD_VALUE(dispatch_start, 1, IMG_THREAD_DISPATCH, EBADMSG);
	THREAD_VALUE(dispatch_start, ~0ULL, IMG_THREAD_DISPATCH, EBADMSG);
	THREAD_VALUE(dispatch_selector, 1ULL << 63, IMG_THREAD_DISPATCH, EBADMSG);
	THREAD_VALUE(dispatch_selector, 0xffffffff81000000ULL, IMG_THREAD_DISPATCH, EBADMSG);
	THREAD_VALUE(dispatch_selector, ~0ULL, IMG_THREAD_DISPATCH, EBADMSG);
	/* What ends up as the death of the process, or nothing. */
	THREAD_VALUE(dispatch_selector, 1, IMG_THREAD_DISPATCH, 0);
	THREAD_VALUE(dispatch_len, ~0ULL, IMG_THREAD_DISPATCH, 0);
	THREAD_VALUE(timer_slack_ns, ~0ULL, 0, 0);
	THREAD_VALUE(default_slack_ns, ~0ULL, 0, 0);
}

/* A range that no program can be in may be set by the system call, too. */
TEST_F(hostile, dispatch_range_in_the_kernel)
{
	struct img_thread *t = img_note(&self->im, "IMG", NT_IMG_THREAD, 0, NULL);

	t->flags |= IMG_THREAD_DISPATCH;
	t->dispatch_start = 0xffffffff81000000ULL;
	t->dispatch_len = 1 << 20;
	EXPECT_EQ(0, try_image(&self->im, self->p.image, NULL));
	t->dispatch_len = 0x7f000000;
	EXPECT_EQ(-EBADMSG, try_image(&self->im, self->p.image, NULL));
}

#define MM_VALUE(_member, _value, _error) do {				\
	struct img_mm *__m = img_note(&self->im, "IMG", NT_IMG_MM, 0, NULL); \
	struct img_mm __old = *__m;					\
									\
	__m->_member = (_value);					\
	EXPECT_EQ(-(_error), try_image(&self->im, self->p.image, NULL)) { \
		TH_LOG("%s = %llx", #_member, (unsigned long long)(_value)); \
	}								\
	*__m = __old;							\
} while (0)

TEST_F(hostile, address_space)
{
	MM_VALUE(membarrier, 1, EOPNOTSUPP);
	MM_VALUE(membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, EOPNOTSUPP);
	MM_VALUE(membarrier, 1U << 31, EOPNOTSUPP);
	MM_VALUE(membarrier, 0xffffffff, EOPNOTSUPP);
	MM_VALUE(coredump_filter, 0x200, EOPNOTSUPP);
	MM_VALUE(coredump_filter, 0xffffffff, EOPNOTSUPP);
	MM_VALUE(coredump_filter, 0x1ff, 0);
	MM_VALUE(coredump_filter, 0, 0);
}
