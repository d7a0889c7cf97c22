/*
 * Writing: segments, seats, blocks, extensions.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/assert.h"
#include "shm/block.h"
#include "shm/flags.h"
#include "shm/histogram.h"
#include "shm/hosts.h"
#include "shm/lane.h"
#include "shm/lane_private.h"
#include "shm/limits.h"
#include "shm/schema.h"

static const struct segment_params params = {
    .concurrency = 2,
    .lane_bytes = 4u << 20,
    .dir_bytes = 1u << 20,
    .shared_bytes = 1u << 20,
};

static struct segment *
new_segment(void)
{
	struct segment *seg;
	struct err err;

	assert_int_equal(segment_create_private(&seg, &params, &err), 0);
	return seg;
}

static void
take(struct segment *seg, uint32_t seat)
{
	struct err err;

	assert_int_equal(
	    lane_take(seg, seat, seat < 2 ? (enum seat_role)(seat + 1) : SEAT_WORKER, seat, &err),
	    0);
}

static void
publish(struct segment *seg, enum stat_scope scope, const char *prefix)
{
	struct err err;

	assert_int_equal(block_publish(seg, scope, str_of(prefix), &err), 0);
}

static void
a_segment_has_a_seat_for_each_process_twice(void **state)
{
	struct segment *seg = new_segment();

	assert_int_equal(seg->h->seats, 6);
	assert_int_equal(seg->h->lanes_off % SEG_PAGE, 0);
	assert_int_equal(seg->h->lane_bytes % SEG_PAGE, 0);
	assert_true(seg->h->id != 0);
	segment_free(&seg);
	assert_null(seg);
}

static void
a_process_of_the_same_binary_maps_what_another_made(void **state)
{
	struct segment *seg = new_segment(), *again;
	struct err err;

	publish(seg, SCOPE_cluster, "cluster.a.");
	assert_int_equal(segment_map(&again, dup(seg->fd), &err), 0);
	take(again, 2);
	stat_inc(&cluster_stats_of("cluster.a.")->upstream_rq_total);
	assert_int_equal(own_lane.seg->h->id, seg->h->id);
	segment_free(&again);
	segment_free(&seg);
}

static void
a_file_that_is_no_segment_of_ours_is_refused(void **state)
{
	struct segment *seg = new_segment(), *again;
	struct err err;
	int fd = dup(seg->fd);

	seg->h->schema_hash++;
	assert_int_equal(segment_map(&again, fd, &err), -1);
	assert_non_null(strstr(err.text, "another version"));
	seg->h->schema_hash--;
	assert_int_equal(ftruncate(seg->fd, (off_t)seg->bytes - 1), 0);
	assert_int_equal(segment_map(&again, dup(seg->fd), &err), -1);
	assert_non_null(strstr(err.text, "truncated"));
	segment_free(&seg);
}

static void
a_block_stands_at_one_place_and_is_published_once(void **state)
{
	struct segment *seg = new_segment();
	struct cluster_stats *a;

	take(seg, 1);
	publish(seg, SCOPE_cluster, "cluster.a.");
	a = cluster_stats_of("cluster.a.");
	assert_true(lane_holds(a));
	publish(seg, SCOPE_cluster, "cluster.a.");
	publish(seg, SCOPE_cluster, "cluster.b.");
	assert_ptr_equal(cluster_stats_of("cluster.a."), a);
	assert_ptr_not_equal(cluster_stats_of("cluster.b."), a);
	assert_ptr_not_equal(block_stats(SCOPE_http, STR("cluster.a.")), a);
	segment_free(&seg);
}

static void
a_block_that_is_not_published_is_scratch_nobody_reads(void **state)
{
	struct segment *seg = new_segment();
	struct cluster_stats *s;

	take(seg, 2);
	s = cluster_stats_of("cluster.none.");
	assert_non_null(s);
	assert_false(lane_holds(s));
	stat_inc(&s->upstream_rq_total);
	stat_record(&s->upstream_cx_length_ms, 5);
	stat_code(&s->upstream_rq, 200);
	assert_int_equal(own_lane.head->ext_next, own_lane.bytes / 2);
	segment_free(&seg);
}

static void
counters_continue_and_gauges_begin_anew_with_the_next_owner(void **state)
{
	struct segment *seg = new_segment();
	struct http_stats *h;

	publish(seg, SCOPE_http, "http.in.");
	take(seg, 3);
	h = http_stats_of("http.in.");
	stat_add(&h->downstream_rq_total, 7);
	stat_set(&h->downstream_rq_active, 4);
	stat_record(&h->downstream_rq_time, 120);
	seat_release(seg, 3);
	take(seg, 3);
	h = http_stats_of("http.in.");
	assert_int_equal(h->downstream_rq_total.raw, 7);
	assert_int_equal(h->downstream_rq_active.raw, 0);
	assert_true(h->downstream_rq_time.ext != 0);
	assert_int_equal(segment_seat(seg, 3)->owners, 2);
	segment_free(&seg);
}

static void
a_seat_of_a_living_process_is_not_given_away(void **state)
{
	struct segment *seg = new_segment();
	struct err err;
	int status, go[2];
	pid_t pid;

	assert_int_equal(pipe(go), 0);
	pid = fork();
	if (pid == 0) {
		char c;

		close(go[1]);
		lane_take(seg, 2, SEAT_WORKER, 0, &err);
		_exit((int)read(go[0], &c, 1));
	}
	while (__atomic_load_n(&segment_seat(seg, 2)->state, __ATOMIC_ACQUIRE) != SEAT_TAKEN)
		usleep(1000);
	assert_true(seat_is_alive(segment_seat(seg, 2)));
	assert_int_equal(lane_take(seg, 2, SEAT_WORKER, 0, &err), -1);
	assert_int_equal(seat_find(seg, SEAT_WORKER, 0), 3);
	close(go[1]);
	waitpid(pid, &status, 0);
	assert_false(seat_is_alive(segment_seat(seg, 2)));
	seat_release(seg, 2);
	assert_int_equal(seat_find(seg, SEAT_WORKER, 0), 2);
	assert_int_equal(seat_find(seg, SEAT_WORKER, 9), 2);
	assert_int_equal(lane_take(seg, 2, SEAT_WORKER, 0, &err), 0);
	close(go[0]);
	segment_free(&seg);
}

static void
a_worker_that_comes_later_finds_memory_for_old_blocks(void **state)
{
	struct segment *seg = new_segment();

	take(seg, 1);
	for (int i = 0; i < 100; i++) {
		char name[32];

		snprintf(name, sizeof(name), "cluster.c%d.", i);
		publish(seg, SCOPE_cluster, name);
	}
	take(seg, 2);
	stat_inc(&cluster_stats_of("cluster.c99.")->upstream_rq_total);
	publish(seg, SCOPE_cluster, "cluster.later.");
	stat_inc(&cluster_stats_of("cluster.later.")->upstream_rq_total);
	segment_free(&seg);
}

static void
others_are_summed_only_while_they_live(void **state)
{
	struct segment *seg = new_segment();
	struct limit_others cache = {0};
	struct cluster_stats *c;

	publish(seg, SCOPE_cluster, "cluster.a.");
	for (uint32_t seat = 2; seat < 5; seat++) {
		take(seg, seat);
		stat_set(&cluster_stats_of("cluster.a.")->upstream_rq_active, (int64_t)seat);
	}
	take(seg, 5);
	c = cluster_stats_of("cluster.a.");
	stat_set(&c->upstream_rq_active, 100);
	assert_int_equal(stat_gauge_others(&c->upstream_rq_active), 9);
	seat_release(seg, 4);
	assert_int_equal(stat_gauge_others(&c->upstream_rq_active), 5);
	assert_int_equal(limit_in_use(&cache, &c->upstream_rq_active, 1024, 1), 105);
	seat_release(seg, 3);
	assert_int_equal(limit_in_use(&cache, &c->upstream_rq_active, 1024, 2), 105);
	assert_int_equal(limit_in_use(&cache, &c->upstream_rq_active, 200, 3), 102);
	seat_release(seg, 2);
	assert_int_equal(limit_in_use(&cache, &c->upstream_rq_active, 1024, 4 + LIMIT_AGE_NS), 100);
	segment_free(&seg);
}

static void
a_retired_block_is_reused_after_all_let_go(void **state)
{
	struct segment *seg = new_segment();
	struct cluster_stats *old, *c;

	publish(seg, SCOPE_cluster, "cluster.old.");
	take(seg, 2);
	old = cluster_stats_of("cluster.old.");
	stat_inc(&old->upstream_rq_total);
	stat_record(&old->upstream_cx_length_ms, 12345);
	stat_code(&old->upstream_rq, 503);
	block_retire(seg, SCOPE_cluster, STR("cluster.old."));
	assert_false(lane_holds(cluster_stats_of("cluster.old.")));
	publish(seg, SCOPE_cluster, "cluster.early.");
	assert_ptr_not_equal(cluster_stats_of("cluster.early."), old);
	lane_let_go(lane_retired());
	seg->retired_known = false; /* as a new admin */
	seg->retired[SCOPE_cluster].len = 0;
	publish(seg, SCOPE_cluster, "cluster.new.");
	c = cluster_stats_of("cluster.new.");
	assert_ptr_equal(c, old);
	assert_int_equal(c->upstream_rq_total.raw, 0);
	assert_int_equal(((struct seg_histogram *)lane_extension(
			      c->upstream_cx_length_ms.ext, sizeof(struct seg_histogram)))
			     ->sum,
	    0);
	assert_int_equal(*(uint64_t *)lane_extension(c->upstream_rq.ext[5], 800), 0);
	segment_free(&seg);
}

