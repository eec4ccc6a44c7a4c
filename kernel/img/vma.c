// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: mappings, described by what mmap(2), mprotect(2), madvise(2)
 * and prctl(PR_SET_VMA) take, and put back through the code of these calls.
 */
#include <linux/binfmts.h>
#include <linux/hugetlb.h>
#include <linux/img.h>
#include <linux/memfd.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/mman.h>
#include <linux/overflow.h>
#include <linux/pkeys.h>
#include <linux/rmap.h>
#include <linux/sched/coredump.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/secretmem.h>
#include <linux/security.h>
#include <linux/slab.h>
#include <linux/userfaultfd_k.h>

#ifdef CONFIG_64BIT
#define IMG_VM_SEALED	VM_SEALED
#else
#define IMG_VM_SEALED	VM_NONE
#endif

/* Everything that a mapping may have; what is not here is refused. */
#define IMG_VM_KNOWN	(VM_ACCESS_FLAGS | VM_SHARED | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC | \
			 VM_MAYSHARE | VM_GROWSDOWN | VM_ACCOUNT | VM_NORESERVE |  \
			 VM_DONTCOPY | VM_WIPEONFORK | VM_DONTDUMP | VM_RAND_READ | \
			 VM_SEQ_READ | VM_HUGEPAGE | VM_NOHUGEPAGE | VM_MERGEABLE | \
			 VM_SOFTDIRTY | VM_LOCKED_MASK | VM_DROPPABLE |		  \
			 IMG_VM_SEALED | ARCH_VM_PKEY_FLAGS)

#define IMG_MAP_KNOWN	(MAP_PRIVATE | MAP_SHARED | MAP_DROPPABLE | MAP_ANONYMOUS | \
			 MAP_GROWSDOWN | MAP_NORESERVE)

/* Characters in the name of a mapping, see prctl(PR_SET_VMA_ANON_NAME). */
#define IMG_VMA_NAME_MAX	79

#define IMG_PROT_KNOWN	(PROT_READ | PROT_WRITE | PROT_EXEC)

/* A flag of a mapping: what it is in the kernel, in the image, for madvise(2). */
struct img_vma_flag {
	vm_flags_t	vm;
	u64		img;
	int		advice;
};

static const struct img_vma_flag img_vma_flags[] = {
	{ VM_ACCOUNT,		IMG_VMA_ACCOUNT,	-1 },
	{ VM_DONTDUMP,		IMG_VMA_DONTDUMP,	MADV_DONTDUMP },
	{ VM_RAND_READ,		IMG_VMA_RANDOM,		MADV_RANDOM },
	{ VM_SEQ_READ,		IMG_VMA_SEQUENTIAL,	MADV_SEQUENTIAL },
	{ VM_WIPEONFORK,	IMG_VMA_WIPEONFORK,	MADV_WIPEONFORK },
	{ VM_HUGEPAGE,		IMG_VMA_HUGEPAGE,	MADV_HUGEPAGE },
	{ VM_NOHUGEPAGE,	IMG_VMA_NOHUGEPAGE,	MADV_NOHUGEPAGE },
	{ VM_MERGEABLE,		IMG_VMA_MERGEABLE,	MADV_MERGEABLE },
	{ IMG_VM_SEALED,	IMG_VMA_SEALED,		-1 },
	/* Last: see img_vma_unlike(). */
	{ VM_DONTCOPY,		IMG_VMA_DONTFORK,	MADV_DONTFORK },
};

#define IMG_VMA_KNOWN							\
	(IMG_VMA_ACCOUNT | IMG_VMA_DONTFORK | IMG_VMA_WIPEONFORK |	\
	 IMG_VMA_DONTDUMP | IMG_VMA_RANDOM | IMG_VMA_SEQUENTIAL |	\
	 IMG_VMA_HUGEPAGE | IMG_VMA_NOHUGEPAGE | IMG_VMA_MERGEABLE |	\
	 IMG_VMA_LOCKED | IMG_VMA_LOCKONFAULT | IMG_VMA_SEALED)

/* Those that madvise(2) is asked for. */
#define IMG_VMA_ADVISED							\
	(IMG_VMA_KNOWN & ~(IMG_VMA_ACCOUNT | IMG_VMA_LOCKED | IMG_VMA_LOCKONFAULT | \
			   IMG_VMA_SEALED))

