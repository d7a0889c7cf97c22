/* Subsets: which hosts a request with metadata_match may get, and what becomes of the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/upstream/criteria.h"
#include "lib/upstream/locality_weights.h"
#include "shm/lane.h"
#include "tests/unit/lib/upstream/cluster_yaml.h"

static int
setup(void **state)
{
	lane_private();
	*state = loop_new();
	return 0;
}

static int
teardown(void **state)
{
	struct loop *l = *state;

	loop_free(&l);
	return 0;
}

/* Hosts: 0 v1 prod, 1 v1 dev, 2 v2 prod, 3 v2 (no stage), 4 nothing. */
static struct cluster *
cluster_with(struct loop *l, const char *fields)
{
	static const char *const metadata[] = {"version: v1, stage: prod",
	    "version: v1, stage: dev", "version: v2, stage: prod", "version: v2", ""};
	struct strb text = {0};
	struct cluster *c;

	strb_printf(&text,
	    "%s\nload_assignment:\n  cluster_name: api\n  endpoints:\n  - lb_endpoints:\n", fields);
	for (unsigned i = 0; i < 5; i++)
		strb_printf(&text,
		    "    - {metadata: {filter_metadata: {envoy.lb: {%s}}}, endpoint: {address: "
		    "{socket_address: {address: 127.0.0.1, port_value: %u}}}}\n",
		    metadata[i], 90 + i);
	c = cluster_from_yaml(l, strb_z(&text));
	strb_fini(&text);
	return c;
}

/* pairs: "version", "v1", …, NULL */
static const struct criteria *
criteria_of(struct arena *a, const char *const *pairs)
{
	Google__Protobuf__Struct m = GOOGLE__PROTOBUF__STRUCT__INIT;

	m.fields = arena_zalloc(a, 8 * sizeof(*m.fields));
	for (; *pairs; pairs += 2) {
		Google__Protobuf__Struct__FieldsEntry *f =
		    arena_new(a, Google__Protobuf__Struct__FieldsEntry);
		Google__Protobuf__Value *v = arena_new(a, Google__Protobuf__Value);

		google__protobuf__struct__fields_entry__init(f);
		google__protobuf__value__init(v);
		v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
		v->string_value = arena_printf(a, "%s", pairs[1]);
		f->key = arena_printf(a, "%s", pairs[0]);
		f->value = v;
		m.fields[m.n_fields++] = f;
	}
	return criteria_build(&m, a);
}

/* The set of hosts that 60 picks reach, as bits; 0: none. */
static unsigned
reach(struct cluster *c, const char *const *pairs)
{
	struct arena a;
	struct lb_context ctx = {0};
	unsigned got = 0;

	arena_init(&a);
	ctx.criteria = criteria_of(&a, pairs);
	for (unsigned i = 0; i < 60; i++) {
		struct host *h = cluster_pick(c, &ctx);

		got |= h ? 1u << h->index : 0;
	}
	arena_fini(&a);
	return got;
}

#define ASK(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NOTHING ((const char *const[]){NULL})
#define SELECTORS "subset_selectors: [{keys: [version]}, {keys: [stage, version]}]"

static void
a_request_gets_the_hosts_that_have_what_it_asks_for(void **state)
{
	struct cluster *c = cluster_with(*state, "lb_subset_config: {" SELECTORS "}");

	assert_int_equal(reach(c, ASK("version", "v1")), 0x3);
	assert_int_equal(reach(c, ASK("version", "v2")), 0xc);
	assert_int_equal(reach(c, ASK("version", "v1", "stage", "prod")), 0x1);
	assert_int_equal(reach(c, ASK("stage", "prod", "version", "v2")), 0x4); /* in any order */
	/* no selector, no such value, nothing asked for: no fallback */
	assert_int_equal(reach(c, ASK("stage", "prod")), 0);
	assert_int_equal(reach(c, ASK("version", "v3")), 0);
	assert_int_equal(reach(c, NOTHING), 0);
	assert_int_equal(c->stats->lb_subsets_created.raw, 5);
	cluster_end(*state, &c);
}

static void
the_fallback_policy_takes_care_of_the_others(void **state)
{
	struct cluster *c = cluster_with(
	    *state, "lb_subset_config: {fallback_policy: ANY_ENDPOINT, " SELECTORS "}");

	assert_int_equal(reach(c, NOTHING), 0x1f);
	assert_int_equal(reach(c, ASK("version", "v3")), 0x1f);
	assert_int_equal(c->stats->lb_subsets_fallback.raw, 120);
	cluster_end(*state, &c);
	c = cluster_with(*state, "lb_subset_config: {fallback_policy: DEFAULT_SUBSET, "
				 "default_subset: {stage: prod}, " SELECTORS "}");
	assert_int_equal(reach(c, NOTHING), 0x5);
	assert_int_equal(reach(c, ASK("version", "v2")), 0xc);
	cluster_end(*state, &c);
}

