// SPDX-License-Identifier: GPL-2.0
/*
 * /proc/PID/dump: a process as a file that can be run.
 *
 * open(2) takes the snapshot and read(2) streams it: the image behind an open
 * file never changes, whatever the process does meanwhile.
 *
 * /proc/PID/keep_ids: does who launches an image want the IDs of its threads?
 */
#include <linux/fs.h>
#include <linux/img.h>
#include <linux/proc_fs.h>
#include <linux/kstrtox.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/uio.h>
#include "internal.h"

static int proc_dump_open(struct inode *inode, struct file *file)
{
	struct task_struct *task = get_proc_task(inode);
	struct img_dump *d;

	if (!task)
		return -ESRCH;
	d = img_dump_open(task);
	put_task_struct(task);
	if (IS_ERR(d))
		return PTR_ERR(d);
	file->private_data = d;
	return 0;
}

static int proc_dump_release(struct inode *inode, struct file *file)
{
	img_dump_close(file->private_data);
	return 0;
}

static ssize_t proc_dump_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct img_dump *d = iocb->ki_filp->private_data;
	ssize_t done = 0;

	while (iov_iter_count(to) && iocb->ki_pos < d->length) {
		ssize_t n;

		if (iocb->ki_pos < d->data_off) {
			size_t len = min_t(loff_t, iov_iter_count(to),
					   d->data_off - iocb->ki_pos);

			n = copy_to_iter(d->head.data + iocb->ki_pos, len, to);
			if (!n)
				n = -EFAULT;
		} else {
			n = img_pages_read(d, iocb->ki_pos, to);
		}
		if (n < 0)
			return done ?: n;
		iocb->ki_pos += n;
		done += n;
	}
	return done;
}

static loff_t proc_dump_llseek(struct file *file, loff_t offset, int whence)
{
	struct img_dump *d = file->private_data;

	return fixed_size_llseek(file, offset, whence, d->length);
}

const struct file_operations proc_dump_operations = {
	.open		= proc_dump_open,
	.read_iter	= proc_dump_read_iter,
	.splice_read	= copy_splice_read,
	.llseek		= proc_dump_llseek,
	.release	= proc_dump_release,
};

static ssize_t proc_keep_ids_read(struct file *file, char __user *buf, size_t count,
				  loff_t *ppos)
{
	struct task_struct *task = get_proc_task(file_inode(file));
	char text[] = "0\n";

	if (!task)
		return -ESRCH;
	if (task_keep_ids(task))
		text[0] = '1';
	put_task_struct(task);
	return simple_read_from_buffer(buf, count, ppos, text, strlen(text));
}

/* Nobody can wish for another process. */
static ssize_t proc_keep_ids_write(struct file *file, const char __user *buf, size_t count,
				   loff_t *ppos)
{
	struct task_struct *task;
	bool keep, own;
	int err;

	err = kstrtobool_from_user(buf, count, &keep);
	if (err)
		return err;
	task = get_proc_task(file_inode(file));
	if (!task)
		return -ESRCH;
	own = same_thread_group(task, current);
	put_task_struct(task);
	if (!own)
		return -EPERM;
	if (keep)
		task_set_keep_ids(current);
	else
		task_clear_keep_ids(current);
	return count;
}

const struct file_operations proc_keep_ids_operations = {
	.read		= proc_keep_ids_read,
	.write		= proc_keep_ids_write,
	.llseek		= generic_file_llseek,
};
