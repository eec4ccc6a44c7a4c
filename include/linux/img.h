/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Process images: the calls between the doors (fs/proc/dump.c,
 * fs/binfmt_img.c), the table of parts and the files of state in kernel/img.
 */
#ifndef _LINUX_IMG_H
#define _LINUX_IMG_H

#include <linux/types.h>
#include <linux/elf.h>
#include <linux/elfcore.h>
#include <linux/fs.h>
#include <linux/img_calls.h>
#include <linux/img_fault.h>
#include <linux/xarray.h>
#include <uapi/linux/img.h>

struct img_timer_ref;
struct img_object_load;
struct linux_binprm;
struct img_info_copy;
struct mm_struct;
struct seccomp_filter;
struct task_struct;
struct user_regset;
struct vm_area_struct;

/* All types of ours differ in the last byte. */
#define IMG_OWN_TYPES		256

static inline bool img_type_is_ours(u32 type)
{
	return type / IMG_OWN_TYPES == NT_IMG_HEADER / IMG_OWN_TYPES;
}

/* Bytes of headers and notes that an image may have. */
#define IMG_HEAD_MAX		(256UL << 20)

/**
 * struct img_buf - a buffer that grows as it is appended to
 * @data: kvmalloc()ed bytes
 * @len: bytes in use
 * @room: bytes allocated
 */
struct img_buf {
	void	*data;
	size_t	len;
	size_t	room;
};

/**
 * struct img_dump - an image that is being made, and then read
 * @task: the target's thread group leader; valid during hold() and save()
 * @mm: the copy-on-write snapshot; the target's own mm during hold()
 * @thread: the thread that hold_thread() is for
 * @asleep: that thread sleeps in a system call that the image issues again
 * @stopped: that thread is in a job control stop
 * @result: what its system call returns in the image, 0: as it is
 * @stops: the target is stopped, or is about to be
 * @rounds: how often the threads were held for as long as they may be
 * @nr_threads: how many threads it has
 * @held_since: when its threads were asked to rest, in jiffies
 * @begun: a copy of its memory that was begun while it ran, or NULL
 * @begun_of: what that is a copy of, only to compare with; NULL: it is of no use
 * @dead: copies that are of no use any more, to be put when the target runs
 * @notes: the notes so far
 * @nr_notes: how many
 * @too_large: there are more than an image can have
 * @file_index: index in @files by struct file pointer
 * @files: array of struct file *: what the target maps or executes
 * @fds: the target's open files, private to fd.c
 * @locks: the target's locked mappings, private to lock.c
 * @policies: memory policies, private to policy.c
 * @psinfo: where the NT_PRPSINFO is in @notes, private to psinfo.c
 * @itimers: as they were when the pending signals were taken, by ITIMER_*
 * @info: what goes into the info note, private to info.c
 * @seccomp: the newest filter, private to seccomp.c
 * @runs: pages in the image, sorted by address and by position
 * @nr_runs: how many
 * @head: headers and notes as a reader gets them
 * @data_off: where the pages begin in the image
 * @length: bytes of the image
 * @object_index: place in @objects by struct file pointer, and by inode
 * @objects: memory that is an object of its own, private to object.c
 * @object_runs: array of struct img_run: what is in the objects, start and end
 *	as offsets in the object, pos as offset in @store
 * @store: copy of the contents of objects
 * @store_len: bytes in @store, which is at @data_off in the image
 */
struct img_dump {
	struct task_struct	*task;
	struct mm_struct	*mm;
	struct task_struct	*thread;
	bool			asleep;
	bool			stopped;
	long			result;
	bool			stops;
	u8			rounds;
	unsigned int		nr_threads;
	unsigned long		held_since;
	struct mm_struct	*begun;
	struct mm_struct	*begun_of;
	struct mm_struct	*dead[2];
	struct img_buf		notes;
	unsigned int		nr_notes;
	bool			too_large;
	struct xarray		file_index;
	struct img_buf		files;
	struct img_buf		fds;
	struct img_buf		locks;
	struct img_buf		policies;
	size_t			psinfo;
	struct itimer_state	itimers[3];
	struct img_info_copy	*info;
	struct seccomp_filter	*seccomp;
	struct img_run		*runs;
	size_t			nr_runs;
	struct img_buf		head;
	loff_t			data_off;
	loff_t			length;
	struct xarray		object_index;
	struct img_buf		objects;
	struct img_buf		object_runs;
	struct file		*store;
	loff_t			store_len;
};

