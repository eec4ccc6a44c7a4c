// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that is an object of its own: shared anonymous memory, memfds, deleted
 * files; and files that the process writes to through a mapping.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "img_test.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA		0x53564d41
#define PR_SET_VMA_ANON_NAME	0
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE	0x0010
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC	0x0020
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL	0x0008U
#endif

#define PAGE	4096UL
#define MB	(1UL << 20)
#define RW	(PROT_READ | PROT_WRITE)

static void *map_at(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	void *p = mmap(addr, len, prot, flags, fd, off);

	if (p == MAP_FAILED)
		MUST(-1);
	return p;
}

static void *map(size_t len, int prot, int flags, int fd, off_t off)
{
	return map_at(NULL, len, prot, flags, fd, off);
}

static void *map_anon(size_t len)
{
	return map(len, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static int memfd(const char *name, unsigned int flags, size_t len)
{
	int fd = MUST(syscall(SYS_memfd_create, name, flags));

	MUST(ftruncate(fd, len));
	return fd;
}

/* A mapping of a file that is open no longer. */
static void *map_path(const char *path, int open_flags, size_t len, int prot, int flags)
{
	int fd = MUST(open(path, open_flags));
	void *p = map(len, prot, flags, fd, 0);

	close(fd);
	return p;
}

/* The object behind a mapping, opened: needs to be root. */
static int open_map(const void *p, size_t len, int flags)
{
	char path[100];

	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)p,
		 (unsigned long)p + len);
	return open(path, flags);
}

static sigjmp_buf fault_jmp;
static volatile int fault_signal;

static void on_fault(int sig)
{
	fault_signal = sig;
	siglongjmp(fault_jmp, 1);
}

static int touch(volatile char *p, bool write)
{
	struct sigaction sa = { .sa_handler = on_fault };

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	fault_signal = 0;
	if (!sigsetjmp(fault_jmp, 1)) {
		char c = *p;

		if (write)
			*p = c;
	}
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	return fault_signal;
}

#define CHECK_FAULT(want, p, write)	CHECK_EQ(want, touch((char *)(p), write))

/* What a child writes there is seen here, and the other way round. */
static void check_shared(char *p)
{
	char was = *p;
	int status;

	*p = 77;
	if (!fork()) {
		if (*p != 77)
			_exit(1);
		*p = 78;
		_exit(0);
	}
	MUST(wait(&status));
	CHECK_EQ(0, status);
	CHECK_EQ(78, *p);
	*p = was;
}

/*
 * Shared anonymous memory
 */

IMG_TEST(anonymous)
{
	char *p = map_anon(64 * PAGE);

	img_fill(p, 16 * PAGE, 1);
	img_fill(p + 40 * PAGE, 8 * PAGE, 2);
	img_freeze();
	CHECK_FILL(p, 16 * PAGE, 1);
	CHECK_ZERO(p + 16 * PAGE, 24 * PAGE);
	CHECK_FILL(p + 40 * PAGE, 8 * PAGE, 2);
	CHECK_ZERO(p + 48 * PAGE, 16 * PAGE);
	check_shared(p);
	check_shared(p + 50 * PAGE);
	img_fill(p, 64 * PAGE, 3);
	CHECK_FILL(p, 64 * PAGE, 3);
}

IMG_TEST(dev_zero)
{
	int fd = MUST(open("/dev/zero", O_RDWR));
	char *p = map(8 * PAGE, RW, MAP_SHARED, fd, 0);

	close(fd);
	img_fill(p, 4 * PAGE, 1);
	img_freeze();
	CHECK_FILL(p, 4 * PAGE, 1);
	check_shared(p);
}

IMG_TEST(empty)
{
	char *p = map_anon(8 * PAGE);
	char *q = map(8 * PAGE, RW, MAP_SHARED, memfd("", 0, 8 * PAGE), 0);
	char *r = map(PAGE, PROT_READ, MAP_SHARED, memfd("no size", 0, 0), 0);

	img_freeze();
	CHECK_ZERO(p, 8 * PAGE);
	CHECK_ZERO(q, 8 * PAGE);
	CHECK_FAULT(SIGBUS, r, false);
	check_shared(p);
	check_shared(q);
}

IMG_TEST(not_reserved)
{
	char *p = map(64 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	img_fill(p, 8 * PAGE, 1);
	img_freeze();
	CHECK_FILL(p, 8 * PAGE, 1);
	check_shared(p);
}

IMG_TEST(protections)
{
	char *p = map_anon(6 * PAGE);

	img_fill(p, 6 * PAGE, 1);
	MUST(mprotect(p, PAGE, PROT_NONE));
	MUST(mprotect(p + 2 * PAGE, PAGE, PROT_READ));
	MUST(mprotect(p + 4 * PAGE, PAGE, PROT_READ | PROT_EXEC));
	img_freeze();
	CHECK_FAULT(SIGSEGV, p, false);
	CHECK_FAULT(SIGSEGV, p + 2 * PAGE, true);
	CHECK_FAULT(0, p + 3 * PAGE, true);
	MUST(mprotect(p, 6 * PAGE, RW));
	CHECK_FILL(p, 6 * PAGE, 1);
	check_shared(p + 4 * PAGE);
}

/* Only a part of it is mapped; the rest is there all the same. */
IMG_TEST(grown_by_mremap)
{
	char *p = map_anon(64 * PAGE), *q;

	img_fill(p, 64 * PAGE, 1);
	MUST(munmap(p + 16 * PAGE, 48 * PAGE));
	img_freeze();
	CHECK_FILL(p, 16 * PAGE, 1);
	q = mremap(p, 16 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED);
	CHECK_FILL(q, 64 * PAGE, 1);
	q = mremap(q, 64 * PAGE, 65 * PAGE, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED);
	CHECK_FAULT(SIGBUS, q + 64 * PAGE, false);
	check_shared(q + 63 * PAGE);
}

/* A second mapping of anonymous memory, as mremap() of nothing makes it. */
IMG_TEST(mapped_twice)
{
	char *p = map_anon(16 * PAGE), *q;

	img_fill(p, 16 * PAGE, 1);
	q = mremap(p, 0, 16 * PAGE, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED);
	img_freeze();
	CHECK_FILL(q, 16 * PAGE, 1);
	p[5] = 12;
	CHECK_EQ(12, q[5]);
	q[9 * PAGE] = 13;
	CHECK_EQ(13, p[9 * PAGE]);
}

IMG_TEST(named)
{
	char *p = map_anon(8 * PAGE);

	img_fill(p, 8 * PAGE, 1);
	if (prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, 4 * PAGE, "a name"))
		img_target_skip("mappings cannot have names");
	img_freeze();
	CHECK_FILL(p, 8 * PAGE, 1);
	check_shared(p);
}

