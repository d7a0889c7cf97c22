#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>

#include "lib/base/json_out.h"

static struct strb text;

static struct json_out
begin(bool pretty)
{
	struct json_out j;

	strb_reset(&text);
	json_out_init(&j, &text, pretty);
	return j;
}

static void
nested_values_get_their_commas(void **state)
{
	struct json_out j = begin(false);

	json_object(&j);
	json_keyz(&j, "a");
	json_u64(&j, 1);
	json_keyz(&j, "b");
	json_array(&j);
	json_null(&j);
	json_bool(&j, true);
	json_object(&j);
	json_end(&j);
	json_raw(&j, STR("[1]"));
	json_end(&j);
	json_keyz(&j, "c");
	json_printf(&j, "%s-%d", "x", 7);
	json_end(&j);
	assert_string_equal(strb_z(&text), "{\"a\":1,\"b\":[null,true,{},[1]],\"c\":\"x-7\"}");
}

static void
pretty_output_indents_by_one_space(void **state)
{
	struct json_out j = begin(true);

	json_object(&j);
	json_keyz(&j, "a");
	json_array(&j);
	json_i64(&j, -5);
	json_stringz(&j, "b");
	json_end(&j);
	json_keyz(&j, "c");
	json_object(&j);
	json_end(&j);
	json_end(&j);
	assert_string_equal(strb_z(&text), "{\n \"a\": [\n  -5,\n  \"b\"\n ],\n \"c\": {}\n}");
}

static void
strings_are_escaped_and_always_utf8(void **state)
{
	static const struct {
		const char *in;
		size_t n;
		const char *out;
	} rows[] = {
	    {"plain", 5, "plain"},
	    {"q\"b\\s/", 6, "q\\\"b\\\\s/"},
	    {"\n\r\t\x01\x1f", 5, "\\n\\r\\t\\u0001\\u001f"},
	    {"a\0b", 3, "a\\u0000b"},
	    {"\x7f", 1, "\\u007f"},
	    {"gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f"},
	    {"\xf0\x9f\x98\x80", 4, "\xf0\x9f\x98\x80"},
	    {"\xff", 1, "\xef\xbf\xbd"},
	    {"\xc3", 1, "\xef\xbf\xbd"},
	    {"\xc0\x80", 2, "\xef\xbf\xbd\xef\xbf\xbd"},
	    {"\xed\xa0\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
	    {"", 0, ""},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		strb_reset(&text);
		json_escape(&text, str_make(rows[i].in, rows[i].n));
		assert_string_equal(strb_z(&text), rows[i].out);
	}
}

static void
numbers_read_back_as_they_were(void **state)
{
	static const struct {
		double v;
		const char *out;
	} rows[] = {
	    {0, "0"},
	    {1, "1"},
	    {-2.5, "-2.5"},
	    {0.1, "0.1"},
	    {1e21, "1e+21"},
	    {1.0 / 3, "0.3333333333333333"},
	    {NAN, "null"},
	    {INFINITY, "null"},
	};
	struct json_out j;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		j = begin(false);
		json_double(&j, rows[i].v);
		assert_string_equal(strb_z(&text), rows[i].out);
	}
	j = begin(false);
	json_array(&j);
	json_u64(&j, UINT64_MAX);
	json_i64(&j, INT64_MIN);
	json_end(&j);
	assert_string_equal(strb_z(&text), "[18446744073709551615,-9223372036854775808]");
}

static int
free_text(void **state)
{
	strb_fini(&text);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nested_values_get_their_commas),
	    cmocka_unit_test(pretty_output_indents_by_one_space),
	    cmocka_unit_test(strings_are_escaped_and_always_utf8),
	    cmocka_unit_test(numbers_read_back_as_they_were),
	};

	return cmocka_run_group_tests(tests, NULL, free_text);
}
