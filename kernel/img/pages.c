// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: which pages are in an image, reading them from a snapshot,
 * filling them in.
 *
 * In the image is what exists nowhere else: anonymous pages, present or
 * swapped out, among them the private copies of file pages.  Pages of zeros
 * in anonymous memory are left out, since that is what untouched anonymous
 * memory reads as.
 */
#include <linux/bvec.h>
#include <linux/highmem.h>
#include <linux/img.h>
#include <linux/img_fault.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/pagewalk.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/swap.h>
#include <linux/swapops.h>
#include <linux/uio.h>

/* Pages that are taken in one go. */
#define IMG_BATCH	256

/**
 * struct img_walk - a walk over one mapping
 * @runs: array of struct img_run, with room for what is added under a lock
 * @vma: the mapping
 * @begin: runs before this index are of other mappings
 */
struct img_walk {
	struct img_buf		runs;
	struct vm_area_struct	*vma;
	size_t			begin;
};

/* Room for @n more runs, before a lock under which none can be made. */
static int img_walk_reserve(struct img_walk *w, size_t n)
{
	size_t len = w->runs.len;

	if (len + n * sizeof(struct img_run) > IMG_HEAD_MAX)
		return -EFBIG;
	if (!img_buf_add(&w->runs, n * sizeof(struct img_run)))
		return -ENOMEM;
	w->runs.len = len;
	return 0;
}

static void img_walk_add(struct img_walk *w, unsigned long addr, unsigned long end)
{
	struct img_run *runs = w->runs.data;
	size_t n = w->runs.len / sizeof(*runs);

	if (n > w->begin && runs[n - 1].end == addr) {
		runs[n - 1].end = end;
		return;
	}
	runs[n] = (struct img_run){ .start = addr, .end = end };
	w->runs.len += sizeof(*runs);
}

/**
 * img_page_is_zero() - is nothing in a page?
 * @page: the page
 *
 * Context: any.
 * Return: true if all bytes are zero.
 */
bool img_page_is_zero(struct page *page)
{
	void *p = kmap_local_page(page);
	bool zero = !memchr_inv(p, 0, PAGE_SIZE);

	kunmap_local(p);
	return zero;
}

static bool img_want_page(struct img_walk *w, struct page *page)
{
	if (!page)
		return false;
	if (!PageAnon(page))
		return img_arch_vma(w->vma);
	return w->vma->vm_file || !img_page_is_zero(page);
}

static bool img_want_pte(struct img_walk *w, unsigned long addr, pte_t pte)
{
	if (pte_none(pte))
		return false;
	if (pte_present(pte))
		return img_want_page(w, vm_normal_page(w->vma, addr, pte));
	/* Swapped out or being moved; poison too: reading it must fail. */
	return !is_pte_marker(pte) || is_poisoned_swp_entry(pte_to_swp_entry(pte));
}

static void img_walk_huge(struct img_walk *w, pmd_t pmd, unsigned long addr,
			  unsigned long end)
{
	struct page *page;

	/* One that is being moved is there again when it is read. */
	if (!pmd_present(pmd)) {
		img_walk_add(w, addr, end);
		return;
	}
	if (is_huge_zero_pmd(pmd))
		return;
	page = pmd_page(pmd) + ((addr & ~PMD_MASK) >> PAGE_SHIFT);
	for (; addr < end; addr += PAGE_SIZE, page++) {
		if (img_want_page(w, page))
			img_walk_add(w, addr, addr + PAGE_SIZE);
	}
}

/* Makes room for what is below @pmd, and looks at a huge page itself. */
static int img_walk_pmd(pmd_t *pmd, unsigned long addr, unsigned long end,
			struct mm_walk *walk)
{
	struct img_walk *w = walk->private;
	spinlock_t *ptl;		/* of a huge page */
	int err;

	cond_resched();
	if (fatal_signal_pending(current))
		return -EINTR;
	err = img_walk_reserve(w, PTRS_PER_PTE);
	if (err)
		return err;
	ptl = pmd_trans_huge_lock(pmd, w->vma);
	if (!ptl)
		return 0;
	img_walk_huge(w, *pmd, addr, end);
	/* sparse does not see that it was taken. */
	__acquire(ptl);
	spin_unlock(ptl);
	walk->action = ACTION_CONTINUE;
	return 0;
}

