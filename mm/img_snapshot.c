// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: a copy of an address space that is begun while it is in use.
 *
 * mm_snapshot() takes as long as a fork, and the target stands still meanwhile.
 * So most of the work is done before, in short pieces (mm_snapshot_precopy()):
 * pages are shared with the copy and write-protected.  While the target stands
 * still, mm_snapshot_finish() compares the page tables and copies again those that
 * differ.
 *
 * That needs no notice of what changed in between.  A page is the same, and has
 * not been written to, if both have it and the target still may not write to it:
 * to be allowed to it must have got another page, as this one is the copy's, too
 * (do_wp_page()).  Exceptions are pages that somebody else writes to by a
 * reference of his own, above all devices; these are left for the end, when the
 * rules of fork hold: pinned pages are copied.
 */
#include <linux/delay.h>
#include <linux/find.h>
#include <linux/highmem.h>
#include <linux/hugetlb.h>
#include <linux/img.h>
#include <linux/img_fault.h>
#include <linux/mempolicy.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/mmu_notifier.h>
#include <linux/oom.h>
#include <linux/rmap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/swap.h>
#include <linux/userfaultfd_k.h>

#include <asm/tlbflush.h>

#include "img.h"
#include "internal.h"

/* What is copied while the target cannot fault. */
#define IMG_PRECOPY_SIZE	(4 * PMD_SIZE)

/* So many places without a page table are passed in one go. */
#define IMG_STEPS		1024

/* For so long the locks are left to who has or wants them, and so often. */
#define IMG_LET_IN_US		20
#define IMG_LOCK_TRIES		1000

/* Who waits for the image does not want to do so for longer than that, in jiffies. */
#define IMG_PRECOPY_MAX		(10 * HZ)

/*
 * Each round shares again what was written to since the last one.  To write to a
 * page that is shared takes longer than to share it, so these become few soon.
 */
#define IMG_ROUNDS		4
#define IMG_FEW_PAGES		256

/* Of a table with more entries that cannot be shared, all are copied. */
#define IMG_MANY_LEFT		64

/*
 * What a copy might do something to just by being there and going away again, as
 * mappings of devices, or of System V's segments.  These are copied when it is
 * known that they can be.
 */
static bool img_is_plain(struct vm_area_struct *vma)
{
	const struct vm_operations_struct *ops = vma->vm_ops;

	if (userfaultfd_armed(vma))
		return false;
	if (vma_is_anonymous(vma) || !vma->vm_file)
		return true;
	return S_ISREG(file_inode(vma->vm_file)->i_mode) &&
		!(vma->vm_flags & (VM_SPECIAL | VM_HUGETLB)) &&
		!((vma->vm_flags & VM_MAYSHARE) && ops && (ops->open || ops->close));
}

/**
 * mm_snapshot_vet() - is there no harm in copying an address space early?
 * @mm: the address space
 *
 * A fault holds the lock of a mapping for as long as a file system likes.  Who
 * waits for it holds the lock of all mappings meanwhile, so do not.
 *
 * Context: its mmap_lock is held for writing; locks its mappings for writing.
 * Return: 0, -EAGAIN if one of its mappings is in use, or -EOPNOTSUPP.
 */
int mm_snapshot_vet(struct mm_struct *mm)
{
	VMA_ITERATOR(vmi, mm, 0);
	struct vm_area_struct *vma;

	for_each_vma(vmi, vma) {
		if (!img_is_plain(vma))
			return -EOPNOTSUPP;
		if (!vma_start_write_trylock(vma))
			return -EAGAIN;
	}
	return 0;
}

static int img_folio_refs(struct folio *folio)
{
	return folio_mapcount(folio) +
		(folio_test_swapcache(folio) ? folio_nr_pages(folio) : 0);
}

/* Refers nobody but page tables and the swap cache to it, and stays that so? */
static bool img_folio_is_ours(struct folio *folio)
{
	int refs = img_folio_refs(folio);

	if (folio_ref_count(folio) != refs)
		return false;
	/* Or one of those has gone, and hidden another one. */
	smp_rmb();
	return img_folio_refs(folio) == refs;
}

/*
 * Share a page.  Who gets it by the page table for writing, without a lock
 * (GUP-fast), has done so and is counted, or finds that it is write-protected.
 */
