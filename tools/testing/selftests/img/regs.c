// SPDX-License-Identifier: GPL-2.0
/*
 * Registers survive: of a process that runs, that sleeps in a system call, and
 * that is stopped.
 *
 * Each target fills registers with a pattern and waits in assembly code that
 * touches none of them.  SIGUSR2's handler leads it out of an endless loop by
 * moving the instruction pointer over it; pause(2) ends by itself.
 */
#include <asm/prctl.h>
#include <cpuid.h>
#include <math.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <time.h>

#include "img_test.h"

#define HWCAP2_FSGSBASE_BIT	2

/* In the order in which the code below loads and stores them. */
static const char * const gpr_names[] = {
	"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp",
	"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rflags",
};

enum { RAX, RCX = 2, RSP = 7, R11 = 11, RFLAGS = 16, NR_GPRS };

/* A wait loop. */
static const uint8_t loop_code[2] = { 0xeb, 0xfe };

uint64_t gprs_out[NR_GPRS];
uint64_t gprs_rsp;

/* Two of each: \mode 0 waits in an endless loop, 1 in pause(). */
__asm__(
".macro WAIT mode\n"
"	.if \\mode\n"
"	mov	$34, %eax\n"
"	syscall\n"
"	.else\n"
"	.byte	0xeb, 0xfe\n"
"	.endif\n"
".endm\n"

".macro ENTRY name\n"
"	.globl	\\name\n"
"	.type	\\name, @function\n"
"\\name:\n"
".endm\n"

".macro GPRS name, mode\n"
"ENTRY \\name\n"
"	push	%rbx\n"
"	push	%rbp\n"
"	push	%r12\n"
"	push	%r13\n"
"	push	%r14\n"
"	push	%r15\n"
"	mov	%rsp, gprs_rsp(%rip)\n"
"	pushq	128(%rdi)\n"
"	popfq\n"
"	mov	0(%rdi), %rax\n"
"	mov	8(%rdi), %rbx\n"
"	mov	16(%rdi), %rcx\n"
"	mov	24(%rdi), %rdx\n"
"	mov	32(%rdi), %rsi\n"
"	mov	48(%rdi), %rbp\n"
"	mov	56(%rdi), %rsp\n"
"	mov	64(%rdi), %r8\n"
"	mov	72(%rdi), %r9\n"
"	mov	80(%rdi), %r10\n"
"	mov	88(%rdi), %r11\n"
"	mov	96(%rdi), %r12\n"
"	mov	104(%rdi), %r13\n"
"	mov	112(%rdi), %r14\n"
"	mov	120(%rdi), %r15\n"
"	mov	40(%rdi), %rdi\n"
"	WAIT \\mode\n"
"	mov	%rax, gprs_out+0(%rip)\n"
"	mov	%rbx, gprs_out+8(%rip)\n"
"	mov	%rcx, gprs_out+16(%rip)\n"
"	mov	%rdx, gprs_out+24(%rip)\n"
"	mov	%rsi, gprs_out+32(%rip)\n"
"	mov	%rdi, gprs_out+40(%rip)\n"
"	mov	%rbp, gprs_out+48(%rip)\n"
"	mov	%rsp, gprs_out+56(%rip)\n"
"	mov	%r8, gprs_out+64(%rip)\n"
"	mov	%r9, gprs_out+72(%rip)\n"
"	mov	%r10, gprs_out+80(%rip)\n"
"	mov	%r11, gprs_out+88(%rip)\n"
"	mov	%r12, gprs_out+96(%rip)\n"
"	mov	%r13, gprs_out+104(%rip)\n"
"	mov	%r14, gprs_out+112(%rip)\n"
"	mov	%r15, gprs_out+120(%rip)\n"
"	mov	gprs_rsp(%rip), %rsp\n"
"	pushfq\n"
"	popq	gprs_out+128(%rip)\n"
"	pushq	$0x202\n"
"	popfq\n"
"	pop	%r15\n"
"	pop	%r14\n"
"	pop	%r13\n"
"	pop	%r12\n"
"	pop	%rbp\n"
"	pop	%rbx\n"
"	ret\n"
".endm\n"

".macro SSE name, mode\n"
"ENTRY \\name\n"
"	.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
"	movups	\\n*16(%rdi), %xmm\\n\n"
"	.endr\n"
"	WAIT \\mode\n"
"	.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
"	movups	%xmm\\n, \\n*16(%rsi)\n"
"	.endr\n"
"	ret\n"
".endm\n"

".macro AVX name, mode\n"
"ENTRY \\name\n"
"	.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
"	vmovups	\\n*32(%rdi), %ymm\\n\n"
"	.endr\n"
"	WAIT \\mode\n"
"	.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
"	vmovups	%ymm\\n, \\n*32(%rsi)\n"
"	.endr\n"
"	vzeroupper\n"
"	ret\n"
".endm\n"

/* The registers' initial state, which the processor does not save. */
".macro AVXINIT name, mode\n"
"ENTRY \\name\n"
"	vzeroall\n"
"	WAIT \\mode\n"
"	.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
"	vmovups	%ymm\\n, \\n*32(%rsi)\n"
"	.endr\n"
"	vzeroupper\n"
"	ret\n"
".endm\n"

".macro AVX512 name, mode\n"
"ENTRY \\name\n"
"	.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
"	vmovups	\\n*64(%rdi), %zmm\\n\n"
"	.endr\n"
"	.irp n,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
"	vmovups	\\n*64(%rdi), %zmm\\n\n"
"	.endr\n"
"	.irp n,0,1,2,3,4,5,6,7\n"
"	kmovw	2048+\\n*8(%rdi), %k\\n\n"
"	.endr\n"
"	WAIT \\mode\n"
"	.irp n,0,1,2,3,4,5,6,7\n"
"	kmovw	%k\\n, 2048+\\n*8(%rsi)\n"
"	.endr\n"
"	.irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
"	vmovups	%zmm\\n, \\n*64(%rsi)\n"
"	.endr\n"
"	.irp n,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
"	vmovups	%zmm\\n, \\n*64(%rsi)\n"
"	.endr\n"
"	vzeroupper\n"
"	ret\n"
".endm\n"

/* 1/3 leaves the precision exception's flag in the status word. */
".macro X87 name, mode\n"
"ENTRY \\name\n"
"	fninit\n"
"	fld1\n"
"	fdivl	152(%rdi)\n"
"	fstp	%st(0)\n"
"	.irp n,7,6,5,4,3,2,1,0\n"
"	fldt	\\n*16(%rdi)\n"
"	.endr\n"
"	fldcw	128(%rdi)\n"
"	ldmxcsr	132(%rdi)\n"
"	fnstsw	136(%rdi)\n"
"	WAIT \\mode\n"
"	stmxcsr	132(%rsi)\n"
"	fnstcw	128(%rsi)\n"
"	fnstsw	136(%rsi)\n"
"	.irp n,0,1,2,3,4,5,6,7\n"
"	fstpt	\\n*16(%rsi)\n"
"	.endr\n"
"	fninit\n"
"	movl	$0x1f80, -8(%rsp)\n"
"	ldmxcsr	-8(%rsp)\n"
"	ret\n"
".endm\n"

/* rdi: FS base to be, rsi: GS base, rdx: where to store both. */
".macro FSGS name, mode\n"
"ENTRY \\name\n"
"	rdfsbase %r8\n"
"	rdgsbase %r9\n"
"	wrfsbase %rdi\n"
"	wrgsbase %rsi\n"
"	WAIT \\mode\n"
"	rdfsbase %r10\n"
"	rdgsbase %rcx\n"
"	mov	%fs:8, %rdi\n"
"	mov	%gs:16, %rsi\n"
"	wrfsbase %r8\n"
"	wrgsbase %r9\n"
"	mov	%r10, 0(%rdx)\n"
"	mov	%rcx, 8(%rdx)\n"
"	mov	%rdi, 16(%rdx)\n"
"	mov	%rsi, 24(%rdx)\n"
"	ret\n"
".endm\n"

/* rdi: selectors of ds, es, gs; rsi: where to store them after the wait. */
".macro SEGS name, mode\n"
"ENTRY \\name\n"
"	mov	0(%rdi), %ds\n"
"	mov	2(%rdi), %es\n"
"	mov	4(%rdi), %gs\n"
"	WAIT \\mode\n"
"	mov	%ds, 0(%rsi)\n"
"	mov	%es, 2(%rsi)\n"
"	mov	%gs, 4(%rsi)\n"
"	xor	%eax, %eax\n"
"	mov	%eax, %ds\n"
"	mov	%eax, %es\n"
"	mov	%eax, %gs\n"
"	ret\n"
".endm\n"

".pushsection .text\n"
"GPRS	gprs_run, 0\n"
"GPRS	gprs_pause, 1\n"
"SSE	sse_run, 0\n"
"SSE	sse_pause, 1\n"
"AVX	avx_run, 0\n"
"AVX	avx_pause, 1\n"
"AVXINIT avxinit_run, 0\n"
"AVXINIT avxinit_pause, 1\n"
"AVX512	avx512_run, 0\n"
"AVX512	avx512_pause, 1\n"
"X87	x87_run, 0\n"
"X87	x87_pause, 1\n"
"FSGS	fsgs_run, 0\n"
"FSGS	fsgs_pause, 1\n"
"SEGS	segs_run, 0\n"
"SEGS	segs_pause, 1\n"
".popsection\n"
);

