// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: a copy of what is in shared memory and in files.
 *
 * Shared memory knows no copy on write, so what is in it is copied page by
 * page, while the target is held when anybody could write to it.  The copy is
 * a shmem file of the kernel's: it can be swapped out, and it is charged to
 * who makes the image.  Its allocations rather fail than have a process killed.
 */
#include <linux/blk_types.h>
#include <linux/dax.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/filelock.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/img.h>
#include <linux/mm.h>
#include <linux/oom.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/uio.h>

/* Pages between two looks at whether somebody wants us to stop. */
#define IMG_STORE_BATCH	256

/* Nobody shall be killed for a copy, nor for want of a place for it. */
static int img_store_make(struct img_dump *d)
{
	struct address_space *mapping;
	struct file *file;

	if (d->store)
		return 0;
	file = shmem_kernel_file_setup("img", MAX_LFS_FILESIZE, VM_NORESERVE);
	if (IS_ERR(file))
		return PTR_ERR(file);
	mapping = file->f_mapping;
	mapping_set_gfp_mask(mapping, mapping_gfp_mask(mapping) | __GFP_RETRY_MAYFAIL |
			     __GFP_NOWARN);
	d->store = file;
	return 0;
}

/* Append a page. */
static int img_store_add(struct img_dump *d, struct page *page)
{
	pgoff_t index = d->store_len >> PAGE_SHIFT;
	struct folio *folio;
	int err;

	err = shmem_get_folio(file_inode(d->store), index, 0, &folio, SGP_CACHE);
	if (err)
		return err == -ENOSPC ? -ENOMEM : err;
	err = copy_mc_highpage(folio_file_page(folio, index), page) ? -EIO : 0;
	folio_mark_dirty(folio);
	folio_unlock(folio);
	folio_put(folio);
	if (!err)
		d->store_len += PAGE_SIZE;
	return err;
}

/* @page of the object @file is in the store: make that known. */
static int img_store_note(struct img_dump *d, size_t first, pgoff_t index)
{
	struct img_run *runs = d->object_runs.data, *run;
	size_t n = d->object_runs.len / sizeof(*runs);
	unsigned long off = index << PAGE_SHIFT;

	if (n > first && runs[n - 1].end == off) {
		runs[n - 1].end += PAGE_SIZE;
		return 0;
	}
	run = img_buf_add(&d->object_runs, sizeof(*run));
	if (!run)
		return -ENOMEM;
	run->start = off;
	run->end = off + PAGE_SIZE;
	run->pos = d->store_len - PAGE_SIZE;
	return 0;
}

/**
 * struct img_source - an object that is copied
 * @file: the object; opened again if it is no shmem, since reading and seeking
 *	leave traces in an open file
 * @bytes: its size
 * @data: what is between @data and @hole may be no hole; not for shmem
 * @hole: see @data
 */
struct img_source {
	struct file	*file;
	loff_t		bytes;
	loff_t		data;
	loff_t		hole;
};

/* As read(2), so that the file system takes its locks itself. */
static struct folio *img_read_folio(struct file *file, pgoff_t index)
{
	struct folio *folio = folio_alloc(GFP_KERNEL_ACCOUNT | __GFP_ZERO, 0);
	loff_t pos = (loff_t)index << PAGE_SHIFT;
	size_t len = 0;
	ssize_t n;

	if (!folio)
		return ERR_PTR(-ENOMEM);
	do {
		n = kernel_read(file, folio_address(folio) + len, PAGE_SIZE - len, &pos);
		if (n > 0)
			len += n;
	} while (n > 0 && len < PAGE_SIZE);
	if (n >= 0)
		return folio;
	folio_put(folio);
	return ERR_PTR(n);
}

/* A page of a regular file: as it is cached, with nothing to wait for, or read. */
static struct folio *img_file_folio(struct file *file, pgoff_t index)
{
	struct address_space *mapping = file->f_mapping;
	struct folio *folio;