static bool img_share_page(struct vm_area_struct *dst_vma, struct vm_area_struct *src_vma,
			   pte_t *dst, pte_t *src, unsigned long addr)
{
	pte_t pte = ptep_get(src);
	struct page *page = vm_normal_page(src_vma, addr, pte);
	bool writable = pte_write(pte);
	struct folio *folio;

	if (!page || !PageAnon(page))
		return false;
	folio = page_folio(page);
	if (!img_folio_is_ours(folio))
		return false;
	if (writable) {
		ptep_set_wrprotect(src_vma->vm_mm, addr, src);
		/* Pairs with gup_fast, which refers to the page and looks again. */
		smp_mb();
		if (!img_folio_is_ours(folio))
			goto undo;
		/* With the dirty bit, which may have been set until then. */
		pte = ptep_get(src);
	}
	folio_get(folio);
	if (folio_try_dup_anon_rmap_pte(folio, page, src_vma)) {
		folio_put(folio);
		goto undo;
	}
	inc_mm_counter(dst_vma->vm_mm, MM_ANONPAGES);
	/* As much as can be the same is, to be found so in one go. */
	set_pte_at(dst_vma->vm_mm, addr, dst, pte_clear_uffd_wp(pte_wrprotect(pte)));
	return true;
undo:
	if (writable)
		set_pte_at(src_vma->vm_mm, addr, src, pte_mkwrite(ptep_get(src), src_vma));
	return false;
}

/*
 * A page that was shared is the target's no more.  Nobody runs in the copy, but
 * breakpoints are set there, too: false if it has something else.
 */
static bool img_drop_page(struct vm_area_struct *vma, pte_t *ptep, unsigned long addr)
{
	struct page *page = vm_normal_page(vma, addr, ptep_get(ptep));

	if (!page || !PageAnon(page))
		return false;
	ptep_get_and_clear(vma->vm_mm, addr, ptep);
	dec_mm_counter(vma->vm_mm, MM_ANONPAGES);
	folio_remove_rmap_pte(page_folio(page), page, vma);
	free_page_and_swap_cache(page);
	return true;
}

/*
 * At the end, what is in another page now is put into the page that the copy has, if
 * nobody else has that any more, as fork does with pages that are pinned.  To share
 * the new one takes longer, with all that belongs to it, and so does the target's next
 * write then.
 */
static bool img_copy_page(struct vm_area_struct *dst_vma, struct vm_area_struct *src_vma,
			  pte_t dst, pte_t src, unsigned long addr)
{
	struct page *to, *from;
	struct folio *folio;

	if (!pte_present(dst) || !pte_present(src))
		return false;
	to = vm_normal_page(dst_vma, addr, dst);
	from = vm_normal_page(src_vma, addr, src);
	if (!to || !from || !PageAnon(to) || !PageAnon(from))
		return false;
	/* By another reference it could be read, or written to the swap device. */
	folio = page_folio(to);
	if (folio_test_large(folio) || folio_test_ksm(folio) || folio_ref_count(folio) != 1 ||
	    !folio_test_swapbacked(folio))
		return false;
	return !copy_mc_user_highpage(to, from, addr, src_vma);
}

/* Has the target's page been the copy's ever since? */
static bool img_same_pte(pte_t src, pte_t dst)
{
	if (pte_same(src, dst))
		return !pte_present(src) || !pte_write(src);
	if (pte_present(src) && pte_present(dst))
		return pte_pfn(src) == pte_pfn(dst) && !pte_write(src);
	return false;
}

/**
 * struct img_round - once through all that can be shared
 * @addr: where to go on, 0: done
 * @until: when to stop, in jiffies
 * @tries: how often a lock could not be had since something was done
 * @last: the target stands still
 * @shared: pages that were shared
 * @left: entries of the last page table that are not the same
 */
struct img_round {
	unsigned long	addr;
	unsigned long	until;
	unsigned int	tries;
	bool		last;
	unsigned long	shared;
	DECLARE_BITMAP(left, PTRS_PER_PTE);
};

static void img_update_page(struct vm_area_struct *dst_vma, struct vm_area_struct *src_vma,
			    pte_t *dst, pte_t *src, unsigned long addr, struct img_round *r)
{
	pte_t was = ptep_get(dst), is = ptep_get(src);

	if (img_same_pte(is, was))
		return;
	if (r->last && img_copy_page(dst_vma, src_vma, was, is, addr))
		return;
	if (!pte_none(was) && !(pte_present(was) && img_drop_page(dst_vma, dst, addr)))
		__set_bit(pte_index(addr), r->left);
	else if (pte_present(is) && img_share_page(dst_vma, src_vma, dst, src, addr))
		r->shared++;
	else if (!pte_none(is))
		__set_bit(pte_index(addr), r->left);
}

