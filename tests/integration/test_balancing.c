/* Choosing a host, as clients and hosts see it: each policy, each way to tell hosts apart, each fallback. */
#include "tests/integration/retry.h"

#include <sys/socket.h>

#define HOSTS 4
#define MEMBER(host, more)                                                                         \
	"        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: " host "}}}\n"  \
	"          " more "\n"
#define WEIGHT(n) "load_balancing_weight: " #n
#define LABELS(labels) "metadata: {filter_metadata: {envoy.lb: {" labels "}}}"
#define CONF(routes, hosts, more)                                                                  \
	CONF_ADMIN CONF_LISTENER("", routes) CONF_CLUSTERS CONF_CLUSTER("api", hosts, more)
#define EQUAL CONF_HOST("@HOST0@") CONF_HOST("@HOST1@") CONF_HOST("@HOST2@") CONF_HOST("@HOST3@")
#define LOCALITY(zone, more, hosts)                                                                \
	"      - locality: {zone: " zone "}\n        " more "\n        lb_endpoints:\n" hosts
#define NO_CHECKS ""

static void
begin(struct scene *sc, const char *yaml)
{
	scene_init(sc);
	for (unsigned i = 0; i < HOSTS; i++)
		scene_scripted(sc, (const char *[]){"h0", "h1", "h2", "h3"}[i], false);
	run(sc, yaml);
}

/* n requests of one client; what each host got of them. */
static void
tally(struct scene *sc, int n, const char *path, const char *headers, unsigned got[HOSTS])
{
	unsigned before[HOSTS];
	char *ask = mem_printf("GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n", path, headers);
	int fd = client_connect(sc->port);

	for (unsigned i = 0; i < HOSTS; i++)
		before[i] = seen(sc, i);
	while (n-- > 0) {
		struct reply r;

		client_send(fd, ask);
		r = client_reply(fd, false);
		assert_int_equal(r.status, 200);
		reply_free(&r);
	}
	close(fd);
	mem_free(ask);
	for (unsigned i = 0; i < HOSTS; i++)
		got[i] = seen(sc, i) - before[i];
}

#define assert_got(got, a, b, c, d)                                                                \
	do {                                                                                       \
		const unsigned want_[HOSTS] = {a, b, c, d};                                        \
		for (unsigned i_ = 0; i_ < HOSTS; i_++)                                            \
			if ((got)[i_] != want_[i_])                                                \
				fail_msg("line %d: host %u got %u, not %u", __LINE__, i_, (got)[i_], want_[i_]); \
	} while (0)

/* Six deviations of a binomial draw: once in a billion runs. */
static void
assert_share(unsigned got, unsigned n, double share)
{
	double mean = n * share, most = 36 * n * share * (1 - share);
	double off = got - mean;

	if (off * off > most)
		fail_msg("%u of %u is not a share of %g", got, n, share);
}

/* ---- policies */

static void
round_robin_keeps_to_weights_and_hears_of_others_live(void **state)
{
	struct scene sc;
	unsigned got[HOSTS];
	char *out;

	begin(&sc, CONF(CONF_ROUTE_ALL, EQUAL, NO_CHECKS));
	tally(&sc, 400, "/", "", got);
	assert_got(got, 100, 100, 100, 100);
	scene_write_config(&sc, CONF(CONF_ROUTE_ALL, MEMBER("@HOST0@", WEIGHT(1)) MEMBER("@HOST1@", WEIGHT(2))
				MEMBER("@HOST2@", WEIGHT(3)) MEMBER("@HOST3@", WEIGHT(4)), NO_CHECKS));
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "reload", NULL), 0);
	mem_free(out);
	tally(&sc, 1000, "/", "", got);
	assert_got(got, 100, 200, 300, 400);
	scene_fini(&sc);
}

