// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: locked and sealed memory, through the code of mlock2(2),
 * mlockall(2) and mseal(2).
 */
#include <linux/binfmts.h>
#include <linux/cred.h>
#include <linux/img.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/securebits.h>
#include <linux/user_namespace.h>

/**
 * struct img_locked - a locked mapping of the target
 * @start: address of the first byte
 * @flags: IMG_VMA_LOCKED, IMG_VMA_LOCKONFAULT
 */
struct img_locked {
	unsigned long	start;
	u64		flags;
};

/* A copy of an address space is not locked, so ask the original. */
static int img_lock_hold(struct img_dump *d)
{
	VMA_ITERATOR(vmi, d->mm, 0);
	struct vm_area_struct *vma;
	struct img_locked *to;
	int err = 0;

	if (!d->mm->locked_vm)
		return 0;
	if (mmap_read_lock_killable(d->mm))
		return -EINTR;
	for_each_vma(vmi, vma) {
		if (!(vma->vm_flags & VM_LOCKED))
			continue;
		to = img_buf_add(&d->locks, sizeof(*to));
		if (!to) {
			err = -ENOMEM;
			break;
		}
		to->start = vma->vm_start;
		to->flags = IMG_VMA_LOCKED |
			    (vma->vm_flags & VM_LOCKONFAULT ? IMG_VMA_LOCKONFAULT : 0);
	}
	mmap_read_unlock(d->mm);
	return err;
}

static void img_lock_drop(struct img_dump *d)
{
	img_buf_free(&d->locks);
}

/**
 * img_lock_flags() - how a mapping was locked
 * @d: the dump
 * @vma: a mapping of the snapshot
 *
 * Return: IMG_VMA_LOCKED, IMG_VMA_LOCKONFAULT or 0.
 */
u64 img_lock_flags(struct img_dump *d, struct vm_area_struct *vma)
{
	const struct img_locked *locks = d->locks.data;
	size_t lo = 0, hi = d->locks.len / sizeof(*locks);

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (locks[mid].start == vma->vm_start)
			return locks[mid].flags;
		if (locks[mid].start < vma->vm_start)
			lo = mid + 1;
		else
			hi = mid;
	}
	return 0;
}

/*
 * Will we have the capability when the exec is over?  Its credentials are not
 * made yet, so take the two ways in which none is lost.
 */
static bool img_keeps_capability(struct img_load *l, int cap)
{
	const struct cred *cred = current_cred();

	if (!capable(cap) || (file_inode(l->file)->i_mode & (S_ISUID | S_ISGID)))
		return false;
	if (cap_raised(cred->cap_ambient, cap))
		return true;
	return !issecure(SECURE_NOROOT) && cap_raised(cred->cap_bset, cap) &&
	       uid_eq(cred->euid, make_kuid(cred->user_ns, 0));
}

/**
 * img_may_lock() - may the resumed process lock so much memory?
 * @l: the image
 * @bytes: how much; 0: any
 *
 * Context: check().
 * Return: as mlock(2) decides it.
 */
bool img_may_lock(struct img_load *l, u64 bytes)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK);

	if (limit && bytes >> PAGE_SHIFT <= limit >> PAGE_SHIFT)
		return true;
	return img_keeps_capability(l, CAP_IPC_LOCK);
}

static int img_lock_check(struct img_load *l)
{
	u64 bytes = 0;
	unsigned int i;

	for (i = 0; i < l->nr_vmas; i++) {
		const struct img_mapping *m = &l->vmas[i];

		if (m->flags & IMG_VMA_SEALED && !IS_ENABLED(CONFIG_64BIT))
			return img_load_refuse(l, -EOPNOTSUPP, "this kernel seals no memory");
		if (!(m->flags & (IMG_VMA_LOCKED | IMG_VMA_LOCKONFAULT)))
			continue;
		if (!(m->flags & IMG_VMA_LOCKED) || m->kind == IMG_VMA_ARCH ||
		    (m->map & MAP_TYPE) == MAP_DROPPABLE)
			return img_load_refuse(l, -EBADMSG, "bad lock of mapping at %lx",
					       m->start);
		bytes += m->end - m->start;
	}
	if (!bytes || img_may_lock(l, bytes))
		return 0;
	return img_load_refuse(l, rlimit(RLIMIT_MEMLOCK) ? -ENOMEM : -EPERM,
			       "%llu bytes of locked memory are over the limit", bytes);
}

/**
 * img_lock_mapping() - lock a mapping as it was locked
 * @m: the mapping, with its contents, its protection and no protection key
 *
 * What cannot be populated, for want of access or past the end of a file, is
 * locked nevertheless, as mlockall(2) does.
 *
 * Context: past the point of no return; may sleep.
 * Return: 0 or a negative errno.
 */
int img_lock_mapping(const struct img_mapping *m)
{
	bool onfault = m->flags & IMG_VMA_LOCKONFAULT;
	int err;

	if (!(m->flags & IMG_VMA_LOCKED))
		return 0;
	err = mlock_range(m->start, m->end - m->start,
			  VM_LOCKED | (onfault ? VM_LOCKONFAULT : 0));
	if (!err)
		mm_populate(m->start, m->end - m->start);
	return err;
}

/* When nothing of the mappings has to be changed any more. */
static int img_lock_finish(struct img_load *l)
{
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < l->nr_vmas; i++) {
		const struct img_mapping *m = &l->vmas[i];

		if (m->flags & IMG_VMA_SEALED)
			err = do_mseal(m->start, m->end - m->start, 0);
	}
	return err;
}

const struct img_part img_part_lock = {
	.name	= "locked memory",
	.hold	= img_lock_hold,
	.drop	= img_lock_drop,
	.check	= img_lock_check,
	.finish	= img_lock_finish,
};
