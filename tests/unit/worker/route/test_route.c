/* Route tables: domains, paths, headers, queries, rewrites, redirects; built from messages in code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conf/message.h"
#include "envoy/config/route/v3/route.pb-c.h"
#include "lib/base/mem.h"
#include "worker/hcm/stream_info.h"
#include "worker/route/table.h"

typedef Envoy__Config__Route__V3__RouteConfiguration RouteConfiguration;
typedef Envoy__Config__Route__V3__VirtualHost VirtualHost;
typedef Envoy__Config__Route__V3__Route Route;
typedef Envoy__Config__Route__V3__HeaderMatcher HeaderMatcher;
typedef Envoy__Config__Core__V3__HeaderValueOption HeaderValueOption;

#define NEW(a, type) ((void *)message_new((a), &envoy__config__route__v3__##type##__descriptor))

struct world {
	struct arena a;
	RouteConfiguration *config;
	const struct route_table *table;
};

static void
start(struct world *w)
{
	arena_init(&w->a);
	w->config = NEW(&w->a, route_configuration);
	w->config->virtual_hosts = arena_zalloc(&w->a, 20000 * sizeof(void *));
	w->table = NULL;
}

static void
finish(struct world *w)
{
	arena_fini(&w->a);
}

static VirtualHost *
add_vhost(struct world *w, const char *name, const char *domain)
{
	VirtualHost *v = NEW(&w->a, virtual_host);

	v->name = arena_printf(&w->a, "%s", name);
	v->domains = arena_zalloc(&w->a, 8 * sizeof(char *));
	v->domains[v->n_domains++] = arena_printf(&w->a, "%s", domain);
	v->routes = arena_zalloc(&w->a, 200 * sizeof(void *));
	w->config->virtual_hosts[w->config->n_virtual_hosts++] = v;
	return v;
}

/* kind: 'p' prefix, '=' path, '~' expression. */
static Route *
add_route(struct world *w, VirtualHost *v, char kind, const char *path)
{
	Route *r = NEW(&w->a, route);
	char *text = arena_printf(&w->a, "%s", path);

	r->match = NEW(&w->a, route_match);
	r->name = arena_printf(&w->a, "%c%s", kind, path);
	if (kind == 'p') {
		r->match->path_specifier_case = ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_PREFIX;
		r->match->prefix = text;
	} else if (kind == '=') {
		r->match->path_specifier_case = ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_PATH;
		r->match->path = text;
	} else {
		r->match->path_specifier_case =
		    ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_SAFE_REGEX;
		r->match->safe_regex =
		    (void *)message_new(&w->a, &envoy__type__matcher__v3__regex_matcher__descriptor);
		r->match->safe_regex->regex = text;
	}
	r->action_case = ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION_ROUTE;
	r->route = NEW(&w->a, route_action);
	r->route->cluster_specifier_case =
	    ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__CLUSTER_SPECIFIER_CLUSTER;
	r->route->cluster = arena_printf(&w->a, "c");
	v->routes[v->n_routes++] = r;
	return r;
}

static void
build(struct world *w)
{
	struct route_table *t;
	struct err err;

	if (route_table_build(&t, w->config, &w->a, &err) < 0)
		fail_msg("%s", err.text);
	w->table = t;
}

static struct headers
request(struct world *w, const char *host, const char *path)
{
	struct headers h;

	headers_init(&h, &w->a);
	headers_add_id(&h, HDR_METHOD, STR("GET"));
	headers_add_id(&h, HDR_SCHEME, STR("http"));
	headers_add_id(&h, HDR_AUTHORITY, str_of(host));
	headers_add_id(&h, HDR_PATH, str_of(path));
	return h;
}

static const char *
find(struct world *w, const char *host, const char *path)
{
	struct headers h = request(w, host, path);
	const struct route *r = route_table_find(w->table, &h);

	return r ? arena_printf(&w->a, STR_FMT " " STR_FMT, STR_ARG(route_vhost_name(r)),
			STR_ARG(r->name)) :
		   "none";
}

