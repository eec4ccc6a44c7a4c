// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: memory that is an object of its own, and mapped from it:
 * shared anonymous memory, memfds, files that were deleted, and files whose
 * contents are to be in the image (bits 2 and 3 of coredump_filter).
 *
 * What is in an object is in the image, all of it and once.  A resume makes a
 * new object, so two mappings of one object are that again, and no two
 * processes share one that were not forked from each other.
 *
 * Each open file of the dumped process is one entry, even if two of them are
 * of one object: mappings merge only when they are of one open file.
 */
#include <linux/dcache.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/img.h>
#include <linux/init.h>
#include <linux/limits.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/sched/coredump.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>

/* Where files live that were made from an image; this tells them from others. */
struct vfsmount *img_object_mnt __ro_after_init;

/**
 * struct img_object_file - an open file of an object of the target
 * @file: the file
 * @same: index of an earlier one of the same object, or IMG_NONE; then the
 *	members below do not count
 * @kind: IMG_OBJECT_ANON, IMG_OBJECT_MEMFD or IMG_OBJECT_FILE
 * @exec: it is the executable
 * @may_write: it has a mapping that may be written to
 * @no_write: it has a shared mapping that a seal keeps from being written to
 * @copied: its contents have been copied
 * @bytes: its size
 * @ctime: when it was changed last
 * @run: its first run
 * @nr_runs: how many
 */
struct img_object_file {
	struct file		*file;
	u32			same;
	u32			kind;
	bool			exec;
	bool			may_write;
	bool			no_write;
	bool			copied;
	u64			bytes;
	struct timespec64	ctime;
	size_t			run;
	size_t			nr_runs;
};

static struct img_object_file *img_object_at(struct img_dump *d, u32 index)
{
	return (struct img_object_file *)d->objects.data + index;
}

static u32 img_object_count(struct img_dump *d)
{
	return d->objects.len / sizeof(struct img_object_file);
}

/* The entry of the object, for one of its open files. */
static struct img_object_file *img_object_base(struct img_dump *d, u32 index)
{
	struct img_object_file *of = img_object_at(d, index);

	return of->same == IMG_NONE ? of : img_object_at(d, of->same);
}

/* A file without a place in any directory; others of that sort are devices'. */
static int img_internal_kind(struct img_dump *d, struct file *file,
			     struct vm_area_struct *vma)
{
	const char *name = file->f_path.dentry->d_name.name;
	bool private = IS_PRIVATE(file_inode(file));

	if (file->f_path.mnt == img_object_mnt)
		return IMG_OBJECT_FILE;
	if (vma && !vma_is_shmem(vma))
		return img_dump_refuse(d, -EOPNOTSUPP, "System V shared memory");
	if (private && !strcmp(name, "dev/zero"))
		return IMG_OBJECT_ANON;
	if (!private && !strncmp(name, IMG_MEMFD_PREFIX, strlen(IMG_MEMFD_PREFIX)))
		return IMG_OBJECT_MEMFD;
	return img_dump_refuse(d, -EOPNOTSUPP, "%pD2 is a kernel-internal file", file);
}

/* Does the target want the contents of this file in images? */
static bool img_object_filter(struct img_dump *d, struct vm_area_struct *vma)
{
	bool shared = vma && (vma->vm_flags & VM_MAYSHARE);

	return test_bit(shared ? MMF_DUMP_MAPPED_SHARED : MMF_DUMP_MAPPED_PRIVATE,
			&d->mm->flags);
}

/*
 * The target must not wait for a file system whose server is a process: it may
 * never answer.
 */
static bool img_object_of_user(struct file *file)
{
	const struct super_block *sb = file_inode(file)->i_sb;
	const struct super_block *real = d_real_inode(file->f_path.dentry)->i_sb;

	if (shmem_file(file))
		return false;
	return sb->s_user_ns != &init_user_ns || sb->s_magic == FUSE_SUPER_MAGIC ||
	       real->s_user_ns != &init_user_ns || real->s_magic == FUSE_SUPER_MAGIC;
}

/* The kind of object that @file is, 0 for a file that is found by its path. */
static int img_object_kind(struct img_dump *d, struct file *file,
			   struct vm_area_struct *vma)
{
	const struct path *path = file_user_path(file);
	struct inode *inode = file_inode(file);

