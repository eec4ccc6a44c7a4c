// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: futex words that have the ID of a thread.
 *
 * The kernel knows of two kinds: those in the robust list of the thread that
 * owns them, and priority-inheritance futexes that somebody waits for.  Where
 * the thread has a new ID, these get it.  A word in a file that is mapped shared
 * belongs to others as well, among them the process that was dumped, and is left
 * alone.
 */
#include <linux/bsearch.h>
#include <linux/img.h>
#include <linux/minmax.h>
#include <linux/mman.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <uapi/linux/futex.h>
#include <asm/syscall.h>
#include <asm/unistd.h>

#ifdef CONFIG_FUTEX
/* Words beyond which we do not look for more: lists may have no end. */
#define IMG_WORDS_MAX	65536U

/**
 * struct img_word - a futex word
 * @addr: its address
 * @val: what is in it, with the old ID of its owner
 */
struct img_word {
	unsigned long	addr;
	u32		val;
};

/**
 * struct img_words - futex words
 * @word: the words
 * @nr: how many
 * @room: how many @word has room for
 */
struct img_words {
	struct img_word	*word;
	unsigned int	nr;
	unsigned int	room;
};

static int img_word_add(struct img_words *w, unsigned long addr, u32 val)
{
	unsigned int room = clamp(2 * w->room, 64U, IMG_WORDS_MAX);
	struct img_word *more;

	if (w->nr == IMG_WORDS_MAX)
		return 0;
	if (w->nr == w->room) {
		more = kvmalloc_array(room, sizeof(*more), GFP_KERNEL_ACCOUNT);
		if (!more)
			return -ENOMEM;
		memcpy(more, w->word, w->nr * sizeof(*more));
		kvfree(w->word);
		w->word = more;
		w->room = room;
	}
	w->word[w->nr++] = (struct img_word){ .addr = addr, .val = val };
	return 0;
}

static int img_cmp_mapping(const void *key, const void *elt)
{
	unsigned long addr = *(const unsigned long *)key;
	const struct img_mapping *m = elt;

	return addr < m->start ? -1 : addr >= m->end;
}

/* Is it in memory that no other process has? */
static bool img_word_is_ours(struct img_load *l, unsigned long addr)
{
	const struct img_mapping *m;

	m = bsearch(&addr, l->vmas, l->nr_vmas, sizeof(*m), img_cmp_mapping);
	return m && (m->kind != IMG_VMA_FILE || (m->map & MAP_TYPE) == MAP_PRIVATE);
}

static bool img_word_read(struct img_load *l, unsigned long addr, u32 *val)
{
	return IS_ALIGNED(addr, sizeof(*val)) && img_word_is_ours(l, addr) &&
	       !get_user(*val, (u32 __user *)addr);
}

/*
 * Write the new ID of the owner, if that is a thread of the image; not again if
 * the word was found twice, or is mapped twice.  What cannot be read or written is
 * the program's own affair.
 */
static void img_word_rewrite(struct img_load *l, const struct img_word *w)
{
	const struct img_load_thread *t = img_thread_by_tid(l, w->val & FUTEX_TID_MASK);
	u32 val;

	if (t && img_word_read(l, w->addr, &val) && val == w->val)
		put_user((val & ~FUTEX_TID_MASK) | task_pid_vnr(t->task),
			 (u32 __user *)w->addr);
}

/* The priority-inheritance futex that a thread waits for, or 0. */
static unsigned long img_pi_word(const struct img_load_thread *t)
{
	struct pt_regs *regs = task_pt_regs(t->task);
	unsigned long args[6];

	if (syscall_get_nr(t->task, regs) != __NR_futex ||
	    !syscall_get_error(t->task, regs))
		return 0;
	syscall_get_arguments(t->task, regs, args);
	switch ((int)args[1] & FUTEX_CMD_MASK) {
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2:
		return args[0];
	case FUTEX_WAIT_REQUEUE_PI:
		return args[4];
	default:
		return 0;
	}
}

/* An entry of a robust list; bit 0 says that it is of the other kind, too. */
static bool img_robust_next(void __user *from, unsigned long *entry)
{
	if (get_user(*entry, (unsigned long __user *)from))
		return false;
	*entry &= ~1UL;
	return true;
}

/* One that has the old ID of the thread that the list belongs to. */
static int img_word_robust(struct img_words *w, const struct img_load_thread *t,
			   unsigned long addr)
{
	u32 val;

	if (!img_word_read(t->l, addr, &val) || (val & FUTEX_TID_MASK) != t->tid)
		return 0;
	return img_word_add(w, addr, val);
}

/* As exit_robust_list(), whose limit is for lists that have no end. */
static int img_find_robust(struct img_words *w, const struct img_load_thread *t,
			   unsigned long list)
{
	struct robust_list_head __user *head = (struct robust_list_head __user *)list;
	unsigned int limit = ROBUST_LIST_LIMIT;
	unsigned long entry, pending;
	long offset;
	int err = 0;

	if (!img_robust_next(&head->list.next, &entry) ||
	    get_user(offset, &head->futex_offset) ||
	    !img_robust_next(&head->list_op_pending, &pending))
		return 0;
	if (pending)
		err = img_word_robust(w, t, pending + offset);
	while (!err && entry != list && limit--) {
		err = img_word_robust(w, t, entry + offset);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		if (!img_robust_next((void __user *)entry, &entry))
			break;
	}
	return err;
}

static int img_find_words(struct img_load *l, struct img_words *w)
{
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < l->nr_threads; i++) {
		const struct img_load_thread *t = &l->threads[i];
		unsigned long addr = img_pi_word(t);
		struct img_thread th;
		u32 val;

		err = img_thread_note_struct(t, NT_IMG_THREAD, &th, sizeof(th));
		if (!err && addr && img_word_read(l, addr, &val))
			err = img_word_add(w, addr, val);
		if (!err && th.robust_list)
			err = img_find_robust(w, t, le64_to_cpu(th.robust_list));
	}
	return err;
}

/*
 * All registers are set, and nobody runs yet.  Find all words before any of them
 * gets a new ID, which may be the old one of another thread.
 */
static int img_futex_finish(struct img_load *l)
{
	struct img_words w = {};
	unsigned int i;
	int err = img_find_words(l, &w);

	for (i = 0; !err && i < w.nr; i++)
		img_word_rewrite(l, &w.word[i]);
	kvfree(w.word);
	return err;
}

const struct img_part img_part_futex = {
	.name	= "futexes",
	.finish	= img_futex_finish,
};
#endif