static int
no_space(int fd, int mode, off_t off, off_t len)
{
	errno = ENOSPC;
	return -1;
}

static void
a_full_tmpfs_refuses_the_block_and_drops_the_value(void **state)
{
	int (*kept)(int, int, off_t, off_t) = segment_fallocate;
	struct segment *seg = new_segment(), *none;
	struct http_stats *h;
	struct err err;
	char name[32];
	int rc = 0;

	take(seg, 1);
	publish(seg, SCOPE_http, "http.in.");
	publish(seg, SCOPE_baton, "baton.");
	h = http_stats_of("http.in.");
	segment_fallocate = no_space;
	for (unsigned i = 0; rc == 0 && i < 100; i++) { /* the last pages have room for some */
		snprintf(name, sizeof(name), "http.b%u.", i);
		rc = block_publish(seg, SCOPE_http, str_of(name), &err);
	}
	assert_int_equal(rc, -1);
	assert_non_null(strstr(err.text, name));
	assert_int_equal(block_publish(seg, SCOPE_http, str_of(name), &err), -1);
	stat_record(&h->downstream_rq_time, 5);
	assert_int_equal(baton_stats_of("baton.")->stats_dropped.raw, 1);
	assert_int_equal(lane_take(seg, 2, SEAT_WORKER, 0, &err), -1);
	assert_int_equal(segment_create_private(&none, &params, &err), -1);
	segment_fallocate = kept;
	publish(seg, SCOPE_http, name);
	stat_record(&h->downstream_rq_time, 5);
	assert_int_equal(baton_stats_of("baton.")->stats_dropped.raw, 1);
	segment_free(&seg);
}

