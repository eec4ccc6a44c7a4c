// SPDX-License-Identifier: GPL-2.0
/*
 * A program with three threads at rest, for the tools that look at processes:
 * they have names, and wait in a function that is told by its argument.  SIGTERM
 * ends it.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define CREW	3

static pthread_barrier_t all;
static volatile sig_atomic_t ended;

static void __attribute__((noinline)) crew_waits(int nr)
{
	pthread_barrier_wait(&all);
	for (;;)
		pause();
}

static void *crew(void *arg)
{
	char name[16];
	sigset_t term;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &term, NULL);
	snprintf(name, sizeof(name), "crew-%ld", (long)arg);
	pthread_setname_np(pthread_self(), name);
	crew_waits((long)arg);
	return NULL;
}

static void end(int sig)
{
	ended = 1;
}

int main(void)
{
	pthread_t t;
	long i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGTERM, end);
	pthread_barrier_init(&all, NULL, CREW + 1);
	for (i = 0; i < CREW; i++)
		pthread_create(&t, NULL, crew, (void *)i);
	pthread_barrier_wait(&all);
	puts("ready");
	while (!ended)
		usleep(20000);
	puts("end");
	return 0;
}
