// SPDX-License-Identifier: GPL-2.0
/*
 * Process images on x86-64: the vDSO.
 *
 * The kernel maps its own where the process had it.  Its addresses are all over
 * the memory of a process, so it must have the same content.
 */
#include <linux/cache.h>
#include <linux/elf.h>
#include <linux/init.h>
#include <linux/mm.h>
#include <linux/security.h>
#include <crypto/sha2.h>
#include <asm/vdso.h>

#include "img.h"

/* The .note section tells the kernel's version; the code does not depend on it. */
static void __init img_vdso_note(const struct vdso_image *image, size_t *start, size_t *end)
{
	const struct elf64_hdr *ehdr = image->data;
	const struct elf64_phdr *phdr = image->data + ehdr->e_phoff;
	unsigned int i;

	*start = 0;
	*end = 0;
	for (i = 0; i < ehdr->e_phnum; i++) {
		if (phdr[i].p_type == PT_NOTE) {
			*start = phdr[i].p_offset;
			*end = phdr[i].p_offset + phdr[i].p_filesz;
			return;
		}
	}
}

/* That of this kernel, which does not change any more after its alternatives were chosen. */
static u8 img_vdso_digest[SHA256_DIGEST_SIZE] __ro_after_init;

static int __init img_vdso_init(void)
{
	const struct vdso_image *image = &vdso_image_64;
	struct sha256_state state;
	size_t start, end, i;

	img_vdso_note(image, &start, &end);
	sha256_init(&state);
	sha256_update(&state, image->data, start);
	for (i = start; i < end; i++)
		sha256_update(&state, (const u8 *)"", 1);
	sha256_update(&state, image->data + end, image->size - end);
	sha256_final(&state, img_vdso_digest);
	return 0;
}

late_initcall(img_vdso_init);

/* What a program can do to them, and is not done again. */
#define IMG_VM_ADVISED	(VM_SEALED | VM_DONTCOPY | VM_RAND_READ | VM_SEQ_READ | \
			 VM_HUGEPAGE | VM_NOHUGEPAGE)

static bool img_vdso_is(struct vm_area_struct *vma)
{
	unsigned long vdso = (unsigned long)vma->vm_mm->context.vdso;

	return vdso && vma->vm_start == vdso && !vma->vm_file && !vma_is_anonymous(vma);
}

static bool img_vvar_is(struct vm_area_struct *vma)
{
	const struct vdso_image *image = vma->vm_mm->context.vdso_image;
	unsigned long vdso = (unsigned long)vma->vm_mm->context.vdso;

	return vdso && image && vma->vm_start == vdso + image->sym_vvar_start &&
	       !vma->vm_file && !vma_is_anonymous(vma);
}

/**
 * img_arch_vma() - is a mapping put back by the architecture?
 * @vma: the mapping
 *
 * Context: the mmap lock is held.
 * Return: true for the vDSO and the vvar area.
 */
bool img_arch_vma(struct vm_area_struct *vma)
{
	return img_vdso_is(vma) || img_vvar_is(vma);
}

/**
 * img_arch_vma_readable() - are its pages worth having in the image?
 * @vma: a mapping
 *
 * Context: the mmap lock is held.
 * Return: true for the vDSO, whose symbols debuggers want.
 */
bool img_arch_vma_readable(struct vm_area_struct *vma)
{
	return img_vdso_is(vma);
}

/* Both mappings whole and as they were made, or neither. */
static int img_vdso_vet(struct img_dump *d, bool *present)
{
	const struct vdso_image *image = d->mm->context.vdso_image;
	unsigned long vdso = (unsigned long)d->mm->context.vdso;
	struct vm_area_struct *text, *vvar;
	bool whole;

	*present = false;
	if (!vdso || !image)
		return 0;
	mmap_read_lock(d->mm);
	text = vma_lookup(d->mm, vdso);
	vvar = vma_lookup(d->mm, vdso + image->sym_vvar_start);
	*present = text && img_vdso_is(text);
	whole = *present && vvar && img_vvar_is(vvar) && vvar->vm_end == vdso &&
		text->vm_end == vdso + image->size && !text->anon_vma &&
		!((text->vm_flags | vvar->vm_flags) & IMG_VM_ADVISED) &&
		(text->vm_flags & (VM_ACCESS_FLAGS | VM_DONTDUMP)) == (VM_READ | VM_EXEC) &&
		(vvar->vm_flags & VM_ACCESS_FLAGS) == VM_READ;
	if (!*present && vvar && img_vvar_is(vvar))
		*present = true;
	mmap_read_unlock(d->mm);
	if (*present && (!whole || image != &vdso_image_64))
		return img_dump_refuse(d, -EOPNOTSUPP, "a modified vDSO");
	return 0;
}