static void
a_full_segment_refuses_the_block(void **state)
{
	static const struct segment_params tiny = {
	    .concurrency = 1, .lane_bytes = 32768, .dir_bytes = 8192, .shared_bytes = 4096};
	struct segment *seg;
	struct err err;
	char name[32];
	int i, rc = 0;

	assert_int_equal(segment_create_private(&seg, &tiny, &err), 0);
	for (i = 0; i < 1000 && rc == 0; i++) {
		snprintf(name, sizeof(name), "cluster.c%d.", i);
		rc = block_publish(seg, SCOPE_cluster, str_of(name), &err);
	}
	assert_int_equal(rc, -1);
	assert_non_null(strstr(err.text, "segment is full"));
	segment_free(&seg);
}

/* As many as it says, and the next one finds no place. */
static void
room_is_known_before_the_first_block_is_made(void **state)
{
	static const enum stat_scope scopes[] = {SCOPE_host, SCOPE_host_outcome};
	struct segment_params tiny = {
	    .concurrency = 1, .dir_bytes = 65536, .shared_bytes = 16384, .lane_bytes = 262144};
	struct segment *seg;
	uint64_t room = 1;
	struct err err;

	assert_int_equal(segment_create_private(&seg, &tiny, &err), 0);
	while (block_room_for(seg, scopes, 2, 20, room + 1))
		room++;
	assert_in_range(room, 50, 1000);
	for (uint64_t i = 0; i < room; i++) {
		char name[32];

		snprintf(name, sizeof(name), "c|10.0.0.1:%05u|", (unsigned)i);
		assert_int_equal(block_publish(seg, SCOPE_host, str_of(name), &err), 0);
		assert_int_equal(block_publish(seg, SCOPE_host_outcome, str_of(name), &err), 0);
	}
	assert_false(block_room_for(seg, scopes, 2, 20, 1));
	assert_true(block_room_for(seg, scopes, 2, 20, 0));
	block_retire(seg, SCOPE_host, STR("c|10.0.0.1:00000|"));
	assert_true(block_room_for(seg, scopes, 2, 20, 1));
	segment_free(&seg);
}

static void
a_private_lane_makes_blocks_on_demand(void **state)
{
	lane_private();
	stat_inc(&server_stats_of("server.")->wip_protos);
	assert_int_equal(server_stats_of("server.")->wip_protos.raw, 1);
	lane_private();
	assert_int_equal(server_stats_of("server.")->wip_protos.raw, 0);
	lane_beat();
	assert_int_equal(lane_beat_of(own_lane.seg, 1), 1);
}