	if (!S_ISREG(inode->i_mode))
		return 0;
	if (shmem_file(file) && (path->mnt->mnt_sb->s_flags & SB_KERNMOUNT))
		return img_internal_kind(d, file, vma);
	if (path->mnt->mnt_sb->s_flags & SB_KERNMOUNT)
		return 0;
	if (!d_unlinked(path->dentry) && inode->i_nlink && !img_object_filter(d, vma) &&
	    !xa_load(&d->object_index, (unsigned long)inode))
		return 0;
	if (img_object_of_user(file))
		return img_dump_refuse(d, -EOPNOTSUPP, "%pD2 is on a file system of a user",
				       file);
	return IMG_OBJECT_FILE;
}

static int img_object_add(struct img_dump *d, struct file *file, int kind, u32 *index)
{
	struct inode *inode = file_inode(file);
	void *entry = xa_load(&d->object_index, (unsigned long)inode);
	struct img_object_file *of = img_buf_add(&d->objects, sizeof(*of));
	int err;

	if (!of)
		return -ENOMEM;
	of->file = get_file(file);
	of->kind = kind;
	of->same = entry ? xa_to_value(entry) : IMG_NONE;
	*index = img_object_count(d) - 1;
	err = xa_err(xa_store(&d->object_index, (unsigned long)file, xa_mk_value(*index),
			      GFP_KERNEL_ACCOUNT));
	if (!err && !entry)
		err = xa_err(xa_store(&d->object_index, (unsigned long)inode,
				      xa_mk_value(*index), GFP_KERNEL_ACCOUNT));
	return err;
}

/* What the mapping or use of an object asks of it. */
static int img_object_use(struct img_dump *d, u32 index, struct vm_area_struct *vma)
{
	struct img_object_file *base = img_object_base(d, index);

	if (!vma)
		base->exec = true;
	else if (vma_is_shared_maywrite(vma))
		base->may_write = true;
	else if (vma->vm_flags & VM_SHARED)
		base->no_write = true;
	/* By a seal that was put between the two. */
	if (base->may_write && base->no_write)
		return img_dump_refuse(d, -EOPNOTSUPP,
				       "a memfd that was sealed between two mappings");
	return 0;
}

/**
 * img_object_index() - the place of a file in the table of objects
 * @d: the dump, held
 * @file: mapped or executed by the target
 * @vma: the mapping, or NULL for the executable
 * @index: set to its place
 *
 * Takes a reference the first time that it sees @file.  A file is an object if
 * another open file of the same inode is: ask about all mappings before
 * believing that one is none.
 *
 * Context: may sleep.
 * Return: 1; 0 if it is a file that is found again by its path; -EOPNOTSUPP or
 *	-ENOMEM.
 */
int img_object_index(struct img_dump *d, struct file *file, struct vm_area_struct *vma,
		     u32 *index)
{
	int kind, err;

	if (!img_object_find(d, file, index)) {
		kind = img_object_kind(d, file, vma);
		if (kind <= 0)
			return kind;
		err = img_object_add(d, file, kind, index);
		if (err)
			return err;
	}
	err = img_object_use(d, *index, vma);
	return err ?: 1;
}

/**
 * img_object_find() - is a file an object, and which one?
 * @d: the dump, held or being saved
 * @file: mapped by the target
 * @index: set to its place
 *
 * Return: true if img_object_index() took it for one.
 */
bool img_object_find(struct img_dump *d, struct file *file, u32 *index)
{
	void *entry = xa_load(&d->object_index, (unsigned long)file);

	if (entry)
		*index = xa_to_value(entry);
	return entry;
}

static u32 img_object_seals(struct img_object_file *of)
{
	return of->kind == IMG_OBJECT_MEMFD ? SHMEM_I(file_inode(of->file))->seals : 0;
}

/*
 * Can nobody change it?  Then it may be copied when the target runs again.
 * That a memfd is open for writing is not counted anywhere.  Of other file
 * systems the target waits only for what it can write to by a mapping, which
 * changes no time that could be compared.
 */
static bool img_object_quiet(struct img_object_file *of)
{
	if (!shmem_file(of->file))
		return !of->may_write;
	if (mapping_writably_mapped(of->file->f_mapping) ||
	    inode_is_open_for_write(file_inode(of->file)))
		return false;
	return of->kind == IMG_OBJECT_FILE || (img_object_seals(of) & F_SEAL_WRITE);
}

static int img_object_copy(struct img_dump *d, struct img_object_file *of)
{
	int err;

	of->run = d->object_runs.len / sizeof(struct img_run);
	err = img_store_object(d, of->file, of->bytes);
	of->nr_runs = d->object_runs.len / sizeof(struct img_run) - of->run;
	of->copied = true;
	return err;
}

