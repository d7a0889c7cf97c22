/* The model of members: identity over updates and reloads, what observers hear, what the journal says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "admin/blocks.h"
#include "admin/config/store.h"
#include "admin/discovery/members.h"
#include "conf/diag.h"
#include "conf/load.h"
#include "lib/base/mem.h"
#include "lib/base/task.h"
#include "lib/ipc/journal.h"
#include "shm/lane.h"

struct stage {
	struct members m;
	struct journal *journal;
	struct strb heard;
	VEC(struct store) stores;
};

/* ---- an observer */

static void
hear_cluster(struct stage *s, const char *what, const struct member_cluster *c)
{
	strb_printf(&s->heard, "%s" STR_FMT " ", what, STR_ARG(c->name));
}

static void
on_cluster_added(void *arg, struct member_cluster *c)
{
	hear_cluster(arg, "+", c);
}

static void
on_cluster_changed(void *arg, struct member_cluster *c)
{
	hear_cluster(arg, "~", c);
}

static void
on_cluster_removed(void *arg, struct member_cluster *c)
{
	assert_int_equal(c->members.len, 0);
	hear_cluster(arg, "-", c);
}

static void
hear(struct stage *s, const char *what, const struct member *x)
{
	strb_printf(&s->heard, "%s" STR_FMT " ", what, STR_ARG(x->address));
}

static void
on_added(void *arg, struct member *x)
{
	assert_non_null(x->cell);
	hear(arg, "+", x);
}

static void
on_changed(void *arg, struct member *x, const struct endpoint *before)
{
	assert_false(endpoint_same(before, &x->endpoint));
	hear(arg, "~", x);
}

static void
on_removed(void *arg, struct member *x)
{
	hear(arg, "-", x);
}

static const struct members_events events = {
    .cluster_added = on_cluster_added,
    .cluster_changed = on_cluster_changed,
    .cluster_removed = on_cluster_removed,
    .added = on_added,
    .changed = on_changed,
    .removed = on_removed,
};

#define HEARD(s, want)                                                                             \
	do {                                                                                       \
		assert_string_equal(strb_z(&(s)->heard), want);                                    \
		strb_reset(&(s)->heard);                                                           \
	} while (0)

#define COUNTED(counter) ((int)(counter).raw)

/* ---- the stage */

static int
setup(void **state)
{
	struct stage *s = mem_new(struct stage);
	struct err err;

	members_init(&s->m);
	s->m.segment = lane_private();
	s->m.segment->on_demand = false;
	assert_int_equal(block_publish(s->m.segment, SCOPE_baton, STR("baton."), &err), 0);
	s->m.serial = 100;
	s->journal = journal_new(NULL);
	members_observe(&s->m, &events, s);
	*state = s;
	return 0;
}

static int
teardown(void **state)
{
	struct stage *s = *state;

	members_fini(&s->m);
	for (size_t i = 0; i < s->stores.len; i++)
		store_fini(&s->stores.at[i]);
	vec_fini(&s->stores);
	journal_free(&s->journal);
	strb_fini(&s->heard);
	mem_free(s);
	return 0;
}

static struct conf *
parse(const char *clusters)
{
	char *text = mem_printf(
	    "node: {locality: {zone: here}}\ncluster_manager: {local_cluster_name: %s}\n"
	    "static_resources: {clusters: [%s]}",
	    strstr(clusters, "{name: siblings,") ? "siblings" : "''", clusters);
	struct conf_source src = {.inline_yaml = text};
	struct strb out = {0};
	struct conf *conf;
	struct diag diag;

	diag_init(&diag);
	if (conf_load(&conf, &src, &diag) < 0) {
		diag_print(&diag, &out, false);
		fail_msg("%s", strb_z(&out));
	}
	diag_fini(&diag);
	mem_free(text);
	return conf;
}

/* discovered: its members come from elsewhere. */
static struct store *
store_of(struct stage *s, const char *clusters, bool discovered)
{
	struct store *store;

	vec_reserve(&s->stores, 16);
	store = vec_push(&s->stores);
	store_init(store);
	store_take(store, parse(clusters), 1);
	for (size_t i = 0; discovered && i < store->clusters.len; i++)
		store->clusters.at[i].assignment = NULL;
	return store;
}

