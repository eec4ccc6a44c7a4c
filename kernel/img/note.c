// SPDX-License-Identifier: GPL-2.0
/*
 * Process images: notes, and the buffers that they are put together in.
 *
 * The notes of a thread are NT_IMG_THREAD and what follows it, up to that of
 * the next thread; those of the process may be anywhere.
 */
#include <linux/elf.h>
#include <linux/img.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/string.h>

/* Notes that an image may have: enough for ten thousand threads. */
#define IMG_NOTES_MAX	131072U

/**
 * img_buf_add() - append zeroed bytes to a buffer
 * @buf: the buffer
 * @len: bytes
 *
 * Context: may sleep.
 * Return: the new bytes, until the next call, or NULL without memory.
 */
void *img_buf_add(struct img_buf *buf, size_t len)
{
	size_t need, room;
	void *data;

	if (check_add_overflow(buf->len, len, &need) || need > IMG_HEAD_MAX)
		return NULL;
	if (need > buf->room) {
		room = max3(need, 2 * buf->room, (size_t)PAGE_SIZE);
		data = kvmalloc(room, GFP_KERNEL_ACCOUNT);
		if (!data)
			return NULL;
		if (buf->len)
			memcpy(data, buf->data, buf->len);
		kvfree(buf->data);
		buf->data = data;
		buf->room = room;
	}
	data = buf->data + buf->len;
	memset(data, 0, len);
	buf->len = need;
	return data;
}

/**
 * img_buf_add_string() - append a string to a buffer
 * @buf: the buffer
 * @s: the string
 * @off: set to its offset in the buffer; may be NULL
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int img_buf_add_string(struct img_buf *buf, const char *s, __le32 *off)
{
	size_t len = strlen(s) + 1;
	void *copy;

	if (off)
		*off = cpu_to_le32(buf->len);
	copy = img_buf_add(buf, len);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, s, len);
	return 0;
}

/**
 * img_buf_free() - free the bytes of a buffer
 * @buf: the buffer, empty afterwards
 *
 * Context: may sleep.
 */
void img_buf_free(struct img_buf *buf)
{
	kvfree(buf->data);
	memset(buf, 0, sizeof(*buf));
}

/**
 * img_note_add() - append a note
 * @d: the dump
 * @name: the owner
 * @type: NT_*
 * @len: bytes of the descriptor
 *
 * Context: may sleep.
 * Return: the zeroed descriptor, until the next call, or NULL without memory or
 *	when the image is too large.
 */
void *img_note_add(struct img_dump *d, const char *name, u32 type, size_t len)
{
	size_t namesz = strlen(name) + 1;
	size_t head = sizeof(struct elf_note) + ALIGN(namesz, 4);
	struct elf_note *note;

	/* One is the header, which is added when the lengths are known. */
	if (d->nr_notes == IMG_NOTES_MAX - 1 || len > IMG_HEAD_MAX ||
	    head + ALIGN(len, 4) > IMG_HEAD_MAX - d->notes.len) {
		d->too_large = true;
		return NULL;
	}
	note = img_buf_add(&d->notes, head + ALIGN(len, 4));
	if (!note)
		return NULL;
	d->nr_notes++;
	note->n_namesz = namesz;
	note->n_descsz = len;
	note->n_type = type;
	memcpy(note + 1, name, namesz);
	return (void *)note + head;
}

/* The next note, or NULL at the end or when it is not whole. */
static const void *img_parse_note(const void *p, const void *end, struct img_note *n)
{
	const struct elf_note *note = p;
	size_t left = end - p, name_len, desc_len;

	if (left < sizeof(*note) || !note->n_namesz)
		return NULL;
	left -= sizeof(*note);
	name_len = ALIGN((size_t)note->n_namesz, 4);
	desc_len = ALIGN((size_t)note->n_descsz, 4);
	if (name_len > left || desc_len > left - name_len)
		return NULL;
	n->name = (const char *)(note + 1);
	if (n->name[note->n_namesz - 1])
		return NULL;
	n->ours = note->n_namesz >= sizeof(IMG_NOTE_NAME) &&
		  !memcmp(n->name, IMG_NOTE_NAME, sizeof(IMG_NOTE_NAME));
	n->type = note->n_type;
	n->len = note->n_descsz;
	n->desc = n->name + name_len;
	return n->desc + desc_len;
}

static int img_notes_grow(struct img_load *l, unsigned int *room)
{
	unsigned int more = clamp(2 * *room, 32U, IMG_NOTES_MAX);
	struct img_note *notes;

	if (*room == IMG_NOTES_MAX)
		return img_load_refuse(l, -E2BIG, "more than %u notes", IMG_NOTES_MAX);
	notes = kvrealloc(l->notes, more * sizeof(*notes), GFP_KERNEL_ACCOUNT);
	if (!notes)
		return -ENOMEM;
	l->notes = notes;
	*room = more;
	return 0;
}

/**
 * img_notes_parse() - find all notes
 * @l: the image; its headers are read
 * @start: the first note, in @l->head
 *
 * Context: on exec, before the point of no return; may sleep.
 * Return: 0; -EBADMSG, -E2BIG or -ENOMEM, having logged the reason.
 */
