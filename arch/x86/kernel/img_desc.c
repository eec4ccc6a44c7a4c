// SPDX-License-Identifier: GPL-2.0
/*
 * Process images on x86-64: descriptors, what segment registers refer to, and
 * what else a thread has that no register set of a 64-bit program shows.
 *
 * Descriptors are in an image as set_thread_area(2) and modify_ldt(2) take
 * them, and go through the checks of these calls.
 */
#include <linux/cpufeature.h>
#include <linux/elf.h>
#include <linux/mm.h>
#include <linux/mmu_context.h>
#include <linux/regset.h>
#include <linux/sched/task_stack.h>
#include <linux/string.h>
#include <asm/desc.h>
#include <asm/segment.h>

#include "img.h"
#include "tls.h"

/* The bits of the last word of a struct user_desc that an image may have. */
#define IMG_DESC_FLAGS		0x7f

/* Can it be loaded into DS, ES, FS or GS? */
static bool img_desc_loadable(const struct user_desc *info)
{
	return !LDT_empty(info) && !info->seg_not_present &&
	       !(info->contents > MODIFY_LDT_CONTENTS_STACK && info->read_exec_only);
}

/*
 * May the program have this value in a segment register?  As ptrace, with no
 * other privilege level; and as the CPU, which would load zero in place of
 * what has no descriptor.  @tls are the thread's entries of the GDT, @ldt is
 * the entry of the LDT that the value refers to.
 */
static bool img_selector_ok(unsigned long sel, const struct user_desc *tls,
			    const struct user_desc *ldt)
{
	unsigned long index = sel >> 3;

	switch (sel) {
	case 0:
	case __USER_DS:
	case __USER_CS:
	case __USER32_CS:
	case __CPUNODE_SEG:
		return true;
	}
	if (sel > 0xffff || (sel & SEGMENT_RPL_MASK) != USER_RPL)
		return false;
	if (sel & SEGMENT_TI_MASK)
		return ldt && img_desc_loadable(ldt);
	if (!tls || index < GDT_ENTRY_TLS_MIN || index > GDT_ENTRY_TLS_MAX)
		return false;
	tls += index - GDT_ENTRY_TLS_MIN;
	return !LDT_zero(tls) && img_desc_loadable(tls);
}

#ifdef CONFIG_MODIFY_LDT_SYSCALL
static bool img_ldt_entry(struct mm_struct *mm, unsigned int entry, struct user_desc *to)
{
	struct ldt_struct *ldt;
	bool found;

	mutex_lock(&mm->context.lock);
	ldt = mm->context.ldt;
	found = ldt && entry < ldt->nr_entries && !desc_empty(&ldt->entries[entry]);
	if (found)
		fill_user_desc(to, entry, &ldt->entries[entry]);
	mutex_unlock(&mm->context.lock);
	return found;
}

/**
 * img_ldt_count() - how many descriptors are in an LDT
 * @mm: the snapshot
 *
 * Return: the number of entries that are not empty.
 */
unsigned int img_ldt_count(struct mm_struct *mm)
{
	struct ldt_struct *ldt = mm->context.ldt;
	unsigned int i, n = 0;

	for (i = 0; ldt && i < ldt->nr_entries; i++)
		n += !desc_empty(&ldt->entries[i]);
	return n;
}

/**
 * img_ldt_save() - write down the descriptors of an LDT
 * @mm: the snapshot
 * @to: room for as many as img_ldt_count() says
 */
void img_ldt_save(struct mm_struct *mm, struct user_desc *to)
{
	struct ldt_struct *ldt = mm->context.ldt;
	unsigned int i;

	for (i = 0; ldt && i < ldt->nr_entries; i++) {
		if (!desc_empty(&ldt->entries[i]))
			fill_user_desc(to++, i, &ldt->entries[i]);
	}
}
#else
static bool img_ldt_entry(struct mm_struct *mm, unsigned int entry, struct user_desc *to)
{
	return false;
}

