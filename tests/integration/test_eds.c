/*
 * Members from a control plane: what is asked, what is answered, and what
 * stays while it is silent or gone.  What is refused:
 * test_eds_refusals.c.  From a file instead: test_eds_file.c.  Over admins,
 * generations and reloads: test_eds_succession.c.
 */
#include "tests/integration/eds.h"

static void
the_first_request_says_who_asks_for_what(void **state)
{
	struct eds_scene *e = *state;
	struct plane_request r;

	scene_proxy_begin(&e->sc, CONF_API);
	plane_next(&e->plane, &r);
	assert_string_equal(r.path, PLANE_EDS_PATH);
	assert_string_equal(r.type_url, PLANE_EDS_URL);
	assert_string_equal(r.names, "api");
	assert_string_equal(r.version, "");
	assert_string_equal(r.nonce, "");
	assert_string_equal(r.node_id, "test-node");
	assert_string_equal(r.node_cluster, "test-cluster");
	assert_string_equal(r.user_agent, "baton");
	assert_false(r.has_error);
}

static bool
admin_says(struct eds_scene *e, const char *path, const char *text)
{
	struct reply r = scene_admin(&e->sc, "GET", path);
	bool found = r.status == 200 && strstr(r.body, text) != NULL;

	reply_free(&r);
	return found;
}

static void
an_accepted_version_is_acknowledged_and_used(void **state)
{
	struct eds_scene *e = *state;
	struct plane_request r;

	begin_with_one_member(e, CONF_API, &r);
	assert_string_equal(r.names, "api");
	assert_string_equal(r.type_url, PLANE_EDS_URL);
	assert_true(r.has_node);
	assert_int_equal(scene_status(&e->sc, "/"), 200);
	assert_stat(&e->sc, "cluster.api.membership_total", 1);
	assert_stat(&e->sc, "cluster.api.update_success", 1);
	assert_stat(&e->sc, "cluster.api.update_rejected", 0);
	assert_stat(&e->sc, "cluster.api.control_plane.connected_state", 1);
	assert_stat(&e->sc, "cluster.api.control_plane.pending_requests", 0);
	assert_stat(&e->sc, "cluster.api.init_fetch_timeout", 0);
	assert_true(admin_says(e, "/stats?filter=api.version_text", "cluster.api.version_text: \"v1\""));
	assert_true(admin_says(e, "/config_dump?include_eds&resource=dynamic_endpoint_configs",
	    "\"version_info\": \"v1\""));
	assert_true(admin_says(e, "/config_dump?include_eds", "\"cluster_name\": \"api\""));
	assert_false(admin_says(e, "/config_dump", "dynamic_endpoint_configs"));
	assert_true(admin_says(e, "/init_dump", "{}"));
}

/* Its name is asked first: nothing is tried, and counted as failed, before the answer. */
static void
a_control_plane_may_be_found_by_name(void **state)
{
	struct eds_scene *e = *state;
	struct plane_request r;

	begin_with_one_member(e,
	    CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS
	    "  - name: plane\n    connect_timeout: 1s\n    type: STRICT_DNS\n    dns_lookup_family: V4_ONLY\n"
	    "    http2_protocol_options: {}\n    load_assignment:\n      cluster_name: plane\n"
	    "      endpoints:\n      - lb_endpoints:\n        - endpoint: {address: {socket_address: "
	    "{address: localhost, port_value: @HOST0@}}}\n" CONF_EDS("api", ""), &r);
	assert_int_equal(scene_status(&e->sc, "/"), 200);
	assert_stat(&e->sc, "cluster.api.update_failure", 0);
	assert_stat(&e->sc, "cluster.plane.membership_total", 1);
}

