#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/data_source.h"
#include "conf/dump.h"
#include "conf/message.h"
#include "envoy/config/core/v3/base.pb-c.h"
#include "envoy/config/route/v3/route.pb-c.h"
#include "google/protobuf/duration.pb-c.h"
#include "google/protobuf/wrappers.pb-c.h"
#include "lib/base/err.h"
#include "lib/base/json_out.h"

static void
assert_dumps(const ProtobufCMessage *m, struct dump_options o, const char *expected)
{
	struct strb text = {0};
	struct json_out j;

	json_out_init(&j, &text, false);
	conf_dump(&j, m, &o);
	assert_string_equal(strb_z(&text), expected);
	strb_fini(&text);
}

static void
well_known_messages_have_their_own_forms(void **state)
{
	static const struct {
		int64_t seconds;
		int32_t nanos;
		const char *out;
	} rows[] = {
	    {6, 0, "\"6s\""},
	    {0, 250000000, "\"0.250s\""},
	    {1, 1000, "\"1.000001s\""},
	    {0, 1, "\"0.000000001s\""},
	    {-1, -500000000, "\"-1.500s\""},
	    {0, -1, "\"-0.000000001s\""},
	    {0, 0, "\"0s\""},
	};
	Google__Protobuf__UInt64Value u = GOOGLE__PROTOBUF__UINT64_VALUE__INIT;
	Google__Protobuf__BytesValue b = GOOGLE__PROTOBUF__BYTES_VALUE__INIT;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		Google__Protobuf__Duration d = GOOGLE__PROTOBUF__DURATION__INIT;

		d.seconds = rows[i].seconds;
		d.nanos = rows[i].nanos;
		assert_dumps(&d.base, (struct dump_options){0}, rows[i].out);
	}
	u.value = UINT64_MAX;
	assert_dumps(&u.base, (struct dump_options){0}, "\"18446744073709551615\"");
	b.value.data = (uint8_t *)"\xff\xfe\xfd\xfc";
	b.value.len = 4;
	assert_dumps(&b.base, (struct dump_options){0}, "\"//79/A==\"");
}

static void
what_is_not_set_is_left_out_unless_asked_for(void **state)
{
	Envoy__Config__Core__V3__HeaderValueOption o =
	    ENVOY__CONFIG__CORE__V3__HEADER_VALUE_OPTION__INIT;

	assert_dumps(&o.base, (struct dump_options){0}, "{}");
	assert_dumps(&o.base, (struct dump_options){.defaults = true},
	    "{\"append_action\":\"APPEND_IF_EXISTS_OR_ADD\",\"keep_empty_value\":false}");
	o.append_action = 99;
	assert_dumps(&o.base, (struct dump_options){.type = "t/x"},
	    "{\"@type\":\"t/x\",\"append_action\":99}");
}

static void
files_are_inlined_and_the_rest_is_shared(void **state)
{
	Envoy__Config__Core__V3__DataSource d = ENVOY__CONFIG__CORE__V3__DATA_SOURCE__INIT;
	Envoy__Config__Route__V3__DirectResponseAction r =
	    ENVOY__CONFIG__ROUTE__V3__DIRECT_RESPONSE_ACTION__INIT;
	const Envoy__Config__Route__V3__DirectResponseAction *turned;
	char path[] = "/tmp/baton-test-XXXXXX";
	int fd = mkstemp(path);
	struct arena a;
	struct err err;

	assert_int_equal(write(fd, "a\0b", 3), 3);
	close(fd);
	arena_init(&a);
	r.status = 200;
	r.body = &d;
	d.specifier_case = ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_STRING;
	d.inline_string = "x";
	assert_ptr_equal(data_sources_inline(&a, &r.base, 100, &err), &r);
	d.specifier_case = ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_FILENAME;
	d.filename = path;
	turned = (const void *)data_sources_inline(&a, &r.base, 3, &err);
	assert_non_null(turned);
	assert_int_equal(turned->status, 200);
	assert_int_equal(turned->body->specifier_case,
	    ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_BYTES);
	assert_int_equal(turned->body->inline_bytes.len, 3);
	assert_memory_equal(turned->body->inline_bytes.data, "a\0b", 3);
	assert_string_equal(r.body->filename, path);
	assert_null(data_sources_inline(&a, &r.base, 2, &err));
	assert_non_null(strstr(err.text, "larger than 2 bytes"));
	unlink(path);
	assert_null(data_sources_inline(&a, &r.base, 3, &err));
	d.filename = "/dev/zero";
	assert_null(data_sources_inline(&a, &r.base, 3, &err));
	arena_fini(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(well_known_messages_have_their_own_forms),
	    cmocka_unit_test(what_is_not_set_is_left_out_unless_asked_for),
	    cmocka_unit_test(files_are_inlined_and_the_rest_is_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
