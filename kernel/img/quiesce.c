// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: bring a thread to the kernel boundary and hold it there
 * without a trace that it could observe.
 *
 * A thread that runs is asked by task_work (TWA_RESUME, never a signal: no
 * system call may return early for our sake) to park on its way to user mode.
 * A thread that sleeps is not woken: it is looked at from outside, between two
 * wait_task_inactive() calls that must tell the same context switch count.
 * The work stays queued meanwhile, so that a sleeper that wakes up goes no
 * further than the kernel boundary.
 *
 * Nothing here waits longer than a signal to the dumper can interrupt, and
 * nothing is waited for by the target that a SIGKILL would not end.
 */
#include <linux/delay.h>
#include <linux/img.h>
#include <linux/jiffies.h>
#include <linux/refcount.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/task_work.h>
#include <linux/wait.h>
#include <linux/xarray.h>

/* How long to wait at most before looking again whether a thread fell asleep. */
#define IMG_POLL_MAX_US		1000U

/* How often to look before the caller looks whether this still makes sense. */
#define IMG_POLLS		50

/*
 * For how long the threads may stand and wait for the last of them to come to
 * rest: so many milliseconds, and so many for each thread.
 */
#define IMG_PATIENCE_MS		200U
#define IMG_PATIENCE_THREAD_MS	2U

/*
 * Threads that seldom get a processor need longer.  Each time it was not enough,
 * it is twice as long, up to this.
 */
#define IMG_PATIENCE_MAX_MS	4000U

/*
 * What a sleeper may sleep in to be looked at from outside: a sleep that a
 * signal could have ended at the same place, or a job control stop.
 */
#define IMG_SLEEP_STATES	(TASK_INTERRUPTIBLE | __TASK_STOPPED)

/* And this is a sleep that a signal interrupts, but the call goes on (FUSE). */
#define IMG_SLEEP_GOES_ON	TASK_NOLOAD

/**
 * enum img_turn - whose turn it is to care for the work of a hold
 * @IMG_TURN_THREAD: the thread's, which will run it
 * @IMG_TURN_DUMPER: the dumper's, to queue it again: the thread ran it where it
 *	must not park
 * @IMG_TURN_NOBODY: nobody's any more, the hold has been released
 */
enum img_turn {
	IMG_TURN_THREAD,
	IMG_TURN_DUMPER,
	IMG_TURN_NOBODY,
};

/**
 * struct img_hold - one thread that is being held
 * @work: queued on the thread; owns one reference
 * @turn: whose turn it is to care for @work
 * @ref: two: the dumper's and the work's
 * @parking: the dumper sleeps on it until @parked
 * @parked_at: the thread sleeps on it until @released
 * @task: the thread
 * @parked: the thread has come to the boundary
 * @released: the thread may go on
 * @state: the sleep state that @cookie was taken in
 * @cookie: from wait_task_inactive()
 */
struct img_hold {
	struct callback_head	work;
	enum img_turn		turn;
	refcount_t		ref;
	wait_queue_head_t	parking;
	wait_queue_head_t	parked_at;
	struct task_struct	*task;
	bool			parked;
	bool			released;
	unsigned int		state;
	unsigned long		cookie;
};

static void img_hold_put(struct img_hold *hold)
{
	if (!refcount_dec_and_test(&hold->ref))
		return;
	put_task_struct(hold->task);
	kfree(hold);
}

/*
 * As in ptrace_stop(), who is woken here waits for us to be off the CPU and
 * not just preempted, which would cost them a tick.  PREEMPT_RT can do without
 * that, and wake_up() sleeps there.
 */
static void img_hold_rest(struct img_hold *hold)
{
	DEFINE_WAIT(wait);

	for (;;) {
		prepare_to_wait(&hold->parked_at, &wait, TASK_KILLABLE | TASK_FREEZABLE);
		if (READ_ONCE(hold->released) || fatal_signal_pending(current))
			break;
		if (!IS_ENABLED(CONFIG_PREEMPT_RT))
			preempt_disable();
		WRITE_ONCE(hold->parked, true);
		wake_up(&hold->parking);
		if (!IS_ENABLED(CONFIG_PREEMPT_RT))
			preempt_enable_no_resched();
		schedule();
	}
	WRITE_ONCE(hold->parked, false);
	finish_wait(&hold->parked_at, &wait);
}

