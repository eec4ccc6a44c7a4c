// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of a resumed process against a model of it: system calls at random, and
 * after each the question whether all pages have what they should.
 *
 * IMG_ROUNDS=N in the environment: so many calls, instead of 250; IMG_SEED=N: others.
 */
#include <errno.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "img_paging.h"
#include "img_test.h"

#define NR	(24 * CHUNK / PAGE)
#define LEN	(NR * PAGE)
/* So many pages are there when the process is dumped. */
#define NR_FULL	(NR * 2 / 3)

static char *base;
/* What is in each page, 0: zeros; and whether it can be written, read, neither. */
static uint32_t content[NR];
static uint8_t prot[NR];
static uint32_t next_content = 1;
static uint64_t seed;

static size_t pick(size_t n)
{
	return img_random(&seed) % n;
}

/* Some pages side by side; more often near the border of a chunk. */
static void pick_range(size_t *first, size_t *n)
{
	*first = pick(NR);
	if (pick(3) == 0)
		*first = *first / 512 * 512;
	*n = 1 + (pick(2) ? pick(64) : pick(3 * 512));
	if (pick(3) == 0 && *first + *n >= 512)
		*n = (*first + *n) / 512 * 512 - *first;
	if (!*n || *n > NR)
		*n = 1;
	if (*first + *n > NR)
		*n = NR - *first;
}

static void write_page(size_t i)
{
	uint32_t *w = (uint32_t *)(base + i * PAGE);
	size_t k;

	content[i] = next_content++;
	for (k = 0; k < PAGE / 4; k++)
		w[k] = content[i] * 2654435761u + k;
}

static bool page_is(const void *page, uint32_t id)
{
	const uint32_t *w = page;
	size_t k;

	for (k = 0; k < PAGE / 4; k += 73)
		if (w[k] != (id ? (uint32_t)(id * 2654435761u + k) : 0))
			return false;
	return true;
}

static void check_page(size_t i, const char *when)
{
	if (prot[i] && !page_is(base + i * PAGE, content[i]))
		CHECKF(false, "page %zu is not %u but begins with %x, %s", i, content[i],
		       *(uint32_t *)(base + i * PAGE), when);
}

static void check_some(size_t first, size_t n, const char *when)
{
	size_t i;

	for (i = first; i < first + n; i++)
		check_page(i, when);
}

static void is_new(size_t first, size_t n)
{
	memset(content + first, 0, n * sizeof(*content));
	memset(prot + first, RW, n);
}

static void op_write(size_t first, size_t n)
{
	size_t i;

	for (i = first; i < first + n; i++)
		if (prot[i] == RW)
			write_page(i);
}

static void op_read(size_t first, size_t n)
{
	check_some(first, n, "when read");
}

static void op_dontneed(size_t first, size_t n)
{
	MUST(madvise(base + first * PAGE, n * PAGE, MADV_DONTNEED));
	memset(content + first, 0, n * sizeof(*content));
}

static void op_mprotect(size_t first, size_t n)
{
	static const uint8_t prots[] = { PROT_NONE, PROT_READ, RW, RW };
	uint8_t to = prots[pick(4)];

	MUST(mprotect(base + first * PAGE, n * PAGE, to));
	memset(prot + first, to, n);
}

static void op_map(size_t first, size_t n)
{
	CHECK(mmap(base + first * PAGE, n * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		   -1, 0) == base + first * PAGE);
	is_new(first, n);
}

static void op_unmap(size_t first, size_t n)
{
	MUST(munmap(base + first * PAGE, n * PAGE));
	op_map(first, n);
}

static void op_mremap(size_t first, size_t n)
{
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED | (pick(3) ? 0 : MREMAP_DONTUNMAP);
	size_t to = pick(NR);
	void *p;

	if (pick(2))
		to = to / 512 * 512 + first % 512;
	if (to + n > NR || (to < first + n && first < to + n))
		return;
	p = mremap(base + first * PAGE, n * PAGE, n * PAGE, flags, base + to * PAGE);
	if (p == MAP_FAILED) {
		/* More than one mapping: what was there is gone all the same. */
		op_map(to, n);
		return;
	}
	CHECK(p == base + to * PAGE);
	memcpy(content + to, content + first, n * sizeof(*content));
	memcpy(prot + to, prot + first, n);
	memset(content + first, 0, n * sizeof(*content));
	if (!(flags & MREMAP_DONTUNMAP))
		op_map(first, n);
}

