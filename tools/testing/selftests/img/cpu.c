// SPDX-License-Identifier: GPL-2.0
/*
 * State of an x86 processor that no register set of a 64-bit program shows:
 * descriptors of the GDT and the LDT with segments that use them, protection
 * keys, PR_SET_TSC.  And what has to be refused of it.
 */
#include "img_test.h"

#ifndef __x86_64__

TEST(x86)
{
	SKIP(return, "for x86-64 only");
}

#else

#include <asm/ldt.h>
#include <asm/prctl.h>
#include <cpuid.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/procfs.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

#ifndef ARCH_SET_CPUID
#define ARCH_GET_CPUID	0x1011
#define ARCH_SET_CPUID	0x1012
#endif
#ifndef ARCH_REQ_XCOMP_PERM
#define ARCH_REQ_XCOMP_PERM	0x1023
#endif
#ifndef NT_386_TLS
#define NT_386_TLS	0x200
#endif

#define PAGE		4096UL
#define RW		(PROT_READ | PROT_WRITE)
#define LDT_BYTES	65536
#define HWCAP2_FSGSBASE_BIT	2
#define TRAP_FLAG	0x100UL

#define TLS_SELECTOR(i)	(((12 + (i)) << 3) | 3)
#define LDT_SELECTOR(i)	((i) << 3 | 7)

/* Where 32 bits of a segment's base can point to. */
static void *low_page(void)
{
	void *p = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	if (p == MAP_FAILED)
		MUST(-1);
	return p;
}

static int sys32(long nr, void *arg)
{
	long ret;

	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(nr), "b"(arg)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)ret;
}

/* The GDT's entries are the 32-bit system calls' business. */
static void set_tls(const struct user_desc *desc)
{
	static struct user_desc *low;

	low = low ?: low_page();
	*low = *desc;
	if (sys32(243, low))
		img_target_skip("no set_thread_area()");
}

static struct user_desc get_tls(int entry)
{
	struct user_desc *low = low_page(), d;

	low->entry_number = entry;
	CHECK_EQ(0, sys32(244, low));
	d = *low;
	munmap(low, PAGE);
	return d;
}

static void set_ldt(const struct user_desc *desc)
{
	if (syscall(SYS_modify_ldt, 0x11, desc, sizeof(*desc)))
		img_target_skip("no modify_ldt(): %d", errno);
}

static struct user_desc data_desc(int entry, const void *base)
{
	return (struct user_desc) {
		.entry_number = entry,
		.base_addr = (uintptr_t)base,
		.limit = 0xfffff,
		.seg_32bit = 1,
		.limit_in_pages = 1,
		.useable = 1,
	};
}

static bool has_fsgsbase(void)
{
	return getauxval(AT_HWCAP2) & 1 << (HWCAP2_FSGSBASE_BIT - 1);
}

static uint64_t fs_base(void)
{
	uint64_t base;

	MUST(syscall(SYS_arch_prctl, ARCH_GET_FS, &base));
	return base;
}

struct segments {
	uint64_t fs_word;
	uint64_t fs_sel;
};

/*
 * img_freeze() while FS, which the C library lives on, is something else; the
 * first word of that segment and its selector are in *@s afterwards.  If @base
 * is not 0, the base is not that of the descriptor.
 */
static void __attribute__((noinline)) freeze_with_fs(uint16_t sel, uint64_t base,
						     struct segments *s)
{
	uint64_t own = fs_base(), ret, word, after;
	char buf[16], *to = buf;

	img_send('R', "sleep");
	__asm__ volatile(
		"movw	%[sel], %%fs\n"
		"mov	%[base], %%r13\n"
		"test	%%r13, %%r13\n"
		"jz	1f\n"
		"wrfsbase %%r13\n"
		"1:\n"
		"mov	$45, %%eax\n"			/* recvfrom */
		"mov	$3, %%edi\n"
		"mov	%[buf], %%rsi\n"
		"mov	$16, %%edx\n"
		"xor	%%r10d, %%r10d\n"
		"xor	%%r8d, %%r8d\n"
		"xor	%%r9d, %%r9d\n"
		"syscall\n"
		"mov	%%rax, %%r14\n"
		"mov	%%fs:0, %%r15\n"
		"xor	%%ebx, %%ebx\n"
		"mov	%%fs, %%ebx\n"
		"mov	$158, %%eax\n"			/* arch_prctl */
		"mov	$0x1002, %%edi\n"
		"mov	%[own], %%rsi\n"
		"syscall\n"
		"mov	%%r14, %[ret]\n"
		"mov	%%r15, %[word]\n"
		"mov	%%rbx, %[after]\n"
		: [ret] "=m"(ret), [word] "=m"(word), [after] "=m"(after)
		: [sel] "m"(sel), [base] "m"(base), [own] "m"(own), [buf] "m"(to)
		: "rax", "rbx", "rcx", "rdx", "rdi", "rsi", "r8", "r9", "r10", "r11",
		  "r13", "r14", "r15", "memory");
	CHECK_EQ(1, ret);
	s->fs_word = word;
	s->fs_sel = after;
}

static uint16_t get_gs(void)
{
	uint32_t sel;

	__asm__ volatile("mov %%gs, %0" : "=r"(sel));
	return sel;
}

static void load_gs(uint16_t sel)
{
	__asm__ volatile("mov %0, %%gs" : : "r"((uint32_t)sel));
}

