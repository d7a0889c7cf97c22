/* Who is trusted, and what becomes of each header: tables of what came and what goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/rand.h"
#include "worker/hcm/forward.h"

struct world {
	struct arena a;
	struct forward_config c;
	struct forward f;
	struct headers h;
	struct address peer, local, found;
	struct cidr ranges[2];
	char peer_text[ADDRESS_TEXT];
};

static void
start(struct world *w, const char *peer)
{
	memset(w, 0, sizeof(*w));
	arena_init(&w->a);
	headers_init(&w->h, &w->a);
	assert_int_equal(address_parse(&w->peer, str_of(peer), NULL), 0);
	assert_int_equal(address_parse(&w->local, STR("127.0.0.1:8000"), NULL), 0);
	w->c.server_name = STR("envoy");
	w->c.via = w->c.scheme = w->c.node_cluster = w->c.node_id = STR("");
	w->c.generate_request_id = true;
	cidr_parse(&w->ranges[0], STR("10.0.0.0/8"), NULL);
	cidr_parse(&w->ranges[1], STR("fd00::/8"), NULL);
	w->f.config = &w->c;
	w->f.peer = &w->peer;
	w->f.local = &w->local;
	w->f.found = &w->found;
	if (address_is_ip(&w->peer))
		w->f.peer_ip = str_make(w->peer_text, address_format_ip(&w->peer, w->peer_text));
}

static void
finish(struct world *w)
{
	arena_fini(&w->a);
}

static void
trust_ranges(struct world *w)
{
	w->c.internal = w->ranges;
	w->c.internal_n = 2;
}

static void
put(struct world *w, const char *name, const char *value)
{
	if (value)
		headers_add(&w->h, str_of(name), str_of(value));
}

static const char *
get(struct world *w, const char *name)
{
	struct str v = headers_joined(&w->h, str_of(name));

	return v.p ? arena_dup(&w->a, v.p, v.n) : NULL;
}

static void
assert_text(const char *what, const char *is, const char *should)
{
	if ((is == NULL) != (should == NULL) || (is && strcmp(is, should) != 0))
		fail_msg("%s: '%s' should be '%s'", what, is ? is : "(none)",
		    should ? should : "(none)");
}

/* ---- the trusted client */

static const struct {
	const char *name;
	bool use_remote;
	unsigned hops;
	const char *peer, *xff;
	const char *remote, *xff_after;
	bool internal;
} clients[] = {
    {"no x-forwarded-for", false, 0, "10.0.0.9:1", NULL, "10.0.0.9", NULL, false},
    {"one entry from inside", false, 0, "1.1.1.1:1", "10.0.0.2", "10.0.0.2", "10.0.0.2", true},
    {"one entry from outside", false, 0, "10.0.0.9:1", "5.5.5.5", "5.5.5.5", "5.5.5.5", false},
    {"the last of two", false, 0, "1.1.1.1:1", "5.5.5.5, 10.0.0.2", "10.0.0.2", "5.5.5.5, 10.0.0.2",
	false},
    {"one trusted hop", false, 1, "1.1.1.1:1", "5.5.5.5, 10.0.0.2", "5.5.5.5", "5.5.5.5, 10.0.0.2",
	false},
    {"fewer entries than hops", false, 2, "1.1.1.1:1", "5.5.5.5", "1.1.1.1", "5.5.5.5", false},
    {"an entry that is no address", false, 0, "1.1.1.1:1", "unknown", "1.1.1.1", "unknown", false},
    {"an entry with a port", false, 0, "1.1.1.1:1", "5.5.5.5:80", "5.5.5.5", "5.5.5.5:80", false},
    {"an IPv6 entry from inside", false, 0, "1.1.1.1:1", "fd00::1", "fd00::1", "fd00::1", true},
    {"edge: the peer", true, 0, "5.5.5.5:1", NULL, "5.5.5.5", "5.5.5.5", false},
    {"edge: a peer from inside", true, 0, "10.0.0.9:1", NULL, "10.0.0.9", "10.0.0.9", true},
    {"edge: what a stranger says is kept and not believed", true, 0, "5.5.5.5:1", "10.0.0.2",
	"5.5.5.5", "10.0.0.2,5.5.5.5", false},
    {"edge: a peer from inside with entries is external", true, 0, "10.0.0.9:1", "10.0.0.2",
	"10.0.0.9", "10.0.0.2,10.0.0.9", false},
    {"edge: one trusted hop", true, 1, "10.0.0.9:1", "7.7.7.7, 5.5.5.5", "5.5.5.5",
	"7.7.7.7, 5.5.5.5,10.0.0.9", false},
    {"edge: no entry for the hop", true, 1, "5.5.5.5:1", NULL, "5.5.5.5", "5.5.5.5", false},
    {"edge: a Unix socket appends nothing", true, 0, "@client", NULL, "@client", NULL, false},
};