static void
what_is_left_out_of_a_response_stays(void **state)
{
	struct eds_scene *e = *state;
	struct strb response = {0};
	const uint16_t port = 1;
	struct plane_request r;

	begin_with_one_member(e, CONF_API, &r);
	plane_members(&e->plane, r.stream, "v2", "n2", "somebody-else", &port, 1);
	plane_wait(&e->plane, &r, "v2", "n2");
	assert_false(r.has_error);
	plane_head(&response, "v3", PLANE_EDS_URL, "n3");
	plane_send(&e->plane, r.stream, &response);
	strb_fini(&response);
	plane_wait(&e->plane, &r, "v3", "n3");
	assert_false(r.has_error);
	assert_stat(&e->sc, "cluster.api.update_empty", 1);
	assert_stat(&e->sc, "cluster.api.membership_total", 1);
	assert_int_equal(scene_status(&e->sc, "/"), 200);

	/* named, without endpoints: that is emptiness */
	plane_members(&e->plane, r.stream, "v4", "n4", "api", NULL, 0);
	plane_wait(&e->plane, &r, "v4", "n4");
	WAIT_FOR(scene_status(&e->sc, "/") == 503);
	WAIT_FOR(scene_stat(&e->sc, "cluster.api.membership_total") == 0);
}

/* ---- a control plane that dies, or says nothing */

static void
members_stay_while_the_control_plane_is_gone(void **state)
{
	struct eds_scene *e = *state;
	struct plane_request r;

	begin_with_one_member(e, CONF_API, &r);
	plane_kill(&e->plane);
	WAIT_FOR(scene_stat(&e->sc, "cluster.api.control_plane.connected_state") == 0);
	scene_wait_stat(&e->sc, "cluster.api.update_failure", 2);
	assert_int_equal(scene_status(&e->sc, "/"), 200);

	plane_restart(&e->plane);
	plane_next(&e->plane, &r);
	assert_string_equal(r.version, "v1");
	assert_string_equal(r.nonce, "");
	assert_string_equal(r.names, "api");
	plane_members(&e->plane, r.stream, "v2", "m1", "api", NULL, 0);
	plane_wait(&e->plane, &r, "v2", "m1");
	WAIT_FOR(scene_status(&e->sc, "/") == 503);
	assert_stat(&e->sc, "cluster.api.control_plane.connected_state", 1);
}

static void
a_silent_control_plane_holds_nobody_for_ever(void **state)
{
	struct eds_scene *e = *state;
	struct reply waiting;
	struct plane_request r;

	scene_proxy_begin(&e->sc, CONF_API "        initial_fetch_timeout: 2s\n");
	plane_next(&e->plane, &r);
	assert_int_equal(scene_admin_status(&e->sc, "GET", "/ready"), 503);
	waiting = scene_admin(&e->sc, "GET", "/init_dump");
	assert_non_null(strstr(waiting.body, "target Cluster api"));
	reply_free(&waiting);
	scene_find_ports(&e->sc);
	assert_stat(&e->sc, "cluster.api.init_fetch_timeout", 1);
	assert_int_equal(scene_status(&e->sc, "/"), 503);
	plane_members(&e->plane, r.stream, "v1", "n1", "api", &e->sc.host_port[scene_origin(&e->sc, "late")], 1);
	WAIT_FOR(scene_status(&e->sc, "/") == 200);
}

static void
a_cluster_may_be_left_out_of_the_wait(void **state)
{
	struct eds_scene *e = *state;
	struct plane_request r;

	scene_proxy_begin(&e->sc, CONF_API "        initial_fetch_timeout: 0s\n"
					   "    wait_for_warm_on_init: false\n");
	scene_find_ports(&e->sc); /* live, though the control plane said nothing */
	plane_next(&e->plane, &r);
	assert_int_equal(scene_status(&e->sc, "/"), 503);
	plane_members(&e->plane, r.stream, "v1", "n1", "api", &e->sc.host_port[scene_origin(&e->sc, "late")], 1);
	WAIT_FOR(scene_status(&e->sc, "/") == 200);
}

static void
the_next_service_is_asked_when_one_does_not_answer(void **state)
{
	struct eds_scene *e = *state;
	unsigned dead = e->sc.hosts++;
	int fd = scene_refusing_port(&e->sc.host_port[dead]);
	unsigned host = scene_origin(&e->sc, "one");
	struct plane_request r;

	assert_int_equal(dead, 1);
	scene_proxy_begin(&e->sc,
	    CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS CONF_PLANE
	        CONF_CLUSTER("dead", CONF_HOST("@HOST1@"), "    http2_protocol_options: {}\n")
	    "  - name: api\n"
	    "    type: EDS\n"
	    "    eds_cluster_config:\n"
	    "      eds_config:\n"
	    "        api_config_source:\n"
	    "          api_type: GRPC\n"
	    "          transport_api_version: V3\n"
	    "          grpc_services:\n"
	    "          - {envoy_grpc: {cluster_name: dead}}\n"
	    "          - {envoy_grpc: {cluster_name: plane}}\n");
	plane_next(&e->plane, &r);
	plane_members(&e->plane, r.stream, "v1", "n1", "api", &e->sc.host_port[host], 1);
	plane_wait(&e->plane, &r, "v1", "n1");
	scene_find_ports(&e->sc);
	assert_int_equal(scene_status(&e->sc, "/"), 200);
	assert_true(scene_stat(&e->sc, "cluster.api.update_failure") >= 1);
	close(fd);
}

