// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: seccomp(2).
 *
 * Filters are carried as the classic programs that they were installed as.
 * Nothing that the launcher has is ever removed: what it has in common with
 * the image, as two processes of one container do, is there already, and the
 * rest of the image's filters comes over it.
 */
#include <linux/filter.h>
#include <linux/img.h>
#include <linux/sched/signal.h>
#include <linux/seccomp.h>
#include <linux/slab.h>

static int img_seccomp_note(struct img_dump *d, const struct img_seccomp *sc, size_t len,
			    void **desc)
{
	*desc = img_note_add(d, IMG_NOTE_NAME, NT_IMG_SECCOMP, len);
	if (!*desc)
		return -ENOMEM;
	memcpy(*desc, sc, sizeof(*sc));
	return 0;
}

#ifdef CONFIG_SECCOMP_FILTER
static void img_seccomp_drop(struct img_dump *d)
{
	seccomp_chain_put(d->seccomp);
	d->seccomp = NULL;
}

/* The chain does not change any more: reading it can wait. */
static int img_hold_filters(struct img_dump *d)
{
	struct seccomp_filter *filter, *next;
	struct seccomp_program sp;

	d->seccomp = seccomp_chain_get(d->task);
	if (!d->seccomp)
		return -ESRCH;
	for (filter = d->seccomp; filter; filter = next) {
		next = seccomp_chain_next(filter, &sp);
		if (sp.listener)
			return img_dump_refuse(d, -EOPNOTSUPP,
					       "a seccomp filter that has a listener");
		if (!sp.insns)
			return img_dump_refuse(d, -EOPNOTSUPP,
					       "a seccomp filter without its program");
	}
	return 0;
}

static void img_count_filters(struct seccomp_filter *filter, u32 *nr, u32 *nr_insns)
{
	struct seccomp_program sp;

	*nr = 0;
	*nr_insns = 0;
	while (filter) {
		filter = seccomp_chain_next(filter, &sp);
		*nr += 1;
		*nr_insns += sp.len;
	}
}

static void img_save_insns(struct img_bpf_insn *to, const struct seccomp_program *sp)
{
	unsigned int i;

	for (i = 0; i < sp->len; i++) {
		to[i].code = cpu_to_le16(sp->insns[i].code);
		to[i].jt = sp->insns[i].jt;
		to[i].jf = sp->insns[i].jf;
		to[i].k = cpu_to_le32(sp->insns[i].k);
	}
}

/* The chain begins with the newest filter, the note with the oldest. */
static int img_seccomp_save(struct img_dump *d)
{
	struct img_seccomp sc = { .size = cpu_to_le32(sizeof(sc)) };
	struct seccomp_filter *filter = d->seccomp;
	struct img_seccomp_filter sf = {};
	struct seccomp_program sp;
	u32 nr, nr_insns, off;
	void *desc;
	int err;

	if (!filter)
		return 0;
	img_count_filters(filter, &nr, &nr_insns);
	sc.mode = cpu_to_le32(SECCOMP_MODE_FILTER);
	sc.filter_size = cpu_to_le32(sizeof(sf));
	sc.nr = cpu_to_le32(nr);
	sc.filters_off = cpu_to_le32(sizeof(sc));
	off = sizeof(sc) + nr * sizeof(sf) + nr_insns * sizeof(struct img_bpf_insn);
	err = img_seccomp_note(d, &sc, off, &desc);
	if (err)
		return err;
	while (filter) {
		filter = seccomp_chain_next(filter, &sp);
		off -= sp.len * sizeof(struct img_bpf_insn);
		sf.flags = cpu_to_le32(sp.log ? IMG_SECCOMP_LOG : 0);
		sf.nr_insns = cpu_to_le32(sp.len);
		sf.insns_off = cpu_to_le32(off);
		img_save_insns(desc + off, &sp);
		memcpy(desc + sizeof(sc) + --nr * sizeof(sf), &sf, sizeof(sf));
	}
	return 0;
}
#else
static int img_hold_filters(struct img_dump *d)
{
	return -EIO;
}
#endif

/* They may differ by thread, which is carried if they do not. */
static int img_seccomp_hold_thread(struct img_dump *d)
{
	bool same = seccomp_mode(&d->thread->seccomp) == seccomp_mode(&d->task->seccomp);

#ifdef CONFIG_SECCOMP_FILTER
	same &= READ_ONCE(d->thread->seccomp.filter) == READ_ONCE(d->task->seccomp.filter);
#endif
	return same ? 0 : img_dump_refuse(d, -EOPNOTSUPP, "threads with other seccomp filters");
}

