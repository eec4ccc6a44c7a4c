/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Process images: what other parts of the kernel do for them, for kernel/img to
 * call.  Comments say where; what each does is said there.
 */
#ifndef _LINUX_IMG_CALLS_H
#define _LINUX_IMG_CALLS_H

#include <linux/mm_types.h>
#include <linux/nodemask_types.h>
#include <linux/signal_types.h>
#include <linux/sockptr.h>
#include <linux/types.h>
#include <uapi/linux/img.h>

struct bpf_prog;
struct file;
struct seccomp_filter;
struct sock_filter;
struct task_struct;

/**
 * struct itimer_state - an interval timer
 * @left: ns until it expires, 0: disarmed
 * @interval: ns, 0: once
 * @waits: ITIMER_REAL, not running until SIGALRM is taken
 */
struct itimer_state {
	u64	left;
	u64	interval;
	bool	waits;
};

/**
 * struct posix_timer_state - struct img_timer in the machine's byte order
 * @id: the timer
 * @clock: as timer_create(2) takes it
 * @flags: IMG_TIMER_*
 * @notify: SIGEV_*
 * @signo: sigev_signo
 * @value: sigev_value
 * @tid: of the thread with SIGEV_THREAD_ID, -1: not of this process
 * @clock_tid: whose CPU time it counts, -1: not of this process
 * @expires: ns left or a time of the clock
 * @interval: ns
 * @overrun: intervals since the signal was sent, less one
 * @overrun_last: what timer_getoverrun(2) returns
 * @sig_overrun: of the pending signal
 */
struct posix_timer_state {
	int		id;
	clockid_t	clock;
	u32		flags;
	int		notify;
	int		signo;
	sigval_t	value;
	pid_t		tid;
	pid_t		clock_tid;
	s64		expires;
	s64		interval;
	s64		overrun;
	s64		overrun_last;
	int		sig_overrun;
};

/* kernel/time/itimer.c */
void itimer_save(struct task_struct *tsk, struct itimer_state *s);
void itimer_resume(int which, const struct itimer_state *s);

/* kernel/time/posix-timers.c */
int posix_timer_save(struct task_struct *task, int id, struct posix_timer_state *s);
int posix_timer_resume(const struct posix_timer_state *s);
int posix_timer_resume_time(const struct posix_timer_state *s);
int posix_timer_resume_signal(const struct posix_timer_state *s);

/* kernel/sys.c, kernel/sched/membarrier.c: the system calls. */
long ksys_prctl(int option, unsigned long arg2, unsigned long arg3,
		unsigned long arg4, unsigned long arg5);
long ksys_membarrier(int cmd, unsigned int flags, int cpu_id);

/* net/core/filter.c */
int bpf_prog_create_from_sockptr(struct bpf_prog **pfp, sockptr_t filter, u16 len,
				 int (*trans)(struct sock_filter *filter, unsigned int flen),
				 bool save_orig);

/**
 * struct seccomp_program - a filter of seccomp(2) as it was installed
 * @insns: its instructions, NULL if the kernel did not keep them
 * @len: how many
 * @log: SECCOMP_FILTER_FLAG_LOG
 * @listener: somebody may listen to it (SECCOMP_FILTER_FLAG_NEW_LISTENER)
 */
struct seccomp_program {
	const struct sock_filter	*insns;
	unsigned short			len;
	bool				log;
	bool				listener;
};

/* kernel/seccomp.c */
struct seccomp_filter *seccomp_chain_get(struct task_struct *task);
void seccomp_chain_put(struct seccomp_filter *chain);
struct seccomp_filter *seccomp_chain_next(struct seccomp_filter *filter,
					  struct seccomp_program *sp);
struct seccomp_filter *seccomp_chain_add(struct seccomp_filter *chain,
					 const struct seccomp_program *sp, bool nnp);
int seccomp_chain_attach(struct seccomp_filter *chain);

/* mm/mempolicy.c */
int mpol_check(int mode, nodemask_t *nodes);
int mpol_set_task(int mode, nodemask_t *nodes);
int mpol_set_range(unsigned long start, unsigned long len, int mode, nodemask_t *nodes);

/* mm/mlock.c */
int mlock_range(unsigned long start, size_t len, vm_flags_t flags);
int do_mlockall(int flags);

/* mm/memfd.c */
int memfd_check_noexec(unsigned int *flags);
struct file *memfd_file_setup(const char *name, unsigned int flags);

#endif /* _LINUX_IMG_CALLS_H */
