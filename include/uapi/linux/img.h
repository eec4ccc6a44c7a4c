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
#define NT_IMG_TIMERS		0x494d4710	/* struct img_timers */
#define NT_IMG_SLEEP		0x494d4716	/* struct img_sleep */
#define NT_IMG_X86_THREAD	0x494d4720	/* struct img_x86_thread */
#define NT_IMG_POLICY		0x494d4722	/* struct img_policies */
#define NT_IMG_FD		0x494d4711	/* struct img_fds, for tools */
#define NT_IMG_OBJECT		0x494d4712	/* struct img_objects */
#define NT_IMG_INFO		0x494d4713	/* struct img_info, for tools */
#define NT_IMG_SECCOMP		0x494d4714	/* struct img_seccomp, if there are filters */

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
	__le32	nr_threads;		/* NT_IMG_THREAD notes, at least 1 */
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
#define IMG_THREAD_SUBREAPER	(1ULL << 16)	/* PR_SET_CHILD_SUBREAPER */
#define IMG_THREAD_KEEP_CAPS	(1ULL << 17)	/* PR_SET_KEEPCAPS */
#define IMG_THREAD_IO_FLUSHER	(1ULL << 18)	/* PR_SET_IO_FLUSHER */
#define IMG_THREAD_MCE_EARLY	(1ULL << 19)	/* PR_MCE_KILL: PR_MCE_KILL_EARLY */
#define IMG_THREAD_MCE_LATE	(1ULL << 20)	/* PR_MCE_KILL: PR_MCE_KILL_LATE */
#define IMG_THREAD_DISPATCH	(1ULL << 21)	/* PR_SET_SYSCALL_USER_DISPATCH */

/*
 * What one thread registered with the kernel.  It is the first of the notes of
 * its thread, which are those up to the next NT_IMG_THREAD: NT_IMG_SLEEP, then
 * NT_PRSTATUS and the other register sets.  The first thread in the file is the
 * leader of the thread group.  No two have the same @tid.
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
	__le64	default_slack_ns;	/* what PR_SET_TIMERSLACK 0 sets */
	__le64	dispatch_start;		/* as PR_SET_SYSCALL_USER_DISPATCH takes them */
	__le64	dispatch_len;		/* bytes */
	__le64	dispatch_selector;	/* address, 0: none */
	__le32	spec_store_bypass;	/* PR_SPEC_* for PR_SET_SPECULATION_CTRL, 0: default */
	__le32	spec_indirect_branch;
	__le32	spec_l1d_flush;
	__le32	pad2;
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

/* img_siginfo.flags */
#define IMG_SIGINFO_TIMER	(1ULL << 0)	/* sent by POSIX timer si_tid, which still exists */

/*
 * One pending signal: a siginfo_t as the machine's ABI lays it out.  No two
 * are of the same timer.
 */
struct img_siginfo {
	__u8	info[128];
	__le64	flags;			/* IMG_SIGINFO_* */
	__le32	tid;			/* of the thread that it is for, 0: the process */
	__le32	pad;
};

/*
 * Signal state of the process.  @nr_actions struct img_sigaction (signal 1
 * first) follow at @actions_off, the others are the default; @nr_shared
 * pending signals of the process, then @nr_private of single threads, follow
 * at @pending_off, each list in the order of delivery.  Offsets count from the
 * beginning of the descriptor.
 */
struct img_signal {
	__le32	size;
	__le32	action_size;		/* bytes of one struct img_sigaction */
	__le32	nr_actions;		/* 64 at most */
	__le32	actions_off;
	__le32	pending_size;		/* bytes of one struct img_siginfo */
	__le32	nr_shared;
	__le32	nr_private;
	__le32	pending_off;
};

/* img_itimer.flags */
#define IMG_ITIMER_WAITS	(1ULL << 0)	/* not running until SIGALRM is taken */

/*
 * An interval timer.  With IMG_ITIMER_WAITS, which only ITIMER_REAL can have,
 * @left is when the interval after the expiry ends.
 */
