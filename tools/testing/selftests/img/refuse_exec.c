// SPDX-License-Identifier: GPL-2.0
/*
 * An image that cannot be run here is refused by execve(), with a documented
 * errno and a line in the kernel log; who called it lives on, and no shell
 * takes the image for a script.  No image, however it was made up, does more
 * than the process could do that runs it.
 */
#include <cpuid.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/procfs.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <utime.h>

#include "img_test.h"

#ifndef MFD_HUGETLB
#define MFD_HUGETLB	0x0004U
#endif
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE	0x08
#endif

#define PAGE		4096UL
#define KERNEL_ADDRESS	0xffffffff81000000ULL
#define NON_CANONICAL	0x8000000000000000ULL
#define TASK_END	0x7ffffffff000ULL

/* The smallest image there is, with the smallest process in it. */
static int make_image(const char *path)
{
	struct img_proc p = {};
	int ret;

	ret = img_launch(&p, img_sibling("tiny"), NULL);
	if (ret)
		return ret;
	ret = img_recv(&p, 'R', NULL, 0);
	if (!ret)
		ret = img_wait_syscall(p.pid, SYS_pause);
	if (!ret)
		ret = img_dump_to(p.pid, path);
	img_kill(&p);
	return ret;
}

/* One with three threads. */
static void *sleeps_for_ever(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

TARGET(three_threads)
{
	pthread_t t[2];
	int i;

	for (i = 0; i < 2; i++)
		CHECK_EQ(0, pthread_create(&t[i], NULL, sleeps_for_ever, NULL));
	img_freeze();
}

static int make_threads(const char *path)
{
	struct img_proc p;
	int ret;

	ret = img_spawn(&p, "three_threads", 's', NULL, NULL);
	if (!ret)
		ret = img_dump_to(p.pid, path);
	img_kill(&p);
	return ret;
}

/*
 * Ways to change an image
 */

typedef int (*patch_fn)(struct img_image *im, uint64_t arg);

static struct user_regs_struct *regs(struct img_image *im)
{
	struct elf_prstatus *st = img_note(im, "CORE", NT_PRSTATUS, 0, NULL);

	return (void *)&st->pr_reg;
}

static struct img_vma *vma(struct img_image *im, unsigned int i)
{
	struct img_vmas *v = img_note(im, "IMG", NT_IMG_VMA, 0, NULL);

	return (void *)((uint8_t *)v + v->vmas_off + i * v->vma_size);
}

static Elf64_Phdr *phdr(struct img_image *im, unsigned int i)
{
	return (Elf64_Phdr *)(im->data + sizeof(Elf64_Ehdr)) + i;
}

/* The first segment with contents. */
static Elf64_Phdr *load(struct img_image *im)
{
	unsigned int i = 1;

	while (!phdr(im, i)->p_filesz)
		i++;
	return phdr(im, i);
}

/* A patch that sets one member of a structure. */
#define SET(_name, _expr)						\
	static int set_##_name(struct img_image *im, uint64_t arg)	\
	{								\
		(_expr) = arg;						\
		return 0;						\
	}

#define HEAD	img_head(im)
#define EHDR	((Elf64_Ehdr *)im->data)
#define NOTE(type, t)	((struct t *)img_note(im, "IMG", type, 0, NULL))
#define THREAD	NOTE(NT_IMG_THREAD, img_thread)
#define SLEEP	NOTE(NT_IMG_SLEEP, img_sleep)
#define SIGNAL	NOTE(NT_IMG_SIGNAL, img_signal)
#define MM	NOTE(NT_IMG_MM, img_mm)
#define VMAS	NOTE(NT_IMG_VMA, img_vmas)
#define FILES	NOTE(NT_IMG_FILE, img_files)
#define ARCH	NOTE(NT_IMG_ARCH, img_arch_x86)
#define XSTATE	((uint8_t *)img_note(im, "LINUX", NT_X86_XSTATE, 0, NULL))
#define ACTION(n) ((struct img_sigaction *)((uint8_t *)SIGNAL + SIGNAL->actions_off) + (n) - 1)
#define FILE0	((struct img_file *)((uint8_t *)FILES + FILES->files_off))
#define PATH0	((char *)FILES + FILE0->path_off)

SET(machine, EHDR->e_machine)
SET(class, EHDR->e_ident[EI_CLASS])
SET(ident, EHDR->e_ident[IMG_IDENT_POS])
SET(ident_version, EHDR->e_ident[IMG_IDENT_POS + 3])
SET(phoff, EHDR->e_phoff)
SET(phnum, EHDR->e_phnum)
SET(phentsize, EHDR->e_phentsize)
SET(shoff, EHDR->e_shoff)

SET(head_size, HEAD->size)
SET(version, HEAD->version)
SET(head_flags, HEAD->flags)
SET(length, HEAD->length)
SET(head_len, HEAD->head_len)
SET(data_off, HEAD->data_off)
SET(page_size, HEAD->page_size)
SET(head_machine, HEAD->machine)
SET(nr_threads, HEAD->nr_threads)
SET(head_pad, HEAD->pad[0])

SET(p0_type, phdr(im, 0)->p_type)
SET(p0_offset, phdr(im, 0)->p_offset)
SET(p0_filesz, phdr(im, 0)->p_filesz)
SET(p_type, load(im)->p_type)
SET(p_offset, load(im)->p_offset)
SET(p_vaddr, load(im)->p_vaddr)
SET(p_filesz, load(im)->p_filesz)
SET(p_memsz, load(im)->p_memsz)

SET(rip, regs(im)->rip)
SET(rsp, regs(im)->rsp)
SET(eflags, regs(im)->eflags)
SET(cs, regs(im)->cs)
SET(ss, regs(im)->ss)
SET(ds, regs(im)->ds)
SET(es, regs(im)->es)
SET(fs, regs(im)->fs)
SET(gs, regs(im)->gs)
SET(fs_base, regs(im)->fs_base)
SET(gs_base, regs(im)->gs_base)
SET(orig_rax, regs(im)->orig_rax)

SET(xstate_bv, *(uint64_t *)(XSTATE + 512))
SET(xcomp_bv, *(uint64_t *)(XSTATE + 520))
SET(xreserved, *(uint64_t *)(XSTATE + 536))
SET(mxcsr, *(uint32_t *)(XSTATE + 24))

SET(thread_size, THREAD->size)
SET(thread_flags, THREAD->flags)
SET(clear_child_tid, THREAD->clear_child_tid)
SET(robust_list, THREAD->robust_list)
SET(rseq, THREAD->rseq)
SET(altstack_flags, THREAD->altstack_flags)
SET(pdeath_signal, THREAD->pdeath_signal)
SET(thread_pad, THREAD->pad[0])
SET(blocked, THREAD->blocked)
SET(personality, THREAD->personality)

SET(sleep_size, SLEEP->size)
SET(sleep_nr, SLEEP->nr)
SET(sleep_flags, SLEEP->flags)
SET(sleep_left, SLEEP->left_ns)
SET(mono_ns, HEAD->mono_ns)
SET(boot_ns, HEAD->boot_ns)

SET(action_size, SIGNAL->action_size)
SET(nr_actions, SIGNAL->nr_actions)
SET(actions_off, SIGNAL->actions_off)
SET(pending_size, SIGNAL->pending_size)
SET(pending_off, SIGNAL->pending_off)
SET(nr_shared, SIGNAL->nr_shared)
SET(nr_private, SIGNAL->nr_private)
SET(action_handler, ACTION(SIGUSR1)->handler)
SET(action_flags, ACTION(SIGUSR1)->flags)
SET(action_kill, ACTION(SIGKILL)->handler)

SET(mm_size, MM->size)
SET(dumpable, MM->dumpable)
SET(mm_flags, MM->flags)
SET(start_code, MM->start_code)
SET(start_brk, MM->start_brk)
SET(brk, MM->brk)
SET(arg_start, MM->arg_start)
SET(env_end, MM->env_end)
SET(start_stack, MM->start_stack)
SET(mmap_base, MM->mmap_base)
SET(exe, MM->exe)

SET(vma_size, VMAS->vma_size)
SET(vma_nr, VMAS->nr)
SET(vmas_off, VMAS->vmas_off)
SET(vma0_start, vma(im, 0)->start)
SET(vma0_end, vma(im, 0)->end)
SET(vma0_off, vma(im, 0)->file_off)
SET(vma0_flags, vma(im, 0)->flags)
SET(vma0_prot, vma(im, 0)->prot)
SET(vma0_map, vma(im, 0)->map)
SET(vma0_kind, vma(im, 0)->kind)
SET(vma0_file, vma(im, 0)->file)
SET(vma0_name, vma(im, 0)->name_off)
SET(vma0_pad, vma(im, 0)->pad)
SET(vma0_pkey, vma(im, 0)->pkey)
SET(vma1_start, vma(im, 1)->start)

SET(file_size, FILES->file_size)
SET(file_nr, FILES->nr)
SET(files_off, FILES->files_off)
SET(file_ino, FILE0->ino)
SET(file_bytes, FILE0->bytes)
SET(file_mtime, FILE0->mtime_sec)
SET(file_mtime_nsec, FILE0->mtime_nsec)
SET(path_off, FILE0->path_off)
SET(path_first, PATH0[0])

SET(arch_size, ARCH->size)
SET(nr_cpuid, ARCH->nr_cpuid)
SET(arch_flags, ARCH->flags)
SET(xfeatures, ARCH->xfeatures)
SET(vdso, ARCH->vdso)
SET(vdso_size, ARCH->vdso_size)
SET(vvar_size, ARCH->vvar_size)
SET(vdso_digest, ARCH->vdso_digest[7])

/* Any sort of note becomes one of a type that nobody knows. */
static int unknown_note(struct img_image *im, uint64_t type)
{
	Elf64_Nhdr *nh = (void *)((uint8_t *)MM - 4 - sizeof(*nh));

	nh->n_type = type;
	return 0;
}

/* The list of open files, which is for tools, under another skippable type. */
static int unknown_note_to_skip(struct img_image *im, uint64_t type)
{
	uint8_t *fd = img_note(im, "IMG", NT_IMG_FD, 0, NULL);
	Elf64_Nhdr *nh = (void *)(fd - 4 - sizeof(*nh));

	nh->n_type = type;
	return 0;
}

static int note_size(struct img_image *im, uint64_t size)
{
	Elf64_Nhdr *nh = (void *)((uint8_t *)MM - 4 - sizeof(*nh));

	nh->n_descsz = size;
	return 0;
}

static int note_name_size(struct img_image *im, uint64_t size)
{
	Elf64_Nhdr *nh = (void *)((uint8_t *)MM - 4 - sizeof(*nh));

	nh->n_namesz = size;
	return 0;
}

static int xstate_size(struct img_image *im, uint64_t size)
{
	Elf64_Nhdr *nh = (void *)(XSTATE - 8 - sizeof(*nh));

	nh->n_descsz += size;
	return 0;
}

static int prstatus_size(struct img_image *im, uint64_t size)
{
	Elf64_Nhdr *nh = img_note(im, "CORE", NT_PRSTATUS, 0, NULL);

	nh = (void *)((uint8_t *)nh - 8 - sizeof(*nh));
	nh->n_descsz += size;
	return 0;
}

static int swap_vmas(struct img_image *im, uint64_t arg)
{
	struct img_vma a = *vma(im, 0);

	*vma(im, 0) = *vma(im, 1);
	*vma(im, 1) = a;
	return 0;
}

/* The second begins within the first. */
static int overlap_vmas(struct img_image *im, uint64_t arg)
{
	vma(im, 1)->start = vma(im, 0)->end - PAGE;
	return 0;
}

static int same_segment_twice(struct img_image *im, uint64_t arg)
{
	Elf64_Phdr *ph = load(im);

	ph[1].p_vaddr = ph[0].p_vaddr;
	return 0;
}

static int path_without_end(struct img_image *im, uint64_t arg)
{
	size_t len;
	uint8_t *d = img_note(im, "IMG", NT_IMG_FILE, 0, &len);

	memset(d + FILE0->path_off, 'x', len - FILE0->path_off);
	return 0;
}

static int path_to(struct img_image *im, const char *path)
{
	if (strlen(path) > strlen(PATH0))
		return -1;
	strcpy(PATH0, path);
	return 0;
}

static int path_is_directory(struct img_image *im, uint64_t arg)
{
	return path_to(im, "/");
}

static int path_is_device(struct img_image *im, uint64_t arg)
{
	return path_to(im, "/dev/zero");
}

static int path_is_proc(struct img_image *im, uint64_t arg)
{
	return path_to(im, "/proc/self/mem");
}

static int path_is_missing(struct img_image *im, uint64_t arg)
{
	return path_to(im, "/nowhere");
}

static int comm_without_end(struct img_image *im, uint64_t arg)
{
	memset(THREAD->comm, 'x', sizeof(THREAD->comm));
	return 0;
}

static int rseq_of(struct img_image *im, uint64_t len)
{
	THREAD->rseq = vma(im, 0)->start;
	THREAD->rseq_len = len;
	THREAD->rseq_sig = 0x53053053;
	return 0;
}

/* A feature that programs use without asking the kernel, which is not here. */
static int missing_feature(struct img_image *im, uint64_t arg)
{
	static const struct {
		int word, bit;
	} candidates[] = {
		{ IMG_X86_CPUID_7_EBX, 16 },	/* AVX512F */
		{ IMG_X86_CPUID_EXT_ECX, 11 },	/* XOP */
		{ IMG_X86_CPUID_EXT_ECX, 16 },	/* FMA4 */
		{ IMG_X86_CPUID_7_EBX, 29 },	/* SHA */
		{ IMG_X86_CPUID_7_1_EAX, 4 },	/* AVX_VNNI */
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(candidates); i++) {
		if (ARCH->cpuid[candidates[i].word] >> candidates[i].bit & 1)
			continue;
		ARCH->cpuid[candidates[i].word] |= 1U << candidates[i].bit;
		return 0;
	}
	return -1;
}

static int missing_xfeature(struct img_image *im, uint64_t arg)
{
	ARCH->xfeatures |= 1ULL << 61;
	return 0;
}

/* Cut off at @arg thousandths of its length. */
static int cut(struct img_image *im, uint64_t arg)
{
	im->len = im->len * arg / 1000;
	return 0;
}

static int cut_to(struct img_image *im, uint64_t arg)
{
	im->len = arg;
	return 0;
}

static int cut_head(struct img_image *im, uint64_t arg)
{
	im->len = HEAD->head_len - arg;
	return 0;
}

static int flip(struct img_image *im, uint64_t arg)
{
	im->data[HEAD->head_len * arg / 1000] ^= 0x10;
	return 0;
}

static int large_head(struct img_image *im, uint64_t arg)
{
	struct img_header *h = HEAD;

	phdr(im, 0)->p_filesz = arg;
	h->head_len = phdr(im, 0)->p_offset + arg;
	h->data_off = (h->head_len + PAGE - 1) & ~(PAGE - 1);
	h->length = h->data_off;
	return 0;
}

/* Go on with this call, as it stands in the registers. */
static int sleep_in(struct img_image *im, uint64_t nr)
{
	SLEEP->nr = nr;
	SLEEP->flags = IMG_SLEEP_CALL;
	SLEEP->left_ns = 0;
	regs(im)->orig_rax = SYS_nanosleep;
	regs(im)->rax = -516;	/* ERESTART_RESTARTBLOCK */
	return 0;
}

static int sleep_for(struct img_image *im, uint64_t ns)
{
	sleep_in(im, SYS_nanosleep);
	SLEEP->flags |= IMG_SLEEP_LIMIT;
	SLEEP->left_ns = ns;
	return 0;
}

/*
 * One errno each
 */

FIXTURE(errno_of) {
	struct img_image im;
	char path[300];
	int log;
};

FIXTURE_VARIANT(errno_of) {
	patch_fn patch;
	uint64_t arg;
	int error;
	bool bad_crc;	/* the checksum is left alone */
	off_t grow;	/* make the file this long */
};

FIXTURE_SETUP(errno_of)
{
	if (img_nodump())
		SKIP(return, "needs a dump");
	snprintf(self->path, sizeof(self->path), "%s", img_path("image.%d", getpid()));
	ASSERT_EQ(0, make_image(self->path));
	ASSERT_EQ(0, img_load(&self->im, self->path));
	self->log = img_log_open();
}

FIXTURE_TEARDOWN(errno_of)
{
	unlink(self->path);
	close(self->log);
}

#define CASE(_name, _patch, _arg, _error, ...)				\
	FIXTURE_VARIANT_ADD(errno_of, _name) {				\
		.patch = _patch, .arg = _arg, .error = _error, __VA_ARGS__ \
	}

CASE(not_an_image, set_ident, 'X', ENOEXEC);
CASE(no_identification, set_ident, 0, ENOEXEC);
CASE(other_version_in_ident, set_ident_version, 2, EPROTONOSUPPORT);
CASE(other_version_in_header, set_version, 2, EPROTONOSUPPORT);
CASE(other_machine, set_machine, EM_AARCH64, EMEDIUMTYPE);
CASE(other_machine_in_header, set_head_machine, EM_AARCH64, EMEDIUMTYPE);
CASE(other_page_size, set_page_size, 16384, EMEDIUMTYPE);
CASE(wrong_checksum_early, flip, 100, EBADMSG, .bad_crc = true);
CASE(wrong_checksum_middle, flip, 500, EBADMSG, .bad_crc = true);
CASE(wrong_checksum_late, flip, 990, EBADMSG, .bad_crc = true);
CASE(half_of_it, cut, 500, ENODATA);
CASE(last_byte_missing, cut, 999, ENODATA);
CASE(notes_cut_off, cut_head, 10, ENODATA, .bad_crc = true);
CASE(first_kilobyte_only, cut_to, 1024, ENODATA, .bad_crc = true);
CASE(longer_than_the_file, set_length, 1ULL << 40, ENODATA);
CASE(missing_cpu_feature, missing_feature, 0, ENODEV);
CASE(missing_xstate_feature, missing_xfeature, 0, ENODEV);
CASE(other_vdso, set_vdso_digest, 0x5a, ELIBACC);
CASE(file_missing, path_is_missing, 0, ENOENT);
CASE(file_with_other_inode, set_file_ino, 1234567, ESTALE);
CASE(file_with_other_size, set_file_bytes, 1234567, ESTALE);
CASE(file_with_other_time, set_file_mtime, 1234567, ESTALE);
CASE(file_with_other_nanoseconds, set_file_mtime_nsec, 7, ESTALE);
CASE(unknown_flags, set_head_flags, 1, EOPNOTSUPP);
CASE(unknown_thread_flags, set_thread_flags, 1ULL << 63, EOPNOTSUPP);
CASE(unknown_mm_flags, set_mm_flags, 1ULL << 63, EOPNOTSUPP);
CASE(unknown_vma_flags, set_vma0_flags, 1ULL << 63, EOPNOTSUPP);
CASE(unknown_arch_flags, set_arch_flags, 1ULL << 63, EOPNOTSUPP);
CASE(unknown_note_type, unknown_note, 0x494d47f0, EOPNOTSUPP);
CASE(unknown_note_type_to_skip, unknown_note_to_skip, 0x494d47f1, 0);
CASE(two_threads_announced, set_nr_threads, 2, EBADMSG);
CASE(header_area_too_large, large_head, 1UL << 30, E2BIG, .grow = (1UL << 30) + 65536);
CASE(unknown_sleep_flags, set_sleep_flags, 1ULL << 63, EOPNOTSUPP);
CASE(monotonic_clock_behind, set_mono_ns, 1ULL << 60, ERANGE);
CASE(boot_clock_behind, set_boot_ns, 1ULL << 60, ERANGE);
CASE(mapping_of_a_directory, path_is_directory, 0, EACCES);

static bool logged(int log, const char *path, pid_t *pid)
{
	const char *base = strrchr(path, '/') + 1;
	int i;

	for (i = 0; i < 2; i++) {
		if (img_log_has(log, base, ": cannot resume: "))
			return true;
		if (i)
			break;
		/* Ten lines in five seconds. */
		img_msleep(5100);
		img_try_exec(path, NULL, pid);
	}
	return false;
}

TEST_F(errno_of, exec)
{
	pid_t pid = 0;
	int ret, i;

	if (variant->patch(&self->im, variant->arg))
		SKIP(return, "not possible here");
	if (!variant->bad_crc)
		img_fix_crc(&self->im);
	ASSERT_EQ(0, img_save(&self->im, self->path));
	if (variant->grow)
		ASSERT_EQ(0, truncate(self->path, variant->grow));
	ret = img_try_exec(self->path, NULL, &pid);
	if (pid) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	if (variant->error == EACCES && ret == -ESTALE)
		return;	/* found out in another order */
	ASSERT_EQ(-variant->error, ret);
	/* Not by chance. */
	for (i = 0; i < 3 && ret; i++)
		EXPECT_EQ(ret, img_try_exec(self->path, NULL, &pid));
	if (ret && ret != -ENOEXEC && self->log >= 0)
		EXPECT_TRUE(logged(self->log, self->path, &pid));
}

/*
 * Files of a process that has some
 */

TARGET(with_file)
{
	char *p;
	int fd;

	fd = MUST(open(arg, O_RDONLY));
	p = mmap(NULL, 8 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK(p != MAP_FAILED);
	close(fd);
	img_freeze();
	CHECK_FILL(p, 8 * PAGE, 1);
}

FIXTURE(file) {
	struct img_proc p;
	char path[300];
};

FIXTURE_SETUP(file)
{
	if (img_nodump())
		SKIP(return, "needs a dump");
	snprintf(self->path, sizeof(self->path), "%s", img_path("mapped.%d", getpid()));
	ASSERT_EQ(0, img_make_file(self->path, 8 * PAGE, 1));
	ASSERT_EQ(0, img_spawn(&self->p, "with_file", 's', self->path, NULL));
	ASSERT_EQ(0, img_dump(&self->p));
	img_kill(&self->p);
}

FIXTURE_TEARDOWN(file)
{
	img_forget(&self->p);
	unlink(self->path);
}

TEST_F(file, unchanged)
{
	ASSERT_EQ(0, img_resume(&self->p));
	ASSERT_EQ(0, img_finish(&self->p));
}

TEST_F(file, missing)
{
	pid_t pid;

	ASSERT_EQ(0, unlink(self->path));
	EXPECT_EQ(-ENOENT, img_try_exec(self->p.image, NULL, &pid));
}

TEST_F(file, rewritten)
{
	pid_t pid;
	int fd;

	img_msleep(20);
	fd = open(self->path, O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(1, pwrite(fd, "x", 1, 5));
	close(fd);
	EXPECT_EQ(-ESTALE, img_try_exec(self->p.image, NULL, &pid));
}

TEST_F(file, longer)
{
	pid_t pid;

	ASSERT_EQ(0, truncate(self->path, 9 * PAGE));
	EXPECT_EQ(-ESTALE, img_try_exec(self->p.image, NULL, &pid));
}

TEST_F(file, replaced_by_a_copy)
{
	const char *copy = img_path("copy.%d", getpid());
	struct stat st;
	struct timespec t[2];
	pid_t pid;

	ASSERT_EQ(0, stat(self->path, &st));
	ASSERT_EQ(0, img_make_file(copy, 8 * PAGE, 1));
	t[0] = st.st_atim;
	t[1] = st.st_mtim;
	ASSERT_EQ(0, utimensat(AT_FDCWD, copy, t, 0));
	ASSERT_EQ(0, rename(copy, self->path));
	/* The same bytes and times, but not the same file. */
	EXPECT_EQ(-ESTALE, img_try_exec(self->p.image, NULL, &pid));
}

TEST_F(file, touched)
{
	struct timespec t[2] = { { 1000000, 5 }, { 1000000, 5 } };
	pid_t pid;

	ASSERT_EQ(0, utimensat(AT_FDCWD, self->path, t, 0));
	EXPECT_EQ(-ESTALE, img_try_exec(self->p.image, NULL, &pid));
}

/* An access time is nothing to the image, nor is the name of a hard link. */
TEST_F(file, read_and_linked)
{
	ASSERT_EQ(0, link(self->path, img_path("hardlink.%d", getpid())));
	free(img_read_file(self->path, NULL));
	ASSERT_EQ(0, img_resume(&self->p));
	ASSERT_EQ(0, img_finish(&self->p));
}

TEST_F(file, not_permitted)
{
	struct img_launch how = { .uid = IMG_NOBODY };
	pid_t pid;

	if (geteuid())
		SKIP(return, "not root");
	ASSERT_EQ(0, chmod(self->path, 0600));
	EXPECT_EQ(-EACCES, img_try_exec(self->p.image, &how, &pid));
}

/* A path that leads elsewhere now. */
TEST_F(file, fifo_instead)
{
	pid_t pid;
	int ret;

	ASSERT_EQ(0, unlink(self->path));
	ASSERT_EQ(0, mkfifo(self->path, 0666));
	ret = img_try_exec(self->p.image, NULL, &pid);
	EXPECT_TRUE(ret == -EACCES || ret == -ESTALE);
}

static void path_becomes(struct img_image *im, const char *from, const char *to)
{
	struct img_files *files = img_note(im, "IMG", NT_IMG_FILE, 0, NULL);
	struct img_file *f = (void *)((char *)files + files->files_off);
	struct stat st;

	while (strcmp((char *)files + f->path_off, from))
		f++;
	strcpy((char *)files + f->path_off, to);
	stat(to, &st);
	f->ino = st.st_ino;
	f->bytes = st.st_size;
	f->mtime_sec = st.st_mtim.tv_sec;
	f->mtime_nsec = st.st_mtim.tv_nsec;
	f->flags = 0;
	f->btime_sec = 0;
	f->btime_nsec = 0;
	f->generation = 0;
}

/* What is said of the file is true, but its pages are huge. */
TEST_F(file, of_hugetlbfs_instead)
{
	struct img_image im;
	char path[100];
	pid_t pid;
	int fd;

	fd = syscall(SYS_memfd_create, "huge", MFD_HUGETLB);
	if (fd < 0 || ftruncate(fd, 4 << 20))
		SKIP(return, "no huge pages");
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fd);
	ASSERT_LT(strlen(path), strlen(self->path));
	ASSERT_EQ(0, img_load(&im, self->p.image));
	path_becomes(&im, self->path, path);
	img_fix_crc(&im);
	ASSERT_EQ(0, img_save(&im, self->p.image));
	EXPECT_EQ(-EBADMSG, img_try_exec(self->p.image, NULL, &pid));
	img_free(&im);
	close(fd);
}

/*
 * Limits of the launcher
 */

static int limit_as(void *data)
{
	struct rlimit lim = { 1UL << 20, 1UL << 20 };

	return setrlimit(RLIMIT_AS, &lim) ? -errno : 0;
}

static int limit_data(void *data)
{
	struct rlimit lim = { 1UL << 20, 1UL << 20 };

	return setrlimit(RLIMIT_DATA, &lim) ? -errno : 0;
}

TARGET(with_memory)
{
	void *p = mmap(NULL, 8UL << 20, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	img_fill(p, 8UL << 20, 1);
	img_freeze();
	CHECK_FILL(p, 8UL << 20, 1);
}

TEST(limits)
{
	struct img_launch as = { .prepare = limit_as }, data = { .prepare = limit_data };
	struct img_proc p;
	pid_t pid;

	if (img_nodump())
		SKIP(return, "needs a dump");
	IMG_SPAWN(&p, "with_memory", 's', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	EXPECT_EQ(-ENOMEM, img_try_exec(p.image, &as, &pid));
	EXPECT_EQ(-ENOMEM, img_try_exec(p.image, &data, &pid));
	ASSERT_EQ(0, img_resume(&p));
	ASSERT_EQ(0, img_finish(&p));
}

TARGET(with_mappings)
{
	char *p = mmap(NULL, 2000 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int i;

	for (i = 0; i < 2000; i += 2)
		MUST(mprotect(p + i * PAGE, PAGE, PROT_NONE));
	img_freeze();
}

TEST(number_of_mappings)
{
	char *old = img_read_file("/proc/sys/vm/max_map_count", NULL);
	struct img_proc p;
	pid_t pid;
	int ret;

	if (img_nodump())
		SKIP(return, "needs a dump");
	IMG_SPAWN(&p, "with_mappings", 's', NULL, NULL);
	ASSERT_EQ(0, img_dump(&p));
	img_kill(&p);
	if (!old || img_write_str("/proc/sys/vm/max_map_count", "1000"))
		SKIP(return, "cannot set vm.max_map_count");
	ret = img_try_exec(p.image, NULL, &pid);
	img_write_str("/proc/sys/vm/max_map_count", old);
	EXPECT_EQ(-ENOMEM, ret);
	ASSERT_EQ(0, img_resume(&p));
	ASSERT_EQ(0, img_finish(&p));
}

/* A core file that the kernel writes is none. */
TEST(other_core_file)
{
	Elf64_Ehdr eh = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_CORE,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(eh),
		.e_ehsize = sizeof(eh),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 1,
	};
	char buf[4096] = {};
	pid_t pid;

	memcpy(buf, &eh, sizeof(eh));
	ASSERT_EQ(0, img_write_file(img_path("core"), buf, sizeof(buf)));
	EXPECT_EQ(-ENOEXEC, img_try_exec(img_path("core"), NULL, &pid));
}

/*
 * Hostile values.  Those with "may run" are checked as a debugger's would be:
 * refused, made harmless, or the end of the process.
 */

static const struct hostile {
	const char *name;
	patch_fn patch;
	uint64_t arg;
	bool may_run;
} hostile[] = {
	/* the file's structure */
	{ "no program headers", set_phnum, 0 },
	{ "65535 program headers", set_phnum, 0xffff },
	{ "65534 program headers", set_phnum, 0xfffe },
	{ "program headers at 0", set_phoff, 0 },
	{ "program headers at the end", set_phoff, -64ULL },
	{ "program headers beyond the end", set_phoff, 1ULL << 60 },
	{ "program headers of 1 byte", set_phentsize, 1 },
	{ "program headers of 0xffff bytes", set_phentsize, 0xffff },
	{ "section header at the end of the address space", set_shoff, -1ULL, true },
	{ "32-bit class", set_class, ELFCLASS32 },
	{ "first segment no note", set_p0_type, PT_LOAD },
	{ "notes beyond the end", set_p0_offset, 1ULL << 62 },
	{ "notes wrap", set_p0_offset, -8ULL },
	{ "notes unaligned", set_p0_offset, 3 },
	{ "no notes", set_p0_filesz, 0 },
	{ "notes of 1 byte", set_p0_filesz, 1 },
	{ "notes of 2^63 bytes", set_p0_filesz, 1ULL << 63 },
	{ "note of 0 bytes", note_size, 0 },
	{ "note of 2^32-1 bytes", note_size, 0xffffffff },
	{ "note of 1 byte", note_size, 1 },
	{ "note with a name of 0 bytes", note_name_size, 0 },
	{ "note with a name of 2^32-1 bytes", note_name_size, 0xffffffff },
	/* header */
	{ "header of 0 bytes", set_head_size, 0 },
	{ "header of 4 bytes", set_head_size, 4 },
	{ "header of 2^32-1 bytes", set_head_size, 0xffffffff },
	{ "length 0", set_length, 0 },
	{ "length 2^64-1", set_length, -1ULL },
	{ "head_len 0", set_head_len, 0 },
	{ "head_len 2^64-1", set_head_len, -1ULL },
	{ "data_off 0", set_data_off, 0 },
	{ "data_off 1", set_data_off, 1 },
	{ "data_off 2^64-1", set_data_off, -1ULL },
	{ "page size 0", set_page_size, 0 },
	{ "page size 1", set_page_size, 1 },
	{ "no threads", set_nr_threads, 0 },
	{ "2^32-1 threads", set_nr_threads, 0xffffffff },
	{ "header's padding", set_head_pad, 1 },
	/* segments */
	{ "segment of type interpreter", set_p_type, PT_INTERP },
	{ "segment at an odd offset", set_p_offset, 12345 },
	{ "segment within the header", set_p_offset, 0 },
	{ "segment beyond the end", set_p_offset, 1ULL << 50 },
	{ "segment's offset wraps", set_p_offset, -4096ULL },
	{ "segment outside of mappings", set_p_vaddr, 0x10000 },
	{ "segment of the kernel", set_p_vaddr, KERNEL_ADDRESS },
	{ "segment at an odd address", set_p_vaddr, 0x400001 },
	{ "segment at the end of memory", set_p_vaddr, -4096ULL },
	{ "segment of 1 byte", set_p_filesz, 1 },
	{ "segment of 2^64-1 bytes", set_p_filesz, -1ULL },
	{ "segment of 2^63 bytes", set_p_filesz, 1ULL << 63 },
	{ "segment of no memory", set_p_memsz, 0 },
	{ "segment of all memory", set_p_memsz, -4096ULL },
	{ "segment twice", same_segment_twice, 0 },
	/* registers */
	{ "rip not canonical", set_rip, NON_CANONICAL, true },
	{ "rip in the kernel", set_rip, KERNEL_ADDRESS, true },
	{ "rip at the end of user space", set_rip, TASK_END, true },
	{ "rip -1", set_rip, -1ULL, true },
	{ "rsp not canonical", set_rsp, NON_CANONICAL, true },
	{ "rsp in the kernel", set_rsp, KERNEL_ADDRESS, true },
	{ "rsp 0", set_rsp, 0, true },
	{ "fs base not canonical", set_fs_base, NON_CANONICAL, true },
	{ "fs base in the kernel", set_fs_base, KERNEL_ADDRESS, true },
	{ "gs base not canonical", set_gs_base, NON_CANONICAL, true },
	{ "gs base in the kernel", set_gs_base, KERNEL_ADDRESS, true },
	{ "flags: I/O privilege", set_eflags, 0x3202, true },
	{ "flags: virtual 8086", set_eflags, 0x20202, true },
	{ "flags: nested task", set_eflags, 0x4202, true },
	{ "flags: trap", set_eflags, 0x302, true },
	{ "flags: interrupts off", set_eflags, 0x2, true },
	{ "flags: all", set_eflags, -1ULL, true },
	{ "cs 0", set_cs, 0, true },
	{ "cs of the kernel", set_cs, 0x10, true },
	{ "cs of 32 bits", set_cs, 0x23, true },
	{ "cs of the LDT", set_cs, 0x7, true },
	{ "ss 0", set_ss, 0, true },
	{ "ss of the kernel", set_ss, 0x18, true },
	{ "ss of the LDT", set_ss, 0xf, true },
	{ "ds of the kernel", set_ds, 0x18, true },
	{ "ds beyond the table", set_ds, 0xfffb, true },
	{ "es of the LDT", set_es, 0x7, true },
	{ "fs of an empty slot", set_fs, 0x63, true },
	{ "gs of the kernel", set_gs, 0x10, true },
	{ "gs of the LDT", set_gs, 0xf, true },
	{ "orig_rax -1", set_orig_rax, -1ULL, true },
	{ "orig_rax huge", set_orig_rax, 0x7fffffffffffffffULL, true },
	{ "orig_rax of rt_sigreturn", set_orig_rax, SYS_rt_sigreturn, true },
	{ "orig_rax of execve", set_orig_rax, SYS_execve, true },
	{ "orig_rax of restart_syscall", set_orig_rax, SYS_restart_syscall, true },
	{ "xstate with unknown features", set_xstate_bv, -1ULL, true },
	{ "xstate with bit 62", set_xstate_bv, 1ULL << 62, true },
	{ "xstate compacted", set_xcomp_bv, 1ULL << 63, true },
	{ "xstate with supervisor features", set_xcomp_bv, 1ULL << 63 | 1 << 8, true },
	{ "xstate with reserved bytes", set_xreserved, -1ULL, true },
	{ "mxcsr with reserved bits", set_mxcsr, 0xffffffff, true },
	{ "xstate too short", xstate_size, -64ULL },
	{ "xstate much too short", xstate_size, -512ULL },
	{ "xstate too long", xstate_size, 64 },
	{ "general registers too short", prstatus_size, -8ULL },
	{ "general registers too long", prstatus_size, 64 },
	/* sleep */
	{ "sleep of 0 bytes", set_sleep_size, 0 },
	{ "sleep in write()", sleep_in, SYS_write },
	{ "sleep in execve()", sleep_in, SYS_execve },
	{ "sleep in restart_syscall()", sleep_in, SYS_restart_syscall },
	{ "sleep in no system call", sleep_in, 0xffffffff },
	{ "sleep in nanosleep()", sleep_in, SYS_nanosleep, true },
	{ "sleep in none, but with a number", set_sleep_nr, SYS_nanosleep },
	{ "sleep in none, but for a time", set_sleep_left, 1 },
	{ "sleep with a limit in none", set_sleep_flags, IMG_SLEEP_LIMIT },
	{ "sleep of 2^63 ns", sleep_for, 1ULL << 63 },
	{ "sleep of 2^63-1 ns", sleep_for, ~0ULL >> 1, true },
	{ "monotonic clock beyond its end", set_mono_ns, -1ULL },
	{ "boot clock beyond its end", set_boot_ns, -1ULL },
	/* thread */
	{ "thread of 0 bytes", set_thread_size, 0 },
	{ "thread of 2^32-1 bytes", set_thread_size, 0xffffffff },
	{ "TID address in the kernel", set_clear_child_tid, KERNEL_ADDRESS },
	{ "TID address not mapped", set_clear_child_tid, 0x10000, true },
	{ "TID address not canonical", set_clear_child_tid, NON_CANONICAL },
	{ "TID address odd", set_clear_child_tid, 0x400001 },
	{ "robust list in the kernel", set_robust_list, KERNEL_ADDRESS },
	{ "rseq in the kernel", set_rseq, KERNEL_ADDRESS },
	{ "rseq odd", set_rseq, 0x400001 },
	{ "rseq of 0 bytes", rseq_of, 0 },
	{ "rseq of 7 bytes", rseq_of, 7 },
	{ "rseq of 2^32-1 bytes", rseq_of, 0xffffffff, true },
	{ "rseq in read-only memory", rseq_of, 32, true },
	{ "alternate stack of no kind", set_altstack_flags, 0x7fffffff },
	{ "parent death signal 65", set_pdeath_signal, 65 },
	{ "parent death signal 2^32-1", set_pdeath_signal, 0xffffffff },
	{ "thread's padding", set_thread_pad, 1 },
	{ "name without end", comm_without_end, 0, true },
	{ "all signals blocked", set_blocked, -1ULL, true },
	{ "personality of another kind", set_personality, 0xffffffff, true },
	{ "personality of 32 bits", set_personality, 8, true },
	/* signals */
	{ "actions of 0 bytes", set_action_size, 0 },
	{ "actions of 2^32-1 bytes", set_action_size, 0xffffffff },
	{ "no actions", set_nr_actions, 0, true },
	{ "65 actions", set_nr_actions, 65 },
	{ "2^32-1 actions", set_nr_actions, 0xffffffff },
	{ "actions beyond the end", set_actions_off, 0xfffffff0 },
	{ "actions within the header", set_actions_off, 0 },
	{ "2^32-1 pending signals", set_nr_shared, 0xffffffff },
	{ "a pending signal beyond the end", set_nr_private, 1 },
	{ "2^31 pending signals", set_nr_private, 0x80000000 },
	{ "pending signals of 0 bytes", set_pending_size, 0 },
	{ "pending signals at the end of memory", set_pending_off, 0xffffffff },
	{ "handler in the kernel", set_action_handler, KERNEL_ADDRESS, true },
	{ "unknown action flags", set_action_flags, -1ULL, true },
	{ "handler of SIGKILL", set_action_kill, 0x400000, true },
	/* address space */
	{ "mm of 0 bytes", set_mm_size, 0 },
	{ "dumpable 7", set_dumpable, 7 },
	{ "memory of the future locked on fault only", set_mm_flags, IMG_MM_LOCK_ONFAULT },
	{ "memory of the future locked", set_mm_flags, IMG_MM_LOCK_FUTURE | IMG_MM_TOPDOWN, true },
	{ "code in the kernel", set_start_code, KERNEL_ADDRESS },
	{ "brk before its start", set_brk, 0x1000 },
	{ "brk in the kernel", set_brk, KERNEL_ADDRESS },
	{ "start of brk in the kernel", set_start_brk, KERNEL_ADDRESS },
	{ "arguments in the kernel", set_arg_start, KERNEL_ADDRESS },
	{ "arguments backwards", set_arg_start, TASK_END - PAGE },
	{ "environment in the kernel", set_env_end, KERNEL_ADDRESS },
	{ "stack in the kernel", set_start_stack, KERNEL_ADDRESS },
	{ "mmap base in the kernel", set_mmap_base, KERNEL_ADDRESS },
	{ "mmap base odd", set_mmap_base, 0x7f0000000001ULL },
	{ "no executable", set_exe, IMG_NONE },
	{ "executable out of range", set_exe, 1000 },
	/* mappings */
	{ "mappings of 0 bytes", set_vma_size, 0 },
	{ "mappings of 8 bytes", set_vma_size, 8 },
	{ "mappings of 2^32-1 bytes", set_vma_size, 0xffffffff },
	{ "no mappings", set_vma_nr, 0 },
	{ "2^32-1 mappings", set_vma_nr, 0xffffffff },
	{ "mappings beyond the end", set_vmas_off, 0xfffffff0 },
	{ "mapping backwards", set_vma0_start, TASK_END - PAGE },
	{ "mapping of nothing", set_vma0_end, 0 },
	{ "mapping at an odd address", set_vma0_start, 0x400001 },
	{ "mapping below the lowest address", set_vma0_start, 0 },
	{ "mapping of the kernel", set_vma0_end, KERNEL_ADDRESS },
	{ "mapping to the end of user space", set_vma0_end, TASK_END },
	{ "mapping that wraps", set_vma0_end, -4096ULL },
	{ "second mapping before the first", set_vma1_start, 0x10000 },
	{ "mappings overlap", overlap_vmas, 0 },
	{ "mappings not sorted", swap_vmas, 0 },
	{ "mapping of kind 77", set_vma0_kind, 77 },
	{ "mapping of the architecture, misplaced", set_vma0_kind, IMG_VMA_ARCH },
	{ "mapping without its file", set_vma0_file, IMG_NONE },
	{ "mapping of file 1000", set_vma0_file, 1000 },
	{ "mapping with unknown protection", set_vma0_prot, 0xff },
	{ "mapping with a protection key", set_vma0_prot, 1 | 1U << 28 },
	{ "mapping neither private nor shared", set_vma0_map, 0 },
	{ "mapping with MAP_FIXED and more", set_vma0_map, 0xffffffff },
	{ "mapping with MAP_HUGETLB", set_vma0_map, MAP_PRIVATE | MAP_HUGETLB },
	{ "mapping at an odd offset", set_vma0_off, 5 },
	{ "mapping at the largest offset", set_vma0_off, -4096ULL },
	{ "mapping's name beyond the end", set_vma0_name, 0x7fffffff },
	{ "mapping's padding", set_vma0_pad, 1 },
	{ "mapping that wipes a file", set_vma0_flags, IMG_VMA_WIPEONFORK },
	{ "mapping locked on fault only", set_vma0_flags, IMG_VMA_LOCKONFAULT },
	{ "mapping locked", set_vma0_flags, IMG_VMA_LOCKED, true },
	{ "mapping sealed", set_vma0_flags, IMG_VMA_SEALED, true },
	{ "file that may be dropped", set_vma0_map, MAP_DROPPABLE },
	{ "mapping of all kinds of sharing", set_vma0_map, 0xf },
	{ "mapping with key 1", set_vma0_pkey, 1, true },
	{ "mapping with key 32", set_vma0_pkey, 32 },
	{ "mapping with contrary advice", set_vma0_flags,
	  IMG_VMA_HUGEPAGE | IMG_VMA_NOHUGEPAGE, true },
	/* files */
	{ "files of 0 bytes", set_file_size, 0 },
	{ "no files", set_file_nr, 0 },
	{ "2^32-1 files", set_file_nr, 0xffffffff },
	{ "files beyond the end", set_files_off, 0xfffffff0 },
	{ "path beyond the end", set_path_off, 0x7fffffff },
	{ "path 0", set_path_off, 0, true },
	{ "path relative", set_path_first, 'x' },
	{ "path empty", set_path_first, 0 },
	{ "path without end", path_without_end, 0 },
	{ "path of a device", path_is_device, 0 },
	{ "path of a directory", path_is_directory, 0 },
	{ "path in /proc", path_is_proc, 0 },
	/* architecture */
	{ "arch of 0 bytes", set_arch_size, 0 },
	{ "2^32-1 feature words", set_nr_cpuid, 0xffffffff },
	{ "all xstate features", set_xfeatures, -1ULL },
	{ "vDSO in the kernel", set_vdso, KERNEL_ADDRESS },
	{ "vDSO odd", set_vdso, 0x400001 },
	{ "vDSO below vvar", set_vdso, 0x1000 },
	{ "vDSO of 0 bytes", set_vdso_size, 0 },
	{ "vDSO of 2^64-1 bytes", set_vdso_size, -1ULL },
	{ "vvar of 1 byte", set_vvar_size, 1 },
	{ "vvar of 2^32-1 bytes", set_vvar_size, 0xffffffff },
};

static bool documented(int error)
{
	switch (error) {
	case ENOEXEC: case EBADMSG: case ENODATA: case EPROTONOSUPPORT:
	case EMEDIUMTYPE: case ENODEV: case ELIBACC: case ENOENT: case ESTALE:
	case EACCES: case E2BIG: case EPERM: case EOPNOTSUPP: case ENOMEM:
	case ERANGE:
	/* what opening a file by a path made up may give */
	case ENOTDIR: case ELOOP: case ENAMETOOLONG:
		return true;
	}
	return false;
}

static struct img_launch nobody = { .uid = IMG_NOBODY };

/* Let it run for a moment, with a signal for it to handle, and end it. */
static void run_and_end(pid_t pid, unsigned int ms)
{
	kill(pid, SIGUSR1);
	img_msleep(ms);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

TEST(hostile_values)
{
	char path[300];
	struct img_image good, bad;
	unsigned int ran = 0;
	pid_t pid;
	size_t i;
	int ret;

	if (img_nodump())
		SKIP(return, "needs a dump");
	snprintf(path, sizeof(path), "%s", img_path("hostile"));
	ASSERT_EQ(0, make_image(path));
	ASSERT_EQ(0, img_load(&good, path));
	ret = img_try_exec(path, &nobody, &pid);
	ASSERT_EQ(0, ret);
	run_and_end(pid, 1);
	for (i = 0; i < ARRAY_SIZE(hostile); i++) {
		const struct hostile *h = &hostile[i];

		ASSERT_EQ(0, img_copy(&bad, &good));
		if (h->patch(&bad, h->arg)) {
			img_free(&bad);
			continue;
		}
		img_fix_crc(&bad);
		ASSERT_EQ(0, img_save(&bad, path));
		img_free(&bad);
		pid = 0;
		ret = img_try_exec(path, geteuid() ? NULL : &nobody, &pid);
		if (!ret) {
			run_and_end(pid, 5 * img_slow());
			ran++;
		}
		if ((ret && !documented(-ret)) || (!ret && !h->may_run)) {
			img_diag("%s: %s", h->name, ret ? strerror(-ret) : "it ran");
			_metadata->exit_code = KSFT_FAIL;
		}
	}
	img_diag("%u of %zu could be run", ran, ARRAY_SIZE(hostile));
	/* The good one still does. */
	ASSERT_EQ(0, img_save(&good, path));
	ret = img_try_exec(path, &nobody, &pid);
	ASSERT_EQ(0, ret);
	run_and_end(pid, 1);
}

/*
 * Thousands of other ones, with a correct checksum
 */

static int limit_all(void *data)
{
	struct rlimit as = { 256UL << 20, 256UL << 20 }, cpu = { 2, 2 }, none = {};
	struct rlimit nproc = { (long)data, (long)data };

	return setrlimit(RLIMIT_AS, &as) || setrlimit(RLIMIT_CPU, &cpu) ||
	       setrlimit(RLIMIT_NPROC, &nproc) || setrlimit(RLIMIT_FSIZE, &none) ||
	       setrlimit(RLIMIT_CORE, &none) ? -errno : 0;
}

static const uint64_t odd_values[] = {
	0, 1, 2, 3, 4, 7, 8, 0xff, 0x7f, 0x80, 0xffff, 0x7fff, 0x8000, 0x1000, 0xfff,
	0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffffffff,
	0x8000000000000000, 0xffffffffffffffff, 0xfffffffffffff000, TASK_END,
	TASK_END + 1, KERNEL_ADDRESS, 0xffffffffff600000, 0x400000, 0x10000,
};

static void mutate(struct img_image *im, uint64_t *seed)
{
	size_t head = img_head(im)->head_len, at;
	int n = 1 + (img_random(seed) % 8 == 0) * (img_random(seed) % 6);
	uint64_t v;

	while (n--) {
		at = img_random(seed) % head;
		switch (img_random(seed) % 5) {
		case 0:
			im->data[at] ^= 1 << img_random(seed) % 8;
			break;
		case 1:
			im->data[at] = img_random(seed);
			break;
		case 2:
			v = odd_values[img_random(seed) % ARRAY_SIZE(odd_values)];
			at &= ~3UL;
			memcpy(im->data + at, &v, at + 4 <= head ? 4 : head - at);
			break;
		case 3:
			v = odd_values[img_random(seed) % ARRAY_SIZE(odd_values)];
			at &= ~3UL;
			memcpy(im->data + at, &v, at + 8 <= head ? 8 : head - at);
			break;
		case 4:
			at &= ~3UL;
			if (at + 8 > head)
				break;
			memcpy(&v, im->data + at, 8);
			v += (int64_t)(img_random(seed) % 9 - 4) *
			     (img_random(seed) % 2 ? PAGE : 1);
			memcpy(im->data + at, &v, 8);
			break;
		}
	}
}

static void fuzz(struct __test_metadata *_metadata, uint64_t seed0,
		 int (*make)(const char *path), long procs)
{
	struct img_launch how = {
		.uid = geteuid() ? 0 : IMG_NOBODY, .prepare = limit_all, .data = (void *)procs,
	};
	uint64_t end = img_now() + 8 * IMG_NSEC_PER_SEC * img_slow(), seed;
	unsigned int n, refused = 0, ran = 0;
	struct img_image good, bad;
	char path[300];
	pid_t pid;
	int ret;

	if (img_nodump())
		SKIP(return, "needs a dump");
	snprintf(path, sizeof(path), "%s", img_path("fuzz"));
	ASSERT_EQ(0, make(path));
	ASSERT_EQ(0, img_load(&good, path));
	/* However slow the machine is, enough for both to happen. */
	for (n = 0; n < 100 || (n < 4000 && img_now() < end); n++) {
		seed = seed0 + n;
		ASSERT_EQ(0, img_copy(&bad, &good));
		mutate(&bad, &seed);
		if (n % 16)
			img_fix_crc(&bad);
		ASSERT_EQ(0, img_save(&bad, path));
		img_free(&bad);
		pid = 0;
		ret = img_try_exec(path, &how, &pid);
		if (!ret) {
			ran++;
			kill(pid, SIGUSR1);
			if (n % 8 == 0)
				img_msleep(2);
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
			continue;
		}
		refused++;
		if (!documented(-ret)) {
			img_diag("seed %llu: %s", (long long)seed0 + n, strerror(-ret));
			_metadata->exit_code = KSFT_FAIL;
		}
	}
	img_diag("%u refused, %u run", refused, ran);
	EXPECT_LT(20, refused);
	EXPECT_LT(0, ran);
	ASSERT_EQ(0, img_save(&good, path));
	ASSERT_EQ(0, img_try_exec(path, &how, &pid));
	run_and_end(pid, 1);
}

TEST(fuzz_one)
{
	fuzz(_metadata, 1000000, make_image, 0);
}

TEST(fuzz_two)
{
	fuzz(_metadata, 2000000, make_image, 0);
}

TEST(fuzz_threads)
{
	fuzz(_metadata, 3000000, make_threads, 8);
}

/* What is wrong with one of several threads. */
SET(tid2, ((struct img_thread *)img_note(im, "IMG", NT_IMG_THREAD, 1, NULL))->tid)
SET(thread2_flags, ((struct img_thread *)img_note(im, "IMG", NT_IMG_THREAD, 1, NULL))->flags)
SET(thread3_pad, ((struct img_thread *)img_note(im, "IMG", NT_IMG_THREAD, 2, NULL))->pad[0])
SET(thread2_rseq, ((struct img_thread *)img_note(im, "IMG", NT_IMG_THREAD, 1, NULL))->rseq)
SET(sleep3_flags, ((struct img_sleep *)img_note(im, "IMG", NT_IMG_SLEEP, 2, NULL))->flags)

static struct user_regs_struct *regs_of(struct img_image *im, unsigned int nr)
{
	struct elf_prstatus *st = img_note(im, "CORE", NT_PRSTATUS, nr, NULL);

	return (void *)&st->pr_reg;
}

SET(ip2, regs_of(im, 1)->rip)
SET(cs3, regs_of(im, 2)->cs)

static int same_tid(struct img_image *im, uint64_t arg)
{
	return set_tid2(im, THREAD->tid);
}

/* The head of a note is right before its name. */
static Elf64_Nhdr *note_head(struct img_image *im, const char *owner, uint32_t type,
			     unsigned int nr)
{
	uint8_t *desc = img_note(im, owner, type, nr, NULL);

	return (void *)(desc - ((strlen(owner) + 4) & ~3UL) - sizeof(Elf64_Nhdr));
}

/* Make a note something that nobody must know. */
static int lose_note(struct img_image *im, const char *owner, uint32_t type, unsigned int nr)
{
	note_head(im, owner, type, nr)->n_type = 0x7ffffff1;
	return 0;
}

static int info_becomes(struct img_image *im, uint64_t type)
{
	note_head(im, "IMG", NT_IMG_INFO, 0)->n_type = type;
	return 0;
}

static int foreign_mm(struct img_image *im, uint64_t arg)
{
	memcpy(note_head(im, "IMG", NT_IMG_MM, 0) + 1, "IMh", 4);
	return 0;
}

/* A section header with the number of program headers, in a note that nobody reads. */
static int section_header(struct img_image *im, uint64_t odd)
{
	Elf64_Ehdr *elf = (void *)im->data;
	Elf64_Shdr sh = { .sh_info = elf->e_phnum };
	size_t len;
	uint8_t *to = img_note(im, "IMG", NT_IMG_INFO, 0, &len);
	uint64_t at = ((to - im->data + 7) & ~7UL) + odd;

	if (at + sizeof(sh) > to - im->data + len)
		return -1;
	memcpy(im->data + at, &sh, sizeof(sh));
	elf->e_phnum = PN_XNUM;
	elf->e_shoff = at;
	elf->e_shnum = 1;
	elf->e_shentsize = sizeof(sh);
	return info_becomes(im, 0x7ffffff1);
}

static int lose_regs2(struct img_image *im, uint64_t arg)
{
	return lose_note(im, "CORE", NT_PRSTATUS, 1);
}

static int lose_sleep2(struct img_image *im, uint64_t arg)
{
	return lose_note(im, "IMG", NT_IMG_SLEEP, 1);
}

/* The second thread's notes become more of the first one's. */
static int lose_thread2(struct img_image *im, uint64_t arg)
{
	img_head(im)->nr_threads = 2;
	return lose_note(im, "IMG", NT_IMG_THREAD, 1);
}

static int lose_thread1(struct img_image *im, uint64_t arg)
{
	img_head(im)->nr_threads = 2;
	return lose_note(im, "IMG", NT_IMG_THREAD, 0);
}

/* Of the first thread, nothing but the FPU's registers is left. */
static int lose_most1(struct img_image *im, uint64_t arg)
{
	lose_note(im, "IMG", NT_IMG_SLEEP, 0);
	lose_note(im, "CORE", NT_PRSTATUS, 0);
	return lose_thread1(im, arg);
}

static const struct {
	const char *name;
	patch_fn patch;
	uint64_t arg;
	int error;
} bad_threads[] = {
	{ "as it was", set_thread3_pad, 0, 0 },
	{ "two threads announced", set_nr_threads, 2, EBADMSG },
	{ "four threads announced", set_nr_threads, 4, EBADMSG },
	{ "2^32-1 threads announced", set_nr_threads, 0xffffffff, EBADMSG },
	{ "no ID", set_tid2, 0, EBADMSG },
	{ "a negative ID", set_tid2, 0x80000000, EBADMSG },
	{ "the same ID twice", same_tid, 0, EBADMSG },
	{ "unknown flags", set_thread2_flags, 1ULL << 63, EOPNOTSUPP },
	{ "padding", set_thread3_pad, 1, EBADMSG },
	{ "rseq area of the kernel", set_thread2_rseq, KERNEL_ADDRESS, EBADMSG },
	{ "unknown flags of a sleep", set_sleep3_flags, 1ULL << 63, EOPNOTSUPP },
	{ "instructions of the kernel", set_ip2, KERNEL_ADDRESS, EBADMSG },
	{ "a code segment of the kernel", set_cs3, 0x10, EBADMSG },
	{ "no registers", lose_regs2, 0, EBADMSG },
	{ "no sleep note", lose_sleep2, 0, EBADMSG },
	{ "two threads in one", lose_thread2, 0, EBADMSG },
	{ "notes of no thread", lose_thread1, 0, EBADMSG },
	{ "the FPU of no thread", lose_most1, 0, EBADMSG },
	/* what notes are there; any image would do */
	{ "a note less that nobody must know", info_becomes, 0x7ffffff1, 0 },
	{ "two header notes", info_becomes, NT_IMG_HEADER, EBADMSG },
	{ "two notes of memory", info_becomes, NT_IMG_MM, EBADMSG },
	{ "a core file's type as one of ours", info_becomes, NT_386_TLS, EOPNOTSUPP },
	{ "memory by another owner", foreign_mm, 0, EBADMSG },
	{ "program headers counted by a section header", section_header, 0, 0 },
	{ "a section header at an odd place", section_header, 1, EBADMSG },
};

TEST(threads)
{
	struct img_image good, bad;
	unsigned int i;
	char path[300];
	pid_t pid;
	int ret;

	if (img_nodump())
		SKIP(return, "needs a dump");
	snprintf(path, sizeof(path), "%s", img_path("threads"));
	ASSERT_EQ(0, make_threads(path));
	ASSERT_EQ(0, img_load(&good, path));
	for (i = 0; i < ARRAY_SIZE(bad_threads); i++) {
		ASSERT_EQ(0, img_copy(&bad, &good));
		ASSERT_EQ(0, bad_threads[i].patch(&bad, bad_threads[i].arg));
		img_fix_crc(&bad);
		ASSERT_EQ(0, img_save(&bad, path));
		img_free(&bad);
		ret = img_try_exec(path, NULL, &pid);
		if (!ret)
			run_and_end(pid, 1);
		EXPECT_EQ(-bad_threads[i].error, ret)
			TH_LOG("%s: %s", bad_threads[i].name, strerror(-ret));
	}
	img_free(&good);
	unlink(path);
}

/*
 * Shells: a program that execve() does not know may be a script to them.  The
 * image holds lines that would make a file.
 */
static char lines[4096];

TARGET(like_a_script)
{
	int i, n = 0;

	for (i = 0; i < 8; i++)
		n += snprintf(lines + n, sizeof(lines) - n, "\n: >%s.%d\n", arg, i);
	img_freeze();
}

FIXTURE(shell) {
};

FIXTURE_VARIANT(shell) {
	const char *path, *name;
};

FIXTURE_SETUP(shell)
{
}

FIXTURE_TEARDOWN(shell)
{
}

FIXTURE_VARIANT_ADD(shell, sh) { "/bin/sh", "sh" };
FIXTURE_VARIANT_ADD(shell, bash) { "/bin/bash", "bash" };
FIXTURE_VARIANT_ADD(shell, dash) { "/bin/dash", "dash" };
FIXTURE_VARIANT_ADD(shell, busybox) { "/bin/busybox", "sh" };

TEST_F(shell, takes_no_image_for_a_script)
{
	static const struct {
		patch_fn patch;
		uint64_t arg;
		bool bad_crc;
	} damage[] = {
		{ flip, 300, true }, { flip, 700, true }, { cut, 500 }, { cut, 10, true },
		{ cut_to, 300, true }, { cut_to, 4096, true }, { set_version, 9 },
		{ set_ident_version, 9 }, { set_machine, EM_AARCH64 },
		{ set_head_flags, 1 }, { set_page_size, 65536 },
		{ path_is_missing, 0 }, { set_vma_nr, 0xffffffff }, { missing_feature, 0 },
	};
	char marker[300], path[300], command[400];
	struct img_image good, bad;
	struct img_proc p;
	int status;
	size_t i;
	pid_t pid;

	if (img_nodump())
		SKIP(return, "needs a dump");
	if (access(variant->path, X_OK))
		SKIP(return, "no %s", variant->path);
	snprintf(marker, sizeof(marker), "%s", img_path("marker.%s", variant->name));
	snprintf(path, sizeof(path), "%s", img_path("script.%s", variant->name));
	IMG_SPAWN(&p, "like_a_script", 's', marker, NULL);
	ASSERT_EQ(0, img_dump(&p));
	ASSERT_EQ(0, img_load(&good, p.image));
	img_forget(&p);
	for (i = 0; i < ARRAY_SIZE(damage); i++) {
		ASSERT_EQ(0, img_copy(&bad, &good));
		if (damage[i].patch(&bad, damage[i].arg))
			continue;
		if (!damage[i].bad_crc)
			img_fix_crc(&bad);
		ASSERT_EQ(0, img_save(&bad, path));
		img_free(&bad);
		/* Two commands, or the shell executes the one in its own place. */
		snprintf(command, sizeof(command), "%s; echo $? >%s", path, img_path("status"));
		unlink(img_path("status"));
		fflush(NULL);
		pid = fork();
		if (!pid) {
			int null = open("/dev/null", O_RDWR);

			dup2(null, 0);
			dup2(null, 1);
			dup2(null, 2);
			execl(variant->path, variant->name, "-c", command, NULL);
			_exit(127);
		}
		ASSERT_EQ(0, img_wait_status(pid, &status));
		EXPECT_EQ(0, status);
		char *text = img_read_file(img_path("status"), NULL);

		ASSERT_TRUE(text != NULL);
		EXPECT_TRUE(atoi(text) == 126 || atoi(text) == 127);
		if (atoi(text) != 126 && atoi(text) != 127)
			img_diag("damage %zu: the shell says %s", i, text);
		free(text);
		for (int k = 0; k < 8; k++) {
			char name[400];

			snprintf(name, sizeof(name), "%s.%d", marker, k);
			EXPECT_EQ(-1, access(name, F_OK));
		}
	}
	img_free(&good);
}
