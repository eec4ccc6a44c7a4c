// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: interval timers and POSIX timers.
 *
 * Two parts: the timers, which pending signals refer to, and, when the signals
 * are queued again, those that run.
 *
 * Interval timers are taken together with the pending signals (itimer_save(),
 * in signal.c), POSIX timers later: one that expires in between has a queue
 * entry of its own, which tells.
 */
#include <linux/alarmtimer.h>
#include <linux/bsearch.h>
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/img.h>
#include <linux/ktime.h>
#include <linux/pid_namespace.h>
#include <linux/posix-timers.h>
#include <linux/sched/signal.h>
#include <linux/securebits.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/time.h>

#define IMG_TIMER_FLAGS		(IMG_TIMER_ARMED | IMG_TIMER_WAITS | IMG_TIMER_PENDING | \
				 IMG_TIMER_ABSTIME)

/* Enough for any count, and sums of two do not overflow. */
#define IMG_OVERRUN_MAX		(S64_MAX / 2 + 1)

/**
 * struct img_timer_ref - a timer to be found by its ID
 * @id: the timer
 * @index: in the note
 * @sent: a pending signal is its
 */
struct img_timer_ref {
	int	id;
	u32	index;
	bool	sent;
};

/*
 * Dump
 */

static u32 img_count_timers(struct signal_struct *sig)
{
	struct k_itimer *timr;
	u32 n = 0;

	hlist_for_each_entry(timr, &sig->posix_timers, list)
		n++;
	return n;
}

/* The IDs of all timers, the latest one first: @nr of them, to be freed. */
static int *img_timer_ids(struct task_struct *t, u32 *nr)
{
	struct k_itimer *timr;
	unsigned long flags;
	int *ids = NULL;
	u32 n = 0;

	if (!lock_task_sighand(t, &flags))
		return ERR_PTR(-ESRCH);
	*nr = img_count_timers(t->signal);
	unlock_task_sighand(t, &flags);
	if (!*nr)
		return NULL;
	ids = kvcalloc(*nr, sizeof(*ids), GFP_KERNEL_ACCOUNT);
	if (!ids)
		return ERR_PTR(-ENOMEM);
	if (!lock_task_sighand(t, &flags)) {
		kvfree(ids);
		return ERR_PTR(-ESRCH);
	}
	hlist_for_each_entry(timr, &t->signal->posix_timers, list) {
		if (n < *nr)
			ids[n] = timr->it_id;
		n++;
	}
	unlock_task_sighand(t, &flags);
	if (n == *nr)
		return ids;
	/* It was not at rest. */
	kvfree(ids);
	return ERR_PTR(-EAGAIN);
}

/* A thread's own clock, which it made the timer with, may be that of any thread. */
static clockid_t img_save_clock(struct img_dump *d, const struct posix_timer_state *s)
{
	pid_t leader = task_pid_nr_ns(d->task, task_active_pid_ns(d->task));

	if (s->clock >= 0 || !CPUCLOCK_PERTHREAD(s->clock) || CPUCLOCK_PID(s->clock) ||
	    s->clock_tid == leader)
		return s->clock;
	return make_thread_cpuclock(s->clock_tid, CPUCLOCK_WHICH(s->clock));
}

static int img_timer_carry(struct img_dump *d, const struct posix_timer_state *s)
{
	if (s->tid < 0)
		return img_dump_refuse(d, -EOPNOTSUPP,
				       "POSIX timer %d signals a thread that is gone", s->id);
	if (s->clock_tid < 0)
		return img_dump_refuse(d, -EOPNOTSUPP,
				       "POSIX timer %d counts the CPU time of another process",
				       s->id);
	return 0;
}

static int img_save_timer(struct img_dump *d, int id, struct img_timer *tm)
{
	struct posix_timer_state s;
	int err;

	err = posix_timer_save(d->task, id, &s);
	if (!err)
		err = img_timer_carry(d, &s);
	if (err)
		return err;
	*tm = (struct img_timer) {
		.id		= cpu_to_le32(s.id),
		.clock		= cpu_to_le32(img_save_clock(d, &s)),
		.flags		= cpu_to_le64(s.flags),
		.expires	= cpu_to_le64(s.expires),
		.interval	= cpu_to_le64(s.interval),
		.overrun	= cpu_to_le64(s.overrun),
		.overrun_last	= cpu_to_le64(s.overrun_last),
		.value		= cpu_to_le64((unsigned long)s.value.sival_ptr),
		.notify		= cpu_to_le32(s.notify),
		.signo		= cpu_to_le32(s.signo),
		.tid		= cpu_to_le32(s.tid),
		.sig_overrun	= cpu_to_le32(s.sig_overrun),
	};
	return 0;
}

