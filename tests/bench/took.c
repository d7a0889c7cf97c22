/*
 * How long a command takes, from exec to exit: `took N COMMAND…` runs it N
 * times, its output to /dev/null, and prints the median in microseconds
 * and how many page faults the last one had.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static double
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Negative when it could not be run, or failed. */
static double
run(char **command, struct rusage *used)
{
	posix_spawn_file_actions_t quiet;
	double from = now_us();
	int status = 1;
	pid_t pid;

	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
	if (posix_spawnp(&pid, command[0], &quiet, NULL, command, environ) == 0)
		wait4(pid, &status, 0, used);
	posix_spawn_file_actions_destroy(&quiet);
	return status == 0 ? now_us() - from : -1;
}

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
	size_t n = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
	double *us = calloc(n + 1, sizeof(*us));
	struct rusage used;

	if (n == 0 || us == NULL) {
		fputs("usage: took N COMMAND…\n", stderr);
		return 2;
	}
	for (size_t i = 0; i < n; i++) {
		us[i] = run(argv + 2, &used);
		if (us[i] < 0) {
			fprintf(stderr, "took: %s failed\n", argv[2]);
			return 1;
		}
	}
	qsort(us, n, sizeof(*us), by_size);
	printf("%.0f us (median of %zu), %ld page faults\n", us[n / 2], n, used.ru_minflt);
	free(us);
	return 0;
}
