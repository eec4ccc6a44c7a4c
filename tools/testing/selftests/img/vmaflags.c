// SPDX-License-Identifier: GPL-2.0
/*
 * Attributes of mappings survive: locks, seals, advice, names, and address
 * spaces that are unusual in number, place or kind.  The flags of every mapping
 * are compared as /proc/PID/smaps shows them.
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "img_test.h"

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE	0x08
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE	0x100000
#endif
#ifndef SYS_mseal
#define SYS_mseal	462
#endif
#ifndef MADV_COLD
#define MADV_COLD	20
#endif
#ifndef MCL_ONFAULT
#define MCL_ONFAULT	4
#endif
#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT	1
#endif

#define PAGE	4096UL
#define MB	(1UL << 20)
#define RW	(PROT_READ | PROT_WRITE)

static void *map(size_t len, int prot, int flags)
{
	void *p = mmap(NULL, len, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	if (p == MAP_FAILED)
		MUST(-1);
	return p;
}

/* A mapping that no neighbour merges with. */
static void *map_apart(size_t len, int prot)
{
	char *p = map(len + 2 * PAGE, prot, 0);

	MUST(munmap(p, PAGE));
	MUST(munmap(p + len + PAGE, PAGE));
	return p + PAGE;
}

static long locked_kb(void)
{
	return img_status_field(getpid(), "VmLck:", 10);
}

static int resident(void *p, size_t pages)
{
	unsigned char *vec = calloc(1, pages);
	int n = 0;
	size_t i;

	MUST(mincore(p, pages * PAGE, vec));
	for (i = 0; i < pages; i++)
		n += vec[i] & 1;
	free(vec);
	return n;
}

/* The lines of smaps that tell ranges and flags, without "softdirty". */
static char *vm_flags(pid_t pid)
{
	char path[64], *text, *line, *save = NULL, *out, *sd, *end;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	text = img_read_file(path, &len);
	if (!text)
		return NULL;
	out = malloc(len + 1);
	end = out;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (!strchr(line, '-') && strncmp(line, "VmFlags:", 8))
			continue;
		sd = strstr(line, " sd");
		if (sd)
			memmove(sd, sd + 3, strlen(sd + 3) + 1);
		end = stpcpy(stpcpy(end, line), "\n");
	}
	*end = 0;
	free(text);
	return out;
}

/* The flags of the mapping at @p, as two letters each. */
static char *flags_at(const void *p)
{
	char *text = vm_flags(getpid()), *line, *save = NULL, *found = NULL;
	unsigned long start, end;
	bool here = false;

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = (uintptr_t)p >= start && (uintptr_t)p < end;
		else if (here)
			found = strdup(line);
	}
	free(text);
	return found ?: strdup("");
}

/* Dump and resume, twice; flags and locked memory are the same each time. */
static void run(struct __test_metadata *_metadata, const char *target, const char *arg)
{
	char *before, *after;
	struct img_proc p;
	long locked;
	int i;

	IMG_SPAWN(&p, target, 's', arg, NULL);
	before = vm_flags(p.pid);
	locked = img_status_field(p.pid, "VmLck:", 10);
	ASSERT_TRUE(before != NULL);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, img_cycle(&p));
		after = vm_flags(p.pid);
		ASSERT_TRUE(after != NULL);
		EXPECT_EQ(0, strcmp(before, after));
		EXPECT_EQ(locked, img_status_field(p.pid, "VmLck:", 10));
		free(after);
	}
	free(before);
	ASSERT_EQ(0, img_finish(&p));
	IMG_SKIP_IF_SKIPPED(&p);
}

