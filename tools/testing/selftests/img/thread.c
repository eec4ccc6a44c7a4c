// SPDX-License-Identifier: GPL-2.0
/*
 * What a thread registered with the kernel, and the thread libraries that rely
 * on it.
 */
#include <linux/futex.h>
#include <linux/rseq.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "img_test.h"

#define RSEQ_SIGNATURE	0x53053053

IMG_TEST(process_ids)
{
	pid_t pid = getpid();

	img_freeze();
	if (!img_nodump())
		CHECK(getpid() != pid);
	CHECK_EQ(getpid(), syscall(SYS_gettid));
	CHECK_EQ(getpid(), img_status_field(getpid(), "Pid:", 10));
}

/* The kernel tells the thread its new ID, where a clone() would. */
IMG_TEST(tid_address)
{
	static int tid;

	tid = MUST(syscall(SYS_set_tid_address, &tid));
	img_freeze();
	CHECK_EQ(syscall(SYS_gettid), tid);
}

/* The address stays registered: a process that shares memory would see it. */
IMG_TEST(tid_address_is_registered)
{
	int **addr = NULL, *before = NULL;
	static int tid;

	if (syscall(SYS_prctl, 40 /* PR_GET_TID_ADDRESS */, &before))
		img_target_skip("no PR_GET_TID_ADDRESS");
	tid = syscall(SYS_set_tid_address, &tid);
	img_freeze();
	MUST(syscall(SYS_prctl, 40, &addr));
	CHECK((int *)addr == &tid);
}

/* No word of memory is changed but one that holds the thread's ID. */
IMG_TEST(tid_address_of_something_else)
{
	static int words[3] = { 0, 0, 0 };

	syscall(SYS_set_tid_address, &words[1]);
	img_freeze();
	CHECK_EQ(0, words[0]);
	CHECKF(words[1] == 0, "a lock that was free is now %d", words[1]);
	CHECK_EQ(0, words[2]);
}

IMG_TEST(robust_list)
{
	void *head = NULL, *head2 = NULL;
	size_t len = 0;

	MUST(syscall(SYS_get_robust_list, 0, &head, &len));
	CHECK(head != NULL);
	img_freeze();
	MUST(syscall(SYS_get_robust_list, 0, &head2, &len));
	CHECK(head == head2);
	CHECK_EQ(sizeof(struct robust_list_head), len);
}

IMG_TEST(own_robust_list)
{
	static struct robust_list_head list, *head;
	size_t len = 0;

	list.list.next = &list.list;
	MUST(syscall(SYS_set_robust_list, &list, sizeof(list)));
	img_freeze();
	MUST(syscall(SYS_get_robust_list, 0, &head, &len));
	CHECK(head == &list);
}

IMG_TEST(mutexes)
{
	static const int types[] = {
		PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_RECURSIVE,
	};
	pthread_mutex_t m[3];
	pthread_mutexattr_t attr;
	int i;

	for (i = 0; i < 3; i++) {
		pthread_mutexattr_init(&attr);
		pthread_mutexattr_settype(&attr, types[i]);
		pthread_mutex_init(&m[i], &attr);
		CHECK_EQ(0, pthread_mutex_lock(&m[i]));
		CHECK_EQ(0, pthread_mutex_unlock(&m[i]));
	}
	img_freeze();
	for (i = 0; i < 3; i++) {
		CHECK_EQ(0, pthread_mutex_lock(&m[i]));
		CHECK_EQ(types[i] == PTHREAD_MUTEX_RECURSIVE ? 0 : EBUSY,
			 pthread_mutex_trylock(&m[i]));
		CHECK_EQ(0, pthread_mutex_unlock(&m[i]));
	}
}

/*
 * Restartable sequences
 */

static struct rseq own_rseq __attribute__((aligned(32)));

/* Without the C library's, one may register one's own. */
static struct rseq *find_rseq(void)
{
	extern const ptrdiff_t __rseq_offset __attribute__((weak));
	extern const unsigned int __rseq_size __attribute__((weak));

	if (&__rseq_size && __rseq_size)
		return (void *)((char *)__builtin_thread_pointer() + __rseq_offset);
	if (syscall(SYS_rseq, &own_rseq, 32, 0, RSEQ_SIGNATURE))
		img_target_skip("no restartable sequences");
	return &own_rseq;
}

static void check_cpu_id(struct rseq *rs, int cpus)
{
	volatile struct rseq *r = rs;
	cpu_set_t set;
	int cpu;

	for (cpu = 0; cpu < cpus; cpu++) {
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set))
			continue;
		CHECK_EQ(cpu, r->cpu_id);
		CHECK_EQ(cpu, r->cpu_id_start);
		CHECK_EQ(cpu, sched_getcpu());
	}
}

IMG_TEST(rseq_cpu_id)
{
	struct rseq *rs = find_rseq();
	int cpus = sysconf(_SC_NPROCESSORS_ONLN);

	check_cpu_id(rs, cpus);
	img_freeze();
	check_cpu_id(rs, cpus);
	/* Registered as it was: a second time is an error of its own. */
	CHECK_EQ(-1, syscall(SYS_rseq, rs, 32, 0, RSEQ_SIGNATURE));
	CHECK(errno == EBUSY || errno == EINVAL);
}

/* Count the times that the kernel led us out of a critical section. */
static volatile long aborts;

