// SPDX-License-Identifier: GPL-2.0
/*
 * An image is what <linux/img.h> says: read one as any reader would.
 */
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/procfs.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/user.h>
#include <sys/utsname.h>
#include <time.h>

#include "img_test.h"

#define PAGE	4096UL

#ifndef NT_FILE
#define NT_FILE	0x46494c45
#endif

static char marker[PAGE * 2] __attribute__((aligned(4096)));

TARGET(formatted)
{
	void *p = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd;

	img_fill(marker, sizeof(marker), 4242);
	img_fill(p, 8 * PAGE, 1);
	signal(SIGUSR1, SIG_IGN);
	fd = open("/dev/null", O_RDWR);
	if (fd >= 0)
		dup2(fd, 9);
	img_freeze();
}

FIXTURE(image) {
	struct img_proc p;
	struct img_image im;
	struct img_header h;
	Elf64_Ehdr *eh;
	Elf64_Phdr *ph;
	size_t nr_ph;
};

FIXTURE_SETUP(image)
{
	struct img_header *h;

	if (img_nodump())
		SKIP(return, "needs a dump");
	ASSERT_EQ(0, img_spawn(&self->p, "formatted", 's', NULL, NULL));
	ASSERT_EQ(0, img_dump(&self->p));
	ASSERT_EQ(0, img_load(&self->im, self->p.image));
	self->eh = (void *)self->im.data;
	ASSERT_LT(sizeof(*self->eh), self->im.len);
	self->nr_ph = self->eh->e_phnum;
	if (self->nr_ph == PN_XNUM)
		self->nr_ph = ((Elf64_Shdr *)(self->im.data + self->eh->e_shoff))->sh_info;
	self->ph = (void *)(self->im.data + self->eh->e_phoff);
	h = img_head(&self->im);
	ASSERT_TRUE(h != NULL);
	memcpy(&self->h, h, sizeof(self->h));
}

FIXTURE_TEARDOWN(image)
{
	img_forget(&self->p);
	img_free(&self->im);
}

TEST_F(image, elf_header)
{
	const Elf64_Ehdr *eh = self->eh;
	size_t i;

	EXPECT_EQ(0, memcmp(eh->e_ident, ELFMAG, SELFMAG));
	EXPECT_EQ(ELFCLASS64, eh->e_ident[EI_CLASS]);
	EXPECT_EQ(ELFDATA2LSB, eh->e_ident[EI_DATA]);
	EXPECT_EQ(EV_CURRENT, eh->e_ident[EI_VERSION]);
	EXPECT_EQ(0, memcmp(eh->e_ident + IMG_IDENT_POS, IMG_IDENT, IMG_IDENT_LEN));
	EXPECT_EQ(IMG_VERSION, eh->e_ident[IMG_IDENT_POS + 3]);
	EXPECT_EQ(0, eh->e_ident[EI_ABIVERSION]);
	for (i = IMG_IDENT_POS + 4; i < EI_NIDENT; i++)
		EXPECT_EQ(0, eh->e_ident[i]);
	EXPECT_EQ(ET_CORE, eh->e_type);
	EXPECT_EQ(EM_X86_64, eh->e_machine);
	EXPECT_EQ(EV_CURRENT, eh->e_version);
	EXPECT_EQ(0, eh->e_entry);
	EXPECT_EQ(sizeof(Elf64_Ehdr), eh->e_ehsize);
	EXPECT_EQ(sizeof(Elf64_Phdr), eh->e_phentsize);
	EXPECT_EQ(sizeof(Elf64_Ehdr), eh->e_phoff);
	EXPECT_LT(1, self->nr_ph);
}

