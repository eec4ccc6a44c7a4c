// SPDX-License-Identifier: GPL-2.0
/*
 * Who may dump whom; a user without privileges from end to end.
 */
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "img_test.h"

#define OTHER	65533

static void drop(struct __test_metadata *_metadata, uid_t uid)
{
	ASSERT_EQ(0, setgroups(0, NULL));
	ASSERT_EQ(0, setresgid(uid, uid, uid));
	ASSERT_EQ(0, setresuid(uid, uid, uid));
}

/* A scratch directory of this user's own. */
static void own_dir(struct __test_metadata *_metadata, uid_t uid)
{
	const char *dir = img_path("user.%d", getpid());

	ASSERT_EQ(0, mkdir(dir, 0755));
	ASSERT_EQ(0, chown(dir, uid, uid));
	snprintf(img_dir, sizeof(img_dir), "%s", dir);
	setenv("IMG_DIR", dir, 1);
}

#define SCOPE "/proc/sys/kernel/yama/ptrace_scope"

/*
 * Yama's rule that only descendants can be attached to, off or on for a test,
 * and afterwards as it was: other tests dump what is not their descendant.
 */
FIXTURE(scope)
{
	char before[16];
};

FIXTURE_SETUP(scope)
{
	FILE *f = fopen(SCOPE, "re");

	if (!f)
		return;
	if (!fgets(self->before, sizeof(self->before), f))
		self->before[0] = 0;
	fclose(f);
}

FIXTURE_TEARDOWN(scope)
{
	if (self->before[0] && !geteuid())
		img_write_str(SCOPE, self->before);
}

static void set_scope(const char *value)
{
	img_write_str(SCOPE, value);
}

TARGET(plain)
{
	static char data[65536];
	uid_t uid = getuid();

	img_fill(data, sizeof(data), 1);
	img_freeze();
	CHECK_FILL(data, sizeof(data), 1);
	CHECK_EQ(uid, getuid());
}

