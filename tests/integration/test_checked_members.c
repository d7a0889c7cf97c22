/* Members from a control plane that are checked: who comes, who goes, who is used meanwhile. */
#include "tests/integration/checks.h"

#include "lib/base/mem.h"
#include "tests/harness/xds.h"

#define PANIC(percent) "    common_lb_config: {healthy_panic_threshold: {value: " percent "}"
#define CONF_CHECKED(more) CONF_MEMBERS(more PANIC("0") "}\n" CHECKS)
#define CHECKS                                                                                     \
	"    health_checks:\n"                                                                     \
	"    - {timeout: 5s, interval: 0.05s, no_traffic_interval: 0.05s, healthy_threshold: 1,"   \
	" unhealthy_threshold: 1, http_health_check: {path: /health}}\n"
#define CONF_MEMBERS(more)                                                                         \
	CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS CONF_CLUSTER(                   \
	    "plane", CONF_HOST("@HOST0@"), "    http2_protocol_options: {}\n")                     \
	"  - name: api\n"                                                                          \
	"    connect_timeout: 1s\n"                                                                \
	"    type: EDS\n" more                                                                     \
	"    eds_cluster_config:\n"                                                                \
	"      eds_config:\n"                                                                      \
	"        resource_api_version: V3\n"                                                       \
	"        api_config_source:\n"                                                             \
	"          api_type: GRPC\n"                                                               \
	"          transport_api_version: V3\n"                                                    \
	"          grpc_services: [{envoy_grpc: {cluster_name: plane}}]\n"

#define ONE 1 /* the plane is host 0 */
#define TWO 2

struct stage {
	struct scene sc;
	struct plane plane;
	struct plane_request asked;
};

static int
setup(void **state)
{
	struct stage *s = test_calloc(1, sizeof(*s));

	scene_init(&s->sc);
	plane_start(&s->sc, &s->plane);
	scene_scripted(&s->sc, "one", false);
	scene_scripted(&s->sc, "two", false);
	*state = s;
	return 0;
}

static int
teardown(void **state)
{
	struct stage *s = *state;

	scene_fini(&s->sc);
	close(s->plane.fd);
	test_free(s);
	return 0;
}

static void
say_members(struct stage *s, const char *version, unsigned first, unsigned n)
{
	plane_members(&s->plane, s->asked.stream, version, version, "api",
	    &s->sc.host_port[first], n);
	plane_wait(&s->plane, &s->asked, version, version);
	assert_false(s->asked.has_error);
}

static void
begin(struct stage *s, const char *config, unsigned first, unsigned n)
{
	scene_proxy_begin(&s->sc, config);
	plane_next(&s->plane, &s->asked);
	say_members(s, "v1", first, n);
	scene_find_ports(&s->sc);
}

static unsigned
how_many_reach(struct scene *sc, const char *name, int n)
{
	unsigned there = 0;

	for (int i = 0; i < n; i++)
		there += all_reach(sc, name, 1);
	return there;
}

static void
serving_waits_for_the_first_members_and_their_checks(void **state)
{
	struct stage *s = *state;

	script_add(&s->sc, ONE, (struct rule){.path = "/health", .delay_ms = 300, .times = 1});
	begin(s, CONF_CHECKED(""), ONE, 1);
	assert_int_equal(scene_status(&s->sc, "/"), 200);
}

static void
a_member_that_joins_gets_nothing_before_its_first_check(void **state)
{
	struct stage *s = *state;

	begin(s, CONF_CHECKED(""), ONE, 1);
	script_add(&s->sc, TWO, (struct rule){.path = "/health", .delay_ms = 400, .times = 1});
	say_members(s, "v2", ONE, 2);
	WAIT_FOR(script_of(&s->sc, TWO)->requests == 1); /* its check is under way */
	assert_true(scene_host_is(&s->sc, TWO, "/failed_active_hc"));
	assert_true(all_reach(&s->sc, "one", 20));
	WAIT_FOR(scene_host_is(&s->sc, TWO, "healthy"));
	WAIT_FOR(all_reach(&s->sc, "two", 1));
}

