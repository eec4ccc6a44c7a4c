// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: a copy of the target's memory that is begun while it runs.
 *
 * When to begin one, when it can be finished, and when to forget it; how it is
 * made is in mm/img_snapshot.c.
 */
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/img.h>
#include <linux/mm.h>
#include <linux/rwsem.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

/* Of less memory than this (8 MB of small pages) a copy is made in one go. */
#define IMG_EARLY_PAGES	2048

/* How often to look whether the lock of its mappings is free, and how long in between. */
#define IMG_BEGIN_TRIES	200
#define IMG_BEGIN_US	20

/**
 * img_put_later() - forget a copy when the target runs again
 * @d: the dump
 * @mm: the copy
 *
 * That takes as long as to make one, and a file system may have a say in it.  The
 * target is not to stand still for that.
 *
 * Context: any.
 */
void img_put_later(struct img_dump *d, struct mm_struct *mm)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(d->dead); i++) {
		if (!d->dead[i]) {
			d->dead[i] = mm;
			return;
		}
	}
	/* There is one that was begun and one that was made, no more. */
	WARN_ON_ONCE(1);
	mmput(mm);
}

/**
 * img_put_now() - forget all copies that are of no use any more
 * @d: the dump
 *
 * Context: may sleep; the target runs.
 */
void img_put_now(struct img_dump *d)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(d->dead); i++) {
		if (d->dead[i])
			mmput(d->dead[i]);
		d->dead[i] = NULL;
	}
}

/**
 * img_early_end() - a copy that was begun is of no use any more
 * @d: the dump, with such a copy or without
 *
 * Context: any; img_put_now() is to follow when the target runs.
 */
void img_early_end(struct img_dump *d)
{
	if (d->begun)
		img_put_later(d, d->begun);
	if (d->begun_of)
		mmdrop(d->begun_of);
	d->begun = NULL;
	d->begun_of = NULL;
}

/**
 * img_early_finish() - copy the memory of the target, or what is left to be copied
 * @d: the dump
 *
 * What was begun is finished, if it was of this address space and can be.
 *
 * Context: may sleep; the target is held.
 * Return: the snapshot, -EAGAIN, -ENOMEM or -EINTR.
 */
struct mm_struct *img_early_finish(struct img_dump *d)
{
	struct mm_struct *mm = d->begun;
	int err;

	if (!mm)
		return mm_snapshot(d->mm);
	err = d->begun_of == d->mm ? mm_snapshot_finish(mm, d->mm) : -EAGAIN;
	/* Only once: who has got half way has something of now. */
	if (!err)
		d->begun = NULL;
	img_early_end(d);
	if (err == -EAGAIN) {
		mm = mm_snapshot(d->mm);
		err = PTR_ERR_OR_ZERO(mm);
	}
	/* Both at once may be too much. */
	if (err == -ENOMEM)
		err = -EAGAIN;
	return err ? ERR_PTR(err) : mm;
}

/* Is there so much memory, and not in so many mappings, that it pays off? */
static bool img_begins_early(struct mm_struct *mm)
{
	unsigned long pages = get_mm_counter(mm, MM_ANONPAGES);

	return pages >= IMG_EARLY_PAGES && pages / 64 >= mm->map_count;
}

/**
 * img_early_begin() - begin to copy the memory of the target while it runs
 * @d: the dump
 * @mm: its address space, the caller has a reference
 *
 * If that does not pay off or cannot be, img_early_finish() does it all.
 *
 * Context: may sleep; no locks are held.
 */
void img_early_begin(struct img_dump *d, struct mm_struct *mm)
{
	struct mm_struct *copy;
	unsigned int n;

	if (!img_begins_early(mm))
		return;
	for (n = 0; n < IMG_BEGIN_TRIES; n++) {
		copy = rwsem_is_locked(&mm->mmap_lock) ? ERR_PTR(-EAGAIN) :
							 mm_snapshot_begin(mm);
		if (copy != ERR_PTR(-EAGAIN))
			break;
		if (signal_pending(current))
			return;
		usleep_range(IMG_BEGIN_US, 2 * IMG_BEGIN_US);
	}
	if (IS_ERR(copy))
		return;
	d->begun = copy;
	d->begun_of = mm;
	mmgrab(mm);
	if (mm_snapshot_precopy(copy, mm))
		img_early_end(d);
	img_put_now(d);
}
