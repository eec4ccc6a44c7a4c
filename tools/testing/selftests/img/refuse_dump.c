// SPDX-License-Identifier: GPL-2.0
/*
 * What an image cannot carry makes the dump fail, with a documented errno and
 * a line in the kernel log that says what it is; the process is not harmed.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/aio_abi.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/mempolicy.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "img_test.h"

#ifndef SYS_set_mempolicy_home_node
#define SYS_set_mempolicy_home_node	450
#endif
#ifndef SYS_memfd_secret
#define SYS_memfd_secret	447
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

/* To read the file would break its lease, and the process be told. */
TARGET(leased)
{
	const char *dir = img_path("ramfs");
	char path[PATH_MAX], *p;
	int fd;

	snprintf(path, sizeof(path), "%s/file", dir);
	MUST(mkdir(dir, 0755));
	MUST(mount("none", dir, "ramfs", 0, NULL));
	fd = open(path, O_RDWR | O_CREAT, 0600);
	CHECK(fd >= 0);
	MUST(ftruncate(fd, 4 * PAGE));
	p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK(p != MAP_FAILED);
	MUST(unlink(path));
	MUST(fcntl(fd, F_SETLEASE, F_WRLCK));
	img_freeze();
	CHECK_EQ(F_WRLCK, fcntl(fd, F_GETLEASE));
	close(fd);
	munmap(p, PAGE);
	MUST(umount(dir));
	MUST(rmdir(dir));
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

TARGET(home_node)
{
	unsigned long nodes = 1;
	char *p = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);

	if (syscall(SYS_mbind, p, 4 * PAGE, 2 /* MPOL_BIND */, &nodes, 2, 0) ||
	    syscall(SYS_set_mempolicy_home_node, p, 4 * PAGE, 0, 0))
		img_target_skip("no home nodes of memory policies");
	freeze_with(p);
}

/* By one mapping, which the other is not told of. */
TARGET(shared_policy)
{
	int fd = MUST(syscall(SYS_memfd_create, "policy", 0));
	unsigned long nodes = 1;
	char *p;

	MUST(ftruncate(fd, 4 * PAGE));
	p = map(MAP_SHARED, fd);
	map(MAP_SHARED, fd);
	if (syscall(SYS_mbind, p, 4 * PAGE, 2 /* MPOL_BIND */, &nodes, 2, 0))
		img_target_skip("no memory policies");
	freeze_with(p);
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

/* On the CPU time of somebody else. */
TARGET(posix_timer_of_parent)
{
	int clock = ~getppid() << 3 | 2, id;

	MUST(syscall(SYS_timer_create, clock, NULL, &id));
	img_freeze();
	MUST(syscall(SYS_timer_delete, id));
}

static void *make_timer(void *arg)
{
	struct sigevent ev = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = SIGRTMIN,
	};

	ev._sigev_un._tid = syscall(SYS_gettid);
	MUST(syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, arg));
	return NULL;
}

/* For a thread that has ended. */
TARGET(posix_timer_of_dead_thread)
{
	pthread_t thread;
	int id;

	CHECK_EQ(0, pthread_create(&thread, NULL, make_timer, &id));
	CHECK_EQ(0, pthread_join(thread, NULL));
	img_freeze();
	MUST(syscall(SYS_timer_delete, id));
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

/*
 * Threads that have something of their own which an image has once, or not at
 * all.
 */
static volatile int apart;

static void *thread_apart(void *fn)
{
	((void (*)(void))fn)();
	apart = 1;
	for (;;)
		pause();
	return NULL;
}

static void with_thread(void (*fn)(void))
{
	pthread_t t;

	CHECK_EQ(0, pthread_create(&t, NULL, thread_apart, fn));
	while (!apart)
		usleep(1000);
	img_freeze();
	CHECK_EQ(0, pthread_kill(t, 0));
}

static void own_files(void)
{
	MUST(unshare(CLONE_FILES));
}

static void own_directory(void)
{
	MUST(unshare(CLONE_FS));
}

static void own_namespace(void)
{
	if (unshare(CLONE_NEWUTS))
		img_target_skip("no namespaces");
}

static void own_user(void)
{
	if (geteuid())
		img_target_skip("needs root");
	MUST(syscall(SYS_setresuid, -1, IMG_NOBODY, -1));
}

static void own_filter(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { .len = 1, .filter = &allow };

	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		img_target_skip("no seccomp filters");
}

static void own_policy(void)
{
	if (syscall(SYS_set_mempolicy, MPOL_LOCAL, NULL, 0))
		img_target_skip("no memory policies");
}

TARGET(thread_with_own_files) { with_thread(own_files); }
TARGET(thread_with_own_directory) { with_thread(own_directory); }
TARGET(thread_in_own_namespace) { with_thread(own_namespace); }
TARGET(thread_of_another_user) { with_thread(own_user); }
TARGET(thread_with_own_filter) { with_thread(own_filter); }
TARGET(thread_with_own_policy) { with_thread(own_policy); }

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
STATE(leased, EOPNOTSUPP);
STATE(shared_sysv, EOPNOTSUPP);
STATE(huge_tlb, EOPNOTSUPP);
STATE(userfault, EOPNOTSUPP);
STATE(secret, EOPNOTSUPP);
STATE(home_node, EOPNOTSUPP);
STATE(shared_policy, EOPNOTSUPP);
STATE(uring, EOPNOTSUPP);
STATE(uring_mapped, EOPNOTSUPP);
STATE(aio, EOPNOTSUPP);
STATE(posix_timer_of_parent, EOPNOTSUPP);
STATE(posix_timer_of_dead_thread, EOPNOTSUPP);
STATE(io_privilege, EOPNOTSUPP);
STATE(io_permission, EOPNOTSUPP);
STATE(thread_with_own_files, EOPNOTSUPP);
STATE(thread_with_own_directory, EOPNOTSUPP);
STATE(thread_in_own_namespace, EOPNOTSUPP);
STATE(thread_of_another_user, EOPNOTSUPP);
STATE(thread_with_own_filter, EOPNOTSUPP);
STATE(thread_with_own_policy, EOPNOTSUPP);
STATE(shares_memory, EUSERS);

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

	IMG_SPAWN(p, variant->name, 's', NULL, NULL);
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

/* The first thread has ended, which the others do not mind. */
static void *outlives(void *arg)
{
	char c = 'R';

	while (img_state(getpid()) != 'Z')
		usleep(1000);
	MUST(write(*(int *)arg, &c, 1));
	for (;;)
		pause();
	return NULL;
}

TEST(first_thread_has_ended)
{
	int fds[2], log = img_log_open();
	pthread_t t;
	pid_t pid;
	char c;

	if (img_nodump())
		SKIP(return, "needs a dump");
	ASSERT_EQ(0, pipe(fds));
	pid = fork();
	if (!pid) {
		pthread_create(&t, NULL, outlives, &fds[1]);
		pthread_exit(NULL);
	}
	ASSERT_EQ(1, read(fds[0], &c, 1));
	EXPECT_EQ(-EUSERS, img_open_dump(pid));
	if (log >= 0)
		EXPECT_TRUE(img_log_has(log, "cannot dump", "its first thread has ended"));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(fds[0]);
	close(fds[1]);
	close(log);
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
