// SPDX-License-Identifier: GPL-2.0
/*
 * Page tables that a resumed process does not have yet, since all that would be
 * in them is in its image.  Whatever is done to that memory, or to a part of
 * what one table covers, it is what it was.
 */
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "img_paging.h"
#include "img_test.h"

/* Four page tables. */
#define LEN	(4 * CHUNK)

static char *expected;

/* Filled memory without page tables. */
static char *pending(size_t len)
{
	expected = malloc(len);
	img_fill(expected, len, 1);
	return untouched(len);
}

#define CHECK_SAME(p, off, len)						\
	CHECK(!memcmp((p) + (off), expected + (off), len))

static long page_tables(void)
{
	return img_status_field(getpid(), "VmPTE:", 10);
}

/* They are made one by one. */
IMG_TEST(are_made_when_needed)
{
	char *p = untouched(16 * CHUNK), *chunk;
	long before = page_tables(), now;

	for (chunk = p; chunk < p + 16 * CHUNK; chunk += CHUNK) {
		*(volatile char *)(chunk + 5 * PAGE) ^= 0;
		now = page_tables();
		/* The first one in a GB may need the tables above it, too. */
		if (!img_nodump() && chunk > p && (uintptr_t)chunk % (1UL << 30))
			CHECK_EQ(before + 4, now);
		else if (!img_nodump())
			CHECK(now >= before + 4 && now <= before + 12);
		before = now;
	}
	CHECK_FILL(p, 16 * CHUNK, 1);
}

/* Of two mappings, made one after the other, with a border inside of a chunk. */
TARGET(two_in_one)
{
	size_t border = strtoul(arg, NULL, 0);
	char *p;

	expected = malloc(LEN);
	img_fill(expected, LEN, 1);
	p = reserve(LEN, CHUNK);
	img_fill(p, LEN, 1);
	MUST(mprotect(p + border, LEN - border, PROT_READ));
	img_freeze();
	CHECK_SAME(p, 0, LEN);
	MUST(mprotect(p, LEN, RW));
	p[border] ^= 1;
	p[border] ^= 1;
	CHECK_SAME(p, 0, LEN);
}

TEST(two_in_one_chunk)
{
	IMG_RUN("two_in_one", 's', "0x100000", NULL);
	IMG_RUN("two_in_one", 's', "0x300000", NULL);
	IMG_RUN("two_in_one", 's', "0x1ff000", NULL);
	IMG_RUN("two_in_one", 's', "0x200000", NULL);
}

