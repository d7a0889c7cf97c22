/* Members that are found by name: a DNS server that answers as it is told, hosts at several addresses. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "lib/base/assert.h"
#include "lib/base/mem.h"
#include "tests/harness/configs.h"
#include "tests/harness/dns.h"
#include "tests/harness/generations.h"
#include "tests/harness/scene.h"

/* ---- hosts: one process, one port, several addresses; the answer says at which one it was asked */

static const char *const addresses[] = {"127.0.0.1", "127.0.0.2", "127.0.0.3", "::1"};
#define HOSTS ARRAY_LEN(addresses)
#define CONNECTIONS 256

struct world {
	struct scene sc;
	struct dns_server dns;
	pid_t hosts;
	uint16_t port;
};

static int
listen_at(const char *address, uint16_t port)
{
	struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	bool v6 = strchr(address, ':') != NULL;
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, address, &in4.sin_addr);
	inet_pton(AF_INET6, address, &in6.sin6_addr);
	if (bind(fd, v6 ? (struct sockaddr *)&in6 : (struct sockaddr *)&in4,
	        v6 ? sizeof(in6) : sizeof(in4)) < 0 ||
	    listen(fd, 128) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* GETs come in one piece here. */
static bool
answer(int fd, const char *where)
{
	char in[4096], out[256];
	ssize_t n = read(fd, in, sizeof(in));

	if (n <= 0)
		return false;
	n = snprintf(out, sizeof(out), "HTTP/1.1 200 OK\r\ncontent-length: %zu\r\n\r\n%s",
	    strlen(where), where);
	return write(fd, out, (size_t)n) == n;
}

static void
serve(struct pollfd *p)
{
	const char *where[CONNECTIONS] = {0};
	nfds_t n = HOSTS;

	for (;;) {
		poll(p, n, -1);
		for (nfds_t i = HOSTS; i < n; i++) {
			if (p[i].revents == 0 || answer(p[i].fd, where[i]))
				continue;
			close(p[i].fd);
			p[i] = p[--n];
			where[i] = where[n];
			i--;
		}
		for (nfds_t i = 0; i < HOSTS; i++) {
			if (!(p[i].revents & POLLIN) || n == CONNECTIONS)
				continue;
			where[n] = addresses[i];
			p[n++] = (struct pollfd){.fd = accept(p[i].fd, NULL, NULL), .events = POLLIN};
		}
	}
}

static void
start_hosts(struct world *w)
{
	static struct pollfd p[CONNECTIONS];
	size_t open;

	do {
		int fd = scene_refusing_port(&w->port);

		close(fd);
		for (open = 0; open < HOSTS; open++) {
			p[open] = (struct pollfd){
			    .fd = listen_at(addresses[open], w->port), .events = POLLIN};
			if (p[open].fd < 0)
				break;
		}
		for (size_t i = 0; open < HOSTS && i < open; i++)
			close(p[i].fd);
	} while (open < HOSTS);
	w->hosts = fork();
	assert_true(w->hosts >= 0);
	if (w->hosts == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(p);
	}
	for (size_t i = 0; i < HOSTS; i++)
		close(p[i].fd);
}

/* ---- the world of a scene: @HOST0@ is the DNS server, @HOST1@ the hosts' port */

static void
world_init(struct world *w)
{
	scene_init(&w->sc);
	dns_server_start(&w->dns);
	start_hosts(w);
	w->sc.host_port[0] = w->dns.port;
	w->sc.host_port[1] = w->port;
}

static void
world_fini(struct world *w)
{
	scene_fini(&w->sc);
	dns_server_stop(&w->dns);
	kill(w->hosts, SIGKILL);
	waitpid(w->hosts, NULL, 0);
}

#define RESOLVER                                                                                   \
	"    dns_resolvers: [{socket_address: {address: 127.0.0.1, port_value: @HOST0@}}]\n"
#define NAME(name)                                                                                 \
	"        - endpoint: {address: {socket_address: {address: " name ", port_value: @HOST1@}}}\n"
#define CLUSTER(name, type, more, names)                                                           \
	"  - name: " name "\n    type: " type "\n" more                                              \
	"    load_assignment:\n      cluster_name: " name "\n      endpoints:\n"                     \
	"      - lb_endpoints:\n" names
#define ONE_CLUSTER(type, more, names)                                                             \
	CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS CLUSTER("api", type, more, names)
#define FAST "    dns_refresh_rate: 0.02s\n"

/* Every one of the given addresses answers, and no other one. */
static bool
answers_come_from(struct world *w, const char *want)
{
	bool seen[HOSTS] = {false};

	for (unsigned i = 0; i < 24; i++) {
		struct reply r = scene_get(&w->sc, "/");

		for (size_t k = 0; k < HOSTS; k++)
			seen[k] |= r.status == 200 && strcmp(r.body, addresses[k]) == 0;
		reply_free(&r);
	}
	for (size_t k = 0; k < HOSTS; k++) {
		char word[32];

		snprintf(word, sizeof(word), " %s ", addresses[k]);
		if (seen[k] != (strstr(want, word) != NULL))
			return false;
	}
	return true;
}

static int64_t
members(struct world *w)
{
	return scene_stat(&w->sc, "cluster.api.membership_total");
}

/* ---- scenes */

static void
members_come_and_go_with_the_answers(void **state)
{
	struct world w;
	struct reply r;

	world_init(&w);
	dns_server_say(&w.dns, "api.test", (struct dns_says){.v4 = "127.0.0.1"});
	scene_proxy(&w.sc, ONE_CLUSTER("STRICT_DNS", RESOLVER FAST, NAME("api.test")));
	assert_true(answers_come_from(&w, " 127.0.0.1 "));
	dns_server_say(&w.dns, "api.test", (struct dns_says){.v4 = "127.0.0.1 127.0.0.2 127.0.0.3"});
	WAIT_FOR(members(&w) == 3);
	WAIT_FOR(answers_come_from(&w, " 127.0.0.1  127.0.0.2  127.0.0.3 "));
	dns_server_say(&w.dns, "api.test", (struct dns_says){.v4 = "127.0.0.3"});
	WAIT_FOR(members(&w) == 1);
	WAIT_FOR(answers_come_from(&w, " 127.0.0.3 "));
	r = scene_admin(&w.sc, "GET", "/config_dump?include_eds&resource=static_endpoint_configs");
	assert_non_null(strstr(r.body, "127.0.0.3"));
	reply_free(&r);
	world_fini(&w);
}

/* One client with a connection of its own after the other; how many were not answered 200. */
static unsigned *
start_client(struct world *w, pid_t *pid)
{
	unsigned *counts = mmap(
	    NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	*pid = fork();
	assert_true(*pid >= 0);
	if (*pid != 0)
		return counts;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		int fd = client_connect(w->sc.port);

		for (unsigned i = 0; i < 20; i++) {
			struct reply r;

			client_send(fd, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
			r = client_reply(fd, false);
			__atomic_add_fetch(&counts[r.status != 200], 1, __ATOMIC_SEQ_CST);
			reply_free(&r);
		}
		close(fd);
	}
}

static void
no_request_fails_while_members_change(void **state)
{
	static const char *const answers[] = {"127.0.0.1 127.0.0.2", "127.0.0.2 127.0.0.3",
	    "127.0.0.3", "127.0.0.3 127.0.0.1 127.0.0.2", "127.0.0.1"};
	struct world w;
	unsigned *counts;
	pid_t client;

	world_init(&w);
	dns_server_say(&w.dns, "api.test", (struct dns_says){.v4 = "127.0.0.1"});
	scene_proxy(&w.sc, ONE_CLUSTER("STRICT_DNS", RESOLVER FAST, NAME("api.test")));
	counts = start_client(&w, &client);
	for (unsigned i = 0; i < 40; i++) {
		int64_t before = scene_stat(&w.sc, "cluster.api.membership_change");

		dns_server_say(&w.dns, "api.test",
		    (struct dns_says){.v4 = answers[i % ARRAY_LEN(answers)]});
		scene_wait_stat(&w.sc, "cluster.api.membership_change", before + 1);
	}
	WAIT_FOR(__atomic_load_n(&counts[0], __ATOMIC_SEQ_CST) > 200);
	kill(client, SIGKILL);
	waitpid(client, NULL, 0);
	assert_int_equal(counts[1], 0);
	munmap(counts, 4096);
	world_fini(&w);
}

static void
a_failure_keeps_what_was_found_and_an_empty_answer_does_not(void **state)
{
	struct world w;

	world_init(&w);
	dns_server_say(&w.dns, "api.test", (struct dns_says){.v4 = "127.0.0.1 127.0.0.2"});
	scene_proxy(&w.sc, ONE_CLUSTER("STRICT_DNS", RESOLVER FAST, NAME("api.test")));
	assert_stat(&w.sc, "cluster.api.membership_total", 2);
	assert_stat(&w.sc, "cluster.api.update_failure", 0);
	dns_server_say(&w.dns, "api.test", (struct dns_says){.rcode = DNS_RCODE_SERVFAIL});
	scene_wait_stat(&w.sc, "cluster.api.update_failure", 3);
	scene_wait_log(&w.sc, "it keeps its 2 address(es)");
	assert_true(answers_come_from(&w, " 127.0.0.1  127.0.0.2 "));
	assert_stat(&w.sc, "dns.cares.not_found", 0);
	scene_wait_stat(&w.sc, "dns.cares.get_addr_failure", 3);
	dns_server_say(&w.dns, "api.test", (struct dns_says){.v4 = NULL});
	WAIT_FOR(members(&w) == 0);
	WAIT_FOR(scene_status(&w.sc, "/") == 503);
	dns_server_say(&w.dns, "api.test", (struct dns_says){.v4 = "127.0.0.2"});
	WAIT_FOR(members(&w) == 1);
	WAIT_FOR(answers_come_from(&w, " 127.0.0.2 "));
	dns_server_say(&w.dns, "api.test", (struct dns_says){.rcode = DNS_RCODE_NXDOMAIN});
	WAIT_FOR(members(&w) == 0);
	scene_wait_stat(&w.sc, "dns.cares.not_found", 2);
	world_fini(&w);
}

static void
the_order_of_answers_is_no_change(void **state)
{
	struct world w;

	world_init(&w);
	dns_server_say(&w.dns, "api.test", (struct dns_says){.v4 = "127.0.0.1 127.0.0.2"});
	scene_proxy(&w.sc, ONE_CLUSTER("STRICT_DNS", RESOLVER FAST, NAME("api.test")));
	dns_server_say(&w.dns, "api.test", (struct dns_says){.v4 = "127.0.0.2 127.0.0.1 127.0.0.2"});
	scene_wait_stat(&w.sc, "cluster.api.update_no_rebuild", 5);
	assert_stat(&w.sc, "cluster.api.membership_change", 1);
	assert_stat(&w.sc, "cluster.api.membership_total", 2);
	world_fini(&w);
}

/* ---- when it asks */

#define TWO_CLUSTERS(more, more_of_clock)                                                          \
	CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS CLUSTER("api", "STRICT_DNS",    \
	    RESOLVER "    dns_lookup_family: V4_ONLY\n" more, NAME("api.test"))                    \
	    CLUSTER("clock", "STRICT_DNS", RESOLVER FAST more_of_clock, NAME("clock.test"))

/* The other cluster is asked often: that is the scene's clock. */
static void
wait_for_clock(struct world *w)
{
	scene_wait_stat(
	    &w->sc, "cluster.clock.update_success", scene_stat(&w->sc, "cluster.clock.update_success") + 20);
}

static void
the_ttl_counts_when_it_is_asked_for(void **state)
{
	struct world w;

	world_init(&w);
	dns_server_say(&w.dns, "clock.test", (struct dns_says){.v4 = "127.0.0.1"});
	dns_server_say(&w.dns, "api.test", (struct dns_says){.v4 = "127.0.0.1", .ttl = 600});
	scene_proxy(&w.sc, TWO_CLUSTERS(FAST "    respect_dns_ttl: true\n", ""));
	wait_for_clock(&w);
	assert_int_equal(dns_server_asked(&w.dns, "api.test"), 1);
	scene_fini(&w.sc);

	scene_init(&w.sc);
	w.sc.host_port[0] = w.dns.port;
	w.sc.host_port[1] = w.port;
	dns_server_say(&w.dns, "api.test", (struct dns_says){.v4 = "127.0.0.1", .ttl = 1});
	scene_proxy(&w.sc, TWO_CLUSTERS("    dns_refresh_rate: 600s\n    respect_dns_ttl: true\n", ""));
	scene_wait_stat(&w.sc, "cluster.api.update_success", 2);
	world_fini(&w);
}

static void
after_a_failure_it_asks_as_the_failure_rate_says(void **state)
{
	struct world w;

	world_init(&w);
	dns_server_say(&w.dns, "api.test", (struct dns_says){.rcode = DNS_RCODE_SERVFAIL});
	scene_proxy(&w.sc, ONE_CLUSTER("STRICT_DNS", RESOLVER "    dns_refresh_rate: 600s\n"
	    "    dns_failure_refresh_rate: {base_interval: 0.01s, max_interval: 0.05s}\n", NAME("api.test")));
	assert_int_equal(scene_status(&w.sc, "/"), 503);
	scene_wait_stat(&w.sc, "cluster.api.update_failure", 5);
	dns_server_say(&w.dns, "api.test", (struct dns_says){.v4 = "127.0.0.2"});
	WAIT_FOR(members(&w) == 1);
	assert_true(answers_come_from(&w, " 127.0.0.2 "));
	assert_stat(&w.sc, "cluster.api.update_success", 1);
	world_fini(&w);
}

static void
a_start_waits_for_other_names_only_a_moment(void **state)
{
	struct world w;

	world_init(&w);
	dns_server_say(&w.dns, "api.test", (struct dns_says){.v4 = "127.0.0.1"});
	dns_server_say(&w.dns, "late.test", (struct dns_says){.v4 = "127.0.0.2", .held = true});
	scene_proxy(&w.sc, ONE_CLUSTER("STRICT_DNS", RESOLVER FAST, NAME("api.test") NAME("late.test")));
	assert_stat(&w.sc, "cluster.api.membership_total", 1);
	WAIT_FOR(scene_stat(&w.sc, "dns.cares.pending_resolutions") >= 1);
	dns_server_say(&w.dns, "late.test", (struct dns_says){.v4 = "127.0.0.2"});
	WAIT_FOR(members(&w) == 2);
	assert_true(answers_come_from(&w, " 127.0.0.1  127.0.0.2 "));
	world_fini(&w);
}

/* ---- how it asks */

static void
what_is_cut_is_asked_again_by_tcp(void **state)
{
	struct world w;

	world_init(&w);
	dns_server_say(&w.dns, "api.test", (struct dns_says){.v4 = "127.0.0.1 127.0.0.2", .cut = true});
	dns_server_say(&w.dns, "clock.test", (struct dns_says){.v4 = "127.0.0.1"});
	scene_proxy(&w.sc, TWO_CLUSTERS(FAST, "    use_tcp_for_dns_lookups: true\n"));
	assert_stat(&w.sc, "cluster.api.membership_total", 2);
	wait_for_clock(&w);
	assert_true(dns_server_asked_tcp(&w.dns, "api.test") > 0);
	assert_true(dns_server_asked(&w.dns, "api.test") > dns_server_asked_tcp(&w.dns, "api.test"));
	assert_int_equal(dns_server_asked(&w.dns, "clock.test"), dns_server_asked_tcp(&w.dns, "clock.test"));
	world_fini(&w);
}

#define SEARCHING(search)                                                                          \
	"    typed_dns_resolver_config:\n"                                                         \
	"      name: envoy.network.dns_resolver.cares\n"                                           \
	"      typed_config:\n"                                                                    \
	"        \"@type\": type.googleapis.com/"                                                 \
	"envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig\n"                  \
	"        resolvers: [{socket_address: {address: 127.0.0.1, port_value: @HOST0@}}]\n"        \
	"        dns_resolver_options: {no_default_search_domain: " search "}\n"

/* Short names are looked for in the domains of resolv.conf (here LOCALDOMAIN, which stands for them);
 * names with as many dots as RES_OPTIONS says first as they are. */
static void
short_names_are_looked_for_in_the_domains_unless_told_not_to(void **state)
{
	struct world w;

	world_init(&w);
	setenv("LOCALDOMAIN", "shop.test corp.test", 1);
	setenv("RES_OPTIONS", "ndots:2", 1);
	dns_server_say(&w.dns, "api.corp.test", (struct dns_says){.v4 = "127.0.0.2"});
	dns_server_say(&w.dns, "api.eu.shop.test", (struct dns_says){.v4 = "127.0.0.3"});
	dns_server_say(&w.dns, "api.eu", (struct dns_says){.v4 = "127.0.0.1"});
	scene_proxy(&w.sc, CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS
		CLUSTER("api", "STRICT_DNS", SEARCHING("false") FAST, NAME("api"))
		CLUSTER("two", "STRICT_DNS", SEARCHING("false") FAST, NAME("api.eu"))
		CLUSTER("as_it_is", "STRICT_DNS", SEARCHING("true") FAST, NAME("api.eu")));
	WAIT_FOR(answers_come_from(&w, " 127.0.0.2 "));
	WAIT_FOR(scene_stat(&w.sc, "cluster.two.membership_total") == 1);
	WAIT_FOR(scene_stat(&w.sc, "cluster.as_it_is.membership_total") == 1);
	assert_true(dns_server_asked(&w.dns, "api.eu.shop.test") > 0);
	assert_true(dns_server_asked(&w.dns, "api.eu") > 0);
	unsetenv("LOCALDOMAIN");
	unsetenv("RES_OPTIONS");
	world_fini(&w);
}

static bool
clusters_say(struct world *w, const char *fmt, const char *cluster, const char *address)
{
	struct reply r = scene_admin(&w->sc, "GET", "/clusters");
	char *line = mem_printf(fmt, cluster, address, w->port);
	bool says = strstr(r.body, line) != NULL;

	mem_free(line);
	reply_free(&r);
	return says;
}

#define FAMILY(name, family, host)                                                                 \
	CLUSTER(name, "STRICT_DNS", RESOLVER "    dns_lookup_family: " family "\n", NAME(host))

static void
families_choose(void **state)
{
	static const struct {
		const char *cluster;
		bool v4, v6;
	} rows[] = {
	    {"api", false, true},
	    {"only4", true, false},
	    {"only6", false, true},
	    {"prefer4", true, false},
	    {"all", true, true},
	    {"auto4", true, false}, /* the name has nothing else */
	    {"none6", false, false},
	};
	struct world w;

	world_init(&w);
	dns_server_say(&w.dns, "both.test", (struct dns_says){.v4 = "127.0.0.1", .v6 = "::1"});
	dns_server_say(&w.dns, "four.test", (struct dns_says){.v4 = "127.0.0.1"});
	scene_proxy(&w.sc, CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS
	    FAMILY("api", "AUTO", "both.test") FAMILY("only4", "V4_ONLY", "both.test")
	    FAMILY("only6", "V6_ONLY", "both.test") FAMILY("prefer4", "V4_PREFERRED", "both.test")
	    FAMILY("all", "ALL", "both.test") FAMILY("auto4", "AUTO", "four.test")
	    FAMILY("none6", "V6_ONLY", "four.test"));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(clusters_say(&w, "%s::%s:%u::", rows[i].cluster, "127.0.0.1"), rows[i].v4);
		assert_int_equal(clusters_say(&w, "%s::%s:%u::", rows[i].cluster, "[::1]"), rows[i].v6);
	}
	assert_true(answers_come_from(&w, " ::1 "));
	world_fini(&w);
}

#define CARES                                                                                      \
	"{name: envoy.network.dns_resolver.cares, typed_config: {\"@type\": type.googleapis.com/"  \
	"envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig,\n"                  \
	"      resolvers: [{socket_address: {address: 127.0.0.1, port_value: @HOST0@}}], "         \
	"query_timeout_seconds: 1, query_tries: 1}}\n"
#define BY_TYPE(name, more, names)                                                                 \
	"  - name: " name "\n    cluster_type:\n      name: envoy.clusters.dns\n"                   \
	"      typed_config:\n        \"@type\": type.googleapis.com/"                             \
	"envoy.extensions.clusters.dns.v3.DnsCluster\n"                                            \
	"        dns_refresh_rate: 0.02s\n" more                                                   \
	"    load_assignment:\n      cluster_name: " name "\n      endpoints:\n"                    \
	"      - lb_endpoints:\n" names

static void
the_cluster_type_does_the_same(void **state)
{
	struct world w;

	world_init(&w);
	dns_server_say(&w.dns, "api.test", (struct dns_says){.v4 = "127.0.0.1 127.0.0.2", .v6 = "::1"});
	scene_proxy(&w.sc, "typed_dns_resolver_config: " CARES CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL)
	    CONF_CLUSTERS BY_TYPE("api", "        dns_lookup_family: V4_ONLY\n", NAME("api.test"))
	    BY_TYPE("one", "        all_addresses_in_single_endpoint: true\n"
	        "        typed_dns_resolver_config: " CARES, NAME("api.test")));
	assert_true(answers_come_from(&w, " 127.0.0.1  127.0.0.2 "));
	assert_stat(&w.sc, "cluster.one.membership_total", 1);
	assert_true(clusters_say(&w, "%s::%s:%u::", "one", "[::1]"));
	dns_server_say(&w.dns, "api.test", (struct dns_says){.v4 = "127.0.0.3"});
	WAIT_FOR(members(&w) == 1);
	WAIT_FOR(clusters_say(&w, "%s::%s:%u::", "one", "127.0.0.3"));
	dns_server_say(&w.dns, "api.test", (struct dns_says){.silent = true});
	scene_wait_stat(&w.sc, "cluster.one.update_failure", 1); /* a second, once */
	scene_wait_stat(&w.sc, "dns.cares.timeouts", 1);
	world_fini(&w);
}

