// SPDX-License-Identifier: GPL-2.0
/*
 * What /proc and prctl(2) tell about a process: what belongs to it is as it
 * was, what belongs to its launcher is the launcher's.
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "img_test.h"

#ifndef PR_SET_MDWE
#define PR_SET_MDWE			65
#define PR_GET_MDWE			66
#define PR_MDWE_REFUSE_EXEC_GAIN	1
#endif
#ifndef PR_MDWE_NO_INHERIT
#define PR_MDWE_NO_INHERIT		2
#endif

#define PAGE	4096UL

TARGET(plain)
{
	img_freeze();
}

/* /proc/PID/stat, field by field, numbered as in proc_pid_stat(5). */
#define STAT_FIELDS	53

static int read_stat(pid_t pid, unsigned long long *field)
{
	char path[64], *text, *p;
	int i;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	text = img_read_file(path, NULL);
	if (!text)
		return -errno;
	p = strrchr(text, ')') + 4;
	for (i = 4; i < STAT_FIELDS && *p; i++) {
		field[i] = strtoull(p, &p, 10);
		if (*p == ' ')
			p++;
	}
	free(text);
	return i == STAT_FIELDS ? 0 : -EINVAL;
}

TEST(stat_fields)
{
	static const struct {
		int nr;
		const char *name;
	} same[] = {
		{ 20, "num_threads" }, { 23, "vsize" }, { 26, "startcode" },
		{ 27, "endcode" }, { 28, "startstack" }, { 45, "start_data" },
		{ 46, "end_data" }, { 47, "start_brk" }, { 48, "arg_start" },
		{ 49, "arg_end" }, { 50, "env_start" }, { 51, "env_end" },
	};
	unsigned long long a[STAT_FIELDS], b[STAT_FIELDS];
	struct img_proc p;
	size_t i;

	IMG_SPAWN(&p, "plain", 's', NULL, NULL);
	ASSERT_EQ(0, read_stat(p.pid, a));
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, read_stat(p.pid, b));
	for (i = 0; i < ARRAY_SIZE(same); i++) {
		EXPECT_NE(0, a[same[i].nr]);
		EXPECT_EQ(a[same[i].nr], b[same[i].nr]);
		if (a[same[i].nr] != b[same[i].nr])
			img_diag("(that was %s)", same[i].name);
	}
	ASSERT_EQ(0, img_finish(&p));
}

FIXTURE(proc_file) {
};

FIXTURE_VARIANT(proc_file) {
	const char *name;
};

FIXTURE_SETUP(proc_file)
{
}

FIXTURE_TEARDOWN(proc_file)
{
}

FIXTURE_VARIANT_ADD(proc_file, cmdline) { .name = "cmdline" };
FIXTURE_VARIANT_ADD(proc_file, environ) { .name = "environ" };
FIXTURE_VARIANT_ADD(proc_file, auxv) { .name = "auxv" };
FIXTURE_VARIANT_ADD(proc_file, comm) { .name = "comm" };
FIXTURE_VARIANT_ADD(proc_file, personality) { .name = "personality" };
FIXTURE_VARIANT_ADD(proc_file, timerslack) { .name = "timerslack_ns" };

TARGET(proc_file)
{
	MUST(prctl(PR_SET_NAME, "odd (name)"));
	MUST(prctl(PR_SET_TIMERSLACK, 123456));
	MUST(personality(ADDR_NO_RANDOMIZE | SHORT_INODE));
	img_freeze();
}

TEST_F(proc_file, same)
{
	char path[64], *before, *after;
	struct img_proc p;
	size_t a, b;

	IMG_SPAWN(&p, "proc_file", 's', "argument", NULL);
	snprintf(path, sizeof(path), "/proc/%d/%s", p.pid, variant->name);
	before = img_read_file(path, &a);
	ASSERT_TRUE(before != NULL);
	EXPECT_NE(0, a);
	ASSERT_EQ(0, img_cycle(&p));
	snprintf(path, sizeof(path), "/proc/%d/%s", p.pid, variant->name);
	after = img_read_file(path, &b);
	ASSERT_TRUE(after != NULL);
	EXPECT_EQ(a, b);
	EXPECT_EQ(0, memcmp(before, after, a < b ? a : b));
	ASSERT_EQ(0, img_finish(&p));
}