/*
 * Runs in the thread that is to be held.  In the middle of an exec it must not
 * park: it may hold locks, and its registers do not belong to its memory.  One
 * that is traced runs this before its tracer is told about the system call
 * that it is in the middle of.
 */
static void img_hold_park(struct callback_head *work)
{
	struct img_hold *hold = container_of(work, struct img_hold, work);

	if (current->in_execve || current->ptrace) {
		if (cmpxchg(&hold->turn, IMG_TURN_THREAD, IMG_TURN_DUMPER) == IMG_TURN_THREAD)
			return;
	} else if (!(current->flags & PF_EXITING)) {
		img_hold_rest(hold);
	}
	img_hold_put(hold);
}

/*
 * Ask a thread, not current, to come to the kernel boundary and stay.  Returns
 * -ESRCH when it exits.
 */
static struct img_hold *img_hold_start(struct task_struct *task)
{
	struct img_hold *hold = kzalloc(sizeof(*hold), GFP_KERNEL_ACCOUNT);

	if (!hold)
		return ERR_PTR(-ENOMEM);
	refcount_set(&hold->ref, 2);
	init_waitqueue_head(&hold->parking);
	init_waitqueue_head(&hold->parked_at);
	init_task_work(&hold->work, img_hold_park);
	hold->task = get_task_struct(task);
	if (task_work_add(task, &hold->work, TWA_RESUME)) {
		img_hold_put(hold);
		img_hold_put(hold);
		return ERR_PTR(-ESRCH);
	}
	return hold;
}

/*
 * Take the cookie if the thread is at rest where it can be looked at.  In the
 * middle of an exec it is not: its registers are those of one program and its
 * memory is that of another.
 */
static bool img_hold_catch(struct img_hold *hold)
{
	unsigned int state = READ_ONCE(hold->task->__state);
	unsigned int states = IMG_SLEEP_STATES;

	if (READ_ONCE(hold->parked))
		states |= TASK_UNINTERRUPTIBLE;
	hold->state = state & states;
	if (!hold->state || (state & IMG_SLEEP_GOES_ON))
		return false;
	hold->cookie = wait_task_inactive(hold->task, hold->state);
	return hold->cookie && !hold->task->in_execve;
}

/* Queue the work again if the thread could not park where it ran it. */
static int img_hold_again(struct img_hold *hold)
{
	if (READ_ONCE(hold->turn) != IMG_TURN_DUMPER)
		return 0;
	WRITE_ONCE(hold->turn, IMG_TURN_THREAD);
	if (!task_work_add(hold->task, &hold->work, TWA_RESUME))
		return 0;
	WRITE_ONCE(hold->turn, IMG_TURN_DUMPER);
	return -ESRCH;
}

/*
 * Somebody dumps us while we wait for our target, which may be them: then one
 * of us has to come to the kernel boundary and start again.  Let it be the one
 * whose task_struct is behind that of its target, which is never all of a ring.
 */
static bool img_hold_yield(struct img_hold *hold)
{
	return task_work_pending(current) && current > hold->task;
}

/*
 * Wait until a thread can be looked at.  One that parks wakes us; one that falls
 * asleep on the way there does not, so look again after a while.  Returns -ESRCH
 * when the thread exits, -ERESTARTSYS, or -EAGAIN when it has not come to rest
 * for a while (a twentieth of a second or so).
 */
static int img_hold_wait(struct img_hold *hold)
{
	unsigned int us = 16, n;

	for (n = 0; n < IMG_POLLS; n++) {
		ktime_t to = ns_to_ktime(us * NSEC_PER_USEC);

		if (READ_ONCE(hold->task->flags) & PF_EXITING)
			return -ESRCH;
		if (img_hold_again(hold))
			return -ESRCH;
		if (img_hold_catch(hold))
			return 0;
		if (signal_pending(current))
			return -ERESTARTSYS;
		if (img_hold_yield(hold))
			return restart_syscall();
		if (READ_ONCE(hold->parked))
			usleep_range(us, 2 * us);
		else
			wait_event_interruptible_hrtimeout(hold->parking,
							   READ_ONCE(hold->parked), to);
		us = min(2 * us, IMG_POLL_MAX_US);
	}
	return -EAGAIN;
}