IMG_TEST(advices)
{
	char *p = map_anon(16 * PAGE);
	int status;

	img_fill(p, 16 * PAGE, 1);
	MUST(madvise(p, 4 * PAGE, MADV_DONTFORK));
	MUST(madvise(p + 4 * PAGE, 4 * PAGE, MADV_DONTDUMP));
	MUST(madvise(p + 8 * PAGE, 4 * PAGE, MADV_RANDOM));
	img_freeze();
	CHECK_FILL(p, 16 * PAGE, 1);
	if (!fork())
		_exit(touch(p, false) != SIGSEGV);
	MUST(wait(&status));
	CHECK_EQ(0, status);
	/* A hole punched afterwards. */
	CHECK_EQ(0, madvise(p + 12 * PAGE, 4 * PAGE, MADV_REMOVE));
	CHECK_ZERO(p + 12 * PAGE, 4 * PAGE);
}

/*
 * memfds
 */

IMG_TEST(two_views)
{
	int fd = memfd("two views", 0, 64 * PAGE);
	char *p = map(64 * PAGE, RW, MAP_SHARED, fd, 0);
	char *q = map(16 * PAGE, PROT_READ, MAP_SHARED, fd, 24 * PAGE);
	char *r = map(8 * PAGE, RW, MAP_SHARED, fd, 30 * PAGE);

	close(fd);
	img_fill(p, 64 * PAGE, 1);
	img_freeze();
	CHECK_FILL(p, 64 * PAGE, 1);
	CHECK(!memcmp(p + 24 * PAGE, q, 16 * PAGE));
	CHECK(!memcmp(p + 30 * PAGE, r, 8 * PAGE));
	p[31 * PAGE] = 5;
	CHECK_EQ(5, q[7 * PAGE]);
	CHECK_EQ(5, r[PAGE]);
	r[2 * PAGE] = 6;
	CHECK_EQ(6, p[32 * PAGE]);
	CHECK_FAULT(SIGSEGV, q, true);
	check_shared(r);
}

/* Two open files of one memfd, one of them for reading only. */
IMG_TEST(two_open_files)
{
	int fd = memfd("twice", 0, 8 * PAGE), ro;
	char path[64], *p, *q;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = MUST(open(path, O_RDONLY));
	p = map(8 * PAGE, RW, MAP_SHARED, fd, 0);
	q = map(8 * PAGE, PROT_READ, MAP_SHARED, ro, 0);
	close(fd);
	close(ro);
	img_fill(p, 8 * PAGE, 1);
	img_freeze();
	CHECK_FILL(q, 8 * PAGE, 1);
	p[PAGE] = 9;
	CHECK_EQ(9, q[PAGE]);
	CHECK_EQ(-1, mprotect(q, PAGE, RW));
	CHECK_EQ(EACCES, errno);
}

TARGET(sparse)
{
	int fd = memfd("sparse", 0, 1024 * MB);
	char *p = map(1024 * MB, RW, MAP_SHARED, fd, 0);
	int i;

	close(fd);
	for (i = 0; i < 8; i++)
		img_fill(p + i * 128 * MB, 2 * PAGE, i);
	p[1024 * MB - 1] = 42;
	img_freeze();
	for (i = 0; i < 8; i++) {
		CHECK_FILL(p + i * 128 * MB, 2 * PAGE, i);
		CHECK_ZERO(p + i * 128 * MB + 2 * PAGE, MB);
	}
	CHECK_EQ(42, p[1024 * MB - 1]);
	check_shared(p + 512 * MB);
}

static long size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) ? -1 : st.st_size;
}

TEST(sparse)
{
	struct img_proc p;

	IMG_SPAWN(&p, "sparse", 's', NULL, NULL);
	ASSERT_EQ(0, img_cycle(&p));
	if (!img_nodump()) {
		EXPECT_LT(size_of(p.image), 4L * (long)MB);
		/* Holes are holes again. */
		EXPECT_LT(img_status_field(p.pid, "RssShmem:", 10), 1024);
	}
	ASSERT_EQ(0, img_finish(&p));
}

/* Its own copies of some pages over what others may write. */
IMG_TEST(private_pages_over_a_memfd)
{
	int fd = memfd("private", 0, 16 * PAGE);
	char *p = map(16 * PAGE, RW, MAP_PRIVATE, fd, 0);
	char *s = map(16 * PAGE, RW, MAP_SHARED, fd, 0);
	uint64_t seed = 1;
	size_t i;

	close(fd);
	img_fill(s, 16 * PAGE, 1);
	img_fill(p + 4 * PAGE, 2 * PAGE, 2);
	memset(p + 8 * PAGE, 0, PAGE);
	img_freeze();
	CHECK_FILL(s, 16 * PAGE, 1);
	CHECK_FILL(p, 4 * PAGE, seed);
	CHECK_FILL(p + 4 * PAGE, 2 * PAGE, 2);
	CHECK_ZERO(p + 8 * PAGE, PAGE);
	CHECK(!memcmp(p + 9 * PAGE, s + 9 * PAGE, 7 * PAGE));
	for (i = 0; i < 16; i++)
		s[i * PAGE] = 100 + i;
	CHECK_EQ(103, p[3 * PAGE]);
	CHECK_FILL(p + 4 * PAGE, 2 * PAGE, 2);
	CHECK_EQ(115, p[15 * PAGE]);
	p[3 * PAGE] = 1;
	CHECK_EQ(103, s[3 * PAGE]);
}

/* The mapping is longer than the object, whose last page is not full. */
IMG_TEST(beyond_the_end)
{
	int fd = memfd("short", 0, 2 * PAGE + 100);
	char *p = map(8 * PAGE, RW, MAP_SHARED, fd, 0);

	img_fill(p, 2 * PAGE, 1);
	p[2 * PAGE + 50] = 3;
	/* Behind the end, but in the same page. */
	p[2 * PAGE + 200] = 4;
	close(fd);
	img_freeze();
	CHECK_FILL(p, 2 * PAGE, 1);
	CHECK_EQ(3, p[2 * PAGE + 50]);
	CHECK_EQ(4, p[2 * PAGE + 200]);
	CHECK_FAULT(SIGBUS, p + 3 * PAGE, false);
	fd = open_map(p, 8 * PAGE, O_RDWR);
	if (fd >= 0) {
		CHECK_EQ(2 * PAGE + 100, lseek(fd, 0, SEEK_END));
		CHECK_EQ(0, ftruncate(fd, 8 * PAGE));
		CHECK_ZERO(p + 3 * PAGE, 5 * PAGE);
	}
}

IMG_TEST(huge_pages)
{
	char *raw = map_anon(8 * MB), *p;

	p = (char *)(((uintptr_t)raw + 2 * MB - 1) & ~(2 * MB - 1));
	madvise(raw, 8 * MB, MADV_HUGEPAGE);
	img_fill(p, 4 * MB, 1);
	memset(p + MB, 0, 16 * PAGE);
	img_freeze();
	CHECK_FILL(p, MB, 1);
	CHECK_ZERO(p + MB, 16 * PAGE);
	CHECK_ZERO(p + 4 * MB, PAGE);
	check_shared(p);
}