/* Share all in one page table that can be shared now. */
static int img_update_table(struct vm_area_struct *dst_vma, struct vm_area_struct *src_vma,
			    pmd_t *src_pmd, unsigned long addr, unsigned long end,
			    struct img_round *r)
{
	pmd_t *dst_pmd = img_alloc_pmd(dst_vma->vm_mm, addr);
	pte_t *src, *dst, *src_start, *dst_start;
	spinlock_t *src_ptl, *dst_ptl;

	if (!dst_pmd)
		return -ENOMEM;
	dst_start = img_mapped(pte_alloc_map_lock(dst_vma->vm_mm, dst_pmd, addr, &dst_ptl));
	if (!dst_start)
		return -ENOMEM;
	bitmap_zero(r->left, PTRS_PER_PTE);
	src_start = img_mapped(pte_offset_map_nolock(src_vma->vm_mm, src_pmd, addr,
						     &src_ptl));
	if (!src_start) {
		bitmap_fill(r->left, PTRS_PER_PTE);
		goto out;
	}
	spin_lock_nested(src_ptl, SINGLE_DEPTH_NESTING);
	for (src = src_start, dst = dst_start; addr < end; addr += PAGE_SIZE, src++, dst++)
		img_update_page(dst_vma, src_vma, dst, src, addr, r);
	pte_unmap_unlock(src_start, src_ptl);
out:
	pte_unmap_unlock(dst_start, dst_ptl);
	return 0;
}

static unsigned long img_step(unsigned long addr, unsigned long end, unsigned long size)
{
	unsigned long next = (addr & ~(size - 1)) + size;

	return next - 1 < end - 1 ? next : end;
}

static bool img_pmd_is_table(pmd_t pmd)
{
	return pmd_present(pmd) && !pmd_leaf(pmd) && !pmd_bad(pmd);
}

static bool img_precopies(struct vm_area_struct *vma)
{
	return vma->anon_vma && is_cow_mapping(vma->vm_flags) &&
		!(vma->vm_flags & (VM_SPECIAL | VM_HUGETLB | VM_WIPEONFORK)) &&
		!userfaultfd_armed(vma);
}

/*
 * Can pages of @vma be found by the rmap of its copy?  That has what its original
 * had, as anon_vma_fork() made it: the same ones, and most often one of its own
 * before them.  It may have none yet.
 */
static bool img_same_rmap(struct vm_area_struct *vma, struct vm_area_struct *copy)
{
	struct anon_vma_chain *avc, *other;

	if (!copy->anon_vma || (vma->vm_flags & VM_WIPEONFORK))
		return true;
	if (!vma->anon_vma)
		return false;
	other = list_last_entry(&copy->anon_vma_chain, struct anon_vma_chain, same_vma);
	list_for_each_entry_reverse(avc, &vma->anon_vma_chain, same_vma) {
		if (list_entry_is_head(other, &copy->anon_vma_chain, same_vma) ||
		    other->anon_vma != avc->anon_vma)
			return false;
		other = list_prev_entry(other, same_vma);
	}
	return list_entry_is_head(other, &copy->anon_vma_chain, same_vma) ||
		list_is_first(&other->same_vma, &copy->anon_vma_chain);
}

/* The original may have had no anonymous pages when it was copied. */
static int img_share_rmap(struct vm_area_struct *vma, struct vm_area_struct *copy)
{
	if (!vma->anon_vma || copy->anon_vma || (vma->vm_flags & VM_WIPEONFORK))
		return 0;
	return anon_vma_fork(copy, vma);
}

static bool img_same_vma(struct vm_area_struct *vma, struct vm_area_struct *copy)
{
	return vma->vm_start == copy->vm_start && vma->vm_end == copy->vm_end &&
		!((vma->vm_flags ^ copy->vm_flags) & ~(VM_LOCKED_MASK | VM_SHARED)) &&
		vma->vm_pgoff == copy->vm_pgoff && vma->vm_file == copy->vm_file &&
		vma->vm_ops == copy->vm_ops &&
		mpol_equal(vma_policy(vma), vma_policy(copy)) &&
		anon_vma_name_eq(anon_vma_name(vma), anon_vma_name(copy)) &&
		img_same_rmap(vma, copy);
}

