// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: the open files of a process, recorded for tools.  A resumed
 * process has the files that its launcher has open.
 */
#include <linux/dcache.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/img.h>
#include <linux/io_uring.h>
#include <linux/limits.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

/* An open file while the target is held; what it is called can wait. */
struct img_open_file {
	struct file	*file;
	u32		fd;
	bool		cloexec;
	loff_t		pos;
};

static struct file *img_next_file(struct task_struct *task, unsigned int *fd)
{
	struct file *file;

	rcu_read_lock();
	file = task_lookup_next_fdget_rcu(task, fd);
	rcu_read_unlock();
	return file;
}

static bool img_fd_cloexec(struct task_struct *task, unsigned int fd)
{
	bool cloexec = false;

	task_lock(task);
	if (task->files) {
		rcu_read_lock();
		cloexec = close_on_exec(fd, task->files);
		rcu_read_unlock();
	}
	task_unlock(task);
	return cloexec;
}

static int img_fd_hold(struct img_dump *d)
{
	struct file *file;
	unsigned int fd;

	for (fd = 0; (file = img_next_file(d->task, &fd)); fd++) {
		struct img_open_file *of;

		if (io_is_uring_fops(file)) {
			fput(file);
			return img_dump_refuse(d, -EOPNOTSUPP, "an io_uring instance");
		}
		of = img_buf_add(&d->fds, sizeof(*of));
		if (!of) {
			fput(file);
			return -ENOMEM;
		}
		of->file = file;
		of->fd = fd;
		of->pos = file->f_pos;
		of->cloexec = img_fd_cloexec(d->task, fd);
	}
	return 0;
}

static void img_fd_drop(struct img_dump *d)
{
	struct img_open_file *of = d->fds.data;
	size_t i;

	for (i = 0; i < d->fds.len / sizeof(*of); i++)
		fput(of[i].file);
	img_buf_free(&d->fds);
}

static int img_save_fd(const struct img_open_file *of, struct img_fd *to,
		       struct img_buf *names, char *page)
{
	struct inode *inode = file_inode(of->file);
	char *name = d_path(&of->file->f_path, page, PATH_MAX);

	/* A name that is too long is no reason to lose the process. */
	if (IS_ERR(name))
		name = "";
	to->fd = cpu_to_le32(of->fd);
	to->open_flags = cpu_to_le32(of->file->f_flags & ~O_CLOEXEC);
	to->mode = cpu_to_le32(inode->i_mode);
	to->pos = cpu_to_le64(of->pos);
	to->ino = cpu_to_le64(inode->i_ino);
	to->cloexec = cpu_to_le32(of->cloexec);
	return img_buf_add_string(names, name, &to->path_off);
}

static int img_write_fds(struct img_dump *d, struct img_fd *table, u32 nr,
			 struct img_buf *names)
{
	struct img_fds head = { .size = cpu_to_le32(sizeof(head)) };
	size_t table_len = nr * sizeof(*table);
	void *desc;
	u32 i;

	head.fd_size = cpu_to_le32(sizeof(*table));
	head.nr = cpu_to_le32(nr);
	head.fds_off = cpu_to_le32(sizeof(head));
	desc = img_note_add(d, IMG_NOTE_NAME, NT_IMG_FD,
			    sizeof(head) + table_len + names->len);
	if (!desc)
		return -ENOMEM;
	for (i = 0; i < nr; i++)
		le32_add_cpu(&table[i].path_off, sizeof(head) + table_len);
	memcpy(desc, &head, sizeof(head));
	memcpy(desc + sizeof(head), table, table_len);
	memcpy(desc + sizeof(head) + table_len, names->data, names->len);
	return 0;
}

static int img_fd_save(struct img_dump *d)
{
	const struct img_open_file *of = d->fds.data;
	u32 i, nr = d->fds.len / sizeof(*of);
	struct img_buf names = {};
	struct img_fd *table;
	char *page;
	int err = 0;

	page = kmalloc(PATH_MAX, GFP_KERNEL_ACCOUNT);
	table = kvcalloc(nr + 1, sizeof(*table), GFP_KERNEL_ACCOUNT);
	if (!page || !table)
		err = -ENOMEM;
	for (i = 0; !err && i < nr; i++)
		err = img_save_fd(&of[i], &table[i], &names, page);
	if (!err)
		err = img_write_fds(d, table, nr, &names);
	img_buf_free(&names);
	kvfree(table);
	kfree(page);
	/* The target goes on, and what it closes is to be closed. */
	img_fd_drop(d);
	return err;
}

const struct img_part img_part_fd = {
	.name	= "open files",
	.hold	= img_fd_hold,
	.save	= img_fd_save,
	.drop	= img_fd_drop,
};