TEST_F(image, header_note)
{
	struct utsname uts;
	struct timespec ts;
	size_t len;
	int i;

	ASSERT_EQ(0, uname(&uts));
	ASSERT_TRUE(img_note(&self->im, IMG_NOTE_NAME, NT_IMG_HEADER, 0, &len) != NULL);
	EXPECT_EQ(sizeof(self->h), len);
	EXPECT_EQ(len, self->h.size);
	EXPECT_EQ(IMG_VERSION, self->h.version);
	EXPECT_EQ(0, self->h.flags);
	EXPECT_EQ(self->im.len, self->h.length);
	EXPECT_EQ(PAGE, self->h.page_size);
	EXPECT_EQ(EM_X86_64, self->h.machine);
	EXPECT_EQ(1, self->h.nr_threads);
	EXPECT_EQ(0, self->h.data_off % PAGE);
	EXPECT_LE(self->h.head_len, self->h.data_off);
	EXPECT_GT(self->h.head_len + PAGE, self->h.data_off);
	EXPECT_STREQ(uts.release, (char *)self->h.release);
	EXPECT_STREQ(uts.version, (char *)self->h.kversion);
	EXPECT_STREQ(uts.machine, (char *)self->h.uts_machine);
	for (i = 0; i < 5; i++)
		EXPECT_EQ(0, self->h.pad[i]);
	/* Within two minutes of now. */
	clock_gettime(CLOCK_REALTIME, &ts);
	EXPECT_LE(self->h.wall_ns / IMG_NSEC_PER_SEC, ts.tv_sec);
	EXPECT_GE(self->h.wall_ns / IMG_NSEC_PER_SEC + 120 * img_slow(), ts.tv_sec);
	EXPECT_LE(self->h.mono_ns, img_now());
	EXPECT_GE(self->h.mono_ns + 120 * IMG_NSEC_PER_SEC * img_slow(), img_now());
	EXPECT_LE(self->h.mono_ns, self->h.boot_ns);
}

/* It is the first note of the file. */
TEST_F(image, header_comes_first)
{
	const Elf64_Nhdr *nh = (void *)(self->im.data + self->ph[0].p_offset);

	EXPECT_EQ(PT_NOTE, self->ph[0].p_type);
	EXPECT_EQ(NT_IMG_HEADER, nh->n_type);
	EXPECT_EQ(sizeof(IMG_NOTE_NAME), nh->n_namesz);
	EXPECT_STREQ(IMG_NOTE_NAME, (char *)(nh + 1));
}

TEST_F(image, checksum)
{
	struct img_header *h = img_head(&self->im);
	uint32_t crc = h->crc;

	/* The polynomial's check value. */
	ASSERT_EQ(0xe3069283, img_crc32c(0, "123456789", 9));
	EXPECT_NE(0, crc);
	EXPECT_EQ(img_head_crc(&self->im), crc);
}

/* Notes one after the other to the end, padding of zeros. */
TEST_F(image, notes)
{
	size_t at = self->ph[0].p_offset, end = at + self->ph[0].p_filesz, i;
	bool known;
	int n = 0;

	EXPECT_EQ(0, at % 4);
	EXPECT_LE(self->eh->e_phoff + self->nr_ph * sizeof(Elf64_Phdr), at);
	EXPECT_EQ(self->h.head_len, end);
	while (at < end) {
		const Elf64_Nhdr *nh = (void *)(self->im.data + at);
		const char *name = (char *)(nh + 1);
		size_t desc;

		ASSERT_LE(at + sizeof(*nh), end);
		known = !strcmp(name, "CORE") || !strcmp(name, "LINUX") ||
			!strcmp(name, IMG_NOTE_NAME);
		EXPECT_TRUE(known);
		EXPECT_EQ(strlen(name) + 1, nh->n_namesz);
		desc = at + sizeof(*nh) + ((nh->n_namesz + 3) & ~3U);
		for (i = at + sizeof(*nh) + nh->n_namesz; i < desc; i++)
			EXPECT_EQ(0, self->im.data[i]);
		at = desc + ((nh->n_descsz + 3) & ~3U);
		ASSERT_LE(at, end);
		for (i = desc + nh->n_descsz; i < at; i++)
			EXPECT_EQ(0, self->im.data[i]);
		n++;
	}
	EXPECT_EQ(end, at);
	EXPECT_LE(12, n);
}

