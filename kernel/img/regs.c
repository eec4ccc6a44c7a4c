// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: the registers of a thread, as the regset notes of a core
 * file.
 *
 * The setters of regsets are made for another task that is stopped: on current
 * they would write fields that the CPU's own registers overwrite, or be
 * overwritten by.  So the thread that resumes sleeps while a kworker sets its
 * registers, and the context switch back loads them on every architecture; unless
 * the architecture knows how to set all that there are of a current thread.  Those
 * of the other threads are set before they have ever run.
 */
#include <linux/delay.h>
#include <linux/img.h>
#include <linux/mm.h>
#include <linux/pid_namespace.h>
#include <linux/preempt.h>
#include <linux/regset.h>
#include <linux/sched/cputime.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/time.h>
#include <linux/user_namespace.h>
#include <linux/workqueue.h>

/* The owner that core files give to a regset note. */
static const char *img_regset_owner(u32 type)
{
	if (img_type_is_ours(type))
		return IMG_NOTE_NAME;
	return type == NT_PRSTATUS || type == NT_PRFPREG ? "CORE" : "LINUX";
}

static bool img_is_regset(const struct img_note *note)
{
	if (note->ours)
		return img_type_is_ours(note->type);
	return !strcmp(note->name, img_regset_owner(note->type));
}

static unsigned int img_regset_size(const struct user_regset *rs)
{
	return rs->n * rs->size;
}

/* The sets of a view, then what only the architecture knows of. */
static const struct user_regset *img_regset(const struct user_regset_view *view,
					    unsigned int i)
{
	return i < view->n ? &view->regsets[i] : img_arch_regset(i - view->n);
}

static bool img_regset_active(struct task_struct *task, const struct user_regset *rs)
{
	return rs->core_note_type && (!rs->active || rs->active(task, rs) > 0);
}

/* As fill_prstatus() of fs/binfmt_elf.c, for a task that is not dying. */
static void img_fill_prstatus(struct elf_prstatus *prstatus, struct task_struct *task)
{
	struct elf_prstatus_common *pr = &prstatus->common;
	struct task_cputime cputime;
	u64 utime, stime;

	pr->pr_sigpend = task->pending.signal.sig[0];
	pr->pr_sighold = task->blocked.sig[0];
	pr->pr_ppid = task_ppid_nr_ns(task, task_active_pid_ns(current));
	pr->pr_pid = task_pid_vnr(task);
	pr->pr_pgrp = task_pgrp_vnr(task);
	pr->pr_sid = task_session_vnr(task);
	if (thread_group_leader(task)) {
		thread_group_cputime(task, &cputime);
		utime = cputime.utime;
		stime = cputime.stime;
	} else {
		task_cputime(task, &utime, &stime);
	}
	pr->pr_utime = ns_to_kernel_old_timeval(utime);
	pr->pr_stime = ns_to_kernel_old_timeval(stime);
	pr->pr_cutime = ns_to_kernel_old_timeval(task->signal->cutime);
	pr->pr_cstime = ns_to_kernel_old_timeval(task->signal->cstime);
	prstatus->pr_fpvalid = 1;
}

static int img_hold_prstatus(struct img_dump *d, const struct user_regset *rs)
{
	struct elf_prstatus *prstatus;
	int size;

	if (img_regset_size(rs) != sizeof(prstatus->pr_reg))
		return img_dump_refuse(d, -EOPNOTSUPP, "it is not a native program");
	prstatus = img_note_add(d, "CORE", NT_PRSTATUS, sizeof(*prstatus));
	if (!prstatus)
		return -ENOMEM;
	img_fill_prstatus(prstatus, d->thread);
	size = regset_get(d->thread, rs, sizeof(prstatus->pr_reg), &prstatus->pr_reg);
	if (size != sizeof(prstatus->pr_reg))
		return size < 0 ? size : -EIO;
	if (d->result)
		img_arch_set_result(&prstatus->pr_reg, d->result);
	return 0;
}

