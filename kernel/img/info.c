// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: who the process was, for tools.  Nothing of it is restored:
 * all of this comes from the launcher.
 */
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/fs_struct.h>
#include <linux/img.h>
#include <linux/limits.h>
#include <linux/path.h>
#include <linux/pid_namespace.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/sched/cputime.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/time_namespace.h>
#include <linux/tty.h>
#include <linux/uidgid.h>

/**
 * struct img_info_copy - what is taken while the target is held
 * @info: numbers, in the image's byte order
 * @cred: credentials, which do not change
 * @cwd: current directory
 * @root: root directory
 * @rlim: resource limits
 */
struct img_info_copy {
	struct img_info		info;
	const struct cred	*cred;
	struct path		cwd;
	struct path		root;
	struct rlimit		rlim[RLIM_NLIMITS];
};

/* As do_task_stat() of fs/proc/array.c. */
static void img_hold_usage(struct img_info *in, struct task_struct *t)
{
	struct signal_struct *sig = t->signal;
	u64 utime, stime, min_flt, maj_flt;
	struct task_struct *th;

	thread_group_cputime_adjusted(t, &utime, &stime);
	in->utime_ns = cpu_to_le64(utime);
	in->stime_ns = cpu_to_le64(stime);
	in->cutime_ns = cpu_to_le64(READ_ONCE(sig->cutime));
	in->cstime_ns = cpu_to_le64(READ_ONCE(sig->cstime));
	in->cmin_flt = cpu_to_le64(READ_ONCE(sig->cmin_flt));
	in->cmaj_flt = cpu_to_le64(READ_ONCE(sig->cmaj_flt));
	min_flt = READ_ONCE(sig->min_flt);
	maj_flt = READ_ONCE(sig->maj_flt);
	rcu_read_lock();
	for_each_thread(t, th) {
		min_flt += READ_ONCE(th->min_flt);
		maj_flt += READ_ONCE(th->maj_flt);
	}
	rcu_read_unlock();
	in->min_flt = cpu_to_le64(min_flt);
	in->maj_flt = cpu_to_le64(maj_flt);
	in->start_ns = cpu_to_le64(timens_add_boottime_ns(t->start_boottime));
}

static void img_hold_ids(struct img_info *in, struct task_struct *t)
{
	unsigned long flags;

	in->pid = cpu_to_le32(task_tgid_vnr(t));
	in->ppid = cpu_to_le32(task_ppid_nr_ns(t, task_active_pid_ns(current)));
	in->pgrp = cpu_to_le32(task_pgrp_vnr(t));
	in->session = cpu_to_le32(task_session_vnr(t));
	if (!lock_task_sighand(t, &flags))
		return;
	if (t->signal->tty)
		in->tty = cpu_to_le32(new_encode_dev(tty_devnum(t->signal->tty)));
	unlock_task_sighand(t, &flags);
}

static void img_hold_fs(struct img_info_copy *c, struct task_struct *t)
{
	task_lock(t);
	if (t->fs) {
		get_fs_pwd(t->fs, &c->cwd);
		get_fs_root(t->fs, &c->root);
		c->info.umask = cpu_to_le32(t->fs->umask);
	}
	task_unlock(t);
	task_lock(t->group_leader);
	memcpy(c->rlim, t->signal->rlim, sizeof(c->rlim));
	task_unlock(t->group_leader);
}

static void img_info_drop(struct img_dump *d)
{
	struct img_info_copy *c = d->info;

	if (!c)
		return;
	put_cred(c->cred);
	path_put(&c->cwd);
	path_put(&c->root);
	kfree(c);
	d->info = NULL;
}

static int img_info_hold(struct img_dump *d)
{
	struct task_struct *t = d->task;
	struct img_info_copy *c;

	c = kzalloc(sizeof(*c), GFP_KERNEL_ACCOUNT);
	if (!c)
		return -ENOMEM;
	d->info = c;
	c->cred = get_task_cred(t);
	c->info.no_new_privs = cpu_to_le32(task_no_new_privs(t));
	c->info.policy = cpu_to_le32(t->policy);
	c->info.rt_priority = cpu_to_le32(t->rt_priority);
	c->info.nice = cpu_to_le32(task_nice(t));
	img_hold_ids(&c->info, t);
	img_hold_usage(&c->info, t);
	img_hold_fs(c, t);
	return 0;
}

