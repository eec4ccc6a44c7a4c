// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: the table of every kind of state.
 *
 * The order is that of the calls.  A thread's note is the first of its notes;
 * saving needs the system call before the registers, which have its result, and
 * files before what refers to them, and copies what is in objects when mappings
 * have told which there are; checking needs files and objects before mappings
 * before pages; the executable is replaced before anything is mapped.  On the
 * way to user mode threads are made after seccomp, which they inherit, and
 * before timers and signals that are theirs; timers are there before the pending
 * signals that they sent, and run after them; registers come before the futexes
 * that they tell of, and a thread's before what the kernel does with them.
 */
#include <linux/img.h>
#include <linux/regset.h>
#include <linux/sched/signal.h>

static const struct img_part *const img_parts[] = {
	/* First, since it lets go of files that the target may close. */
	&img_part_fd,
	&img_part_seccomp,
	&img_part_thread,
	&img_part_threads,
	&img_part_sleep,
	&img_part_regs,
#ifdef CONFIG_FUTEX
	&img_part_futex,
#endif
	&img_part_timer,
	&img_part_signal,
	&img_part_timer_run,
	&img_part_psinfo,
	&img_part_info,
	&img_part_arch,
	&img_part_file,
	&img_part_object,
	&img_part_mm,
	&img_part_vma,
	&img_part_lock,
#ifdef CONFIG_NUMA
	&img_part_policy,
#endif
	&img_part_object_data,
	&img_part_pages,
	&img_part_ntfile,
};

/**
 * img_parts_hold_thread() - take the state that only a held thread shows
 * @d: the dump; @d->thread is the thread, @d->mm is the target's own
 *
 * Context: the target is held; may sleep.
 * Return: 0 or the errno of the first part that refuses.
 */
int img_parts_hold_thread(struct img_dump *d)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < ARRAY_SIZE(img_parts); i++) {
		const struct img_part *part = img_parts[i];

		if (part->hold_thread)
			err = part->hold_thread(d);
		if (err)
			break;
	}
	return err;
}

/**
 * img_parts_hold() - take the state that only a held target shows
 * @d: the dump; @d->mm is the target's own
 *
 * Context: the target is held; may sleep.
 * Return: 0 or the errno of the first part that refuses.
 */
int img_parts_hold(struct img_dump *d)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < ARRAY_SIZE(img_parts); i++) {
		const struct img_part *part = img_parts[i];

		if (part->hold)
			err = part->hold(d);
		if (err)
			break;
	}
	return err;
}

/**
 * img_parts_save() - take the state that the snapshot shows, write the notes
 * @d: the dump; @d->mm is the snapshot
 *
 * Context: the target runs; may sleep.
 * Return: 0 or a negative errno.
 */
int img_parts_save(struct img_dump *d)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < ARRAY_SIZE(img_parts); i++) {
		const struct img_part *part = img_parts[i];

		if (part->save)
			err = part->save(d);
		if (err)
			break;
	}
	return err;
}

/**
 * img_parts_drop() - give back what hold() and save() took
 * @d: the dump
 *
 * Context: may sleep.  May be called at any stage, and again.
 */
void img_parts_drop(struct img_dump *d)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(img_parts); i++) {
		const struct img_part *part = img_parts[i];

		if (part->drop)
			part->drop(d);
	}
}

static unsigned int img_count_notes(const struct img_note *notes, unsigned int nr, u32 type)
{
	unsigned int i, n = 0;

	for (i = 0; i < nr; i++) {
		if (notes[i].type == type && notes[i].ours)
			n++;
	}
	return n;
}

static int img_part_present(struct img_load *l, const struct img_part *part, unsigned int n)
{
	if (!part->note || n == 1 || (!n && part->optional))
		return 0;
	return img_load_refuse(l, -EBADMSG, "%u notes of %s, must be 1", n,
			       part->name);
}

static int img_part_check_thread(struct img_load *l, const struct img_part *part,
				 struct img_load_thread *t)
{
	unsigned int n;

	if (part->thread_note) {
		n = img_count_notes(t->notes, t->nr_notes, part->thread_note);
		if (n != 1)
			return img_load_refuse(l, -EBADMSG, "%u notes of %s in a thread, must be 1",
					       n, part->name);
	}
	return part->check_thread ? part->check_thread(l, t) : 0;
}

/* Which part a note is of; or of another kind. */
#define IMG_NOBODY	(-1)
#define IMG_THREAD	(-2)

/* @of is by the last byte of the type. */
static void img_note_parts(s8 *of)
{
	const struct user_regset *rs;
	unsigned int i;

	memset(of, IMG_NOBODY, IMG_OWN_TYPES);
	for (i = 0; i < ARRAY_SIZE(img_parts); i++) {
		const struct img_part *part = img_parts[i];

		/* Parts without a note have 0. */
		if (part->note)
			of[part->note % IMG_OWN_TYPES] = i;
		if (part->thread_note)
			of[part->thread_note % IMG_OWN_TYPES] = IMG_THREAD;
	}
	for (i = 0; (rs = img_arch_regset(i)); i++) {
		if (img_type_is_ours(rs->core_note_type))
			of[rs->core_note_type % IMG_OWN_TYPES] = IMG_THREAD;
	}
}

