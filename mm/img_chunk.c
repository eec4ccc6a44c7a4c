// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: page tables that are made when they are needed.
 *
 * To resume must not take longer the more memory there is.  Hence where a mapping
 * covers all that one page table would (a chunk), exec sets only a bit: pending.
 * The first fault, or whoever looks at page tables or changes what the mapping
 * covers, makes the table, with an entry for each page of the image (SWP_IMG).
 *
 * While a chunk is pending, all of it is in one anonymous mapping with an
 * anon_vma, and it has no page table.  Who is about to break this fills it in
 * first: what splits mappings or moves their borders, moves page tables, gives up
 * a part, or would take a missing page table for memory that was never touched.
 * Once it is not pending it never is again in this address space, so what has
 * been given up does not come back.
 *
 * Locks: a bit is cleared under @lock, by who makes the table after that is in its
 * place, or by who gives up the chunk before looking at the page tables.  So who
 * finds that a bit is clear, without a lock, finds the table.  A copy of an address
 * space is made while the original is locked for writing.
 */
#include <linux/bitmap.h>
#include <linux/file.h>
#include <linux/find.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/img_fault.h>
#include <linux/mm.h>
#include <linux/pgalloc.h>
#include <linux/refcount.h>
#include <linux/rmap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/swap.h>
#include <linux/swapfile.h>
#include <linux/swapops.h>

#include "img.h"
#include "internal.h"

/* For more, all that four levels of page tables of 4 KB can have, bits are too many. */
#define IMG_CHUNKS_MAX	BIT(26)

/**
 * struct img_span - chunks side by side
 * @start: address of the first one
 * @end: address after the last one
 * @first: number of the first one in mm_img.pending
 */
struct img_span {
	unsigned long	start;
	unsigned long	end;
	unsigned long	first;
};

/**
 * struct img_source - what those have in common who were resumed from an image at
 *	once, and their children
 * @users: how many
 * @file: the image; nobody writes to it
 * @runs: pages in it, sorted by address
 * @nr_runs: how many
 * @spans: chunks, sorted by address
 * @nr_spans: how many, at most @nr_runs; grows while the first of the address
 *	spaces is filled, when copies of it may be on their way out
 * @nr_chunks: bits in mm_img.pending
 * @size: of all this, in bytes
 */
struct img_source {
	refcount_t	users;
	struct file	*file;
	struct img_run	*runs;
	size_t		nr_runs;
	struct img_span	*spans;
	size_t		nr_spans;
	unsigned long	nr_chunks;
	size_t		size;
};

/**
 * struct mm_img - what of an address space is still in an image
 * @source: where
 * @size: what this takes, in bytes, with the source, which others have as well
 * @lock: bits are cleared under it
 * @pending: a bit for each chunk
 */
struct mm_img {
	struct img_source	*source;
	size_t			size;
	spinlock_t		lock;		/* of pending, for writing */
	unsigned long		pending[];
};

static void img_source_put(struct img_source *s)
{
	if (!refcount_dec_and_test(&s->users))
		return;
	allow_write_access(s->file);
	fput(s->file);
	kvfree(s->spans);
	kvfree(s->runs);
	kfree(s);
}

/* As many as there can be, or more than IMG_CHUNKS_MAX. */
static unsigned long img_count_chunks(const struct img_run *runs, size_t nr)
{
	unsigned long chunks = 0;
	size_t i;

	for (i = 0; i < nr && chunks <= IMG_CHUNKS_MAX; i++)
		chunks += (ALIGN(runs[i].end, PMD_SIZE) - (runs[i].start & PMD_MASK)) >>
			  PMD_SHIFT;
	return chunks;
}

static struct img_source *img_source_make(struct file *file, const struct img_run *runs,
					  size_t nr)
{
	struct img_source *s = kzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);
	int err = -ENOMEM;

	if (!s)
		return ERR_PTR(err);
	s->nr_runs = nr;
	s->nr_chunks = img_count_chunks(runs, nr);
	s->size = sizeof(*s) + nr * (sizeof(*s->runs) + sizeof(*s->spans));
	if (s->nr_chunks > IMG_CHUNKS_MAX)
		goto fail;
	s->runs = kvmemdup(runs, nr * sizeof(*runs), GFP_KERNEL_ACCOUNT);
	s->spans = kvcalloc(nr, sizeof(*s->spans), GFP_KERNEL_ACCOUNT);
	if (!s->runs || !s->spans)
		goto fail;
	err = deny_write_access(file);
	if (err)
		goto fail;
	s->file = get_file(file);
	refcount_set(&s->users, 1);
	return s;
