// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: objects are made again, see object.c.  All of it is done
 * while the caller can still be told that there is no memory for it.
 */
#include <linux/bitmap.h>
#include <linux/cred.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/img.h>
#include <linux/limits.h>
#include <linux/memfd.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/oom.h>
#include <linux/overflow.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <uapi/linux/memfd.h>

/* Characters of a memfd's name, see memfd_create(2). */
#define IMG_MEMFD_NAME_MAX	(NAME_MAX - strlen(IMG_MEMFD_PREFIX))

#define IMG_SEALS_KNOWN	(F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | \
			 F_SEAL_FUTURE_WRITE | F_SEAL_EXEC)

#define IMG_OBJECT_KNOWN	(IMG_OBJECT_WRITE | IMG_OBJECT_NORESERVE | \
				 IMG_OBJECT_EXEC | IMG_OBJECT_SEAL_LATE)

/* Pages that are read in one go. */
#define IMG_FILL_BATCH	64

/**
 * struct img_object_load - an open file of an object that is made
 * @file: what mappings are of
 * @base: open for reading and writing, by which the object is made; may be
 *	@file; NULL if @same is not IMG_NONE
 * @same: index of an earlier one of the same object, or IMG_NONE
 * @run: its first run
 * @nr_runs: how many
 * @late: seals for when it is mapped
 * @exec: it may be the executable
 * @used: something refers to it
 */
struct img_object_load {
	struct file	*file;
	struct file	*base;
	u32		same;
	u32		run;
	u32		nr_runs;
	u32		late;
	bool		exec;
	bool		used;
};

/* Runs of all objects: in order, without a gap in the image. */
static int img_check_runs(struct img_load *l, const struct img_note *note,
			  const struct img_objects *head)
{
	u32 i, nr = le32_to_cpu(head->nr_runs), size = le32_to_cpu(head->run_size);
	u64 room = l->length - l->data_off, pos = 0;
	const void *table;

	table = img_note_array(note, le32_to_cpu(head->runs_off), nr, size,
			       sizeof(struct img_object_run));
	if (!table)
		return img_load_refuse(l, -EBADMSG, "bad runs of objects");
	l->object_runs = kvcalloc(nr, sizeof(*l->object_runs), GFP_KERNEL_ACCOUNT);
	if (!l->object_runs)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		struct img_object_run run;
		u64 off, bytes, end;

		memcpy(&run, table + (size_t)i * size, sizeof(run));
		off = le64_to_cpu(run.off);
		bytes = le64_to_cpu(run.bytes);
		if (!PAGE_ALIGNED(off) || !PAGE_ALIGNED(bytes) || !bytes ||
		    check_add_overflow(off, bytes, &end) || end > MAX_LFS_FILESIZE ||
		    le64_to_cpu(run.pos) != pos || bytes > room - pos)
			return img_load_refuse(l, -EBADMSG, "bad run %u of an object", i);
		l->object_runs[i] = (struct img_run){ .start = off, .end = end, .pos = pos };
		pos += bytes;
	}
	l->object_end = l->data_off + pos;
	return 0;
}

/* Its part of the runs: next, sorted, inside of it. */
/* @used has a bit for each of @nr_all runs, those of other objects are set. */
static int img_check_object_runs(struct img_load *l, const struct img_object *o,
				 unsigned long *used, u32 nr_all)
{
	u32 i, first = le32_to_cpu(o->run), nr = le32_to_cpu(o->nr_runs);
	u64 bytes = le64_to_cpu(o->bytes), last = 0;

	if (first > nr_all || nr > nr_all - first || bytes > MAX_LFS_FILESIZE ||
	    find_next_bit(used, first + nr, first) < first + nr)
		return -EBADMSG;
	bitmap_set(used, first, nr);
	for (i = first; i < first + nr; i++) {
		const struct img_run *run = &l->object_runs[i];

		if (run->start < last || run->start >= bytes ||
		    run->end - PAGE_SIZE >= bytes)
			return -EBADMSG;
		last = run->end;
	}
	return 0;
}

