// SPDX-License-Identifier: GPL-2.0
/*
 * What an image cannot carry makes the dump fail, with a documented errno and
 * a line in the kernel log that says what it is; the process is not harmed.
 */
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include "img_test.h"

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE	0x08
#endif
#ifndef SYS_memfd_secret
#define SYS_memfd_secret	447
#endif
#ifndef SYS_mseal
#define SYS_mseal	462
#endif
#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH	59
#define PR_SYS_DISPATCH_ON	1
#endif
#ifndef ARCH_SET_CPUID
#define ARCH_SET_CPUID	0x1012
#endif

#define PAGE	4096UL
#define RW	(PROT_READ | PROT_WRITE)

static char *map(int flags, int fd)
{
	char *p = mmap(NULL, 4 * PAGE, RW, flags, fd, 0);

	if (p == MAP_FAILED)
		MUST(-1);
	return p;
}

/* Fill it, be refused, and find it as it was. */
static void freeze_with(char *p)
{
	img_fill(p, PAGE, 1);
	img_freeze();
	CHECK_FILL(p, PAGE, 1);
}

/* Two kinds of mappings of one memfd, told apart by when it was sealed. */
TARGET(sealed_between)
{
	int fd = MUST(syscall(SYS_memfd_create, "name", 2 /* MFD_ALLOW_SEALING */));
	char *p, *q;

	MUST(ftruncate(fd, 4 * PAGE));
	p = map(MAP_SHARED, fd);
	MUST(fcntl(fd, F_ADD_SEALS, 0x10 /* F_SEAL_FUTURE_WRITE */));
	q = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(q != MAP_FAILED);
	freeze_with(p);
	CHECK_EQ(-1, mprotect(q, PAGE, RW));
}

TARGET(shared_sysv)
{
	int id = MUST(shmget(IPC_PRIVATE, 4 * PAGE, 0600));
	char *p = shmat(id, NULL, 0);

	MUST(shmctl(id, IPC_RMID, NULL));
	freeze_with(p);
}

TARGET(huge_tlb)
{
	char *p;

	img_write_str("/proc/sys/vm/nr_hugepages", "4");
	p = mmap(NULL, 2UL << 20, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (p == MAP_FAILED)
		img_target_skip("no huge pages");
	freeze_with(p);
	munmap(p, 2UL << 20);
	img_write_str("/proc/sys/vm/nr_hugepages", "0");
}

TARGET(locked)
{
	char *p = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);

	MUST(mlock(p, PAGE));
	freeze_with(p);
	CHECK_EQ(4, img_status_field(getpid(), "VmLck:", 10));
}

TARGET(locked_on_fault)
{
	char *p = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);

	MUST(syscall(SYS_mlock2, p, PAGE, 1 /* MLOCK_ONFAULT */));
	freeze_with(p);
}

TARGET(all_locked)
{
	MUST(mlockall(MCL_CURRENT));
	freeze_with(map(MAP_PRIVATE | MAP_ANONYMOUS, -1));
}

TARGET(future_locked)
{
	MUST(mlockall(MCL_FUTURE));
	img_freeze();
	freeze_with(map(MAP_PRIVATE | MAP_ANONYMOUS, -1));
}

TARGET(droppable)
{
	char *p = mmap(NULL, PAGE, RW, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		img_target_skip("no MAP_DROPPABLE");
	freeze_with(p);
}

TARGET(sealed)
{
	char *p = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);

	if (syscall(SYS_mseal, p, PAGE, 0))
		img_target_skip("no mseal()");
	freeze_with(p);
	CHECK_EQ(-1, munmap(p, PAGE));
}

TARGET(userfault)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	char *p = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	int fd;

	fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		img_target_skip("no userfaultfd");
	MUST(ioctl(fd, UFFDIO_API, &api));
	img_fill(p, PAGE, 1);
	reg.range.start = (uintptr_t)p;
	reg.range.len = 4 * PAGE;
	MUST(ioctl(fd, UFFDIO_REGISTER, &reg));
	img_freeze();
	CHECK_FILL(p, PAGE, 1);
}

TARGET(secret)
{
	int fd = syscall(SYS_memfd_secret, 0);

	if (fd < 0)
		img_target_skip("no memfd_secret()");
	MUST(ftruncate(fd, 4 * PAGE));
	freeze_with(map(MAP_SHARED, fd));
}

TARGET(protection_key)
{
	char *p = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	int key = pkey_alloc(0, 0);

	if (key < 0)
		img_target_skip("no protection keys");
	MUST(pkey_mprotect(p, PAGE, RW, key));
	freeze_with(p);
}

TARGET(memory_policy)
{
	unsigned long nodes = 1;
	char *p = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);

	if (syscall(SYS_mbind, p, 4 * PAGE, 2 /* MPOL_BIND */, &nodes, 2, 0))
		img_target_skip("no memory policies");
	freeze_with(p);
}