	if (dax_mapping(mapping))
		return img_read_folio(file, index);
	folio = filemap_get_folio(mapping, index);
	if (!IS_ERR(folio)) {
		if (folio_test_uptodate(folio))
			return folio;
		folio_put(folio);
	}
	return img_read_folio(file, index);
}

/* A page of an object, with a reference; NULL for a hole. */
static struct folio *img_object_folio(struct img_source *src, pgoff_t index)
{
	loff_t pos = (loff_t)index << PAGE_SHIFT;
	struct folio *folio;
	int err;

	if (!shmem_file(src->file)) {
		if (pos < round_down(src->data, PAGE_SIZE) || pos >= src->hole)
			return NULL;
		return img_file_folio(src->file, index);
	}
	err = shmem_get_folio(file_inode(src->file), index, 0, &folio, SGP_READ);
	/* It may have become shorter. */
	if (err)
		return err == -EINVAL ? NULL : ERR_PTR(err);
	if (folio)
		folio_unlock(folio);
	return folio;
}

/* In a hole: where something may be again. */
static pgoff_t img_object_next(struct img_source *src, pgoff_t index, pgoff_t end)
{
	loff_t pos = (loff_t)index << PAGE_SHIFT;

	if (shmem_file(src->file)) {
		if (++index >= end)
			return end;
		pos = (loff_t)index << PAGE_SHIFT;
		pos = mapping_seek_hole_data(src->file->f_mapping, pos, src->bytes, SEEK_DATA);
		return pos < 0 ? end : pos >> PAGE_SHIFT;
	}
	src->data = vfs_llseek(src->file, pos, SEEK_DATA);
	if (src->data == -ENXIO)
		return end;
	/* Without an answer, all of it is data. */
	if (src->data < pos)
		src->data = pos;
	src->hole = vfs_llseek(src->file, src->data, SEEK_HOLE);
	if (src->hole <= src->data)
		src->hole = src->bytes;
	return src->data >> PAGE_SHIFT;
}

static int img_store_page(struct img_dump *d, size_t first, struct folio *folio, pgoff_t index)
{
	struct page *page = folio_file_page(folio, index);
	int err;

	if (PageHWPoison(page))
		return img_dump_refuse(d, -EIO, "poisoned shared memory");
	if (img_page_is_zero(page))
		return 0;
	err = img_store_add(d, page);
	return err ?: img_store_note(d, first, index);
}

