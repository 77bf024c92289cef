/*
 * Fixed work quantum: does the same work again and again and says how long each time took, in nanoseconds, one line
 * each. What takes longer than the shortest was taken from it by something else that ran on the core.
 *
 * fixed-work CORE QUANTA ROUNDS
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* A chain of dependent multiplications: no memory, nothing to run in parallel. */
static uint64_t work(uint64_t value, long rounds)
{
	for (long round = 0; round < rounds; round++)
		value = value * 6364136223846793005u + 1442695040888963407u;
	return value;
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	cpu_set_t cores;
	CPU_ZERO(&cores);
	CPU_SET(atoi(argv[1]), &cores);
	if (sched_setaffinity(0, sizeof cores, &cores) != 0) {
		perror("sched_setaffinity");
		return 1;
	}
	long quanta = atol(argv[2]);
	long rounds = atol(argv[3]);
	uint64_t *took = calloc((size_t)quanta, sizeof *took);
	if (took == NULL)
		return 1;
	volatile uint64_t sink = work(1, rounds);
	for (long quantum = 0; quantum < quanta; quantum++) {
		uint64_t start = now();
		sink = work(sink, rounds);
		took[quantum] = now() - start;
	}
	for (long quantum = 0; quantum < quanta; quantum++)
		printf("%llu\n", (unsigned long long)took[quantum]);
	return 0;
}
