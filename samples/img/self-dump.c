// SPDX-License-Identifier: GPL-2.0
/*
 * A program that saves itself: self-dump FILE
 *
 * It does the slow part of its start, saves itself to FILE and does its work.
 * FILE is a program, too: one that begins after the slow part.  Its arguments
 * are those of the first run, since they are in its memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENTRIES	65536

static unsigned long table[ENTRIES];

static void slow_start(void)
{
	unsigned long i, x = 1;

	for (i = 0; i < ENTRIES; i++) {
		x = x * 6364136223846793005UL + 1442695040888963407UL;
		table[i] = x;
	}
}

/* Returns 0 in who goes on, 1 in who was saved by this call, -1 on error. */
static int save_self(const char *path)
{
	static char buf[1 << 16];
	int in, out, ret = 0;
	ssize_t n;

	in = open("/proc/self/dump", O_RDONLY | O_CLOEXEC);
	if (in < 0)
		return errno == ECANCELED ? 1 : -1;
	/* From here on nothing gets into the image any more. */
	out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
	if (out < 0)
		ret = -1;
	while (!ret && (n = read(in, buf, sizeof(buf))) != 0)
		if (n < 0 || write(out, buf, n) != n)
			ret = -1;
	close(in);
	if (out >= 0 && close(out))
		ret = -1;
	return ret;
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s FILE\n", argv[0]);
		return 2;
	}
	slow_start();
	printf("slow start\n");
	/* What is in a buffer at the dump would be written by both. */
	fflush(stdout);

	switch (save_self(argv[1])) {
	case 0:
		printf("original: saved to %s\n", argv[1]);
		break;
	case 1:
		printf("image: open() said: %s\n", strerror(ECANCELED));
		break;
	default:
		perror(argv[1]);
		return 1;
	}
	printf("%#lx\n", table[12345]);
	return 0;
}
