// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: signal actions, pending signals, job control stop.
 * Masks and alternate stacks belong to the threads.
 */
#include <linux/cred.h>
#include <linux/img.h>
#include <linux/sched/signal.h>
#include <linux/signal.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>

/* The pending signals of a process that a note can hold. */
#define IMG_PENDING_MAX		(IMG_HEAD_MAX / 2 / sizeof(struct img_siginfo))

/* As many entries as a queue can take in the image, or more. */
static u32 img_count_pending(struct sigpending *pending)
{
	u32 n = 0;
	int sig;

	if (sigisemptyset(&pending->signal))
		return 0;
	for (sig = 1; sig <= _NSIG; sig++)
		n += sigismember(&pending->signal, sig);
	return n + list_count_nodes(&pending->list);
}

/* The same for all queues of a process; siglock is held. */
static u32 img_count_all_pending(struct task_struct *leader)
{
	u32 n = img_count_pending(&leader->signal->shared_pending);
	struct task_struct *t;

	rcu_read_lock();
	for_each_thread(leader, t)
		n += img_count_pending(&t->pending);
	rcu_read_unlock();
	return n;
}

static void img_copy_siginfo(struct img_siginfo *to, const struct sigqueue *q)
{
	kernel_siginfo_t info = q->info;

	/* Of a timer that was deleted the entry is as that of any signal. */
	if (q->flags & SIGQUEUE_PREALLOC) {
		to->flags = cpu_to_le64(IMG_SIGINFO_TIMER);
		info.si_sys_private = 0;
	}
	memcpy(to->info, &info, sizeof(info));
}

/*
 * Copy one queue.  A signal that is pending without a queue entry was sent
 * when there was no memory for one: it has no more to tell than its number.
 * SIGSTOP is in the thread's note, as the stop that it leads to.
 */
static u32 img_copy_pending(struct sigpending *pending, struct img_siginfo *to, u32 max,
			    pid_t tid)
{
	sigset_t bare = pending->signal;
	struct sigqueue *q;
	u32 n = 0;
	int sig;

	list_for_each_entry(q, &pending->list, list) {
		sigdelset(&bare, q->info.si_signo);
		if (n == max || sig_kernel_only(q->info.si_signo))
			continue;
		img_copy_siginfo(&to[n], q);
		to[n++].tid = cpu_to_le32(tid);
	}
	for (sig = 1; sig <= _NSIG; sig++) {
		kernel_siginfo_t info;

		if (!sigismember(&bare, sig) || sig_kernel_only(sig) || n == max)
			continue;
		clear_siginfo(&info);
		info.si_signo = sig;
		info.si_code = SI_USER;
		memcpy(to[n].info, &info, sizeof(info));
		to[n++].tid = cpu_to_le32(tid);
	}
	return n;
}

/* What is pending for single threads; siglock is held. */
static u32 img_copy_private(struct task_struct *leader, struct img_siginfo *to, u32 max)
{
	struct pid_namespace *ns = task_active_pid_ns(leader);
	struct task_struct *t;
	u32 n = 0;

	rcu_read_lock();
	for_each_thread(leader, t) {
		if (!sigisemptyset(&t->pending.signal) && !(t->flags & PF_EXITING))
			n += img_copy_pending(&t->pending, to + n, max - n,
					      task_pid_nr_ns(t, ns));
	}
	rcu_read_unlock();
	return n;
}

/* Returns how many there are up to the last that is not the default. */
static u32 img_copy_actions(struct sighand_struct *sighand, struct img_sigaction *to)
{
	static const struct img_sigaction none;
	u32 i, nr = 0;

	for (i = 0; i < _NSIG; i++) {
		struct sigaction *sa = &sighand->action[i].sa;

		to[i].handler = cpu_to_le64((unsigned long)sa->sa_handler);
		to[i].flags = cpu_to_le64(sa->sa_flags & UAPI_SA_FLAGS);
#ifdef __ARCH_HAS_SA_RESTORER
		to[i].restorer = cpu_to_le64((unsigned long)sa->sa_restorer);
#endif
		to[i].mask = cpu_to_le64(sa->sa_mask.sig[0]);
		if (memcmp(&to[i], &none, sizeof(none)))
			nr = i + 1;
	}
	return nr;
}

/**
 * struct img_signal_copy - what is taken under the lock
 * @actions: one for each signal
 * @nr_actions: up to the last that is not the default
 * @infos: room for @max pending signals
 * @max: how many
 * @nr_shared: taken, of the process
 * @nr_private: taken after them, of single threads
 */
struct img_signal_copy {
	struct img_sigaction	actions[_NSIG];
	u32			nr_actions;
	struct img_siginfo	*infos;
	u32			max;
	u32			nr_shared;
	u32			nr_private;
};