static int img_seccomp_hold(struct img_dump *d)
{
	struct img_seccomp sc = {
		.size	= cpu_to_le32(sizeof(sc)),
		.mode	= cpu_to_le32(SECCOMP_MODE_STRICT),
	};
	void *desc;

	switch (seccomp_mode(&d->task->seccomp)) {
	case SECCOMP_MODE_DISABLED:
		return 0;
	case SECCOMP_MODE_STRICT:
		return img_seccomp_note(d, &sc, sizeof(sc), &desc);
	case SECCOMP_MODE_FILTER:
		return img_hold_filters(d);
	default:
		/* It was killed by seccomp, and has not died yet. */
		return -ESRCH;
	}
}

#ifdef CONFIG_SECCOMP_FILTER
/* Filter @i of the image.  @sp->insns is to be freed. */
static int img_get_filter(struct img_load *l, const struct img_note *note,
			  const struct img_seccomp *sc, u32 i, struct seccomp_program *sp)
{
	const void *filters, *from;
	struct img_seccomp_filter sf;
	struct sock_filter *insns;
	struct img_bpf_insn insn;
	u32 nr, k;

	filters = img_note_array(note, le32_to_cpu(sc->filters_off), le32_to_cpu(sc->nr),
				 le32_to_cpu(sc->filter_size), sizeof(sf));
	memcpy(&sf, filters + (size_t)i * le32_to_cpu(sc->filter_size), sizeof(sf));
	if (le32_to_cpu(sf.flags) & ~IMG_SECCOMP_LOG)
		return img_load_refuse(l, -EOPNOTSUPP, "unknown flags %x of seccomp filter %u",
				       le32_to_cpu(sf.flags), i);
	nr = le32_to_cpu(sf.nr_insns);
	from = img_note_array(note, le32_to_cpu(sf.insns_off), nr, sizeof(insn), sizeof(insn));
	if (!from || !nr || nr > BPF_MAXINSNS || sf.pad)
		return img_load_refuse(l, -EBADMSG, "seccomp filter %u of %u instructions",
				       i, nr);
	insns = kvmalloc_array(nr, sizeof(*insns), GFP_KERNEL_ACCOUNT);
	if (!insns)
		return -ENOMEM;
	for (k = 0; k < nr; k++) {
		memcpy(&insn, from + k * sizeof(insn), sizeof(insn));
		insns[k].code = le16_to_cpu(insn.code);
		insns[k].jt = insn.jt;
		insns[k].jf = insn.jf;
		insns[k].k = le32_to_cpu(insn.k);
	}
	sp->insns = insns;
	sp->len = nr;
	sp->log = le32_to_cpu(sf.flags) & IMG_SECCOMP_LOG;
	return 0;
}

/* One that has a listener may allow what one of the image does not. */
static bool img_same_filter(const struct seccomp_program *here, const struct seccomp_program *sp)
{
	return here->insns && !here->listener && here->len == sp->len &&
	       here->log == sp->log &&
	       !memcmp(here->insns, sp->insns, sp->len * sizeof(*sp->insns));
}

/* Are the @nr filters of @chain the first ones of the image?  1 or 0, or an error. */
static int img_is_prefix(struct img_load *l, const struct img_note *note,
			 const struct img_seccomp *sc, struct seccomp_filter *chain, u32 nr)
{
	struct seccomp_program here, sp;
	int ret = 1;

	if (nr > le32_to_cpu(sc->nr))
		return 0;
	while (chain && ret > 0) {
		chain = seccomp_chain_next(chain, &here);
		ret = img_get_filter(l, note, sc, --nr, &sp);
		if (ret)
			return ret;
		ret = img_same_filter(&here, &sp);
		kvfree(sp.insns);
	}
	return ret;
}

/* How many filters of the image the launcher has already. */
static int img_count_common(struct img_load *l, const struct img_note *note,
			    const struct img_seccomp *sc)
{
	struct seccomp_filter *chain = seccomp_chain_get(current);
	u32 nr, nr_insns;
	int ret;

	img_count_filters(chain, &nr, &nr_insns);
	ret = img_is_prefix(l, note, sc, chain, nr);
	seccomp_chain_put(chain);
	return ret > 0 ? nr : ret;
}

static int img_prepare_filter(struct img_load *l, const struct seccomp_program *sp, u32 i,
			      bool nnp)
{
	struct seccomp_filter *chain = seccomp_chain_add(l->seccomp, sp, nnp);

	switch (PTR_ERR_OR_ZERO(chain)) {
	case 0:
		l->seccomp = chain;
		return 0;
	case -EACCES:
		return img_load_refuse(l, -EACCES,
				       "seccomp filters without no_new_privs or CAP_SYS_ADMIN");
	case -ENOMEM:
		return img_load_refuse(l, -ENOMEM, "no room for seccomp filter %u", i);
	default:
		return img_load_refuse(l, -EBADMSG, "seccomp filter %u is not valid", i);
	}
}