static int img_update_range(struct vm_area_struct *dst_vma, struct vm_area_struct *src_vma,
			    unsigned long start, unsigned long end, struct img_round *r)
{
	struct mm_struct *mm = src_vma->vm_mm;
	unsigned long addr, next, hole, before = r->shared;
	struct mmu_notifier_range range;
	int err = 0;

	mmu_notifier_range_init(&range, MMU_NOTIFY_PROTECTION_PAGE, 0, mm, start, end);
	mmu_notifier_invalidate_range_start(&range);
	raw_write_seqcount_begin(&mm->write_protect_seq);
	for (addr = start; !err && addr < end; addr = next) {
		pmd_t *pmd = img_find_pmd(mm, addr, &hole);

		next = img_step(addr, end, hole);
		if (pmd && img_pmd_is_table(pmdp_get_lockless(pmd)))
			err = img_update_table(dst_vma, src_vma, pmd, addr, next, r);
	}
	raw_write_seqcount_end(&mm->write_protect_seq);
	mmu_notifier_invalidate_range_end(&range);
	if (r->shared != before)
		flush_tlb_range(src_vma, start, end);
	return err;
}

/*
 * The mapping in which the next page table is that pages can be shared of, from
 * @r->addr on, which becomes its address; NULL: it is not near, or there is none.
 */
static struct vm_area_struct *img_next_table(struct mm_struct *mm, struct img_round *r)
{
	VMA_ITERATOR(vmi, mm, r->addr);
	unsigned int steps = IMG_STEPS;
	struct vm_area_struct *vma;
	unsigned long hole;
	pmd_t *pmd;

	for_each_vma(vmi, vma) {
		r->addr = max(r->addr, vma->vm_start);
		while (r->addr < vma->vm_end && img_precopies(vma)) {
			if (!steps--)
				return NULL;
			pmd = img_find_pmd(mm, r->addr, &hole);
			if (pmd && img_pmd_is_table(pmdp_get_lockless(pmd)))
				return vma;
			r->addr = img_step(r->addr, vma->vm_end, hole);
		}
		r->addr = vma->vm_end;
		if (!steps--)
			return NULL;
	}
	r->addr = 0;
	return NULL;
}

static int img_precopy_some(struct mm_struct *mm, struct mm_struct *oldmm,
			    struct img_round *r)
{
	struct vm_area_struct *dst_vma, *src_vma = img_next_table(oldmm, r);
	unsigned long start = r->addr;
	int err;

	if (!src_vma)
		return 0;
	dst_vma = vma_lookup(mm, start);
	if (dst_vma && !vma_start_write_trylock(src_vma))
		return -EAGAIN;
	r->addr = min(src_vma->vm_end, (start & PMD_MASK) + IMG_PRECOPY_SIZE);
	if (!dst_vma || !img_same_vma(src_vma, dst_vma))
		return 0;
	err = img_share_rmap(src_vma, dst_vma);
	return err ?: img_update_range(dst_vma, src_vma, start, r->addr, r);
}

/*
 * Have we a signal, or is the target on its way out?  Who wants to dump us in turn has
 * to wait for as long as this may take: its task_work is one of many sorts.
 */
static bool img_gives_up(struct mm_struct *oldmm)
{
	return signal_pending(current) || atomic_read(&oldmm->mm_users) == 1 ||
		check_stable_address_space(oldmm);
}

/*
 * The target runs, and we do not queue before those of it who want to read: one
 * that has the lock may wait for another one that is about to take it.  -EAGAIN
 * if a lock is taken.
 */
static int img_precopy_piece(struct mm_struct *mm, struct mm_struct *oldmm,
			     struct img_round *r, bool *wanted)
{
	int err = -EAGAIN;

	if (!mmap_write_trylock(oldmm))
		return err;
	if (mmap_write_trylock(mm)) {
		err = img_precopy_some(mm, oldmm, r);
		mmap_write_unlock(mm);
	}
	*wanted = mmap_lock_is_contended(oldmm);
	mmap_write_unlock(oldmm);
	return err;
}

static int img_precopy_round(struct mm_struct *mm, struct mm_struct *oldmm,
			     struct img_round *r)
{
	int err;

	do {
		bool wanted = true;

		if (img_gives_up(oldmm))
			return -EINTR;
		if (r->tries == IMG_LOCK_TRIES || time_after(jiffies, r->until))
			return -EAGAIN;
		err = img_precopy_piece(mm, oldmm, r, &wanted);
		r->tries = err == -EAGAIN ? r->tries + 1 : 0;
		/* A reader that was woken is slower than the next writer. */
		if (wanted)
			usleep_range(IMG_LET_IN_US, 2 * IMG_LET_IN_US);
		cond_resched();
	} while (err == -EAGAIN || (!err && r->addr));
	return err;
}