/* What can be changed at any time is copied now. */
static int img_object_hold(struct img_dump *d)
{
	u32 i;
	int err = 0;

	img_store_free(d);
	for (i = 0; !err && i < img_object_count(d); i++) {
		struct img_object_file *of = img_object_at(d, i);

		if (of->same != IMG_NONE)
			continue;
		of->bytes = i_size_read(file_inode(of->file));
		of->ctime = inode_get_ctime(file_inode(of->file));
		if (!img_object_quiet(of))
			err = img_object_copy(d, of);
	}
	return err;
}

/* Unless somebody did nevertheless. */
static int img_object_copy_quiet(struct img_dump *d, struct img_object_file *of)
{
	struct inode *inode = file_inode(of->file);
	struct timespec64 ctime;
	int err;

	err = img_object_copy(d, of);
	if (err)
		return err;
	ctime = inode_get_ctime(inode);
	if (!img_object_quiet(of) || of->bytes != i_size_read(inode) ||
	    !timespec64_equal(&of->ctime, &ctime))
		return img_dump_refuse(d, -ESTALE, "%pD2 changes", of->file);
	return 0;
}

static int img_object_name(struct img_dump *d, struct img_object_file *of,
			   struct img_object *to, struct img_buf *names, char *page)
{
	const struct path *path = file_user_path(of->file);
	static const char deleted[] = " (deleted)";
	size_t len;
	char *name;

	if (of->kind == IMG_OBJECT_ANON)
		return 0;
	if (of->kind == IMG_OBJECT_MEMFD) {
		const char *memfd = path->dentry->d_name.name;

		return img_buf_add_string(names, memfd + strlen(IMG_MEMFD_PREFIX),
					  &to->name_off);
	}
	name = d_path(path, page, PATH_MAX);
	if (IS_ERR(name) || name[0] != '/')
		return img_dump_refuse(d, -EOPNOTSUPP, "%pD2 has no path", of->file);
	len = strlen(name);
	if ((path->mnt == img_object_mnt || d_unlinked(path->dentry)) &&
	    len > strlen(deleted) && !strcmp(name + len - strlen(deleted), deleted))
		name[len - strlen(deleted)] = '\0';
	return img_buf_add_string(names, name, &to->name_off);
}

static int img_save_object(struct img_dump *d, struct img_object_file *of,
			   struct img_object *to, struct img_buf *names, char *page)
{
	struct inode *inode = file_inode(of->file);
	u64 flags = of->file->f_mode & FMODE_WRITE ? IMG_OBJECT_WRITE : 0;

	to->kind = cpu_to_le32(of->kind);
	to->same = cpu_to_le32(of->same);
	to->flags = cpu_to_le64(flags);
	to->name_off = cpu_to_le32(IMG_NONE);
	if (of->same != IMG_NONE)
		return 0;
	if (of->kind == IMG_OBJECT_ANON && (SHMEM_I(inode)->flags & VM_NORESERVE))
		flags |= IMG_OBJECT_NORESERVE;
	if (of->kind == IMG_OBJECT_FILE && of->exec)
		flags |= IMG_OBJECT_EXEC;
	if (of->kind == IMG_OBJECT_MEMFD) {
		if ((img_object_seals(of) & F_SEAL_FUTURE_WRITE) && of->may_write)
			flags |= IMG_OBJECT_SEAL_LATE;
		to->mode = cpu_to_le32(inode->i_mode & 0777);
		to->seals = cpu_to_le32(img_object_seals(of));
	}
	to->flags = cpu_to_le64(flags);
	to->bytes = cpu_to_le64(of->bytes);
	to->run = cpu_to_le32(of->run);
	to->nr_runs = cpu_to_le32(of->nr_runs);
	return img_object_name(d, of, to, names, page);
}

static void img_write_runs(struct img_dump *d, void *to)
{
	const struct img_run *runs = d->object_runs.data;
	size_t i, nr = d->object_runs.len / sizeof(*runs);

	for (i = 0; i < nr; i++, to += sizeof(struct img_object_run)) {
		struct img_object_run run = {
			.off	= cpu_to_le64(runs[i].start),
			.bytes	= cpu_to_le64(runs[i].end - runs[i].start),
			.pos	= cpu_to_le64(runs[i].pos),
		};

		memcpy(to, &run, sizeof(run));
	}
}

static int img_write_objects(struct img_dump *d, struct img_object *table, u32 nr,
			     struct img_buf *names)
{
	u32 nr_runs = d->object_runs.len / sizeof(struct img_run);
	size_t runs_off = sizeof(struct img_objects) + nr * sizeof(*table);
	size_t names_off = runs_off + nr_runs * sizeof(struct img_object_run);
	struct img_objects head = { .size = cpu_to_le32(sizeof(head)) };
	void *desc;
	u32 i;

