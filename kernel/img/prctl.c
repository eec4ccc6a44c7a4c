// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: what a thread asked for by prctl(2), in struct img_thread.
 * It is set again by prctl(2), so that what the launcher may not do is refused
 * and security modules see it.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/img.h>
#include <linux/log2.h>
#include <linux/nospec.h>
#include <linux/prctl.h>
#include <linux/sched/signal.h>
#include <linux/securebits.h>
#include <linux/syscall_user_dispatch.h>
#include <linux/uaccess.h>

/* PR_SET_IO_FLUSHER, as kernel/sys.c has it. */
#define IMG_PF_IO_FLUSHER	(PF_MEMALLOC_NOIO | PF_LOCAL_THROTTLE)

/**
 * struct img_spec - one kind of speculation control
 * @which: PR_SPEC_*
 * @off: offset in struct img_thread of its __le32
 * @normal: the state of a thread that asked for nothing
 * @known: states that a thread can ask for
 */
struct img_spec {
	unsigned long	which;
	size_t		off;
	u32		normal;
	u32		known;
};

static const struct img_spec img_specs[] = {
	{
		PR_SPEC_STORE_BYPASS,
		offsetof(struct img_thread, spec_store_bypass),
		PR_SPEC_ENABLE,
		PR_SPEC_DISABLE | PR_SPEC_FORCE_DISABLE | PR_SPEC_DISABLE_NOEXEC,
	}, {
		PR_SPEC_INDIRECT_BRANCH,
		offsetof(struct img_thread, spec_indirect_branch),
		PR_SPEC_ENABLE,
		PR_SPEC_DISABLE | PR_SPEC_FORCE_DISABLE,
	}, {
		/* The other way round: what is enabled is the mitigation. */
		PR_SPEC_L1D_FLUSH,
		offsetof(struct img_thread, spec_l1d_flush),
		PR_SPEC_DISABLE,
		PR_SPEC_ENABLE,
	},
};

/* Where the thread has no choice, it has not chosen. */
static void img_hold_spec(struct img_thread *th, struct task_struct *t)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(img_specs); i++) {
		const struct img_spec *spec = &img_specs[i];
		int state = arch_prctl_spec_ctrl_get(t, spec->which);
		__le32 *to = (void *)th + spec->off;

		if (state >= 0 && (state & PR_SPEC_PRCTL) &&
		    state != (PR_SPEC_PRCTL | spec->normal))
			*to = cpu_to_le32(state & ~PR_SPEC_PRCTL);
	}
}

static u64 img_prctl_flags(struct task_struct *t)
{
	u64 flags = 0;

	if (t->signal->is_child_subreaper)
		flags |= IMG_THREAD_SUBREAPER;
	rcu_read_lock();
	if (__task_cred(t)->securebits & issecure_mask(SECURE_KEEP_CAPS))
		flags |= IMG_THREAD_KEEP_CAPS;
	rcu_read_unlock();
	if ((t->flags & IMG_PF_IO_FLUSHER) == IMG_PF_IO_FLUSHER)
		flags |= IMG_THREAD_IO_FLUSHER;
	if (t->flags & PF_MCE_PROCESS)
		flags |= t->flags & PF_MCE_EARLY ? IMG_THREAD_MCE_EARLY :
						   IMG_THREAD_MCE_LATE;
	return flags;
}

static void img_hold_dispatch(struct img_thread *th, struct task_struct *t)
{
#ifdef CONFIG_GENERIC_ENTRY
	if (!test_task_syscall_work(t, SYSCALL_USER_DISPATCH))
		return;
	th->flags |= cpu_to_le64(IMG_THREAD_DISPATCH);
	th->dispatch_start = cpu_to_le64(t->syscall_dispatch.offset);
	th->dispatch_len = cpu_to_le64(t->syscall_dispatch.len);
	th->dispatch_selector = cpu_to_le64((unsigned long)t->syscall_dispatch.selector);
#endif
}

/**
 * img_prctl_hold() - take what a thread asked for
 * @th: where to
 * @t: the thread, held
 *
 * Context: may sleep.
 */
void img_prctl_hold(struct img_thread *th, struct task_struct *t)
{
	th->flags |= cpu_to_le64(img_prctl_flags(t));
	th->timer_slack_ns = cpu_to_le64(t->timer_slack_ns);
	th->default_slack_ns = cpu_to_le64(t->default_timer_slack_ns);
	img_hold_spec(th, t);
	img_hold_dispatch(th, t);
}

/* Can the launcher be put into a state that it may ask for, or is it always in it? */
static bool img_spec_possible(const struct img_spec *spec)
{
	int here = arch_prctl_spec_ctrl_get(current, spec->which);

	if (here >= 0 && (here & PR_SPEC_PRCTL))
		return true;
	return spec->normal == PR_SPEC_ENABLE &&
	       (here == PR_SPEC_NOT_AFFECTED || here == PR_SPEC_DISABLE);
}

static int img_check_spec(struct img_load *l, const struct img_thread *th)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(img_specs); i++) {
		const struct img_spec *spec = &img_specs[i];
		u32 want = le32_to_cpup((void *)th + spec->off);

		if (!want)
			continue;
		if ((want & ~spec->known) || !is_power_of_2(want))
			return img_load_refuse(l, -EBADMSG, "speculation control %lu: %x",
					       spec->which, want);
		if (!img_spec_possible(spec))
			return img_load_refuse(l, -ENODEV, "no speculation control %lu here",
					       spec->which);
	}
	return 0;
}