static uint64_t gs_word(void)
{
	uint64_t word;

	__asm__ volatile("mov %%gs:0, %0" : "=r"(word));
	return word;
}

/*
 * Entries of the GDT
 */

TARGET(tls_entries)
{
	struct user_desc d[3], now;
	int i;

	for (i = 0; i < 3; i++) {
		d[i] = data_desc(12 + i, (void *)(0x12345678UL * (i + 1)));
		d[i].limit = 0x12345 + i;
		d[i].read_exec_only = i == 1;
		d[i].contents = i == 2;
		d[i].limit_in_pages = i != 1;
		d[i].useable = i != 2;
		set_tls(&d[i]);
	}
	img_freeze();
	for (i = 0; i < 3; i++) {
		now = get_tls(12 + i);
		CHECK(!memcmp(&now, &d[i], sizeof(now)));
	}
}

TEST(tls_entries)
{
	IMG_RUN("tls_entries", 's', NULL, NULL);
}

TEST(tls_entries_running)
{
	IMG_RUN("tls_entries", 'r', NULL, NULL);
}

/* One of three, and the others stay free. */
IMG_TEST(tls_in_gs)
{
	uint64_t *p = low_page();
	struct user_desc d = data_desc(13, p), none;

	p[0] = 0x1122334455667788;
	set_tls(&d);
	load_gs(TLS_SELECTOR(1));
	CHECK_EQ(p[0], gs_word());
	img_freeze();
	CHECK_EQ(TLS_SELECTOR(1), get_gs());
	CHECK_EQ(p[0], gs_word());
	/* Not a copy of the base, but the descriptor. */
	load_gs(0);
	load_gs(TLS_SELECTOR(1));
	CHECK_EQ(p[0], gs_word());
	none = get_tls(12);
	CHECK(none.seg_not_present && none.read_exec_only && !none.limit);
	d.entry_number = -1;
	set_tls(&d);
	CHECK_EQ(p[0], gs_word());
	load_gs(TLS_SELECTOR(0));
	CHECK_EQ(p[0], gs_word());
}

IMG_TEST(tls_in_fs)
{
	uint64_t *p = low_page();
	struct user_desc d = data_desc(14, p);
	struct segments s;

	p[0] = 0x8877665544332211;
	set_tls(&d);
	freeze_with_fs(TLS_SELECTOR(2), 0, &s);
	CHECK_EQ(p[0], s.fs_word);
	CHECK_EQ(TLS_SELECTOR(2), s.fs_sel);
}

/*
 * The LDT
 */

static void many_descriptors(void)
{
	struct user_desc d;
	int i;

	for (i = 0; i < 200; i++) {
		d = data_desc(i * 41, (void *)(0x01010101UL * i));
		d.limit = i * 5000;
		d.contents = i % 4;
		d.read_exec_only = i / 4 % 2;
		d.limit_in_pages = i / 8 % 2;
		d.useable = i / 16 % 2;
		d.seg_not_present = d.contents == 3 || i % 7 == 0;
		set_ldt(&d);
	}
	/* The last that there can be. */
	d = data_desc(8191, (void *)0xfffff000UL);
	set_ldt(&d);
	/* Of 16 bits, if there is such a thing; and of nothing but zeros. */
	d = data_desc(7, NULL);
	d.seg_32bit = 0;
	syscall(SYS_modify_ldt, 0x11, &d, sizeof(d));
	memset(&d, 0, sizeof(d));
	d.entry_number = 9;
	syscall(SYS_modify_ldt, 0x11, &d, sizeof(d));
}

TARGET(ldt_entries)
{
	char *before = malloc(LDT_BYTES), *now = malloc(LDT_BYTES);
	struct user_desc d;

	many_descriptors();
	CHECK_EQ(LDT_BYTES, syscall(SYS_modify_ldt, 0, before, LDT_BYTES));
	img_freeze();
	CHECK_EQ(LDT_BYTES, syscall(SYS_modify_ldt, 0, now, LDT_BYTES));
	CHECK(!memcmp(before, now, LDT_BYTES));
	/* It can be changed as before. */
	d = data_desc(5, (void *)0x5000UL);
	CHECK_EQ(0, syscall(SYS_modify_ldt, 0x11, &d, sizeof(d)));
	CHECK_EQ(LDT_BYTES, syscall(SYS_modify_ldt, 0, now, LDT_BYTES));
	CHECK(memcmp(before, now, LDT_BYTES));
}

TEST(ldt_entries)
{
	IMG_RUN("ldt_entries", 's', NULL, NULL);
}

TEST(ldt_entries_running)
{
	IMG_RUN("ldt_entries", 'r', NULL, NULL);
}

/* The dump of a resumed process is like the first one. */
TEST(second_generation)
{
	static const char * const target[] = { "ldt_entries", "tls_entries", "keys" };
	struct img_proc p;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(target); i++) {
		struct img_image first, second;
		size_t na = 0, nb = 0, ta = 0, tb = 0;
		void *a, *b;

		if (img_nodump())
			SKIP(return, "needs a dump");
		ASSERT_EQ(0, img_spawn(&p, target[i], 's', NULL, NULL));
		ASSERT_EQ(0, img_cycle(&p));
		ASSERT_EQ(0, img_load(&first, p.image));
		ASSERT_EQ(0, img_cycle(&p));
		ASSERT_EQ(0, img_load(&second, p.image));
		a = img_note(&first, "IMG", NT_IMG_ARCH, 0, &na);
		b = img_note(&second, "IMG", NT_IMG_ARCH, 0, &nb);
		ASSERT_TRUE(a && b && na == nb);
		EXPECT_EQ(0, memcmp(a, b, na));
		a = img_note(&first, "LINUX", NT_386_TLS, 0, &ta);
		b = img_note(&second, "LINUX", NT_386_TLS, 0, &tb);
		ASSERT_EQ(ta, tb);
		EXPECT_EQ(0, ta ? memcmp(a, b, ta) : 0);
		img_free(&first);
		img_free(&second);
		EXPECT_EQ(0, img_finish(&p));
	}
}

