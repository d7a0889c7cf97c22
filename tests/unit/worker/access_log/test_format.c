/*
 * Text and JSON formats over one request.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "google/protobuf/struct.pb-c.h"
#include "lib/base/assert.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/http/headers.h"
#include "lib/net/address.h"
#include "worker/access_log/format.h"
#include "worker/hcm/stream_info.h"

struct scene {
	struct arena a;
	struct stream_info info;
	struct headers request, response;
	struct address upstream, remote, local;
	struct strb out;
};

static int
set_up(void **state)
{
	struct scene *sc = mem_new(struct scene);
	struct stream_info *i = &sc->info;

	arena_init(&sc->a);
	headers_init(&sc->request, &sc->a);
	headers_init(&sc->response, &sc->a);
	headers_add_id(&sc->request, HDR_METHOD, STR("GET"));
	headers_add_id(&sc->request, HDR_PATH, STR("/a?b"));
	headers_add_id(&sc->request, HDR_AUTHORITY, STR("example.com"));
	headers_add_id(&sc->request, HDR_USER_AGENT, STR("curl/8 \"x\""));
	headers_add(&sc->request, STR("x-empty"), STR(""));
	headers_add(&sc->request, STR("x-twice"), STR("one"));
	headers_add(&sc->request, STR("x-twice"), STR("two"));
	headers_add(&sc->request, STR("x-lines"), STR("a\nb\r\tc"));
	headers_add_id(&sc->response, HDR_X_ENVOY_UPSTREAM_SERVICE_TIME, STR("7"));
	assert_int_equal(address_parse(&sc->upstream, STR("10.0.0.1:80"), NULL), 0);
	assert_int_equal(address_parse(&sc->remote, STR("[::1]:5000"), NULL), 0);
	assert_int_equal(address_parse(&sc->local, STR("/run/x.sock"), NULL), 0);
	i->request = &sc->request;
	i->response = &sc->response;
	i->start_wall_ns = 1786259165ull * NS_PER_S + 12345678;
	i->start_ns = 5 * NS_PER_S;
	i->request_done_ns = i->start_ns + 3 * NS_PER_MS;
	i->end_ns = i->start_ns + 12 * NS_PER_MS + 999999;
	i->protocol = HTTP_11;
	i->status = 200;
	i->bytes_in = 3;
	i->bytes_out = 1234567;
	i->details = STR("via_upstream");
	i->route_name = STR("r1");
	i->cluster_name = STR("api");
	i->upstream = &sc->upstream;
	i->remote = &sc->remote;
	i->direct_remote = &sc->remote;
	i->local = &sc->local;
	i->connection_id = 42;
	i->hostname = "box";
	*state = sc;
	return 0;
}

static int
tear_down(void **state)
{
	struct scene *sc = *state;

	strb_fini(&sc->out);
	arena_fini(&sc->a);
	mem_free(sc);
	return 0;
}

static const char *
written(struct scene *sc, const struct format *f)
{
	strb_reset(&sc->out);
	format_write(f, &sc->info, &sc->out);
	return strb_z(&sc->out);
}

static const char *
text(struct scene *sc, const char *format)
{
	struct format *f;
	struct err err = {""};

	if (format_compile(&f, str_of(format), &sc->a, &err) < 0)
		fail_msg("%s: %s", format, err.text);
	return written(sc, f);
}

static void
the_default_line_is_envoys(void **state)
{
	assert_string_equal(text(*state, format_default_text),
	    "[2026-08-09T07:06:05.012Z] \"GET /a?b HTTP/1.1\" 200 - 3 1234567 12 7 \"-\" "
	    "\"curl/8 \"x\"\" \"-\" \"example.com\" \"10.0.0.1:80\"\n");
}

static void
operators_print_what_is_known(void **state)
{
	static const struct {
		const char *format, *text;
	} rows[] = {
		{"", ""},
		{"100%%", "100%"},
		{"%%REQ(:METHOD)%%", "%REQ(:METHOD)%"},
		{"%REQ(:method)%", "GET"},
		{"%REQ(HOST)%", "example.com"},
		{"%REQ(X-NONE)%", "-"},
		{"%REQ(X-NONE?:PATH)%", "/a?b"},
		{"%REQ(X-EMPTY?:PATH)%", ""},
		{"%REQ(X-NONE?X-NONE-TOO)%", "-"},
		{"%REQ(X-TWICE)%", "one"},
		{"%REQ(:AUTHORITY):7%", "example"},
		{"%REQ(:AUTHORITY):700%", "example.com"},
		{"%REQ(X-LINES)%", "a b \tc"},
		{"%RESP(x-envoy-upstream-service-time)%", "7"},
		{"%PROTOCOL%", "HTTP/1.1"},
		{"%RESPONSE_CODE% %RESPONSE_CODE_DETAILS%", "200 via_upstream"},
		{"%RESPONSE_FLAGS%%RESPONSE_FLAGS_LONG%", "--"},
		{"%BYTES_RECEIVED%/%BYTES_SENT%", "3/1234567"},
		{"%DURATION% %REQUEST_DURATION% %RESPONSE_DURATION%", "12 3 -"},
		{"%UPSTREAM_HOST% %UPSTREAM_CLUSTER%", "10.0.0.1:80 api"},
		{"%ROUTE_NAME% %CONNECTION_ID% %HOSTNAME%", "r1 42 box"},
		{"%UPSTREAM_TRANSPORT_FAILURE_REASON%", "-"},
		{"%CONNECTION_TERMINATION_DETAILS%", "-"},
		{"%DOWNSTREAM_REMOTE_ADDRESS%", "[::1]:5000"},
		{"%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%", "::1"},
		{"%DOWNSTREAM_LOCAL_ADDRESS%", "/run/x.sock"},
		{"%START_TIME(%s)%", "1786259165"},
		{"%START_TIME(a%nb%tc)%", "a b\tc"},
		{"fifteen letters%PROTOCOL%", "fifteen lettersHTTP/1.1"},
		{"sixteen letters.%PROTOCOL%", "sixteen letters.HTTP/1.1"},
		{"a literal of more than sixteen bytes %PROTOCOL% and one behind it, too",
		    "a literal of more than sixteen bytes HTTP/1.1 and one behind it, too"},
		{"%START_TIME(%Y %3f)%.", "2026 012."},
	};

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(text(*state, rows[i].format), rows[i].text);
}

static void
control_bytes_end_no_line(void **state)
{
	const char *s = text(*state, "%REQ(X-LINES)%");

	assert_null(strchr(s, '\n'));
	assert_null(strchr(s, '\r'));
}

static void
flags_stand_in_the_order_of_the_table(void **state)
{
	struct scene *sc = *state;

	sc->info.flags = FLAG_DC | FLAG_UT | FLAG_DO;
	assert_string_equal(text(sc, "%RESPONSE_FLAGS%"), "UT,DC,DO");
	assert_string_equal(text(sc, "%RESPONSE_FLAGS_LONG%"),
	    "UpstreamRequestTimeout,DownstreamConnectionTermination,DropOverload");
	sc->info.flags = UINT32_MAX >> (32 - RESPONSE_FLAGS);
	assert_true(strlen(text(sc, "%RESPONSE_FLAGS_LONG%")) < 256); /* cut, whole names only */
}