void gprs_run(const void *in);
void gprs_pause(const void *in);
void sse_run(const void *in, void *out);
void sse_pause(const void *in, void *out);
void avx_run(const void *in, void *out);
void avx_pause(const void *in, void *out);
void avxinit_run(const void *in, void *out);
void avxinit_pause(const void *in, void *out);
void avx512_run(const void *in, void *out);
void avx512_pause(const void *in, void *out);
void x87_run(void *in, void *out);
void x87_pause(void *in, void *out);
void fsgs_run(uint64_t fs, uint64_t gs, uint64_t *out);
void fsgs_pause(uint64_t fs, uint64_t gs, uint64_t *out);
void segs_run(const uint16_t *in, uint16_t *out);
void segs_pause(const uint16_t *in, uint16_t *out);

static volatile sig_atomic_t left;

/* No thread-local data, no unaligned access: FS base and AC are not ours. */
static void leave(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	greg_t *ip = &uc->uc_mcontext.gregs[REG_RIP];
	const volatile uint8_t *code = (const uint8_t *)*ip;

	left = 1;
	if (code[0] == loop_code[0] && code[1] == loop_code[1])
		*ip += sizeof(loop_code);
}

/* The handler needs a stack of its own, the stack pointer being a pattern. */
static void set_up(void)
{
	static char stack[65536] __attribute__((aligned(64)));
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction sa = {
		.sa_sigaction = leave,
		.sa_flags = SA_SIGINFO | SA_ONSTACK,
	};

	MUST(sigaltstack(&ss, NULL));
	MUST(sigaction(SIGUSR2, &sa, NULL));
	sigfillset(&sa.sa_mask);
}