static void
a_selector_may_fall_back_in_its_own_way(void **state)
{
	struct cluster *c = cluster_with(*state,
	    "lb_subset_config: {fallback_policy: ANY_ENDPOINT, subset_selectors: ["
	    "{keys: [version], fallback_policy: NO_FALLBACK}, "
	    "{keys: [version, stage], fallback_policy: KEYS_SUBSET, fallback_keys_subset: "
	    "[version]}]}");

	assert_int_equal(reach(c, ASK("version", "v3")), 0);
	assert_int_equal(reach(c, ASK("version", "v2", "stage", "dev")), 0xc); /* v2 of any stage */
	assert_int_equal(reach(c, ASK("version", "v9", "stage", "dev")), 0);
	assert_int_equal(reach(c, ASK("color", "red")), 0x1f);
	cluster_end(*state, &c);
}

static void
in_panic_mode_anybody_is_better_than_nobody(void **state)
{
	struct cluster *c =
	    cluster_with(*state, "lb_subset_config: {panic_mode_any: true, " SELECTORS "}");

	assert_int_equal(reach(c, ASK("version", "v3")), 0x1f);
	assert_int_equal(c->stats->lb_subsets_fallback_panic.raw, 60);
	cluster_end(*state, &c);
}

static void
verdicts_count_within_a_subset(void **state)
{
	struct cluster *c =
	    cluster_with(*state, "common_lb_config: {healthy_panic_threshold: {value: 0}}\n"
				 "lb_subset_config: {" SELECTORS "}");

	host_cell_set(c->hosts[2]->cell, HOST_FAILED_ACTIVE_HC, true);
	assert_int_equal(reach(c, ASK("version", "v2")), 0x8);
	host_cell_set(c->hosts[3]->cell, HOST_FAILED_ACTIVE_HC, true);
	assert_int_equal(reach(c, ASK("version", "v2")), 0);
	host_cell_set(c->hosts[2]->cell, HOST_FAILED_ACTIVE_HC, false);
	host_cell_set(c->hosts[3]->cell, HOST_FAILED_ACTIVE_HC, false);
	cluster_end(*state, &c);
}

static void
the_extension_says_the_same(void **state)
{
	struct cluster *c = cluster_with(*state,
	    "load_balancing_policy: {policies: [{typed_extension_config: {name: subset, "
	    "typed_config: "
	    "{\"@type\": type.googleapis.com/"
	    "envoy.extensions.load_balancing_policies.subset.v3.Subset, " SELECTORS
	    ", subset_lb_policy: {policies: [{typed_extension_config: {name: maglev, typed_config: "
	    "{\"@type\": type.googleapis.com/"
	    "envoy.extensions.load_balancing_policies.maglev.v3.Maglev}}}]}}}}]}");

	assert_string_equal(c->policy->name, "maglev");
	assert_int_equal(reach(c, ASK("version", "v1")), 0x3);
	cluster_end(*state, &c);
}

static void
keys_that_no_selector_has_may_be_left_out(void **state)
{
	static const char *const allow[] = {"", ", allow_redundant_keys: true"};

	for (unsigned k = 0; k < 2; k++) {
		char fields[1024];
		struct cluster *c;

		snprintf(fields, sizeof(fields),
		    "load_balancing_policy: {policies: [{typed_extension_config: {name: subset, "
		    "typed_config: {\"@type\": type.googleapis.com/"
		    "envoy.extensions.load_balancing_policies.subset.v3.Subset, " SELECTORS
		    "%s, subset_lb_policy: {policies: [{typed_extension_config: {name: rr, "
		    "typed_config: {\"@type\": type.googleapis.com/"
		    "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin}}}]}}}}]}",
		    allow[k]);
		c = cluster_with(*state, fields);
		assert_int_equal(reach(c, ASK("version", "v1")), 0x3);
		assert_int_equal(reach(c, ASK("version", "v1", "x", "y")), k ? 0x3 : 0);
		/* as many keys as a selector has, even if no host is left */
		assert_int_equal(
		    reach(c, ASK("version", "v1", "stage", "dev", "x", "y")), k ? 0x2 : 0);
		assert_int_equal(reach(c, ASK("version", "v1", "stage", "none", "x", "y")), 0);
		assert_int_equal(reach(c, ASK("stage", "dev", "x", "y")), 0);
		cluster_end(*state, &c);
	}
}

static void
one_host_is_enough_where_that_is_said(void **state)
{
	struct cluster *c = cluster_with(*state, "lb_subset_config: {subset_selectors: [{keys: "
						 "[version], single_host_per_subset: true}]}");

	assert_int_equal(reach(c, ASK("version", "v1")), 0x1);
	assert_int_equal(c->stats->lb_subsets_single_host_per_subset_duplicate.raw, 2);
	cluster_end(*state, &c);
}

