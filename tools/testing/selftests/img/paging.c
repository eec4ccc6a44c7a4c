// SPDX-License-Identifier: GPL-2.0
/*
 * Pages that a resumed process has not touched yet are in its image.  Whatever
 * is done to them meanwhile, they are what they were: no bytes of the image come
 * back where memory was given up, none are lost where it was moved.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "img_paging.h"
#include "img_test.h"

#define NR	64
#define LEN	(NR * PAGE)

IMG_TEST(is_read_when_it_is_touched)
{
	char *p = untouched(LEN);
	char *copy = malloc(LEN);

	if (!img_nodump())
		CHECK_EQ(0, nr_present(p, LEN));
	/* The page, and not what is around it. */
	memcpy(copy, p + 20 * PAGE, PAGE);
	if (!img_nodump())
		CHECK_EQ(1, nr_present(p, LEN));
	memcpy(copy, p + 40 * PAGE, PAGE);
	if (!img_nodump())
		CHECK_EQ(2, nr_present(p, LEN));
	CHECK_FILL(p, LEN, 1);
	CHECK_EQ(NR, nr_present(p, LEN));
	/* Each page is of its own. */
	img_fill(p, LEN, 2);
	CHECK_FILL(p, LEN, 2);
}

IMG_TEST(is_written_first)
{
	char *p = untouched(LEN);
	int i;

	for (i = NR - 1; i >= 0; i--)
		p[i * PAGE] ^= 1;
	for (i = 0; i < NR; i++)
		p[i * PAGE] ^= 1;
	CHECK_FILL(p, LEN, 1);
}

static void reads_and_writes(char *p)
{
	CHECK_FILL(p, LEN, 1);
	img_fill(p, LEN, 3);
	CHECK_FILL(p, LEN, 3);
}

static void reads_and_writes_some(char *p)
{
	CHECK_FILL(p, 3 * PAGE, 1);
	memset(p, 5, 16 * PAGE);
	CHECK_EQ(5, p[3 * PAGE]);
}

static void forks_again(char *p)
{
	in_child(reads_and_writes, p);
	reads_and_writes(p);
}

/* Children and theirs have it from the same file. */
IMG_TEST(then_fork)
{
	char *p = untouched(LEN);

	in_child(forks_again, p);
	in_child(reads_and_writes, p);
	p[5 * PAGE] ^= 1;
	p[5 * PAGE] ^= 1;
	in_child(reads_and_writes, p);
	CHECK_FILL(p, LEN, 1);
}

