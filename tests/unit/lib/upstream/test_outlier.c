/* Outlier detection in a worker: what counts, and when the reporter is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shm/lane.h"
#include "tests/unit/lib/upstream/cluster_yaml.h"

struct heard {
	unsigned times[OUTLIER_STREAKS];
};

static void
report(void *arg, struct host *h, enum outlier_streak s)
{
	((struct heard *)arg)->times[s]++;
}

static struct heard heard;

static int
setup(void **state)
{
	lane_private();
	*state = loop_new();
	heard = (struct heard){0};
	outlier_set_reporter(report, &heard);
	return 0;
}

static int
teardown(void **state)
{
	struct loop *l = *state;

	outlier_set_reporter(NULL, NULL);
	loop_free(&l);
	return 0;
}

static struct cluster *
cluster_with(struct loop *l, const char *fields)
{
	struct strb text = {0};
	struct cluster *c;

	strb_printf(&text, "%s\nload_assignment:\n  cluster_name: api\n  endpoints:\n", fields);
	add_hosts(&text, 1, NULL, 0);
	c = cluster_from_yaml(l, strb_z(&text));
	strb_fini(&text);
	return c;
}

static void
failures_in_a_row_are_told_once(void **state)
{
	struct cluster *c = cluster_with(*state, "outlier_detection: {consecutive_5xx: 3}");
	struct host *h = c->hosts[0];

	outlier_note_status(h, 500);
	outlier_note_status(h, 500);
	outlier_note_status(h, 200); /* begins anew */
	outlier_note_status(h, 500);
	outlier_note_status(h, 503);
	assert_int_equal(heard.times[OUTLIER_5XX], 0);
	outlier_note_status(h, 500);
	assert_int_equal(heard.times[OUTLIER_5XX], 1);
	outlier_note_status(h, 500);
	assert_int_equal(heard.times[OUTLIER_5XX], 1);
	cluster_end(*state, &c);
}

static void
gateway_errors_count_apart_and_any_other_answer_ends_them(void **state)
{
	struct cluster *c = cluster_with(
	    *state, "outlier_detection: {consecutive_5xx: 9, consecutive_gateway_failure: 3}");
	struct host *h = c->hosts[0];

	outlier_note_status(h, 502);
	outlier_note_status(h, 503);
	outlier_note_status(h, 500);
	outlier_note_status(h, 504);
	outlier_note_status(h, 502);
	assert_int_equal(heard.times[OUTLIER_GATEWAY], 0);
	outlier_note_status(h, 503);
	assert_int_equal(heard.times[OUTLIER_GATEWAY], 1);
	assert_int_equal(heard.times[OUTLIER_5XX], 0);
	cluster_end(*state, &c);
}

static void
local_failures_are_answers_unless_they_are_split(void **state)
{
	struct cluster *c = cluster_with(
	    *state, "outlier_detection: {consecutive_5xx: 2, consecutive_gateway_failure: 2}");
	struct host *h = c->hosts[0];

	outlier_note_local(h, OUTLIER_FAILED);
	outlier_note_local(h, OUTLIER_CONNECTED); /* says nothing */
	outlier_note_local(h, OUTLIER_TIMED_OUT);
	assert_int_equal(heard.times[OUTLIER_5XX], 1);
	assert_int_equal(heard.times[OUTLIER_GATEWAY], 1);
	cluster_end(*state, &c);

	heard = (struct heard){0};
	c = cluster_with(*state,
	    "outlier_detection: {consecutive_5xx: 2, consecutive_local_origin_failure: 2, "
	    "split_external_local_origin_errors: true}");
	h = c->hosts[0];
	outlier_note_local(h, OUTLIER_FAILED);
	outlier_note_local(h, OUTLIER_CONNECTED); /* ends the row */
	outlier_note_local(h, OUTLIER_FAILED);
	assert_int_equal(heard.times[OUTLIER_LOCAL], 0);
	outlier_note_local(h, OUTLIER_TIMED_OUT);
	assert_int_equal(heard.times[OUTLIER_LOCAL], 1);
	assert_int_equal(heard.times[OUTLIER_5XX], 0);
	cluster_end(*state, &c);
}

static void
without_outlier_detection_nothing_is_counted(void **state)
{
	struct cluster *c = cluster_with(*state, "");
	struct host *h = c->hosts[0];

	for (unsigned i = 0; i < 20; i++)
		outlier_note_status(h, 503);
	assert_int_equal(h->cell->consecutive_5xx, 0);
	assert_int_equal(heard.times[OUTLIER_5XX], 0);
	cluster_end(*state, &c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(failures_in_a_row_are_told_once, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		gateway_errors_count_apart_and_any_other_answer_ends_them, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		local_failures_are_answers_unless_they_are_split, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		without_outlier_detection_nothing_is_counted, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
