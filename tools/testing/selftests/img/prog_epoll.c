// SPDX-License-Identifier: GPL-2.0
/*
 * A launcher for the image of a Go program, which needs what the Go runtime has
 * open from its first timer on: an epoll instance, and in it the end to read
 * from of a pipe by which threads wake the one that waits there.
 *
 *	prog_epoll EPOLL READ WRITE DATA PROGRAM
 *
 * makes them under the given numbers, with the hexadecimal DATA that the
 * instance had for the pipe (/proc/PID/fdinfo/EPOLL), and executes PROGRAM.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static int fail(const char *what)
{
	fprintf(stderr, "prog_epoll: %s: %s\n", what, strerror(errno));
	return 126;
}

/* Out of the way of what is to be made. */
static int away(int fd)
{
	int high = fcntl(fd, F_DUPFD, 100);

	close(fd);
	return high;
}

int main(int argc, char **argv)
{
	struct epoll_event event = { .events = EPOLLIN };
	int fd[3], to[3], i;

	if (argc != 6) {
		fprintf(stderr, "usage: prog_epoll EPOLL READ WRITE DATA PROGRAM\n");
		return 2;
	}
	fd[0] = epoll_create1(0);
	if (fd[0] < 0 || pipe2(fd + 1, O_NONBLOCK))
		return fail("epoll and pipe");
	for (i = 0; i < 3; i++) {
		to[i] = atoi(argv[i + 1]);
		fd[i] = away(fd[i]);
	}
	for (i = 0; i < 3; i++) {
		if (dup2(fd[i], to[i]) < 0)
			return fail("dup2");
		close(fd[i]);
	}
	event.data.u64 = strtoull(argv[4], NULL, 16);
	if (epoll_ctl(to[0], EPOLL_CTL_ADD, to[1], &event))
		return fail("epoll_ctl");
	/*
	 * The old pipe may have had a byte in it, and then the runtime writes
	 * no other until it has been read.  One too many is no harm.
	 */
	if (write(to[2], "", 1) != 1)
		return fail("write");
	execv(argv[5], argv + 5);
	return fail(argv[5]);
}