unsigned int img_ldt_count(struct mm_struct *mm)
{
	return 0;
}

void img_ldt_save(struct mm_struct *mm, struct user_desc *to)
{
}

int ldt_make_desc(struct desc_struct *ldt, const struct user_desc *info, int oldmode)
{
	return -EINVAL;
}

int ldt_write_entries(const struct user_desc *info, unsigned int nr, int oldmode)
{
	return -EOPNOTSUPP;
}
#endif

static bool img_live_selector_ok(struct task_struct *task, struct mm_struct *mm,
				 unsigned long sel)
{
	struct user_desc tls[GDT_ENTRY_TLS_ENTRIES], ldt;
	unsigned int i;
	bool found;

	for (i = 0; i < GDT_ENTRY_TLS_ENTRIES; i++)
		fill_user_desc(&tls[i], i, &task->thread.tls_array[i]);
	found = (sel & SEGMENT_TI_MASK) && img_ldt_entry(mm, sel >> 3, &ldt);
	return img_selector_ok(sel, tls, found ? &ldt : NULL);
}

/**
 * img_desc_obstacle() - segment registers that cannot be carried
 * @task: the target, held, or current
 * @mm: its address space
 *
 * Context: may sleep.
 * Return: what it is, or NULL.
 */
const char *img_desc_obstacle(struct task_struct *task, struct mm_struct *mm)
{
	u16 ds = task->thread.ds, es = task->thread.es;
	u16 fs = task->thread.fsindex, gs = task->thread.gsindex;

	if (task == current) {
		savesegment(ds, ds);
		savesegment(es, es);
		savesegment(fs, fs);
		savesegment(gs, gs);
	}
	if (task_pt_regs(task)->ss != __USER_DS)
		return "a stack segment of its own";
	if (!img_live_selector_ok(task, mm, ds) || !img_live_selector_ok(task, mm, es) ||
	    !img_live_selector_ok(task, mm, fs) || !img_live_selector_ok(task, mm, gs))
		return "a segment register without descriptor";
	return NULL;
}

/* The array of descriptors, which are not checked yet; NULL if there is none. */
static const struct user_desc *img_ldt_array(struct img_load *l, unsigned int *nr)
{
	const struct img_note *note;
	struct img_arch_x86 a;

	*nr = 0;
	if (img_note_struct(l, NT_IMG_ARCH, &a, sizeof(a), &note) ||
	    le32_to_cpu(a.ldt_size) != sizeof(struct user_desc) ||
	    le32_to_cpu(a.ldt_off) % sizeof(u32))
		return NULL;
	*nr = le32_to_cpu(a.nr_ldt);
	/* Whoever looks for an entry goes through all of them. */
	if (*nr > LDT_ENTRIES)
		return NULL;
	return img_note_array(note, le32_to_cpu(a.ldt_off), *nr,
			      sizeof(struct user_desc), sizeof(struct user_desc));
}

static const struct user_desc *img_ldt_find(struct img_load *l, unsigned int entry)
{
	unsigned int i, nr;
	const struct user_desc *table = img_ldt_array(l, &nr);

	for (i = 0; table && i < nr; i++) {
		if (table[i].entry_number == entry)
			return &table[i];
	}
	return NULL;
}

/* Bits that no call takes are not known to be harmless in another kernel. */
static bool img_desc_clean(const struct user_desc *info)
{
	u32 word;

	memcpy(&word, (const void *)info + offsetofend(struct user_desc, limit), sizeof(word));
	return !(word & ~IMG_DESC_FLAGS);
}

/**
 * img_ldt_check() - would modify_ldt(2) take the descriptors of an image?
 * @l: the image
 *
 * Return: 0; -EOPNOTSUPP if this kernel has no LDT, or no 16-bit segments; or
 *	-EBADMSG; having logged the reason.
 */
