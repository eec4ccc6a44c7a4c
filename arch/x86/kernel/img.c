// SPDX-License-Identifier: GPL-2.0
/*
 * Process images on x86-64: what register sets cannot say.
 *
 * CPU features, register values that no return to user mode would
 * survive, and state that is refused.
 */
#include <linux/cpufeature.h>
#include <linux/elf.h>
#include <linux/init.h>
#include <linux/mm.h>
#include <linux/mmu_context.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>
#include <linux/seccomp.h>
#include <linux/uaccess.h>
#include <asm/desc.h>
#include <asm/fpu/api.h>
#include <asm/fsgsbase.h>
#include <asm/prctl.h>
#include <asm/segment.h>
#include <asm/syscall.h>

#include "fpu/internal.h"
#include "fpu/legacy.h"
#include "fpu/xstate.h"
#include "img.h"

/*
 * Features that a program can use without asking the kernel, so that code
 * which was chosen by them may be anywhere in its memory.
 */
static const u16 img_user_features[] __initconst = {
	/* leaf 1 */
	X86_FEATURE_FPU, X86_FEATURE_TSC, X86_FEATURE_CX8, X86_FEATURE_CMOV,
	X86_FEATURE_CLFLUSH, X86_FEATURE_MMX, X86_FEATURE_FXSR, X86_FEATURE_XMM,
	X86_FEATURE_XMM2, X86_FEATURE_XMM3, X86_FEATURE_PCLMULQDQ,
	X86_FEATURE_SSSE3, X86_FEATURE_FMA, X86_FEATURE_CX16,
	X86_FEATURE_XMM4_1, X86_FEATURE_XMM4_2, X86_FEATURE_MOVBE,
	X86_FEATURE_POPCNT, X86_FEATURE_AES, X86_FEATURE_XSAVE,
	X86_FEATURE_OSXSAVE, X86_FEATURE_AVX, X86_FEATURE_F16C,
	X86_FEATURE_RDRAND,
	/* leaf 0x80000001 */
	X86_FEATURE_SYSCALL, X86_FEATURE_MMXEXT, X86_FEATURE_RDTSCP,
	X86_FEATURE_3DNOWEXT, X86_FEATURE_3DNOW, X86_FEATURE_LAHF_LM,
	X86_FEATURE_ABM, X86_FEATURE_SSE4A, X86_FEATURE_MISALIGNSSE,
	X86_FEATURE_3DNOWPREFETCH, X86_FEATURE_XOP, X86_FEATURE_LWP,
	X86_FEATURE_FMA4, X86_FEATURE_TBM, X86_FEATURE_MWAITX,
	/* leaf 7 */
	X86_FEATURE_FSGSBASE, X86_FEATURE_BMI1, X86_FEATURE_HLE,
	X86_FEATURE_AVX2, X86_FEATURE_BMI2, X86_FEATURE_ERMS,
	X86_FEATURE_RTM, X86_FEATURE_AVX512F, X86_FEATURE_AVX512DQ,
	X86_FEATURE_RDSEED, X86_FEATURE_ADX, X86_FEATURE_AVX512IFMA,
	X86_FEATURE_CLFLUSHOPT, X86_FEATURE_CLWB, X86_FEATURE_AVX512PF,
	X86_FEATURE_AVX512ER, X86_FEATURE_AVX512CD, X86_FEATURE_SHA_NI,
	X86_FEATURE_AVX512BW, X86_FEATURE_AVX512VL,
	X86_FEATURE_AVX512VBMI, X86_FEATURE_PKU, X86_FEATURE_OSPKE,
	X86_FEATURE_WAITPKG, X86_FEATURE_AVX512_VBMI2, X86_FEATURE_GFNI,
	X86_FEATURE_VAES, X86_FEATURE_VPCLMULQDQ, X86_FEATURE_AVX512_VNNI,
	X86_FEATURE_AVX512_BITALG, X86_FEATURE_AVX512_VPOPCNTDQ,
	X86_FEATURE_RDPID, X86_FEATURE_CLDEMOTE, X86_FEATURE_MOVDIRI,
	X86_FEATURE_MOVDIR64B, X86_FEATURE_ENQCMD,
	X86_FEATURE_AVX512_4VNNIW, X86_FEATURE_AVX512_4FMAPS,
	X86_FEATURE_FSRM, X86_FEATURE_AVX512_VP2INTERSECT,
	X86_FEATURE_SERIALIZE, X86_FEATURE_TSXLDTRK, X86_FEATURE_AMX_BF16,
	X86_FEATURE_AVX512_FP16, X86_FEATURE_AMX_TILE, X86_FEATURE_AMX_INT8,
	/* leaf 7, subleaf 1 */
	X86_FEATURE_AVX_VNNI, X86_FEATURE_AVX512_BF16, X86_FEATURE_CMPCCXADD,
	X86_FEATURE_FZRM, X86_FEATURE_FSRS, X86_FEATURE_FSRC,
	X86_FEATURE_AMX_FP16, X86_FEATURE_AVX_IFMA,
	/* leaf 0xd, subleaf 1 */
	X86_FEATURE_XSAVEOPT, X86_FEATURE_XSAVEC, X86_FEATURE_XGETBV1,
};