/**
 * struct img_note - a note of an image that is being resumed
 * @name: the owner, NUL-terminated
 * @ours: that is IMG_NOTE_NAME
 * @type: NT_*
 * @len: bytes of the descriptor
 * @desc: the descriptor, aligned to 4 bytes
 */
struct img_note {
	const char	*name;
	bool		ours;
	u32		type;
	u32		len;
	const void	*desc;
};

/**
 * struct img_load_thread - a thread of an image that is being resumed
 * @work: what it does on its way to user mode
 * @l: the image
 * @task: the thread that it becomes, with a reference; NULL until that is made
 * @tid: the ID that the image knows it by
 * @traced: the tracer of the leader is to be told of it
 * @notes: its NT_IMG_THREAD and what follows, up to that of the next thread
 * @nr_notes: how many
 */
struct img_load_thread {
	struct callback_head	work;
	struct img_load		*l;
	struct task_struct	*task;
	pid_t			tid;
	bool			traced;
	const struct img_note	*notes;
	unsigned int		nr_notes;
};

/**
 * struct img_load - an image that is being resumed
 * @bprm: the exec in progress; NULL on the way to user mode
 * @file: the image
 * @name: its path, for the log
 * @head: headers and notes, up to the first page
 * @head_len: bytes of @head
 * @hdr: the header note
 * @data_off: where the pages begin in the image
 * @length: bytes of the image
 * @notes: all notes, in the order of the file
 * @nr_notes: how many
 * @own: those of them that are ours, required, and of the process, by half of the
 *	last byte of their types, which are even; set by img_parts_check()
 * @threads: the threads, the leader of the group first
 * @nr_threads: how many
 * @by_tid: the threads, sorted by their IDs in the image; NULL if there is one only
 * @runs: pages in the image, sorted by address
 * @nr_runs: how many
 * @files: files that the process maps or executes, opened
 * @nr_files: how many
 * @vmas: mappings, in the machine's byte order, sorted by address
 * @nr_vmas: how many
 * @policies: array of struct img_policy, not aligned, or NULL; private to policy.c
 * @nr_policies: how many
 * @policy_size: bytes of each
 * @exe: the executable, one of @files, its writers kept out
 * @timers: POSIX timers sorted by ID, private to timer.c
 * @nr_timers: how many
 * @seccomp: filters that are ready to be attached, private to seccomp.c
 * @per_clear: personality bits that this exec must not leave set
 * @secureexec: the image is set-user-ID or the like and gained privileges
 * @objects: memory that is an object of its own, private to object.c
 * @nr_objects: how many
 * @object_runs: what is in the objects, by object and offset
 * @object_end: where the contents of objects end in the image
 * @pages_started: it is known where pages are found; private to pages.c
 */
struct img_load {
	struct linux_binprm	*bprm;
	struct file		*file;
	const char		*name;
	void			*head;
	size_t			head_len;
	struct img_header	hdr;
	loff_t			data_off;
	loff_t			length;
	struct img_note		*notes;
	unsigned int		nr_notes;
	const struct img_note	*own[IMG_OWN_TYPES / 2];
	struct img_load_thread	*threads;
	unsigned int		nr_threads;
	struct img_load_thread	**by_tid;
	struct img_run		*runs;
	size_t			nr_runs;
	struct file		**files;
	unsigned int		nr_files;
	struct img_mapping	*vmas;
	unsigned int		nr_vmas;
	const void		*policies;
	u32			nr_policies;
	u32			policy_size;
	struct file		*exe;
	struct img_timer_ref	*timers;
	u32			nr_timers;
	struct seccomp_filter	*seccomp;
	unsigned int		per_clear;
	bool			secureexec;
	struct img_object_load	*objects;
	unsigned int		nr_objects;
	struct img_run		*object_runs;
	loff_t			object_end;
	bool			pages_started;
};

