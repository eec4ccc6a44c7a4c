// SPDX-License-Identifier: GPL-2.0
/*
 * An image on a disk: what is touched is read from there, with what is next to it.
 * When the disk fails, who touches what is only there gets SIGBUS, and never zeros
 * or anything else that it has not had.
 *
 * The disk is a file on tmpfs.  It fails when that is truncated.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "img_paging.h"
#include "img_test.h"

#define DISK_SIZE	(64 * MB)
/* Less than one page table covers, and some of those. */
#define SMALL		(64 * PAGE)
#define LARGE		(4 * CHUNK)

FIXTURE(disk)
{
	char dir[200];
	char file[200];
	int loop;
	struct img_proc p;
};

/* What is open for writing cannot be mounted, so it is not left open. */
static int loop_on(const char *file)
{
	int fd = open(file, O_RDWR | O_CLOEXEC), ctl = open("/dev/loop-control", O_RDWR);
	int n = ctl < 0 ? -1 : ioctl(ctl, LOOP_CTL_GET_FREE), loop, ret = -1;
	char dev[32];

	if (n >= 0 && fd >= 0) {
		snprintf(dev, sizeof(dev), "/dev/loop%d", n);
		loop = open(dev, O_RDWR | O_CLOEXEC);
		if (loop >= 0 && !ioctl(loop, LOOP_SET_FD, fd))
			ret = n;
		close(loop);
	}
	close(fd);
	close(ctl);
	return ret;
}

static int make_disk(const char *file, const char *dir)
{
	char command[1000];
	int fd = open(file, O_RDWR | O_CREAT, 0600), n;

	if (fd < 0 || ftruncate(fd, DISK_SIZE))
		return -1;
	close(fd);
	snprintf(command, sizeof(command),
		 "PATH=$PATH:/sbin:/usr/sbin; mkfs.ext4 -q -O ^has_journal %s", file);
	if (system(command))
		return -1;
	n = loop_on(file);
	snprintf(command, sizeof(command), "/dev/loop%d", n);
	mkdir(dir, 0755);
	if (n < 0 || mount(command, dir, "ext4", 0, NULL))
		return -1;
	return n;
}

FIXTURE_SETUP(disk)
{
	self->loop = -1;
	if (img_nodump())
		SKIP(return, "needs a dump");
	snprintf(self->file, sizeof(self->file), "%s", img_path("disk"));
	snprintf(self->dir, sizeof(self->dir), "%s", img_path("mnt"));
	self->loop = make_disk(self->file, self->dir);
	if (self->loop < 0)
		SKIP(return, "no loop device or no mkfs.ext4");
}

FIXTURE_TEARDOWN(disk)
{
	char dev[32];
	int fd;

	if (self->loop < 0)
		return;
	img_forget(&self->p);
	snprintf(dev, sizeof(dev), "/dev/loop%d", self->loop);
	fd = open(self->dir, O_RDONLY | O_CLOEXEC);
	ioctl(fd, FITHAW, 0);
	close(fd);
	umount2(self->dir, MNT_DETACH);
	fd = open(dev, O_RDONLY | O_CLOEXEC);
	ioctl(fd, LOOP_CLR_FD, 0);
	close(fd);
	rmdir(self->dir);
	unlink(self->file);
}

static int forget_caches(void)
{
	sync();
	return img_write_str("/proc/sys/vm/drop_caches", "3");
}

/* Dumped to the disk, and resumed when nothing of that is in memory. */
static int cycle(struct img_proc *p, const char *dir)
{
	int ret;

	snprintf(p->image, sizeof(p->image), "%s/image", dir);
	ret = img_dump(p);
	if (ret)
		return ret;
	img_kill(p);
	ret = forget_caches();
	return ret ?: img_resume(p);
}

static long major_faults(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_majflt;
}

TARGET(reads)
{
	char *expected = malloc(LARGE), *p;
	uint64_t seed = 1;
	long before;
	int i;

	img_fill(expected, LARGE, 1);
	p = untouched(LARGE);
	before = major_faults();
	/* Here and there, then one after the other: it is read in larger pieces. */
	for (i = 0; i < 20; i++) {
		size_t off = img_random(&seed) % (LARGE / PAGE) * PAGE;

		CHECK(!memcmp(p + off, expected + off, PAGE));
	}
	CHECK(!memcmp(p, expected, LARGE));
	CHECKF(major_faults() > before, "%ld faults", major_faults() - before);
	CHECKF(major_faults() < before + (long)(LARGE / PAGE / 4), "%ld faults",
	       major_faults() - before);
}

TEST_F(disk, is_read)
{
	IMG_SPAWN(&self->p, "reads", 's', NULL, NULL);
	ASSERT_EQ(0, cycle(&self->p, self->dir));
	ASSERT_EQ(0, img_finish(&self->p));
}

/* A copy of a copy, of which little was touched, when both images are on disk. */
TEST_F(disk, is_dumped_again)
{
	IMG_SPAWN(&self->p, "reads", 's', NULL, NULL);
	ASSERT_EQ(0, cycle(&self->p, self->dir));
	snprintf(self->p.image, sizeof(self->p.image), "%s/second", self->dir);
	ASSERT_EQ(0, img_dump(&self->p));
	img_kill(&self->p);
	ASSERT_EQ(0, forget_caches());
	ASSERT_EQ(0, img_resume(&self->p));
	ASSERT_EQ(0, img_finish(&self->p));
}

