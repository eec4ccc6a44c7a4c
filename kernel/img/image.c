// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: the container, written and read in one place.  An ELF core
 * file with notes, which note.c knows more of.
 *
 *	ELF header | program headers | section header (PN_XNUM only) | notes |
 *	padding to a page | contents of objects | pages
 *
 * Program header 0 is the PT_NOTE with all notes, the others are PT_LOADs.
 */
#include <linux/binfmts.h>
#include <linux/crc32c.h>
#include <linux/elf.h>
#include <linux/img.h>
#include <linux/mm.h>
#include <linux/nsproxy.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/time_namespace.h>
#include <linux/timekeeping.h>
#include <linux/utsname.h>

#ifndef ELF_CORE_EFLAGS
#define ELF_CORE_EFLAGS	0
#endif

/* Program headers for which there is no room in any image. */
#define IMG_LOADS_MAX	(IMG_HEAD_MAX / sizeof(struct elf_phdr))

/* What is read before the length of headers and notes is known. */
#define IMG_HEAD_FIRST	SZ_8K

/* Offset of the header note's descriptor from the beginning of the notes. */
#define IMG_HDR_DESC	(sizeof(struct elf_note) + sizeof(IMG_NOTE_NAME))

/* In pieces, since each runs with preemption off where it uses the FPU. */
static u32 img_crc(const void *data, size_t len)
{
	u32 crc = ~0;

	while (len) {
		size_t n = min_t(size_t, len, SZ_64K);

		crc = crc32c(crc, data, n);
		data += n;
		len -= n;
		cond_resched();
	}
	return ~crc;
}

static void img_fill_elf_header(struct img_dump *d, struct elfhdr *elf, u32 phnum,
				bool xnum)
{
	memcpy(elf->e_ident, ELFMAG, SELFMAG);
	elf->e_ident[EI_CLASS] = ELF_CLASS;
	elf->e_ident[EI_DATA] = ELF_DATA;
	elf->e_ident[EI_VERSION] = EV_CURRENT;
	elf->e_ident[EI_OSABI] = ELF_OSABI;
	memcpy(elf->e_ident + IMG_IDENT_POS, IMG_IDENT, IMG_IDENT_LEN);
	elf->e_ident[IMG_IDENT_POS + IMG_IDENT_LEN] = IMG_VERSION;
	elf->e_type = ET_CORE;
	elf->e_machine = ELF_ARCH;
	elf->e_version = EV_CURRENT;
	elf->e_phoff = sizeof(*elf);
	elf->e_flags = ELF_CORE_EFLAGS;
	elf->e_ehsize = sizeof(*elf);
	elf->e_phentsize = sizeof(struct elf_phdr);
	elf->e_phnum = phnum;
	if (xnum) {
		struct elf_shdr *shdr;

		elf->e_phnum = PN_XNUM;
		elf->e_shoff = sizeof(*elf) + phnum * sizeof(struct elf_phdr);
		elf->e_shentsize = sizeof(*shdr);
		elf->e_shnum = 1;
		elf->e_shstrndx = SHN_UNDEF;
		shdr = (void *)elf + elf->e_shoff;
		shdr->sh_type = SHT_NULL;
		shdr->sh_size = elf->e_shnum;
		shdr->sh_link = elf->e_shstrndx;
		shdr->sh_info = phnum;
	}
}

static void img_fill_load(struct elf_phdr *phdr, struct vm_area_struct *vma,
			  unsigned long start, unsigned long end, loff_t pos,
			  bool present)
{
	phdr->p_type = PT_LOAD;
	phdr->p_offset = pos;
	phdr->p_vaddr = start;
	phdr->p_filesz = present ? end - start : 0;
	phdr->p_memsz = end - start;
	if (vma->vm_flags & VM_READ)
		phdr->p_flags |= PF_R;
	if (vma->vm_flags & VM_WRITE)
		phdr->p_flags |= PF_W;
	if (vma->vm_flags & VM_EXEC)
		phdr->p_flags |= PF_X;
	phdr->p_align = PAGE_SIZE;
}

/* A gap between runs: what is mapped of an object may be in the image, too. */
static size_t img_make_views(struct img_dump *d, struct vm_area_struct *vma,
			     unsigned long addr, unsigned long gap_end, struct elf_phdr *phdr)
{
	size_t n = 0;

	while (addr < gap_end && n <= IMG_LOADS_MAX) {
		unsigned long end = gap_end;
		loff_t pos = 0;
		bool present = img_object_run(d, vma, addr, &end, &pos);

		if (phdr)
			img_fill_load(phdr + n, vma, addr, end, d->data_off + pos, present);
		addr = end;
		n++;
	}
	return n;
}