/* ---- LOGICAL_DNS, several names */

static void
a_logical_host_stays_until_its_address_is_gone(void **state)
{
	struct world w;

	world_init(&w);
	dns_server_say(&w.dns, "api.test", (struct dns_says){.v4 = "127.0.0.1 127.0.0.2"});
	scene_proxy(&w.sc, ONE_CLUSTER("LOGICAL_DNS", RESOLVER FAST, NAME("api.test")));
	assert_true(answers_come_from(&w, " 127.0.0.1 "));
	assert_true(clusters_say(&w, "%s::%s:%u::hostname::api.test", "api", "127.0.0.1"));
	dns_server_say(&w.dns, "api.test", (struct dns_says){.v4 = "127.0.0.2 127.0.0.1"});
	scene_wait_stat(&w.sc, "cluster.api.update_no_rebuild", scene_stat(&w.sc, "cluster.api.update_no_rebuild") + 5);
	assert_true(answers_come_from(&w, " 127.0.0.1 "));
	assert_stat(&w.sc, "cluster.api.membership_change", 1);
	dns_server_say(&w.dns, "api.test", (struct dns_says){.v4 = "127.0.0.3 127.0.0.2"});
	WAIT_FOR(answers_come_from(&w, " 127.0.0.3 "));
	assert_stat(&w.sc, "cluster.api.membership_total", 1);
	dns_server_say(&w.dns, "api.test", (struct dns_says){.rcode = DNS_RCODE_NXDOMAIN});
	scene_wait_stat(&w.sc, "cluster.api.update_failure", 2);
	assert_true(answers_come_from(&w, " 127.0.0.3 "));
	world_fini(&w);
}

