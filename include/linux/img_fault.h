/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Process images: pages that are read when they are touched.
 *
 * An address space that was resumed from an image has an mm->img.  A page that
 * it has not touched yet is either an entry of its page table that says where it
 * is in the image (SWP_IMG), or in a pending chunk: an aligned piece of a mapping
 * as long as one page table covers, whose table is made when it is first needed.
 */
#ifndef _LINUX_IMG_FAULT_H
#define _LINUX_IMG_FAULT_H

#include <linux/mm_types.h>
#include <linux/pgtable.h>

struct file;

/**
 * struct img_run - a range of pages that is in an image
 * @start: address of the first byte, a multiple of the page size
 * @end: address after the last byte
 * @pos: offset in the image
 */
struct img_run {
	unsigned long	start;
	unsigned long	end;
	loff_t		pos;
};

#ifdef CONFIG_IMG
int mm_img_start(struct mm_struct *mm, struct file *file, const struct img_run *runs,
		 size_t nr);
bool mm_img_fits(loff_t size);
int mm_img_map(struct mm_struct *mm, const struct img_run *run, unsigned long start,
	       unsigned long end);
int mm_img_dup(struct mm_struct *mm, struct mm_struct *oldmm);
void mm_img_put(struct mm_struct *mm);
void mm_drop_vma(struct vm_area_struct *vma);

struct file *img_file(struct mm_struct *mm);
vm_fault_t img_fault(struct vm_fault *vmf);

bool __img_pending(struct mm_struct *mm, unsigned long addr);
int img_fill_chunk(struct mm_struct *mm, unsigned long addr);
int __img_fill_range(struct mm_struct *mm, unsigned long start, unsigned long end);
void __img_forget(struct vm_area_struct *vma, unsigned long start, unsigned long end);
void __img_dup_vma(struct vm_area_struct *vma, struct vm_area_struct *from);

static inline void mm_img_init(struct mm_struct *mm)
{
	mm->img = NULL;
}

static inline bool mm_has_img(struct mm_struct *mm)
{
	return mm->img;
}
#else
static inline int mm_img_dup(struct mm_struct *mm, struct mm_struct *oldmm)
{
	return 0;
}

static inline void mm_img_put(struct mm_struct *mm)
{
}

static inline struct file *img_file(struct mm_struct *mm)
{
	return NULL;
}

static inline vm_fault_t img_fault(struct vm_fault *vmf)
{
	return VM_FAULT_SIGBUS;
}

static inline bool __img_pending(struct mm_struct *mm, unsigned long addr)
{
	return false;
}

static inline int img_fill_chunk(struct mm_struct *mm, unsigned long addr)
{
	return 0;
}

static inline int __img_fill_range(struct mm_struct *mm, unsigned long start,
				   unsigned long end)
{
	return 0;
}

static inline void __img_forget(struct vm_area_struct *vma, unsigned long start,
				unsigned long end)
{
}

static inline void __img_dup_vma(struct vm_area_struct *vma, struct vm_area_struct *from)
{
}

static inline void mm_img_init(struct mm_struct *mm)
{
}

static inline bool mm_has_img(struct mm_struct *mm)
{
	return false;
}
#endif

/* Is an address in a chunk whose page table is yet to be made? */
static inline bool img_pending(struct mm_struct *mm, unsigned long addr)
{
	return mm_has_img(mm) && __img_pending(mm, addr);
}

/*
 * Before something is done with the page tables of a range: make those that are
 * pending.  Returns 0, -ENOMEM, or -EINTR when the caller is killed.
 */
static inline int img_fill_range(struct mm_struct *mm, unsigned long start,
				 unsigned long end)
{
	return mm_has_img(mm) ? __img_fill_range(mm, start, end) : 0;
}

/* Before memory on one side of an address is treated differently. */
static inline int img_fill_across(struct mm_struct *mm, unsigned long addr)
{
	return (addr & ~PMD_MASK) && img_pending(mm, addr) ? img_fill_chunk(mm, addr) : 0;
}

/* What is pending in a range is given up. */
static inline void img_forget(struct vm_area_struct *vma, unsigned long start,
			      unsigned long end)
{
	if (mm_has_img(vma->vm_mm))
		__img_forget(vma, start, end);
}

/* What is pending in @from is so in its copy. */
static inline void img_dup_vma(struct vm_area_struct *vma, struct vm_area_struct *from)
{
	if (mm_has_img(from->vm_mm))
		__img_dup_vma(vma, from);
}

#endif /* _LINUX_IMG_FAULT_H */
