// SPDX-License-Identifier: GPL-2.0
/*
 * Errors of dump and exec that no other test provokes: each errno of
 * proc_pid_dump(5) and binfmt_img(5) has a test, here, in refuse_dump.c,
 * refuse_exec.c or user.c.
 */
#include <asm/prctl.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "img_test.h"

#ifndef PR_SET_MDWE
#define PR_SET_MDWE			65
#define PR_MDWE_REFUSE_EXEC_GAIN	1
#endif
#ifndef ARCH_REQ_XCOMP_PERM
#define ARCH_REQ_XCOMP_PERM	0x1023
#endif
#ifndef UFFDIO_POISON
struct uffdio_poison {
	struct uffdio_range range;
	__u64 mode;
	__s64 updated;
};

#define UFFDIO_POISON	_IOWR(UFFDIO, 0x08, struct uffdio_poison)
#endif
#ifndef UFFD_FEATURE_POISON
#define UFFD_FEATURE_POISON	(1 << 14)
#endif

#define PAGE	4096UL
#define MB	(1UL << 20)
#define RW	(PROT_READ | PROT_WRITE)

TARGET(plain)
{
	img_freeze();
}

/*
 * Dump
 */

TEST(dump_of_nobody)
{
	if (img_nodump())
		SKIP(return, "needs a dump");
	EXPECT_EQ(-ENOENT, img_open_dump(0x3fffff));
}

