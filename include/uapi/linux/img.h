/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Process images: the format of /proc/PID/dump and of what binfmt_img runs.
 *
 * An image is an ELF core file (ET_CORE) that can be executed.  Every byte
 * that a debugger looks at is where a core file has it; what only a resume
 * needs is in notes with the owner "IMG", defined here.
 *
 * Rules for everything in this file:
 *
 * - Integers are little-endian and of fixed width.  Times are nanoseconds,
 *   sizes and offsets are bytes, addresses are user addresses.
 * - A note descriptor is aligned to 4 bytes in the file, no more: copy a
 *   struct out before using its 64-bit members.
 * - Each struct begins with its own size.  A reader takes the members that
 *   it knows, skips what is beyond them, and treats missing ones as zero.
 *   Arrays give the size of one element for the same reason.
 * - Padding is written as zero, and refused when it is not.
 * - Bits in a member called "flags" are required: a reader that does not
 *   know one must refuse the image.  Bits in a member called "hints" may be
 *   ignored.
 * - Note types that a reader does not know are refused when bit 0 of the type
 *   is clear, and skipped when it is set.
 */
#ifndef _UAPI_LINUX_IMG_H
#define _UAPI_LINUX_IMG_H

#include <linux/types.h>

/*
 * e_ident[IMG_IDENT_POS..IMG_IDENT_POS+2] holds IMG_IDENT, the byte after it
 * the format version.  This is where the padding of e_ident begins (EI_PAD of
 * the ELF specification); readers of plain core files ignore these bytes.
 */
#define IMG_IDENT		"IMG"
#define IMG_IDENT_LEN		3
#define IMG_IDENT_POS		9
#define IMG_VERSION		1

/* Owner of the notes below; the terminating NUL counts in n_namesz. */
#define IMG_NOTE_NAME		"IMG"

/*
 * Note types.  They are far from 1, which readelf shows as NT_PRSTATUS for
 * any owner.  An odd type may be skipped by a reader that does not know it.
 */
#define NT_IMG_HEADER		0x494d4702	/* struct img_header */
#define NT_IMG_THREAD		0x494d4704	/* struct img_thread */
#define NT_IMG_SIGNAL		0x494d4706	/* struct img_signal */
#define NT_IMG_MM		0x494d4708	/* struct img_mm */
#define NT_IMG_VMA		0x494d470a	/* struct img_vmas */
#define NT_IMG_FILE		0x494d470c	/* struct img_files */
#define NT_IMG_ARCH		0x494d470e	/* struct img_arch_<machine> */
#define NT_IMG_SLEEP		0x494d4716	/* struct img_sleep */
#define NT_IMG_FD		0x494d4711	/* struct img_fds, for tools */
#define NT_IMG_OBJECT		0x494d4712	/* struct img_objects */

/*
 * The first note of the file.  @length is that of the whole image; a shorter
 * file is truncated.  @crc is the crc32c (polynomial 0x1EDC6F41, initial
 * value and final xor ~0) of the bytes [0, @head_len) with @crc itself taken
 * as zero: ELF header, program headers, the section header if there is one,
 * notes.  Page contents begin at @data_off, a multiple of @page_size.
 */
struct img_header {
	__le32	size;
	__le32	version;		/* IMG_VERSION */
	__le64	flags;			/* none defined: must be zero */
	__le64	length;			/* bytes */
	__le64	head_len;		/* bytes */
	__le64	data_off;		/* bytes */
	__le32	crc;
	__le32	page_size;		/* bytes */
	__le32	machine;		/* EM_*, as e_machine */
	__le32	nr_threads;		/* at least 1 */
	__le64	wall_ns;		/* CLOCK_REALTIME at the dump */
	__le64	mono_ns;		/* CLOCK_MONOTONIC, in the target's time namespace */
	__le64	boot_ns;		/* CLOCK_BOOTTIME, likewise */
	__u8	release[65];		/* uname -r, NUL-terminated */
	__u8	kversion[65];		/* uname -v */
	__u8	uts_machine[65];	/* uname -m */
	__u8	pad[5];
};

/* img_thread.flags */
#define IMG_THREAD_STOPPED	(1ULL << 0)	/* was stopped by a signal */
#define IMG_THREAD_NO_NEW_PRIVS	(1ULL << 1)

/*
 * What one thread registered with the kernel.  Each follows the NT_PRSTATUS
 * and the other register notes of its thread.
 *
 * Thread libraries may or may not keep the TID in the word that the kernel
 * clears when the thread exits: if it holds @tid, the new TID is written there
 * on resume; if not, it is something else and stays as it was.
 */
