// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: stop the target, capture it, copy its address space on
 * write, let it go; then write the notes at leisure.
 */
#include <linux/delay.h>
#include <linux/img.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/ptrace.h>
#include <linux/ratelimit.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/sched/task_stack.h>
#include <linux/slab.h>

/* How long to wait when the target moved while it was looked at. */
#define IMG_RETRY_US	20

/*
 * How often to try before giving up on a target that moves each time: one that
 * wakes up and sleeps again in its system call faster than it can be copied.
 */
#define IMG_TRIES	1000

static DEFINE_RATELIMIT_STATE(img_dump_rs, DEFAULT_RATELIMIT_INTERVAL, 20);

/**
 * img_dump_refuse() - say why a process cannot be dumped
 * @d: the dump
 * @err: the documented errno
 * @fmt: the reason
 *
 * Context: any.
 * Return: @err.
 */
int img_dump_refuse(struct img_dump *d, int err, const char *fmt, ...)
{
	struct va_format vaf = { .fmt = fmt };
	va_list args;

	va_start(args, fmt);
	vaf.va = &args;
	if (__ratelimit(&img_dump_rs))
		pr_info("img: %d (%s): cannot dump: %pV\n",
			task_pid_nr(d->task), d->task->comm, &vaf);
	va_end(args);
	return err;
}

/* Does a task outside of the target's thread group run in its memory? */
static bool img_mm_is_shared(struct img_dump *d, struct mm_struct *mm)
{
	struct task_struct *p, *t;
	bool shared = false;

	/* The target and we. */
	if (atomic_read(&mm->mm_users) <= 2)
		return false;
	rcu_read_lock();
	for_each_process(p) {
		if (same_thread_group(p, d->task) || (p->flags & PF_KTHREAD))
			continue;
		for_each_thread(p, t) {
			if (READ_ONCE(t->mm) == mm)
				shared = true;
		}
	}
	rcu_read_unlock();
	return shared;
}

/* Does the target have other threads that are there to stay? */
static bool img_has_threads(struct task_struct *task)
{
	struct task_struct *t;
	bool others = false;

	rcu_read_lock();
	for_each_thread(task, t) {
		if (t != task && !(READ_ONCE(t->flags) & PF_EXITING))
			others = true;
	}
	rcu_read_unlock();
	return others;
}

/* What no part knows about: who else is involved with the target. */
static int img_dump_vet(struct img_dump *d, struct mm_struct *mm)
{
	if (d->task->signal->core_state || (d->task->flags & PF_EXITING))
		return -ESRCH;
	if (!thread_group_leader(d->task) || img_has_threads(d->task))
		return img_dump_refuse(d, -EUSERS, "it has %d threads",
				       get_nr_threads(d->task));
	if (img_mm_is_shared(d, mm))
		return img_dump_refuse(d, -EUSERS,
				       "another process shares its memory");
	if (d->task->ptrace)
		return img_dump_refuse(d, -EBUSY, "it is being traced");
	/* Others are on their way out: that takes a moment. */
	return get_nr_threads(d->task) == 1 ? 0 : -EAGAIN;
}

/*
 * Everything in here is one instant of the target if @hold says so before and
 * after; if not, -EAGAIN.  A process that dumps itself has no @hold.
 */
static int img_capture_instant(struct img_dump *d, struct img_hold *hold)
{
	struct mm_struct *snapshot;
	int err;

	if (hold && !img_hold_still(hold))
		return -EAGAIN;
	d->asleep = hold && img_hold_asleep(hold);
	d->stopped = READ_ONCE(d->task->__state) & __TASK_STOPPED;
	/* A target that is killed now would take its registers with it. */
	if (!try_get_task_stack(d->task))
		return -ESRCH;
	err = img_dump_vet(d, d->mm);
	if (!err)
		err = img_parts_hold(d);
	put_task_stack(d->task);
	if (err)
		return err;
	snapshot = mm_snapshot(d->mm);
	if (IS_ERR(snapshot))
		return PTR_ERR(snapshot);
	/* While the target cannot ask for a seal. */
	img_store_unshare(snapshot);
	if (hold && !img_hold_still(hold)) {
		mmput(snapshot);
		return -EAGAIN;
	}
	d->mm = snapshot;
	return 0;
}

/* Between two tries: give the target time to get somewhere. */
static int img_try_later(void)
{
	usleep_range(IMG_RETRY_US, 2 * IMG_RETRY_US);
	return signal_pending(current) ? -ERESTARTSYS : 0;
}

