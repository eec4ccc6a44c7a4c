// SPDX-License-Identifier: GPL-2.0
/*
 * The process that is dumped goes on as if it had not been; and whoever reads
 * its image may do so in any way, and stop at any time.
 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "img_test.h"

#define PAGE	4096UL
#define MB	(1UL << 20)

#define FD_DATA	6	/* a pipe that the target writes to */

static int data_pipe = -1;

static int give_pipe(void *data)
{
	return dup2(data_pipe, FD_DATA) < 0 ? -errno : 0;
}

/*
 * 200 dumps of a process that does what a server does, and checks each result
 */

#define CHUNK	(200 * 1024)	/* more than a pipe holds: the write sleeps */

TARGET(server)
{
	static uint64_t chunk[CHUNK / 8];
	const struct timespec ms = { 0, 1000000 };
	struct epoll_event ev;
	uint64_t t, seed = 77;
	unsigned long rounds;
	sigset_t set;
	size_t i;
	int n;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	img_send('R', " ");
	for (rounds = 0; ; rounds++) {
		t = img_now();
		errno = 0;
		n = epoll_wait(IMG_FD_EPOLL, &ev, 1, 1);
		if (n == 1)
			break;
		CHECKF(n == 0, "epoll_wait: %d, errno %d", n, errno);
		CHECK(img_now() - t >= IMG_NSEC_PER_MSEC);

		for (i = 0; i < CHUNK / 8; i++)
			chunk[i] = img_random(&seed);
		CHECK_EQ(CHUNK, write(FD_DATA, chunk, CHUNK));

		t = img_now();
		CHECK_EQ(0, nanosleep(&ms, NULL));
		CHECK(img_now() - t >= IMG_NSEC_PER_MSEC);

		t = img_now();
		errno = 0;
		CHECK_EQ(-1, sigtimedwait(&set, NULL, &ms));
		CHECK_EQ(EAGAIN, errno);
		CHECK(img_now() - t >= IMG_NSEC_PER_MSEC);
	}
	img_send('M', "%lu", rounds);
}

/* Reads what the server writes, slowly enough for its writes to sleep. */
static void read_all(int fd)
{
	static char buf[CHUNK];
	uint64_t seed = 77, *w = (uint64_t *)buf;
	size_t have = 0, i;
	ssize_t n;

	while ((n = read(fd, buf + have, 30000)) > 0) {
		have += n;
		for (i = 0; i < have / 8; i++)
			if (w[i] != img_random(&seed))
				_exit(1);
		memmove(buf, buf + i * 8, have - i * 8);
		have -= i * 8;
	}
	_exit(n || have ? 2 : 0);
}

TEST(two_hundred_dumps_of_a_server)
{
	struct img_launch how = { .prepare = give_pipe };
	int fd[2], status, i;
	struct img_proc p;
	char text[64];
	pid_t reader;

	ASSERT_EQ(0, pipe2(fd, O_CLOEXEC));
	/* Out of the way of what img_launch() hands out. */
	data_pipe = fcntl(fd[1], F_DUPFD_CLOEXEC, 64);
	ASSERT_LE(64, data_pipe);
	close(fd[1]);
	reader = fork();
	if (!reader) {
		close(data_pipe);
		read_all(fd[0]);
	}
	close(fd[0]);
	ASSERT_EQ(0, img_start(&p, "server", 's', NULL, &how));
	close(data_pipe);
	ASSERT_EQ(0, img_recv(&p, 'R', NULL, 0));
	for (i = 0; i < 200; i++) {
		ASSERT_EQ(0, img_dump(&p));
		if (i % 10 == 0)
			img_msleep(3);
	}
	if (img_nodump())
		img_msleep(300);
	ASSERT_EQ(1, write(p.event, "E", 1));
	ASSERT_EQ(0, img_recv(&p, 'M', text, sizeof(text)));
	EXPECT_LT(10, atol(text));
	ASSERT_EQ(0, img_wait_exit(&p));
	ASSERT_EQ(reader, waitpid(reader, &status, 0));
	EXPECT_EQ(0, status);
}

/*
 * Registers and memory are of one moment: at the top of the loop the counters
 * are equal, also in what is resumed.
 */
static volatile sig_atomic_t left;

static void leave(int sig)
{
	left = 1;
}

