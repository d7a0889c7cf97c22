#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "conf/check.h"
#include "conf/diag.h"
#include "conf/message.h"
#include "conf/where.h"
#include "envoy/config/cluster/v3/cluster.pb-c.h"
#include "envoy/extensions/filters/http/router/v3/router.pb-c.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb-c.h"
#include "google/protobuf/any.pb-c.h"
#include "google/protobuf/struct.pb-c.h"
#include "lib/base/err.h"

#define CLUSTER (&envoy__config__cluster__v3__cluster__descriptor)

static void
packed_messages_come_back(void **state)
{
	Envoy__Config__Cluster__V3__Cluster c = ENVOY__CONFIG__CLUSTER__V3__CLUSTER__INIT;
	const Envoy__Config__Cluster__V3__Cluster *back;
	struct strb bytes = {0};
	struct arena a;
	struct err err;

	arena_init(&a);
	c.name = "api";
	c.lb_policy = ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__RANDOM;
	message_pack(&c.base, &bytes);
	back = (void *)message_unpack(&a, CLUSTER, strb_str(&bytes), &err);
	assert_non_null(back);
	assert_string_equal(back->name, "api");
	assert_int_equal(back->lb_policy, c.lb_policy);
	strb_fini(&bytes);
	back = (void *)message_unpack(&a, CLUSTER, STR(""), &err);
	assert_string_equal(back->name, "");
	arena_fini(&a);
}

/* Struct in Struct in Struct, innermost first. */
static void
nest(struct strb *out, unsigned levels)
{
	struct strb inner = {0}, more = {0};

	for (unsigned i = 0; i < levels; i++) {
		static const char tags[] = {
		    0x2a, 0x12, 0x0a}; /* Value.struct_value, entry.value, Struct.fields */

		for (int k = 0; k < 3; k++) {
			strb_reset(&more);
			strb_addc(&more, tags[k]);
			for (size_t n = inner.n;; n >>= 7) {
				strb_addc(&more, (char)(n > 127 ? (n & 127) | 128 : n));
				if (n <= 127)
					break;
			}
			strb_adds(&more, strb_str(&inner));
			strb_reset(&inner);
			strb_adds(&inner, strb_str(&more));
		}
	}
	strb_adds(out, strb_str(&inner));
	strb_fini(&inner);
	strb_fini(&more);
}

static void
deep_and_numerous_messages_are_refused_before_unpacking(void **state)
{
	struct strb bytes = {0};
	struct arena a;
	struct err err;

	arena_init(&a);
	nest(&bytes, 30);
	assert_non_null(
	    message_unpack(&a, &google__protobuf__struct__descriptor, strb_str(&bytes), &err));
	strb_reset(&bytes);
	nest(&bytes, 2000);
	assert_null(
	    message_unpack(&a, &google__protobuf__struct__descriptor, strb_str(&bytes), &err));
	assert_non_null(strstr(err.text, "nested deeper"));
	strb_reset(&bytes);
	strb_reserve(&bytes, 8u << 20);
	while (bytes.n < 8u << 20) /* empty dns_resolvers: two bytes and a tag byte each */
		strb_add(&bytes, "\x92\x01\x00", 3);
	assert_null(message_unpack(&a, CLUSTER, strb_str(&bytes), &err));
	assert_non_null(strstr(err.text, "messages in one"));
	strb_fini(&bytes);
	arena_fini(&a);
}

static void
a_map_entry_without_a_value_has_the_empty_one(void **state)
{
	const Google__Protobuf__Struct *s;
	struct arena a;
	struct err err;

	arena_init(&a);
	s = (const void *)message_unpack(
	    &a, &google__protobuf__struct__descriptor, STR("\x0a\x03\x0a\x01k"), &err);
	assert_non_null(s);
	assert_string_equal(s->fields[0]->key, "k");
	assert_non_null(s->fields[0]->value);
	arena_fini(&a);
}

static void
broken_bytes_are_no_message(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} rows[] = {
	    {"\x0a", 1},
	    {"\x0a\x05"
	     "ab",
		4},
	    {"\x00\x00", 2},
	    {"\x0b", 1},
	    {"\x0f", 1},
	    {"\x31", 1},
	    {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11},
	    {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10},
	    {"\x30", 1},
	};
	struct arena a;

	arena_init(&a);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err = {{0}};

		assert_null(message_unpack(&a, CLUSTER, str_make(rows[i].bytes, rows[i].n), &err));
		assert_true(err.text[0] != '\0');
	}
	arena_fini(&a);
}