TEST(exe_link)
{
	char path[64], before[4096] = {}, after[4096] = {};
	struct img_proc p;

	IMG_SPAWN(&p, "plain", 's', NULL, NULL);
	snprintf(path, sizeof(path), "/proc/%d/exe", p.pid);
	ASSERT_LT(0, readlink(path, before, sizeof(before) - 1));
	ASSERT_STREQ(img_self, before);
	ASSERT_EQ(0, img_cycle(&p));
	snprintf(path, sizeof(path), "/proc/%d/exe", p.pid);
	ASSERT_LT(0, readlink(path, after, sizeof(after) - 1));
	EXPECT_STREQ(before, after);
	ASSERT_EQ(0, img_finish(&p));
}

IMG_TEST(brk_is_where_it_was)
{
	void *p = sbrk(123 * PAGE + 5);

	p = sbrk(0);
	img_freeze();
	CHECK(sbrk(0) == p);
}

IMG_TEST(auxiliary_vector)
{
	static const unsigned long types[] = {
		AT_SYSINFO_EHDR, AT_HWCAP, AT_HWCAP2, AT_PAGESZ, AT_PHDR, AT_PHNUM,
		AT_BASE, AT_ENTRY, AT_RANDOM, AT_EXECFN, AT_SECURE,
	};
	unsigned long val[sizeof(types) / sizeof(types[0])];
	char random[16];
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		val[i] = getauxval(types[i]);
	memcpy(random, (void *)getauxval(AT_RANDOM), sizeof(random));
	img_freeze();
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		CHECKF(getauxval(types[i]) == val[i], "type %lu", types[i]);
	CHECK(!memcmp(random, (void *)getauxval(AT_RANDOM), sizeof(random)));
	CHECK(!memcmp((void *)getauxval(AT_SYSINFO_EHDR), "\177ELF", 4));
}

/* A title as daemons set it: cmdline shows what is there now. */
static const char new_title[] = "a new title";

TARGET(title)
{
	/* /proc shows it in anonymous memory only. */
	char *title = strdup(new_title);

	/* In this order, as the start may not be after the end. */
	if (prctl(PR_SET_MM, PR_SET_MM_ARG_START, title, 0, 0) ||
	    prctl(PR_SET_MM, PR_SET_MM_ARG_END, title + sizeof(new_title), 0, 0))
		img_target_skip("PR_SET_MM does not work here");
	img_freeze();
}

TEST(title_set_by_prctl)
{
	char path[64], *text;
	struct img_proc p;

	IMG_SPAWN(&p, "title", 's', NULL, NULL);
	ASSERT_EQ(0, img_cycle(&p));
	snprintf(path, sizeof(path), "/proc/%d/cmdline", p.pid);
	text = img_read_file(path, NULL);
	ASSERT_TRUE(text != NULL);
	EXPECT_STREQ(new_title, text);
	ASSERT_EQ(0, img_finish(&p));
}

IMG_TEST(name)
{
	char buf[16] = {};

	MUST(prctl(PR_SET_NAME, "fifteen letters"));
	img_freeze();
	MUST(prctl(PR_GET_NAME, buf));
	CHECK(!strcmp(buf, "fifteen letters"));
}

IMG_TEST(parent_death_signal)
{
	int sig = 0;

	MUST(prctl(PR_SET_PDEATHSIG, SIGWINCH));
	img_freeze();
	MUST(prctl(PR_GET_PDEATHSIG, &sig));
	CHECK_EQ(SIGWINCH, sig);
	MUST(prctl(PR_SET_PDEATHSIG, SIGKILL));
}

IMG_TEST(timer_slack)
{
	MUST(prctl(PR_SET_TIMERSLACK, 7654321));
	img_freeze();
	CHECK_EQ(7654321, prctl(PR_GET_TIMERSLACK));
}

IMG_TEST(dumpable)
{
	CHECK_EQ(1, prctl(PR_GET_DUMPABLE));
	img_freeze();
	CHECK_EQ(1, prctl(PR_GET_DUMPABLE));
}

/* root may dump it nevertheless; it stays as secretive as it was. */
IMG_TEST(not_dumpable)
{
	MUST(prctl(PR_SET_DUMPABLE, 0));
	img_freeze();
	CHECK_EQ(0, prctl(PR_GET_DUMPABLE));
}

IMG_TEST(no_new_privs)
{
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	img_freeze();
	CHECK_EQ(1, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
}

static int set_no_new_privs(void *data)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : 0;
}