FIXTURE(one_note) {
	struct img_proc p;
	struct img_image im;
};

FIXTURE_VARIANT(one_note) {
	const char *owner;
	uint32_t type;
	size_t size;	/* at least */
};

FIXTURE_SETUP(one_note)
{
	if (img_nodump())
		SKIP(return, "needs a dump");
	ASSERT_EQ(0, img_spawn(&self->p, "formatted", 's', NULL, NULL));
	ASSERT_EQ(0, img_dump(&self->p));
	ASSERT_EQ(0, img_load(&self->im, self->p.image));
}

FIXTURE_TEARDOWN(one_note)
{
	img_forget(&self->p);
	img_free(&self->im);
}

#define NOTE(_name, _owner, _type, _size)				\
	FIXTURE_VARIANT_ADD(one_note, _name) {				\
		.owner = _owner, .type = _type, .size = _size,		\
	}

NOTE(header, "IMG", NT_IMG_HEADER, sizeof(struct img_header));
NOTE(thread, "IMG", NT_IMG_THREAD, sizeof(struct img_thread));
NOTE(signal, "IMG", NT_IMG_SIGNAL,
     sizeof(struct img_signal) + SIGUSR1 * sizeof(struct img_sigaction));
NOTE(mm, "IMG", NT_IMG_MM, sizeof(struct img_mm));
NOTE(vma, "IMG", NT_IMG_VMA, sizeof(struct img_vmas) + 5 * sizeof(struct img_vma));
NOTE(file, "IMG", NT_IMG_FILE, sizeof(struct img_files) + sizeof(struct img_file));
NOTE(arch, "IMG", NT_IMG_ARCH, sizeof(struct img_arch_x86));
NOTE(timers, "IMG", NT_IMG_TIMERS, sizeof(struct img_timers));
NOTE(fd, "IMG", NT_IMG_FD, sizeof(struct img_fds) + 7 * sizeof(struct img_fd));
NOTE(prstatus, "CORE", NT_PRSTATUS, sizeof(struct elf_prstatus));
NOTE(prpsinfo, "CORE", NT_PRPSINFO, sizeof(struct elf_prpsinfo));
NOTE(auxv, "CORE", NT_AUXV, 16 * 10);
NOTE(core_file, "CORE", NT_FILE, 16 + 24);
NOTE(fpregset, "CORE", NT_FPREGSET, 512);
NOTE(xstate, "LINUX", NT_X86_XSTATE, 576);

/* There, once, and it begins with its own size if it is one of ours. */
TEST_F(one_note, present)
{
	size_t len = 0;
	void *d = img_note(&self->im, variant->owner, variant->type, 0, &len);
	uint32_t size;

	ASSERT_TRUE(d != NULL);
	EXPECT_LE(variant->size, len);
	EXPECT_EQ(NULL, img_note(&self->im, variant->owner, variant->type, 1, NULL));
	if (strcmp(variant->owner, "IMG"))
		return;
	memcpy(&size, d, sizeof(size));
	EXPECT_LE(16, size);
	EXPECT_GE(len, size);
}

TEST_F(image, segments)
{
	uint64_t last = 0, off = self->h.data_off;
	size_t i;

	EXPECT_EQ(PT_NOTE, self->ph[0].p_type);
	for (i = 1; i < self->nr_ph; i++) {
		const Elf64_Phdr *ph = &self->ph[i];

		ASSERT_EQ(PT_LOAD, ph->p_type);
		EXPECT_EQ(0, ph->p_vaddr % PAGE);
		EXPECT_EQ(0, ph->p_memsz % PAGE);
		EXPECT_NE(0, ph->p_memsz);
		EXPECT_LE(last, ph->p_vaddr);
		last = ph->p_vaddr + ph->p_memsz;
		EXPECT_EQ(0, ph->p_flags & ~(PF_R | PF_W | PF_X));
		if (!ph->p_filesz)
			continue;
		EXPECT_EQ(ph->p_memsz, ph->p_filesz);
		EXPECT_EQ(0, ph->p_offset % PAGE);
		/* One after the other, nothing between them. */
		EXPECT_EQ(off, ph->p_offset);
		off = ph->p_offset + ph->p_filesz;
		EXPECT_GE(self->im.len, off);
	}
	EXPECT_EQ(self->im.len, off);
}