TARGET(counters)
{
	volatile uint64_t *p = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t n = 0;
	int i;

	signal(SIGUSR2, leave);
	img_send('R', " ");
	while (!left) {
		n++;
		for (i = 0; i < 64; i++)
			p[i * PAGE / 8] = n;
		for (i = 0; i < 64; i++)
			if (p[i * PAGE / 8] != n)
				CHECKF(false, "counter %d is %llu of %llu", i,
				       (long long)p[i * PAGE / 8], (long long)n);
	}
}

TEST(one_moment)
{
	struct img_proc p;
	int i;

	IMG_SPAWN(&p, "counters", 'r', NULL, NULL);
	for (i = 0; i < 10; i++)
		ASSERT_EQ(0, img_cycle(&p));
	ASSERT_EQ(0, img_finish(&p));
}

/*
 * Readers
 */

TARGET(plain)
{
	static char data[300000];

	img_fill(data, sizeof(data), 1);
	img_freeze();
	CHECK_FILL(data, sizeof(data), 1);
}

FIXTURE(reader) {
	struct img_proc p;
	int fd;
	uint8_t *all;
	size_t len;
};

static void *read_whole(int fd, size_t *len)
{
	size_t size = 64 * MB, used = 0;
	uint8_t *buf = malloc(size);
	ssize_t n = 0;

	while (buf && used < size && (n = read(fd, buf + used, size - used)) > 0)
		used += n;
	*len = used;
	return n < 0 ? NULL : buf;
}

FIXTURE_SETUP(reader)
{
	if (img_nodump())
		SKIP(return, "needs a dump");
	ASSERT_EQ(0, img_spawn(&self->p, "plain", 's', NULL, NULL));
	self->fd = img_open_dump(self->p.pid);
	ASSERT_LE(0, self->fd);
	self->all = read_whole(self->fd, &self->len);
	ASSERT_TRUE(self->all != NULL);
	ASSERT_LT(300000, self->len);
}

FIXTURE_TEARDOWN(reader)
{
	close(self->fd);
	EXPECT_EQ(0, img_finish(&self->p));
	free(self->all);
}

TEST_F(reader, end_of_file)
{
	char c;

	EXPECT_EQ(0, read(self->fd, &c, 1));
	EXPECT_EQ(0, read(self->fd, &c, 1));
	EXPECT_EQ(0, pread(self->fd, &c, 1, self->len));
	EXPECT_EQ(0, pread(self->fd, &c, 1, self->len + 100 * MB));
	EXPECT_EQ(-1, pread(self->fd, &c, 1, -5));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(1, pread(self->fd, &c, 1, self->len - 1));
}

