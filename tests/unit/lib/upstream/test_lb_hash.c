/*
 * Ring hash and Maglev: tables point by point against plain versions of
 * the published algorithms written here, and against points that Envoy's
 * own documentation of the ring gives for six hosts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "lib/base/hash.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "shm/lane.h"
#include "tests/unit/lib/upstream/cluster_yaml.h"

static int
setup(void **state)
{
	lane_private();
	*state = loop_new();
	rand_seed(7);
	return 0;
}

static int
teardown(void **state)
{
	struct loop *l = *state;

	loop_free(&l);
	return 0;
}

/* n hosts 127.0.0.1:90 … */
static struct cluster *
cluster_with(struct loop *l, const char *fields, unsigned n, const unsigned *weights)
{
	struct strb text = {0};
	struct cluster *c;

	strb_printf(&text,
	    "%s\nload_assignment:\n  cluster_name: api\n  endpoints:\n  - lb_endpoints:\n", fields);
	for (unsigned i = 0; i < n; i++)
		strb_printf(&text,
		    "    - {load_balancing_weight: %u, endpoint: {hostname: h%u, address: "
		    "{socket_address: {address: 127.0.0.1, port_value: %u}}}}\n",
		    weights ? weights[i] : 1, i, 90 + i);
	c = cluster_from_yaml(l, strb_z(&text));
	strb_fini(&text);
	return c;
}

static uint32_t
pick(struct cluster *c, uint64_t hash, unsigned attempt)
{
	struct lb_context ctx = {.hash = hash, .has_hash = true, .attempt = attempt};

	return cluster_pick(c, &ctx)->index;
}

/* ---- the ring, plainly: every point, looked through one by one */

struct plain_point {
	uint64_t hash;
	uint32_t host;
};

struct plain_ring {
	struct plain_point at[40000];
	unsigned n;
};

static void
plain_ring(struct plain_ring *r, unsigned hosts, const unsigned *weights, unsigned least,
    double most, bool murmur)
{
	double sum = 0, min = 1, scale, target = 0;

	r->n = 0;
	for (unsigned i = 0; i < hosts; i++)
		sum += weights ? weights[i] : 1;
	for (unsigned i = 0; i < hosts; i++)
		min = fmin(min, (weights ? weights[i] : 1) / sum);
	scale = fmin(ceil(min * least) / min, most);
	for (unsigned i = 0; i < hosts; i++) {
		target += scale * ((weights ? weights[i] : 1) / sum);
		for (unsigned k = 0; r->n < target; k++) {
			char text[64];
			int len = snprintf(text, sizeof(text), "127.0.0.1:%u_%u", 90 + i, k);

			r->at[r->n].hash = murmur ? hash_murmur2(text, (size_t)len, 0xc70f6907)
						  : hash_xx64(text, (size_t)len, 0);
			r->at[r->n++].host = i;
		}
	}
}

static uint32_t
plain_ring_pick(const struct plain_ring *r, uint64_t hash)
{
	const struct plain_point *best = NULL, *first = &r->at[0];

	for (unsigned i = 0; i < r->n; i++) {
		const struct plain_point *p = &r->at[i];

		if (p->hash < first->hash)
			first = p;
		if (p->hash >= hash && (best == NULL || p->hash < best->hash))
			best = p;
	}
	return best ? best->host : first->host;
}

static void
expect_ring_gauges(const struct cluster *c, const struct plain_ring *r, unsigned hosts)
{
	uint64_t got[16] = {0}, least = UINT64_MAX, most = 0;

	for (unsigned i = 0; i < r->n; i++)
		got[r->at[i].host]++;
	for (unsigned i = 0; i < hosts; i++) {
		least = got[i] < least ? got[i] : least;
		most = got[i] > most ? got[i] : most;
	}
	/* what was asked for; sums of shares may round one point up */
	assert_in_range(stat_gauge_value(c->stats->ring_hash_lb_size.raw), r->n - 1, r->n);
	assert_int_equal(stat_gauge_value(c->stats->ring_hash_lb_min_hashes_per_host.raw), least);
	assert_int_equal(stat_gauge_value(c->stats->ring_hash_lb_max_hashes_per_host.raw), most);
}