/* ---- several on one stream */

#define CONF_ADS                                                                                   \
	CONF_ADMIN                                                                                 \
	"dynamic_resources:\n"                                                                     \
	"  ads_config:\n"                                                                          \
	"    api_type: GRPC\n"                                                                     \
	"    transport_api_version: V3\n"                                                          \
	"    set_node_on_first_message_only: true\n"                                               \
	"    grpc_services: [{envoy_grpc: {cluster_name: plane}}]\n"                               \
	CONF_LISTENER("", "              - {match: {prefix: /b}, route: {cluster: b}}\n"           \
			  "              - {match: {prefix: /}, route: {cluster: a}}\n")           \
	CONF_CLUSTERS CONF_PLANE                                                                   \
	"  - {name: a, type: EDS, eds_cluster_config: {eds_config: {ads: {}}}}\n"                  \
	"  - {name: b, type: EDS, eds_cluster_config: {service_name: bee, eds_config: {ads: {}}}}\n"

static void
ads_asks_for_all_names_on_one_stream(void **state)
{
	struct eds_scene *e = *state;
	unsigned one = scene_origin(&e->sc, "one"), two = scene_origin(&e->sc, "two");
	struct strb response = {0}, resource = {0};
	struct plane_request r;

	scene_proxy_begin(&e->sc, CONF_ADS);
	plane_next(&e->plane, &r);
	assert_string_equal(r.path, PLANE_ADS_PATH);
	assert_string_equal(r.type_url, PLANE_EDS_URL);
	assert_string_equal(r.names, "a,bee");
	assert_true(r.has_node);

	/* one of them good, the other not: each for itself */
	plane_head(&response, "v1", PLANE_EDS_URL, "n1");
	plane_assignment(&resource, "a", &e->sc.host_port[one], 1);
	plane_add(&response, PLANE_EDS_URL, &resource);
	pb_text(&resource, 1, "bee");
	pb_bytes(&resource, 2, "\x12\x00", 2);
	plane_add(&response, PLANE_EDS_URL, &resource);
	plane_send(&e->plane, r.stream, &response);
	strb_fini(&response);
	plane_wait(&e->plane, &r, "", "n1");
	assert_true(r.has_error);
	assert_non_null(strstr(r.error, "resource 'bee': "));
	assert_false(r.has_node); /* said once */

	plane_members(&e->plane, r.stream, "v2", "n2", "bee", &e->sc.host_port[two], 1);
	plane_wait(&e->plane, &r, "v2", "n2");
	assert_false(r.has_error);
	scene_find_ports(&e->sc);
	WAIT_FOR(scene_status(&e->sc, "/b") == 200);
	assert_int_equal(scene_status(&e->sc, "/"), 200);
	assert_stat(&e->sc, "cluster.b.update_rejected", 1);
	assert_stat(&e->sc, "cluster.a.update_rejected", 0);
	assert_stat(&e->sc, "control_plane.connected_state", 1);

	/* what nobody asked for is not answered */
	plane_head(&response, "v9", "type.googleapis.com/envoy.config.cluster.v3.Cluster", "n9");
	plane_send(&e->plane, r.stream, &response);
	strb_fini(&response);
	assert_true(plane_is_quiet(&e->plane, 200));
}

/* ---- while clients are served */

