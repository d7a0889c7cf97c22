/* Hash policies: what they find, how several go together, the cookie that one makes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "conf/message.h"
#include "envoy/config/route/v3/route_components.pb-c.h"
#include "lib/base/hash.h"
#include "lib/net/address.h"
#include "lib/upstream/hash_policy.h"

typedef Envoy__Config__Route__V3__RouteAction__HashPolicy HashPolicy;

struct world {
	struct arena a;
	struct headers request;
	struct address remote, local;
	struct hash_source from;
	HashPolicy *list[8];
	size_t n;
	uint64_t hash;
	struct hash_cookie *cookies;
};

#define NEW(a, type)                                                                               \
	((void *)message_new(                                                                      \
	    (a), &envoy__config__route__v3__route_action__hash_policy##type##__descriptor))

static int
setup(void **state)
{
	static struct world w;
	struct err err;

	w = (struct world){0};
	arena_init(&w.a);
	headers_init(&w.request, &w.a);
	assert_int_equal(address_parse(&w.remote, STR("10.1.2.3:4567"), &err), 0);
	assert_int_equal(address_parse(&w.local, STR("10.9.9.9:80"), &err), 0);
	w.from = (struct hash_source){&w.request, &w.remote, &w.remote, &w.local, &w.a};
	*state = &w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	arena_fini(&w->a);
	return 0;
}

static HashPolicy *
add(struct world *w, bool terminal)
{
	HashPolicy *p = NEW(&w->a, );

	p->terminal = terminal;
	w->list[w->n++] = p;
	return p;
}

static void
add_header(struct world *w, const char *name, bool terminal)
{
	HashPolicy *p = add(w, terminal);

	p->policy_specifier_case =
	    ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__HASH_POLICY__POLICY_SPECIFIER_HEADER;
	p->header = NEW(&w->a, __header);
	p->header->header_name = arena_printf(&w->a, "%s", name);
}

static void
add_query(struct world *w, const char *name)
{
	HashPolicy *p = add(w, false);

	p->policy_specifier_case =
	    ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__HASH_POLICY__POLICY_SPECIFIER_QUERY_PARAMETER;
	p->query_parameter = NEW(&w->a, __query_parameter);
	p->query_parameter->name = arena_printf(&w->a, "%s", name);
}

static void
add_source_ip(struct world *w)
{
	HashPolicy *p = add(w, false);

	p->policy_specifier_case =
	    ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__HASH_POLICY__POLICY_SPECIFIER_CONNECTION_PROPERTIES;
	p->connection_properties = NEW(&w->a, __connection_properties);
	p->connection_properties->source_ip = true;
}

static Envoy__Config__Route__V3__RouteAction__HashPolicy__Cookie *
add_cookie(struct world *w, const char *name, int64_t ttl_s)
{
	HashPolicy *p = add(w, false);

	p->policy_specifier_case =
	    ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__HASH_POLICY__POLICY_SPECIFIER_COOKIE;
	p->cookie = NEW(&w->a, __cookie);
	p->cookie->name = arena_printf(&w->a, "%s", name);
	if (ttl_s >= 0) {
		p->cookie->ttl =
		    (void *)message_new(&w->a, &google__protobuf__duration__descriptor);
		p->cookie->ttl->seconds = ttl_s;
	}
	return p->cookie;
}

static bool
apply(struct world *w)
{
	struct hash_policies *p = hash_policies_build((void *const *)w->list, w->n, &w->a);

	w->cookies = NULL;
	return hash_policies_apply(p, &w->from, &w->hash, &w->cookies);
}

static uint64_t
text(const char *s)
{
	return hash_xx64(s, strlen(s), 0);
}

static void
each_kind_hashes_what_it_names(void **state)
{
	struct world *w = *state;

	headers_add_id(&w->request, HDR_PATH, STR("/x?a=1&user=me&user=you"));
	headers_add(&w->request, STR("x-user"), STR("alice"));
	headers_add_id(&w->request, HDR_COOKIE, STR("b=2; session=\"abc\"; c=3"));
	w->n = 0;
	add_header(w, "X-User", false);
	assert_true(apply(w));
	assert_int_equal(w->hash, text("alice"));
	w->n = 0;
	add_query(w, "user");
	assert_true(apply(w));
	assert_int_equal(w->hash, text("me"));
	w->n = 0;
	add_source_ip(w);
	assert_true(apply(w));
	assert_int_equal(w->hash, text("10.1.2.3"));
	w->n = 0;
	add_cookie(w, "session", -1);
	assert_true(apply(w));
	assert_int_equal(w->hash, text("abc"));
	assert_null(w->cookies);
}

static void
what_is_missing_gives_no_hash(void **state)
{
	struct world *w = *state;

	headers_add_id(&w->request, HDR_PATH, STR("/x"));
	add_header(w, "x-user", false);
	add_query(w, "user");
	add_cookie(w, "session", -1);
	assert_false(apply(w));
	assert_null(w->cookies);
}

static void
several_are_turned_and_mixed_and_a_terminal_one_ends(void **state)
{
	struct world *w = *state;
	uint64_t a = text("one"), b = text("two");

	headers_add(&w->request, STR("x-a"), STR("one"));
	headers_add(&w->request, STR("x-b"), STR("two"));
	add_header(w, "x-a", false);
	add_header(w, "x-b", false);
	assert_true(apply(w));
	assert_int_equal(w->hash, (a << 1 | a >> 63) ^ b);
	w->list[0]->terminal = true;
	assert_true(apply(w));
	assert_int_equal(w->hash, a);
	w->n = 0;
	add_header(w, "x-none", true); /* found nothing: the search goes on */
	add_header(w, "x-b", false);
	assert_true(apply(w));
	assert_int_equal(w->hash, b);
}