/**
 * mm_snapshot_precopy() - share what can be shared with a copy that was begun
 * @mm: what mm_snapshot_begin() made; nobody else uses it
 * @oldmm: the original, in use
 *
 * Context: process context; takes the mmap_lock of @oldmm for writing, again and
 *	again for a short time, if nobody else has it.
 * Return: 0; -ENOMEM; -EINTR: the caller has a signal, or the original ends.
 */
int mm_snapshot_precopy(struct mm_struct *mm, struct mm_struct *oldmm)
{
	unsigned long last = ULONG_MAX, until = jiffies + IMG_PRECOPY_MAX;
	int err, i;

	/* Those on their way to a list are referred to by it. */
	lru_add_drain();
	for (i = 0; i < IMG_ROUNDS; i++) {
		struct img_round r = { .until = until };

		err = img_precopy_round(mm, oldmm, &r);
		if (err)
			return err == -EAGAIN ? 0 : err;
		/* The more was written to meanwhile, the more is left to do. */
		if (r.shared < IMG_FEW_PAGES || r.shared > last / 2)
			break;
		last = r.shared;
	}
	return 0;
}

/* What could not be shared is copied by the rules of fork. */
static int img_copy_left(struct vm_area_struct *dst_vma, struct vm_area_struct *src_vma,
			 unsigned long addr, unsigned long end, struct img_round *r)
{
	unsigned long first, last, base = addr & PMD_MASK;
	int err;

	if (bitmap_weight(r->left, PTRS_PER_PTE) > IMG_MANY_LEFT) {
		zap_page_range_single(dst_vma, addr, end - addr, NULL);
		return copy_page_part(dst_vma, src_vma, addr, end);
	}
	for_each_set_bitrange(first, last, r->left, PTRS_PER_PTE) {
		addr = base + first * PAGE_SIZE;
		end = base + last * PAGE_SIZE;
		zap_page_range_single(dst_vma, addr, end - addr, NULL);
		err = copy_page_part(dst_vma, src_vma, addr, end);
		if (err)
			return err;
	}
	return 0;
}

static int img_sync_table(struct vm_area_struct *dst_vma, struct vm_area_struct *src_vma,
			  pmd_t *src_pmd, pmd_t *dst_pmd, unsigned long addr,
			  unsigned long end)
{
	pmd_t src = src_pmd ? pmdp_get_lockless(src_pmd) : __pmd(0);
	pmd_t dst = dst_pmd ? pmdp_get_lockless(dst_pmd) : __pmd(0);
	struct img_round r = { .last = true };
	int err;

	if (pmd_none(dst))
		return pmd_none(src) ? 0 : copy_page_part(dst_vma, src_vma, addr, end);
	if (!img_pmd_is_table(src)) {
		zap_page_range_single(dst_vma, addr, end - addr, NULL);
		return pmd_none(src) ? 0 : -EAGAIN;
	}
	err = img_update_range(dst_vma, src_vma, addr, end, &r);
	return err ?: img_copy_left(dst_vma, src_vma, addr, end, &r);
}

