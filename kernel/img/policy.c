// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: memory policies of the task and of mappings, by what
 * set_mempolicy(2) and mbind(2) take.
 */
#include <linux/bitmap.h>
#include <linux/cpuset.h>
#include <linux/img.h>
#include <linux/mempolicy.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/rbtree.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/shmem_fs.h>
#include <linux/string.h>

#define IMG_POLICY_NODES	(64 * ARRAY_SIZE(((struct img_policy *)0)->nodes))

static_assert(MAX_NUMNODES <= IMG_POLICY_NODES);

/* As get_mempolicy(2) shows it. */
static void img_policy_fill(struct img_policy *to, const struct mempolicy *pol)
{
	const nodemask_t *nodes = &pol->nodes;
	u64 words[ARRAY_SIZE(to->nodes)] = {};
	unsigned int i;

	to->mode = cpu_to_le32(pol->mode | (pol->flags & MPOL_MODE_FLAGS));
	if (pol->mode == MPOL_LOCAL)
		return;
	if (pol->flags & MPOL_MODE_FLAGS)
		nodes = &pol->w.user_nodemask;
	bitmap_to_arr64(words, nodes->bits, MAX_NUMNODES);
	for (i = 0; i < ARRAY_SIZE(to->nodes); i++)
		to->nodes[i] = cpu_to_le64(words[i]);
}

static bool img_task_policy(struct task_struct *t, struct img_policy *to)
{
	struct mempolicy *pol;

	task_lock(t);
	pol = t->mempolicy;
	if (pol)
		img_policy_fill(to, pol);
	task_unlock(t);
	return pol;
}

/* Threads inherit that of the first. */
static int img_policy_hold_thread(struct img_dump *d)
{
	struct img_policy first = {}, other = {};

	if (img_task_policy(d->task, &first) == img_task_policy(d->thread, &other) &&
	    !memcmp(&first, &other, sizeof(first)))
		return 0;
	return img_dump_refuse(d, -EOPNOTSUPP, "threads with other memory policies");
}

/* That of the task comes first, and has no range. */
static int img_policy_hold(struct img_dump *d)
{
	struct img_policy *to = img_buf_add(&d->policies, sizeof(*to));

	if (!to)
		return -ENOMEM;
	if (!img_task_policy(d->task, to))
		d->policies.len = 0;
	return 0;
}

static int img_policy_add(struct img_dump *d, struct vm_area_struct *vma)
{
	struct mempolicy *pol = vma_policy(vma);
	struct img_policy *to;

	if (pol->home_node != NUMA_NO_NODE)
		return img_dump_refuse(d, -EOPNOTSUPP, "the home node of a memory policy");
	if (img_arch_vma(vma))
		return img_dump_refuse(d, -EOPNOTSUPP, "a modified vDSO");
	to = img_buf_add(&d->policies, sizeof(*to));
	if (!to)
		return -ENOMEM;
	img_policy_fill(to, pol);
	to->start = cpu_to_le64(vma->vm_start);
	to->end = cpu_to_le64(vma->vm_end);
	return 0;
}

/* One of the two may be marked as shared. */
static bool img_policy_same(const struct mempolicy *a, const struct mempolicy *b)
{
	struct img_policy x = {}, y = {};

	img_policy_fill(&x, a);
	img_policy_fill(&y, b);
	return a->home_node == b->home_node && !memcmp(&x, &y, sizeof(x));
}

/*
 * Shared memory has policies of its own, by page, which mbind(2) sets together
 * with that of the mapping by which it was asked.  Another mapping, or a part
 * that is mapped no more, is not told of it.
 */
static bool img_policy_is_shared(struct vm_area_struct *vma)
{
	pgoff_t next = vma->vm_pgoff, end = next + vma_pages(vma);
	struct shared_policy *sp = &SHMEM_I(file_inode(vma->vm_file))->policy;
	struct mempolicy *pol = vma_policy(vma);
	bool differs = false;
	struct rb_node *nd;

	read_lock(&sp->lock);
	for (nd = rb_first(&sp->root); nd && !differs; nd = rb_next(nd)) {
		struct sp_node *n = rb_entry(nd, struct sp_node, nd);

		if (n->end <= next || n->start >= end)
			continue;
		differs = !pol || n->start > next || !img_policy_same(n->policy, pol);
		next = n->end;
	}
	read_unlock(&sp->lock);
	return differs || (pol && next < end);
}

/* Those of a file with a path stay in the file system. */
static int img_policy_vet(struct img_dump *d, struct vm_area_struct *vma)
{
	u32 index;

	if (!vma->vm_file || !shmem_file(vma->vm_file) ||
	    !img_object_find(d, vma->vm_file, &index) || !img_policy_is_shared(vma))
		return 0;
	return img_dump_refuse(d, -EOPNOTSUPP, "memory policies of shared memory");
}

static int img_policy_save(struct img_dump *d)
{
	VMA_ITERATOR(vmi, d->mm, 0);
	struct img_policies head = { .size = cpu_to_le32(sizeof(head)) };
	struct vm_area_struct *vma;
	void *desc;
	int err = 0;

	mmap_read_lock(d->mm);
	for_each_vma(vmi, vma) {
		err = img_policy_vet(d, vma);
		if (!err && vma_policy(vma))
			err = img_policy_add(d, vma);
		if (err)
			break;
	}
	mmap_read_unlock(d->mm);
	if (err || !d->policies.len)
		return err;
	head.policy_size = cpu_to_le32(sizeof(struct img_policy));
	head.nr = cpu_to_le32(d->policies.len / sizeof(struct img_policy));
	head.policies_off = cpu_to_le32(sizeof(head));
	desc = img_note_add(d, IMG_NOTE_NAME, NT_IMG_POLICY, sizeof(head) + d->policies.len);
	if (!desc)
		return -ENOMEM;
	memcpy(desc, &head, sizeof(head));
	memcpy(desc + sizeof(head), d->policies.data, d->policies.len);
	return 0;
}

