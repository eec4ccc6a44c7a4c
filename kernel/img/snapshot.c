// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: stop the target, capture it, copy its address space on
 * write, let it go; then write the notes at leisure.
 */
#include <linux/delay.h>
#include <linux/img.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/pid.h>
#include <linux/ptrace.h>
#include <linux/ratelimit.h>
#include <linux/rwsem.h>
#include <linux/sched/jobctl.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/sched/task_stack.h>
#include <linux/slab.h>
#include <linux/xarray.h>

/* How long to wait when the target moved while it was looked at. */
#define IMG_RETRY_US	20

/*
 * How often to try before giving up on a target that moves each time: one that
 * wakes up and sleeps again in its system call faster than it can be copied.
 */
#define IMG_TRIES	1000

/* How often to look whether the lock of its mappings is free. */
#define IMG_LOCK_TRIES	200

/* For how long a target's threads may be held by tries that fail, in jiffies. */
#define IMG_HELD_MAX	HZ

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
	/* We. */
	int own = 1;

	rcu_read_lock();
	for_each_thread(d->task, t)
		own += READ_ONCE(t->mm) == mm;
	if (atomic_read(&mm->mm_users) <= own) {
		rcu_read_unlock();
		return false;
	}
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

/**
 * struct img_company - what the threads of a target are, besides its program's
 * @traced: one has a tracer
 * @worker: one belongs to the kernel, as those of io_uring do
 */
struct img_company {
	bool	traced;
	bool	worker;
};

static struct img_company img_company_of(struct img_dump *d)
{
	struct img_company c = {};
	struct task_struct *t;

	rcu_read_lock();
	for_each_thread(d->task, t) {
		c.traced |= !!READ_ONCE(t->ptrace);
		c.worker |= !!(READ_ONCE(t->flags) & (PF_USER_WORKER | PF_IO_WORKER));
	}
	rcu_read_unlock();
	return c;
}

/* What no part knows about: who else is involved with the target. */
static int img_dump_vet(struct img_dump *d, struct mm_struct *mm)
{
	struct img_company c = img_company_of(d);

	if (d->task->signal->core_state || !thread_group_leader(d->task) ||
	    (READ_ONCE(d->task->flags) & PF_EXITING))
		return -ESRCH;
	if (c.worker)
		return img_dump_refuse(d, -EOPNOTSUPP, "threads of the kernel's, as of io_uring");
	if (img_mm_is_shared(d, mm))
		return img_dump_refuse(d, -EUSERS,
				       "another process shares its memory");
	return c.traced ? img_dump_refuse(d, -EBUSY, "it is being traced") : 0;
}

/**
 * img_dump_stops() - is a stop on its way that no handler can prevent?
 * @d: the dump
 *
 * Context: the lock of the signal handlers is held.
 * Return: true also if it has come.
 */
bool img_dump_stops(struct img_dump *d)
{
	bool stops = sigismember(&d->task->signal->shared_pending.signal, SIGSTOP);
	struct task_struct *t;

	rcu_read_lock();
	for_each_thread(d->task, t) {
		if ((READ_ONCE(t->__state) & __TASK_STOPPED) ||
		    (READ_ONCE(t->jobctl) & JOBCTL_STOP_PENDING) ||
		    sigismember(&t->pending.signal, SIGSTOP))
			stops = true;
	}
	rcu_read_unlock();
	return stops;
}

/* That a target is gone is found by what copies its signals. */
static void img_capture_stops(struct img_dump *d)
{
	struct task_struct *t = d->task;
	unsigned long flags;

	if (!lock_task_sighand(t, &flags))
		return;
	d->stops = img_dump_stops(d);
	unlock_task_sighand(t, &flags);
}

/* @hold is NULL for the thread that dumps its own process. */
static int img_capture_thread(struct img_dump *d, struct task_struct *t, struct img_hold *hold)
{
	int err;

	d->thread = t;
	d->asleep = hold && img_hold_asleep(hold);
	d->stopped = READ_ONCE(t->__state) & __TASK_STOPPED;
	/* A target that is killed now would take its registers with it. */
	if (!try_get_task_stack(t))
		return -ESRCH;
	err = img_parts_hold_thread(d);
	put_task_stack(t);
	d->thread = NULL;
	d->nr_threads++;
	return err;
}