/*
 * Has the thread been at rest since img_hold_wait()?  Then it has not run at all
 * in between, which makes everything that was read from it one instant.  One that
 * was frozen meanwhile would be waited for until it thaws.
 */
static bool img_hold_still(struct img_hold *hold)
{
	return (READ_ONCE(hold->task->__state) & hold->state) &&
	       wait_task_inactive(hold->task, hold->state) == hold->cookie;
}

/* Let the thread go on; @hold must not be used any more. */
static void img_hold_release(struct img_hold *hold)
{
	WRITE_ONCE(hold->released, true);
	wake_up(&hold->parked_at);
	if (xchg(&hold->turn, IMG_TURN_NOBODY) == IMG_TURN_DUMPER ||
	    task_work_cancel(hold->task, &hold->work))
		img_hold_put(hold);
	img_hold_put(hold);
}

/* Threads that are neither held nor gone nor ourselves; must be held, too. */
static bool img_hold_lacks(struct xarray *holds, struct task_struct *t)
{
	struct img_hold *hold;

	if (t == current || (READ_ONCE(t->flags) & PF_EXITING))
		return false;
	/* The ID may be that of one that has gone since. */
	hold = xa_load(holds, task_pid_nr(t));
	return !hold || hold->task != t;
}

/* Up to @room threads that are to be held, with references. */
static unsigned int img_hold_find(struct img_dump *d, struct xarray *holds,
				  struct task_struct **tasks, unsigned int room)
{
	struct task_struct *t;
	unsigned int n = 0;

	rcu_read_lock();
	for_each_thread(d->task, t) {
		if (n < room && img_hold_lacks(holds, t))
			tasks[n++] = get_task_struct(t);
	}
	rcu_read_unlock();
	return n;
}

static int img_hold_add(struct xarray *holds, struct task_struct *task)
{
	struct img_hold *hold = img_hold_start(task), *old;

	if (IS_ERR(hold))
		return PTR_ERR(hold) == -ESRCH ? 0 : PTR_ERR(hold);
	old = xa_store(holds, task_pid_nr(task), hold, GFP_KERNEL_ACCOUNT);
	if (xa_is_err(old)) {
		img_hold_release(hold);
		return xa_err(old);
	}
	if (old)
		img_hold_release(old);
	return 0;
}

/* Ask those that have not been asked yet.  Returns how many, or an error. */
static int img_hold_new(struct img_dump *d, struct xarray *holds)
{
	unsigned int i, n, room = get_nr_threads(d->task);
	struct task_struct **tasks;
	int err = 0;

	tasks = kvmalloc_array(room, sizeof(*tasks), GFP_KERNEL_ACCOUNT);
	if (!tasks)
		return -ENOMEM;
	n = img_hold_find(d, holds, tasks, room);
	for (i = 0; i < n; i++) {
		if (!err)
			err = img_hold_add(holds, tasks[i]);
		put_task_struct(tasks[i]);
		cond_resched();
	}
	kvfree(tasks);
	return err ?: n;
}

/* Let all others go while we wait for the one, which may take long. */
static void img_hold_release_others(struct xarray *holds, struct img_hold *busy)
{
	struct img_hold *hold;
	unsigned long i;

	xa_for_each(holds, i, hold) {
		if (hold == busy)
			continue;
		xa_erase(holds, i);
		img_hold_release(hold);
	}
}

/*
 * One that runs, or would if a processor were free, is at the boundary soon.
 * What another one waits for may be one of those that we hold.
 */
static bool img_hold_is_near(struct img_hold *hold)
{
	return READ_ONCE(hold->task->__state) == TASK_RUNNING &&
		READ_ONCE(hold->turn) == IMG_TURN_THREAD;
}

/* For how long they may be held this time, in milliseconds. */
static unsigned int img_hold_patience(struct img_dump *d)
{
	unsigned int ms = IMG_PATIENCE_MS + IMG_PATIENCE_THREAD_MS * get_nr_threads(d->task);

	return max(ms, min(ms << d->rounds, IMG_PATIENCE_MAX_MS));
}

static void img_hold_longer(struct img_dump *d)
{
	if (img_hold_patience(d) < IMG_PATIENCE_MAX_MS)
		d->rounds++;
}