static int img_check_same(struct img_load *l, const struct img_object *o, u32 index)
{
	u32 same = le32_to_cpu(o->same);

	if (same >= index || l->objects[same].same != IMG_NONE || o->bytes || o->run ||
	    o->nr_runs || o->mode || o->seals ||
	    (le64_to_cpu(o->flags) & ~IMG_OBJECT_WRITE) ||
	    le32_to_cpu(o->name_off) != IMG_NONE)
		return -EBADMSG;
	return 0;
}

/* What is for one kind only; bits that are not known were refused before. */
static int img_check_kind(const struct img_object *o, const char *name)
{
	u64 flags = le64_to_cpu(o->flags);
	size_t max = 0;

	switch (le32_to_cpu(o->kind)) {
	case IMG_OBJECT_ANON:
		if (flags & ~(IMG_OBJECT_WRITE | IMG_OBJECT_NORESERVE) ||
		    o->mode || o->seals || le32_to_cpu(o->name_off) != IMG_NONE)
			return -EBADMSG;
		return 0;
	case IMG_OBJECT_MEMFD:
		max = IMG_MEMFD_NAME_MAX;
		if (flags & ~(IMG_OBJECT_WRITE | IMG_OBJECT_SEAL_LATE) ||
		    le32_to_cpu(o->mode) & ~0777)
			return -EBADMSG;
		/* For mappings that are older than this seal. */
		if ((flags & IMG_OBJECT_SEAL_LATE) &&
		    !(le32_to_cpu(o->seals) & F_SEAL_FUTURE_WRITE))
			return -EBADMSG;
		break;
	case IMG_OBJECT_FILE:
		/* There must be room for this when it is dumped again. */
		max = PATH_MAX - sizeof(" (deleted)");
		if (flags & ~(IMG_OBJECT_WRITE | IMG_OBJECT_EXEC) || o->mode || o->seals ||
		    !name || name[0] != '/')
			return -EBADMSG;
		break;
	default:
		return -EBADMSG;
	}
	return name && strlen(name) <= max ? 0 : -EBADMSG;
}

/* With the rules of memfd_create(2) for what can be executed and sealed. */
static struct file *img_make_memfd(struct img_load *l, const struct img_object *o,
				   const char *name)
{
	u32 seals = le32_to_cpu(o->seals), mode = le32_to_cpu(o->mode);
	unsigned int flags = MFD_EXEC;
	loff_t bytes = le64_to_cpu(o->bytes);
	struct file *file;
	char *full;
	int err;

	if (seals != F_SEAL_SEAL)
		flags |= MFD_ALLOW_SEALING;
	if ((seals & F_SEAL_EXEC) && !(mode & 0111))
		flags = MFD_NOEXEC_SEAL;
	err = memfd_check_noexec(&flags);
	if (err)
		return ERR_PTR(err);
	full = kasprintf(GFP_KERNEL_ACCOUNT, IMG_MEMFD_PREFIX "%s", name);
	if (!full)
		return ERR_PTR(-ENOMEM);
	file = memfd_file_setup(full, flags);
	kfree(full);
	if (IS_ERR(file))
		return file;
	err = do_truncate(file_mnt_idmap(file), file->f_path.dentry, bytes, 0, file);
	if (!err && (file_inode(file)->i_mode & 0777) != mode)
		err = vfs_fchmod(file, mode);
	if (!err)
		return file;
	fput(file);
	return ERR_PTR(err);
}

/* Without a path, and executable only if it has to be. */
static struct file *img_make_file(const struct img_object *o, const char *name)
{
	bool exec = le64_to_cpu(o->flags) & IMG_OBJECT_EXEC;
	unsigned int flags = MFD_EXEC;
	struct file *file;
	int err;

	err = exec ? memfd_check_noexec(&flags) : 0;
	if (err)
		return ERR_PTR(err);
	file = shmem_file_setup_with_mnt(img_object_mnt, name + 1, le64_to_cpu(o->bytes),
					 VM_NORESERVE);
	if (!IS_ERR(file))
		file_inode(file)->i_mode = S_IFREG | (exec ? 0700 : 0600);
	return file;
}