static void
updates_fail_no_request(void **state)
{
	struct eds_scene *e = *state;
	uint16_t ports[3];
	struct plane_request r;
	char version[16], nonce[16];
	unsigned asked = 0;

	begin_with_one_member(e, CONF_API, &r);
	ports[0] = e->sc.host_port[1];
	ports[1] = e->sc.host_port[scene_origin(&e->sc, "two")];
	ports[2] = e->sc.host_port[scene_origin(&e->sc, "three")];
	for (unsigned i = 0; i < 30; i++) {
		snprintf(version, sizeof(version), "w%u", i);
		snprintf(nonce, sizeof(nonce), "k%u", i);
		plane_members(&e->plane, r.stream, version, nonce, "api", ports + i % 3, 1 + (i % 3 == 0));
		for (unsigned k = 0; k < 20; k++, asked++)
			assert_int_equal(scene_status(&e->sc, "/"), 200);
		plane_wait(&e->plane, &r, version, nonce);
	}
	assert_stat(&e->sc, "http.ingress.downstream_rq_2xx", asked);
	assert_stat(&e->sc, "http.ingress.downstream_rq_5xx", 0);
	assert_stat(&e->sc, "cluster.api.update_success", 31);
}

/* ---- age */

static void
members_that_nobody_confirms_are_dropped(void **state)
{
	struct eds_scene *e = *state;
	struct strb response = {0}, resource = {0}, policy = {0}, age = {0};
	struct plane_request r;

	begin_with_one_member(e, CONF_API, &r);
	plane_assignment(&resource, "api", &e->sc.host_port[1], 1);
	pb_number(&age, 2, 300000000); /* 0.3 s */
	pb_message(&policy, 4, &age);
	pb_message(&resource, 4, &policy);
	plane_head(&response, "v2", PLANE_EDS_URL, "n2");
	plane_add(&response, PLANE_EDS_URL, &resource);
	plane_send(&e->plane, r.stream, &response);
	strb_fini(&response);
	plane_wait(&e->plane, &r, "v2", "n2");
	assert_false(r.has_error);
	scene_wait_stat(&e->sc, "cluster.api.assignment_stale", 1);
	assert_stat(&e->sc, "cluster.api.assignment_timeout_received", 1);
	WAIT_FOR(scene_status(&e->sc, "/") == 503);
	plane_members(&e->plane, r.stream, "v3", "n3", "api", &e->sc.host_port[1], 1);
	WAIT_FOR(scene_status(&e->sc, "/") == 200);
	assert_stat(&e->sc, "cluster.api.assignment_stale", 1);
}

static void
requests_that_come_too_fast_wait(void **state)
{
	struct eds_scene *e = *state;
	struct plane_request r;
	char version[16], nonce[16];

	begin_with_one_member(e,
	    CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS CONF_PLANE CONF_EDS("api", "")
	    "          rate_limit_settings: {max_tokens: 3, fill_rate: 20}\n",
	    &r);
	for (unsigned i = 0; i < 500; i++) { /* some may be answered together */
		snprintf(version, sizeof(version), "w%u", i);
		snprintf(nonce, sizeof(nonce), "k%u", i);
		plane_members(&e->plane, r.stream, version, nonce, "api", &e->sc.host_port[1], 1);
		if (i % 10 == 9 &&
		    scene_stat(&e->sc, "cluster.api.control_plane.rate_limit_enforced") > 0)
			break;
	}
	plane_wait(&e->plane, &r, version, nonce);
	assert_true(scene_stat(&e->sc, "cluster.api.control_plane.rate_limit_enforced") >= 1);
	assert_int_equal(scene_status(&e->sc, "/"), 200);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(the_first_request_says_who_asks_for_what, setup, teardown),
	    cmocka_unit_test_setup_teardown(an_accepted_version_is_acknowledged_and_used, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_control_plane_may_be_found_by_name, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_is_left_out_of_a_response_stays, setup, teardown),
	    cmocka_unit_test_setup_teardown(members_stay_while_the_control_plane_is_gone, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_silent_control_plane_holds_nobody_for_ever, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_cluster_may_be_left_out_of_the_wait, setup, teardown),
	    cmocka_unit_test_setup_teardown(ads_asks_for_all_names_on_one_stream, setup, teardown),
	    cmocka_unit_test_setup_teardown(updates_fail_no_request, setup, teardown),
	    cmocka_unit_test_setup_teardown(members_that_nobody_confirms_are_dropped, setup, teardown),
	    cmocka_unit_test_setup_teardown(
	        the_next_service_is_asked_when_one_does_not_answer, setup, teardown),
	    cmocka_unit_test_setup_teardown(requests_that_come_too_fast_wait, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
