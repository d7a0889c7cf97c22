/*
 * Reading: lanes and generations summed, totals, hostile files.
 */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/assert.h"
#include "lib/base/rand.h"
#include "shm/block.h"
#include "shm/failures.h"
#include "shm/hosts.h"
#include "shm/lane.h"
#include "shm/latch.h"
#include "shm/limits.h"
#include "shm/paths.h"
#include "shm/read.h"
#include "shm/fold.h"
#include "shm/totals.h"

/* A runtime directory of the test's own. */
static char base[64];
static int base_fd;

static int
set_up(void **state)
{
	snprintf(base, sizeof(base), "/tmp/baton-test-XXXXXX");
	if (mkdtemp(base) == NULL)
		return -1;
	base_fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return base_fd < 0 ? -1 : 0;
}

static void
remove_all(int fd)
{
	DIR *dir = fdopendir(fd);
	struct dirent *e;

	while ((e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		if (unlinkat(fd, e->d_name, 0) < 0) {
			remove_all(openat(fd, e->d_name, O_RDONLY | O_DIRECTORY));
			unlinkat(fd, e->d_name, AT_REMOVEDIR);
		}
	}
	closedir(dir);
}

static int
tear_down(void **state)
{
	remove_all(base_fd);
	return rmdir(base);
}

static struct segment *
generation(uint64_t n)
{
	struct segment_params p = {.concurrency = 2,
	    .generation = n,
	    .lane_bytes = 1u << 20,
	    .dir_bytes = 64u << 10,
	    .shared_bytes = 64u << 10};
	struct segment *seg;
	struct strb name = {0};
	struct err err;

	path_generation(&name, n);
	assert_int_equal(mkdirat(base_fd, strb_z(&name), 0700), 0);
	strb_addz(&name, "/" PATH_SEGMENT);
	assert_int_equal(segment_create(&seg, base_fd, strb_z(&name), &p, &err), 0);
	strb_fini(&name);
	return seg;
}

static void
publish(struct segment *seg, enum stat_scope scope, const char *prefix)
{
	struct err err;

	assert_int_equal(block_publish(seg, scope, str_of(prefix), &err), 0);
}

static void
sit(struct segment *seg, uint32_t seat)
{
	struct err err;

	assert_int_equal(
	    lane_take(seg, seat, seat < 2 ? (enum seat_role)(seat + 1) : SEAT_WORKER, seat, &err),
	    0);
}

static void
leave_all(struct segment **seg)
{
	for (uint32_t i = 0; i < (*seg)->h->seats; i++)
		seat_release(*seg, i);
	segment_free(seg);
}

static struct stat_set *
read_all(void)
{
	struct stat_query q = {0};
	struct stat_set *set;
	struct err err;

	if (stat_read(&set, base, &q, &err) < 0)
		fail_msg("%s", err.text);
	return set;
}

static const struct stat_row *
row_of(const struct stat_set *set, const char *name)
{
	const struct stat_row *row = stat_set_find(set, str_of(name));

	if (row == NULL)
		fail_msg("no stat %s", name);
	return row;
}

static uint64_t
counter(const struct stat_set *set, const char *name)
{
	return row_of(set, name)->counter;
}

static int64_t
gauge(const struct stat_set *set, const char *name)
{
	return row_of(set, name)->gauge;
}

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

/* ---- totals */

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

static void
damaged_totals_are_an_error(void **state)
{
	static const char *const bad[] = {
	    "",
	    "baton totals 2\nend 0\n",
	    "baton totals 1\n",
	    "baton totals 1\nend 1\n",
	    "baton totals 1\nend 0\nmore\n",
	    "baton totals 1\nend 0",
	    "baton totals 1\nfolded xyz\nend 0\n",
	    "baton totals 1\nC 0 a\nend 1\n",
	    "baton totals 1\nC 0 a -1\tx\nend 1\n",
	    "baton totals 1\nC 99 a 1\tx\nend 1\n",
	    "baton totals 1\nC 0 %zz 1\tx\nend 1\n",
	    "baton totals 1\nH 0 a 1 99999:1\tx\nend 1\n",
	    "baton totals 1\nH 0 a 1 1:x\tx\nend 1\n",
	    "baton totals 1\nQ 0 a 1\tx\nend 1\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct stat_set *set = stat_set_new();
		struct totals t = {0};
		struct err err;

		if (totals_parse(&t, str_of(bad[i]), set, NULL, NULL, &err) == 0)
			fail_msg("accepted: %s", bad[i]);
		totals_fini(&t);
		stat_set_free(&set);
	}
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

/* ---- latches and failures */

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

/* ---- hostile files */

static size_t
small_segment(char **bytes)
{
	struct segment_params p = {
	    .concurrency = 0, .lane_bytes = 8192 * 4, .dir_bytes = 4096, .shared_bytes = 4096};
	struct segment *seg;
	struct err err;
	size_t n;

	assert_int_equal(segment_create_private(&seg, &p, &err), 0);
	publish(seg, SCOPE_baton, "baton.");
	publish(seg, SCOPE_cluster, "cluster.a.");
	publish(seg, SCOPE_host, "a|b|");
	sit(seg, 1);
	stat_record(&cluster_stats_of("cluster.a.")->upstream_cx_length_ms, 12345);
	stat_code(&cluster_stats_of("cluster.a.")->upstream_rq, 404);
	n = seg->bytes;
	*bytes = mem_dup(seg->base, n);
	segment_free(&seg);
	return n;
}

static int
read_bytes(int fd, const char *bytes, size_t n, bool hosts)
{
	struct stat_query q = {.hosts = hosts, .failures = true};
	struct stat_set *set = NULL;
	struct err err;
	int rc;

	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, bytes, n, 0), n);
	rc = stat_read_fd(&set, fd, &q, &err);
	stat_set_free(&set);
	return rc;
}

