// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: the threads of a process.
 *
 * They are made by the leader of their group on its way to user mode.  Each
 * restores what is its own, and none goes further before all are ready.
 */
#include <linux/bsearch.h>
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/img.h>
#include <linux/mm.h>
#include <linux/nsproxy.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/ptrace.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/securebits.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/string.h>
#include <linux/task_work.h>
#include <linux/user_namespace.h>

/* Will the process that this exec makes have the capability, too? */
static bool img_capable_after(struct user_namespace *ns, int cap)
{
	const struct cred *cred = current_cred();
	bool root = uid_eq(cred->euid, make_kuid(cred->user_ns, 0)) &&
		    !issecure(SECURE_NOROOT) && cap_raised(cred->cap_bset, cap);

	return ns_capable(ns, cap) && (root || cap_raised(cred->cap_ambient, cap));
}

/* The exec ends the other threads of the launcher. */
static bool img_id_used(pid_t tid, struct pid_namespace *ns)
{
	struct task_struct *t;
	struct pid *pid;
	bool used;

	rcu_read_lock();
	pid = find_pid_ns(tid, ns);
	t = pid_task(pid, PIDTYPE_PID);
	used = pid && !(t && t != current && same_thread_group(t, current));
	rcu_read_unlock();
	return used;
}

/* The launcher wants the IDs of the image: may it have them, and are they free? */
static int img_check_ids(struct img_load *l)
{
	struct pid_namespace *ns = task_active_pid_ns(current);
	unsigned int i;
	bool used;

	if (!task_keep_ids(current))
		return 0;
	if (l->threads[0].tid != task_tgid_vnr(current))
		return img_load_refuse(l, -EEXIST, "the process has ID %d, must be %d",
				       task_tgid_vnr(current), l->threads[0].tid);
	if (l->nr_threads > 1 && !img_capable_after(ns->user_ns, CAP_CHECKPOINT_RESTORE) &&
	    !img_capable_after(ns->user_ns, CAP_SYS_ADMIN))
		return img_load_refuse(l, -EPERM, "threads with IDs of their own");
	for (i = 1; i < l->nr_threads; i++) {
		if (l->threads[i].tid >= pid_max)
			return img_load_refuse(l, -EINVAL, "thread ID %d is over pid_max",
					       l->threads[i].tid);
		used = img_id_used(l->threads[i].tid, ns);
		cond_resched();
		if (used)
			return img_load_refuse(l, -EEXIST, "thread ID %d is in use",
					       l->threads[i].tid);
	}
	return 0;
}

static int img_threads_check(struct img_load *l)
{
	unsigned int more = l->nr_threads - 1;
	int err = img_check_ids(l);

	if (err || !more)
		return err;
	if (task_active_pid_ns(current) != current->nsproxy->pid_ns_for_children)
		return img_load_refuse(l, -EINVAL,
				       "no threads after unshare --pid: use --fork, too");
	if (!fork_has_room(more))
		return img_load_refuse(l, -EAGAIN, "%u more threads are over the limit", more);
	return 0;
}

static int img_cmp_tid(const void *a, const void *b)
{
	const struct img_load_thread *x = *(struct img_load_thread **)a;
	const struct img_load_thread *y = *(struct img_load_thread **)b;

	return x->tid < y->tid ? -1 : x->tid > y->tid;
}

static int img_sort_threads(struct img_load *l)
{
	unsigned int i;

	if (l->nr_threads == 1)
		return 0;
	l->by_tid = kvmalloc_array(l->nr_threads, sizeof(*l->by_tid), GFP_KERNEL_ACCOUNT);
	if (!l->by_tid)
		return -ENOMEM;
	for (i = 0; i < l->nr_threads; i++)
		l->by_tid[i] = &l->threads[i];
	sort(l->by_tid, l->nr_threads, sizeof(*l->by_tid), img_cmp_tid, NULL);
	for (i = 1; i < l->nr_threads; i++) {
		if (l->by_tid[i]->tid == l->by_tid[i - 1]->tid)
			return img_load_refuse(l, -EBADMSG, "two threads with ID %d",
					       l->by_tid[i]->tid);
	}
	return 0;
}

static bool img_note_is_thread(const struct img_note *note)
{
	return note->type == NT_IMG_THREAD && note->ours;
}

static unsigned int img_count_threads(struct img_load *l)
{
	unsigned int i, n = 0;

	for (i = 0; i < l->nr_notes; i++)
		n += img_note_is_thread(&l->notes[i]);
	return n;
}

/**
 * img_threads_parse() - find the threads of an image
 * @l: the image; its notes are parsed
 *
 * Context: on exec, before the point of no return; may sleep.
 * Return: 0, -EBADMSG or -ENOMEM, having logged the reason.
 */
