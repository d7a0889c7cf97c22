/* Hosts that a request names in a header: who gets it, and when the policy within has the word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/http/headers.h"
#include "lib/upstream/host_set.h"
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

#define POLICY(name, message)                                                                      \
	"{policies: [{typed_extension_config: {name: " name ", typed_config: {\"@type\": "         \
	"type.googleapis.com/envoy.extensions.load_balancing_policies." message "}}}]}"
#define OVERRIDE(fallback)                                                                         \
	"load_balancing_policy: " POLICY("override",                                               \
	    "override_host.v3.OverrideHost, override_host_sources: [{header: X-To}, "              \
	    "{header: x-else}], fallback_policy: " fallback)
#define MAGLEV POLICY("maglev", "maglev.v3.Maglev")
#define SUBSETS                                                                                    \
	POLICY("subset", "subset.v3.Subset, fallback_policy: DEFAULT_SUBSET, default_subset: {a: b}, " \
			 "subset_selectors: [{keys: [a]}], subset_lb_policy: " MAGLEV)

static struct cluster *
cluster_of(struct loop *l, const char *fields)
{
	struct strb text = {0};
	struct cluster *c;

	strb_printf(&text, "%s\nload_assignment:\n  cluster_name: api\n  endpoints:\n", fields);
	add_hosts(&text, 4, NULL, 0);
	strb_addz(&text, "    - endpoint: {address: {socket_address: {address: \"::1\", port_value: 80}}}\n");
	c = cluster_from_yaml(l, strb_z(&text));
	strb_fini(&text);
	return c;
}

/* Index of the host that is picked, whatever the hash; -1: it depends on the hash. */
static int
goes_to(struct cluster *c, const char *to, const char *instead, struct host *const *tried, unsigned n)
{
	struct headers h;
	struct arena a;
	int got = -2;

	arena_init(&a);
	headers_init(&h, &a);
	if (to)
		headers_add(&h, STR("x-to"), str_of(to));
	if (instead)
		headers_add(&h, STR("x-else"), str_of(instead));
	for (uint64_t hash = 0; hash < 64; hash++) {
		struct lb_context ctx = {.request = &h, .has_hash = true, .hash = hash * 7919};
		struct host *x;

		ctx.tried = tried;
		ctx.tried_len = n;
		x = cluster_pick(c, &ctx);
		got = got == -2 || (x && got == (int)x->index) ? (int)x->index : -1;
	}
	arena_fini(&a);
	return got;
}

static void
the_first_member_that_is_named_gets_the_request(void **state)
{
	static const struct {
		const char *to, *instead;
		int host;
	} rows[] = {
	    {"10.0.0.3:80", NULL, 2},
	    {" 10.0.0.2:80 , 10.0.0.1:80", NULL, 1},
	    {"10.9.9.9:80,10.0.0.4:80", NULL, 3},
	    {"[0:0::1]:80", NULL, 4},
	    {"nonsense,,:::,10.0.0.1:80", NULL, 0},
	    {"10.0.0.1", "10.0.0.2:80", 1},
	    {NULL, "10.0.0.2:80", 1},
	    {"10.0.0.1:81", NULL, -1},
	    {"", "", -1},
	    {NULL, NULL, -1},
	};
	struct cluster *c = cluster_of(*state, OVERRIDE(MAGLEV));

	assert_string_equal(c->policy->name, "maglev");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(goes_to(c, rows[i].to, rows[i].instead, NULL, 0), rows[i].host);
	cluster_end(*state, &c);
}

static void
a_further_attempt_goes_to_the_next_one(void **state)
{
	struct cluster *c = cluster_of(*state, OVERRIDE(MAGLEV));
	struct host *tried[] = {c->hosts[1], c->hosts[0]};

	assert_int_equal(goes_to(c, "10.0.0.2:80,10.0.0.1:80", NULL, tried, 1), 0);
	assert_int_equal(goes_to(c, "10.0.0.2:80,10.0.0.1:80", NULL, tried, 2), -1);
	cluster_end(*state, &c);
}

static void
nobody_is_sent_to_a_host_that_is_down(void **state)
{
	struct cluster *c = cluster_of(*state, OVERRIDE(MAGLEV));

	host_cell_set(c->hosts[2]->cell, HOST_OPERATOR_DRAIN, true);
	assert_int_equal(goes_to(c, "10.0.0.3:80,10.0.0.1:80", NULL, NULL, 0), 0);
	host_cell_set(c->hosts[2]->cell, HOST_OPERATOR_DRAIN, false);
	assert_int_equal(goes_to(c, "10.0.0.3:80,10.0.0.1:80", NULL, NULL, 0), 2);
	cluster_end(*state, &c);
}

static void
subsets_may_be_within(void **state)
{
	struct cluster *c = cluster_of(*state, OVERRIDE(SUBSETS));

	assert_non_null(c->subset_config);
	assert_int_equal(goes_to(c, "10.0.0.3:80", NULL, NULL, 0), 2);
	cluster_end(*state, &c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		the_first_member_that_is_named_gets_the_request, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_further_attempt_goes_to_the_next_one, setup, teardown),
	    cmocka_unit_test_setup_teardown(nobody_is_sent_to_a_host_that_is_down, setup, teardown),
	    cmocka_unit_test_setup_teardown(subsets_may_be_within, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
