// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: the fields of an address space that are not mappings, the
 * auxiliary vector, the executable.
 */
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/file.h>
#include <linux/img.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/membarrier.h>
#include <linux/sched/coredump.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#define IMG_MM_KNOWN	(IMG_MM_MDWE | IMG_MM_MDWE_NO_INHERIT | IMG_MM_THP_DISABLE | \
			 IMG_MM_TOPDOWN | IMG_MM_MERGE_ANY | IMG_MM_EXE_OBJECT | \
			 IMG_MM_LOCK_FUTURE | IMG_MM_LOCK_ONFAULT)

#define IMG_DUMP_FILTER_KNOWN	(MMF_DUMP_FILTER_MASK >> MMF_DUMP_FILTER_SHIFT)

static const struct {
	int bit;
	u64 flag;
} img_mm_flags[] = {
	{ MMF_HAS_MDWE,			IMG_MM_MDWE },
	{ MMF_HAS_MDWE_NO_INHERIT,	IMG_MM_MDWE_NO_INHERIT },
	{ MMF_DISABLE_THP,		IMG_MM_THP_DISABLE },
	{ MMF_TOPDOWN,			IMG_MM_TOPDOWN },
	{ MMF_VM_MERGE_ANY,		IMG_MM_MERGE_ANY },
};

static u64 img_get_mm_flags(struct mm_struct *mm)
{
	u64 flags = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(img_mm_flags); i++) {
		if (test_bit(img_mm_flags[i].bit, &mm->flags))
			flags |= img_mm_flags[i].flag;
	}
	if (mm->def_flags & VM_LOCKED)
		flags |= IMG_MM_LOCK_FUTURE;
	if (mm->def_flags & VM_LOCKONFAULT)
		flags |= IMG_MM_LOCK_ONFAULT;
	return flags;
}

/* Its place, in the table of objects if IMG_MM_EXE_OBJECT is set in @flags. */
static int img_hold_exe(struct img_dump *d, u32 *index, u64 *flags)
{
	struct file *exe = get_mm_exe_file(d->mm);
	int ret;

	if (!exe)
		return img_dump_refuse(d, -EOPNOTSUPP, "it has no executable");
	ret = img_object_index(d, exe, NULL, index);
	if (ret > 0)
		*flags |= IMG_MM_EXE_OBJECT;
	else if (!ret)
		ret = img_file_index(d, exe, index);
	fput(exe);
	return min(ret, 0);
}

#ifdef CONFIG_MEMBARRIER
/* Registrations that are complete.  One that is not has its thread in the kernel. */
static const struct {
	int state;
	u32 cmd;
} img_membarriers[] = {
	{ MEMBARRIER_STATE_GLOBAL_EXPEDITED_READY,
	  MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED },
	{ MEMBARRIER_STATE_PRIVATE_EXPEDITED_READY,
	  MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED },
	{ MEMBARRIER_STATE_PRIVATE_EXPEDITED_SYNC_CORE_READY,
	  MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE },
	{ MEMBARRIER_STATE_PRIVATE_EXPEDITED_RSEQ_READY,
	  MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ },
};

static u32 img_get_membarrier(struct mm_struct *mm)
{
	int state = atomic_read(&mm->membarrier_state);
	unsigned int i;
	u32 cmds = 0;

	for (i = 0; i < ARRAY_SIZE(img_membarriers); i++) {
		if (state & img_membarriers[i].state)
			cmds |= img_membarriers[i].cmd;
	}
	return cmds;
}

static int img_check_membarrier(struct img_load *l, u32 cmds)
{
	u32 known = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(img_membarriers); i++)
		known |= img_membarriers[i].cmd;
	known &= ksys_membarrier(MEMBARRIER_CMD_QUERY, 0, -1);
	if (cmds & ~known)
		return img_load_refuse(l, -EOPNOTSUPP, "membarrier registrations %x",
				       cmds & ~known);
	return 0;
}

static int img_restore_membarrier(u32 cmds)
{
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < ARRAY_SIZE(img_membarriers); i++) {
		if (cmds & img_membarriers[i].cmd)
			err = ksys_membarrier(img_membarriers[i].cmd, 0, -1);
	}
	return err;
}
#else
static u32 img_get_membarrier(struct mm_struct *mm)
{
	return 0;
}