static bool paused(void)
{
	return img_mode == 'p';
}

static uint64_t xcr0(void)
{
	uint32_t a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
		return 0;
	__asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
	return (uint64_t)d << 32 | a;
}

static void check_gprs(uint64_t flags, uint64_t seed)
{
	uint64_t in[NR_GPRS];
	int i;

	set_up();
	img_fill(in, sizeof(in), seed);
	in[RSP] = 0x00005a5a12345678;
	in[RFLAGS] = flags | 0x202;
	img_send('R', " ");
	if (paused())
		gprs_pause(in);
	else
		gprs_run(in);
	for (i = 0; i < NR_GPRS; i++) {
		/* What a system call changes. */
		if (paused() && i == RAX)
			in[i] = -EINTR;
		else if (paused() && (i == RCX || i == R11))
			continue;
		CHECKF(gprs_out[i] == in[i], "%s is %llx, was %llx", gpr_names[i],
		       (long long)gprs_out[i], (long long)in[i]);
	}
}

TARGET(gprs)
{
	check_gprs(0, 1);
}

/* CF PF AF ZF SF OF DF, and AC */
TARGET(flags_all)
{
	check_gprs(0x40cd5, 2);
}

/* Tells that there is a CPUID instruction; no debugger can set it. */
TARGET(flags_id)
{
	check_gprs(0x200000, 2);
}