/* The kernel's word for each word of an image. */
static const u8 img_cpuid_words[IMG_X86_CPUID_WORDS] = {
	[IMG_X86_CPUID_1_EDX]	= CPUID_1_EDX,
	[IMG_X86_CPUID_1_ECX]	= CPUID_1_ECX,
	[IMG_X86_CPUID_EXT_EDX]	= CPUID_8000_0001_EDX,
	[IMG_X86_CPUID_EXT_ECX]	= CPUID_8000_0001_ECX,
	[IMG_X86_CPUID_7_EBX]	= CPUID_7_0_EBX,
	[IMG_X86_CPUID_7_ECX]	= CPUID_7_ECX,
	[IMG_X86_CPUID_7_EDX]	= CPUID_7_EDX,
	[IMG_X86_CPUID_7_1_EAX]	= CPUID_7_1_EAX,
	[IMG_X86_CPUID_XSAVE]	= CPUID_D_1_EAX,
};

/* The features above, by word of an image. */
static u32 img_user_words[IMG_X86_CPUID_WORDS] __ro_after_init;

static int __init img_cpu_init(void)
{
	unsigned int i, w;

	for (i = 0; i < ARRAY_SIZE(img_user_features); i++) {
		u16 f = img_user_features[i];

		for (w = 0; w < IMG_X86_CPUID_WORDS; w++) {
			if (img_cpuid_words[w] == f / 32)
				img_user_words[w] |= BIT(f % 32);
		}
	}
	return 0;
}

/* Before the first exec. */
core_initcall(img_cpu_init);

/* Permissions are the process's, and may be there before the first use. */
static bool img_xstate_on_demand(struct task_struct *task)
{
	const struct fpu *fpu = &task->group_leader->thread.fpu;
	u64 asked = fpu->perm.__state_perm | fpu->guest_perm.__state_perm;

	return (asked & ~fpu_kernel_cfg.default_features) ||
	       (task->thread.fpu.fpstate->user_xfeatures & ~fpu_user_cfg.default_features);
}

static const char *img_arch_obstacle(struct task_struct *task, struct mm_struct *mm)
{
	struct thread_struct *t = &task->thread;
	struct fpu *leader = &task->group_leader->thread.fpu;
	unsigned int i;

	if (!user_64bit_mode(task_pt_regs(task)) || test_tsk_thread_flag(task, TIF_ADDR32))
		return "it is not a 64-bit program";
	if (task_thread_info(task)->status & TS_COMPAT)
		return "a 32-bit system call";
	for (i = 0; i < HBP_NUM; i++) {
		if (t->ptrace_bps[i])
			return "hardware breakpoints";
	}
	if (t->io_bitmap || t->iopl_emul)
		return "I/O port permissions";
#ifdef CONFIG_X86_USER_SHADOW_STACK
	if (t->features || t->features_locked)
		return "shadow stacks";
#endif
#ifdef CONFIG_ADDRESS_MASKING
	if (mm_lam_cr3_mask(mm))
		return "linear address masking";
#endif
	if (img_xstate_on_demand(task))
		return "xstate features on demand";
	/* Also when they are only permitted, which a new process is not told. */
	if ((READ_ONCE(leader->perm.__state_perm) |
	     READ_ONCE(leader->guest_perm.__state_perm)) & XFEATURE_MASK_USER_DYNAMIC)
		return "permission for xstate features on demand";
	return img_desc_obstacle(task, mm);
}