IMG_TEST(ldt_in_all_segments)
{
	uint64_t *p = low_page(), *q = low_page();
	struct user_desc d = data_desc(3, p);
	struct segments s;
	uint32_t ds, es;

	p[0] = 0x0123456789abcdef;
	q[0] = 0xfedcba9876543210;
	set_ldt(&d);
	d = data_desc(4, q);
	d.contents = 2;		/* code that may be read */
	set_ldt(&d);
	__asm__ volatile("mov %0, %%ds" : : "r"(LDT_SELECTOR(3)));
	__asm__ volatile("mov %0, %%es" : : "r"(LDT_SELECTOR(4)));
	load_gs(LDT_SELECTOR(4));
	freeze_with_fs(LDT_SELECTOR(3), 0, &s);
	__asm__ volatile("mov %%ds, %0" : "=r"(ds));
	__asm__ volatile("mov %%es, %0" : "=r"(es));
	CHECK_EQ(LDT_SELECTOR(3), ds & 0xffff);
	CHECK_EQ(LDT_SELECTOR(4), es & 0xffff);
	CHECK_EQ(LDT_SELECTOR(4), get_gs());
	CHECK_EQ(LDT_SELECTOR(3), s.fs_sel);
	CHECK_EQ(p[0], s.fs_word);
	CHECK_EQ(q[0], gs_word());
	__asm__ volatile("mov %0, %%ds; mov %0, %%es" : : "r"(0));
}

/* A base that no descriptor has, behind the selector of one. */
IMG_TEST(ldt_with_another_base)
{
	uint64_t *p = low_page(), *q = malloc(PAGE);
	struct user_desc d = data_desc(3, p);
	struct segments s;

	if (!has_fsgsbase())
		img_target_skip("the kernel does not let programs set the base");
	p[0] = 1;
	q[0] = 0xfedcba9876543210;
	set_ldt(&d);
	load_gs(LDT_SELECTOR(3));
	__asm__ volatile("wrgsbase %0" : : "r"(q));
	freeze_with_fs(LDT_SELECTOR(3), (uintptr_t)q, &s);
	CHECK_EQ(q[0], s.fs_word);
	CHECK_EQ(LDT_SELECTOR(3), s.fs_sel);
	CHECK_EQ(q[0], gs_word());
	CHECK_EQ(LDT_SELECTOR(3), get_gs());
}

/*
 * Protection keys
 */

static sigjmp_buf fault_jmp;
static volatile int fault_code;

static void on_fault(int sig, siginfo_t *info, void *uc)
{
	fault_code = info->si_code;
	siglongjmp(fault_jmp, 1);
}

/*
 * The code of the signal that a read gives, or 0, on a processor with keys.  A
 * signal handler has rights of its own, which siglongjmp() leaves as they are.
 */
static int touch(const volatile char *p)
{
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	static uint32_t pkru, edx;

	__asm__ volatile("rdpkru" : "=a"(pkru), "=d"(edx) : "c"(0));
	sigaction(SIGSEGV, &sa, NULL);
	fault_code = 0;
	if (!sigsetjmp(fault_jmp, 1))
		(void)*p;
	__asm__ volatile("wrpkru" : : "a"(pkru), "c"(0), "d"(0) : "memory");
	signal(SIGSEGV, SIG_DFL);
	return fault_code;
}

static void *map(size_t len)
{
	void *p = mmap(NULL, len, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		MUST(-1);
	return p;
}

/* The key of a mapping, as /proc tells it. */
static long key_of(const void *p)
{
	char *text = img_read_file("/proc/self/smaps", NULL), *line, *save = NULL;
	unsigned long start, end;
	bool here = false;
	long key = -1;

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = (uintptr_t)p >= start && (uintptr_t)p < end;
		if (here && !strncmp(line, "ProtectionKey:", 14))
			key = strtol(line + 14, NULL, 10);
	}
	free(text);
	return key;
}