TARGET(flags_direction)
{
	check_gprs(0x400, 3);
}

TARGET(flags_arithmetic)
{
	check_gprs(0x8d5, 4);
}

TARGET(sse)
{
	uint8_t in[16 * 16], out[sizeof(in)] = {};

	set_up();
	img_fill(in, sizeof(in), 5);
	img_send('R', " ");
	if (paused())
		sse_pause(in, out);
	else
		sse_run(in, out);
	CHECK_FILL(out, sizeof(out), 5);
}

TARGET(avx)
{
	uint8_t in[16 * 32], out[sizeof(in)] = {};

	if ((xcr0() & 6) != 6)
		img_target_skip("no AVX");
	set_up();
	img_fill(in, sizeof(in), 6);
	img_send('R', " ");
	if (paused())
		avx_pause(in, out);
	else
		avx_run(in, out);
	CHECK_FILL(out, sizeof(out), 6);
}

TARGET(avx_initial)
{
	uint8_t out[16 * 32];

	if ((xcr0() & 6) != 6)
		img_target_skip("no AVX");
	set_up();
	memset(out, 0xff, sizeof(out));
	img_send('R', " ");
	if (paused())
		avxinit_pause(NULL, out);
	else
		avxinit_run(NULL, out);
	CHECK_ZERO(out, sizeof(out));
}

TARGET(avx512)
{
	static uint8_t in[32 * 64 + 64], out[sizeof(in)];
	uint64_t *k = (uint64_t *)(in + 32 * 64);
	int i;

	if ((xcr0() & 0xe6) != 0xe6)
		img_target_skip("no AVX-512");
	set_up();
	img_fill(in, sizeof(in), 7);
	for (i = 0; i < 8; i++)
		k[i] &= 0xffff;
	img_send('R', " ");
	if (paused())
		avx512_pause(in, out);
	else
		avx512_run(in, out);
	CHECK(!memcmp(in, out, sizeof(in)));
}

struct x87 {
	struct {
		uint64_t mantissa;
		uint16_t exponent;
		uint16_t pad[3];
	} st[8];
	uint16_t cw;
	uint16_t pad;
	uint32_t mxcsr;
	uint16_t sw;
	uint16_t pad2[7];
	double three;
};

TARGET(x87)
{
	/* double precision, rounding up; exceptions masked */
	struct x87 in = { .cw = 0x0a7f, .three = 3.0 };
	struct x87 out = {};
	uint64_t seed = 8;
	int i;

	_Static_assert(offsetof(struct x87, three) == 152, "the code above relies on it");
	set_up();
	for (i = 0; i < 8; i++) {
		in.st[i].mantissa = img_random(&seed) | 1ULL << 63;
		in.st[i].exponent = 0x3fff + i * 16 + (i % 2 ? 0x8000 : 0);
	}
	/* rounding toward zero, flush to zero, a flag set */
	in.mxcsr = 0xffa0;
	img_send('R', " ");
	if (paused())
		x87_pause(&in, &out);
	else
		x87_run(&in, &out);
	for (i = 0; i < 8; i++) {
		CHECKF(in.st[i].mantissa == out.st[i].mantissa &&
		       in.st[i].exponent == out.st[i].exponent,
		       "st(%d) is %x:%llx", i, out.st[i].exponent,
		       (long long)out.st[i].mantissa);
	}
	CHECK_EQ(in.cw, out.cw);
	CHECK_EQ(in.sw, out.sw);
	CHECK(in.sw & 0x20);
	CHECK_EQ(in.mxcsr, out.mxcsr);
}