/* An errno of a child of ours that tries to dump @pid as @uid. */
static int dump_as(uid_t uid, pid_t pid)
{
	int status, ret;
	pid_t child;

	child = fork();
	if (!child) {
		if (uid && (setgroups(0, NULL) || setresgid(uid, uid, uid) ||
			    setresuid(uid, uid, uid)))
			_exit(255);
		ret = img_open_dump(pid);
		_exit(ret < 0 ? -ret : 0);
	}
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

TEST(unprivileged_from_end_to_end)
{
	struct img_proc p;

	if (geteuid())
		SKIP(return, "not root");
	own_dir(_metadata, IMG_NOBODY);
	drop(_metadata, IMG_NOBODY);
	IMG_SPAWN(&p, "plain", 's', NULL, NULL);
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

/* An image is data: another user runs it with that one's own rights. */
TARGET(whoami)
{
	img_freeze();
	img_send('M', "%d %d %d", getuid(), geteuid(), getgid());
	CHECK_EQ(-1, setuid(0));
}

TEST(image_of_root_run_by_a_user)
{
	struct img_launch how = { .uid = IMG_NOBODY };
	struct img_proc p;
	char text[64];

	if (geteuid() || img_nodump())
		SKIP(return, "not root, or no resume");
	IMG_SPAWN(&p, "whoami", 's', NULL, NULL);
	ASSERT_EQ(0, img_cycle_as(&p, &how));
	p.mode = 's';
	ASSERT_EQ(0, img_settle(&p));
	ASSERT_EQ(0, img_go(&p));
	ASSERT_EQ(0, img_recv(&p, 'M', text, sizeof(text)));
	EXPECT_STREQ("65534 65534 65534", text);
	ASSERT_EQ(0, img_wait_exit(&p));
}

/* Set-user-ID works on an image as on any program. */
TEST(set_user_id_image)
{
	struct img_proc p;
	char text[64];
	int ret;

	if (geteuid() || img_nodump())
		SKIP(return, "not root, or no resume");
	IMG_SPAWN(&p, "whoami", 's', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	ASSERT_EQ(0, chown(p.image, IMG_NOBODY, IMG_NOBODY));
	ASSERT_EQ(0, chmod(p.image, 04755));
	/* Launched by another user, it has the owner's rights, or it is refused. */
	struct img_launch how = { .uid = OTHER };

	ret = img_launch(&p, p.image, &how);
	if (ret) {
		EXPECT_EQ(-EPERM, ret);
		return;
	}
	p.mode = 's';
	ASSERT_EQ(0, img_settle(&p));
	ASSERT_EQ(0, img_go(&p));
	ASSERT_EQ(0, img_recv(&p, 'M', text, sizeof(text)));
	EXPECT_STREQ("65533 65534 65533", text);
	ASSERT_EQ(0, img_wait_exit(&p));
}

TEST_F(scope, process_of_another_user)
{
	struct img_launch how = { .uid = OTHER };
	struct img_proc p;

	if (geteuid() || img_nodump())
		SKIP(return, "not root, or no dump");
	IMG_SPAWN(&p, "plain", 's', NULL, &how);
	set_scope("0");
	EXPECT_EQ(EACCES, dump_as(IMG_NOBODY, p.pid));
	EXPECT_EQ(0, dump_as(OTHER, p.pid));
	EXPECT_EQ(0, dump_as(0, p.pid));
	ASSERT_EQ(0, img_finish(&p));
}

TEST(process_of_root)
{
	struct img_proc p;

	if (geteuid() || img_nodump())
		SKIP(return, "not root, or no dump");
	IMG_SPAWN(&p, "plain", 's', NULL, NULL);
	EXPECT_EQ(EACCES, dump_as(IMG_NOBODY, p.pid));
	ASSERT_EQ(0, img_finish(&p));
}

TEST(process_one_of_a_user)
{
	if (geteuid() || img_nodump())
		SKIP(return, "not root, or no dump");
	EXPECT_EQ(EACCES, dump_as(IMG_NOBODY, 1));
}

/* Yama: not a descendant. */
TEST_F(scope, ptrace_scope)
{
	struct img_launch how = { .uid = IMG_NOBODY };
	struct img_proc p;

	if (geteuid() || img_nodump() || access(SCOPE, W_OK))
		SKIP(return, "no Yama");
	IMG_SPAWN(&p, "plain", 's', NULL, &how);
	set_scope("1");
	EXPECT_EQ(EACCES, dump_as(IMG_NOBODY, p.pid));
	set_scope("0");
	EXPECT_EQ(0, dump_as(IMG_NOBODY, p.pid));
	ASSERT_EQ(0, img_finish(&p));
}

TARGET(undumpable)
{
	MUST(prctl(PR_SET_DUMPABLE, 0));
	img_freeze();
	CHECK_EQ(0, prctl(PR_GET_DUMPABLE));
}

TEST_F(scope, undumpable_process)
{
	struct img_launch how = { .uid = IMG_NOBODY };
	struct img_proc p;

	if (geteuid() || img_nodump())
		SKIP(return, "not root, or no dump");
	/* /proc/PID/syscall of it is root's alone, as the dump is. */
	IMG_SPAWN(&p, "undumpable", 's', NULL, &how);
	set_scope("0");
	EXPECT_EQ(EACCES, dump_as(IMG_NOBODY, p.pid));
	EXPECT_EQ(0, dump_as(0, p.pid));
	ASSERT_EQ(0, img_finish(&p));
}

/* A program that its user may run but not read. */
TEST_F(scope, unreadable_program)
{
	struct img_launch how = { .uid = IMG_NOBODY };
	struct img_proc p = { .mode = 's' };
	char path[300];
	char *text;
	size_t len;

	if (geteuid() || img_nodump())
		SKIP(return, "not root, or no dump");
	snprintf(path, sizeof(path), "%s", img_path("unreadable"));
	text = img_read_file(img_sibling("prog_static"), &len);
	if (!text)
		SKIP(return, "no prog_static");
	ASSERT_EQ(0, img_write_file(path, text, len));
	ASSERT_EQ(0, chmod(path, 0711));
	ASSERT_EQ(0, img_launch(&p, path, &how));
	ASSERT_EQ(0, img_await_ready(&p));
	set_scope("0");
	EXPECT_EQ(EACCES, dump_as(IMG_NOBODY, p.pid));
	EXPECT_EQ(0, dump_as(0, p.pid));
	ASSERT_EQ(0, img_finish(&p));
}

/* A process that has changed its user ID since its exec. */
TARGET(was_root)
{
	MUST(setgroups(0, NULL));
	MUST(setresgid(IMG_NOBODY, IMG_NOBODY, IMG_NOBODY));
	MUST(setresuid(IMG_NOBODY, IMG_NOBODY, IMG_NOBODY));
	img_freeze();
}

TEST_F(scope, process_that_was_root)
{
	struct img_proc p;

	if (geteuid() || img_nodump())
		SKIP(return, "not root, or no dump");
	IMG_SPAWN(&p, "was_root", 's', NULL, NULL);
	set_scope("0");
	EXPECT_EQ(EACCES, dump_as(IMG_NOBODY, p.pid));
	ASSERT_EQ(0, img_finish(&p));
}

/* The right is asked for at open: the descriptor can be handed on. */
TEST(descriptor_passed_on)
{
	struct img_proc p;
	char buf[256];
	pid_t child;
	int fd, status;

	if (geteuid() || img_nodump())
		SKIP(return, "not root, or no dump");
	IMG_SPAWN(&p, "plain", 's', NULL, NULL);
	fd = img_open_dump(p.pid);
	ASSERT_LE(0, fd);
	child = fork();
	if (!child) {
		if (setresuid(IMG_NOBODY, IMG_NOBODY, IMG_NOBODY))
			_exit(1);
		if (read(fd, buf, sizeof(buf)) != sizeof(buf) || memcmp(buf, ELFMAG, SELFMAG))
			_exit(2);
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	close(fd);
	ASSERT_EQ(0, img_finish(&p));
}

/* What was opened is what is read, whatever became of the process. */
TEST(descriptor_outlives_the_process)
{
	struct img_proc p, q = { .mode = 's' };
	static char buf[65536];
	ssize_t n;
	int fd, out;

	if (img_nodump())
		SKIP(return, "needs a dump");
	IMG_SPAWN(&p, "plain", 's', NULL, NULL);
	fd = img_open_dump(p.pid);
	ASSERT_LE(0, fd);
	img_kill(&p);
	out = open(p.image, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	ASSERT_LE(0, out);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		ASSERT_EQ(n, write(out, buf, n));
	ASSERT_EQ(0, n);
	close(fd);
	close(out);
	ASSERT_EQ(0, img_launch(&q, p.image, NULL));
	ASSERT_EQ(0, img_settle(&q));
	ASSERT_EQ(0, img_finish(&q));
	img_forget(&p);
}

TEST(only_for_reading)
{
	struct img_proc p;
	char path[64];
	struct stat st;

	if (img_nodump())
		SKIP(return, "needs a dump");
	IMG_SPAWN(&p, "plain", 's', NULL, NULL);
	snprintf(path, sizeof(path), "/proc/%d/dump", p.pid);
	ASSERT_EQ(0, stat(path, &st));
	EXPECT_EQ(S_IFREG | 0400, st.st_mode);
	if (geteuid()) {
		EXPECT_EQ(-1, open(path, O_RDWR));
		EXPECT_EQ(EACCES, errno);
	}
	ASSERT_EQ(0, img_finish(&p));
}

/* A file that may not be executed is not, and nor is one on a noexec mount. */
TEST(execute_permission)
{
	struct img_launch how = { .uid = IMG_NOBODY };
	struct img_proc p;
	pid_t pid;

	if (geteuid() || img_nodump())
		SKIP(return, "not root, or no dump");
	IMG_SPAWN(&p, "plain", 's', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	ASSERT_EQ(0, chmod(p.image, 0644));
	EXPECT_EQ(-EACCES, img_try_exec(p.image, NULL, &pid));
	ASSERT_EQ(0, chmod(p.image, 0700));
	EXPECT_EQ(-EACCES, img_try_exec(p.image, &how, &pid));
	img_forget(&p);
}

TEST(noexec_mount)
{
	struct img_proc p;
	char dir[300], path[400];
	size_t len;
	char *text;
	pid_t pid;

	if (geteuid() || img_nodump())
		SKIP(return, "not root, or no dump");
	IMG_SPAWN(&p, "plain", 's', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	snprintf(dir, sizeof(dir), "%s", img_path("noexec"));
	ASSERT_EQ(0, mkdir(dir, 0755));
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", dir, "tmpfs", MS_NOEXEC, NULL))
		SKIP(return, "cannot mount");
	text = img_read_file(p.image, &len);
	snprintf(path, sizeof(path), "%s/image", dir);
	ASSERT_EQ(0, img_write_file(path, text, len));
	EXPECT_EQ(-EACCES, img_try_exec(path, NULL, &pid));
	umount(dir);
	img_forget(&p);
}

/* In a user namespace of one's own: root there, nobody outside. */
TEST(user_namespace)
{
	struct img_launch how = { .uid = OTHER };
	struct img_proc p, other;
	char map[64];

	if (geteuid())
		SKIP(return, "not root");
	IMG_SPAWN(&other, "plain", 's', NULL, &how);
	own_dir(_metadata, IMG_NOBODY);
	drop(_metadata, IMG_NOBODY);
	/* Otherwise /proc/self belongs to root. */
	prctl(PR_SET_DUMPABLE, 1);
	if (unshare(CLONE_NEWUSER))
		SKIP(return, "no user namespaces");
	ASSERT_EQ(0, img_write_str("/proc/self/setgroups", "deny"));
	snprintf(map, sizeof(map), "0 %d 1", IMG_NOBODY);
	ASSERT_EQ(0, img_write_str("/proc/self/uid_map", map));
	ASSERT_EQ(0, img_write_str("/proc/self/gid_map", map));
	ASSERT_EQ(0, getuid());
	IMG_SPAWN(&p, "plain", 's', NULL, NULL);
	ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_finish(&p));
	if (!img_nodump())
		EXPECT_EQ(-EACCES, img_open_dump(other.pid));
}