TARGET(keys)
{
	int a = pkey_alloc(0, PKEY_DISABLE_WRITE), b, c, next;
	char *p = map(4 * PAGE), *q = map(4 * PAGE), *r = map(4 * PAGE);

	if (a < 0)
		img_target_skip("no protection keys");
	b = MUST(pkey_alloc(0, 0));
	c = MUST(pkey_alloc(0, 0));
	img_fill(p, 4 * PAGE, 1);
	img_fill(q, 4 * PAGE, 2);
	img_fill(r, 4 * PAGE, 3);
	MUST(pkey_mprotect(p, 4 * PAGE, RW, a));
	MUST(pkey_mprotect(q, 4 * PAGE, RW, b));
	/* A key that is free again, and used all the same. */
	MUST(pkey_mprotect(r, 4 * PAGE, PROT_READ, c));
	MUST(pkey_free(c));
	MUST(pkey_set(b, PKEY_DISABLE_ACCESS));
	img_freeze();
	CHECK_EQ(a, key_of(p));
	CHECK_EQ(b, key_of(q));
	CHECK_EQ(c, key_of(r));
	CHECK_EQ(PKEY_DISABLE_WRITE, pkey_get(a));
	CHECK_EQ(PKEY_DISABLE_ACCESS, pkey_get(b));
	CHECK_EQ(SEGV_PKUERR, touch(q));
	CHECK_FILL(p, 4 * PAGE, 1);
	pkey_set(b, 0);
	CHECK_FILL(q, 4 * PAGE, 2);
	CHECK_FILL(r, 4 * PAGE, 3);
	/* What is allocated is allocated, what is free is free. */
	CHECK_EQ(-1, pkey_mprotect(p, PAGE, RW, c));
	next = pkey_alloc(0, 0);
	CHECK_EQ(c, next);
	CHECK_EQ(0, pkey_mprotect(p, PAGE, RW, c));
	CHECK_EQ(0, pkey_free(a));
	CHECK_EQ(-1, pkey_free(a));
}

TEST(keys)
{
	IMG_RUN("keys", 's', NULL, NULL);
}

TEST(keys_running)
{
	IMG_RUN("keys", 'r', NULL, NULL);
}

/* Allocated, and no memory has it. */
IMG_TEST(keys_without_memory)
{
	int key = pkey_alloc(0, 0);

	if (key < 0)
		img_target_skip("no protection keys");
	img_freeze();
	CHECK_EQ(0, pkey_free(key));
	CHECK_EQ(-1, pkey_free(key));
}

/* The key that the kernel takes by itself. */
IMG_TEST(execute_only)
{
	static const uint8_t code[] = { 0xb8, 0x39, 0x30, 0, 0, 0xc3 };
	char *p = map(PAGE), *q = map(PAGE), *r = map(PAGE);
	int (*fn)(void) = (int (*)(void))p;
	int key = pkey_alloc(0, 0);
	long own;

	if (key < 0)
		img_target_skip("no protection keys");
	memcpy(p, code, sizeof(code));
	MUST(mprotect(p, PAGE, PROT_EXEC));
	own = key_of(p);
	CHECK(own > 0 && own != key);
	/* Execute-only in name alone: with a key of ours. */
	MUST(pkey_mprotect(r, PAGE, PROT_EXEC, key));
	img_freeze();
	CHECK_EQ(own, key_of(p));
	CHECK_EQ(key, key_of(r));
	CHECK_EQ(12345, fn());
	CHECK_EQ(SEGV_PKUERR, touch(p));
	CHECK_EQ(0, touch(r));
	/* It is the kernel's for good: not for us, and for other mappings. */
	CHECK_EQ(-1, pkey_free(own));
	CHECK_EQ(-1, pkey_mprotect(q, PAGE, RW, own));
	CHECK_EQ(0, mprotect(q, PAGE, PROT_EXEC));
	CHECK_EQ(own, key_of(q));
	CHECK_EQ(0, mprotect(p, PAGE, PROT_READ));
	CHECK_EQ(0, key_of(p));
	CHECK_EQ(0, touch(p));
}

/* Memory with a key is populated without its owner's rights. */
IMG_TEST(locked_with_a_key)
{
	int key = pkey_alloc(0, 0);
	unsigned char vec[8];
	char *p = map(8 * PAGE);
	int i;

	if (key < 0)
		img_target_skip("no protection keys");
	img_fill(p, PAGE, 1);
	MUST(mlock(p, 8 * PAGE));
	MUST(pkey_mprotect(p, 8 * PAGE, RW, key));
	MUST(pkey_set(key, PKEY_DISABLE_ACCESS));
	img_freeze();
	CHECK_EQ(32, img_status_field(getpid(), "VmLck:", 10));
	CHECK_EQ(0, mincore(p, 8 * PAGE, vec));
	for (i = 0; i < 8; i++)
		CHECK_EQ(1, vec[i] & 1);
	CHECK_EQ(key, key_of(p));
	CHECK_EQ(SEGV_PKUERR, touch(p));
}

/*
 * PR_SET_TSC, ARCH_SET_CPUID, the trap flag
 */

static int rdtsc_faults(void)
{
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };

	sigaction(SIGSEGV, &sa, NULL);
	fault_code = 0;
	if (!sigsetjmp(fault_jmp, 1)) {
		__builtin_ia32_rdtsc();
		return 0;
	}
	return 1;
}

static int tsc_mode(void)
{
	int mode = 0;

	CHECK_EQ(0, prctl(PR_GET_TSC, &mode));
	return mode;
}

TARGET(no_tsc)
{
	MUST(prctl(PR_SET_TSC, PR_TSC_SIGSEGV));
	CHECK_EQ(1, rdtsc_faults());
	img_freeze();
	CHECK_EQ(PR_TSC_SIGSEGV, tsc_mode());
	CHECK_EQ(1, rdtsc_faults());
	CHECK_EQ(0, prctl(PR_SET_TSC, PR_TSC_ENABLE));
	CHECK_EQ(0, rdtsc_faults());
}

TEST(no_tsc)
{
	IMG_RUN("no_tsc", 's', NULL, NULL);
}

TEST(no_tsc_running)
{
	IMG_RUN("no_tsc", 'r', NULL, NULL);
}

TARGET(tsc)
{
	img_freeze();
	CHECK_EQ(arg[0] ? PR_TSC_SIGSEGV : PR_TSC_ENABLE, tsc_mode());
	CHECK_EQ(arg[0] ? 1 : 0, rdtsc_faults());
}