#define FLAGS_TEST(_name)						\
	TEST(_name) { run(_metadata, #_name, NULL); }			\
	TARGET(_name)

/*
 * Locks
 */

FLAGS_TEST(locked)
{
	char *p = map_apart(8 * PAGE, RW), *q = map_apart(8 * PAGE, PROT_READ), *f;
	const char *path = img_path("locked");
	int fd;

	MUST(img_make_file(path, 8 * PAGE, 3));
	fd = MUST(open(path, O_RDONLY));
	f = mmap(NULL, 8 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	img_fill(p, 3 * PAGE, 1);
	/* Part of a mapping, a whole one, a file. */
	MUST(mlock(p + PAGE, 4 * PAGE));
	MUST(mlock(q, 8 * PAGE));
	MUST(mlock(f, 8 * PAGE));
	img_freeze();
	CHECK_EQ(80, locked_kb());
	CHECK_EQ(4, resident(p + PAGE, 4));
	CHECK_EQ(8, resident(q, 8));
	CHECK_EQ(8, resident(f, 8));
	CHECK_FILL(p, 3 * PAGE, 1);
	CHECK_FILL(f, 8 * PAGE, 3);
	CHECK_EQ(0, munlock(p, 8 * PAGE));
	CHECK_EQ(64, locked_kb());
	CHECK_EQ(0, munmap(q, 8 * PAGE));
	CHECK_EQ(32, locked_kb());
}

FLAGS_TEST(locked_on_fault)
{
	char *p = map_apart(8 * PAGE, RW);

	img_fill(p, PAGE, 1);
	MUST(syscall(SYS_mlock2, p, 8 * PAGE, MLOCK_ONFAULT));
	img_freeze();
	CHECK_EQ(32, locked_kb());
	CHECK_EQ(1, resident(p, 8));
	CHECK_FILL(p, PAGE, 1);
	p[4 * PAGE] = 1;
	CHECK_EQ(2, resident(p, 8));
}

FLAGS_TEST(all_locked)
{
	char *p = map_apart(8 * PAGE, RW), *none = map_apart(8 * PAGE, PROT_NONE);
	long kb;

	img_fill(p, PAGE, 1);
	MUST(mlockall(MCL_CURRENT));
	kb = locked_kb();
	img_freeze();
	CHECK_EQ(kb, locked_kb());
	CHECK_EQ(8, resident(p, 8));
	CHECK_EQ(0, resident(none, 8));
	CHECK_EQ(0, munlockall());
	CHECK_EQ(0, locked_kb());
}

/* What cannot be populated can be locked. */
FLAGS_TEST(locked_without_access)
{
	char *p = map_apart(8 * PAGE, RW), *none = map_apart(8 * PAGE, PROT_NONE), *f;
	const char *path = img_path("short_locked");
	int fd;

	MUST(img_make_file(path, PAGE, 3));
	fd = MUST(open(path, O_RDONLY));
	f = mmap(NULL, 8 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	img_fill(p, 8 * PAGE, 1);
	MUST(mlock(p, 8 * PAGE));
	MUST(mprotect(p, 8 * PAGE, PROT_NONE));
	CHECK_EQ(-1, mlock(none, 8 * PAGE));
	CHECK_EQ(-1, mlock(f, 8 * PAGE));
	CHECK_EQ(96, locked_kb());
	img_freeze();
	CHECK_EQ(96, locked_kb());
	MUST(mprotect(p, 8 * PAGE, PROT_READ));
	CHECK_FILL(p, 8 * PAGE, 1);
	CHECK_FILL(f, PAGE, 3);
}

/* Nothing is locked yet, but what is mapped from now on will be. */
TARGET(future_locked)
{
	bool onfault = arg[0];
	long kb;
	char *p;

	MUST(mlockall(MCL_FUTURE | (onfault ? MCL_ONFAULT : 0)));
	kb = locked_kb();
	img_freeze();
	CHECK_EQ(kb, locked_kb());
	p = map_apart(8 * PAGE, RW);
	CHECK_EQ(kb + 32, locked_kb());
	CHECK_EQ(onfault ? 0 : 8, resident(p, 8));
	CHECK_EQ(0, munlockall());
	p = map_apart(8 * PAGE, RW);
	CHECK_EQ(0, locked_kb());
	CHECK_EQ(0, resident(p, 8));
}

TEST(future_locked)
{
	run(_metadata, "future_locked", "");
}

TEST(future_locked_on_fault)
{
	run(_metadata, "future_locked", "onfault");
}

TARGET(locked_in_a_limit)
{
	char *p = map_apart(64 * PAGE, RW);

	MUST(mlock(p, 64 * PAGE));
	img_fill(p, 64 * PAGE, 1);
	img_freeze();
	CHECK_EQ(256, locked_kb());
	CHECK_FILL(p, 64 * PAGE, 1);
}

static int limit_memlock(void *data)
{
	struct rlimit lim = { *(rlim_t *)data, *(rlim_t *)data };

	return setrlimit(RLIMIT_MEMLOCK, &lim) ? -errno : 0;
}

/* The launcher's limit counts, and its capability. */
TEST(locked_memory_is_limited)
{
	static const struct {
		rlim_t limit;
		uid_t uid;
		int error;
	} cases[] = {
		{ 64 * PAGE, IMG_NOBODY, 0 },
		{ 64 * PAGE - 1, IMG_NOBODY, ENOMEM },
		{ PAGE, IMG_NOBODY, ENOMEM },
		{ 1, IMG_NOBODY, ENOMEM },
		{ 0, IMG_NOBODY, EPERM },
		{ PAGE, 0, 0 },
		{ 0, 0, 0 },
	};
	struct img_proc p;
	pid_t pid;
	size_t i;

	if (img_nodump())
		SKIP(return, "needs a dump");
	if (geteuid())
		SKIP(return, "needs root");
	IMG_SPAWN(&p, "locked_in_a_limit", 's', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct img_launch how = {
			.uid = cases[i].uid,
			.prepare = limit_memlock,
			.data = (void *)&cases[i].limit,
		};

		if (cases[i].error) {
			EXPECT_EQ(-cases[i].error, img_try_exec(p.image, &how, &pid));
			continue;
		}
		ASSERT_EQ(0, img_resume_as(&p, &how));
		ASSERT_EQ(0, img_settle(&p));
		EXPECT_EQ(256, img_status_field(p.pid, "VmLck:", 10));
		img_kill(&p);
	}
	ASSERT_EQ(0, img_resume(&p));
	ASSERT_EQ(0, img_finish(&p));
}

TEST(locking_in_future_is_limited)
{
	struct img_launch how = { .uid = IMG_NOBODY, .prepare = limit_memlock };
	rlim_t none = 0, some = 4 * MB;
	struct img_proc p;
	pid_t pid;

	if (img_nodump())
		SKIP(return, "needs a dump");
	if (geteuid())
		SKIP(return, "needs root");
	IMG_SPAWN(&p, "future_locked", 's', "", NULL);
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	how.data = &none;
	EXPECT_EQ(-EPERM, img_try_exec(p.image, &how, &pid));
	how.data = &some;
	ASSERT_EQ(0, img_resume_as(&p, &how));
	ASSERT_EQ(0, img_settle(&p));
	img_forget(&p);
}

/*
 * Droppable and sealed memory
 */

FLAGS_TEST(droppable)
{
	char *p = mmap(NULL, 8 * PAGE, RW, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0), *flags;

	if (p == MAP_FAILED)
		img_target_skip("no MAP_DROPPABLE");
	img_fill(p, 8 * PAGE, 1);
	img_freeze();
	if (!img_nodump())
		CHECK_ZERO(p, 8 * PAGE);
	img_fill(p, 8 * PAGE, 2);
	CHECK_FILL(p, 8 * PAGE, 2);
	flags = flags_at(p);
	CHECKF(strstr(flags, " dp"), "%s", flags);
	/* As of any such memory. */
	CHECK_EQ(-1, madvise(p, 8 * PAGE, MADV_KEEPONFORK));
}

FLAGS_TEST(sealed)
{
	char *p = map_apart(8 * PAGE, RW), *q = map_apart(8 * PAGE, RW), *flags;

	img_fill(p, 8 * PAGE, 1);
	img_fill(q, 8 * PAGE, 2);
	MUST(mprotect(q, 8 * PAGE, PROT_READ));
	MUST(madvise(q, 8 * PAGE, MADV_DONTFORK));
	MUST(mlock(q, 8 * PAGE));
	if (syscall(SYS_mseal, p + 2 * PAGE, 4 * PAGE, 0))
		img_target_skip("no mseal()");
	MUST(syscall(SYS_mseal, q, 8 * PAGE, 0));
	img_freeze();
	CHECK_FILL(p, 8 * PAGE, 1);
	CHECK_FILL(q, 8 * PAGE, 2);
	CHECK_EQ(-1, munmap(p + 2 * PAGE, PAGE));
	CHECK_EQ(EPERM, errno);
	CHECK_EQ(-1, mprotect(p + 5 * PAGE, PAGE, PROT_READ));
	CHECK_EQ(-1, mprotect(q, PAGE, RW));
	CHECK_EQ(-1, madvise(q, PAGE, MADV_DONTNEED));
	CHECK_EQ(0, mprotect(p + PAGE, PAGE, PROT_READ));
	CHECK_EQ(0, munmap(p, PAGE));
	flags = flags_at(q);
	CHECKF(strstr(flags, " sl"), "%s", flags);
	img_fill(p + 3 * PAGE, PAGE, 3);
}

/* Locks, seals, advice and protection by turns, in one stretch of memory. */
FLAGS_TEST(all_in_a_row)
{
	char *p = map_apart(256 * PAGE, RW);
	int i;

	img_fill(p, 256 * PAGE, 1);
	for (i = 0; i < 256; i += 2) {
		char *q = p + i * PAGE;

		if (i & 2)
			MUST(mlock(q, PAGE));
		if (i & 4)
			MUST(mprotect(q, PAGE, PROT_READ));
		if (i & 8)
			MUST(madvise(q, PAGE, MADV_DONTDUMP));
		if (i & 16)
			MUST(madvise(q, PAGE, MADV_RANDOM));
		if (i & 32)
			MUST(madvise(q, PAGE, MADV_DONTFORK));
		if (i & 64)
			madvise(q, PAGE, MADV_NOHUGEPAGE);
		if (i & 128)
			syscall(SYS_mseal, q, PAGE, 0);
	}
	img_freeze();
	CHECK_FILL(p, 256 * PAGE, 1);
	CHECK_EQ(256, locked_kb());
}

FLAGS_TEST(cold)
{
	char *p = map_apart(64 * PAGE, RW);

	img_fill(p, 64 * PAGE, 1);
	madvise(p, 64 * PAGE, MADV_COLD);
	img_freeze();
	CHECK_FILL(p, 64 * PAGE, 1);
}

/* A vDSO that is not as it was made. */
TARGET(vdso_sealed)
{
	char *text = img_read_file("/proc/self/maps", NULL), *line = strstr(text, "[vdso]");
	unsigned long start, end;

	if (!line)
		img_target_skip("no vDSO");
	while (line > text && line[-1] != '\n')
		line--;
	CHECK_EQ(2, sscanf(line, "%lx-%lx", &start, &end));
	if (syscall(SYS_mseal, start, end - start, 0))
		img_target_skip("no mseal()");
	img_freeze();
}

TEST(refuses_sealed_vdso)
{
	struct img_proc p;

	if (img_nodump())
		SKIP(return, "needs a dump");
	IMG_SPAWN(&p, "vdso_sealed", 's', NULL, NULL);
	EXPECT_EQ(-EOPNOTSUPP, img_open_dump(p.pid));
	EXPECT_EQ(0, img_finish(&p));
}

/*
 * Memory policies
 */

#ifndef MPOL_LOCAL
#define MPOL_PREFERRED		1
#define MPOL_BIND		2
#define MPOL_INTERLEAVE		3
#define MPOL_LOCAL		4
#define MPOL_F_ADDR		2
#define MPOL_F_STATIC_NODES	(1 << 15)
#define MPOL_F_RELATIVE_NODES	(1 << 14)
#endif

static const struct {
	int mode;
	unsigned long nodes;
} policies[] = {
	{ MPOL_BIND, 1 },
	{ MPOL_INTERLEAVE, 1 },
	{ MPOL_PREFERRED, 1 },
	{ MPOL_LOCAL, 0 },
	{ MPOL_BIND | MPOL_F_STATIC_NODES, 5 },
	{ MPOL_INTERLEAVE | MPOL_F_RELATIVE_NODES, 6 },
	{ 0, 0 },
};

static void check_policy(void *addr, int mode, unsigned long nodes)
{
	unsigned long seen[16] = {};
	int now = -1;

	CHECK_EQ(0, syscall(SYS_get_mempolicy, &now, seen, 1024, addr, addr ? MPOL_F_ADDR : 0));
	CHECK_EQ(mode, now);
	CHECK_EQ(nodes, seen[0]);
}

FLAGS_TEST(memory_policies)
{
	char *p = map_apart(28 * PAGE, RW);
	size_t i;

	img_fill(p, 28 * PAGE, 1);
	for (i = 0; i < ARRAY_SIZE(policies); i++) {
		if (policies[i].mode &&
		    syscall(SYS_mbind, p + 4 * i * PAGE, 4 * PAGE, policies[i].mode,
			    &policies[i].nodes, 64, 0))
			img_target_skip("no memory policies");
	}
	img_freeze();
	for (i = 0; i < ARRAY_SIZE(policies); i++)
		check_policy(p + 4 * i * PAGE, policies[i].mode, policies[i].nodes);
	check_policy(NULL, 0, 0);
	CHECK_FILL(p, 28 * PAGE, 1);
}

TARGET(task_policy)
{
	int i = atoi(arg);

	if (syscall(SYS_set_mempolicy, policies[i].mode, &policies[i].nodes, 64))
		img_target_skip("no memory policies");
	img_freeze();
	check_policy(NULL, policies[i].mode, policies[i].nodes);
}

TEST(policy_of_the_task)
{
	char arg[2] = {};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(policies); i++) {
		arg[0] = '0' + i;
		run(_metadata, "task_policy", arg);
	}
}

static int interleave(void *data)
{
	unsigned long nodes = 1;

	return syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, &nodes, 64) ? -errno : 0;
}

TARGET(policy_of_the_launcher)
{
	img_freeze();
	if (!img_nodump())
		check_policy(NULL, MPOL_INTERLEAVE, 1);
}

/* As any program: what numactl(8) sets is for what it runs. */
TEST(policy_of_the_launcher)
{
	struct img_launch how = { .prepare = interleave };
	struct img_proc p;

	IMG_SPAWN(&p, "policy_of_the_launcher", 's', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	if (img_resume_as(&p, &how) == -ENOSYS)
		SKIP(return, "no memory policies");
	ASSERT_EQ(0, img_settle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

/* Both kinds, to be damaged. */
TARGET(both_policies)
{
	unsigned long nodes = 1;
	char *p = map_apart(4 * PAGE, RW);

	if (syscall(SYS_set_mempolicy, MPOL_BIND, &nodes, 64) ||
	    syscall(SYS_mbind, p, 4 * PAGE, MPOL_BIND, &nodes, 64, 0))
		img_target_skip("no memory policies");
	img_freeze();
}

#define POLICIES	((struct img_policies *)img_note(im, "IMG", NT_IMG_POLICY, 0, NULL))
#define POLICY(i)	((struct img_policy *)(POLICIES + 1) + (i))

#define SET(_name, _expr)						\
	static void set_##_name(struct img_image *im, uint64_t value)	\
	{								\
		(_expr) = value;					\
	}

SET(size, POLICIES->size)
SET(policy_size, POLICIES->policy_size)
SET(nr, POLICIES->nr)
SET(off, POLICIES->policies_off)
SET(start, POLICY(1)->start)
SET(end, POLICY(1)->end)
SET(mode, POLICY(1)->mode)
SET(pad, POLICY(1)->pad)
SET(nodes, POLICY(1)->nodes[0])
SET(last_node, POLICY(1)->nodes[15])
SET(task_start, POLICY(0)->start)
SET(task_end, POLICY(0)->end)
SET(task_mode, POLICY(0)->mode)

static const struct {
	void (*set)(struct img_image *im, uint64_t value);
	uint64_t value;
	int error;
} bad_policies[] = {
	{ set_pad, 0, 0 },
	{ set_size, 0, EBADMSG },
	{ set_size, 0xffffffff, EBADMSG },
	{ set_policy_size, 0, EBADMSG },
	{ set_policy_size, 0xffffffff, EBADMSG },
	{ set_nr, 0, EBADMSG },
	{ set_nr, 3, EBADMSG },
	{ set_nr, 0xffffffff, EBADMSG },
	{ set_off, 0xfffffff0, EBADMSG },
	{ set_start, 0, EBADMSG },
	{ set_start, 0x10000, EBADMSG },
	{ set_start, -1ULL, EBADMSG },
	{ set_end, 0, EBADMSG },
	{ set_end, -1ULL, EBADMSG },
	{ set_mode, 99, ENODEV },
	{ set_mode, 0xffffffff, ENODEV },
	{ set_mode, MPOL_INTERLEAVE, 0 },
	{ set_pad, 1, EBADMSG },
	{ set_nodes, 0, ENODEV },
	{ set_nodes, 1ULL << 40, ENODEV },
	{ set_nodes, 1 | 1ULL << 40, ENODEV },
	{ set_last_node, 1ULL << 63, ENODEV },
	{ set_task_start, 1, EBADMSG },
	{ set_task_end, 1, EBADMSG },
	{ set_task_mode, 99, ENODEV },
};

TEST(bad_memory_policies)
{
	struct img_image good, bad;
	struct img_proc p;
	pid_t pid;
	size_t i;
	int ret;

	if (img_nodump())
		SKIP(return, "needs a dump");
	IMG_SPAWN(&p, "both_policies", 's', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	ASSERT_EQ(0, img_load(&good, p.image));
	for (i = 0; i < ARRAY_SIZE(bad_policies); i++) {
		ASSERT_EQ(0, img_copy(&bad, &good));
		bad_policies[i].set(&bad, bad_policies[i].value);
		img_fix_crc(&bad);
		ASSERT_EQ(0, img_save(&bad, p.image));
		img_free(&bad);
		ret = img_try_exec(p.image, NULL, &pid);
		if (!ret) {
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
		}
		if (ret != -bad_policies[i].error) {
			img_diag("case %zu: %s", i, ret ? strerror(-ret) : "it ran");
			_metadata->exit_code = KSFT_FAIL;
		}
	}
	img_free(&good);
	img_forget(&p);
}

/*
 * Pages
 */

/* Each a mapping of its own, none of which can be read. */
FLAGS_TEST(prot_none_pages)
{
	char *p = map(1024 * PAGE, RW, 0);
	int i;

	for (i = 0; i < 1024; i += 2) {
		img_fill(p + i * PAGE, PAGE, i);
		MUST(mprotect(p + i * PAGE, PAGE, PROT_NONE));
	}
	img_freeze();
	for (i = 0; i < 1024; i += 2) {
		MUST(mprotect(p + i * PAGE, PAGE, PROT_READ));
		CHECK_FILL(p + i * PAGE, PAGE, i);
		CHECK_ZERO(p + (i + 1) * PAGE, PAGE);
	}
}

TARGET(merged)
{
	char *p = map_apart(256 * PAGE, RW);
	uint64_t end = img_now() + 30 * IMG_NSEC_PER_SEC;
	char *text = NULL;
	int i;

	for (i = 0; i < 256; i++)
		img_fill(p + i * PAGE, PAGE, i % 4);
	if (madvise(p, 256 * PAGE, MADV_MERGEABLE))
		img_target_skip("no merging of pages");
	do {
		free(text);
		img_msleep(50);
		text = img_read_file("/proc/self/ksm_merging_pages", NULL);
	} while (text && atoi(text) < 250 && img_now() < end);
	if (!text || atoi(text) < 250)
		img_target_skip("pages were not merged");
	img_freeze();
	for (i = 0; i < 256; i++)
		CHECK_FILL(p + i * PAGE, PAGE, i % 4);
	img_fill(p, PAGE, 77);
	CHECK_FILL(p + 4 * PAGE, PAGE, 0);
}

TEST(merged)
{
	static const char dir[] = "/sys/kernel/mm/ksm/";
	static const char * const file[] = { "pages_to_scan", "sleep_millisecs", "run" };
	static const char * const want[] = { "20000", "10", "1" };
	char path[64], *old[3];
	int i;

	for (i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s%s", dir, file[i]);
		old[i] = img_read_file(path, NULL);
		if (!old[i] || img_write_str(path, want[i]))
			SKIP(return, "cannot have pages merged");
	}
	run(_metadata, "merged", NULL);
	for (i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s%s", dir, file[i]);
		img_write_str(path, old[i]);
		free(old[i]);
	}
}

/* More runs of pages than program headers of 16 bits could count. */
TARGET(runs)
{
	size_t i, nr = 65600;
	char *p = map(2 * nr * PAGE, RW, MAP_NORESERVE);

	madvise(p, 2 * nr * PAGE, MADV_NOHUGEPAGE);
	for (i = 0; i < nr; i++)
		*(uint64_t *)(p + 2 * i * PAGE + i % 512 * 8) = i + 1;
	img_freeze();
	for (i = 0; i < nr; i++) {
		uint64_t *q = (uint64_t *)(p + 2 * i * PAGE);

		if (!CHECK(q[i % 512] == i + 1 && !q[(i + 1) % 512]))
			break;
	}
}

TEST(more_than_65535_runs)
{
	struct img_proc p;

	if (sysconf(_SC_AVPHYS_PAGES) < 4 * 65600)
		SKIP(return, "not enough memory");
	IMG_SPAWN(&p, "runs", 's', NULL, NULL);
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

TARGET(mappings)
{
	/* Which takes many minutes on a debug kernel. */
	size_t i, nr = img_slow() > 1 ? 12000 : 60000;
	char *p = map(nr * PAGE, RW, MAP_NORESERVE);

	for (i = 0; i < nr; i += 100)
		img_fill(p + i * PAGE, 64, i);
	for (i = 0; i < nr; i += 2)
		MUST(mprotect(p + i * PAGE, PAGE, PROT_READ));
	img_freeze();
	for (i = 0; i < nr; i += 100)
		CHECK_FILL(p + i * PAGE, 64, i);
}

TEST(sixty_thousand_mappings)
{
	char *max = img_read_file("/proc/sys/vm/max_map_count", NULL);

	if (max && atoi(max) < 60200)
		SKIP(return, "vm.max_map_count is lower");
	IMG_RUN("mappings", 's', NULL, NULL);
}

/* Beyond what four levels of page tables can reach. */
IMG_TEST(above_47_bits)
{
	char *want = (char *)(1UL << 50), *p, *q;

	p = mmap(want, 16 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (p != want)
		img_target_skip("no five levels of page tables");
	/* The last page that there is. */
	q = mmap((void *)((1UL << 56) - 2 * PAGE), PAGE, RW,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	CHECK(q != MAP_FAILED);
	img_fill(p, 16 * PAGE, 1);
	img_fill(q, PAGE, 2);
	MUST(mprotect(p + 8 * PAGE, PAGE, PROT_READ));
	img_freeze();
	CHECK_FILL(p, 16 * PAGE, 1);
	CHECK_FILL(q, PAGE, 2);
	CHECK_EQ(0, munmap(q, PAGE));
}

/*
 * Files in unusual places
 */

TARGET(of_a_file)
{
	int fd = MUST(open(arg, O_RDONLY));
	char *p = mmap(NULL, 8 * PAGE, RW, MAP_PRIVATE, fd, 0);
	char *q = mmap(NULL, 8 * PAGE, PROT_READ, MAP_SHARED, fd, 0);

	close(fd);
	img_fill(p + PAGE, PAGE, 2);
	img_freeze();
	CHECK_FILL(q, 8 * PAGE, 1);
	CHECK_FILL(p, PAGE, 1);
	CHECK_FILL(p + PAGE, PAGE, 2);
}

static int make_dir(const char *path)
{
	return mkdir(path, 0755) && errno != EEXIST ? -errno : 0;
}

/* Mounts of our own, which end with the test. */
static int own_mounts(void)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -errno;
	return 0;
}

TEST(behind_overlayfs)
{
	char lower[200], upper[200], work[200], merged[200], file[230], options[700];

	if (own_mounts())
		SKIP(return, "cannot mount");
	snprintf(lower, sizeof(lower), "%s", img_path("lower"));
	snprintf(upper, sizeof(upper), "%s", img_path("upper"));
	snprintf(work, sizeof(work), "%s", img_path("work"));
	snprintf(merged, sizeof(merged), "%s", img_path("merged"));
	ASSERT_EQ(0, make_dir(lower) | make_dir(upper) | make_dir(work) | make_dir(merged));
	snprintf(file, sizeof(file), "%s/file", lower);
	ASSERT_EQ(0, img_make_file(file, 8 * PAGE, 1));
	snprintf(file, sizeof(file), "%s/other", upper);
	ASSERT_EQ(0, img_make_file(file, 8 * PAGE, 1));
	snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s", lower, upper,
		 work);
	if (mount("overlay", merged, "overlay", 0, options))
		SKIP(return, "no overlayfs");
	snprintf(file, sizeof(file), "%s/file", merged);
	IMG_RUN("of_a_file", 's', file, NULL);
	snprintf(file, sizeof(file), "%s/other", merged);
	IMG_RUN("of_a_file", 's', file, NULL);
	EXPECT_EQ(0, umount(merged));
}

TEST(in_a_bind_mount)
{
	char from[200], to[200], file[230];

	if (own_mounts())
		SKIP(return, "cannot mount");
	snprintf(from, sizeof(from), "%s", img_path("from"));
	snprintf(to, sizeof(to), "%s", img_path("to"));
	ASSERT_EQ(0, make_dir(from) | make_dir(to));
	snprintf(file, sizeof(file), "%s/file", from);
	ASSERT_EQ(0, img_make_file(file, 8 * PAGE, 1));
	ASSERT_EQ(0, mount(from, to, NULL, MS_BIND, NULL));
	snprintf(file, sizeof(file), "%s/file", to);
	IMG_RUN("of_a_file", 's', file, NULL);
	EXPECT_EQ(0, umount(to));
}

static int enter(void *data)
{
	return chroot(data) || chdir("/") ? -errno : 0;
}

/* Dumped and resumed from outside: the paths are those of the dumper. */
TEST(in_a_chroot)
{
	struct img_launch how = { .prepare = enter };
	char root[200], file[200];
	struct img_proc p;

	if (own_mounts())
		SKIP(return, "cannot mount");
	snprintf(root, sizeof(root), "%s", img_path("root"));
	snprintf(file, sizeof(file), "%s", img_path("in_root"));
	ASSERT_EQ(0, make_dir(root));
	ASSERT_EQ(0, img_make_file(file, 8 * PAGE, 1));
	ASSERT_EQ(0, mount("/", root, NULL, MS_BIND | MS_REC, NULL));
	how.data = root;
	IMG_SPAWN(&p, "of_a_file", 's', file, &how);
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	ASSERT_EQ(0, img_resume_as(&p, &(struct img_launch) {}));
	ASSERT_EQ(0, img_settle(&p));
	ASSERT_EQ(0, img_same_maps(&p));
	ASSERT_EQ(0, img_finish(&p));
	EXPECT_EQ(0, umount2(root, MNT_DETACH));
}

/*
 * A probe in the text
 */

__attribute__((noinline, noclone)) int probed(int i)
{
	__asm__ volatile("");
	return i + 1;
}

TARGET(with_a_probe)
{
	CHECK_EQ(3, probed(2));
	img_freeze();
	CHECK_EQ(3, probed(2));
}

/* Where a function is in the file of this program. */
static unsigned long file_offset(const void *p)
{
	char *text = img_read_file("/proc/self/maps", NULL), *line, *save = NULL;
	unsigned long start, end, off, found = 0;

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (sscanf(line, "%lx-%lx %*s %lx", &start, &end, &off) == 3 &&
		    (uintptr_t)p >= start && (uintptr_t)p < end)
			found = (uintptr_t)p - start + off;
	}
	free(text);
	return found;
}

TEST(refuses_uprobe)
{
	char dir[200], path[300], probe[4400];
	struct img_proc p;
	int log;

	if (img_nodump())
		SKIP(return, "needs a dump");
	if (own_mounts())
		SKIP(return, "cannot mount");
	snprintf(dir, sizeof(dir), "%s", img_path("tracing"));
	ASSERT_EQ(0, make_dir(dir));
	if (mount("tracefs", dir, "tracefs", 0, NULL))
		SKIP(return, "no tracefs");
	snprintf(path, sizeof(path), "%s/uprobe_events", dir);
	snprintf(probe, sizeof(probe), "p:imgtest/probed %s:0x%lx\n", img_self,
		 file_offset(probed));
	if (img_write_str(path, probe)) {
		umount(dir);
		SKIP(return, "no uprobes");
	}
	snprintf(path, sizeof(path), "%s/events/imgtest/probed/enable", dir);
	EXPECT_EQ(0, img_write_str(path, "1"));
	log = img_log_open_quiet();
	if (!img_spawn(&p, "with_a_probe", 's', NULL, NULL)) {
		EXPECT_EQ(-EOPNOTSUPP, img_open_dump(p.pid));
		img_msleep(5100);
		EXPECT_EQ(-EOPNOTSUPP, img_open_dump(p.pid));
		EXPECT_TRUE(img_log_has(log, "cannot dump: ", "uprobes"));
		EXPECT_EQ(0, img_finish(&p));
	} else {
		EXPECT_EQ(0, p.pid);
	}
	close(log);
	EXPECT_EQ(0, img_write_str(path, "0"));
	snprintf(path, sizeof(path), "%s/uprobe_events", dir);
	EXPECT_EQ(0, img_write_str(path, "-:imgtest/probed\n"));
	umount(dir);
	/* And without it, all is well. */
	IMG_RUN("with_a_probe", 's', NULL, NULL);
}