static void
a_truncated_segment_is_an_error(void **state)
{
	int fd = memfd_create("t", MFD_CLOEXEC);
	struct stat_query q = {0};
	struct stat_set *set;
	struct err err;
	char *bytes;
	size_t n = small_segment(&bytes);

	assert_int_equal(read_bytes(fd, bytes, n, false), 0);
	for (size_t cut = n - 64; cut != 0 && cut < n; cut -= 64) {
		assert_int_equal(ftruncate(fd, (off_t)cut), 0);
		assert_int_equal(stat_read_fd(&set, fd, &q, &err), -1);
	}
	mem_free(bytes);
	close(fd);
}

static void
flipped_bits_never_crash_a_reader(void **state)
{
	int fd = memfd_create("t", MFD_CLOEXEC);
	char *bytes, *bad;
	size_t n = small_segment(&bytes);
	size_t tables = 8192 * 3 + FAILURE_SLOTS * sizeof(struct seg_failure);

	rand_seed(42);
	for (int round = 0; round < 300; round++) {
		bad = mem_dup(bytes, n);
		for (uint64_t k = rand_below(8) + 1; k; k--) {
			size_t at =
			    rand_below(3) ? rand_below(sizeof(struct seg_header)) : rand_below(n);

			if (rand_below(2))
				at = tables + rand_below(n - tables);
			bad[at] = (char)(rand_below(2) ? bad[at] ^ (1 << rand_below(8))
						       : (int)rand_u64());
		}
		read_bytes(fd, bad, n, round % 2);
		mem_free(bad);
	}
	mem_free(bytes);
	close(fd);
}

int
main(void)
{
#define IN_DIR(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    IN_DIR(lanes_are_summed),
	    IN_DIR(gauges_of_the_dead_do_not_count_but_counters_do),
	    IN_DIR(own_gauges_and_texts_come_from_the_serving_generation),
	    IN_DIR(a_generation_that_is_just_being_made_is_left_out),
	    IN_DIR(a_filter_that_comes_late_hides_what_is_there),
	    IN_DIR(queries_and_filters_leave_rows_out),
	    IN_DIR(one_lane_can_be_read_alone),
	    IN_DIR(folding_keeps_every_number),
	    IN_DIR(killed_before_the_rename_nothing_has_happened),
	    IN_DIR(killed_after_the_rename_the_segment_is_not_counted_again),
	    IN_DIR(folding_is_exact_at_each_step),
	    IN_DIR(two_never_fold_at_the_same_time),
	    IN_DIR(a_living_process_forbids_folding),
	    IN_DIR(a_segment_elsewhere_is_followed_and_removed),
	    cmocka_unit_test(damaged_totals_are_an_error),
	    IN_DIR(where_nothing_ran_the_error_says_so),
	    IN_DIR(an_interval_is_what_came_since_the_flush),
	    IN_DIR(the_ring_keeps_the_last_failures_of_all_processes),
	    cmocka_unit_test(a_truncated_segment_is_an_error),
	    cmocka_unit_test(flipped_bits_never_crash_a_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