/*
 * Of our own notes, only those with an odd type may be unknown.  Whoever looks for
 * one of the process must not have to go through all that there are.  @count is how
 * many each part has.
 */
static int img_check_types(struct img_load *l, unsigned int *count)
{
	s8 of[IMG_OWN_TYPES];
	unsigned int i;
	int part;

	img_note_parts(of);
	for (i = 0; i < l->nr_notes; i++) {
		const struct img_note *note = &l->notes[i];

		if ((note->type & 1) || !note->ours)
			continue;
		if (note->type == NT_IMG_HEADER) {
			if (i)
				return img_load_refuse(l, -EBADMSG, "two header notes");
			continue;
		}
		part = img_type_is_ours(note->type) ? of[note->type % IMG_OWN_TYPES] : IMG_NOBODY;
		if (part == IMG_NOBODY) {
			return img_load_refuse(l, -EOPNOTSUPP, "unknown note type %08x",
					       note->type);
		} else if (part == IMG_THREAD) {
			if (note < l->threads[0].notes)
				return img_load_refuse(l, -EBADMSG, "note %08x of no thread",
						       note->type);
			continue;
		}
		count[part]++;
		l->own[note->type % IMG_OWN_TYPES / 2] = note;
	}
	return 0;
}

static int img_check_threads(struct img_load *l)
{
	unsigned int i, k;
	int err = 0;

	for (i = 0; !err && i < l->nr_threads; i++) {
		for (k = 0; !err && k < ARRAY_SIZE(img_parts); k++)
			err = img_part_check_thread(l, img_parts[k], &l->threads[i]);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return err;
}

/**
 * img_parts_check() - can every part of the image be restored here?
 * @l: the image
 *
 * Context: on exec, before the point of no return; may sleep.
 * Return: 0 or the documented errno of the first part that refuses.
 */
int img_parts_check(struct img_load *l)
{
	unsigned int i, count[ARRAY_SIZE(img_parts)] = {};
	int err;

	err = img_threads_parse(l) ?: img_check_types(l, count) ?: img_check_threads(l);
	for (i = 0; !err && i < ARRAY_SIZE(img_parts); i++) {
		const struct img_part *part = img_parts[i];

		err = img_part_present(l, part, count[i]);
		if (!err && part->check)
			err = part->check(l);
	}
	return err;
}

/**
 * img_parts_commit() - what must be set before the new address space is laid out
 * @l: the image
 *
 * Context: between begin_new_exec() and setup_new_exec().
 */
void img_parts_commit(struct img_load *l)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(img_parts); i++) {
		const struct img_part *part = img_parts[i];

		if (part->commit)
			part->commit(l);
	}
}

/**
 * img_parts_restore() - restore what belongs to the address space and process
 * @l: the image
 *
 * Context: past the point of no return, current->mm is new and empty.
 * Return: 0 or a negative errno, which ends the process.
 */
int img_parts_restore(struct img_load *l)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < ARRAY_SIZE(img_parts); i++) {
		const struct img_part *part = img_parts[i];

		if (part->restore)
			err = part->restore(l);
		if (err)
			break;
	}
	return err;
}

/**
 * img_parts_finish() - restore what execve(2) would undo, and make the threads
 * @l: the image
 *
 * Context: on the way to user mode, all signals blocked.
 * Return: 0 or a negative errno, which ends the process.
 */
int img_parts_finish(struct img_load *l)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < ARRAY_SIZE(img_parts); i++) {
		const struct img_part *part = img_parts[i];

		if (part->finish)
			err = part->finish(l);
		if (err)
			break;
	}
	return err;
}

/**
 * img_parts_finish_thread() - restore what belongs to a thread
 * @t: the thread, which is current
 *
 * Context: on the way to user mode, all signals blocked.
 * Return: 0 or a negative errno, which ends the process.
 */
int img_parts_finish_thread(struct img_load_thread *t)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < ARRAY_SIZE(img_parts); i++) {
		const struct img_part *part = img_parts[i];

		if (part->finish_thread)
			err = part->finish_thread(t->l, t);
		if (err)
			break;
	}
	return err;
}

/**
 * img_parts_release() - give back what check() took
 * @l: the image
 *
 * Context: may sleep; at any stage, once.
 */
void img_parts_release(struct img_load *l)
{
	size_t i = ARRAY_SIZE(img_parts);

	/* A part may hold on to what an earlier one took. */
	while (i--) {
		if (img_parts[i]->release)
			img_parts[i]->release(l);
	}
}