static void
domains_are_chosen_in_envoys_order(void **state)
{
	static const struct {
		const char *host, *want;
	} rows[] = {
	    {"www.foo.com", "exact p/"},
	    {"WWW.Foo.COM", "exact p/"},
	    {"www.foo.com:8080", "prefix p/"},
	    {"a.foo.com", "suffix p/"},
	    {"x.bar.foo.com", "longer-suffix p/"},
	    {"bar.foo.com", "suffix p/"},  /* '*' of "*.bar.foo.com" needs a character */
	    {"foo.example", "short-prefix p/"},
	    {"foo.", "any p/"},
	    {"www.foo.org", "prefix p/"},
	    {"other", "any p/"},
	};
	struct world w;

	start(&w);
	add_route(&w, add_vhost(&w, "any", "*"), 'p', "/");
	add_route(&w, add_vhost(&w, "suffix", "*.foo.com"), 'p', "/");
	add_route(&w, add_vhost(&w, "longer-suffix", "*.bar.foo.com"), 'p', "/");
	add_route(&w, add_vhost(&w, "exact", "www.foo.com"), 'p', "/");
	add_route(&w, add_vhost(&w, "prefix", "www.foo.*"), 'p', "/");
	add_route(&w, add_vhost(&w, "short-prefix", "foo.*"), 'p', "/");
	build(&w);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(find(&w, rows[i].host, "/x"), rows[i].want);
	finish(&w);
}

static void
the_port_is_part_of_the_host_unless_told_otherwise(void **state)
{
	struct world w;

	start(&w);
	add_route(&w, add_vhost(&w, "a", "foo.com"), 'p', "/");
	build(&w);
	assert_string_equal(find(&w, "foo.com:80", "/"), "none");
	w.config->ignore_port_in_host_matching = true;
	build(&w);
	assert_string_equal(find(&w, "foo.com:80", "/"), "a p/");
	assert_string_equal(find(&w, "[::1]:80", "/"), "none");
	finish(&w);
}

/* Wherever it stands: in a virtual host's lookup, among the other domains, beside wildcards. */
static void
a_domain_may_stand_only_once(void **state)
{
	static const char far[] = "a-name-that-is-longer-than-what-has-room-in-a-lookup.foo.com";
	static const struct {
		const char *of_one[2], *of_other[2], *twice; /* NULL: it is well */
	} rows[] = {
	    {{"foo.com"}, {"FOO.com"}, "FOO.com"},
	    {{"foo.com", "bar.com"}, {"x.com", "bar.com"}, "bar.com"},
	    {{"foo.com", "bar.com"}, {"bar.com"}, "bar.com"},
	    {{"bar.com"}, {"foo.com", "bar.com"}, "bar.com"},
	    {{"foo.com", "foo.com"}, {"bar.com"}, "foo.com"},
	    {{far}, {far}, far},
	    {{"*.foo.com", "foo.com"}, {"*.foo.com"}, "*.foo.com"},
	    {{"foo.*"}, {"x.com", "foo.*"}, "foo.*"},
	    {{"*"}, {"*"}, "*"},
	    {{"*.foo.com", "foo.com"}, {"foo.*", far}, NULL},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world w;
		struct route_table *t;
		VirtualHost *v[2];
		struct err err;

		start(&w);
		v[0] = add_vhost(&w, "a", rows[i].of_one[0]);
		v[1] = add_vhost(&w, "b", rows[i].of_other[0]);
		if (rows[i].of_one[1])
			v[0]->domains[v[0]->n_domains++] = (char *)rows[i].of_one[1];
		if (rows[i].of_other[1])
			v[1]->domains[v[1]->n_domains++] = (char *)rows[i].of_other[1];
		assert_int_equal(
		    route_table_build(&t, w.config, &w.a, &err), rows[i].twice ? -1 : 0);
		if (rows[i].twice) {
			assert_non_null(strstr(err.text, "Only unique values for domains"));
			assert_non_null(strstr(err.text, rows[i].twice));
		}
		finish(&w);
	}
}