static void op_pageout(size_t first, size_t n)
{
	madvise(base + first * PAGE, n * PAGE, pick(2) ? MADV_PAGEOUT : MADV_COLD);
}

static void op_collapse(size_t first, size_t n)
{
	madvise(base + first * PAGE, n * PAGE, MADV_COLLAPSE);
}

static void op_lock(size_t first, size_t n)
{
	mlock(base + first * PAGE, n * PAGE);
	/* Also what has failed half way. */
	MUST(munlock(base + first * PAGE, n * PAGE));
}

static void op_willneed(size_t first, size_t n)
{
	madvise(base + first * PAGE, n * PAGE, pick(2) ? MADV_WILLNEED : MADV_POPULATE_READ);
}

static void op_vm_read(size_t first, size_t n)
{
	static char page[PAGE];
	struct iovec local = { page, PAGE };
	struct iovec remote = { base + first * PAGE, PAGE };
	ssize_t got = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);

	if (prot[first] || got == (ssize_t)PAGE)
		CHECK(got == (ssize_t)PAGE && page_is(page, content[first]));
}

static void child(char *arg)
{
	size_t first, n, i;

	for (i = 0; i < 4; i++) {
		pick_range(&first, &n);
		op_write(first, n);
		pick_range(&first, &n);
		op_dontneed(first, n);
	}
	check_some(0, NR, "in a child");
}

static void op_fork(size_t first, size_t n)
{
	in_child(child, NULL);
}

/* In a child these are zeros or nothing. */
static size_t wiped, nr_wiped;

static void wiped_child(char *arg)
{
	memset(content + wiped, 0, nr_wiped * sizeof(*content));
	check_some(0, NR, "in a child without");
}

static void fork_with(size_t first, size_t n, int advice, void (*fn)(char *arg), int back)
{
	wiped = first;
	nr_wiped = n;
	MUST(madvise(base + first * PAGE, n * PAGE, advice));
	in_child(fn, NULL);
	MUST(madvise(base + first * PAGE, n * PAGE, back));
}

static void op_wipe(size_t first, size_t n)
{
	fork_with(first, n, MADV_WIPEONFORK, wiped_child, MADV_KEEPONFORK);
}

static void omitted_child(char *arg)
{
	op_map(wiped, nr_wiped);
	check_some(0, NR, "in a child with a gap");
}

static void op_omit(size_t first, size_t n)
{
	fork_with(first, n, MADV_DONTFORK, omitted_child, MADV_DOFORK);
}

static const struct {
	const char *name;
	void (*fn)(size_t first, size_t n);
} ops[] = {
	{ "written", op_write }, { "read", op_read },
	{ "given up", op_dontneed }, { "mprotected", op_mprotect },
	{ "mapped over", op_map }, { "unmapped", op_unmap },
	{ "moved", op_mremap }, { "moved", op_mremap },
	{ "paged out", op_pageout }, { "collapsed", op_collapse },
	{ "locked", op_lock }, { "needed", op_willneed },
	{ "read from outside", op_vm_read }, { "forked", op_fork },
	{ "wiped in a child", op_wipe }, { "omitted in a child", op_omit },
};

/* All at once only now and then, so that much stays in the image. */
static void go(size_t rounds)
{
	size_t first, n, round;
	size_t op;

	for (round = 0; round < rounds && !img_failures; round++) {
		op = pick(sizeof(ops) / sizeof(ops[0]));
		pick_range(&first, &n);
		ops[op].fn(first, n);
		if (img_failures)
			CHECKF(false, "round %zu: pages %zu to %zu are %s", round, first,
			       first + n, ops[op].name);
		check_page(pick(NR), ops[op].name);
	}
	check_some(0, NR, "at the end");
}