/* As task_set_syscall_user_dispatch(). */
static int img_check_dispatch(struct img_load *l, const struct img_thread *th)
{
	u64 selector = le64_to_cpu(th->dispatch_selector);
	u64 start = le64_to_cpu(th->dispatch_start);
	u64 len = le64_to_cpu(th->dispatch_len);

	if (!(le64_to_cpu(th->flags) & IMG_THREAD_DISPATCH)) {
		if (selector || start || len)
			return img_load_refuse(l, -EBADMSG, "bad thread note");
		return 0;
	}
	if (!IS_ENABLED(CONFIG_GENERIC_ENTRY))
		return img_load_refuse(l, -EOPNOTSUPP, "syscall user dispatch");
	if ((start && start + len <= start) ||
	    !__access_ok((void __user *)(unsigned long)selector, 1))
		return img_load_refuse(l, -EBADMSG, "syscall user dispatch %llx, %llx bytes, %llx",
				       start, len, selector);
	return img_seccomp_forbids(l, true, "syscall user dispatch");
}

/**
 * img_prctl_check() - may the launcher ask for the same?
 * @l: the image
 * @th: the thread, its flags known
 *
 * Context: on exec, before the point of no return.
 * Return: 0 or the documented errno, having logged the reason.
 */
int img_prctl_check(struct img_load *l, const struct img_thread *th)
{
	const u64 mce = IMG_THREAD_MCE_EARLY | IMG_THREAD_MCE_LATE;
	u64 flags = le64_to_cpu(th->flags);
	int err;

	if ((flags & mce) == mce)
		return img_load_refuse(l, -EBADMSG, "bad thread note");
	if ((flags & IMG_THREAD_KEEP_CAPS) && issecure(SECURE_KEEP_CAPS_LOCKED))
		return img_load_refuse(l, -EPERM, "PR_SET_KEEPCAPS is locked");
	if ((flags & IMG_THREAD_IO_FLUSHER) &&
	    (current->flags & IMG_PF_IO_FLUSHER) != IMG_PF_IO_FLUSHER &&
	    !capable(CAP_SYS_RESOURCE))
		return img_load_refuse(l, -EPERM, "PR_SET_IO_FLUSHER");
	err = img_seccomp_forbids(l, le32_to_cpu(th->personality) != current->personality,
				  "another personality");
	if (!err)
		err = img_check_spec(l, th);
	return err ?: img_check_dispatch(l, th);
}

/* How little a state allows. */
static unsigned int img_spec_strictness(const struct img_spec *spec, u32 state)
{
	if (spec->normal == PR_SPEC_DISABLE)
		return state & PR_SPEC_ENABLE ? 1 : 0;
	if (state & PR_SPEC_FORCE_DISABLE)
		return 3;
	if (state & PR_SPEC_DISABLE)
		return 2;
	return state & PR_SPEC_DISABLE_NOEXEC ? 1 : 0;
}

/* Only ever stricter than the launcher. */
static int img_finish_spec(const struct img_thread *th)
{
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < ARRAY_SIZE(img_specs); i++) {
		const struct img_spec *spec = &img_specs[i];
		u32 want = le32_to_cpup((void *)th + spec->off);
		int here = arch_prctl_spec_ctrl_get(current, spec->which);

		if (want && here > 0 && (here & PR_SPEC_PRCTL) &&
		    img_spec_strictness(spec, want) > img_spec_strictness(spec, here))
			err = ksys_prctl(PR_SET_SPECULATION_CTRL, spec->which, want, 0, 0);
	}
	return err;
}

static int img_finish_slack(const struct img_thread *th)
{
	/* As if the parent had it when it forked; 0 asks for this. */
	current->default_timer_slack_ns = le64_to_cpu(th->default_slack_ns);
	return ksys_prctl(PR_SET_TIMERSLACK, le64_to_cpu(th->timer_slack_ns), 0, 0, 0);
}

static int img_finish_mce(u64 flags)
{
	unsigned long policy = PR_MCE_KILL_DEFAULT;

	if (flags & IMG_THREAD_MCE_EARLY)
		policy = PR_MCE_KILL_EARLY;
	else if (flags & IMG_THREAD_MCE_LATE)
		policy = PR_MCE_KILL_LATE;
	return ksys_prctl(PR_MCE_KILL, PR_MCE_KILL_SET, policy, 0, 0);
}

/**
 * img_prctl_finish() - ask for the same as the thread in the image
 * @th: the thread, checked
 *
 * Context: on the way to user mode; may sleep.
 * Return: 0 or a negative errno.
 */
int img_prctl_finish(const struct img_thread *th)
{
	u64 flags = le64_to_cpu(th->flags);
	int err;

	err = img_finish_slack(th);
	if (!err)
		err = img_finish_mce(flags);
	/* Of the process: once, while the other threads restore what is theirs. */
	if (!err && thread_group_leader(current))
		err = ksys_prctl(PR_SET_CHILD_SUBREAPER, !!(flags & IMG_THREAD_SUBREAPER),
				 0, 0, 0);
	if (!err && (flags & IMG_THREAD_KEEP_CAPS))
		err = ksys_prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
	/*
	 * It is kept by an exec, while the capability that check() asked for
	 * may not be.
	 */
	if (flags & IMG_THREAD_IO_FLUSHER)
		current->flags |= IMG_PF_IO_FLUSHER;
	if (!err)
		err = img_finish_spec(th);
	if (!err && (flags & IMG_THREAD_DISPATCH))
		err = ksys_prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON,
				 le64_to_cpu(th->dispatch_start),
				 le64_to_cpu(th->dispatch_len),
				 le64_to_cpu(th->dispatch_selector));
	return err;
}
