/* A control plane that lies: what it sends is refused, by name, and the members stay. */
#include "tests/integration/eds.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
	        what_is_refused_names_resource_and_field_and_changes_nothing, setup, teardown),
	    cmocka_unit_test_setup_teardown(nesting_has_an_end, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_stream_of_garbage_is_ended_and_begun_anew, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