static int img_hold_regset(struct img_dump *d, const struct user_regset *rs)
{
	unsigned int len = img_regset_size(rs);
	size_t begin = d->notes.len;
	void *desc;
	int size;

	desc = img_note_add(d, img_regset_owner(rs->core_note_type),
			    rs->core_note_type, len);
	if (!desc)
		return -ENOMEM;
	size = regset_get(d->thread, rs, len, desc);
	if (size == -ENODEV) {
		d->notes.len = begin;
		return 0;
	}
	if (size < 0)
		return size;
	return size == len ? 0 : -EIO;
}

static int img_regs_hold_thread(struct img_dump *d)
{
	const struct user_regset_view *view = task_user_regset_view(d->thread);
	const struct user_regset *rs;
	unsigned int i;
	int err = 0;

	if (d->thread == current)
		img_arch_sync_regs();
	for (i = 0; !err && (rs = img_regset(view, i)); i++) {
		if (!img_regset_active(d->thread, rs))
			continue;
		if (!rs->set)
			err = img_dump_refuse(d, -EOPNOTSUPP,
					      "register set %x cannot be restored",
					      rs->core_note_type);
		else if (rs->core_note_type == NT_PRSTATUS)
			err = img_hold_prstatus(d, rs);
		else
			err = img_hold_regset(d, rs);
	}
	return err;
}

static int img_check_prstatus(struct img_load_thread *t, const struct img_note *note)
{
	struct elf_prstatus prstatus;

	if (note->len != sizeof(prstatus))
		return img_load_refuse(t->l, -EBADMSG, "bad size of registers");
	memcpy(&prstatus, note->desc, sizeof(prstatus));
	return img_arch_check_regs(t, &prstatus.pr_reg);
}

static int img_check_once(struct img_load_thread *t, const struct img_note *note)
{
	if (img_thread_note_find(t, note->name, note->type) == note)
		return 0;
	return img_load_refuse(t->l, -EBADMSG, "two notes of register set %x", note->type);
}

static int img_regs_check_thread(struct img_load *l, struct img_load_thread *t)
{
	unsigned int i, n = 0;
	int err = 0;

	for (i = 0; !err && i < t->nr_notes; i++) {
		const struct img_note *note = &t->notes[i];

		if (!img_is_regset(note))
			continue;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		if (note->type == NT_PRSTATUS) {
			if (n++)
				break;
			err = img_check_prstatus(t, note);
		} else {
			err = img_arch_check_regset(l, note);
			if (err > 0)
				err = img_check_once(t, note);
		}
	}
	if (!err && n != 1)
		err = img_load_refuse(l, -EBADMSG, "%s notes of registers in a thread",
				      n ? "several" : "no");
	return err;
}

/* None may be before the first thread, where nobody would look for them. */
static int img_regs_check(struct img_load *l)
{
	const struct img_note *note;
	int err;

	for (note = l->notes; note < l->threads[0].notes; note++) {
		if (!img_is_regset(note))
			continue;
		err = note->type == NT_PRSTATUS ? 1 : img_arch_check_regset(l, note);
		if (err)
			return err < 0 ? err : img_load_refuse(l, -EBADMSG,
							       "registers of no thread");
	}
	return 0;
}

static const struct user_regset *img_find_regset(struct task_struct *task,
						 const struct img_note *note)
{
	const struct user_regset_view *view = task_user_regset_view(task);
	const struct user_regset *rs;
	unsigned int i;

	if (!img_is_regset(note))
		return NULL;
	for (i = 0; (rs = img_regset(view, i)); i++) {
		if (rs->core_note_type != note->type || !rs->set)
			continue;
		/* What the CPU has; the architecture's own come to be by this. */
		return i >= view->n || img_regset_active(task, rs) ? rs : NULL;
	}
	return NULL;
}

