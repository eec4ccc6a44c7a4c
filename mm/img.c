// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: a resumed process is one that is swapped out to its own file.
 *
 * Each page that the image has is a non-present entry of the page table that says
 * where it is in the file.  Touching it makes an anonymous page with that content,
 * of its own, as a fault on a swapped-out page does.
 */
#include <linux/highmem.h>
#include <linux/huge_mm.h>
#include <linux/img_fault.h>
#include <linux/maple_tree.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/mman.h>
#include <linux/pagemap.h>
#include <linux/rmap.h>
#include <linux/shmem_fs.h>
#include <linux/swap.h>
#include <linux/swapops.h>
#include <linux/userfaultfd_k.h>
#include <linux/vmstat.h>

#include "img.h"
#include "internal.h"
#include "vma.h"

/* So many pages are filled in at once by who touches one after the other. */
#define IMG_AROUND	16

/**
 * struct img_around - pages that are filled in together
 * @addr: address of the first
 * @nr: how many
 * @pte: their entries, as they were found
 * @folio: their new contents, NULL: leave as it is
 */
struct img_around {
	unsigned long	addr;
	unsigned int	nr;
	pte_t		pte[IMG_AROUND];
	struct folio	*folio[IMG_AROUND];
};

static bool img_is_pte(pte_t pte)
{
	return is_swap_pte(pte) && is_img_entry(pte_to_swp_entry(pte));
}

/*
 * One who walks through memory has the page before, and gets some of those that
 * come next.  Others get the one that they touch.
 */
static bool img_look_around(struct vm_fault *vmf, struct img_around *a)
{
	unsigned long end, addr = vmf->address & PAGE_MASK;
	unsigned int i;
	pte_t *pte;

	a->addr = addr;
	a->nr = 1;
	a->pte[0] = vmf->orig_pte;
	pte = img_mapped(pte_offset_map(vmf->pmd, addr));
	if (!pte)
		return false;
	end = min(vmf->vma->vm_end, pmd_addr_end(addr, vmf->vma->vm_end));
	if (addr > vmf->vma->vm_start && pte_index(addr) &&
	    !userfaultfd_armed(vmf->vma) && pte_present(ptep_get_lockless(pte - 1)))
		a->nr = min((end - addr) >> PAGE_SHIFT, (unsigned long)IMG_AROUND);
	for (i = 1; i < a->nr; i++)
		a->pte[i] = ptep_get_lockless(pte + i);
	pte_unmap(pte);
	return true;
}

/* If it is in memory. */
static struct folio *img_cached_page(struct address_space *mapping, pgoff_t index)
{
	struct folio *folio = filemap_get_folio(mapping, index);

	if (IS_ERR(folio))
		return NULL;
	if (folio_test_uptodate(folio))
		return folio;
	folio_put(folio);
	return NULL;
}

static void img_read_ahead(struct file *file, pgoff_t index, unsigned int nr)
{
	struct address_space *mapping = file->f_mapping;
	struct file_ra_state ra;

	if (shmem_mapping(mapping))
		return;
	file_ra_state_init(&ra, mapping);
	page_cache_sync_readahead(mapping, &ra, file, index, nr);
}

/* As filemap_fault(), but who is killed does not wait. */
static int img_read_folio(struct file *file, struct folio *folio)
{
	struct address_space *mapping = file->f_mapping;
	int err = folio_lock_killable(folio);

	if (err)
		return err;
	if (folio->mapping != mapping || folio_test_uptodate(folio)) {
		err = folio->mapping != mapping ? -EAGAIN : 0;
		folio_unlock(folio);
		return err;
	}
	/* Which unlocks it, at some time. */
	err = mapping->a_ops->read_folio(file, folio);
	if (!err)
		err = folio_wait_locked_killable(folio);
	if (err)
		return err == AOP_TRUNCATED_PAGE ? -EAGAIN : err;
	return folio_test_uptodate(folio) ? 0 : -EIO;
}

/* Waits for it. */
static struct folio *img_read_page(struct file *file, pgoff_t index)
{
	struct address_space *mapping = file->f_mapping;
	struct folio *folio;
	int err;

	if (shmem_mapping(mapping))
		return shmem_read_folio(mapping, index);
	do {
		folio = __filemap_get_folio(mapping, index, FGP_CREAT | FGP_FOR_MMAP,
					    mapping_gfp_mask(mapping));
		if (IS_ERR(folio))
			return folio;
		err = img_read_folio(file, folio);
		if (!err)
			return folio;
		folio_put(folio);
	} while (err == -EAGAIN);
	return ERR_PTR(err);
}