struct img_thread {
	__le32	size;
	__le32	tid;			/* as the thread knew it: of its own PID namespace */
	__le64	flags;			/* IMG_THREAD_* */
	__le64	clear_child_tid;	/* address, 0: none; multiple of 4; see above */
	__le64	robust_list;		/* address, 0: none */
	__le64	rseq;			/* address, 0: none */
	__le32	rseq_len;		/* bytes */
	__le32	rseq_sig;
	__le64	blocked;		/* signal mask, bit N-1 is signal N */
	__le64	altstack_sp;		/* address */
	__le64	altstack_size;		/* bytes */
	__le32	altstack_flags;		/* SS_DISABLE, SS_AUTODISARM */
	__le32	pdeath_signal;		/* 0: none */
	__le64	timer_slack_ns;
	__le32	personality;		/* PER_* and its flags */
	__u8	comm[16];		/* NUL-terminated */
	__u8	pad[4];
};

/* img_sleep.flags */
#define IMG_SLEEP_CALL		(1ULL << 0)	/* @nr is a call that goes on */
#define IMG_SLEEP_LIMIT		(1ULL << 1)	/* ... and sleeps for @left_ns at most */

/*
 * What restart_syscall(2) does in the resumed thread: if IMG_SLEEP_CALL is set,
 * issue the system call @nr again, with the arguments that are in the registers,
 * but let its sleep end after @left_ns, when it would have ended.  @nr is a
 * number of the machine's ABI, of a call that sleeps for a relative time:
 * nanosleep, clock_nanosleep, poll, ppoll, select, pselect6, epoll_wait,
 * epoll_pwait, epoll_pwait2, futex, semtimedop, rt_sigtimedwait; others are
 * refused.  What is not flagged is zero.
 */
struct img_sleep {
	__le32	size;
	__le32	nr;
	__le64	flags;			/* IMG_SLEEP_* */
	__le64	left_ns;
};

/* One signal action, as rt_sigaction(2) takes it. */
struct img_sigaction {
	__le64	handler;		/* address, 0: SIG_DFL, 1: SIG_IGN */
	__le64	flags;			/* SA_* */
	__le64	restorer;		/* address */
	__le64	mask;			/* bit N-1 is signal N */
};

/* One pending signal: a siginfo_t as the machine's ABI lays it out. */
struct img_siginfo {
	__u8	info[128];
};

/*
 * Signal state of the process.  @nr_actions struct img_sigaction (signal 1
 * first) follow at @actions_off; @nr_shared pending signals of the process,
 * then @nr_private of its only thread, follow at @pending_off, each list in
 * the order of delivery.  Offsets count from the beginning of the descriptor.
 */
struct img_signal {
	__le32	size;
	__le32	action_size;		/* bytes of one struct img_sigaction */
	__le32	nr_actions;		/* 64 */
	__le32	actions_off;
	__le32	pending_size;		/* bytes of one struct img_siginfo */
	__le32	nr_shared;
	__le32	nr_private;
	__le32	pending_off;
};

/* img_mm.flags */
#define IMG_MM_MDWE		(1ULL << 0)	/* PR_SET_MDWE: PR_MDWE_REFUSE_EXEC_GAIN */
#define IMG_MM_MDWE_NO_INHERIT	(1ULL << 1)	/* with PR_MDWE_NO_INHERIT */
#define IMG_MM_THP_DISABLE	(1ULL << 2)	/* PR_SET_THP_DISABLE */
#define IMG_MM_TOPDOWN		(1ULL << 3)	/* mmap_base is an upper end */
#define IMG_MM_EXE_OBJECT	(1ULL << 4)	/* exe: index in struct img_objects */

/*
 * Address space fields, checked on resume as prctl(PR_SET_MM_MAP) checks
 * them.  @auxv_len bytes of auxiliary vector are in the NT_AUXV note.
 */
struct img_mm {
	__le32	size;
	__le32	dumpable;		/* PR_SET_DUMPABLE: 0, 1 or 2 */
	__le64	flags;			/* IMG_MM_* */
	__le64	start_code;		/* addresses, as in struct prctl_mm_map */
	__le64	end_code;
	__le64	start_data;
	__le64	end_data;
	__le64	start_brk;
	__le64	brk;
	__le64	start_stack;
	__le64	arg_start;
	__le64	arg_end;
	__le64	env_start;
	__le64	env_end;
	__le64	mmap_base;
	__le64	mmap_legacy_base;
	__le32	exe;			/* index in struct img_files, see IMG_MM_EXE_OBJECT */
	__le32	pad;
};

#define IMG_NONE		0xffffffffU	/* "no such thing" in an index or offset */

