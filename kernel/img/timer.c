// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: interval timers and POSIX timers.  This version does not
 * carry them: a process that has one is refused.
 */
#include <linux/hrtimer.h>
#include <linux/img.h>
#include <linux/sched/signal.h>

static int img_timer_hold(struct img_dump *d)
{
#ifdef CONFIG_POSIX_TIMERS
	struct signal_struct *sig = d->task->signal;

	if (!hlist_empty(&sig->posix_timers))
		return img_dump_refuse(d, -EOPNOTSUPP, "POSIX timers");
	/* One that waits for its signal to be taken is not active. */
	if (hrtimer_active(&sig->real_timer) || READ_ONCE(sig->it_real_incr) ||
	    READ_ONCE(sig->it[CPUCLOCK_PROF].expires) ||
	    READ_ONCE(sig->it[CPUCLOCK_VIRT].expires))
		return img_dump_refuse(d, -EOPNOTSUPP, "an interval timer");
#endif
	return 0;
}

const struct img_part img_part_timer = {
	.name	= "timers",
	.hold	= img_timer_hold,
};
