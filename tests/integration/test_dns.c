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
	dns_server_say(&w.dns, "api.test", (struct dns_says){.v4 = NULL});
	WAIT_FOR(members(&w) == 0);
	WAIT_FOR(scene_status(&w.sc, "/") == 503);
	dns_server_say(&w.dns, "api.test", (struct dns_says){.v4 = "127.0.0.2"});
	WAIT_FOR(members(&w) == 1);
	WAIT_FOR(answers_come_from(&w, " 127.0.0.2 "));
	dns_server_say(&w.dns, "api.test", (struct dns_says){.rcode = DNS_RCODE_NXDOMAIN});
	WAIT_FOR(members(&w) == 0);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(members_come_and_go_with_the_answers),
	    cmocka_unit_test(no_request_fails_while_members_change),
	    cmocka_unit_test(a_failure_keeps_what_was_found_and_an_empty_answer_does_not),
	    cmocka_unit_test(the_order_of_answers_is_no_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