static int img_save_timers(struct img_dump *d, const int *ids, u32 nr)
{
	struct img_timers ts = {
		.size		= cpu_to_le32(sizeof(ts)),
		.timer_size	= cpu_to_le32(sizeof(struct img_timer)),
		.nr		= cpu_to_le32(nr),
		.timers_off	= cpu_to_le32(sizeof(ts)),
		.next_id	= cpu_to_le32(d->task->signal->next_posix_timer_id),
	};
	int i, err = 0;
	void *desc;

	for (i = 0; i < ARRAY_SIZE(ts.itimers); i++) {
		const struct itimer_state *s = &d->itimers[i];

		ts.itimers[i].flags = cpu_to_le64(s->waits ? IMG_ITIMER_WAITS : 0);
		ts.itimers[i].left = cpu_to_le64(s->left);
		ts.itimers[i].interval = cpu_to_le64(s->interval);
	}
	desc = img_note_add(d, IMG_NOTE_NAME, NT_IMG_TIMERS,
			    sizeof(ts) + (size_t)nr * sizeof(struct img_timer));
	if (!desc)
		return -ENOMEM;
	memcpy(desc, &ts, sizeof(ts));
	desc += sizeof(ts);
	for (i = 0; !err && i < nr; i++) {
		struct img_timer tm;

		err = img_save_timer(d, ids[i], &tm);
		if (!err)
			memcpy(desc + i * sizeof(tm), &tm, sizeof(tm));
	}
	return err;
}

static int img_timer_hold(struct img_dump *d)
{
	u32 nr;
	int *ids = img_timer_ids(d->task, &nr);
	int err;

	if (IS_ERR(ids))
		return PTR_ERR(ids);
	err = img_save_timers(d, ids, nr);
	kvfree(ids);
	return err;
}

/*
 * Exec: check
 */

/* The array of the note in @timers. */
static int img_timer_find(struct img_load *l, struct img_timers *ts, const void **timers)
{
	const struct img_note *note;
	int err;

	err = img_note_struct(l, NT_IMG_TIMERS, ts, sizeof(*ts), &note);
	if (err)
		return err;
	*timers = img_note_array(note, le32_to_cpu(ts->timers_off), le32_to_cpu(ts->nr),
				 le32_to_cpu(ts->timer_size), sizeof(struct img_timer));
	if (!*timers || ts->pad || le32_to_cpu(ts->next_id) > INT_MAX)
		return img_load_refuse(l, -EBADMSG, "bad timers note");
	return 0;
}

/* Flags that do not fit in here are seen by img_check_timer(). */
static void img_get_timer(const struct img_timers *ts, const void *timers, u32 i,
			  struct posix_timer_state *s)
{
	struct img_timer tm;

	memcpy(&tm, timers + (size_t)i * le32_to_cpu(ts->timer_size), sizeof(tm));
	*s = (struct posix_timer_state) {
		.id		= le32_to_cpu(tm.id),
		.clock		= le32_to_cpu(tm.clock),
		.flags		= min_t(u64, le64_to_cpu(tm.flags), U32_MAX),
		.notify		= le32_to_cpu(tm.notify),
		.signo		= le32_to_cpu(tm.signo),
		.value.sival_ptr = (void __user *)(unsigned long)le64_to_cpu(tm.value),
		.tid		= le32_to_cpu(tm.tid),
		.expires	= le64_to_cpu(tm.expires),
		.interval	= le64_to_cpu(tm.interval),
		.overrun	= le64_to_cpu(tm.overrun),
		.overrun_last	= le64_to_cpu(tm.overrun_last),
		.sig_overrun	= le32_to_cpu(tm.sig_overrun),
	};
}

static void img_get_itimer(const struct img_timers *ts, int which, struct itimer_state *s)
{
	s->left = le64_to_cpu(ts->itimers[which].left);
	s->interval = le64_to_cpu(ts->itimers[which].interval);
	s->waits = ts->itimers[which].flags;
}

