/*
 * The router between a real connection manager and a real host: a client
 * writes HTTP/1 into a socket pair, the host stands on 127.0.0.1.
 */
#ifndef TESTS_ROUTER_ROUTED_H
#define TESTS_ROUTER_ROUTED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conf/diag.h"
#include "conf/load.h"
#include "conf/resource.h"
#include "lib/base/rand.h"
#include "lib/ipc/journal.h"
#include "lib/upstream/cluster.h"
#include "shm/lane.h"
#include "tests/unit/lib/upstream/origin.h"
#include "worker/drain.h"
#include "worker/hcm/hcm.h"
#include "worker/listener/config.h"
#include "worker/snapshot.h"

#define VALUE(counter) ((unsigned)(counter).raw)
#define GAUGE(g) ((int)stat_gauge_value((g).raw))

struct world {
	struct loop *l;
	struct origin o;
	struct drain drain;
	struct hcm hcm;
	struct hcm_place place;
	struct cluster_stats *cluster;
	struct http_stats *http;
	int client;
	struct strb got; /* what the client received */
	bool eof;
};

static const char config_text[] =
    "static_resources:\n"
    "  listeners:\n"
    "  - name: in\n"
    "    address: {socket_address: {address: 127.0.0.1, port_value: 10000}}\n"
    "    filter_chains:\n"
    "    - filters:\n"
    "      - name: envoy.filters.network.http_connection_manager\n"
    "        typed_config:\n"
    "          '@type': "
    "type.googleapis.com/"
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n"
    "          stat_prefix: in\n"
    "          upgrade_configs: [{upgrade_type: websocket}]\n"
    "          route_config:\n"
    "            virtual_hosts:\n"
    "            - name: all\n"
    "              domains: ['*']\n"
    "              response_headers_to_add: [{header: {key: x-vhost, value: all}}]\n"
    "              routes:\n"
    "              - {match: {prefix: /direct}, direct_response: {status: 418, body: "
    "{inline_string: tea}}}\n"
    "              - {match: {prefix: /move}, redirect: {path_redirect: /there}}\n"
    "              - {match: {prefix: /fast}, route: {cluster: api, timeout: 0.03s}}\n"
    "              - {match: {prefix: /idle}, route: {cluster: api, idle_timeout: 0.05s}}\n"
    "              - {match: {prefix: /api}, route: {cluster: api}}\n"
    "          http_filters:\n"
    "          - name: envoy.filters.http.router\n"
    "            typed_config:\n"
    "              '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router\n"
    "  clusters:\n"
    "  - name: api\n";

#define H2                                                                                         \
	"    typed_extension_protocol_options:\n"                                                  \
	"      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n"                          \
	"        '@type': "                                                                        \
	"type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n"             \
	"        explicit_http_config: {http2_protocol_options: {}}\n"

/* ---- building */

static inline struct conf *
load(const char *text)
{
	struct diag diag;
	struct conf *conf;

	diag_init(&diag);
	if (conf_load(&conf, &(struct conf_source){.inline_yaml = text}, &diag) < 0) {
		struct strb out = {0};

		diag_print(&diag, &out, false);
		fail_msg("%s", strb_z(&out));
	}
	diag_fini(&diag);
	return conf;
}

static inline void
append(struct journal *j, enum resource_kind kind, const char *name, const ProtobufCMessage *m)
{
	struct strb bytes = {0};
	struct err err;

	resource_write(&bytes, kind, str_of(name), m);
	assert_int_equal(
	    journal_append(j, (uint16_t)kind, str_of(name), STR("1"), strb_str(&bytes), &err), 0);
	strb_fini(&bytes);
}

static inline struct snapshot *
snapshot_of(struct loop *l, const char *text, bool with_cluster)
{
	struct err err;
	struct journal *j = journal_new(&err);
	struct conf *conf = load(text);
	const Envoy__Config__Bootstrap__V3__Bootstrap__StaticResources *r =
	    conf_bootstrap(conf)->static_resources;
	struct snapshot_build *b;
	struct snapshot *s;
	int more;

	if (with_cluster)
		append(j, RESOURCE_CLUSTER, "api", &r->clusters[0]->base);
	append(j, RESOURCE_LISTENER, "in", &r->listeners[0]->base);
	b = snapshot_build_start(l, 0, journal_fd(j), journal_size(j), NULL, &err);
	assert_non_null(b);
	while ((more = snapshot_build_step(b, &err)) == 1)
		;
	if (more < 0)
		fail_msg("%s", err.text);
	s = snapshot_build_take(b);
	snapshot_build_free(&b);
	journal_free(&j);
	conf_free(&conf);
	return s;
}

