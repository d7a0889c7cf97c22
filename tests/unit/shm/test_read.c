/* Reading: lanes and generations summed, rows left out, one lane alone. */
#include "tests/unit/shm/dir.h"

#include <sys/wait.h>

#include "shm/hosts.h"

static void
lanes_are_summed(void **state)
{
	struct segment *seg = generation(1);
	struct stat_set *set;

	publish(seg, SCOPE_cluster, "cluster.a.");
	for (uint32_t seat = 2; seat < 4; seat++) {
		struct cluster_stats *c;

		sit(seg, seat);
		c = cluster_stats_of("cluster.a.");
		stat_add(&c->upstream_rq_total, seat);
		stat_set(&c->upstream_rq_active, 10);
		stat_set(&c->circuit_breakers_default_rq_open, seat == 3);
		stat_record(&c->upstream_cx_length_ms, seat * 100);
		stat_code(&c->upstream_rq, 200);
		stat_code(&c->upstream_rq, 500 + seat);
	}
	set = read_all();
	assert_int_equal(counter(set, "cluster.a.upstream_rq_total"), 5);
	assert_int_equal(gauge(set, "cluster.a.upstream_rq_active"), 20);
	assert_int_equal(gauge(set, "cluster.a.circuit_breakers.default.rq_open"), 1);
	assert_int_equal(counter(set, "cluster.a.upstream_rq_200"), 2);
	assert_int_equal(counter(set, "cluster.a.upstream_rq_502"), 1);
	assert_int_equal(row_of(set, "cluster.a.upstream_cx_length_ms")->histogram->count, 2);
	assert_int_equal(row_of(set, "cluster.a.upstream_cx_length_ms")->histogram->sum, 500);
	assert_false(row_of(set, "cluster.a.upstream_rq_retry")->used);
	assert_null(stat_set_find(set, STR("cluster.a.upstream_rq_2xx"))); /* lazy, not written */
	assert_int_equal(row_of(set, "cluster.a.upstream_cx_length_ms")->unit, UNIT_MS);
	stat_set_free(&set);
	leave_all(&seg);
}

