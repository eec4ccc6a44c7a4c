/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Between img_util.h and the harness, which wants to be included by one source
 * file of a program only.
 */
#ifndef IMG_TEST_H
#define IMG_TEST_H

#include <stdlib.h>

#include "../kselftest_harness.h"
#include "img_util.h"

/* Leave the test if its target found that it cannot run here. */
#define IMG_SKIP_IF_SKIPPED(p) do {					\
	if ((p)->skipped) {						\
		if ((p)->pid)						\
			img_forget(p);					\
		SKIP(return, "%s", (p)->skip);				\
	}								\
} while (0)

#define IMG_SPAWN(p, target, mode, arg, how) do {			\
	int __ret = img_spawn(p, target, mode, arg, how);		\
									\
	IMG_SKIP_IF_SKIPPED(p);						\
	ASSERT_EQ(0, __ret);						\
} while (0)

/* Set up, dump, kill, resume, check: what most tests are. */
#define IMG_RUN(target, mode, arg, how) do {				\
	struct img_proc __p;						\
									\
	IMG_SPAWN(&__p, target, mode, arg, how);			\
	ASSERT_EQ(0, img_cycle(&__p));					\
	ASSERT_EQ(0, img_finish(&__p));					\
	IMG_SKIP_IF_SKIPPED(&__p);					\
} while (0)

/* A test that is nothing but its target, which the body defines. */
#define IMG_TEST(_name)							\
	TEST(_name) { IMG_RUN(#_name, 's', NULL, NULL); }		\
	TARGET(_name)

/*
 * Fixtures have their state in shared memory, made before main(), which a
 * target must not have.
 */
static void img_unshare_harness(void)
{
	struct __fixture_metadata *f;
	struct __test_metadata *t, *next;

	for (f = __fixture_list; f; f = f->next) {
		if (f == &_fixture_global)
			continue;
		for (t = f->tests; t; t = next) {
			next = t->next;
			munmap(t, sizeof(*t));
		}
		f->tests = NULL;
	}
}

int main(int argc, char **argv)
{
	struct __fixture_metadata *f;
	struct __test_metadata *t;

	img_init();
	if (argc > 1 && !strcmp(argv[1], "--target")) {
		img_unshare_harness();
		return img_target_main(argc, argv);
	}
	for (f = __fixture_list; f; f = f->next)
		for (t = f->tests; t; t = t->next)
			t->timeout = (t->timeout > 150 ? t->timeout : 150) *
				     img_patience();
	return test_harness_run(argc, argv);
}

#endif /* IMG_TEST_H */