fail:
	kvfree(s->spans);
	kvfree(s->runs);
	kfree(s);
	return ERR_PTR(err);
}

static struct mm_img *mm_img_make(struct img_source *s)
{
	size_t words = BITS_TO_LONGS(s->nr_chunks);
	struct mm_img *img;

	img = kvzalloc(struct_size(img, pending, words), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!img)
		return NULL;
	img->source = s;
	img->size = struct_size(img, pending, words) + s->size;
	spin_lock_init(&img->lock);
	return img;
}

/*
 * It is page tables, in another form, and who has too much of them is to be found
 * (oom_badness()).
 */
static void mm_img_set(struct mm_struct *mm, struct mm_img *img)
{
	atomic_long_add(img->size, &mm->pgtables_bytes);
	mm->img = img;
}

/**
 * mm_img_fits() - can entries of page tables say where in a file a page is?
 * @size: of the file, in bytes
 *
 * As for files that are swapped to: the offset must fit, and no processor may take
 * it for the address of memory (L1TF).
 *
 * Context: any.
 * Return: true if they can.
 */
bool mm_img_fits(loff_t size)
{
#ifdef CONFIG_SWAP
	return size >> PAGE_SHIFT <= READ_ONCE(swapfile_maximum_size);
#else
	return false;
#endif
}

/**
 * mm_img_start() - say what image an address space is resumed from
 * @mm: the address space, which has none yet
 * @file: the image
 * @runs: the pages in it, sorted by address; copied
 * @nr: how many, not 0
 *
 * Context: process context; takes the mmap_lock of @mm for writing.
 * Return: 0, -ENOMEM, also if @runs are too far apart, or -ETXTBSY if somebody
 *	writes to @file.
 */
int mm_img_start(struct mm_struct *mm, struct file *file, const struct img_run *runs,
		 size_t nr)
{
	struct img_source *s = img_source_make(file, runs, nr);
	struct mm_img *img;

	if (IS_ERR(s))
		return PTR_ERR(s);
	img = mm_img_make(s);
	if (!img) {
		img_source_put(s);
		return -ENOMEM;
	}
	/* Whoever may trace us can look at it already. */
	mmap_write_lock(mm);
	mm_img_set(mm, img);
	mmap_write_unlock(mm);
	return 0;
}

/**
 * mm_img_dup() - begin to copy what of an address space is still in an image
 * @mm: the copy
 * @oldmm: the original; its mappings are copied by img_dup_vma()
 *
 * Context: as dup_mmap().
 * Return: 0 or -ENOMEM.
 */
int mm_img_dup(struct mm_struct *mm, struct mm_struct *oldmm)
{
	struct mm_img *img;

	if (!oldmm->img)
		return 0;
	img = mm_img_make(oldmm->img->source);
	if (!img)
		return -ENOMEM;
	refcount_inc(&img->source->users);
	mm_img_set(mm, img);
	return 0;
}

/**
 * mm_img_put() - forget the image of an address space
 * @mm: the address space, with no mappings left
 *
 * Context: as __mmput().
 */
void mm_img_put(struct mm_struct *mm)
{
	if (!mm->img)
		return;
	atomic_long_sub(mm->img->size, &mm->pgtables_bytes);
	img_source_put(mm->img->source);
	kvfree(mm->img);
	mm->img = NULL;
}

/**
 * img_file() - the file that SWP_IMG entries are in
 * @mm: their address space
 *
 * Context: any, while @mm has users.
 * Return: the file.
 */
struct file *img_file(struct mm_struct *mm)
{
	return mm->img->source->file;
}

static unsigned long img_span_end(const struct img_span *span)
{
	return READ_ONCE(span->end);
}

/* The one after the last. */
static const struct img_span *img_end_span(const struct img_source *s)
{
	/* What is before it has been written; see img_add_chunks(). */
	return s->spans + smp_load_acquire(&s->nr_spans);
}