static void
each_name_has_its_place_and_an_address_of_two_is_one_host(void **state)
{
	struct world w;

	world_init(&w);
	dns_server_say(&w.dns, "api.test", (struct dns_says){.v4 = "127.0.0.1"});
	dns_server_say(&w.dns, "two.test", (struct dns_says){.v4 = "127.0.0.2 127.0.0.3"});
	scene_proxy(&w.sc, CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS
	    "  - name: api\n    type: STRICT_DNS\n" RESOLVER FAST
	    "    load_assignment:\n      cluster_name: api\n      endpoints:\n"
	    "      - locality: {zone: here}\n        lb_endpoints:\n"
	    "        - load_balancing_weight: 3\n"
	    "          endpoint: {hostname: mine, address: {socket_address: {address: api.test, port_value: @HOST1@}}}\n"
	    "      - locality: {zone: there}\n        lb_endpoints:\n" NAME("two.test"));
	assert_stat(&w.sc, "cluster.api.membership_total", 3);
	assert_true(clusters_say(&w, "%s::%s:%u::zone::here", "api", "127.0.0.1"));
	assert_true(clusters_say(&w, "%s::%s:%u::weight::3", "api", "127.0.0.1"));
	assert_true(clusters_say(&w, "%s::%s:%u::hostname::mine", "api", "127.0.0.1"));
	assert_true(clusters_say(&w, "%s::%s:%u::zone::there", "api", "127.0.0.3"));
	assert_true(clusters_say(&w, "%s::%s:%u::hostname::two.test", "api", "127.0.0.3"));
	dns_server_say(&w.dns, "two.test", (struct dns_says){.v4 = "127.0.0.2 127.0.0.1"});
	WAIT_FOR(members(&w) == 2);
	dns_server_say(&w.dns, "two.test", (struct dns_says){.rcode = DNS_RCODE_SERVFAIL});
	scene_wait_stat(&w.sc, "cluster.api.update_failure", 2);
	dns_server_say(&w.dns, "api.test", (struct dns_says){.v4 = "127.0.0.3"});
	WAIT_FOR(members(&w) == 3); /* the other name keeps its own */
	world_fini(&w);
}

