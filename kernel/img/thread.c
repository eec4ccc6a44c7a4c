// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: what a thread registered with the kernel, and what the
 * kernel was asked to treat it as.
 */
#include <linux/cred.h>
#include <linux/img.h>
#include <linux/io_uring.h>
#include <linux/mm.h>
#include <linux/pid_namespace.h>
#include <linux/personality.h>
#include <linux/rseq.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <asm/syscall.h>
#include <asm/unistd.h>

#define IMG_THREAD_FLAGS	(IMG_THREAD_STOPPED | IMG_THREAD_NO_NEW_PRIVS |		\
				 IMG_THREAD_SUBREAPER | IMG_THREAD_KEEP_CAPS |		\
				 IMG_THREAD_IO_FLUSHER | IMG_THREAD_MCE_EARLY |		\
				 IMG_THREAD_MCE_LATE | IMG_THREAD_DISPATCH)

/* State of a thread that this version cannot carry, by name. */
static const char *img_thread_obstacle(struct task_struct *t)
{
#ifdef CONFIG_IO_URING
	if (t->io_uring)
		return "io_uring";
#endif
#if defined(CONFIG_FUTEX) && defined(CONFIG_COMPAT)
	if (t->compat_robust_list)
		return "a robust list of 32-bit system calls";
#endif
#ifdef CONFIG_USER_EVENTS
	if (t->user_event_mm)
		return "user events";
#endif
	return NULL;
}

static bool img_same_groups(const struct group_info *a, const struct group_info *b)
{
	int i;

	if (a->ngroups != b->ngroups)
		return false;
	for (i = 0; i < a->ngroups; i++) {
		if (!gid_eq(a->gid[i], b->gid[i]))
			return false;
	}
	return true;
}

static bool img_same_creds(const struct cred *a, const struct cred *b)
{
	return a == b ||
	       (uid_eq(a->uid, b->uid) && uid_eq(a->euid, b->euid) &&
		uid_eq(a->suid, b->suid) && uid_eq(a->fsuid, b->fsuid) &&
		gid_eq(a->gid, b->gid) && gid_eq(a->egid, b->egid) &&
		gid_eq(a->sgid, b->sgid) && gid_eq(a->fsgid, b->fsgid) &&
		a->cap_inheritable.val == b->cap_inheritable.val &&
		a->cap_permitted.val == b->cap_permitted.val &&
		a->cap_effective.val == b->cap_effective.val &&
		a->cap_bset.val == b->cap_bset.val &&
		a->cap_ambient.val == b->cap_ambient.val &&
		a->securebits == b->securebits && a->user_ns == b->user_ns &&
		img_same_groups(a->group_info, b->group_info));
}

/*
 * What the launcher gives is the same for all threads: a thread that has
 * something else than the leader would lose it, or gain by it.
 */
static const char *img_thread_apart(struct task_struct *t, struct task_struct *leader)
{
	bool creds;

	if (t == leader)
		return NULL;
	if (READ_ONCE(t->files) != READ_ONCE(leader->files))
		return "threads with open files of their own";
	if (READ_ONCE(t->fs) != READ_ONCE(leader->fs))
		return "threads with a current directory of their own";
	if (READ_ONCE(t->nsproxy) != READ_ONCE(leader->nsproxy))
		return "threads in other namespaces";
	rcu_read_lock();
	creds = img_same_creds(__task_cred(t), __task_cred(leader));
	rcu_read_unlock();
	return creds ? NULL : "threads with other credentials";
}

/*
 * The mask that the thread has when its system call is over.  rt_sigsuspend()
 * and rt_sigtimedwait() lend it another one while they sleep.
 */
static sigset_t img_thread_mask(struct img_dump *d)
{
	struct task_struct *t = d->thread;

	if (test_tsk_restore_sigmask(t))
		return t->saved_sigmask;
	if (d->asleep && !d->stopped &&
	    syscall_get_nr(t, task_pt_regs(t)) == __NR_rt_sigsuspend)
		return t->saved_sigmask;
	if (!sigisemptyset(&t->real_blocked))
		return t->real_blocked;
	return t->blocked;
}

static void img_hold_rseq(struct img_thread *th, struct task_struct *t)
{
#ifdef CONFIG_RSEQ
	th->rseq = cpu_to_le64((unsigned long)t->rseq);
	th->rseq_len = cpu_to_le32(t->rseq_len);
	th->rseq_sig = cpu_to_le32(t->rseq_sig);
#endif
}

static u64 img_thread_flags(struct img_dump *d)
{
	u64 flags = 0;

	if (d->stops)
		flags |= IMG_THREAD_STOPPED;
	if (task_no_new_privs(d->thread))
		flags |= IMG_THREAD_NO_NEW_PRIVS;
	return flags;
}