TEST(tsc_by_default)
{
	IMG_RUN("tsc", 's', NULL, NULL);
}

static int deny_tsc(void *data)
{
	return prctl(PR_SET_TSC, PR_TSC_SIGSEGV) ? -errno : 0;
}

/* What the launcher denies itself, no image gives back. */
TEST(tsc_denied_by_the_launcher)
{
	struct img_launch how = { .prepare = deny_tsc };
	struct img_proc p;

	if (img_nodump())
		SKIP(return, "needs a dump");
	IMG_SPAWN(&p, "tsc", 's', "denied", NULL);
	ASSERT_EQ(0, img_cycle_as(&p, &how));
	ASSERT_EQ(0, img_settle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

IMG_TEST(no_cpuid)
{
	if (syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0))
		img_target_skip("no faulting of CPUID");
	img_freeze();
	CHECK_EQ(0, syscall(SYS_arch_prctl, ARCH_GET_CPUID, 0));
}

static volatile unsigned int traps;

static void on_trap(int sig)
{
	traps++;
}

/* A program that single-steps itself. */
IMG_TEST(trap_flag)
{
	struct sigaction sa = { .sa_handler = on_trap };
	unsigned long flags;
	unsigned int n;

	MUST(sigaction(SIGTRAP, &sa, NULL));
	__asm__ volatile("pushfq; orq %0, (%%rsp); popfq" : : "i"(TRAP_FLAG) : "cc", "memory");
	img_freeze();
	n = traps;
	__asm__ volatile("nop; nop; pushfq; popq %0" : "=r"(flags));
	n = traps - n;
	__asm__ volatile("pushfq; andq %0, (%%rsp); popfq" : : "i"(~TRAP_FLAG) : "cc", "memory");
	CHECK(flags & TRAP_FLAG);
	CHECK(n >= 2);
}

/*
 * What is refused
 */

TARGET(plain)
{
	img_freeze();
}

/* Not one that a debugger could set. */
TARGET(selector_of_another_level)
{
	struct user_desc d = data_desc(3, NULL);

	set_ldt(&d);
	__asm__ volatile("mov %0, %%es" : : "r"(LDT_SELECTOR(3) & ~3));
	img_freeze();
	__asm__ volatile("mov %0, %%es" : : "r"(0));
}

TARGET(own_stack_segment)
{
	struct user_desc d = data_desc(3, NULL);

	set_ldt(&d);
	__asm__ volatile("mov %0, %%ss" : : "r"(LDT_SELECTOR(3)));
	/* No system call, after which it would be the usual one. */
	img_send('R', "run");
	__asm__ volatile("mov %0, %%ss" : : "r"(LDT_SELECTOR(3)));
	while (!*(volatile char *)arg)
		__asm__ volatile("pause");
}

TARGET(xstate_permission)
{
	if (syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, 18))
		img_target_skip("no AMX");
	img_freeze();
}

static void refused(struct __test_metadata *_metadata, const char *target, char mode,
		    const char *why)
{
	int log = img_log_open();
	struct img_proc p;

	if (img_nodump())
		SKIP(return, "needs a dump");
	IMG_SPAWN(&p, target, mode, NULL, NULL);
	EXPECT_EQ(-EOPNOTSUPP, img_open_dump(p.pid));
	if (!img_log_has(log, "cannot dump: ", why)) {
		/* Ten lines in five seconds. */
		img_msleep(5100);
		EXPECT_EQ(-EOPNOTSUPP, img_open_dump(p.pid));
		EXPECT_TRUE(img_log_has(log, "cannot dump: ", why));
	}
	close(log);
	EXPECT_EQ(0, img_finish(&p));
}

TEST(refuses_selector_of_another_level)
{
	refused(_metadata, "selector_of_another_level", 's', "segment register");
}

TEST(refuses_xstate_permission)
{
	refused(_metadata, "xstate_permission", 's', "xstate features on demand");
}

TEST(refuses_own_stack_segment)
{
	struct img_proc p;
	int i, ret = 0;

	if (img_nodump())
		SKIP(return, "needs a dump");
	ASSERT_EQ(0, img_start(&p, "own_stack_segment", 's', NULL, NULL));
	ret = img_recv(&p, 'R', NULL, 0);
	IMG_SKIP_IF_SKIPPED(&p);
	ASSERT_EQ(0, ret);
	/* On its way to the loop it may still be in send(). */
	for (i = 0; i < 100; i++) {
		img_msleep(10 * img_slow());
		ret = img_open_dump(p.pid);
		if (ret < 0)
			break;
		close(ret);
	}
	EXPECT_EQ(-EOPNOTSUPP, ret);
	img_forget(&p);
}

static void *waits_for_the_other(void *arg)
{
	volatile int *go = arg;

	while (!*go)
		usleep(1000);
	return arg;
}

TARGET(thread_waits)
{
	volatile int go = 0;
	pthread_t t;
	void *ret;

	CHECK_EQ(0, pthread_create(&t, NULL, waits_for_the_other, (void *)&go));
	img_freeze();
	go = 1;
	CHECK_EQ(0, pthread_join(t, &ret));
	CHECK(ret == &go);
}

/*
 * A process that nobody knows of attaches to us before our exec, and when that is over
 * makes us a 32-bit program, as far as our code segment tells.  @data is where it says
 * that it did.
 */