static void
a_member_that_left_is_used_as_long_as_its_check_passes(void **state)
{
	struct stage *s = *state;

	begin(s, CONF_CHECKED(""), ONE, 2);
	say_members(s, "v2", TWO, 1);
	WAIT_FOR(scene_host_is(&s->sc, ONE, "/pending_dynamic_removal"));
	WAIT_FOR(all_reach(&s->sc, "one", 1));
	script_add(&s->sc, ONE, (struct rule){.path = "/health", .status = 503});
	WAIT_FOR(scene_stat(&s->sc, "cluster.api.membership_total") == 1);
	WAIT_FOR(all_reach(&s->sc, "two", 10)); /* workers hear it after admin counted it */
	script_clear(&s->sc, ONE); /* and one that comes back begins anew */
	say_members(s, "v3", ONE, 2);
	WAIT_FOR(scene_host_is(&s->sc, ONE, "healthy"));
}

static void
it_leaves_at_once_when_its_health_is_to_be_ignored(void **state)
{
	struct stage *s = *state;

	begin(s, CONF_CHECKED("    ignore_health_on_host_removal: true\n"), ONE, 2);
	say_members(s, "v2", TWO, 1);
	WAIT_FOR(scene_stat(&s->sc, "cluster.api.membership_total") == 1);
	WAIT_FOR(all_reach(&s->sc, "two", 10));
	assert_stat(&s->sc, "cluster.api.health_check.failure", 0);
	assert_stat(&s->sc, "cluster.api.health_check.healthy", 1);
}

/* The control plane is gone, then the admin process, then the generation: checks and verdicts go on. */
static void
checks_go_on_without_a_control_plane(void **state)
{
	struct stage *s = *state;
	pid_t admin;
	char *out;

	begin(s, CONF_CHECKED(""), ONE, 2);
	script_add(&s->sc, ONE, (struct rule){.path = "/health", .status = 503});
	WAIT_FOR(scene_host_is(&s->sc, ONE, "/failed_active_hc"));
	plane_kill(&s->plane);
	admin = scene_child(&s->sc, "admin");
	kill(admin, SIGKILL);
	assert_true(all_reach(&s->sc, "two", 20));
	scene_wait_child(&s->sc, "admin", admin);
	assert_true(all_reach(&s->sc, "two", 20));
	WAIT_FOR(scene_host_is(&s->sc, ONE, "/failed_active_hc"));
	assert_int_equal(scene_run_tool(&s->sc, &out, "batonctl", "hot-restart", NULL), 0);
	mem_free(out);
	assert_true(all_reach(&s->sc, "two", 50));
	script_clear(&s->sc, ONE);
	WAIT_FOR(scene_host_is(&s->sc, ONE, "healthy"));
	WAIT_FOR(all_reach(&s->sc, "one", 1));
	script_add(&s->sc, TWO, (struct rule){.path = "/health", .status = 503});
	WAIT_FOR(scene_host_is(&s->sc, TWO, "/failed_active_hc"));
	assert_true(all_reach(&s->sc, "one", 20));
}

/* ---- what discovery says of their health */

enum eds_health { HEALTHY = 1, UNHEALTHY, DRAINING, TIMEOUT, DEGRADED };

/* ONE and TWO are members, in this state. */
static void
say_health(struct stage *s, const char *version, enum eds_health one, enum eds_health two)
{
	struct strb response = {0}, assignment = {0}, locality = {0};

	for (unsigned i = ONE; i <= TWO; i++) {
		struct strb socket = {0}, address = {0}, endpoint = {0}, lb = {0};

		pb_text(&socket, 2, "127.0.0.1");
		pb_number(&socket, 3, s->sc.host_port[i]);
		pb_message(&address, 1, &socket);
		pb_message(&endpoint, 1, &address);
		pb_message(&lb, 1, &endpoint);
		pb_number(&lb, 2, i == ONE ? one : two);
		pb_message(&locality, 2, &lb);
	}
	pb_text(&assignment, 1, "api");
	pb_message(&assignment, 2, &locality);
	plane_head(&response, version, PLANE_EDS_URL, version);
	plane_add(&response, PLANE_EDS_URL, &assignment);
	plane_send(&s->plane, s->asked.stream, &response);
	plane_wait(&s->plane, &s->asked, version, version);
	assert_false(s->asked.has_error);
	strb_fini(&response);
}