static int img_hold_give_up(struct img_dump *d, struct xarray *holds)
{
	img_hold_longer(d);
	img_hold_release_others(holds, NULL);
	return -EAGAIN;
}

/*
 * Threads wait for one another here, but not longer than until @end in jiffies:
 * then all of them go on, and the caller is to wait before it holds them again.
 */
static int img_hold_wait_all(struct img_dump *d, struct xarray *holds, unsigned long end)
{
	struct img_hold *hold;
	unsigned long i;
	int err;

	xa_for_each(holds, i, hold) {
		do {
			err = img_hold_wait(hold);
		} while (err == -EAGAIN && img_hold_is_near(hold) &&
			 time_before(jiffies, end));
		if (err == -EAGAIN) {
			if (img_hold_is_near(hold))
				img_hold_longer(d);
			img_hold_release_others(holds, hold);
			d->held_since = jiffies;
		}
		if (!err && time_after(jiffies, end))
			return img_hold_give_up(d, holds);
		if (err && err != -ESRCH)
			return err;
		if (err) {
			xa_erase(holds, i);
			img_hold_release(hold);
		}
		cond_resched();
	}
	return 0;
}

/*
 * All threads are held, or have left the address space: one that exits writes
 * to it, and wakes up who waits for it to be gone.
 */
static bool img_hold_complete(struct img_dump *d, struct xarray *holds)
{
	bool complete = true;
	struct task_struct *t;

	rcu_read_lock();
	for_each_thread(d->task, t) {
		if (img_hold_lacks(holds, t) ||
		    ((READ_ONCE(t->flags) & PF_EXITING) && READ_ONCE(t->mm)))
			complete = false;
	}
	rcu_read_unlock();
	return complete;
}

/**
 * img_hold_all() - bring all threads of a process to rest
 * @d: the dump; @d->task is the process, current may be one of its threads
 * @holds: those that are held already, by thread ID; empty at first
 *
 * When one of them does not come to rest, the others go on until it does.  What
 * has been held since before for too long is let go as well.
 *
 * Context: may sleep, interruptible by signals.
 * Return: 0, -EAGAIN when they have not come to rest for a while, -ERESTARTSYS,
 *	-ERESTARTNOINTR to begin anew, or -ENOMEM.  In all cases @holds is to be
 *	given back.
 */
int img_hold_all(struct img_dump *d, struct xarray *holds)
{
	unsigned long end;
	int n;

	if (xa_empty(holds))
		d->held_since = jiffies;
	end = d->held_since + msecs_to_jiffies(img_hold_patience(d));
	do {
		int err = img_hold_wait_all(d, holds, end);

		if (err)
			return err;
		n = img_hold_new(d, holds);
	} while (n > 0);
	if (n)
		return n;
	if (img_hold_complete(d, holds))
		return 0;
	return time_after(jiffies, end) ? img_hold_give_up(d, holds) : -EAGAIN;
}

/**
 * img_hold_all_still() - have all threads been at rest since img_hold_all()?
 * @d: the dump
 * @holds: from img_hold_all()
 *
 * Context: may sleep.
 * Return: true if none of them has run at all in between, and there is no other,
 *	which makes everything that was read meanwhile one consistent instant.
 */
bool img_hold_all_still(struct img_dump *d, struct xarray *holds)
{
	struct img_hold *hold;
	unsigned long i;

	xa_for_each(holds, i, hold) {
		if (!img_hold_still(hold))
			return false;
	}
	return img_hold_complete(d, holds);
}

/**
 * img_hold_release_all() - let all threads go on
 * @holds: from img_hold_all(); empty afterwards
 *
 * Context: may sleep.
 */
void img_hold_release_all(struct xarray *holds)
{
	img_hold_release_others(holds, NULL);
	xa_destroy(holds);
}

/**
 * img_hold_task() - the thread that is held
 * @hold: from img_hold_all()
 *
 * Return: the thread, as long as it is held.
 */
struct task_struct *img_hold_task(struct img_hold *hold)
{
	return hold->task;
}

/**
 * img_hold_asleep() - is the thread looked at from outside, in its sleep?
 * @hold: from img_hold_all()
 *
 * Return: true for a sleeper, false for a thread at the kernel boundary.
 */
bool img_hold_asleep(struct img_hold *hold)
{
	return hold->state & IMG_SLEEP_STATES;
}
