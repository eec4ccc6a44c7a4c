// SPDX-License-Identifier: GPL-2.0
/*
 * One process that has every kind of state at once, through five generations.
 *
 * Each kind has two functions: one that sets it up, and one that checks it,
 * which is called after every resume and must leave it as it was.  A further
 * kind is a line in the table.
 */
#include <asm/prctl.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/rseq.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "img_test.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA	0x53564d41
#define PR_SET_VMA_ANON_NAME	0
#endif

#define PAGE		4096UL
#define MB		(1UL << 20)
#define RW		(PROT_READ | PROT_WRITE)
#define GENERATIONS	5

static int generation;

static char *map(size_t len, int prot, int flags)
{
	char *p = mmap(NULL, len, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	if (p == MAP_FAILED)
		MUST(-1);
	return p;
}

/*
 * Memory
 */

static char *anon, *sparse, *forbidden, *readable, *code, *moved, *named, *stacklike;
static char *advised, *wiped, *noreserve, *heap, *file_private, *file_shared;
static bool has_name;
static void *old_brk;
static char bss[8 * PAGE], data[PAGE] = { 1 };
static __thread int tls = 5;

static void make_anonymous(void)
{
	anon = map(MB, RW, 0);
	img_fill(anon, MB, 1);
	img_fill(bss, sizeof(bss), 2);
	img_fill(data, sizeof(data), 3);
	sparse = map(64 * MB, RW, 0);
	img_fill(sparse + 31 * MB, PAGE, 4);
	tls = 4711;
}

static void check_anonymous(void)
{
	CHECK_FILL(anon, MB, 1);
	CHECK_FILL(bss, sizeof(bss), 2);
	CHECK_FILL(data, sizeof(data), 3);
	CHECK_ZERO(sparse + 30 * MB, MB);
	CHECK_FILL(sparse + 31 * MB, PAGE, 4);
	CHECK_EQ(4711, tls);
}

static void make_heap(void)
{
	heap = malloc(300000);
	img_fill(heap, 300000, 5);
	old_brk = sbrk(0);
	img_fill(sbrk(16 * PAGE), 16 * PAGE, 6);
}

static void check_heap(void)
{
	CHECK(sbrk(0) == (char *)old_brk + 16 * PAGE);
	CHECK_FILL(old_brk, 16 * PAGE, 6);
	CHECK_FILL(heap, 300000, 5);
	free(malloc(100000));
}

/* As "rw-p", or NULL. */
static const char *protection(void *p)
{
	static char perm[5];
	char want[32], *text = img_maps(getpid()), *line;

	snprintf(want, sizeof(want), "%08lx-", (unsigned long)p);
	line = text ? strstr(text, want) : NULL;
	if (line)
		snprintf(perm, sizeof(perm), "%s", strchr(line, ' ') + 1);
	free(text);
	return line ? perm : "none";
}

static void make_protected(void)
{
	forbidden = map(4 * PAGE, RW, 0);
	img_fill(forbidden, 4 * PAGE, 7);
	MUST(mprotect(forbidden, 4 * PAGE, PROT_NONE));
	readable = map(4 * PAGE, RW, 0);
	img_fill(readable, 4 * PAGE, 8);
	MUST(mprotect(readable, 4 * PAGE, PROT_READ));
	code = map(PAGE, RW, 0);
	memcpy(code, "\xb8\x39\x30\x00\x00\xc3", 6);	/* mov $12345, %eax; ret */
	MUST(mprotect(code, PAGE, PROT_READ | PROT_EXEC));
}

static void check_protected(void)
{
	CHECK(!strcmp(protection(forbidden), "---p"));
	MUST(mprotect(forbidden, 4 * PAGE, PROT_READ));
	CHECK_FILL(forbidden, 4 * PAGE, 7);
	MUST(mprotect(forbidden, 4 * PAGE, PROT_NONE));
	CHECK(!strcmp(protection(readable), "r--p"));
	CHECK_FILL(readable, 4 * PAGE, 8);
	CHECK_EQ(12345, ((int (*)(void))code)());
}

static void make_odd(void)
{
	char *p = map(8 * PAGE, RW, 0);

	img_fill(p, 8 * PAGE, 9);
	moved = mremap(p, 8 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
	CHECK(moved != MAP_FAILED);
	noreserve = map(256 * MB, RW, MAP_NORESERVE);
	noreserve[100 * MB] = 77;
	stacklike = map(16 * PAGE, RW, MAP_GROWSDOWN);
	img_fill(stacklike, 16 * PAGE, 10);
	named = map(4 * PAGE, RW, 0);
	img_fill(named, 4 * PAGE, 11);
	has_name = !prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, named, 4 * PAGE, "all kinds");
}

static void check_odd(void)
{
	char *text = img_maps(getpid());

	CHECK_FILL(moved, 8 * PAGE, 9);
	CHECK_ZERO(moved + 8 * PAGE, 56 * PAGE);
	CHECK_EQ(77, noreserve[100 * MB]);
	CHECK_FILL(stacklike, 16 * PAGE, 10);
	CHECK_FILL(named, 4 * PAGE, 11);
	CHECK(text && (!has_name || strstr(text, "[anon:all kinds]")));
	free(text);
}

static void make_advised(void)
{
	advised = map(4 * PAGE, RW, 0);
	img_fill(advised, 4 * PAGE, 12);
	MUST(madvise(advised, 4 * PAGE, MADV_DONTDUMP));
	MUST(madvise(advised, 4 * PAGE, MADV_SEQUENTIAL));
	MUST(madvise(advised, 4 * PAGE, MADV_DONTFORK));
	wiped = map(4 * PAGE, RW, 0);
	MUST(madvise(wiped, 4 * PAGE, MADV_WIPEONFORK));
	img_fill(wiped, 4 * PAGE, 13);
}

static void check_advised(void)
{
	CHECK_FILL(advised, 4 * PAGE, 12);
	if (generation && !img_nodump())
		CHECK_ZERO(wiped, 4 * PAGE);
	img_fill(wiped, 4 * PAGE, 13);
}

static void make_files(void)
{
	const char *path = img_path("mapped");
	int fd;

	MUST(img_make_file(path, 16 * PAGE, 14));
	fd = MUST(open(path, O_RDONLY | O_CLOEXEC));
	file_private = mmap(NULL, 16 * PAGE, RW, MAP_PRIVATE, fd, 0);
	file_shared = mmap(NULL, 16 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	img_fill(file_private + 15 * PAGE, PAGE, 15);
}

static void check_files(void)
{
	CHECK_FILL(file_private, 15 * PAGE, 14);
	CHECK_FILL(file_private + 15 * PAGE, PAGE, 15);
	CHECK_FILL(file_shared, 16 * PAGE, 14);
}

/*
 * Signals
 */

static char alt_stack[65536];
static volatile int handled, on_stack;
static const uint64_t mask = 1ULL << (SIGTERM - 1) | 1ULL << (SIGUSR1 - 1) | 0xf0ULL << 32;

static void handler(int sig, siginfo_t *info, void *context)
{
	char here;

	handled++;
	on_stack = &here >= alt_stack && &here < alt_stack + sizeof(alt_stack);
}

static void make_signals(void)
{
	struct sigaction sa = {
		.sa_sigaction = handler,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART,
	};
	stack_t ss = { .ss_sp = alt_stack, .ss_size = sizeof(alt_stack) };

	sigaddset(&sa.sa_mask, SIGHUP);
	MUST(sigaction(SIGALRM, &sa, NULL));
	signal(SIGQUIT, SIG_IGN);
	MUST(sigaltstack(&ss, NULL));
	MUST(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8));
}

static void check_signals(void)
{
	struct sigaction sa;
	uint64_t now = 0;
	int before = handled;

	MUST(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &now, 8));
	CHECK_EQ(mask, now);
	MUST(sigaction(SIGALRM, NULL, &sa));
	CHECK(sigismember(&sa.sa_mask, SIGHUP) == 1);
	raise(SIGALRM);
	CHECK_EQ(before + 1, handled);
	CHECK(on_stack);
	raise(SIGQUIT);
}