TEST(dump_without_a_descriptor)
{
	struct rlimit lim = { 0, 0 };
	struct img_proc p;
	pid_t child;
	int status;

	if (img_nodump())
		SKIP(return, "needs a dump");
	IMG_SPAWN(&p, "plain", 's', NULL, NULL);
	child = fork();
	if (!child) {
		setrlimit(RLIMIT_NOFILE, &lim);
		_exit(-img_open_dump(p.pid));
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(EMFILE, WEXITSTATUS(status));
	ASSERT_EQ(0, img_finish(&p));
}

/*
 * It waits for its child in a sleep that only SIGKILL ends, as a shell of old
 * that uses vfork(); the memory is its own.
 */
TARGET(waits_for_child)
{
	char c;
	pid_t pid;

	img_send('R', " ");
	pid = syscall(SYS_clone, CLONE_VFORK | SIGCHLD, 0, NULL, NULL, 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		syscall(SYS_read, IMG_FD_EVENT, &c, 1);
		_exit(3);
	}
	CHECK_EQ(pid, waitpid(pid, NULL, 0));
	img_freeze();
}

static volatile sig_atomic_t rings;

static void ring(int sig)
{
	rings++;
}

/* How a dump ends in whose midst a handler with @flags is called, twice. */
static int dump_with_signals(pid_t pid, int flags, int event)
{
	struct sigaction sa = { .sa_handler = ring, .sa_flags = flags };
	int i, ret, status;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (!child) {
		sigaction(SIGUSR1, &sa, NULL);
		ret = img_open_dump(pid);
		_exit(ret < 0 ? -ret : rings == 2 ? 0 : 255);
	}
	for (i = 0; i < 2; i++) {
		img_msleep(300 * img_slow());
		kill(child, SIGUSR1);
	}
	img_msleep(100);
	if (write(event, "E", 1) != 1 || waitpid(child, &status, 0) != child)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

FIXTURE(interrupted) {
};

FIXTURE_VARIANT(interrupted) {
	int flags, error;
};

FIXTURE_SETUP(interrupted)
{
}

FIXTURE_TEARDOWN(interrupted)
{
}

FIXTURE_VARIANT_ADD(interrupted, ends) { .flags = 0, .error = EINTR };
FIXTURE_VARIANT_ADD(interrupted, begins_again) { .flags = SA_RESTART, .error = 0 };

TEST_F(interrupted, dump)
{
	struct img_proc p;

	if (img_nodump())
		SKIP(return, "needs a dump");
	ASSERT_EQ(0, img_start(&p, "waits_for_child", 's', NULL, NULL));
	ASSERT_EQ(0, img_recv(&p, 'R', NULL, 0));
	ASSERT_EQ(0, img_wait_state(p.pid, "D"));
	EXPECT_EQ(variant->error, dump_with_signals(p.pid, variant->flags, p.event));
	ASSERT_EQ(0, img_await_ready(&p));
	ASSERT_EQ(0, img_finish(&p));
}

/*
 * @nr mappings of one file whose path has @len characters: each has the path
 * in NT_FILE.
 */
static void map_long_path(unsigned long nr, size_t len)
{
	char name[251], *p;
	size_t have;
	unsigned long i;
	int fd;

	snprintf(name, sizeof(name), "%s", img_path("paths.%d", getpid()));
	MUST(mkdir(name, 0755));
	MUST(chdir(name));
	have = strlen(name);
	memset(name, 'd', 250);
	name[250] = 0;
	while (len - have > 260) {
		MUST(mkdir(name, 0755));
		MUST(chdir(name));
		have += 251;
	}
	name[len - have - 1] = 0;
	fd = MUST(open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644));
	MUST(ftruncate(fd, PAGE));
	p = mmap(NULL, nr * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	for (i = 0; i < nr; i++)
		if (mmap(p + i * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0) ==
		    MAP_FAILED)
			MUST(-1);
	MUST(chdir("/"));
}

TARGET(many_long_paths)
{
	unsigned long nr;
	size_t len;

	CHECK_EQ(2, sscanf(arg, "%lu %zu", &nr, &len));
	map_long_path(nr, len);
	img_freeze();
}

/* Headers and notes of more than 256 MiB; the notes alone are less or more. */
FIXTURE(too_large) {
};

FIXTURE_VARIANT(too_large) {
	const char *arg;
	int error;
};

FIXTURE_SETUP(too_large)
{
}

FIXTURE_TEARDOWN(too_large)
{
}

FIXTURE_VARIANT_ADD(too_large, headers_and_notes) { "65000 4030", EFBIG };
FIXTURE_VARIANT_ADD(too_large, one_note) { "65300 4090", EFBIG };

TEST_F(too_large, dump)
{
	struct img_proc p;

	if (img_nodump())
		SKIP(return, "needs a dump");
	if (img_slow() > 1)
		SKIP(return, "so many mappings take too long on a debug kernel");
	IMG_SPAWN(&p, "many_long_paths", 's', variant->arg, NULL);
	EXPECT_EQ(-variant->error, img_open_dump(p.pid));
	ASSERT_EQ(0, img_finish(&p));
}

/* A page that memory failure has made unreadable, without such hardware. */
TARGET(poisoned_page)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_POISON };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_poison poison = {};
	char *p = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api))
		img_target_skip("no UFFDIO_POISON");
	img_fill(p, PAGE, 1);
	reg.range.start = (uintptr_t)p;
	reg.range.len = 4 * PAGE;
	MUST(ioctl(fd, UFFDIO_REGISTER, &reg));
	poison.range.start = (uintptr_t)p + 2 * PAGE;
	poison.range.len = PAGE;
	MUST(ioctl(fd, UFFDIO_POISON, &poison));
	close(fd);
	img_freeze();
	CHECK_FILL(p, PAGE, 1);
}

TEST(read_of_a_poisoned_page)
{
	struct img_proc p;

	if (img_nodump())
		SKIP(return, "needs a dump");
	IMG_SPAWN(&p, "poisoned_page", 's', NULL, NULL);
	EXPECT_EQ(-EIO, img_dump_to(p.pid, p.image));
	ASSERT_EQ(0, img_finish(&p));
}

/* The file is for reading only. */
TEST(other_uses_of_the_file)
{
	struct img_proc p;
	char path[64];
	int fd;

	if (img_nodump())
		SKIP(return, "needs a dump");
	IMG_SPAWN(&p, "plain", 's', NULL, NULL);
	snprintf(path, sizeof(path), "/proc/%d/dump", p.pid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		EXPECT_EQ(-1, write(fd, "x", 1));
		EXPECT_EQ(EINVAL, errno);
		close(fd);
	}
	fd = img_open_dump(p.pid);
	ASSERT_LE(0, fd);
	EXPECT_TRUE(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED);
	EXPECT_EQ(ENODEV, errno);
	close(fd);
	ASSERT_EQ(0, img_finish(&p));
}