static void
expect_ring(struct loop *l, const char *fields, unsigned hosts, const unsigned *weights,
    unsigned least, double most, bool murmur)
{
	static struct plain_ring r;
	struct cluster *c = cluster_with(l, fields, hosts, weights);

	plain_ring(&r, hosts, weights, least, most, murmur);
	expect_ring_gauges(c, &r, hosts);
	for (unsigned i = 0; i < r.n; i += r.n / 500 + 1) {
		assert_int_equal(pick(c, r.at[i].hash, 0), plain_ring_pick(&r, r.at[i].hash));
		assert_int_equal(
		    pick(c, r.at[i].hash + 1, 0), plain_ring_pick(&r, r.at[i].hash + 1));
	}
	for (unsigned i = 0; i < 200; i++) {
		uint64_t hash = rand_u64();

		assert_int_equal(pick(c, hash, 0), plain_ring_pick(&r, hash));
	}
	cluster_end(l, &c);
}

static void
the_ring_is_that_of_the_plain_algorithm(void **state)
{
	static const unsigned weights[] = {1, 2, 3, 10, 1};

	expect_ring(*state, "lb_policy: RING_HASH", 1, NULL, 1024, 8 << 20, false);
	expect_ring(*state, "lb_policy: RING_HASH", 3, NULL, 1024, 8 << 20, false);
	expect_ring(*state, "lb_policy: RING_HASH", 5, weights, 1024, 8 << 20, false);
	expect_ring(*state,
	    "lb_policy: RING_HASH\nring_hash_lb_config: {hash_function: MURMUR_HASH_2}", 5, weights,
	    1024, 8 << 20, true);
	expect_ring(*state,
	    "lb_policy: RING_HASH\n"
	    "ring_hash_lb_config: {minimum_ring_size: 3, maximum_ring_size: 7}",
	    5, weights, 3, 7, false);
	expect_ring(*state,
	    "load_balancing_policy: {policies: [{typed_extension_config: {name: ring, "
	    "typed_config: "
	    "{\"@type\": type.googleapis.com/"
	    "envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash, "
	    "hash_function: MURMUR_HASH_2, minimum_ring_size: 50}}}]}",
	    5, weights, 50, 8 << 20, true);
}

/* Each point of the ring is that of all of them, in their order. */
static void
hosts_of_one_name_share_their_points(void **state)
{
	struct strb text = {0};
	struct cluster *c;
	unsigned first = 0, order = 0;

	strb_addz(&text, "lb_policy: RING_HASH\n"
	    "common_lb_config: {consistent_hashing_lb_config: {use_hostname_for_hashing: true}}\n"
	    "load_assignment:\n  cluster_name: api\n  endpoints:\n  - lb_endpoints:\n");
	for (unsigned i = 0; i < 100; i++)
		strb_printf(&text,
		    "    - {endpoint: {hostname: same, address: {socket_address: {address: 127.0.0.1, port_value: %u}}}}\n", 90 + i);
	c = cluster_from_yaml(*state, strb_z(&text));
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t hash = rand_u64();

		first += pick(c, hash, 0) == 0;
		order += pick(c, hash, i % 90 + 1) == i % 90 + 1;
	}
	assert_true(first > 800); /* sums of shares are rounded: a point may be that of some only */
	assert_true(order > 800);
	strb_fini(&text);
	cluster_end(*state, &c);
}

static void
six_hosts_stand_where_envoy_has_them(void **state)
{
	static const struct {
		uint64_t hash;
		uint32_t host;
	} points[] = {
	    {833437586790550860ull, 4},
	    {928266305478181108ull, 2},
	    {1033482794131418490ull, 0},
	    {3551244743356806947ull, 5},
	    {3851675632748031481ull, 3},
	    {5583722120771150861ull, 1},
	    {6311230543546372928ull, 1},
	    {7700377290971790572ull, 3},
	    {13144177310400110813ull, 5},
	    {13444792449719432967ull, 2},
	    {15516499411664133160ull, 4},
	    {16117243373044804889ull, 0},
	};
	struct cluster *c = cluster_with(
	    *state, "lb_policy: RING_HASH\nring_hash_lb_config: {minimum_ring_size: 12}", 6, NULL);

	for (size_t i = 0; i < ARRAY_LEN(points); i++) {
		assert_int_equal(pick(c, points[i].hash, 0), points[i].host);
		assert_int_equal(pick(c, points[i].hash, 1), points[(i + 1) % 12].host);
		assert_int_equal(pick(c, points[i].hash + 1, 0), points[(i + 1) % 12].host);
	}
	cluster_end(*state, &c);
}

/* ---- Maglev, plainly: each host asks for its slots in order, the heaviest each round */

#define PLAIN_SIZE 65537