static void
the_order_of_several_values_does_not_matter(void **state)
{
	struct world *w = *state;
	uint64_t first;

	add_header(w, "x-a", false);
	headers_add(&w->request, STR("x-a"), STR("one"));
	headers_add(&w->request, STR("x-a"), STR("two"));
	assert_true(apply(w));
	first = w->hash;
	assert_int_equal(first, text("onetwo"));
	headers_init(&w->request, &w->a);
	headers_add(&w->request, STR("x-a"), STR("two"));
	headers_add(&w->request, STR("x-a"), STR("one"));
	assert_true(apply(w));
	assert_int_equal(w->hash, first);
}

static void
a_header_may_be_rewritten_before_it_is_hashed(void **state)
{
	Envoy__Type__Matcher__V3__RegexMatchAndSubstitute rewrite =
	    ENVOY__TYPE__MATCHER__V3__REGEX_MATCH_AND_SUBSTITUTE__INIT;
	Envoy__Type__Matcher__V3__RegexMatcher pattern = ENVOY__TYPE__MATCHER__V3__REGEX_MATCHER__INIT;
	struct world *w = *state;

	pattern.regex = (char *)"^/tenant/([^/]+).*$";
	rewrite.pattern = &pattern;
	rewrite.substitution = (char *)"\\1";
	add_header(w, "x-path", false);
	w->list[0]->header->regex_rewrite = &rewrite;
	headers_add(&w->request, STR("x-path"), STR("/tenant/blue/x?y"));
	assert_true(apply(w));
	assert_int_equal(w->hash, text("blue"));
	headers_init(&w->request, &w->a);
	headers_add(&w->request, STR("x-path"), STR("/other"));
	assert_true(apply(w));
	assert_int_equal(w->hash, text("/other"));
}

static void
a_cookie_is_made_for_who_has_none(void **state)
{
	struct world *w = *state;
	char value[17], expected[128];

	snprintf(
	    value, sizeof(value), "%016llx", (unsigned long long)text("10.1.2.3:456710.9.9.9:80"));
	add_cookie(w, "session", 300)->path = arena_printf(&w->a, "/app");
	assert_true(apply(w));
	assert_int_equal(w->hash, text(value));
	assert_non_null(w->cookies);
	assert_null(w->cookies->next);
	snprintf(
	    expected, sizeof(expected), "session=\"%s\"; Max-Age=300; Path=/app; HttpOnly", value);
	assert_true(str_eqz(w->cookies->text, expected));
	/* The client that sends it back gets the same host, and no further cookie. */
	headers_add_id(&w->request, HDR_COOKIE, str_of(arena_printf(&w->a, "session=%s", value)));
	assert_true(apply(w));
	assert_int_equal(w->hash, text(value));
	assert_null(w->cookies);
}

static void
a_session_cookie_has_no_age(void **state)
{
	struct world *w = *state;

	add_cookie(w, "s", 0);
	assert_true(apply(w));
	assert_false(str_contains(w->cookies->text, STR("Max-Age")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(each_kind_hashes_what_it_names, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_is_missing_gives_no_hash, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		several_are_turned_and_mixed_and_a_terminal_one_ends, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		the_order_of_several_values_does_not_matter, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		a_header_may_be_rewritten_before_it_is_hashed, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_cookie_is_made_for_who_has_none, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_session_cookie_has_no_age, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
