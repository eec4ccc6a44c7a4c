// SPDX-License-Identifier: GPL-2.0
/*
 * Of a process with much memory most is copied while it runs.  Still its image is
 * of one moment: whatever it does meanwhile, in the image and in the process each
 * page has what was written to it last.
 */
#include <pthread.h>

#include "img_paging.h"
#include "img_test.h"

/* More than is copied in one go, and some page tables that nobody touches. */
#define LEN	(36 * MB)
#define NR	(LEN / PAGE)
#define NR_THREADS	3

/**
 * struct memory - some memory and what should be in it
 * @p: NR pages
 * @want: what is at the beginning of each
 * @seed: what is done next
 * @last: the last number written
 */
struct memory {
	char *p;
	uint32_t *want;
	uint64_t seed;
	uint32_t last;
};

static volatile sig_atomic_t left;

static void leave(int sig)
{
	left = 1;
}

static uint32_t *word(struct memory *m, size_t i)
{
	return (uint32_t *)(m->p + i * PAGE + i % 1024 * 4);
}

static void write_page(struct memory *m, size_t i)
{
	*(volatile uint32_t *)word(m, i) = ++m->last;
	*(volatile uint32_t *)&m->want[i] = m->last;
}

static void check_pages(struct memory *m)
{
	size_t i;

	for (i = 0; i < NR; i++) {
		if (*word(m, i) != m->want[i])
			CHECKF(false, "page %zu has %u, not %u of %u", i, *word(m, i),
			       m->want[i], m->last);
	}
}

static void make_memory(struct memory *m, uint64_t seed)
{
	size_t i;

	m->p = reserve(LEN, CHUNK);
	m->want = calloc(NR, sizeof(*m->want));
	m->seed = seed;
	for (i = 0; i < NR; i++)
		write_page(m, i);
}

static size_t pick(struct memory *m, size_t n)
{
	return img_random(&m->seed) % n;
}

static void writes(struct memory *m)
{
	size_t i, first = pick(m, NR - 64);

	for (i = first; i < first + 64; i++)
		write_page(m, i);
}

/* Memory that is given up, and is new when it is touched. */
static void gives_up(struct memory *m)
{
	size_t i, first = pick(m, NR - 64);

	writes(m);
	MUST(madvise(m->p + first * PAGE, 64 * PAGE, MADV_DONTNEED));
	for (i = first; i < first + 64; i++)
		m->want[i] = 0;
	for (i = first; i < first + 64; i += 2)
		write_page(m, i);
}

static void protects(struct memory *m)
{
	size_t first = pick(m, NR - 64);

	MUST(mprotect(m->p + first * PAGE, 64 * PAGE, PROT_READ));
	writes(m + 1);
	MUST(mprotect(m->p + first * PAGE, 64 * PAGE, RW));
	writes(m);
}

/* Another mapping at the same place. */
static void maps(struct memory *m)
{
	size_t i, first = pick(m, NR - 64);

	writes(m);
	CHECK(mmap(m->p + first * PAGE, 64 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		   -1, 0) != MAP_FAILED);
	for (i = first; i < first + 64; i++)
		m->want[i] = 0;
	writes(m);
}