/* Room for some more than are pending now. */
static int img_signal_room(struct task_struct *t, struct img_signal_copy *c)
{
	unsigned long flags;

	if (!lock_task_sighand(t, &flags))
		return -ESRCH;
	c->max = img_count_all_pending(t) + 2 * _NSIG;
	unlock_task_sighand(t, &flags);
	c->infos = kvcalloc(c->max, sizeof(*c->infos), GFP_KERNEL_ACCOUNT);
	return c->infos ? 0 : -ENOMEM;
}

/*
 * -EAGAIN: more signals came in since the room was made, or a SIGCONT since the
 * first thread was copied: it takes a stop back.
 */
static int img_signal_copy(struct img_dump *d, struct img_signal_copy *c)
{
	struct task_struct *t = d->task;
	unsigned long flags;
	int err = 0;

	if (!lock_task_sighand(t, &flags))
		return -ESRCH;
	if (img_count_all_pending(t) > c->max || img_dump_stops(d) != d->stops) {
		err = -EAGAIN;
	} else {
		c->nr_actions = img_copy_actions(rcu_dereference_raw(t->sighand), c->actions);
		c->nr_shared = img_copy_pending(&t->signal->shared_pending, c->infos,
						c->max, 0);
		c->nr_private = img_copy_private(t, c->infos + c->nr_shared,
						 c->max - c->nr_shared);
		/* Either a timer has sent its signal or it is yet to do so. */
		memset(d->itimers, 0, sizeof(d->itimers));
		itimer_save(t, d->itimers);
	}
	unlock_task_sighand(t, &flags);
	return err;
}

static int img_signal_note(struct img_dump *d, struct img_signal_copy *c)
{
	size_t actions_len = c->nr_actions * sizeof(c->actions[0]);
	size_t infos_len = (c->nr_shared + c->nr_private) * sizeof(*c->infos);
	struct img_signal sg = {
		.size		= cpu_to_le32(sizeof(sg)),
		.action_size	= cpu_to_le32(sizeof(c->actions[0])),
		.nr_actions	= cpu_to_le32(c->nr_actions),
		.actions_off	= cpu_to_le32(sizeof(sg)),
		.pending_size	= cpu_to_le32(sizeof(*c->infos)),
		.nr_shared	= cpu_to_le32(c->nr_shared),
		.nr_private	= cpu_to_le32(c->nr_private),
		.pending_off	= cpu_to_le32(sizeof(sg) + actions_len),
	};
	void *desc;

	desc = img_note_add(d, IMG_NOTE_NAME, NT_IMG_SIGNAL,
			    sizeof(sg) + actions_len + infos_len);
	if (!desc)
		return -ENOMEM;
	memcpy(desc, &sg, sizeof(sg));
	memcpy(desc + sizeof(sg), c->actions, actions_len);
	memcpy(desc + sizeof(sg) + actions_len, c->infos, infos_len);
	return 0;
}

static int img_signal_hold(struct img_dump *d)
{
	struct img_signal_copy *c;
	int err;

	BUILD_BUG_ON(sizeof(kernel_siginfo_t) > sizeof(struct img_siginfo));

	c = kzalloc(sizeof(*c), GFP_KERNEL_ACCOUNT);
	if (!c)
		return -ENOMEM;
	err = img_signal_room(d->task, c);
	if (!err)
		err = img_signal_copy(d, c);
	if (!err)
		err = img_signal_note(d, c);
	kvfree(c->infos);
	kfree(c);
	return err;
}

/* The arrays of the note, or NULL in @actions when they are not inside it. */
static int img_signal_find(struct img_load *l, struct img_signal *sg,
			   const void **actions, const void **infos)
{
	const struct img_note *note;
	int err;

	err = img_note_struct(l, NT_IMG_SIGNAL, sg, sizeof(*sg), &note);
	if (err)
		return err;
	*actions = img_note_array(note, le32_to_cpu(sg->actions_off),
				  le32_to_cpu(sg->nr_actions),
				  le32_to_cpu(sg->action_size),
				  sizeof(struct img_sigaction));
	*infos = NULL;
	if ((u64)le32_to_cpu(sg->nr_shared) + le32_to_cpu(sg->nr_private) <= IMG_PENDING_MAX)
		*infos = img_note_array(note, le32_to_cpu(sg->pending_off),
					le32_to_cpu(sg->nr_shared) +
					le32_to_cpu(sg->nr_private),
					le32_to_cpu(sg->pending_size),
					sizeof(struct img_siginfo));
	if (!*actions || !*infos || le32_to_cpu(sg->nr_actions) > _NSIG)
		return img_load_refuse(l, -EBADMSG, "bad signal note");
	return 0;
}