static int traced_to_32_bits(void *data)
{
	const unsigned long cs = offsetof(struct user_regs_struct, cs);
	pid_t me = getpid(), pid;
	int fd[2], status;
	char c;

	if (pipe(fd))
		return -errno;
	pid = fork();
	if (!pid && fork())
		_exit(0);
	if (pid) {
		close(fd[1]);
		waitpid(pid, NULL, 0);
		status = read(fd[0], &c, 1) == 1 ? 0 : -EPERM;
		close(fd[0]);
		return status;
	}
	if (ptrace(PTRACE_SEIZE, me, NULL, (void *)PTRACE_O_TRACEEXEC) ||
	    write(fd[1], "t", 1) != 1)
		_exit(1);
	for (;;) {
		if (waitpid(me, &status, __WALL) != me || !WIFSTOPPED(status))
			_exit(1);
		if (status >> 16 == PTRACE_EVENT_EXEC)
			break;
		ptrace(PTRACE_CONT, me, NULL, (void *)(long)WSTOPSIG(status));
	}
	if (!ptrace(PTRACE_POKEUSER, me, cs, 0x23L) &&
	    ptrace(PTRACE_PEEKUSER, me, cs, NULL) == 0x23)
		*(volatile int *)data = 1;
	ptrace(PTRACE_DETACH, me, NULL, NULL);
	_exit(0);
}

FIXTURE(tracer) {
};

FIXTURE_VARIANT(tracer) {
	const char *target;
};

FIXTURE_SETUP(tracer)
{
}

FIXTURE_TEARDOWN(tracer)
{
}

FIXTURE_VARIANT_ADD(tracer, plain) { "plain" };
FIXTURE_VARIANT_ADD(tracer, segments) { "ldt_in_all_segments" };
FIXTURE_VARIANT_ADD(tracer, thread) { "thread_waits" };

/* What a tracer does to the registers before they are the image's is not seen. */
TEST_F(tracer, makes_it_32_bits)
{
	volatile int *poked = mmap(NULL, getpagesize(), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct img_launch how = { .prepare = traced_to_32_bits, .data = (void *)poked };
	struct img_proc p;

	if (img_nodump())
		SKIP(return, "needs a dump");
	ASSERT_NE(MAP_FAILED, (void *)poked);
	IMG_SPAWN(&p, variant->target, 's', NULL, NULL);
	ASSERT_EQ(0, img_cycle_as(&p, &how));
	ASSERT_EQ(0, img_settle(&p));
	EXPECT_EQ(1, *poked);
	EXPECT_EQ(0, img_finish(&p));
}

/* The rights to keys are those of the moment of the dump, not of the last switch. */
TEST(key_rights_in_a_dump_of_oneself)
{
	uint32_t eax, at, ecx, edx, in_note, now;
	int key = pkey_alloc(0, 0), i;
	struct img_image im;
	uint8_t *x;
	size_t len;

	if (img_nodump() || key < 0)
		SKIP(return, "needs a dump, and protection keys");
	__cpuid_count(0xd, 9, eax, at, ecx, edx);
	for (i = 0; i < 16; i++) {
		ASSERT_EQ(0, pkey_set(key, i % 4));
		ASSERT_EQ(0, img_dump_to(getpid(), img_path("self.img")));
		__asm__ volatile("rdpkru" : "=a"(now), "=d"(edx) : "c"(0));
		ASSERT_EQ(0, img_load(&im, img_path("self.img")));
		x = img_note(&im, "LINUX", NT_X86_XSTATE, 0, &len);
		ASSERT_TRUE(x && len >= at + sizeof(in_note));
		memcpy(&in_note, x + at, sizeof(in_note));
		EXPECT_EQ(now, in_note);
		img_free(&im);
	}
}

TEST(refuses_debug_registers)
{
	struct img_proc p;
	const long dr0 = offsetof(struct user, u_debugreg[0]);
	const long dr7 = offsetof(struct user, u_debugreg[7]);
	int log = img_log_open_quiet();

	if (img_nodump())
		SKIP(return, "needs a dump");
	IMG_SPAWN(&p, "plain", 's', NULL, NULL);
	ASSERT_EQ(0, ptrace(PTRACE_ATTACH, p.pid, NULL, NULL));
	ASSERT_EQ(p.pid, waitpid(p.pid, NULL, __WALL));
	if (ptrace(PTRACE_POKEUSER, p.pid, dr0, 0x10000UL) ||
	    ptrace(PTRACE_POKEUSER, p.pid, dr7, 1UL)) {
		ptrace(PTRACE_DETACH, p.pid, NULL, NULL);
		img_forget(&p);
		SKIP(return, "no debug registers");
	}
	ASSERT_EQ(0, ptrace(PTRACE_DETACH, p.pid, NULL, NULL));
	ASSERT_EQ(0, img_settle(&p));
	EXPECT_EQ(-EOPNOTSUPP, img_open_dump(p.pid));
	img_msleep(5100);
	EXPECT_EQ(-EOPNOTSUPP, img_open_dump(p.pid));
	EXPECT_TRUE(img_log_has(log, "cannot dump: ", "hardware breakpoints"));
	close(log);
	EXPECT_EQ(0, img_finish(&p));
}

/*
 * Hostile values
 */

/* An LDT, TLS entries, keys, a locked page and no TSC: something of all. */
TARGET(everything)
{
	uint64_t *p = low_page();
	struct user_desc d = data_desc(3, p);
	int key;

	set_ldt(&d);
	d = data_desc(10, p);
	d.contents = 2;
	d.read_exec_only = 1;
	set_ldt(&d);
	d = data_desc(11, p);
	d.seg_not_present = 1;
	set_ldt(&d);
	d = data_desc(13, p);
	set_tls(&d);
	MUST(prctl(PR_SET_TSC, PR_TSC_SIGSEGV));
	key = pkey_alloc(0, 0);
	if (key >= 0)
		MUST(pkey_mprotect(p, PAGE, RW, key));
	img_freeze();
}

#define ARCH	((struct img_arch_x86 *)img_note(im, "IMG", NT_IMG_ARCH, 0, NULL))
#define SETTINGS ((struct img_x86_thread *)img_note(im, "IMG", NT_IMG_X86_THREAD, 0, NULL))
#define TLS	((struct user_desc *)img_note(im, "LINUX", NT_386_TLS, 0, NULL))
#define LDT	((struct user_desc *)((uint8_t *)ARCH + ARCH->ldt_off))
#define WORD(desc, i) (((uint32_t *)(desc))[i])
#define REGS	((struct user_regs_struct *)					\
		 &((struct elf_prstatus *)img_note(im, "CORE", NT_PRSTATUS, 0, NULL))->pr_reg)