/* State of 32-bit system calls, which a 64-bit program can make. */
TARGET(robust_list_of_32_bits)
{
	int *head = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	long ret;

	head[0] = (int)(uintptr_t)head;
	__asm__ volatile("int $0x80" : "=a"(ret)
			 : "a"(311), "b"(head), "c"(12)
			 : "memory", "r8", "r9", "r10", "r11");
	if ((int)ret)
		img_target_skip("no set_robust_list() of 32 bits: %d", (int)ret);
	img_freeze();
}

/* Asked for, and not used yet. */
TARGET(xstate_permission)
{
	if (syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, 18 /* tile data */))
		img_target_skip("no AMX");
	img_freeze();
}

FIXTURE(state) {
};

FIXTURE_VARIANT(state) {
	const char *name;
};

FIXTURE_SETUP(state)
{
}

FIXTURE_TEARDOWN(state)
{
}

FIXTURE_VARIANT_ADD(state, robust_list_of_32_bits) { "robust_list_of_32_bits" };
FIXTURE_VARIANT_ADD(state, xstate_permission) { "xstate_permission" };

TEST_F(state, refused)
{
	struct img_proc p;

	if (img_nodump())
		SKIP(return, "needs a dump");
	IMG_SPAWN(&p, variant->name, 's', NULL, NULL);
	EXPECT_EQ(-EOPNOTSUPP, img_open_dump(p.pid));
	ASSERT_EQ(0, img_finish(&p));
}

/*
 * Exec
 */

/* An image of a target, which is killed. */
#define IMAGE_OF(p, target, arg) do {					\
	if (img_nodump())						\
		SKIP(return, "needs a dump");				\
	IMG_SPAWN(p, target, 's', arg, NULL);				\
	ASSERT_EQ(0, img_dump(p));					\
	img_kill(p);							\
} while (0)

TARGET(many_pending)
{
	union sigval v = {};
	sigset_t set;
	int i;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	for (i = 0; i < 20; i++)
		MUST(sigqueue(getpid(), SIGRTMIN, v));
	img_freeze();
}

static int limit_pending(void *data)
{
	struct rlimit lim = { 10, 10 };

	return setrlimit(RLIMIT_SIGPENDING, &lim) ? -errno : 0;
}

TEST(exec_with_too_many_signals)
{
	struct img_launch how = { .prepare = limit_pending };
	struct img_proc p;
	pid_t pid;

	IMAGE_OF(&p, "many_pending", NULL);
	EXPECT_EQ(-EAGAIN, img_try_exec(p.image, &how, &pid));
	ASSERT_EQ(0, img_resume(&p));
	ASSERT_EQ(0, img_finish(&p));
}

TEST(exec_of_a_file_being_written)
{
	struct img_proc p;
	pid_t pid;
	int fd;

	IMAGE_OF(&p, "plain", NULL);
	fd = open(p.image, O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-ETXTBSY, img_try_exec(p.image, NULL, &pid));
	close(fd);
	ASSERT_EQ(0, img_resume(&p));
	ASSERT_EQ(0, img_finish(&p));
}

/* A program of its own, to be changed; its process is asleep in pause(). */
static int own_program(struct img_proc *p, char *path, size_t size)
{
	size_t len;
	char *text = img_read_file(img_sibling("tiny"), &len);
	int ret;

	snprintf(path, size, "%s", img_path("program.%d", getpid()));
	ret = text ? img_write_file(path, text, len) : -errno;
	free(text);
	memset(p, 0, sizeof(*p));
	snprintf(p->image, sizeof(p->image), "%s", img_path("program.%d.img", getpid()));
	if (!ret)
		ret = img_launch(p, path, NULL);
	if (!ret)
		ret = img_recv(p, 'R', NULL, 0);
	if (!ret)
		ret = img_wait_syscall(p->pid, SYS_pause);
	if (!ret)
		ret = img_dump(p);
	img_kill(p);
	return ret;
}