IMG_TEST(sealed)
{
	int fd = memfd("sealed", MFD_ALLOW_SEALING, 8 * PAGE);
	char *p;

	p = map(8 * PAGE, RW, MAP_SHARED, fd, 0);
	img_fill(p, 8 * PAGE, 1);
	MUST(munmap(p, 8 * PAGE));
	MUST(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SEAL));
	p = map(8 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	img_freeze();
	CHECK_FILL(p, 8 * PAGE, 1);
	CHECK_EQ(-1, mprotect(p, PAGE, RW));
	fd = open_map(p, 8 * PAGE, O_RDWR);
	if (fd < 0)
		img_target_skip("not permitted to open map_files");
	CHECK_EQ(F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SEAL, fcntl(fd, F_GET_SEALS));
	CHECK_EQ(-1, write(fd, "x", 1));
	CHECK_EQ(-1, ftruncate(fd, 9 * PAGE));
	CHECK_EQ(0, ftruncate(fd, 7 * PAGE));
}

/* Who has mapped it before may go on writing. */
IMG_TEST(sealed_for_the_future)
{
	int fd = memfd("future", MFD_ALLOW_SEALING, 8 * PAGE);
	char *p = map(8 * PAGE, RW, MAP_SHARED, fd, 0);

	img_fill(p, 8 * PAGE, 1);
	MUST(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
	close(fd);
	img_freeze();
	CHECK_FILL(p, 8 * PAGE, 1);
	check_shared(p);
	fd = open_map(p, 8 * PAGE, O_RDWR);
	if (fd < 0)
		img_target_skip("not permitted to open map_files");
	CHECK_EQ(F_SEAL_FUTURE_WRITE, fcntl(fd, F_GET_SEALS));
	CHECK(mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0) == MAP_FAILED);
	CHECK_EQ(0, fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
}

IMG_TEST(modes)
{
	int a = syscall(SYS_memfd_create, "noexec", MFD_NOEXEC_SEAL);
	int b = memfd("plain", 0, PAGE);
	char *p, *q;
	struct stat st;

	if (a < 0)
		img_target_skip("no MFD_NOEXEC_SEAL");
	MUST(ftruncate(a, PAGE));
	MUST(fchmod(b, 0640));
	p = map(PAGE, RW, MAP_SHARED, a, 0);
	q = map(PAGE, RW, MAP_SHARED, b, 0);
	close(a);
	close(b);
	img_freeze();
	a = open_map(p, PAGE, O_RDWR);
	b = open_map(q, PAGE, O_RDWR);
	if (a < 0 || b < 0)
		img_target_skip("not permitted to open map_files");
	CHECK_EQ(F_SEAL_EXEC, fcntl(a, F_GET_SEALS) & ~F_SEAL_SEAL);
	MUST(fstat(a, &st));
	CHECK_EQ(0666, st.st_mode & 0777);
	CHECK_EQ(-1, fchmod(a, 0777));
	CHECK_EQ(F_SEAL_SEAL, fcntl(b, F_GET_SEALS));
	MUST(fstat(b, &st));
	CHECK_EQ(0640, st.st_mode & 0777);
}

/* A dump that is open must not keep the memfd from being sealed. */
TARGET(seals_later)
{
	int fd = memfd("later", MFD_ALLOW_SEALING, 8 * PAGE);
	char *p = map(8 * PAGE, RW, MAP_SHARED, fd, 0);

	img_fill(p, 8 * PAGE, 1);
	img_freeze();
	MUST(munmap(p, 8 * PAGE));
	CHECK_EQ(0, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
}

TEST(sealed_while_a_dump_is_open)
{
	struct img_proc p;
	char path[64];
	int fd;

	if (img_nodump())
		SKIP(return, "needs a dump");
	IMG_SPAWN(&p, "seals_later", 's', NULL, NULL);
	snprintf(path, sizeof(path), "/proc/%d/dump", p.pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, img_finish(&p));
	close(fd);
}

/* What the process writes after the dump is not in it. */
TARGET(writes_on)
{
	char *p = map_anon(8 * MB);

	img_fill(p, 8 * MB, 1);
	img_freeze();
	CHECK_FILL(p, 8 * MB, 1);
	img_fill(p, 8 * MB, 2);
	img_send('M', "written");
	img_freeze();
}

TEST(a_dump_does_not_change)
{
	char path[64], text[16];
	struct img_proc p, q = { .mode = 's' };
	char *data;
	size_t len;

	if (img_nodump())
		SKIP(return, "needs a dump");
	IMG_SPAWN(&p, "writes_on", 's', NULL, NULL);
	snprintf(path, sizeof(path), "/proc/%d/dump", p.pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, img_go(&p));
	ASSERT_EQ(0, img_recv(&p, 'M', text, sizeof(text)));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	len = lseek(fd, 0, SEEK_END);
	data = malloc(len);
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(fd, data + done, len - done, done);

		ASSERT_LT(0, n);
		done += n;
	}
	close(fd);
	img_kill(&p);
	ASSERT_EQ(0, img_write_file(img_path("open.img"), data, len));
	free(data);
	ASSERT_EQ(0, img_launch(&q, img_path("open.img"), NULL));
	ASSERT_EQ(0, img_settle(&q));
	ASSERT_EQ(0, img_go(&q));
	ASSERT_EQ(0, img_recv(&q, 'M', text, sizeof(text)));
	ASSERT_EQ(0, img_await_ready(&q));
	ASSERT_EQ(0, img_go(&q));
	ASSERT_EQ(0, img_wait_exit(&q));
}

/* Of a dump of what was resumed from a dump: every sort of object. */
TARGET(generations)
{
	int fd = memfd("generations", MFD_ALLOW_SEALING, 16 * PAGE), i;
	const char *path = img_path("generations");
	char *a = map_anon(16 * PAGE), *f, *g;
	char *m = map(16 * PAGE, RW, MAP_SHARED, fd, 0);
	char *n = map(8 * PAGE, RW, MAP_PRIVATE, fd, 0);

	MUST(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
	close(fd);
	MUST(img_make_file(path, 8 * PAGE, 3));
	f = map_path(path, O_RDWR, 8 * PAGE, RW, MAP_SHARED);
	g = map_path(path, O_RDONLY, 8 * PAGE, RW, MAP_PRIVATE);
	MUST(unlink(path));
	img_fill(n + 4 * PAGE, PAGE, 9);
	for (i = 0; i < 4; i++) {
		img_fill(a, (i + 1) * PAGE, i);
		img_fill(m, (i + 1) * PAGE, i + 10);
		img_freeze();
		CHECK_FILL(a, (i + 1) * PAGE, i);
		CHECK_ZERO(a + (i + 1) * PAGE, (15 - i) * PAGE);
		CHECK_FILL(m, (i + 1) * PAGE, i + 10);
		CHECK_FILL(n, (i + 1) * PAGE, i + 10);
		CHECK_FILL(n + 4 * PAGE, PAGE, 9);
		CHECK_FILL(f, 8 * PAGE, 3);
		CHECK_FILL(g, 8 * PAGE, 3);
		f[0]++;
		CHECK(f[0] == g[0]);
		f[0]--;
		check_shared(m);
	}
}

TEST(four_generations)
{
	struct img_proc p;
	long first = 0;
	int i;

	IMG_SPAWN(&p, "generations", 's', NULL, NULL);
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, img_cycle(&p));
		if (!img_nodump()) {
			if (!i)
				first = size_of(p.image);
			EXPECT_GT(first + 256 * 1024, size_of(p.image));
		}
		ASSERT_EQ(0, img_go(&p));
		if (i < 3)
			ASSERT_EQ(0, img_await_ready(&p));
	}
	ASSERT_EQ(0, img_wait_exit(&p));
}

