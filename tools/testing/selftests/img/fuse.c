// SPDX-License-Identifier: GPL-2.0
/*
 * A call that waits for a FUSE server is not as if it had not begun: the server
 * goes on with it, whatever becomes of who waits.  So it is waited for.  The
 * server here makes a directory when it is told to, and counts how often it was
 * asked.
 */
#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "img_test.h"

struct server {
	volatile int asked;		/* for the directory */
	volatile int answer;
};

static void answer(int fd, const struct fuse_in_header *in, int error, const void *data,
		   size_t len)
{
	char buf[4096];
	struct fuse_out_header *out = (void *)buf;

	out->len = sizeof(*out) + len;
	out->error = error;
	out->unique = in->unique;
	memcpy(out + 1, data, len);
	if (write(fd, buf, out->len) < 0)
		img_diag("server: errno %d", errno);
}

static void fill_attr(struct fuse_attr *attr, uint64_t ino)
{
	attr->ino = ino;
	attr->mode = S_IFDIR | 0755;
	attr->nlink = 2;
}

static void answer_mkdir(struct server *s, int fd, const struct fuse_in_header *in)
{
	struct fuse_entry_out entry = { .nodeid = 2 };

	fill_attr(&entry.attr, 2);
	if (__sync_add_and_fetch(&s->asked, 1) > 1) {
		answer(fd, in, -EEXIST, NULL, 0);
		return;
	}
	while (!s->answer)
		usleep(1000);
	answer(fd, in, 0, &entry, sizeof(entry));
}

static void answer_init(int fd, const struct fuse_in_header *in)
{
	struct fuse_init_out init = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_write = 4096,
	};

	answer(fd, in, 0, &init, sizeof(init));
}

static void serve(struct server *s, int fd)
{
	static char buf[FUSE_MIN_READ_BUFFER + 4096];
	struct fuse_in_header *in = (void *)buf;
	struct fuse_attr_out attr = {};

	fill_attr(&attr.attr, FUSE_ROOT_ID);
	while (read(fd, buf, sizeof(buf)) > 0) {
		switch (in->opcode) {
		case FUSE_INIT:
			answer_init(fd, in);
			break;
		case FUSE_GETATTR:
			answer(fd, in, 0, &attr, sizeof(attr));
			break;
		case FUSE_LOOKUP:
			answer(fd, in, -ENOENT, NULL, 0);
			break;
		case FUSE_MKDIR:
			answer_mkdir(s, fd, in);
			break;
		case FUSE_FORGET:
		case FUSE_BATCH_FORGET:
		case FUSE_INTERRUPT:
			break;
		default:
			answer(fd, in, -ENOSYS, NULL, 0);
			break;
		}
	}
}

FIXTURE(fuse) {
	struct server *s;
	char dir[300];
	pid_t pid;
};

FIXTURE_SETUP(fuse)
{
	char options[100];
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	self->pid = 0;
	if (img_nodump())
		SKIP(return, "needs a dump");
	if (fd < 0)
		SKIP(return, "no FUSE");
	snprintf(self->dir, sizeof(self->dir), "%s", img_path("fuse"));
	ASSERT_EQ(0, mkdir(self->dir, 0755));
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (mount("test", self->dir, "fuse", MS_NODEV | MS_NOSUID, options)) {
		rmdir(self->dir);
		SKIP(return, "cannot mount");
	}
	self->s = mmap(NULL, sizeof(*self->s), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->s);
	self->pid = fork();
	if (!self->pid) {
		serve(self->s, fd);
		_exit(0);
	}
	close(fd);
}

FIXTURE_TEARDOWN(fuse)
{
	if (!self->pid)
		return;
	self->s->answer = 1;
	umount2(self->dir, MNT_DETACH);
	kill(self->pid, SIGKILL);
	waitpid(self->pid, NULL, 0);
	rmdir(self->dir);
}

TARGET(makes_directory)
{
	img_send('R', " ");
	CHECK_EQ(0, syscall(SYS_mkdir, arg, 0755));
	img_freeze();
}

TEST_F(fuse, call_is_waited_for)
{
	char path[310];
	struct img_proc p;
	pid_t dumper;
	int i, status;

	snprintf(path, sizeof(path), "%s/made", self->dir);
	ASSERT_EQ(0, img_start(&p, "makes_directory", 's', path, NULL));
	ASSERT_EQ(0, img_recv(&p, 'R', NULL, 0));
	for (i = 0; i < 5000 && !self->s->asked; i++)
		img_msleep(2);
	ASSERT_EQ(1, self->s->asked);
	dumper = fork();
	if (!dumper)
		_exit(img_dump_to(p.pid, p.image) ? 1 : 0);
	img_msleep(500);
	EXPECT_EQ(0, waitpid(dumper, &status, WNOHANG));
	/* Nor does the dumper wait when it is not wanted to. */
	ASSERT_EQ(0, kill(dumper, SIGTERM));
	ASSERT_EQ(dumper, waitpid(dumper, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	dumper = fork();
	if (!dumper)
		_exit(img_dump_to(p.pid, p.image) ? 1 : 0);
	img_msleep(100);
	self->s->answer = 1;
	ASSERT_EQ(dumper, waitpid(dumper, &status, 0));
	EXPECT_EQ(0, status);
	ASSERT_EQ(0, img_await_ready(&p));
	img_kill(&p);
	/* It was made, and nobody asks for it again. */
	ASSERT_EQ(0, img_resume_as(&p, NULL));
	ASSERT_EQ(0, img_await_ready(&p));
	ASSERT_EQ(0, img_finish(&p));
	EXPECT_EQ(1, self->s->asked);
}
