// SPDX-License-Identifier: GPL-2.0
/*
 * Memory survives: the contents of every kind of mapping, the mappings
 * themselves (/proc/PID/maps is compared line by line in every test), and all
 * that can be done to memory afterwards.
 */
#include <fcntl.h>
#include <malloc.h>
#include <setjmp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>

#include "img_test.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA		0x53564d41
#define PR_SET_VMA_ANON_NAME	0
#endif
#ifndef MADV_COLD
#define MADV_COLD	20
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE	0x100000
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

static void *map_file(const char *path, size_t len, int prot, int flags, off_t off)
{
	int fd = MUST(open(path, O_RDONLY));
	void *p = mmap(NULL, len, prot, flags, fd, off);

	if (p == MAP_FAILED)
		MUST(-1);
	close(fd);
	return p;
}

static sigjmp_buf fault_jmp;
static volatile int fault_signal;

static void on_fault(int sig)
{
	fault_signal = sig;
	siglongjmp(fault_jmp, 1);
}

/* The signal that an access gives, or 0. */
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

/*
 * Contents
 */

static char data_section[3 * PAGE] = "initialised";
static char bss_section[5 * PAGE];
static const char rodata_section[] = "read-only data";

IMG_TEST(data_bss_heap_stack)
{
	char stack[3 * PAGE];
	char *small = malloc(100), *large = malloc(MB);
	char *brk0 = sbrk(0), *brk1;

	img_fill(data_section, sizeof(data_section), 1);
	img_fill(bss_section, sizeof(bss_section), 2);
	img_fill(stack, sizeof(stack), 3);
	img_fill(small, 96, 4);
	img_fill(large, MB, 5);
	brk1 = sbrk(10 * PAGE);
	CHECK(brk1 == brk0);
	img_fill(brk1, 10 * PAGE, 6);
	img_freeze();
	CHECK_FILL(data_section, sizeof(data_section), 1);
	CHECK_FILL(bss_section, sizeof(bss_section), 2);
	CHECK_FILL(stack, sizeof(stack), 3);
	CHECK_FILL(small, 96, 4);
	CHECK_FILL(large, MB, 5);
	CHECK_FILL(brk1, 10 * PAGE, 6);
	CHECK(!strcmp(rodata_section, "read-only data"));
	CHECK(sbrk(0) == brk1 + 10 * PAGE);
}

IMG_TEST(anonymous_rw)
{
	char *p = map(MB, RW, 0);

	img_fill(p, MB, 1);
	img_freeze();
	CHECK_FILL(p, MB, 1);
	img_fill(p, MB, 2);
	CHECK_FILL(p, MB, 2);
}

/* Memory that cannot be read now, but can be again. */
IMG_TEST(prot_none_with_data)
{
	char *p = map(16 * PAGE, RW, 0);

	img_fill(p, 16 * PAGE, 1);
	MUST(mprotect(p, 16 * PAGE, PROT_NONE));
	img_freeze();
	CHECK_FAULT(SIGSEGV, p, false);
	MUST(mprotect(p, 16 * PAGE, RW));
	CHECK_FILL(p, 16 * PAGE, 1);
	img_fill(p, 16 * PAGE, 2);
}

IMG_TEST(anonymous_read_only)
{
	char *p = map(16 * PAGE, RW, 0);

	img_fill(p, 16 * PAGE, 1);
	MUST(mprotect(p, 16 * PAGE, PROT_READ));
	img_freeze();
	CHECK_FILL(p, 16 * PAGE, 1);
	CHECK_FAULT(SIGSEGV, p, true);
}

/* mov $12345, %eax; ret */
static const uint8_t code[] = { 0xb8, 0x39, 0x30, 0, 0, 0xc3 };

IMG_TEST(anonymous_executable)
{
	char *p = map(PAGE, RW, 0);
	int (*fn)(void) = (int (*)(void))p;

	memcpy(p, code, sizeof(code));
	MUST(mprotect(p, PAGE, PROT_READ | PROT_EXEC));
	CHECK_EQ(12345, fn());
	img_freeze();
	CHECK_EQ(12345, fn());
	CHECK_FAULT(SIGSEGV, p, true);
}

IMG_TEST(anonymous_rwx)
{
	char *p = map(PAGE, RW | PROT_EXEC, 0);
	int (*fn)(void) = (int (*)(void))p;

	memcpy(p, code, sizeof(code));
	img_freeze();
	CHECK_EQ(12345, fn());
	p[1] = 0x3a;
	CHECK_EQ(12346, fn());
}

IMG_TEST(never_touched)
{
	char *p = map(64 * PAGE, RW, 0), *none = map(64 * PAGE, PROT_NONE, 0);
	char *read_only = map(64 * PAGE, PROT_READ, 0);

	img_freeze();
	CHECK_ZERO(p, 64 * PAGE);
	CHECK_ZERO(read_only, 64 * PAGE);
	CHECK_FAULT(SIGSEGV, none, false);
	img_fill(p, 64 * PAGE, 1);
	CHECK_FILL(p, 64 * PAGE, 1);
}