static int img_check_membarrier(struct img_load *l, u32 cmds)
{
	if (cmds)
		return img_load_refuse(l, -EOPNOTSUPP, "membarrier registrations %x", cmds);
	return 0;
}

static int img_restore_membarrier(u32 cmds)
{
	return 0;
}
#endif

/* Copying lets go of some of this, so it is taken from the original. */
static int img_mm_hold(struct img_dump *d)
{
	struct mm_struct *mm = d->mm;
	struct img_mm m = { .size = cpu_to_le32(sizeof(m)) };
	u64 flags = img_get_mm_flags(mm);
	u32 exe = IMG_NONE;
	void *desc;
	int err;

	err = img_hold_exe(d, &exe, &flags);
	if (err)
		return err;
	m.dumpable = cpu_to_le32(get_dumpable(mm));
	m.flags = cpu_to_le64(flags);
	m.start_code = cpu_to_le64(mm->start_code);
	m.end_code = cpu_to_le64(mm->end_code);
	m.start_data = cpu_to_le64(mm->start_data);
	m.end_data = cpu_to_le64(mm->end_data);
	m.start_brk = cpu_to_le64(mm->start_brk);
	m.brk = cpu_to_le64(mm->brk);
	m.start_stack = cpu_to_le64(mm->start_stack);
	m.arg_start = cpu_to_le64(mm->arg_start);
	m.arg_end = cpu_to_le64(mm->arg_end);
	m.env_start = cpu_to_le64(mm->env_start);
	m.env_end = cpu_to_le64(mm->env_end);
	m.mmap_base = cpu_to_le64(mm->mmap_base);
	m.mmap_legacy_base = cpu_to_le64(mm->mmap_legacy_base);
	m.exe = cpu_to_le32(exe);
	m.membarrier = cpu_to_le32(img_get_membarrier(mm));
	m.coredump_filter = cpu_to_le32((mm->flags & MMF_DUMP_FILTER_MASK) >>
					MMF_DUMP_FILTER_SHIFT);
	desc = img_note_add(d, IMG_NOTE_NAME, NT_IMG_MM, sizeof(m));
	if (!desc)
		return -ENOMEM;
	memcpy(desc, &m, sizeof(m));
	desc = img_note_add(d, "CORE", NT_AUXV, sizeof(mm->saved_auxv));
	if (!desc)
		return -ENOMEM;
	memcpy(desc, mm->saved_auxv, sizeof(mm->saved_auxv));
	return 0;
}

static void img_get_map(const struct img_mm *m, struct prctl_mm_map *map)
{
	*map = (struct prctl_mm_map){
		.start_code	= le64_to_cpu(m->start_code),
		.end_code	= le64_to_cpu(m->end_code),
		.start_data	= le64_to_cpu(m->start_data),
		.end_data	= le64_to_cpu(m->end_data),
		.start_brk	= le64_to_cpu(m->start_brk),
		.brk		= le64_to_cpu(m->brk),
		.start_stack	= le64_to_cpu(m->start_stack),
		.arg_start	= le64_to_cpu(m->arg_start),
		.arg_end	= le64_to_cpu(m->arg_end),
		.env_start	= le64_to_cpu(m->env_start),
		.env_end	= le64_to_cpu(m->env_end),
		.exe_fd		= (u32)-1,
	};
}

/* The auxiliary vector, which ends as prctl_set_mm_map() makes it end. */
static int img_get_auxv(struct img_load *l, unsigned long *auxv)
{
	const struct img_note *note = img_core_note_find(l, NT_AUXV);
	size_t size = sizeof(current->mm->saved_auxv);

	if (!note || note->len > size || note->len % (2 * sizeof(long)))
		return img_load_refuse(l, -EBADMSG, "bad auxiliary vector");
	memcpy(auxv, note->desc, note->len);
	memset((void *)auxv + note->len, 0, size - note->len);
	auxv[AT_VECTOR_SIZE - 2] = AT_NULL;
	auxv[AT_VECTOR_SIZE - 1] = AT_NULL;
	return 0;
}

/*
 * Whoever may exec a file may be seen as running it, no more: as binfmt_elf,
 * the file must be executable, and nobody may write to it meanwhile.
 */
