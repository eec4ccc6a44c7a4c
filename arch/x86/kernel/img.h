/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Process images on x86-64: the calls between the img files of this folder,
 * and into the code of set_thread_area(2) and modify_ldt(2).
 */
#ifndef _ARCH_X86_KERNEL_IMG_H
#define _ARCH_X86_KERNEL_IMG_H

#include <linux/img.h>
#include <asm/ldt.h>

struct desc_struct;

/* tls.c */
bool tls_desc_okay(const struct user_desc *info);
void fill_user_desc(struct user_desc *info, int idx, const struct desc_struct *desc);

/* ldt.c */
int ldt_make_desc(struct desc_struct *ldt, const struct user_desc *info, int oldmode);
int ldt_write_entries(const struct user_desc *info, unsigned int nr, int oldmode);

/* img.c */
int img_arch_note(struct img_load *l, struct img_arch_x86 *a);

/* img_vdso.c */
int img_vdso_save(struct img_dump *d, struct img_arch_x86 *a);
int img_vdso_check(struct img_load *l, const struct img_arch_x86 *a);
int img_vdso_restore(const struct img_arch_x86 *a);

/* img_desc.c */
const char *img_desc_obstacle(struct task_struct *task, struct mm_struct *mm);
unsigned int img_ldt_count(struct mm_struct *mm);
void img_ldt_save(struct mm_struct *mm, struct user_desc *to);
int img_ldt_check(struct img_load *l);
int img_ldt_restore(struct img_load *l);
int img_desc_check_regs(struct img_load_thread *t, const struct user_regs_struct *u);
int img_desc_check_tls(struct img_load *l, const struct img_note *note);
int img_desc_check_thread(struct img_load *l, const struct img_note *note);

/* img_pkey.c */
void img_pkey_copy(struct mm_struct *mm, struct mm_struct *oldmm);
void img_pkey_save(struct mm_struct *mm, struct img_arch_x86 *a);
int img_pkey_check(struct img_load *l, const struct img_arch_x86 *a);
void img_pkey_begin(void);
void img_pkey_finish(const struct img_arch_x86 *a);

#endif /* _ARCH_X86_KERNEL_IMG_H */