/* The shared page of zeros, present in the page table. */
IMG_TEST(read_but_not_written)
{
	char *p = map(64 * PAGE, RW, 0);

	CHECK_ZERO(p, 64 * PAGE);
	img_freeze();
	CHECK_ZERO(p, 64 * PAGE);
	img_fill(p, 64 * PAGE, 1);
	CHECK_FILL(p, 64 * PAGE, 1);
}

/* Data, zeros and nothing by turns, so that no run of pages is long. */
IMG_TEST(every_other_page)
{
	char *p = map(512 * PAGE, RW, 0);
	int i;

	for (i = 0; i < 512; i++) {
		if (i % 3 == 0)
			img_fill(p + i * PAGE, PAGE, i);
		if (i % 3 == 1)
			memset(p + i * PAGE, 0, PAGE);
	}
	img_freeze();
	for (i = 0; i < 512; i++) {
		if (i % 3 == 0)
			CHECK_FILL(p + i * PAGE, PAGE, i);
		else
			CHECK_ZERO(p + i * PAGE, PAGE);
	}
}

/* A byte at the end of an otherwise empty page is not an empty page. */
IMG_TEST(last_byte_of_a_page)
{
	char *p = map(8 * PAGE, RW, 0);

	p[PAGE - 1] = 1;
	p[4 * PAGE] = 2;
	p[8 * PAGE - 8] = 3;
	img_freeze();
	CHECK_EQ(1, p[PAGE - 1]);
	CHECK_EQ(2, p[4 * PAGE]);
	CHECK_EQ(3, p[8 * PAGE - 8]);
	p[PAGE - 1] = 0;
	p[4 * PAGE] = 0;
	p[8 * PAGE - 8] = 0;
	CHECK_ZERO(p, 8 * PAGE);
}

IMG_TEST(sixteen_megabytes)
{
	char *p = map(16 * MB, RW, 0);

	img_fill(p, 16 * MB, 1);
	img_freeze();
	CHECK_FILL(p, 16 * MB, 1);
}

IMG_TEST(file_private_clean)
{
	const char *path = img_path("clean");
	char *p, *q;

	MUST(img_make_file(path, 40 * PAGE, 1));
	p = map_file(path, 40 * PAGE, PROT_READ, MAP_PRIVATE, 0);
	q = map_file(path, 40 * PAGE, RW, MAP_PRIVATE, 0);
	CHECK_FILL(p, 40 * PAGE, 1);
	img_freeze();
	CHECK_FILL(p, 40 * PAGE, 1);
	CHECK_FILL(q, 40 * PAGE, 1);
	img_fill(q, 40 * PAGE, 2);
	CHECK_FILL(p, 40 * PAGE, 1);
}

IMG_TEST(file_private_changed_pages)
{
	const char *path = img_path("changed");
	char *p, *want = malloc(40 * PAGE);
	int i;

	MUST(img_make_file(path, 40 * PAGE, 1));
	p = map_file(path, 40 * PAGE, RW, MAP_PRIVATE, 0);
	img_fill(want, 40 * PAGE, 1);
	for (i = 0; i < 40; i += 3) {
		img_fill(p + i * PAGE, PAGE, 100 + i);
		img_fill(want + i * PAGE, PAGE, 100 + i);
	}
	/* A changed page of zeros is not the file's page. */
	memset(p + 4 * PAGE, 0, PAGE);
	memset(want + 4 * PAGE, 0, PAGE);
	img_freeze();
	CHECK(!memcmp(p, want, 40 * PAGE));
	MUST(madvise(p, 40 * PAGE, MADV_DONTNEED));
	CHECK_FILL(p, 40 * PAGE, 1);
}

/* What the dynamic linker does to the table of addresses. */
IMG_TEST(file_private_then_read_only)
{
	const char *path = img_path("relro");
	char *p;

	MUST(img_make_file(path, 8 * PAGE, 1));
	p = map_file(path, 8 * PAGE, RW, MAP_PRIVATE, 0);
	img_fill(p + 2 * PAGE, 2 * PAGE, 2);
	MUST(mprotect(p, 8 * PAGE, PROT_READ));
	img_freeze();
	CHECK_FILL(p + 2 * PAGE, 2 * PAGE, 2);
	CHECK_FAULT(SIGSEGV, p + 2 * PAGE, true);
	CHECK_FAULT(SIGSEGV, p, true);
}

IMG_TEST(file_at_an_offset)
{
	const char *path = img_path("offset");
	char *p, *all = malloc(40 * PAGE);

	MUST(img_make_file(path, 40 * PAGE, 1));
	img_fill(all, 40 * PAGE, 1);
	p = map_file(path, 7 * PAGE, RW, MAP_PRIVATE, 11 * PAGE);
	img_fill(p + PAGE, PAGE, 2);
	img_freeze();
	CHECK(!memcmp(p, all + 11 * PAGE, PAGE));
	CHECK_FILL(p + PAGE, PAGE, 2);
	CHECK(!memcmp(p + 2 * PAGE, all + 13 * PAGE, 5 * PAGE));
}