/*
 * Make the PT_LOADs: one for each run, one without contents for each gap
 * between runs, so that together they are the whole address space.  With a
 * NULL @phdr, count only; an object with many runs may be mapped many times, so
 * do not count on when there are too many already.
 */
static ssize_t img_make_loads(struct img_dump *d, struct elf_phdr *phdr)
{
	VMA_ITERATOR(vmi, d->mm, 0);
	struct vm_area_struct *vma;
	loff_t pos = d->data_off + d->store_len;
	size_t n = 0, i = 0;
	int err = 0;

	mmap_read_lock(d->mm);
	for_each_vma(vmi, vma) {
		unsigned long addr = vma->vm_start, end;

		if (n > IMG_LOADS_MAX)
			err = img_dump_refuse(d, -EFBIG, "too many mappings or page runs");
		else if (fatal_signal_pending(current))
			err = -EINTR;
		if (err)
			break;
		cond_resched();
		for (; addr < vma->vm_end; addr = end) {
			struct img_run *run = i < d->nr_runs ? &d->runs[i] : NULL;

			if (!run || run->start != addr) {
				end = run ? min(run->start, vma->vm_end) : vma->vm_end;
				n += img_make_views(d, vma, addr, end, phdr ? phdr + n : NULL);
				continue;
			}
			end = run->end;
			if (phdr)
				img_fill_load(phdr + n, vma, addr, end, pos, true);
			run->pos = pos;
			pos += end - addr;
			n++;
			i++;
		}
	}
	mmap_read_unlock(d->mm);
	d->length = pos;
	return err ?: (ssize_t)n;
}

/* The clocks as the target sees them. */
static void img_fill_clocks(struct img_dump *d, struct img_header *hdr)
{
	struct timespec64 mono, boot;

	ktime_get_ts64(&mono);
	ktime_get_boottime_ts64(&boot);
#ifdef CONFIG_TIME_NS
	task_lock(d->task);
	if (d->task->nsproxy) {
		struct timens_offsets *off = &d->task->nsproxy->time_ns->offsets;

		mono = timespec64_add(mono, off->monotonic);
		boot = timespec64_add(boot, off->boottime);
	}
	task_unlock(d->task);
#endif
	hdr->wall_ns = cpu_to_le64(ktime_get_real_ns());
	hdr->mono_ns = cpu_to_le64(timespec64_to_ns(&mono));
	hdr->boot_ns = cpu_to_le64(timespec64_to_ns(&boot));
}

static void img_fill_header(struct img_dump *d, struct img_header *hdr, size_t head_len)
{
	struct new_utsname *uts = utsname();

	hdr->size = cpu_to_le32(sizeof(*hdr));
	hdr->version = cpu_to_le32(IMG_VERSION);
	hdr->length = cpu_to_le64(d->length);
	hdr->head_len = cpu_to_le64(head_len);
	hdr->data_off = cpu_to_le64(d->data_off);
	hdr->page_size = cpu_to_le32(PAGE_SIZE);
	hdr->machine = cpu_to_le32(ELF_ARCH);
	hdr->nr_threads = cpu_to_le32(d->nr_threads);
	img_fill_clocks(d, hdr);
	strscpy_pad(hdr->release, uts->release);
	strscpy_pad(hdr->kversion, uts->version);
	strscpy_pad(hdr->uts_machine, uts->machine);
}

static int img_fill_head(struct img_dump *d, size_t notes_off, size_t hdr_len,
			 u32 phnum, bool xnum)
{
	size_t head_len = notes_off + hdr_len + d->notes.len;
	struct img_header hdr = {};
	struct elf_note *note;
	struct elf_phdr *phdr;
	ssize_t n;
	void *head;

	head = img_buf_add(&d->head, d->data_off);
	if (!head)
		return -ENOMEM;
	img_fill_elf_header(d, head, phnum, xnum);

	phdr = head + sizeof(struct elfhdr);
	phdr->p_type = PT_NOTE;
	phdr->p_offset = notes_off;
	phdr->p_filesz = hdr_len + d->notes.len;
	phdr->p_align = 4;
	n = img_make_loads(d, phdr + 1);
	if (n < 0)
		return n;

	note = head + notes_off;
	note->n_namesz = sizeof(IMG_NOTE_NAME);
	note->n_descsz = sizeof(hdr);
	note->n_type = NT_IMG_HEADER;
	memcpy(note + 1, IMG_NOTE_NAME, sizeof(IMG_NOTE_NAME));
	memcpy(head + notes_off + hdr_len, d->notes.data, d->notes.len);
	img_fill_header(d, &hdr, head_len);
	memcpy((void *)note + IMG_HDR_DESC, &hdr, sizeof(hdr));
	hdr.crc = cpu_to_le32(img_crc(head, head_len));
	memcpy((void *)note + IMG_HDR_DESC, &hdr, sizeof(hdr));
	return 0;
}