static struct file *img_make_object(struct img_load *l, const struct img_object *o,
				    const char *name)
{
	u64 flags = le64_to_cpu(o->flags);

	/* For a memfd we would get a signal. */
	if (le64_to_cpu(o->bytes) > rlimit(RLIMIT_FSIZE))
		return ERR_PTR(-EFBIG);
	switch (le32_to_cpu(o->kind)) {
	case IMG_OBJECT_MEMFD:
		return img_make_memfd(l, o, name);
	case IMG_OBJECT_FILE:
		return img_make_file(o, name);
	default:
		return shmem_kernel_file_setup("dev/zero", le64_to_cpu(o->bytes),
					       flags & IMG_OBJECT_NORESERVE ? VM_NORESERVE : 0);
	}
}

static int img_fill_page(struct inode *inode, pgoff_t index, const void *from)
{
	struct folio *folio;
	int err;

	err = shmem_get_folio(inode, index, 0, &folio, SGP_CACHE);
	if (err)
		return err;
	memcpy_to_page(folio_file_page(folio, index), 0, from, PAGE_SIZE);
	folio_mark_dirty(folio);
	folio_unlock(folio);
	folio_put(folio);
	return 0;
}

/* Zeros stay a hole. */
static int img_fill_batch(struct img_load *l, struct inode *inode, pgoff_t index,
			  void *buf, long nr, loff_t pos)
{
	size_t len = nr * PAGE_SIZE, done = 0;
	long i;
	int err = 0;

	while (done < len) {
		ssize_t n = kernel_read(l->file, buf + done, len - done, &pos);

		if (n <= 0)
			return n ?: -EIO;
		done += n;
	}
	for (i = 0; !err && i < nr; i++, buf += PAGE_SIZE) {
		if (memchr_inv(buf, 0, PAGE_SIZE))
			err = img_fill_page(inode, index + i, buf);
	}
	return err;
}

/* Nobody shall be killed because it is large. */
static int img_fill_object(struct img_load *l, struct file *file, const struct img_run *run,
			   u32 nr_runs, void *buf)
{
	struct address_space *mapping = file->f_mapping;
	gfp_t gfp = mapping_gfp_mask(mapping);
	int err = 0;

	mapping_set_gfp_mask(mapping, gfp | __GFP_RETRY_MAYFAIL | __GFP_NOWARN);
	for (; !err && nr_runs; nr_runs--, run++) {
		unsigned long off = run->start;

		while (!err && off < run->end) {
			long nr = min((run->end - off) >> PAGE_SHIFT,
				      (unsigned long)IMG_FILL_BATCH);

			if (fatal_signal_pending(current))
				err = -EINTR;
			else
				err = img_fill_batch(l, mapping->host, off >> PAGE_SHIFT, buf, nr,
						     l->data_off + run->pos + (off - run->start));
			off += nr * PAGE_SIZE;
			cond_resched();
		}
	}
	mapping_set_gfp_mask(mapping, gfp);
	return err == -ENOSPC ? -ENOMEM : err;
}

