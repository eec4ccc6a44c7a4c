// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: the system call that a thread is in, and what is left of its
 * sleep.
 *
 * The call is issued again, by the code that restarts system calls after a
 * signal, with the arguments that are still in the registers.  One that sleeps
 * for a relative time goes on through restart_syscall(2), as after a stop, and
 * sleeps for as long as it had left: the kernel ends the sleep at a time that
 * the thread has for as long as the call lasts.
 */
#include <linux/hrtimer.h>
#include <linux/img.h>
#include <linux/nsproxy.h>
#include <linux/sched/signal.h>
#include <linux/thread_info.h>
#include <linux/time_namespace.h>
#include <linux/timekeeping.h>
#include <uapi/linux/futex.h>
#include <asm/syscall.h>
#include <asm/unistd.h>

#define IMG_SLEEP_FLAGS	(IMG_SLEEP_CALL | IMG_SLEEP_LIMIT)

/**
 * enum img_call - what is known of a system call that sleeps
 * @IMG_CALL_OTHER: no more than that it can be issued again
 * @IMG_CALL_ENDED: a handler that is called meanwhile ends it with -EINTR,
 *	whatever its SA_RESTART flag is; see signal(7)
 * @IMG_CALL_TIMED: likewise, and a timeout that it has is relative
 */
enum img_call {
	IMG_CALL_OTHER,
	IMG_CALL_ENDED,
	IMG_CALL_TIMED,
};

static enum img_call img_call_of(unsigned int nr)
{
	switch (nr) {
#ifdef __NR_pause
	case __NR_pause:
#endif
	case __NR_rt_sigsuspend:
	case __NR_msgrcv:
	case __NR_msgsnd:
	case __NR_semop:
	case __NR_io_getevents:
	case __NR_io_pgetevents:
		return IMG_CALL_ENDED;
	case __NR_nanosleep:
	case __NR_clock_nanosleep:
#ifdef __NR_poll
	case __NR_poll:
#endif
	case __NR_ppoll:
#ifdef __NR_select
	case __NR_select:
#endif
	case __NR_pselect6:
#ifdef __NR_epoll_wait
	case __NR_epoll_wait:
#endif
	case __NR_epoll_pwait:
	case __NR_epoll_pwait2:
	case __NR_semtimedop:
	case __NR_rt_sigtimedwait:
		return IMG_CALL_TIMED;
	default:
		return IMG_CALL_OTHER;
	}
}

/*
 * Does the call sleep for a relative time?  Where that can be seen in the
 * arguments; a timer that is not there is searched for among all others.
 */
static bool img_call_relative(unsigned int nr, const unsigned long *args)
{
	switch (nr) {
	case __NR_clock_nanosleep:
		return !((int)args[1] & TIMER_ABSTIME);
	case __NR_futex:
		return ((int)args[1] & FUTEX_CMD_MASK) == FUTEX_WAIT && args[3];
#ifdef __NR_poll
	case __NR_poll:
		return (int)args[2] >= 0;
#endif
	case __NR_ppoll:
	case __NR_rt_sigtimedwait:
		return args[2];
#ifdef __NR_select
	case __NR_select:
#endif
	case __NR_pselect6:
		return args[4];
#ifdef __NR_epoll_wait
	case __NR_epoll_wait:
#endif
	case __NR_epoll_pwait:
		return (int)args[3] >= 0;
	case __NR_epoll_pwait2:
	case __NR_semtimedop:
		return args[3];
	default:
		return img_call_of(nr) == IMG_CALL_TIMED;
	}
}

/* Calls that may be issued by img_sleep_restart(). */
static bool img_call_restarts(unsigned int nr)
{
	return nr == __NR_futex || img_call_of(nr) == IMG_CALL_TIMED;
}

/* The resumed thread, in restart_syscall(2). */
static long img_sleep_restart(struct restart_block *block)
{
	ktime_t end = ktime_set(block->poll.tv_sec, block->poll.tv_nsec);
	bool limited = block->poll.has_timeout;
	int nr;
	long ret;

	block->fn = do_no_restart_syscall;
	nr = img_arch_syscall_enter(block->poll.nfds);
	if (nr < 0)
		return syscall_get_return_value(current, current_pt_regs());
	/* No limit is 0, a limit is not.  A tracer may have changed the call. */
	if (limited && img_call_restarts(nr))
		current->sleep_limit = max_t(ktime_t, end, 1);
	ret = img_arch_syscall(nr);
	current->sleep_limit = 0;
	return ret;
}

static ktime_t img_clock_now(clockid_t clock)
{
	switch (clock) {
	case CLOCK_REALTIME:
		return ktime_get_real();
	case CLOCK_BOOTTIME:
		return ktime_get_boottime();
	case CLOCK_TAI:
		return ktime_get_clocktai();
	default:
		return ktime_get();
	}
}