/* ---- reloads and other lives */

#define WITH_SECOND(names)                                                                         \
	CONF_ADMIN CONF_LISTENER("", "              - {match: {prefix: /b}, route: {cluster: b}}\n"  \
				     CONF_ROUTE_ALL)                                               \
	CONF_CLUSTERS CLUSTER("api", "STRICT_DNS", RESOLVER FAST, names)                           \
	    CLUSTER("b", "STRICT_DNS", RESOLVER FAST, NAME("b.test"))

static void
a_reload_waits_for_the_names_it_brings(void **state)
{
	struct world w;
	char *out;

	world_init(&w);
	dns_server_say(&w.dns, "api.test", (struct dns_says){.v4 = "127.0.0.1"});
	dns_server_say(&w.dns, "b.test", (struct dns_says){.held = true});
	scene_proxy(&w.sc, ONE_CLUSTER("STRICT_DNS", RESOLVER FAST, NAME("api.test")));
	scene_write_config(&w.sc, WITH_SECOND(NAME("api.test")));
	kill(w.sc.proxy, SIGHUP);
	WAIT_FOR(dns_server_asked(&w.dns, "b.test") > 0);
	dns_server_say(&w.dns, "api.test", (struct dns_says){.v4 = "127.0.0.2"});
	WAIT_FOR(answers_come_from(&w, " 127.0.0.2 ")); /* what is in force goes on meanwhile */
	assert_int_equal(scene_status(&w.sc, "/b"), 200); /* the old routes */
	dns_server_say(&w.dns, "b.test", (struct dns_says){.v4 = "127.0.0.3"});
	WAIT_FOR(scene_stat(&w.sc, "cluster.b.membership_total") == 1);
	assert_int_equal(scene_status(&w.sc, "/b"), 200);

	/* Another name beside the first one, which keeps what it has though nobody answers for it. */
	dns_server_say(&w.dns, "api.test", (struct dns_says){.v4 = "127.0.0.2", .silent = true});
	dns_server_say(&w.dns, "more.test", (struct dns_says){.v4 = "127.0.0.1"});
	scene_write_config(&w.sc, WITH_SECOND(NAME("api.test") NAME("more.test")));
	assert_int_equal(scene_run_tool(&w.sc, &out, "batonctl", "reload", NULL), 0);
	mem_free(out);
	WAIT_FOR(members(&w) == 2);
	assert_true(answers_come_from(&w, " 127.0.0.1  127.0.0.2 "));
	world_fini(&w);
}