static int img_check_exe(struct img_load *l, struct file *exe)
{
	int err;

	if (!exe)
		return img_load_refuse(l, -EBADMSG, "no executable");
	err = file_permission(exe, MAY_EXEC);
	if (!err && path_noexec(&exe->f_path))
		err = -EACCES;
	if (!err)
		err = exe_file_deny_write_access(exe);
	if (err)
		return img_load_refuse(l, err, "cannot execute %pD2", exe);
	l->exe = exe;
	return 0;
}

/* Flags that make no sense alone, or need a right. */
static int img_check_mm_flags(struct img_load *l, u64 flags)
{
	if (flags & ~IMG_MM_KNOWN)
		return img_load_refuse(l, -EOPNOTSUPP, "unknown address space flags %llx", flags);
	if ((flags & (IMG_MM_MDWE | IMG_MM_MDWE_NO_INHERIT)) == IMG_MM_MDWE_NO_INHERIT ||
	    (flags & (IMG_MM_LOCK_FUTURE | IMG_MM_LOCK_ONFAULT)) == IMG_MM_LOCK_ONFAULT)
		return img_load_refuse(l, -EBADMSG, "bad address space flags %llx", flags);
	if ((flags & IMG_MM_MERGE_ANY) && !IS_ENABLED(CONFIG_KSM))
		return img_load_refuse(l, -EOPNOTSUPP, "PR_SET_MEMORY_MERGE");
	if ((flags & IMG_MM_LOCK_FUTURE) && !img_may_lock(l, 0))
		return img_load_refuse(l, -EPERM, "memory may not be locked");
	return 0;
}

static int img_mm_check(struct img_load *l)
{
	unsigned long auxv[AT_VECTOR_SIZE];
	struct prctl_mm_map map;
	struct file *exe;
	struct img_mm m;
	int err;

	err = img_note_struct(l, NT_IMG_MM, &m, sizeof(m), NULL);
	if (err)
		return err;
	err = img_check_mm_flags(l, le64_to_cpu(m.flags));
	if (err)
		return err;
	if (le32_to_cpu(m.coredump_filter) & ~IMG_DUMP_FILTER_KNOWN)
		return img_load_refuse(l, -EOPNOTSUPP, "unknown core dump filter %x",
				       le32_to_cpu(m.coredump_filter));
	err = img_check_membarrier(l, le32_to_cpu(m.membarrier));
	if (err)
		return err;
	if (le32_to_cpu(m.dumpable) > SUID_DUMP_ROOT || m.pad)
		return img_load_refuse(l, -EBADMSG, "bad address space note");
	img_get_map(&m, &map);
	if (check_data_rlimit(rlimit(RLIMIT_DATA), map.brk, map.start_brk, map.end_data,
			      map.start_data))
		return img_load_refuse(l, -ENOMEM, "its data is over the limit");
	if (prctl_mm_map_check(&map, TASK_SIZE_MAX))
		return img_load_refuse(l, -EBADMSG, "bad address space fields");
	if (le64_to_cpu(m.mmap_base) > TASK_SIZE_MAX ||
	    le64_to_cpu(m.mmap_legacy_base) > TASK_SIZE_MAX ||
	    !PAGE_ALIGNED(le64_to_cpu(m.mmap_base)) ||
	    !PAGE_ALIGNED(le64_to_cpu(m.mmap_legacy_base)))
		return img_load_refuse(l, -EBADMSG, "bad mmap base");
	err = img_get_auxv(l, auxv);
	if (!err && (le64_to_cpu(m.flags) & IMG_MM_EXE_OBJECT))
		err = img_object_get_exe(l, le32_to_cpu(m.exe), &exe);
	else if (!err)
		err = img_file_get(l, le32_to_cpu(m.exe), &exe);
	if (!err)
		err = img_check_exe(l, exe);
	return err;
}

/*
 * Only ever stricter than what the launcher's exec came to; and as prctl(2),
 * never SUID_DUMP_ROOT, which has cores written as root.
 */
static void img_restore_dumpable(u32 dumpable)
{
	if (get_dumpable(current->mm) == SUID_DUMP_USER && dumpable != SUID_DUMP_USER)
		set_dumpable(current->mm, SUID_DUMP_DISABLE);
}