static int img_thread_hold_thread(struct img_dump *d)
{
	struct task_struct *t = d->thread;
	const char *obstacle = img_thread_obstacle(t) ?: img_thread_apart(t, d->task);
	struct img_thread th = { .size = cpu_to_le32(sizeof(th)) };
	sigset_t mask = img_thread_mask(d);
	void *desc;

	if (obstacle)
		return img_dump_refuse(d, -EOPNOTSUPP, "%s", obstacle);
	th.tid = cpu_to_le32(task_pid_nr_ns(t, task_active_pid_ns(t)));
	th.flags = cpu_to_le64(img_thread_flags(d));
	th.clear_child_tid = cpu_to_le64((unsigned long)t->clear_child_tid);
#ifdef CONFIG_FUTEX
	th.robust_list = cpu_to_le64((unsigned long)t->robust_list);
#endif
	img_hold_rseq(&th, t);
	th.blocked = cpu_to_le64(mask.sig[0]);
	th.altstack_sp = cpu_to_le64(t->sas_ss_sp);
	th.altstack_size = cpu_to_le64(t->sas_ss_size);
	th.altstack_flags = cpu_to_le32(t->sas_ss_flags);
	th.pdeath_signal = cpu_to_le32(t->pdeath_signal);
	th.personality = cpu_to_le32(t->personality);
	__get_task_comm(th.comm, sizeof(th.comm), t);
	img_prctl_hold(&th, t);
	desc = img_note_add(d, IMG_NOTE_NAME, NT_IMG_THREAD, sizeof(th));
	if (!desc)
		return -ENOMEM;
	memcpy(desc, &th, sizeof(th));
	return 0;
}

static bool img_altstack_fits(u64 size)
{
	unsigned long flags;
	bool fits;

	if (!lock_task_sighand(current, &flags))
		return false;
	fits = size >= MINSIGSTKSZ && sigaltstack_size_valid(size);
	unlock_task_sighand(current, &flags);
	return fits;
}

static int img_check_altstack(struct img_load *l, const struct img_thread *th)
{
	u32 flags = le32_to_cpu(th->altstack_flags);
	u64 size = le64_to_cpu(th->altstack_size);
	u32 mode = flags & ~SS_FLAG_BITS;

	/* As do_sigaltstack(). */
	if (mode != SS_DISABLE && mode != SS_ONSTACK && mode)
		return img_load_refuse(l, -EBADMSG, "alternate stack flags %x", flags);
	if (mode != SS_DISABLE && size && !img_altstack_fits(size))
		return img_load_refuse(l, -EBADMSG, "alternate stack of %llu bytes", size);
	return 0;
}

/* The original size and alignment of struct rseq, which rseq(2) insists on. */
#define IMG_RSEQ_SIZE		32

/* As the rseq(2) system call. */
static int img_check_rseq(struct img_load *l, const struct img_thread *th)
{
	u64 rseq = le64_to_cpu(th->rseq);
	u32 len = le32_to_cpu(th->rseq_len);

	if (!rseq)
		return 0;
#ifdef CONFIG_RSEQ
	if (len >= IMG_RSEQ_SIZE && IS_ALIGNED(rseq, IMG_RSEQ_SIZE) &&
	    __access_ok((void __user *)(unsigned long)rseq, len))
		return 0;
#endif
	return img_load_refuse(l, -EBADMSG, "rseq area of %u bytes at %llx", len, rseq);
}

static int img_thread_check_thread(struct img_load *l, struct img_load_thread *t)
{
	struct img_thread th;
	int err;

	err = img_thread_note_struct(t, NT_IMG_THREAD, &th, sizeof(th));
	if (err)
		return err;
	if (le64_to_cpu(th.flags) & ~IMG_THREAD_FLAGS)
		return img_load_refuse(l, -EOPNOTSUPP, "unknown thread flags %llx",
				       le64_to_cpu(th.flags));
	if (memchr_inv(th.pad, 0, sizeof(th.pad)) || th.pad2 || th.comm[sizeof(th.comm) - 1])
		return img_load_refuse(l, -EBADMSG, "bad thread note");
	if (!valid_signal(le32_to_cpu(th.pdeath_signal)))
		return img_load_refuse(l, -EBADMSG, "parent death signal %u",
				       le32_to_cpu(th.pdeath_signal));
	if (!__access_ok((void __user *)(unsigned long)le64_to_cpu(th.clear_child_tid),
			 sizeof(pid_t)) || le64_to_cpu(th.clear_child_tid) % sizeof(pid_t) ||
	    !__access_ok((void __user *)(unsigned long)le64_to_cpu(th.robust_list), 1))
		return img_load_refuse(l, -EBADMSG, "thread addresses outside of user space");
	err = img_check_altstack(l, &th);
	if (err)
		return err;
	err = img_check_rseq(l, &th);
	return err ?: img_prctl_check(l, &th);
}