/* The leader of the group is the first. */
static int img_capture_threads(struct img_dump *d, struct xarray *holds)
{
	struct img_hold *hold;
	unsigned long i;
	int err;

	err = img_capture_thread(d, d->task, xa_load(holds, task_pid_nr(d->task)));
	if (!err && d->task != current && same_thread_group(d->task, current))
		err = img_capture_thread(d, current, NULL);
	if (err)
		return err;
	xa_for_each(holds, i, hold) {
		struct task_struct *t = img_hold_task(hold);

		if (t == d->task || (READ_ONCE(t->flags) & PF_EXITING))
			continue;
		err = img_capture_thread(d, t, hold);
		if (err)
			return err;
		cond_resched();
	}
	return 0;
}

/*
 * A thread might be at rest with this lock, in a fault that somebody is to serve.
 * Do not wait for it: we may be who holds that somebody.
 */
static int img_wait_mmap_lock(struct mm_struct *mm)
{
	unsigned int n;

	for (n = 0; rwsem_is_locked(&mm->mmap_lock); n++) {
		if (n == IMG_LOCK_TRIES)
			return -EAGAIN;
		if (signal_pending(current))
			return -ERESTARTSYS;
		usleep_range(IMG_RETRY_US, 2 * IMG_RETRY_US);
	}
	return 0;
}

/*
 * Everything in here is one instant of the target if @holds say so before and
 * after; if not, -EAGAIN.
 */
static int img_capture_instant(struct img_dump *d, struct xarray *holds)
{
	struct mm_struct *snapshot;
	int err;

	if (!img_hold_all_still(d, holds))
		return -EAGAIN;
	err = img_dump_vet(d, d->mm);
	if (err)
		return err;
	img_capture_stops(d);
	err = img_capture_threads(d, holds);
	if (!err)
		err = img_parts_hold(d);
	if (!err)
		err = img_wait_mmap_lock(d->mm);
	if (err)
		return err;
	snapshot = img_early_finish(d);
	if (IS_ERR(snapshot))
		return PTR_ERR(snapshot);
	if (!img_hold_all_still(d, holds)) {
		img_put_later(d, snapshot);
		return -EAGAIN;
	}
	d->mm = snapshot;
	return 0;
}

/*
 * Between two tries: give the target time to get somewhere, and if its threads
 * have stood still for long, as long to run.
 */