/**
 * img_image_layout() - decide what is where and write headers and notes
 * @d: the dump, with all notes and runs
 *
 * Context: may sleep, @d->mm is nobody else's.
 * Return: 0, -EFBIG when headers and notes are larger than IMG_HEAD_MAX, -EINTR
 *	or -ENOMEM.
 */
int img_image_layout(struct img_dump *d)
{
	size_t hdr_len = IMG_HDR_DESC + ALIGN(sizeof(struct img_header), 4);
	ssize_t n = img_make_loads(d, NULL);
	size_t phnum = 1 + n;
	bool xnum = phnum >= PN_XNUM;
	size_t notes_off, head_len;

	if (n < 0)
		return n;
	notes_off = sizeof(struct elfhdr) + phnum * sizeof(struct elf_phdr);
	if (xnum)
		notes_off += sizeof(struct elf_shdr);
	head_len = notes_off + hdr_len + d->notes.len;
	if (PAGE_ALIGN(head_len) > IMG_HEAD_MAX)
		return img_dump_refuse(d, -EFBIG, "too many mappings or page runs");
	d->data_off = PAGE_ALIGN(head_len);
	return img_fill_head(d, notes_off, hdr_len, phnum, xnum);
}

/* The number of program headers, and whether the ELF header is one of ours. */
static int img_parse_elf(struct img_load *l, const struct elfhdr *elf, u32 *phnum)
{
	const struct elf_shdr *shdr;
	size_t need;

	if (elf->e_phoff != sizeof(*elf) ||
	    elf->e_phentsize != sizeof(struct elf_phdr) || !elf->e_phnum)
		return img_load_refuse(l, -EBADMSG, "bad ELF header");
	*phnum = elf->e_phnum;
	if (elf->e_phnum == PN_XNUM) {
		if (elf->e_shnum != 1 || elf->e_shentsize != sizeof(*shdr) ||
		    elf->e_shoff < sizeof(*elf) || !IS_ALIGNED(elf->e_shoff, 8) ||
		    elf->e_shoff > l->head_len - sizeof(*shdr))
			return img_load_refuse(l, -EBADMSG, "bad section header");
		shdr = l->head + elf->e_shoff;
		*phnum = shdr->sh_info;
	}
	if (check_mul_overflow(*phnum, sizeof(struct elf_phdr), &need) ||
	    need > l->head_len - sizeof(*elf))
		return img_load_refuse(l, -EBADMSG, "bad number of program headers");
	return 0;
}

static int img_parse_load(struct img_load *l, const struct elf_phdr *phdr,
			  unsigned long *last)
{
	struct img_run *run = &l->runs[l->nr_runs];
	unsigned long start = phdr->p_vaddr, end;

	if (phdr->p_type != PT_LOAD ||
	    check_add_overflow(start, (unsigned long)phdr->p_memsz, &end) ||
	    start < *last || start == end || end > TASK_SIZE_MAX ||
	    !PAGE_ALIGNED(start) || !PAGE_ALIGNED(end))
		return -EBADMSG;
	*last = end;
	if (!phdr->p_filesz)
		return 0;
	if (phdr->p_filesz != phdr->p_memsz || !PAGE_ALIGNED(phdr->p_offset) ||
	    phdr->p_offset < l->data_off || phdr->p_offset > l->length ||
	    phdr->p_filesz > l->length - phdr->p_offset)
		return -EBADMSG;
	run->start = start;
	run->end = end;
	run->pos = phdr->p_offset;
	l->nr_runs++;
	return 0;
}

