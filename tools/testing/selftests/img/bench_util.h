/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the benchmarks share: clocks, medians, and how figures are told.
 *
 * For people there is a table, for programs there are two kinds of lines:
 *
 *	CSV,NAME,SIZE,WHAT,MEDIAN,LEAST,MOST,RUNS	a figure, in ns or bytes
 *	BENCH NAME SIZE ratio=X limit=Y ok|MISS		a verdict
 */
#ifndef BENCH_UTIL_H
#define BENCH_UTIL_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MB	(1UL << 20)
#define PAGE	4096UL

#define MAX_RUNS	999

static inline uint64_t now_raw(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static inline bool set_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return !sched_setaffinity(0, sizeof(set), &set);
}

static inline void pin(int cpu)
{
	if (!set_cpu(cpu)) {
		perror("bench: two processors are needed");
		exit(4);
	}
}

/* Exit status 1 is for limits that were missed. */
static inline void must(int ret, const char *what)
{
	if (!ret)
		return;
	fprintf(stderr, "bench: %s: %s\n", what, strerror(-ret));
	exit(3);
}

/**
 * struct series - times that were measured of one thing
 * @v: ns
 * @n: how many
 */
struct series {
	uint64_t v[MAX_RUNS];
	int n;
};

static inline void add(struct series *s, uint64_t ns)
{
	if (s->n < MAX_RUNS)
		s->v[s->n++] = ns;
}

static inline int compare_times(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static inline uint64_t median(struct series *s)
{
	qsort(s->v, s->n, sizeof(*s->v), compare_times);
	return s->n ? s->v[s->n / 2] : 0;
}

/* A line of the table, and one for programs. */
static inline void tell(const char *name, unsigned long mb, const char *what,
			struct series *s)
{
	uint64_t m = median(s);

	printf("%-20s %6lu MB %-28s %12.3f ms (%.3f to %.3f)\n", name, mb, what, m / 1e6,
	       s->v[0] / 1e6, s->v[s->n - 1] / 1e6);
	printf("CSV,%s,%lu,%s,%llu,%llu,%llu,%d\n", name, mb, what, (long long)m,
	       (long long)s->v[0], (long long)s->v[s->n - 1], s->n);
	fflush(stdout);
}

static inline bool verdict(const char *name, unsigned long mb, double ratio, double limit)
{
	printf("BENCH %s %luMB ratio=%.3f limit=%.3f %s\n", name, mb, ratio, limit,
	       ratio <= limit ? "ok" : "MISS");
	fflush(stdout);
	return ratio <= limit;
}

/* One that is to be large. */
static inline bool verdict_least(const char *name, unsigned long mb, double ratio,
				 double limit)
{
	printf("BENCH %s %luMB ratio=%.3f limit=%.3f %s\n", name, mb, ratio, limit,
	       ratio >= limit ? "ok" : "MISS");
	fflush(stdout);
	return ratio >= limit;
}

#endif /* BENCH_UTIL_H */