static void __attribute__((noinline)) section_until_aborted(struct rseq *rs)
{
	__asm__ volatile(
		".pushsection __rseq_cs, \"aw\"\n"
		".balign 32\n"
		"3:\n"
		".long 0, 0\n"
		".quad 1f, (2f - 1f), 4f\n"
		".popsection\n"
		"leaq 3b(%%rip), %%rax\n"
		"movq %%rax, 8(%0)\n"
		"1:\n"
		"pause\n"
		"jmp 1b\n"
		"2:\n"
		".long %c1\n"
		"4:\n"
		"incq aborts(%%rip)\n"
		: : "r"(rs), "i"(RSEQ_SIGNATURE) : "rax", "memory", "cc");
}

IMG_TEST(rseq_critical_section)
{
	struct rseq *rs = find_rseq();
	int i;

	section_until_aborted(rs);
	CHECK_EQ(1, aborts);
	img_freeze();
	for (i = 0; i < 3; i++)
		section_until_aborted(rs);
	CHECK_EQ(4, aborts);
	CHECK_EQ(0, rs->rseq_cs);
}

/* Dumped in a critical section: as after a preemption, it is not gone on with. */
static volatile sig_atomic_t left;

static void leave(int sig)
{
	left = 1;
}

TARGET(rseq_busy)
{
	struct rseq *rs = find_rseq();
	long before;

	signal(SIGUSR2, leave);
	img_send('R', " ");
	while (!left) {
		before = aborts;
		section_until_aborted(rs);
		CHECK_EQ(before + 1, aborts);
	}
}

TEST(rseq_dumped_in_a_critical_section)
{
	struct img_proc p;
	int i;

	IMG_SPAWN(&p, "rseq_busy", 'r', NULL, NULL);
	for (i = 0; i < 5; i++)
		ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

/* Not registered: not so afterwards either. */
IMG_TEST(rseq_unregistered)
{
	struct rseq *rs = find_rseq();
	size_t len = 32;

	/* The library's area may be larger in a new library. */
	while (syscall(SYS_rseq, rs, len, 1 /* unregister */, RSEQ_SIGNATURE)) {
		len += 32;
		if (len > 1024)
			img_target_skip("cannot be unregistered");
	}
	memset(rs, 0x77, 20);
	img_freeze();
	sched_yield();
	CHECK_EQ(0x77777777, rs->cpu_id);
	CHECK_EQ(0, syscall(SYS_rseq, &own_rseq, 32, 0, RSEQ_SIGNATURE));
	CHECK_EQ(0, syscall(SYS_rseq, &own_rseq, 32, 1, RSEQ_SIGNATURE));
}

/* Threads of its own are no matter for what is resumed. */
static void *thread(void *arg)
{
	return (char *)arg + 1;
}

IMG_TEST(then_threads)
{
	char args[9];
	pthread_t t[8];
	void *ret;
	int i, round;

	img_freeze();
	for (round = 0; round < 5; round++) {
		for (i = 0; i < 8; i++)
			CHECK_EQ(0, pthread_create(&t[i], NULL, thread, &args[i]));
		for (i = 0; i < 8; i++) {
			CHECK_EQ(0, pthread_join(t[i], &ret));
			CHECK(ret == &args[i + 1]);
		}
	}
}

/* Had threads, which have ended: it has one. */
IMG_TEST(threads_of_the_past)
{
	pthread_t t;
	void *ret;

	CHECK_EQ(0, pthread_create(&t, NULL, thread, NULL));
	CHECK_EQ(0, pthread_join(t, &ret));
	img_freeze();
	CHECK_EQ(0, pthread_create(&t, NULL, thread, NULL));
	CHECK_EQ(0, pthread_join(t, &ret));
}

/*
 * One program, linked in several ways
 */

FIXTURE(linked) {
};

FIXTURE_VARIANT(linked) {
	const char *program;
	char mode;
};

FIXTURE_SETUP(linked)
{
}

FIXTURE_TEARDOWN(linked)
{
}

FIXTURE_VARIANT_ADD(linked, dynamically) { .program = "prog_dynamic" };
FIXTURE_VARIANT_ADD(linked, statically) { .program = "prog_static" };
FIXTURE_VARIANT_ADD(linked, static_pie) { .program = "prog_static_pie" };
FIXTURE_VARIANT_ADD(linked, musl) { .program = "prog_musl" };
FIXTURE_VARIANT_ADD(linked, musl_static) { .program = "prog_musl_static" };

static int start_program(struct img_proc *p, const char *name)
{
	int ret;

	memset(p, 0, sizeof(*p));
	p->mode = 's';
	snprintf(p->image, sizeof(p->image), "%s", img_path("%s.img", name));
	ret = img_launch(p, img_sibling(name), NULL);
	return ret ?: img_await_ready(p);
}

TEST_F(linked, resumed)
{
	struct img_proc p;

	if (access(img_sibling(variant->program), X_OK))
		SKIP(return, "%s was not built", variant->program);
	ASSERT_EQ(0, start_program(&p, variant->program));
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

TEST_F(linked, resumed_twice)
{
	struct img_proc p;

	if (access(img_sibling(variant->program), X_OK))
		SKIP(return, "%s was not built", variant->program);
	ASSERT_EQ(0, start_program(&p, variant->program));
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_finish(&p));
}