int img_threads_parse(struct img_load *l)
{
	unsigned int i, nr = img_count_threads(l);
	struct img_load_thread *t = NULL;
	struct img_thread th;
	int err;

	if (!nr || nr != le32_to_cpu(l->hdr.nr_threads))
		return img_load_refuse(l, -EBADMSG, "%u threads, must be %u", nr,
				       le32_to_cpu(l->hdr.nr_threads));
	l->threads = kvcalloc(nr, sizeof(*l->threads), GFP_KERNEL_ACCOUNT);
	if (!l->threads)
		return -ENOMEM;
	for (i = 0; i < l->nr_notes; i++) {
		if (img_note_is_thread(&l->notes[i])) {
			t = &l->threads[l->nr_threads++];
			t->l = l;
			t->notes = &l->notes[i];
		}
		if (t)
			t->nr_notes++;
	}
	for (i = 0; i < nr; i++) {
		t = &l->threads[i];
		err = img_thread_note_struct(t, NT_IMG_THREAD, &th, sizeof(th));
		if (err)
			return err;
		t->tid = le32_to_cpu(th.tid);
		if (t->tid <= 0)
			return img_load_refuse(l, -EBADMSG, "thread ID %d", t->tid);
	}
	return img_sort_threads(l);
}

/**
 * img_thread_by_tid() - find a thread by its ID in the image
 * @l: the image
 * @tid: the ID
 *
 * Return: the thread or NULL.
 */
struct img_load_thread *img_thread_by_tid(struct img_load *l, pid_t tid)
{
	struct img_load_thread key = { .tid = tid }, *k = &key, **found;

	if (!l->by_tid)
		return tid == l->threads->tid ? l->threads : NULL;
	found = bsearch(&k, l->by_tid, l->nr_threads, sizeof(k), img_cmp_tid);
	return found ? *found : NULL;
}

/* What a debugger of the launcher wants to know of. */
static bool img_clone_traced(void)
{
	return ptrace_event_enabled(current, PTRACE_EVENT_CLONE);
}

static int img_thread_make(struct img_load_thread *t)
{
	struct kernel_clone_args args = {
		.flags		= CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
				  CLONE_THREAD | CLONE_SYSVSEM,
		.pending_ok	= 1,
	};
	struct task_struct *p;
	pid_t tid = t->tid;
	int err;

	if (task_keep_ids(current)) {
		args.set_tid = &tid;
		args.set_tid_size = 1;
	}
	t->traced = img_clone_traced();
	p = copy_process(NULL, t->traced ? PTRACE_EVENT_CLONE : 0, NUMA_NO_NODE, &args);
	if (IS_ERR(p))
		return PTR_ERR(p);
	t->task = get_task_struct(p);
	init_task_work(&t->work, img_resume_thread);
	err = task_work_add(p, &t->work, TWA_RESUME);
	return err ?: img_regs_set(t);
}

/* The other threads, none of them running.  They must be woken in any case. */
static int img_threads_finish(struct img_load *l)
{
	unsigned int i;
	int err = 0;

	l->threads[0].task = get_task_struct(current);
	for (i = 1; !err && i < l->nr_threads; i++) {
		err = img_thread_make(&l->threads[i]);
		cond_resched();
	}
	return err;
}

/**
 * img_threads_wake() - let the threads begin that the leader has made
 * @l: the image
 *
 * Context: in the leader; may sleep.
 */
void img_threads_wake(struct img_load *l)
{
	unsigned int i;

	for (i = 1; i < l->nr_threads && l->threads[i].task; i++) {
		wake_up_new_task(l->threads[i].task);
		cond_resched();
	}
}

/**
 * img_threads_tell() - tell the leader's tracer of the other threads
 * @l: the image
 *
 * A tracer may want to see a new thread stop before the leader goes on, so none
 * of them may be waiting for the leader any more.
 *
 * Context: in the leader; may sleep, for as long as the tracer likes.
 */
void img_threads_tell(struct img_load *l)
{
	unsigned int i;

	for (i = 1; i < l->nr_threads; i++) {
		struct pid *pid;

		if (!l->threads[i].traced)
			continue;
		pid = get_task_pid(l->threads[i].task, PIDTYPE_PID);
		ptrace_event_pid(PTRACE_EVENT_CLONE, pid);
		put_pid(pid);
	}
}

static void img_threads_release(struct img_load *l)
{
	unsigned int i;

	for (i = 0; i < l->nr_threads; i++) {
		if (l->threads[i].task)
			put_task_struct(l->threads[i].task);
	}
}

const struct img_part img_part_threads = {
	.name		= "the threads",
	.check		= img_threads_check,
	.finish		= img_threads_finish,
	.release	= img_threads_release,
};