static void img_get_action(const struct img_signal *sg, const void *actions, int sig,
			   struct k_sigaction *ka)
{
	struct img_sigaction sa;

	memcpy(&sa, actions + (size_t)(sig - 1) * le32_to_cpu(sg->action_size), sizeof(sa));
	memset(ka, 0, sizeof(*ka));
	ka->sa.sa_handler = (__sighandler_t)(unsigned long)le64_to_cpu(sa.handler);
	ka->sa.sa_flags = le64_to_cpu(sa.flags);
#ifdef __ARCH_HAS_SA_RESTORER
	ka->sa.sa_restorer = (__sigrestore_t)(unsigned long)le64_to_cpu(sa.restorer);
#endif
	ka->sa.sa_mask.sig[0] = le64_to_cpu(sa.mask);
}

/**
 * struct img_sent - a pending signal of an image
 * @info: what its receiver is told
 * @timer: it is the signal of a POSIX timer
 * @to: the thread that it is for, NULL: the process
 */
struct img_sent {
	kernel_siginfo_t	info;
	bool			timer;
	struct img_load_thread	*to;
};

/* As copy_siginfo_from_user(): what does not fit must be zero. */
static int img_get_siginfo(struct img_load *l, const struct img_signal *sg, const void *infos,
			   u32 i, struct img_sent *s)
{
	bool shared = i < le32_to_cpu(sg->nr_shared);
	struct img_siginfo raw;

	memcpy(&raw, infos + (size_t)i * le32_to_cpu(sg->pending_size), sizeof(raw));
	if (memchr_inv(raw.info + sizeof(s->info), 0, sizeof(raw.info) - sizeof(s->info)) ||
	    raw.pad)
		return -EBADMSG;
	if (le64_to_cpu(raw.flags) & ~IMG_SIGINFO_TIMER)
		return -EOPNOTSUPP;
	memcpy(&s->info, raw.info, sizeof(s->info));
	s->timer = raw.flags;
	s->to = shared ? NULL : img_thread_by_tid(l, le32_to_cpu(raw.tid));
	if (s->info.si_signo < 1 || !valid_signal(s->info.si_signo) ||
	    sig_kernel_only(s->info.si_signo) || (shared ? raw.tid != 0 : !s->to))
		return -EBADMSG;
	return 0;
}

/**
 * img_signal_room_for() - does RLIMIT_SIGPENDING allow more to be queued?
 * @nr: timers, which have one entry each, and other pending signals
 *
 * What counts are those of all processes of this user.  The launcher's own
 * timers will be gone.
 *
 * Context: on exec, before the point of no return.
 * Return: true if there is room.
 */
bool img_signal_room_for(u64 nr)
{
	struct ucounts *uc = current_ucounts();
	u64 max = rlimit(RLIMIT_SIGPENDING);
	struct k_itimer *timr;
	unsigned long flags;
	long own = 0;

	if (!nr)
		return true;
	if (!lock_task_sighand(current, &flags))
		return false;
	hlist_for_each_entry(timr, &current->signal->posix_timers, list)
		own++;
	unlock_task_sighand(current, &flags);
	/* As inc_rlimit_get_ucounts(): user namespaces have limits as well. */
	for (; uc; uc = uc->ns->ucounts) {
		long queued = get_rlimit_value(uc, UCOUNT_RLIMIT_SIGPENDING) - own;

		if (nr + max(queued, 0L) > max)
			return false;
		max = get_userns_rlimit_max(uc->ns, UCOUNT_RLIMIT_SIGPENDING);
	}
	return true;
}

static int img_check_pending(struct img_load *l, const struct img_signal *sg,
			     const void *infos)
{
	u32 i, n = le32_to_cpu(sg->nr_shared) + le32_to_cpu(sg->nr_private), sent = 0;
	struct img_sent s;
	int err;

	/* Some may be of timers: at least as many entries as these. */
	if (!img_signal_room_for(n))
		return img_load_refuse(l, -EAGAIN, "%u pending signals are over the limit", n);
	for (i = 0; i < n; i++) {
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		err = img_get_siginfo(l, sg, infos, i, &s);
		if (!err && s.timer) {
			err = img_timer_check_signal(l, &s.info);
			sent++;
		}
		if (err)
			return img_load_refuse(l, err, "bad pending signal");
	}
	if (n > sent && !img_signal_room_for((u64)n - sent + l->nr_timers))
		return img_load_refuse(l, -EAGAIN,
				       "%u pending signals and %u timers are over the limit",
				       n - sent, l->nr_timers);
	return 0;
}

