/* Paths, queries, validation tables and the words of gRPC. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/base/assert.h"
#include "lib/http/grpc.h"
#include "lib/http/path.h"
#include "lib/http/validate.h"

#define assert_str(s, z)                                                                           \
	do {                                                                                       \
		struct str s_ = (s);                                                               \
		assert_int_equal(s_.n, strlen(z));                                                 \
		assert_memory_equal(s_.p, z, s_.n);                                                \
	} while (0)

static struct arena arena;

static int
stop(void **state)
{
	arena_fini(&arena);
	return 0;
}

static void
paths_are_normalised_as_browsers_do(void **state)
{
	static const struct {
		const char *from, *to; /* to NULL: refused */
	} t[] = {
	    {"/", "/"},
	    {"/a/b?x=/../y", "/a/b?x=/../y"},
	    {"/a/./b", "/a/b"},
	    {"/a/../b", "/b"},
	    {"/a/b/../..", "/"},
	    {"/../../etc", "/etc"},
	    {"/a/..", "/"},
	    {"/a/.", "/a/"},
	    {"/a/...", "/a/..."},
	    {"/.hidden", "/.hidden"},
	    {"/%2e%2E/a", "/a"},
	    {"/a/%2e%2e/b", "/b"},
	    {"/a/.%2e?q", "/?q"},
	    {"/%41%7e%5f%2d", "/A~_-"},
	    {"/a%2Fb%5cc", "/a%2Fb%5cc"},
	    {"/a\\..\\b", "/b"},
	    {"/a%zz%4", "/a%zz%4"},
	    {"/%2%65%2%65/%%32e", "/%2%65%2%65/%%32e"},
	    {"/<\">`{}|^", "/%3C%22%3E%60%7B%7D|^"},
	    {"//a", "//a"},
	    {"/a//../b", "/a/b"},
	    {"/a/../b#/../c", "/b#/../c"},
	    {"/%00", NULL},
	    {"a/b", NULL},
	    {"", NULL},
	    {"?x", NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct str path = str_of(t[i].from);

		assert_int_equal(path_normalize(&arena, &path), t[i].to != NULL);
		if (t[i].to)
			assert_str(path, t[i].to);
	}
}

static void
slashes_are_merged_and_unescaped(void **state)
{
	struct str path = STR("//a///b?c=//d");

	path_merge_slashes(&arena, &path);
	assert_str(path, "/a/b?c=//d");
	path = STR("/a%2fb%5C%41?x=%2F");
	assert_true(path_unescape_slashes(&arena, &path));
	assert_str(path, "/a/b\\%41?x=%2F");
	assert_false(path_unescape_slashes(&arena, &path));
}

static void
escaped_slashes_have_four_answers(void **state)
{
	struct path_options o = {.normalize = true, .merge_slashes = true};
	struct str path = STR("/a/%2f../b");

	assert_int_equal(path_apply(&o, &arena, &path), PATH_OK);
	assert_str(path, "/a/%2f../b");
	o.escaped = ESCAPED_SLASHES_REJECT;
	assert_int_equal(path_apply(&o, &arena, &path), PATH_BAD);
	path = STR("/a/%2f../b");
	o.escaped = ESCAPED_SLASHES_REDIRECT;
	assert_int_equal(path_apply(&o, &arena, &path), PATH_REDIRECT);
	assert_str(path, "/a/b");
	path = STR("/a/%5c%2e%2e%5c/b");
	o.escaped = ESCAPED_SLASHES_FORWARD;
	assert_int_equal(path_apply(&o, &arena, &path), PATH_OK);
	assert_str(path, "/a/b");
	path = STR("*");
	assert_int_equal(path_apply(&o, &arena, &path), PATH_BAD);
}

static void
queries_are_cut_and_searched(void **state)
{
	struct str v = STR("?");

	assert_str(path_query(STR("/a?b=c#d")), "b=c");
	assert_null(path_query(STR("/a#b?c")).p);
	assert_non_null(path_query(STR("/a?")).p);
	assert_str(path_only(STR("/a?b")), "/a");
	assert_true(path_has_fragment(STR("/a#")));
	assert_false(path_has_fragment(STR("/a")));
	assert_str(path_strip_fragment(STR("/a?b#c")), "/a?b");
	assert_true(query_find(STR("a=1&&b&c=3=4&a=2"), STR("a"), &v));
	assert_str(v, "1");
	assert_true(query_find(STR("a=1&&b&c=3=4"), STR("b"), &v));
	assert_null(v.p);
	assert_true(query_find(STR("a=1&&b&c=3=4"), STR("c"), &v));
	assert_str(v, "3=4");
	assert_false(query_find(STR("a=1"), STR("x"), &v));
	assert_str(percent_decode(&arena, STR("a%20b%zz%4")), "a b%zz%4");
}