/* It is swapped out, to those who ask. */
IMG_TEST(then_pagemap)
{
	char *p = pending(LEN);
	int fd = MUST(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
	static uint64_t entry[LEN / PAGE];
	size_t i;

	CHECK_EQ(sizeof(entry), pread(fd, entry, sizeof(entry),
				      (unsigned long)p / PAGE * 8));
	for (i = 0; i < LEN / PAGE && !img_nodump(); i++)
		CHECK_EQ(1, entry[i] >> 62);
	close(fd);
	CHECK_FILL(p, LEN, 1);
}

static void gives_up(char *p, size_t off, size_t len)
{
	MUST(madvise(p + off, len, MADV_DONTNEED));
	CHECK_ZERO(p + off, len);
}

IMG_TEST(then_dontneed_of_parts)
{
	char *p = pending(LEN);

	gives_up(p, 0, PAGE);
	gives_up(p, CHUNK + 7 * PAGE, CHUNK);
	gives_up(p, LEN - PAGE, PAGE);
	CHECK_SAME(p, PAGE, CHUNK + 6 * PAGE);
	CHECK_SAME(p, 2 * CHUNK + 7 * PAGE, 2 * CHUNK - 8 * PAGE);
}

IMG_TEST(then_dontneed_of_all)
{
	char *p = pending(LEN);

	gives_up(p, 0, LEN);
	img_fill(p, LEN, 2);
	gives_up(p, 0, LEN);
}

IMG_TEST(then_munmap_of_parts)
{
	char *p = pending(LEN), *q;

	MUST(munmap(p + CHUNK - 3 * PAGE, CHUNK + 6 * PAGE));
	q = mmap(p + CHUNK - 3 * PAGE, CHUNK + 6 * PAGE, RW,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(q == p + CHUNK - 3 * PAGE);
	CHECK_ZERO(q, CHUNK + 6 * PAGE);
	CHECK_SAME(p, 0, CHUNK - 3 * PAGE);
	CHECK_SAME(p, 2 * CHUNK + 3 * PAGE, 2 * CHUNK - 3 * PAGE);
	/* Without unmapping it before. */
	q = mmap(p + 3 * CHUNK - PAGE, 2 * PAGE, RW,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(q == p + 3 * CHUNK - PAGE);
	CHECK_ZERO(q, 2 * PAGE);
	CHECK_SAME(p, 3 * CHUNK + PAGE, CHUNK - PAGE);
}

/* The border between two mappings moves through chunks, without a split. */
IMG_TEST(then_borders_move)
{
	char *p = pending(LEN);

	MUST(mprotect(p, CHUNK, PROT_READ));
	MUST(mprotect(p + CHUNK, CHUNK + 5 * PAGE, PROT_READ));
	MUST(mprotect(p + CHUNK + 9 * PAGE, CHUNK, RW));
	MUST(munmap(p, CHUNK + 9 * PAGE));
	CHECK_SAME(p, CHUNK + 9 * PAGE, LEN - CHUNK - 9 * PAGE);
	img_fill(p + CHUNK + 9 * PAGE, LEN - CHUNK - 9 * PAGE, 2);
	CHECK_FILL(p + CHUNK + 9 * PAGE, LEN - CHUNK - 9 * PAGE, 2);
}

IMG_TEST(then_mremap_of_parts)
{
	char *p = pending(LEN), *to = reserve(LEN, CHUNK), *q;

	q = mremap(p + 3 * PAGE, 2 * CHUNK, 2 * CHUNK, MREMAP_MAYMOVE | MREMAP_FIXED,
		   to + PAGE);
	CHECK(q == to + PAGE);
	CHECK(!memcmp(q, expected + 3 * PAGE, 2 * CHUNK));
	CHECK_ZERO(to, PAGE);
	CHECK_SAME(p, 0, 3 * PAGE);
	CHECK_SAME(p, 2 * CHUNK + 3 * PAGE, 2 * CHUNK - 3 * PAGE);
	/* Shrunk to a part of a chunk, and grown again. */
	q = mremap(p + 3 * CHUNK, CHUNK, PAGE, 0);
	CHECK(q == p + 3 * CHUNK);
	q = mremap(q, PAGE, CHUNK, 0);
	CHECK(q == p + 3 * CHUNK);
	CHECK_SAME(p, 3 * CHUNK, PAGE);
	CHECK_ZERO(q + PAGE, CHUNK - PAGE);
}

static void checks_all(char *p)
{
	CHECK_SAME(p, 0, LEN);
	gives_up(p, CHUNK, CHUNK);
	img_fill(p, LEN, 3);
	CHECK_FILL(p, LEN, 3);
}

static void checks_all_twice(char *p)
{
	in_child(checks_all, p);
	checks_all(p);
}

IMG_TEST(then_fork)
{
	char *p = pending(LEN);

	in_child(checks_all_twice, p);
	p[CHUNK] ^= 1;
	p[CHUNK] ^= 1;
	gives_up(p, 0, CHUNK);
	memcpy(p, expected, CHUNK);
	in_child(checks_all_twice, p);
	CHECK_SAME(p, 0, LEN);
}

static void maps_in_the_gap(char *p)
{
	char *q = mmap(p + CHUNK, CHUNK, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(q == p + CHUNK);
	CHECK_ZERO(q, CHUNK);
	CHECK_ZERO(p + 2 * CHUNK, CHUNK);
	CHECK_SAME(p, 0, CHUNK);
	CHECK_SAME(p, 3 * CHUNK, CHUNK);
}

/* What a child does not get does not come to it later either. */
IMG_TEST(then_fork_without)
{
	char *p = pending(LEN);

	MUST(madvise(p + CHUNK, CHUNK, MADV_DONTFORK));
	MUST(madvise(p + 2 * CHUNK, CHUNK, MADV_WIPEONFORK));
	in_child(maps_in_the_gap, p);
	CHECK_SAME(p, 0, LEN);
}

IMG_TEST(then_collapse)
{
	char *p = pending(LEN);
	size_t i;

	/* Memory that nobody has written to is left alone. */
	madvise(p, LEN, MADV_COLLAPSE);
	for (i = 0; i < LEN; i += CHUNK)
		*(volatile char *)(p + i + PAGE) ^= 0;
	if (madvise(p, LEN, MADV_COLLAPSE))
		img_target_skip("no huge pages to be had: %s", strerror(errno));
	CHECK_SAME(p, 0, LEN);
	/* Huge pages leave no table behind. */
	gives_up(p, 0, LEN);
}

IMG_TEST(then_mincore)
{
	char *p = pending(LEN);
	static unsigned char vec[LEN / PAGE];
	size_t i;

	MUST(mincore(p, LEN, vec));
	for (i = 0; i < LEN / PAGE && !img_nodump(); i++)
		CHECK_EQ(0, vec[i] & 1);
	CHECK_SAME(p, 0, LEN);
}

IMG_TEST(then_userfaultfd_missing)
{
	char *p = pending(LEN);
	int fd = open_uffd(0);

	register_uffd(fd, p + PAGE, LEN - 2 * PAGE, UFFDIO_REGISTER_MODE_MISSING);
	CHECK_SAME(p, 0, LEN);
	close(fd);
}

IMG_TEST(then_userfaultfd_move)
{
	char *p = pending(LEN), *to = reserve(LEN, CHUNK);

	move_by_uffd(p, to, LEN);
	CHECK(!memcmp(to, expected, LEN));
	CHECK_ZERO(p, LEN);
}

/* What the parent touches nothing of, its children fight for. */
#define NR_RACES	40
#define NR_READERS	3

struct race {
	char *p;
	/* Chunks that have been given up so far. */
	volatile int gone;
	volatile bool done;
};

static void *reads_all_the_time(void *arg)
{
	struct race *r = arg;
	uint64_t seed = (uint64_t)pthread_self();

	while (!r->done) {
		size_t off = img_random(&seed) % (LEN / PAGE) * PAGE + 8;
		int gone = r->gone;
		char c;

		__sync_synchronize();
		c = *(volatile char *)(r->p + off);
		if (off / CHUNK < (size_t)gone)
			CHECK_EQ(0, c);
		else if (c)
			CHECK_EQ(expected[off], c);
	}
	return NULL;
}

static void fights(char *p)
{
	struct race r = { .p = p };
	pthread_t t[NR_READERS];
	int i;

	for (i = 0; i < NR_READERS; i++)
		CHECK_EQ(0, pthread_create(&t[i], NULL, reads_all_the_time, &r));
	for (i = 0; i < (int)(LEN / CHUNK); i++) {
		MUST(madvise(p + i * CHUNK, CHUNK, MADV_DONTNEED));
		__sync_synchronize();
		r.gone = i + 1;
		sched_yield();
	}
	CHECK_ZERO(p, LEN);
	r.done = true;
	for (i = 0; i < NR_READERS; i++)
		CHECK_EQ(0, pthread_join(t[i], NULL));
}

IMG_TEST(then_threads_race)
{
	char *p = pending(LEN);
	int i;

	for (i = 0; i < NR_RACES; i++)
		in_child(fights, p);
	CHECK_SAME(p, 0, LEN);
}

/* An image of a process that has not touched anything since. */
TARGET(rests)
{
	char *p = pending(LEN);

	CHECK_SAME(p, 0, LEN);
}

TEST(dumped_again_untouched)
{
	struct img_proc p;
	struct stat st[3];
	int i;

	IMG_SPAWN(&p, "rests", 's', NULL, NULL);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, img_cycle(&p));
		ASSERT_EQ(0, stat(p.image, &st[i]));
	}
	/* Nothing was added on the way. */
	EXPECT_LE(llabs(st[2].st_size - st[0].st_size), 16 * PAGE);
	EXPECT_EQ(0, img_finish(&p));
}

/* A core file has what its process never touched. */
TARGET(crashes)
{
	char *p = pending(LEN);

	img_send('M', "%lx", (unsigned long)p);
	CHECK_EQ(0, chdir(arg));
	raise(SIGSEGV);
}

static int allow_core(void *data)
{
	struct rlimit lim = { RLIM_INFINITY, RLIM_INFINITY };

	return setrlimit(RLIMIT_CORE, &lim) ? -errno : 0;
}

/* Where an address is in a core file, or NULL. */
static const char *find_in_core(const char *core, unsigned long addr, size_t len)
{
	const Elf64_Ehdr *eh = (const void *)core;
	const Elf64_Phdr *ph = (const void *)(core + eh->e_phoff);
	int i;

	for (i = 0; i < eh->e_phnum; i++, ph++) {
		if (ph->p_type == PT_LOAD && addr >= ph->p_vaddr &&
		    addr + len <= ph->p_vaddr + ph->p_filesz)
			return core + ph->p_offset + (addr - ph->p_vaddr);
	}
	return NULL;
}

TEST(core_dump)
{
	struct img_launch how = { .prepare = allow_core };
	char *pattern = img_read_file("/proc/sys/kernel/core_pattern", NULL);
	const char *found = NULL;
	struct img_proc p;
	char text[64] = "";
	size_t len = 0;
	int status = 0;
	char *core;

	if (!pattern || img_write_str("/proc/sys/kernel/core_pattern", "core.chunks"))
		SKIP(return, "cannot set core_pattern");
	IMG_SPAWN(&p, "crashes", 's', img_dir, &how);
	EXPECT_EQ(0, img_cycle(&p));
	EXPECT_EQ(0, img_go(&p));
	EXPECT_EQ(0, img_recv(&p, 'M', text, sizeof(text)));
	EXPECT_EQ(0, img_wait_status(p.pid, &status));
	img_write_str("/proc/sys/kernel/core_pattern", pattern);
	EXPECT_TRUE(WIFSIGNALED(status) && WCOREDUMP(status));
	core = img_read_file(img_path("core.chunks"), &len);
	if (!core)
		core = img_read_file(img_path("core.chunks.%d", p.pid), &len);
	ASSERT_TRUE(core != NULL);
	found = find_in_core(core, strtoul(text, NULL, 16), LEN);
	ASSERT_TRUE(found != NULL);
	EXPECT_EQ(LEN, img_differs(found, LEN, 1));
	free(core);
	p.pid = 0;
	img_forget(&p);
}