TARGET(new_privs_possible)
{
	CHECK_EQ(0, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	img_freeze();
	CHECK_EQ(1, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
}

/* It cannot be got rid of by way of an image. */
TEST(no_new_privs_of_the_launcher)
{
	struct img_launch how = { .prepare = set_no_new_privs };
	struct img_proc p;

	if (img_nodump())
		SKIP(return, "needs a resume");
	IMG_SPAWN(&p, "new_privs_possible", 's', NULL, NULL);
	ASSERT_EQ(0, img_cycle_as(&p, &how));
	ASSERT_EQ(0, img_finish(&p));
}

static void check_mdwe(unsigned long flags)
{
	char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (prctl(PR_SET_MDWE, flags, 0, 0, 0))
		img_target_skip("no PR_SET_MDWE %lu", flags);
	img_freeze();
	CHECK_EQ(flags, prctl(PR_GET_MDWE, 0, 0, 0, 0));
	CHECK_EQ(-1, mprotect(p, PAGE, PROT_READ | PROT_EXEC));
	CHECK_EQ(EACCES, errno);
}

IMG_TEST(memory_deny_write_execute)
{
	check_mdwe(PR_MDWE_REFUSE_EXEC_GAIN);
}

IMG_TEST(memory_deny_write_execute_no_inherit)
{
	check_mdwe(PR_MDWE_REFUSE_EXEC_GAIN | PR_MDWE_NO_INHERIT);
}

IMG_TEST(thp_disable)
{
	MUST(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	img_freeze();
	CHECK_EQ(1, prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
}

IMG_TEST(thp_not_disabled)
{
	img_freeze();
	CHECK_EQ(0, prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
}

IMG_TEST(personality_read_implies_exec)
{
	char path[64], line[256] = {};
	void *p, *q;
	FILE *f;

	MUST(personality(READ_IMPLIES_EXEC | ADDR_NO_RANDOMIZE));
	p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	img_freeze();
	CHECK_EQ(READ_IMPLIES_EXEC | ADDR_NO_RANDOMIZE, personality(0xffffffff));
	q = mmap(p + 16 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	snprintf(path, sizeof(path), "%lx-", (unsigned long)q);
	f = fopen("/proc/self/maps", "r");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, path, strlen(path)))
			break;
	if (!f || feof(f))
		snprintf(line, sizeof(line), "merged");
	else
		CHECKF(strstr(line, "r-xp"), "%s", line);
}

static int set_compat_layout(void *data)
{
	return personality(ADDR_COMPAT_LAYOUT) < 0 ? -errno : 0;
}

TARGET(layout)
{
	char *a = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *b, *c;

	b = mmap(NULL, 64 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(arg[0] == 'u' ? b > a : b < a);
	img_freeze();
	c = mmap(NULL, 128 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECKF(arg[0] == 'u' ? c > b : c < b, "%p after %p", c, b);
}

/* New mappings grow the way they did: down by default, up in the old layout. */
TEST(mappings_grow_down)
{
	IMG_RUN("layout", 's', "d", NULL);
}

TEST(mappings_grow_up)
{
	struct img_launch how = { .prepare = set_compat_layout };
	struct img_proc p;

	IMG_SPAWN(&p, "layout", 's', "u", &how);
	/* The launcher need not be of that kind. */
	p.how.prepare = NULL;
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

/* And the image does not inherit the launcher's. */
TEST(launcher_of_another_layout)
{
	struct img_proc p;

	IMG_SPAWN(&p, "layout", 's', "d", NULL);
	p.how.prepare = set_compat_layout;
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

/* Nor what its address space can be. */
TEST(launcher_of_32_bits)
{
	char tiny[4200];
	char *argv[] = { tiny, NULL, NULL };
	struct img_launch how = { .argv = argv };
	struct img_proc p;

	if (img_nodump())
		SKIP(return, "needs a resume");
	snprintf(tiny, sizeof(tiny), "%s", img_sibling("tiny32"));
	if (access(tiny, X_OK))
		SKIP(return, "tiny32 was not built");
	IMG_SPAWN(&p, "layout", 's', "d", NULL);
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	argv[1] = p.image;
	if (img_launch(&p, tiny, &how))
		SKIP(return, "the kernel runs no 32-bit programs");
	ASSERT_EQ(0, img_settle(&p));
	ASSERT_EQ(0, img_same_maps(&p));
	ASSERT_EQ(0, img_finish(&p));
}

/*
 * The launcher's part
 */

#define LAUNCHER_NICE	7
#define LAUNCHER_FILES	77

static int make_special(void *data)
{
	struct rlimit lim = { LAUNCHER_FILES, LAUNCHER_FILES };
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	if (chdir("/proc/self/fd/..") || chdir("/proc") ||
	    setpriority(PRIO_PROCESS, 0, LAUNCHER_NICE) ||
	    setrlimit(RLIMIT_NOFILE, &lim) || setsid() < 0 ||
	    sched_setaffinity(0, sizeof(cpus), &cpus))
		return -errno;
	umask(0135);
	if (fcntl(IMG_FD_CTL, F_DUPFD, 20) != 20)
		return -EBADF;
	return 0;
}

TARGET(launchers)
{
	char cwd[100] = {};
	struct rlimit lim;
	cpu_set_t cpus;
	pid_t pid;

	pid = getpid();
	MUST(open("/dev/null", O_RDONLY));
	CHECK_EQ(IMG_FD_EPOLL + 1, MUST(open("/dev/null", O_RDONLY)) - 1);
	img_freeze();
	CHECK(getpid() != pid);
	CHECK_EQ(getpid(), syscall(SYS_gettid));
	CHECK(getcwd(cwd, sizeof(cwd)) && !strcmp(cwd, "/proc"));
	CHECK_EQ(0135, umask(0));
	CHECK_EQ(LAUNCHER_NICE, getpriority(PRIO_PROCESS, 0));
	MUST(getrlimit(RLIMIT_NOFILE, &lim));
	CHECK_EQ(LAUNCHER_FILES, lim.rlim_cur);
	CHECK_EQ(getpid(), getsid(0));
	CHECK_EQ(getpid(), getpgrp());
	MUST(sched_getaffinity(0, sizeof(cpus), &cpus));
	CHECK_EQ(1, CPU_COUNT(&cpus));
	/* Its open files and no others. */
	CHECK_EQ(-1, fcntl(IMG_FD_EPOLL + 1, F_GETFD));
	CHECK_EQ(-1, fcntl(IMG_FD_EPOLL + 2, F_GETFD));
	CHECK_EQ(0, fcntl(20, F_GETFD));
}

TEST(what_is_the_launchers)
{
	struct img_proc p;

	if (img_nodump())
		SKIP(return, "needs a resume");
	IMG_SPAWN(&p, "launchers", 's', NULL, NULL);
	p.how.prepare = make_special;
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

/* Arguments and environment given to an image are not its own. */
TEST(arguments_are_ignored)
{
	char *const argv[] = { "another", "two", "three", NULL };
	char *const envp[] = { "NEW=environment", NULL };
	struct img_launch how = { .argv = argv, .envp = envp };
	char path[64], *before, *after;
	struct img_proc p, q = {};
	size_t a, b;

	if (img_nodump())
		SKIP(return, "needs a resume");
	IMG_SPAWN(&p, "plain", 's', NULL, NULL);
	snprintf(path, sizeof(path), "/proc/%d/cmdline", p.pid);
	before = img_read_file(path, &a);
	ASSERT_EQ(0, img_dump(&p));
	q.mode = 's';
	ASSERT_EQ(0, img_launch(&q, p.image, &how));
	ASSERT_EQ(0, img_settle(&q));
	snprintf(path, sizeof(path), "/proc/%d/cmdline", q.pid);
	after = img_read_file(path, &b);
	ASSERT_TRUE(before && after);
	EXPECT_EQ(a, b);
	EXPECT_EQ(0, memcmp(before, after, a));
	ASSERT_EQ(0, img_finish(&q));
	ASSERT_EQ(0, img_finish(&p));
}

/* A process that was resumed executes another program as any other does. */
static int exec_true(void)
{
	execl("/bin/true", "true", NULL);
	return 126;
}

IMG_TEST(then_exec)
{
	int status;

	img_freeze();
	if (!fork())
		_exit(exec_true());
	MUST(wait(&status));
	CHECK_EQ(0, status);
}

/* close-on-exec is about the exec of the image, too. */
static int leave_cloexec(void *data)
{
	if (fcntl(IMG_FD_CTL, F_DUPFD_CLOEXEC, 20) != 20 ||
	    fcntl(IMG_FD_CTL, F_DUPFD, 21) != 21)
		return -EBADF;
	return 0;
}

TARGET(cloexec)
{
	img_freeze();
	CHECK_EQ(-1, fcntl(20, F_GETFD));
	CHECK_EQ(0, fcntl(21, F_GETFD));
}

TEST(close_on_exec)
{
	struct img_launch how = { .prepare = leave_cloexec };

	IMG_RUN("cloexec", 's', NULL, &how);
}