static void
other_lives_begin_with_the_members_that_are_known(void **state)
{
	struct world w;
	pid_t admin;

	world_init(&w);
	dns_server_say(&w.dns, "api.test", (struct dns_says){.v4 = "127.0.0.1 127.0.0.2"});
	scene_proxy(&w.sc, ONE_CLUSTER("STRICT_DNS", RESOLVER FAST, NAME("api.test")));
	assert_true(answers_come_from(&w, " 127.0.0.1  127.0.0.2 "));
	dns_server_say(&w.dns, "api.test", (struct dns_says){.silent = true});

	admin = scene_child(&w.sc, "admin");
	kill(admin, SIGKILL);
	scene_wait_child(&w.sc, "admin", admin);
	WAIT_FOR(members(&w) == 2);
	assert_true(answers_come_from(&w, " 127.0.0.1  127.0.0.2 "));

	assert_int_equal(generation_restart(&w.sc), 0);
	WAIT_FOR(members(&w) == 2);
	assert_true(answers_come_from(&w, " 127.0.0.1  127.0.0.2 "));

	dns_server_say(&w.dns, "api.test", (struct dns_says){.v4 = "127.0.0.3"});
	WAIT_FOR(members(&w) == 1);
	WAIT_FOR(answers_come_from(&w, " 127.0.0.3 "));
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(members_come_and_go_with_the_answers),
	    cmocka_unit_test(no_request_fails_while_members_change),
	    cmocka_unit_test(a_failure_keeps_what_was_found_and_an_empty_answer_does_not),
	    cmocka_unit_test(the_order_of_answers_is_no_change),
	    cmocka_unit_test(the_ttl_counts_when_it_is_asked_for),
	    cmocka_unit_test(after_a_failure_it_asks_as_the_failure_rate_says),
	    cmocka_unit_test(a_start_waits_for_other_names_only_a_moment),
	    cmocka_unit_test(what_is_cut_is_asked_again_by_tcp),
	    cmocka_unit_test(short_names_are_looked_for_in_the_domains_unless_told_not_to),
	    cmocka_unit_test(families_choose),
	    cmocka_unit_test(the_cluster_type_does_the_same),
	    cmocka_unit_test(a_logical_host_stays_until_its_address_is_gone),
	    cmocka_unit_test(each_name_has_its_place_and_an_address_of_two_is_one_host),
	    cmocka_unit_test(a_reload_waits_for_the_names_it_brings),
	    cmocka_unit_test(other_lives_begin_with_the_members_that_are_known),
	};

	generations_adopt();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
