// SPDX-License-Identifier: GPL-2.0
/*
 * Process images on x86-64: which protection keys an address space has given
 * out.  The key of a mapping is the mapping's; the rights to the keys are a
 * register, PKRU.
 */
#include <linux/cpufeature.h>
#include <linux/mm.h>
#include <linux/pkeys.h>
#include <linux/sched.h>

#include "img.h"

#ifdef CONFIG_X86_INTEL_MEMORY_PROTECTION_KEYS
static void img_pkey_set(u16 map, s16 exec)
{
	struct mm_struct *mm = current->mm;

	mmap_write_lock(mm);
	mm->context.pkey_allocation_map = map;
	mm->context.execute_only_pkey = exec;
	mmap_write_unlock(mm);
}

/**
 * img_pkey_copy() - have the same keys
 * @mm: the copy
 * @oldmm: the original
 *
 * Context: both mmap_locks held for writing.
 */
void img_pkey_copy(struct mm_struct *mm, struct mm_struct *oldmm)
{
	mm->context.pkey_allocation_map = oldmm->context.pkey_allocation_map;
	mm->context.execute_only_pkey = oldmm->context.execute_only_pkey;
}

/**
 * img_pkey_save() - write down the keys that are allocated
 * @mm: the snapshot
 * @a: the note
 *
 * Context: any.
 */
void img_pkey_save(struct mm_struct *mm, struct img_arch_x86 *a)
{
	u16 map = mm->context.pkey_allocation_map;
	s16 exec = mm->context.execute_only_pkey;

	/* A new address space has key 0. */
	if (!arch_pkeys_enabled() || (map == 1 && exec < 0))
		return;
	a->flags |= cpu_to_le64(IMG_X86_PKEYS);
	a->pkey_map = cpu_to_le32(map);
	a->exec_pkey = cpu_to_le32(exec < 0 ? IMG_NONE : exec);
}

/**
 * img_pkey_begin() - let mappings have any key while they are made
 *
 * A mapping may have a key that was freed, or the one for execute-only memory,
 * which pkey_mprotect(2) takes from nobody.  And nothing that is mapped
 * execute-only meanwhile gets such a key, or changes PKRU, by itself.
 *
 * Context: exec, the address space is new; takes the mmap_lock.
 */
void img_pkey_begin(void)
{
	if (arch_pkeys_enabled())
		img_pkey_set((1U << arch_max_pkey()) - 1, -1);
}

/**
 * img_pkey_finish() - give out the keys that were allocated, and only these
 * @a: the note, checked
 *
 * Context: all mappings are made; takes the mmap_lock.
 */
void img_pkey_finish(const struct img_arch_x86 *a)
{
	u32 exec = le32_to_cpu(a->exec_pkey);

	if (!arch_pkeys_enabled())
		return;
	if (!(le64_to_cpu(a->flags) & IMG_X86_PKEYS))
		img_pkey_set(1, -1);
	else
		img_pkey_set(le32_to_cpu(a->pkey_map), exec == IMG_NONE ? -1 : exec);
}
#else
void img_pkey_copy(struct mm_struct *mm, struct mm_struct *oldmm)
{
}

void img_pkey_save(struct mm_struct *mm, struct img_arch_x86 *a)
{
}

void img_pkey_begin(void)
{
}

void img_pkey_finish(const struct img_arch_x86 *a)
{
}
#endif

/**
 * img_pkey_check() - could the keys of an image be allocated here?
 * @l: the image
 * @a: its note
 *
 * Return: 0; -ENODEV without the feature, or -EBADMSG, having logged the
 *	reason.
 */
int img_pkey_check(struct img_load *l, const struct img_arch_x86 *a)
{
	u32 map = le32_to_cpu(a->pkey_map), exec = le32_to_cpu(a->exec_pkey);

	if (!(le64_to_cpu(a->flags) & IMG_X86_PKEYS)) {
		if (!map && !exec)
			return 0;
		return img_load_refuse(l, -EBADMSG, "protection keys without their flag");
	}
	if (!arch_pkeys_enabled())
		return img_load_refuse(l, -ENODEV, "this CPU lacks protection keys");
	/* As the kernel has them: that for execute-only memory is allocated. */
	if (map >> arch_max_pkey() ||
	    (exec != IMG_NONE && (exec >= arch_max_pkey() || !(map & BIT(exec)))))
		return img_load_refuse(l, -EBADMSG, "bad protection keys");
	return 0;
}