static int img_set_regset(struct task_struct *task, const struct img_note *note)
{
	const struct user_regset *rs = img_find_regset(task, note);
	unsigned int len;
	void *buf;
	int err;

	if (!rs)
		return 0;
	/* Notes of a CPU with fewer or more features are of another length. */
	len = img_regset_size(rs);
	buf = kvzalloc(len, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	if (note->type == NT_PRSTATUS)
		memcpy(buf, note->desc + offsetof(struct elf_prstatus, pr_reg), len);
	else
		memcpy(buf, note->desc, min(len, note->len));
	err = rs->set(task, rs, 0, len, buf, NULL);
	kvfree(buf);
	return err;
}

static int img_set_regs(struct task_struct *task, const struct img_load_thread *t)
{
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < t->nr_notes; i++)
		err = img_set_regset(task, &t->notes[i]);
	return err;
}

/**
 * img_regs_set() - set the registers of a new thread
 * @t: the thread; @t->task has not run yet
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
int img_regs_set(struct img_load_thread *t)
{
	return img_set_regs(t->task, t);
}

/**
 * struct img_setter - registers that a kworker sets for a sleeping thread
 * @work: the work
 * @task: the thread
 * @t: where the registers come from
 * @err: how it went
 * @done: the thread sleeps until this is set, and @err before it
 */
struct img_setter {
	struct work_struct		work;
	struct task_struct		*task;
	const struct img_load_thread	*t;
	int				err;
	bool				done;
};

/* How often to look whether a thread sleeps before we sleep in between. */
#define IMG_SETTER_SPINS	100

/*
 * The thread is on its way to sleep in img_regs_finish().  A wake-up from
 * elsewhere, which the kernel allows at any time, would have switched it in
 * and out in the middle of our writes: then write again.  When it does not get
 * to sleep soon, it has no processor, maybe for our sake.
 */
static void img_setter_work(struct work_struct *work)
{
	struct img_setter *s = container_of(work, struct img_setter, work);
	struct task_struct *task = get_task_struct(s->task);
	unsigned int spins = 0;
	unsigned long cookie;

	do {
		cookie = wait_task_inactive(s->task, TASK_UNINTERRUPTIBLE);
		if (!cookie) {
			if (++spins < IMG_SETTER_SPINS)
				cond_resched();
			else
				usleep_range(50, 100);
			continue;
		}
		s->err = img_set_regs(s->task, s->t);
	} while (!cookie ||
		 cookie != wait_task_inactive(s->task, TASK_UNINTERRUPTIBLE));
	/* After that @s is no more. */
	smp_store_release(&s->done, true);
	wake_up_process(task);
	put_task_struct(task);
}

/*
 * On this processor the kworker runs when we sleep, and not before, when it would have
 * to wait, or later, when another processor has woken up.
 */
static void img_wait_setter(struct img_setter *s)
{
	preempt_disable();
	queue_work_on(smp_processor_id(), system_highpri_wq, &s->work);
	/* It waits for nobody but us, so this cannot hang. */
	for (;;) {
		set_current_state(TASK_UNINTERRUPTIBLE);
		/* Pairs with the release in img_setter_work(). */
		if (smp_load_acquire(&s->done))
			break;
		schedule_preempt_disabled();
	}
	__set_current_state(TASK_RUNNING);
	preempt_enable();
}

static int img_set_from_beside(const struct img_load_thread *t)
{
	struct img_setter s = { .task = current, .t = t };

	INIT_WORK_ONSTACK(&s.work, img_setter_work);
	img_wait_setter(&s);
	destroy_work_on_stack(&s.work);
	return s.err;
}

/* Those of the leader, who has made the others and so has run. */
static int img_regs_finish(struct img_load *l)
{
	int err = img_arch_set_regs(&l->threads[0]);

	return err > 0 ? img_set_from_beside(&l->threads[0]) : err;
}

const struct img_part img_part_regs = {
	.name		= "registers",
	.hold_thread	= img_regs_hold_thread,
	.check_thread	= img_regs_check_thread,
	.check		= img_regs_check,
	.finish		= img_regs_finish,
};