TARGET(task_memory_policy)
{
	unsigned long nodes = 1;

	if (syscall(SYS_set_mempolicy, 2 /* MPOL_BIND */, &nodes, 2))
		img_target_skip("no memory policies");
	img_freeze();
}

TARGET(uring)
{
	struct io_uring_params params = {};
	int fd = syscall(SYS_io_uring_setup, 4, &params);

	if (fd < 0)
		img_target_skip("no io_uring");
	img_freeze();
	close(fd);
}

TARGET(uring_mapped)
{
	struct io_uring_params params = {};
	int fd = syscall(SYS_io_uring_setup, 4, &params);

	if (fd < 0)
		img_target_skip("no io_uring");
	mmap(NULL, PAGE, RW, MAP_SHARED, fd, IORING_OFF_SQ_RING);
	close(fd);
	img_freeze();
}

TARGET(aio)
{
	aio_context_t ctx = 0;

	if (syscall(SYS_io_setup, 4, &ctx))
		img_target_skip("no asynchronous I/O");
	img_freeze();
	CHECK_EQ(0, syscall(SYS_io_destroy, ctx));
}

TARGET(seccomp_filter)
{
	struct sock_filter allow[] = {
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { 1, allow };

	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		img_target_skip("no seccomp");
	img_freeze();
	CHECK_EQ(2, prctl(PR_GET_SECCOMP));
}

/* May do nothing but read, write and exit. */
TARGET(seccomp_strict)
{
	char c;

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
		img_target_skip("no seccomp");
	syscall(SYS_write, IMG_FD_CTL, "R", 1);
	syscall(SYS_read, IMG_FD_CTL, &c, 1);
	syscall(SYS_exit, c == 'G' ? 0 : 1);
}

static char selector;

TARGET(syscall_dispatch)
{
	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &selector))
		img_target_skip("no system call dispatch");
	img_freeze();
}

TARGET(posix_timer)
{
	struct itimerspec its = { .it_value.tv_sec = 3600 }, now;
	timer_t t;

	MUST(timer_create(CLOCK_MONOTONIC, NULL, &t));
	MUST(timer_settime(t, 0, &its, NULL));
	img_freeze();
	MUST(timer_gettime(t, &now));
	CHECK(now.it_value.tv_sec > 3000);
}

TARGET(posix_timer_disarmed)
{
	timer_t t;

	MUST(timer_create(CLOCK_REALTIME, NULL, &t));
	img_freeze();
	MUST(timer_delete(t));
}

static void with_itimer(int which)
{
	struct itimerval it = { .it_value.tv_sec = 3600 }, now;

	MUST(setitimer(which, &it, NULL));
	img_freeze();
	MUST(getitimer(which, &now));
	CHECK(now.it_value.tv_sec > 3000);
}

TARGET(itimer_real)
{
	with_itimer(ITIMER_REAL);
}

TARGET(itimer_virtual)
{
	with_itimer(ITIMER_VIRTUAL);
}

TARGET(itimer_prof)
{
	with_itimer(ITIMER_PROF);
}

static struct user_desc flat = {
	.entry_number = 0,
	.limit = 0xfffff,
	.seg_32bit = 1,
	.limit_in_pages = 1,
	.useable = 1,
};

TARGET(local_descriptors)
{
	if (syscall(SYS_modify_ldt, 1, &flat, sizeof(flat)))
		img_target_skip("no modify_ldt()");
	img_freeze();
}

/* By the 32-bit system call, as the 64-bit one does not exist. */
TARGET(thread_area)
{
	struct user_desc *d = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	long ret;

	*d = flat;
	d->entry_number = -1;
	__asm__ volatile("int $0x80" : "=a"(ret)
			 : "a"(243), "b"(d) : "memory", "r8", "r9", "r10", "r11");
	if ((int)ret)
		img_target_skip("no set_thread_area(): %d", (int)ret);
	img_freeze();
}

TARGET(io_privilege)
{
	if (iopl(3))
		img_target_skip("no iopl()");
	img_freeze();
}

TARGET(io_permission)
{
	if (ioperm(0x80, 1, 1))
		img_target_skip("no ioperm()");
	img_freeze();
}

TARGET(membarrier)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0))
		img_target_skip("no membarrier()");
	img_freeze();
	CHECK_EQ(0, syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
}

TARGET(cpuid_faulting)
{
	if (syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0))
		img_target_skip("no faulting of CPUID");
	img_freeze();
}

TARGET(tsc_disabled)
{
	if (prctl(PR_SET_TSC, PR_TSC_SIGSEGV))
		img_target_skip("no PR_SET_TSC");
	img_freeze();
}

