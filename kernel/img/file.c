// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: the files that a process maps or executes.  They are opened
 * again by path, from the launcher's root and with the launcher's rights, and
 * must be what they were.
 *
 * Each open file of the dumped process is one entry, even if two of them are
 * of one inode: mappings merge only when they are of one open file.
 */
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/img.h>
#include <linux/kdev_t.h>
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/namei.h>
#include <linux/sched/signal.h>
#include <linux/security.h>
#include <linux/slab.h>
#include <linux/stat.h>

/* Bytes of a path that are worth a place in the log. */
#define IMG_LOG_PATH	256UL

/* In the index of files: mapped so that it can be written to. */
#define IMG_MARK_WRITE	XA_MARK_0

#define IMG_FILE_STAT	(STATX_TYPE | STATX_INO | STATX_SIZE | STATX_MTIME | STATX_BTIME)

#define IMG_FILE_KNOWN	(IMG_FILE_WRITE | IMG_FILE_BTIME | IMG_FILE_GENERATION)

/* Why @file could not be found again by its path, or NULL. */
static const char *img_file_obstacle(struct file *file)
{
	const struct path *path = file_user_path(file);

	if (!S_ISREG(file_inode(file)->i_mode))
		return "not a regular file";
	if (path->mnt->mnt_sb->s_flags & SB_KERNMOUNT || !d_is_reg(path->dentry))
		return "a kernel-internal file";
	if (d_unlinked(path->dentry) || !file_inode(file)->i_nlink)
		return "deleted";
	return NULL;
}

/**
 * img_file_index() - the place of a file in the table of files
 * @d: the dump, held or being saved
 * @file: mapped or executed by the target
 * @index: set to its place
 *
 * Takes a reference the first time that it sees @file.
 *
 * Context: may sleep.
 * Return: 0, -EOPNOTSUPP when the file could not be found again, or -ENOMEM.
 */
int img_file_index(struct img_dump *d, struct file *file, u32 *index)
{
	void *entry = xa_load(&d->file_index, (unsigned long)file);
	const char *obstacle;
	struct file **slot;

	if (entry) {
		*index = xa_to_value(entry);
		return 0;
	}
	obstacle = img_file_obstacle(file);
	if (obstacle)
		return img_dump_refuse(d, -EOPNOTSUPP, "%pD2 is %s", file, obstacle);
	slot = img_buf_add(&d->files, sizeof(*slot));
	if (!slot)
		return -ENOMEM;
	*slot = get_file(file);
	*index = d->files.len / sizeof(*slot) - 1;
	return xa_err(xa_store(&d->file_index, (unsigned long)file,
			       xa_mk_value(*index), GFP_KERNEL_ACCOUNT));
}

/**
 * img_file_write() - note that the target may write to a file by a mapping
 * @d: the dump, held
 * @file: in the table of files
 *
 * Context: may sleep.
 */
void img_file_write(struct img_dump *d, struct file *file)
{
	xa_set_mark(&d->file_index, (unsigned long)file, IMG_MARK_WRITE);
}

static int img_save_file(struct img_dump *d, struct img_file *to, struct img_buf *names,
			 struct file *file, char *page)
{
	const struct path *path = file_user_path(file);
	u32 flags = IMG_FILE_GENERATION;
	struct kstat st;
	char *name;
	int err;

	err = vfs_getattr(path, &st, IMG_FILE_STAT, AT_STATX_SYNC_AS_STAT);
	if (err)
		return img_dump_refuse(d, err, "stat of %pD2", file);
	name = d_path(path, page, PATH_MAX);
	/* It may have been deleted since the target was let go. */
	if (IS_ERR(name) || name[0] != '/' || img_file_obstacle(file))
		return img_dump_refuse(d, -EOPNOTSUPP, "%pD2 has no path", file);
	to->ino = cpu_to_le64(st.ino);
	to->bytes = cpu_to_le64(st.size);
	to->mtime_sec = cpu_to_le64(st.mtime.tv_sec);
	to->mtime_nsec = cpu_to_le32(st.mtime.tv_nsec);
	to->dev_major = cpu_to_le32(MAJOR(st.dev));
	to->dev_minor = cpu_to_le32(MINOR(st.dev));
	to->generation = cpu_to_le32(d_inode(path->dentry)->i_generation);
	if (st.result_mask & STATX_BTIME) {
		flags |= IMG_FILE_BTIME;
		to->btime_sec = cpu_to_le64(st.btime.tv_sec);
		to->btime_nsec = cpu_to_le32(st.btime.tv_nsec);
	}
	if (xa_get_mark(&d->file_index, (unsigned long)file, IMG_MARK_WRITE))
		flags |= IMG_FILE_WRITE;
	to->flags = cpu_to_le32(flags);
	return img_buf_add_string(names, name, &to->path_off);
}