static sigjmp_buf back;
static volatile sig_atomic_t nr_bus;
static void *volatile bus_addr;

static void on_bus(int sig, siginfo_t *info, void *context)
{
	nr_bus++;
	bus_addr = info->si_addr;
	siglongjmp(back, 1);
}

/* Everything but @p, so that it can tell what becomes of that. */
static void fetch_others(char *p, size_t len)
{
	unsigned long start, end;
	FILE *f = fopen("/proc/self/maps", "re");
	static char line[4096];

	CHECK(f);
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 &&
		    (end <= (unsigned long)p || start >= (unsigned long)p + len))
			madvise((void *)start, end - start, MADV_POPULATE_READ);
	}
	fclose(f);
}

static bool fails(char *p, bool write)
{
	int before = nr_bus;

	if (!sigsetjmp(back, 1)) {
		if (write)
			*(volatile char *)p = 1;
		else
			(void)*(volatile char *)p;
		return false;
	}
	return nr_bus == before + 1 && bus_addr == p;
}

TARGET(loses)
{
	size_t len = strtoul(arg, NULL, 0);
	struct sigaction sa = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO };
	char *expected = malloc(len), *p, page[PAGE];
	struct iovec local = { page, PAGE }, remote = { .iov_len = PAGE };

	sigaction(SIGBUS, &sa, NULL);
	img_fill(expected, len, 1);
	p = untouched(len);
	CHECK(!memcmp(p, expected, 3 * PAGE));
	fetch_others(p, len);
	/* Now the disk is taken away. */
	img_freeze();
	CHECK(!memcmp(p, expected, 3 * PAGE));
	CHECK(fails(p + len - PAGE, false));
	CHECK(fails(p + len - PAGE, true));
	CHECK(fails(p + len / 2, true));
	CHECK(fails(p + len / 2, false));
	remote.iov_base = p + len / 2;
	CHECK_EQ(-1, process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
	CHECK_EQ(-1, madvise(p, len, MADV_POPULATE_READ));
	/* It can still be given up, and moved. */
	MUST(madvise(p + len / 2, PAGE, MADV_DONTNEED));
	CHECK(!fails(p + len / 2, true));
	CHECK_EQ(1, p[len / 2]);
	p = mremap(p, len, 2 * len, MREMAP_MAYMOVE);
	CHECK(p != MAP_FAILED);
	CHECK(fails(p + len - PAGE, true));
	CHECK_ZERO(p + len, len);
	MUST(munmap(p, 2 * len));
}

static void lose(struct __test_metadata *_metadata, FIXTURE_DATA(disk) *self, size_t len)
{
	char arg[32];

	snprintf(arg, sizeof(arg), "%zu", len);
	IMG_SPAWN(&self->p, "loses", 's', arg, NULL);
	ASSERT_EQ(0, cycle(&self->p, self->dir));
	ASSERT_EQ(0, img_go(&self->p));
	ASSERT_EQ(0, img_await_ready(&self->p));
	ASSERT_EQ(0, forget_caches());
	ASSERT_EQ(0, truncate(self->file, 0));
	ASSERT_EQ(0, img_finish(&self->p));
}

TEST_F(disk, fails)
{
	lose(_metadata, self, SMALL);
}

TEST_F(disk, fails_without_page_tables)
{
	lose(_metadata, self, LARGE);
}

/* One that cannot be read is refused, and its caller lives on. */
TEST_F(disk, fails_at_once)
{
	char image[300];
	int ret;

	IMG_SPAWN(&self->p, "loses", 's', "262144", NULL);
	ASSERT_EQ(0, cycle(&self->p, self->dir));
	snprintf(image, sizeof(image), "%s", self->p.image);
	img_kill(&self->p);
	ASSERT_EQ(0, forget_caches());
	ASSERT_EQ(0, truncate(self->file, 0));
	ret = img_try_exec(image, NULL, NULL);
	EXPECT_TRUE(ret == -EIO || ret == -ENOEXEC);
}

/*
 * A thread that is stuck in a fault for as long as a file system likes
 */
static volatile sig_atomic_t started, ended;

static void start(int sig)
{
	started = 1;
}

static void end(int sig)
{
	ended = 1;
}

static void *gets_stuck(void *p)
{
	while (!started)
		img_msleep(1);
	*(volatile char *)p = 1;
	return NULL;
}