/* Some seals let be what was mapped before. */
static int img_seal_object(struct img_object_load *ol, const struct img_object *o)
{
	u32 seals = le32_to_cpu(o->seals);

	if (le64_to_cpu(o->flags) & IMG_OBJECT_SEAL_LATE)
		ol->late = seals & (F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
	seals &= ~ol->late & ~SHMEM_I(file_inode(ol->base))->seals;
	return seals ? memfd_fcntl(ol->base, F_ADD_SEALS, seals) : 0;
}

/* An open file for mappings. */
static int img_open_object(struct img_load *l, struct img_object_load *ol, bool write)
{
	struct file *base = ol->base ?: l->objects[ol->same].base;

	if (write && ol->base)
		ol->file = get_file(base);
	else
		ol->file = dentry_open(&base->f_path, (write ? O_RDWR : O_RDONLY) | O_LARGEFILE,
				       current_cred());
	if (!IS_ERR(ol->file))
		return 0;
	return PTR_ERR(xchg(&ol->file, NULL));
}

static int img_load_object(struct img_load *l, const struct img_object *o, const char *name,
			   void *buf)
{
	struct img_object_load *ol = &l->objects[l->nr_objects++];
	int err = 0;

	ol->same = le32_to_cpu(o->same);
	ol->exec = le32_to_cpu(o->kind) == IMG_OBJECT_MEMFD ||
		   (le64_to_cpu(o->flags) & IMG_OBJECT_EXEC);
	if (ol->same == IMG_NONE) {
		ol->run = le32_to_cpu(o->run);
		ol->nr_runs = le32_to_cpu(o->nr_runs);
		ol->base = img_make_object(l, o, name);
		if (IS_ERR(ol->base))
			err = PTR_ERR(xchg(&ol->base, NULL));
		if (!err)
			err = img_fill_object(l, ol->base, l->object_runs + ol->run, ol->nr_runs,
					      buf);
		if (!err)
			err = img_seal_object(ol, o);
	}
	return err ?: img_open_object(l, ol, le64_to_cpu(o->flags) & IMG_OBJECT_WRITE);
}

static int img_check_object(struct img_load *l, const struct img_note *note,
			    const struct img_object *o, unsigned long *used, u32 nr_runs)
{
	const char *name = NULL;
	int err;

	if (le64_to_cpu(o->flags) & ~IMG_OBJECT_KNOWN ||
	    le32_to_cpu(o->seals) & ~IMG_SEALS_KNOWN ||
	    le32_to_cpu(o->kind) > IMG_OBJECT_FILE)
		return img_load_refuse(l, -EOPNOTSUPP, "object %u has unknown flags",
				       l->nr_objects);
	if (le32_to_cpu(o->name_off) != IMG_NONE)
		name = img_note_string(note, le32_to_cpu(o->name_off));
	if (o->pad)
		err = -EBADMSG;
	else if (le32_to_cpu(o->same) != IMG_NONE)
		err = img_check_same(l, o, l->nr_objects);
	else
		err = img_check_kind(o, name) ?: img_check_object_runs(l, o, used, nr_runs);
	if (err)
		return img_load_refuse(l, err, "bad object %u", l->nr_objects);
	return 0;
}

static int img_load_objects(struct img_load *l, const struct img_note *note,
			    const struct img_objects *head, unsigned long *used, void *buf)
{
	u32 i, nr = le32_to_cpu(head->nr), size = le32_to_cpu(head->object_size);
	const void *table;
	int err;

	table = img_note_array(note, le32_to_cpu(head->objects_off), nr, size,
			       sizeof(struct img_object));
	if (!table || head->pad)
		return img_load_refuse(l, -EBADMSG, "bad objects note");
	/* Each is mapped, but for the executable. */
	if (nr > sysctl_max_map_count + 1)
		return img_load_refuse(l, -ENOMEM, "%u objects", nr);
	l->objects = kvcalloc(nr, sizeof(*l->objects), GFP_KERNEL_ACCOUNT);
	if (!l->objects)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		const char *name;
		struct img_object o;

		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		memcpy(&o, table + (size_t)i * size, sizeof(o));
		err = img_check_object(l, note, &o, used, le32_to_cpu(head->nr_runs));
		if (err)
			return err;
		name = img_note_string(note, le32_to_cpu(o.name_off));
		err = img_load_object(l, &o, name, buf);
		if (err)
			return img_load_refuse(l, err, "cannot make object %u", i);
	}
	if (!bitmap_full(used, le32_to_cpu(head->nr_runs)))
		return img_load_refuse(l, -EBADMSG, "runs of no object");
	return 0;
}

static int img_check_objects(struct img_load *l, const struct img_note *note,
			     const struct img_objects *head, void *buf)
{
	size_t words = BITS_TO_LONGS(le32_to_cpu(head->nr_runs));
	unsigned long *used;
	int err;

	used = kvcalloc(words, sizeof(*used), GFP_KERNEL_ACCOUNT);
	if (!used)
		return -ENOMEM;
	err = img_load_objects(l, note, head, used, buf);
	kvfree(used);
	return err;
}

/*
 * Objects are made and filled while the caller can still be told that there is
 * no memory for them.
 */
