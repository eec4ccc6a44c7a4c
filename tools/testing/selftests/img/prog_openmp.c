// SPDX-License-Identifier: GPL-2.0
/*
 * A program for the tests to dump: a team of OpenMP threads that meets at many
 * barriers, shares out its work as it goes, and adds up.  All is in integers, so
 * what it prints at the end depends on nothing but its argument, the number of
 * rounds.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define SIZE	4096

static uint64_t cells[2][SIZE];

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	return x ^ x >> 33;
}

static unsigned int collatz(uint64_t n)
{
	unsigned int steps;

	for (steps = 0; n > 1; steps++)
		n = n % 2 ? 3 * n + 1 : n / 2;
	return steps;
}

static uint64_t tree(unsigned int depth, uint64_t x)
{
	uint64_t a, b;

	if (!depth)
		return mix(x);
#pragma omp task shared(a) firstprivate(depth, x)
	a = tree(depth - 1, 2 * x);
#pragma omp task shared(b) firstprivate(depth, x)
	b = tree(depth - 1, 2 * x + 1);
#pragma omp taskwait
	return mix(a + b);
}

int main(int argc, char **argv)
{
	int i, rounds = argc > 1 ? atoi(argv[1]) : 100;
	uint64_t sum = 0, parity = 0, trees = 0;
	unsigned int longest = 0;

#pragma omp parallel num_threads(4)
	for (int n = 0; n < rounds; n++) {
		uint64_t *from = cells[n % 2], *to = cells[!(n % 2)];

		/* A loop in equal parts, with neighbours that others make. */
#pragma omp for schedule(static)
		for (i = 0; i < SIZE; i++)
			to[i] = mix(from[i] + from[(i + 1) % SIZE] + i);
		/* One whose parts go to whoever has time. */
#pragma omp for schedule(dynamic, 16) reduction(+:sum) reduction(^:parity) reduction(max:longest)
		for (i = 0; i < SIZE; i++) {
			unsigned int steps = collatz(to[i] % 100000 + 1);

			sum += steps;
			parity ^= to[i];
			if (steps > longest)
				longest = steps;
		}
#pragma omp single
		trees += tree(5, to[n % SIZE]);
#pragma omp critical
		trees ^= 1;
	}
	printf("%llx %llx %llx %u\n", (unsigned long long)sum, (unsigned long long)parity,
	       (unsigned long long)trees, longest);
	return 0;
}