/* Blocked signals wait, in their order, with what they carry. */
static void make_pending(void)
{
	union sigval v;
	int i;

	for (i = 0; i < 10; i++) {
		v.sival_int = 1000 + i;
		MUST(sigqueue(getpid(), 40, v));
	}
	v.sival_ptr = &v;
	MUST(sigqueue(getpid(), SIGUSR1, v));
	/* For the thread, not for the process. */
	MUST(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), 37));
}

/* What was taken is sent again, for the next generation. */
static void check_pending(void)
{
	const struct timespec none = {};
	siginfo_t info;
	sigset_t set;
	int i;

	sigemptyset(&set);
	sigaddset(&set, 40);
	for (i = 0; i < 10; i++) {
		CHECK_EQ(40, sigtimedwait(&set, &info, &none));
		CHECK_EQ(1000 + i, info.si_value.sival_int);
		CHECK_EQ(SI_QUEUE, info.si_code);
	}
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, 37);
	/* Those of the thread come first. */
	CHECK_EQ(37, sigtimedwait(&set, &info, &none));
	/* So the library calls SI_TKILL. */
	CHECK_EQ(SI_USER, info.si_code);
	CHECK_EQ(SIGUSR1, sigtimedwait(&set, &info, &none));
	CHECK_EQ(-1, sigtimedwait(&set, &info, &none));
	make_pending();
}