TEST_F(reader, size)
{
	struct img_image im = { self->all, self->len };

	EXPECT_EQ(self->len, img_head(&im)->length);
	EXPECT_EQ(self->len, lseek(self->fd, 0, SEEK_END));
	EXPECT_EQ(self->len - 10, lseek(self->fd, -10, SEEK_END));
	EXPECT_EQ(self->len - 15, lseek(self->fd, -5, SEEK_CUR));
	EXPECT_EQ(100, lseek(self->fd, 100, SEEK_SET));
	EXPECT_EQ(-1, lseek(self->fd, -1, SEEK_SET));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(reader, pread_anywhere)
{
	static uint8_t buf[100000];
	uint64_t seed = 1;
	size_t off, want;
	ssize_t n;
	int i;

	for (i = 0; i < 300; i++) {
		off = img_random(&seed) % self->len;
		want = 1 + img_random(&seed) % (i % 2 ? 300 : sizeof(buf));
		n = pread(self->fd, buf, want, off);
		if (n < (ssize_t)(want < self->len - off ? want : self->len - off))
			ASSERT_LT(0, n);
		ASSERT_EQ(0, memcmp(buf, self->all + off, n));
	}
}

TEST_F(reader, seek_and_read)
{
	uint8_t buf[5000];
	uint64_t seed = 2;
	size_t off;
	ssize_t n;
	int i;

	for (i = 0; i < 100; i++) {
		off = img_random(&seed) % self->len;
		ASSERT_EQ(off, lseek(self->fd, off, SEEK_SET));
		n = read(self->fd, buf, sizeof(buf));
		ASSERT_LT(0, n);
		ASSERT_EQ(0, memcmp(buf, self->all + off, n));
		ASSERT_EQ(off + n, lseek(self->fd, 0, SEEK_CUR));
	}
}

TEST_F(reader, odd_sizes)
{
	static const size_t sizes[] = { 1, 3, 7, 63, 511, 4095, 4097, 12289, 65537, 1000003 };
	static uint8_t buf[1000003];
	size_t off = 0, i = 0, k;
	ssize_t n;

	ASSERT_EQ(0, lseek(self->fd, 0, SEEK_SET));
	/* Many small ones where the structure is, then by turns. */
	for (k = 0; off < self->len; k++) {
		if (k > 2000)
			i++;
		n = read(self->fd, buf, sizes[i % ARRAY_SIZE(sizes)]);
		ASSERT_LT(0, n);
		ASSERT_EQ(0, memcmp(buf, self->all + off, n));
		off += n;
	}
	EXPECT_EQ(self->len, off);
}

/* From kernel to kernel, by way of a pipe. */
TEST_F(reader, sendfile)
{
	int to = open(img_path("sent"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	off_t off = 0;
	size_t len;
	ssize_t n;
	char *all;

	ASSERT_LE(0, to);
	while ((n = sendfile(to, self->fd, &off, 1 << 20)) > 0)
		;
	EXPECT_EQ(0, n);
	EXPECT_EQ(self->len, off);
	close(to);
	all = img_read_file(img_path("sent"), &len);
	ASSERT_EQ(self->len, len);
	EXPECT_EQ(0, memcmp(all, self->all, len));
	free(all);
	unlink(img_path("sent"));
}

/* A page fault in the middle of the reader's buffer. */
TEST_F(reader, bad_buffer)
{
	uint8_t *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ssize_t n;

	ASSERT_EQ(0, munmap(p + 2 * PAGE, PAGE));
	n = pread(self->fd, p + PAGE + 100, 2 * PAGE, 0);
	EXPECT_TRUE(n > 0 || errno == EFAULT);
	if (n > 0)
		EXPECT_EQ(0, memcmp(p + PAGE + 100, self->all, n));
	EXPECT_EQ(-1, pread(self->fd, p + 2 * PAGE, PAGE, 0));
	EXPECT_EQ(EFAULT, errno);
	n = pread(self->fd, p, PAGE, 0);
	ASSERT_EQ(PAGE, n);
	EXPECT_EQ(0, memcmp(p, self->all, PAGE));
}

static int compare(int fd, const uint8_t *all, size_t len, uint64_t seed)
{
	static uint8_t buf[20000];
	size_t off;
	ssize_t n;
	int i;

	for (i = 0; i < 100; i++) {
		off = img_random(&seed) % len;
		n = pread(fd, buf, sizeof(buf), off);
		if (n <= 0 || memcmp(buf, all + off, n))
			return 1;
	}
	return 0;
}

TEST_F(reader, several_of_one_file)
{
	pid_t pid[6];
	int i, status;

	for (i = 0; i < 6; i++) {
		pid[i] = fork();
		if (!pid[i])
			_exit(compare(self->fd, self->all, self->len, i));
	}
	for (i = 0; i < 6; i++) {
		ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
		EXPECT_EQ(0, status);
	}
}

/* The image does not change with the process. */
TEST_F(reader, stable_while_the_process_runs)
{
	size_t len;
	uint8_t *again;

	ASSERT_EQ(0, img_go(&self->p));
	img_msleep(50);
	ASSERT_EQ(0, lseek(self->fd, 0, SEEK_SET));
	again = read_whole(self->fd, &len);
	ASSERT_TRUE(again != NULL);
	EXPECT_EQ(self->len, len);
	EXPECT_EQ(0, memcmp(again, self->all, len));
	free(again);
	/* It has ended by now; that was the right to read it. */
	ASSERT_EQ(0, img_wait_exit(&self->p));
	ASSERT_EQ(0, img_spawn(&self->p, "plain", 's', NULL, NULL));
}

TEST_F(reader, early_close)
{
	uint8_t buf[1000];
	int fd, i;

	for (i = 0; i < 30; i++) {
		fd = img_open_dump(self->p.pid);
		ASSERT_LE(0, fd);
		if (i % 3 == 1)
			ASSERT_EQ(1000, read(fd, buf, sizeof(buf)));
		if (i % 3 == 2)
			ASSERT_EQ(1, pread(fd, buf, 1, self->len - 1));
		close(fd);
	}
}

TEST_F(reader, killed_half_way)
{
	char buf[4096];
	int fd[2], i;
	pid_t pid;

	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, pipe2(fd, O_CLOEXEC));
		pid = fork();
		if (!pid) {
			int in = img_open_dump(self->p.pid);

			if (in < 0 || read(in, buf, sizeof(buf)) <= 0 || write(fd[1], "x", 1) != 1)
				_exit(1);
			for (;;) {
				while (read(in, buf, sizeof(buf)) > 0)
					;
				lseek(in, 0, SEEK_SET);
			}
		}
		ASSERT_EQ(1, read(fd[0], buf, 1));
		img_msleep(i % 4);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, NULL, 0));
		close(fd[0]);
		close(fd[1]);
	}
}