static void
a_stream_that_is_known_by_nothing_prints_dashes(void **state)
{
	struct scene *sc = *state;

	sc->info = (struct stream_info){.protocol = HTTP_2};
	assert_string_equal(text(sc, format_default_text),
	    "[1970-01-01T00:00:00.000Z] \"- - HTTP/2\" 0 - 0 0 - - \"-\" \"-\" \"-\" \"-\" \"-\"\n");
}

static void
bad_formats_are_refused(void **state)
{
	static const char *const rows[] = {
		"%", "%%%", "%NOPE%", "%REQ%", "%REQ()%", "%REQ(x", "%REQ(x)", "%REQ(x):%",
		"%REQ(x):y%", "%PROTOCOL(x)%", "%PROTOCOL:5%", "%START_TIME", "%req(x)%", "a % b",
	};
	struct scene *sc = *state;

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct err err = {""};
		struct format *f;

		if (format_compile(&f, str_of(rows[i]), &sc->a, &err) == 0)
			fail_msg("'%s' was taken", rows[i]);
		assert_true(err.text[0]);
	}
}

static void
missing_text_may_be_left_out(void **state)
{
	static const struct format_options omit = {.omit_empty = true};
	struct scene *sc = *state;
	struct format *f;

	assert_int_equal(
	    format_compile_text(&f, STR("<%REQ(X-NONE)%|%ROUTE_NAME%>"), &omit, &sc->a, NULL), 0);
	assert_string_equal(written(sc, f), "<|r1>");
}

/* ---- JSON */

static Google__Protobuf__Struct *
new_struct(struct scene *sc, size_t most)
{
	Google__Protobuf__Struct *s = arena_new(&sc->a, Google__Protobuf__Struct);

	google__protobuf__struct__init(s);
	s->fields = arena_zalloc(&sc->a, most * sizeof(*s->fields));
	return s;
}

static Google__Protobuf__Value *
add(struct scene *sc, Google__Protobuf__Struct *s, const char *key)
{
	Google__Protobuf__Struct__FieldsEntry *e =
	    arena_new(&sc->a, Google__Protobuf__Struct__FieldsEntry);

	google__protobuf__struct__fields_entry__init(e);
	e->key = arena_dup(&sc->a, key, strlen(key));
	e->value = arena_new(&sc->a, Google__Protobuf__Value);
	google__protobuf__value__init(e->value);
	s->fields[s->n_fields++] = e;
	return e->value;
}