static int img_parse_loads(struct img_load *l, const struct elf_phdr *phdr, u32 phnum)
{
	unsigned long last = 0;
	u32 i;

	l->runs = kvcalloc(phnum, sizeof(*l->runs), GFP_KERNEL_ACCOUNT);
	if (!l->runs)
		return -ENOMEM;
	for (i = 1; i < phnum; i++) {
		if (img_parse_load(l, phdr + i, &last))
			return img_load_refuse(l, -EBADMSG, "bad program header %u", i);
	}
	return 0;
}

static int img_read_exact(struct img_load *l, void *to, size_t len, loff_t pos)
{
	ssize_t n = kernel_read(l->file, to, len, &pos);

	if (n < 0)
		return n;
	if (n != len)
		return img_load_refuse(l, -ENODATA, "truncated");
	return 0;
}

/* All that there is of headers and notes in small images. */
static ssize_t img_read_first(struct img_load *l)
{
	loff_t pos = 0;

	l->head = kvmalloc(IMG_HEAD_FIRST, GFP_KERNEL_ACCOUNT);
	return l->head ? kernel_read(l->file, l->head, IMG_HEAD_FIRST, &pos) : -ENOMEM;
}

/*
 * The header note comes first, so it can be found, and believed as far as the
 * lengths go, before anything more is allocated by its word.
 */
static int img_read_header(struct img_load *l, const struct elf_phdr *phdr, size_t have)
{
	const size_t len = IMG_HDR_DESC + sizeof(struct img_header);
	struct elf_note *note = l->head;
	struct img_header *hdr = &l->hdr;
	u32 size;
	int err = 0;

	if (phdr->p_offset > IMG_HEAD_MAX || !IS_ALIGNED(phdr->p_offset, 4))
		return img_load_refuse(l, -EBADMSG, "no notes");
	/* Where the first read was too short for it, what was read is of no use. */
	if (phdr->p_offset + len <= have)
		note = l->head + phdr->p_offset;
	else
		err = img_read_exact(l, note, len, phdr->p_offset);
	if (err)
		return err;
	memcpy(hdr, (void *)note + IMG_HDR_DESC, sizeof(*hdr));
	size = le32_to_cpu(hdr->size);
	if (note->n_namesz != sizeof(IMG_NOTE_NAME) || note->n_type != NT_IMG_HEADER ||
	    memcmp(note + 1, IMG_NOTE_NAME, sizeof(IMG_NOTE_NAME)) ||
	    note->n_descsz < sizeof(*hdr) || size < sizeof(*hdr) ||
	    size > note->n_descsz)
		return img_load_refuse(l, -EBADMSG, "no header note");
	if (le32_to_cpu(hdr->version) != IMG_VERSION)
		return img_load_refuse(l, -EPROTONOSUPPORT, "format version %u",
				       le32_to_cpu(hdr->version));
	if (le32_to_cpu(hdr->machine) != ELF_ARCH)
		return img_load_refuse(l, -EMEDIUMTYPE, "machine %u",
				       le32_to_cpu(hdr->machine));
	if (le32_to_cpu(hdr->page_size) != PAGE_SIZE)
		return img_load_refuse(l, -EMEDIUMTYPE, "page size %u",
				       le32_to_cpu(hdr->page_size));
	return 0;
}

static int img_check_lengths(struct img_load *l, const struct elf_phdr *phdr)
{
	u64 head_len = le64_to_cpu(l->hdr.head_len);
	u64 data_off = le64_to_cpu(l->hdr.data_off);
	u64 length = le64_to_cpu(l->hdr.length);

	if (head_len > IMG_HEAD_MAX)
		return img_load_refuse(l, -E2BIG, "%llu bytes of headers", head_len);
	if (phdr->p_offset < sizeof(struct elfhdr) + sizeof(*phdr) ||
	    phdr->p_offset >= head_len || phdr->p_filesz != head_len - phdr->p_offset ||
	    phdr->p_filesz < IMG_HDR_DESC + sizeof(struct img_header) ||
	    !IS_ALIGNED(head_len, 4) || data_off < head_len || data_off > length ||
	    length > MAX_LFS_FILESIZE || !PAGE_ALIGNED(data_off))
		return img_load_refuse(l, -EBADMSG, "bad lengths");
	if (length > i_size_read(file_inode(l->file)))
		return img_load_refuse(l, -ENODATA, "truncated: %lld bytes of %llu",
				       i_size_read(file_inode(l->file)), length);
	l->head_len = head_len;
	l->data_off = data_off;
	l->length = length;
	return 0;
}