static int img_write_files(struct img_dump *d, struct img_file *table, u32 nr,
			   struct img_buf *names)
{
	struct img_files head = { .size = cpu_to_le32(sizeof(head)) };
	size_t table_len = nr * sizeof(*table);
	void *desc;
	u32 i;

	head.file_size = cpu_to_le32(sizeof(*table));
	head.nr = cpu_to_le32(nr);
	head.files_off = cpu_to_le32(sizeof(head));
	desc = img_note_add(d, IMG_NOTE_NAME, NT_IMG_FILE,
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

static int img_file_save(struct img_dump *d)
{
	struct file **files = d->files.data;
	u32 i, nr = d->files.len / sizeof(*files);
	struct img_buf names = {};
	struct img_file *table;
	char *page;
	int err = 0;

	page = kmalloc(PATH_MAX, GFP_KERNEL_ACCOUNT);
	table = kvcalloc(nr + 1, sizeof(*table), GFP_KERNEL_ACCOUNT);
	if (!page || !table)
		err = -ENOMEM;
	for (i = 0; !err && i < nr; i++)
		err = img_save_file(d, &table[i], &names, files[i], page);
	if (!err)
		err = img_write_files(d, table, nr, &names);
	img_buf_free(&names);
	kvfree(table);
	kfree(page);
	return err;
}

static void img_file_drop(struct img_dump *d)
{
	struct file **files = d->files.data;
	size_t i;

	for (i = 0; i < d->files.len / sizeof(*files); i++)
		fput(files[i]);
	img_buf_free(&d->files);
	xa_destroy(&d->file_index);
}

/*
 * Open as open(2) would, but nothing else than a regular file: opening a
 * device or a FIFO has effects, or waits.
 */
static struct file *img_open_regular(const char *name, bool write)
{
	int flags = (write ? O_RDWR : O_RDONLY) | O_LARGEFILE;
	int acc = MAY_READ | MAY_OPEN | (write ? MAY_WRITE : 0);
	struct file *file;
	struct path path;
	int err;

	err = kern_path(name, LOOKUP_FOLLOW, &path);
	if (err)
		return ERR_PTR(err);
	if (!d_is_reg(path.dentry))
		err = -ESTALE;
	else
		err = path_permission(&path, acc);
	/* Only by a descriptor with O_APPEND, which cannot be mapped so. */
	if (!err && write && IS_APPEND(d_inode(path.dentry)))
		err = -EPERM;
	file = err ? ERR_PTR(err) : dentry_open(&path, flags, current_cred());
	path_put(&path);
	if (IS_ERR(file))
		return file;
	err = security_file_post_open(file, acc);
	if (!err)
		return file;
	fput(file);
	return ERR_PTR(err);
}

/* An inode number may have been given to another file since. */
static bool img_same_inode(const struct img_file *f, const struct inode *inode,
			   const struct kstat *st)
{
	u32 flags = le32_to_cpu(f->flags);

	if (st->ino != le64_to_cpu(f->ino))
		return false;
	if ((flags & IMG_FILE_GENERATION) && inode->i_generation != le32_to_cpu(f->generation))
		return false;
	return !(flags & IMG_FILE_BTIME) ||
	       ((st->result_mask & STATX_BTIME) &&
		st->btime.tv_sec == (s64)le64_to_cpu(f->btime_sec) &&
		st->btime.tv_nsec == le32_to_cpu(f->btime_nsec));
}

/*
 * Who writes to a file by a mapping changes its time, perhaps after the dump,
 * and the file may have become longer.
 */
static bool img_same_file(const struct img_file *f, const struct inode *inode,
			  const struct kstat *st)
{
	if (!img_same_inode(f, inode, st))
		return false;
	if (le32_to_cpu(f->flags) & IMG_FILE_WRITE)
		return st->size >= le64_to_cpu(f->bytes);
	return st->size == le64_to_cpu(f->bytes) &&
	       st->mtime.tv_sec == (s64)le64_to_cpu(f->mtime_sec) &&
	       st->mtime.tv_nsec == le32_to_cpu(f->mtime_nsec);
}

static int img_check_file(struct img_load *l, const struct img_note *note,
			  const struct img_file *f)
{
	const char *name = img_note_string(note, le32_to_cpu(f->path_off));
	u32 flags = le32_to_cpu(f->flags);
	struct file *file;
	struct kstat st;
	int err, len;

	if (!name || name[0] != '/' || f->pad)
		return img_load_refuse(l, -EBADMSG, "bad path");
	if (flags & ~IMG_FILE_KNOWN)
		return img_load_refuse(l, -EOPNOTSUPP, "unknown flags %x of a file", flags);
	file = img_open_regular(name, flags & IMG_FILE_WRITE);
	len = min(strlen(name), IMG_LOG_PATH);
	if (IS_ERR(file))
		return img_load_refuse(l, PTR_ERR(file), "cannot open %*pE", len, name);
	l->files[l->nr_files++] = file;
	/* No dump has that, and its page tables are not what we know. */
	if (is_file_hugepages(file))
		return img_load_refuse(l, -EBADMSG, "%*pE is of hugetlbfs", len, name);
	err = vfs_getattr(&file->f_path, &st, IMG_FILE_STAT, AT_STATX_SYNC_AS_STAT);
	if (err)
		return img_load_refuse(l, err, "stat of %*pE", len, name);
	if (!img_same_file(f, d_inode(file->f_path.dentry), &st))
		return img_load_refuse(l, -ESTALE, "%*pE has changed", len, name);
	return 0;
}

static int img_file_check(struct img_load *l)
{
	const struct img_note *note;
	struct img_files head;
	const void *table;
	u32 i, nr;
	int err;

	err = img_note_struct(l, NT_IMG_FILE, &head, sizeof(head), &note);
	if (err)
		return err;
	nr = le32_to_cpu(head.nr);
	table = img_note_array(note, le32_to_cpu(head.files_off), nr,
			       le32_to_cpu(head.file_size), sizeof(struct img_file));
	if (!table)
		return img_load_refuse(l, -EBADMSG, "bad file note");
	/* Each is mapped, but for the executable. */
	if (nr > sysctl_max_map_count + 1)
		return img_load_refuse(l, -ENOMEM, "%u mapped files", nr);
	l->files = kvcalloc(nr + 1, sizeof(*l->files), GFP_KERNEL_ACCOUNT);
	if (!l->files)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		struct img_file f;

		if (fatal_signal_pending(current))
			return -EINTR;
		memcpy(&f, table + (size_t)i * le32_to_cpu(head.file_size), sizeof(f));
		err = img_check_file(l, note, &f);
		if (err)
			return err;
	}
	return 0;
}

/**
 * img_file_get() - the file at a place in the table of files
 * @l: the image, its files checked
 * @index: the place, or IMG_NONE
 * @file: set to the file or NULL, without a new reference
 *
 * Return: 0 or -EBADMSG, having logged the reason.
 */
int img_file_get(struct img_load *l, u32 index, struct file **file)
{
	*file = NULL;
	if (index == IMG_NONE)
		return 0;
	if (index >= l->nr_files)
		return img_load_refuse(l, -EBADMSG, "no file %u", index);
	*file = l->files[index];
	return 0;
}

static void img_file_release(struct img_load *l)
{
	unsigned int i;

	for (i = 0; i < l->nr_files; i++)
		fput(l->files[i]);
	kvfree(l->files);
	l->files = NULL;
	l->nr_files = 0;
}

const struct img_part img_part_file = {
	.name		= "mapped files",
	.note		= NT_IMG_FILE,
	.save		= img_file_save,
	.drop		= img_file_drop,
	.check		= img_file_check,
	.release	= img_file_release,
};