/* img_vma.kind */
#define IMG_VMA_ANON		0	/* private anonymous memory */
#define IMG_VMA_FILE		1	/* a file that is opened again by its path */
#define IMG_VMA_ARCH		2	/* made by the architecture: vDSO, vvar */
#define IMG_VMA_OBJECT		3	/* memory that is an object of its own */

/* img_vma.flags */
#define IMG_VMA_ACCOUNT		(1ULL << 0)	/* charged to the commit limit */
#define IMG_VMA_DONTFORK	(1ULL << 1)	/* MADV_DONTFORK */
#define IMG_VMA_WIPEONFORK	(1ULL << 2)	/* MADV_WIPEONFORK: comes back as zeros */
#define IMG_VMA_DONTDUMP	(1ULL << 3)	/* MADV_DONTDUMP */
#define IMG_VMA_RANDOM		(1ULL << 4)	/* MADV_RANDOM */
#define IMG_VMA_SEQUENTIAL	(1ULL << 5)	/* MADV_SEQUENTIAL */
#define IMG_VMA_HUGEPAGE	(1ULL << 6)	/* MADV_HUGEPAGE */
#define IMG_VMA_NOHUGEPAGE	(1ULL << 7)	/* MADV_NOHUGEPAGE */
#define IMG_VMA_MERGEABLE	(1ULL << 8)	/* MADV_MERGEABLE */

/*
 * One mapping.  @prot and @map are the values that mmap(2) takes: PROT_*;
 * MAP_PRIVATE or MAP_SHARED, MAP_ANONYMOUS, MAP_GROWSDOWN, MAP_NORESERVE.
 * @start and @end are multiples of the page size; mappings are sorted and do
 * not overlap.
 */
struct img_vma {
	__le64	start;			/* address of the first byte */
	__le64	end;			/* address after the last byte */
	__le64	file_off;		/* bytes into the file or object, else 0 */
	__le64	flags;			/* IMG_VMA_* */
	__le32	prot;
	__le32	map;
	__le32	kind;			/* IMG_VMA_ANON, _FILE, _ARCH, _OBJECT */
	__le32	file;			/* IMG_VMA_FILE: index in struct img_files,
					 * IMG_VMA_OBJECT: in struct img_objects,
					 * else IMG_NONE
					 */
	__le32	name_off;		/* PR_SET_VMA_ANON_NAME: NUL-terminated, or IMG_NONE */
	__le32	pad;
};

/* @nr struct img_vma at @vmas_off, names (at their name_off) after them. */
struct img_vmas {
	__le32	size;
	__le32	vma_size;		/* bytes of one struct img_vma */
	__le32	nr;
	__le32	vmas_off;		/* from the beginning of the descriptor */
};

/* img_file.flags */
#define IMG_FILE_WRITE		(1U << 0)	/* mapped MAP_SHARED, may be written to */

/*
 * A file that the process maps or executes.  It is opened again by its path,
 * from the root directory of the launcher and with the launcher's rights, and
 * must have the same inode number, size and modification time.  One that the
 * process may write to is opened for that; it must have the same inode number,
 * and not be shorter.
 */
struct img_file {
	__le64	ino;
	__le64	bytes;			/* st_size */
	__le64	mtime_sec;
	__le32	mtime_nsec;
	__le32	path_off;		/* absolute, NUL-terminated */
	__le32	dev_major;		/* for tools: device numbers are not stable */
	__le32	dev_minor;
	__le32	flags;			/* IMG_FILE_* */
	__le32	pad;
};

/* @nr struct img_file at @files_off, paths (at their path_off) after them. */
struct img_files {
	__le32	size;
	__le32	file_size;		/* bytes of one struct img_file */
	__le32	nr;
	__le32	files_off;		/* from the beginning of the descriptor */
};

/* img_object.kind */
#define IMG_OBJECT_ANON		1	/* MAP_SHARED | MAP_ANONYMOUS: "/dev/zero (deleted)" */
#define IMG_OBJECT_MEMFD	2	/* memfd_create(2) */
#define IMG_OBJECT_FILE		3	/* a file whose contents are in the image */

/* img_object.flags */
#define IMG_OBJECT_WRITE	(1ULL << 0)	/* open for reading and writing */
#define IMG_OBJECT_NORESERVE	(1ULL << 1)	/* ANON: not charged by its size */
#define IMG_OBJECT_EXEC		(1ULL << 2)	/* FILE: may be the executable */
#define IMG_OBJECT_SEAL_LATE	(1ULL << 3)	/* MEMFD: sealed after it was mapped */