static int img_arch_hold_thread(struct img_dump *d)
{
	const char *obstacle = img_arch_obstacle(d->thread, d->mm);

	return obstacle ? img_dump_refuse(d, -EOPNOTSUPP, "%s", obstacle) : 0;
}

/**
 * img_arch_update_mm() - copy what may have changed since a snapshot was begun
 * @mm: the snapshot
 * @oldmm: the original; nobody runs in it
 *
 * Context: both mmap_locks held for writing.
 * Return: false if there is something that cannot be copied now.
 */
bool img_arch_update_mm(struct mm_struct *mm, struct mm_struct *oldmm)
{
	if (img_ldt_count(mm) || img_ldt_count(oldmm) ||
	    mm->context.vdso != oldmm->context.vdso)
		return false;
	img_pkey_copy(mm, oldmm);
	return true;
}

static int img_arch_save(struct img_dump *d)
{
	struct img_arch_x86 a = { .size = cpu_to_le32(sizeof(a)) };
	unsigned int i, nr_ldt = img_ldt_count(d->mm);
	void *desc;
	int err;

	err = img_vdso_save(d, &a);
	if (err)
		return err;
	a.nr_cpuid = cpu_to_le32(IMG_X86_CPUID_WORDS);
	for (i = 0; i < IMG_X86_CPUID_WORDS; i++)
		a.cpuid[i] = cpu_to_le32(boot_cpu_data.x86_capability[img_cpuid_words[i]]);
	a.xfeatures = cpu_to_le64(fpu_user_cfg.default_features);
	img_pkey_save(d->mm, &a);
	if (nr_ldt) {
		a.flags |= cpu_to_le64(IMG_X86_LDT);
		a.nr_ldt = cpu_to_le32(nr_ldt);
		a.ldt_size = cpu_to_le32(sizeof(struct user_desc));
		a.ldt_off = cpu_to_le32(sizeof(a));
	}
	desc = img_note_add(d, IMG_NOTE_NAME, NT_IMG_ARCH,
			    sizeof(a) + nr_ldt * sizeof(struct user_desc));
	if (!desc)
		return -ENOMEM;
	memcpy(desc, &a, sizeof(a));
	img_ldt_save(d->mm, desc + sizeof(a));
	return 0;
}

static int img_check_cpu(struct img_load *l, const struct img_arch_x86 *a)
{
	unsigned int i;

	for (i = 0; i < IMG_X86_CPUID_WORDS; i++) {
		unsigned int w = img_cpuid_words[i], f;
		u32 lacks = le32_to_cpu(a->cpuid[i]) & img_user_words[i] &
			    ~boot_cpu_data.x86_capability[w];

		if (!lacks)
			continue;
		f = w * 32 + __ffs(lacks);
		if (x86_cap_flags[f])
			return img_load_refuse(l, -ENODEV, "this CPU lacks %s",
					       x86_cap_flags[f]);
		return img_load_refuse(l, -ENODEV, "this CPU lacks feature %u:%u",
				       f / 32, f % 32);
	}
	if (le64_to_cpu(a->xfeatures) & ~fpu_user_cfg.default_features)
		return img_load_refuse(l, -ENODEV, "this CPU lacks xstate features %llx",
				       le64_to_cpu(a->xfeatures) &
				       ~fpu_user_cfg.default_features);
	return 0;
}

/**
 * img_arch_note() - the note of the architecture
 * @l: the image
 * @a: is set to it; what it says is checked by those that it is for
 *
 * Return: 0, -EBADMSG or -EOPNOTSUPP, having logged the reason.
 */
int img_arch_note(struct img_load *l, struct img_arch_x86 *a)
{
	int err = img_note_struct(l, NT_IMG_ARCH, a, sizeof(*a), NULL);

	if (err)
		return err;
	if (le64_to_cpu(a->flags) & ~(IMG_X86_PKEYS | IMG_X86_LDT))
		return img_load_refuse(l, -EOPNOTSUPP, "unknown CPU flags %llx",
				       le64_to_cpu(a->flags));
	if (le32_to_cpu(a->nr_cpuid) != IMG_X86_CPUID_WORDS)
		return img_load_refuse(l, -EBADMSG, "%u CPUID words",
				       le32_to_cpu(a->nr_cpuid));
	if (a->pad)
		return img_load_refuse(l, -EBADMSG, "bad architecture note");
	return 0;
}