struct img_itimer {
	__le64	flags;			/* IMG_ITIMER_* */
	__le64	left;			/* ns until it expires, 0: disarmed */
	__le64	interval;		/* ns, 0: once */
};

/* img_timer.flags */
#define IMG_TIMER_ARMED		(1U << 0)	/* runs */
#define IMG_TIMER_WAITS		(1U << 1)	/* not running until its signal is taken */
#define IMG_TIMER_PENDING	(1U << 2)	/* its signal is pending */
#define IMG_TIMER_ABSTIME	(1U << 3)	/* expires is a time of the clock */

/*
 * A POSIX timer.  @expires is how long it is to run, or the time when it
 * expires if the clock is one that is set: then it goes off at that time, also
 * if that has passed.  @clock is signed, and negative for CPU time.  In it and
 * in @tid, process and thread have the IDs by which the process knew them; only
 * its own are allowed.
 */
struct img_timer {
	__le32	id;			/* below 2^31 */
	__le32	clock;			/* CLOCK_*, or of CPU time */
	__le64	flags;			/* IMG_TIMER_* */
	__le64	expires;		/* ns, 0: neither armed nor waiting */
	__le64	interval;		/* ns, 0: once */
	__le64	overrun;		/* signed: -1 and one for each interval since */
	__le64	overrun_last;		/* signed: what timer_getoverrun(2) returns */
	__le64	value;			/* sigev_value */
	__le32	notify;			/* SIGEV_* */
	__le32	signo;			/* anything with SIGEV_NONE */
	__le32	tid;			/* with SIGEV_THREAD_ID, else 0 */
	__le32	sig_overrun;		/* of the pending signal */
};

/*
 * The timers of the process: @nr struct img_timer at @timers_off, the latest
 * one first.  No two have the same ID.
 */
struct img_timers {
	__le32	size;
	__le32	timer_size;		/* bytes of one struct img_timer */
	__le32	nr;
	__le32	timers_off;		/* from the beginning of the descriptor */
	struct img_itimer itimers[3];	/* ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF */
	__le32	next_id;		/* given to the next timer, if free; below 2^31 */
	__le32	pad;
};

/* img_mm.flags */
#define IMG_MM_MDWE		(1ULL << 0)	/* PR_SET_MDWE: PR_MDWE_REFUSE_EXEC_GAIN */
#define IMG_MM_MDWE_NO_INHERIT	(1ULL << 1)	/* with PR_MDWE_NO_INHERIT */
#define IMG_MM_THP_DISABLE	(1ULL << 2)	/* PR_SET_THP_DISABLE */
#define IMG_MM_TOPDOWN		(1ULL << 3)	/* mmap_base is an upper end */
#define IMG_MM_LOCK_FUTURE	(1ULL << 4)	/* mlockall(MCL_FUTURE) */
#define IMG_MM_LOCK_ONFAULT	(1ULL << 5)	/* with MCL_ONFAULT */
#define IMG_MM_MERGE_ANY	(1ULL << 6)	/* PR_SET_MEMORY_MERGE */
#define IMG_MM_EXE_OBJECT	(1ULL << 7)	/* exe: index in struct img_objects */

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
	__le32	membarrier;		/* MEMBARRIER_CMD_REGISTER_* */
	__le32	coredump_filter;	/* as /proc/PID/coredump_filter */
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
#define IMG_VMA_LOCKED		(1ULL << 9)	/* mlock(2) */
#define IMG_VMA_LOCKONFAULT	(1ULL << 10)	/* with MLOCK_ONFAULT */
#define IMG_VMA_SEALED		(1ULL << 11)	/* mseal(2) */

/*
 * One mapping.  @prot and @map are the values that mmap(2) takes: PROT_*;
 * MAP_PRIVATE, MAP_SHARED or MAP_DROPPABLE, MAP_ANONYMOUS, MAP_GROWSDOWN,
 * MAP_NORESERVE.
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
	__le32	pkey;			/* pkey_mprotect(2); also a key that was freed since */
	__le32	pad2;
};