static int img_walk_pte(pte_t *pte, unsigned long addr, unsigned long end,
			struct mm_walk *walk)
{
	struct img_walk *w = walk->private;

	if (img_want_pte(w, addr, ptep_get(pte)))
		img_walk_add(w, addr, end);
	return 0;
}

static const struct mm_walk_ops img_walk_ops = {
	.pmd_entry	= img_walk_pmd,
	.pte_entry	= img_walk_pte,
	.walk_lock	= PGWALK_RDLOCK,
};

static bool img_vma_has_pages(struct vm_area_struct *vma)
{
	if (img_arch_vma(vma))
		return false;
	return !(vma->vm_flags & (VM_MAYSHARE | VM_WIPEONFORK)) && vma->anon_vma;
}

/* Find the runs of the snapshot. */
static int img_pages_save(struct img_dump *d)
{
	VMA_ITERATOR(vmi, d->mm, 0);
	struct img_walk w = {};
	int err = 0;

	mmap_read_lock(d->mm);
	for_each_vma(vmi, w.vma) {
		w.begin = w.runs.len / sizeof(struct img_run);
		if (img_arch_vma_readable(w.vma)) {
			err = img_walk_reserve(&w, 1);
			if (!err)
				img_walk_add(&w, w.vma->vm_start, w.vma->vm_end);
		} else if (img_vma_has_pages(w.vma)) {
			err = img_fill_range(d->mm, w.vma->vm_start, w.vma->vm_end);
			if (!err)
				err = walk_page_vma(w.vma, &img_walk_ops, &w);
		}
		if (err)
			break;
	}
	mmap_read_unlock(d->mm);
	d->runs = w.runs.data;
	d->nr_runs = w.runs.len / sizeof(struct img_run);
	return err;
}

static struct img_run *img_find_run(struct img_dump *d, loff_t pos)
{
	size_t lo = 0, hi = d->nr_runs;

	while (lo + 1 < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (d->runs[mid].pos <= pos)
			lo = mid;
		else
			hi = mid;
	}
	return &d->runs[lo];
}

/**
 * struct img_grab - what is found from an address on: pages, or where they are
 * @pages: with references
 * @nr: how many
 * @index: place in the image that the target was resumed from
 * @nr_there: so many pages are there, if @nr is 0
 * @nr_out: so many pages are swapped out, if both are 0
 */
struct img_grab {
	struct page	**pages;
	long		nr;
	pgoff_t		index;
	long		nr_there;
	long		nr_out;
};

/* False: something else begins here. */
static bool img_grab_entry(struct img_grab *g, swp_entry_t entry)
{
	if (g->nr)
		return false;
	if (!is_img_entry(entry)) {
		g->nr_out += !g->nr_there;
		return !g->nr_there;
	}
	if (g->nr_out)
		return false;
	if (!g->nr_there)
		g->index = swp_offset(entry);
	if (swp_offset(entry) != g->index + g->nr_there)
		return false;
	g->nr_there++;
	return true;
}

/* Not 0: that was all. */
static int img_grab_pte(pte_t *ptep, unsigned long addr, unsigned long end,
			struct mm_walk *walk)
{
	struct img_grab *g = walk->private;
	pte_t pte = ptep_get(ptep);
	struct page *page;

	if (is_swap_pte(pte))
		return !img_grab_entry(g, pte_to_swp_entry(pte));
	page = pte_present(pte) ? vm_normal_page(walk->vma, addr, pte) : NULL;
	if (!page || g->nr_there || g->nr_out)
		return 1;
	get_page(page);
	g->pages[g->nr++] = page;
	return 0;
}

static int img_grab_pmd(pmd_t *pmd, unsigned long addr, unsigned long end,
			struct mm_walk *walk)
{
	spinlock_t *ptl = pmd_trans_huge_lock(pmd, walk->vma);
	struct img_grab *g = walk->private;
	struct page *page;
	bool stop;

