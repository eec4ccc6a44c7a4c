/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Process images: between the files of mm.
 */
#ifndef _MM_IMG_H
#define _MM_IMG_H

#include <linux/mm_types.h>

pmd_t *img_alloc_pmd(struct mm_struct *mm, unsigned long addr);
pmd_t *img_find_pmd(struct mm_struct *mm, unsigned long addr, unsigned long *hole);

/*
 * Of pte_offset_map() and its like: they do not tell sparse that they begin what
 * pte_unmap() ends.
 */
#define img_mapped(pte)							\
({									\
	pte_t *__pte;							\
									\
	__cond_lock(RCU, __pte = (pte));				\
	__pte;								\
})

#endif /* _MM_IMG_H */