TARGET(fsgs_instructions)
{
	uint64_t fs[4] = { 0, 0x1111222233334444 }, gs[4] = { 0, 0, 0x5555666677778888 };
	uint64_t out[4] = {};

	if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT))
		img_target_skip("no FSGSBASE instructions");
	set_up();
	img_send('R', " ");
	if (paused())
		fsgs_pause((uint64_t)fs, (uint64_t)gs, out);
	else
		fsgs_run((uint64_t)fs, (uint64_t)gs, out);
	CHECK_EQ((uint64_t)fs, out[0]);
	CHECK_EQ((uint64_t)gs, out[1]);
	CHECK_EQ(fs[1], out[2]);
	CHECK_EQ(gs[2], out[3]);
}

TARGET(selectors)
{
	/* the user data segment */
	const uint16_t in[3] = { 0x2b, 0, 0x2b };
	uint16_t out[3] = {};

	set_up();
	img_send('R', " ");
	if (paused())
		segs_pause(in, out);
	else
		segs_run(in, out);
	CHECK_EQ(in[0], out[0]);
	CHECK_EQ(in[1], out[1]);
	CHECK_EQ(in[2], out[2]);
}

FIXTURE(regs) {
};

FIXTURE_VARIANT(regs) {
	char mode;
};

FIXTURE_VARIANT_ADD(regs, running) {
	.mode = 'r',
};

FIXTURE_VARIANT_ADD(regs, in_syscall) {
	.mode = 'p',
};

FIXTURE_VARIANT_ADD(regs, stopped) {
	.mode = 'x',
};

FIXTURE_SETUP(regs)
{
}

FIXTURE_TEARDOWN(regs)
{
}

