/* Addresses: text forms both ways, questions, ranges; sockets over them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/net/address.h"
#include "lib/net/socket.h"

static void
text_is_parsed_and_written_the_same(void **state)
{
	static const struct {
		const char *text, *ip;
		uint16_t port;
	} rows[] = {
	    {"127.0.0.1:80", "127.0.0.1", 80},
	    {"255.255.255.255:65535", "255.255.255.255", 65535},
	    {"0.0.0.0:0", "0.0.0.0", 0},
	    {"[::1]:8080", "::1", 8080},
	    {"[2001:db8::7]:1", "2001:db8::7", 1},
	    {"/run/a.sock", "/run/a.sock", 0},
	    {"@abstract", "@abstract", 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct address a;
		char out[ADDRESS_TEXT];

		assert_int_equal(address_parse(&a, str_of(rows[i].text), NULL), 0);
		assert_int_equal(address_format(&a, out), strlen(rows[i].text));
		assert_string_equal(out, rows[i].text);
		assert_int_equal(address_format_ip(&a, out), strlen(rows[i].ip));
		assert_string_equal(out, rows[i].ip);
		assert_int_equal(address_port(&a), rows[i].port);
	}
}

static void
junk_is_refused_with_a_reason(void **state)
{
	static const char *const rows[] = {"", "localhost:80", "1.2.3.4", "1.2.3:80", "1.2.3.4:65536",
	    "1.2.3.4:", "1.2.3.4:8x", "::1:80", "[::1]80", "[::1]", "[1.2.3.4:80", "[]:80", "@",
	    "01.2.3.4:80", "fe80::1%eth0:80"};
	char longpath[200];
	struct address a;
	struct err err;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		err.text[0] = '\0';
		assert_int_equal(address_parse(&a, str_of(rows[i]), &err), -1);
		assert_true(err.text[0]);
		assert_int_equal(a.len, 0);
	}
	memset(longpath, 'a', sizeof(longpath));
	longpath[0] = '/';
	assert_int_equal(address_from_pipe(&a, str_make(longpath, 107), NULL), 0);
	assert_int_equal(address_from_pipe(&a, str_make(longpath, 108), NULL), -1);
	assert_int_equal(address_from_pipe(&a, str_make("/a\0b", 4), NULL), -1);
}

static struct address
make(const char *text)
{
	struct address a;

	assert_int_equal(address_parse(&a, str_of(text), NULL), 0);
	return a;
}

static void
questions_are_answered(void **state)
{
	struct address a = make("127.3.2.1:80"), b = make("127.3.2.1:81"), any = make("[::]:0"),
		       pipe = make("/a"), none = {0};

	assert_true(address_is_loopback(&a));
	assert_false(address_is_loopback(&any));
	assert_true(address_is_any(&any));
	assert_false(address_eq(&a, &b));
	assert_true(address_same_ip(&a, &b));
	address_set_port(&b, 80);
	assert_true(address_eq(&a, &b));
	assert_false(address_eq(&a, &pipe));
	assert_true(address_eq(&pipe, &pipe));
	assert_false(address_is_ip(&pipe));
	assert_false(address_is_pipe(&none));
}

static void
a_mapped_ipv4_address_is_ipv4(void **state)
{
	struct address a, b = make("[::ffff:10.1.2.3]:80");
	char out[ADDRESS_TEXT];

	address_from_sockaddr(&a, &b.sa, b.len);
	address_format(&a, out);
	assert_string_equal(out, "10.1.2.3:80");
}

static void
ranges_contain_what_they_say(void **state)
{
	static const struct {
		const char *range, *address;
		bool want;
	} rows[] = {
	    {"10.0.0.0/8", "10.255.0.1:1", true},
	    {"10.0.0.0/8", "11.0.0.0:1", false},
	    {"10.1.2.3/8", "10.9.9.9:1", true},
	    {"10.1.2.128/25", "10.1.2.127:1", false},
	    {"10.1.2.128/25", "10.1.2.129:1", true},
	    {"0.0.0.0/0", "1.2.3.4:1", true},
	    {"0.0.0.0/0", "[::1]:1", false},
	    {"::/0", "[fe80::1]:1", true},
	    {"2001:db8::/33", "[2001:db8:7fff::1]:1", true},
	    {"2001:db8::/33", "[2001:db8:8000::1]:1", false},
	    {"1.2.3.4/32", "1.2.3.4:9", true},
	    {"1.2.3.4/32", "1.2.3.5:9", false},
	    {"1.2.3.4/32", "/pipe", false},
	};
	struct cidr c;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct address a = make(rows[i].address);

		assert_int_equal(cidr_parse(&c, str_of(rows[i].range), NULL), 0);
		assert_int_equal(cidr_contains(&c, &a), rows[i].want);
	}
	assert_int_equal(cidr_parse(&c, STR("1.2.3.4/33"), NULL), -1);
	assert_int_equal(cidr_parse(&c, STR("1.2.3.4"), NULL), -1);
	assert_int_equal(cidr_parse(&c, STR("x/3"), NULL), -1);
}

static void
the_first_socket_finds_a_port_in_use_and_later_ones_join_it(void **state)
{
	struct socket_options plain = {0}, join = {.reuse_port = true};
	struct address a = make("127.0.0.1:0"), bound;
	struct err err = {""};
	int first = socket_bind(&a, &plain, &err), second, third;

	assert_true(first >= 0);
	address_local(&bound, first);
	assert_int_not_equal(address_port(&bound), 0);
	assert_int_equal(socket_allow_joining(first, &err), 0);
	second = socket_bind(&bound, &join, &err);
	assert_true(second >= 0);
	assert_int_equal(socket_listen(first, &plain, &err), 0);
	assert_int_equal(socket_listen(second, &plain, &err), 0);
	third = socket_bind(&bound, &plain, &err);
	assert_int_equal(third, -1);
	assert_non_null(strstr(err.text, "in use"));
	close(first);
	close(second);
}

static void
a_unix_path_is_taken_over_only_from_a_dead_socket(void **state)
{
	char dir[] = "/tmp/baton-test-XXXXXX", path[64];
	struct socket_options o = {.mode = 0600};
	struct address a;
	struct err err = {""};
	FILE *f;
	int first, second;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	a = make(path);
	first = socket_bind(&a, &o, &err);
	assert_true(first >= 0);
	assert_int_equal(socket_listen(first, &o, &err), 0);
	assert_int_equal(socket_bind(&a, &o, &err), -1);
	assert_non_null(strstr(err.text, "in use"));
	close(first);
	second = socket_bind(&a, &o, &err);
	assert_true(second >= 0);
	close(second);
	unlink(path);
	f = fopen(path, "w");
	fclose(f);
	assert_int_equal(socket_bind(&a, &o, &err), -1);
	unlink(path);
	rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(text_is_parsed_and_written_the_same),
	    cmocka_unit_test(junk_is_refused_with_a_reason),
	    cmocka_unit_test(questions_are_answered),
	    cmocka_unit_test(a_mapped_ipv4_address_is_ipv4),
	    cmocka_unit_test(ranges_contain_what_they_say),
	    cmocka_unit_test(the_first_socket_finds_a_port_in_use_and_later_ones_join_it),
	    cmocka_unit_test(a_unix_path_is_taken_over_only_from_a_dead_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
