// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: what a thread registered with the kernel, and what the
 * kernel was asked to treat it as.
 */
#include <linux/img.h>
#include <linux/io_uring.h>
#include <linux/mm.h>
#include <linux/pid_namespace.h>
#include <linux/personality.h>
#include <linux/rseq.h>
#include <linux/sched/jobctl.h>
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
#ifdef CONFIG_FUTEX
	if (!list_empty(&t->pi_state_list))
		return "a held priority-inheritance futex";
#ifdef CONFIG_COMPAT
	if (t->compat_robust_list)
		return "a robust list of 32-bit system calls";
#endif
#endif
#ifdef CONFIG_USER_EVENTS
	if (t->user_event_mm)
		return "user events";
#endif
	return NULL;
}

/*
 * The mask that the thread has when its system call is over.  rt_sigsuspend()
 * and rt_sigtimedwait() lend it another one while they sleep.
 */
static sigset_t img_thread_mask(struct img_dump *d)
{
	struct task_struct *t = d->task;

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

/* Is a stop on its way that no handler can prevent? */
static bool img_thread_stops(struct task_struct *t)
{
	return (t->jobctl & JOBCTL_STOP_PENDING) ||
	       sigismember(&t->pending.signal, SIGSTOP) ||
	       sigismember(&t->signal->shared_pending.signal, SIGSTOP);
}

static u64 img_thread_flags(struct img_dump *d)
{
	u64 flags = 0;

	if (d->stopped || img_thread_stops(d->task))
		flags |= IMG_THREAD_STOPPED;
	if (task_no_new_privs(d->task))
		flags |= IMG_THREAD_NO_NEW_PRIVS;
	return flags;
}

static int img_thread_hold(struct img_dump *d)
{
	struct task_struct *t = d->task;
	const char *obstacle = img_thread_obstacle(t);
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

static int img_thread_check(struct img_load *l)
{
	struct img_thread th;
	int err;

	err = img_note_struct(l, NT_IMG_THREAD, &th, sizeof(th), NULL);
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

	if (img_note_struct(l, NT_IMG_THREAD, &th, sizeof(th), NULL))
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

/*
 * As after fork(2), the new TID goes where the thread library keeps the old
 * one.  What cannot be read or written is the program's own affair, as there.
 */
static void img_finish_tid(const struct img_thread *th)
{
	int __user *ptr = (int __user *)(unsigned long)le64_to_cpu(th->clear_child_tid);
	int tid;

	current->clear_child_tid = ptr;
	if (ptr && !get_user(tid, ptr) && tid == le32_to_cpu(th->tid))
		put_user(task_pid_vnr(current), ptr);
}

static int img_thread_finish(struct img_load *l)
{
	struct img_thread th;
	sigset_t mask;
	int err;

	err = img_note_struct(l, NT_IMG_THREAD, &th, sizeof(th), NULL);
	if (err)
		return err;
	img_finish_altstack(&th);
#ifdef CONFIG_FUTEX
	current->robust_list = (void __user *)(unsigned long)le64_to_cpu(th.robust_list);
#endif
	img_finish_tid(&th);
	img_finish_rseq(&th);
	/* A process that gained privileges does not let its parent signal it. */
	if (!l->secureexec)
		current->pdeath_signal = le32_to_cpu(th.pdeath_signal);
	current->personality |= le32_to_cpu(th.personality) & READ_IMPLIES_EXEC &
				~l->per_clear;
	err = img_prctl_finish(&th);
	if (err)
		return err;
	memset(&mask, 0, sizeof(mask));
	mask.sig[0] = le64_to_cpu(th.blocked);
	set_current_blocked(&mask);
	return 0;
}

const struct img_part img_part_thread = {
	.name		= "a thread",
	.note		= NT_IMG_THREAD,
	.hold		= img_thread_hold,
	.check		= img_thread_check,
	.commit		= img_thread_commit,
	.finish		= img_thread_finish,
};