/**
 * struct img_mapping - struct img_vma in the machine's byte order
 * @start: address of the first byte
 * @end: address after the last byte
 * @file_off: bytes into the file
 * @flags: IMG_VMA_*
 * @prot: PROT_*
 * @map: MAP_*
 * @kind: IMG_VMA_ANON, IMG_VMA_FILE, IMG_VMA_ARCH or IMG_VMA_OBJECT
 * @file: the file, that of an object too, or NULL
 * @name: PR_SET_VMA_ANON_NAME or NULL
 * @pkey: protection key
 * @object: its place in the table of objects, or IMG_NONE
 */
struct img_mapping {
	unsigned long	start;
	unsigned long	end;
	u64		file_off;
	u64		flags;
	u32		prot;
	u32		map;
	u32		kind;
	struct file	*file;
	const char	*name;
	u32		pkey;
	u32		object;
};

/**
 * struct img_part - one kind of state, saved and restored in one file
 * @name: what it is, for the log
 * @note: NT_IMG_* that must be in an image, once, or 0
 * @optional: or need not be there
 * @thread_note: NT_IMG_* that every thread must have, once, or 0
 * @hold_thread: all threads are held; as @hold, for @d->thread
 * @hold: the target is held and @d->mm is its own; refuse what cannot be
 *	carried, take what the snapshot will not show.  May sleep, must be
 *	short; may be called again after @drop when the target moved.
 * @save: the target runs again and @d->mm is the snapshot
 * @drop: give back what @hold and @save took
 * @check_thread: as @check, for one thread; called for all of them first
 * @check: on exec, the caller still alive: parse, validate, open.  May not
 *	change anything; reports through img_load_refuse().
 * @commit: between begin_new_exec() and setup_new_exec()
 * @restore: the new mm is empty and current; only death is left as an error
 * @finish: on the way to user mode, after execve(2) has set its result; the
 *	threads are there when threads.c has made them, and none of them runs
 * @finish_thread: in each thread, which is current, on its way to user mode
 * @release: give back what @check took
 *
 * A member may be NULL.  All return 0 or a negative errno, in process context
 * without locks.
 */
struct img_part {
	const char *name;
	u32 note;
	bool optional;
	u32 thread_note;
	int (*hold_thread)(struct img_dump *d);
	int (*hold)(struct img_dump *d);
	int (*save)(struct img_dump *d);
	void (*drop)(struct img_dump *d);
	int (*check_thread)(struct img_load *l, struct img_load_thread *t);
	int (*check)(struct img_load *l);
	void (*commit)(struct img_load *l);
	int (*restore)(struct img_load *l);
	int (*finish)(struct img_load *l);
	int (*finish_thread)(struct img_load *l, struct img_load_thread *t);
	void (*release)(struct img_load *l);
};

/* parts.c */
int img_parts_hold_thread(struct img_dump *d);
int img_parts_hold(struct img_dump *d);
int img_parts_save(struct img_dump *d);
void img_parts_drop(struct img_dump *d);
int img_parts_check(struct img_load *l);
void img_parts_commit(struct img_load *l);
int img_parts_restore(struct img_load *l);
int img_parts_finish(struct img_load *l);
int img_parts_finish_thread(struct img_load_thread *t);
void img_parts_release(struct img_load *l);

/* The rows of the table. */
extern const struct img_part img_part_arch;
extern const struct img_part img_part_fd;
extern const struct img_part img_part_file;
extern const struct img_part img_part_futex;
extern const struct img_part img_part_info;
extern const struct img_part img_part_lock;
extern const struct img_part img_part_mm;
extern const struct img_part img_part_ntfile;
extern const struct img_part img_part_object;
extern const struct img_part img_part_object_data;
extern const struct img_part img_part_pages;
extern const struct img_part img_part_policy;
extern const struct img_part img_part_psinfo;
extern const struct img_part img_part_regs;
extern const struct img_part img_part_seccomp;
extern const struct img_part img_part_signal;
extern const struct img_part img_part_sleep;
extern const struct img_part img_part_thread;
extern const struct img_part img_part_threads;
extern const struct img_part img_part_timer;
extern const struct img_part img_part_timer_run;
extern const struct img_part img_part_vma;