/*
 * As filemap_fault(), wait without a lock if the fault can happen again.  Who does
 * so for others and cannot be killed (khugepaged) does not wait at all.
 */
static vm_fault_t img_read_unlocked(struct vm_fault *vmf, pgoff_t index, unsigned int nr)
{
	struct file *file = get_file(img_file(vmf->vma->vm_mm));
	unsigned int flags = vmf->flags;
	struct folio *folio;

	release_fault_lock(vmf);
	img_read_ahead(file, index, nr);
	if (flags & FAULT_FLAG_KILLABLE) {
		folio = img_read_page(file, index);
		if (!IS_ERR(folio))
			folio_put(folio);
	}
	fput(file);
	return VM_FAULT_MAJOR | VM_FAULT_RETRY;
}

/* The page of the image; @nr from there on are wanted.  NULL: see what is returned. */
static vm_fault_t img_get_page(struct vm_fault *vmf, pgoff_t index, unsigned int nr,
			       struct folio **foliop)
{
	struct mm_struct *mm = vmf->vma->vm_mm;
	struct file *file = img_file(mm);
	struct folio *folio;

	*foliop = img_cached_page(file->f_mapping, index);
	if (*foliop)
		return 0;
	if (index >= i_size_read(file->f_mapping->host) >> PAGE_SHIFT)
		return VM_FAULT_SIGBUS;
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;
	count_vm_event(PGMAJFAULT);
	count_memcg_event_mm(mm, PGMAJFAULT);
	if (fault_flag_allow_retry_first(vmf->flags))
		return img_read_unlocked(vmf, index, nr);
	img_read_ahead(file, index, nr);
	folio = img_read_page(file, index);
	if (IS_ERR(folio))
		return PTR_ERR(folio) == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
	*foliop = folio;
	return VM_FAULT_MAJOR;
}

static int img_copy_page(struct vm_fault *vmf, struct page *to, unsigned long addr,
			 struct folio *from, pgoff_t index)
{
	struct page *page = folio_file_page(from, index);

	if (PageHWPoison(page))
		return -EHWPOISON;
	return copy_mc_user_highpage(to, page, addr, vmf->vma) ? -EHWPOISON : 0;
}

static struct folio *img_new_folio(struct vm_fault *vmf, unsigned long addr, gfp_t gfp,
				   int order)
{
	struct folio *folio = vma_alloc_folio(gfp, order, vmf->vma, addr, order);

	if (!folio)
		return NULL;
	if (mem_cgroup_charge(folio, vmf->vma->vm_mm, gfp)) {
		folio_put(folio);
		return NULL;
	}
	folio_throttle_swaprate(folio, gfp);
	return folio;
}

/* The page that was touched. */
static vm_fault_t img_make_page(struct vm_fault *vmf, struct img_around *a,
				struct folio *from, pgoff_t index)
{
	struct folio *folio = img_new_folio(vmf, a->addr, GFP_HIGHUSER_MOVABLE, 0);

	if (!folio)
		return VM_FAULT_OOM;
	if (img_copy_page(vmf, &folio->page, a->addr, from, index)) {
		folio_put(folio);
		return VM_FAULT_HWPOISON;
	}
	__folio_mark_uptodate(folio);
	a->folio[0] = folio;
	return 0;
}

/* One that nobody asked for, if that is easy. */
static bool img_make_neighbour(struct vm_fault *vmf, struct img_around *a, unsigned int i)
{
	gfp_t gfp = GFP_HIGHUSER_MOVABLE | __GFP_NORETRY | __GFP_NOWARN;
	pgoff_t index = swp_offset(pte_to_swp_entry(a->pte[i]));
	unsigned long addr = a->addr + i * PAGE_SIZE;
	struct folio *from, *folio;

	from = img_cached_page(img_file(vmf->vma->vm_mm)->f_mapping, index);
	if (!from)
		return false;
	folio = img_new_folio(vmf, addr, gfp, 0);
	if (folio && img_copy_page(vmf, &folio->page, addr, from, index)) {
		folio_put(folio);
		folio = NULL;
	}
	folio_put(from);
	if (folio)
		__folio_mark_uptodate(folio);
	a->folio[i] = folio;
	return folio;
}

/* For the first page of a folio. */
static pte_t img_make_pte(struct vm_fault *vmf, struct folio *folio, pte_t old, bool touched)
{
	struct vm_area_struct *vma = vmf->vma;
	pte_t pte = mk_pte(&folio->page, vma->vm_page_prot);

	if (pte_swp_soft_dirty(old))
		pte = pte_mksoft_dirty(pte);
	if (pte_swp_uffd_wp(old))
		pte = pte_mkuffd_wp(pte);
	if ((vma->vm_flags & VM_WRITE) && !userfaultfd_pte_wp(vma, pte) &&
	    !pte_needs_soft_dirty_wp(vma, pte)) {
		pte = pte_mkwrite(pte, vma);
		if (touched && (vmf->flags & FAULT_FLAG_WRITE))
			pte = pte_mkdirty(pte);
	}
	return pte_sw_mkyoung(pte);
}

