// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: a resume is an exec.
 *
 * Everything is parsed, checked and opened while the caller can still get an
 * errno.  Then the address space is put together in execve(2), and the thread
 * on the way to user mode, when execve(2) has set its result and nothing of
 * the kernel's comes between the registers and the program any more.
 */
#include <linux/binfmts.h>
#include <linux/cred.h>
#include <linux/entry-common.h>
#include <linux/file.h>
#include <linux/img.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/ratelimit.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>
#include <linux/slab.h>
#include <linux/task_work.h>

/**
 * struct img_resume - a resume from the check to user mode
 * @work: what the leader of the thread group does on its way to user mode
 * @l: the image
 * @ref: one for each thread that is still at it
 * @missing: threads that are not ready
 * @all_ready: threads that are wait on it for the others
 * @failed: one cannot be restored: all die
 */
struct img_resume {
	struct callback_head	work;
	struct img_load		l;
	refcount_t		ref;
	atomic_t		missing;
	wait_queue_head_t	all_ready;
	bool			failed;
};

static DEFINE_RATELIMIT_STATE(img_load_rs, DEFAULT_RATELIMIT_INTERVAL, 20);

/**
 * img_load_refuse() - say why an image cannot be resumed
 * @l: the image
 * @err: the documented errno
 * @fmt: the reason
 *
 * Context: any.
 * Return: @err.
 */
int img_load_refuse(struct img_load *l, int err, const char *fmt, ...)
{
	struct va_format vaf = { .fmt = fmt };
	va_list args;

	va_start(args, fmt);
	vaf.va = &args;
	if (__ratelimit(&img_load_rs))
		pr_info("img: %*pE: cannot resume: %pV\n", (int)strlen(l->name),
			l->name, &vaf);
	va_end(args);
	return err;
}

static void img_resume_free(struct img_resume *r)
{
	img_parts_release(&r->l);
	img_image_free(&r->l);
	if (r->l.file)
		fput(r->l.file);
	kfree(r->l.name);
	kfree(r);
}

static void img_resume_put(struct img_resume *r)
{
	if (refcount_dec_and_test(&r->ref))
		img_resume_free(r);
}

/* Past the point of no return, all threads die with the one that fails. */
static void img_resume_fail(struct img_resume *r, int err)
{
	WRITE_ONCE(r->failed, true);
	if (current->flags & PF_EXITING)
		return;
	img_load_refuse(&r->l, err, "error %d after the point of no return", err);
	force_fatal_sig(SIGKILL);
}

/* Wait for the other threads; false if there is no need any more. */
static bool img_resume_wait(struct img_resume *r)
{
	if (atomic_dec_and_test(&r->missing))
		wake_up_all(&r->all_ready);
	else
		wait_event_state(r->all_ready, !atomic_read(&r->missing),
				 (TASK_KILLABLE | TASK_FREEZABLE));
	return !READ_ONCE(r->failed) && !fatal_signal_pending(current);
}

/* A thread, on its way to user mode. */
static void img_resume_one(struct img_resume *r, struct img_load_thread *t)
{
	bool dead = current->flags & PF_EXITING;
	int err = 0;

	if (!dead && !READ_ONCE(r->failed))
		err = img_parts_finish_thread(t);
	if (err)
		img_resume_fail(r, err);
	if (!dead && img_resume_wait(r)) {
		if (t == r->l.threads)
			img_threads_tell(&r->l);
		img_thread_go(t);
	} else {
		dead = true;
	}
	img_resume_put(r);
	current->in_execve = 0;
	/*
	 * What a signal would do to the system call that was interrupted:
	 * restart it, or end it if there is a handler to be called.  Raising
	 * TIF_SIGPENDING instead would not do, since whoever recalculates it
	 * takes it back.
	 */
	if (!dead)
		arch_do_signal_or_restart(current_pt_regs());
}

/**
 * img_resume_thread() - what a thread that was made for an image does first
 * @work: in its struct img_load_thread
 *
 * Context: task work, on the way to user mode or to exit.
 */
void img_resume_thread(struct callback_head *work)
{
	struct img_load_thread *t = container_of(work, struct img_load_thread, work);

	img_resume_one(container_of(t->l, struct img_resume, l), t);
}

/*
 * Nothing but SIGKILL comes between us and the threads that are to be made: what
 * is pending, or comes now, waits for the masks of the image.
 */