static struct img_vma *keyed(struct img_image *im)
{
	struct img_vmas *v = img_note(im, "IMG", NT_IMG_VMA, 0, NULL);
	struct img_vma *m = (void *)((uint8_t *)v + v->vmas_off);
	unsigned int i;

	for (i = 0; i < v->nr; i++)
		if (m[i].pkey)
			return &m[i];
	return m;
}

typedef void (*patch_fn)(struct img_image *im, uint64_t arg);

#define SET(_name, _expr)						\
	static void set_##_name(struct img_image *im, uint64_t arg)	\
	{								\
		(_expr) = arg;						\
	}

SET(ds, REGS->ds)
SET(es, REGS->es)
SET(fs, REGS->fs)
SET(gs, REGS->gs)
SET(arch_flags, ARCH->flags)
SET(arch_pad, ARCH->pad)
SET(nr_ldt, ARCH->nr_ldt)
SET(ldt_size, ARCH->ldt_size)
SET(ldt_off, ARCH->ldt_off)
SET(ldt_entry, LDT->entry_number)
SET(ldt_flags, WORD(LDT, 3))
SET(pkey_map, ARCH->pkey_map)
SET(exec_pkey, ARCH->exec_pkey)
SET(vma_pkey, keyed(im)->pkey)
SET(vma_pad2, keyed(im)->pad2)
SET(tls_entry, TLS->entry_number)
SET(tls_flags, WORD(TLS, 3))
SET(settings_size, SETTINGS->size)
SET(settings_flags, SETTINGS->flags)
SET(settings_pad, SETTINGS->pad)

static void note_grows(void *desc, size_t name, int by)
{
	Elf64_Nhdr *nh = (void *)((uint8_t *)desc - name - sizeof(*nh));

	nh->n_descsz += by;
}

static void tls_shorter(struct img_image *im, uint64_t arg)
{
	note_grows(TLS, 8, -3);
}

static void settings_shorter(struct img_image *im, uint64_t arg)
{
	note_grows(SETTINGS, 4, -3);
}

/* Flags of a struct user_desc. */
#define D32		0x01
#define CONTENTS(n)	((n) << 1)
#define READ_ONLY	0x08
#define ABSENT		0x20
#define LONG_MODE	0x80