/*
 * What a thread registered
 */

static struct robust_list_head robust;
static int tid_word;

static void make_registered(void)
{
	robust.list.next = &robust.list;
	MUST(syscall(SYS_set_robust_list, &robust, sizeof(robust)));
	tid_word = MUST(syscall(SYS_set_tid_address, &tid_word));
	MUST(prctl(PR_SET_NAME, "everything"));
	MUST(prctl(PR_SET_TIMERSLACK, 123456));
	MUST(prctl(PR_SET_PDEATHSIG, SIGKILL));
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	MUST(personality(PER_LINUX | ADDR_NO_RANDOMIZE | UNAME26));
}

static void check_registered(void)
{
	struct robust_list_head *head = NULL;
	char name[17] = {};
	size_t len = 0;
	int sig = 0;

	MUST(syscall(SYS_get_robust_list, 0, &head, &len));
	CHECK(head == &robust);
	CHECK_EQ(syscall(SYS_gettid), tid_word);
	MUST(prctl(PR_GET_NAME, name));
	CHECK(!strcmp(name, "everything"));
	CHECK_EQ(123456, prctl(PR_GET_TIMERSLACK));
	MUST(prctl(PR_GET_PDEATHSIG, &sig));
	CHECK_EQ(SIGKILL, sig);
	CHECK_EQ(1, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	CHECK_EQ(PER_LINUX | ADDR_NO_RANDOMIZE | UNAME26, personality(0xffffffff));
}

static void check_rseq(void)
{
	extern const ptrdiff_t __rseq_offset __attribute__((weak));
	extern const unsigned int __rseq_size __attribute__((weak));
	volatile struct rseq *rs;
	cpu_set_t set;
	int cpu;

	if (!&__rseq_size || !__rseq_size)
		return;
	rs = (void *)((char *)__builtin_thread_pointer() + __rseq_offset);
	for (cpu = 0; cpu < sysconf(_SC_NPROCESSORS_ONLN); cpu++) {
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		if (!sched_setaffinity(0, sizeof(set), &set))
			CHECK_EQ(cpu, rs->cpu_id);
	}
}

/*
 * The address space as a whole
 */

static void make_address_space(void)
{
	MUST(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0);
}

static void check_address_space(void)
{
	CHECK_EQ(1, prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
	CHECK_EQ(PR_MDWE_REFUSE_EXEC_GAIN, prctl(PR_GET_MDWE, 0, 0, 0, 0));
	CHECK_EQ(-1, mprotect(anon, PAGE, PROT_READ | PROT_EXEC));
	CHECK_EQ(EACCES, errno);
}

/*
 * Registers
 */

#define GS_BASE	0x123456789000UL
#define MXCSR	0x7f80		/* round to zero, nothing traps */
#define FPU_CW	0x0f7f

static void make_modes(void)
{
	uint32_t mxcsr = MXCSR;
	uint16_t cw = FPU_CW;

	MUST(syscall(SYS_arch_prctl, ARCH_SET_GS, GS_BASE));
	__asm__ volatile("ldmxcsr %0; fldcw %1" : : "m"(mxcsr), "m"(cw));
}

static void check_modes(void)
{
	unsigned long base = 0;
	uint32_t mxcsr = 0;
	uint16_t cw = 0;

	MUST(syscall(SYS_arch_prctl, ARCH_GET_GS, &base));
	CHECK_EQ(GS_BASE, base);
	__asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(mxcsr), "=m"(cw));
	CHECK_EQ(MXCSR, mxcsr & ~0x3f);
	CHECK_EQ(FPU_CW, cw);
}

/* Sleep in recv(), as img_freeze(), with something in every vector register. */
static uint8_t ymm_in[16 * 32], ymm_out[16 * 32];

#define LOAD(n)	"vmovdqu " #n "*32(%[in]), %%ymm" #n "\n\t"
#define SAVE(n)	"vmovdqu %%ymm" #n ", " #n "*32(%[out])\n\t"
#define ALL(M)	M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11) M(12) M(13) \
		M(14) M(15)

static long recv_with_registers(char *buf, long double *x)
{
	register long r10 __asm__("r10") = 0;
	register long r8 __asm__("r8") = 0;
	register long r9 __asm__("r9") = 0;
	long ret;

	__asm__ volatile(ALL(LOAD)
			 "fldpi\n\t"
			 "fldl2e\n\t"
			 "syscall\n\t"
			 "fstpt 16(%[x])\n\t"
			 "fstpt (%[x])\n\t"
			 ALL(SAVE)
			 "vzeroupper\n\t"
			 : "=a"(ret)
			 : "a"(SYS_recvfrom), "D"((long)IMG_FD_CTL), "S"(buf), "d"(1L),
			   "r"(r10), "r"(r8), "r"(r9), [in] "b"(ymm_in), [out] "r"(ymm_out),
			   [x] "r"(x)
			 : "rcx", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3",
			   "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
			   "xmm12", "xmm13", "xmm14", "xmm15", "st", "st(1)");
	return ret;
}

static void freeze(void)
{
	long double x[2], pi, l2e;
	char c = 0;

	if (img_mode == 'r' || !__builtin_cpu_supports("avx")) {
		img_freeze();
		return;
	}
	img_fill(ymm_in, sizeof(ymm_in), 100 + generation);
	img_send('R', "sleep");
	CHECK_EQ(1, recv_with_registers(&c, x));
	CHECK_EQ('G', c);
	CHECK(!memcmp(ymm_in, ymm_out, sizeof(ymm_in)));
	__asm__("fldpi" : "=t"(pi));
	__asm__("fldl2e" : "=t"(l2e));
	CHECK(x[0] == pi && x[1] == l2e);
}

static void nothing(void)
{
}

/* In the order of the setting up; the last ones restrict the others. */
static const struct {
	const char *name;
	void (*make)(void);
	void (*check)(void);
} kinds[] = {
	{ "anonymous memory",	make_anonymous,		check_anonymous },
	{ "heap",		make_heap,		check_heap },
	{ "protection",		make_protected,		check_protected },
	{ "other mappings",	make_odd,		check_odd },
	{ "advice",		make_advised,		check_advised },
	{ "files",		make_files,		check_files },
	{ "signals",		make_signals,		check_signals },
	{ "pending signals",	make_pending,		check_pending },
	{ "registrations",	make_registered,	check_registered },
	{ "rseq",		nothing,		check_rseq },
	{ "modes",		make_modes,		check_modes },
	{ "address space",	make_address_space,	check_address_space },
};

TARGET(everything)
{
	int failures = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		kinds[i].make();
	/* Without a dump before, the checks hold, too. */
	for (generation = 0; generation <= GENERATIONS; generation++) {
		pid_t pid = getpid();

		if (generation)
			freeze();
		CHECK(!generation || img_nodump() || getpid() != pid);
		for (i = 0; i < ARRAY_SIZE(kinds); i++) {
			kinds[i].check();
			if (img_failures == failures)
				continue;
			failures = img_failures;
			img_send('F', "%s, generation %d", kinds[i].name, generation);
		}
	}
}

static void five_generations(struct __test_metadata *_metadata, char mode)
{
	struct img_proc p;
	int i;

	IMG_SPAWN(&p, "everything", mode, NULL, NULL);
	for (i = 0; i < GENERATIONS; i++) {
		if (i)
			ASSERT_EQ(0, img_await_ready(&p));
		ASSERT_EQ(0, img_cycle(&p));
		ASSERT_EQ(0, img_go(&p));
	}
	ASSERT_EQ(0, img_wait_exit(&p));
}

TEST(asleep)
{
	five_generations(_metadata, 's');
}

TEST(stopped)
{
	five_generations(_metadata, 't');
}

TEST(running)
{
	five_generations(_metadata, 'r');
}