/* Each copy has an object of its own. */
TARGET(copied)
{
	char *p = map_anon(4 * PAGE);

	img_fill(p, 4 * PAGE, 1);
	img_freeze();
	CHECK_FILL(p, 4 * PAGE, 1);
	img_fill(p, 4 * PAGE, getpid());
	img_send('M', "written");
	img_freeze();
	CHECK_FILL(p, 4 * PAGE, getpid());
}

TEST(copies_do_not_share)
{
	struct img_proc p, q[2] = { { .mode = 's' }, { .mode = 's' } };
	char text[16];
	int i;

	if (img_nodump())
		SKIP(return, "needs a dump");
	IMG_SPAWN(&p, "copied", 's', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, img_launch(&q[i], p.image, NULL));
		ASSERT_EQ(0, img_settle(&q[i]));
	}
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, img_go(&q[i]));
		ASSERT_EQ(0, img_recv(&q[i], 'M', text, sizeof(text)));
		ASSERT_EQ(0, img_await_ready(&q[i]));
	}
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, img_go(&q[i]));
		ASSERT_EQ(0, img_wait_exit(&q[i]));
	}
	img_forget(&p);
}

/*
 * Deleted files
 */

IMG_TEST(deleted_file_shared)
{
	const char *path = img_path("deleted");
	char *p, *q;

	MUST(img_make_file(path, 16 * PAGE, 1));
	p = map_path(path, O_RDWR, 16 * PAGE, RW, MAP_SHARED);
	q = map_path(path, O_RDONLY, 8 * PAGE, PROT_READ, MAP_SHARED);
	MUST(unlink(path));
	img_freeze();
	CHECK_FILL(p, 16 * PAGE, 1);
	CHECK_FILL(q, 8 * PAGE, 1);
	p[PAGE] = 44;
	CHECK_EQ(44, q[PAGE]);
	CHECK_EQ(-1, mprotect(q, PAGE, RW));
	check_shared(p);
}

IMG_TEST(deleted_file_private)
{
	const char *path = img_path("deleted");
	char *p;

	MUST(img_make_file(path, 16 * PAGE, 1));
	p = map_path(path, O_RDONLY, 8 * PAGE, RW, MAP_PRIVATE);
	MUST(unlink(path));
	img_fill(p + 2 * PAGE, PAGE, 2);
	img_freeze();
	CHECK_FILL(p, 2 * PAGE, 1);
	CHECK_FILL(p + 2 * PAGE, PAGE, 2);
	/* All of the file, not only what was mapped. */
	p = mremap(p, 8 * PAGE, 16 * PAGE, MREMAP_MAYMOVE);
	CHECK(p != MAP_FAILED);
	CHECK_FILL(p, 2 * PAGE, 1);
	CHECK(img_nonzero(p + 15 * PAGE, PAGE) != PAGE);
	p = mremap(p, 16 * PAGE, 17 * PAGE, MREMAP_MAYMOVE);
	CHECK(p != MAP_FAILED);
	CHECK_FAULT(SIGBUS, p + 16 * PAGE, false);
}

/* The program itself; it knows its name, and may be replaced meanwhile. */
TARGET(plain)
{
	char exe[512] = "";

	img_freeze();
	MUST(readlink("/proc/self/exe", exe, sizeof(exe) - 1));
	CHECKF(!strcmp(exe, arg), "it is %s", exe);
}

static int start_copy(struct img_proc *p, const char *path, const char *link)
{
	char *const argv[] = { (char *)path, "--target", "plain", "s", (char *)link, NULL };
	struct img_launch how = { .argv = argv };
	char *text;
	size_t len;
	int ret;

	text = img_read_file(img_self, &len);
	ret = text ? img_write_file(path, text, len) : -1;
	free(text);
	if (!ret)
		ret = img_launch(p, path, &how);
	return ret ?: img_await_ready(p);
}

TEST(deleted_program)
{
	struct img_proc p = { .mode = 's' };
	char link[600], path[512];
	int i;

	if (img_nodump())
		SKIP(return, "needs a dump");
	snprintf(path, sizeof(path), "%s", img_path("program"));
	snprintf(link, sizeof(link), "%s (deleted)", path);
	ASSERT_EQ(0, start_copy(&p, path, link));
	ASSERT_EQ(0, unlink(path));
	snprintf(p.image, sizeof(p.image), "%s", img_path("program.img"));
	for (i = 0; i < 2; i++) {
		snprintf(p.image, sizeof(p.image), "%s", img_path("program%d.img", i));
		ASSERT_EQ(0, img_cycle(&p));
	}
	ASSERT_EQ(0, img_finish(&p));
}

/* The rule for executable memfds holds for it. */
TEST(deleted_program_and_memfd_noexec)
{
	const char *sysctl = "/proc/sys/vm/memfd_noexec";
	struct img_proc p = { .mode = 's' };
	char link[600], path[512];
	pid_t pid = 0;
	int ret;

	if (img_nodump())
		SKIP(return, "needs a dump");
	snprintf(path, sizeof(path), "%s", img_path("program"));
	snprintf(link, sizeof(link), "%s (deleted)", path);
	ASSERT_EQ(0, start_copy(&p, path, link));
	ASSERT_EQ(0, unlink(path));
	snprintf(p.image, sizeof(p.image), "%s", img_path("noexec.img"));
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	if (img_write_str(sysctl, "2"))
		SKIP(return, "cannot set vm.memfd_noexec");
	ret = img_try_exec(p.image, NULL, &pid);
	ASSERT_EQ(0, img_write_str(sysctl, "0"));
	EXPECT_EQ(-EACCES, ret);
	ASSERT_EQ(0, img_resume(&p));
	ASSERT_EQ(0, img_finish(&p));
}

/*
 * Files that are written to through a mapping
 */

