/*
 * RING_HASH (ketama): each host has points on a ring in proportion to its
 * weight, hashes of "<key>_<i>"; a request goes to the first point at or
 * after its hash.  Sizes and points are Envoy's, so that a fleet of both
 * agrees on who serves a key.
 */
#include <math.h>
#include <stdlib.h>

#include "lib/base/hash.h"
#include "lib/base/mem.h"
#include "lib/upstream/lb.h"
#include "lib/upstream/lb/hashing.h"

#define MURMUR_SEED 0xc70f6907ull /* of std::hash in libstdc++ */

struct point {
	uint64_t hash;
	uint32_t host; /* index in the group */
};

struct ring {
	struct hashing group;
	struct point *points; /* owned; by hash */
	uint64_t n;
	uint64_t size;        /* as it was wanted: n is rounded up */
	uint64_t least, most; /* points of a host */
};

static int
by_hash(const void *a, const void *b)
{
	const struct point *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->host < y->host ? -1 : x->host > y->host;
}

/* Points in all: as few as give the lightest host a whole number of them, within the bounds. */
static double
scale_of(const struct hashing *g)
{
	double scale = ceil(g->least * (double)g->config->ring_min) / g->least;
	double most = (double)g->config->ring_max;

	return scale < most ? scale : most;
}

static uint64_t
point_hash(const struct ring *r, struct str key)
{
	if (r->group.config->murmur)
		return hash_murmur2(key.p, key.n, MURMUR_SEED);
	return hash_xx64(key.p, key.n, 0);
}

static void
add_points(struct ring *r, uint32_t host, double target, struct strb *key)
{
	uint64_t before = r->n, added;
	size_t n;

	key->n = 0;
	hashing_key(&r->group, r->group.hosts[host], key);
	strb_addz(key, "_");
	n = key->n;
	for (uint64_t i = 0; (double)r->n < target; i++) {
		key->n = n;
		strb_addu(key, i);
		r->points[r->n++] = (struct point){point_hash(r, strb_str(key)), host};
	}
	added = r->n - before;
	r->least = added < r->least ? added : r->least;
	r->most = added > r->most ? added : r->most;
}

/* Where a hash of the ring's n points is expected, 0 … n - 1. */
static uint64_t
expected_place(const struct ring *r, uint64_t hash)
{
	return (uint64_t)((unsigned __int128)hash * r->n >> 64);
}

/* Insertion into what is sorted already; hashes are even, so nearly all stand next to their place. */
static void
insert(struct point *points, uint64_t n)
{
	struct point p = points[n];

	while (n > 0 && by_hash(&points[n - 1], &p) > 0) {
		points[n] = points[n - 1];
		n--;
	}
	points[n] = p;
}

/* Points are dealt out to where their hashes are expected; a place has one on the average. */
static struct point *
deal_out(const struct ring *r)
{
	uint32_t *ends = mem_array(uint32_t, r->n + 1);
	struct point *dealt = mem_array(struct point, r->n);

	for (uint64_t i = 0; i < r->n; i++)
		ends[expected_place(r, r->points[i].hash) + 1]++;
	for (uint64_t i = 0; i < r->n; i++)
		ends[i + 1] += ends[i];
	for (uint64_t i = 0; i < r->n; i++)
		dealt[ends[expected_place(r, r->points[i].hash)]++] = r->points[i];
	mem_free(ends);
	return dealt;
}

#define CROWD 64 /* more than hashes put between neighbours: then any other order is quicker */

static bool
is_crowded(const struct ring *r)
{
	for (uint64_t i = CROWD; i < r->n; i++)
		if (expected_place(r, r->points[i].hash) == expected_place(r, r->points[i - CROWD].hash))
			return true;
	return false;
}

static void
sort_points(struct ring *r)
{
	struct point *dealt = deal_out(r);

	mem_free(r->points);
	r->points = dealt;
	if (is_crowded(r)) {
		qsort(r->points, r->n, sizeof(*r->points), by_hash);
		return;
	}
	for (uint64_t i = 1; i < r->n; i++)
		insert(r->points, i);
}

static void *
build(struct host *const *hosts, uint32_t n, const struct lb_config *config)
{
	struct ring *r = mem_new(struct ring);
	struct strb key = {0};
	double scale, target = 0;

	hashing_init(&r->group, hosts, n, config);
	scale = scale_of(&r->group);
	r->size = r->least = (uint64_t)ceil(scale);
	/* One more for each host: sums of shares are rounded. */
	r->points = mem_array(struct point, r->size + n);
	for (uint32_t i = 0; i < n; i++) {
		target += scale * r->group.weights[i];
		add_points(r, i, target, &key);
	}
	strb_fini(&key);
	sort_points(r);
	return r;
}

static uint64_t
first_at(const struct ring *r, uint64_t hash)
{
	uint64_t low = 0, high = r->n;

	while (low < high) {
		uint64_t mid = (low + high) / 2;

		if (r->points[mid].hash < hash)
			low = mid + 1;
		else
			high = mid;
	}
	return low == r->n ? 0 : low;
}

static struct host *
pick(void *self, const struct lb_context *ctx)
{
	struct ring *r = self;
	uint64_t hash = hashing_of(ctx);
	uint64_t at = (first_at(r, hash) + ctx->attempt) % r->n;

	return r->group.hosts[hashing_bounded(&r->group, r->points[at].host, hash)];
}

static void
release(void *self)
{
	struct ring *r = self;

	hashing_fini(&r->group);
	mem_free(r->points);
	mem_free(r);
}

static void
report(const void *self, struct cluster_stats *stats)
{
	const struct ring *r = self;

	stat_set(&stats->ring_hash_lb_size, (int64_t)r->size);
	stat_set(&stats->ring_hash_lb_min_hashes_per_host, (int64_t)r->least);
	stat_set(&stats->ring_hash_lb_max_hashes_per_host, (int64_t)r->most);
}

const struct lb_policy lb_ring_hash = {
    .name = "ring_hash",
    .by_hash = true,
    .build = build,
    .pick = pick,
    .free = release,
    .report = report,
};