static __le32 img_uid(kuid_t uid)
{
	return cpu_to_le32(from_kuid_munged(current_user_ns(), uid));
}

static __le32 img_gid(kgid_t gid)
{
	return cpu_to_le32(from_kgid_munged(current_user_ns(), gid));
}

static void img_save_cred(struct img_info *in, const struct cred *cred)
{
	in->uid = img_uid(cred->uid);
	in->euid = img_uid(cred->euid);
	in->suid = img_uid(cred->suid);
	in->fsuid = img_uid(cred->fsuid);
	in->gid = img_gid(cred->gid);
	in->egid = img_gid(cred->egid);
	in->sgid = img_gid(cred->sgid);
	in->fsgid = img_gid(cred->fsgid);
	in->cap_inheritable = cpu_to_le64(cred->cap_inheritable.val);
	in->cap_permitted = cpu_to_le64(cred->cap_permitted.val);
	in->cap_effective = cpu_to_le64(cred->cap_effective.val);
	in->cap_bounding = cpu_to_le64(cred->cap_bset.val);
	in->cap_ambient = cpu_to_le64(cred->cap_ambient.val);
	in->securebits = cpu_to_le32(cred->securebits);
}

/* The arrays follow the struct, in @buf. */
static int img_save_arrays(struct img_info_copy *c, struct img_buf *buf)
{
	const struct group_info *groups = c->cred->group_info;
	struct img_rlimit *rlim;
	__le32 *gids;
	int i;

	c->info.nr_groups = cpu_to_le32(groups->ngroups);
	c->info.groups_off = cpu_to_le32(buf->len);
	gids = img_buf_add(buf, ALIGN(groups->ngroups * sizeof(*gids), 8));
	if (!gids)
		return -ENOMEM;
	for (i = 0; i < groups->ngroups; i++)
		gids[i] = img_gid(groups->gid[i]);
	c->info.nr_rlimits = cpu_to_le32(RLIM_NLIMITS);
	c->info.rlimit_size = cpu_to_le32(sizeof(*rlim));
	c->info.rlimits_off = cpu_to_le32(buf->len);
	rlim = img_buf_add(buf, RLIM_NLIMITS * sizeof(*rlim));
	if (!rlim)
		return -ENOMEM;
	for (i = 0; i < RLIM_NLIMITS; i++) {
		rlim[i].cur = cpu_to_le64(c->rlim[i].rlim_cur);
		rlim[i].max = cpu_to_le64(c->rlim[i].rlim_max);
	}
	return 0;
}

static int img_save_path(struct img_buf *buf, const struct path *path, __le32 *off)
{
	char *page = kmalloc(PATH_MAX, GFP_KERNEL_ACCOUNT);
	char *name = "";
	int err;

	if (!page)
		return -ENOMEM;
	if (path->dentry)
		name = d_path(path, page, PATH_MAX);
	err = img_buf_add_string(buf, IS_ERR(name) ? "" : name, off);
	kfree(page);
	return err;
}

static int img_save_info(struct img_info_copy *c, struct img_buf *buf)
{
	int err;

	if (!img_buf_add(buf, sizeof(c->info)))
		return -ENOMEM;
	err = img_save_arrays(c, buf);
	if (!err)
		err = img_save_path(buf, &c->cwd, &c->info.cwd_off);
	if (!err)
		err = img_save_path(buf, &c->root, &c->info.root_off);
	if (err)
		return err;
	c->info.size = cpu_to_le32(sizeof(c->info));
	img_save_cred(&c->info, c->cred);
	memcpy(buf->data, &c->info, sizeof(c->info));
	return 0;
}

static int img_info_save(struct img_dump *d)
{
	struct img_buf buf = {};
	void *desc;
	int err;

	err = img_save_info(d->info, &buf);
	if (!err) {
		desc = img_note_add(d, IMG_NOTE_NAME, NT_IMG_INFO, buf.len);
		if (desc)
			memcpy(desc, buf.data, buf.len);
		else
			err = -ENOMEM;
	}
	img_buf_free(&buf);
	return err;
}

const struct img_part img_part_info = {
	.name	= "information",
	.hold	= img_info_hold,
	.save	= img_info_save,
	.drop	= img_info_drop,
};