static void
a_control_plane_says_who_is_well(void **state)
{
	static const struct {
		enum eds_health health;
		const char *version, *flags;
	} bad[] = {
	    {UNHEALTHY, "v2", "/failed_eds_health"},
	    {DRAINING, "v3", "/failed_eds_health/eds_status_draining"},
	    {TIMEOUT, "v4", "/failed_eds_health"},
	};
	struct stage *s = *state;

	begin(s, CONF_MEMBERS(PANIC("0") "}\n"), ONE, 2);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		say_health(s, bad[i].version, bad[i].health, HEALTHY);
		WAIT_FOR(scene_host_is(&s->sc, ONE, bad[i].flags));
		WAIT_FOR(all_reach(&s->sc, "two", 20));
		assert_stat(&s->sc, "cluster.api.membership_healthy", 1);
	}
	say_health(s, "v5", HEALTHY, DEGRADED);
	WAIT_FOR(scene_host_is(&s->sc, TWO, "/degraded_eds_health"));
	WAIT_FOR(all_reach(&s->sc, "one", 1));
	/* half of the hosts are well: they take 70 %; five standard deviations */
	assert_in_range(how_many_reach(&s->sc, "one", 100), 47, 93);
	assert_stat(&s->sc, "cluster.api.membership_degraded", 1);
	say_health(s, "v6", UNHEALTHY, DEGRADED);
	WAIT_FOR(all_reach(&s->sc, "two", 20));
	say_health(s, "v7", UNHEALTHY, UNHEALTHY);
	WAIT_FOR(scene_status(&s->sc, "/") == 503);
	say_health(s, "v8", HEALTHY, UNHEALTHY);
	WAIT_FOR(all_reach(&s->sc, "one", 20));
}

struct said {
	unsigned weight[2], priority[2];
	unsigned drop_percent;
};

/* ONE and TWO in localities of their own. */
static void
say_all(struct stage *s, const char *version, struct said said)
{
	struct strb response = {0}, assignment = {0};

	pb_text(&assignment, 1, "api");
	for (unsigned i = 0; i < 2; i++) {
		struct strb socket = {0}, address = {0}, endpoint = {0}, lb = {0}, locality = {0}, weight = {0};

		pb_text(&socket, 2, "127.0.0.1");
		pb_number(&socket, 3, s->sc.host_port[ONE + i]);
		pb_message(&address, 1, &socket);
		pb_message(&endpoint, 1, &address);
		pb_message(&lb, 1, &endpoint);
		pb_number(&weight, 1, said.weight[i]);
		pb_message(&lb, 4, &weight);
		pb_message(&locality, 2, &lb);
		pb_number(&locality, 5, said.priority[i]);
		pb_message(&assignment, 2, &locality);
	}
	if (said.drop_percent) {
		struct strb percent = {0}, drop = {0}, policy = {0};

		pb_number(&percent, 1, said.drop_percent);
		pb_text(&drop, 1, "too much");
		pb_message(&drop, 2, &percent);
		pb_message(&policy, 2, &drop);
		pb_message(&assignment, 4, &policy);
	}
	plane_head(&response, version, PLANE_EDS_URL, version);
	plane_add(&response, PLANE_EDS_URL, &assignment);
	plane_send(&s->plane, s->asked.stream, &response);
	plane_wait(&s->plane, &s->asked, version, version);
	assert_false(s->asked.has_error);
	strb_fini(&response);
}

/* How many of n requests the host answered. */
static int
answered_by(struct scene *sc, const char *name, int n)
{
	int found = 0;

	while (n-- > 0) {
		struct reply r = scene_get(sc, "/");

		found += r.status == 200 && strstr(r.body, name);
		reply_free(&r);
	}
	return found;
}