/* Pages after the end of the file: the last one's rest, and SIGBUS. */
IMG_TEST(file_shorter_than_its_mapping)
{
	const char *path = img_path("short");
	char *p;

	MUST(img_make_file(path, 2 * PAGE + 800, 1));
	p = map_file(path, 6 * PAGE, RW, MAP_PRIVATE, 0);
	p[2 * PAGE + 900] = 5;
	CHECK_FAULT(SIGBUS, p + 4 * PAGE, false);
	img_freeze();
	CHECK_FILL(p, 2 * PAGE, 1);
	CHECK_EQ(5, p[2 * PAGE + 900]);
	CHECK_ZERO(p + 2 * PAGE + 904, PAGE - 904);
	CHECK_FAULT(SIGBUS, p + 4 * PAGE, false);
}

IMG_TEST(file_shared_read_only)
{
	const char *path = img_path("shared");
	char *p;
	int fd;

	MUST(img_make_file(path, 8 * PAGE, 1));
	p = map_file(path, 8 * PAGE, PROT_READ, MAP_SHARED, 0);
	CHECK_FILL(p, 8 * PAGE, 1);
	img_freeze();
	CHECK_FILL(p, 8 * PAGE, 1);
	CHECK_FAULT(SIGSEGV, p, true);
	CHECK_EQ(-1, mprotect(p, PAGE, RW));
	/* It shows what is written to the file, as before. */
	fd = MUST(open(path, O_WRONLY));
	CHECK_EQ(4, pwrite(fd, "abcd", 4, PAGE));
	CHECK(!memcmp(p + PAGE, "abcd", 4));
}

/* What a debugger's breakpoint is: a write to where nothing may be written. */
IMG_TEST(text_changed_through_proc_mem)
{
	const char *path = img_path("text");
	int fd, (*fn)(void);
	char buf[PAGE] = {};
	char *p;

	memcpy(buf, code, sizeof(code));
	MUST(img_write_file(path, buf, sizeof(buf)));
	p = map_file(path, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, 0);
	fn = (int (*)(void))p;
	fd = open("/proc/self/mem", O_RDWR);
	if (fd < 0 || pwrite(fd, "\x40", 1, (off_t)(p + 1)) != 1)
		img_target_skip("/proc/self/mem cannot be written");
	close(fd);
	CHECK_EQ(12352, fn());
	img_freeze();
	CHECK_EQ(12352, fn());
}

IMG_TEST(grows_down)
{
	/* Room below for it to grow into. */
	char *room = map(4 * MB, PROT_NONE, 0), *top = room + 4 * MB, *p;

	MUST(munmap(room, 4 * MB));
	p = mmap(top - 4 * PAGE, 4 * PAGE, RW,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0);
	CHECK(p == top - 4 * PAGE);
	img_fill(p, 4 * PAGE, 1);
	p -= PAGE;
	img_fill(p, PAGE, 2);
	img_freeze();
	CHECK_FILL(p, PAGE, 2);
	CHECK_FILL(p + PAGE, 4 * PAGE, 1);
	CHECK_FAULT(0, p - PAGE, true);
	CHECK_ZERO(p - PAGE, PAGE);
}

IMG_TEST(holes)
{
	char *p = map(30 * PAGE, RW, 0);
	unsigned char vec;
	int i;

	img_fill(p, 30 * PAGE, 1);
	for (i = 1; i < 30; i += 2)
		MUST(munmap(p + i * PAGE, PAGE));
	img_freeze();
	for (i = 1; i < 30; i += 2) {
		CHECK_EQ(-1, mincore(p + i * PAGE, PAGE, &vec));
		CHECK_EQ(ENOMEM, errno);
		CHECK_EQ(0, mincore(p + (i - 1) * PAGE, PAGE, &vec));
	}
}

/*
 * Neighbours that the kernel did not merge because of where their pages came
 * from; a new mapping of both would be one.
 */
IMG_TEST(neighbours_stay_apart)
{
	char *p = map(8 * PAGE, RW, 0), *q = map(4 * PAGE, RW, 0), *r;

	MUST(munmap(p + 4 * PAGE, 4 * PAGE));
	img_fill(p, 4 * PAGE, 1);
	img_fill(q, 4 * PAGE, 2);
	r = mremap(q, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + 4 * PAGE);
	CHECK(r == p + 4 * PAGE);
	img_freeze();
	CHECK_FILL(p, 4 * PAGE, 1);
	CHECK_FILL(r, 4 * PAGE, 2);
	r = mremap(p, 4 * PAGE, 6 * PAGE, 0);
	CHECK(r == MAP_FAILED);
}

IMG_TEST(neighbours_of_two_files)
{
	char *p = map(12 * PAGE, PROT_NONE, 0);
	const char *path = img_path("two");
	int fd;

	MUST(img_make_file(path, 8 * PAGE, 1));
	fd = MUST(open(path, O_RDONLY));
	/* Adjacent in memory, not in the file; and one that merges. */
	MUST(mmap(p, 4 * PAGE, RW, MAP_PRIVATE | MAP_FIXED, fd, 0));
	MUST(mmap(p + 4 * PAGE, 4 * PAGE, RW, MAP_PRIVATE | MAP_FIXED, fd, 0));
	MUST(mmap(p + 8 * PAGE, 4 * PAGE, RW, MAP_PRIVATE | MAP_FIXED, fd, 4 * PAGE));
	close(fd);
	img_fill(p + 5 * PAGE, PAGE, 2);
	img_freeze();
	CHECK(!memcmp(p, p + 4 * PAGE, PAGE));
	CHECK_FILL(p + 5 * PAGE, PAGE, 2);
	CHECK_FILL(p, 4 * PAGE, 1);
}