/* At any moment, also while it waits for the process to stop. */
TEST_F(reader, killed_at_any_time)
{
	uint64_t seed = 3;
	pid_t pid;
	int i;

	for (i = 0; i < 40; i++) {
		pid = fork();
		if (!pid)
			for (;;)
				close(img_open_dump(self->p.pid));
		usleep(img_random(&seed) % 5000);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	}
}

/*
 * Several dumps at once
 */

static void dump_in_parallel(struct __test_metadata *_metadata, pid_t target, int nr, int rounds)
{
	pid_t pid[16];
	int i, k, status;

	for (i = 0; i < nr; i++) {
		pid[i] = fork();
		if (pid[i])
			continue;
		for (k = 0; k < rounds; k++)
			if (img_dump_to(target, img_path("parallel.%d", i)))
				_exit(1);
		_exit(0);
	}
	for (i = 0; i < nr; i++) {
		ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
		EXPECT_EQ(0, status);
	}
}

static void several_dumps(struct __test_metadata *_metadata, const char *target, char mode)
{
	struct img_proc p, q;
	int i;

	if (img_nodump())
		SKIP(return, "needs a dump");
	IMG_SPAWN(&p, target, mode, NULL, NULL);
	dump_in_parallel(_metadata, p.pid, 6, 3);
	/* Each is an image of it. */
	for (i = 0; i < 6; i++) {
		memset(&q, 0, sizeof(q));
		q.mode = mode;
		ASSERT_EQ(0, img_launch(&q, img_path("parallel.%d", i), NULL));
		ASSERT_EQ(0, img_settle(&q));
		ASSERT_EQ(0, img_finish(&q));
	}
	ASSERT_EQ(0, img_finish(&p));
}

TEST(several_dumps_of_a_sleeper)
{
	several_dumps(_metadata, "plain", 's');
}

TEST(several_dumps_of_a_runner)
{
	several_dumps(_metadata, "counters", 'r');
}

/* Two processes that dump each other, and themselves, all the time. */
TARGET(mutual)
{
	char buf[32] = {};
	pid_t other;
	int i, fd;

	img_send('R', " ");
	CHECK(recv(IMG_FD_CTL, buf, sizeof(buf) - 1, 0) > 0);
	other = atoi(buf);
	for (i = 0; i < 60; i++) {
		fd = img_open_dump(i % 5 == 4 ? getpid() : other);
		if (!CHECKF(fd >= 0, "dump %d: errno %d", i, -fd))
			break;
		if (i % 2)
			while (read(fd, buf, sizeof(buf)) == sizeof(buf) &&
			       lseek(fd, 20000, SEEK_CUR) > 0)
				;
		close(fd);
	}
	/* Not to be gone while the other still dumps. */
	img_send('R', " ");
	CHECK(recv(IMG_FD_CTL, buf, sizeof(buf), 0) > 0);
}

static void send_pid(int sock, pid_t pid)
{
	char buf[32];

	snprintf(buf, sizeof(buf), "%d", pid);
	send(sock, buf, strlen(buf), MSG_NOSIGNAL);
}

TEST(two_processes_dump_each_other)
{
	struct img_proc p, q;

	if (img_nodump())
		SKIP(return, "needs a dump");
	IMG_SPAWN(&p, "mutual", 's', NULL, NULL);
	IMG_SPAWN(&q, "mutual", 's', NULL, NULL);
	send_pid(p.sock, q.pid);
	send_pid(q.sock, p.pid);
	ASSERT_EQ(0, img_recv(&p, 'R', NULL, 0));
	ASSERT_EQ(0, img_recv(&q, 'R', NULL, 0));
	ASSERT_EQ(0, img_finish(&p));
	ASSERT_EQ(0, img_finish(&q));
}

/*
 * Targets that change or go away meanwhile
 */

/* Dump @pid until it is gone; the exit status of the child that does is 0. */
static pid_t dump_until_gone(pid_t pid)
{
	pid_t child = fork();
	char buf[65536];
	int fd;

	if (child)
		return child;
	for (;;) {
		fd = img_open_dump(pid);
		if (fd < 0)
			_exit(fd == -ESRCH || fd == -ENOENT ? 0 : -fd);
		while (read(fd, buf, sizeof(buf)) > 0)
			;
		close(fd);
	}
}