static int img_check_itimer(struct img_load *l, const struct img_timers *ts, int which)
{
	struct itimer_state s;

	if (le64_to_cpu(ts->itimers[which].flags) & ~IMG_ITIMER_WAITS)
		return img_load_refuse(l, -EOPNOTSUPP, "unknown flags of interval timer %d",
				       which);
	img_get_itimer(ts, which, &s);
	if (s.left > KTIME_MAX || s.interval > KTIME_MAX ||
	    (s.waits && (which != ITIMER_REAL || !s.left || !s.interval)) ||
	    (which == ITIMER_REAL && s.interval && !s.left))
		return img_load_refuse(l, -EBADMSG, "interval timer %d with %llu ns left",
				       which, s.left);
	return 0;
}

/*
 * Will timer_create() let the process that this exec makes have such a timer?
 * The capability is looked for where capabilities survive an exec.
 */
static int img_check_alarm(struct img_load *l)
{
	const struct cred *cred = current_cred();
	bool root = uid_eq(cred->euid, GLOBAL_ROOT_UID) && !issecure(SECURE_NOROOT) &&
		    cap_raised(cred->cap_bset, CAP_WAKE_ALARM);

	if (!IS_ENABLED(CONFIG_RTC_CLASS) || !alarmtimer_get_rtcdev())
		return img_load_refuse(l, -EOPNOTSUPP, "no clock that could wake the machine");
	if (!capable(CAP_WAKE_ALARM) ||
	    !(root || cap_raised(cred->cap_ambient, CAP_WAKE_ALARM)))
		return img_load_refuse(l, -EPERM, "a timer needs CAP_WAKE_ALARM");
	return 0;
}

/* Process and threads have the IDs that the image knows them by. */
static bool img_cpu_clock_valid(struct img_load *l, clockid_t clock)
{
	pid_t pid = CPUCLOCK_PID(clock);

	if (clock >= 0 || CPUCLOCK_WHICH(clock) >= CPUCLOCK_MAX)
		return false;
	return !pid || pid == l->threads[0].tid ||
	       (CPUCLOCK_PERTHREAD(clock) && img_thread_by_tid(l, pid));
}

static int img_check_clock(struct img_load *l, const struct posix_timer_state *s)
{
	switch (s->clock) {
	case CLOCK_REALTIME:
	case CLOCK_MONOTONIC:
	case CLOCK_BOOTTIME:
	case CLOCK_TAI:
		return 0;
	case CLOCK_REALTIME_ALARM:
	case CLOCK_BOOTTIME_ALARM:
		return img_check_alarm(l);
	}
	if (img_cpu_clock_valid(l, s->clock))
		return 0;
	return img_load_refuse(l, -EBADMSG, "timer %d with clock %d", s->id, s->clock);
}

static bool img_notify_valid(struct img_load *l, const struct posix_timer_state *s)
{
	switch (s->notify) {
	case SIGEV_NONE:
		return !s->tid && !(s->flags & (IMG_TIMER_WAITS | IMG_TIMER_PENDING));
	case SIGEV_SIGNAL:
	case SIGEV_THREAD:
		return !s->tid && s->signo > 0 && valid_signal(s->signo);
	case SIGEV_SIGNAL | SIGEV_THREAD_ID:
		return img_thread_by_tid(l, s->tid) && s->signo > 0 && valid_signal(s->signo);
	}
	return false;
}

static bool img_times_valid(const struct posix_timer_state *s)
{
	bool waits = s->flags & IMG_TIMER_WAITS;

	if (!(s->flags & (IMG_TIMER_ARMED | IMG_TIMER_WAITS)))
		return !s->expires && !s->interval && !(s->flags & IMG_TIMER_ABSTIME);
	if (waits && (!s->interval || (s->flags & IMG_TIMER_ARMED)))
		return false;
	if ((s->flags & IMG_TIMER_ABSTIME) && s->clock != CLOCK_REALTIME &&
	    s->clock != CLOCK_TAI && s->clock != CLOCK_REALTIME_ALARM)
		return false;
	return s->expires > 0 && s->interval >= 0;
}