/* A mapping of a kind that this version cannot carry, by name. */
static const char *img_vma_obstacle(struct vm_area_struct *vma)
{
	if (userfaultfd_armed(vma))
		return "userfaultfd";
	if (is_vm_hugetlb_page(vma))
		return "huge pages of hugetlbfs";
	if (vma_is_secretmem(vma))
		return "secret memory";
	if (vma->vm_flags & VM_SHADOW_STACK)
		return "a shadow stack";
	if (vma->vm_flags & (VM_IO | VM_PFNMAP | VM_MIXEDMAP))
		return "a device mapping";
	if (vma_is_anonymous(vma) && vma->vm_file)
		return "a private mapping of a device";
	if (!vma_is_anonymous(vma) && !vma->vm_file)
		return "a special mapping";
	if (vma->vm_flags & ~IMG_VM_KNOWN)
		return "unknown flags";
	return NULL;
}

/* The first look tells which files are objects. */
static int img_vma_vet(struct img_dump *d, struct vm_area_struct *vma)
{
	const char *obstacle;
	u32 index;
	int ret;

	if (img_arch_vma(vma))
		return 0;
	obstacle = img_vma_obstacle(vma);
	if (obstacle)
		return img_dump_refuse(d, -EOPNOTSUPP, "%s", obstacle);
	ret = vma->vm_file ? img_object_index(d, vma->vm_file, vma, &index) : 0;
	return min(ret, 0);
}

/* The second look is at files that are none. */
static int img_vma_vet_file(struct img_dump *d, struct vm_area_struct *vma)
{
	u32 index;
	int ret;

	if (img_arch_vma(vma) || !vma->vm_file)
		return 0;
	ret = img_object_index(d, vma->vm_file, vma, &index);
	if (ret)
		return min(ret, 0);
	ret = img_file_index(d, vma->vm_file, &index);
	if (!ret && vma_is_shared_maywrite(vma))
		img_file_write(d, vma->vm_file);
	return ret;
}

static int img_vma_vet_all(struct img_dump *d,
			   int (*vet)(struct img_dump *d, struct vm_area_struct *vma))
{
	VMA_ITERATOR(vmi, d->mm, 0);
	struct vm_area_struct *vma;
	int err = 0;

	for_each_vma(vmi, vma) {
		err = vet(d, vma);
		if (err)
			break;
	}
	return err;
}

/* The snapshot does not show everything that is refused: ask the original. */
static int img_vma_hold(struct img_dump *d)
{
	int err;

	if (mmap_read_lock_killable(d->mm))
		return -EINTR;
	err = 0;
	if (test_bit(MMF_HAS_UPROBES, &d->mm->flags))
		err = img_dump_refuse(d, -EOPNOTSUPP, "uprobes");
#ifdef CONFIG_AIO
	if (!err && rcu_access_pointer(d->mm->ioctx_table))
		err = img_dump_refuse(d, -EOPNOTSUPP, "AIO contexts");
#endif
	if (!err)
		err = img_vma_vet_all(d, img_vma_vet);
	if (!err)
		err = img_vma_vet_all(d, img_vma_vet_file);
	mmap_read_unlock(d->mm);
	return err;
}

static u32 img_vma_prot(struct vm_area_struct *vma)
{
	return (vma->vm_flags & VM_READ ? PROT_READ : 0) |
	       (vma->vm_flags & VM_WRITE ? PROT_WRITE : 0) |
	       (vma->vm_flags & VM_EXEC ? PROT_EXEC : 0);
}

static u32 img_vma_map_type(struct vm_area_struct *vma)
{
	if (vma->vm_flags & VM_DROPPABLE)
		return MAP_DROPPABLE;
	return vma->vm_flags & VM_MAYSHARE ? MAP_SHARED : MAP_PRIVATE;
}

static u32 img_vma_map(struct vm_area_struct *vma)
{
	return img_vma_map_type(vma) |
	       (vma->vm_file ? 0 : MAP_ANONYMOUS) |
	       (vma->vm_flags & VM_GROWSDOWN ? MAP_GROWSDOWN : 0) |
	       (vma->vm_flags & VM_NORESERVE ? MAP_NORESERVE : 0);
}

static int img_save_name(struct vm_area_struct *vma, struct img_vma *to,
			 struct img_buf *names)
{
	struct anon_vma_name *name = anon_vma_name(vma);