	head.object_size = cpu_to_le32(sizeof(*table));
	head.nr = cpu_to_le32(nr);
	head.objects_off = cpu_to_le32(sizeof(head));
	head.run_size = cpu_to_le32(sizeof(struct img_object_run));
	head.nr_runs = cpu_to_le32(nr_runs);
	head.runs_off = cpu_to_le32(runs_off);
	desc = img_note_add(d, IMG_NOTE_NAME, NT_IMG_OBJECT, names_off + names->len);
	if (!desc)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		if (table[i].name_off != cpu_to_le32(IMG_NONE))
			le32_add_cpu(&table[i].name_off, names_off);
	}
	memcpy(desc, &head, sizeof(head));
	memcpy(desc + sizeof(head), table, nr * sizeof(*table));
	img_write_runs(d, desc + runs_off);
	memcpy(desc + names_off, names->data, names->len);
	return 0;
}

static int img_object_save(struct img_dump *d)
{
	u32 i, nr = img_object_count(d);
	struct img_buf names = {};
	struct img_object *table;
	char *page;
	int err = 0;

	page = kmalloc(PATH_MAX, GFP_KERNEL_ACCOUNT);
	table = kvcalloc(nr + 1, sizeof(*table), GFP_KERNEL_ACCOUNT);
	if (!page || !table)
		err = -ENOMEM;
	for (i = 0; !err && i < nr; i++) {
		struct img_object_file *of = img_object_at(d, i);

		if (of->same == IMG_NONE && !of->copied)
			err = img_object_copy_quiet(d, of);
		if (!err)
			err = img_save_object(d, of, &table[i], &names, page);
	}
	if (!err)
		err = img_write_objects(d, table, nr, &names);
	img_buf_free(&names);
	kvfree(table);
	kfree(page);
	return err;
}

static void img_object_drop(struct img_dump *d)
{
	u32 i;

	for (i = 0; i < img_object_count(d); i++)
		fput(img_object_at(d, i)->file);
	img_buf_free(&d->objects);
	xa_destroy(&d->object_index);
}

/**
 * img_object_find_run() - look for an offset in the runs of an object
 * @runs: the runs, sorted
 * @nr: how many
 * @off: offset in the object
 *
 * Return: the first run that ends after @off, or NULL.
 */
const struct img_run *img_object_find_run(const struct img_run *runs, size_t nr,
					  unsigned long off)
{
	size_t lo = 0, hi = nr;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (runs[mid].end <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < nr ? &runs[lo] : NULL;
}

/**
 * img_object_run() - what of an object does a mapping show?
 * @d: the dump, saved
 * @vma: a mapping of the snapshot
 * @addr: address in it
 * @end: end of the range of interest, made smaller where the answer changes
 * @pos: set to the offset from @d->data_off
 *
 * Return: true if the range is in the image, false if it is not: it is no
 *	mapping of an object, or of a hole in one.
 */
bool img_object_run(struct img_dump *d, struct vm_area_struct *vma, unsigned long addr,
		    unsigned long *end, loff_t *pos)
{
	unsigned long off = addr - vma->vm_start + (vma->vm_pgoff << PAGE_SHIFT);
	const struct img_run *run = d->object_runs.data;
	struct img_object_file *of;
	u32 index;

	if (!vma->vm_file || !img_object_find(d, vma->vm_file, &index))
		return false;
	of = img_object_base(d, index);
	run = img_object_find_run(run + of->run, of->nr_runs, off);
	if (!run)
		return false;
	if (off < run->start) {
		*end = min(*end, addr + (run->start - off));
		return false;
	}
	*end = min(*end, addr + (run->end - off));
	*pos = run->pos + (off - run->start);
	return true;
}

/* A mount of our own, without a path as that of memfds. */
static int __init img_object_init(void)
{
	struct file_system_type *type = get_fs_type("tmpfs");

	if (WARN_ON(!type))
		return -ENODEV;
	img_object_mnt = kern_mount(type);
	put_filesystem(type);
	return PTR_ERR_OR_ZERO(img_object_mnt);
}
fs_initcall(img_object_init);

const struct img_part img_part_object_data = {
	.name		= "contents of memory objects",
	.hold		= img_object_hold,
	.save		= img_object_save,
	.drop		= img_object_drop,
	.check		= img_object_check_used,
};