int img_notes_parse(struct img_load *l, const void *start)
{
	const void *p, *end = l->head + l->head_len;
	unsigned int room = 0;
	int err = 0;

	for (p = start; p < end; l->nr_notes++) {
		if (l->nr_notes == room)
			err = img_notes_grow(l, &room);
		if (err)
			return err;
		p = img_parse_note(p, end, &l->notes[l->nr_notes]);
		if (!p)
			return img_load_refuse(l, -EBADMSG, "bad note %u", l->nr_notes + 1);
	}
	return 0;
}

static const struct img_note *img_find_in(const struct img_note *notes, unsigned int nr,
					  const char *name, u32 type)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (notes[i].type == type && !strcmp(notes[i].name, name))
			return &notes[i];
	}
	return NULL;
}

static const struct img_note *img_find_ours(const struct img_note *notes, unsigned int nr,
					    u32 type)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (notes[i].type == type && notes[i].ours)
			return &notes[i];
	}
	return NULL;
}

/**
 * img_note_find() - the note of a part of the process
 * @l: the image; its types of notes are checked
 * @type: NT_IMG_*, even
 *
 * Return: the note or NULL.
 */
const struct img_note *img_note_find(struct img_load *l, u32 type)
{
	const struct img_note *note = l->own[type % IMG_OWN_TYPES / 2];

	return note && note->type == type ? note : NULL;
}

/**
 * img_core_note_find() - the first note of a kind that any core file has
 * @l: the image
 * @type: NT_*
 *
 * Return: the note or NULL.
 */
const struct img_note *img_core_note_find(struct img_load *l, u32 type)
{
	return img_find_in(l->notes, l->nr_notes, "CORE", type);
}

/**
 * img_thread_note_find() - the first note of a kind that a thread has
 * @t: the thread
 * @name: the owner
 * @type: NT_*
 *
 * Return: the note or NULL.
 */
const struct img_note *img_thread_note_find(const struct img_load_thread *t,
					    const char *name, u32 type)
{
	return img_find_in(t->notes, t->nr_notes, name, type);
}

static int img_take_struct(struct img_load *l, const struct img_note *n, u32 type,
			   void *to, size_t size)
{
	__le32 le;
	u32 have;

	if (!n || n->len < sizeof(le))
		return img_load_refuse(l, -EBADMSG, "note %08x is missing", type);
	memcpy(&le, n->desc, sizeof(le));
	have = le32_to_cpu(le);
	if (have < sizeof(le) || have > n->len)
		return img_load_refuse(l, -EBADMSG, "note %08x has a bad size", type);
	have = min_t(size_t, have, size);
	memcpy(to, n->desc, have);
	if (have < size)
		memset(to + have, 0, size - have);
	return 0;
}

/**
 * img_note_struct() - take the struct that a note of the process begins with
 * @l: the image; its types of notes are checked
 * @type: NT_IMG_*, even
 * @to: the struct, which begins with its __le32 size
 * @size: bytes of @to
 * @note: set to the note; may be NULL
 *
 * A struct that is shorter than ours was written by an older kernel, its
 * missing members are zero; of a longer one we take what we know.
 *
 * Return: 0 or -EBADMSG, having logged the reason.
 */
int img_note_struct(struct img_load *l, u32 type, void *to, size_t size,
		    const struct img_note **note)
{
	const struct img_note *n = img_note_find(l, type);

	if (note)
		*note = n;
	return img_take_struct(l, n, type, to, size);
}

/**
 * img_thread_note_struct() - the same for a note that each thread has
 * @t: the thread
 * @type: NT_IMG_*
 * @to: the struct, which begins with its __le32 size
 * @size: bytes of @to
 *
 * Return: 0 or -EBADMSG, having logged the reason.
 */
int img_thread_note_struct(const struct img_load_thread *t, u32 type, void *to, size_t size)
{
	return img_take_struct(t->l, img_find_ours(t->notes, t->nr_notes, type), type, to, size);
}

/**
 * img_note_array() - find an array in a note
 * @note: the note
 * @off: offset of the array from the beginning of the descriptor
 * @nr: elements
 * @elem: bytes of one element in the image
 * @min_elem: bytes of one element that the caller needs
 *
 * Return: the first element, or NULL when the array is not inside the note.
 */
const void *img_note_array(const struct img_note *note, u32 off, u32 nr, u32 elem,
			   u32 min_elem)
{
	if (elem < min_elem || off > note->len ||
	    (u64)nr * elem > note->len - off)
		return NULL;
	return note->desc + off;
}

/**
 * img_note_string() - find a string in a note
 * @note: the note
 * @off: offset from the beginning of the descriptor
 *
 * Return: the string, or NULL when it does not end inside the note.
 */
const char *img_note_string(const struct img_note *note, u32 off)
{
	const char *s = note->desc + off;

	if (off >= note->len || strnlen(s, note->len - off) == note->len - off)
		return NULL;
	return s;
}