/* A child lives on when its parent has executed something else. */
IMG_TEST(then_fork_and_exec)
{
	char *p = untouched(LEN);
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (!pid) {
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	CHECK_EQ(pid, waitpid(pid, &status, 0));
	CHECK_EQ(0, status);
	CHECK_FILL(p, LEN, 1);
}

IMG_TEST(then_mremap)
{
	char *p = untouched(LEN), *to = reserve(2 * LEN, PAGE), *q;

	q = mremap(p, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	CHECK(q == to);
	if (!img_nodump())
		CHECK_EQ(0, nr_present(q, LEN));
	q = mremap(q, LEN, LEN / 2, 0);
	CHECK(q == to);
	munmap(to + LEN, LEN);
	q = mremap(q, LEN / 2, LEN, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED);
	CHECK_FILL(q, LEN / 2, 1);
	CHECK_ZERO(q + LEN / 2, LEN / 2);
}

IMG_TEST(then_mremap_and_leave)
{
	char *p = untouched(LEN), *to = reserve(LEN, PAGE), *q;

	munmap(to, LEN);
	q = mremap(p, LEN, LEN, MREMAP_MAYMOVE | MREMAP_DONTUNMAP | MREMAP_FIXED, to);
	CHECK(q == to);
	CHECK_FILL(q, LEN, 1);
	CHECK_ZERO(p, LEN);
}

/* Over a border of page tables, where whole tables are moved. */
IMG_TEST(then_mremap_much)
{
	char *p = untouched(8 * MB), *to = reserve(8 * MB, 2 * MB), *q;

	q = mremap(p, 8 * MB, 8 * MB, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	CHECK(q == to);
	CHECK_FILL(q, 8 * MB, 1);
	p = mmap(p, 8 * MB, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(p != MAP_FAILED);
	CHECK_ZERO(p, 8 * MB);
}

IMG_TEST(then_mprotect)
{
	char *p = untouched(LEN);

	MUST(mprotect(p, LEN, PROT_NONE));
	MUST(mprotect(p + 8 * PAGE, 8 * PAGE, PROT_READ));
	touch(&p[8 * PAGE]);
	MUST(mprotect(p, LEN, RW));
	CHECK_FILL(p, LEN, 1);
	img_fill(p, LEN, 2);
	CHECK_FILL(p, LEN, 2);
}

IMG_TEST(then_munmap_of_parts)
{
	char *p = untouched(LEN);
	char *copy = malloc(LEN);

	img_fill(copy, LEN, 1);
	MUST(munmap(p + 8 * PAGE, 8 * PAGE));
	CHECK(mmap(p + 8 * PAGE, 8 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		   -1, 0) != MAP_FAILED);
	CHECK_ZERO(p + 8 * PAGE, 8 * PAGE);
	CHECK(!memcmp(p, copy, 8 * PAGE));
	CHECK(!memcmp(p + 16 * PAGE, copy + 16 * PAGE, LEN - 16 * PAGE));
}

static void advise(int advice, bool is_needed, bool forgets)
{
	char *p = untouched(LEN);
	char *copy = malloc(LEN);
	int ret = madvise(p + 8 * PAGE, 8 * PAGE, advice);

	if (ret && !is_needed)
		img_target_skip("no such advice");
	CHECK_EQ(0, ret);
	img_fill(copy, LEN, 1);
	if (forgets)
		CHECK_ZERO(p + 8 * PAGE, 8 * PAGE);
	else
		CHECK(!memcmp(p + 8 * PAGE, copy + 8 * PAGE, 8 * PAGE));
	CHECK(!memcmp(p, copy, 8 * PAGE));
	CHECK(!memcmp(p + 16 * PAGE, copy + 16 * PAGE, LEN - 16 * PAGE));
}

IMG_TEST(then_dontneed)
{
	advise(MADV_DONTNEED, true, true);
}

IMG_TEST(then_free)
{
	advise(MADV_FREE, true, true);
}

IMG_TEST(then_cold)
{
	advise(MADV_COLD, true, false);
}

IMG_TEST(then_pageout)
{
	advise(MADV_PAGEOUT, true, false);
}

IMG_TEST(then_willneed)
{
	advise(MADV_WILLNEED, true, false);
}

IMG_TEST(then_populate_read)
{
	advise(MADV_POPULATE_READ, true, false);
}

IMG_TEST(then_populate_write)
{
	advise(MADV_POPULATE_WRITE, true, false);
}

IMG_TEST(then_mergeable)
{
	advise(MADV_MERGEABLE, false, false);
}

IMG_TEST(then_collapse)
{
	char *p = untouched(4 * MB);

	/* Memory that nobody has written to is left alone. */
	*(volatile char *)(p + PAGE) ^= 0;
	*(volatile char *)(p + 2 * MB + PAGE) ^= 0;
	if (madvise(p, 4 * MB, MADV_COLLAPSE))
		img_target_skip("no huge pages to be had: %s", strerror(errno));
	CHECK_FILL(p, 4 * MB, 1);
	img_fill(p, 4 * MB, 2);
	CHECK_FILL(p, 4 * MB, 2);
}

IMG_TEST(then_mlock)
{
	char *p = untouched(LEN);

	MUST(mlock(p, LEN));
	CHECK_EQ(NR, nr_present(p, LEN));
	MUST(munlock(p, LEN));
	CHECK_FILL(p, LEN, 1);
}

/* The image is in memory, since it has just been written. */
IMG_TEST(then_mincore)
{
	char *p = untouched(LEN);
	unsigned char vec[NR];
	int i;

	touch(&p[3 * PAGE]);
	MUST(mincore(p, LEN, vec));
	/* Not that others have read it. */
	for (i = 0; i < NR && !img_nodump(); i++)
		CHECK_EQ(i == 3, vec[i] & 1);
}

/* Whoever else reads it. */
IMG_TEST(then_read_by_others)
{
	char *p = untouched(LEN), *copy = malloc(LEN);
	struct iovec local = { copy, LEN / 2 }, remote = { p, LEN / 2 };
	int fd = MUST(open("/proc/self/mem", O_RDWR));
	int to[2];

	CHECK_EQ(LEN / 2, process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
	CHECK_FILL(copy, LEN / 2, 1);
	CHECK_EQ(LEN, pread(fd, copy, LEN, (off_t)(unsigned long)p));
	CHECK_FILL(copy, LEN, 1);
	MUST(madvise(p, PAGE, MADV_DONTNEED));
	CHECK_EQ(PAGE, pwrite(fd, copy, PAGE, (off_t)(unsigned long)p));
	MUST(pipe(to));
	CHECK_EQ(PAGE, write(to[1], p + 9 * PAGE, PAGE));
	CHECK_EQ(PAGE, read(to[0], copy, PAGE));
	CHECK(!memcmp(copy, p + 9 * PAGE, PAGE));
	CHECK_FILL(p, LEN, 1);
}

/* It is not missing: nobody is asked, and nobody may put something else there. */
IMG_TEST(then_userfaultfd_missing)
{
	char *p = untouched(LEN), *other = malloc(PAGE);
	int fd = open_uffd(0);
	struct uffdio_copy copy = {
		.dst = (unsigned long)p,
		.src = (unsigned long)other,
		.len = PAGE,
	};

	register_uffd(fd, p, LEN, UFFDIO_REGISTER_MODE_MISSING);
	CHECK_EQ(-1, ioctl(fd, UFFDIO_COPY, &copy));
	CHECK_EQ(EEXIST, errno);
	CHECK_FILL(p, LEN, 1);
	close(fd);
}

struct protected {
	int fd;
	char *p;
	volatile int faults;
};

static void *unprotects(void *arg)
{
	struct protected *pr = arg;
	struct pollfd pfd = { .fd = pr->fd, .events = POLLIN };
	struct uffd_msg msg;

	while (poll(&pfd, 1, 5000) > 0 && read(pr->fd, &msg, sizeof(msg)) == sizeof(msg)) {
		struct uffdio_writeprotect wp = {
			.range = { msg.arg.pagefault.address & ~(PAGE - 1), PAGE },
		};

		CHECK(msg.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP);
		__sync_fetch_and_add(&pr->faults, 1);
		MUST(ioctl(pr->fd, UFFDIO_WRITEPROTECT, &wp));
		if (pr->faults == 2)
			break;
	}
	return NULL;
}

/* It is write-protected while it is not there yet. */
IMG_TEST(then_userfaultfd_wp)
{
	struct protected pr = { .p = untouched(LEN) };
	struct uffdio_writeprotect wp = {
		.range = { (unsigned long)pr.p, 2 * PAGE },
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};
	pthread_t t;

	pr.fd = open_uffd(UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	register_uffd(pr.fd, pr.p, LEN, UFFDIO_REGISTER_MODE_WP);
	MUST(ioctl(pr.fd, UFFDIO_WRITEPROTECT, &wp));
	CHECK_EQ(0, pthread_create(&t, NULL, unprotects, &pr));
	/* One is written at once, the other one read before. */
	pr.p[0] ^= 1;
	touch(&pr.p[PAGE]);
	pr.p[PAGE] ^= 1;
	pr.p[2 * PAGE] ^= 1;
	CHECK_EQ(0, pthread_join(t, NULL));
	CHECK_EQ(2, pr.faults);
	pr.p[0] ^= 1;
	pr.p[PAGE] ^= 1;
	pr.p[2 * PAGE] ^= 1;
	CHECK_FILL(pr.p, LEN, 1);
	close(pr.fd);
}

IMG_TEST(then_userfaultfd_move)
{
	char *p = untouched(LEN), *to = reserve(LEN, PAGE);

	move_by_uffd(p, to, LEN);
	CHECK_FILL(to, LEN, 1);
	CHECK_ZERO(p, LEN);
}

/* Only what is written to afterwards is dirty. */
IMG_TEST(then_soft_dirty)
{
	char *p = untouched(LEN);

	if (img_write_str("/proc/self/clear_refs", "4"))
		img_target_skip("no soft-dirty bits");
	touch(&p[3 * PAGE]);
	touch(&p[4 * PAGE]);
	p[4 * PAGE] ^= 0x80;
	p[5 * PAGE] ^= 0x80;
	CHECK(!soft_dirty(p + 3 * PAGE));
	CHECK(soft_dirty(p + 4 * PAGE));
	CHECK(soft_dirty(p + 5 * PAGE));
	p[4 * PAGE] ^= 0x80;
	p[5 * PAGE] ^= 0x80;
	CHECK_FILL(p, LEN, 1);
}

/* Pages that were read are moved about in memory, others are not there. */
IMG_TEST(then_compaction)
{
	char *p = untouched(LEN);
	int i;

	for (i = 0; i < NR; i += 2)
		touch(&p[i * PAGE]);
	if (img_write_str("/proc/sys/vm/compact_memory", "1"))
		img_target_skip("no compaction");
	for (i = 0; i < NR; i += 4)
		p[i * PAGE] ^= 1;
	img_write_str("/proc/sys/vm/compact_memory", "1");
	for (i = 0; i < NR; i += 4)
		p[i * PAGE] ^= 1;
	CHECK_FILL(p, LEN, 1);
}

/* lib/test_hmm_uapi.h */
struct mirror {
	__u64 addr;
	__u64 ptr;
	__u64 npages;
	__u64 cpages;
	__u64 faults;
};

#define MIRROR_READ	_IOWR('H', 0x00, struct mirror)
#define MIRROR_TAKE	_IOWR('H', 0x02, struct mirror)

/* A device that has page tables of its own reads it, and takes some of it. */
static void with_device(char *p, size_t len)
{
	char *copy = malloc(len);
	struct mirror m = { (unsigned long)p, (unsigned long)copy, len / PAGE };
	int fd = open("/dev/hmm_dmirror0", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		img_target_skip("no device for that");
	MUST(ioctl(fd, MIRROR_READ, &m));
	CHECK_EQ(len / PAGE, m.cpages);
	CHECK_FILL(copy, len, 1);
	/* What is in the image only is not taken. */
	madvise(p, len / 2, MADV_DONTNEED);
	img_fill(p, len, 1);
	ioctl(fd, MIRROR_TAKE, &m);
	CHECK_FILL(p, len, 1);
	close(fd);
}

IMG_TEST(then_device)
{
	with_device(untouched(LEN), LEN);
}

IMG_TEST(then_device_with_chunks)
{
	with_device(untouched(2 * CHUNK), 2 * CHUNK);
}

/* Nothing of it has been touched. */
IMG_TEST(then_device_takes)
{
	char *p = untouched(2 * CHUNK), *copy = malloc(2 * CHUNK);
	struct mirror m = { (unsigned long)p, (unsigned long)copy, 2 * CHUNK / PAGE };
	int fd = open("/dev/hmm_dmirror0", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		img_target_skip("no device for that");
	ioctl(fd, MIRROR_TAKE, &m);
	CHECK_FILL(p, 2 * CHUNK, 1);
	close(fd);
}

#define SIZES	"/sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled"

FIXTURE(large)
{
	char *before;
};

FIXTURE_SETUP(large)
{
	size_t len;

	self->before = img_read_file(SIZES, &len);
	if (!self->before || img_write_str(SIZES, "always"))
		SKIP(return, "no folios of 64 KB");
}

FIXTURE_TEARDOWN(large)
{
	const char *was = self->before ? strchr(self->before, '[') : NULL;
	char word[20];

	if (was && sscanf(was, "[%19[a-z]", word) == 1)
		EXPECT_EQ(0, img_write_str(SIZES, word));
}

/* Where the administrator wants large folios, and the image has all of one. */
TARGET(large)
{
	char *copy = malloc(LEN), *p;

	p = reserve(LEN, 2 * MB);
	img_fill(p, LEN, 1);
	memset(p + 40 * PAGE, 0, PAGE);
	MUST(mprotect(p + 60 * PAGE, PAGE, PROT_READ));
	img_freeze();
	memcpy(copy, p + 20 * PAGE, PAGE);
	if (!img_nodump())
		CHECK_EQ(16, nr_present(p, LEN));
	if (!img_nodump())
		CHECK_EQ(16, nr_present(p + 16 * PAGE, 16 * PAGE));
	/* Not all of it is in the image. */
	memcpy(copy, p + 41 * PAGE, PAGE);
	if (!img_nodump())
		CHECK_EQ(1, nr_present(p + 32 * PAGE, 16 * PAGE));
	/* It is not one mapping. */
	memcpy(copy, p + 59 * PAGE, PAGE);
	if (!img_nodump())
		CHECK_EQ(1, nr_present(p + 48 * PAGE, 16 * PAGE));
	p[5 * PAGE] ^= 1;
	if (!img_nodump())
		CHECK_EQ(16, nr_present(p, 16 * PAGE));
	p[5 * PAGE] ^= 1;
	img_fill(copy, LEN, 1);
	memset(copy + 40 * PAGE, 0, PAGE);
	CHECK(!memcmp(p, copy, LEN));
	in_child(reads_and_writes_some, p);
	MUST(madvise(p + 3 * PAGE, PAGE, MADV_DONTNEED));
	memset(copy + 3 * PAGE, 0, PAGE);
	CHECK(!memcmp(p, copy, LEN));
}

TEST_F(large, are_filled_at_once)
{
	IMG_RUN("large", 's', NULL, NULL);
}

#define AT	((char *)0x500000000000UL)

/* Many runs of pages in what one page table covers. */
TARGET(looked_at)
{
	char *p = mmap(AT, 4 * CHUNK, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
		       -1, 0);
	size_t i;

	CHECK(p == AT);
	for (i = 0; i < 4 * CHUNK / PAGE; i += 2)
		img_fill(p + i * PAGE, PAGE, i);
	img_freeze();
	for (i = 0; i < 4 * CHUNK / PAGE; i += 2) {
		CHECK_FILL(p + i * PAGE, PAGE, i);
		CHECK_ZERO(p + (i + 1) * PAGE, PAGE);
	}
}

/* Make page tables where there are none yet, and pages. */
static void look_at(pid_t pid)
{
	static uint64_t entries[4 * 512];
	char path[60], byte;
	int pagemap, mem, i;
	size_t off;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	pagemap = open(path, O_RDONLY);
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	mem = open(path, O_RDONLY);
	for (i = 0; i < 50; i++) {
		if (i % 2 && pread(pagemap, entries, sizeof(entries), (off_t)AT / PAGE * 8) < 0)
			break;
		for (off = i * PAGE; off < 4 * CHUNK; off += CHUNK / 2)
			if (pread(mem, &byte, 1, (off_t)AT + off) < 0)
				break;
	}
	close(pagemap);
	close(mem);
}

static int tell_pid(void *data)
{
	*(volatile pid_t *)data = getpid();
	return 0;
}

static void look_for_ever(volatile pid_t *whom)
{
	pid_t pid;

	for (;;) {
		pid = *whom;
		if (pid)
			look_at(pid);
	}
}

/* Who looks at a process while it is being resumed does it no harm. */
TEST(looked_at_while_it_is_made)
{
	volatile pid_t *whom = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct img_launch how = { .prepare = tell_pid, .data = (void *)whom };
	struct img_proc p, copy;
	pid_t looker;
	int i;

	if (img_nodump())
		SKIP(return, "needs a dump");
	IMG_SPAWN(&p, "looked_at", 's', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	looker = fork();
	if (!looker)
		look_for_ever(whom);
	for (i = 0; i < 40; i++) {
		copy = p;
		ASSERT_EQ(0, img_resume_as(&copy, &how));
		ASSERT_EQ(0, img_settle(&copy));
		ASSERT_EQ(0, img_go(&copy));
		/* The image is for the next one, too. */
		copy.image[0] = 0;
		copy.maps = NULL;
		ASSERT_EQ(0, img_wait_exit(&copy));
		*whom = 0;
	}
	kill(looker, SIGKILL);
	waitpid(looker, NULL, 0);
	ASSERT_EQ(0, img_finish(&p));
}

/* The file cannot be written to while anybody lives who is in it. */
TARGET(lives)
{
	char *p = untouched(LEN);

	img_send('R', " ");
	CHECK_FILL(p, LEN, 1);
}

TEST(image_in_use)
{
	struct img_proc p;
	int fd;

	if (img_nodump())
		SKIP(return, "needs a dump");
	IMG_SPAWN(&p, "lives", 's', NULL, NULL);
	ASSERT_EQ(0, img_cycle(&p));
	EXPECT_EQ(-1, open(p.image, O_WRONLY));
	EXPECT_EQ(ETXTBSY, errno);
	EXPECT_EQ(-1, truncate(p.image, 0));
	EXPECT_EQ(ETXTBSY, errno);
	/* It may be removed, and it is another's to replace. */
	ASSERT_EQ(0, unlink(p.image));
	ASSERT_EQ(0, img_finish(&p));
	fd = open(p.image, O_WRONLY | O_CREAT, 0600);
	ASSERT_LE(0, fd);
	close(fd);
}