IMG_TEST(moved_by_mremap)
{
	char *p = map(64 * PAGE, RW, 0), *q;

	img_fill(p, 64 * PAGE, 1);
	q = mremap(p, 64 * PAGE, 128 * PAGE, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED);
	p = map(16 * PAGE, RW, 0);
	img_fill(p, 16 * PAGE, 2);
	q = mremap(q, 128 * PAGE, 2 * MB, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED);
	img_freeze();
	CHECK_FILL(q, 64 * PAGE, 1);
	CHECK_ZERO(q + 64 * PAGE, 2 * MB - 64 * PAGE);
	CHECK_FILL(p, 16 * PAGE, 2);
}

IMG_TEST(lowest_and_highest_address)
{
	char *low = (char *)0x10000, *high = (char *)0x7fffffffe000, *p;
	char *min = img_read_file("/proc/sys/vm/mmap_min_addr", NULL);

	if (min && strtoul(min, NULL, 0) > 0x10000)
		low = (char *)((strtoul(min, NULL, 0) + PAGE - 1) & ~(PAGE - 1));
	p = mmap(low, 4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	CHECK(p == low);
	img_fill(low, 4 * PAGE, 1);
	p = mmap(high, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (p == high)
		img_fill(high, PAGE, 2);
	img_freeze();
	CHECK_FILL(low, 4 * PAGE, 1);
	if (p == high)
		CHECK_FILL(high, PAGE, 2);
}

/* Most of it above a terabyte, three pages of it used. */
IMG_TEST(huge_noreserve_mapping)
{
	size_t len = 64UL << 30;
	char *p = mmap(NULL, len, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		img_target_skip("cannot map 64 GB");
	img_fill(p, PAGE, 1);
	img_fill(p + len / 2, PAGE, 2);
	img_fill(p + len - PAGE, PAGE, 3);
	img_freeze();
	CHECK_FILL(p, PAGE, 1);
	CHECK_FILL(p + len / 2, PAGE, 2);
	CHECK_FILL(p + len - PAGE, PAGE, 3);
	CHECK_ZERO(p + PAGE, PAGE);
	CHECK_ZERO(p + len / 4, PAGE);
}

IMG_TEST(two_thousand_mappings)
{
	char *p = map(2000 * PAGE, RW, 0);
	int i;

	for (i = 0; i < 2000; i++) {
		*(int *)(p + i * PAGE) = i + 1;
		if (i % 2)
			MUST(mprotect(p + i * PAGE, PAGE, PROT_READ));
	}
	img_freeze();
	for (i = 0; i < 2000; i++) {
		if (!CHECK(*(int *)(p + i * PAGE) == i + 1))
			break;
	}
	CHECK_FAULT(SIGSEGV, p + 1001 * PAGE, true);
	CHECK_FAULT(0, p + 1000 * PAGE, true);
}

IMG_TEST(shared_with_a_child)
{
	char *p = map(64 * PAGE, RW, 0);
	int fd[2];
	char c;

	img_fill(p, 64 * PAGE, 1);
	MUST(pipe(fd));
	if (!fork()) {
		/* Has half of it to itself, half of it still in common. */
		img_fill(p, 32 * PAGE, 2);
		close(fd[1]);
		_exit(read(fd[0], &c, 1));
	}
	close(fd[0]);
	img_fill(p + 48 * PAGE, PAGE, 3);
	img_freeze();
	CHECK_FILL(p + 48 * PAGE, PAGE, 3);
	memset(p + 48 * PAGE, 0, PAGE);
	CHECK_FILL(p, 32 * PAGE, 1);
}

IMG_TEST(freed_lazily)
{
	char *p = map(64 * PAGE, RW, 0);
	size_t i;

	img_fill(p, 64 * PAGE, 1);
	if (madvise(p, 64 * PAGE, MADV_FREE))
		img_target_skip("no MADV_FREE");
	img_freeze();
	/* Each page is as it was or empty. */
	for (i = 0; i < 64; i++) {
		char want[PAGE];
		uint64_t seed = 1;
		size_t k;

		for (k = 0; k < i * PAGE; k += 8)
			img_random(&seed);
		img_fill(want, PAGE, seed);
		if (img_nonzero(p + i * PAGE, PAGE) != PAGE)
			CHECK(!memcmp(p + i * PAGE, want, PAGE));
	}
	img_fill(p, 64 * PAGE, 2);
	CHECK_FILL(p, 64 * PAGE, 2);
}

IMG_TEST(wipe_on_fork_comes_back_zeroed)
{
	char *p = map(8 * PAGE, RW, 0);
	int status;

	img_fill(p, 8 * PAGE, 1);
	MUST(madvise(p, 8 * PAGE, MADV_WIPEONFORK));
	img_freeze();
	if (img_nodump())
		return;
	CHECK_ZERO(p, 8 * PAGE);
	/* And it is still of that kind. */
	img_fill(p, 8 * PAGE, 2);
	if (!fork())
		_exit(img_nonzero(p, 8 * PAGE) != 8 * PAGE);
	MUST(wait(&status));
	CHECK_EQ(0, status);
	CHECK_FILL(p, 8 * PAGE, 2);
}

IMG_TEST(not_inherited_by_fork)
{
	char *p = map(8 * PAGE, RW, 0);
	unsigned char vec;
	int status;

	img_fill(p, 8 * PAGE, 1);
	MUST(madvise(p, 8 * PAGE, MADV_DONTFORK));
	img_freeze();
	CHECK_FILL(p, 8 * PAGE, 1);
	if (!fork())
		_exit(mincore(p, PAGE, &vec) == 0);
	MUST(wait(&status));
	CHECK_EQ(0, status);
}

/* A core dump leaves it out; a process cannot do without. */
IMG_TEST(left_out_of_core_dumps)
{
	char *p = map(8 * PAGE, RW, 0);

	img_fill(p, 8 * PAGE, 1);
	MUST(madvise(p, 8 * PAGE, MADV_DONTDUMP));
	img_freeze();
	CHECK_FILL(p, 8 * PAGE, 1);
}

TARGET(flags)
{
	static const int advice[] = {
		MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_DONTFORK, MADV_WIPEONFORK,
		MADV_DONTDUMP, MADV_RANDOM, MADV_SEQUENTIAL, MADV_MERGEABLE,
	};
	size_t i;
	char *p;

	for (i = 0; i < sizeof(advice) / sizeof(advice[0]); i++) {
		p = map(4 * PAGE, RW, 0);
		img_fill(p, 4 * PAGE, i);
		madvise(p, 4 * PAGE, advice[i]);
		/* Keep neighbours apart. */
		map(PAGE, PROT_NONE, 0);
	}
	map(4 * PAGE, RW, MAP_NORESERVE);
	map(PAGE, PROT_NONE, 0);
	map(4 * PAGE, RW, MAP_GROWSDOWN);
	img_freeze();
}

/* The VmFlags lines of smaps, without "softdirty". */
static char *vm_flags(pid_t pid)
{
	char path[64], *text, *line, *save = NULL, *out, *sd;

	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	text = img_read_file(path, NULL);
	out = calloc(1, text ? strlen(text) + 1 : 1);
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (!strchr(line, '-') && strncmp(line, "VmFlags:", 8))
			continue;
		sd = strstr(line, " sd");
		if (sd)
			memmove(sd, sd + 3, strlen(sd + 3) + 1);
		strcat(strcat(out, line), "\n");
	}
	free(text);
	return out;
}

TEST(flags_of_mappings)
{
	char *before, *after, *a, *b, *sa = NULL, *sb = NULL;
	struct img_proc p;

	IMG_SPAWN(&p, "flags", 's', NULL, NULL);
	before = vm_flags(p.pid);
	ASSERT_NE(0, strlen(before));
	ASSERT_EQ(0, img_cycle(&p));
	after = vm_flags(p.pid);
	if (strcmp(before, after)) {
		a = strtok_r(before, "\n", &sa);
		b = strtok_r(after, "\n", &sb);
		for (; a && b; a = strtok_r(NULL, "\n", &sa), b = strtok_r(NULL, "\n", &sb))
			if (strcmp(a, b))
				EXPECT_STREQ(a, b);
		EXPECT_EQ(a, b);
	}
	ASSERT_EQ(0, img_finish(&p));
}

IMG_TEST(named_mappings)
{
	char *p = map(4 * PAGE, RW, 0), *q = p + 2 * PAGE;

	if (prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, 2 * PAGE, "first name"))
		img_target_skip("mappings cannot have names");
	MUST(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, q, 2 * PAGE, "second"));
	img_fill(p, 4 * PAGE, 1);
	img_freeze();
	CHECK_FILL(p, 4 * PAGE, 1);
}