static void
authorities_are_hosts_with_ports(void **state)
{
	static const struct {
		const char *text;
		bool ok;
	} t[] = {{"", true}, {"a", true}, {"a.b-c_d:80", true}, {"1.2.3.4:", true}, {"[::1]", true},
	    {"[::1]:8080", true}, {"[fe80::1%25eth0]", true}, {"a:99999", false}, {"a:b", false},
	    {"a:1:2", false}, {"u@h", false}, {"a/b", false}, {"a b", false}, {"[::1", false},
	    {"[]", false}, {"[::1]x", false}, {":80", false}, {"a\\b", false}, {"a?b", false},
	    {"a#b", false}, {"\xc3\xa9", false}, {"a,b", true}};

	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		assert_int_equal(valid_authority(str_of(t[i].text)), t[i].ok);
}

static void
value_span_stops_at_the_first_control_byte_wherever_it_is(void **state)
{
	char text[40];

	for (size_t n = 0; n <= sizeof(text); n++) {
		for (size_t bad = 0; bad < n; bad++) {
			for (int c = 0; c < 256; c++) {
				bool ctl = (c < 0x20 && c != '\t') || c == 0x7f;

				memset(text, c & 1 ? '\xff' : ' ', sizeof(text));
				text[bad] = (char)c;
				assert_int_equal(value_span(text, n), ctl ? bad : n);
			}
		}
	}
}

static void
scans_end_at_the_right_byte_wherever_they_begin(void **state)
{
	char text[40];

	for (size_t at = 0; at < sizeof(text); at++) {
		for (size_t bad = at; bad < sizeof(text); bad++) {
			memset(text, 'a', sizeof(text));
			memset(text, '\n', at); /* what lies before is not looked for */
			text[bad] = '\x01';
			assert_int_equal(value_end(text, at, sizeof(text)), bad);
			text[bad] = '\t';
			assert_int_equal(value_end(text, at, sizeof(text)), sizeof(text));
			text[bad] = '#';
			assert_int_equal(target_end(text, at, sizeof(text)), bad);
			assert_int_equal(target_end(text, at, bad), bad);
		}
	}
}

static void
targets_and_names_hold_the_same_bytes_at_each_place(void **state)
{
	char text[SCAN_BLOCK + 1], was[SCAN_BLOCK + 1];

	for (int c = 0; c < 256; c++) {
		bool name = c == '-' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
			    (c >= 'A' && c <= 'Z');
		unsigned lower = c >= 'A' && c <= 'Z' ? (unsigned)c | 0x20 : (unsigned)c;

		for (unsigned i = 0; i < SCAN_BLOCK; i++) {
			unsigned n;

			memset(text, 'X', sizeof(text));
			text[i] = (char)c;
			assert_int_equal(target_end(text, 0, SCAN_BLOCK),
			    is_target((unsigned char)c) ? SCAN_BLOCK : i);
			memcpy(was, text, sizeof(text));
			n = scan_name(text);
			if (n == i) { /* not one of them, or a digit where eight bytes know none */
				assert_true(!name || c <= '9');
				assert_memory_equal(text + i, was + i, sizeof(text) - i);
			} else {
				assert_true(name && n == SCAN_BLOCK);
				assert_int_equal((unsigned char)text[i], lower);
			}
			for (unsigned k = 0; k < i; k++)
				assert_int_equal(text[k], 'x');
			assert_int_equal(text[SCAN_BLOCK], 'X');
		}
	}
}

/* "name: value" lines; a guard or NULL. */
static const char *
judge_request(const char *lines)
{
	struct headers h;
	struct str all = str_of(lines), line;

	headers_init(&h, &arena);
	while (str_cut(&all, '\n', &line)) {
		const char *sep = memmem(line.p, line.n, "=", 1);
		size_t n = (size_t)(sep - line.p);

		headers_add(&h, str_make(line.p, n), str_make(sep + 1, line.n - n - 1));
	}
	return validate_request_headers(&h, false);
}

#define GET ":method=GET\n:scheme=http\n:path=/\n"