TEST(exec_of_a_program_that_changed)
{
	char path[300];
	struct img_proc p;
	pid_t pid = 0;
	int fd;

	if (img_nodump())
		SKIP(return, "needs a dump");
	ASSERT_EQ(0, own_program(&p, path, sizeof(path)));
	ASSERT_EQ(0, chmod(path, 0644));
	EXPECT_EQ(-EACCES, img_try_exec(p.image, NULL, &pid));
	ASSERT_EQ(0, chmod(path, 0755));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-ETXTBSY, img_try_exec(p.image, NULL, &pid));
	close(fd);
	ASSERT_EQ(0, img_try_exec(p.image, NULL, &pid));
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	img_forget(&p);
}

/* Paths that lead nowhere. */
FIXTURE(path) {
};

FIXTURE_VARIANT(path) {
	const char *path;
	int error;
};

FIXTURE_SETUP(path)
{
}

FIXTURE_TEARDOWN(path)
{
	unlink("/tmp/il");
}

FIXTURE_VARIANT_ADD(path, through_a_file) { "/proc/version/x", ENOTDIR };
FIXTURE_VARIANT_ADD(path, in_a_circle) { "/tmp/il", ELOOP };
FIXTURE_VARIANT_ADD(path, of_a_socket) { "/tmp/il", ESTALE };

TEST_F(path, exec)
{
	struct img_files *files;
	struct img_image im;
	char program[300];
	struct img_proc p;
	char *path;
	pid_t pid;

	if (img_nodump())
		SKIP(return, "needs a dump");
	if (variant->error == ELOOP)
		ASSERT_EQ(0, symlink(variant->path, variant->path));
	if (variant->error == ESTALE)
		ASSERT_EQ(0, mknod(variant->path, S_IFSOCK | 0666, 0));
	ASSERT_EQ(0, own_program(&p, program, sizeof(program)));
	ASSERT_EQ(0, img_load(&im, p.image));
	files = img_note(&im, IMG_NOTE_NAME, NT_IMG_FILE, 0, NULL);
	ASSERT_TRUE(files != NULL);
	path = (char *)files + ((struct img_file *)((char *)files + files->files_off))->path_off;
	ASSERT_LE(strlen(variant->path), strlen(path));
	strcpy(path, variant->path);
	img_fix_crc(&im);
	ASSERT_EQ(0, img_save(&im, p.image));
	EXPECT_EQ(-variant->error, img_try_exec(p.image, NULL, &pid));
	img_free(&im);
	img_forget(&p);
}

/* Nothing but the header note, and then @nr notes that anybody may skip. */
static int image_of_notes(struct img_image *im, const char *path, size_t nr)
{
	Elf64_Phdr *ph = (Elf64_Phdr *)(im->data + sizeof(Elf64_Ehdr));
	size_t first = sizeof(Elf64_Nhdr) + 4 + ((sizeof(struct img_header) + 3) & ~3UL);
	size_t head = ph->p_offset + first + nr * 16, i;
	struct img_image out = { .len = (head + PAGE - 1) & ~(PAGE - 1) };
	const Elf64_Nhdr empty = { .n_namesz = 2, .n_type = 1 };
	struct img_header *h;
	int ret;

	out.data = calloc(1, out.len);
	if (!out.data)
		return -ENOMEM;
	memcpy(out.data, im->data, ph->p_offset + first);
	ph = (Elf64_Phdr *)(out.data + sizeof(Elf64_Ehdr));
	for (i = 0; i < nr; i++) {
		memcpy(out.data + ph->p_offset + first + i * 16, &empty, sizeof(empty));
		out.data[ph->p_offset + first + i * 16 + sizeof(empty)] = 'x';
	}
	ph->p_filesz = head - ph->p_offset;
	h = img_head(&out);
	h->head_len = head;
	h->data_off = out.len;
	h->length = out.len;
	img_fix_crc(&out);
	ret = img_save(&out, path);
	img_free(&out);
	return ret;
}