#define AT(address) "{endpoint: {address: {socket_address: {address: " address ", port_value: 80}}}}"
#define AT_WEIGHT(address, weight)                                                                 \
	"{load_balancing_weight: " weight                                                          \
	", endpoint: {address: {socket_address: {address: " address ", port_value: 80}}}}"
#define CLUSTER(name, endpoints)                                                                   \
	"{name: " name ", load_assignment: {cluster_name: " name                                   \
	", endpoints: [{lb_endpoints: [" endpoints "]}]}}"

static void
reload(struct stage *s, const char *clusters, bool discovered)
{
	struct store *next = store_of(s, clusters, discovered);
	struct err err = {""};

	if (members_prepare(&s->m, next, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(members_write(&s->m, s->journal, next, &err), 0);
	members_accept(&s->m, next);
	members_before_use(&s->m);
	members_written(&s->m, true);
}

/* What a source says of cluster `api`. */
static int
replace(struct stage *s, const char *endpoints, struct err *err)
{
	char *text = mem_printf("{name: api, load_assignment: {cluster_name: api, endpoints: [{lb_endpoints: [%s]}]}}", endpoints);
	struct conf *conf = parse(text);
	int bad = members_replace(&s->m, members_cluster(&s->m, STR("api")),
	    conf_bootstrap(conf)->static_resources->clusters[0]->load_assignment, err);

	conf_free(&conf);
	mem_free(text);
	return bad;
}

static void
announce(struct stage *s)
{
	struct err err;

	assert_int_equal(members_write(&s->m, s->journal, NULL, &err), 0);
	members_before_use(&s->m);
	members_written(&s->m, true);
	assert_false(members_are_dirty(&s->m));
}

static struct member *
member(struct stage *s, const char *address)
{
	return member_find(members_cluster(&s->m, STR("api")), str_of(address));
}

/* ---- sentences */

static void
a_reload_keeps_members_of_the_same_address(void **state)
{
	struct stage *s = *state;
	struct member *one;

	reload(s, CLUSTER("api", AT("10.0.0.1") "," AT("10.0.0.2")), false);
	HEARD(s, "+api +10.0.0.1:80 +10.0.0.2:80 ");
	one = member(s, "10.0.0.1:80");
	one->check = s;
	host_cell_set(one->cell, HOST_OPERATOR_DRAIN, true);
	reload(s, CLUSTER("api", AT_WEIGHT("10.0.0.1", "3") "," AT("10.0.0.3")), false);
	HEARD(s, "~10.0.0.1:80 +10.0.0.3:80 -10.0.0.2:80 ");
	assert_ptr_equal(member(s, "10.0.0.1:80"), one);
	assert_ptr_equal(one->check, s);
	assert_int_equal(one->endpoint.weight, 3);
	assert_true(host_cell_flags(one->cell) & HOST_OPERATOR_DRAIN);
	assert_int_equal(COUNTED(one->cluster->stats->membership_change), 2);
	assert_false(members_are_dirty(&s->m)); /* the reload wrote it */
	reload(s, "{name: api, connect_timeout: 3s, load_assignment: {cluster_name: api, endpoints: [{lb_endpoints: [" AT_WEIGHT("10.0.0.1", "3") "," AT("10.0.0.3") "]}]}}", false);
	HEARD(s, "~api ");
	reload(s, CLUSTER("other", ""), false);
	HEARD(s, "+other -10.0.0.3:80 -10.0.0.1:80 -api ");
}

static void
what_is_dropped_leaves_nothing(void **state)
{
	struct stage *s = *state;
	struct err err;

	reload(s, CLUSTER("api", AT("10.0.0.1")), false);
	strb_reset(&s->heard);
	assert_int_equal(members_prepare(&s->m,
	                     store_of(s, CLUSTER("api", AT("10.0.0.2")) "," CLUSTER("new", AT("10.0.0.9")), false),
	                     &err),
	    0);
	HEARD(s, "+new +10.0.0.9:80 ");
	members_drop(&s->m);
	HEARD(s, "-10.0.0.9:80 -new ");
	assert_non_null(member(s, "10.0.0.1:80"));
	assert_null(members_cluster(&s->m, STR("new")));
}

static void
a_source_replaces_all_members(void **state)
{
	struct stage *s = *state;
	struct member_cluster *c;
	struct err err;

	reload(s, "{name: api, load_assignment: {cluster_name: api}}", true);
	c = members_cluster(&s->m, STR("api"));
	assert_int_equal(c->warming, 1);
	assert_int_equal(members_warming(&s->m), 1);
	assert_int_equal(replace(s, AT("10.0.0.1") "," AT("10.0.0.2"), &err), 0);
	assert_int_equal(c->warming, 0);
	assert_true(members_are_dirty(&s->m));
	announce(s);
	assert_int_equal(replace(s, AT("10.0.0.2") "," AT("10.0.0.1"), &err), 0);
	assert_false(members_are_dirty(&s->m));
	assert_int_equal(COUNTED(c->stats->update_success), 2);
	assert_int_equal(COUNTED(c->stats->update_no_rebuild), 1);
	strb_reset(&s->heard);
	assert_int_equal(replace(s, AT_WEIGHT("10.0.0.3", "2"), &err), 0);
	HEARD(s, "+10.0.0.3:80 -10.0.0.2:80 -10.0.0.1:80 ");
	assert_int_equal(COUNTED(c->stats->membership_change), 2);
	members_count(&s->m);
	assert_int_equal(stat_gauge_value(c->stats->membership_total.raw), 1);
	assert_int_equal(stat_gauge_value(c->stats->max_host_weight.raw), 2);
}

static bool
counts_zone(struct stage *s, const char *prefix)
{
	return map_getz(&s->m.segment->index[SCOPE_cluster_codes], prefix) != NULL;
}

#define IN_ZONE(zone, address) "{locality: {zone: " zone "}, lb_endpoints: [" AT(address) "]}"
#define CLUSTER_OF_ZONES(name, zones)                                                              \
	"{name: " name ", load_assignment: {cluster_name: " name ", endpoints: [" zones "]}}"

static void
responses_can_be_counted_by_zone_from_its_first_member_to_the_end(void **state)
{
	struct stage *s = *state;

	reload(s, CLUSTER_OF_ZONES("api", IN_ZONE("here", "10.0.0.1")), false);
	assert_true(counts_zone(s, "cluster.api.zone.here.here."));
	assert_false(counts_zone(s, "cluster.api.zone.here.there."));
	reload(s,
	    CLUSTER_OF_ZONES("api", IN_ZONE("here", "10.0.0.1") "," IN_ZONE("there", "10.0.0.2")),
	    false);
	assert_true(counts_zone(s, "cluster.api.zone.here.there."));
	reload(s, CLUSTER_OF_ZONES("api", IN_ZONE("here", "10.0.0.1")), false);
	assert_true(counts_zone(s, "cluster.api.zone.here.there.")); /* numbers stay */
	reload(s,
	    "{name: api, alt_stat_name: other, load_assignment: {cluster_name: api, endpoints: "
	    "[" IN_ZONE("here", "10.0.0.1") "]}}",
	    false);
	assert_true(counts_zone(s, "cluster.other.zone.here.here."));
	assert_false(counts_zone(s, "cluster.api.zone.here.here."));
	reload(s, CLUSTER("siblings", ""), false);
	assert_false(counts_zone(s, "cluster.other.zone.here.here."));
	assert_false(counts_zone(s, "cluster.other.zone.here.there."));
}

static void
the_local_cluster_has_one_priority(void **state)
{
	struct stage *s = *state;
	struct err err = {""};
	Envoy__Config__Endpoint__V3__ClusterLoadAssignment *a;
	struct conf *conf;

	reload(s, CLUSTER("siblings", AT("10.0.0.1")), true);
	conf = parse("{name: x, load_assignment: {cluster_name: x, endpoints: [{priority: 1, "
		     "lb_endpoints: [" AT("10.0.0.1") "]}]}}");
	a = conf_bootstrap(conf)->static_resources->clusters[0]->load_assignment;
	assert_int_equal(
	    members_replace(&s->m, members_cluster(&s->m, STR("siblings")), a, &err), -1);
	assert_string_equal(err.text,
	    "endpoints: all members of the local cluster must be of priority 0, not 1");
	conf_free(&conf);
}

static void
a_member_that_passes_its_check_outlives_discovery(void **state)
{
	struct stage *s = *state;
	struct member *one;
	struct err err;

	reload(s, "{name: api, load_assignment: {cluster_name: api}}", true);
	assert_int_equal(replace(s, AT("10.0.0.1") "," AT("10.0.0.2"), &err), 0);
	one = member(s, "10.0.0.1:80");
	one->checked = true;
	member(s, "10.0.0.2:80")->checked = true;
	host_cell_set(member(s, "10.0.0.2:80")->cell, HOST_FAILED_ACTIVE_HC, true);
	announce(s);
	assert_int_equal(replace(s, AT("10.0.0.3"), &err), 0);
	assert_null(member(s, "10.0.0.2:80")); /* it failed */
	assert_true(one->leaving);
	assert_true(host_cell_flags(one->cell) & HOST_PENDING_REMOVAL);
	assert_int_equal(replace(s, AT("10.0.0.3") "," AT("10.0.0.1"), &err), 0);
	assert_false(one->leaving); /* back */
	assert_int_equal(replace(s, AT("10.0.0.3"), &err), 0);
	announce(s);
	members_checked(&s->m, one);
	assert_true(one->leaving);
	host_cell_set(one->cell, HOST_FAILED_ACTIVE_HC, true);
	members_checked(&s->m, one);
	assert_null(member(s, "10.0.0.1:80"));
	assert_true(members_are_dirty(&s->m));
}

/* Another admin, with this journal. */
static void
read_again(struct stage *s, struct stage *other)
{
	struct store *store;
	struct err err = {""};

	members_init(&other->m);
	other->m.segment = s->m.segment;
	other->m.keep_verdicts = true;
	store = store_of(other, "{name: api, load_assignment: {cluster_name: api}}", true);
	assert_int_equal(members_prepare(&other->m, store, &err), 0);
	assert_int_equal(members_load(&other->m, s->journal, journal_size(s->journal), &err), 0);
	members_accept(&other->m, store);
}

static void
expect_same(struct stage *s, struct stage *other)
{
	struct member_cluster *c = members_cluster(&s->m, STR("api"));
	struct member_cluster *d = members_cluster(&other->m, STR("api"));

	assert_int_equal(d->members.len, c->members.len);
	assert_int_equal(d->warming, 0);
	assert_true(other->m.serial >= s->m.serial);
	for (size_t i = 0; i < c->members.len; i++) {
		const struct member *x = c->members.at[i], *y = member_find(d, x->address);

		assert_non_null(y);
		assert_true(endpoint_same(&x->endpoint, &y->endpoint));
		assert_int_equal(x->number, y->number);
	}
	members_fini(&other->m);
	for (size_t i = 0; i < other->stores.len; i++)
		store_fini(&other->stores.at[i]);
	vec_fini(&other->stores);
}

static void
another_admin_reads_the_same_members(void **state)
{
	struct stage *s = *state, other = {0};
	char one[500], two[200];
	struct err err;

	reload(s, "{name: api, load_assignment: {cluster_name: api}}", true);
	for (unsigned i = 1; i <= 30; i++) {
		snprintf(one, sizeof(one), "{endpoint: {address: {socket_address: {address: 10.0.%u.1, port_value: 80}}, hostname: h%u, health_check_config: {port_value: %u}}}", i % 5, i % 3, i);
		snprintf(two, sizeof(two), "{endpoint: {address: {socket_address: {address: 10.1.%u.1, port_value: 80}}}, metadata: {filter_metadata: {envoy.lb: {canary: true}}}}", i % 7);
		if (i % 2)
			strcat(strcat(one, ", "), two);
		assert_int_equal(replace(s, one, &err), 0);
		announce(s);
	}
	read_again(s, &other);
	expect_same(s, &other);
}

/* ---- in slices */

struct slow_source {
	struct stage *s;
	const Envoy__Config__Endpoint__V3__ClusterLoadAssignment *assignment;
};

static void
replace_slowly(void *arg)
{
	struct slow_source *from = arg;
	struct err err;

	assert_int_equal(members_replace(&from->s->m, members_cluster(&from->s->m, STR("api")),
	                     from->assignment, &err),
	    0);
}

/* What is retired was said to be gone. */
static void
use_barrier(struct stage *s)
{
	struct err err;

	assert_int_equal(members_write(&s->m, s->journal, NULL, &err), 0);
	members_before_use(&s->m);
	assert_int_equal(members_cluster(&s->m, STR("api"))->book.removed.len, 0);
	members_written(&s->m, true);
}

/* Members from … to - 1; the barrier is used whenever the source breathes, but for the first breaths.
 * How often it breathed. */
static unsigned
replace_in_slices(struct stage *s, unsigned from, unsigned to, unsigned quiet)
{
	struct strb text = {0};
	struct slow_source source = {.s = s};
	struct task *t = task_new(replace_slowly, &source);
	struct conf *conf;
	unsigned slices = 0;

	strb_addz(&text, "{name: api, load_assignment: {cluster_name: api, endpoints: [{lb_endpoints: [");
	for (unsigned i = from; i < to; i++)
		strb_printf(&text, "{endpoint: {address: {socket_address: {address: 10.0.%u.1, port_value: 80}}}}%s",
		    i, i + 1 < to ? ", " : "");
	strb_addz(&text, "]}]}}");
	conf = parse(strb_z(&text));
	source.assignment = conf_bootstrap(conf)->static_resources->clusters[0]->load_assignment;
	for (; task_run(t, 0); slices++)
		if (slices >= quiet)
			use_barrier(s);
	task_free(&t);
	conf_free(&conf);
	strb_fini(&text);
	return slices;
}

static void
the_barrier_goes_on_while_members_are_replaced(void **state)
{
	static const struct {
		unsigned from, to, quiet;
	} rows[] = {{0, 200, 0}, {100, 250, 0}, {0, 120, 0}, {0, 0, 0}, {50, 100, 0}, {40, 200, 0},
	    {200, 250, 99}, {0, 200, 16}, {200, 250, 99}, {0, 200, 20}, {200, 250, 99}, {0, 200, 24}};
	struct stage *s = *state, other = {0};
	const void *none = block_shared(SCOPE_host, STR("nobody|"));

	reload(s, "{name: api, load_assignment: {cluster_name: api}}", true);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct member_cluster *c = members_cluster(&s->m, STR("api"));

		assert_true(replace_in_slices(s, rows[i].from, rows[i].to, rows[i].quiet) > 5 || rows[i].to == 0);
		assert_int_equal(c->members.len, rows[i].to - rows[i].from);
		for (size_t k = 0; k < c->members.len; k++) { /* each has a block of its own */
			assert_ptr_equal(c->members.at[k]->cell,
			    block_shared(SCOPE_host, c->members.at[k]->prefix));
			assert_ptr_not_equal(c->members.at[k]->cell, none);
		}
	}
	use_barrier(s);
	read_again(s, &other);
	expect_same(s, &other);
}

static void
a_wrong_assignment_changes_nothing(void **state)
{
	struct stage *s = *state;
	Envoy__Config__Endpoint__V3__LocalityLbEndpoints *l;
	struct err err = {""};
	struct conf *conf;

	reload(s, "{name: api, load_assignment: {cluster_name: api}}", true);
	assert_int_equal(replace(s, AT("10.0.0.1"), &err), 0);
	strb_reset(&s->heard);
	conf = parse(CLUSTER("api", AT("10.0.0.2") "," AT("10.0.0.3")));
	l = conf_bootstrap(conf)->static_resources->clusters[0]->load_assignment->endpoints[0];
	l->priority = MEMBER_PRIORITIES;
	assert_int_equal(members_replace(&s->m, members_cluster(&s->m, STR("api")),
	                     conf_bootstrap(conf)->static_resources->clusters[0]->load_assignment, &err),
	    -1);
	assert_string_equal(err.text, "endpoints[0].lb_endpoints[0]: priority 129 is above 128");
	HEARD(s, "");
	assert_non_null(member(s, "10.0.0.1:80"));
	conf_free(&conf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		a_reload_keeps_members_of_the_same_address, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_is_dropped_leaves_nothing, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_source_replaces_all_members, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		responses_can_be_counted_by_zone_from_its_first_member_to_the_end, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_local_cluster_has_one_priority, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_member_that_passes_its_check_outlives_discovery, setup, teardown),
	    cmocka_unit_test_setup_teardown(another_admin_reads_the_same_members, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		the_barrier_goes_on_while_members_are_replaced, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_wrong_assignment_changes_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
