// SPDX-License-Identifier: GPL-2.0
/*
 * Process images on x86-64: the registers of current, without a context switch.
 *
 * As programs set their own: by arch_prctl(2), and the FPU as sigreturn(2) does.
 * Who has more than all programs have, such as descriptors of its own, gets them in
 * the way that is good for all.
 */
#include <linux/cpufeature.h>
#include <linux/elf.h>
#include <linux/pkeys.h>
#include <linux/preempt.h>
#include <linux/regset.h>
#include <linux/sched.h>
#include <linux/sched/task_stack.h>
#include <asm/fpu/api.h>
#include <asm/fpu/signal.h>
#include <asm/prctl.h>
#include <asm/proto.h>

#include "fpu/context.h"
#include "fpu/internal.h"
#include "fpu/xstate.h"
#include "img.h"

/*
 * As __fpu_restore_sig() where it cannot load the registers from the user's memory:
 * the state is set in ours, and loaded on the way to user mode.  PKRU is not, as it
 * is switched with the thread.
 */
static int img_set_fpu(const struct img_note *note)
{
	struct fpu *fpu = &current->thread.fpu;
	u32 pkru = 0;
	int err;

	fpregs_lock();
	/* Since the exec it is so; but fork, which makes threads, loads them. */
	if (!test_thread_flag(TIF_NEED_FPU_LOAD)) {
		if (xfeatures_mask_supervisor())
			os_xsave(fpu->fpstate);
		set_thread_flag(TIF_NEED_FPU_LOAD);
	}
	__fpu_invalidate_fpregs_state(fpu);
	__cpu_invalidate_fpregs_state();
	err = copy_uabi_from_kernel_to_xstate(fpu->fpstate, note->desc, &pkru);
	if (!err) {
		current->thread.pkru = pkru;
		write_pkru(pkru);
	}
	fpregs_unlock();
	return err;
}

/*
 * The first set of the view, without what its setter would write for another task.  The
 * segment registers are those of a native program, as are the image's.
 */
static int img_set_general(const struct user_regs_struct *u)
{
	const struct user_regset *rs = task_user_regset_view(current)->regsets;
	int err;

	err = rs->set(current, rs, 0, offsetof(struct user_regs_struct, cs), u, NULL);
	if (!err)
		err = rs->set(current, rs, offsetof(struct user_regs_struct, flags),
			      sizeof(u->flags) + sizeof(u->sp), &u->flags, NULL);
	if (err)
		return err;
	/* These make FS and GS zero, as the image has them; DS and ES are so. */
	return do_arch_prctl_64(current, ARCH_SET_FS, u->fs_base) ?:
	       do_arch_prctl_64(current, ARCH_SET_GS, u->gs_base);
}

/**
 * img_arch_sync_regs() - let the getters of register sets see what current has
 *
 * They sync the FPU themselves, but take PKRU from where a context switch saves it.
 *
 * Context: current is in a system call.
 */
void img_arch_sync_regs(void)
{
	/* A switch that comes between saves the same. */
	current->thread.pkru = read_pkru();
}

/**
 * img_arch_set_regs() - set the registers of current
 * @t: what they are to be, checked
 *
 * Context: on the way from execve(2) to user mode.
 * Return: 0; 1 if nothing is set, because that takes a thread that does not run; or a
 *	negative errno.
 */
int img_arch_set_regs(const struct img_load_thread *t)
{
	const struct img_note *note = img_thread_note_find(t, "CORE", NT_PRSTATUS);
	const struct img_note *x = img_thread_note_find(t, "LINUX", NT_X86_XSTATE);
	struct elf_prstatus prstatus;
	const struct user_regs_struct *u = (struct user_regs_struct *)&prstatus.pr_reg;

	memcpy(&prstatus, note->desc, sizeof(prstatus));
	if (u->ds || u->es || u->fs || u->gs ||
	    img_thread_note_find(t, "LINUX", NT_386_TLS) ||
	    img_thread_note_find(t, IMG_NOTE_NAME, NT_IMG_X86_THREAD))
		return 1;
	/* Notes of a CPU with fewer or more features are of another length. */
	if (!cpu_feature_enabled(X86_FEATURE_XSAVE) || !x ||
	    x->len != fpu_user_cfg.max_size)
		return 1;
	return img_set_fpu(x) ?: img_set_general(u);
}