int img_ldt_check(struct img_load *l)
{
	struct desc_struct desc;
	struct img_arch_x86 a;
	const struct user_desc *table;
	unsigned int i, nr;
	int err;

	err = img_note_struct(l, NT_IMG_ARCH, &a, sizeof(a), NULL);
	if (err)
		return err;
	if (!(le64_to_cpu(a.flags) & IMG_X86_LDT)) {
		if (a.nr_ldt || a.ldt_size || a.ldt_off)
			return img_load_refuse(l, -EBADMSG, "an LDT without its flag");
		return 0;
	}
	if (!IS_ENABLED(CONFIG_MODIFY_LDT_SYSCALL))
		return img_load_refuse(l, -EOPNOTSUPP, "this kernel has no LDT");
	table = img_ldt_array(l, &nr);
	if (!table || !nr || nr > LDT_ENTRIES)
		return img_load_refuse(l, -EBADMSG, "bad LDT of %u entries", nr);
	for (i = 0; i < nr; i++) {
		if ((i && table[i].entry_number <= table[i - 1].entry_number) ||
		    !img_desc_clean(&table[i]) || LDT_empty(&table[i]))
			return img_load_refuse(l, -EBADMSG, "bad LDT entry %u", i);
		if (ldt_make_desc(&desc, &table[i], 0))
			return img_load_refuse(l, table[i].seg_32bit ? -EBADMSG : -EOPNOTSUPP,
					       "LDT entry %u is not permitted", i);
	}
	return img_seccomp_forbids(l, true, "an LDT");
}

/**
 * img_ldt_restore() - write the LDT
 * @l: the image, checked
 *
 * Context: exec, the address space is new; before the registers are set.
 * Return: 0, -ENOMEM or -EINTR.
 */
int img_ldt_restore(struct img_load *l)
{
	unsigned int nr;
	const struct user_desc *table = img_ldt_array(l, &nr);

	return table && nr ? ldt_write_entries(table, nr, 0) : 0;
}

/**
 * img_desc_check_regs() - refuse segment registers that refer to nothing
 * @t: the thread
 * @u: its general registers
 *
 * Return: 0 or -EBADMSG, having logged the reason.
 */
int img_desc_check_regs(struct img_load_thread *t, const struct user_regs_struct *u)
{
	const struct img_note *note = img_thread_note_find(t, "LINUX", NT_386_TLS);
	struct img_load *l = t->l;
	const unsigned long sel[] = { u->ds, u->es, u->fs, u->gs };
	const struct user_desc *tls = NULL, *ldt;
	unsigned int i;

	if (note && note->len == GDT_ENTRY_TLS_ENTRIES * sizeof(*tls))
		tls = note->desc;
	for (i = 0; i < ARRAY_SIZE(sel); i++) {
		ldt = (sel[i] & SEGMENT_TI_MASK) ? img_ldt_find(l, sel[i] >> 3) : NULL;
		if (!img_selector_ok(sel[i], tls, ldt))
			return img_load_refuse(l, -EBADMSG, "segment register %lx", sel[i]);
	}
	return 0;
}

/**
 * img_desc_check_tls() - would set_thread_area(2) take the descriptors?
 * @l: the image
 * @note: NT_386_TLS of a thread
 *
 * Return: 0 or -EBADMSG, having logged the reason.
 */
int img_desc_check_tls(struct img_load *l, const struct img_note *note)
{
	const struct user_desc *tls = note->desc;
	unsigned int i;

	if (note->len != GDT_ENTRY_TLS_ENTRIES * sizeof(*tls))
		return img_load_refuse(l, -EBADMSG, "bad size of TLS descriptors");
	for (i = 0; i < GDT_ENTRY_TLS_ENTRIES; i++) {
		if (!tls_desc_okay(&tls[i]) || !img_desc_clean(&tls[i]) ||
		    tls[i].entry_number != GDT_ENTRY_TLS_MIN + i)
			return img_load_refuse(l, -EBADMSG, "bad TLS descriptor %u", i);
	}
	return img_seccomp_forbids(l, true, "TLS descriptors");
}