static void
the_trusted_client_is_found_as_the_hops_say(void **state)
{
	for (size_t i = 0; i < sizeof(clients) / sizeof(clients[0]); i++) {
		struct world w;
		char text[ADDRESS_TEXT];

		start(&w, clients[i].peer);
		trust_ranges(&w);
		w.c.use_remote_address = clients[i].use_remote;
		w.c.trusted_hops = clients[i].hops;
		put(&w, "x-forwarded-for", clients[i].xff);
		forward_request(&w.f, &w.h);
		address_format_ip(w.f.remote, text);
		assert_text(clients[i].name, text, clients[i].remote);
		assert_text(clients[i].name, get(&w, "x-forwarded-for"), clients[i].xff_after);
		if (w.f.internal != clients[i].internal)
			fail_msg("%s: internal is %d", clients[i].name, w.f.internal);
		assert_text(clients[i].name, get(&w, "x-envoy-internal"),
		    clients[i].internal ? "true" : NULL);
		finish(&w);
	}
}

static void
nothing_is_internal_unless_it_is_listed(void **state)
{
	struct world w;

	start(&w, "10.0.0.9:1");
	w.c.use_remote_address = true;
	forward_request(&w.f, &w.h);
	assert_false(w.f.internal);
	finish(&w);

	start(&w, "@client");
	w.c.use_remote_address = true;
	w.c.internal_unix = true;
	forward_request(&w.f, &w.h);
	assert_true(w.f.internal);
	finish(&w);
}

static void
appending_can_be_skipped_or_written_as_ipv6(void **state)
{
	struct world w;

	start(&w, "5.5.5.5:1");
	w.c.use_remote_address = w.c.skip_xff_append = true;
	forward_request(&w.f, &w.h);
	assert_null(get(&w, "x-forwarded-for"));
	finish(&w);

	start(&w, "5.5.5.5:1");
	w.c.use_remote_address = w.c.ipv4_mapped = true;
	forward_request(&w.f, &w.h);
	assert_string_equal(get(&w, "x-forwarded-for"), "::ffff:5.5.5.5");
	finish(&w);
}

/* ---- x-forwarded-proto and scheme */

static const struct {
	const char *name;
	bool use_remote;
	unsigned hops;
	bool tls;
	const char *proto, *scheme, *overwrite;
	const char *proto_after, *scheme_after;
} schemes[] = {
    {"set when absent", false, 0, false, NULL, NULL, NULL, "http", "http"},
    {"set from TLS when absent", false, 0, true, NULL, NULL, NULL, "https", "https"},
    {"kept when trusted", false, 0, false, "https", NULL, NULL, "https", "https"},
    {"edge: overwritten", true, 0, false, "https", NULL, NULL, "http", "http"},
    {"edge with a hop: kept", true, 1, false, "https", NULL, NULL, "https", "https"},
    {"nonsense is replaced", false, 0, false, "gopher", NULL, NULL, "http", "http"},
    {"the client's scheme stays", false, 0, false, NULL, "https", NULL, "http", "https"},
    {"the configured scheme wins", false, 0, false, "http", "http", "https", "https", "https"},
};