static void
flags_and_verdicts_are_seen_by_every_process(void **state)
{
	struct segment *seg = new_segment();
	struct strb text = {0}, prefix = {0};
	struct host_cell *cell;
	pid_t pid;
	int status;

	host_prefix(&prefix, STR("api"), STR("10.0.0.1:80"));
	publish(seg, SCOPE_host, strb_z(&prefix));
	take(seg, 1);
	pid = fork();
	if (pid == 0) {
		struct err err;

		if (lane_take(seg, 2, SEAT_WORKER, 0, &err) < 0)
			_exit(1);
		shm_set_health_failed(true);
		host_cell_set(
		    block_shared(SCOPE_host, strb_str(&prefix)), HOST_OPERATOR_DRAIN, true);
		host_cell_set(
		    block_shared(SCOPE_host, strb_str(&prefix)), HOST_FAILED_ACTIVE_HC, true);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	assert_true(flag_get(&shm_flags()->health_failed));
	cell = block_shared(SCOPE_host, strb_str(&prefix));
	host_flags_print(&text, host_cell_flags(cell));
	assert_string_equal(strb_z(&text), "/failed_active_hc/operator_drain");
	strb_fini(&text);
	strb_fini(&prefix);
	segment_free(&seg);
}

static void
every_value_finds_its_bin(void **state)
{
	static const uint64_t values[] = {0, 1, 9, 10, 11, 99, 100, 101, 109, 110, 999, 1000, 9999,
	    10000, 123456789, 999999999999999999ull, 1000000000000000000ull, 9999999999999999999ull,
	    10000000000000000000ull, UINT64_MAX};

	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		uint64_t v = values[i];
		unsigned d = v < 10 ? 0 : bin_digits(v);
		uint16_t id = v < 10 ? bin_small((unsigned)v) : bin_of_chunk(d, bin_in_chunk(v, d));

		assert_true(v == 0 || (double)v >= bin_lower(id) * (1 - 1e-12));
		assert_true(v == 0 || (double)v < (bin_lower(id) + bin_width(id)) * (1 + 1e-12));
		assert_true(id < BIN_IDS);
	}
}

static void
names_lose_their_colons(void **state)
{
	struct strb out = {0};

	stat_name_add(&out, STR("[::1]:80"));
	strb_addc(&out, ' ');
	stat_name_add(&out, STR("http://a:1"));
	assert_string_equal(strb_z(&out), "[__1]_80 http_a_1");
	strb_fini(&out);
}

static bool
keep_no_cx(void *ctx, struct str name)
{
	return !str_contains(name, STR("_cx_"));
}

static void
a_filter_hides_rows_of_blocks_published_later(void **state)
{
	struct segment *seg = new_segment();
	const uint8_t *hidden;
	const struct seg_record *r;

	block_set_filter(keep_no_cx, NULL);
	publish(seg, SCOPE_listener_http, "listener.l.http.h.");
	publish(seg, SCOPE_listener_worker, "listener.l.worker_0.");
	block_set_filter(NULL, NULL);
	r = (void *)(seg->base + seg->h->dir_off);
	hidden = (const uint8_t *)(r + 1);
	assert_int_equal(hidden[0], 0);
	r = (void *)((char *)r + r->bytes);
	hidden = (const uint8_t *)(r + 1);
	assert_int_equal(hidden[0], 3);
	segment_free(&seg);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_segment_has_a_seat_for_each_process_twice),
	    cmocka_unit_test(a_process_of_the_same_binary_maps_what_another_made),
	    cmocka_unit_test(a_file_that_is_no_segment_of_ours_is_refused),
	    cmocka_unit_test(a_block_stands_at_one_place_and_is_published_once),
	    cmocka_unit_test(a_block_that_is_not_published_is_scratch_nobody_reads),
	    cmocka_unit_test(counters_continue_and_gauges_begin_anew_with_the_next_owner),
	    cmocka_unit_test(a_seat_of_a_living_process_is_not_given_away),
	    cmocka_unit_test(a_worker_that_comes_later_finds_memory_for_old_blocks),
	    cmocka_unit_test(others_are_summed_only_while_they_live),
	    cmocka_unit_test(a_retired_block_is_reused_after_all_let_go),
	    cmocka_unit_test(a_full_tmpfs_refuses_the_block_and_drops_the_value),
	    cmocka_unit_test(a_full_segment_refuses_the_block),
	    cmocka_unit_test(room_is_known_before_the_first_block_is_made),
	    cmocka_unit_test(a_private_lane_makes_blocks_on_demand),
	    cmocka_unit_test(flags_and_verdicts_are_seen_by_every_process),
	    cmocka_unit_test(every_value_finds_its_bin),
	    cmocka_unit_test(names_lose_their_colons),
	    cmocka_unit_test(a_filter_hides_rows_of_blocks_published_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
