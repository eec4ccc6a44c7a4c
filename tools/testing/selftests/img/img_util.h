/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of process images share.
 *
 * A *target* is a process that is dumped.  It has to be a program of its own:
 * the harness keeps its results in shared memory, which a dump refuses, and a
 * fork would inherit it.  So each test program runs itself again, as
 *
 *	PROGRAM --target NAME MODE [ARG]
 *
 * which calls the function that TARGET(NAME) defined.  That function sets up
 * its state, calls img_freeze(), and is dumped, killed and resumed before
 * img_freeze() returns; then it checks that all is as it was.
 *
 * A resumed process has the open files of its launcher.  img_launch() gives
 * the target and the launcher of its image the same ones, newly made:
 *
 *	0	/dev/null
 *	1, 2	those of the test
 *	3	IMG_FD_CTL, a socket to the test, one message per packet:
 *		R ready to be dumped, F text: a check failed, S text: skip,
 *		M text: for the test; from the test: G go on
 *	4	IMG_FD_EVENT, a pipe to read from
 *	5	IMG_FD_EPOLL, an epoll instance that watches 4
 *
 * Environment: IMG_SLOW=N multiplies all timeouts (debug kernel), IMG_EMULATED=1
 * limits for what does not end (no KVM); with IMG_NODUMP=1 nothing is dumped,
 * killed or resumed, targets just go on: a trial of the tests' own code on any
 * kernel.
 */
#ifndef IMG_UTIL_H
#define IMG_UTIL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <linux/img.h>

#define IMG_FD_CTL	3
#define IMG_FD_EVENT	4
#define IMG_FD_EPOLL	5

#define IMG_NSEC_PER_MSEC	1000000ULL
#define IMG_NSEC_PER_SEC	1000000000ULL

#define IMG_NOBODY	65534