/* False when the entry has changed meanwhile. */
static bool img_install(struct vm_fault *vmf, struct img_around *a, unsigned int i, pte_t *ptep)
{
	unsigned long addr = a->addr + i * PAGE_SIZE;
	struct vm_area_struct *vma = vmf->vma;
	struct folio *folio = a->folio[i];

	if (!pte_same(ptep_get(ptep), a->pte[i]))
		return false;
	inc_mm_counter(vma->vm_mm, MM_ANONPAGES);
	folio_add_new_anon_rmap(folio, vma, addr, RMAP_EXCLUSIVE);
	folio_add_lru_vma(folio, vma);
	set_pte_at(vma->vm_mm, addr, ptep, img_make_pte(vmf, folio, a->pte[i], !i));
	update_mmu_cache_range(vmf, vma, addr, ptep, 1);
	a->folio[i] = NULL;
	return true;
}

static void img_install_all(struct vm_fault *vmf, struct img_around *a)
{
	unsigned int i;
	pte_t *ptep;

	ptep = img_mapped(pte_offset_map_lock(vmf->vma->vm_mm, vmf->pmd, a->addr, &vmf->ptl));
	if (!ptep)
		return;
	for (i = 0; i < a->nr; i++) {
		if (a->folio[i])
			img_install(vmf, a, i, ptep + i);
	}
	pte_unmap_unlock(ptep, vmf->ptl);
}

/* Do the entries from @ptep on continue what the one that was touched says? */
static bool img_continues(struct vm_fault *vmf, pte_t *ptep, unsigned long addr, int order)
{
	long before = (vmf->address - addr) >> PAGE_SHIFT;
	pte_t want = pte_move_swp_offset(vmf->orig_pte, -before);
	unsigned int i;

	for (i = 0; i < 1 << order; i++, want = pte_next_swp_offset(want)) {
		if (!pte_same(ptep_get_lockless(ptep + i), want))
			return false;
	}
	return true;
}

/* The orders that would do, the highest of which fits: as alloc_anon_folio(). */
static unsigned long img_orders(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long orders;
	pte_t *pte;
	int order;

	if (!vma_is_anonymous(vma) || userfaultfd_armed(vma))
		return 0;
	orders = thp_vma_allowable_orders(vma, vma->vm_flags, TVA_IN_PF | TVA_ENFORCE_SYSFS,
					  BIT(PMD_ORDER) - 1);
	orders = thp_vma_suitable_orders(vma, vmf->address, orders);
	if (!orders)
		return 0;
	pte = img_mapped(pte_offset_map(vmf->pmd, vmf->address & PMD_MASK));
	if (!pte)
		return 0;
	for (order = highest_order(orders); orders; order = next_order(&orders, order)) {
		unsigned long addr = ALIGN_DOWN(vmf->address, PAGE_SIZE << order);

		if (img_continues(vmf, pte + pte_index(addr), addr, order))
			break;
	}
	pte_unmap(pte);
	return orders;
}

/* False if not all of it is in memory. */
static bool img_fill_folio(struct vm_fault *vmf, struct folio *folio, unsigned long addr)
{
	struct address_space *mapping = img_file(vmf->vma->vm_mm)->f_mapping;
	pgoff_t index = swp_offset(pte_to_swp_entry(vmf->orig_pte)) -
			((vmf->address - addr) >> PAGE_SHIFT);
	unsigned int i, nr = folio_nr_pages(folio);
	struct folio *from;
	int err;

	for (i = 0; i < nr; i++) {
		from = img_cached_page(mapping, index + i);
		if (!from)
			return false;
		err = img_copy_page(vmf, folio_page(folio, i), addr + i * PAGE_SIZE, from,
				    index + i);
		folio_put(from);
		if (err)
			return false;
		cond_resched();
	}
	__folio_mark_uptodate(folio);
	return true;
}