static void
plain_maglev(uint32_t *table, uint64_t size, unsigned hosts, const unsigned *weights)
{
	uint64_t filled = 0, asked[16] = {0};
	double target[16] = {0}, sum = 0, most = 0;

	for (unsigned i = 0; i < hosts; i++)
		sum += weights[i];
	for (unsigned i = 0; i < hosts; i++)
		most = fmax(most, weights[i] / sum);
	for (uint64_t i = 0; i < size; i++)
		table[i] = UINT32_MAX;
	for (unsigned round = 1; filled < size; round++) {
		for (unsigned i = 0; i < hosts && filled < size;
		     i++) { /* ports in order: so are keys */
			char key[32];
			size_t n = (size_t)snprintf(key, sizeof(key), "127.0.0.1:%u", 90 + i);
			uint64_t slot;

			if (round * (weights[i] / sum) < target[i])
				continue;
			target[i] += most;
			do
				slot = (hash_xx64(key, n, 0) % size +
					   (hash_xx64(key, n, 1) % (size - 1) + 1) * asked[i]++) %
				       size;
			while (table[slot] != UINT32_MAX);
			table[slot] = i;
			filled++;
		}
	}
}

static void
expect_maglev_gauges(const struct cluster *c, const uint32_t *table, uint64_t size, unsigned hosts)
{
	uint64_t got[16] = {0}, least = UINT64_MAX, most = 0;

	for (uint64_t i = 0; i < size; i++)
		got[table[i]]++;
	for (unsigned i = 0; i < hosts; i++) {
		least = got[i] < least ? got[i] : least;
		most = got[i] > most ? got[i] : most;
	}
	assert_int_equal(stat_gauge_value(c->stats->maglev_lb_min_entries_per_host.raw), least);
	assert_int_equal(stat_gauge_value(c->stats->maglev_lb_max_entries_per_host.raw), most);
}

static void
expect_maglev(
    struct loop *l, const char *fields, uint64_t size, unsigned hosts, const unsigned *weights)
{
	static uint32_t table[PLAIN_SIZE];
	struct cluster *c = cluster_with(l, fields, hosts, weights);

	plain_maglev(table, size, hosts, weights);
	expect_maglev_gauges(c, table, size, hosts);
	for (uint64_t i = 0; i < size; i++)
		assert_int_equal(pick(c, i + size * 1000, 0), table[i]);
	for (unsigned i = 1; i < 20; i++) {
		uint64_t hash = rand_u64();

		assert_int_equal(pick(c, hash, i), table[(hash ^ (0 - (uint64_t)i)) % size]);
	}
	cluster_end(l, &c);
}

static void
the_maglev_table_is_that_of_the_plain_algorithm(void **state)
{
	static const unsigned even[] = {1, 1, 1, 1, 1, 1}, weights[] = {3, 1, 7, 7, 2};

	expect_maglev(*state, "lb_policy: MAGLEV", PLAIN_SIZE, 6, even);
	expect_maglev(*state, "lb_policy: MAGLEV", PLAIN_SIZE, 5, weights);
	expect_maglev(*state, "lb_policy: MAGLEV\nmaglev_lb_config: {table_size: 7}", 7, 3, even);
	expect_maglev(*state,
	    "load_balancing_policy: {policies: [{typed_extension_config: {name: maglev, "
	    "typed_config: "
	    "{\"@type\": type.googleapis.com/"
	    "envoy.extensions.load_balancing_policies.maglev.v3.Maglev, table_size: 1009}}}]}",
	    1009, 5, weights);
}

static void
maglev_slots_are_in_proportion_to_weights(void **state)
{
	static const unsigned weights[] = {1, 2};
	struct cluster *c = cluster_with(*state, "lb_policy: MAGLEV", 2, weights);
	unsigned got[2] = {0};

	for (uint64_t i = 0; i < PLAIN_SIZE; i++)
		got[pick(c, i, 0)]++;
	assert_int_equal(got[0], 21846);
	assert_int_equal(got[1], 43691);
	cluster_end(*state, &c);
}

/* ---- what both do */

static void
a_hostname_is_hashed_when_asked_for(void **state)
{
	static const char *const policies[] = {"lb_policy: RING_HASH", "lb_policy: MAGLEV"};

	for (size_t k = 0; k < ARRAY_LEN(policies); k++) {
		struct strb fields = {0};
		struct cluster *by_name, *by_address = cluster_with(*state, policies[k], 8, NULL);
		unsigned differ = 0;

		strb_printf(&fields,
		    "%s\ncommon_lb_config: {consistent_hashing_lb_config: "
		    "{use_hostname_for_hashing: true}}",
		    policies[k]);
		by_name = cluster_with(*state, strb_z(&fields), 8, NULL);
		for (uint64_t i = 0; i < 100; i++) {
			uint64_t hash = rand_u64();

			differ += pick(by_name, hash, 0) != pick(by_address, hash, 0);
		}
		assert_true(differ > 50);
		cluster_end(*state, &by_name);
		cluster_end(*state, &by_address);
		strb_fini(&fields);
	}
}