#define REGS_TEST(name)							\
	TEST_F(regs, name) { IMG_RUN(#name, variant->mode, NULL, NULL); }

REGS_TEST(gprs)
REGS_TEST(flags_all)
REGS_TEST(flags_id)
REGS_TEST(flags_direction)
REGS_TEST(flags_arithmetic)
REGS_TEST(sse)
REGS_TEST(avx)
REGS_TEST(avx_initial)
REGS_TEST(avx512)
REGS_TEST(x87)
REGS_TEST(fsgs_instructions)
REGS_TEST(selectors)

/* GS base far from any mapping, set by the system call. */
IMG_TEST(gs_base_by_arch_prctl)
{
	unsigned long want = 0x00007123456789ab, gs = 0;

	MUST(syscall(SYS_arch_prctl, ARCH_SET_GS, want));
	img_freeze();
	MUST(syscall(SYS_arch_prctl, ARCH_GET_GS, &gs));
	CHECK_EQ(want, gs);
}

/* FS base is where the thread library is. */
static __thread uint64_t tls_word = 0x123456789abcdef;
static __thread uint64_t tls_bss;

IMG_TEST(thread_local_data)
{
	unsigned long before = 0, after = 0;

	MUST(syscall(SYS_arch_prctl, ARCH_GET_FS, &before));
	tls_word++;
	tls_bss = 77;
	img_freeze();
	MUST(syscall(SYS_arch_prctl, ARCH_GET_FS, &after));
	CHECK_EQ(before, after);
	CHECK_EQ(0x123456789abcdf0, tls_word);
	CHECK_EQ(77, tls_bss);
	errno = 0;
	CHECK_EQ(-1, close(-1));
	CHECK_EQ(EBADF, errno);
}

/* The register of protection keys, also without any key in use. */
TARGET(pkru)
{
	uint32_t a, b, c, d, want, now;

	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(c & 1 << 4))
		img_target_skip("no protection keys");
	set_up();
	__asm__ volatile("rdpkru" : "=a"(want), "=d"(d) : "c"(0));
	want ^= 0x0c000000;
	__asm__ volatile("wrpkru" : : "a"(want), "c"(0), "d"(0));
	img_freeze();
	__asm__ volatile("rdpkru" : "=a"(now), "=d"(d) : "c"(0));
	CHECK_EQ(want, now);
}

TEST(pkru_asleep)
{
	IMG_RUN("pkru", 's', NULL, NULL);
}

TEST(pkru_running)
{
	IMG_RUN("pkru", 'r', NULL, NULL);
}

/* Rounding mode as the C library sees it, and results that depend on it. */
IMG_TEST(floating_point_results)
{
	volatile double one = 1.0, three = 3.0;
	volatile long double lone = 1.0L, lthree = 3.0L;
	unsigned int csr = 0x5f80;	/* up */
	double before, after;
	long double lbefore, lafter;

	__asm__ volatile("ldmxcsr %0" : : "m"(csr));
	before = one / three;
	lbefore = lone / lthree;
	img_freeze();
	after = one / three;
	lafter = lone / lthree;
	CHECK(before == after);
	CHECK(lbefore == lafter);
	CHECK(after * three > 1.0);
	csr = 0;
	__asm__ volatile("stmxcsr %0" : "=m"(csr));
	CHECK_EQ(0x5f80, csr & 0xffc0);
}

/*
 * A process that computes all the time: any register that a dump or a resume
 * changes at any instruction makes the sum differ.
 */
static double compute(uint64_t rounds, uint64_t *hash)
{
	double x = 0.5, sum = 0;
	uint64_t i, seed = 11;

	for (i = 0; i < rounds; i++) {
		x = 3.9 * x * (1.0 - x);
		sum += x * (double)(img_random(&seed) >> 40);
	}
	*hash = img_random(&seed);
	return sum;
}

TARGET(compute)
{
	uint64_t hash0, hash;
	unsigned int n = 0;
	double sum0, sum;

	set_up();
	sum0 = compute(2000, &hash0);
	img_send('R', " ");
	while (!left) {
		sum = compute(2000, &hash);
		n++;
		CHECK(sum == sum0);
		CHECK_EQ(hash0, hash);
	}
	CHECK(n > 0);
}

TEST(computing)
{
	struct img_proc p;
	int i;

	IMG_SPAWN(&p, "compute", 'r', NULL, NULL);
	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, img_dump(&p));
		ASSERT_EQ(0, img_dump(&p));
		ASSERT_EQ(0, img_cycle(&p));
	}
	ASSERT_EQ(0, img_finish(&p));
}

/* As likely as not inside the vDSO, with its data page in its registers. */
TARGET(vdso)
{
	struct timespec ts;
	uint64_t last = 0, now;
	unsigned long n = 0;
	int ret;

	set_up();
	img_send('R', " ");
	while (!left) {
		ret = clock_gettime(CLOCK_MONOTONIC, &ts);
		now = ts.tv_sec * IMG_NSEC_PER_SEC + ts.tv_nsec;
		if (!CHECK(ret == 0 && now >= last))
			break;
		last = now;
		n++;
	}
	CHECK(n > 0);
	CHECK(time(NULL) > 0);
}

TEST(in_the_vdso)
{
	struct img_proc p;
	int i;

	IMG_SPAWN(&p, "vdso", 'r', NULL, NULL);
	for (i = 1; i <= 50; i++) {
		ASSERT_EQ(0, img_dump(&p));
		if (i % 10)
			continue;
		img_kill(&p);
		ASSERT_EQ(0, img_resume(&p));
		ASSERT_EQ(0, img_same_maps(&p));
	}
	ASSERT_EQ(0, img_finish(&p));
}