/* ARG is "SEED:ROUNDS". */
TARGET(model)
{
	size_t i;

	seed = strtoul(arg, NULL, 0);
	base = reserve(LEN, CHUNK);
	is_new(0, NR);
	for (i = 0; i < NR_FULL; i++)
		if (i % 512 != 7)
			write_page(i);
	img_freeze();
	go(strtoul(strchr(arg, ':') + 1, NULL, 0));
}

static const char *argument(unsigned int number)
{
	const char *rounds = getenv("IMG_ROUNDS"), *others = getenv("IMG_SEED");
	static char arg[64];

	snprintf(arg, sizeof(arg), "%u:%s", number + 10 * atoi(others ?: "0"),
		 rounds ?: "250");
	return arg;
}

FIXTURE(model)
{
};

FIXTURE_VARIANT(model)
{
	unsigned int seed;
};

FIXTURE_VARIANT_ADD(model, seed_1) { 1 };
FIXTURE_VARIANT_ADD(model, seed_2) { 2 };
FIXTURE_VARIANT_ADD(model, seed_3) { 3 };
FIXTURE_VARIANT_ADD(model, seed_4) { 4 };
FIXTURE_VARIANT_ADD(model, seed_5) { 5 };
FIXTURE_VARIANT_ADD(model, seed_6) { 6 };

FIXTURE_SETUP(model)
{
}

FIXTURE_TEARDOWN(model)
{
}

TEST_F(model, holds)
{
	IMG_RUN("model", 's', argument(variant->seed), NULL);
}

#define GROUP	"/sys/fs/cgroup/img-model"

FIXTURE(limited)
{
	char dev[64];
	int loop;
};

FIXTURE_SETUP(limited)
{
	self->loop = img_swap_on(self->dev, sizeof(self->dev));
	if (self->loop < 0)
		SKIP(return, "no swap device");
	img_write_str("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	mkdir(GROUP, 0755);
	/* Who is over the first waits for the swap device, over the second is killed. */
	if (img_write_str(GROUP "/memory.high", "24M") ||
	    img_write_str(GROUP "/memory.max", "40M")) {
		img_swap_off(self->dev, self->loop);
		SKIP(return, "no memory controller");
	}
}

FIXTURE_TEARDOWN(limited)
{
	img_write_str(GROUP "/cgroup.kill", "1");
	for (int i = 0; i < 1000 && rmdir(GROUP) && errno == EBUSY; i++)
		img_msleep(10);
	EXPECT_EQ(0, img_swap_off(self->dev, self->loop));
}

/* Pages are swapped out, and come back, from two places. */
TEST_F(limited, holds)
{
	struct img_proc p;
	char pid[16];

	IMG_SPAWN(&p, "model", 's', argument(7), NULL);
	ASSERT_EQ(0, img_cycle(&p));
	snprintf(pid, sizeof(pid), "%d", p.pid);
	ASSERT_EQ(0, img_write_str(GROUP "/cgroup.procs", pid));
	ASSERT_EQ(0, img_finish(&p));
}

/* With so little that it cannot have all of its own. */
TEST_F(limited, is_killed)
{
	struct img_proc p;
	char pid[16];
	int status;

	IMG_SPAWN(&p, "model", 's', argument(8), NULL);
	ASSERT_EQ(0, img_cycle(&p));
	snprintf(pid, sizeof(pid), "%d", p.pid);
	ASSERT_EQ(0, img_write_str(GROUP "/memory.swap.max", "0"));
	ASSERT_EQ(0, img_write_str(GROUP "/memory.max", "4M"));
	/* With its children, if one of them is the first. */
	ASSERT_EQ(0, img_write_str(GROUP "/memory.oom.group", "1"));
	ASSERT_EQ(0, img_write_str(GROUP "/cgroup.procs", pid));
	ASSERT_EQ(0, img_go(&p));
	ASSERT_EQ(0, img_wait_status(p.pid, &status));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGKILL, WTERMSIG(status));
	p.pid = 0;
	img_forget(&p);
}
