/* Names to addresses; addresses as names need no server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/assert.h"
#include "lib/event/loop.h"
#include "lib/net/dns.h"

struct heard {
	unsigned times;
	size_t n;
	char first[ADDRESS_TEXT];
	bool why;
};

static void
on_answer(void *arg, const struct address *at, size_t n, const char *why)
{
	struct heard *h = arg;

	h->times++;
	h->n = n;
	h->why = why != NULL;
	if (n)
		address_format(&at[0], h->first);
}

static void
families_choose_among_the_addresses(void **state)
{
	static const struct {
		const char *name;
		enum dns_family family;
		const char *first; /* NULL: no answer */
	} rows[] = {
	    {"127.0.0.1", DNS_AUTO, "127.0.0.1:80"},
	    {"127.0.0.1", DNS_V4_ONLY, "127.0.0.1:80"},
	    {"127.0.0.1", DNS_V4_PREFERRED, "127.0.0.1:80"},
	    {"127.0.0.1", DNS_ALL, "127.0.0.1:80"},
	    {"127.0.0.1", DNS_V6_ONLY, NULL},
	    {"::1", DNS_AUTO, "[::1]:80"},
	    {"::1", DNS_V4_PREFERRED, "[::1]:80"},
	    {"::1", DNS_V4_ONLY, NULL},
	};
	struct loop *loop = loop_new();
	struct err err;
	struct dns *d = dns_new(loop, &err);

	assert_non_null(d);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct heard h = {0};

		dns_resolve(d, str_of(rows[i].name), 80, rows[i].family, on_answer, &h);
		assert_int_equal(h.times, 0); /* never from inside */
		while (h.times == 0)
			loop_turn(loop, false);
		assert_int_equal(h.times, 1);
		assert_int_equal(h.n, rows[i].first ? 1 : 0);
		assert_int_equal(h.why, rows[i].first == NULL);
		if (rows[i].first)
			assert_string_equal(h.first, rows[i].first);
	}
	dns_free(&d);
	assert_null(d);
	loop_free(&loop);
}

static void
an_open_question_is_answered_when_the_resolver_goes(void **state)
{
	struct loop *loop = loop_new();
	struct heard h = {0};
	struct err err;
	struct dns *d = dns_new(loop, &err);

	dns_resolve(d, STR("nobody.invalid"), 80, DNS_AUTO, on_answer, &h);
	dns_free(&d);
	while (h.times == 0) /* at once, or from the loop when the answer was there */
		loop_turn(loop, false);
	loop_turn(loop, false);
	assert_int_equal(h.times, 1);
	assert_int_equal(h.n, 0);
	assert_true(h.why);
	loop_free(&loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(families_choose_among_the_addresses),
	    cmocka_unit_test(an_open_question_is_answered_when_the_resolver_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