static void
requests_of_http2_are_judged_as_http1_would(void **state)
{
	static const struct {
		const char *lines, *guard;
	} t[] = {
	    {GET ":authority=a", NULL},
	    {GET ":authority=a\nhost=A\ncontent-length=3\nte=trailers\nx=\xff\ty", NULL},
	    {GET ":authority=a\nhost=b", "host"},
	    {GET "host=b", NULL},
	    {GET "host=b\nhost=b", "host"},
	    {GET "accept=b", "host"},
	    {GET ":authority=u@a", "authority"},
	    {GET ":authority=", "authority"},
	    {GET ":authority=a\nconnection=close", "connection_header"},
	    {GET ":authority=a\nupgrade=x", "connection_header"},
	    {GET ":authority=a\nte=gzip", "connection_header"},
	    {GET ":authority=a\nX-A=b", "header_name"},
	    {GET ":authority=a\nx a=b", "header_name"},
	    {GET ":authority=a\nx=a\rb", "control_char"},
	    {GET ":authority=a\ncontent-length=+1", "content_length"},
	    {GET ":authority=a\ncontent-length=1\ncontent-length=1", "content_length"},
	    {":method=get\n:scheme=http\n:path=/\n:authority=a", "method"},
	    {":method=GET\n:scheme=ftp\n:path=/\n:authority=a", "scheme"},
	    {":method=GET\n:scheme=http\n:path=/#x\n:authority=a", "target"},
	    {":method=GET\n:scheme=http\n:path=/\xc3\xa9\n:authority=a", "target"},
	    {":method=GET\n:scheme=http\n:path=/a b\n:authority=a", "target"},
	    {":method=GET\n:scheme=http\n:path=a\n:authority=a", "target"},
	    {":method=GET\n:scheme=http\n:path=*\n:authority=a", "asterisk"},
	    {":method=OPTIONS\n:scheme=http\n:path=*\n:authority=a", NULL},
	    {":method=CONNECT\n:authority=a:1", NULL},
	    {":method=CONNECT\n:authority=a:1\n:path=/", "target"},
	    {":method=CONNECT\n:protocol=websocket\n:scheme=https\n:path=/\n:authority=a", NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		const char *guard = judge_request(t[i].lines);

		if (t[i].guard == NULL)
			assert_null(guard);
		else
			assert_string_equal(guard, t[i].guard);
	}
}

static void
trailers_may_not_frame_or_route(void **state)
{
	struct headers h;

	headers_init(&h, &arena);
	headers_add(&h, STR("grpc-status"), STR("0"));
	assert_null(validate_trailers(&h));
	headers_add(&h, STR("content-length"), STR("0"));
	assert_string_equal(validate_trailers(&h), "trailer");
}

static void
grpc_words_are_understood(void **state)
{
	uint64_t ms;

	assert_true(grpc_content_type(STR("application/grpc")));
	assert_true(grpc_content_type(STR("application/grpc+proto")));
	assert_false(grpc_content_type(STR("application/grpc-web")));
	assert_int_equal(grpc_status_of_http(503), GRPC_UNAVAILABLE);
	assert_int_equal(grpc_status_of_http(418), GRPC_UNKNOWN);
	assert_string_equal(grpc_status_name(GRPC_UNAVAILABLE), "Unavailable");
	assert_str(grpc_message_encode(&arena, STR("50% \n\xc3\xa9")), "50%25 %0A%C3%A9");
	assert_true(grpc_timeout_parse(STR("2S"), &ms));
	assert_int_equal(ms, 2000);
	assert_true(grpc_timeout_parse(STR("1u"), &ms));
	assert_int_equal(ms, 1);
	assert_false(grpc_timeout_parse(STR("123456789m"), &ms));
	assert_false(grpc_timeout_parse(STR("5"), &ms));
	assert_false(grpc_timeout_parse(STR("5x"), &ms));
	assert_str(grpc_timeout_format(&arena, 1500), "1500m");
	assert_str(grpc_timeout_format(&arena, 1234567890123), "20576131M");
	assert_str(grpc_timeout_format(&arena, UINT64_MAX), "99999999H");
	assert_str(grpc_timeout_format(&arena, 100000000), "100000S");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(paths_are_normalised_as_browsers_do, stop),
	    cmocka_unit_test_teardown(slashes_are_merged_and_unescaped, stop),
	    cmocka_unit_test_teardown(escaped_slashes_have_four_answers, stop),
	    cmocka_unit_test_teardown(queries_are_cut_and_searched, stop),
	    cmocka_unit_test_teardown(authorities_are_hosts_with_ports, stop),
	    cmocka_unit_test_teardown(
		value_span_stops_at_the_first_control_byte_wherever_it_is, stop),
	    cmocka_unit_test_teardown(scans_end_at_the_right_byte_wherever_they_begin, stop),
	    cmocka_unit_test_teardown(targets_and_names_hold_the_same_bytes_at_each_place, stop),
	    cmocka_unit_test_teardown(requests_of_http2_are_judged_as_http1_would, stop),
	    cmocka_unit_test_teardown(trailers_may_not_frame_or_route, stop),
	    cmocka_unit_test_teardown(grpc_words_are_understood, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
