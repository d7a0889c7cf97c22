/* The ring of failed requests, written by many. */
#include "tests/unit/shm/dir.h"

#include <sys/wait.h>

#include "shm/failures.h"

static void
the_ring_keeps_the_last_failures_of_all_processes(void **state)
{
	struct stat_query q = {.failures = true};
	struct segment *seg = generation(1);
	struct stat_set *set;
	struct err err;
	pid_t pid[2];
	int status;

	for (uint64_t k = 0; k < 2; k++) {
		pid[k] = fork();
		if (pid[k] == 0) {
			segment_use(seg);
			for (uint64_t i = 0; i < 700; i++)
				failure_note(&(struct failure){.wall_ns = i + 1,
				    .status = 503,
				    .flags = STR("UF"),
				    .cluster = k ? STR("b") : STR("a"),
				    .details = STR("upstream_reset")});
			_exit(0);
		}
	}
	waitpid(pid[0], &status, 0);
	waitpid(pid[1], &status, 0);
	assert_int_equal(stat_read(&set, base, &q, &err), 0);
	assert_int_equal(set->failures.len, FAILURE_SLOTS);
	assert_true(set->failures.at[0].wall_ns == 700);
	assert_true(str_eqz(set->failures.at[0].details, "upstream_reset"));
	assert_int_equal(seg->h->failures_next, 1400);
	stat_set_free(&set);
	segment_free(&seg);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    IN_DIR(the_ring_keeps_the_last_failures_of_all_processes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