	to->name_off = cpu_to_le32(IMG_NONE);
	if (!name)
		return 0;
	return img_buf_add_string(names, name->name, &to->name_off);
}

static int img_save_vma(struct img_dump *d, struct vm_area_struct *vma,
			struct img_vma *to, struct img_buf *names)
{
	u32 kind = IMG_VMA_ANON, index = IMG_NONE;
	u64 flags = 0;
	unsigned int i;
	int err;

	if (img_arch_vma(vma)) {
		kind = IMG_VMA_ARCH;
	} else if (vma->vm_file) {
		kind = IMG_VMA_OBJECT;
		if (!img_object_find(d, vma->vm_file, &index)) {
			kind = IMG_VMA_FILE;
			err = img_file_index(d, vma->vm_file, &index);
			if (err)
				return err;
		}
		to->file_off = cpu_to_le64((u64)vma->vm_pgoff << PAGE_SHIFT);
	}
	for (i = 0; i < ARRAY_SIZE(img_vma_flags); i++) {
		if (kind != IMG_VMA_ARCH && (vma->vm_flags & img_vma_flags[i].vm))
			flags |= img_vma_flags[i].img;
	}
	if (kind != IMG_VMA_ARCH)
		flags |= img_lock_flags(d, vma);
	to->start = cpu_to_le64(vma->vm_start);
	to->end = cpu_to_le64(vma->vm_end);
	to->flags = cpu_to_le64(flags);
	to->prot = cpu_to_le32(img_vma_prot(vma));
	to->map = cpu_to_le32(img_vma_map(vma));
	to->kind = cpu_to_le32(kind);
	to->file = cpu_to_le32(index);
	to->pkey = cpu_to_le32(vma_pkey(vma));
	return img_save_name(vma, to, names);
}

static int img_write_vmas(struct img_dump *d, struct img_buf *vmas, struct img_buf *names)
{
	struct img_vmas head = { .size = cpu_to_le32(sizeof(head)) };
	struct img_vma *v = vmas->data;
	u32 i, nr = vmas->len / sizeof(*v);
	void *desc;

	head.vma_size = cpu_to_le32(sizeof(*v));
	head.nr = cpu_to_le32(nr);
	head.vmas_off = cpu_to_le32(sizeof(head));
	desc = img_note_add(d, IMG_NOTE_NAME, NT_IMG_VMA,
			    sizeof(head) + vmas->len + names->len);
	if (!desc)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		if (v[i].name_off != cpu_to_le32(IMG_NONE))
			le32_add_cpu(&v[i].name_off, sizeof(head) + vmas->len);
	}
	memcpy(desc, &head, sizeof(head));
	memcpy(desc + sizeof(head), vmas->data, vmas->len);
	memcpy(desc + sizeof(head) + vmas->len, names->data, names->len);
	return 0;
}

static int img_vma_save(struct img_dump *d)
{
	VMA_ITERATOR(vmi, d->mm, 0);
	struct img_buf vmas = {}, names = {};
	struct vm_area_struct *vma;
	int err = 0;

	mmap_read_lock(d->mm);
	for_each_vma(vmi, vma) {
		struct img_vma *to = img_buf_add(&vmas, sizeof(*to));

		err = to ? img_save_vma(d, vma, to, &names) : -ENOMEM;
		if (err)
			break;
	}
	mmap_read_unlock(d->mm);
	if (!err)
		err = img_write_vmas(d, &vmas, &names);
	img_buf_free(&vmas);
	img_buf_free(&names);
	return err;
}

/* As prctl(PR_SET_VMA_ANON_NAME). */
static bool img_name_ok(const char *name)
{
	size_t i;

	for (i = 0; name[i]; i++) {
		if (i == IMG_VMA_NAME_MAX || name[i] <= 0x1f || name[i] >= 0x7f ||
		    strchr("\\`$[]", name[i]))
			return false;
	}
	return true;
}