static int img_arch_check(struct img_load *l)
{
	struct img_arch_x86 a;
	int err = img_arch_note(l, &a);

	if (!err)
		err = img_check_cpu(l, &a);
	if (!err)
		err = img_vdso_check(l, &a);
	if (!err)
		err = img_pkey_check(l, &a);
	return err ?: img_ldt_check(l);
}

/* First in the empty address space, so that nothing is in the way. */
static int img_arch_restore(struct img_load *l)
{
	struct img_arch_x86 a;
	int err = img_arch_note(l, &a);

	if (!err)
		err = img_vdso_restore(&a);
	if (err)
		return err;
	img_pkey_begin();
	return img_ldt_restore(l);
}

static int img_arch_finish(struct img_load *l)
{
	struct img_arch_x86 a;
	int err = img_arch_note(l, &a);

	if (!err)
		img_pkey_finish(&a);
	return err;
}

/*
 * The ID flag is the program's own, but ->set() leaves it as it is, as it
 * leaves other flags that programs cannot change.
 */
static int img_arch_finish_thread(struct img_load *l, struct img_load_thread *t)
{
	const struct img_note *note = img_thread_note_find(t, "CORE", NT_PRSTATUS);
	struct pt_regs *regs = current_pt_regs();
	struct elf_prstatus prstatus;
	struct user_regs_struct *u = (struct user_regs_struct *)&prstatus.pr_reg;

	memcpy(&prstatus, note->desc, sizeof(prstatus));
	regs->flags = (regs->flags & ~X86_EFLAGS_ID) | (u->flags & X86_EFLAGS_ID);
	return 0;
}

/**
 * img_arch_set_result() - what a system call returns in the image
 * @regs: of a thread in that system call
 * @result: the value
 */
void img_arch_set_result(elf_gregset_t *regs, long result)
{
	((struct user_regs_struct *)regs)->ax = result;
}

/**
 * img_arch_syscall_enter() - go on with another system call
 * @nr: its number, in the native ABI
 *
 * Filters of seccomp have seen restart_syscall(2) only.  Whoever looks at the
 * registers meanwhile, among them a signal that has the call restarted, sees
 * this call.
 *
 * Context: current is in a system call.
 * Return: the number of the call to be issued, which a tracer may have changed,
 *	or -1 if there is none: its result is in the registers.
 */
int img_arch_syscall_enter(unsigned int nr)
{
	struct pt_regs *regs = current_pt_regs();

	if (in_ia32_syscall()) {
		regs->ax = -EINTR;
		return -1;
	}
	regs->orig_ax = nr;
	if (secure_computing() == -1)
		return -1;
	return syscall_get_nr(current, regs);
}

/**
 * img_arch_syscall() - issue a system call
 * @nr: from img_arch_syscall_enter()
 *
 * Context: current is in a system call; the arguments are in the registers.
 * Return: its result.
 */
long img_arch_syscall(unsigned int nr)
{
	return x64_sys_call(current_pt_regs(), nr);
}

/**
 * img_arch_check_regs() - refuse registers that cannot be set
 * @t: the thread
 * @regs: its general registers
 *
 * Return: 0 or -EBADMSG, having logged the reason.
 */
int img_arch_check_regs(struct img_load_thread *t, const elf_gregset_t *regs)
{
	const struct user_regs_struct *u = (const struct user_regs_struct *)regs;
	struct img_load *l = t->l;

	if (u->cs != __USER_CS || u->ss != __USER_DS)
		return img_load_refuse(l, -EBADMSG, "bad segment registers");
	if (u->fs_base >= TASK_SIZE_MAX || u->gs_base >= TASK_SIZE_MAX)
		return img_load_refuse(l, -EBADMSG, "bad segment base");
	if (u->ip >= TASK_SIZE_MAX)
		return img_load_refuse(l, -EBADMSG, "instruction pointer %lx", u->ip);
	if (u->flags & (X86_EFLAGS_IOPL | X86_EFLAGS_VM | X86_EFLAGS_VIF | X86_EFLAGS_VIP))
		return img_load_refuse(l, -EBADMSG, "flags %lx", u->flags);
	return img_desc_check_regs(t, u);
}

