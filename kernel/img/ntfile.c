// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: NT_FILE, which tells debuggers what file is mapped where.
 * A resume reads struct img_vma and struct img_file instead.
 */
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/img.h>
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/slab.h>

/* One mapping in the note, as fill_files_note() of fs/binfmt_elf.c has it. */
struct img_nt_file {
	elf_addr_t	start;
	elf_addr_t	end;
	elf_addr_t	pgoff;
};

static int img_add_nt_file(struct vm_area_struct *vma, struct img_buf *maps,
			   struct img_buf *names, char *page)
{
	struct img_nt_file *map = img_buf_add(maps, sizeof(*map));
	char *name = d_path(file_user_path(vma->vm_file), page, PATH_MAX);

	if (IS_ERR(name))
		name = "";
	if (!map)
		return -ENOMEM;
	map->start = vma->vm_start;
	map->end = vma->vm_end;
	map->pgoff = vma->vm_pgoff;
	return img_buf_add_string(names, name, NULL);
}

static int img_write_nt_file(struct img_dump *d, struct img_buf *maps, struct img_buf *names)
{
	elf_addr_t head[2] = { maps->len / sizeof(struct img_nt_file), PAGE_SIZE };
	void *desc = img_note_add(d, "CORE", NT_FILE, sizeof(head) + maps->len + names->len);

	if (!desc)
		return -ENOMEM;
	memcpy(desc, head, sizeof(head));
	memcpy(desc + sizeof(head), maps->data, maps->len);
	memcpy(desc + sizeof(head) + maps->len, names->data, names->len);
	return 0;
}

static int img_ntfile_save(struct img_dump *d)
{
	VMA_ITERATOR(vmi, d->mm, 0);
	struct img_buf maps = {}, names = {};
	struct vm_area_struct *vma;
	char *page;
	int err = 0;

	page = kmalloc(PATH_MAX, GFP_KERNEL_ACCOUNT);
	if (!page)
		return -ENOMEM;
	mmap_read_lock(d->mm);
	for_each_vma(vmi, vma) {
		if (vma->vm_file)
			err = img_add_nt_file(vma, &maps, &names, page);
		if (err)
			break;
	}
	mmap_read_unlock(d->mm);
	if (!err)
		err = img_write_nt_file(d, &maps, &names);
	img_buf_free(&maps);
	img_buf_free(&names);
	kfree(page);
	return err;
}

const struct img_part img_part_ntfile = {
	.name	= "mapped file names",
	.save	= img_ntfile_save,
};