/* Both sides. */
int img_slow(void);
int img_patience(void);
bool img_nodump(void);
uint64_t img_now(void);
void img_msleep(unsigned int ms);
uint64_t img_random(uint64_t *state);
void img_fill(void *p, size_t len, uint64_t seed);
size_t img_differs(const void *p, size_t len, uint64_t seed);
const char *img_path(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int img_make_file(const char *path, size_t len, uint64_t seed);
char *img_read_file(const char *path, size_t *len);
int img_write_file(const char *path, const void *data, size_t len);
int img_write_str(const char *path, const char *text);
long img_status_field(pid_t pid, const char *field, int base);

/*
 * The side of the target.
 */
typedef void (*img_target_fn)(const char *arg);

struct img_target {
	const char *name;
	img_target_fn fn;
	struct img_target *next;
};

extern char img_mode;
extern int img_failures;

void img_register_target(struct img_target *t);
int img_target_main(int argc, char **argv);
void img_send(char type, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void img_freeze(void);
void img_target_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
bool img_check(bool ok, const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#define TARGET(_name)							\
	static void target_##_name(const char *arg);			\
	static struct img_target target_##_name##_entry = {		\
		.name = #_name,						\
		.fn = target_##_name,					\
	};								\
	static void __attribute__((constructor))			\
	target_##_name##_register(void)					\
	{								\
		img_register_target(&target_##_name##_entry);		\
	}								\
	static void target_##_name(const char *arg __attribute__((unused)))

/* Checks of a target; they go on after a failure and say whether it held. */
#define CHECK(cond)							\
	img_check(!!(cond), __FILE__, __LINE__, "%s", #cond)

#define CHECKF(cond, fmt, ...)						\
	img_check(!!(cond), __FILE__, __LINE__, "%s: " fmt, #cond, ##__VA_ARGS__)

#define CHECK_EQ(want, seen) do {					\
	long long __w = (long long)(want);				\
	long long __s = (long long)(seen);				\
									\
	img_check(__w == __s, __FILE__, __LINE__,			\
		  "%s is %lld (0x%llx), expected %s, %lld (0x%llx)",	\
		  #seen, __s, __s, #want, __w, __w);			\
} while (0)

/* A call that has to work for the test to make sense. */
#define MUST(call) ({							\
	long __r = (long)(call);					\
									\
	if (__r == -1) {						\
		img_check(false, __FILE__, __LINE__, "%s: errno %d", #call, errno); \
		_exit(1);						\
	}								\
	__r;								\
})

#define CHECK_FILL(p, len, seed) do {					\
	size_t __bad = img_differs(p, len, seed);			\
									\
	img_check(__bad == (size_t)(len), __FILE__, __LINE__,		\
		  "%s differs at byte %zu of %zu", #p, __bad, (size_t)(len)); \
} while (0)

#define CHECK_ZERO(p, len) do {						\
	size_t __n = img_nonzero(p, len);				\
									\
	img_check(__n == (size_t)(len), __FILE__, __LINE__,		\
		  "%s is not zero at byte %zu of %zu", #p, __n, (size_t)(len)); \
} while (0)

size_t img_nonzero(const void *p, size_t len);

/*
 * The side of the test.  Functions return 0 or a negative errno, and have
 * printed a diagnostic line when the caller cannot know what went wrong.
 */
struct img_launch {
	uid_t uid;			/* run as this user and group; 0: as we are */
	pid_t pid;			/* with this ID, in a new PID namespace; 0: any */
	int (*prepare)(void *data);	/* in the child before execve(): 0 or -errno */
	void *data;
	char *const *argv;		/* default: the path alone */
	char *const *envp;		/* default: ours */
};

struct img_proc {
	pid_t pid;
	int sock;			/* to IMG_FD_CTL */
	int event;			/* write end of IMG_FD_EVENT */
	char mode;
	int fails;
	bool skipped;
	char skip[200];
	char image[256];
	char *maps;			/* as they were at the last dump */
	uint64_t sig_caught;
	struct img_launch how;
};

extern char img_dir[200];		/* scratch directory of this run */
extern char img_self[4096];		/* path of this program */

void img_init(void);
void img_diag(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
const char *img_sibling(const char *name);

/*
 * Where a target is when it is dumped: 's' asleep in recv(), 't' stopped there,
 * 'r' running in user mode, 'x' stopped there, 'p' asleep in pause().  The last
 * three are left by SIGUSR2.
 */
int img_launch(struct img_proc *p, const char *path, const struct img_launch *how);
int img_spawn(struct img_proc *p, const char *target, char mode, const char *arg,
	      const struct img_launch *how);
int img_start(struct img_proc *p, const char *target, char mode, const char *arg,
	      const struct img_launch *how);
int img_settle(struct img_proc *p);
int img_await_ready(struct img_proc *p);
int img_recv(struct img_proc *p, char type, char *text, size_t size);
int img_dump_to(pid_t pid, const char *path);
int img_open_dump(pid_t pid);
int img_dump(struct img_proc *p);
void img_kill(struct img_proc *p);
int img_resume(struct img_proc *p);
int img_resume_as(struct img_proc *p, const struct img_launch *how);
int img_same_maps(struct img_proc *p);
int img_cycle(struct img_proc *p);
int img_cycle_as(struct img_proc *p, const struct img_launch *how);
int img_go(struct img_proc *p);
int img_finish(struct img_proc *p);
int img_wait_exit(struct img_proc *p);
void img_forget(struct img_proc *p);
char *img_maps(pid_t pid);
char img_state(pid_t pid);
long img_syscall(pid_t pid);
int img_wait_state(pid_t pid, const char *states);
int img_wait_syscall(pid_t pid, long nr);
int img_wait_caught(pid_t pid, uint64_t mask);
int img_wait_status(pid_t pid, int *status);
int img_try_exec(const char *path, const struct img_launch *how, pid_t *pid);

/* The kernel log since img_log_open(). */
int img_log_open(void);
int img_log_open_quiet(void);
bool img_log_has(int fd, const char *a, const char *b);

/* A swap device of 16 MB: the descriptor of its loop device, or -1. */
int img_swap_on(char *dev, size_t size);
int img_swap_off(const char *dev, int loop);

/* An image in memory, to look at and to damage. */
struct img_image {
	uint8_t *data;
	size_t len;
	size_t head_at;		/* of struct img_header, also when that cannot be found */
};

int img_load(struct img_image *im, const char *path);
int img_save(const struct img_image *im, const char *path);
void img_free(struct img_image *im);
int img_copy(struct img_image *to, const struct img_image *from);
void *img_note(const struct img_image *im, const char *owner, uint32_t type,
	       unsigned int nth, size_t *len);
struct img_header *img_head(const struct img_image *im);
uint32_t img_crc32c(uint32_t crc, const void *data, size_t len);
uint32_t img_head_crc(const struct img_image *im);
void img_fix_crc(struct img_image *im);

#endif /* IMG_UTIL_H */