IMG_TEST(transparent_huge_pages)
{
	char *raw = map(8 * MB, RW, 0), *smaps;
	char *p = (char *)(((uintptr_t)raw + 2 * MB - 1) & ~(2 * MB - 1));

	if (madvise(p, 4 * MB, MADV_HUGEPAGE))
		img_target_skip("no transparent huge pages");
	img_fill(p, 4 * MB, 1);
	smaps = img_read_file("/proc/self/smaps_rollup", NULL);
	if (smaps && strstr(smaps, "AnonHugePages:         0 kB"))
		img_target_skip("no huge page to be had");
	free(smaps);
	img_freeze();
	CHECK_FILL(p, 4 * MB, 1);
	/* Parts of it. */
	MUST(madvise(p + 16 * PAGE, 16 * PAGE, MADV_DONTNEED));
	CHECK_ZERO(p + 16 * PAGE, 16 * PAGE);
	MUST(mprotect(p + MB, PAGE, PROT_READ));
	CHECK_FAULT(SIGSEGV, p + MB, true);
}

/*
 * What can be done to memory afterwards
 */

IMG_TEST(then_brk)
{
	char *start = sbrk(0), *p;

	img_freeze();
	CHECK(sbrk(0) == start);
	p = sbrk(256 * PAGE);
	CHECK(p == start);
	CHECK_ZERO(p, 256 * PAGE);
	img_fill(p, 256 * PAGE, 1);
	CHECK_FILL(p, 256 * PAGE, 1);
	CHECK(sbrk(-200 * (long)PAGE) == start + 256 * PAGE);
	CHECK_FAULT(SIGSEGV, start + 100 * PAGE, false);
	p = sbrk(100 * PAGE);
	CHECK_ZERO(p, 100 * PAGE);
}

