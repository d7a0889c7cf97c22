/* Folding: what the dead counted is in the totals once, whoever is killed at whatever step. */
#include "tests/unit/shm/dir.h"

#include <sys/wait.h>

#include "shm/fold.h"

static void
count_in(uint64_t n, uint64_t by)
{
	struct segment *seg = generation(n);

	publish(seg, SCOPE_http, "http.in %1.");
	publish(seg, SCOPE_host, "a|h|");
	sit(seg, 2);
	stat_add(&http_stats_of("http.in %1.")->downstream_rq_total, by);
	stat_set(&http_stats_of("http.in %1.")->downstream_rq_active, 3);
	stat_record(&http_stats_of("http.in %1.")->downstream_rq_time, by);
	stat_add(&host_stats_of("a|h|")->rq_total, by);
	leave_all(&seg);
}

static void
assert_total(uint64_t want)
{
	struct stat_query hosts = {.hosts = true};
	struct stat_set *set = read_all();
	struct err err;

	assert_int_equal(counter(set, "http.in %1.downstream_rq_total"), want);
	assert_int_equal(row_of(set, "http.in %1.downstream_rq_time")->histogram->sum, want);
	stat_set_free(&set);
	assert_int_equal(stat_read(&set, base, &hosts, &err), 0);
	assert_int_equal(counter(set, "a|h|rq_total"), want);
	stat_set_free(&set);
}

static void
folding_keeps_every_number(void **state)
{
	struct err err;

	for (uint64_t n = 1; n <= 3; n++) {
		count_in(n, 10 * n);
		assert_total(5 * n * (n + 1));
		assert_int_equal(totals_fold(base_fd, n, &err), 0);
		assert_total(5 * n * (n + 1));
		assert_int_equal(totals_fold(base_fd, n, &err), -1);
	}
}

static void
killed_before_the_rename_nothing_has_happened(void **state)
{
	struct err err;
	int fd;

	count_in(1, 10);
	assert_int_equal(totals_fold(base_fd, 1, &err), 0);
	count_in(2, 5);
	fd = openat(base_fd, "totals.new", O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "baton totals 1\nfolded 00", 24), 24);
	close(fd);
	assert_total(15);
	assert_int_equal(totals_fold(base_fd, 2, &err), 0);
	assert_total(15);
}

static void
killed_after_the_rename_the_segment_is_not_counted_again(void **state)
{
	struct err err;

	count_in(1, 10);
	assert_int_equal(linkat(base_fd, "g1/segment", base_fd, "kept", 0), 0);
	assert_int_equal(totals_fold(base_fd, 1, &err), 0);
	assert_int_equal(renameat(base_fd, "kept", base_fd, "g1/segment"), 0);
	assert_total(10);
	count_in(2, 5);
	assert_int_equal(totals_fold(base_fd, 2, &err), 0);
	assert_total(15); /* g1 is listed still: its file is there */
	assert_int_equal(totals_fold(base_fd, 1, &err), 0);
	assert_total(15);
	assert_int_equal(faccessat(base_fd, "g1/segment", F_OK, 0), -1);
}

/* Readers between any two steps; and every one of them may be the last that was done. */
static void
folding_is_exact_at_each_step(void **state)
{
	struct err err;

	count_in(1, 10);
	assert_int_equal(totals_fold(base_fd, 1, &err), 0);
	count_in(2, 5);
	for (unsigned killed_at = 0;; killed_at++) {
		struct folding *f = folding_new(base_fd, 2, &err);
		unsigned steps = 0;
		int more = 1;

		assert_non_null(f);
		while (steps < killed_at && (more = folding_step(f, &err)) > 0) {
			assert_total(15);
			steps++;
		}
		folding_free(&f);
		assert_total(15);
		if (more <= 0) {
			assert_int_equal(more, 0);
			break;
		}
	}
}

static void
two_never_fold_at_the_same_time(void **state)
{
	struct err err;
	struct folding *f;
	int status;
	pid_t pid;

	count_in(1, 10);
	count_in(2, 5);
	f = folding_new(base_fd, 1, &err);
	assert_non_null(f);
	pid = fork();
	if (pid == 0)
		_exit(totals_fold(base_fd, 2, &err) == 0 || !strstr(err.text, "somebody else"));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	while (folding_step(f, &err) > 0)
		;
	folding_free(&f);
	assert_int_equal(totals_fold(base_fd, 2, &err), 0);
	assert_total(15);
}

static void
a_living_process_forbids_folding(void **state)
{
	struct segment *seg = generation(1);
	struct err err;

	sit(seg, 1);
	assert_int_equal(totals_fold(base_fd, 1, &err), -1);
	assert_non_null(strstr(err.text, "still lives"));
	leave_all(&seg);
	assert_int_equal(totals_fold(base_fd, 1, &err), 0);
}

static void
a_segment_elsewhere_is_followed_and_removed(void **state)
{
	struct err err;
	char target[128];

	count_in(1, 10);
	assert_int_equal(renameat(base_fd, "g1/segment", base_fd, "elsewhere"), 0);
	snprintf(target, sizeof(target), "%s/elsewhere", base);
	assert_int_equal(symlinkat(target, base_fd, "g1/segment"), 0);
	assert_total(10);
	assert_int_equal(totals_fold(base_fd, 1, &err), 0);
	assert_total(10);
	assert_int_equal(faccessat(base_fd, "elsewhere", F_OK, 0), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    IN_DIR(folding_keeps_every_number),
	    IN_DIR(killed_before_the_rename_nothing_has_happened),
	    IN_DIR(killed_after_the_rename_the_segment_is_not_counted_again),
	    IN_DIR(folding_is_exact_at_each_step),
	    IN_DIR(two_never_fold_at_the_same_time),
	    IN_DIR(a_living_process_forbids_folding),
	    IN_DIR(a_segment_elsewhere_is_followed_and_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