/* early.c: a copy of the memory that is begun while the target runs */
void img_early_begin(struct img_dump *d, struct mm_struct *mm);
struct mm_struct *img_early_finish(struct img_dump *d);
void img_early_end(struct img_dump *d);
void img_put_later(struct img_dump *d, struct mm_struct *mm);
void img_put_now(struct img_dump *d);

/* snapshot.c: the read side's way in */
struct img_dump *img_dump_open(struct task_struct *task);
void img_dump_close(struct img_dump *d);
__printf(3, 4)
int img_dump_refuse(struct img_dump *d, int err, const char *fmt, ...);
bool img_dump_stops(struct img_dump *d);

/* quiesce.c */
struct img_hold;
int img_hold_all(struct img_dump *d, struct xarray *holds);
bool img_hold_all_still(struct img_dump *d, struct xarray *holds);
void img_hold_release_all(struct xarray *holds);
struct task_struct *img_hold_task(struct img_hold *hold);
bool img_hold_asleep(struct img_hold *hold);

/* resume.c: the exec side's way in */
int img_exec(struct linux_binprm *bprm);
__printf(3, 4)
int img_load_refuse(struct img_load *l, int err, const char *fmt, ...);

/* resume.c: what a thread does on its way to user mode */
void img_resume_thread(struct callback_head *work);

/* image.c: the container */
int img_image_layout(struct img_dump *d);
int img_image_parse(struct img_load *l, const char *buf);
void img_image_free(struct img_load *l);

/* note.c: its notes */
void *img_buf_add(struct img_buf *buf, size_t len);
int img_buf_add_string(struct img_buf *buf, const char *s, __le32 *off);
void img_buf_free(struct img_buf *buf);
void *img_note_add(struct img_dump *d, const char *name, u32 type, size_t len);
int img_notes_parse(struct img_load *l, const void *start);
const struct img_note *img_note_find(struct img_load *l, u32 type);
const struct img_note *img_core_note_find(struct img_load *l, u32 type);
int img_note_struct(struct img_load *l, u32 type, void *to, size_t size,
		    const struct img_note **note);
const struct img_note *img_thread_note_find(const struct img_load_thread *t,
					    const char *name, u32 type);
int img_thread_note_struct(const struct img_load_thread *t, u32 type, void *to, size_t size);
const void *img_note_array(const struct img_note *note, u32 off, u32 nr,
			   u32 elem, u32 min_elem);
const char *img_note_string(const struct img_note *note, u32 off);

/* threads.c: the threads of an image */
int img_threads_parse(struct img_load *l);
struct img_load_thread *img_thread_by_tid(struct img_load *l, pid_t tid);
void img_threads_wake(struct img_load *l);
void img_threads_tell(struct img_load *l);

/* thread.c: all threads are ready */
void img_thread_go(struct img_load_thread *t);

/* regs.c: the registers of a thread that has not run yet */
int img_regs_set(struct img_load_thread *t);

/* file.c: the files that a process maps or executes */
int img_file_index(struct img_dump *d, struct file *file, u32 *index);
void img_file_write(struct img_dump *d, struct file *file);
int img_file_get(struct img_load *l, u32 index, struct file **file);

/* signal.c: is there room for @nr more timers and pending signals? */
bool img_signal_room_for(u64 nr);

/* timer.c: the pending signals of POSIX timers */
int img_timer_check_signal(struct img_load *l, const kernel_siginfo_t *info);
int img_timer_send(struct img_load *l, int id);

/* seccomp.c: may the launcher's filters forbid the process @what? */
int img_seccomp_forbids(struct img_load *l, bool wanted, const char *what);