static int img_copy_source(struct img_dump *d, struct img_source *src)
{
	size_t first = d->object_runs.len / sizeof(struct img_run);
	pgoff_t index = 0, end = DIV_ROUND_UP_ULL(src->bytes, PAGE_SIZE);
	unsigned int n = 0;
	int err = 0;

	while (!err && index < end) {
		struct folio *folio = img_object_folio(src, index);

		if (IS_ERR(folio))
			return PTR_ERR(folio);
		if (folio) {
			err = img_store_page(d, first, folio, index++);
			folio_put(folio);
		} else {
			index = img_object_next(src, index, end);
		}
		if (++n % IMG_STORE_BATCH)
			continue;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	if (err == -ENOMEM && d->object_runs.len + sizeof(struct img_run) > IMG_HEAD_MAX)
		err = img_dump_refuse(d, -EFBIG, "too many runs of shared memory");
	return err;
}

/* The target waits for the copy: it must not be one that has no end. */
static int img_store_fits(struct img_dump *d, struct file *file, u64 bytes)
{
	u64 data = min(bytes, (u64)READ_ONCE(file_inode(file)->i_blocks) << SECTOR_SHIFT);

	if ((d->store_len + data) >> PAGE_SHIFT > totalram_pages())
		return img_dump_refuse(d, -ENOMEM, "%pD2 is larger than memory", file);
	return 0;
}

/* To be told about our reading the file, and to lose the lease. */
static bool img_is_leased(struct file *file)
{
	struct file_lock_context *ctx = locks_inode_context(file_inode(file));
	struct file_lease *fl;
	bool leased = false;

	if (!ctx)
		return false;
	spin_lock(&ctx->flc_lock);
	list_for_each_entry(fl, &ctx->flc_lease, c.flc_list)
		leased |= fl->c.flc_type == F_WRLCK;
	spin_unlock(&ctx->flc_lock);
	return leased;
}

/*
 * The file, to be read by us.  Nobody who listens to files is asked: it may be the
 * target, which waits.  A lease can come between our look and the open, whose error
 * for it is not to be taken for a target that moved.
 */
static struct file *img_open_again(struct img_dump *d, struct file *file)
{
	struct file *again = ERR_PTR(-EWOULDBLOCK);

	if (shmem_file(file))
		return get_file(file);
	if (!img_is_leased(file))
		again = dentry_open(&file->f_path,
				    O_RDONLY | O_LARGEFILE | O_NONBLOCK | __FMODE_NONOTIFY,
				    file->f_cred);
	if (again == ERR_PTR(-EWOULDBLOCK))
		return ERR_PTR(img_dump_refuse(d, -EOPNOTSUPP, "a lease on %pD2", file));
	if (IS_ERR(again))
		img_dump_refuse(d, PTR_ERR(again), "cannot open %pD2", file);
	return again;
}

/**
 * img_store_object() - copy what is in an object
 * @d: the dump
 * @file: the object, a regular file
 * @bytes: its size
 *
 * Pages of zeros are left out.  Others may write to the object, cut it off or
 * make holes meanwhile: what is gone reads as zeros.  If memory gets short, who
 * copies is to be killed for it.
 *
 * Context: may sleep, killable.
 * Return: 0, -EINTR, -EIO when a page cannot be had, -ENOMEM also when there is
 *	more than fits into memory, -EFBIG when there are more runs than an image
 *	may have, -EOPNOTSUPP when somebody has a lease for writing, or an error of
 *	opening or reading the file.
 */
int img_store_object(struct img_dump *d, struct file *file, u64 bytes)
{
	struct img_source src = { .file = file, .bytes = bytes };
	int err;

	err = img_store_fits(d, file, bytes) ?: img_store_make(d);
	if (err)
		return err;
	src.file = img_open_again(d, file);
	if (IS_ERR(src.file))
		return PTR_ERR(src.file);
	set_current_oom_origin();
	err = img_copy_source(d, &src);
	clear_current_oom_origin();
	fput(src.file);
	return err;
}

/**
 * img_store_read() - read what was copied
 * @d: the dump
 * @pos: offset in the store
 * @to: where to; not empty
 *
 * Context: may sleep; several readers may be in here at once.
 * Return: bytes read, at least 1; -EFAULT, -EINTR, -ENOMEM, or -EIO.
 */
ssize_t img_store_read(struct img_dump *d, loff_t pos, struct iov_iter *to)
{
	size_t len = min_t(loff_t, d->store_len - pos, iov_iter_count(to));
	ssize_t done = 0;

	len = min_t(size_t, len, IMG_STORE_BATCH * PAGE_SIZE);
	while (len) {
		pgoff_t index = pos >> PAGE_SHIFT;
		size_t off = offset_in_page(pos), copied;
		size_t n = min_t(size_t, PAGE_SIZE - off, len);
		struct folio *folio;
		int err;

		if (fatal_signal_pending(current))
			return done ?: -EINTR;
		err = shmem_get_folio(file_inode(d->store), index, 0, &folio, SGP_READ);
		if (err || !folio)
			return done ?: err ?: -EIO;
		folio_unlock(folio);
		copied = copy_page_to_iter(folio_file_page(folio, index), off, n, to);
		folio_put(folio);
		done += copied;
		pos += copied;
		len -= copied;
		if (copied < n)
			break;
	}
	return done ?: -EFAULT;
}

/**
 * img_store_free() - give back the copy
 * @d: the dump
 *
 * Context: may sleep.  May be called at any stage, and again.
 */
void img_store_free(struct img_dump *d)
{
	if (d->store)
		fput(d->store);
	d->store = NULL;
	d->store_len = 0;
	img_buf_free(&d->object_runs);
}
