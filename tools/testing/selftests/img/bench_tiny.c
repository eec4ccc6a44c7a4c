// SPDX-License-Identifier: GPL-2.0
/*
 * The smallest program, without a library.  Both write to descriptor 1 when they
 * began to run, by the processor's time stamp counter.
 *
 *	bench_tiny: what an exec costs at least
 *	bench_tiny BYTES TICKS: to be dumped; touches so much memory, says so, and runs
 *		on until it was left alone for so many ticks, as it is when it is resumed
 */
#include <linux/mman.h>
#include <asm/unistd.h>

#define NULL	((void *)0)

/* As struct message of bench_proc.h. */
struct message {
	unsigned long began;
	unsigned long rest[2];
};

static long call(long nr, long a, long b, long c)
{
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return ret;
}

static void *map(unsigned long len)
{
	register long flags __asm__("r10") = MAP_PRIVATE | MAP_ANONYMOUS;
	register long fd __asm__("r8") = -1;
	register long off __asm__("r9") = 0;
	long ret;

	__asm__ volatile("syscall" : "=a"(ret)
			 : "a"(__NR_mmap), "D"(0L), "S"(len), "d"((long)PROT_READ | PROT_WRITE),
			   "r"(flags), "r"(fd), "r"(off) : "rcx", "r11", "memory");
	return ret < 0 ? NULL : (void *)ret;
}

static unsigned long number(const char *s)
{
	unsigned long n = 0;

	while (*s)
		n = n * 10 + *s++ - '0';
	return n;
}

static unsigned long tsc(void)
{
	unsigned int lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (unsigned long)hi << 32 | lo;
}

static void tell(unsigned long began)
{
	struct message m = { .began = began };

	call(__NR_write, 1, (long)&m, sizeof(m));
}

static int spin(unsigned long len, unsigned long away)
{
	unsigned long *p = map(len), i, last, now;

	if (!p)
		return 3;
	for (i = 0; i < len / sizeof(*p); i++)
		p[i] = i * 0x9e3779b97f4a7c15UL + 1;
	tell(0);
	for (last = tsc(); ; last = now) {
		now = tsc();
		if (now - last > away)
			break;
	}
	tell(now);
	/* Whoever counts memory looks at it now. */
	call(__NR_pause, 0, 0, 0);
	return 0;
}

void __attribute__((used)) start(unsigned int lo, unsigned int hi, long *stack)
{
	unsigned long t = (unsigned long)hi << 32 | lo;
	int status = 0;

	if (stack[0] == 3)
		status = spin(number((char *)stack[2]), number((char *)stack[3]));
	else
		call(__NR_write, 1, (long)&t, sizeof(t));
	call(__NR_exit_group, status, 0, 0);
}

__asm__(
".globl _start\n"
"_start:\n"
"	rdtsc\n"
"	mov	%eax, %edi\n"
"	mov	%edx, %esi\n"
"	mov	%rsp, %rdx\n"
"	and	$-16, %rsp\n"
"	call	start\n"
);
