/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory that is in the image only.
 */
#ifndef IMG_PAGING_H
#define IMG_PAGING_H

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "img_util.h"

#ifndef MADV_COLD
#define MADV_COLD		20
#define MADV_PAGEOUT		21
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ	22
#define MADV_POPULATE_WRITE	23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP	4
#endif
#ifndef UFFDIO_MOVE
#define UFFD_FEATURE_MOVE	(1 << 16)
#define UFFDIO_MOVE		_IOWR(UFFDIO, 0x05, struct uffdio_move)
struct uffdio_move {
	__u64 dst;
	__u64 src;
	__u64 len;
	__u64 mode;
	__s64 move;
};
#endif

#define PAGE	4096UL
#define MB	(1UL << 20)
#define RW	(PROT_READ | PROT_WRITE)
#define CHUNK	(2 * MB)

/* Memory at a multiple of @align. */
static inline char *reserve(size_t len, size_t align)
{
	char *p = mmap(NULL, len + align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *q = (char *)(((unsigned long)p + align - 1) & ~(align - 1));

	CHECK(p != MAP_FAILED);
	munmap(p, q - p);
	munmap(q + len, p + align - q);
	MUST(mprotect(q, len, RW));
	return q;
}

/* Filled memory that is in the image only. */
static inline char *untouched(size_t len)
{
	char *p = reserve(len, 2 * MB);

	img_fill(p, len, 1);
	img_freeze();
	return p;
}

/* Read a byte of it. */
static inline void touch(const void *p)
{
	(void)*(const volatile char *)p;
}

/* What /proc/self/pagemap has of a page. */
static inline uint64_t page_entry(const void *p)
{
	int fd = MUST(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
	uint64_t entry;

	CHECK_EQ(8, pread(fd, &entry, 8, (unsigned long)p / PAGE * 8));
	close(fd);
	return entry;
}

static inline bool present(const void *p)
{
	return page_entry(p) >> 63;
}

static inline bool soft_dirty(const void *p)
{
	return page_entry(p) >> 55 & 1;
}

static inline int nr_present(const char *p, size_t len)
{
	size_t i;
	int nr = 0;

	for (i = 0; i < len; i += PAGE)
		nr += present(p + i);
	return nr;
}

static inline void in_child(void (*fn)(char *p), char *p)
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (!pid) {
		fn(p);
		_exit(0);
	}
	CHECK_EQ(pid, waitpid(pid, &status, 0));
	CHECK_EQ(0, status);
}

static inline int open_uffd(uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api))
		img_target_skip("no userfaultfd with that");
	return fd;
}

static inline void register_uffd(int fd, void *p, size_t len, uint64_t mode)
{
	struct uffdio_register reg = {
		.range = { (unsigned long)p, len },
		.mode = mode,
	};

	MUST(ioctl(fd, UFFDIO_REGISTER, &reg));
}

static inline void move_by_uffd(char *p, char *to, size_t len)
{
	int fd = open_uffd(UFFD_FEATURE_MOVE);
	struct uffdio_move move = {
		.dst = (unsigned long)to,
		.src = (unsigned long)p,
		.len = len,
	};

	register_uffd(fd, to, len, UFFDIO_REGISTER_MODE_MISSING);
	MUST(ioctl(fd, UFFDIO_MOVE, &move));
	CHECK_EQ(len, move.move);
	close(fd);
}

#endif /* IMG_PAGING_H */