TEST(exec_of_too_many_notes)
{
	char path[300];
	struct img_image im;
	struct img_proc p;
	pid_t pid;

	if (img_nodump())
		SKIP(return, "needs a dump");
	ASSERT_EQ(0, own_program(&p, path, sizeof(path)));
	ASSERT_EQ(0, img_load(&im, p.image));
	ASSERT_EQ(0, image_of_notes(&im, p.image, 131072));
	EXPECT_EQ(-E2BIG, img_try_exec(p.image, NULL, &pid));
	/* As many as there may be: then other things are wrong. */
	ASSERT_EQ(0, image_of_notes(&im, p.image, 131000));
	EXPECT_EQ(-EBADMSG, img_try_exec(p.image, NULL, &pid));
	img_free(&im);
	img_forget(&p);
}

/* A set of registers that cannot be given to a process. */
TEST(exec_of_io_permissions)
{
	char path[300], *note;
	struct img_image im;
	struct img_proc p;
	pid_t pid;

	if (img_nodump())
		SKIP(return, "needs a dump");
	ASSERT_EQ(0, own_program(&p, path, sizeof(path)));
	ASSERT_EQ(0, img_load(&im, p.image));
	note = img_note(&im, "LINUX", NT_X86_XSTATE, 0, NULL);
	if (!note)
		SKIP(return, "no xstate");
	((Elf64_Nhdr *)(note - 8 - sizeof(Elf64_Nhdr)))->n_type = NT_386_IOPERM;
	img_fix_crc(&im);
	ASSERT_EQ(0, img_save(&im, p.image));
	EXPECT_EQ(-EOPNOTSUPP, img_try_exec(p.image, NULL, &pid));
	img_free(&im);
	img_forget(&p);
}

TARGET(writable_code)
{
	char *p = mmap(NULL, PAGE, RW | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*p = 1;
	img_freeze();
	CHECK_EQ(1, *p);
}

static int deny_write_execute(void *data)
{
	return prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) ? -errno : 0;
}

TEST(exec_under_a_stricter_rule)
{
	struct img_launch how = { .prepare = deny_write_execute };
	struct img_proc p;
	pid_t pid;

	IMAGE_OF(&p, "writable_code", NULL);
	EXPECT_EQ(-EACCES, img_try_exec(p.image, &how, &pid));
	ASSERT_EQ(0, img_resume(&p));
	ASSERT_EQ(0, img_finish(&p));
}

TARGET(library)
{
	int fd = MUST(open(arg, O_RDONLY | O_CLOEXEC));
	char *p = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);

	CHECK(p != MAP_FAILED);
	close(fd);
	img_freeze();
	CHECK_FILL(p, PAGE, 1);
}

TEST(exec_of_a_library_on_a_noexec_mount)
{
	char dir[300], path[400];
	struct img_proc p;
	pid_t pid;

	if (geteuid() || img_nodump())
		SKIP(return, "not root, or no dump");
	snprintf(dir, sizeof(dir), "%s", img_path("mount"));
	ASSERT_EQ(0, mkdir(dir, 0755));
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", dir, "tmpfs", 0, NULL))
		SKIP(return, "cannot mount");
	snprintf(path, sizeof(path), "%s/library", dir);
	ASSERT_EQ(0, img_make_file(path, PAGE, 1));
	IMAGE_OF(&p, "library", path);
	ASSERT_EQ(0, mount(NULL, dir, NULL, MS_REMOUNT | MS_BIND | MS_NOEXEC, NULL));
	EXPECT_EQ(-EACCES, img_try_exec(p.image, NULL, &pid));
	ASSERT_EQ(0, mount(NULL, dir, NULL, MS_REMOUNT | MS_BIND, NULL));
	ASSERT_EQ(0, img_resume(&p));
	ASSERT_EQ(0, img_finish(&p));
	umount(dir);
}