static int img_parse_vma(struct img_load *l, const struct img_note *note,
			 const struct img_vma *v, struct img_mapping *m)
{
	u32 name_off = le32_to_cpu(v->name_off);

	m->start = le64_to_cpu(v->start);
	m->end = le64_to_cpu(v->end);
	m->file_off = le64_to_cpu(v->file_off);
	m->flags = le64_to_cpu(v->flags);
	m->prot = le32_to_cpu(v->prot);
	m->map = le32_to_cpu(v->map);
	m->kind = le32_to_cpu(v->kind);
	m->pkey = le32_to_cpu(v->pkey);
	if (name_off != IMG_NONE) {
		m->name = img_note_string(note, name_off);
		if (!m->name || !img_name_ok(m->name))
			return img_load_refuse(l, -EBADMSG, "bad name of a mapping");
	}
	m->object = IMG_NONE;
	if (m->kind != IMG_VMA_OBJECT)
		return img_file_get(l, le32_to_cpu(v->file), &m->file);
	m->object = le32_to_cpu(v->file);
	return img_object_get(l, m->object, &m->file);
}

/* As do_mmap() will: nobody maps for writing what is not open for that. */
static bool img_shared_ok(const struct img_mapping *m)
{
	unsigned long flags = VM_SHARED | VM_WRITE;

	if (!(m->map & MAP_SHARED))
		return true;
	if (m->flags & IMG_VMA_ACCOUNT)
		return false;
	if (!(m->prot & PROT_WRITE))
		return true;
	return (m->file->f_mode & FMODE_WRITE) && !memfd_check_seals_mmap(m->file, &flags);
}

/* A mapping of a file or an object. */
static int img_check_file_vma(struct img_load *l, const struct img_mapping *m)
{
	u64 last;

	if (!m->file || (m->map & (MAP_ANONYMOUS | MAP_GROWSDOWN)) ||
	    (m->flags & IMG_VMA_WIPEONFORK) || (m->name && m->kind == IMG_VMA_FILE) ||
	    !PAGE_ALIGNED(m->file_off) ||
	    check_add_overflow(m->file_off, m->end - m->start, &last) ||
	    last > MAX_LFS_FILESIZE || !img_shared_ok(m))
		return -EBADMSG;
	if ((m->prot & PROT_EXEC) && path_noexec(&m->file->f_path))
		return img_load_refuse(l, -EACCES, "%pD2 is on a noexec mount", m->file);
	return 0;
}

static int img_check_anon_vma(const struct img_mapping *m)
{
	u32 type = m->map & MAP_TYPE;

	if (!(m->map & MAP_ANONYMOUS) || type == MAP_SHARED)
		return -EBADMSG;
	/* These make no sense together for mmap(2) either. */
	if (type == MAP_DROPPABLE && (m->map & MAP_GROWSDOWN))
		return -EBADMSG;
	return 0;
}

/* One mapping, on its own. */
static int img_check_vma(struct img_load *l, const struct img_mapping *m)
{
	u32 type = m->map & MAP_TYPE;

	if (m->flags & ~IMG_VMA_KNOWN || m->map & ~IMG_MAP_KNOWN ||
	    m->prot & ~IMG_PROT_KNOWN || m->kind > IMG_VMA_OBJECT)
		return img_load_refuse(l, -EOPNOTSUPP, "mapping at %lx has unknown flags",
				       m->start);
	if (!PAGE_ALIGNED(m->start) || !PAGE_ALIGNED(m->end) || m->start >= m->end ||
	    m->end > TASK_SIZE_MAX || m->start < mmap_min_addr ||
	    (type != MAP_SHARED && type != MAP_PRIVATE && type != MAP_DROPPABLE))
		return -EBADMSG;
	if (type == MAP_DROPPABLE && (!VM_DROPPABLE || m->kind != IMG_VMA_ANON))
		return -EBADMSG;
	if (m->pkey >= arch_max_pkey())
		return img_load_refuse(l, -ENODEV, "mapping at %lx has protection key %u",
				       m->start, m->pkey);
	if (m->kind == IMG_VMA_FILE || m->kind == IMG_VMA_OBJECT)
		return img_check_file_vma(l, m);
	if (m->file || m->file_off)
		return -EBADMSG;
	return m->kind == IMG_VMA_ANON ? img_check_anon_vma(m) : 0;
}

/*
 * Memory that was writable once, or has pages of its own: no image has such
 * pages for free.
 */
static bool img_vma_charged(struct img_load *l, const struct img_mapping *m)
{
	return (m->flags & IMG_VMA_ACCOUNT) ||
	       (m->kind != IMG_VMA_ARCH && img_pages_any(l, m));
}

