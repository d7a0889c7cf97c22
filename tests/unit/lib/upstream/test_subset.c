/* Subsets: which hosts a request with metadata_match may get, and what becomes of the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/upstream/criteria.h"
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
one_host_is_enough_where_that_is_said(void **state)
{
	struct cluster *c = cluster_with(*state, "lb_subset_config: {subset_selectors: [{keys: "
						 "[version], single_host_per_subset: true}]}");

	assert_int_equal(reach(c, ASK("version", "v1")), 0x1);
	assert_int_equal(c->stats->lb_subsets_single_host_per_subset_duplicate.raw, 2);
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
	    cmocka_unit_test_setup_teardown(one_host_is_enough_where_that_is_said, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