static inline void
connect_client(struct world *w)
{
	struct address a;
	struct err err;
	int fds[2];

	if (w->client >= 0)
		close(w->client);
	strb_reset(&w->got);
	w->eof = false;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(address_parse(&a, STR("127.0.0.1:5000"), &err), 0);
	w->client = fds[0];
	hcm_open(&w->hcm, &w->place, fds[1], &a, &a);
}

static inline void
open_with(
    struct world *w, bool http2, const char *cluster_fields, bool with_cluster, bool with_host)
{
	struct strb text = {0};
	const struct listener_config *lc;

	lane_private();
	memset(w, 0, sizeof(*w));
	w->client = -1;
	w->l = loop_new();
	origin_open(&w->o, w->l, http2);
	strb_printf(&text, "%s%s    load_assignment:\n      cluster_name: api\n", config_text,
	    cluster_fields);
	if (with_host)
		strb_printf(&text,
		    "      endpoints:\n"
		    "      - lb_endpoints:\n"
		    "        - endpoint: {address: {socket_address: {address: 127.0.0.1, "
		    "port_value: %u}}}\n",
		    w->o.port);
	w->place.snapshot = snapshot_of(w->l, strb_z(&text), with_cluster);
	strb_fini(&text);
	lc = snapshot_listener(w->place.snapshot, 0);
	w->place.config = lc->hcm;
	w->place.stats = lc->stats;
	w->place.worker_stats = lc->worker_stats;
	drain_init(&w->drain, 1, false);
	hcm_init(&w->hcm, w->l, &w->drain, "test");
	w->cluster = cluster_stats_of("cluster.api.");
	w->http = http_stats_of("http.in.");
	connect_client(w);
}

static inline void
open_world(struct world *w, bool http2, const char *cluster_fields)
{
	open_with(w, http2, cluster_fields, true, true);
}

static inline void
close_world(struct world *w)
{
	close(w->client);
	hcm_abort_all(&w->hcm);
	for (int i = 0; i < 3; i++)
		loop_turn(w->l, false);
	snapshot_unref(&w->place.snapshot);
	for (int i = 0; i < 5; i++)
		loop_turn(w->l, false);
	assert_int_equal(GAUGE(w->cluster->upstream_rq_active), 0);
	assert_int_equal(GAUGE(w->cluster->upstream_rq_pending_active), 0);
	assert_int_equal(GAUGE(w->cluster->upstream_cx_active), 0);
	origin_close(&w->o);
	strb_fini(&w->got);
	loop_free(&w->l);
}

/* ---- the client */

static inline void
say(struct world *w, const char *text)
{
	assert_int_equal(write(w->client, text, strlen(text)), (ssize_t)strlen(text));
}

static inline void
receive(struct world *w)
{
	char b[65536];
	ssize_t n;

	while ((n = read(w->client, b, sizeof(b))) > 0)
		strb_add(&w->got, b, (size_t)n);
	w->eof |= n == 0;
}

static inline bool
has(struct world *w, const char *text)
{
	receive(w);
	return strstr(strb_z(&w->got), text) != NULL;
}

#define WAIT_FOR(w, text) UNTIL((w)->l, has((w), (text)))

static inline void
get(struct world *w, const char *path)
{
	struct strb b = {0};

	strb_printf(&b, "GET %s HTTP/1.1\r\nhost: a\r\n\r\n", path);
	say(w, strb_z(&b));
	strb_fini(&b);
}

static inline void
expect(struct world *w, const char *const *texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!has(w, texts[i]))
			fail_msg("no '%s' in:\n%s", texts[i], strb_z(&w->got));
}

#define EXPECT(w, ...)                                                                             \
	expect((w), (const char *const[]){__VA_ARGS__},                                            \
	    sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

#endif