static void
gauges_of_the_dead_do_not_count_but_counters_do(void **state)
{
	struct segment *seg = generation(1);
	struct stat_set *set;
	int status;
	pid_t pid;

	publish(seg, SCOPE_http, "http.in.");
	sit(seg, 2);
	stat_set(&http_stats_of("http.in.")->downstream_rq_active, 5);
	pid = fork();
	if (pid == 0) {
		struct err err;

		if (lane_take(seg, 3, SEAT_WORKER, 1, &err) < 0)
			_exit(1);
		stat_set(&http_stats_of("http.in.")->downstream_rq_active, 100);
		stat_add(&http_stats_of("http.in.")->downstream_rq_total, 7);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	set = read_all(); /* nobody said that it is gone: its pid says it */
	assert_int_equal(gauge(set, "http.in.downstream_rq_active"), 5);
	assert_int_equal(counter(set, "http.in.downstream_rq_total"), 7);
	assert_int_equal(set->generations.at[0].seats.len, 2);
	assert_true(set->generations.at[0].seats.at[0].alive);
	assert_false(set->generations.at[0].seats.at[1].alive);
	stat_set_free(&set);
	leave_all(&seg);
	set = read_all();
	assert_int_equal(gauge(set, "http.in.downstream_rq_active"), 0);
	assert_false(row_of(set, "http.in.downstream_rq_active")->used);
	stat_set_free(&set);
}

static void
own_gauges_and_texts_come_from_the_serving_generation(void **state)
{
	struct segment *seg[2];
	struct stat_set *set;

	for (int i = 0; i < 2; i++) {
		seg[i] = generation((uint64_t)i + 9); /* g9, g10: by number, not by name */
		publish(seg[i], SCOPE_server, "server.");
		publish(seg[i], SCOPE_http, "http.in.");
		publish(seg[i], SCOPE_baton, "baton.");
		sit(seg[i], 1);
		stat_set(&server_stats_of("server.")->concurrency, i + 1);
		stat_set(&http_stats_of("http.in.")->downstream_cx_active, 3);
		stat_text_set(
		    &((struct baton_texts *)block_shared(SCOPE_baton, STR("baton.")))->version_text,
		    i ? STR("new") : STR("old"));
	}
	seg[0]->h->generation = 9;
	segment_use(seg[0]);
	shm_flags()->draining = 1;
	set = read_all();
	assert_int_equal(gauge(set, "server.concurrency"), 2);
	assert_int_equal(gauge(set, "http.in.downstream_cx_active"), 6);
	assert_true(str_eqz(row_of(set, "baton.version_text")->text, "new"));
	assert_true(set->generations.at[1].serving);
	assert_false(set->generations.at[0].serving);
	stat_set_free(&set);
	leave_all(&seg[0]);
	leave_all(&seg[1]);
}

static void
a_generation_that_is_just_being_made_is_left_out(void **state)
{
	struct segment *seg = generation(1);
	struct stat_set *set;

	publish(seg, SCOPE_http, "http.in.");
	assert_int_equal(mkdirat(base_fd, "g2", 0700), 0);
	close(openat(base_fd, "g2/segment", O_WRONLY | O_CREAT, 0600));
	set = read_all();
	assert_int_equal(set->generations.len, 1);
	stat_set_free(&set);
	segment_free(&seg);
}

static bool
only_total(void *ctx, struct str name)
{
	return str_ends(name, STR("rq_total"));
}

static bool
no_cx(void *ctx, struct str name)
{
	return !str_contains(name, STR("_cx_"));
}

static void
a_filter_that_comes_late_hides_what_is_there(void **state)
{
	struct segment *seg = generation(1);
	struct stat_set *set;

	publish(seg, SCOPE_cluster, "cluster.a.");
	block_set_filter(no_cx, NULL);
	block_filter_all(seg);
	sit(seg, 2);
	stat_inc(&cluster_stats_of("cluster.a.")->upstream_cx_total);
	set = read_all();
	assert_null(stat_set_find(set, STR("cluster.a.upstream_cx_total")));
	assert_non_null(stat_set_find(set, STR("cluster.a.upstream_rq_total")));
	stat_set_free(&set);
	block_set_filter(NULL, NULL);
	block_filter_all(seg);
	set = read_all();
	assert_non_null(stat_set_find(set, STR("cluster.a.upstream_cx_total")));
	stat_set_free(&set);
	leave_all(&seg);
}

static void
queries_and_filters_leave_rows_out(void **state)
{
	struct stat_query q = {.match = only_total};
	struct segment *seg = generation(1);
	struct stat_set *set;
	struct err err;

	block_set_filter(no_cx, NULL);
	publish(seg, SCOPE_cluster, "cluster.a.");
	block_set_filter(NULL, NULL);
	publish(seg, SCOPE_host, "a|10.0.0.1:80|");
	sit(seg, 2);
	stat_inc(&host_stats_of("a|10.0.0.1:80|")->rq_total);
	stat_inc(&cluster_stats_of("cluster.a.")->upstream_cx_total);
	host_cell_set(block_shared(SCOPE_host, STR("a|10.0.0.1:80|")), HOST_OPERATOR_FAIL, true);
	assert_int_equal(stat_read(&set, base, &q, &err), 0);
	assert_int_equal(set->rows.len, 1);
	stat_set_free(&set);
	set = read_all();
	assert_null(stat_set_find(set, STR("cluster.a.upstream_cx_total")));
	assert_null(stat_set_find(set, STR("a|10.0.0.1:80|rq_total")));
	assert_non_null(stat_set_find(set, STR("cluster.a.upstream_rq_total")));
	stat_set_free(&set);

	q = (struct stat_query){.hosts = true};
	assert_int_equal(stat_read(&set, base, &q, &err), 0);
	assert_int_equal(set->hosts.len, 1);
	assert_true(str_eqz(set->hosts.at[0].cluster, "a"));
	assert_true(str_eqz(set->hosts.at[0].address, "10.0.0.1:80"));
	assert_int_equal(set->hosts.at[0].flags, HOST_OPERATOR_FAIL);
	assert_int_equal(counter(set, "a|10.0.0.1:80|rq_total"), 1);
	assert_null(stat_set_find(set, STR("cluster.a.upstream_rq_total")));
	stat_set_free(&set);
	leave_all(&seg);
}

static void
one_lane_can_be_read_alone(void **state)
{
	struct stat_query q = {
	    .one_generation = true, .generation = 4, .one_seat = true, .seat = 3};
	struct segment *seg = generation(4);
	struct stat_set *set;
	struct err err;

	publish(seg, SCOPE_http, "http.in.");
	for (uint32_t seat = 2; seat < 5; seat++) {
		sit(seg, seat);
		stat_add(&http_stats_of("http.in.")->downstream_rq_total, seat);
	}
	assert_int_equal(stat_read(&set, base, &q, &err), 0);
	assert_int_equal(counter(set, "http.in.downstream_rq_total"), 3);
	stat_set_free(&set);
	leave_all(&seg);
}

static void
where_nothing_ran_the_error_says_so(void **state)
{
	struct stat_query q = {0};
	struct stat_set *set;
	struct err err;

	assert_int_equal(stat_read(&set, "/nonexistent/0", &q, &err), -1);
	assert_non_null(strstr(err.text, "no baton ran here"));
	assert_int_equal(stat_read(&set, base, &q, &err), -1);
	assert_non_null(strstr(err.text, "no baton ran here"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    IN_DIR(lanes_are_summed),
	    IN_DIR(gauges_of_the_dead_do_not_count_but_counters_do),
	    IN_DIR(own_gauges_and_texts_come_from_the_serving_generation),
	    IN_DIR(a_generation_that_is_just_being_made_is_left_out),
	    IN_DIR(a_filter_that_comes_late_hides_what_is_there),
	    IN_DIR(queries_and_filters_leave_rows_out),
	    IN_DIR(one_lane_can_be_read_alone),
	    IN_DIR(where_nothing_ran_the_error_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