static void
the_scheme_is_what_the_configuration_trusts(void **state)
{
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		struct world w;

		start(&w, "5.5.5.5:1");
		w.c.use_remote_address = schemes[i].use_remote;
		w.c.trusted_hops = schemes[i].hops;
		w.f.tls = schemes[i].tls;
		if (schemes[i].overwrite)
			w.c.scheme = str_of(schemes[i].overwrite);
		put(&w, "x-forwarded-proto", schemes[i].proto);
		put(&w, ":scheme", schemes[i].scheme);
		forward_request(&w.f, &w.h);
		assert_text(schemes[i].name, get(&w, "x-forwarded-proto"), schemes[i].proto_after);
		assert_text(schemes[i].name, get(&w, ":scheme"), schemes[i].scheme_after);
		finish(&w);
	}
}

static void
the_port_is_said_when_asked_for(void **state)
{
	struct world w;

	start(&w, "5.5.5.5:1");
	w.c.use_remote_address = w.c.append_forwarded_port = true;
	put(&w, "x-forwarded-port", "1");
	forward_request(&w.f, &w.h);
	assert_string_equal(get(&w, "x-forwarded-port"), "8000");
	finish(&w);
}

/* ---- what internal, external and edge requests keep */

enum keeps { INTERNAL = 1, EXTERNAL = 2, EDGE = 4 };

static const struct {
	const char *name;
	unsigned kept_by;
} sanitized[] = {
    {"x-envoy-decorator-operation", INTERNAL | EXTERNAL},
    {"x-envoy-downstream-service-cluster", INTERNAL | EXTERNAL},
    {"x-envoy-downstream-service-node", INTERNAL | EXTERNAL},
    {"x-envoy-retry-on", INTERNAL},
    {"x-envoy-retry-grpc-on", INTERNAL},
    {"x-envoy-max-retries", INTERNAL},
    {"x-envoy-retriable-status-codes", INTERNAL},
    {"x-envoy-retriable-header-names", INTERNAL},
    {"x-envoy-upstream-alt-stat-name", INTERNAL},
    {"x-envoy-upstream-rq-timeout-ms", INTERNAL},
    {"x-envoy-upstream-rq-per-try-timeout-ms", INTERNAL},
    {"x-envoy-upstream-rq-timeout-alt-response", INTERNAL},
    {"x-envoy-expected-rq-timeout-ms", INTERNAL},
    {"x-envoy-force-trace", INTERNAL},
    {"x-envoy-ip-tags", INTERNAL},
    {"x-envoy-original-url", INTERNAL},
    {"x-envoy-hedge-on-per-try-timeout", INTERNAL},
    {"x-envoy-is-timeout-retry", INTERNAL},
    {"x-envoy-upstream-stream-duration-ms", INTERNAL},
    {"x-forwarded-client-cert", 0},
    {"keep-alive", 0},
    {"proxy-connection", 0},
    {"transfer-encoding", 0},
    {"te", 0},
    {"upgrade", 0},
    {"user-agent", INTERNAL | EXTERNAL | EDGE},
    {"authorization", INTERNAL | EXTERNAL | EDGE},
};