static void
add_string(struct scene *sc, Google__Protobuf__Struct *s, const char *key, const char *format)
{
	Google__Protobuf__Value *v = add(sc, s, key);

	v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
	v->string_value = arena_dup(&sc->a, format, strlen(format));
}

static Google__Protobuf__Struct *
sample(struct scene *sc)
{
	Google__Protobuf__Struct *s = new_struct(sc, 10), *inner = new_struct(sc, 2);
	Google__Protobuf__Value *v;

	add_string(sc, s, "status", "%RESPONSE_CODE%");
	add_string(sc, s, "agent", "%REQ(USER-AGENT)%");
	add_string(sc, s, "none", "%REQ(X-NONE)%");
	add_string(sc, s, "both", "%REQ(X-NONE)% %RESPONSE_CODE%");
	add_string(sc, s, "fixed", "100%%");
	v = add(sc, s, "n");
	v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
	v->number_value = 1.5;
	v = add(sc, s, "nested");
	v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE;
	v->struct_value = inner;
	add_string(sc, inner, "route", "%ROUTE_NAME%");
	v = add(sc, inner, "b");
	v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE;
	v->bool_value = true;
	return s;
}

static void
json_keeps_types_and_order(void **state)
{
	static const struct {
		struct format_options options;
		const char *line;
	} rows[] = {
		{{false, false},
		    "{\"status\":200,\"agent\":\"curl/8 \\\"x\\\"\",\"none\":null,\"both\":\"- 200\","
		    "\"fixed\":\"100%\",\"n\":1.5,\"nested\":{\"route\":\"r1\",\"b\":true}}\n"},
		{{true, false},
		    "{\"status\":200,\"agent\":\"curl/8 \\\"x\\\"\",\"both\":\" 200\","
		    "\"fixed\":\"100%\",\"n\":1.5,\"nested\":{\"route\":\"r1\",\"b\":true}}\n"},
		{{false, true},
		    "{\"agent\":\"curl/8 \\\"x\\\"\",\"both\":\"- 200\",\"fixed\":\"100%\","
		    "\"n\":1.5,\"nested\":{\"b\":true,\"route\":\"r1\"},\"none\":null,"
		    "\"status\":200}\n"},
	};
	struct scene *sc = *state;

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct format *f;
		struct err err = {""};

		assert_int_equal(
		    format_compile_json(&f, sample(sc), &rows[i].options, &sc->a, &err), 0);
		assert_string_equal(written(sc, f), rows[i].line);
	}
}

static void
control_bytes_are_escaped_in_json(void **state)
{
	static const struct format_options plain;
	struct scene *sc = *state;
	Google__Protobuf__Struct *s = new_struct(sc, 1);
	struct format *f;

	add_string(sc, s, "x", "%REQ(X-LINES)%");
	assert_int_equal(format_compile_json(&f, s, &plain, &sc->a, NULL), 0);
	assert_string_equal(written(sc, f), "{\"x\":\"a\\nb\\r\\tc\"}\n");
}

static void
values_of_any_length_fit(void **state)
{
	struct scene *sc = *state;
	char name[5000];

	memset(name, 'x', sizeof(name));
	for (size_t n = 0; n < sizeof(name); n = n * 3 + 1) {
		struct strb want = {0};

		sc->info.route_name = str_make(name, n);
		strb_printf(&want, "<%.*s> 200", (int)(n ? n : 1), n ? name : "-");
		strb_fini(&sc->out);
		assert_string_equal(text(sc, "<%ROUTE_NAME%> %RESPONSE_CODE%"), strb_z(&want));
		strb_fini(&want);
	}
}

static void
a_bad_operator_in_json_names_its_key(void **state)
{
	static const struct format_options plain;
	struct scene *sc = *state;
	Google__Protobuf__Struct *s = new_struct(sc, 1);
	struct err err = {""};
	struct format *f;

	add_string(sc, s, "who", "%NOPE%");
	assert_int_equal(format_compile_json(&f, s, &plain, &sc->a, &err), -1);
	assert_string_equal(err.text, "'who': unknown operator %NOPE%");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_default_line_is_envoys),
		TEST(operators_print_what_is_known),
		TEST(control_bytes_end_no_line),
		TEST(flags_stand_in_the_order_of_the_table),
		TEST(a_stream_that_is_known_by_nothing_prints_dashes),
		TEST(bad_formats_are_refused),
		TEST(missing_text_may_be_left_out),
		TEST(values_of_any_length_fit),
		TEST(json_keeps_types_and_order),
		TEST(control_bytes_are_escaped_in_json),
		TEST(a_bad_operator_in_json_names_its_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