/* The same questions asked of a short list (walked) and a long one (indexed). */
static void
the_first_route_in_list_order_wins(void **state)
{
	for (int filler = 0; filler <= 100; filler += 100) {
		struct world w;
		VirtualHost *v;

		start(&w);
		v = add_vhost(&w, "v", "*");
		add_route(&w, v, '=', "/a/b");
		add_route(&w, v, 'p', "/a");
		add_route(&w, v, 'p', "/a/b/c");
		add_route(&w, v, '~', "/x[0-9]+");
		for (int i = 0; i < filler; i++)
			add_route(&w, v, 'p', arena_printf(&w.a, "/filler/%d/", i));
		add_route(&w, v, '=', "/x1");
		add_route(&w, v, 'p', "/a/z")->match->case_sensitive = NULL;
		build(&w);
		assert_string_equal(find(&w, "h", "/a/b"), "v =/a/b");
		assert_string_equal(find(&w, "h", "/a/b?q=1"), "v =/a/b");
		assert_string_equal(find(&w, "h", "/a/b/c"), "v p/a"); /* stands before the longer one */
		assert_string_equal(find(&w, "h", "/abc"), "v p/a");
		assert_string_equal(find(&w, "h", "/x1"), "v ~/x[0-9]+");
		assert_string_equal(find(&w, "h", "/x1y"), "none"); /* the whole path must match */
		assert_string_equal(find(&w, "h", "/x12?x"), "v ~/x[0-9]+");
		if (filler)
			assert_string_equal(find(&w, "h", "/filler/42/x"), "v p/filler/42/");
		finish(&w);
	}
}

static HeaderMatcher *
match_header(struct world *w, Route *r, const char *name)
{
	HeaderMatcher *m = NEW(&w->a, header_matcher);

	m->name = arena_printf(&w->a, "%s", name);
	r->match->headers = arena_zalloc(&w->a, sizeof(void *));
	r->match->headers[0] = m;
	r->match->n_headers = 1;
	return m;
}

static bool
found_with(struct world *w, const char *name, const char *value)
{
	struct headers h = request(w, "h", "/");

	if (value)
		headers_add(&h, str_of(name), str_of(value));
	return route_table_find(w->table, &h) != NULL;
}