/* @nr struct img_vma at @vmas_off, names (at their name_off) after them. */
struct img_vmas {
	__le32	size;
	__le32	vma_size;		/* bytes of one struct img_vma */
	__le32	nr;
	__le32	vmas_off;		/* from the beginning of the descriptor */
};

/*
 * A memory policy, as set_mempolicy(2) and mbind(2) take it: of the mapping from
 * @start to @end, or, if both are 0, of the threads.
 */
struct img_policy {
	__le64	start;			/* address of the first byte */
	__le64	end;			/* address after the last byte */
	__le32	mode;			/* MPOL_* and MPOL_F_* */
	__le32	pad;
	__le64	nodes[16];		/* bit N % 64 of word N / 64 is node N */
};

/* @nr struct img_policy at @policies_off, by ascending @start. */
struct img_policies {
	__le32	size;
	__le32	policy_size;		/* bytes of one struct img_policy */
	__le32	nr;			/* at least 1 */
	__le32	policies_off;		/* from the beginning of the descriptor */
};

/* img_file.flags */
#define IMG_FILE_WRITE		(1U << 0)	/* mapped MAP_SHARED, may be written to */
#define IMG_FILE_BTIME		(1U << 1)	/* @btime_sec and @btime_nsec are valid */
#define IMG_FILE_GENERATION	(1U << 2)	/* @generation is valid */

/*
 * A file that the process maps or executes.  It is opened again by its path,
 * from the root directory of the launcher and with the launcher's rights, and
 * must have the same inode number, inode generation, time of birth, size and
 * modification time.  One that the process may write to is opened for that; its
 * time of modification may be another, and it may be longer.
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
	__le64	btime_sec;		/* stx_btime, 0 without IMG_FILE_BTIME */
	__le32	btime_nsec;
	__le32	generation;		/* FS_IOC_GETVERSION, 0 without IMG_FILE_GENERATION */
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
 * in the object; the rest of its @bytes is zero.  Each run belongs to one
 * element.
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

/* One instruction of classic BPF. */
struct img_bpf_insn {
	__le16	code;
	__u8	jt;
	__u8	jf;
	__le32	k;
};

/* img_seccomp_filter.flags */
#define IMG_SECCOMP_LOG		(1U << 0)	/* SECCOMP_FILTER_FLAG_LOG */

/* A filter: @nr_insns struct img_bpf_insn at @insns_off. */
struct img_seccomp_filter {
	__le32	flags;			/* IMG_SECCOMP_* */
	__le32	nr_insns;		/* 1 to 4096 */
	__le32	insns_off;		/* from the beginning of the descriptor */
	__le32	pad;
};

/*
 * seccomp(2).  @nr struct img_seccomp_filter, the oldest first, at @filters_off,
 * their programs after them.  The note is there only if @mode is not 0.
 *
 * Filters that the launcher has already, at the beginning of the list, are not
 * installed again.
 */
struct img_seccomp {
	__le32	size;
	__le32	mode;			/* SECCOMP_MODE_STRICT, SECCOMP_MODE_FILTER */
	__le32	filter_size;		/* bytes of one struct img_seccomp_filter */
	__le32	nr;			/* not 0 with SECCOMP_MODE_FILTER, else 0 */
	__le32	filters_off;		/* from the beginning of the descriptor */
	__le32	pad;
};

/* A resource limit; ~0: none. */
struct img_rlimit {
	__le64	cur;
	__le64	max;
};

/*
 * Who the process was.  Recorded for tools, not restored: all of this is the
 * launcher's.  IDs are those of the dumper's PID and user namespaces, 0 or
 * the overflow ID for those that it cannot see; times of day are those of its
 * time namespace.  The executable is in struct img_mm.
 *
 * @nr_groups __le32 at @groups_off; @nr_rlimits struct img_rlimit, in the
 * order of RLIMIT_*, at @rlimits_off; paths, NUL-terminated, empty if too long.
 */