static int img_check_filters(struct img_load *l, const struct img_note *note,
			     const struct img_seccomp *sc)
{
	struct img_thread th;
	bool nnp;
	int err, i;

	if (!sc->nr || !img_note_array(note, le32_to_cpu(sc->filters_off), le32_to_cpu(sc->nr),
				       le32_to_cpu(sc->filter_size),
				       sizeof(struct img_seccomp_filter)))
		return img_load_refuse(l, -EBADMSG, "bad seccomp note");
	err = img_thread_note_struct(&l->threads[0], NT_IMG_THREAD, &th, sizeof(th));
	if (err)
		return err;
	/* Set by commit(), before the filters are attached. */
	nnp = le64_to_cpu(th.flags) & IMG_THREAD_NO_NEW_PRIVS;
	i = img_count_common(l, note, sc);
	if (i < 0)
		return i;
	for (; !err && i < le32_to_cpu(sc->nr); i++) {
		struct seccomp_program sp;

		err = img_get_filter(l, note, sc, i, &sp);
		if (err)
			break;
		err = img_prepare_filter(l, &sp, i, nnp);
		kvfree(sp.insns);
		cond_resched();
	}
	return err;
}

static void img_seccomp_release(struct img_load *l)
{
	seccomp_chain_put(l->seccomp);
	l->seccomp = NULL;
}
#else
static int img_check_filters(struct img_load *l, const struct img_note *note,
			     const struct img_seccomp *sc)
{
	return img_load_refuse(l, -EOPNOTSUPP, "seccomp filters");
}
#endif

/* Strict mode and filters exclude each other, for seccomp(2) too. */
static int img_check_strict(struct img_load *l, const struct img_seccomp *sc)
{
	if (sc->filter_size || sc->nr || sc->filters_off)
		return img_load_refuse(l, -EBADMSG, "bad seccomp note");
	if (!IS_ENABLED(CONFIG_SECCOMP))
		return img_load_refuse(l, -EOPNOTSUPP, "strict seccomp");
	if (seccomp_mode(&current->seccomp) != SECCOMP_MODE_DISABLED)
		return img_load_refuse(l, -EPERM, "strict seccomp over the launcher's filters");
	return 0;
}

static int img_seccomp_check(struct img_load *l)
{
	const struct img_note *note;
	struct img_seccomp sc;
	int err;

	if (!img_note_find(l, NT_IMG_SECCOMP))
		return 0;
	err = img_note_struct(l, NT_IMG_SECCOMP, &sc, sizeof(sc), &note);
	if (err)
		return err;
	if (sc.pad)
		return img_load_refuse(l, -EBADMSG, "bad seccomp note");
	switch (le32_to_cpu(sc.mode)) {
	case SECCOMP_MODE_STRICT:
		return img_check_strict(l, &sc);
	case SECCOMP_MODE_FILTER:
		return img_check_filters(l, note, &sc);
	default:
		return img_load_refuse(l, -EOPNOTSUPP, "unknown seccomp mode %u",
				       le32_to_cpu(sc.mode));
	}
}

/* First, since the threads inherit it; it is asked for system calls only. */
static int img_seccomp_finish(struct img_load *l)
{
	struct img_seccomp sc;
	int err;

	if (!img_note_find(l, NT_IMG_SECCOMP))
		return 0;
	err = img_note_struct(l, NT_IMG_SECCOMP, &sc, sizeof(sc), NULL);
	if (err)
		return err;
	if (le32_to_cpu(sc.mode) == SECCOMP_MODE_STRICT)
		return prctl_set_seccomp(SECCOMP_MODE_STRICT, NULL);
#ifdef CONFIG_SECCOMP_FILTER
	if (l->seccomp) {
		err = seccomp_chain_attach(l->seccomp);
		l->seccomp = NULL;
	}
#endif
	return err;
}

/**
 * img_seccomp_forbids() - may the launcher's filters forbid a state?
 * @l: the image
 * @wanted: the image has the state
 * @what: the state, for the log
 *
 * Filters see system calls only, and an image comes by an exec.  What programs
 * rarely ask for and filters often forbid is not given to those who have some.
 *
 * Context: on exec, before the point of no return.
 * Return: 0 or -EPERM, having logged the reason.
 */
int img_seccomp_forbids(struct img_load *l, bool wanted, const char *what)
{
	if (!wanted || seccomp_mode(&current->seccomp) == SECCOMP_MODE_DISABLED)
		return 0;
	return img_load_refuse(l, -EPERM, "%s: seccomp filters may forbid it", what);
}

const struct img_part img_part_seccomp = {
	.name		= "seccomp",
	.note		= NT_IMG_SECCOMP,
	.optional	= true,
	.hold_thread	= img_seccomp_hold_thread,
	.hold		= img_seccomp_hold,
	.check		= img_seccomp_check,
	.finish		= img_seccomp_finish,
#ifdef CONFIG_SECCOMP_FILTER
	.save		= img_seccomp_save,
	.drop		= img_seccomp_drop,
	.release	= img_seccomp_release,
#endif
};