TARGET(is_stuck)
{
	char *anon = reserve(LARGE * 2, CHUNK), *shared;
	volatile unsigned long *progress;
	char on_disk[300], in_memory[300];
	pthread_t t;
	int fd;

	img_fill(anon, LARGE * 2, 1);
	CHECK_EQ(2, sscanf(arg, "%299s %299s", on_disk, in_memory));
	fd = MUST(open(on_disk, O_RDWR | O_CLOEXEC));
	shared = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
	CHECK(shared != MAP_FAILED);
	close(fd);
	fd = MUST(open(in_memory, O_RDWR | O_CLOEXEC));
	progress = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
	CHECK(progress != MAP_FAILED);
	close(fd);
	signal(SIGUSR1, start);
	signal(SIGUSR2, end);
	CHECK_EQ(0, pthread_create(&t, NULL, gets_stuck, shared));
	img_send('R', " ");
	while (!ended) {
		char *p = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		CHECK(p != MAP_FAILED);
		munmap(p, PAGE);
		++*progress;
	}
	CHECK_EQ(0, pthread_join(t, NULL));
}

/* Is there a thread of it that cannot be interrupted? */
static bool is_stuck(pid_t pid)
{
	char command[200];

	snprintf(command, sizeof(command), "grep -q '^State:.D' /proc/%d/task/*/status", pid);
	return !system(command);
}

static bool ends(pid_t pid, unsigned int ms)
{
	unsigned int i;

	for (i = 0; i < ms; i += 10) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return true;
		img_msleep(10);
	}
	return false;
}

/*
 * To dump it has to wait for that thread.  Others do not, and who waits can be killed.
 */
TEST_F(disk, is_frozen)
{
	volatile unsigned long *progress;
	char path[300], now[300], arg[610];
	unsigned long before;
	pid_t dumper;
	int fd, i;

	snprintf(path, sizeof(path), "%s/file", self->dir);
	snprintf(now, sizeof(now), "%s", img_path("progress"));
	ASSERT_EQ(0, img_make_file(path, PAGE, 1));
	ASSERT_EQ(0, img_make_file(now, PAGE, 1));
	fd = open(now, O_RDWR | O_CLOEXEC);
	progress = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)progress);
	close(fd);
	snprintf(arg, sizeof(arg), "%s %s", path, now);
	IMG_SPAWN(&self->p, "is_stuck", 'r', arg, NULL);
	fd = open(self->dir, O_RDONLY | O_CLOEXEC);
	ASSERT_EQ(0, ioctl(fd, FIFREEZE, 0));
	kill(self->p.pid, SIGUSR1);
	for (i = 0; i < 500 && !is_stuck(self->p.pid); i++)
		img_msleep(10);
	EXPECT_LT(i, 500);
	dumper = fork();
	if (!dumper) {
		img_open_dump(self->p.pid);
		_exit(0);
	}
	img_msleep(500);
	before = *progress;
	img_msleep(500);
	EXPECT_NE(before, *progress);
	EXPECT_EQ(0, waitpid(dumper, NULL, WNOHANG));
	kill(dumper, SIGKILL);
	EXPECT_TRUE(ends(dumper, 5000));
	ASSERT_EQ(0, ioctl(fd, FITHAW, 0));
	close(fd);
	EXPECT_EQ(0, img_finish(&self->p));
	unlink(now);
}

/*
 * On an overlay, whose files have their pages in another file system
 */
TARGET(is_stacked)
{
	char *expected = malloc(LARGE), *p;

	img_fill(expected, LARGE, 1);
	p = untouched(LARGE);
	if (!img_nodump())
		CHECK_EQ(0, nr_present(p, LARGE));
	CHECK(!memcmp(p + 5 * PAGE, expected + 5 * PAGE, PAGE));
	if (!img_nodump())
		CHECK_EQ(1, nr_present(p, LARGE));
	CHECK(!memcmp(p, expected, LARGE));
}

static int mount_overlay(const char *top)
{
	static const char * const dirs[] = { "", "/lower", "/upper", "/work", "/all" };
	char options[1000], dir[300];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(dirs); i++) {
		snprintf(dir, sizeof(dir), "%s%s", top, dirs[i]);
		if (mkdir(dir, 0755))
			return -1;
	}
	snprintf(options, sizeof(options), "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work",
		 top, top, top);
	return mount("overlay", dir, "overlay", 0, options);
}

TEST(is_read_through_an_overlay)
{
	char top[200], path[300];
	struct img_proc p;

	if (img_nodump())
		SKIP(return, "needs a dump");
	snprintf(top, sizeof(top), "%s", img_path("stack"));
	if (mount_overlay(top))
		SKIP(return, "no overlay");
	/* An image in the lower layer, then its copy's in the upper one. */
	IMG_SPAWN(&p, "is_stacked", 's', NULL, NULL);
	snprintf(p.image, sizeof(p.image), "%s/lower/image", top);
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	snprintf(p.image, sizeof(p.image), "%s/all/image", top);
	ASSERT_EQ(0, img_resume(&p));
	snprintf(p.image, sizeof(p.image), "%s/all/second", top);
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	ASSERT_EQ(0, img_resume(&p));
	EXPECT_EQ(-1, open(p.image, O_WRONLY));
	EXPECT_EQ(ETXTBSY, errno);
	ASSERT_EQ(0, img_finish(&p));
	snprintf(path, sizeof(path), "%s/all", top);
	EXPECT_EQ(0, umount2(path, MNT_DETACH));
	snprintf(path, sizeof(path), "rm -rf %s", top);
	EXPECT_EQ(0, system(path));
}