static void *sleeping_thread(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

TARGET(two_threads)
{
	pthread_t t;

	CHECK_EQ(0, pthread_create(&t, NULL, sleeping_thread, NULL));
	img_freeze();
	CHECK_EQ(0, pthread_kill(t, 0));
}

/* Another process with the same memory. */
static int sleeping_child(void *arg)
{
	for (;;)
		pause();
	return 0;
}

TARGET(shares_memory)
{
	static char stack[65536] __attribute__((aligned(16)));
	pid_t pid;

	pid = MUST(clone(sleeping_child, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL));
	img_freeze();
	MUST(kill(pid, SIGKILL));
	CHECK_EQ(pid, waitpid(pid, NULL, 0));
}

FIXTURE(state) {
	struct img_proc p;
	int log;
};

FIXTURE_VARIANT(state) {
	const char *name;
	int error;
	bool reads;	/* it sleeps in read(), not in img_freeze() */
};

FIXTURE_SETUP(state)
{
	if (img_nodump())
		SKIP(return, "needs a dump");
	self->log = img_log_open();
}

FIXTURE_TEARDOWN(state)
{
	close(self->log);
}

#define STATE(_name, _error)						\
	FIXTURE_VARIANT_ADD(state, _name) { .name = #_name, .error = _error }

STATE(sealed_between, EOPNOTSUPP);
STATE(shared_sysv, EOPNOTSUPP);
STATE(huge_tlb, EOPNOTSUPP);
STATE(locked, EOPNOTSUPP);
STATE(locked_on_fault, EOPNOTSUPP);
STATE(all_locked, EOPNOTSUPP);
STATE(droppable, EOPNOTSUPP);
STATE(sealed, EOPNOTSUPP);
STATE(userfault, EOPNOTSUPP);
STATE(secret, EOPNOTSUPP);
STATE(protection_key, EOPNOTSUPP);
STATE(memory_policy, EOPNOTSUPP);
STATE(task_memory_policy, EOPNOTSUPP);
STATE(uring, EOPNOTSUPP);
STATE(uring_mapped, EOPNOTSUPP);
STATE(aio, EOPNOTSUPP);
STATE(seccomp_filter, EOPNOTSUPP);
STATE(syscall_dispatch, EOPNOTSUPP);
STATE(posix_timer, EOPNOTSUPP);
STATE(posix_timer_disarmed, EOPNOTSUPP);
STATE(itimer_real, EOPNOTSUPP);
STATE(itimer_virtual, EOPNOTSUPP);
STATE(itimer_prof, EOPNOTSUPP);
STATE(local_descriptors, EOPNOTSUPP);
STATE(thread_area, EOPNOTSUPP);
STATE(io_privilege, EOPNOTSUPP);
STATE(io_permission, EOPNOTSUPP);
STATE(membarrier, EOPNOTSUPP);
STATE(cpuid_faulting, EOPNOTSUPP);
STATE(tsc_disabled, EOPNOTSUPP);
STATE(two_threads, EUSERS);
STATE(shares_memory, EUSERS);

FIXTURE_VARIANT_ADD(state, seccomp_strict) {
	.name = "seccomp_strict",
	.error = EOPNOTSUPP,
	.reads = true,
};

/* The log takes ten lines in five seconds: what is missing is asked for again. */
static bool logged(int log, pid_t pid, const char *comm)
{
	char who[64];
	int i;

	snprintf(who, sizeof(who), "img: %d (%s): cannot dump: ", pid, comm);
	for (i = 0; i < 2; i++) {
		if (img_log_has(log, who, who))
			return true;
		if (i)
			break;
		img_msleep(5100);
		img_open_dump(pid);
	}
	return false;
}

TEST_F(state, refused)
{
	struct img_proc *p = &self->p;
	int ret;

	if (!variant->reads) {
		IMG_SPAWN(p, variant->name, 's', NULL, NULL);
	} else {
		ASSERT_EQ(0, img_start(p, variant->name, 's', NULL, NULL));
		ret = img_recv(p, 'R', NULL, 0);
		IMG_SKIP_IF_SKIPPED(p);
		ASSERT_EQ(0, ret);
		ASSERT_EQ(0, img_wait_syscall(p->pid, SYS_read));
	}
	EXPECT_EQ(-variant->error, img_open_dump(p->pid));
	if (variant->error == EOPNOTSUPP && self->log >= 0)
		EXPECT_TRUE(logged(self->log, p->pid, "refuse_dump"));
	/* Again and again. */
	EXPECT_EQ(-variant->error, img_open_dump(p->pid));
	EXPECT_EQ(0, img_finish(p));
}

TARGET(plain)
{
	img_freeze();
}

/* Nothing is locked yet, but what is mapped from now on will be. */
TEST(future_locked)
{
	struct img_proc p;

	if (img_nodump())
		SKIP(return, "needs a dump");
	IMG_SPAWN(&p, "future_locked", 's', NULL, NULL);
	EXPECT_EQ(-EOPNOTSUPP, img_open_dump(p.pid));
	ASSERT_EQ(0, img_go(&p));
	ASSERT_EQ(0, img_await_ready(&p));
	EXPECT_EQ(-EOPNOTSUPP, img_open_dump(p.pid));
	EXPECT_EQ(0, img_finish(&p));
}

/* A parent in vfork(), and its child. */
TARGET(vfork_parent)
{
	pid_t pid;

	img_send('R', " ");
	pid = vfork();
	if (!pid) {
		char c;

		syscall(SYS_read, IMG_FD_EVENT, &c, 1);
		_exit(3);
	}
	CHECK(pid > 0);
	CHECK_EQ(pid, waitpid(pid, NULL, 0));
}

TEST(vforking)
{
	char path[64], *text = NULL;
	struct img_proc p;
	pid_t child = 0;
	int i;

	if (img_nodump())
		SKIP(return, "needs a dump");
	ASSERT_EQ(0, img_start(&p, "vfork_parent", 's', NULL, NULL));
	ASSERT_EQ(0, img_recv(&p, 'R', NULL, 0));
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", p.pid, p.pid);
	for (i = 0; i < 500 && !child; i++) {
		text = img_read_file(path, NULL);
		child = text ? atoi(text) : 0;
		free(text);
		img_msleep(10);
	}
	ASSERT_LT(0, child);
	ASSERT_EQ(0, img_wait_syscall(child, SYS_read));
	EXPECT_EQ(-EUSERS, img_open_dump(p.pid));
	EXPECT_EQ(-EUSERS, img_open_dump(child));
	ASSERT_EQ(1, write(p.event, "E", 1));
	ASSERT_EQ(0, img_wait_exit(&p));
}

TEST(traced)
{
	struct img_proc p;

	if (img_nodump())
		SKIP(return, "needs a dump");
	IMG_SPAWN(&p, "plain", 's', NULL, NULL);
	ASSERT_EQ(0, ptrace(PTRACE_SEIZE, p.pid, NULL, NULL));
	EXPECT_EQ(-EBUSY, img_open_dump(p.pid));
	ASSERT_EQ(0, ptrace(PTRACE_INTERRUPT, p.pid, NULL, NULL));
	ASSERT_EQ(0, img_wait_state(p.pid, "t"));
	EXPECT_EQ(-EBUSY, img_open_dump(p.pid));
	ASSERT_EQ(p.pid, waitpid(p.pid, NULL, __WALL));
	ASSERT_EQ(0, ptrace(PTRACE_DETACH, p.pid, NULL, NULL));
	ASSERT_EQ(0, img_settle(&p));
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

TEST(zombie)
{
	siginfo_t info;
	pid_t pid;

	if (img_nodump())
		SKIP(return, "needs a dump");
	pid = fork();
	if (!pid)
		_exit(0);
	ASSERT_EQ(0, waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
	EXPECT_EQ(-ESRCH, img_open_dump(pid));
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
}

TEST(gone)
{
	char path[64];
	pid_t pid;
	int dir;

	if (img_nodump())
		SKIP(return, "needs a dump");
	pid = fork();
	if (!pid)
		for (;;)
			pause();
	snprintf(path, sizeof(path), "/proc/%d", pid);
	dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, dir);
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	EXPECT_EQ(-1, openat(dir, "dump", O_RDONLY));
	EXPECT_TRUE(errno == ESRCH || errno == ENOENT);
}

TEST(kernel_thread)
{
	int i, n = 0;

	if (img_nodump())
		SKIP(return, "needs a dump");
	/* kthreadd, and its first children */
	for (i = 2; i < 10; i++) {
		if (img_status_field(i, "VmSize:", 10) != -1 || !img_state(i))
			continue;
		n++;
		EXPECT_EQ(-ESRCH, img_open_dump(i));
	}
	if (!n)
		SKIP(return, "sees no kernel thread");
}

TEST(thirty_two_bit_process)
{
	struct img_proc p = { .mode = 's' };

	if (img_nodump())
		SKIP(return, "needs a dump");
	if (access(img_sibling("tiny32"), X_OK))
		SKIP(return, "tiny32 was not built");
	if (img_launch(&p, img_sibling("tiny32"), NULL))
		SKIP(return, "the kernel runs no 32-bit programs");
	ASSERT_EQ(0, img_recv(&p, 'R', NULL, 0));
	ASSERT_EQ(0, img_wait_syscall(p.pid, 29));
	EXPECT_EQ(-EOPNOTSUPP, img_open_dump(p.pid));
	img_kill(&p);
}
