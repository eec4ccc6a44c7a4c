// SPDX-License-Identifier: GPL-2.0
/*
 * A program to be dumped that is linked in several ways and with two C
 * libraries, so it shares no code with the tests.  It talks to thread.c as a
 * target does (see img_util.h).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FD_CTL	3

static int failures;
static volatile int handled;
static __thread int tls = 5;
static __thread int tls_zero;

#define CHECK(cond) do {						\
	if (!(cond)) {							\
		char buf[256];						\
									\
		snprintf(buf, sizeof(buf), "Fprog.c:%d: %s, errno %d",	\
			 __LINE__, #cond, errno);			\
		send(FD_CTL, buf, strlen(buf), MSG_NOSIGNAL);		\
		failures++;						\
	}								\
} while (0)

static void handler(int sig)
{
	handled++;
}

static void *thread(void *arg)
{
	tls = 77;
	return tls_zero ? NULL : (char *)arg + 1;
}

/*
 * Threads that are there when the program is dumped.
 */
#define WORKERS	3

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_t workers[WORKERS];
static volatile int kicked[WORKERS], ready, go;

static void *worker(void *arg)
{
	int me = (int *)arg - (int *)kicked;

	tls = 100 + me;
	pthread_mutex_lock(&lock);
	ready++;
	pthread_cond_broadcast(&cond);
	while (!go)
		pthread_cond_wait(&cond, &lock);
	pthread_mutex_unlock(&lock);
	while (!kicked[me])
		usleep(1000);
	return tls == 100 + me ? arg : NULL;
}

static void kick(int sig)
{
	kicked[tls - 100] = 1;
}

static void start_workers(void)
{
	int i;

	signal(SIGUSR2, kick);
	for (i = 0; i < WORKERS; i++)
		CHECK(pthread_create(&workers[i], NULL, worker, (int *)&kicked[i]) == 0);
	pthread_mutex_lock(&lock);
	while (ready < WORKERS)
		pthread_cond_wait(&cond, &lock);
	pthread_mutex_unlock(&lock);
}

/* Each is found by its new ID: it is woken, gets its signal, and is joined. */
static void check_workers(void)
{
	void *ret;
	int i;

	pthread_mutex_lock(&lock);
	go = 1;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&lock);
	for (i = 0; i < WORKERS; i++)
		CHECK(pthread_kill(workers[i], SIGUSR2) == 0);
	for (i = 0; i < WORKERS; i++) {
		CHECK(pthread_join(workers[i], &ret) == 0);
		CHECK(ret == &kicked[i]);
	}
}

int main(int argc, char **argv)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	volatile double x = 2.0;
	int i, status, n;
	char *heap[100];
	pthread_t t;
	char buf[64];
	void *p;
	pid_t pid;

	for (i = 0; i < 100; i++) {
		heap[i] = malloc(1000 * (i + 1));
		memset(heap[i], i, 1000 * (i + 1));
	}
	tls = 6;
	signal(SIGUSR1, handler);
	start_workers();
	snprintf(buf, sizeof(buf), "%s", "formatted");
	send(FD_CTL, "R", 1, MSG_NOSIGNAL);
	n = recv(FD_CTL, buf + 32, 1, 0);
	CHECK(n == 1);

	CHECK(!strcmp(buf, "formatted"));
	CHECK(tls == 6 && tls_zero == 0);
	CHECK(x * x == 4.0);
	for (i = 0; i < 100; i++) {
		CHECK(heap[i][0] == i && heap[i][1000 * (i + 1) - 1] == i);
		free(heap[i]);
	}
	CHECK(getpid() == syscall(SYS_getpid));
	CHECK(syscall(SYS_getpid) == syscall(SYS_gettid));
	/* The C library's own copy of the thread's ID is used for these. */
	CHECK(raise(SIGUSR1) == 0);
	CHECK(pthread_kill(pthread_self(), SIGUSR1) == 0);
	CHECK(handled == 2);
	check_workers();
	CHECK(pthread_mutex_lock(&mutex) == 0);
	CHECK(pthread_mutex_unlock(&mutex) == 0);
	/* Threads are made and end: the library's lists and locks are whole. */
	for (i = 0; i < 3; i++) {
		CHECK(pthread_create(&t, NULL, thread, &i) == 0);
		CHECK(pthread_join(t, &p) == 0);
		CHECK(p == (char *)&i + 1);
	}
	CHECK(tls == 6);
	pid = fork();
	if (!pid)
		_exit(getpid() == syscall(SYS_gettid) && tls == 6 ? 9 : 1);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 9);
	CHECK(system("exit 3") == 3 << 8);
	return failures ? 1 : 0;
}