/*
 * READ_IMPLIES_EXEC would change the mappings that are about to be restored;
 * it is set with the rest of the thread.
 */
static void img_thread_commit(struct img_load *l)
{
	struct img_thread th;

	if (img_thread_note_struct(&l->threads[0], NT_IMG_THREAD, &th, sizeof(th)))
		return;
	img_arch_personality();
	set_personality(le32_to_cpu(th.personality) & ~READ_IMPLIES_EXEC & ~l->per_clear);
	if (le64_to_cpu(th.flags) & IMG_THREAD_NO_NEW_PRIVS)
		task_set_no_new_privs(current);
	__set_task_comm(current, th.comm, true);
}

static void img_finish_rseq(const struct img_thread *th)
{
#ifdef CONFIG_RSEQ
	if (!th->rseq)
		return;
	current->rseq = (void __user *)(unsigned long)le64_to_cpu(th->rseq);
	current->rseq_len = le32_to_cpu(th->rseq_len);
	current->rseq_sig = le32_to_cpu(th->rseq_sig);
	/*
	 * The CPU number is stale, and a critical section that was under way
	 * has been interrupted.
	 */
	preempt_disable();
	rseq_preempt(current);
	preempt_enable();
#endif
}

static void img_finish_altstack(const struct img_thread *th)
{
	current->sas_ss_sp = le64_to_cpu(th->altstack_sp);
	current->sas_ss_size = le64_to_cpu(th->altstack_size);
	current->sas_ss_flags = le32_to_cpu(th->altstack_flags);
}

static bool img_replace_tid(int __user *ptr, const struct img_thread *th)
{
	int tid;

	return ptr && !get_user(tid, ptr) && tid == le32_to_cpu(th->tid) &&
	       !put_user(task_pid_vnr(current), ptr);
}

/*
 * As after fork(2), the new TID goes where the thread library keeps the old
 * one.  What cannot be read or written is the program's own affair, as there.
 */
static void img_finish_tid(const struct img_thread *th)
{
	int __user *ptr = (int __user *)(unsigned long)le64_to_cpu(th->clear_child_tid);

	current->clear_child_tid = ptr;
	if (!img_replace_tid(ptr, th))
		img_replace_tid(img_arch_tid_word(), th);
}

static int img_thread_finish_thread(struct img_load *l, struct img_load_thread *t)
{
	struct img_thread th;
	u64 flags;
	int err;

	err = img_thread_note_struct(t, NT_IMG_THREAD, &th, sizeof(th));
	if (err)
		return err;
	flags = le64_to_cpu(th.flags);
	/* The wish was for this image, not for one that it executes. */
	task_clear_keep_ids(current);
	img_finish_altstack(&th);
#ifdef CONFIG_FUTEX
	current->robust_list = (void __user *)(unsigned long)le64_to_cpu(th.robust_list);
#endif
	img_finish_tid(&th);
	img_finish_rseq(&th);
	/* A process that gained privileges does not let its parent signal it. */
	if (!l->secureexec)
		current->pdeath_signal = le32_to_cpu(th.pdeath_signal);
	current->personality = le32_to_cpu(th.personality) & ~l->per_clear;
	if (t != l->threads) {
		__set_task_comm(current, th.comm, false);
		if (flags & IMG_THREAD_NO_NEW_PRIVS)
			task_set_no_new_privs(current);
	}
	err = img_prctl_finish(&th);
	/* Each by itself: none of them goes on after another has stopped. */
	if (!err && (flags & IMG_THREAD_STOPPED))
		err = send_sig(SIGSTOP, current, 1);
	return err;
}

/**
 * img_thread_go() - give a thread its signal mask
 * @t: the thread, which is current
 *
 * Context: on the way to user mode, when all threads are ready.
 */
void img_thread_go(struct img_load_thread *t)
{
	struct img_thread th;
	sigset_t mask = {};

	if (img_thread_note_struct(t, NT_IMG_THREAD, &th, sizeof(th)))
		return;
	mask.sig[0] = le64_to_cpu(th.blocked);
	set_current_blocked(&mask);
}

const struct img_part img_part_thread = {
	.name		= "a thread",
	.thread_note	= NT_IMG_THREAD,
	.hold_thread	= img_thread_hold_thread,
	.check_thread	= img_thread_check_thread,
	.commit		= img_thread_commit,
	.finish_thread	= img_thread_finish_thread,
};
