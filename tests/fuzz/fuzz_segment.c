/*
 * Readers of shared memory against hostile files.  The first byte chooses:
 * 't': the rest is a totals file.  Else it is flags of a query, and the
 * rest patches a good segment: area, offset (2 bytes), length, bytes.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shm/block.h"
#include "shm/lane.h"
#include "shm/print.h"
#include "shm/read.h"
#include "shm/totals.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct segment *good;
static int fd = -1;

static void
make_good(void)
{
	static const struct segment_params p = {
	    .lane_bytes = 64u << 10, .dir_bytes = 4096, .shared_bytes = 4096};

	if (segment_create_private(&good, &p, NULL) < 0 ||
	    block_publish(good, SCOPE_baton, STR("baton."), NULL) < 0 ||
	    block_publish(good, SCOPE_cluster, STR("cluster.a."), NULL) < 0 ||
	    block_publish(good, SCOPE_host, STR("a|b|"), NULL) < 0 ||
	    lane_take(good, SEAT_OF_ADMIN, SEAT_ADMIN, 0, NULL) < 0)
		abort();
	stat_record(&cluster_stats_of("cluster.a.")->upstream_cx_length_ms, 12345);
	stat_code(&cluster_stats_of("cluster.a.")->upstream_rq, 404);
	fd = memfd_create("patched", MFD_CLOEXEC);
	if (fd < 0 || pwrite(fd, good->base, good->bytes, 0) != (ssize_t)good->bytes)
		abort();
}

static uint64_t
area_at(unsigned area)
{
	const struct seg_header *h = good->h;
	uint64_t lane = h->lanes_off + h->lane_bytes;
	const uint64_t at[] = {0, 0, h->seats_off, h->schema_off, h->dir_off, h->shared_off, lane,
	    lane + h->lane_bytes / 2};

	return at[area % (sizeof(at) / sizeof(at[0]))];
}

static void
read_patched(unsigned flags)
{
	struct stat_query q = {.hosts = flags & 1, .failures = flags & 2};
	struct stat_print_options opt = {.buckets = (enum stat_buckets)(flags >> 4 & 3)};
	struct stat_set *set;
	struct strb out = {0};

	if (stat_read_fd(&set, fd, &q, NULL) < 0)
		return;
	stat_print(&out, (enum stat_format)((flags >> 2 & 3) % 3), set, &opt);
	strb_fini(&out);
	stat_set_free(&set);
}

static void
fuzz_patches(unsigned flags, const uint8_t *data, size_t size)
{
	const uint8_t *p = data, *end = data + size;

	while (end - p > 4) {
		uint64_t at = area_at(p[0]) + (unsigned)(p[1] | p[2] << 8);
		size_t n = p[3];

		p += 4;
		if (n > (size_t)(end - p))
			n = (size_t)(end - p);
		if (at + n <= good->bytes && pwrite(fd, p, n, (off_t)at) < 0)
			abort();
		p += n;
	}
	read_patched(flags);
	for (p = data; end - p > 4; p += 4 + p[3]) {
		uint64_t at = area_at(p[0]) + (unsigned)(p[1] | p[2] << 8);

		if (at + p[3] <= good->bytes && pwrite(fd, good->base + at, p[3], (off_t)at) < 0)
			abort();
		if (p[3] > end - p - 4)
			break;
	}
}

static void
fuzz_totals(const uint8_t *data, size_t size)
{
	struct stat_set *set = stat_set_new();
	struct totals t = {0};

	totals_parse(&t, str_make((const char *)data, size), set, NULL, NULL, NULL);
	totals_fini(&t);
	stat_set_free(&set);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (good == NULL)
		make_good();
	if (size == 0)
		return 0;
	if (data[0] == 't')
		fuzz_totals(data + 1, size - 1);
	else
		fuzz_patches(data[0], data + 1, size - 1);
	return 0;
}