static void img_policy_drop(struct img_dump *d)
{
	img_buf_free(&d->policies);
}

/* Find the table of the image, once. */
static int img_policy_table(struct img_load *l)
{
	const struct img_note *note;
	struct img_policies head;
	int err;

	err = img_note_struct(l, NT_IMG_POLICY, &head, sizeof(head), &note);
	if (err)
		return err;
	l->nr_policies = le32_to_cpu(head.nr);
	l->policy_size = le32_to_cpu(head.policy_size);
	l->policies = img_note_array(note, le32_to_cpu(head.policies_off), l->nr_policies,
				     l->policy_size, sizeof(struct img_policy));
	if (!l->policies || !l->nr_policies)
		return img_load_refuse(l, -EBADMSG, "bad note of memory policies");
	return 0;
}

static void img_policy_get(struct img_load *l, struct img_policy *p, u32 i)
{
	memcpy(p, l->policies + (size_t)i * l->policy_size, sizeof(*p));
}

/* False if the kernel has not so many nodes. */
static bool img_policy_nodes(const struct img_policy *p, nodemask_t *nodes)
{
	u64 words[ARRAY_SIZE(p->nodes)];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(words); i++)
		words[i] = le64_to_cpu(p->nodes[i]);
	for (i = MAX_NUMNODES; i < IMG_POLICY_NODES; i++) {
		if (words[i / 64] & BIT_ULL(i % 64))
			return false;
	}
	bitmap_from_arr64(nodes->bits, words, MAX_NUMNODES);
	return true;
}

/*
 * As the calls would take it, and with all of its nodes: without a flag that has
 * the kernel remember what was asked for, it would forget those not allowed.
 */
static int img_policy_try(const struct img_policy *p)
{
	int err, mode = le32_to_cpu(p->mode);
	nodemask_t nodes, allowed;

	if (!img_policy_nodes(p, &nodes))
		return -ENODEV;
	err = mpol_check(mode, &nodes);
	if (err)
		return err == -ENOMEM ? err : -ENODEV;
	nodes_and(allowed, cpuset_current_mems_allowed, node_states[N_MEMORY]);
	return (mode & MPOL_MODE_FLAGS) || nodes_subset(nodes, allowed) ? 0 : -ENODEV;
}

static const struct img_mapping *img_policy_mapping(struct img_load *l,
						    const struct img_policy *p,
						    unsigned int *v)
{
	u64 start = le64_to_cpu(p->start);

	while (*v < l->nr_vmas && l->vmas[*v].start < start)
		++*v;
	if (*v == l->nr_vmas || l->vmas[*v].start != start ||
	    l->vmas[*v].end != le64_to_cpu(p->end) || l->vmas[*v].kind == IMG_VMA_ARCH)
		return NULL;
	return &l->vmas[(*v)++];
}

/* Each range is a mapping, in ascending order; nothing is before the task's. */
static int img_policy_check(struct img_load *l)
{
	struct img_policy p;
	unsigned int v = 0;
	int err;
	u32 i;

	if (!img_note_find(l, NT_IMG_POLICY))
		return 0;
	err = img_policy_table(l);
	if (!err)
		err = img_seccomp_forbids(l, true, "memory policies");
	for (i = 0; !err && i < l->nr_policies; i++) {
		img_policy_get(l, &p, i);
		if (p.pad || ((i || p.start || p.end) && !img_policy_mapping(l, &p, &v)))
			return img_load_refuse(l, -EBADMSG, "bad memory policy %u", i);
		err = img_policy_try(&p);
		if (err)
			img_load_refuse(l, err, "memory policy %u cannot be had", i);
		cond_resched();
	}
	return err;
}

/**
 * img_policy_apply() - give a mapping its memory policy
 * @l: the image
 * @m: the mapping, which has no pages yet
 *
 * Context: past the point of no return; may sleep.
 * Return: 0 or a negative errno.
 */
int img_policy_apply(struct img_load *l, const struct img_mapping *m)
{
	u32 lo = 0, hi = l->nr_policies;
	struct img_policy p;
	nodemask_t nodes;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;

		img_policy_get(l, &p, mid);
		if (p.end && le64_to_cpu(p.start) == m->start) {
			img_policy_nodes(&p, &nodes);
			return mpol_set_range(m->start, m->end - m->start,
					      le32_to_cpu(p.mode), &nodes);
		}
		if (!p.end || le64_to_cpu(p.start) < m->start)
			lo = mid + 1;
		else
			hi = mid;
	}
	return 0;
}

/* The launcher's policy, which an exec passes on, is that of who has none. */
static int img_policy_restore(struct img_load *l)
{
	struct img_policy p;
	nodemask_t nodes;

	if (!l->nr_policies)
		return 0;
	img_policy_get(l, &p, 0);
	if (p.end)
		return 0;
	img_policy_nodes(&p, &nodes);
	return mpol_set_task(le32_to_cpu(p.mode), &nodes);
}

const struct img_part img_part_policy = {
	.name		= "memory policies",
	.note		= NT_IMG_POLICY,
	.optional	= true,
	.hold_thread	= img_policy_hold_thread,
	.hold		= img_policy_hold,
	.save		= img_policy_save,
	.drop		= img_policy_drop,
	.check		= img_policy_check,
	.restore	= img_policy_restore,
};