/* Pages change places, and that without being touched. */
static void moves(struct memory *m)
{
	size_t first = pick(m, NR / 2 - 64), to = NR / 2 + pick(m, NR / 2 - 64);

	writes(m);
	if (mremap(m->p + first * PAGE, 64 * PAGE, 64 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		   m->p + to * PAGE) == MAP_FAILED) {
		/* Of more than one mapping; what was there is gone. */
		CHECK(mmap(m->p + to * PAGE, 64 * PAGE, RW,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
		memset(m->want + to, 0, 64 * sizeof(*m->want));
		return;
	}
	CHECK(mmap(m->p + first * PAGE, 64 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		   -1, 0) != MAP_FAILED);
	memset(m->want + to, 0, 64 * sizeof(*m->want));
	memset(m->want + first, 0, 64 * sizeof(*m->want));
	for (size_t i = 0; i < 64; i++) {
		write_page(m, first + i);
		write_page(m, to + i);
	}
}

/* Huge pages come and go. */
static void collapses(struct memory *m)
{
	size_t first = pick(m, NR / 512) * 512;

	madvise(m->p + first * PAGE, CHUNK, MADV_COLLAPSE);
	write_page(m, first + pick(m, 512));
	writes(m);
	madvise(m->p + first * PAGE, CHUNK, MADV_NOHUGEPAGE);
	MUST(madvise(m->p + (first + 3) * PAGE, PAGE, MADV_DONTNEED));
	m->want[first + 3] = 0;
	madvise(m->p + first * PAGE, CHUNK, MADV_HUGEPAGE);
}

static void pages_out(struct memory *m)
{
	writes(m);
	madvise(m->p + pick(m, NR - 512) * PAGE, CHUNK, MADV_PAGEOUT);
}

/*
 * Pages are moved about in memory, as the mappings of them are taken out and put back
 * at the same place.
 */
static void migrates(struct memory *m)
{
	static pid_t mover;

	if (!mover || waitpid(mover, NULL, WNOHANG)) {
		mover = fork();
		if (!mover) {
			img_write_str("/proc/sys/vm/compact_memory", "1");
			_exit(0);
		}
	}
	writes(m);
	MUST(mprotect(m->p, CHUNK, PROT_READ));
	MUST(mprotect(m->p, CHUNK, RW));
}

/* A child has pages in common with it, and then not any more. */
static void forks(struct memory *m)
{
	pid_t pid;

	writes(m);
	pid = fork();
	if (!pid) {
		writes(m);
		_exit(0);
	}
	writes(m);
	waitpid(pid, NULL, 0);
}

static const struct {
	const char *name;
	void (*fn)(struct memory *m);
} deeds[] = {
	{ "writes", writes }, { "gives_up", gives_up }, { "protects", protects },
	{ "maps", maps }, { "moves", moves }, { "collapses", collapses },
	{ "pages_out", pages_out }, { "forks", forks }, { "migrates", migrates },
};

static void work(struct memory *m, const char *deed)
{
	unsigned int i, round;

	for (i = 0; strcmp(deeds[i].name, deed); i++)
		;
	for (round = 0; !left; round++) {
		deeds[i].fn(m);
		if (round % 64 == 0)
			check_pages(m);
	}
	check_pages(m);
}

TARGET(busy)
{
	static struct memory m[2];

	make_memory(&m[0], 1);
	make_memory(&m[1], 2);
	signal(SIGUSR2, leave);
	img_send('R', " ");
	work(m, arg);
	check_pages(&m[1]);
}

static void *thread(void *arg)
{
	work(arg, "gives_up");
	return NULL;
}

TARGET(threads)
{
	static struct memory m[NR_THREADS];
	pthread_t t[NR_THREADS];
	int i;

	signal(SIGUSR2, leave);
	for (i = 0; i < NR_THREADS; i++)
		make_memory(&m[i], i);
	for (i = 0; i < NR_THREADS; i++)
		CHECK_EQ(0, pthread_create(&t[i], NULL, thread, &m[i]));
	img_send('R', " ");
	for (i = 0; i < NR_THREADS; i++)
		CHECK_EQ(0, pthread_join(t[i], NULL));
}

FIXTURE(instant)
{
};

FIXTURE_VARIANT(instant)
{
	const char *target;
	const char *deed;
};

FIXTURE_VARIANT_ADD(instant, writes) { "busy", "writes" };
FIXTURE_VARIANT_ADD(instant, gives_up) { "busy", "gives_up" };
FIXTURE_VARIANT_ADD(instant, protects) { "busy", "protects" };
FIXTURE_VARIANT_ADD(instant, maps) { "busy", "maps" };
FIXTURE_VARIANT_ADD(instant, moves) { "busy", "moves" };
FIXTURE_VARIANT_ADD(instant, collapses) { "busy", "collapses" };
FIXTURE_VARIANT_ADD(instant, forks) { "busy", "forks" };
FIXTURE_VARIANT_ADD(instant, migrates) { "busy", "migrates" };
FIXTURE_VARIANT_ADD(instant, threads) { "threads", NULL };

FIXTURE_SETUP(instant)
{
}

FIXTURE_TEARDOWN(instant)
{
}

/* As img_cycle(), for one whose mappings change all the time. */
static int cycle(struct img_proc *p)
{
	int ret = img_dump(p);

	if (ret)
		return ret;
	img_kill(p);
	return img_resume(p);
}

TEST_F(instant, is_one)
{
	bool slow = img_slow() > 1;
	struct img_proc p;
	int i;

	IMG_SPAWN(&p, variant->target, 'r', variant->deed, NULL);
	/* The original is dumped some more times while it runs on. */
	for (i = 0; i < (slow ? 2 : 5); i++)
		ASSERT_EQ(0, img_dump(&p));
	for (i = 0; i < (slow ? 1 : 3); i++)
		ASSERT_EQ(0, cycle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

TEST(instant_with_swap)
{
	struct img_proc p;
	char dev[64];
	int i, loop;

	loop = img_swap_on(dev, sizeof(dev));
	if (loop < 0)
		SKIP(return, "no swap device");
	IMG_SPAWN(&p, "busy", 'r', "pages_out", NULL);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(0, img_cycle(&p));
	EXPECT_EQ(0, img_finish(&p));
	EXPECT_EQ(0, img_swap_off(dev, loop));
}