IMG_TEST(then_malloc)
{
	static char *block[500];
	static size_t size[500];
	uint64_t seed = 1;
	int i, round;

	for (i = 0; i < 500; i++) {
		size[i] = 8 + img_random(&seed) % 20000;
		block[i] = malloc(size[i]);
		img_fill(block[i], size[i], i);
	}
	for (i = 0; i < 500; i += 3) {
		free(block[i]);
		block[i] = NULL;
	}
	img_freeze();
	for (round = 0; round < 20; round++) {
		for (i = 0; i < 500; i++) {
			if (block[i]) {
				CHECK(img_differs(block[i], size[i], i) == size[i]);
				free(block[i]);
				block[i] = NULL;
			} else {
				size[i] = 8 + img_random(&seed) % 200000;
				block[i] = malloc(size[i]);
				img_fill(block[i], size[i], i);
			}
		}
	}
	malloc_trim(0);
}

IMG_TEST(then_mmap)
{
	char *old = map(64 * PAGE, RW, 0), *p[50];
	int i;

	img_fill(old, 64 * PAGE, 1);
	img_freeze();
	for (i = 0; i < 50; i++) {
		p[i] = map((i + 1) * PAGE, RW, 0);
		CHECK_ZERO(p[i], (i + 1) * PAGE);
		img_fill(p[i], (i + 1) * PAGE, i + 10);
		/* Neither under the stack nor over anything. */
		CHECK(p[i] < (char *)&old);
	}
	CHECK_FILL(old, 64 * PAGE, 1);
	for (i = 0; i < 50; i++) {
		CHECK_FILL(p[i], (i + 1) * PAGE, i + 10);
		MUST(munmap(p[i], (i + 1) * PAGE));
	}
}

/* New mappings go where they would have gone without the dump. */
IMG_TEST(then_mmap_at_the_same_place)
{
	char *a = map(16 * PAGE, RW, 0), *b;

	MUST(munmap(a, 16 * PAGE));
	img_freeze();
	b = map(16 * PAGE, RW, 0);
	CHECK(a == b);
}

IMG_TEST(then_mprotect)
{
	char *p = map(64 * PAGE, RW, 0);
	int i;

	img_fill(p, 64 * PAGE, 1);
	img_freeze();
	for (i = 0; i < 64; i += 2)
		MUST(mprotect(p + i * PAGE, PAGE, PROT_READ));
	CHECK_FAULT(SIGSEGV, p, true);
	CHECK_FAULT(0, p + PAGE, true);
	for (i = 0; i < 64; i += 2)
		MUST(mprotect(p + i * PAGE, PAGE, RW));
	CHECK_FILL(p, 64 * PAGE, 1);
}

/* Allocators rely on zeros. */
IMG_TEST(then_madvise_dontneed)
{
	char *p = map(2 * MB, RW, 0);

	img_fill(p, 2 * MB, 1);
	img_freeze();
	MUST(madvise(p, MB, MADV_DONTNEED));
	CHECK_ZERO(p, MB);
	img_fill(p, MB, 2);
	CHECK_FILL(p, MB, 2);
	MUST(madvise(p, 2 * MB, MADV_DONTNEED));
	CHECK_ZERO(p, 2 * MB);
}

IMG_TEST(then_madvise_free)
{
	char *p = map(MB, RW, 0);

	img_fill(p, MB, 1);
	img_freeze();
	CHECK_EQ(0, madvise(p, MB, MADV_FREE));
	img_fill(p, MB, 2);
	CHECK_FILL(p, MB, 2);
}

IMG_TEST(then_mremap_grow)
{
	char *p = map(64 * PAGE, RW, 0), *q;

	img_fill(p, 64 * PAGE, 1);
	img_freeze();
	q = mremap(p, 64 * PAGE, 256 * PAGE, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED);
	CHECK_FILL(q, 64 * PAGE, 1);
	CHECK_ZERO(q + 64 * PAGE, 192 * PAGE);
	q = mremap(q, 256 * PAGE, 16 * PAGE, 0);
	CHECK(q != MAP_FAILED);
	q = mremap(q, 16 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED);
	CHECK_ZERO(q + 16 * PAGE, 48 * PAGE);
}

IMG_TEST(then_mremap_move)
{
	char *p = map(4 * MB, RW, 0), *q;

	img_fill(p, 4 * MB, 1);
	img_freeze();
	q = map(4 * MB, PROT_NONE, 0);
	q = mremap(p, 4 * MB, 4 * MB, MREMAP_MAYMOVE | MREMAP_FIXED, q);
	CHECK(q != MAP_FAILED && q != p);
	CHECK_FILL(q, 4 * MB, 1);
	CHECK_FAULT(SIGSEGV, p, false);
}