	if (!ptl)
		return 0;
	stop = !pmd_present(*pmd) || g->nr_there || g->nr_out;
	page = stop ? NULL : pmd_page(*pmd) + ((addr & ~PMD_MASK) >> PAGE_SHIFT);
	for (; !stop && addr < end; addr += PAGE_SIZE) {
		get_page(page);
		g->pages[g->nr++] = page++;
	}
	/* sparse does not see that it was taken. */
	__acquire(ptl);
	spin_unlock(ptl);
	walk->action = ACTION_CONTINUE;
	return stop;
}

static int img_grab_hole(unsigned long addr, unsigned long end, int depth,
			 struct mm_walk *walk)
{
	return 1;
}

static const struct mm_walk_ops img_grab_ops = {
	.pmd_entry	= img_grab_pmd,
	.pte_entry	= img_grab_pte,
	.pte_hole	= img_grab_hole,
	.walk_lock	= PGWALK_RDLOCK,
};

/*
 * What is in memory is taken from the page tables; what is swapped out, or a device's,
 * is faulted in.
 */
static int img_grab(struct img_dump *d, unsigned long addr, unsigned long nr,
		    struct img_grab *g)
{
	int err;

	mmap_read_lock(d->mm);
	err = walk_page_range(d->mm, addr, addr + nr * PAGE_SIZE, &img_grab_ops, g);
	if (err >= 0 && !g->nr && !g->nr_there)
		g->nr = get_user_pages_remote(d->mm, addr, g->nr_out ?: nr, FOLL_FORCE,
					      g->pages, NULL);
	mmap_read_unlock(d->mm);
	if (g->nr == -EINTR || g->nr == -ENOMEM)
		return g->nr;
	return err < 0 || g->nr < 0 ? -EIO : 0;
}

static ssize_t img_copy_pages(struct img_grab *g, size_t off, size_t len,
			      struct iov_iter *to)
{
	ssize_t done = 0;
	long i;

	for (i = 0; i < g->nr && len; i++) {
		size_t n = min_t(size_t, PAGE_SIZE - off, len);
		size_t copied = copy_page_to_iter(g->pages[i], off, n, to);

		done += copied;
		len -= copied;
		off = 0;
		if (copied < n)
			break;
	}
	return done ?: -EFAULT;
}

/* Without bringing it into memory that would be the dump's. */
static ssize_t img_copy_image(struct img_dump *d, struct img_grab *g, size_t off,
			      size_t len, struct iov_iter *to)
{
	loff_t pos = ((loff_t)g->index << PAGE_SHIFT) + off;
	size_t count = iov_iter_count(to);
	ssize_t done;

	iov_iter_truncate(to, min_t(size_t, len, g->nr_there * PAGE_SIZE - off));
	done = vfs_iter_read(img_file(d->mm), to, &pos, 0);
	iov_iter_reexpand(to, count - max_t(ssize_t, done, 0));
	return done ?: -EIO;
}

/**
 * img_pages_read() - read page contents of an image
 * @d: the dump
 * @pos: offset in the image, inside the pages
 * @to: where to; not empty
 *
 * Context: may sleep; several readers may be in here at once.
 * Return: bytes read, at least 1 and at most IMG_BATCH pages; -EFAULT, -EINTR,
 *	-ENOMEM, or -EIO when a page cannot be had (hardware poison, failed swap).
 */
ssize_t img_pages_read(struct img_dump *d, loff_t pos, struct iov_iter *to)
{
	struct img_grab g = {};
	struct img_run *run;
	unsigned long addr, nr;
	size_t off, len;
	ssize_t done;

	if (pos < d->data_off + d->store_len)
		return img_store_read(d, pos - d->data_off, to);
	if (fatal_signal_pending(current))
		return -EINTR;
	run = img_find_run(d, pos);
	addr = run->start + (pos - run->pos);
	off = offset_in_page(addr);
	len = min_t(size_t, run->end - addr, iov_iter_count(to));
	nr = min_t(unsigned long, IMG_BATCH, DIV_ROUND_UP(off + len, PAGE_SIZE));
	g.pages = kmalloc_array(nr, sizeof(*g.pages), GFP_KERNEL_ACCOUNT);
	if (!g.pages)
		return -ENOMEM;
	done = img_grab(d, addr & PAGE_MASK, nr, &g);
	if (!done && g.nr_there)
		done = img_copy_image(d, &g, off, len, to);
	else if (!done)
		done = img_copy_pages(&g, off, len, to);
	while (g.nr > 0)
		put_page(g.pages[--g.nr]);
	kfree(g.pages);
	return done;
}

