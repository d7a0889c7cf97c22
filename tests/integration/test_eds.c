/* Members from a control plane: what is asked, what is answered, what stays when it lies or dies. */
#include <stdlib.h>
#include <sys/stat.h>

#include "lib/base/mem.h"
#include "tests/harness/configs.h"
#include "tests/harness/xds.h"

#define CONF_EDS(name, more)                                                                       \
	"  - name: " name "\n"                                                                     \
	"    connect_timeout: 1s\n"                                                                \
	"    type: EDS\n" more                                                                     \
	"    eds_cluster_config:\n"                                                                \
	"      eds_config:\n"                                                                      \
	"        resource_api_version: V3\n"                                                       \
	"        api_config_source:\n"                                                             \
	"          api_type: GRPC\n"                                                               \
	"          transport_api_version: V3\n"                                                    \
	"          grpc_services: [{envoy_grpc: {cluster_name: plane}}]\n"

#define CONF_PLANE                                                                                 \
	CONF_CLUSTER("plane", CONF_HOST("@HOST0@"), "    http2_protocol_options: {}\n")

#define CONF_API                                                                                   \
	CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS CONF_PLANE CONF_EDS("api", "")

struct eds_scene {
	struct scene sc;
	struct plane plane;
};

static int
setup(void **state)
{
	struct eds_scene *e = test_calloc(1, sizeof(*e));

	scene_init(&e->sc);
	plane_start(&e->sc, &e->plane);
	*state = e;
	return 0;
}

static int
teardown(void **state)
{
	struct eds_scene *e = *state;

	scene_fini(&e->sc);
	close(e->plane.fd);
	test_free(e);
	return 0;
}

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