static int __attribute__((noinline)) recurse(int depth)
{
	volatile char frame[8 * PAGE];
	int r;

	memset((char *)frame, depth, sizeof(frame));
	r = depth ? recurse(depth - 1) : 0;
	return r + (frame[0] == (char)depth && frame[sizeof(frame) - 1] == (char)depth);
}

IMG_TEST(then_stack_growth)
{
	char before[2 * PAGE];

	img_fill(before, sizeof(before), 1);
	img_freeze();
	CHECK_EQ(101, recurse(100));
	CHECK_FILL(before, sizeof(before), 1);
}

/* The stack's end is where the limit says. */
IMG_TEST(then_stack_overflow)
{
	struct rlimit lim;
	pid_t pid;
	int status;

	img_freeze();
	MUST(getrlimit(RLIMIT_STACK, &lim));
	if (lim.rlim_cur == RLIM_INFINITY || lim.rlim_cur > 64 * MB)
		img_target_skip("no limit of the stack");
	pid = fork();
	if (!pid) {
		recurse(lim.rlim_cur / (8 * PAGE) + 10);
		_exit(0);
	}
	MUST(waitpid(pid, &status, 0));
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

IMG_TEST(then_fork)
{
	char *p = map(2 * MB, RW, 0);
	int status, i;
	pid_t pid;

	img_fill(p, 2 * MB, 1);
	img_freeze();
	for (i = 0; i < 3; i++) {
		pid = fork();
		if (!pid) {
			if (img_differs(p, 2 * MB, 1 + i) != 2 * MB)
				_exit(1);
			img_fill(p, 2 * MB, 99);
			_exit(img_differs(p, 2 * MB, 99) != 2 * MB);
		}
		img_fill(p, MB, 55);
		MUST(waitpid(pid, &status, 0));
		CHECK_EQ(0, status);
		CHECK_FILL(p, MB, 55);
		img_fill(p, 2 * MB, 2 + i);
	}
}

/* Pages that nobody has touched since the resume, read by others. */
IMG_TEST(then_read_by_the_kernel)
{
	char *p = map(64 * PAGE, RW, 0), *buf = malloc(64 * PAGE);
	const char *path = img_path("out");
	int fd;

	img_fill(p, 64 * PAGE, 1);
	img_freeze();
	fd = MUST(open(path, O_RDWR | O_CREAT, 0600));
	CHECK_EQ(64 * PAGE, write(fd, p, 64 * PAGE));
	CHECK_EQ(64 * PAGE, pread(fd, buf, 64 * PAGE, 0));
	CHECK_FILL(buf, 64 * PAGE, 1);
	CHECK_EQ(16 * PAGE, pread(fd, p, 16 * PAGE, 0));
	CHECK_FILL(p, 64 * PAGE, 1);
	close(fd);
	fd = MUST(open("/proc/self/mem", O_RDONLY));
	memset(buf, 0, 64 * PAGE);
	CHECK_EQ(64 * PAGE, pread(fd, buf, 64 * PAGE, (off_t)p));
	CHECK_FILL(buf, 64 * PAGE, 1);
}

IMG_TEST(then_split_and_merge)
{
	char *p = map(256 * PAGE, RW, 0), *q;
	int i;

	img_fill(p, 256 * PAGE, 1);
	img_freeze();
	for (i = 0; i < 256; i += 4)
		MUST(madvise(p + i * PAGE, PAGE, MADV_DONTDUMP));
	for (i = 2; i < 256; i += 4)
		MUST(munmap(p + i * PAGE, PAGE));
	for (i = 2; i < 256; i += 4) {
		q = mmap(p + i * PAGE, PAGE, RW,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		CHECK(q == p + i * PAGE);
		CHECK_ZERO(q, PAGE);
	}
	MUST(madvise(p, 256 * PAGE, MADV_DODUMP));
	for (i = 1; i < 256; i += 4) {
		uint64_t seed = 1;
		int k;

		for (k = 0; k < i * 512; k++)
			img_random(&seed);
		CHECK_FILL(p + i * PAGE, PAGE, seed);
	}
}

IMG_TEST(then_mlock)
{
	char *p = map(16 * PAGE, RW, 0);

	img_fill(p, 16 * PAGE, 1);
	img_freeze();
	CHECK_EQ(0, mlock(p, 16 * PAGE));
	CHECK_EQ(16 * PAGE / 1024, img_status_field(getpid(), "VmLck:", 10));
	CHECK_FILL(p, 16 * PAGE, 1);
	CHECK_EQ(0, munlock(p, 16 * PAGE));
	CHECK_EQ(0, img_status_field(getpid(), "VmLck:", 10));
}

IMG_TEST(then_unmap_it_all)
{
	char *p = map(4 * MB, RW, 0);

	img_fill(p, 4 * MB, 1);
	img_freeze();
	MUST(munmap(p, 4 * MB));
	CHECK_FAULT(SIGSEGV, p, false);
	CHECK(mmap(p, 4 * MB, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
		   -1, 0) == p);
	CHECK_ZERO(p, 4 * MB);
}

/*
 * What it costs
 */

TARGET(zeros)
{
	size_t len = strtoul(arg, NULL, 0) * MB;
	char *p = map(len + PAGE, RW, 0);

	memset(p, 1, len);
	memset(p, 0, len);
	img_freeze();
	CHECK_ZERO(p, len);
}

static long size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) ? -1 : st.st_size;
}