TEST(killed_while_it_is_dumped)
{
	struct img_proc p;
	uint64_t seed = 5;
	int i, status;
	pid_t child;

	if (img_nodump())
		SKIP(return, "needs a dump");
	for (i = 0; i < 25; i++) {
		memset(&p, 0, sizeof(p));
		ASSERT_EQ(0, img_launch(&p, img_sibling("tiny"), NULL));
		ASSERT_EQ(0, img_recv(&p, 'R', NULL, 0));
		child = dump_until_gone(p.pid);
		usleep(img_random(&seed) % 20000);
		ASSERT_EQ(0, kill(p.pid, SIGKILL));
		img_kill(&p);
		ASSERT_EQ(child, waitpid(child, &status, 0));
		EXPECT_EQ(0, status);
	}
}

TARGET(killed_running)
{
	img_send('R', " ");
	for (;;)
		;
}

TEST(killed_while_it_runs_and_is_dumped)
{
	struct img_proc p;
	uint64_t seed = 6;
	int i, status;
	pid_t child;

	if (img_nodump())
		SKIP(return, "needs a dump");
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, img_start(&p, "killed_running", 'r', NULL, NULL));
		ASSERT_EQ(0, img_recv(&p, 'R', NULL, 0));
		child = dump_until_gone(p.pid);
		usleep(img_random(&seed) % 30000);
		img_kill(&p);
		ASSERT_EQ(child, waitpid(child, &status, 0));
		EXPECT_EQ(0, status);
	}
}

/* Executes itself again and again. */
TARGET(execs)
{
	char text[16];
	int n = atoi(arg);

	if (n == 20)
		img_send('R', " ");
	if (!n) {
		img_send('M', "done");
		return;
	}
	snprintf(text, sizeof(text), "%d", n - 1);
	execl(img_self, img_self, "--target", "execs", "s", text, NULL);
	MUST(-1);
}

TEST(executes_while_it_is_dumped)
{
	int ret, dumps = 0;
	struct img_proc p, q = {};
	char text[16];

	if (img_nodump())
		SKIP(return, "needs a dump");
	ASSERT_EQ(0, img_start(&p, "execs", 's', "20", NULL));
	ASSERT_EQ(0, img_recv(&p, 'R', NULL, 0));
	for (;;) {
		ret = img_dump_to(p.pid, img_path("next"));
		if (ret == -ESRCH)
			break;
		/*
		 * In the middle of an exec it has two address spaces; and until
		 * it is in main() it has the harness's shared memory.
		 */
		if (ret) {
			if (ret != -EUSERS && ret != -EINTR && ret != -EACCES &&
			    ret != -EAGAIN && ret != -EOPNOTSUPP) {
				EXPECT_EQ(0, ret);
			}
			continue;
		}
		dumps++;
		ASSERT_EQ(0, rename(img_path("next"), p.image));
	}
	ASSERT_EQ(0, img_recv(&p, 'M', text, sizeof(text)));
	EXPECT_LT(0, dumps);
	/* The last of them goes on from there. */
	ASSERT_EQ(0, img_launch(&q, p.image, NULL));
	ret = img_recv(&q, 'M', text, sizeof(text));
	/* Or it had said so already, and was about to end. */
	EXPECT_TRUE(ret == -ESRCH || (!ret && !strcmp(text, "done")));
	ASSERT_EQ(0, img_wait_exit(&q));
	ASSERT_EQ(0, img_wait_exit(&p));
}

TARGET(forks)
{
	int i, status;
	pid_t pid;

	img_send('R', " ");
	for (i = 0; i < 150; i++) {
		pid = fork();
		if (!pid)
			_exit(i & 127);
		CHECK_EQ(pid, waitpid(pid, &status, 0));
		CHECK(WIFEXITED(status));
		CHECK_EQ(i & 127, WEXITSTATUS(status));
	}
}

TEST(forks_while_it_is_dumped)
{
	struct img_proc p;
	int ret, dumps = 0;

	if (img_nodump())
		SKIP(return, "needs a dump");
	ASSERT_EQ(0, img_start(&p, "forks", 's', NULL, NULL));
	ASSERT_EQ(0, img_recv(&p, 'R', NULL, 0));
	while (!(ret = img_dump_to(p.pid, p.image)))
		dumps++;
	EXPECT_EQ(-ESRCH, ret);
	EXPECT_LT(0, dumps);
	ASSERT_EQ(0, img_wait_exit(&p));
}

