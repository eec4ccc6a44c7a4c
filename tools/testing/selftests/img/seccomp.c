// SPDX-License-Identifier: GPL-2.0
/*
 * seccomp(2): filters and strict mode come with the image, those of the
 * launcher stay, and neither is in the way of the resume itself.
 */
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include "img_test.h"

#define NR		offsetof(struct seccomp_data, nr)
#define LOAD_NR		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NR)
#define ALLOW		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
/* The next instruction is for system call @nr only. */
#define IF(nr)		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1)
#define FAIL(err)	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (err))
#define KILL		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)

static long install(struct sock_filter *insns, unsigned int len, unsigned int flags)
{
	struct sock_fprog prog = { len, insns };

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
}

/* System call @nr fails with @err from now on. */
static long forbid(int nr, int err, unsigned int flags)
{
	struct sock_filter insns[] = { LOAD_NR, IF(nr), FAIL(err), ALLOW };

	return install(insns, 4, flags);
}

static void must_forbid(int nr, int err, unsigned int flags)
{
	if (forbid(nr, err, flags))
		img_target_skip("no seccomp filters: %d", errno);
}

static void no_new_privs(void)
{
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static void check_forbidden(int nr, int err)
{
	errno = 0;
	CHECKF(syscall(nr, -1, -1, -1) == -1 && errno == err, "%d: errno %d, not %d", nr, errno,
	       err);
}

static long nr_filters(void)
{
	return img_status_field(getpid(), "Seccomp_filters:", 10);
}

#define TWICE(target, arg, how) do {					\
	struct img_proc __p;						\
									\
	IMG_SPAWN(&__p, target, 's', arg, how);				\
	ASSERT_EQ(0, img_cycle(&__p));					\
	ASSERT_EQ(0, img_cycle(&__p));					\
	ASSERT_EQ(0, img_finish(&__p));					\
	IMG_SKIP_IF_SKIPPED(&__p);					\
} while (0)