/*
 * The memory of a task that we may look into, with exec_update_lock held:
 * neither credentials nor mm change while it is.
 */
static struct mm_struct *img_lock_mm(struct task_struct *task)
{
	struct rw_semaphore *lock = &task->signal->exec_update_lock;
	struct mm_struct *mm;

	if (down_read_interruptible(lock))
		return ERR_PTR(-ERESTARTSYS);
	mm = get_task_mm(task);
	if (!mm) {
		mm = ERR_PTR(-ESRCH);
	} else if (!ptrace_may_access(task, PTRACE_MODE_ATTACH_FSCREDS)) {
		mmput(mm);
		mm = ERR_PTR(-EACCES);
	}
	if (IS_ERR(mm))
		up_read(lock);
	return mm;
}

static void img_unlock_mm(struct task_struct *task, struct mm_struct *mm)
{
	up_read(&task->signal->exec_update_lock);
	mmput(mm);
}

/*
 * The lock is taken only when the target is at rest, since an exec of the
 * target waits for it.
 */
static int img_capture(struct img_dump *d, struct img_hold *hold)
{
	struct mm_struct *mm = img_lock_mm(d->task);
	int err;

	if (IS_ERR(mm))
		return PTR_ERR(mm);
	d->mm = mm;
	err = img_capture_instant(d, hold);
	if (err)
		d->mm = NULL;
	img_unlock_mm(d->task, mm);
	return err;
}

/*
 * Nobody's thread is touched before we know that we may, nor waited for when
 * it waits for something itself that is a reason to refuse (a debugger, a
 * vfork child).
 */
static int img_may_dump(struct img_dump *d)
{
	struct mm_struct *mm = img_lock_mm(d->task);
	int err;

	if (IS_ERR(mm))
		return PTR_ERR(mm);
	err = img_dump_vet(d, mm);
	img_unlock_mm(d->task, mm);
	return err;
}

static int img_hold_and_capture(struct img_dump *d)
{
	struct img_hold *hold = NULL;
	unsigned int tries = 0;
	int err;

	err = img_may_dump(d);
	if (err && err != -EAGAIN)
		return err;
	if (d->task != current) {
		hold = img_hold_start(d->task);
		if (IS_ERR(hold))
			return PTR_ERR(hold);
	}
	for (;;) {
		err = hold ? img_hold_wait(hold) : 0;
		if (!err) {
			err = img_capture(d, hold);
			if (err == -EAGAIN && ++tries == IMG_TRIES)
				err = img_dump_refuse(d, -EBUSY, "it does not come to rest");
		} else if (err == -EAGAIN) {
			/* It is busy: wait as long as the caller likes to. */
			err = img_may_dump(d) ?: -EAGAIN;
		}
		if (err != -EAGAIN)
			break;
		img_parts_drop(d);
		d->notes.len = 0;
		err = img_try_later();
		if (err)
			break;
	}
	if (hold)
		img_hold_release(hold);
	return err;
}

/**
 * img_dump_open() - make an image of a process
 * @task: leader of its thread group, may be current
 *
 * The target is stopped for about as long as a fork(2) of it takes, and goes
 * on while the image is laid out and read.
 *
 * Context: process context, no locks; a signal interrupts the wait for the
 *	target.
 * Return: the dump or an errno of proc_pid_dump(5).
 */
struct img_dump *img_dump_open(struct task_struct *task)
{
	struct img_dump *d = kzalloc(sizeof(*d), GFP_KERNEL_ACCOUNT);
	int err;

	if (!d)
		return ERR_PTR(-ENOMEM);
	d->task = task;
	xa_init(&d->file_index);
	xa_init(&d->object_index);
	err = img_hold_and_capture(d);
	if (!err)
		err = img_parts_save(d);
	if (!err)
		err = img_image_layout(d);
	d->task = NULL;
	if (err) {
		img_dump_close(d);
		return ERR_PTR(err);
	}
	img_parts_drop(d);
	img_buf_free(&d->notes);
	return d;
}

/**
 * img_dump_close() - forget an image
 * @d: from img_dump_open()
 *
 * Context: may sleep.
 */
void img_dump_close(struct img_dump *d)
{
	img_parts_drop(d);
	if (d->mm)
		mmput(d->mm);
	img_buf_free(&d->notes);
	img_buf_free(&d->head);
	img_store_free(d);
	kvfree(d->runs);
	xa_destroy(&d->file_index);
	kfree(d);
}