static void img_sleep_set(struct img_sleep *s, unsigned int nr)
{
	s->nr = cpu_to_le32(nr);
	s->flags = cpu_to_le64(IMG_SLEEP_CALL);
}

static void img_sleep_left(struct img_sleep *s, ktime_t left)
{
	s->flags |= cpu_to_le64(IMG_SLEEP_LIMIT);
	s->left_ns = cpu_to_le64(max_t(s64, ktime_to_ns(left), 0));
}

/* A thread that sleeps in a call that can be seen in its registers. */
static void img_sleep_of_call(struct img_dump *d, struct img_sleep *s, unsigned int nr)
{
	unsigned long args[6];
	ktime_t left;

	d->result = img_call_of(nr) == IMG_CALL_OTHER ? -ERESTARTSYS : -ERESTARTNOHAND;
	syscall_get_arguments(d->thread, task_pt_regs(d->thread), args);
	if (!img_call_relative(nr, args) || !hrtimer_sleep_left(d->thread, &left))
		return;
	img_sleep_set(s, nr);
	img_sleep_left(s, left);
	d->result = -ERESTART_RESTARTBLOCK;
}

/*
 * The restart_block of nanosleep(2) and clock_nanosleep(2) does not say which
 * it was.  The first argument does: a pointer, or the number of a clock, which
 * nothing can be mapped at.
 */
static unsigned int img_which_nanosleep(const unsigned long *args)
{
	return (u32)args[0] < MAX_CLOCKS ? __NR_clock_nanosleep : __NR_nanosleep;
}

/*
 * A thread that sleeps in restart_syscall(2).  Only futex_wait_restart() forgets
 * about itself before it sleeps.
 */
static void img_sleep_of_restart(struct img_dump *d, struct img_sleep *s)
{
	unsigned long args[6];
	ktime_t left;

	d->result = -ERESTART_RESTARTBLOCK;
	if (d->thread->restart_block.fn != do_no_restart_syscall)
		return;
	img_sleep_set(s, __NR_futex);
	syscall_get_arguments(d->thread, task_pt_regs(d->thread), args);
	if (img_call_relative(__NR_futex, args) && hrtimer_sleep_left(d->thread, &left))
		img_sleep_left(s, left);
}

static void img_sleep_of_poll(struct restart_block *block, struct img_sleep *s,
			      unsigned int nr)
{
	ktime_t end = ktime_set(block->poll.tv_sec, block->poll.tv_nsec);

	img_sleep_set(s, nr);
	if (block->poll.has_timeout)
		img_sleep_left(s, ktime_sub(end, ktime_get()));
}

/*
 * What restart_syscall(2) would go on with, whether the thread is about to call
 * it or not.  Returns false if that cannot be carried.
 */
static bool img_sleep_of_block(struct task_struct *t, struct img_sleep *s)
{
	struct restart_block *block = &t->restart_block;
	unsigned long args[6];

	syscall_get_arguments(t, task_pt_regs(t), args);
	if (block->fn == do_no_restart_syscall) {
		return true;
	} else if (block->fn == hrtimer_nanosleep_restart) {
		img_sleep_set(s, img_which_nanosleep(args));
		img_sleep_left(s, ktime_sub(block->nanosleep.expires,
					    img_clock_now(block->nanosleep.clockid)));
#ifdef CONFIG_FUTEX
	} else if (block->fn == futex_wait_restart) {
		img_sleep_set(s, __NR_futex);
		if (img_call_relative(__NR_futex, args))
			img_sleep_left(s, ktime_sub(block->futex.time, ktime_get()));
#endif
#ifdef __NR_poll
	} else if (block->fn == do_restart_poll) {
		img_sleep_of_poll(block, s, __NR_poll);
#endif
	} else if (block->fn == img_sleep_restart) {
		img_sleep_of_poll(block, s, block->poll.nfds);
	} else {
		return false;
	}
	return true;
}

/*
 * Is the thread in restart_syscall(2), or about to call it?  One that has just
 * got that number as the result of a call is taken for one, too.
 */
static bool img_sleep_restarts(struct task_struct *t, struct pt_regs *regs, int nr)
{
	long ret = syscall_get_return_value(t, regs);

	return nr >= 0 && ((nr == __NR_restart_syscall && ret == -ENOSYS) ||
			   ret == -ERESTART_RESTARTBLOCK ||
			   ret == __NR_restart_syscall);
}