static void
a_host_that_fails_moves_few_keys_but_its_own(void **state)
{
	struct cluster *c = cluster_with(*state, "lb_policy: RING_HASH", 8, NULL);
	uint64_t hashes[400];
	uint32_t before[400];
	unsigned moved = 0;

	for (unsigned i = 0; i < 400; i++) {
		hashes[i] = rand_u64();
		before[i] = pick(c, hashes[i], 0);
	}
	host_cell_set(c->hosts[3]->cell, HOST_FAILED_ACTIVE_HC, true);
	pick(c, hashes[0], 0);
	for (unsigned i = 0; i < 400; i++) {
		struct lb_context ctx = {.hash = hashes[i], .has_hash = true};
		struct host *h = cluster_pick(c, &ctx);

		assert_int_not_equal(h->index, 3);
		moved += before[i] != 3 && h->index != before[i];
	}
	/* Those who stay get more points, 147 instead of 128 each: an eighth of the keys, about. */
	assert_in_range(moved, 0, 80);
	host_cell_set(c->hosts[3]->cell, HOST_FAILED_ACTIVE_HC, false);
	cluster_end(*state, &c);
}

static void
without_a_hash_all_hosts_are_reached(void **state)
{
	static const char *const policies[] = {"lb_policy: RING_HASH", "lb_policy: MAGLEV"};

	for (size_t k = 0; k < ARRAY_LEN(policies); k++) {
		struct cluster *c = cluster_with(*state, policies[k], 4, NULL);
		struct lb_context none = {0};
		unsigned got[4] = {0};

		for (unsigned i = 0; i < 4000; i++)
			got[cluster_pick(c, &none)->index]++;
		for (unsigned i = 0; i < 4; i++)
			assert_in_range(got[i], 700, 1300);
		cluster_end(*state, &c);
	}
}

static void
a_loaded_host_gives_way_and_always_to_the_same_one(void **state)
{
	struct cluster *c = cluster_with(*state,
	    "lb_policy: MAGLEV\n"
	    "common_lb_config: {consistent_hashing_lb_config: {hash_balance_factor: 150}}",
	    4, NULL);
	uint64_t hash = 12345;
	uint32_t first = pick(c, hash, 0), second;

	/* 10 open requests, all at one host: its share of 11 × 1.5 / 4 is 5 */
	stat_move(&c->hosts[first]->stats->rq_active, 10);
	stat_move(&c->stats->upstream_rq_active, 10);
	second = pick(c, hash, 0);
	assert_int_not_equal(second, first);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(pick(c, hash, 0), second);
	stat_move(&c->hosts[first]->stats->rq_active, -10);
	stat_move(&c->stats->upstream_rq_active, -10);
	assert_int_equal(pick(c, hash, 0), first);
	cluster_end(*state, &c);
}

static void
murmur_is_that_of_libstdcxx(void **state)
{
	static const struct {
		const char *text;
		uint64_t hash;
	} rows[] = {
	    {"", 0x553e93901e462a6eull},
	    {"a", 0x454ddee488c1ed6bull},
	    {"foobar", 0xdf632c12592db33ull},
	    {"12345678", 0x8c5b90a33a04dca5ull},
	    {"127.0.0.1:90_0", 0x4e7fa1fbfddf33c0ull},
	    {"a longer text, of more than sixteen bytes", 0xb6265da73387ed70ull},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(
		    hash_murmur2(rows[i].text, strlen(rows[i].text), 0xc70f6907), rows[i].hash);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		the_ring_is_that_of_the_plain_algorithm, setup, teardown),
	    cmocka_unit_test_setup_teardown(hosts_of_one_name_share_their_points, setup, teardown),
	    cmocka_unit_test_setup_teardown(six_hosts_stand_where_envoy_has_them, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		the_maglev_table_is_that_of_the_plain_algorithm, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		maglev_slots_are_in_proportion_to_weights, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_hostname_is_hashed_when_asked_for, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_host_that_fails_moves_few_keys_but_its_own, setup, teardown),
	    cmocka_unit_test_setup_teardown(without_a_hash_all_hosts_are_reached, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_loaded_host_gives_way_and_always_to_the_same_one, setup, teardown),
	    cmocka_unit_test(murmur_is_that_of_libstdcxx),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