static bool img_install_folio(struct vm_fault *vmf, struct folio *folio, unsigned long addr)
{
	unsigned int nr = folio_nr_pages(folio);
	struct vm_area_struct *vma = vmf->vma;
	bool same;
	pte_t *ptep;

	ptep = img_mapped(pte_offset_map_lock(vma->vm_mm, vmf->pmd, addr, &vmf->ptl));
	if (!ptep)
		return false;
	same = img_continues(vmf, ptep, addr, folio_order(folio));
	if (same) {
		folio_ref_add(folio, nr - 1);
		add_mm_counter(vma->vm_mm, MM_ANONPAGES, nr);
		count_mthp_stat(folio_order(folio), MTHP_STAT_ANON_FAULT_ALLOC);
		folio_add_new_anon_rmap(folio, vma, addr, RMAP_EXCLUSIVE);
		folio_add_lru_vma(folio, vma);
		set_ptes(vma->vm_mm, addr, ptep,
			 img_make_pte(vmf, folio, vmf->orig_pte, true), nr);
		update_mmu_cache_range(vmf, vma, addr, ptep, nr);
	}
	pte_unmap_unlock(ptep, vmf->ptl);
	return same;
}

/* Several pages in one folio, where such are wanted; false: there are none. */
static bool img_fault_large(struct vm_fault *vmf)
{
	unsigned long orders = img_orders(vmf);
	struct folio *folio;
	int order;

	for (order = highest_order(orders); orders; order = next_order(&orders, order)) {
		unsigned long addr = ALIGN_DOWN(vmf->address, PAGE_SIZE << order);

		folio = img_new_folio(vmf, addr, vma_thp_gfp_mask(vmf->vma), order);
		if (!folio)
			continue;
		if (img_fill_folio(vmf, folio, addr) && img_install_folio(vmf, folio, addr))
			return true;
		folio_put(folio);
		return false;
	}
	return false;
}

/* The page that was touched, which is the first of @a, and some more. */
static vm_fault_t img_fault_around(struct vm_fault *vmf, struct img_around *a,
				   struct folio *from, pgoff_t index)
{
	vm_fault_t ret = img_make_page(vmf, a, from, index);
	unsigned int i;

	if (ret)
		return ret;
	for (i = 1; i < a->nr; i++) {
		if (img_is_pte(a->pte[i]) && !img_make_neighbour(vmf, a, i))
			break;
	}
	img_install_all(vmf, a);
	for (i = 0; i < a->nr; i++) {
		if (a->folio[i])
			folio_put(a->folio[i]);
	}
	return 0;
}

/**
 * img_fault() - fill in a page of an image that is touched
 * @vmf: the fault; its entry was SWP_IMG, and is unmapped
 *
 * Context: as do_swap_page(); may sleep.
 * Return: as do_swap_page(), among them VM_FAULT_RETRY, after which the lock is
 *	released; VM_FAULT_SIGBUS if the image cannot be read; VM_FAULT_HWPOISON.  A
 *	fault for writing that write protection is to catch happens again.
 */
vm_fault_t img_fault(struct vm_fault *vmf)
{
	pgoff_t index = swp_offset(pte_to_swp_entry(vmf->orig_pte));
	struct img_around a = {};
	struct folio *from;
	vm_fault_t ret;

	if (WARN_ON_ONCE(!mm_has_img(vmf->vma->vm_mm) || !vmf->vma->anon_vma))
		return VM_FAULT_SIGBUS;
	if (!img_look_around(vmf, &a))
		return 0;
	ret = img_get_page(vmf, index, a.nr, &from);
	if (!from)
		return ret;
	if (!img_fault_large(vmf))
		ret |= img_fault_around(vmf, &a, from, index);
	folio_put(from);
	return ret;
}

/**
 * mm_drop_vma() - unmap the only mapping of an address space that nobody runs in yet
 * @vma: the mapping, of anonymous memory
 *
 * As exit_mmap(), but the address space stays.  No processor has to forget anything.
 * do_munmap() would not do, as it knows current's address space only, who may be a
 * 32-bit program.
 *
 * Context: on exec, before begin_new_exec(); takes the mmap_lock of the address
 *	space for writing.
 */
void mm_drop_vma(struct vm_area_struct *vma)
{
	VMA_ITERATOR(vmi, vma->vm_mm, vma->vm_end);
	struct mm_struct *mm = vma->vm_mm;
	unsigned long nr = vma_pages(vma);

	mmap_write_lock(mm);
	WARN_ON_ONCE(mm->map_count != 1 || vma->vm_file);
	unmap_region(&vmi.mas, vma, NULL, NULL);
	__mt_destroy(&mm->mm_mt);
	mm->map_count = 0;
	vm_stat_account(mm, vma->vm_flags, -nr);
	if (vma->vm_flags & VM_ACCOUNT)
		vm_unacct_memory(nr);
	remove_vma(vma, /* unreachable = */ true);
	mmap_write_unlock(mm);
}