TARGET(writes_file)
{
	char *p = map_path(arg, O_RDWR, 8 * PAGE, RW, MAP_SHARED);

	img_fill(p, PAGE, 2);
	img_freeze();
	CHECK_FILL(p, PAGE, 2);
	img_fill(p + 4 * PAGE, PAGE, 3);
	check_shared(p);
}

FIXTURE(writable) {
	struct img_proc p;
	char path[300];
};

FIXTURE_SETUP(writable)
{
	if (img_nodump())
		SKIP(return, "needs a dump");
	snprintf(self->path, sizeof(self->path), "%s", img_path("writable.%d", getpid()));
	ASSERT_EQ(0, img_make_file(self->path, 8 * PAGE, 1));
	ASSERT_EQ(0, img_spawn(&self->p, "writes_file", 's', self->path, NULL));
	ASSERT_EQ(0, img_dump(&self->p));
	img_kill(&self->p);
}

FIXTURE_TEARDOWN(writable)
{
	img_forget(&self->p);
	unlink(self->path);
}

TEST_F(writable, written)
{
	char *text;
	size_t len;

	ASSERT_EQ(0, img_resume(&self->p));
	ASSERT_EQ(0, img_same_maps(&self->p));
	ASSERT_EQ(0, img_finish(&self->p));
	text = img_read_file(self->path, &len);
	ASSERT_TRUE(text != NULL);
	ASSERT_EQ(8 * PAGE, len);
	EXPECT_EQ(PAGE, img_differs(text, PAGE, 2));
	EXPECT_EQ(PAGE, img_differs(text + 4 * PAGE, PAGE, 3));
	free(text);
}

/* It is written to, after all. */
TEST_F(writable, changed_and_longer)
{
	struct timespec t[2] = { { 1000000, 5 }, { 1000000, 5 } };

	ASSERT_EQ(0, truncate(self->path, 9 * PAGE));
	ASSERT_EQ(0, utimensat(AT_FDCWD, self->path, t, 0));
	ASSERT_EQ(0, img_resume(&self->p));
	ASSERT_EQ(0, img_finish(&self->p));
}

TEST_F(writable, shorter)
{
	pid_t pid;

	ASSERT_EQ(0, truncate(self->path, 7 * PAGE));
	EXPECT_EQ(-ESTALE, img_try_exec(self->p.image, NULL, &pid));
}

TEST_F(writable, another_file)
{
	pid_t pid;

	ASSERT_EQ(0, rename(self->path, img_path("kept.%d", getpid())));
	ASSERT_EQ(0, img_make_file(self->path, 8 * PAGE, 1));
	EXPECT_EQ(-ESTALE, img_try_exec(self->p.image, NULL, &pid));
}

TEST_F(writable, missing)
{
	pid_t pid;

	ASSERT_EQ(0, unlink(self->path));
	EXPECT_EQ(-ENOENT, img_try_exec(self->p.image, NULL, &pid));
}

TEST_F(writable, not_permitted)
{
	struct img_launch how = { .uid = IMG_NOBODY };
	pid_t pid;

	if (geteuid())
		SKIP(return, "not root");
	/* May be read, which is not enough. */
	ASSERT_EQ(0, chmod(self->path, 0644));
	EXPECT_EQ(-EACCES, img_try_exec(self->p.image, &how, &pid));
}

/* Open for writing: can become writable at any time, and else never. */
IMG_TEST(may_be_written)
{
	const char *path = img_path("may_be"), *other = img_path("may_not");
	char *p, *q;

	MUST(img_make_file(path, 4 * PAGE, 9));
	MUST(img_make_file(other, 4 * PAGE, 8));
	p = map_path(path, O_RDWR, 4 * PAGE, PROT_READ, MAP_SHARED);
	q = map_path(other, O_RDONLY, 4 * PAGE, PROT_READ, MAP_SHARED);
	img_freeze();
	CHECK_FILL(p, 4 * PAGE, 9);
	CHECK_FILL(q, 4 * PAGE, 8);
	CHECK_EQ(-1, mprotect(q, PAGE, RW));
	MUST(mprotect(p, PAGE, RW));
	p[1] = 7;
}

/*
 * What can go wrong
 */

TARGET(swapped)
{
	char *p = map_anon(4 * MB);

	img_fill(p, 4 * MB, 1);
	madvise(p, 4 * MB, MADV_PAGEOUT);
	img_freeze();
	CHECK_FILL(p, 4 * MB, 1);
}

static long meminfo(const char *field)
{
	char *text = img_read_file("/proc/meminfo", NULL);
	char *line = text ? strstr(text, field) : NULL;
	long kb = line ? strtol(line + strlen(field), NULL, 10) : -1;

	free(text);
	return kb;
}

TEST(swapped_out)
{
	struct img_proc p;
	char dev[32];
	long used;
	int loop;

	loop = img_swap_on(dev, sizeof(dev));
	if (loop < 0)
		SKIP(return, "no swap to be had");
	used = img_spawn(&p, "swapped", 's', NULL, NULL) ? -1 :
		meminfo("SwapTotal:") - meminfo("SwapFree:");
	EXPECT_EQ(0, used < 0 ? -1 : img_cycle(&p));
	EXPECT_EQ(0, used < 0 ? -1 : img_finish(&p));
	EXPECT_EQ(0, img_swap_off(dev, loop));
	if (used < 1024)
		SKIP(return, "nothing was swapped out");
}

/* Somebody else cuts it off and fills it again, all the time. */
TARGET(truncated)
{
	char path[64], *p, *q;
	int fd = memfd("cut", 0, 4 * MB);

	p = map(4 * MB, RW, MAP_SHARED, fd, 0);
	q = map(4 * MB, RW, MAP_PRIVATE, fd, 0);
	snprintf(path, sizeof(path), "%d", fd);
	memset(p, 1, 4 * MB);
	img_send('M', "%s", path);
	img_freeze();
	/* Whatever it is by now. */
	touch(p, true);
	touch(q + 2 * MB, true);
}

