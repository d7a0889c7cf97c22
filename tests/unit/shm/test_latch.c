/* What a reader remembers between reads. */
#include "tests/unit/shm/dir.h"

#include "shm/latch.h"

static void
an_interval_is_what_came_since_the_flush(void **state)
{
	struct segment *seg = generation(1);
	struct stat_latch *latch = stat_latch_new();
	struct stat_set *set;

	publish(seg, SCOPE_http, "http.in.");
	sit(seg, 2);
	for (uint64_t v = 1; v <= 3; v++) {
		stat_record(&http_stats_of("http.in.")->downstream_rq_time, v * 1000);
		stat_add(&http_stats_of("http.in.")->downstream_rq_total, v);
		set = read_all();
		stat_latch_flush(latch, set);
		if (v == 2)
			stat_latch_reset(latch, set);
		stat_set_free(&set);
	}
	set = read_all();
	stat_latch_apply(latch, set);
	assert_int_equal(row_of(set, "http.in.downstream_rq_time")->histogram->count, 3);
	assert_int_equal(row_of(set, "http.in.downstream_rq_time")->interval->count, 1);
	assert_int_equal(row_of(set, "http.in.downstream_rq_time")->interval->sum, 3000);
	assert_int_equal(counter(set, "http.in.downstream_rq_total"), 3);
	stat_set_free(&set);
	stat_latch_free(&latch);
	leave_all(&seg);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    IN_DIR(an_interval_is_what_came_since_the_flush),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