/* Starts the proxy, answers its first request with the host, and waits until it serves. */
static void
begin_with_one_member(struct eds_scene *e, const char *config, struct plane_request *r)
{
	unsigned host = scene_origin(&e->sc, "one");

	scene_proxy_begin(&e->sc, config);
	plane_next(&e->plane, r);
	plane_members(&e->plane, r->stream, "v1", "n1", "api", &e->sc.host_port[host], 1);
	plane_wait(&e->plane, r, "v1", "n1");
	assert_false(r->has_error);
	scene_find_ports(&e->sc);
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

/* ---- a control plane that lies */

/* Sends a response; its refusal must name the old version and hold `why`. */
static void
expect_refusal(struct eds_scene *e, struct plane_request *r, struct strb *response,
    const char *nonce, const char *why)
{
	int64_t members = scene_stat(&e->sc, "cluster.api.membership_total");

	plane_send(&e->plane, r->stream, response);
	strb_fini(response);
	plane_wait(&e->plane, r, "v1", nonce);
	assert_true(r->has_error);
	assert_int_equal(r->error_code, 13);
	if (strstr(r->error, why) == NULL)
		fail_msg("'%s' is not in '%s'", why, r->error);
	assert_stat(&e->sc, "cluster.api.membership_total", members);
	assert_int_equal(scene_status(&e->sc, "/"), 200);
}

static void
what_is_refused_names_resource_and_field_and_changes_nothing(void **state)
{
	struct eds_scene *e = *state;
	struct strb response = {0}, resource = {0}, locality = {0}, lb = {0};
	const uint16_t port = 1;
	struct plane_request r;

	begin_with_one_member(e, CONF_API, &r);

	/* an endpoint without an address */
	pb_text(&resource, 1, "api");
	pb_bytes(&lb, 1, "", 0);
	pb_message(&locality, 2, &lb);
	pb_message(&resource, 2, &locality);
	plane_head(&response, "v2", PLANE_EDS_URL, "n2");
	plane_add(&response, PLANE_EDS_URL, &resource);
	expect_refusal(e, &r, &response, "n2",
	    "resource 'api': endpoints[0].lb_endpoints[0].endpoint.address: is required");

	/* a resource of another type */
	plane_assignment(&resource, "api", &port, 1);
	plane_head(&response, "v3", PLANE_EDS_URL, "n3");
	plane_add(&response, "type.googleapis.com/envoy.config.cluster.v3.Cluster", &resource);
	expect_refusal(e, &r, &response, "n3",
	    "resources[0]: is of type 'type.googleapis.com/envoy.config.cluster.v3.Cluster'");

	/* two that contradict each other */
	plane_head(&response, "v4", PLANE_EDS_URL, "n4");
	plane_assignment(&resource, "api", &port, 1);
	plane_add(&response, PLANE_EDS_URL, &resource);
	plane_assignment(&resource, "api", NULL, 0);
	plane_add(&response, PLANE_EDS_URL, &resource);
	expect_refusal(e, &r, &response, "n4", "resource 'api': stands twice in one response");

	/* bytes that are no message */
	strb_addz(&resource, "\xff\xff\xff");
	plane_head(&response, "v5", PLANE_EDS_URL, "n5");
	plane_add(&response, PLANE_EDS_URL, &resource);
	expect_refusal(e, &r, &response, "n5", "is not a packed message");

	/* the wrong type of everything */
	plane_head(&response, "v6", "type.googleapis.com/envoy.config.listener.v3.Listener", "n6");
	expect_refusal(e, &r, &response, "n6", "type_url 'type.googleapis.com/envoy.config.listener.v3");

	/* the same nonce again, now with a good one */
	plane_members(&e->plane, r.stream, "v7", "n6", "api", e->sc.host_port + 1, 1);
	plane_wait(&e->plane, &r, "v7", "n6");
	assert_false(r.has_error);
	assert_stat(&e->sc, "cluster.api.update_rejected", 5);
	assert_stat(&e->sc, "cluster.api.update_success", 2);
}

static void
nesting_has_an_end(void **state)
{
	struct eds_scene *e = *state;
	struct strb response = {0}, resource = {0}, value = {0}, lb = {0}, locality = {0};
	struct plane_request r;

	begin_with_one_member(e, CONF_API, &r);
	for (unsigned i = 0; i < 500; i++) { /* Value.list_value of Value of … */
		struct strb list = {0}, outer = {0};

		pb_message(&list, 1, &value);
		pb_message(&outer, 6, &list);
		value = outer;
	}
	{
		struct strb entry = {0}, fields = {0}, map = {0}, metadata = {0};

		pb_text(&entry, 1, "deep");
		pb_message(&entry, 2, &value);
		pb_message(&fields, 1, &entry);
		pb_text(&map, 1, "envoy.lb");
		pb_message(&map, 2, &fields);
		pb_message(&metadata, 1, &map);
		pb_message(&lb, 3, &metadata);
	}
	pb_message(&locality, 2, &lb);
	pb_text(&resource, 1, "api");
	pb_message(&resource, 2, &locality);
	plane_head(&response, "v2", PLANE_EDS_URL, "n2");
	plane_add(&response, PLANE_EDS_URL, &resource);
	expect_refusal(e, &r, &response, "n2", "messages are nested deeper than 100 levels");
}

/* What is no DiscoveryResponse at all ends the stream; the next one goes on where it was. */
static void
a_stream_of_garbage_is_ended_and_begun_anew(void **state)
{
	static const char huge[] = "\0\x7f\xff\xff\xff", compressed[] = "\1\0\0\0\1x", junk[] = "\0\0\0\0\2\xff\xff";
	static const struct {
		const char *bytes;
		size_t n;
	} rows[] = {{huge, 5}, {compressed, 6}, {junk, 7}};
	struct eds_scene *e = *state;
	struct plane_request r;
	unsigned stream;

	begin_with_one_member(e, CONF_API, &r);
	for (size_t i = 0; i < 3; i++) {
		stream = r.stream;
		plane_send_raw(&e->plane, stream, rows[i].bytes, rows[i].n);
		plane_wait(&e->plane, &r, "v1", "");
		assert_true(r.stream > stream);
		assert_int_equal(scene_status(&e->sc, "/"), 200);
	}
	assert_stat(&e->sc, "cluster.api.update_failure", 3);
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

/* ---- a file instead of a control plane */

static void
write_file(struct scene *sc, const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", sc->dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void
move_file(struct scene *sc, const char *from, const char *to)
{
	char a[128], b[128];

	snprintf(a, sizeof(a), "%s/%s", sc->dir, from);
	snprintf(b, sizeof(b), "%s/%s", sc->dir, to);
	assert_int_equal(rename(a, b), 0);
}

static char *
members_text(const char *version, uint16_t port)
{
	struct strb b = {0};

	strb_printf(&b,
	    "version_info: %s\n"
	    "resources:\n"
	    "- \"@type\": " PLANE_EDS_URL "\n"
	    "  cluster_name: api\n",
	    version);
	if (port)
		strb_printf(&b,
		    "  endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: "
		    "{address: 127.0.0.1, port_value: %u}}}}]}]\n",
		    port);
	return strb_give(&b);
}

static void
members_come_from_a_file_when_it_is_moved_into_place(void **state)
{
	struct eds_scene *e = *state;
	char *one = members_text("f1", e->sc.host_port[scene_origin(&e->sc, "one")]);
	char *none = members_text("f2", 0);

	write_file(&e->sc, "eds.yaml", one);
	scene_proxy(&e->sc,
	    CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS
	    "  - name: api\n"
	    "    type: EDS\n"
	    "    eds_cluster_config: {eds_config: {path_config_source: {path: \"@DIR@/eds.yaml\"}}}\n");
	assert_int_equal(scene_status(&e->sc, "/"), 200);

	write_file(&e->sc, "new.yaml", "resources: [{}]\n");
	move_file(&e->sc, "new.yaml", "eds.yaml");
	scene_wait_stat(&e->sc, "cluster.api.update_rejected", 1);
	assert_int_equal(scene_status(&e->sc, "/"), 200);

	write_file(&e->sc, "new.yaml", none);
	move_file(&e->sc, "new.yaml", "eds.yaml");
	WAIT_FOR(scene_status(&e->sc, "/") == 503);
	write_file(&e->sc, "new.yaml", one);
	move_file(&e->sc, "new.yaml", "eds.yaml");
	WAIT_FOR(scene_status(&e->sc, "/") == 200);
	mem_free(one);
	mem_free(none);
}

/* As kubelet swaps the directory behind a volume. */
static void
a_watched_directory_tells_of_a_swap(void **state)
{
	struct eds_scene *e = *state;
	char *one = members_text("f1", e->sc.host_port[scene_origin(&e->sc, "one")]);
	char *none = members_text("f2", 0);
	char path[128];

	for (unsigned i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/v%u", e->sc.dir, i);
		assert_int_equal(mkdir(path, 0700), 0);
		write_file(&e->sc, i ? "v1/eds.yaml" : "v0/eds.yaml", i ? none : one);
	}
	snprintf(path, sizeof(path), "%s/data", e->sc.dir);
	assert_int_equal(symlink("v0", path), 0);
	scene_proxy(&e->sc,
	    CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS
	    "  - name: api\n"
	    "    type: EDS\n"
	    "    eds_cluster_config:\n"
	    "      eds_config:\n"
	    "        path_config_source:\n"
	    "          path: \"@DIR@/data/eds.yaml\"\n"
	    "          watched_directory: {path: \"@DIR@\"}\n");
	assert_int_equal(scene_status(&e->sc, "/"), 200);
	snprintf(path, sizeof(path), "%s/data.new", e->sc.dir);
	assert_int_equal(symlink("v1", path), 0);
	move_file(&e->sc, "data.new", "data");
	WAIT_FOR(scene_status(&e->sc, "/") == 503);
	mem_free(one);
	mem_free(none);
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

/* ---- others take over */

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

static void
another_admin_goes_on_where_the_last_one_was(void **state)
{
	struct eds_scene *e = *state;
	struct plane_request r;
	pid_t old;

	begin_with_one_member(e, CONF_API, &r);
	old = scene_child(&e->sc, "admin");
	kill(old, SIGKILL);
	plane_next(&e->plane, &r);
	assert_string_equal(r.names, "api");
	assert_string_equal(r.nonce, "");
	assert_int_equal(scene_status(&e->sc, "/"), 200);
	WAIT_FOR(scene_stat(&e->sc, "cluster.api.membership_total") == 1);
	plane_members(&e->plane, r.stream, "v2", "n2", "api", NULL, 0);
	plane_wait(&e->plane, &r, "v2", "n2");
	WAIT_FOR(scene_status(&e->sc, "/") == 503);
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

/* ---- from one generation to the next */

static void
hot_restart(struct scene *sc)
{
	char *out, *pid;

	assert_int_equal(scene_run_tool(sc, &out, "batonctl", "hot-restart", NULL), 0);
	mem_free(out);
	pid = scene_file(sc, "0/pid");
	sc->proxy = (pid_t)strtol(pid, NULL, 10);
	mem_free(pid);
}

static void
the_next_generation_knows_the_members_without_asking(void **state)
{
	struct eds_scene *e = *state;
	struct plane_request r;

	begin_with_one_member(e, CONF_API, &r);
	plane_kill(&e->plane);
	hot_restart(&e->sc); /* waits until it serves: less than initial_fetch_timeout */
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(scene_status(&e->sc, "/"), 200);
	assert_stat(&e->sc, "cluster.api.init_fetch_timeout", 0);

	plane_restart(&e->plane);
	plane_next(&e->plane, &r);
	assert_string_equal(r.names, "api");
	plane_members(&e->plane, r.stream, "v2", "n2", "api", NULL, 0);
	WAIT_FOR(scene_status(&e->sc, "/") == 503);
}

static void
a_draining_generation_leaves_the_control_plane(void **state)
{
	struct eds_scene *e = *state;
	struct plane_request r;
	unsigned old;

	e->sc.extra[0] = "--parent-shutdown-time-s";
	e->sc.extra[1] = "600";
	begin_with_one_member(e, CONF_API, &r);
	old = r.stream;
	hot_restart(&e->sc);
	plane_next(&e->plane, &r);
	assert_true(r.stream > old);
	plane_wait_closed(&e->plane, old);
	plane_members(&e->plane, r.stream, "v2", "n2", "api", &e->sc.host_port[1], 1);
	plane_wait(&e->plane, &r, "v2", "n2");
	assert_int_equal(scene_status(&e->sc, "/"), 200);
}

/* ---- reloads */

#define CONF_TWO                                                                                   \
	CONF_ADMIN CONF_LISTENER("", "              - {match: {prefix: /b}, route: {cluster: b}}\n"  \
				     CONF_ROUTE_ALL)                                               \
	CONF_CLUSTERS CONF_PLANE CONF_EDS("api", "") CONF_EDS("b", "")

static void
a_reload_waits_for_the_members_of_what_it_brings(void **state)
{
	struct eds_scene *e = *state;
	unsigned other = scene_origin(&e->sc, "other");
	struct plane_request r;
	char *out;

	begin_with_one_member(e, CONF_API, &r);
	scene_write_config(&e->sc, CONF_TWO);
	kill(e->sc.proxy, SIGHUP);
	do
		plane_next(&e->plane, &r);
	while (strcmp(r.names, "api,b") != 0);
	assert_string_equal(r.version, "v1");
	assert_int_equal(scene_status(&e->sc, "/b"), 200); /* the old routes */
	plane_members(&e->plane, r.stream, "v2", "n2", "b", &e->sc.host_port[other], 1);
	scene_wait_stat(&e->sc, "cluster_manager.cluster_added", 3);
	assert_int_equal(scene_status(&e->sc, "/b"), 200);
	assert_int_equal(scene_run_tool(&e->sc, &out, "batonctl", "reload", NULL), 0);
	mem_free(out);
	assert_stat(&e->sc, "http.ingress.downstream_rq_5xx", 0);

	scene_write_config(&e->sc, CONF_API);
	assert_int_equal(scene_run_tool(&e->sc, &out, "batonctl", "reload", NULL), 0);
	mem_free(out);
	do
		plane_next(&e->plane, &r);
	while (strcmp(r.names, "api") != 0);
	assert_int_equal(scene_status(&e->sc, "/"), 200);
}

static void
a_reload_that_moves_the_control_plane_moves_the_stream(void **state)
{
	struct eds_scene *e = *state;
	struct plane_request r;
	struct plane second;
	char *out;

	begin_with_one_member(e, CONF_API, &r);
	plane_start(&e->sc, &second);
	assert_int_equal(second.host, 2);
	scene_write_config(&e->sc,
	    CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS
	        CONF_CLUSTER("plane", CONF_HOST("@HOST2@"), "    http2_protocol_options: {}\n")
	            CONF_EDS("api", ""));
	assert_int_equal(scene_run_tool(&e->sc, &out, "batonctl", "reload", NULL), 0);
	mem_free(out);
	plane_next(&second, &r);
	assert_string_equal(r.version, "v1");
	assert_string_equal(r.nonce, "");
	assert_int_equal(scene_status(&e->sc, "/"), 200);
	plane_members(&second, r.stream, "v2", "n2", "api", NULL, 0);
	plane_wait(&second, &r, "v2", "n2");
	WAIT_FOR(scene_status(&e->sc, "/") == 503);
	close(second.fd);
}

/* ---- the end, in the middle of it */

#define MANY 2000

static void
send_many(struct eds_scene *e, unsigned stream, unsigned turn)
{
	uint16_t ports[MANY];
	char version[16];

	snprintf(version, sizeof(version), "many%u", turn);
	for (unsigned i = 0; i < MANY; i++)
		ports[i] = (uint16_t)(20000 + i + turn % 2 * MANY);
	plane_members(&e->plane, stream, version, version, "api", ports, MANY);
}

static void
an_end_while_members_are_taken_leaves_nothing_behind(void **state)
{
	struct eds_scene *e = *state;
	struct plane_request r;
	char *log;

	begin_with_one_member(e, CONF_API, &r);
	for (unsigned turn = 0; turn < 8; turn++)
		send_many(e, r.stream, turn);
	plane_next(&e->plane, &r); /* several may be answered by one */
	kill(e->sc.proxy, SIGTERM);
	assert_int_equal(scene_wait_exit(&e->sc), 0);
	log = scene_log(&e->sc);
	assert_null(strstr(log, "ERROR: AddressSanitizer"));
	mem_free(log);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(the_first_request_says_who_asks_for_what, setup, teardown),
	    cmocka_unit_test_setup_teardown(an_accepted_version_is_acknowledged_and_used, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_control_plane_may_be_found_by_name, setup, teardown),
	    cmocka_unit_test_setup_teardown(
	        what_is_refused_names_resource_and_field_and_changes_nothing, setup, teardown),
	    cmocka_unit_test_setup_teardown(nesting_has_an_end, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_stream_of_garbage_is_ended_and_begun_anew, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_is_left_out_of_a_response_stays, setup, teardown),
	    cmocka_unit_test_setup_teardown(members_stay_while_the_control_plane_is_gone, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_silent_control_plane_holds_nobody_for_ever, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_cluster_may_be_left_out_of_the_wait, setup, teardown),
	    cmocka_unit_test_setup_teardown(ads_asks_for_all_names_on_one_stream, setup, teardown),
	    cmocka_unit_test_setup_teardown(
	        members_come_from_a_file_when_it_is_moved_into_place, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_watched_directory_tells_of_a_swap, setup, teardown),
	    cmocka_unit_test_setup_teardown(updates_fail_no_request, setup, teardown),
	    cmocka_unit_test_setup_teardown(members_that_nobody_confirms_are_dropped, setup, teardown),
	    cmocka_unit_test_setup_teardown(
	        the_next_service_is_asked_when_one_does_not_answer, setup, teardown),
	    cmocka_unit_test_setup_teardown(another_admin_goes_on_where_the_last_one_was, setup, teardown),
	    cmocka_unit_test_setup_teardown(requests_that_come_too_fast_wait, setup, teardown),
	    cmocka_unit_test_setup_teardown(
	        the_next_generation_knows_the_members_without_asking, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_draining_generation_leaves_the_control_plane, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_reload_waits_for_the_members_of_what_it_brings, setup, teardown),
	    cmocka_unit_test_setup_teardown(
	        a_reload_that_moves_the_control_plane_moves_the_stream, setup, teardown),
	    cmocka_unit_test_setup_teardown(
	        an_end_while_members_are_taken_leaves_nothing_behind, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