/*
 * Memory that is an object of its own, and can be mapped at several places:
 * shared anonymous memory, a memfd, a file that has no path any more or that
 * is in the image for another reason.  A resume makes a new one.
 *
 * Each open file of an object is one element.  If @same is not IMG_NONE it is
 * the index of an earlier element with @same of IMG_NONE, this is another open
 * file of that object, and only @kind and IMG_OBJECT_WRITE count besides: the
 * other members are zero, @name_off is IMG_NONE.
 *
 * @nr_runs struct img_object_run, from the one with index @run, tell what is
 * in the object; the rest of its @bytes is zero.  The runs of one element
 * follow those of the element before it.
 */
struct img_object {
	__le32	kind;			/* IMG_OBJECT_ANON, _MEMFD, _FILE */
	__le32	same;			/* index or IMG_NONE */
	__le64	flags;			/* IMG_OBJECT_* */
	__le64	bytes;			/* st_size */
	__le32	run;
	__le32	nr_runs;
	__le32	name_off;		/* MEMFD: as given to memfd_create(2); FILE: its
					 * path; NUL-terminated; ANON: IMG_NONE
					 */
	__le32	mode;			/* MEMFD: permission bits, else 0 */
	__le32	seals;			/* MEMFD: F_SEAL_*, else 0 */
	__le32	pad;
};

/*
 * Contents of an object.  All members are multiples of the page size.  The
 * runs of one object are sorted by @off, do not overlap, and end not later than
 * the page that its last byte is in.  In the image all runs lie one after the
 * other, the first at @data_off of struct img_header, and before all else.
 */
struct img_object_run {
	__le64	off;			/* bytes into the object */
	__le64	bytes;
	__le64	pos;			/* bytes from data_off of struct img_header */
};

/*
 * @nr struct img_object at @objects_off, @nr_runs struct img_object_run at
 * @runs_off, names (at their name_off) after them.
 */
struct img_objects {
	__le32	size;
	__le32	object_size;		/* bytes of one struct img_object */
	__le32	nr;
	__le32	objects_off;		/* from the beginning of the descriptor */
	__le32	run_size;		/* bytes of one struct img_object_run */
	__le32	nr_runs;
	__le32	runs_off;		/* from the beginning of the descriptor */
	__le32	pad;
};

/* An open file of the dumped process.  Recorded for tools, not restored. */
struct img_fd {
	__le32	fd;
	__le32	open_flags;		/* O_*, as in /proc/PID/fdinfo */
	__le32	mode;			/* st_mode */
	__le32	path_off;		/* as readlink /proc/PID/fd/N, NUL-terminated */
	__le64	pos;			/* file position, bytes */
	__le64	ino;
	__le32	cloexec;		/* 1: FD_CLOEXEC */
	__le32	pad;
};

/* @nr struct img_fd at @fds_off, paths (at their path_off) after them. */
struct img_fds {
	__le32	size;
	__le32	fd_size;		/* bytes of one struct img_fd */
	__le32	nr;
	__le32	fds_off;		/* from the beginning of the descriptor */
};

/* Words of struct img_arch_x86.cpuid, in this order. */
#define IMG_X86_CPUID_1_EDX	0
#define IMG_X86_CPUID_1_ECX	1
#define IMG_X86_CPUID_EXT_EDX	2	/* leaf 0x80000001 */
#define IMG_X86_CPUID_EXT_ECX	3
#define IMG_X86_CPUID_7_EBX	4	/* leaf 7, subleaf 0 */
#define IMG_X86_CPUID_7_ECX	5
#define IMG_X86_CPUID_7_EDX	6
#define IMG_X86_CPUID_7_1_EAX	7	/* leaf 7, subleaf 1 */
#define IMG_X86_CPUID_XSAVE	8	/* leaf 0xd, subleaf 1, eax */
#define IMG_X86_CPUID_WORDS	9

/*
 * What register sets cannot say, for EM_X86_64.
 *
 * @cpuid holds the feature words of the CPU that the kernel offers to user
 * space; each feature that a program can use without the kernel's help must be
 * there on resume, since libraries chose their code by it.  @xfeatures has the
 * XCR0 bits that user space could use.
 *
 * @vdso_digest is the SHA-256 of the vDSO's pages, with the .note section
 * (which holds the kernel's version) taken as zeros; the vDSO is put back at
 * its address, @vvar_size bytes after the start of the vvar area.  A zero
 * @vdso says that the process had none.
 */
struct img_arch_x86 {
	__le32	size;
	__le32	nr_cpuid;		/* IMG_X86_CPUID_WORDS */
	__le64	flags;			/* none defined: must be zero */
	__le32	cpuid[IMG_X86_CPUID_WORDS];
	__le32	vvar_size;		/* bytes */
	__le64	xfeatures;
	__le64	vdso;			/* address of the vDSO's text */
	__le64	vdso_size;		/* bytes */
	__u8	vdso_digest[32];
};

#endif /* _UAPI_LINUX_IMG_H */