struct img_info {
	__le32	size;
	__le32	pid;			/* of the thread group leader */
	__le32	ppid;
	__le32	pgrp;
	__le32	session;
	__le32	tty;			/* device number as in /proc/PID/stat, 0: none */
	__le32	uid;			/* real */
	__le32	euid;
	__le32	suid;
	__le32	fsuid;
	__le32	gid;
	__le32	egid;
	__le32	sgid;
	__le32	fsgid;
	__le32	nr_groups;
	__le32	groups_off;		/* from the beginning of the descriptor */
	__le64	cap_inheritable;	/* bit N is capability N */
	__le64	cap_permitted;
	__le64	cap_effective;
	__le64	cap_bounding;
	__le64	cap_ambient;
	__le32	securebits;		/* PR_SET_SECUREBITS */
	__le32	no_new_privs;		/* 0 or 1 */
	__le64	start_ns;		/* CLOCK_BOOTTIME */
	__le64	utime_ns;
	__le64	stime_ns;
	__le64	cutime_ns;		/* of children that were waited for */
	__le64	cstime_ns;
	__le64	min_flt;		/* page faults */
	__le64	maj_flt;
	__le64	cmin_flt;		/* of children that were waited for */
	__le64	cmaj_flt;
	__le32	policy;			/* SCHED_* */
	__le32	rt_priority;		/* 0: none, 1 to 99 */
	__le32	nice;			/* signed */
	__le32	umask;
	__le32	nr_rlimits;
	__le32	rlimit_size;		/* bytes of one struct img_rlimit */
	__le32	rlimits_off;		/* from the beginning of the descriptor */
	__le32	cwd_off;		/* as readlink /proc/PID/cwd */
	__le32	root_off;		/* as readlink /proc/PID/root */
	__le32	pad;
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

/* img_arch_x86.flags */
#define IMG_X86_PKEYS		(1ULL << 0)	/* @pkey_map and @exec_pkey are valid */
#define IMG_X86_LDT		(1ULL << 1)	/* there are descriptors at @ldt_off */

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
 *
 * Bit N of @pkey_map says that protection key N is allocated, @exec_pkey is the
 * one that the kernel uses for memory that can be executed only.  Without
 * IMG_X86_PKEYS, both are zero and mean those of a new process: key 0.
 *
 * @nr_ldt struct user_desc (asm/ldt.h), as modify_ldt(2) takes them with
 * function 0x11, follow at @ldt_off: the entries that are not empty, by
 * ascending entry_number.
 */
struct img_arch_x86 {
	__le32	size;
	__le32	nr_cpuid;		/* IMG_X86_CPUID_WORDS */
	__le64	flags;			/* IMG_X86_* */
	__le32	cpuid[IMG_X86_CPUID_WORDS];
	__le32	vvar_size;		/* bytes */
	__le64	xfeatures;
	__le64	vdso;			/* address of the vDSO's text */
	__le64	vdso_size;		/* bytes */
	__u8	vdso_digest[32];
	__le32	pkey_map;
	__le32	exec_pkey;		/* or IMG_NONE */
	__le32	nr_ldt;
	__le32	ldt_size;		/* bytes of one struct user_desc: 16 */
	__le32	ldt_off;		/* from the beginning of the descriptor */
	__le32	pad;
};

/* img_x86_thread.flags */
#define IMG_X86_NOTSC		(1ULL << 0)	/* PR_SET_TSC: PR_TSC_SIGSEGV */
#define IMG_X86_NOCPUID		(1ULL << 1)	/* ARCH_SET_CPUID: 0 */

/*
 * What else a thread has, beside its register sets; no note means no flags.
 * Entries of the GDT (set_thread_area(2)) are in a note NT_386_TLS, as in the
 * core file of a 32-bit program: struct user_desc for entries 12, 13 and 14.
 */
struct img_x86_thread {
	__le32	size;
	__le32	pad;
	__le64	flags;			/* IMG_X86_NOTSC, IMG_X86_NOCPUID */
};

#endif /* _UAPI_LINUX_IMG_H */