/*
 * Every run must be inside one mapping that can have pages of its own, or show
 * what an object has there.  The latter is for debuggers only.
 */
static int img_pages_check(struct img_load *l)
{
	size_t i, kept = 0;
	unsigned int v = 0;

	for (i = 0; i < l->nr_runs; i++) {
		const struct img_run run = l->runs[i];
		const struct img_mapping *m;
		bool ok;

		while (v < l->nr_vmas && l->vmas[v].end <= run.start)
			v++;
		m = &l->vmas[v];
		ok = v < l->nr_vmas && run.start >= m->start && run.end <= m->end;
		if (ok && run.pos < l->object_end) {
			ok = img_object_shows(l, m, &run);
		} else if (ok) {
			ok = (m->map & MAP_PRIVATE) && !(m->flags & IMG_VMA_WIPEONFORK);
			l->runs[kept++] = run;
		}
		if (!ok)
			return img_load_refuse(l, -EBADMSG, "pages at %lx have no place",
					       run.start);
	}
	l->nr_runs = kept;
	return 0;
}

/* At most IMG_BATCH pages; -EIO when not all can be read. */
static int img_read_pages(struct file *file, struct page **pages, long nr, loff_t pos)
{
	struct iov_iter iter;
	struct bio_vec *bv;
	ssize_t n;
	long i;

	bv = kmalloc_array(nr, sizeof(*bv), GFP_KERNEL_ACCOUNT);
	if (!bv)
		return -ENOMEM;
	for (i = 0; i < nr; i++)
		bvec_set_page(&bv[i], pages[i], PAGE_SIZE, 0);
	iov_iter_bvec(&iter, ITER_DEST, bv, nr, nr * PAGE_SIZE);
	while (iov_iter_count(&iter)) {
		n = vfs_iter_read(file, &iter, &pos, 0);
		if (n <= 0)
			break;
	}
	kfree(bv);
	return iov_iter_count(&iter) ? -EIO : 0;
}

static int img_fill_run(struct img_load *l, const struct img_run *run, struct page **pages)
{
	unsigned long addr = run->start;
	loff_t pos = run->pos;

	while (addr < run->end) {
		unsigned long nr = min_t(unsigned long, IMG_BATCH,
					 (run->end - addr) >> PAGE_SHIFT);
		long got;
		int err;

		if (fatal_signal_pending(current))
			return -EINTR;
		mmap_read_lock(current->mm);
		got = pin_user_pages_remote(current->mm, addr, nr, FOLL_WRITE | FOLL_FORCE,
					    pages, NULL);
		mmap_read_unlock(current->mm);
		if (got <= 0)
			return got ?: -EFAULT;
		err = img_read_pages(l->file, pages, got, pos);
		unpin_user_pages_dirty_lock(pages, got, true);
		if (err)
			return err;
		addr += got * PAGE_SIZE;
		pos += got * PAGE_SIZE;
		cond_resched();
	}
	return 0;
}

/* Nothing is between such a file and its pages. */
static bool img_is_memory(struct file *file)
{
	return shmem_mapping(file->f_mapping) && !FMODE_FSNOTIFY_HSM(file->f_mode);
}

/*
 * Is what the page cache has of a mapped file right at any time, with no more than its
 * pages' locks?  Where other machines change a file, names are looked up again.
 */