static void
each_kind_of_request_keeps_its_headers(void **state)
{
	for (unsigned kind = INTERNAL; kind <= EDGE; kind <<= 1) {
		struct world w;

		start(&w, kind == INTERNAL ? "10.0.0.9:1" : "5.5.5.5:1");
		trust_ranges(&w);
		w.c.use_remote_address = kind != EXTERNAL;
		for (size_t i = 0; i < sizeof(sanitized) / sizeof(sanitized[0]); i++)
			put(&w, sanitized[i].name, "v");
		put(&w, "x-envoy-internal", "true");
		forward_request(&w.f, &w.h);
		for (size_t i = 0; i < sizeof(sanitized) / sizeof(sanitized[0]); i++)
			assert_text(sanitized[i].name, get(&w, sanitized[i].name),
			    sanitized[i].kept_by & kind ? "v" : NULL);
		assert_text("x-envoy-internal", get(&w, "x-envoy-internal"),
		    kind == INTERNAL ? "true" : NULL);
		assert_text("x-envoy-external-address", get(&w, "x-envoy-external-address"),
		    kind == EDGE ? "5.5.5.5" : NULL);
		finish(&w);
	}
}

static void
the_request_id_is_made_kept_or_replaced(void **state)
{
	static const struct {
		const char *came;
		bool edge, preserve, generate, kept;
	} rows[] = {
	    {NULL, false, false, true, false},
	    {"abc", false, false, true, true},
	    {"abc", true, false, true, false},
	    {"abc", true, true, true, true},
	    {"abc", true, false, false, true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world w;
		const char *id;

		start(&w, "5.5.5.5:1");
		w.c.use_remote_address = rows[i].edge;
		w.c.preserve_request_id = rows[i].preserve;
		w.c.generate_request_id = rows[i].generate;
		put(&w, "x-request-id", rows[i].came);
		forward_request(&w.f, &w.h);
		id = get(&w, "x-request-id");
		assert_non_null(id);
		if (rows[i].kept) {
			assert_string_equal(id, rows[i].came);
		} else {
			assert_int_equal(strlen(id), 36);
			assert_int_equal(id[14], '4');
		}
		finish(&w);
	}
}

/* ---- hop by hop */

static void
connection_takes_away_what_it_names_but_nothing_that_matters(void **state)
{
	struct world w;

	start(&w, "5.5.5.5:1");
	w.c.use_remote_address = true;
	put(&w, "connection", "close, X-Mine,content-length, x-forwarded-for, X-Request-Id");
	put(&w, "connection", "authorization, host, x-envoy-external-address");
	put(&w, "x-mine", "v");
	put(&w, "content-length", "0");
	put(&w, "authorization", "v");
	put(&w, ":authority", "a");
	forward_request(&w.f, &w.h);
	assert_null(get(&w, "connection"));
	assert_null(get(&w, "x-mine"));
	assert_non_null(get(&w, "content-length"));
	assert_non_null(get(&w, "authorization"));
	assert_non_null(get(&w, ":authority"));
	assert_non_null(get(&w, "x-forwarded-for"));
	assert_non_null(get(&w, "x-request-id"));
	assert_non_null(get(&w, "x-envoy-external-address"));
	finish(&w);
}

static void
an_upgrade_keeps_its_headers(void **state)
{
	struct world w;

	start(&w, "5.5.5.5:1");
	w.f.upgrade = true;
	put(&w, "connection", "keep-alive, Upgrade");
	put(&w, "upgrade", "websocket");
	forward_request(&w.f, &w.h);
	assert_string_equal(get(&w, "upgrade"), "websocket");
	assert_non_null(get(&w, "connection"));
	finish(&w);
}

static void
te_survives_as_trailers_for_grpc(void **state)
{
	struct world w;

	start(&w, "5.5.5.5:1");
	put(&w, "te", "gzip, trailers");
	put(&w, "content-type", "application/grpc+proto");
	forward_request(&w.f, &w.h);
	assert_string_equal(get(&w, "te"), "trailers");
	finish(&w);
}

static const struct {
	const char *value;
	bool valid;
} referers[] = {
    {"http://a.example/x?y", true},
    {"https://a.example", true},
    {"/relative/path", true},
    {"http://user@a.example/", false},
    {"http://a.example/#part", false},
    {"http:///x", false},
    {"javascript:alert(1)", false},
    {"ftp://a.example/", false},
};

static void
a_referer_that_is_no_url_is_removed(void **state)
{
	for (size_t i = 0; i < sizeof(referers) / sizeof(referers[0]); i++) {
		struct world w;

		start(&w, "5.5.5.5:1");
		put(&w, "referer", referers[i].value);
		forward_request(&w.f, &w.h);
		assert_text(referers[i].value, get(&w, "referer"),
		    referers[i].valid ? referers[i].value : NULL);
		finish(&w);
	}
}

static void
the_proxy_names_itself_when_asked_to(void **state)
{
	struct world w;

	start(&w, "5.5.5.5:1");
	w.c.add_user_agent = true;
	w.c.node_cluster = STR("edge");
	w.c.node_id = STR("n1");
	w.c.via = STR("baton");
	put(&w, "via", "1.1 other");
	forward_request(&w.f, &w.h);
	assert_string_equal(get(&w, "user-agent"), "edge");
	assert_string_equal(get(&w, "x-envoy-downstream-service-cluster"), "edge");
	assert_string_equal(get(&w, "x-envoy-downstream-service-node"), "n1");
	assert_string_equal(get(&w, "via"), "1.1 other, baton");
	finish(&w);
}

/* ---- the response */

static void
the_response_says_who_answered_as_configured(void **state)
{
	static const struct {
		enum server_header how;
		const char *came, *goes;
	} rows[] = {
	    {SERVER_OVERWRITE, "apache", "envoy"},
	    {SERVER_OVERWRITE, NULL, "envoy"},
	    {SERVER_APPEND_IF_ABSENT, "apache", "apache"},
	    {SERVER_APPEND_IF_ABSENT, NULL, "envoy"},
	    {SERVER_PASS_THROUGH, "apache", "apache"},
	    {SERVER_PASS_THROUGH, NULL, NULL},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world w;

		start(&w, "5.5.5.5:1");
		w.c.server_header = rows[i].how;
		put(&w, "server", rows[i].came);
		put(&w, "connection", "keep-alive, x-hop");
		put(&w, "x-hop", "v");
		put(&w, "transfer-encoding", "chunked");
		forward_response(&w.c, &w.h, NULL, false, STR("date: now\r\n"));
		assert_text("server", get(&w, "server"), rows[i].goes);
		assert_text("date", get(&w, "date"), "now");
		assert_null(get(&w, "connection"));
		assert_null(get(&w, "x-hop"));
		assert_null(get(&w, "transfer-encoding"));
		finish(&w);
	}
}

static void
a_date_from_upstream_stays(void **state)
{
	struct world w;

	start(&w, "5.5.5.5:1");
	put(&w, "date", "then");
	forward_response(&w.c, &w.h, NULL, false, STR("date: now\r\n"));
	assert_string_equal(get(&w, "date"), "then");
	finish(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_trusted_client_is_found_as_the_hops_say),
	    cmocka_unit_test(nothing_is_internal_unless_it_is_listed),
	    cmocka_unit_test(appending_can_be_skipped_or_written_as_ipv6),
	    cmocka_unit_test(the_scheme_is_what_the_configuration_trusts),
	    cmocka_unit_test(the_port_is_said_when_asked_for),
	    cmocka_unit_test(each_kind_of_request_keeps_its_headers),
	    cmocka_unit_test(the_request_id_is_made_kept_or_replaced),
	    cmocka_unit_test(connection_takes_away_what_it_names_but_nothing_that_matters),
	    cmocka_unit_test(an_upgrade_keeps_its_headers),
	    cmocka_unit_test(te_survives_as_trailers_for_grpc),
	    cmocka_unit_test(a_referer_that_is_no_url_is_removed),
	    cmocka_unit_test(the_proxy_names_itself_when_asked_to),
	    cmocka_unit_test(the_response_says_who_answered_as_configured),
	    cmocka_unit_test(a_date_from_upstream_stays),
	};

	rand_seed(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