static void
an_any_is_opened_as_what_it_should_be_or_not_at_all(void **state)
{
	const ProtobufCMessageDescriptor *router =
	    &envoy__extensions__filters__http__router__v3__router__descriptor;
	Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
	const Envoy__Extensions__Filters__Http__Router__V3__Router *r;
	struct arena a;
	struct err err;

	arena_init(&a);
	any.type_url = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
	any.value.data = (uint8_t *)"\x20\x01";
	any.value.len = 2;
	r = (const void *)any_open(&a, &any.base, router, &err);
	assert_non_null(r);
	assert_true(r->suppress_envoy_headers);
	assert_ptr_equal(any_open(&a, &any.base, NULL, &err)->descriptor, router);
	assert_ptr_equal(any_open(&a, NULL, router, &err)->descriptor, router);
	assert_null(any_open(&a, NULL, NULL, &err));
	assert_null(any_open(&a, &any.base, CLUSTER, &err));
	assert_non_null(strstr(err.text, "not 'envoy.config.cluster.v3.Cluster'"));
	any.type_url = "type.googleapis.com/acme.Unknown";
	assert_null(any_open(&a, &any.base, NULL, &err));
	any.type_url = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC";
	assert_null(any_open(&a, &any.base, NULL, &err));
	arena_fini(&a);
}

/* Checks a packed message as one that came by wire; gives the errors as text. */
static char *
check_packed(const ProtobufCMessageDescriptor *type, struct str bytes)
{
	struct strb text = {0};
	struct arena a;
	struct diag diag;
	struct err err;
	struct check c = {.diag = &diag, .arena = &a};
	struct where w = {.index = -1};
	ProtobufCMessage *m;

	arena_init(&a);
	diag_init(&diag);
	m = message_unpack(&a, type, bytes, &err);
	assert_non_null(m);
	check_message(&c, m, &w);
	check_fini(&c);
	diag_print(&diag, &text, true);
	diag_fini(&diag);
	arena_fini(&a);
	return strb_give(&text);
}

static void
binary_messages_are_checked_like_texts(void **state)
{
	char *text = check_packed(CLUSTER, STR("\x0a\x01x\x30\x06\xd2\x02\x00\xca\xbb\x3f\x01y"));

	/* lb_policy 6 (CLUSTER_PROVIDED), lrs_server (42), and a field that nobody knows. */
	assert_non_null(
	    strstr(text, "error: lb_policy: CLUSTER_PROVIDED is known to Envoy but not supported"));
	assert_non_null(strstr(text, "error: lrs_server: known to Envoy but not supported"));
	assert_non_null(strstr(text, "needs a load_assignment"));
	assert_null(strstr(text, "unknown"));
	free(text);
}

static void
messages_that_hold_themselves_end_somewhere(void **state)
{
	const char *url = "type.googleapis.com/envoy.extensions.filters.network."
			  "http_connection_manager.v3.HttpConnectionManager";
	struct strb inner = {0};
	char *text;

	for (int i = 0; i < 150; i++) { /* an HCM whose HTTP filter is an HCM … */
		Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__HttpConnectionManager h =
		    ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__HTTP_CONNECTION_MANAGER__INIT;
		Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__HttpFilter
		    f = ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__HTTP_FILTER__INIT,
		    *fp = &f;
		Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
		struct strb outer = {0};

		any.type_url = (char *)url;
		any.value.data = (uint8_t *)inner.p;
		any.value.len = inner.n;
		f.config_type_case = 4;
		f.typed_config = &any;
		h.n_http_filters = 1;
		h.http_filters = &fp;
		message_pack(&h.base, &outer);
		strb_fini(&inner);
		inner = outer;
	}
	text = check_packed(
	    &envoy__extensions__filters__network__http_connection_manager__v3__http_connection_manager__descriptor,
	    strb_str(&inner));
	assert_non_null(strstr(text, "is no HTTP filter"));
	free(text);
	strb_fini(&inner);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(packed_messages_come_back),
	    cmocka_unit_test(deep_and_numerous_messages_are_refused_before_unpacking),
	    cmocka_unit_test(a_map_entry_without_a_value_has_the_empty_one),
	    cmocka_unit_test(broken_bytes_are_no_message),
	    cmocka_unit_test(an_any_is_opened_as_what_it_should_be_or_not_at_all),
	    cmocka_unit_test(binary_messages_are_checked_like_texts),
	    cmocka_unit_test(messages_that_hold_themselves_end_somewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