/**
 * img_vdso_save() - where the vDSO is, and which it is
 * @d: the dump
 * @a: the note of the architecture, to be filled in
 *
 * Context: the target is running again; takes the mmap lock of the snapshot.
 * Return: 0, or -EOPNOTSUPP if it is not as the kernel made it.
 */
int img_vdso_save(struct img_dump *d, struct img_arch_x86 *a)
{
	bool present;
	int err = img_vdso_vet(d, &present);

	if (err || !present)
		return err;
	a->vvar_size = cpu_to_le32(-vdso_image_64.sym_vvar_start);
	a->vdso = cpu_to_le64((unsigned long)d->mm->context.vdso);
	a->vdso_size = cpu_to_le64(vdso_image_64.size);
	memcpy(a->vdso_digest, img_vdso_digest, sizeof(a->vdso_digest));
	return 0;
}

/**
 * img_vdso_check() - is the vDSO of this kernel that of the image?
 * @l: the image
 * @a: the note of the architecture, from the image
 *
 * Return: 0, -ELIBACC, or -EBADMSG if it cannot be where the note says; having
 *	logged the reason.
 */
int img_vdso_check(struct img_load *l, const struct img_arch_x86 *a)
{
	u64 vdso = le64_to_cpu(a->vdso), vvar_size = le32_to_cpu(a->vvar_size);

	if (!vdso)
		return 0;
	if (le64_to_cpu(a->vdso_size) != vdso_image_64.size ||
	    vvar_size != -vdso_image_64.sym_vvar_start ||
	    memcmp(img_vdso_digest, a->vdso_digest, sizeof(img_vdso_digest)))
		return img_load_refuse(l, -ELIBACC, "this kernel has another vDSO");
	if (!PAGE_ALIGNED(vdso) || vdso < vvar_size + mmap_min_addr || vdso >= TASK_SIZE_MAX ||
	    vdso_image_64.size > TASK_SIZE_MAX - vdso)
		return img_load_refuse(l, -EBADMSG, "bad place of the vDSO");
	return 0;
}

/**
 * img_arch_check_vmas() - are the mappings of the architecture as its note says?
 * @l: the image, @l->vmas parsed
 *
 * Return: 0 or -EBADMSG, having logged the reason.
 */
int img_arch_check_vmas(struct img_load *l)
{
	struct img_arch_x86 a;
	unsigned int i, n = 0;
	u64 vdso, vvar;
	int err;

	err = img_arch_note(l, &a);
	if (err)
		return err;
	vdso = le64_to_cpu(a.vdso);
	vvar = vdso - le32_to_cpu(a.vvar_size);
	for (i = 0; i < l->nr_vmas; i++) {
		const struct img_mapping *m = &l->vmas[i];

		if (m->kind != IMG_VMA_ARCH)
			continue;
		n++;
		if (!vdso || (m->start != vdso && m->start != vvar) ||
		    m->end != (m->start == vdso ? vdso + le64_to_cpu(a.vdso_size) : vdso))
			return img_load_refuse(l, -EBADMSG, "bad mapping at %lx", m->start);
	}
	if (n != (vdso ? 2 : 0))
		return img_load_refuse(l, -EBADMSG, "%u mappings of the vDSO", n);
	return 0;
}

/**
 * img_vdso_restore() - map the vDSO where it was
 * @a: the note of the architecture, checked
 *
 * Context: the address space is empty.
 * Return: 0 or a negative errno.
 */
int img_vdso_restore(const struct img_arch_x86 *a)
{
	unsigned long vdso = le64_to_cpu(a->vdso);
	int err;

	if (!vdso)
		return 0;
	err = map_vdso_once(&vdso_image_64, vdso - le32_to_cpu(a->vvar_size));
	if (err)
		return err;
	/* The address was taken as a hint. */
	if ((unsigned long)current->mm->context.vdso != vdso)
		return -EADDRNOTAVAIL;
	return 0;
}