static const struct {
	const char *name;
	patch_fn patch;
	uint64_t arg;
	int error;
} hostile[] = {
	{ "as it is", set_arch_pad, 0, 0 },
	{ "ds of the kernel", set_ds, 0x18, EBADMSG },
	{ "ds of the kernel, as if ours", set_ds, 0x1b, EBADMSG },
	{ "es of the task state segment", set_es, 0x43, EBADMSG },
	{ "es of the LDT's own descriptor", set_es, 0x53, EBADMSG },
	{ "fs of an empty slot", set_fs, 0x63, EBADMSG },
	{ "fs of a full slot", set_fs, 0x6b, 0 },
	{ "fs of a full slot, RPL 0", set_fs, 0x68, EBADMSG },
	{ "gs of the last empty slot", set_gs, 0x73, EBADMSG },
	{ "gs of the CPU number", set_gs, 0x7b, 0 },
	{ "gs beyond the GDT", set_gs, 0x83, EBADMSG },
	{ "ds of the LDT", set_ds, LDT_SELECTOR(3), 0 },
	{ "ds of the LDT, RPL 0", set_ds, LDT_SELECTOR(3) & ~3, EBADMSG },
	{ "ds of code in the LDT", set_ds, LDT_SELECTOR(10), EBADMSG },
	{ "es of an absent segment", set_es, LDT_SELECTOR(11), EBADMSG },
	{ "fs of an empty LDT entry", set_fs, LDT_SELECTOR(4), EBADMSG },
	{ "gs beyond the LDT", set_gs, LDT_SELECTOR(12), EBADMSG },
	{ "gs at the LDT's end", set_gs, LDT_SELECTOR(8191), EBADMSG },
	{ "gs of 17 bits", set_gs, 0x1002b, EBADMSG },
	{ "gs of 64 bits", set_gs, -1ULL, EBADMSG },
	{ "LDT without its flag", set_arch_flags, IMG_X86_PKEYS, EBADMSG },
	{ "unknown flag", set_arch_flags, 1ULL << 63, EOPNOTSUPP },
	{ "LDT of 0 entries", set_nr_ldt, 0, EBADMSG },
	{ "LDT of one too many", set_nr_ldt, 4, EBADMSG },
	{ "LDT of 2^32-1 entries", set_nr_ldt, 0xffffffff, EBADMSG },
	{ "LDT entries of 0 bytes", set_ldt_size, 0, EBADMSG },
	{ "LDT entries of 8 bytes", set_ldt_size, 8, EBADMSG },
	{ "LDT at the end of memory", set_ldt_off, 0xfffffffc, EBADMSG },
	{ "LDT at an odd place", set_ldt_off, 0x7d, EBADMSG },
	{ "LDT entry 8192", set_ldt_entry, 8192, EBADMSG },
	{ "LDT entry 2^32-1", set_ldt_entry, 0xffffffff, EBADMSG },
	{ "LDT entry twice", set_ldt_entry, 10, EBADMSG },
	{ "LDT not sorted", set_ldt_entry, 100, EBADMSG },
	{ "LDT entry of conforming code", set_ldt_flags, D32 | CONTENTS(3), EBADMSG },
	{ "LDT entry of long mode", set_ldt_flags, D32 | LONG_MODE, EBADMSG },
	{ "LDT entry with unknown bits", set_ldt_flags, 0x80000001, EBADMSG },
	{ "TLS entry of code", set_tls_flags, D32 | CONTENTS(2), EBADMSG },
	{ "TLS entry of conforming code", set_tls_flags, D32 | CONTENTS(3), EBADMSG },
	{ "TLS entry of 16 bits", set_tls_flags, READ_ONLY, EBADMSG },
	{ "TLS entry absent", set_tls_flags, D32 | ABSENT, EBADMSG },
	{ "TLS entry of long mode", set_tls_flags, D32 | LONG_MODE, EBADMSG },
	{ "TLS entry with unknown bits", set_tls_flags, 0x80000001, EBADMSG },
	{ "TLS entry 11", set_tls_entry, 11, EBADMSG },
	{ "TLS entry 2^32-1", set_tls_entry, 0xffffffff, EBADMSG },
	{ "TLS note too short", tls_shorter, 0, EBADMSG },
	{ "no settings", set_settings_flags, 0, 0 },
	{ "unknown settings", set_settings_flags, 1ULL << 63, EOPNOTSUPP },
	{ "settings of 0 bytes", set_settings_size, 0, EBADMSG },
	{ "settings' padding", set_settings_pad, 1, EBADMSG },
	{ "settings too short", settings_shorter, 0, EBADMSG },
	{ "arch's padding", set_arch_pad, 1, EBADMSG },
	{ "mapping's padding", set_vma_pad2, 1, EBADMSG },
	{ "key 16", set_vma_pkey, 16, ENODEV },
	{ "key 2^32-1", set_vma_pkey, 0xffffffff, ENODEV },
};

/* Where there are keys. */
static const typeof(hostile[0]) hostile_keys[] = {
	{ "keys without their flag", set_arch_flags, IMG_X86_LDT, EBADMSG },
	{ "key 16 allocated", set_pkey_map, 0x10001, EBADMSG },
	{ "all keys allocated and more", set_pkey_map, 0xffffffff, EBADMSG },
	{ "no key allocated", set_pkey_map, 0, 0 },
	{ "execute-only key that is free", set_exec_pkey, 15, EBADMSG },
	{ "execute-only key 16", set_exec_pkey, 16, EBADMSG },
	{ "execute-only key 2^32-2", set_exec_pkey, 0xfffffffe, EBADMSG },
	{ "execute-only key 1", set_exec_pkey, 1, 0 },
};

static void try_hostile(struct __test_metadata *_metadata, const struct img_image *good,
			const typeof(hostile[0]) *h, const char *path)
{
	struct img_image bad;
	pid_t pid = 0;
	int ret;

	ASSERT_EQ(0, img_copy(&bad, good));
	h->patch(&bad, h->arg);
	img_fix_crc(&bad);
	ASSERT_EQ(0, img_save(&bad, path));
	img_free(&bad);
	ret = img_try_exec(path, NULL, &pid);
	if (!ret) {
		img_msleep(2);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	if (ret != -h->error) {
		img_diag("%s: %s", h->name, ret ? strerror(-ret) : "it ran");
		_metadata->exit_code = KSFT_FAIL;
	}
}

TEST(hostile_values)
{
	struct img_image good, *im = &good;
	struct img_proc p;
	char path[300];
	size_t i;

	if (img_nodump())
		SKIP(return, "needs a dump");
	snprintf(path, sizeof(path), "%s", img_path("hostile"));
	IMG_SPAWN(&p, "everything", 's', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	ASSERT_EQ(0, img_load(&good, p.image));
	ASSERT_EQ(3, ARCH->nr_ldt);
	ASSERT_TRUE(TLS && SETTINGS);
	for (i = 0; i < ARRAY_SIZE(hostile); i++)
		try_hostile(_metadata, &good, &hostile[i], path);
	for (i = 0; i < ARRAY_SIZE(hostile_keys) && (ARCH->flags & IMG_X86_PKEYS); i++)
		try_hostile(_metadata, &good, &hostile_keys[i], path);
	unlink(path);
	img_forget(&p);
}

#endif /* __x86_64__ */