/* prctl.c: what a thread asked for by prctl(2), for thread.c */
void img_prctl_hold(struct img_thread *th, struct task_struct *t);
int img_prctl_check(struct img_load *l, const struct img_thread *th);
int img_prctl_finish(const struct img_thread *th);

/* object.c and object_load.c: memory that is an object of its own */
#define IMG_MEMFD_PREFIX	"memfd:"
extern struct vfsmount *img_object_mnt;
const struct img_run *img_object_find_run(const struct img_run *runs, size_t nr,
					  unsigned long off);
int img_object_index(struct img_dump *d, struct file *file,
		     struct vm_area_struct *vma, u32 *index);
bool img_object_find(struct img_dump *d, struct file *file, u32 *index);
bool img_object_run(struct img_dump *d, struct vm_area_struct *vma,
		    unsigned long addr, unsigned long *end, loff_t *pos);
int img_object_get(struct img_load *l, u32 index, struct file **file);
int img_object_get_exe(struct img_load *l, u32 index, struct file **file);
int img_object_check_used(struct img_load *l);
bool img_object_shows(struct img_load *l, const struct img_mapping *m,
		      const struct img_run *run);

/* store.c: a copy of the contents of objects */
int img_store_object(struct img_dump *d, struct file *file, u64 bytes);
ssize_t img_store_read(struct img_dump *d, loff_t pos, struct iov_iter *to);
void img_store_free(struct img_dump *d);

/* pages.c */
ssize_t img_pages_read(struct img_dump *d, loff_t pos, struct iov_iter *to);
bool img_page_is_zero(struct page *page);
bool img_pages_any(struct img_load *l, const struct img_mapping *m);
int img_pages_fill(struct img_load *l, const struct img_mapping *m);

/* lock.c: locked memory */
u64 img_lock_flags(struct img_dump *d, struct vm_area_struct *vma);
int img_lock_mapping(const struct img_mapping *m);
bool img_may_lock(struct img_load *l, u64 bytes);

/* policy.c: memory policies */
#ifdef CONFIG_NUMA
int img_policy_apply(struct img_load *l, const struct img_mapping *m);
#else
static inline int img_policy_apply(struct img_load *l, const struct img_mapping *m)
{
	return 0;
}
#endif

/*
 * The architecture's side: arch/<arch>/kernel/img.c.
 */

/* Let the system call of @regs have returned @result. */
void img_arch_set_result(elf_gregset_t *regs, long result);
/*
 * Current, in restart_syscall(2), goes on with @nr: the number to be issued, or -1
 * if seccomp forbids it or it cannot be; the result is in the registers then.
 */
int img_arch_syscall_enter(unsigned int nr);
/* Issue the system call @nr with the arguments in the registers of current. */
long img_arch_syscall(unsigned int nr);
/* Refuse values that ->set() would, or that no return to user mode survives. */
int img_arch_check_regs(struct img_load_thread *t, const elf_gregset_t *regs);
/* The same for any other note of a core file; 1 if it has registers, else 0. */
int img_arch_check_regset(struct img_load *l, const struct img_note *note);
/* What a thread has besides the register sets of its view; NULL after the last. */
const struct user_regset *img_arch_regset(unsigned int i);
/* Let the getters of register sets see what current has. */
void img_arch_sync_regs(void);
/* Set current's registers; 1: that takes a thread that does not run. */
int img_arch_set_regs(const struct img_load_thread *t);
/* Where current's thread library keeps its ID if not where the kernel knows of. */
int __user *img_arch_tid_word(void);
/* Copy what may have changed since a snapshot was begun; false: that cannot be. */
bool img_arch_update_mm(struct mm_struct *mm, struct mm_struct *oldmm);
/* Are the mappings of the architecture as its note says? */
int img_arch_check_vmas(struct img_load *l);
/* Is @vma put back by the architecture? */
bool img_arch_vma(struct vm_area_struct *vma);
/* Are its pages worth having in the image, for debuggers? */
bool img_arch_vma_readable(struct vm_area_struct *vma);
/* ELF personality of a native program, before setup_new_exec(). */
void img_arch_personality(void);

#endif /* _LINUX_IMG_H */
