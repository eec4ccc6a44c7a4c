/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of processes with threads share: waiting for each other without
 * a trace in the thread library.
 */
#ifndef IMG_THREADS_H
#define IMG_THREADS_H

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "img_util.h"

static inline int my_tid(void)
{
	return syscall(SYS_gettid);
}

static inline long futex(volatile int *word, int op, int val)
{
	return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, val, NULL, NULL, 0);
}

/* Wait for a word to become something. */
static inline void await(volatile int *word, int val)
{
	int seen;

	while ((seen = __atomic_load_n(word, __ATOMIC_SEQ_CST)) != val)
		futex(word, FUTEX_WAIT, seen);
}

static inline void tell(volatile int *word, int val)
{
	__atomic_store_n(word, val, __ATOMIC_SEQ_CST);
	futex(word, FUTEX_WAKE, INT_MAX);
}

static inline void add(volatile int *word, int val)
{
	__atomic_add_fetch(word, val, __ATOMIC_SEQ_CST);
	futex(word, FUTEX_WAKE, INT_MAX);
}

static inline void start(pthread_t *t, void *(*fn)(void *), void *arg)
{
	pthread_attr_t attr;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	err = pthread_create(t, &attr, fn, arg);
	if (err) {
		errno = err;
		MUST(-1);
	}
}

static inline void start_all(pthread_t *t, int nr, void *(*fn)(void *))
{
	int i;

	for (i = 0; i < nr; i++)
		start(&t[i], fn, NULL);
}

static inline void join_all(pthread_t *t, int nr)
{
	int i;

	for (i = 0; i < nr; i++)
		CHECK_EQ(0, pthread_join(t[i], NULL));
}

#endif /* IMG_THREADS_H */
