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
 * @work: the part on the way to user mode
 * @l: the image
 */
struct img_resume {
	struct callback_head	work;
	struct img_load		l;
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

/* The thread, on its way to user mode. */
static void img_resume_finish(struct callback_head *work)
{
	struct img_resume *r = container_of(work, struct img_resume, work);
	int err = 0;

	/*
	 * Older works come after us, among them closing what was close-on-exec.
	 * We may stop below, so let them go first.
	 */
	if (work->next && !task_work_add(current, work, TWA_NONE))
		return;
	if (!(current->flags & PF_EXITING))
		err = img_parts_finish(&r->l);
	if (err) {
		img_load_refuse(&r->l, err, "error %d after the point of no return", err);
		force_fatal_sig(SIGKILL);
	}
	img_resume_free(r);
	current->in_execve = 0;
	/*
	 * What a signal would do to the system call that was interrupted:
	 * restart it, or end it if there is a handler to be called.  Raising
	 * TIF_SIGPENDING instead would not do, since whoever recalculates it
	 * takes it back.
	 */
	if (!err && !(current->flags & PF_EXITING))
		arch_do_signal_or_restart(current_pt_regs());
}

static struct img_resume *img_resume_alloc(struct linux_binprm *bprm)
{
	struct img_resume *r = kzalloc(sizeof(*r), GFP_KERNEL_ACCOUNT);

	if (!r)
		return NULL;
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
static int img_drop_arguments(struct linux_binprm *bprm)
{
	struct vm_area_struct *vma = bprm->vma;

	bprm->vma = NULL;
	return vm_munmap(vma->vm_start, vma->vm_end - vma->vm_start);
}

static int img_restore(struct img_load *l)
{
	struct linux_binprm *bprm = l->bprm;
	int err;

	err = begin_new_exec(bprm);
	if (err)
		return err;
	l->secureexec = bprm->secureexec;
	l->per_clear = bprm->per_clear;
	img_parts_commit(l);
	setup_new_exec(bprm);
	err = img_drop_arguments(bprm);
	if (!err)
		err = img_parts_restore(l);
	if (err) {
		img_load_refuse(l, err, "error %d after the point of no return", err);
		return err;
	}
	finalize_exec(bprm);
	/* A native program's registers, until the image's are set. */
	start_thread(current_pt_regs(), 0, 0);
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
	init_task_work(&r->work, img_resume_finish);
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