static void
headers_match_as_envoys_do(void **state)
{
	enum { PRESENT, ABSENT, EXACT, PREFIX, RANGE, CONTAINS, NOTHING };
	static const struct {
		int kind;
		bool invert, missing_is_empty;
		const char *value; /* of the request; NULL: header missing */
		bool want;
	} rows[] = {
	    {NOTHING, false, false, "x", true},
	    {NOTHING, false, false, NULL, false},
	    {PRESENT, false, false, "x", true},
	    {PRESENT, true, false, "x", false},
	    {PRESENT, true, false, NULL, true},
	    {ABSENT, false, false, NULL, true},
	    {ABSENT, false, false, "x", false},
	    {EXACT, false, false, "val", true},
	    {EXACT, false, false, "Val", false},
	    {EXACT, true, false, "other", true},
	    {EXACT, true, false, NULL, false}, /* a missing header matches nothing, inverted or not */
	    {EXACT, true, true, NULL, true},
	    {PREFIX, false, false, "value", true},
	    {PREFIX, false, false, "xval", false},
	    {CONTAINS, false, false, "xvaly", true},
	    {RANGE, false, false, "-5", true},
	    {RANGE, false, false, "10", false},
	    {RANGE, false, false, "9x", false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world w;
		HeaderMatcher *m;

		start(&w);
		m = match_header(&w, add_route(&w, add_vhost(&w, "v", "*"), 'p', "/"), "X-Key");
		m->invert_match = rows[i].invert;
		m->treat_missing_header_as_empty = rows[i].missing_is_empty;
		m->header_match_specifier_case =
		    (Envoy__Config__Route__V3__HeaderMatcher__HeaderMatchSpecifierCase[]){
			[PRESENT] = ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_PRESENT_MATCH,
			[ABSENT] = ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_PRESENT_MATCH,
			[EXACT] = ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_EXACT_MATCH,
			[PREFIX] = ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_PREFIX_MATCH,
			[RANGE] = ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_RANGE_MATCH,
			[CONTAINS] = ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_CONTAINS_MATCH,
			[NOTHING] = ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER__NOT_SET,
		    }[rows[i].kind];
		if (rows[i].kind == RANGE) {
			m->range_match =
			    (void *)message_new(&w.a, &envoy__type__v3__int64_range__descriptor);
			m->range_match->start = -5;
			m->range_match->end = 10;
		} else if (rows[i].kind == PRESENT || rows[i].kind == ABSENT) {
			m->present_match = rows[i].kind == PRESENT;
		} else if (rows[i].kind != NOTHING) {
			m->exact_match = arena_printf(&w.a, "val");
		}
		build(&w);
		if (found_with(&w, "x-key", rows[i].value) != rows[i].want)
			fail_msg("row %zu", i);
		finish(&w);
	}
}

static void
query_parameters_match_the_first_value(void **state)
{
	struct world w;
	Route *r;
	Envoy__Config__Route__V3__QueryParameterMatcher *q;

	start(&w);
	r = add_route(&w, add_vhost(&w, "v", "*"), 'p', "/");
	q = NEW(&w.a, query_parameter_matcher);
	q->name = arena_printf(&w.a, "k");
	q->query_parameter_match_specifier_case =
	    ENVOY__CONFIG__ROUTE__V3__QUERY_PARAMETER_MATCHER__QUERY_PARAMETER_MATCH_SPECIFIER_STRING_MATCH;
	q->string_match =
	    (void *)message_new(&w.a, &envoy__type__matcher__v3__string_matcher__descriptor);
	q->string_match->match_pattern_case =
	    ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_EXACT;
	q->string_match->exact = arena_printf(&w.a, "v");
	r->match->query_parameters = arena_zalloc(&w.a, sizeof(void *));
	r->match->query_parameters[0] = q;
	r->match->n_query_parameters = 1;
	build(&w);
	assert_string_equal(find(&w, "h", "/?k=v"), "v p/");
	assert_string_equal(find(&w, "h", "/?a=1&k=v&k=2"), "v p/");
	assert_string_equal(find(&w, "h", "/?k=2&k=v"), "none");
	assert_string_equal(find(&w, "h", "/?k"), "none");
	assert_string_equal(find(&w, "h", "/"), "none");
	finish(&w);
}

static void
a_prefix_rewrite_replaces_what_matched_and_keeps_the_query(void **state)
{
	struct world w;
	Route *r;
	struct stream_info info = {0};
	struct headers h;
	const struct route *found;

	start(&w);
	r = add_route(&w, add_vhost(&w, "v", "*"), 'p', "/api/");
	r->route->prefix_rewrite = arena_printf(&w.a, "/");
	r->route->host_rewrite_specifier_case =
	    ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__HOST_REWRITE_SPECIFIER_HOST_REWRITE_LITERAL;
	r->route->host_rewrite_literal = arena_printf(&w.a, "inner");
	build(&w);
	h = request(&w, "outer", "/api/users?id=1");
	found = route_table_find(w.table, &h);
	route_rewrite_request(found, &h, &info, false);
	assert_true(str_eqz(headers_get(&h, HDR_PATH), "/users?id=1"));
	assert_true(str_eqz(headers_get(&h, HDR_X_ENVOY_ORIGINAL_PATH), "/api/users?id=1"));
	assert_true(str_eqz(headers_get(&h, HDR_AUTHORITY), "inner"));
	finish(&w);
}

static void
redirects_build_the_location(void **state)
{
	static const struct {
		const char *host, *path_redirect, *set_host;
		unsigned port;
		bool https, strip;
		const char *want;
	} rows[] = {
	    {"a.com", NULL, NULL, 0, true, false, "https://a.com/p?q=1"},
	    {"a.com:80", NULL, NULL, 0, true, false, "https://a.com/p?q=1"},
	    {"a.com:81", NULL, NULL, 0, true, false, "https://a.com:81/p?q=1"},
	    {"a.com:81", NULL, NULL, 8443, true, false, "https://a.com:8443/p?q=1"},
	    {"[::1]:80", NULL, NULL, 0, true, false, "https://[::1]/p?q=1"},
	    {"[::1]", NULL, NULL, 0, true, false, "https://[::1]/p?q=1"},
	    {"a.com", "/new", NULL, 0, false, false, "http://a.com/new?q=1"},
	    {"a.com", "/new", NULL, 0, false, true, "http://a.com/new"},
	    {"a.com", "/new?own=1", NULL, 0, false, true, "http://a.com/new?own=1"},
	    {"a.com", NULL, "b.com", 0, false, true, "http://b.com/p"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world w;
		Route *r;
		struct headers h;
		struct str location;
		Envoy__Config__Route__V3__RedirectAction *d;

		start(&w);
		r = add_route(&w, add_vhost(&w, "v", "*"), 'p', "/");
		d = NEW(&w.a, redirect_action);
		r->action_case = ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION_REDIRECT;
		r->redirect = d;
		d->port_redirect = rows[i].port;
		d->strip_query = rows[i].strip;
		d->response_code = 1;
		if (rows[i].set_host)
			d->host_redirect = arena_printf(&w.a, "%s", rows[i].set_host);
		if (rows[i].https) {
			d->scheme_rewrite_specifier_case =
			    ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__SCHEME_REWRITE_SPECIFIER_HTTPS_REDIRECT;
			d->https_redirect = true;
		}
		if (rows[i].path_redirect) {
			d->path_rewrite_specifier_case =
			    ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__PATH_REWRITE_SPECIFIER_PATH_REDIRECT;
			d->path_redirect = arena_printf(&w.a, "%s", rows[i].path_redirect);
		}
		build(&w);
		h = request(&w, rows[i].host, "/p?q=1");
		assert_int_equal(
		    route_redirect(route_table_find(w.table, &h), &h, &w.a, &location), 302);
		if (!str_eqz(location, rows[i].want))
			fail_msg("row %zu: " STR_FMT, i, STR_ARG(location));
		finish(&w);
	}
}

static HeaderValueOption **
one_header(struct world *w, const char *name, const char *value, int action)
{
	HeaderValueOption **list = arena_zalloc(&w->a, sizeof(void *));

	list[0] = (void *)message_new(&w->a, &envoy__config__core__v3__header_value_option__descriptor);
	list[0]->header = (void *)message_new(&w->a, &envoy__config__core__v3__header_value__descriptor);
	list[0]->header->key = arena_printf(&w->a, "%s", name);
	list[0]->header->value = arena_printf(&w->a, "%s", value);
	list[0]->append_action = action;
	return list;
}

static void
header_levels_run_from_the_most_specific_or_the_other_way(void **state)
{
	for (int wins = 0; wins < 2; wins++) {
		struct world w;
		VirtualHost *v;
		Route *r;
		struct headers h;
		struct stream_info info = {0};

		start(&w);
		v = add_vhost(&w, "v", "*");
		r = add_route(&w, v, 'p', "/");
		r->n_request_headers_to_add = v->n_request_headers_to_add =
		    w.config->n_request_headers_to_add = 1;
		r->request_headers_to_add = one_header(&w, "X-Level", "route", 2);
		v->request_headers_to_add = one_header(&w, "x-level", "vhost", 2);
		w.config->request_headers_to_add = one_header(&w, "x-level", "table", 2);
		w.config->most_specific_header_mutations_wins = wins;
		build(&w);
		h = request(&w, "h", "/");
		route_rewrite_request(route_table_find(w.table, &h), &h, &info, true);
		assert_true(str_eqz(
		    headers_get_name(&h, STR("x-level")), wins ? "route" : "table"));
		finish(&w);
	}
}

static void
header_values_may_hold_operators(void **state)
{
	struct world w;
	Route *r;
	struct headers h;
	struct stream_info info = {.request = &h};

	start(&w);
	r = add_route(&w, add_vhost(&w, "v", "*"), 'p', "/");
	r->n_request_headers_to_add = 1;
	r->request_headers_to_add = one_header(&w, "x-was", "100%% %REQ(:path)%", 2);
	w.config->n_request_headers_to_add = 1;
	w.config->request_headers_to_add = one_header(&w, "x-none", "%REQ(x-missing)%", 2);
	build(&w);
	h = request(&w, "h", "/p");
	route_rewrite_request(route_table_find(w.table, &h), &h, &info, true);
	assert_true(str_eqz(headers_get_name(&h, STR("x-was")), "100% /p"));
	assert_null(headers_find(&h, STR("x-none")));
	finish(&w);
}

static void
ten_thousand_hosts_are_found(void **state)
{
	struct world w;

	start(&w);
	for (int i = 0; i < 10000; i++)
		add_route(&w,
		    add_vhost(&w, arena_printf(&w.a, "v%d", i), arena_printf(&w.a, "h%d.test", i)), 'p',
		    "/");
	build(&w);
	assert_string_equal(find(&w, "h0.test", "/"), "v0 p/");
	assert_string_equal(find(&w, "h9999.test", "/"), "v9999 p/");
	assert_string_equal(find(&w, "h10000.test", "/"), "none");
	finish(&w);
}

/* Whoever has the same timeout shares the line that says it; nobody gets another's. */
static void
each_route_says_its_own_timeout(void **state)
{
	static const unsigned seconds[] = {0, 0, 3, 3, 0, 3}; /* 0: not given, 15 s */
	const struct header *lines[6];
	struct world w;

	start(&w);
	for (int i = 0; i < 6; i++) {
		VirtualHost *v = add_vhost(&w, "v", arena_printf(&w.a, "h%d.test", i));
		Route *r = add_route(&w, v, 'p', "/");

		if (seconds[i] == 0)
			continue;
		r->route->timeout =
		    (void *)message_new(&w.a, &google__protobuf__duration__descriptor);
		r->route->timeout->seconds = seconds[i];
	}
	build(&w);
	for (int i = 0; i < 6; i++) {
		struct headers h = request(&w, arena_printf(&w.a, "h%d.test", i), "/");
		const struct route *r = route_table_find(w.table, &h);

		lines[i] = r->policy->timeout_line;
		assert_int_equal(r->policy->timeout_ms, seconds[i] ? 3000 : 15000);
		assert_true(str_eqz(header_value(lines[i]), seconds[i] ? "3000" : "15000"));
	}
	assert_ptr_equal(lines[0], lines[1]);
	assert_ptr_equal(lines[2], lines[3]);
	finish(&w);
}

static void
neighbours_that_say_the_same_share_their_policy(void **state)
{
	const struct route_policy *p[4];
	struct world w;

	start(&w);
	for (int i = 0; i < 4; i++) {
		Route *r = add_route(
		    &w, add_vhost(&w, "v", arena_printf(&w.a, "h%d.test", i)), 'p', "/");

		if (i == 2)
			r->route->priority = ENVOY__CONFIG__CORE__V3__ROUTING_PRIORITY__HIGH;
	}
	build(&w);
	for (int i = 0; i < 4; i++) {
		struct headers h = request(&w, arena_printf(&w.a, "h%d.test", i), "/");

		p[i] = route_table_find(w.table, &h)->policy;
		assert_int_equal(p[i]->high_priority, i == 2);
	}
	assert_ptr_equal(p[0], p[1]);
	assert_ptr_not_equal(p[1], p[2]);
	assert_ptr_not_equal(p[2], p[3]);
	finish(&w);
}

/* The first may stand with what finds the routes, the others do not. */
static void
domains_of_any_length_are_found(void **state)
{
	char host[300];
	struct world w;

	start(&w);
	for (size_t n = 1; n < sizeof(host) - 1; n += n < 70 ? 1 : 33) {
		VirtualHost *v;

		memset(host, 'a', n);
		host[n] = '\0';
		v = add_vhost(&w, arena_printf(&w.a, "v%zu", n), arena_printf(&w.a, "%s", host));
		add_route(&w, v, 'p', "/");
		v->domains[v->n_domains++] = arena_printf(&w.a, "B%s", host);
	}
	build(&w);
	for (size_t n = 1; n < sizeof(host) - 1; n += n < 70 ? 1 : 33) {
		struct str want = str_of(arena_printf(&w.a, "v%zu", n));
		struct headers h;

		memset(host, 'a', n);
		host[n] = '\0';
		h = request(&w, host, "/");
		assert_true(str_eq(route_vhost_name(route_table_find(w.table, &h)), want));
		h = request(&w, arena_printf(&w.a, "b%s", host), "/");
		assert_true(str_eq(route_vhost_name(route_table_find(w.table, &h)), want));
	}
	finish(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(domains_are_chosen_in_envoys_order),
	    cmocka_unit_test(the_port_is_part_of_the_host_unless_told_otherwise),
	    cmocka_unit_test(a_domain_may_stand_only_once),
	    cmocka_unit_test(the_first_route_in_list_order_wins),
	    cmocka_unit_test(headers_match_as_envoys_do),
	    cmocka_unit_test(query_parameters_match_the_first_value),
	    cmocka_unit_test(a_prefix_rewrite_replaces_what_matched_and_keeps_the_query),
	    cmocka_unit_test(redirects_build_the_location),
	    cmocka_unit_test(header_levels_run_from_the_most_specific_or_the_other_way),
	    cmocka_unit_test(header_values_may_hold_operators),
	    cmocka_unit_test(ten_thousand_hosts_are_found),
	    cmocka_unit_test(each_route_says_its_own_timeout),
	    cmocka_unit_test(neighbours_that_say_the_same_share_their_policy),
	    cmocka_unit_test(domains_of_any_length_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