/* What would fail past the point of no return for want of resources. */
static int img_check_limits(struct img_load *l)
{
	bool mdwe = test_bit(MMF_HAS_MDWE, &l->bprm->mm->flags);
	u64 total = 0, data = 0;
	unsigned int i;

	for (i = 0; i < l->nr_vmas; i++) {
		const struct img_mapping *m = &l->vmas[i];

		total += m->end - m->start;
		if ((m->map & MAP_TYPE) != MAP_SHARED && !(m->map & MAP_GROWSDOWN) &&
		    ((m->prot & PROT_WRITE) || img_vma_charged(l, m)))
			data += m->end - m->start;
		if (mdwe && (m->prot & PROT_EXEC) && (m->prot & PROT_WRITE))
			return img_load_refuse(l, -EACCES,
					       "writable and executable memory is denied");
	}
	if (total > rlimit(RLIMIT_AS) || data > rlimit(RLIMIT_DATA))
		return img_load_refuse(l, -ENOMEM, "%llu bytes of mappings are over the limit",
				       total);
	return 0;
}

static int img_vma_check(struct img_load *l)
{
	const struct img_note *note;
	struct img_vmas head;
	unsigned long last = 0;
	const void *table;
	u32 i;
	int err;

	err = img_note_struct(l, NT_IMG_VMA, &head, sizeof(head), &note);
	if (err)
		return err;
	l->nr_vmas = le32_to_cpu(head.nr);
	table = img_note_array(note, le32_to_cpu(head.vmas_off), l->nr_vmas,
			       le32_to_cpu(head.vma_size), sizeof(struct img_vma));
	if (!table)
		return img_load_refuse(l, -EBADMSG, "bad mappings note");
	if (l->nr_vmas > sysctl_max_map_count)
		return img_load_refuse(l, -ENOMEM, "%u mappings", l->nr_vmas);
	l->vmas = kvcalloc(l->nr_vmas + 1, sizeof(*l->vmas), GFP_KERNEL_ACCOUNT);
	if (!l->vmas)
		return -ENOMEM;
	for (i = 0; i < l->nr_vmas; i++) {
		struct img_vma v;

		memcpy(&v, table + (size_t)i * le32_to_cpu(head.vma_size), sizeof(v));
		err = img_parse_vma(l, note, &v, &l->vmas[i]);
		if (!err)
			err = img_check_vma(l, &l->vmas[i]);
		if (!err && (l->vmas[i].start < last || v.pad || v.pad2))
			err = -EBADMSG;
		if (err == -EBADMSG)
			img_load_refuse(l, err, "bad mapping %u at %lx", i, l->vmas[i].start);
		if (err)
			return err;
		last = l->vmas[i].end;
	}
	err = img_arch_check_vmas(l);
	return err ?: img_check_limits(l);
}

