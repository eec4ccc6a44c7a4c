// SPDX-License-Identifier: GPL-2.0
/*
 * The smallest process there is: no C library, no heap, a page of data that it
 * checks for ever, as a child of a test would notice if it were not so.  It
 * says "R" on descriptor 3 and goes to sleep in pause(); each signal that it
 * handles makes it check again, and exit with 1 when the data is not as it was.
 */
#include <asm/unistd.h>

static volatile unsigned int data[1024];

static long call(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall" : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

static void handler(int sig)
{
}

__asm__(
".globl restore\n"
"restore:\n"
"	mov	$15, %eax\n"	/* rt_sigreturn */
"	syscall\n"
);
void restore(void);

static struct {
	void (*handler)(int sig);
	unsigned long flags;
	void (*restorer)(void);
	unsigned long mask;
} action = { handler, 0x04000000 /* SA_RESTORER */, restore, 0 },
  /* Of the last signal, so that an image of this has the actions of all. */
  last = { (void (*)(int))1 /* SIG_IGN */ };

void __attribute__((used)) start(void)
{
	unsigned int i;

	for (i = 0; i < 1024; i++)
		data[i] = i * 2654435761U;
	call(__NR_rt_sigaction, 10, (long)&action, 0, 8, 0, 0);
	call(__NR_rt_sigaction, 64, (long)&last, 0, 8, 0, 0);
	call(__NR_sendto, 3, (long)"R", 1, 0, 0, 0);
	for (;;) {
		call(__NR_pause, 0, 0, 0, 0, 0, 0);
		for (i = 0; i < 1024; i++)
			if (data[i] != i * 2654435761U)
				call(__NR_exit_group, 1, 0, 0, 0, 0, 0);
	}
}

__asm__(
".globl _start\n"
"_start:\n"
"	xor	%ebp, %ebp\n"
"	and	$-16, %rsp\n"
"	call	start\n"
"	hlt\n"
);
