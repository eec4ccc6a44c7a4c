// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: NT_PRPSINFO, what ps and debuggers show of the process.
 * Nothing of it is restored.
 */
#include <linux/cred.h>
#include <linux/highuid.h>
#include <linux/img.h>
#include <linux/mm.h>
#include <linux/pid_namespace.h>
#include <linux/sched.h>
#include <linux/uidgid.h>

static void img_fill_psargs(char *psargs, struct mm_struct *mm)
{
	size_t len = min_t(size_t, mm->arg_end - mm->arg_start, ELF_PRARGSZ - 1);
	size_t i;

	/*
	 * What cannot be read stays empty: these are words for people.  Pages
	 * of files are not worth waiting for whoever serves them.
	 */
	len = access_remote_vm(mm, mm->arg_start, psargs, len, FOLL_FORCE | FOLL_ANON);
	for (i = 0; i < len; i++) {
		if (!psargs[i])
			psargs[i] = ' ';
	}
}

/* As fill_psinfo() of fs/binfmt_elf.c. */
static int img_psinfo_hold(struct img_dump *d)
{
	struct task_struct *task = d->task;
	struct elf_prpsinfo *ps;
	const struct cred *cred;

	ps = img_note_add(d, "CORE", NT_PRPSINFO, sizeof(*ps));
	if (!ps)
		return -ENOMEM;
	d->psinfo = (void *)ps - d->notes.data;
	ps->pr_ppid = task_ppid_nr_ns(task, task_active_pid_ns(current));
	rcu_read_lock();
	cred = __task_cred(task);
	SET_UID(ps->pr_uid, from_kuid_munged(current_user_ns(), cred->uid));
	SET_GID(ps->pr_gid, from_kgid_munged(current_user_ns(), cred->gid));
	rcu_read_unlock();
	ps->pr_pid = task_pid_vnr(task);
	ps->pr_pgrp = task_pgrp_vnr(task);
	ps->pr_sid = task_session_vnr(task);
	ps->pr_sname = d->stopped ? 'T' : d->asleep ? 'S' : 'R';
	ps->pr_state = d->stopped ? 3 : d->asleep ? 1 : 0;
	ps->pr_nice = task_nice(task);
	ps->pr_flag = task->flags;
	get_task_comm(ps->pr_fname, task);
	return 0;
}

static int img_psinfo_save(struct img_dump *d)
{
	struct elf_prpsinfo *ps = d->notes.data + d->psinfo;

	img_fill_psargs(ps->pr_psargs, d->mm);
	return 0;
}

const struct img_part img_part_psinfo = {
	.name	= "process information",
	.hold	= img_psinfo_hold,
	.save	= img_psinfo_save,
};