static int img_object_check(struct img_load *l)
{
	const struct img_note *note;
	struct img_objects head;
	void *buf;
	int err;

	err = img_note_struct(l, NT_IMG_OBJECT, &head, sizeof(head), &note);
	if (!err)
		err = img_check_runs(l, note, &head);
	if (err)
		return err;
	buf = head.nr ? kvmalloc(IMG_FILL_BATCH * PAGE_SIZE, GFP_KERNEL_ACCOUNT) : NULL;
	if (head.nr && !buf)
		return -ENOMEM;
	set_current_oom_origin();
	err = img_check_objects(l, note, &head, buf);
	clear_current_oom_origin();
	kvfree(buf);
	return err;
}

/**
 * img_object_get() - the file at a place in the table of objects
 * @l: the image, its objects made
 * @index: the place
 * @file: set to the file, without a new reference
 *
 * Return: 0 or -EBADMSG, having logged the reason.
 */
int img_object_get(struct img_load *l, u32 index, struct file **file)
{
	if (index >= l->nr_objects)
		return img_load_refuse(l, -EBADMSG, "no object %u", index);
	*file = l->objects[index].file;
	l->objects[index].used = true;
	return 0;
}

/**
 * img_object_get_exe() - the file at a place, to be the executable
 * @l: the image, its objects made
 * @index: the place
 * @file: set to the file, without a new reference
 *
 * Anonymous memory is none: it could be executed whatever vm.memfd_noexec says.
 *
 * Return: 0 or -EBADMSG, having logged the reason.
 */
int img_object_get_exe(struct img_load *l, u32 index, struct file **file)
{
	const struct img_object_load *ol;

	if (index >= l->nr_objects)
		return img_load_refuse(l, -EBADMSG, "no object %u", index);
	ol = &l->objects[index];
	if (ol->same != IMG_NONE)
		ol = &l->objects[ol->same];
	if (!ol->exec)
		return img_load_refuse(l, -EBADMSG, "object %u is no executable", index);
	return img_object_get(l, index, file);
}

/**
 * img_object_check_used() - is there an object that nothing refers to?
 * @l: the image, its mappings and executable checked
 *
 * Return: 0 or -EBADMSG, having logged the reason.
 */
int img_object_check_used(struct img_load *l)
{
	unsigned int i;

	for (i = 0; i < l->nr_objects; i++) {
		if (!l->objects[i].used)
			return img_load_refuse(l, -EBADMSG, "object %u is not used", i);
	}
	return 0;
}

/**
 * img_object_shows() - does a segment show what the object has there?
 * @l: the image, its objects made
 * @m: a mapping
 * @run: inside of @m
 *
 * Return: true if @m is of an object, and @run where the note has it.
 */
bool img_object_shows(struct img_load *l, const struct img_mapping *m,
		      const struct img_run *run)
{
	unsigned long off = m->file_off + (run->start - m->start);
	unsigned long end = off + (run->end - run->start);
	const struct img_object_load *ol;
	const struct img_run *of;

	if (m->object == IMG_NONE)
		return false;
	ol = &l->objects[m->object];
	if (ol->same != IMG_NONE)
		ol = &l->objects[ol->same];
	of = img_object_find_run(l->object_runs + ol->run, ol->nr_runs, off);
	return of && off >= of->start && end <= of->end &&
	       run->pos == l->data_off + of->pos + (loff_t)(off - of->start);
}

/* When everything is mapped. */
static int img_object_finish(struct img_load *l)
{
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < l->nr_objects; i++) {
		if (l->objects[i].late)
			err = memfd_fcntl(l->objects[i].base, F_ADD_SEALS, l->objects[i].late);
	}
	return err;
}

static void img_object_release(struct img_load *l)
{
	unsigned int i;

	for (i = 0; i < l->nr_objects; i++) {
		if (l->objects[i].file)
			fput(l->objects[i].file);
		if (l->objects[i].base)
			fput(l->objects[i].base);
	}
	kvfree(l->objects);
	kvfree(l->object_runs);
	l->objects = NULL;
	l->object_runs = NULL;
	l->nr_objects = 0;
}

const struct img_part img_part_object = {
	.name		= "memory objects",
	.note		= NT_IMG_OBJECT,
	.check		= img_object_check,
	.finish		= img_object_finish,
	.release	= img_object_release,
};