static void
weights_priorities_and_drops_are_heard_live(void **state)
{
	struct stage *s = *state;
	struct reply r;
	int n;

	begin(s, CONF_MEMBERS(PANIC("0") "}\n"), ONE, 2);
	say_all(s, "v2", (struct said){.weight = {3, 1}});
	WAIT_FOR((n = answered_by(&s->sc, "one", 400)) > 260);
	assert_true(n < 340);
	say_all(s, "v3", (struct said){.weight = {3, 1}, .priority = {1, 0}});
	WAIT_FOR(answered_by(&s->sc, "two", 20) == 20);
	say_all(s, "v4", (struct said){.weight = {1, 1}, .drop_percent = 100});
	WAIT_FOR(scene_status(&s->sc, "/") == 503);
	r = scene_get(&s->sc, "/");
	assert_string_equal(r.body, "unconditional drop overload");
	assert_string_equal(reply_header(&r, "x-envoy-unconditional-drop-overload"), "true");
	reply_free(&r);
	say_all(s, "v5", (struct said){.weight = {1, 1}, .drop_percent = 50});
	WAIT_FOR(scene_status(&s->sc, "/") == 200);
	n = answered_by(&s->sc, "", 400);
	assert_true(n > 140 && n < 260);
	say_all(s, "v6", (struct said){.weight = {1, 1}});
	WAIT_FOR(answered_by(&s->sc, "", 50) == 50);
}

/* Each has a veto: a host that passes its checks is not used against the word of discovery. */
static void
a_passing_check_does_not_overrule_it(void **state)
{
	struct stage *s = *state;

	begin(s, CONF_CHECKED(""), ONE, 2);
	say_health(s, "v2", UNHEALTHY, HEALTHY);
	WAIT_FOR(scene_host_is(&s->sc, ONE, "/failed_eds_health"));
	script_add(&s->sc, TWO, (struct rule){.path = "/health", .status = 503});
	WAIT_FOR(scene_host_is(&s->sc, TWO, "/failed_active_hc"));
	assert_int_equal(scene_status(&s->sc, "/"), 503);
	say_health(s, "v3", HEALTHY, HEALTHY);
	WAIT_FOR(all_reach(&s->sc, "one", 20));
}

/* Hosts that were not asked yet are no reason for panic: with two of three new, half of all would
 * not be well. */
static void
new_members_may_be_left_out_until_they_were_asked(void **state)
{
	struct stage *s = *state;

	scene_scripted(&s->sc, "three", false);
	begin(s, CONF_MEMBERS(PANIC("50") ", ignore_new_hosts_until_first_hc: true}\n" CHECKS), ONE, 1);
	for (unsigned i = TWO; i <= TWO + 1; i++)
		script_add(&s->sc, i, (struct rule){.path = "/health", .deed = DEED_HANG, .times = 1});
	say_members(s, "v2", ONE, 3);
	WAIT_FOR(scene_host_is(&s->sc, TWO, "/failed_active_hc/pending_active_hc"));
	assert_stat(&s->sc, "cluster.api.membership_excluded", 2);
	assert_true(all_reach(&s->sc, "one", 30));
	assert_stat(&s->sc, "cluster.api.lb_healthy_panic", 0);
	script_drop(&s->sc, TWO); /* the question is lost, and so the host has failed: it counts now */
	WAIT_FOR(scene_host_is(&s->sc, TWO, "healthy"));
	WAIT_FOR(all_reach(&s->sc, "two", 1));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	    TEST(serving_waits_for_the_first_members_and_their_checks),
	    TEST(a_member_that_joins_gets_nothing_before_its_first_check),
	    TEST(a_member_that_left_is_used_as_long_as_its_check_passes),
	    TEST(checks_go_on_without_a_control_plane),
	    TEST(it_leaves_at_once_when_its_health_is_to_be_ignored),
	    TEST(a_control_plane_says_who_is_well),
	    TEST(a_passing_check_does_not_overrule_it),
	    TEST(weights_priorities_and_drops_are_heard_live),
	    TEST(new_members_may_be_left_out_until_they_were_asked),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