static bool img_overruns_valid(const struct posix_timer_state *s)
{
	return s->overrun >= -1 && s->overrun <= IMG_OVERRUN_MAX &&
	       s->overrun_last >= -1 && s->overrun_last <= IMG_OVERRUN_MAX &&
	       s->sig_overrun >= 0 && (!s->sig_overrun || (s->flags & IMG_TIMER_PENDING));
}

static int img_check_timer(struct img_load *l, const struct posix_timer_state *s)
{
	if (s->flags & ~IMG_TIMER_FLAGS)
		return img_load_refuse(l, -EOPNOTSUPP, "unknown flags of timer %d", s->id);
	if (s->id < 0)
		return img_load_refuse(l, -EBADMSG, "timer ID %d", s->id);
	if (!img_notify_valid(l, s))
		return img_load_refuse(l, -EBADMSG, "timer %d: notify %d, signal %d, thread %d",
				       s->id, s->notify, s->signo, s->tid);
	if (!img_times_valid(s) || !img_overruns_valid(s))
		return img_load_refuse(l, -EBADMSG, "bad time or overrun of timer %d", s->id);
	return img_check_clock(l, s);
}

static int img_cmp_timer(const void *a, const void *b)
{
	const struct img_timer_ref *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int img_sort_timers(struct img_load *l)
{
	u32 i;

	sort(l->timers, l->nr_timers, sizeof(*l->timers), img_cmp_timer, NULL);
	for (i = 1; i < l->nr_timers; i++) {
		if (l->timers[i].id == l->timers[i - 1].id)
			return img_load_refuse(l, -EBADMSG, "two timers with ID %d",
					       l->timers[i].id);
	}
	return 0;
}

static int img_check_timers(struct img_load *l, const struct img_timers *ts,
			    const void *timers)
{
	struct posix_timer_state s;
	u32 i, nr = le32_to_cpu(ts->nr);
	int err;

	if (!nr)
		return 0;
	if (!img_signal_room_for(nr))
		return img_load_refuse(l, -EAGAIN, "%u timers are over the limit", nr);
	l->timers = kvcalloc(nr, sizeof(*l->timers), GFP_KERNEL_ACCOUNT);
	if (!l->timers)
		return -ENOMEM;
	l->nr_timers = nr;
	for (i = 0; i < nr; i++) {
		img_get_timer(ts, timers, i, &s);
		err = img_check_timer(l, &s);
		if (err)
			return err;
		l->timers[i].id = s.id;
		l->timers[i].index = i;
	}
	return img_sort_timers(l);
}

static int img_timer_check(struct img_load *l)
{
	struct img_timers ts;
	const void *timers;
	int which, err;

	err = img_timer_find(l, &ts, &timers);
	for (which = 0; !err && which < ARRAY_SIZE(ts.itimers); which++)
		err = img_check_itimer(l, &ts, which);
	return err ?: img_check_timers(l, &ts, timers);
}

static struct img_timer_ref *img_timer_ref(struct img_load *l, int id)
{
	struct img_timer_ref key = { .id = id };

	return l->nr_timers ? bsearch(&key, l->timers, l->nr_timers, sizeof(key),
				      img_cmp_timer) : NULL;
}

/**
 * img_timer_check_signal() - does a pending signal belong to a timer?
 * @l: the image
 * @info: the signal
 *
 * Context: on exec, after the timers have been checked.
 * Return: 0 or -EBADMSG.
 */
int img_timer_check_signal(struct img_load *l, const kernel_siginfo_t *info)
{
	struct img_timer_ref *ref = img_timer_ref(l, info->si_tid);
	struct posix_timer_state s;
	struct img_timers ts;
	const void *timers;
	int err;

	err = img_timer_find(l, &ts, &timers);
	if (err)
		return err;
	if (!ref || ref->sent)
		return -EBADMSG;
	img_get_timer(&ts, timers, ref->index, &s);
	if (info->si_code != SI_TIMER || s.signo != info->si_signo || s.notify == SIGEV_NONE)
		return -EBADMSG;
	ref->sent = true;
	return 0;
}

/*
 * Exec: restore
 */

/* Those of the launcher outlive an exec; they are not the image's. */
static void img_timer_commit(struct img_load *l)
{
	const struct itimer_state off = {};
	int which;

	for (which = ITIMER_REAL; which <= ITIMER_PROF; which++)
		itimer_resume(which, &off);
}

/* The ID that a thread of the image has now. */
static pid_t img_new_tid(struct img_load *l, pid_t tid)
{
	return task_pid_vnr(img_thread_by_tid(l, tid)->task);
}

/* A clock that the process knows by its own ID, or that of a thread. */
static clockid_t img_timer_clock(struct img_load *l, clockid_t clock)
{
	if (clock >= 0 || !CPUCLOCK_PID(clock))
		return clock;
	return make_process_cpuclock(img_new_tid(l, CPUCLOCK_PID(clock)), clock & CLOCKFD_MASK);
}

static int img_make_timer(struct img_load *l, struct posix_timer_state *s)
{
	int err;

	if (s->notify & SIGEV_THREAD_ID)
		s->tid = img_new_tid(l, s->tid);
	s->clock = img_timer_clock(l, s->clock);
	err = posix_timer_resume(s);
	if (!err && !(s->flags & IMG_TIMER_ARMED))
		err = posix_timer_resume_time(s);
	cond_resched();
	if (!err && fatal_signal_pending(current))
		err = -EINTR;
	return err;
}

/* The timers, none of them running.  The latest one is the first in the list. */
static int img_timer_make(struct img_load *l)
{
	struct posix_timer_state s;
	struct itimer_state real;
	struct img_timers ts;
	const void *timers;
	u32 i;
	int err;

	err = img_timer_find(l, &ts, &timers);
	for (i = l->nr_timers; !err && i--; ) {
		img_get_timer(&ts, timers, i, &s);
		err = img_make_timer(l, &s);
	}
	if (err)
		return err;
	current->signal->next_posix_timer_id = le32_to_cpu(ts.next_id);
	img_get_itimer(&ts, ITIMER_REAL, &real);
	if (real.waits)
		itimer_resume(ITIMER_REAL, &real);
	return 0;
}

/**
 * img_timer_send() - queue a signal of a timer
 * @l: the image
 * @id: the timer, which img_timer_check_signal() has seen
 *
 * Context: on the way to user mode.
 * Return: 0 or a negative errno.
 */
int img_timer_send(struct img_load *l, int id)
{
	struct img_timer_ref *ref = img_timer_ref(l, id);
	struct posix_timer_state s;
	struct img_timers ts;
	const void *timers;
	int err;

	err = img_timer_find(l, &ts, &timers);
	if (err || !ref)
		return err ?: -EBADMSG;
	img_get_timer(&ts, timers, ref->index, &s);
	return posix_timer_resume_signal(&s);
}

/* One that expired when the signals had been taken has sent the last signal. */
static int img_run_timer(struct img_load *l, const struct posix_timer_state *s)
{
	int err = 0;

	if ((s->flags & IMG_TIMER_PENDING) && !img_timer_ref(l, s->id)->sent)
		err = posix_timer_resume_signal(s);
	if (!err && (s->flags & IMG_TIMER_ARMED))
		err = posix_timer_resume_time(s);
	return err;
}

static int img_timer_finish(struct img_load *l)
{
	struct posix_timer_state s;
	struct itimer_state it;
	struct img_timers ts;
	const void *timers;
	int which, err;
	u32 i;

	err = img_timer_find(l, &ts, &timers);
	for (which = 0; !err && which < ARRAY_SIZE(ts.itimers); which++) {
		img_get_itimer(&ts, which, &it);
		/* commit() has stopped those of the launcher. */
		if (!it.waits && (it.left || it.interval))
			itimer_resume(which, &it);
	}
	for (i = l->nr_timers; !err && i--; ) {
		img_get_timer(&ts, timers, i, &s);
		err = img_run_timer(l, &s);
		cond_resched();
	}
	return err;
}

static void img_timer_release(struct img_load *l)
{
	kvfree(l->timers);
	l->timers = NULL;
	l->nr_timers = 0;
}

const struct img_part img_part_timer = {
	.name		= "timers",
	.note		= NT_IMG_TIMERS,
	.check		= img_timer_check,
	.commit		= img_timer_commit,
	.finish		= img_timer_make,
	.release	= img_timer_release,
};

const struct img_part img_part_timer_run = {
	.name		= "timers that run",
	.hold		= img_timer_hold,
	.finish		= img_timer_finish,
};
