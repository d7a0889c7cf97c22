/* DiscoveryResponses, good and bad: each resource is judged for itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin/xds/response.h"
#include "conf/diag.h"
#include "conf/message.h"
#include "conf/node.h"
#include "conf/where.h"

/* The packed form of a response written as YAML. */
static void
pack(const char *yaml, struct strb *out)
{
	struct arena a;
	struct document *doc;
	struct diag diag;
	struct message_build b = {.arena = &a, .diag = &diag};
	struct where root = {.index = -1};
	ProtobufCMessage *m;

	arena_init(&a);
	diag_init(&diag);
	m = message_new(&a, &envoy__service__discovery__v3__discovery_response__descriptor);
	assert_int_equal(yaml_parse(&a, "test", str_of(yaml), &doc, &diag), 0);
	root.doc = doc;
	root.node = doc->root;
	root.type = m->descriptor;
	message_merge(&b, m, doc->root, &root);
	assert_int_equal(diag.errors, 0);
	message_pack(m, out);
	diag_fini(&diag);
	arena_fini(&a);
}

#define CLA "\"@type\": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
#define AT(port)                                                                                   \
	"{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: " port "}}}}"

/* The reasons, and the names of what is sound: "a b|reasons". */
static void
assert_judged(const char *yaml, const char *want)
{
	struct strb packed = {0}, got = {0}, reasons = {0};
	struct xds_response r;
	struct err err = {""};

	pack(yaml, &packed);
	assert_int_equal(xds_response_open(&r, strb_str(&packed), &err), 0);
	xds_response_judge(&r, XDS_EDS);
	for (size_t i = 0; i < r.resources.len; i++)
		if (r.resources.at[i].message)
			strb_printf(&got, "%s" STR_FMT, got.n ? " " : "", STR_ARG(r.resources.at[i].name));
	xds_response_reasons(&r, &reasons);
	strb_printf(&got, "|%s", strb_z(&reasons));
	assert_string_equal(strb_z(&got), want);
	xds_response_fini(&r);
	strb_fini(&packed);
	strb_fini(&got);
	strb_fini(&reasons);
}

static void
each_resource_is_judged_for_itself(void **state)
{
	static const struct {
		const char *yaml, *want;
	} rows[] = {
	    {"{}", "|"},
	    {"resources: [{" CLA ", cluster_name: a}, {" CLA
	     ", cluster_name: b, endpoints: [{lb_endpoints: [" AT("80") "]}]}]",
	        "a b|"},
	    {"resources: [{" CLA "}]", "|resources[0]: cluster_name: is required"},
	    {"resources: [{" CLA ", cluster_name: a}, {" CLA
	     ", cluster_name: b, endpoints: [{lb_endpoints: [" AT("70000") "]}]}]",
	        "a|resource 'b': endpoints[0].lb_endpoints[0].endpoint.address.socket_address.port_value: "
	        "must be from 0 to 65535, not 70000"},
	    {"resources: [{" CLA ", cluster_name: a}, {" CLA ", cluster_name: a}, {" CLA
	     ", cluster_name: b}]",
	        "b|resource 'a': stands twice in one response; resource 'a': stands twice in one response"},
	    {"resources: [{\"@type\": type.googleapis.com/envoy.service.discovery.v3.Resource, name: a, "
	     "version: \"7\", resource: {" CLA ", cluster_name: a}}]",
	        "a|"},
	    {"resources: [{\"@type\": type.googleapis.com/envoy.service.discovery.v3.Resource, name: a}]",
	        "|resource 'a': a Resource without a resource"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_judged(rows[i].yaml, rows[i].want);
}

static void
versions_are_the_resources_own_when_they_have_one(void **state)
{
	struct strb packed = {0};
	struct xds_response r;

	pack("version_info: all\n"
	     "resources: [{\"@type\": type.googleapis.com/envoy.service.discovery.v3.Resource, name: a, "
	     "version: \"7\", resource: {" CLA ", cluster_name: a}}, {" CLA ", cluster_name: b}]",
	    &packed);
	assert_int_equal(xds_response_open(&r, strb_str(&packed), NULL), 0);
	xds_response_judge(&r, XDS_EDS);
	assert_true(str_eqz(xds_response_find(&r, STR("a"))->version, "7"));
	assert_true(str_eqz(xds_response_find(&r, STR("b"))->version, "all"));
	assert_null(xds_response_find(&r, STR("c")));
	xds_response_fini(&r);
	strb_fini(&packed);
}

static void
types_are_found_by_what_stands_behind_the_last_slash(void **state)
{
	assert_int_equal(
	    xds_type_by_url(STR("type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment")),
	    XDS_EDS);
	assert_int_equal(xds_type_by_url(STR("envoy.config.endpoint.v3.ClusterLoadAssignment")), XDS_EDS);
	assert_int_equal(xds_type_by_url(STR("type.googleapis.com/envoy.config.cluster.v3.Cluster")), -1);
	assert_string_equal(
	    xds_type_later(STR("type.googleapis.com/envoy.config.cluster.v3.Cluster")), "CDS");
	assert_null(xds_type_later(STR("nobody")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_resource_is_judged_for_itself),
	    cmocka_unit_test(versions_are_the_resources_own_when_they_have_one),
	    cmocka_unit_test(types_are_found_by_what_stands_behind_the_last_slash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
