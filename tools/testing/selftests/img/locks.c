// SPDX-License-Identifier: GPL-2.0
/*
 * Locks that are held when a process is dumped, and the IDs by which they know
 * who holds them.
 */
#include <dirent.h>
#include <sys/wait.h>

#include "img_test.h"
#include "img_threads.h"

static volatile int waiting, handled, go, tids[2];

/*
 * What the kernel knows of
 */

static pthread_mutex_t held[3];
static const int held_types[] = {
	PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_ERRORCHECK,
};

static void init_mutex(pthread_mutex_t *m, int type, int protocol, int robust)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	CHECK_EQ(0, pthread_mutexattr_settype(&attr, type));
	CHECK_EQ(0, pthread_mutexattr_setprotocol(&attr, protocol));
	CHECK_EQ(0, pthread_mutexattr_setrobust(&attr, robust));
	CHECK_EQ(0, pthread_mutex_init(m, &attr));
}

static void *holds_robust(void *arg)
{
	CHECK_EQ(0, pthread_mutex_lock(&held[0]));
	CHECK_EQ(0, pthread_mutex_lock(&held[1]));
	add(&waiting, 1);
	await(&go, 1);
	CHECK_EQ(0, pthread_mutex_unlock(&held[0]));
	/* The other one is left to who comes next. */
	return NULL;
}

/* Its word has the owner's ID, which is a new one, known to the kernel. */
IMG_TEST(robust_mutexes)
{
	pthread_t t;

	init_mutex(&held[0], PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_ROBUST);
	init_mutex(&held[1], PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_ROBUST);
	start(&t, holds_robust, NULL);
	await(&waiting, 1);
	img_freeze();
	CHECK_EQ(EBUSY, pthread_mutex_trylock(&held[0]));
	CHECK_EQ(EBUSY, pthread_mutex_trylock(&held[1]));
	tell(&go, 1);
	CHECK_EQ(0, pthread_mutex_lock(&held[0]));
	CHECK_EQ(EOWNERDEAD, pthread_mutex_lock(&held[1]));
	CHECK_EQ(0, pthread_mutex_consistent(&held[1]));
	CHECK_EQ(0, pthread_mutex_unlock(&held[1]));
	CHECK_EQ(0, pthread_mutex_unlock(&held[0]));
	join_all(&t, 1);
}

static void *wants(void *arg)
{
	add(&waiting, 1);
	CHECK_EQ(0, pthread_mutex_lock(&held[0]));
	add(&handled, 1);
	CHECK_EQ(0, pthread_mutex_unlock(&held[0]));
	return NULL;
}

static void wait_for_sleepers(int nr, long call)
{
	struct dirent *e;
	int n;

	do {
		DIR *d = opendir("/proc/self/task");

		n = 0;
		while ((e = readdir(d))) {
			char path[300], *text;

			snprintf(path, sizeof(path), "/proc/self/task/%s/syscall", e->d_name);
			text = e->d_name[0] == '.' ? NULL : img_read_file(path, NULL);
			n += text && text[0] != 'r' && atol(text) == call;
			free(text);
		}
		closedir(d);
	} while (n < nr);
}

/* Somebody waits for it, so the kernel knows of it. */
IMG_TEST(pi_mutex)
{
	pthread_t t[3];

	init_mutex(&held[0], PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_INHERIT, PTHREAD_MUTEX_STALLED);
	CHECK_EQ(0, pthread_mutex_lock(&held[0]));
	start_all(t, 3, wants);
	await(&waiting, 3);
	wait_for_sleepers(3, SYS_futex);
	img_freeze();
	wait_for_sleepers(3, SYS_futex);
	CHECK_EQ(0, handled);
	CHECK_EQ(0, pthread_mutex_unlock(&held[0]));
	join_all(t, 3);
	CHECK_EQ(3, handled);
}

/*
 * What only the thread library knows of
 */

static void *rests(void *arg)
{
	tids[0] = my_tid();
	add(&waiting, 1);
	await(&go, 1);
	tids[1] = my_tid();
	return NULL;
}