/* Again from the beginning, where the first read was too short. */
static int img_read_whole(struct img_load *l)
{
	kvfree(l->head);
	l->head = kvmalloc(l->head_len, GFP_KERNEL_ACCOUNT);
	return l->head ? img_read_exact(l, l->head, l->head_len, 0) : -ENOMEM;
}

static int img_read_head(struct img_load *l, const struct elf_phdr *phdr, size_t have)
{
	struct img_header *hdr;
	u32 crc;
	int err;

	err = l->head_len > have ? img_read_whole(l) : 0;
	if (err)
		return err;
	hdr = l->head + phdr->p_offset + IMG_HDR_DESC;
	hdr->crc = 0;
	crc = img_crc(l->head, l->head_len);
	if (crc != le32_to_cpu(l->hdr.crc))
		return img_load_refuse(l, -EBADMSG, "checksum %08x, must be %08x",
				       crc, le32_to_cpu(l->hdr.crc));
	/* What was checked before must be what was read now. */
	if (memcmp(&hdr->length, &l->hdr.length,
		   offsetof(struct img_header, crc) - offsetof(struct img_header, length)))
		return img_load_refuse(l, -EBADMSG, "changed while it is loaded");
	if (hdr->flags)
		return img_load_refuse(l, -EOPNOTSUPP, "unknown flags %llx",
				       le64_to_cpu(hdr->flags));
	if (memchr_inv(hdr->pad, 0, sizeof(hdr->pad)))
		return img_load_refuse(l, -EBADMSG, "padding is not zero");
	return 0;
}

/**
 * img_image_parse() - read headers and notes, check that they are whole
 * @l: the image; @l->file and @l->name are set
 * @buf: its first BINPRM_BUF_SIZE bytes, which have the marks of an image
 *
 * Context: on exec, before the point of no return; may sleep.
 * Return: 0 or the documented errno, having logged the reason.
 */
int img_image_parse(struct img_load *l, const char *buf)
{
	const struct elfhdr *elf = (const struct elfhdr *)buf;
	const struct elf_phdr *phdr = (const struct elf_phdr *)(elf + 1);
	ssize_t have;
	u32 phnum;
	int err;

	BUILD_BUG_ON(sizeof(*elf) + sizeof(*phdr) > BINPRM_BUF_SIZE);

	if (elf->e_ident[EI_CLASS] != ELF_CLASS || elf->e_ident[EI_DATA] != ELF_DATA)
		return img_load_refuse(l, -EMEDIUMTYPE, "ELF class %u data %u",
				       elf->e_ident[EI_CLASS], elf->e_ident[EI_DATA]);
	if (elf->e_type != ET_CORE)
		return img_load_refuse(l, -EBADMSG, "ELF type %u", elf->e_type);
	if (elf->e_ident[IMG_IDENT_POS + IMG_IDENT_LEN] != IMG_VERSION)
		return img_load_refuse(l, -EPROTONOSUPPORT, "format version %u",
				       elf->e_ident[IMG_IDENT_POS + IMG_IDENT_LEN]);
	if (elf->e_machine != ELF_ARCH)
		return img_load_refuse(l, -EMEDIUMTYPE, "machine %u", elf->e_machine);
	if (elf->e_phoff != sizeof(*elf) || phdr->p_type != PT_NOTE)
		return img_load_refuse(l, -EBADMSG, "no notes");

	have = img_read_first(l);
	if (have < 0)
		return have;
	err = img_read_header(l, phdr, have);
	if (!err)
		err = img_check_lengths(l, phdr);
	if (!err)
		err = img_read_head(l, phdr, have);
	if (!err && memcmp(l->head, buf, sizeof(*elf) + sizeof(*phdr)))
		err = img_load_refuse(l, -EBADMSG, "changed while it is loaded");
	if (!err)
		err = img_parse_elf(l, l->head, &phnum);
	if (!err)
		err = img_notes_parse(l, l->head + phdr->p_offset);
	if (!err)
		err = img_parse_loads(l, l->head + sizeof(*elf), phnum);
	return err;
}

/**
 * img_image_free() - free what img_image_parse() made
 * @l: the image
 *
 * Context: may sleep.
 */
void img_image_free(struct img_load *l)
{
	kvfree(l->runs);
	kvfree(l->by_tid);
	kvfree(l->threads);
	kvfree(l->notes);
	kvfree(l->head);
}