/* The first span before @last that ends after @addr, or @last. */
static const struct img_span *img_find_span(const struct img_source *s,
					    const struct img_span *last, unsigned long addr)
{
	const struct img_span *lo = s->spans, *hi = last;

	while (lo < hi) {
		const struct img_span *mid = lo + (hi - lo) / 2;

		if (img_span_end(mid) <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static const struct img_run *img_find_run(const struct img_source *s, unsigned long addr)
{
	size_t lo = 0, hi = s->nr_runs;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->runs[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return &s->runs[lo];
}

static unsigned long img_chunk(const struct img_span *span, unsigned long addr)
{
	return span->first + ((addr - span->start) >> PMD_SHIFT);
}

/* The first address from @addr on that is in a pending chunk, or @end. */
static unsigned long img_next_pending(struct mm_img *img, unsigned long addr,
				      unsigned long end)
{
	const struct img_source *s = img->source;
	const struct img_span *span, *last = img_end_span(s);

	for (span = img_find_span(s, last, addr); span < last && span->start < end; span++) {
		unsigned long from = img_chunk(span, max(addr, span->start));
		unsigned long to = img_chunk(span, img_span_end(span));
		/* A bit that is being cleared may be seen as it was; see below. */
		unsigned long i = data_race(find_next_bit(img->pending, to, from));

		if (i < to)
			return min(end, max(addr, span->start +
					    ((i - span->first) << PMD_SHIFT)));
	}
	/* Pairs with the release of the bit: look at page tables after this. */
	smp_rmb();
	return end;
}

/* See img_pending(). */
bool __img_pending(struct mm_struct *mm, unsigned long addr)
{
	return img_next_pending(mm->img, addr, addr + 1) == addr;
}

/* What a page table that nobody else sees yet has for a chunk. */
static void img_write_table(struct mm_struct *mm, pgtable_t table, unsigned long addr)
{
	const struct img_source *s = mm->img->source;
	pte_t *start = kmap_local_page(table), *pte;
	unsigned long end = addr + PMD_SIZE;
	const struct img_run *run;

	for (run = img_find_run(s, addr); run < s->runs + s->nr_runs && run->start < end;
	     run++) {
		unsigned long at = max(addr, run->start);
		pgoff_t index = (run->pos + (at - run->start)) >> PAGE_SHIFT;

		for (pte = start + pte_index(at); at < min(end, run->end); at += PAGE_SIZE)
			set_pte_at(mm, at, pte++, swp_entry_to_pte(make_img_entry(index++)));
	}
	kunmap_local(start);
}

/* The entry for a page table, or NULL and how much there is nothing of. */
pmd_t *img_find_pmd(struct mm_struct *mm, unsigned long addr, unsigned long *hole)
{
	pgd_t *pgd = pgd_offset(mm, addr);
	p4d_t *p4d;
	pud_t *pud;

	*hole = PGDIR_SIZE;
	if (pgd_none(*pgd))
		return NULL;
	p4d = p4d_offset(pgd, addr);
	*hole = P4D_SIZE;
	if (p4d_none(*p4d))
		return NULL;
	pud = pud_offset(p4d, addr);
	*hole = PUD_SIZE;
	if (pud_none(*pud))
		return NULL;
	*hole = PMD_SIZE;
	return pmd_offset(pud, addr);
}

/**
 * img_alloc_pmd() - the entry for a page table, with all above it
 * @mm: the address space
 * @addr: an address of a user
 *
 * Context: as img_fill_chunk().
 * Return: the entry, or NULL when there is no memory.
 */
pmd_t *img_alloc_pmd(struct mm_struct *mm, unsigned long addr)
{
	p4d_t *p4d = p4d_alloc(mm, pgd_offset(mm, addr), addr);
	pud_t *pud = p4d ? pud_alloc(mm, p4d, addr) : NULL;

	return pud ? pmd_alloc(mm, pud, addr) : NULL;
}

/**
 * img_fill_chunk() - make the page table of a chunk, if it is still pending
 * @mm: the address space
 * @addr: any address in the chunk
 *
 * Context: mmap_lock or the lock of the mapping held, for reading at least; may
 *	sleep.
 * Return: 0 or -ENOMEM.
 */
int img_fill_chunk(struct mm_struct *mm, unsigned long addr)
{
	struct mm_img *img = mm->img;
	const struct img_source *s = img->source;
	const struct img_span *span = img_find_span(s, img_end_span(s), addr);
	pmd_t *pmd = img_alloc_pmd(mm, addr);
	pgtable_t table = pmd ? pte_alloc_one(mm) : NULL;
	unsigned long nr;

	if (!table)
		return -ENOMEM;
	img_write_table(mm, table, addr & PMD_MASK);
	nr = img_chunk(span, addr);
	spin_lock(&img->lock);
	if (test_bit(nr, img->pending)) {
		pmd_install(mm, pmd, &table);
		WARN_ON_ONCE(table);
		clear_bit_unlock(nr, img->pending);
	}
	spin_unlock(&img->lock);
	if (table)
		pte_free(mm, table);
	return 0;
}

static int img_fill_some(struct mm_struct *mm, unsigned long addr, unsigned long end)
{
	while ((addr = img_next_pending(mm->img, addr, end)) < end) {
		int err = img_fill_chunk(mm, addr);

		if (err)
			return err;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/*
 * See img_fill_range(); context as for img_fill_chunk().  Mapping by mapping: one
 * that is being unmapped may be there no more while its bits still are, and what
 * is there instead need not have small pages.
 */
int __img_fill_range(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	VMA_ITERATOR(vmi, mm, start);
	struct vm_area_struct *vma;
	int err = 0;

	for_each_vma_range(vmi, vma, end) {
		if (!vma_is_anonymous(vma))
			continue;
		err = img_fill_some(mm, max(start, vma->vm_start), min(end, vma->vm_end));
		if (err)
			break;
	}
	return err;
}

/* See img_forget().  Does not sleep; a chunk that is given up in part is filled in. */
void __img_forget(struct vm_area_struct *vma, unsigned long start, unsigned long end)
{
	struct mm_img *img = vma->vm_mm->img;
	const struct img_source *s = img->source;
	const struct img_span *span, *last = img_end_span(s);

	VM_WARN_ON_ONCE((start & ~PMD_MASK) && __img_pending(vma->vm_mm, start));
	VM_WARN_ON_ONCE((end & ~PMD_MASK) && __img_pending(vma->vm_mm, end - 1));

	for (span = img_find_span(s, last, start); span < last && span->start < end; span++) {
		unsigned long from = max(ALIGN(start, PMD_SIZE), span->start);
		unsigned long to = min(end & PMD_MASK, img_span_end(span));

		if (from >= to)
			continue;
		spin_lock(&img->lock);
		bitmap_clear(img->pending, img_chunk(span, from), (to - from) >> PMD_SHIFT);
		spin_unlock(&img->lock);
	}
}

/* See img_dup_vma().  The numbers of chunks are the same in both. */
void __img_dup_vma(struct vm_area_struct *vma, struct vm_area_struct *from)
{
	struct mm_img *img = vma->vm_mm->img, *old = from->vm_mm->img;
	const struct img_source *s = img->source;
	const struct img_span *span, *last = img_end_span(s);

	for (span = img_find_span(s, last, vma->vm_start);
	     span < last && span->start < vma->vm_end; span++) {
		unsigned long start = max(ALIGN(vma->vm_start, PMD_SIZE), span->start);
		unsigned long end = min(vma->vm_end & PMD_MASK, img_span_end(span));
		unsigned long from, to;

		if (start >= end)
			continue;
		from = img_chunk(span, start);
		for_each_set_bitrange_from(from, to, old->pending, img_chunk(span, end))
			bitmap_set(img->pending, from, to - from);
	}
}

/* Those in the last span are known already. */
static void img_add_chunks(struct mm_img *img, unsigned long start, unsigned long end)
{
	struct img_source *s = img->source;
	struct img_span *last = s->nr_spans ? &s->spans[s->nr_spans - 1] : NULL;
	unsigned long first = last ? img_chunk(last, last->end) : 0;

	if (last && start < last->end)
		start = last->end;
	if (start >= end)
		return;
	bitmap_set(img->pending, first, (end - start) >> PMD_SHIFT);
	if (last && start == last->end) {
		WRITE_ONCE(last->end, end);
		return;
	}
	s->spans[s->nr_spans] = (struct img_span){ start, end, first };
	/* Of a copy that is being unmapped; pairs with img_end_span(). */
	smp_store_release(&s->nr_spans, s->nr_spans + 1);
}

/* Is there a page table, or a huge page, in a range? */
static bool img_has_table(struct mm_struct *mm, unsigned long addr, unsigned long end)
{
	unsigned long hole;

	for (; addr < end; addr = (addr & ~(hole - 1)) + hole) {
		pmd_t *pmd = img_find_pmd(mm, addr, &hole);

		if (pmd && !pmd_none(pmdp_get_lockless(pmd)))
			return true;
	}
	return false;
}

/* Of what one page table covers; adds to @index, where the next page is in the image. */
static int img_write_some(struct mm_struct *mm, unsigned long addr, unsigned long end,
			  pgoff_t *index)
{
	pmd_t *pmd = img_alloc_pmd(mm, addr);
	pte_t *start, *pte;
	spinlock_t *ptl;		/* of the table */
	int err = 0;

	if (!pmd)
		return -ENOMEM;
	start = img_mapped(pte_alloc_map_lock(mm, pmd, addr, &ptl));
	if (!start)
		return -ENOMEM;
	arch_enter_lazy_mmu_mode();
	for (pte = start; !err && addr < end; addr += PAGE_SIZE, pte++) {
		pte_t entry = swp_entry_to_pte(make_img_entry((*index)++));

		/* Others of its chunk may have been needed before. */
		if (pte_none(ptep_get(pte)))
			set_pte_at(mm, addr, pte, entry);
		else if (!pte_same(ptep_get(pte), entry))
			err = -EEXIST;
	}
	arch_leave_lazy_mmu_mode();
	pte_unmap_unlock(start, ptl);
	return err;
}

/* The part of a run from @start to @end, which may be empty. */
static int img_write_entries(struct mm_struct *mm, const struct img_run *run,
			     unsigned long start, unsigned long end)
{
	pgoff_t index = (run->pos + (start - run->start)) >> PAGE_SHIFT;
	unsigned long next;
	int err = 0;

	for (; !err && start < end; start = next) {
		next = pmd_addr_end(start, end);
		err = img_write_some(mm, start, next, &index);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return err;
}

/* What is wholly in the mapping, which has a table of its own for none of it. */
static void img_find_chunks(struct vm_area_struct *vma, const struct img_run *run,
			    unsigned long start, unsigned long end,
			    unsigned long *from, unsigned long *to)
{
	*from = max(run->start & PMD_MASK, ALIGN(start, PMD_SIZE));
	*to = min(ALIGN(run->end, PMD_SIZE), end & PMD_MASK);
	if (!vma_is_anonymous(vma) || *from >= *to || img_has_table(vma->vm_mm, *from, *to))
		*from = *to = run->end;
}

static bool img_table_is_empty(pmd_t *pmd, unsigned long addr, unsigned long end)
{
	pte_t *start = img_mapped(pte_offset_map(pmd, addr)), *pte;
	bool empty = true;

	if (!start)
		return false;
	for (pte = start; empty && addr < end; addr += PAGE_SIZE)
		empty = pte_none(ptep_get(pte++));
	pte_unmap(start);
	return empty;
}

static bool img_is_empty(struct mm_struct *mm, unsigned long addr, unsigned long end)
{
	unsigned long next, hole;

	for (; addr < end; addr = next) {
		pmd_t *pmd = img_find_pmd(mm, addr, &hole);

		next = min((addr & ~(hole - 1)) + hole, end);
		if (pmd && !pmd_none(pmdp_get_lockless(pmd)) &&
		    !img_table_is_empty(pmd, addr, next))
			return false;
	}
	return true;
}

/*
 * Who looks at us, or writes to our memory, while it is being made has had pages of
 * it, or page tables.
 */
static int img_clear_run(struct vm_area_struct *vma, const struct img_run *run)
{
	int err;

	if (img_is_empty(vma->vm_mm, run->start, run->end))
		return 0;
	err = img_fill_some(vma->vm_mm, run->start, run->end);
	if (!err)
		zap_page_range_single(vma, run->start, run->end - run->start, NULL);
	return err;
}

/* Are the page tables of a mapping what we know, with pages of its own in it? */
static bool img_can_map(struct vm_area_struct *vma)
{
	return !(vma->vm_flags & (VM_HUGETLB | VM_IO | VM_PFNMAP | VM_MIXEDMAP | VM_SHARED));
}

/**
 * mm_img_map() - say that pages are in the image
 * @mm: the address space, after mm_img_start()
 * @run: where; after those of lower addresses
 * @start: beginning of the mapping that it is in, which is private and was made as
 *	one; others may have become one with it
 * @end: the end of that
 *
 * What is there already, for somebody has looked at it, is given up.
 *
 * Context: may sleep; takes the mmap_lock of @mm for writing.
 * Return: 0, -ENOMEM, -EFAULT when there is no such mapping, -EEXIST when something
 *	else is in its place, or -EINTR when the caller is killed.
 */
int mm_img_map(struct mm_struct *mm, const struct img_run *run, unsigned long start,
	       unsigned long end)
{
	unsigned long from = run->end, to = run->end;	/* of the chunks */
	struct vm_area_struct *vma;
	int err = -EFAULT;

	mmap_write_lock(mm);
	vma = vma_lookup(mm, run->start);
	if (vma && run->end <= vma->vm_end && start >= vma->vm_start &&
	    end <= vma->vm_end && img_can_map(vma))
		err = anon_vma_prepare(vma);
	if (err)
		goto out;
	vma_start_write(vma);
	err = img_clear_run(vma, run);
	if (err)
		goto out;
	img_find_chunks(vma, run, start, end, &from, &to);
	if (from < to)
		img_add_chunks(mm->img, from, to);
	else
		err = img_fill_some(mm, run->start, run->end);
	if (err)
		goto out;
	err = img_write_entries(mm, run, run->start, min(from, run->end)) ?:
	      img_write_entries(mm, run, to, run->end);
out:
	mmap_write_unlock(mm);
	return err;
}