/* More files than a process may have mappings; the log tells it from those. */
TEST(exec_with_too_many_files)
{
	char *old = img_read_file("/proc/sys/vm/max_map_count", NULL);
	int log = img_log_open_quiet(), ret;
	struct img_proc p;
	pid_t pid;

	IMAGE_OF(&p, "plain", NULL);
	if (!old || img_write_str("/proc/sys/vm/max_map_count", "1"))
		SKIP(return, "cannot set vm.max_map_count");
	ret = img_try_exec(p.image, NULL, &pid);
	img_write_str("/proc/sys/vm/max_map_count", old);
	EXPECT_EQ(-ENOMEM, ret);
	if (log >= 0)
		EXPECT_TRUE(img_log_has(log, p.image, " mapped files"));
	close(log);
	ASSERT_EQ(0, img_resume(&p));
	ASSERT_EQ(0, img_finish(&p));
}

static int shell(const char *fmt, ...)
{
	char command[2000];
	va_list args;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	return system(command);
}

/* A file system in the file @disk, of which @dir shows nothing from a cache. */
static int mount_disk(const char *disk, const char *dir)
{
	return shell("mount $(losetup -f --show %s) %s && ls -l %s >/dev/null", disk, dir, dir);
}

static int umount_disk(const char *disk, const char *dir)
{
	return shell("umount %s && losetup -d $(losetup -j %s -O NAME -n)", dir, disk);
}

/* On a disk that has lost its end, where the file is. */
TEST(exec_of_a_file_that_cannot_be_read)
{
	const char *disk = img_path("disk"), *dir = img_path("mnt");
	char image[300];
	struct img_proc p;
	pid_t pid;

	if (geteuid() || shell("which mkfs.ext4 losetup mount >/dev/null"))
		SKIP(return, "needs root, mkfs.ext4, losetup and mount");
	IMAGE_OF(&p, "plain", NULL);
	snprintf(image, sizeof(image), "%s/image", dir);
	if (mkdir(dir, 0755) || shell("truncate -s 24M %s", disk) ||
	    shell("mkfs.ext4 -q -F -b 4096 -O ^has_journal %s", disk) || mount_disk(disk, dir))
		SKIP(return, "no file system on a loop device");
	ASSERT_EQ(0, shell("cp %s %s", p.image, image));
	ASSERT_EQ(0, umount_disk(disk, dir));
	ASSERT_EQ(0, mount_disk(disk, dir));
	EXPECT_EQ(0, truncate(disk, PAGE));
	EXPECT_EQ(-EIO, img_try_exec(image, NULL, &pid));
	umount_disk(disk, dir);
	ASSERT_EQ(0, img_resume(&p));
	ASSERT_EQ(0, img_finish(&p));
}

/* What shows too late ends the process, and is in the log. */
TARGET(much_memory)
{
	size_t half = sysconf(_SC_PHYS_PAGES) / 2 * PAGE;
	char *p = mmap(NULL, half, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	img_freeze();
	CHECK_EQ(0, p[half / 2]);
}

#define OVERCOMMIT "/proc/sys/vm/overcommit_"

TEST(exec_past_the_point_of_no_return)
{
	char *memory = img_read_file(OVERCOMMIT "memory", NULL);
	char *ratio = img_read_file(OVERCOMMIT "ratio", NULL);
	int log = img_log_open_quiet(), ret, status = 0;
	struct img_proc p;
	pid_t pid = 0;

	IMAGE_OF(&p, "much_memory", NULL);
	if (!memory || !ratio || img_write_str(OVERCOMMIT "ratio", "30") ||
	    img_write_str(OVERCOMMIT "memory", "2"))
		SKIP(return, "cannot set vm.overcommit_memory");
	ret = img_try_exec(p.image, NULL, &pid);
	img_write_str(OVERCOMMIT "memory", memory);
	img_write_str(OVERCOMMIT "ratio", ratio);
	/* The caller cannot be told any more. */
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, img_wait_status(pid, &status));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	if (log >= 0)
		EXPECT_TRUE(img_log_has(log, p.image, "after the point of no return"));
	close(log);
	ASSERT_EQ(0, img_resume(&p));
	ASSERT_EQ(0, img_finish(&p));
}