/* Two of four are busy: both draws find one of them in a quarter of all cases; who looks at all never does. */
static void
least_request_prefers_who_has_less_to_do(void **state)
{
	static const struct {
		const char *yaml;
		double busy;
	} rows[] = {
	    {CONF(CONF_ROUTE_ALL, EQUAL, "    lb_policy: LEAST_REQUEST\n"), 0.25},
	    {CONF(CONF_ROUTE_ALL, EQUAL,
		 "    load_balancing_policy: {policies: [{typed_extension_config: {name: "
		 "envoy.load_balancing_policies.least_request, typed_config: {'@type': type.googleapis.com/"
		 "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest, "
		 "selection_method: FULL_SCAN}}}]}\n"), 0},
	};

	for (size_t row = 0; row < 2; row++) {
		struct scene sc;
		unsigned got[HOSTS], held = 0;
		int fds[400];

		begin(&sc, rows[row].yaml);
		for (unsigned i = 0; i < 2; i++)
			script_add(&sc, i, (struct rule){.path = "/hold", .deed = DEED_HANG});
		/* Hosts are asked until both have something to do that does not end. */
		for (; held < 400 && (seen(&sc, 0) == 0 || seen(&sc, 1) == 0); held++) {
			unsigned all = seen(&sc, 0) + seen(&sc, 1) + seen(&sc, 2) + seen(&sc, 3);

			fds[held] = client_connect(sc.port);
			client_send(fds[held], "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
			WAIT_FOR(seen(&sc, 0) + seen(&sc, 1) + seen(&sc, 2) + seen(&sc, 3) > all);
		}
		tally(&sc, 400, "/", "", got);
		if (rows[row].busy > 0)
			assert_share(got[0] + got[1], 400, rows[row].busy);
		else
			assert_int_equal(got[0] + got[1], 0);
		while (held > 0)
			close(fds[--held]);
		scene_fini(&sc);
	}
}

static void
random_is_even(void **state)
{
	struct scene sc;
	unsigned got[HOSTS];

	begin(&sc, CONF(CONF_ROUTE_ALL, EQUAL, "    lb_policy: RANDOM\n"));
	tally(&sc, 1000, "/", "", got);
	for (unsigned i = 0; i < HOSTS; i++)
		assert_share(got[i], 1000, 0.25);
	scene_fini(&sc);
}

/* ---- by hash */

#define HASHED(policies)                                                                           \
	"              - {match: {prefix: /}, route: {cluster: api, hash_policy: [" policies "]}}\n"

static unsigned
only_one(const unsigned got[HOSTS])
{
	unsigned host = HOSTS;

	for (unsigned i = 0; i < HOSTS; i++) {
		if (got[i] == 0)
			continue;
		assert_int_equal(host, HOSTS);
		host = i;
	}
	return host;
}

/* Everybody has one host, and not all the same.  Which one depends on the hosts' ports: of 30 users one
 * host may have none, of 80 hardly once in a thousand million runs. */
static void
check_sticks(struct scene *sc, const char *header, bool in_query)
{
	unsigned got[HOSTS], users[HOSTS] = {0};

	for (int i = 0; i < 80; i++) {
		char *path = in_query ? mem_printf("/?user=u%d", i) : mem_printf("/");
		char *line = in_query ? mem_printf("%s", "") : mem_printf("%su%d\r\n", header, i);

		tally(sc, 3, path, line, got);
		users[only_one(got)]++;
		mem_free(path);
		mem_free(line);
	}
	for (unsigned i = 0; i < HOSTS; i++)
		assert_in_range(users[i], 1, 60);
}

static void
a_hash_leads_everybody_to_one_host(void **state)
{
	static const struct {
		const char *yaml, *header;
	} rows[] = {
	    {CONF(HASHED("{header: {header_name: x-user}}"), EQUAL, "    lb_policy: RING_HASH\n"), "x-user: "},
	    {CONF(HASHED("{header: {header_name: x-user}}"), EQUAL, "    lb_policy: MAGLEV\n"), "x-user: "},
	    {CONF(HASHED("{cookie: {name: user}}"), EQUAL, "    lb_policy: MAGLEV\n"), "Cookie: user="},
	    {CONF(HASHED("{query_parameter: {name: user}}"), EQUAL, "    lb_policy: RING_HASH\n"), NULL},
	    /* The first that finds something ends it: the other would send all to one host. */
	    {CONF(HASHED("{header: {header_name: x-user}, terminal: true}, {header: {header_name: host}}"),
		 EQUAL, "    lb_policy: MAGLEV\n"), "x-user: "},
	    /* The extension's spelling. */
	    {CONF(HASHED("{header: {header_name: x-user}}"), EQUAL,
		 "    load_balancing_policy: {policies: [{typed_extension_config: {name: "
		 "envoy.load_balancing_policies.ring_hash, typed_config: {'@type': type.googleapis.com/"
		 "envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash, minimum_ring_size: 4096}}}]}\n"),
		"x-user: "},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct scene sc;

		begin(&sc, rows[i].yaml);
		check_sticks(&sc, rows[i].header, rows[i].header == NULL);
		scene_fini(&sc);
	}
}

static void
who_has_no_cookie_gets_one(void **state)
{
	struct scene sc;
	unsigned got[HOSTS], host;
	struct reply r;
	char *line;

	begin(&sc, CONF(HASHED("{cookie: {name: stay, ttl: 60s, path: /shop}}"), EQUAL, "    lb_policy: RING_HASH\n"));
	for (int i = 0; i < 10; i++) {
		unsigned before[HOSTS];
		const char *cookie;

		for (host = 0; host < HOSTS; host++)
			before[host] = seen(&sc, host);
		r = scene_get(&sc, "/");
		cookie = reply_header(&r, "set-cookie");
		assert_non_null(cookie);
		assert_non_null(strstr(cookie, "Max-Age=60; Path=/shop; HttpOnly"));
		line = mem_printf("Cookie: %.*s\r\n", (int)strcspn(cookie, ";"), cookie);
		for (char *q = line; *q; q++) /* browsers send the value without quotes */
			if (*q == '"')
				memmove(q, q + 1, strlen(q));
		reply_free(&r);
		for (host = 0; seen(&sc, host) == before[host]; host++)
			;
		tally(&sc, 5, "/", line, got);
		assert_int_equal(only_one(got), host);
		mem_free(line);
	}
	scene_fini(&sc);
}

/* A client has one address. */
static void
the_address_of_a_client_may_choose(void **state)
{
	struct scene sc;
	unsigned got[HOSTS], again[HOSTS];

	begin(&sc, CONF(HASHED("{connection_properties: {source_ip: true}}"), EQUAL, "    lb_policy: MAGLEV\n"));
	tally(&sc, 20, "/", "", got);
	tally(&sc, 20, "/other", "", again);
	assert_int_equal(only_one(got), only_one(again));
	scene_fini(&sc);
}

/* At most half more than its share may wait at one host. */
static void
a_bounded_load_lets_nobody_drown(void **state)
{
	struct scene sc;
	int fds[16];
	unsigned most = 0, all = 0;

	begin(&sc, CONF(HASHED("{header: {header_name: host}}"), EQUAL,
			  "    lb_policy: MAGLEV\n    common_lb_config: {consistent_hashing_lb_config: "
			  "{hash_balance_factor: 150}}\n"));
	for (unsigned i = 0; i < HOSTS; i++)
		script_add(&sc, i, (struct rule){.deed = DEED_HANG});
	for (unsigned i = 0; i < 16; i++) { /* all of one hash */
		fds[i] = client_connect(sc.port);
		client_send(fds[i], "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
		WAIT_FOR(seen(&sc, 0) + seen(&sc, 1) + seen(&sc, 2) + seen(&sc, 3) == i + 1);
	}
	for (unsigned i = 0; i < HOSTS; i++) {
		most = seen(&sc, i) > most ? seen(&sc, i) : most;
		all += seen(&sc, i) > 0;
	}
	assert_true(most <= 7); /* who has 1.5 of 4 may get one more */
	assert_true(all >= 3);
	for (unsigned i = 0; i < 16; i++)
		close(fds[i]);
	scene_fini(&sc);
}

/* ---- who is among whom is chosen */

#define SUBSETS(fallback)                                                                          \
	"    lb_subset_config: {fallback_policy: " fallback ", default_subset: {version: stable}, " \
	"subset_selectors: [{keys: [version]}, {keys: [version, place]}]}\n"
#define WANTS(path, labels)                                                                        \
	"              - {match: {prefix: " path "}, route: {cluster: api, metadata_match: "        \
	"{filter_metadata: {envoy.lb: {" labels "}}}}}\n"
#define SUBSET_ROUTES                                                                              \
	WANTS("/canary", "version: canary") WANTS("/here", "version: stable, place: here")         \
	WANTS("/nobody", "version: old") CONF_ROUTE_ALL
#define LABELLED                                                                                   \
	MEMBER("@HOST0@", LABELS("version: stable, place: here"))                                  \
	MEMBER("@HOST1@", LABELS("version: stable, place: there"))                                 \
	MEMBER("@HOST2@", LABELS("version: canary, place: here"))                                  \
	MEMBER("@HOST3@", LABELS("place: here"))

static void
a_route_may_ask_for_a_subset(void **state)
{
	static const struct {
		const char *yaml;
		unsigned nobody[HOSTS]; /* what they get when there is no such subset */
	} rows[] = {
	    {CONF(SUBSET_ROUTES, LABELLED, SUBSETS("ANY_ENDPOINT")), {10, 10, 10, 10}},
	    {CONF(SUBSET_ROUTES, LABELLED, SUBSETS("DEFAULT_SUBSET")), {20, 20, 0, 0}},
	    {CONF(SUBSET_ROUTES, LABELLED, SUBSETS("NO_FALLBACK")), {0, 0, 0, 0}},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const unsigned *w = rows[i].nobody;
		struct scene sc;
		unsigned got[HOSTS];

		begin(&sc, rows[i].yaml);
		tally(&sc, 20, "/canary", "", got);
		assert_got(got, 0, 0, 20, 0);
		tally(&sc, 20, "/here", "", got);
		assert_got(got, 20, 0, 0, 0);
		if (w[0] == 0) {
			assert_int_equal(scene_status(&sc, "/nobody"), 503);
			assert_int_equal(scene_status(&sc, "/"), 503);
		} else {
			tally(&sc, 40, "/nobody", "", got);
			assert_got(got, w[0], w[1], w[2], w[3]);
			tally(&sc, 40, "/", "", got);
			assert_got(got, w[0], w[1], w[2], w[3]);
		}
		scene_fini(&sc);
	}
}

/* Zone a has three times the weight; without the field it has half of the hosts and no more. */
static void
localities_have_weights(void **state)
{
	static const char yaml[] = CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS
	    "  - name: api\n    type: STATIC\n    common_lb_config: {locality_weighted_lb_config: {}}\n"
	    "    load_assignment:\n      cluster_name: api\n      endpoints:\n"
	    LOCALITY("a", "load_balancing_weight: 3", CONF_HOST("@HOST0@"))
	    LOCALITY("b", "load_balancing_weight: 1", CONF_HOST("@HOST1@") CONF_HOST("@HOST2@") CONF_HOST("@HOST3@"));
	static const char extension[] = CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS
	    "  - name: api\n    type: STATIC\n"
	    "    load_balancing_policy: {policies: [{typed_extension_config: {name: "
	    "envoy.load_balancing_policies.wrr_locality, typed_config: {'@type': type.googleapis.com/"
	    "envoy.extensions.load_balancing_policies.wrr_locality.v3.WrrLocality, endpoint_picking_policy: "
	    "{policies: [{typed_extension_config: {name: envoy.load_balancing_policies.round_robin, typed_config: "
	    "{'@type': type.googleapis.com/envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin}}}]}}}}]}\n"
	    "    load_assignment:\n      cluster_name: api\n      endpoints:\n"
	    LOCALITY("a", "load_balancing_weight: 3", CONF_HOST("@HOST0@"))
	    LOCALITY("b", "load_balancing_weight: 1", CONF_HOST("@HOST1@") CONF_HOST("@HOST2@") CONF_HOST("@HOST3@"));
	static const char *const rows[] = {yaml, extension};

	for (size_t i = 0; i < 2; i++) {
		struct scene sc;
		unsigned got[HOSTS];

		begin(&sc, rows[i]);
		tally(&sc, 1200, "/", "", got);
		assert_got(got, 900, 100, 100, 100);
		scene_fini(&sc);
	}
}

#define PRIORITIES(more)                                                                           \
	CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS                                 \
	"  - name: api\n    type: STATIC\n    connect_timeout: 1s\n"                               \
	"    health_checks: [{timeout: 1s, interval: 0.05s, no_traffic_interval: 0.05s, healthy_threshold: 1, " \
	"unhealthy_threshold: 1, http_health_check: {path: /health}}]\n" more                      \
	"    load_assignment:\n      cluster_name: api\n      endpoints:\n"                         \
	LOCALITY("a", "priority: 0", CONF_HOST("@HOST0@") CONF_HOST("@HOST1@"))                    \
	LOCALITY("b", "priority: 1", CONF_HOST("@HOST2@") CONF_HOST("@HOST3@"))

static void
fail_checks(struct scene *sc, unsigned host)
{
	script_add(sc, host, (struct rule){.path = "/health", .status = 503});
	WAIT_FOR(scene_host_is(sc, host, "/failed_active_hc"));
}

/* n requests that need not succeed; checks are requests, too: hosts count only what is not /health. */
static unsigned
answered_by(struct scene *sc, int n, const char *one, const char *other)
{
	unsigned found = 0;

	while (n-- > 0) {
		struct reply r = scene_get(sc, "/");

		found += strstr(r.body, one) || strstr(r.body, other);
		reply_free(&r);
	}
	return found;
}

/* Half of the first priority is well: 140 % of 50 % stay with it. */
static void
the_next_priority_takes_what_is_too_much(void **state)
{
	struct scene sc;

	begin(&sc, PRIORITIES("    common_lb_config: {healthy_panic_threshold: {value: 0}}\n"));
	assert_int_equal(answered_by(&sc, 100, "h2", "h3"), 0);
	fail_checks(&sc, 0);
	assert_share(answered_by(&sc, 1000, "h2", "h3"), 1000, 0.3);
	fail_checks(&sc, 1);
	assert_int_equal(answered_by(&sc, 100, "h2", "h3"), 100);
	fail_checks(&sc, 2);
	fail_checks(&sc, 3);
	assert_int_equal(scene_status(&sc, "/"), 503); /* no panic */
	scene_fini(&sc);
}

/* Everybody is down: better to ask all of them than nobody. */
static void
in_panic_all_are_asked(void **state)
{
	struct scene sc;

	begin(&sc, PRIORITIES(""));
	for (unsigned i = 0; i < HOSTS; i++)
		fail_checks(&sc, i);
	assert_int_equal(scene_stat(&sc, "cluster.api.lb_healthy_panic"), 0);
	assert_share(answered_by(&sc, 400, "h0", "h2"), 400, 0.5);
	assert_int_equal(scene_stat(&sc, "cluster.api.lb_healthy_panic"), 400);
	scene_fini(&sc);
}

static void
share_of(struct scene *sc, int n, unsigned got[HOSTS])
{
	for (unsigned i = 0; i < HOSTS; i++)
		got[i] = 0;
	while (n-- > 0) {
		struct reply r = scene_get(sc, "/");

		for (unsigned h = 0; h < HOSTS; h++)
			got[h] += strstr(r.body, (const char *[]){"h0", "h1", "h2", "h3"}[h]) != NULL;
		reply_free(&r);
	}
}

/* A host that came back gets less at first, and its share when the window is over. */
static void
a_host_that_comes_back_starts_slowly(void **state)
{
	struct scene sc;
	unsigned got[HOSTS];

	begin(&sc, CONF(CONF_ROUTE_ALL, EQUAL,
			  "    round_robin_lb_config: {slow_start_config: {slow_start_window: 2s}}\n"
			  "    health_checks: [{timeout: 1s, interval: 0.05s, no_traffic_interval: 0.05s, "
			  "healthy_threshold: 1, unhealthy_threshold: 1, http_health_check: {path: /health}}]\n"));
	fail_checks(&sc, 0);
	usleep(2500000); /* the others' windows are over */
	script_clear(&sc, 0);
	WAIT_FOR(scene_host_is(&sc, 0, "healthy"));
	share_of(&sc, 80, got);
	if (got[0] == 0 || got[0] * 2 >= got[1])
		fail_msg("%u of 80, others %u", got[0], got[1]);
	WAIT_FOR((share_of(&sc, 80, got), got[0] == 20));
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(round_robin_keeps_to_weights_and_hears_of_others_live),
	    cmocka_unit_test(least_request_prefers_who_has_less_to_do),
	    cmocka_unit_test(random_is_even),
	    cmocka_unit_test(a_hash_leads_everybody_to_one_host),
	    cmocka_unit_test(who_has_no_cookie_gets_one),
	    cmocka_unit_test(the_address_of_a_client_may_choose),
	    cmocka_unit_test(a_bounded_load_lets_nobody_drown),
	    cmocka_unit_test(a_route_may_ask_for_a_subset),
	    cmocka_unit_test(localities_have_weights),
	    cmocka_unit_test(the_next_priority_takes_what_is_too_much),
	    cmocka_unit_test(in_panic_all_are_asked),
	    cmocka_unit_test(a_host_that_comes_back_starts_slowly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