#define TEST_TWICE(_name)						\
	TEST(_name) { TWICE(#_name, NULL, NULL); }			\
	TARGET(_name)

TEST_TWICE(one_filter)
{
	no_new_privs();
	must_forbid(SYS_getppid, 77, 0);
	img_freeze();
	check_forbidden(SYS_getppid, 77);
	CHECK_EQ(2, prctl(PR_GET_SECCOMP));
	CHECK_EQ(1, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	CHECK_EQ(2, img_status_field(getpid(), "Seccomp:", 10));
	CHECK_EQ(1, nr_filters());
	/* One can still add to it. */
	CHECK_EQ(0, forbid(SYS_getpgrp, 78, 0));
	check_forbidden(SYS_getpgrp, 78);
	check_forbidden(SYS_getppid, 77);
}

/* Of equal results that of the newest filter counts. */
TEST_TWICE(order_of_filters)
{
	no_new_privs();
	must_forbid(SYS_getppid, 1, 0);
	must_forbid(SYS_getppid, 2, SECCOMP_FILTER_FLAG_LOG);
	must_forbid(SYS_getpgrp, 3, SECCOMP_FILTER_FLAG_SPEC_ALLOW);
	img_freeze();
	check_forbidden(SYS_getppid, 2);
	check_forbidden(SYS_getpgrp, 3);
	CHECK_EQ(3, nr_filters());
}

/* None of what a resume does is a system call of the process. */
TEST_TWICE(filter_that_forbids_nearly_all)
{
	static const int allowed[] = {
		SYS_recvfrom, SYS_sendto, SYS_getpid, SYS_exit_group, SYS_rt_sigreturn,
		SYS_seccomp, SYS_prctl,
	};
	struct sock_filter insns[2 * sizeof(allowed) / sizeof(allowed[0]) + 2];
	size_t i, n = 0;

	insns[n++] = (struct sock_filter)LOAD_NR;
	for (i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		insns[n++] = (struct sock_filter)IF(allowed[i]);
		insns[n++] = (struct sock_filter)ALLOW;
	}
	insns[n++] = (struct sock_filter)KILL;
	no_new_privs();
	if (install(insns, n, 0))
		img_target_skip("no seccomp filters");
	img_freeze();
	CHECK_EQ(getpid(), getpid());
	CHECK_EQ(2, prctl(PR_GET_SECCOMP));
}

/* A filter that may be installed only with a right that the process had. */
TARGET(filter_of_root)
{
	must_forbid(SYS_getppid, 77, 0);
	CHECK_EQ(0, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	img_freeze();
	check_forbidden(SYS_getppid, 77);
	CHECK_EQ(*arg == 'n', prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
}

TEST(without_no_new_privs)
{
	TWICE("filter_of_root", "", NULL);
}

static int set_no_new_privs(void *data)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : 0;
}

TEST(needs_a_right)
{
	struct img_launch nobody = { .uid = IMG_NOBODY };
	struct img_launch nnp = { .uid = IMG_NOBODY, .prepare = set_no_new_privs };
	struct img_proc p;
	pid_t pid;

	if (img_nodump() || geteuid())
		SKIP(return, "needs a resume, by root");
	IMG_SPAWN(&p, "filter_of_root", 's', "n", NULL);
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	EXPECT_EQ(-EACCES, img_try_exec(p.image, &nobody, &pid));
	ASSERT_EQ(0, img_resume_as(&p, &nnp));
	ASSERT_EQ(0, img_settle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

/* The image's no_new_privs is enough. */
TEST(needs_no_other_right)
{
	struct img_launch nobody = { .uid = IMG_NOBODY };

	if (geteuid())
		SKIP(return, "not root");
	TWICE("one_filter", NULL, &nobody);
}

/*
 * Filters of the launcher
 */

#define CONTAINER	SYS_acct
#define OTHER		SYS_vhangup

static int in_container(void *data)
{
	if (set_no_new_privs(NULL) || forbid(CONTAINER, 101, 0) ||
	    forbid(CONTAINER, 102, SECCOMP_FILTER_FLAG_LOG))
		return -errno;
	return 0;
}

static int in_larger_container(void *data)
{
	int ret = in_container(data);

	return ret ?: forbid(OTHER, 103, 0) ? -errno : 0;
}

static int in_other_container(void *data)
{
	return set_no_new_privs(NULL) || forbid(OTHER, 103, 0) ? -errno : 0;
}

/* With as many filters as @arg says. */
TARGET(contained)
{
	CHECK_EQ(2, nr_filters());
	must_forbid(SYS_getppid, 77, 0);
	img_freeze();
	CHECK_EQ(atoi(arg), nr_filters());
	check_forbidden(CONTAINER, 102);
	check_forbidden(SYS_getppid, 77);
	if (atoi(arg) > 3)
		check_forbidden(OTHER, 103);
}

/* What both have is there once. */
TEST(same_container)
{
	struct img_launch how = { .prepare = in_container };

	TWICE("contained", "3", &how);
}

TEST(out_of_the_container)
{
	struct img_launch how = { .prepare = in_container };
	struct img_proc p;

	IMG_SPAWN(&p, "contained", 's', "3", &how);
	p.how.prepare = NULL;
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

/* All of the image's over all of the launcher's. */
TEST(another_container)
{
	struct img_launch how = { .prepare = in_container };
	struct img_proc p;

	if (img_nodump())
		SKIP(return, "needs a resume");
	IMG_SPAWN(&p, "contained", 's', "4", &how);
	p.how.prepare = in_other_container;
	ASSERT_EQ(0, img_cycle(&p));
	/* The second image has them all. */
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

/* The launcher's filters are asked about a sleep that goes on. */
static int without_sleep(void *data)
{
	return set_no_new_privs(NULL) || forbid(SYS_clock_nanosleep, 57, 0) ? -errno : 0;
}

TARGET(sleeping)
{
	struct timespec ts = { .tv_sec = 5 };
	long ret;

	img_send('R', " ");
	ret = syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &ts, NULL);
	img_send('M', "%ld", ret < 0 ? -(long)errno : ret);
}

TEST(sleep_that_goes_on)
{
	struct img_launch how = { .prepare = without_sleep };
	char text[64];
	struct img_proc p;

	if (img_nodump())
		SKIP(return, "needs a resume");
	ASSERT_EQ(0, img_start(&p, "sleeping", 's', NULL, NULL));
	ASSERT_EQ(0, img_recv(&p, 'R', NULL, 0));
	ASSERT_EQ(0, img_wait_syscall(p.pid, SYS_clock_nanosleep));
	ASSERT_EQ(0, img_cycle_as(&p, &how));
	ASSERT_EQ(0, img_recv(&p, 'M', text, sizeof(text)));
	EXPECT_STREQ("-57", text);
	ASSERT_EQ(0, img_wait_exit(&p));
}

/* What filters often forbid does not come by an exec. */
TARGET(of_a_personality)
{
	MUST(personality(PER_LINUX | STICKY_TIMEOUTS));
	img_freeze();
	CHECK_EQ(PER_LINUX | STICKY_TIMEOUTS, personality(0xffffffff));
}

static int of_that_personality(void *data)
{
	if (personality(PER_LINUX | STICKY_TIMEOUTS) < 0)
		return -errno;
	return in_container(data);
}

TEST(state_that_filters_may_forbid)
{
	struct img_launch how = { .prepare = in_container };
	struct img_launch same = { .prepare = of_that_personality };
	struct img_proc p;
	pid_t pid;

	if (img_nodump())
		SKIP(return, "needs a dump");
	IMG_SPAWN(&p, "of_a_personality", 's', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	EXPECT_EQ(-EPERM, img_try_exec(p.image, &how, &pid));
	p.how = same;
	ASSERT_EQ(0, img_resume(&p));
	ASSERT_EQ(0, img_finish(&p));
}

TEST(larger_container)
{
	struct img_launch how = { .prepare = in_container };
	struct img_proc p;

	if (img_nodump())
		SKIP(return, "needs a resume");
	IMG_SPAWN(&p, "contained", 's', "6", &how);
	p.how.prepare = in_larger_container;
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

TARGET(uncontained)
{
	img_freeze();
	CHECK_EQ(2, nr_filters());
	check_forbidden(CONTAINER, 102);
}

TEST(into_a_container)
{
	struct img_proc p;

	if (img_nodump())
		SKIP(return, "needs a resume");
	IMG_SPAWN(&p, "uncontained", 's', NULL, NULL);
	p.how.prepare = in_container;
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

/* Nothing is left to be installed, so no right is needed to do it. */
static int contain_by_root(void *data)
{
	if (forbid(CONTAINER, 101, 0))
		return -errno;
	if (setresgid(IMG_NOBODY, IMG_NOBODY, IMG_NOBODY) ||
	    setresuid(IMG_NOBODY, IMG_NOBODY, IMG_NOBODY))
		return -errno;
	return prctl(PR_SET_PDEATHSIG, SIGKILL) ? -errno : 0;
}

TARGET(contained_by_root)
{
	img_freeze();
	CHECK_EQ(1, nr_filters());
	check_forbidden(CONTAINER, 101);
	CHECK_EQ(0, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
}

TEST(container_made_by_root)
{
	struct img_launch how = { .prepare = contain_by_root };

	if (geteuid())
		SKIP(return, "not root");
	TWICE("contained_by_root", NULL, &how);
}

/* The dumper is in there, too. */
TEST(dumped_inside_the_container)
{
	struct img_launch how = { .prepare = in_container };
	struct img_proc p;
	int status;
	pid_t pid;

	if (img_nodump())
		SKIP(return, "needs a dump");
	IMG_SPAWN(&p, "contained", 's', "3", &how);
	pid = fork();
	if (!pid) {
		if (in_container(NULL))
			_exit(1);
		_exit(-img_dump_to(p.pid, p.image));
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	p.maps = img_maps(p.pid);
	img_kill(&p);
	ASSERT_EQ(0, img_resume(&p));
	ASSERT_EQ(0, img_same_maps(&p));
	ASSERT_EQ(0, img_finish(&p));
}

/* The call that is issued again meets the filters, as a restarted one does. */
TARGET(call_in_progress)
{
	char c;

	img_send('R', " ");
	CHECK_EQ(-1, recv(IMG_FD_CTL, &c, 1, 0));
	CHECK_EQ(EXDEV, errno);
}

static int forbid_recv(void *data)
{
	return set_no_new_privs(NULL) || forbid(SYS_recvfrom, EXDEV, 0) ? -errno : 0;
}

TEST(call_in_progress)
{
	struct img_launch how = { .prepare = forbid_recv };
	struct img_proc p;

	if (img_nodump())
		SKIP(return, "needs a resume");
	IMG_SPAWN(&p, "call_in_progress", 's', NULL, NULL);
	ASSERT_EQ(0, img_cycle_as(&p, &how));
	ASSERT_EQ(0, img_wait_exit(&p));
}

/*
 * Listeners
 */

static int install_listener(void)
{
	struct sock_filter insns[] = {
		LOAD_NR, IF(SYS_getppid), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		ALLOW,
	};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return install(insns, 4, SECCOMP_FILTER_FLAG_NEW_LISTENER);
}

TARGET(with_listener)
{
	if (install_listener() < 0)
		img_target_skip("no listeners");
	img_freeze();
}

TEST(listener_is_refused)
{
	struct img_proc p;
	int log;

	if (img_nodump())
		SKIP(return, "needs a dump");
	log = img_log_open_quiet();
	IMG_SPAWN(&p, "with_listener", 's', NULL, NULL);
	EXPECT_EQ(-EOPNOTSUPP, img_open_dump(p.pid));
	EXPECT_TRUE(img_log_has(log, "cannot dump: ", "a seccomp filter that has a listener"));
	close(log);
	ASSERT_EQ(0, img_finish(&p));
}

/* Without it, the kernel says that there is no such call. */
TEST_TWICE(listener_is_gone)
{
	int listener = install_listener();

	if (listener < 0)
		img_target_skip("no listeners");
	close(listener);
	check_forbidden(SYS_getppid, ENOSYS);
	img_freeze();
	check_forbidden(SYS_getppid, ENOSYS);
	CHECK_EQ(1, nr_filters());
}

/* The same program, but somebody may listen: it is not the same filter. */
static int listen_to_oneself(void *data)
{
	int listener = install_listener();

	return listener < 0 || fcntl(listener, F_DUPFD, 30) < 0 ? -errno : 0;
}

TARGET(not_listened_to)
{
	int listener = install_listener();

	if (listener < 0)
		img_target_skip("no listeners");
	close(listener);
	img_freeze();
	check_forbidden(SYS_getppid, ENOSYS);
	CHECK_EQ(2, nr_filters());
}

TEST(launcher_has_listener)
{
	struct img_proc p;

	if (img_nodump())
		SKIP(return, "needs a resume");
	IMG_SPAWN(&p, "not_listened_to", 's', NULL, NULL);
	p.how.prepare = listen_to_oneself;
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

/*
 * Strict mode
 */

static int strict_round(void)
{
	char c = 0;

	syscall(SYS_write, IMG_FD_CTL, "R", 1);
	syscall(SYS_read, IMG_FD_CTL, &c, 1);
	return c;
}

TARGET(strict)
{
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
		img_target_skip("no strict mode");
	syscall(SYS_exit, strict_round() == 'G' ? 0 : 1);
}

TARGET(strict_violated)
{
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
		img_target_skip("no strict mode");
	strict_round();
	syscall(SYS_getpid);
	syscall(SYS_exit, 0);
}

static int start_strict(struct img_proc *p, const char *target)
{
	int ret;

	ret = img_start(p, target, 's', NULL, NULL);
	if (!ret)
		ret = img_recv(p, 'R', NULL, 0);
	return ret ?: img_wait_syscall(p->pid, SYS_read);
}

static int cycle_strict(struct img_proc *p)
{
	int ret = img_dump(p);

	if (ret)
		return ret;
	img_kill(p);
	ret = img_resume_as(p, NULL);
	return ret ?: img_wait_syscall(p->pid, SYS_read);
}

TEST(strict_mode)
{
	struct img_proc p;
	int ret;

	ret = start_strict(&p, "strict");
	IMG_SKIP_IF_SKIPPED(&p);
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, cycle_strict(&p));
	EXPECT_EQ(1, img_status_field(p.pid, "Seccomp:", 10));
	ASSERT_EQ(0, cycle_strict(&p));
	EXPECT_EQ(1, img_status_field(p.pid, "Seccomp:", 10));
	ASSERT_EQ(0, img_finish(&p));
}

TEST(strict_mode_violated)
{
	struct img_proc p;
	int ret, status;

	ret = start_strict(&p, "strict_violated");
	IMG_SKIP_IF_SKIPPED(&p);
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, cycle_strict(&p));
	ASSERT_EQ(0, img_go(&p));
	ASSERT_EQ(0, img_wait_status(p.pid, &status));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	p.pid = 0;
	img_forget(&p);
}

TEST(strict_mode_over_filters)
{
	struct img_launch how = { .prepare = in_container };
	struct img_proc p;
	pid_t pid;
	int ret;

	if (img_nodump())
		SKIP(return, "needs a resume");
	ret = start_strict(&p, "strict");
	IMG_SKIP_IF_SKIPPED(&p);
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, img_dump(&p));
	EXPECT_EQ(-EPERM, img_try_exec(p.image, &how, &pid));
	img_forget(&p);
}

/*
 * Size
 */

/* As long as a program may be; @variant makes it a different one. */
static int install_long(int variant)
{
	static struct sock_filter insns[BPF_MAXINSNS];
	size_t i;

	for (i = 0; i < BPF_MAXINSNS - 1; i++)
		insns[i] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, variant);
	insns[i] = (struct sock_filter)ALLOW;
	return install(insns, BPF_MAXINSNS, 0) ? -errno : 0;
}

TEST_TWICE(long_filters)
{
	int i;

	no_new_privs();
	for (i = 0; i < 4; i++)
		if (install_long(i))
			img_target_skip("no seccomp filters");
	img_freeze();
	CHECK_EQ(4, nr_filters());
}

static int install_four(void *data)
{
	int i, ret = set_no_new_privs(NULL);

	for (i = 0; !ret && i < 4; i++)
		ret = install_long(10 + i);
	return ret;
}

TEST(more_than_a_path_may_have)
{
	struct img_launch how = { .prepare = install_four };
	struct img_proc p;
	pid_t pid;

	if (img_nodump())
		SKIP(return, "needs a resume");
	IMG_SPAWN(&p, "long_filters", 's', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	EXPECT_EQ(-ENOMEM, img_try_exec(p.image, &how, &pid));
	img_forget(&p);
}

/*
 * Hostile notes
 */

FIXTURE(hostile) {
	struct img_proc p;
	struct img_image im;
};

FIXTURE_SETUP(hostile)
{
	if (img_nodump())
		SKIP(return, "needs a dump");
	ASSERT_EQ(0, img_spawn(&self->p, "order_of_filters", 's', NULL, NULL));
	ASSERT_EQ(0, img_dump(&self->p));
	img_kill(&self->p);
	ASSERT_EQ(0, img_load(&self->im, self->p.image));
}

FIXTURE_TEARDOWN(hostile)
{
	img_forget(&self->p);
	img_free(&self->im);
}

static struct img_seccomp *note(struct img_image *im)
{
	return img_note(im, "IMG", NT_IMG_SECCOMP, 0, NULL);
}

static struct img_seccomp_filter *filter(struct img_image *im, int i)
{
	return (void *)((char *)note(im) + note(im)->filters_off + i * note(im)->filter_size);
}

static struct img_bpf_insn *insn(struct img_image *im, int i)
{
	return (struct img_bpf_insn *)((char *)note(im) + filter(im, 1)->insns_off) + i;
}

static int try_image(struct img_image *im, const char *path)
{
	pid_t pid = 0;
	int ret;

	img_fix_crc(im);
	ret = img_save(im, path);
	if (!ret)
		ret = img_try_exec(path, NULL, &pid);
	if (pid) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return ret;
}

#define VALUE(_where, _value, _error) do {				\
	struct img_image copy, *im = &copy;				\
									\
	ASSERT_EQ(0, img_copy(im, &self->im));				\
	(_where) = (_value);						\
	EXPECT_EQ(-(_error), try_image(im, self->p.image)) {		\
		TH_LOG("%s = %llx", #_where, (unsigned long long)(_value)); \
	}								\
	img_free(im);							\
} while (0)

TEST_F(hostile, format)
{
	size_t len;
	struct img_seccomp_filter f;
	struct img_seccomp s;

	ASSERT_TRUE(img_note(&self->im, "IMG", NT_IMG_SECCOMP, 0, &len) != NULL);
	memcpy(&s, note(&self->im), sizeof(s));
	EXPECT_EQ(sizeof(s), s.size);
	EXPECT_EQ(SECCOMP_MODE_FILTER, s.mode);
	EXPECT_EQ(3, s.nr);
	EXPECT_EQ(sizeof(f), s.filter_size);
	EXPECT_EQ(0, s.pad);
	memcpy(&f, filter(&self->im, 1), sizeof(f));
	EXPECT_EQ(IMG_SECCOMP_LOG, f.flags);
	EXPECT_EQ(4, f.nr_insns);
	EXPECT_EQ(0, f.pad);
	EXPECT_EQ(SYS_getppid, insn(&self->im, 1)->k);
	EXPECT_EQ(SECCOMP_RET_ERRNO | 2, insn(&self->im, 2)->k);
	EXPECT_EQ(0, filter(&self->im, 0)->flags);
	EXPECT_EQ(sizeof(s) + 3 * sizeof(f) + 12 * sizeof(struct img_bpf_insn), len);
}

TEST_F(hostile, note)
{
	VALUE(note(im)->size, note(im)->size, 0);
	VALUE(note(im)->size, 0, EBADMSG);
	VALUE(note(im)->size, 4, EOPNOTSUPP);
	VALUE(note(im)->size, 0xffffffff, EBADMSG);
	VALUE(note(im)->mode, 0, EOPNOTSUPP);
	VALUE(note(im)->mode, 3, EOPNOTSUPP);
	VALUE(note(im)->mode, 0xffffffff, EOPNOTSUPP);
	VALUE(note(im)->mode, SECCOMP_MODE_STRICT, EBADMSG);
	VALUE(note(im)->pad, 1, EBADMSG);
	VALUE(note(im)->nr, 0, EBADMSG);
	/* The fourth would be what the programs begin with. */
	VALUE(note(im)->nr, 4, EOPNOTSUPP);
	VALUE(note(im)->nr, 0x10000000, EBADMSG);
	VALUE(note(im)->nr, 0xffffffff, EBADMSG);
	VALUE(note(im)->filter_size, 0, EBADMSG);
	VALUE(note(im)->filter_size, 15, EBADMSG);
	VALUE(note(im)->filter_size, 0xffffffff, EBADMSG);
	VALUE(note(im)->filters_off, 0xffffffff, EBADMSG);
	VALUE(note(im)->filters_off, 0xfffffff0, EBADMSG);
}

TEST_F(hostile, filter)
{
	VALUE(filter(im, 1)->flags, 2, EOPNOTSUPP);
	VALUE(filter(im, 1)->flags, 0xffffffff, EOPNOTSUPP);
	VALUE(filter(im, 2)->pad, 1, EBADMSG);
	VALUE(filter(im, 1)->nr_insns, 0, EBADMSG);
	VALUE(filter(im, 1)->nr_insns, 3, EBADMSG);
	VALUE(filter(im, 1)->nr_insns, 4097, EBADMSG);
	VALUE(filter(im, 1)->nr_insns, 0x10004, EBADMSG);
	VALUE(filter(im, 1)->nr_insns, 0x20000000, EBADMSG);
	VALUE(filter(im, 1)->nr_insns, 0xffffffff, EBADMSG);
	VALUE(filter(im, 1)->insns_off, 0xffffffff, EBADMSG);
	VALUE(filter(im, 2)->insns_off, filter(im, 2)->insns_off + 1, EBADMSG);
}

TEST_F(hostile, instructions)
{
	VALUE(insn(im, 0)->code, 0xffff, EBADMSG);
	VALUE(insn(im, 0)->code, BPF_LD | BPF_B | BPF_ABS, EBADMSG);
	VALUE(insn(im, 0)->code, BPF_LDX | BPF_B | BPF_MSH, EBADMSG);
	VALUE(insn(im, 0)->k, 1, EBADMSG);
	VALUE(insn(im, 0)->k, sizeof(struct seccomp_data), EBADMSG);
	VALUE(insn(im, 0)->k, 0xfffff000, EBADMSG);
	VALUE(insn(im, 1)->jt, 200, EBADMSG);
	VALUE(insn(im, 1)->jf, 2, EBADMSG);
	VALUE(insn(im, 1)->code, BPF_JMP | BPF_JA, EBADMSG);
	VALUE(insn(im, 2)->code, BPF_ST, EBADMSG);
	VALUE(insn(im, 3)->code, BPF_LD | BPF_IMM, EBADMSG);
	VALUE(insn(im, 3)->code, BPF_ALU | BPF_DIV | BPF_K, EBADMSG);
	VALUE(insn(im, 3)->k, 0x12345678, 0);
}

/* The note for tools becomes a second one. */
TEST_F(hostile, two_notes)
{
	char *info = img_note(&self->im, "IMG", NT_IMG_INFO, 0, NULL);

	ASSERT_TRUE(info != NULL);
	((Elf64_Nhdr *)(info - 4 - sizeof(Elf64_Nhdr)))->n_type = NT_IMG_SECCOMP;
	EXPECT_EQ(-EBADMSG, try_image(&self->im, self->p.image));
}