static int img_sleep_hold_thread(struct img_dump *d)
{
	struct pt_regs *regs = task_pt_regs(d->thread);
	struct img_sleep s = { .size = cpu_to_le32(sizeof(s)) };
	int nr = syscall_get_nr(d->thread, regs);
	bool asleep = d->asleep && !d->stopped && nr >= 0 &&
		      syscall_get_return_value(d->thread, regs) == -ENOSYS;
	void *desc;

	d->result = 0;
	if (d->thread == current) {
		/* A process that dumps itself sees in the image that it is the image. */
		d->result = -ECANCELED;
	} else if (asleep && nr != __NR_restart_syscall) {
		img_sleep_of_call(d, &s, nr);
	} else {
		if (asleep)
			img_sleep_of_restart(d, &s);
		if (!img_sleep_of_block(d->thread, &s) &&
		    img_sleep_restarts(d->thread, regs, nr))
			return img_dump_refuse(d, -EOPNOTSUPP,
					       "a sleep on a CPU or alarm clock that was stopped");
	}
	desc = img_note_add(d, IMG_NOTE_NAME, NT_IMG_SLEEP, sizeof(s));
	if (!desc)
		return -ENOMEM;
	memcpy(desc, &s, sizeof(s));
	return 0;
}

/* Seconds that the offset @ns has to make up for, as a whole number. */
static s64 img_offset_sec(u64 ns, ktime_t now)
{
	return div_s64(ns - ktime_to_ns(now), NSEC_PER_SEC) + 1;
}

/*
 * Absolute times in the memory of a program must not seem to be further away
 * than they were: these clocks never go back.  Elsewhere, or after a reboot,
 * they can be set forward for the resumed process, by a time namespace.
 */
static int img_check_clocks(struct img_load *l)
{
	u64 mono = le64_to_cpu(l->hdr.mono_ns), boot = le64_to_cpu(l->hdr.boot_ns);
	ktime_t now_mono = ktime_get(), now_boot = ktime_get_boottime();
	s64 off_mono = 0, off_boot = 0;

	if (mono > KTIME_MAX || boot > KTIME_MAX)
		return img_load_refuse(l, -EBADMSG, "bad clocks");
#ifdef CONFIG_TIME_NS
	/* An exec enters the one that is for the children. */
	if (current->nsproxy) {
		struct timens_offsets *off =
			&current->nsproxy->time_ns_for_children->offsets;

		off_mono = timespec64_to_ns(&off->monotonic);
		off_boot = timespec64_to_ns(&off->boottime);
	}
#endif
	if (mono <= now_mono + off_mono && boot <= now_boot + off_boot)
		return 0;
	return img_load_refuse(l, -ERANGE,
			       "the clocks are behind: unshare --time --monotonic %lld --boottime %lld helps",
			       img_offset_sec(mono, now_mono), img_offset_sec(boot, now_boot));
}

static int img_sleep_check_thread(struct img_load *l, struct img_load_thread *t)
{
	struct img_sleep s;
	u64 flags;
	int err;

	err = img_thread_note_struct(t, NT_IMG_SLEEP, &s, sizeof(s));
	if (err)
		return err;
	flags = le64_to_cpu(s.flags);
	if (flags & ~IMG_SLEEP_FLAGS)
		return img_load_refuse(l, -EOPNOTSUPP, "unknown sleep flags %llx", flags);
	if (!(flags & IMG_SLEEP_CALL) && (s.nr || s.left_ns || flags))
		return img_load_refuse(l, -EBADMSG, "bad sleep note");
	if (!(flags & IMG_SLEEP_LIMIT) && s.left_ns)
		return img_load_refuse(l, -EBADMSG, "bad sleep note");
	if ((flags & IMG_SLEEP_CALL) && !img_call_restarts(le32_to_cpu(s.nr)))
		return img_load_refuse(l, -EBADMSG, "system call %u cannot be continued",
				       le32_to_cpu(s.nr));
	if (le64_to_cpu(s.left_ns) > KTIME_MAX)
		return img_load_refuse(l, -EBADMSG, "a sleep of %llu ns",
				       le64_to_cpu(s.left_ns));
	return 0;
}

static int img_sleep_finish_thread(struct img_load *l, struct img_load_thread *t)
{
	struct restart_block *block = &current->restart_block;
	struct timespec64 end;
	struct img_sleep s;
	int err;

	err = img_thread_note_struct(t, NT_IMG_SLEEP, &s, sizeof(s));
	if (err)
		return err;
	block->fn = do_no_restart_syscall;
	if (!(le64_to_cpu(s.flags) & IMG_SLEEP_CALL))
		return 0;
	end = ktime_to_timespec64(ktime_add_safe(ktime_get(),
						 ns_to_ktime(le64_to_cpu(s.left_ns))));
	block->poll.nfds = le32_to_cpu(s.nr);
	block->poll.has_timeout = !!(le64_to_cpu(s.flags) & IMG_SLEEP_LIMIT);
	block->poll.tv_sec = end.tv_sec;
	block->poll.tv_nsec = end.tv_nsec;
	set_restart_fn(block, img_sleep_restart);
	return 0;
}

const struct img_part img_part_sleep = {
	.name		= "a sleep",
	.thread_note	= NT_IMG_SLEEP,
	.hold_thread	= img_sleep_hold_thread,
	.check_thread	= img_sleep_check_thread,
	.check		= img_check_clocks,
	.finish_thread	= img_sleep_finish_thread,
};