/* The thread library's own note of the owner: the launcher wants the old IDs. */
TARGET(held_mutexes)
{
	pid_t pid = getpid(), tid;
	pthread_t t;
	int i;

	for (i = 0; i < 3; i++) {
		init_mutex(&held[i], held_types[i], PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED);
		CHECK_EQ(0, pthread_mutex_lock(&held[i]));
	}
	start(&t, rests, NULL);
	await(&waiting, 1);
	tid = tids[0];
	img_freeze();
	CHECK_EQ(EDEADLK, pthread_mutex_lock(&held[2]));
	CHECK_EQ(0, pthread_mutex_trylock(&held[1]));
	CHECK_EQ(0, pthread_mutex_unlock(&held[1]));
	for (i = 0; i < 3; i++)
		CHECK_EQ(0, pthread_mutex_unlock(&held[i]));
	tell(&go, 1);
	join_all(&t, 1);
	CHECK_EQ(pid, getpid());
	CHECK_EQ(tid, tids[1]);
	/* The wish was for this image, not for one that it executes. */
	CHECK_EQ('0', img_read_file("/proc/self/keep_ids", NULL)[0]);
}

static int wish(void *data)
{
	return img_write_str("/proc/self/keep_ids", "1");
}

static int next_pid(pid_t pid)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", pid - 1);
	return img_write_str("/proc/sys/kernel/ns_last_pid", text);
}

TEST(kept_ids)
{
	struct img_launch how = { .prepare = wish };
	struct img_proc p;
	pid_t pid;
	int i, ret;

	if (img_nodump() || geteuid())
		SKIP(return, "needs a dump, and root");
	IMG_SPAWN(&p, "held_mutexes", 's', NULL, NULL);
	pid = p.pid;
	ASSERT_EQ(0, img_dump(&p));
	/* While it lives, they are taken. */
	EXPECT_EQ(-EEXIST, img_try_exec(p.image, &how, &pid));
	pid = p.pid;
	img_kill(&p);
	/* Another may be faster. */
	for (i = 0, ret = -EEXIST; i < 20 && ret == -EEXIST; i++) {
		ASSERT_EQ(0, next_pid(pid));
		ret = img_resume_as(&p, &how);
	}
	ASSERT_EQ(0, ret);
	EXPECT_EQ(pid, p.pid);
	ASSERT_EQ(0, img_settle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

TEST(kept_ids_need_a_capability)
{
	struct img_launch how = { .uid = IMG_NOBODY, .prepare = wish };
	int i, ret = -EEXIST;
	struct img_proc p;
	pid_t pid, got;

	if (img_nodump() || geteuid())
		SKIP(return, "needs a dump, and root");
	IMG_SPAWN(&p, "held_mutexes", 's', NULL, NULL);
	pid = p.pid;
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	for (i = 0; i < 20 && ret == -EEXIST; i++) {
		ASSERT_EQ(0, next_pid(pid));
		ret = img_try_exec(p.image, &how, &got);
	}
	EXPECT_EQ(-EPERM, ret);
	img_forget(&p);
}

/* It can be read by all, and written by the process alone. */
TEST(keep_ids_file)
{
	char path[64], *text;

	EXPECT_EQ(0, wish(NULL));
	text = img_read_file("/proc/self/keep_ids", NULL);
	ASSERT_NE(NULL, text);
	EXPECT_STREQ("1\n", text);
	free(text);
	EXPECT_EQ(-EINVAL, img_write_str("/proc/self/keep_ids", "perhaps"));
	EXPECT_EQ(0, img_write_str("/proc/self/keep_ids", "0"));
	text = img_read_file("/proc/self/keep_ids", NULL);
	EXPECT_STREQ("0\n", text);
	free(text);
	snprintf(path, sizeof(path), "/proc/%d/keep_ids", getppid());
	EXPECT_EQ(-EPERM, img_write_str(path, "1"));
}
