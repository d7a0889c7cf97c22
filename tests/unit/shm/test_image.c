/* Hostile segments: truncated and broken ones are an error at most. */
#include "tests/unit/shm/dir.h"

#include <sys/mman.h>

#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "shm/failures.h"

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
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_truncated_segment_is_an_error),
	    cmocka_unit_test(flipped_bits_never_crash_a_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