static bool img_same_name(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

/*
 * Would the kernel make one mapping of these two?  In the dumped process it
 * did not, because their pages belong to different anon_vmas.
 */
static bool img_vma_twins(const struct img_mapping *a, const struct img_mapping *b)
{
	return a->end == b->start && a->prot == b->prot && a->map == b->map &&
	       a->kind == b->kind && a->flags == b->flags && a->file == b->file &&
	       (!a->file || a->file_off + (a->end - a->start) == b->file_off) &&
	       (a->map & MAP_TYPE) != MAP_SHARED && a->kind != IMG_VMA_ARCH &&
	       a->pkey == b->pkey && img_same_name(a->name, b->name);
}

/* Give a mapping an anon_vma of its own, which is never merged with another. */
static int img_vma_own(const struct img_mapping *m)
{
	struct vm_area_struct *vma;
	int err = -EFAULT;

	mmap_read_lock(current->mm);
	vma = vma_lookup(current->mm, m->start);
	if (vma)
		err = anon_vma_prepare(vma);
	mmap_read_unlock(current->mm);
	return err;
}

/*
 * Mapped with this protection at first: what was writable once, or has pages of
 * its own, is charged to the commit limit as any such memory; and a twin must not
 * look like the mapping before it, which has its final protection already.
 */
static u32 img_first_prot(struct img_load *l, const struct img_mapping *m, bool twin)
{
	/* No way from writable to executable under this rule. */
	if (test_bit(MMF_HAS_MDWE, &current->mm->flags) && (m->prot & PROT_EXEC))
		return m->prot;
	if (!(m->prot & PROT_WRITE) && img_vma_charged(l, m))
		return PROT_READ | PROT_WRITE;
	if (!twin)
		return m->prot;
	return m->prot == PROT_NONE ? PROT_READ : PROT_NONE;
}

static int img_vma_advise(const struct img_mapping *m, int advice)
{
	return do_madvise(current->mm, m->start, m->end - m->start, advice);
}

/*
 * While a mapping is made, a twin of the one before it is told apart by an
 * advice that anon_vma_prepare() looks at: else both would share an anon_vma,
 * and become one when the last difference is gone.
 */
static int img_vma_unlike(const struct img_mapping *m, bool begin)
{
	bool dontfork = m->flags & IMG_VMA_DONTFORK;

	return img_vma_advise(m, begin == dontfork ? MADV_DOFORK : MADV_DONTFORK);
}

static int img_vma_advices(const struct img_mapping *m, bool twin)
{
	unsigned int i, n = m->flags & IMG_VMA_ADVISED ? ARRAY_SIZE(img_vma_flags) : 0;
	int err = 0;

	for (i = 0; !err && i < n; i++) {
		const struct img_vma_flag *f = &img_vma_flags[i];

		if ((m->flags & f->img) && f->advice >= 0 &&
		    !(twin && f->img == IMG_VMA_DONTFORK))
			err = img_vma_advise(m, f->advice);
		/* Advice for an option that this kernel does not have. */
		if (err == -EINVAL && (f->img & (IMG_VMA_HUGEPAGE | IMG_VMA_NOHUGEPAGE |
						 IMG_VMA_MERGEABLE)))
			err = 0;
	}
	if (!err && twin)
		err = img_vma_unlike(m, false);
	return err;
}

static int img_vma_name(const struct img_mapping *m)
{
	struct anon_vma_name *name;
	int err;

	if (!m->name || !IS_ENABLED(CONFIG_ANON_VMA_NAME))
		return 0;
	name = anon_vma_name_alloc(m->name);
	if (!name)
		return -ENOMEM;
	mmap_write_lock(current->mm);
	err = madvise_set_anon_name(current->mm, m->start, m->end - m->start, name);
	mmap_write_unlock(current->mm);
	anon_vma_name_put(name);
	return err;
}

static int img_restore_vma(struct img_load *l, const struct img_mapping *m, bool twin,
			   bool next_twin)
{
	u32 prot = img_first_prot(l, m, twin);
	unsigned long addr;
	int err = 0;

	addr = vm_mmap(m->file, m->start, m->end - m->start, prot,
		       m->map | MAP_FIXED_NOREPLACE, m->file_off);
	if (IS_ERR_VALUE(addr))
		return addr;
	if (addr != m->start)
		return -EADDRNOTAVAIL;
	if (twin)
		err = img_vma_unlike(m, true);
	if (!err && (twin || next_twin))
		err = img_vma_own(m);
	if (!err)
		err = img_policy_apply(l, m);
	if (!err)
		err = img_vma_name(m);
	if (!err && (m->map & MAP_PRIVATE))
		err = img_pages_fill(l, m);
	if (!err && prot != m->prot)
		err = do_mprotect_pkey(m->start, m->end - m->start, m->prot, -1);
	if (!err)
		err = img_vma_advices(m, twin);
	/* We have no right to populate what has a key. */
	if (!err)
		err = img_lock_mapping(m);
	if (!err && m->pkey)
		err = do_mprotect_pkey(m->start, m->end - m->start, m->prot, m->pkey);
	return err;
}

static int img_vma_restore(struct img_load *l)
{
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < l->nr_vmas; i++) {
		const struct img_mapping *m = &l->vmas[i];
		bool twin = i && img_vma_twins(m - 1, m);
		bool next = i + 1 < l->nr_vmas && img_vma_twins(m, m + 1);

		if (m->kind == IMG_VMA_ARCH)
			continue;
		err = img_restore_vma(l, m, twin, next);
		if (err)
			img_load_refuse(l, err, "mapping at %lx", m->start);
		cond_resched();
	}
	return err;
}

static void img_vma_release(struct img_load *l)
{
	kvfree(l->vmas);
	l->vmas = NULL;
	l->nr_vmas = 0;
}

const struct img_part img_part_vma = {
	.name		= "mappings",
	.note		= NT_IMG_VMA,
	.hold		= img_vma_hold,
	.save		= img_vma_save,
	.check		= img_vma_check,
	.restore	= img_vma_restore,
	.release	= img_vma_release,
};