TEST(zero_pages_are_left_out)
{
	struct img_proc p, q;
	long small, large;

	IMG_SPAWN(&p, "zeros", 's', "0", NULL);
	ASSERT_EQ(0, img_dump(&p));
	small = size_of(p.image);
	img_forget(&p);
	IMG_SPAWN(&q, "zeros", 's', "32", NULL);
	ASSERT_EQ(0, img_dump(&q));
	large = size_of(q.image);
	EXPECT_LT(large, small + 64 * 1024);
	img_kill(&q);
	ASSERT_EQ(0, img_resume(&q));
	/* They do not come back as memory, either. */
	if (!img_nodump())
		EXPECT_LT(img_status_field(q.pid, "RssAnon:", 10), 16 * 1024);
	ASSERT_EQ(0, img_finish(&q));
}

TARGET(clean_file)
{
	const char *path = img_path("large");
	volatile char *p;
	size_t i;

	MUST(img_make_file(path, 16 * MB, 1));
	p = map_file(path, 16 * MB, RW, MAP_PRIVATE, 0);
	for (i = 0; i < 16 * MB; i += PAGE)
		(void)p[i];
	img_freeze();
	CHECK_FILL((void *)p, 16 * MB, 1);
}

TEST(clean_file_pages_are_left_out)
{
	struct img_proc p;

	IMG_SPAWN(&p, "clean_file", 's', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	EXPECT_LT(size_of(p.image), 8L * (long)MB);
	img_kill(&p);
	ASSERT_EQ(0, img_resume(&p));
	ASSERT_EQ(0, img_finish(&p));
}

TARGET(accounted)
{
	char *p = map(8 * MB, RW, 0), *q = map(4 * MB, RW, MAP_NORESERVE);

	map(2 * MB, PROT_READ, 0);
	img_fill(p, 4 * MB, 1);
	img_fill(q, MB, 1);
	recurse(20);
	img_freeze();
}

/* What /proc says about the size of its memory. */
TEST(accounting)
{
	static const char * const fields[] = {
		"VmSize:", "VmData:", "VmStk:", "VmExe:", "VmLib:", "VmLck:", "VmPin:",
	};
	long before[ARRAY_SIZE(fields)], rss, rss_after;
	struct img_proc p;
	size_t i;

	IMG_SPAWN(&p, "accounted", 's', NULL, NULL);
	for (i = 0; i < ARRAY_SIZE(fields); i++)
		before[i] = img_status_field(p.pid, fields[i], 10);
	rss = img_status_field(p.pid, "RssAnon:", 10);
	ASSERT_EQ(0, img_cycle(&p));
	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		long after = img_status_field(p.pid, fields[i], 10);

		EXPECT_EQ(before[i], after);
		if (before[i] != after)
			img_diag("(that was %s)", fields[i]);
	}
	rss_after = img_status_field(p.pid, "RssAnon:", 10);
	EXPECT_LE(rss_after, rss + 512);
	EXPECT_GE(rss_after, 0);
	ASSERT_EQ(0, img_finish(&p));
}

/* Charged like any memory: nothing is left when the process is gone. */
TEST(commit_charge_is_given_back)
{
	struct img_proc p;
	long before, after;
	int i;

	for (i = 0; i < 2; i++) {
		char *text = img_read_file("/proc/meminfo", NULL);
		char *line = text ? strstr(text, "Committed_AS:") : NULL;

		ASSERT_TRUE(line != NULL);
		after = strtol(line + strlen("Committed_AS:"), NULL, 10);
		free(text);
		if (i) {
			/* Others come and go; 8 cycles of 8 MB would show. */
			EXPECT_LT(after - before, 32 * 1024);
			break;
		}
		before = after;
		for (int k = 0; k < 8; k++) {
			IMG_SPAWN(&p, "accounted", 's', NULL, NULL);
			ASSERT_EQ(0, img_cycle(&p));
			ASSERT_EQ(0, img_finish(&p));
		}
	}
}

/*
 * Pages in swap
 */

TARGET(swapped)
{
	char *p = map(4 * MB, RW, 0);

	img_fill(p, 4 * MB, 1);
	madvise(p, 4 * MB, MADV_PAGEOUT);
	img_freeze();
	CHECK_FILL(p, 4 * MB, 1);
}

TEST(swapped_pages)
{
	struct img_proc p;
	char dev[32];
	int loop, i;
	long swap = 0;

	loop = img_swap_on(dev, sizeof(dev));
	if (loop < 0)
		SKIP(return, "no swap to be had");
	if (img_spawn(&p, "swapped", 's', NULL, NULL)) {
		img_swap_off(dev, loop);
		ASSERT_TRUE(false);
	}
	for (i = 0; i < 50 && swap < 1024; i++) {
		swap = img_status_field(p.pid, "VmSwap:", 10);
		img_msleep(10);
	}
	EXPECT_EQ(0, img_cycle(&p));
	EXPECT_EQ(0, img_finish(&p));
	EXPECT_EQ(0, img_swap_off(dev, loop));
	if (swap < 1024)
		SKIP(return, "nothing was swapped out");
}