static void img_block_signals(void)
{
	sigset_t all;

	siginitsetinv(&all, sigmask(SIGKILL) | sigmask(SIGSTOP));
	set_current_blocked(&all);
}

/* A native program's, until the image's are set: they tell which sets there are. */
static void img_native_regs(void)
{
	start_thread(current_pt_regs(), 0, 0);
}

/* The leader, on its way to user mode. */
static void img_resume_leader(struct callback_head *work)
{
	struct img_resume *r = container_of(work, struct img_resume, work);
	struct img_load *l = &r->l;
	unsigned int i;
	int err = -EINTR;

	/*
	 * Older works come after us, among them closing what was close-on-exec.
	 * We may stop below, so let them go first.
	 */
	if (work->next && !task_work_add(current, work, TWA_NONE))
		return;
	atomic_set(&r->missing, l->nr_threads);
	if (!(current->flags & PF_EXITING)) {
		img_block_signals();
		/* Whatever a tracer did to them: it has stopped us for the last time. */
		img_native_regs();
		err = img_parts_finish(l);
	}
	if (err)
		img_resume_fail(r, err);
	for (i = 1; i < l->nr_threads && l->threads[i].task; i++)
		refcount_inc(&r->ref);
	img_threads_wake(l);
	img_resume_one(r, &l->threads[0]);
}

static struct img_resume *img_resume_alloc(struct linux_binprm *bprm)
{
	struct img_resume *r = kzalloc(sizeof(*r), GFP_KERNEL_ACCOUNT);

	if (!r)
		return NULL;
	init_task_work(&r->work, img_resume_leader);
	init_waitqueue_head(&r->all_ready);
	refcount_set(&r->ref, 1);
	r->l.bprm = bprm;
	r->l.file = get_file(bprm->file);
	r->l.name = kstrndup(bprm->filename, 256, GFP_KERNEL_ACCOUNT);
	if (!r->l.name) {
		img_resume_free(r);
		return NULL;
	}
	return r;
}

static int img_check(struct img_load *l)
{
	int err;

	if (!l->file->f_op->read_iter)
		return img_load_refuse(l, -EOPNOTSUPP, "the file system cannot read it");
	err = img_image_parse(l, l->bprm->buf);
	return err ?: img_parts_check(l);
}

/* The stack that execve(2) made for arguments: the image has its own. */
static void img_drop_arguments(struct linux_binprm *bprm)
{
	struct vm_area_struct *vma = bprm->vma;

	bprm->vma = NULL;
	mm_drop_vma(vma);
}

static int img_restore(struct img_load *l)
{
	struct linux_binprm *bprm = l->bprm;
	int err;

	img_drop_arguments(bprm);
	err = begin_new_exec(bprm);
	/* Without them no other format can have it any more. */
	if (err)
		return err == -ENOEXEC ? -EACCES : err;
	l->secureexec = bprm->secureexec;
	l->per_clear = bprm->per_clear;
	img_parts_commit(l);
	setup_new_exec(bprm);
	err = img_parts_restore(l);
	if (err) {
		img_load_refuse(l, err, "error %d after the point of no return", err);
		return err;
	}
	finalize_exec(bprm);
	img_native_regs();
	return 0;
}

/**
 * img_exec() - resume an image in the current process
 * @bprm: the exec in progress
 *
 * Context: load_binary() of a binfmt.
 * Return: 0; -ENOEXEC if the file is not an image; an errno of binfmt_img(5)
 *	with the caller unharmed; or any errno past the point of no return,
 *	where the caller of load_binary() ends the process.
 */
int img_exec(struct linux_binprm *bprm)
{
	struct img_resume *r;
	int err;

	/* Nearly all programs that are run are not images: be quick. */
	if (memcmp(bprm->buf, ELFMAG, SELFMAG) ||
	    memcmp(bprm->buf + IMG_IDENT_POS, IMG_IDENT, IMG_IDENT_LEN))
		return -ENOEXEC;
	r = img_resume_alloc(bprm);
	if (!r)
		return -ENOMEM;
	err = img_check(&r->l);
	if (!err)
		err = img_restore(&r->l);
	r->l.bprm = NULL;
	if (err)
		img_resume_free(r);
	else
		bprm->resume_work = &r->work;
	return err;
}
EXPORT_SYMBOL_GPL(img_exec);