/* Maps, unmaps, protects; what is resumed does so too. */
TARGET(maps)
{
	int i, rounds = 0;
	char *p;

	signal(SIGUSR2, leave);
	img_send('R', " ");
	while (!left) {
		p = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(p != MAP_FAILED);
		img_fill(p, 64 * PAGE, rounds);
		for (i = 0; i < 64; i += 8)
			CHECK_EQ(0, mprotect(p + i * PAGE, PAGE, PROT_READ));
		CHECK_FILL(p, 64 * PAGE, rounds);
		CHECK_EQ(0, madvise(p, 8 * PAGE, MADV_DONTNEED));
		CHECK_ZERO(p, 8 * PAGE);
		p = mremap(p + 9 * PAGE, 7 * PAGE, 20 * PAGE, MREMAP_MAYMOVE);
		CHECK(p != MAP_FAILED);
		CHECK_ZERO(p + 7 * PAGE, 13 * PAGE);
		CHECK_EQ(0, munmap(p, 20 * PAGE));
		rounds++;
		if (rounds > 200000)
			break;
	}
}

TEST(maps_while_it_is_dumped)
{
	struct img_proc p;
	int i;

	IMG_SPAWN(&p, "maps", 'r', NULL, NULL);
	for (i = 0; i < 6; i++) {
		ASSERT_EQ(0, img_dump(&p));
		ASSERT_EQ(0, img_dump(&p));
		img_kill(&p);
		ASSERT_EQ(0, img_resume(&p));
	}
	ASSERT_EQ(0, img_finish(&p));
}

/* Handlers that run all the time. */
static volatile int nr_signals;

static void count(int sig)
{
	nr_signals++;
}

TARGET(signalled)
{
	volatile double x = 1;
	double y;

	signal(SIGUSR1, count);
	signal(SIGUSR2, leave);
	img_send('R', " ");
	while (!left) {
		y = x;
		x = y * 1.0000001;
		CHECK(x > y);
		if (x > 1e10)
			x = 1;
	}
	img_send('M', "%d", nr_signals);
}

TEST(signalled_while_it_is_dumped)
{
	struct img_proc p;
	pid_t child;
	char text[32];
	int i;

	IMG_SPAWN(&p, "signalled", 'r', NULL, NULL);
	child = fork();
	if (!child) {
		for (i = 0; i < 2000 && !kill(p.pid, SIGUSR1); i++)
			usleep(300);
		_exit(0);
	}
	for (i = 0; i < 30; i++)
		ASSERT_EQ(0, img_dump(&p));
	ASSERT_EQ(child, waitpid(child, NULL, 0));
	ASSERT_EQ(0, img_go(&p));
	ASSERT_EQ(0, img_recv(&p, 'M', text, sizeof(text)));
	/* Signals that come before the last one was taken are one with it. */
	EXPECT_LT(100, atoi(text));
	ASSERT_EQ(0, img_wait_exit(&p));
}

/* SIGSTOP and SIGCONT do not get lost. */
TEST(stopped_while_it_is_dumped)
{
	struct img_proc p;
	int i;

	if (img_nodump())
		SKIP(return, "needs a dump");
	IMG_SPAWN(&p, "counters", 'r', NULL, NULL);
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, kill(p.pid, SIGSTOP));
		if (i % 2)
			ASSERT_EQ(0, img_wait_state(p.pid, "T"));
		ASSERT_EQ(0, img_dump(&p));
		ASSERT_EQ(0, img_wait_state(p.pid, "T"));
		ASSERT_EQ(0, kill(p.pid, SIGCONT));
		ASSERT_EQ(0, img_dump(&p));
		ASSERT_EQ(0, img_wait_state(p.pid, "RS"));
	}
	ASSERT_EQ(0, img_finish(&p));
}

/* A dump takes place although the process gets no processor time to speak of. */
TEST(busy_machine)
{
	struct img_proc p;
	pid_t pid[4];
	int i;

	IMG_SPAWN(&p, "counters", 'r', NULL, NULL);
	for (i = 0; i < 4; i++) {
		pid[i] = fork();
		if (!pid[i])
			for (;;)
				;
	}
	for (i = 0; i < 5; i++)
		EXPECT_EQ(0, img_dump(&p));
	for (i = 0; i < 4; i++) {
		kill(pid[i], SIGKILL);
		waitpid(pid[i], NULL, 0);
	}
	ASSERT_EQ(0, img_finish(&p));
}