/* Every page of every mapping is in a segment, and no page that is in none. */
TEST_F(image, address_space_is_covered)
{
	uint64_t mapped = 0, loaded = 0;
	unsigned long start, end;
	char *line, *save = NULL;
	size_t i;

	for (i = 1; i < self->nr_ph; i++)
		loaded += self->ph[i].p_memsz;
	for (line = strtok_r(self->p.maps, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		uint64_t at;

		ASSERT_EQ(2, sscanf(line, "%lx-%lx", &start, &end));
		if (strstr(line, "[vsyscall]"))
			continue;
		mapped += end - start;
		at = start;
		for (i = 1; i < self->nr_ph && at < end; i++)
			if (self->ph[i].p_vaddr <= at &&
			    self->ph[i].p_vaddr + self->ph[i].p_memsz > at)
				at = self->ph[i].p_vaddr + self->ph[i].p_memsz;
		EXPECT_LE(end, at);
		if (at < end)
			img_diag("not covered: %s", line);
	}
	EXPECT_EQ(mapped, loaded);
}

/* The VMA note tells the same as /proc/PID/maps. */
TEST_F(image, mappings)
{
	size_t len, i = 0;
	uint8_t *d = img_note(&self->im, "IMG", NT_IMG_VMA, 0, &len);
	char *line, *save = NULL;
	struct img_vmas v;

	ASSERT_TRUE(d != NULL);
	memcpy(&v, d, sizeof(v));
	ASSERT_EQ(sizeof(struct img_vma), v.vma_size);
	ASSERT_LE(v.vmas_off + (size_t)v.nr * v.vma_size, len);
	for (line = strtok_r(self->p.maps, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned long start, end, off;
		unsigned int prot;
		struct img_vma vma;
		char perm[5];

		if (strstr(line, "[vsyscall]"))
			continue;
		ASSERT_EQ(4, sscanf(line, "%lx-%lx %4s %lx", &start, &end, perm, &off));
		ASSERT_LT(i, v.nr);
		memcpy(&vma, d + v.vmas_off + i * v.vma_size, sizeof(vma));
		EXPECT_EQ(start, vma.start);
		EXPECT_EQ(end, vma.end);
		prot = (perm[0] == 'r' ? PROT_READ : 0) | (perm[1] == 'w' ? PROT_WRITE : 0) |
		       (perm[2] == 'x' ? PROT_EXEC : 0);
		EXPECT_EQ(prot, vma.prot & 7);
		EXPECT_EQ(perm[3] == 'p' ? MAP_PRIVATE : MAP_SHARED,
			  vma.map & (MAP_PRIVATE | MAP_SHARED));
		EXPECT_EQ(0, vma.pad);
		if (vma.kind == IMG_VMA_FILE) {
			EXPECT_NE(IMG_NONE, vma.file);
			EXPECT_EQ(off, vma.file_off);
		} else {
			EXPECT_EQ(IMG_NONE, vma.file);
			EXPECT_EQ(0, vma.file_off);
		}
		EXPECT_EQ(strstr(line, "[v") != NULL, vma.kind == IMG_VMA_ARCH);
		i++;
	}
	EXPECT_EQ(i, v.nr);
}

/* What a debugger reads: memory is where the segments say. */
TEST_F(image, memory_can_be_read)
{
	static const uint64_t words = sizeof(marker) / 8;
	uint64_t want[words];
	size_t i, k, found = 0;

	img_fill(want, sizeof(want), 4242);
	for (i = 1; i < self->nr_ph; i++) {
		const Elf64_Phdr *ph = &self->ph[i];

		if (ph->p_filesz < sizeof(want))
			continue;
		for (k = 0; k + sizeof(want) <= ph->p_filesz; k += PAGE)
			if (!memcmp(self->im.data + ph->p_offset + k, want, sizeof(want)))
				found++;
	}
	EXPECT_EQ(1, found);
}

TEST_F(image, registers)
{
	size_t len;
	struct elf_prstatus *st = img_note(&self->im, "CORE", NT_PRSTATUS, 0, &len);
	struct elf_prpsinfo *ps = img_note(&self->im, "CORE", NT_PRPSINFO, 0, &len);
	struct user_regs_struct regs;

	ASSERT_TRUE(st && ps);
	memcpy(&regs, st->pr_reg, sizeof(regs));
	EXPECT_EQ(self->p.pid, st->pr_pid);
	/* Asleep in recv(IMG_FD_CTL). */
	EXPECT_EQ(IMG_FD_CTL, regs.rdi);
	EXPECT_NE(0, regs.rip);
	EXPECT_NE(0, regs.rsp);
	EXPECT_NE(0, regs.fs_base);
	EXPECT_EQ(0x33, regs.cs);
	EXPECT_EQ(0x2b, regs.ss);
	EXPECT_EQ(self->p.pid, ps->pr_pid);
	EXPECT_STREQ("format", ps->pr_fname);
	EXPECT_TRUE(strstr(ps->pr_psargs, "--target formatted") != NULL);
}

TEST_F(image, thread)
{
	size_t len;
	struct img_thread *src = img_note(&self->im, "IMG", NT_IMG_THREAD, 0, &len), t;

	ASSERT_TRUE(src != NULL);
	memcpy(&t, src, sizeof(t));
	EXPECT_EQ(self->p.pid, t.tid);
	EXPECT_EQ(0, t.flags & IMG_THREAD_STOPPED);
	EXPECT_NE(0, t.clear_child_tid);
	EXPECT_NE(0, t.robust_list);
	EXPECT_EQ(SIGKILL, t.pdeath_signal);
	EXPECT_EQ(0, t.blocked);
	EXPECT_STREQ("format", (char *)t.comm);
	EXPECT_EQ(0, memcmp(t.pad, "\0\0\0\0", 4));
}

/* Who it was: as /proc and the system calls tell it. */

static uint64_t stat_field(pid_t pid, int nr)
{
	char path[64], *text, *p;
	uint64_t val = 0;
	int i;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	text = img_read_file(path, NULL);
	p = text ? strrchr(text, ')') + 4 : "";
	for (i = 4; i <= nr && *p; i++) {
		val = strtoull(p, &p, 10);
		if (*p == ' ')
			p++;
	}
	free(text);
	return val;
}

static bool is_path(struct img_image *im, uint32_t off, const char *link, pid_t pid)
{
	char path[64], want[4096] = {};
	size_t len;
	char *d = img_note(im, "IMG", NT_IMG_INFO, 0, &len);

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, link);
	if (readlink(path, want, sizeof(want) - 1) < 0 || off >= len ||
	    !memchr(d + off, 0, len - off))
		return false;
	return !strcmp(want, d + off);
}

static int in_a_corner(void *data)
{
	struct rlimit lim = { 123, 456 };
	gid_t groups[3] = { 7, 70000, 12 };

	umask(0137);
	if (chdir("/proc/self/../..") || chdir("/usr/bin") || setsid() < 0 ||
	    setpriority(PRIO_PROCESS, 0, 5) || setrlimit(RLIMIT_NOFILE, &lim) ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	if (!geteuid() && (setgroups(3, groups) || setresgid(10, 11, 12) ||
			   prctl(PR_SET_SECUREBITS, SECBIT_NO_CAP_AMBIENT_RAISE) ||
			   prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT)))
		return -errno;
	return 0;
}

FIXTURE(info) {
	struct img_proc p;
	struct img_image im;
	struct img_info in;
	uint8_t *note;
	size_t len;
};

FIXTURE_SETUP(info)
{
	struct img_launch how = { .prepare = in_a_corner };

	if (img_nodump())
		SKIP(return, "needs a dump");
	ASSERT_EQ(0, img_spawn(&self->p, "formatted", 's', NULL, &how));
	ASSERT_EQ(0, img_dump(&self->p));
	ASSERT_EQ(0, img_load(&self->im, self->p.image));
	self->note = img_note(&self->im, "IMG", NT_IMG_INFO, 0, &self->len);
	ASSERT_TRUE(self->note != NULL);
	ASSERT_LE(sizeof(self->in), self->len);
	memcpy(&self->in, self->note, sizeof(self->in));
}

FIXTURE_TEARDOWN(info)
{
	img_forget(&self->p);
	img_free(&self->im);
}

TEST_F(info, process_ids)
{
	pid_t pid = self->p.pid;

	EXPECT_EQ(sizeof(self->in), self->in.size);
	EXPECT_EQ(pid, self->in.pid);
	EXPECT_EQ(getpid(), self->in.ppid);
	EXPECT_EQ(getpgid(pid), self->in.pgrp);
	EXPECT_EQ(getsid(pid), self->in.session);
	EXPECT_EQ(pid, self->in.session);
	EXPECT_EQ((uint32_t)stat_field(pid, 7), self->in.tty);
	EXPECT_EQ(0, self->in.pad);
}

TEST_F(info, credentials)
{
	pid_t pid = self->p.pid;
	uint32_t gid, i;
	char line[64];
	char *status;

	snprintf(line, sizeof(line), "/proc/%d/status", pid);
	status = img_read_file(line, NULL);
	ASSERT_TRUE(status != NULL);
	snprintf(line, sizeof(line), "\nUid:\t%u\t%u\t%u\t%u\n", self->in.uid,
		 self->in.euid, self->in.suid, self->in.fsuid);
	EXPECT_TRUE(strstr(status, line) != NULL);
	snprintf(line, sizeof(line), "\nGid:\t%u\t%u\t%u\t%u\n", self->in.gid,
		 self->in.egid, self->in.sgid, self->in.fsgid);
	EXPECT_TRUE(strstr(status, line) != NULL);
	free(status);
	EXPECT_EQ(img_status_field(pid, "CapInh:", 16), self->in.cap_inheritable);
	EXPECT_EQ(img_status_field(pid, "CapPrm:", 16), self->in.cap_permitted);
	EXPECT_EQ(img_status_field(pid, "CapEff:", 16), self->in.cap_effective);
	EXPECT_EQ(img_status_field(pid, "CapBnd:", 16), self->in.cap_bounding);
	EXPECT_EQ(img_status_field(pid, "CapAmb:", 16), self->in.cap_ambient);
	EXPECT_EQ(1, self->in.no_new_privs);
	if (geteuid())
		return;
	EXPECT_EQ(10, self->in.gid);
	EXPECT_EQ(0, self->in.cap_bounding >> CAP_SYS_BOOT & 1);
	EXPECT_EQ(SECBIT_NO_CAP_AMBIENT_RAISE, self->in.securebits);
	ASSERT_EQ(3, self->in.nr_groups);
	ASSERT_LE(self->in.groups_off + 3 * sizeof(gid), self->len);
	for (i = 0; i < 3; i++) {
		static const uint32_t sorted[3] = { 7, 12, 70000 };

		memcpy(&gid, self->note + self->in.groups_off + i * sizeof(gid), sizeof(gid));
		EXPECT_EQ(sorted[i], gid);
	}
}

TEST_F(info, times_and_faults)
{
	uint64_t tick = IMG_NSEC_PER_SEC / sysconf(_SC_CLK_TCK);
	pid_t pid = self->p.pid;

	EXPECT_EQ(stat_field(pid, 22), self->in.start_ns / tick);
	EXPECT_LT(0, self->in.utime_ns + self->in.stime_ns);
	EXPECT_GE(stat_field(pid, 14), self->in.utime_ns / tick);
	EXPECT_GE(stat_field(pid, 15), self->in.stime_ns / tick);
	EXPECT_EQ(0, self->in.cutime_ns);
	EXPECT_EQ(0, self->in.cstime_ns);
	EXPECT_LT(0, self->in.min_flt);
	EXPECT_GE(stat_field(pid, 10), self->in.min_flt);
	EXPECT_GE(stat_field(pid, 12), self->in.maj_flt);
	EXPECT_EQ(0, self->in.cmin_flt);
	EXPECT_EQ(0, self->in.cmaj_flt);
}

TEST_F(info, limits_and_places)
{
	struct img_rlimit lim;
	struct rlimit want;
	uint32_t i;

	EXPECT_EQ(5, (int32_t)self->in.nice);
	EXPECT_EQ(SCHED_OTHER, self->in.policy);
	EXPECT_EQ(0, self->in.rt_priority);
	EXPECT_EQ(0137, self->in.umask);
	EXPECT_TRUE(is_path(&self->im, self->in.cwd_off, "cwd", self->p.pid));
	EXPECT_TRUE(is_path(&self->im, self->in.root_off, "root", self->p.pid));
	EXPECT_STREQ("/", (char *)self->note + self->in.root_off);
	ASSERT_EQ(RLIM_NLIMITS, self->in.nr_rlimits);
	ASSERT_EQ(sizeof(lim), self->in.rlimit_size);
	ASSERT_LE(self->in.rlimits_off + RLIM_NLIMITS * sizeof(lim), self->len);
	for (i = 0; i < RLIM_NLIMITS; i++) {
		memcpy(&lim, self->note + self->in.rlimits_off + i * sizeof(lim), sizeof(lim));
		ASSERT_EQ(0, prlimit(self->p.pid, i, NULL, &want));
		EXPECT_EQ(want.rlim_cur, lim.cur);
		EXPECT_EQ(want.rlim_max, lim.max);
	}
}

/* What was open, with paths; numbers in order. */
TEST_F(image, open_files)
{
	size_t len, i;
	uint8_t *d = img_note(&self->im, "IMG", NT_IMG_FD, 0, &len);
	bool found = false;
	struct img_fds f;
	struct img_fd fd;

	ASSERT_TRUE(d != NULL);
	memcpy(&f, d, sizeof(f));
	ASSERT_EQ(sizeof(fd), f.fd_size);
	ASSERT_LE(f.fds_off + (size_t)f.nr * f.fd_size, len);
	for (i = 0; i < f.nr; i++) {
		memcpy(&fd, d + f.fds_off + i * f.fd_size, sizeof(fd));
		EXPECT_EQ(0, fd.pad);
		if (fd.path_off != IMG_NONE) {
			ASSERT_LT(fd.path_off, len);
			ASSERT_TRUE(memchr(d + fd.path_off, 0, len - fd.path_off) != NULL);
		}
		if (fd.fd != 9)
			continue;
		found = true;
		ASSERT_NE(IMG_NONE, fd.path_off);
		EXPECT_STREQ("/dev/null", (char *)d + fd.path_off);
		EXPECT_EQ(O_RDWR, fd.open_flags & O_ACCMODE);
	}
	EXPECT_TRUE(found);
}

/*
 * Padding is zero, everywhere between what has a meaning; and two images of
 * the same stopped process differ in nothing but the time: there is no kernel
 * memory in them.
 */
TEST_F(image, padding_is_zero)
{
	size_t i, end = self->ph[0].p_offset;

	for (i = self->eh->e_phoff + self->nr_ph * sizeof(Elf64_Phdr); i < end; i++)
		if (!self->eh->e_shoff || i < self->eh->e_shoff ||
		    i >= self->eh->e_shoff + sizeof(Elf64_Shdr))
			EXPECT_EQ(0, self->im.data[i]);
	for (i = self->h.head_len; i < self->h.data_off; i++)
		EXPECT_EQ(0, self->im.data[i]);
}

TEST_F(image, nothing_uninitialised)
{
	struct img_header *a, *b;
	struct img_image again;
	size_t i, differ = 0;

	ASSERT_EQ(0, img_dump(&self->p));
	ASSERT_EQ(0, img_load(&again, self->p.image));
	ASSERT_EQ(self->im.len, again.len);
	a = img_head(&self->im);
	b = img_head(&again);
	EXPECT_NE(a->mono_ns, b->mono_ns);
	a->wall_ns = 0;
	b->wall_ns = 0;
	a->mono_ns = 0;
	b->mono_ns = 0;
	a->boot_ns = 0;
	b->boot_ns = 0;
	a->crc = 0;
	b->crc = 0;
	for (i = 0; i < again.len; i++) {
		if (self->im.data[i] == again.data[i])
			continue;
		if (++differ < 5)
			img_diag("byte %zu of %zu: %02x, %02x (notes %zu to %zu)", i, again.len,
				 self->im.data[i], again.data[i],
				 (size_t)self->ph[0].p_offset, (size_t)self->h.head_len);
	}
	/* Times that a process has used are in NT_PRSTATUS. */
	EXPECT_GE(32, differ);
	img_free(&again);
}

/* 65,600 mappings need more program headers than 16 bits can count. */
TARGET(many)
{
	size_t i, nr = strtoul(arg, NULL, 0);
	char *p = mmap(NULL, nr * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);

	if (p == MAP_FAILED)
		img_target_skip("cannot map");
	for (i = 0; i < nr; i += 2)
		if (mprotect(p + i * PAGE, PAGE, PROT_NONE))
			img_target_skip("too many mappings");
	img_freeze();
}

TEST(more_than_65535_segments)
{
	char *limit = img_read_file("/proc/sys/vm/max_map_count", NULL);
	struct img_image im;
	struct img_proc p;
	Elf64_Ehdr *eh;
	Elf64_Shdr *sh;
	int spawned, dumped;

	if (img_nodump())
		SKIP(return, "needs a dump");
	if (img_write_str("/proc/sys/vm/max_map_count", "80000"))
		SKIP(return, "cannot raise vm.max_map_count");
	spawned = img_spawn(&p, "many", 's', "65600", NULL);
	dumped = spawned ? spawned : img_dump_to(p.pid, p.image);
	if (!dumped)
		p.maps = img_maps(p.pid);
	if (spawned || dumped) {
		img_write_str("/proc/sys/vm/max_map_count", limit);
		IMG_SKIP_IF_SKIPPED(&p);
		/* That many may be more than an image can have. */
		EXPECT_EQ(0, spawned);
		EXPECT_EQ(-EFBIG, dumped);
		img_forget(&p);
		return;
	}
	EXPECT_EQ(0, img_load(&im, p.image));
	eh = (void *)im.data;
	EXPECT_EQ(PN_XNUM, eh->e_phnum);
	EXPECT_EQ(1, eh->e_shnum);
	EXPECT_EQ(sizeof(*sh), eh->e_shentsize);
	sh = (void *)(im.data + eh->e_shoff);
	EXPECT_LE(65600, sh->sh_info);
	EXPECT_EQ(SHT_NULL, sh->sh_type);
	img_free(&im);
	img_kill(&p);
	EXPECT_EQ(0, img_resume(&p));
	img_write_str("/proc/sys/vm/max_map_count", limit);
	EXPECT_EQ(0, img_same_maps(&p));
	EXPECT_EQ(0, img_finish(&p));
}
