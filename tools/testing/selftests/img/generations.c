// SPDX-License-Identifier: GPL-2.0
/*
 * Images of images, many processes of one image, and what may happen to the
 * file of an image that runs.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "img_test.h"

#define PAGE	4096UL
#define MB	(1UL << 20)

/* Each generation leaves something behind in memory. */
TARGET(ages)
{
	char *p = mmap(NULL, MB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int i, generations = atoi(arg);
	pid_t pid = getpid();

	for (i = 0; i < generations; i++) {
		img_fill(p + i * 16 * PAGE, 8 * PAGE, i);
		img_freeze();
		CHECK(img_nodump() || getpid() != pid);
		pid = getpid();
		for (int k = 0; k <= i; k++)
			CHECK_FILL(p + k * 16 * PAGE, 8 * PAGE, k);
		CHECK_ZERO(p + i * 16 * PAGE + 8 * PAGE, 8 * PAGE);
	}
}

static void generations(struct __test_metadata *_metadata, char mode)
{
	struct stat st;
	struct img_proc p;
	long first = 0;
	int i;

	IMG_SPAWN(&p, "ages", mode, "10", NULL);
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, img_cycle(&p));
		if (!img_nodump()) {
			ASSERT_EQ(0, stat(p.image, &st));
			if (!i)
				first = st.st_size;
			/* 8 pages more each time, and no more. */
			EXPECT_GT(first + (i + 1) * 8 * (long)PAGE + 256 * 1024, st.st_size);
		}
		ASSERT_EQ(0, img_go(&p));
		if (i == 9)
			break;
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

TEST(ten_generations_stopped)
{
	generations(_metadata, 't');
}

TARGET(copied)
{
	char *p = mmap(NULL, MB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char text[32];
	pid_t pid;

	img_fill(p, MB, 1);
	img_freeze();
	pid = getpid();
	img_send('M', "%d", pid);
	CHECK_FILL(p, MB, 1);
	/* Each writes to what is its own. */
	img_fill(p, MB, pid);
	img_msleep(20);
	CHECK_FILL(p, MB, pid);
	CHECK(snprintf(text, sizeof(text), "%d", getpid()) > 0);
	CHECK_EQ(pid, getpid());
}

static void copies(struct __test_metadata *_metadata, int nr)
{
	struct img_proc p, *copy = calloc(nr, sizeof(*copy));
	char text[32];
	int i, k;

	if (img_nodump())
		SKIP(return, "needs a resume");
	IMG_SPAWN(&p, "copied", 's', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	for (i = 0; i < nr; i++) {
		copy[i].mode = 's';
		ASSERT_EQ(0, img_launch(&copy[i], p.image, NULL));
		for (k = 0; k < i; k++)
			EXPECT_NE(copy[i].pid, copy[k].pid);
	}
	for (i = 0; i < nr; i++) {
		ASSERT_EQ(0, img_settle(&copy[i]));
		ASSERT_EQ(0, img_go(&copy[i]));
	}
	for (i = 0; i < nr; i++) {
		ASSERT_EQ(0, img_recv(&copy[i], 'M', text, sizeof(text)));
		EXPECT_EQ(copy[i].pid, atoi(text));
		EXPECT_EQ(0, img_wait_exit(&copy[i]));
	}
	img_forget(&p);
}

TEST(two_at_once)
{
	copies(_metadata, 2);
}

TEST(twenty_at_once)
{
	copies(_metadata, 20);
}

/* Next to the process that it is an image of. */
TEST(beside_the_original)
{
	struct img_proc p, q = { .mode = 's' };

	if (img_nodump())
		SKIP(return, "needs a resume");
	IMG_SPAWN(&p, "copied", 's', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	ASSERT_EQ(0, img_launch(&q, p.image, NULL));
	ASSERT_EQ(0, img_settle(&q));
	ASSERT_EQ(0, img_finish(&q));
	ASSERT_EQ(0, img_finish(&p));
}

/* Its file goes away or becomes another one while it runs. */
FIXTURE(file) {
};

FIXTURE_VARIANT(file) {
	char what;
};

FIXTURE_SETUP(file)
{
}

FIXTURE_TEARDOWN(file)
{
}

FIXTURE_VARIANT_ADD(file, unlinked) { .what = 'u' };
FIXTURE_VARIANT_ADD(file, renamed) { .what = 'r' };
FIXTURE_VARIANT_ADD(file, replaced) { .what = 'p' };
FIXTURE_VARIANT_ADD(file, overwritten) { .what = 'o' };

TEST_F(file, while_it_runs)
{
	static char junk[8192];
	struct img_proc p;
	int fd;

	IMG_SPAWN(&p, "copied", 's', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	ASSERT_EQ(0, img_resume(&p));
	if (img_nodump())
		img_write_file(p.image, "", 0);
	switch (variant->what) {
	case 'u':
		ASSERT_EQ(0, unlink(p.image));
		break;
	case 'r':
		ASSERT_EQ(0, rename(p.image, img_path("renamed")));
		break;
	case 'p':
		ASSERT_EQ(0, img_write_file(img_path("new"), junk, sizeof(junk)));
		ASSERT_EQ(0, rename(img_path("new"), p.image));
		break;
	case 'o':
		/* Refused as for a running program, or without consequence. */
		fd = open(p.image, O_WRONLY | O_CLOEXEC);
		if (fd < 0) {
			EXPECT_EQ(ETXTBSY, errno);
			break;
		}
		for (int i = 0; i < 512; i++)
			ASSERT_EQ((ssize_t)sizeof(junk), write(fd, junk, sizeof(junk)));
		close(fd);
		break;
	}
	ASSERT_EQ(0, img_go(&p));
	ASSERT_EQ(0, img_wait_exit(&p));
}

/* Through a symbolic link, and by a relative path. */
TEST(other_ways_to_its_file)
{
	struct img_proc p, q = { .mode = 's' };

	if (img_nodump())
		SKIP(return, "needs a resume");
	IMG_SPAWN(&p, "copied", 's', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	ASSERT_EQ(0, symlink(p.image, img_path("link")));
	ASSERT_EQ(0, img_launch(&q, img_path("link"), NULL));
	ASSERT_EQ(0, img_settle(&q));
	ASSERT_EQ(0, img_finish(&q));
	ASSERT_EQ(0, chdir(img_dir));
	memset(&q, 0, sizeof(q));
	q.mode = 's';
	ASSERT_EQ(0, img_launch(&q, strrchr(p.image, '/') + 1, NULL));
	ASSERT_EQ(0, img_settle(&q));
	ASSERT_EQ(0, img_finish(&q));
	img_forget(&p);
}

/* What a process looks at while it is resumed by a shell. */
TEST(by_a_shell)
{
	char *const argv[] = { "sh", "-c", NULL, NULL };
	char command[512];
	struct img_launch how = {};
	char *args[4];
	struct img_proc p, q = { .mode = 's' };

	if (img_nodump())
		SKIP(return, "needs a resume");
	IMG_SPAWN(&p, "copied", 's', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	snprintf(command, sizeof(command), "exec %s", p.image);
	memcpy(args, argv, sizeof(args));
	args[2] = command;
	how.argv = args;
	ASSERT_EQ(0, img_launch(&q, "/bin/sh", &how));
	ASSERT_EQ(0, img_settle(&q));
	ASSERT_EQ(0, img_finish(&q));
	img_forget(&p);
}

/* A resumed process that crashes leaves a core file like any other. */
TARGET(crashes)
{
	img_fill(sbrk(64 * PAGE), 64 * PAGE, 7);
	img_freeze();
	CHECK_EQ(0, chdir(arg));
	raise(SIGSEGV);
}

static int allow_core(void *data)
{
	struct rlimit lim = { RLIM_INFINITY, RLIM_INFINITY };

	return setrlimit(RLIMIT_CORE, &lim) ? -errno : 0;
}

TEST(core_dump)
{
	struct img_launch how = { .prepare = allow_core };
	char *pattern = img_read_file("/proc/sys/kernel/core_pattern", NULL);
	Elf64_Ehdr *eh;
	struct img_proc p;
	int status = 0;
	char *core;
	size_t len = 0;

	if (!pattern || img_write_str("/proc/sys/kernel/core_pattern", "core.img"))
		SKIP(return, "cannot set core_pattern");
	IMG_SPAWN(&p, "crashes", 's', img_dir, &how);
	EXPECT_EQ(0, img_cycle(&p));
	EXPECT_EQ(0, img_go(&p));
	EXPECT_EQ(0, img_wait_status(p.pid, &status));
	img_write_str("/proc/sys/kernel/core_pattern", pattern);
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	EXPECT_TRUE(WCOREDUMP(status));
	core = img_read_file(img_path("core.img"), &len);
	if (!core)
		core = img_read_file(img_path("core.img.%d", p.pid), &len);
	ASSERT_TRUE(core != NULL);
	eh = (void *)core;
	EXPECT_LT(64 * PAGE, len);
	EXPECT_EQ(0, memcmp(core, ELFMAG, SELFMAG));
	EXPECT_EQ(ET_CORE, eh->e_type);
	/* It is a core file, not an image. */
	EXPECT_NE(0, memcmp(core + IMG_IDENT_POS, IMG_IDENT, IMG_IDENT_LEN));
	p.pid = 0;
	img_forget(&p);
}

/* An image that a pipe has brought, after its process is long gone. */
TARGET(self_dump)
{
	static char buf[65536];
	int in, out, saved;
	ssize_t n;

	in = open("/proc/self/dump", O_RDONLY);
	saved = errno;
	if (in < 0) {
		/* This is the copy. */
		CHECK_EQ(ECANCELED, saved);
		img_send('M', "copy %d", getpid());
		return;
	}
	out = MUST(open(arg, O_WRONLY | O_CREAT | O_TRUNC, 0755));
	while ((n = read(in, buf, sizeof(buf))) > 0)
		CHECK_EQ(n, write(out, buf, n));
	CHECK_EQ(0, n);
	close(in);
	close(out);
	img_send('M', "saved %d", getpid());
}

TEST(self_dump)
{
	struct img_proc p, q = { .mode = 's' };
	char text[64], want[64], image[300];

	if (img_nodump())
		SKIP(return, "needs a dump");
	snprintf(image, sizeof(image), "%s", img_path("self.img"));
	ASSERT_EQ(0, img_start(&p, "self_dump", 's', image, NULL));
	ASSERT_EQ(0, img_recv(&p, 'M', text, sizeof(text)));
	snprintf(want, sizeof(want), "saved %d", p.pid);
	EXPECT_STREQ(want, text);
	ASSERT_EQ(0, img_wait_exit(&p));
	ASSERT_EQ(0, img_launch(&q, image, NULL));
	ASSERT_EQ(0, img_recv(&q, 'M', text, sizeof(text)));
	snprintf(want, sizeof(want), "copy %d", q.pid);
	EXPECT_STREQ(want, text);
	ASSERT_EQ(0, img_wait_exit(&q));
}