/* As validate_user_xstate_header() and what follows its caller. */
static int img_check_xstate(struct img_load *l, const struct img_note *note)
{
	const struct xregs_state *x = note->desc;
	struct xstate_header hdr;
	u64 more;
	u32 mxcsr;

	if (note->len < FXSAVE_SIZE + XSAVE_HDR_SIZE || note->len > 4 * PAGE_SIZE)
		return img_load_refuse(l, -EBADMSG, "bad size of xstate");
	memcpy(&hdr, &x->header, sizeof(hdr));
	if (hdr.xcomp_bv || memchr_inv(hdr.reserved, 0, sizeof(hdr.reserved)))
		return img_load_refuse(l, -EBADMSG, "bad xstate header");
	if (hdr.xfeatures & ~fpu_user_cfg.default_features)
		return img_load_refuse(l, -ENODEV, "this CPU lacks xstate features %llx",
				       hdr.xfeatures & ~fpu_user_cfg.default_features);
	/* Each feature that is in use must be inside the note. */
	for (more = hdr.xfeatures & ~XFEATURE_MASK_FPSSE; more; more &= more - 1) {
		u32 size, offset, ecx, edx;

		cpuid_count(XSTATE_CPUID, __ffs64(more), &size, &offset, &ecx, &edx);
		if (note->len < offset + size)
			return img_load_refuse(l, -EBADMSG, "xstate is too short");
	}
	memcpy(&mxcsr, &x->i387.mxcsr, sizeof(mxcsr));
	if (mxcsr & ~mxcsr_feature_mask)
		return img_load_refuse(l, -EBADMSG, "MXCSR %x", mxcsr);
	return 0;
}

static int img_check_fxregs(struct img_load *l, const struct img_note *note)
{
	const struct fxregs_state *fx = note->desc;
	u32 mxcsr;

	if (note->len != sizeof(*fx))
		return img_load_refuse(l, -EBADMSG, "bad size of FPU state");
	memcpy(&mxcsr, &fx->mxcsr, sizeof(mxcsr));
	if (mxcsr & ~mxcsr_feature_mask)
		return img_load_refuse(l, -EBADMSG, "MXCSR %x", mxcsr);
	return 0;
}

/**
 * img_arch_check_regset() - refuse other register sets that cannot be set
 * @l: the image
 * @note: any note of a core file
 *
 * Return: 1 for registers that can be set, 0 if the note has none, or a
 *	documented errno, having logged the reason.
 */
int img_arch_check_regset(struct img_load *l, const struct img_note *note)
{
	switch (note->type) {
	case NT_PRFPREG:
		return img_check_fxregs(l, note) ?: 1;
	case NT_X86_XSTATE:
		return img_check_xstate(l, note) ?: 1;
	case NT_386_TLS:
		return img_desc_check_tls(l, note) ?: 1;
	case NT_IMG_X86_THREAD:
		return img_desc_check_thread(l, note) ?: 1;
	case NT_386_IOPERM:
	case NT_X86_SHSTK:
		return img_load_refuse(l, -EOPNOTSUPP, "register set %x", note->type);
	default:
		return 0;
	}
}

/* Words of the thread control block of musl, see its src/internal/pthread_impl.h. */
#define IMG_MUSL_SELF	0
#define IMG_MUSL_TID	48

/**
 * img_arch_tid_word() - where a thread library keeps the thread's ID
 *
 * The kernel is told where glibc does: it is the word that set_tid_address(2)
 * is called with.  musl has a lock there, and the ID behind the pointer to
 * itself that the control block of a thread begins with.
 *
 * Context: current has the registers of the image; may sleep.
 * Return: a place where the ID may be, or NULL.
 */
int __user *img_arch_tid_word(void)
{
	unsigned long base = x86_fsbase_read_cpu(), self;

	if (!base || get_user(self, (unsigned long __user *)(base + IMG_MUSL_SELF)) ||
	    self != base)
		return NULL;
	return (int __user *)(base + IMG_MUSL_TID);
}

/**
 * img_arch_personality() - become a native program
 *
 * Context: exec, before setup_new_exec().
 */
void img_arch_personality(void)
{
	set_personality_64bit();
}

const struct img_part img_part_arch = {
	.name		= "the architecture",
	.note		= NT_IMG_ARCH,
	.hold_thread	= img_arch_hold_thread,
	.save		= img_arch_save,
	.check		= img_arch_check,
	.restore	= img_arch_restore,
	.finish		= img_arch_finish,
	.finish_thread	= img_arch_finish_thread,
};