static int img_sync_vma(struct vm_area_struct *dst_vma, struct vm_area_struct *src_vma)
{
	unsigned long addr, next, src_hole, dst_hole;
	int err = 0;

	if (src_vma->vm_flags & VM_WIPEONFORK)
		return 0;
	img_dup_vma(dst_vma, src_vma);
	if (!img_precopies(src_vma))
		return copy_page_range(dst_vma, src_vma);
	for (addr = src_vma->vm_start; !err && addr < src_vma->vm_end; addr = next) {
		pmd_t *src = img_find_pmd(src_vma->vm_mm, addr, &src_hole);
		pmd_t *dst = img_find_pmd(dst_vma->vm_mm, addr, &dst_hole);

		next = img_step(addr, src_vma->vm_end, min(src_hole, dst_hole));
		if (src || dst)
			err = img_sync_table(dst_vma, src_vma, src, dst, addr, next);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return err;
}

/* Has a huge page taken the place of a page table, which the copy still has? */
static bool img_has_collapsed(struct vm_area_struct *dst_vma, struct vm_area_struct *src_vma)
{
	unsigned long addr, hole;

	if (!img_precopies(src_vma))
		return false;
	for (addr = src_vma->vm_start; addr < src_vma->vm_end;
	     addr = img_step(addr, src_vma->vm_end, hole)) {
		pmd_t *dst = img_find_pmd(dst_vma->vm_mm, addr, &hole), *src;
		unsigned long ignored;

		if (!dst || pmd_none(pmdp_get_lockless(dst)))
			continue;
		src = img_find_pmd(src_vma->vm_mm, addr, &ignored);
		if (src && !pmd_none(pmdp_get_lockless(src)) &&
		    !img_pmd_is_table(pmdp_get_lockless(src)))
			return true;
	}
	return false;
}

/* Can the copy be made what the original is?  To find that out does not take long. */
static bool img_same_mm(struct mm_struct *mm, struct mm_struct *oldmm)
{
	VMA_ITERATOR(dst_vmi, mm, 0);
	VMA_ITERATOR(src_vmi, oldmm, 0);
	struct vm_area_struct *src_vma, *dst_vma;

	if (mm->map_count != oldmm->map_count)
		return false;
	for_each_vma(src_vmi, src_vma) {
		dst_vma = vma_next(&dst_vmi);
		if (!dst_vma || !img_same_vma(src_vma, dst_vma) ||
		    img_has_collapsed(dst_vma, src_vma))
			return false;
	}
	return true;
}

/*
 * Who looks for all mappings of a page has to find the original before the copy
 * (see move_ptes()): what he does to an entry of the original before it is copied, as
 * to end a migration, he then does to the copied one as well.  After a fork that is
 * so, but the original may have been taken out and put back since, with its size.
 */
static void img_order_rmap(struct vm_area_struct *dst_vma, struct vm_area_struct *src_vma)
{
	struct anon_vma_chain *avc;

	if (dst_vma->vm_file) {
		struct address_space *mapping = dst_vma->vm_file->f_mapping;

		i_mmap_lock_write(mapping);
		flush_dcache_mmap_lock(mapping);
		vma_interval_tree_remove(dst_vma, &mapping->i_mmap);
		vma_interval_tree_insert_after(dst_vma, src_vma, &mapping->i_mmap);
		flush_dcache_mmap_unlock(mapping);
		i_mmap_unlock_write(mapping);
	}
	if (!dst_vma->anon_vma)
		return;
	anon_vma_lock_write(dst_vma->anon_vma);
	list_for_each_entry(avc, &dst_vma->anon_vma_chain, same_vma) {
		anon_vma_interval_tree_remove(avc, &avc->anon_vma->rb_root);
		anon_vma_interval_tree_insert(avc, &avc->anon_vma->rb_root);
	}
	anon_vma_unlock_write(dst_vma->anon_vma);
}

static int img_sync_mm(struct mm_struct *mm, struct mm_struct *oldmm)
{
	VMA_ITERATOR(dst_vmi, mm, 0);
	VMA_ITERATOR(src_vmi, oldmm, 0);
	struct vm_area_struct *src_vma, *dst_vma;
	int err;

	for_each_vma(src_vmi, src_vma) {
		dst_vma = vma_next(&dst_vmi);
		if (WARN_ON_ONCE(!dst_vma))
			return -EAGAIN;
		vma_start_write(src_vma);
		err = img_share_rmap(src_vma, dst_vma);
		if (err)
			return err;
		img_order_rmap(dst_vma, src_vma);
		err = img_sync_vma(dst_vma, src_vma);
		if (err)
			return err;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	/* All that others find in the copy; see img_mm_hold() for the rest. */
	mm->arg_start = oldmm->arg_start;
	mm->arg_end = oldmm->arg_end;
	return 0;
}

/**
 * mm_snapshot_finish() - make a copy that was begun what the original is now
 * @mm: what mm_snapshot_begin() made; nobody else uses it
 * @oldmm: the original
 *
 * Context: process context, takes the mmap_lock of @oldmm for writing.
 * Return: 0; -EAGAIN: too much has changed, only mm_snapshot() will do; -ENOMEM;
 *	-EINTR when the caller is killed.
 */
int mm_snapshot_finish(struct mm_struct *mm, struct mm_struct *oldmm)
{
	int err = -EAGAIN;

	if (mmap_write_lock_killable(oldmm))
		return -EINTR;
	/* swapoff(2) looks at address spaces that nobody runs in, too. */
	if (mmap_write_trylock(mm)) {
		if (img_same_mm(mm, oldmm) && img_arch_update_mm(mm, oldmm))
			err = img_sync_mm(mm, oldmm);
		mmap_write_unlock(mm);
		flush_tlb_mm(oldmm);
	}
	mmap_write_unlock(oldmm);
	return err;
}