static bool img_has_cache(struct vm_area_struct *vma)
{
	struct file *file = vma->vm_file;

	if (img_is_memory(file))
		return true;
	if (IS_DAX(file_inode(file)) || FMODE_FSNOTIFY_HSM(file->f_mode))
		return false;
	return file->f_mapping->a_ops->read_folio && vma->vm_ops &&
		vma->vm_ops->map_pages == filemap_map_pages &&
		(vma->vm_ops->fault == filemap_fault ||
		 !(file->f_path.dentry->d_flags & DCACHE_OP_REVALIDATE));
}

/*
 * The file from whose page cache pages can be taken when they are touched, with a
 * reference; NULL: there is none.  It is that which a mapping would be of, another one
 * where file systems are stacked, and that its file system has made ready for it.
 */
static struct file *img_paged_file(struct img_load *l)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	struct file *file = NULL;
	unsigned long addr;

	if (!mm_img_fits(l->length))
		return NULL;
	if (img_is_memory(l->file))
		return get_file(l->file);
	addr = vm_mmap(l->file, 0, PAGE_SIZE, PROT_READ, MAP_PRIVATE, 0);
	if (IS_ERR_VALUE(addr))
		return NULL;
	mmap_read_lock(mm);
	vma = vma_lookup(mm, addr);
	if (vma && vma->vm_file && img_has_cache(vma))
		file = get_file(vma->vm_file);
	mmap_read_unlock(mm);
	vm_munmap(addr, PAGE_SIZE);
	return file;
}

/* Where pages are found, once for all mappings.  If that cannot be, they are read. */
static void img_pages_start(struct img_load *l)
{
	struct file *file;

	if (l->pages_started)
		return;
	l->pages_started = true;
	file = img_paged_file(l);
	if (!file)
		return;
	if (mm_img_start(current->mm, file, l->runs, l->nr_runs))
		pr_debug("img: %pD2 is read at once\n", file);
	fput(file);
}

/* The first run that ends in or after a mapping. */
static size_t img_first_run(struct img_load *l, const struct img_mapping *m)
{
	size_t lo = 0, hi = l->nr_runs;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->runs[mid].end <= m->start)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/**
 * img_pages_any() - has a mapping pages of its own in the image?
 * @l: the image, its objects made
 * @m: the mapping
 *
 * Context: any.
 * Return: true if img_pages_fill() will fill in something.
 */
bool img_pages_any(struct img_load *l, const struct img_mapping *m)
{
	size_t i = img_first_run(l, m);

	if (!(m->map & MAP_PRIVATE))
		return false;
	/* Others only show what is in objects. */
	while (i < l->nr_runs && l->runs[i].start < m->end && l->runs[i].pos < l->object_end)
		i++;
	return i < l->nr_runs && l->runs[i].start < m->end;
}

/**
 * img_pages_fill() - give a mapping the contents that the image has for it
 * @l: the image
 * @m: the mapping, private and mapped in current->mm
 *
 * Context: past the point of no return; may sleep, killable.
 * Return: 0 or a negative errno.
 */
int img_pages_fill(struct img_load *l, const struct img_mapping *m)
{
	/* With mlock2(MLOCK_ONFAULT), what was there has to be there. */
	bool now = m->flags & IMG_VMA_LOCKONFAULT;
	size_t i = img_first_run(l, m);
	struct page **pages = NULL;
	int err = 0;

	if (!now && i < l->nr_runs && l->runs[i].start < m->end)
		img_pages_start(l);
	for (; !err && i < l->nr_runs && l->runs[i].start < m->end; i++) {
		if (mm_has_img(current->mm) && !now) {
			err = mm_img_map(current->mm, &l->runs[i], m->start, m->end);
			if (fatal_signal_pending(current))
				return -EINTR;
			cond_resched();
			continue;
		}
		if (!pages)
			pages = kmalloc_array(IMG_BATCH, sizeof(*pages), GFP_KERNEL_ACCOUNT);
		err = pages ? img_fill_run(l, &l->runs[i], pages) : -ENOMEM;
	}
	kfree(pages);
	return err;
}

const struct img_part img_part_pages = {
	.name	= "pages",
	.save	= img_pages_save,
	.check	= img_pages_check,
};