TEST(truncated_meanwhile)
{
	char path[64], text[16], *buf = malloc(4 * MB);
	struct img_proc p, q = { .mode = 's' };
	int i, fd;
	pid_t pid;

	if (img_nodump())
		SKIP(return, "needs a dump");
	ASSERT_EQ(0, img_start(&p, "truncated", 's', NULL, NULL));
	ASSERT_EQ(0, img_recv(&p, 'M', text, sizeof(text)));
	ASSERT_EQ(0, img_await_ready(&p));
	snprintf(path, sizeof(path), "/proc/%d/fd/%s", p.pid, text);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	pid = fork();
	if (!pid) {
		memset(buf, 2, 4 * MB);
		for (i = 0;; i++) {
			if (ftruncate(fd, (i * 7 % 64) * 64 * 1024) ||
			    pwrite(fd, buf, MB, (i % 3) * MB) < 0)
				_exit(1);
		}
	}
	for (i = 0; i < 50; i++) {
		ASSERT_EQ(0, img_dump_to(p.pid, img_path("cut%d.img", i % 2)));
		if (i % 10)
			continue;
		memset(&q, 0, sizeof(q));
		q.mode = 's';
		ASSERT_EQ(0, img_launch(&q, img_path("cut%d.img", i % 2), NULL));
		ASSERT_EQ(0, img_settle(&q));
		ASSERT_EQ(0, img_finish(&q));
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	EXPECT_EQ(0, img_finish(&p));
	free(buf);
}

TARGET(large)
{
	char *p = map_anon(32 * MB);

	img_fill(p, 32 * MB, 1);
	img_freeze();
	CHECK_FILL(p, 32 * MB, 1);
}

/* More than the dumper, or the launcher, may have: nobody is killed for that. */
TEST(no_memory)
{
	const char *group = "/sys/fs/cgroup/img_object";
	char path[128], text[16];
	struct img_proc p;
	int status = 0;
	pid_t pid;

	if (img_nodump())
		SKIP(return, "needs a dump");
	snprintf(path, sizeof(path), "%s/memory.max", group);
	if (mkdir(group, 0755) || img_write_str(path, "12582912")) {
		rmdir(group);
		SKIP(return, "no limit of memory to be had");
	}
	IMG_SPAWN(&p, "large", 's', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	pid = fork();
	if (!pid) {
		pid_t got;
		int ret;

		snprintf(path, sizeof(path), "%s/cgroup.procs", group);
		snprintf(text, sizeof(text), "%d", getpid());
		if (img_write_str(path, text))
			_exit(10);
		ret = img_open_dump(p.pid);
		if (ret != -ENOMEM)
			_exit(ret >= 0 ? 11 : -ret);
		ret = img_try_exec(p.image, NULL, &got);
		_exit(ret == -ENOMEM ? 0 : 12);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	rmdir(group);
	img_kill(&p);
	ASSERT_EQ(0, img_resume(&p));
	ASSERT_EQ(0, img_finish(&p));
}

/*
 * All files are in the image, those that nobody writes to are copied after the
 * one that is written to.
 */
TARGET(files_in_image)
{
	const char *path = img_path("shared.%d", getpid());
	char *m;

	MUST(img_write_str("/proc/self/coredump_filter", "0x7f"));
	MUST(img_make_file(path, 4 * PAGE, 1));
	m = map_path(path, O_RDWR, 4 * PAGE, RW, MAP_SHARED);
	img_fill(m, 3 * PAGE, 2);
	img_freeze();
	CHECK_FILL(m, 3 * PAGE, 2);
	img_fill(m, PAGE, 3);
	CHECK_FILL(m, PAGE, 3);
}

TEST(files_in_the_image)
{
	struct img_proc p;

	IMG_SPAWN(&p, "files_in_image", 's', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	ASSERT_EQ(0, img_resume(&p));
	ASSERT_EQ(0, img_finish(&p));
}

/* All that was taken is given back. */
TEST(nothing_is_left)
{
	int i, fd, rounds = img_slow() > 1 ? 6 : 20;
	long shmem, available;
	struct img_proc p;
	pid_t pid;

	if (img_nodump())
		SKIP(return, "needs a dump");
	IMG_SPAWN(&p, "large", 's', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	shmem = meminfo("Shmem:");
	available = meminfo("MemAvailable:");
	for (i = 0; i < rounds; i++) {
		fd = img_open_dump(p.pid);
		ASSERT_LE(0, fd);
		close(fd);
		ASSERT_EQ(0, img_try_exec(p.image, NULL, &pid));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	img_msleep(200);
	/* So many times 32 MB would show. */
	EXPECT_LT(meminfo("Shmem:"), shmem + 16 * 1024);
	EXPECT_GT(meminfo("MemAvailable:"), available - 64 * 1024);
	ASSERT_EQ(0, img_finish(&p));
}

/*
 * Hostile values
 */

TARGET(hostile)
{
	int fd = memfd("hostile", MFD_ALLOW_SEALING, 16 * PAGE);
	const char *path = img_path("hostile");
	char *m = map(16 * PAGE, RW, MAP_SHARED, fd, 0);
	char *a = map_anon(16 * PAGE);

	MUST(img_make_file(path, 4 * PAGE, 1));
	map_path(path, O_RDONLY, 4 * PAGE, PROT_READ, MAP_PRIVATE);
	MUST(unlink(path));
	img_fill(m, PAGE, 1);
	img_fill(m + 8 * PAGE, 2 * PAGE, 2);
	img_fill(a + PAGE, PAGE, 3);
	img_freeze();
}

typedef void (*patch_fn)(struct img_image *im, uint64_t arg);

#define OBJECTS	((struct img_objects *)img_note(im, "IMG", NT_IMG_OBJECT, 0, NULL))
#define RUN(i)	((struct img_object_run *)((uint8_t *)OBJECTS + OBJECTS->runs_off) + (i))

static struct img_object *object_of(struct img_image *im, unsigned int kind)
{
	struct img_object *o = (void *)((uint8_t *)OBJECTS + OBJECTS->objects_off);

	while (o->kind != kind)
		o++;
	return o;
}

#define ANON	object_of(im, IMG_OBJECT_ANON)
#define MEMFD	object_of(im, IMG_OBJECT_MEMFD)
#define DELETED	object_of(im, IMG_OBJECT_FILE)

/* The first mapping of a kind. */
static struct img_vma *vma_of(struct img_image *im, unsigned int kind)
{
	struct img_vmas *head = img_note(im, "IMG", NT_IMG_VMA, 0, NULL);
	struct img_vma *v = (void *)((uint8_t *)head + head->vmas_off);

	while (v->kind != kind || (kind == IMG_VMA_OBJECT && !(v->map & MAP_SHARED)))
		v++;
	return v;
}

static struct img_mm *mm_of(struct img_image *im)
{
	return img_note(im, "IMG", NT_IMG_MM, 0, NULL);
}

static struct img_file *file_of(struct img_image *im)
{
	struct img_files *head = img_note(im, "IMG", NT_IMG_FILE, 0, NULL);

	return (void *)((uint8_t *)head + head->files_off);
}

/* The first segment that shows an object. */
static Elf64_Phdr *view_of(struct img_image *im)
{
	Elf64_Phdr *ph = (Elf64_Phdr *)(im->data + sizeof(Elf64_Ehdr)) + 1;
	uint64_t start = vma_of(im, IMG_VMA_OBJECT)->start;

	while (ph->p_vaddr < start || !ph->p_filesz)
		ph++;
	return ph;
}

#define SET(_name, _expr)						\
	static void set_##_name(struct img_image *im, uint64_t arg)	\
	{								\
		(_expr) = arg;						\
	}

SET(size, OBJECTS->size)
SET(object_size, OBJECTS->object_size)
SET(nr, OBJECTS->nr)
SET(objects_off, OBJECTS->objects_off)
SET(run_size, OBJECTS->run_size)
SET(nr_runs, OBJECTS->nr_runs)
SET(runs_off, OBJECTS->runs_off)
SET(pad, OBJECTS->pad)
SET(kind, MEMFD->kind)
SET(anon_kind, ANON->kind)
SET(file_kind, DELETED->kind)
SET(same, MEMFD->same)
SET(flags, MEMFD->flags)
SET(anon_flags, ANON->flags)
SET(bytes, MEMFD->bytes)
SET(anon_bytes, ANON->bytes)
SET(run, MEMFD->run)
SET(object_runs, MEMFD->nr_runs)
SET(name_off, MEMFD->name_off)
SET(anon_name, ANON->name_off)
SET(file_name, DELETED->name_off)
SET(mode, MEMFD->mode)
SET(anon_mode, ANON->mode)
SET(seals, MEMFD->seals)
SET(anon_seals, ANON->seals)
SET(object_pad, MEMFD->pad)
SET(run_off, RUN(MEMFD->run + 1)->off)
SET(run_bytes, RUN(MEMFD->run + 1)->bytes)
SET(run_pos, RUN(MEMFD->run + 1)->pos)
SET(last_bytes, RUN(OBJECTS->nr_runs - 1)->bytes)
SET(vma_object, vma_of(im, IMG_VMA_OBJECT)->file)
SET(vma_kind, vma_of(im, IMG_VMA_OBJECT)->kind)
SET(vma_off, vma_of(im, IMG_VMA_OBJECT)->file_off)
SET(vma_flags, vma_of(im, IMG_VMA_OBJECT)->flags)
SET(file_vma_kind, vma_of(im, IMG_VMA_FILE)->kind)
SET(view_offset, view_of(im)->p_offset)
SET(view_vaddr, view_of(im)->p_vaddr)
SET(mm_flags, mm_of(im)->flags)
SET(exe, mm_of(im)->exe)
SET(file_flags, file_of(im)->flags)
SET(file_pad, file_of(im)->pad)
SET(file_generation, file_of(im)->generation)
SET(file_btime_sec, file_of(im)->btime_sec)
SET(file_btime_nsec, file_of(im)->btime_nsec)
SET(vma_map, vma_of(im, IMG_VMA_OBJECT)->map)
SET(file_vma_map, vma_of(im, IMG_VMA_FILE)->map)

/* A read-only open file with a mapping that is written to. */
static void no_write(struct img_image *im, uint64_t arg)
{
	MEMFD->flags = 0;
	ANON->flags = 0;
}

static void exe_is_object(struct img_image *im, uint64_t arg)
{
	mm_of(im)->flags |= IMG_MM_EXE_OBJECT;
	mm_of(im)->exe = arg;
}

static void exe_is_anon(struct img_image *im, uint64_t arg)
{
	exe_is_object(im, ANON - (struct img_object *)((uint8_t *)OBJECTS + OBJECTS->objects_off));
}

static void is_same(struct img_image *im, uint64_t arg)
{
	struct img_object *first = (void *)((uint8_t *)OBJECTS + OBJECTS->objects_off);

	first->same = arg;
}

static void name_without_end(struct img_image *im, uint64_t arg)
{
	size_t len;
	uint8_t *d = img_note(im, "IMG", NT_IMG_OBJECT, 0, &len);

	memset(d + len - 1, 'x', 1);
	DELETED->name_off = len - 1;
}

static void second_note(struct img_image *im, uint64_t arg)
{
	uint8_t *fd = img_note(im, "IMG", NT_IMG_FD, 0, NULL);
	Elf64_Nhdr *nh = (void *)(fd - 4 - sizeof(*nh));

	nh->n_type = NT_IMG_OBJECT;
}

static void no_note(struct img_image *im, uint64_t arg)
{
	Elf64_Nhdr *nh = (void *)((uint8_t *)OBJECTS - 4 - sizeof(*nh));

	nh->n_type = NT_IMG_FD;
}

/* Another mapping than it was, but one that the process could make. */
#define MAY_RUN	-1

static const struct {
	const char *name;
	patch_fn patch;
	uint64_t arg;
	int error;
} hostile[] = {
	{ "note of 0 bytes", set_size, 0, EBADMSG },
	{ "note of 2^32-1 bytes", set_size, 0xffffffff, EBADMSG },
	{ "no note", no_note, 0, EBADMSG },
	{ "two notes", second_note, 0, EBADMSG },
	{ "objects of 0 bytes", set_object_size, 0, EBADMSG },
	{ "objects of 2^32-1 bytes", set_object_size, 0xffffffff, EBADMSG },
	{ "no objects", set_nr, 0, EBADMSG },
	{ "one object", set_nr, 1, EBADMSG },
	{ "one more object", set_nr, 4, 0 },
	{ "2^32-1 objects", set_nr, 0xffffffff, EBADMSG },
	{ "objects at the end of memory", set_objects_off, 0xffffffff, EBADMSG },
	{ "objects in the header", set_objects_off, 0, 0 },
	{ "runs of 0 bytes", set_run_size, 0, EBADMSG },
	{ "runs of 2^32-1 bytes", set_run_size, 0xffffffff, EBADMSG },
	{ "no runs", set_nr_runs, 0, EBADMSG },
	{ "one run too few", set_nr_runs, 3, EBADMSG },
	{ "one run too many", set_nr_runs, 5, EBADMSG },
	{ "2^32-1 runs", set_nr_runs, 0xffffffff, EBADMSG },
	{ "runs at the end of memory", set_runs_off, 0xfffffff8, EBADMSG },
	{ "runs in the header", set_runs_off, 0, EBADMSG },
	{ "padding", set_pad, 1, EBADMSG },
	{ "kind 0", set_kind, 0, EBADMSG },
	{ "kind 4", set_kind, 4, EOPNOTSUPP },
	{ "kind 2^32-1", set_kind, 0xffffffff, EOPNOTSUPP },
	{ "memfd as anonymous memory", set_kind, IMG_OBJECT_ANON, EBADMSG },
	{ "memfd as file", set_kind, IMG_OBJECT_FILE, EBADMSG },
	{ "anonymous memory as memfd", set_anon_kind, IMG_OBJECT_MEMFD, EBADMSG },
	{ "anonymous memory as file", set_anon_kind, IMG_OBJECT_FILE, EBADMSG },
	{ "file as anonymous memory", set_file_kind, IMG_OBJECT_ANON, EBADMSG },
	{ "the same as itself", is_same, 0, EBADMSG },
	{ "the same as a later one", is_same, 1, EBADMSG },
	{ "the same as nothing", is_same, 0xfffffffe, EBADMSG },
	{ "the same, with contents", set_same, 0, EBADMSG },
	{ "unknown flags", set_flags, 1ULL << 63, EOPNOTSUPP },
	{ "flags of another kind", set_flags, IMG_OBJECT_EXEC, EBADMSG },
	{ "flags of another kind", set_anon_flags, IMG_OBJECT_SEAL_LATE, EBADMSG },
	{ "open for reading only", no_write, 0, EBADMSG },
	{ "size 0", set_bytes, 0, EBADMSG },
	{ "size of the first run", set_bytes, PAGE, EBADMSG },
	{ "a page too short", set_bytes, 9 * PAGE, EBADMSG },
	{ "size 2^63", set_bytes, 1ULL << 63, EBADMSG },
	{ "size 2^64-1", set_bytes, -1ULL, EBADMSG },
	{ "anonymous memory of 2^62 bytes", set_anon_bytes, 1ULL << 62, ENOMEM },
	{ "runs of another object", set_run, 2, EBADMSG },
	{ "runs from 2^32-1 on", set_run, 0xffffffff, EBADMSG },
	{ "no runs of an object", set_object_runs, 0, EBADMSG },
	{ "too many runs of an object", set_object_runs, 0xffffffff, EBADMSG },
	{ "no name", set_name_off, IMG_NONE, EBADMSG },
	{ "name beyond the end", set_name_off, 0xfffffff0, EBADMSG },
	{ "name without end", name_without_end, 0, EBADMSG },
	{ "anonymous memory with a name", set_anon_name, 0, EBADMSG },
	{ "path that is none", set_file_name, 0, EBADMSG },
	{ "mode 01777", set_mode, 01777, EBADMSG },
	{ "mode 04755", set_mode, 04755, EBADMSG },
	{ "mode of anonymous memory", set_anon_mode, 0666, EBADMSG },
	{ "unknown seals", set_seals, 0x80000000, EOPNOTSUPP },
	{ "sealed, and written to", set_seals, F_SEAL_WRITE, EBADMSG },
	{ "sealed, and written to", set_seals, F_SEAL_FUTURE_WRITE, EBADMSG },
	{ "seals of anonymous memory", set_anon_seals, F_SEAL_GROW, EBADMSG },
	{ "padding of an object", set_object_pad, 1, EBADMSG },
	{ "run at an odd offset", set_run_off, 8 * PAGE + 1, EBADMSG },
	{ "run over another", set_run_off, 0, EBADMSG },
	{ "run beyond the end", set_run_off, 15 * PAGE, EBADMSG },
	{ "run at 2^63", set_run_off, 1ULL << 63, EBADMSG },
	{ "run wraps", set_run_off, -4096ULL, EBADMSG },
	{ "run of 0 bytes", set_run_bytes, 0, EBADMSG },
	{ "run of 1 byte", set_run_bytes, 1, EBADMSG },
	{ "run of 2^63 bytes", set_run_bytes, 1ULL << 63, EBADMSG },
	{ "run of 2^64-4096 bytes", set_run_bytes, -4096ULL, EBADMSG },
	{ "last run longer than the image", set_last_bytes, 1ULL << 40, EBADMSG },
	{ "run at an odd position", set_run_pos, 1, EBADMSG },
	{ "run at the position of another", set_run_pos, 0, EBADMSG },
	{ "run beyond the image", set_run_pos, 1ULL << 50, EBADMSG },
	{ "mapping of no object", set_vma_object, IMG_NONE, EBADMSG },
	{ "mapping of object 100", set_vma_object, 100, EBADMSG },
	{ "mapping of an object as of a file", set_vma_kind, IMG_VMA_FILE, EBADMSG },
	{ "mapping of an object as of none", set_vma_kind, IMG_VMA_ANON, EBADMSG },
	{ "mapping of a file as of an object", set_file_vma_kind, IMG_VMA_OBJECT, MAY_RUN },
	{ "mapping at an odd offset", set_vma_off, 1, EBADMSG },
	{ "mapping at 2^63", set_vma_off, 1ULL << 63, EBADMSG },
	{ "mapping wraps", set_vma_off, -4096ULL, EBADMSG },
	{ "shared mapping that is charged", set_vma_flags, IMG_VMA_ACCOUNT, EBADMSG },
	{ "shared mapping that is wiped", set_vma_flags, IMG_VMA_WIPEONFORK, EBADMSG },
	{ "segment of other contents", set_view_offset, 0, EBADMSG },
	{ "segment elsewhere", set_view_vaddr, 0x10000, EBADMSG },
	{ "executable is object 100", exe_is_object, 100, EBADMSG },
	{ "executable is no object", exe_is_object, IMG_NONE, EBADMSG },
	{ "executable is not executable", exe_is_object, 2, EBADMSG },
	{ "executable is anonymous memory", exe_is_anon, 0, EBADMSG },
	{ "late seals without the seal", set_flags, IMG_OBJECT_WRITE | IMG_OBJECT_SEAL_LATE,
	  EBADMSG },
	{ "object that grows down", set_vma_map, MAP_SHARED | MAP_GROWSDOWN, EBADMSG },
	{ "file that grows down", set_file_vma_map, MAP_PRIVATE | MAP_GROWSDOWN, EBADMSG },
	{ "unknown flags of a file", set_file_flags, 8, EOPNOTSUPP },
	{ "other generation of a file", set_file_generation, 0x12345678, ESTALE },
	{ "other time of birth", set_file_btime_sec, 1234567, ESTALE },
	{ "other nanosecond of birth", set_file_btime_nsec, 7, ESTALE },
	{ "padding of a file", set_file_pad, 1, EBADMSG },
	{ "unknown flags of the address space", set_mm_flags, 1ULL << 40, EOPNOTSUPP },
	{ "executable of all objects", set_exe, IMG_NONE, EBADMSG },
};

TEST(hostile_values)
{
	struct img_image im, copy;
	struct img_proc p;
	char path[300];
	size_t i;

	if (img_nodump())
		SKIP(return, "needs a dump");
	IMG_SPAWN(&p, "hostile", 's', NULL, NULL);
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_load(&im, p.image));
	snprintf(path, sizeof(path), "%s", img_path("hostile.img"));
	for (i = 0; i < ARRAY_SIZE(hostile); i++) {
		pid_t pid = 0;
		int ret;

		ASSERT_EQ(0, img_copy(&copy, &im));
		hostile[i].patch(&copy, hostile[i].arg);
		img_fix_crc(&copy);
		ASSERT_EQ(0, img_save(&copy, path));
		img_free(&copy);
		ret = img_try_exec(path, NULL, &pid);
		if (pid) {
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
		}
		if (hostile[i].error == MAY_RUN)
			continue;
		/* Without an errno of its own: refused, however. */
		if (hostile[i].error ? ret != -hostile[i].error : !ret) {
			img_diag("%s: %d", hostile[i].name, ret);
			EXPECT_EQ(-hostile[i].error, ret);
		}
	}
	img_free(&im);
	ASSERT_EQ(0, img_finish(&p));
}