static int img_try_later(struct img_dump *d, struct xarray *holds)
{
	unsigned long held = jiffies - d->held_since;

	if (held > IMG_HELD_MAX || xa_empty(holds)) {
		/* Each page it writes to would be copied, for how long we cannot know. */
		img_early_end(d);
		img_hold_release_all(holds);
		img_put_now(d);
		schedule_timeout_interruptible(max(held, 1UL));
	} else if (d->dead[0]) {
		img_hold_release_all(holds);
		img_put_now(d);
	} else {
		usleep_range(IMG_RETRY_US, 2 * IMG_RETRY_US);
	}
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
static int img_capture(struct img_dump *d, struct xarray *holds)
{
	struct mm_struct *mm = img_lock_mm(d->task);
	int err;

	if (IS_ERR(mm))
		return PTR_ERR(mm);
	d->mm = mm;
	err = img_capture_instant(d, holds);
	if (err)
		d->mm = NULL;
	img_unlock_mm(d->task, mm);
	return err;
}

/*
 * The memory of a process goes with its first thread, as far as one can tell
 * from outside.
 */
static int img_dump_leaderless(struct img_dump *d)
{
	struct signal_struct *sig = d->task->signal;

	if (!(READ_ONCE(d->task->flags) & PF_EXITING) || (sig->flags & SIGNAL_GROUP_EXIT) ||
	    READ_ONCE(sig->group_exec_task) || get_nr_threads(d->task) < 2)
		return -ESRCH;
	if (!ptrace_may_access(d->task, PTRACE_MODE_ATTACH_FSCREDS))
		return -EACCES;
	return img_dump_refuse(d, -EUSERS, "its first thread has ended");
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

	if (mm == ERR_PTR(-ESRCH))
		return img_dump_leaderless(d);
	if (IS_ERR(mm))
		return PTR_ERR(mm);
	err = img_dump_vet(d, mm);
	img_unlock_mm(d->task, mm);
	return err;
}

/* Give back what an attempt took. */
static void img_capture_again(struct img_dump *d)
{
	img_parts_drop(d);
	d->notes.len = 0;
	d->nr_notes = 0;
	d->nr_threads = 0;
}

/* Does a thread of it say that storage depends on it (PR_SET_IO_FLUSHER)? */
static bool img_serves_storage(struct img_dump *d)
{
	struct task_struct *t;
	bool serves = false;

	rcu_read_lock();
	for_each_thread(d->task, t)
		serves |= !!(READ_ONCE(t->flags) & PF_MEMALLOC_NOIO);
	rcu_read_unlock();
	return serves;
}

static int img_capture_held(struct img_dump *d, struct xarray *holds)
{
	unsigned int tries = 0;
	int err;

	for (;;) {
		err = img_hold_all(d, holds);
		if (!err) {
			err = img_capture(d, holds);
			if (err == -EAGAIN && ++tries == IMG_TRIES)
				err = img_dump_refuse(d, -EBUSY, "it does not come to rest");
		} else if (err == -EAGAIN) {
			/* It is busy: wait as long as the caller likes to. */
			img_early_end(d);
			err = img_may_dump(d) ?: -EAGAIN;
		}
		if (err != -EAGAIN)
			return err;
		img_capture_again(d);
		err = img_try_later(d, holds);
		if (err)
			return err;
	}
}

/*
 * Do what can be done of the copy while the target runs.  If it cannot, it is all
 * done in the end.
 */
static void img_begin_early(struct img_dump *d)
{
	struct mm_struct *mm = img_lock_mm(d->task);

	if (IS_ERR(mm))
		return;
	mmget(mm);
	img_unlock_mm(d->task, mm);
	/* What is being resumed is not there yet. */
	if (!d->task->in_execve)
		img_early_begin(d, mm);
	mmput(mm);
}

static int img_hold_and_capture(struct img_dump *d)
{
	unsigned int noio = 0;
	struct xarray holds;
	bool serves;
	int err;

	err = img_may_dump(d);
	if (err)
		return err;
	xa_init(&holds);
	/* What we wait for must not wait for the target. */
	serves = img_serves_storage(d);
	if (serves)
		noio = memalloc_noio_save();
	img_begin_early(d);
	err = img_capture_held(d, &holds);
	img_hold_release_all(&holds);
	img_early_end(d);
	img_put_now(d);
	if (serves)
		memalloc_noio_restore(noio);
	return err;
}

/* The leader of its thread group, with a reference. */
static struct task_struct *img_leader_of(struct task_struct *task)
{
	struct pid *tgid = get_task_pid(task, PIDTYPE_TGID);
	struct task_struct *leader = get_pid_task(tgid, PIDTYPE_TGID);

	put_pid(tgid);
	return leader;
}

/**
 * img_dump_open() - make an image of a process
 * @task: one of its threads, may be current
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
	struct task_struct *leader;
	int err;

	if (!d)
		return ERR_PTR(-ENOMEM);
	leader = img_leader_of(task);
	if (!leader) {
		kfree(d);
		return ERR_PTR(-ESRCH);
	}
	d->task = leader;
	xa_init(&d->file_index);
	xa_init(&d->object_index);
	err = img_hold_and_capture(d);
	if (!err)
		err = img_parts_save(d);
	if (!err)
		err = img_image_layout(d);
	if (err == -ENOMEM && d->too_large)
		err = img_dump_refuse(d, -EFBIG, "too many threads or too large notes");
	d->task = NULL;
	put_task_struct(leader);
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