static int img_signal_check(struct img_load *l)
{
	const void *actions, *infos;
	struct img_signal sg;
	int sig, err;

	err = img_signal_find(l, &sg, &actions, &infos);
	if (err)
		return err;
	for (sig = 1; sig <= le32_to_cpu(sg.nr_actions); sig++) {
		struct k_sigaction ka;

		img_get_action(&sg, actions, sig, &ka);
		if (sig_kernel_only(sig) && ka.sa.sa_handler != SIG_DFL)
			return img_load_refuse(l, -EBADMSG, "action for signal %d", sig);
		if (ka.sa.sa_flags & ~(unsigned long)UAPI_SA_FLAGS)
			return img_load_refuse(l, -EOPNOTSUPP, "unknown flags %lx of signal %d",
					       ka.sa.sa_flags, sig);
	}
	return img_check_pending(l, &sg, infos);
}

/* Those that POSIX timers have sent. */
static void img_add_timer_signals(struct sigpending *pending, sigset_t *mask)
{
	struct sigqueue *q;

	list_for_each_entry(q, &pending->list, list) {
		if (q->info.si_code == SI_TIMER)
			sigaddset(mask, q->info.si_signo);
	}
}

/*
 * What the launcher had set aside is not for the program that it becomes, nor
 * is what its timers have sent.  Ignoring a signal is how POSIX discards one
 * that is pending.
 */
static void img_signal_discard(void)
{
	unsigned long flags;
	sigset_t pending, mask;
	int sig;

	if (!lock_task_sighand(current, &flags))
		return;
	sigorsets(&pending, &current->pending.signal, &current->signal->shared_pending.signal);
	siginitset(&mask, sigmask(SIGALRM) | sigmask(SIGVTALRM) | sigmask(SIGPROF));
	sigorsets(&mask, &mask, &current->blocked);
	img_add_timer_signals(&current->pending, &mask);
	img_add_timer_signals(&current->signal->shared_pending, &mask);
	sigandsets(&pending, &pending, &mask);
	unlock_task_sighand(current, &flags);
	for (sig = 1; sig <= _NSIG && !sigisemptyset(&pending); sig++) {
		struct k_sigaction ka = { .sa.sa_handler = SIG_IGN };

		if (sigismember(&pending, sig) && !sig_kernel_only(sig))
			do_sigaction(sig, &ka, NULL);
	}
}

/* Those that the image does not tell of.  Exec leaves all of them so, or ignored. */
static int img_signal_default(int from)
{
	/* Which is nobody else's, since an exec has only one thread. */
	const struct sighand_struct *sighand = rcu_dereference_protected(current->sighand, 1);
	int sig, err = 0;

	for (sig = from; !err && sig <= _NSIG; sig++) {
		struct k_sigaction ka = {};

		/* To set it again flushes those that are ignored by default. */
		if (sighand->action[sig - 1].sa.sa_handler != SIG_DFL || sig_kernel_ignore(sig))
			err = do_sigaction(sig, &ka, NULL);
	}
	return err;
}

static int img_signal_restore(struct img_load *l)
{
	const void *actions, *infos;
	struct img_signal sg;
	int sig, err;

	img_signal_discard();
	err = img_signal_find(l, &sg, &actions, &infos);
	if (err)
		return err;
	for (sig = 1; !err && sig <= le32_to_cpu(sg.nr_actions); sig++) {
		struct k_sigaction ka;

		if (sig_kernel_only(sig))
			continue;
		img_get_action(&sg, actions, sig, &ka);
		err = do_sigaction(sig, &ka, NULL);
	}
	return err ?: img_signal_default(sig);
}

/* All signals are blocked, so that they stay pending until all threads are ready. */
static int img_signal_finish(struct img_load *l)
{
	const void *actions, *infos;
	struct img_signal sg;
	u32 i, n;
	int err;

	err = img_signal_find(l, &sg, &actions, &infos);
	if (err)
		return err;
	n = le32_to_cpu(sg.nr_shared) + le32_to_cpu(sg.nr_private);
	for (i = 0; !err && i < n; i++) {
		struct img_sent s;

		err = img_get_siginfo(l, &sg, infos, i, &s);
		if (!err && s.timer)
			err = img_timer_send(l, s.info.si_tid);
		else if (!err)
			err = do_send_sig_info(s.info.si_signo, &s.info,
					       s.to ? s.to->task : current,
					       s.to ? PIDTYPE_PID : PIDTYPE_TGID);
		cond_resched();
	}
	return err;
}

const struct img_part img_part_signal = {
	.name		= "signals",
	.note		= NT_IMG_SIGNAL,
	.hold		= img_signal_hold,
	.check		= img_signal_check,
	.restore	= img_signal_restore,
	.finish		= img_signal_finish,
};
