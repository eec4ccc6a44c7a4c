// SPDX-License-Identifier: GPL-2.0
/*
 * A dynamically linked program for a debugger to look at: four functions deep,
 * asleep in a call of the C library.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct answer {
	int number;
	char text[32];
} global_answer = { 42, "forty-two" };

int deep_three(const char *word)
{
	int length = (int)strlen(word);

	printf("ready\n");
	fflush(stdout);
	for (;;)
		pause();
	return length;
}

int deep_two(int a, int b)
{
	return deep_three("inside") + a * b;
}

int deep_one(int a)
{
	return deep_two(a, a + 1);
}

int main(void)
{
	return deep_one(6);
}