/* As a write to /proc/PID/coredump_filter. */
static void img_restore_dump_filter(struct mm_struct *mm, u32 filter)
{
	unsigned int i;

	for (i = 0; i < MMF_DUMP_FILTER_BITS; i++) {
		if (filter & BIT(i))
			set_bit(i + MMF_DUMP_FILTER_SHIFT, &mm->flags);
		else
			clear_bit(i + MMF_DUMP_FILTER_SHIFT, &mm->flags);
	}
}

static int img_mm_restore(struct img_load *l)
{
	unsigned long auxv[AT_VECTOR_SIZE];
	struct mm_struct *mm = current->mm;
	struct prctl_mm_map map;
	struct img_mm m;
	int err;

	err = img_note_struct(l, NT_IMG_MM, &m, sizeof(m), NULL);
	if (!err)
		err = img_get_auxv(l, auxv);
	if (!err)
		err = replace_mm_exe_file(mm, l->exe);
	if (err)
		return err;
	img_get_map(&m, &map);
	prctl_mm_map_apply(mm, &map, auxv);
	mm->mmap_base = le64_to_cpu(m.mmap_base);
	mm->mmap_legacy_base = le64_to_cpu(m.mmap_legacy_base);
	if (le64_to_cpu(m.flags) & IMG_MM_THP_DISABLE)
		set_bit(MMF_DISABLE_THP, &mm->flags);
	if (le64_to_cpu(m.flags) & IMG_MM_TOPDOWN)
		set_bit(MMF_TOPDOWN, &mm->flags);
	else
		clear_bit(MMF_TOPDOWN, &mm->flags);
	img_restore_dumpable(le32_to_cpu(m.dumpable));
	img_restore_dump_filter(mm, le32_to_cpu(m.coredump_filter));
	return img_restore_membarrier(le32_to_cpu(m.membarrier));
}

/*
 * PR_SET_MEMORY_MERGE is about all mappings, those excepted that were taken
 * out by MADV_UNMERGEABLE since.  It stays set if the launcher has it.
 */
static int img_finish_merge(struct img_load *l)
{
	unsigned int i;
	int err;

	if (test_bit(MMF_VM_MERGE_ANY, &current->mm->flags))
		return 0;
	err = ksys_prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0);
	for (i = 0; !err && i < l->nr_vmas; i++) {
		const struct img_mapping *m = &l->vmas[i];

		if (m->kind != IMG_VMA_ARCH && !(m->flags & IMG_VMA_MERGEABLE))
			err = do_madvise(current->mm, m->start, m->end - m->start,
					 MADV_UNMERGEABLE);
	}
	return err;
}

static int img_lock_future(u64 flags)
{
	if (!(flags & IMG_MM_LOCK_FUTURE))
		return 0;
	return do_mlockall(MCL_FUTURE | (flags & IMG_MM_LOCK_ONFAULT ? MCL_ONFAULT : 0));
}

/*
 * When all mappings are there, as they may be older than this rule.  Who is
 * under the rule already stays under it as it is, as with prctl(2).
 */
static int img_mm_finish(struct img_load *l)
{
	struct mm_struct *mm = current->mm;
	struct img_mm m;
	int err;

	err = img_note_struct(l, NT_IMG_MM, &m, sizeof(m), NULL);
	if (!err && (le64_to_cpu(m.flags) & IMG_MM_MERGE_ANY))
		err = img_finish_merge(l);
	if (!err)
		err = img_lock_future(le64_to_cpu(m.flags));
	if (err || test_bit(MMF_HAS_MDWE, &mm->flags))
		return err;
	if (le64_to_cpu(m.flags) & IMG_MM_MDWE_NO_INHERIT)
		set_bit(MMF_HAS_MDWE_NO_INHERIT, &mm->flags);
	if (le64_to_cpu(m.flags) & IMG_MM_MDWE)
		set_bit(MMF_HAS_MDWE, &mm->flags);
	return 0;
}

static void img_mm_release(struct img_load *l)
{
	if (l->exe)
		exe_file_allow_write_access(l->exe);
	l->exe = NULL;
}

const struct img_part img_part_mm = {
	.name		= "the address space",
	.note		= NT_IMG_MM,
	.hold		= img_mm_hold,
	.check		= img_mm_check,
	.restore	= img_mm_restore,
	.finish		= img_mm_finish,
	.release	= img_mm_release,
};