/**
 * img_desc_check_thread() - can the thread's other settings be had here?
 * @l: the image
 * @note: NT_IMG_X86_THREAD
 *
 * Return: 0; -EOPNOTSUPP, -ENODEV or -EBADMSG, having logged the reason.
 */
int img_desc_check_thread(struct img_load *l, const struct img_note *note)
{
	struct img_x86_thread t;
	u64 flags;

	if (note->len != sizeof(t))
		return img_load_refuse(l, -EBADMSG, "bad size of CPU settings");
	memcpy(&t, note->desc, sizeof(t));
	flags = le64_to_cpu(t.flags);
	if (le32_to_cpu(t.size) != sizeof(t) || t.pad)
		return img_load_refuse(l, -EBADMSG, "bad CPU settings");
	if (flags & ~(IMG_X86_NOTSC | IMG_X86_NOCPUID))
		return img_load_refuse(l, -EOPNOTSUPP, "unknown CPU settings %llx", flags);
	if ((flags & IMG_X86_NOCPUID) && !boot_cpu_has(X86_FEATURE_CPUID_FAULT))
		return img_load_refuse(l, -ENODEV, "this CPU lacks faulting of CPUID");
	return 0;
}

static u64 img_thread_settings(struct task_struct *task)
{
	return (test_tsk_thread_flag(task, TIF_NOTSC) ? IMG_X86_NOTSC : 0) |
	       (test_tsk_thread_flag(task, TIF_NOCPUID) ? IMG_X86_NOCPUID : 0);
}

static int img_thread_active(struct task_struct *task, const struct user_regset *regset)
{
	return img_thread_settings(task) ? regset->n : 0;
}

static int img_thread_get(struct task_struct *task, const struct user_regset *regset,
			  struct membuf to)
{
	struct img_x86_thread t = {
		.size	= cpu_to_le32(sizeof(t)),
		.flags	= cpu_to_le64(img_thread_settings(task)),
	};

	return membuf_write(&to, &t, sizeof(t));
}

/*
 * The context switch to the task tells the CPU.  What the launcher denies
 * itself stays denied.
 */
static int img_thread_set(struct task_struct *task, const struct user_regset *regset,
			  unsigned int pos, unsigned int count, const void *kbuf,
			  const void __user *ubuf)
{
	struct img_x86_thread t;

	if (WARN_ON_ONCE(task == current) || !kbuf || pos || count != sizeof(t))
		return -EINVAL;
	memcpy(&t, kbuf, sizeof(t));
	if (le64_to_cpu(t.flags) & IMG_X86_NOTSC)
		set_tsk_thread_flag(task, TIF_NOTSC);
	if (le64_to_cpu(t.flags) & IMG_X86_NOCPUID)
		set_tsk_thread_flag(task, TIF_NOCPUID);
	return 0;
}

static const struct user_regset img_arch_regsets[] = {
	{
		.core_note_type	= NT_386_TLS,
		.n		= GDT_ENTRY_TLS_ENTRIES,
		.size		= sizeof(struct user_desc),
		.align		= sizeof(struct user_desc),
		.active		= regset_tls_active,
		.regset_get	= regset_tls_get,
		.set		= regset_tls_set,
	},
	{
		.core_note_type	= NT_IMG_X86_THREAD,
		.n		= 1,
		.size		= sizeof(struct img_x86_thread),
		.align		= sizeof(u64),
		.active		= img_thread_active,
		.regset_get	= img_thread_get,
		.set		= img_thread_set,
	},
};

/**
 * img_arch_regset() - what a thread has besides the register sets of its view
 * @i: from 0
 *
 * Return: made like a register set, or NULL after the last.
 */
const struct user_regset *img_arch_regset(unsigned int i)
{
	return i < ARRAY_SIZE(img_arch_regsets) ? &img_arch_regsets[i] : NULL;
}