/* Of locality a one host of two is v1, of locality b both are: a0 v1, a1 v2, b0 v1, b1 v1. */
static struct cluster *
cluster_of_two_localities(struct loop *l, const char *fields)
{
	static const char *const names[] = {"a", "b"};
	struct strb text = {0};
	struct cluster *c;

	strb_printf(&text, "%s\nload_assignment:\n  cluster_name: api\n  endpoints:\n", fields);
	for (unsigned i = 0; i < 2; i++) {
		strb_printf(&text,
		    "  - locality: {zone: %s}\n    load_balancing_weight: 10\n    lb_endpoints:\n",
		    names[i]);
		for (unsigned k = 0; k < 2; k++)
			strb_printf(&text,
			    "    - {metadata: {filter_metadata: {envoy.lb: {version: %s}}}, endpoint: "
			    "{address: {socket_address: {address: 127.0.0.1, port_value: %u}}}}\n",
			    i == 0 && k == 1 ? "v2" : "v1", 80 + i * 2 + k);
	}
	c = cluster_from_yaml(l, strb_z(&text));
	strb_fini(&text);
	return c;
}

#define WEIGHTED(policy)                                                                           \
	"lb_policy: " policy "\ncommon_lb_config: {locality_weighted_lb_config: {}}\n"
#define EXTENSION(more, localities)                                                                \
	"load_balancing_policy: {policies: [{typed_extension_config: {name: subset, "              \
	"typed_config: {\"@type\": type.googleapis.com/"                                           \
	"envoy.extensions.load_balancing_policies.subset.v3.Subset, "                              \
	"subset_selectors: [{keys: [version]}], " more                                             \
	" subset_lb_policy: {policies: [{typed_extension_config: {name: rr, typed_config: "        \
	"{\"@type\": type.googleapis.com/"                                                         \
	"envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin" localities            \
	"}}}]}}}}]}"
#define SUBSETS(more) "lb_subset_config: {subset_selectors: [{keys: [version]}]" more "}"

static void
localities_weigh_as_much_as_the_subset_has_of_them(void **state)
{
	static const struct {
		const char *fields;
		unsigned a; /* of 6000 picks of v1 */
	} rows[] = {
	    {WEIGHTED("ROUND_ROBIN") SUBSETS(""), 2000},
	    {WEIGHTED("ROUND_ROBIN") SUBSETS(", locality_weight_aware: true"), 3000},
	    {WEIGHTED("ROUND_ROBIN")
	            SUBSETS(", locality_weight_aware: true, scale_locality_weight: true"),
		2000},
	    {WEIGHTED("MAGLEV") SUBSETS(", locality_weight_aware: true"), 3000},
	    {WEIGHTED("MAGLEV")
	            SUBSETS(", locality_weight_aware: true, scale_locality_weight: true"),
		2000},
	    {EXTENSION("", ", locality_lb_config: {locality_weighted_lb_config: {}}"), 2000},
	    {EXTENSION("locality_weight_aware: true,", ""), 2000},
	    {EXTENSION("locality_weight_aware: true,",
	         ", locality_lb_config: {locality_weighted_lb_config: {}}"),
		3000},
	    {EXTENSION("locality_weight_aware: true, scale_locality_weight: true,",
	         ", locality_lb_config: {locality_weighted_lb_config: {}}"),
		2000},
	};

	for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
		struct cluster *c = cluster_of_two_localities(*state, rows[r].fields);
		struct lb_context ctx = {0};
		unsigned got[4] = {0};
		struct arena a;

		arena_init(&a);
		ctx.criteria = criteria_of(&a, ASK("version", "v1"));
		for (unsigned i = 0; i < 6000; i++)
			got[cluster_pick(c, &ctx)->index]++;
		arena_fini(&a);
		assert_int_equal(got[1], 0);
		assert_in_range(got[0], rows[r].a - 200, rows[r].a + 200);
		cluster_end(*state, &c);
	}
}

/* A part of a host is rounded: 3 × 1/2 is 2. */
static void
scaled_weights_are_whole(void **state)
{
	struct cluster *c = cluster_of_two_localities(*state,
	    WEIGHTED("ROUND_ROBIN") SUBSETS(", locality_weight_aware: true"));
	struct host *some[] = {c->hosts[0], c->hosts[2]};
	struct locality_weights w = {0};

	for (uint32_t i = 0; i < 4; i++)
		c->hosts[i]->locality_weight = i < 2 ? 3 : 1;
	locality_weights_make(&w, c->hosts, 4, some, 2);
	assert_int_equal(locality_weight_of(&w, c->hosts[0]), 2);
	assert_int_equal(locality_weight_of(&w, c->hosts[2]), 1);
	assert_int_equal(locality_weight_of(NULL, c->hosts[0]), 3);
	locality_weights_fini(&w);
	cluster_end(*state, &c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		a_request_gets_the_hosts_that_have_what_it_asks_for, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		the_fallback_policy_takes_care_of_the_others, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_selector_may_fall_back_in_its_own_way, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		in_panic_mode_anybody_is_better_than_nobody, setup, teardown),
	    cmocka_unit_test_setup_teardown(verdicts_count_within_a_subset, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_extension_says_the_same, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		keys_that_no_selector_has_may_be_left_out, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		localities_weigh_as_much_as_the_subset_has_of_them, setup, teardown),
	    cmocka_unit_test_setup_teardown(scaled_weights_are_whole, setup, teardown),
	    cmocka_unit_test_setup_teardown(one_host_is_enough_where_that_is_said, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
