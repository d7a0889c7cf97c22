/*
 * The router between a real connection manager and a real host: a client
 * writes HTTP/1 into a socket pair, the host stands on 127.0.0.1.
 */
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

static struct conf *
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

static void
append(struct journal *j, enum resource_kind kind, const char *name, const ProtobufCMessage *m)
{
	struct strb bytes = {0};
	struct err err;

	resource_write(&bytes, kind, str_of(name), m);
	assert_int_equal(
	    journal_append(j, (uint16_t)kind, str_of(name), STR("1"), strb_str(&bytes), &err), 0);
	strb_fini(&bytes);
}

static struct snapshot *
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

static void
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

static void
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

static void
open_world(struct world *w, bool http2, const char *cluster_fields)
{
	open_with(w, http2, cluster_fields, true, true);
}

static void
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

static void
say(struct world *w, const char *text)
{
	assert_int_equal(write(w->client, text, strlen(text)), (ssize_t)strlen(text));
}

static void
receive(struct world *w)
{
	char b[65536];
	ssize_t n;

	while ((n = read(w->client, b, sizeof(b))) > 0)
		strb_add(&w->got, b, (size_t)n);
	w->eof |= n == 0;
}

static bool
has(struct world *w, const char *text)
{
	receive(w);
	return strstr(strb_z(&w->got), text) != NULL;
}

#define WAIT_FOR(w, text) UNTIL((w)->l, has((w), (text)))

static void
get(struct world *w, const char *path)
{
	struct strb b = {0};

	strb_printf(&b, "GET %s HTTP/1.1\r\nhost: a\r\n\r\n", path);
	say(w, strb_z(&b));
	strb_fini(&b);
}

static void
expect(struct world *w, const char *const *texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!has(w, texts[i]))
			fail_msg("no '%s' in:\n%s", texts[i], strb_z(&w->got));
}

#define EXPECT(w, ...)                                                                             \
	expect((w), (const char *const[]){__VA_ARGS__},                                            \
	    sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

/* ---- what passes */

static void
a_request_goes_to_a_host_and_its_answer_comes_back(void **state)
{
	static const bool http2[] = {false, true};

	for (size_t i = 0; i < 2; i++) {
		struct world w;
		struct headers *seen;

		open_world(&w, http2[i], http2[i] ? H2 : "");
		get(&w, "/api?x=1");
		WAIT_FOR(&w, "\r\n\r\n");
		EXPECT(
		    &w, "HTTP/1.1 200 OK\r\n", "x-envoy-upstream-service-time: ", "x-vhost: all");
		seen = w.o.streams[0]->headers;
		assert_true(str_eqz(headers_get(seen, HDR_PATH), "/api?x=1"));
		assert_true(
		    str_eqz(headers_get(seen, HDR_X_ENVOY_EXPECTED_RQ_TIMEOUT_MS), "15000"));
		assert_int_equal(VALUE(w.cluster->upstream_rq_2xx), 1);
		assert_int_equal(VALUE(w.http->rq_total), 1);
		close_world(&w);
	}
}

static void
bodies_are_streamed_and_kept_in_order(void **state)
{
	struct world w;

	open_world(&w, false, "");
	say(&w, "POST /api HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n12345");
	UNTIL(w.l, w.o.streams_n == 1);
	assert_false(has(&w, "HTTP"));
	say(&w, "67890");
	WAIT_FOR(&w, "200 OK");
	assert_int_equal(w.o.streams[0]->body, 10);
	close_world(&w);
}

static void
kept_connections_are_used_again(void **state)
{
	struct world w;

	open_world(&w, false, "");
	for (int i = 0; i < 20; i++) {
		strb_reset(&w.got);
		get(&w, "/api");
		WAIT_FOR(&w, "200 OK");
	}
	assert_int_equal(VALUE(w.cluster->upstream_cx_total), 1);
	assert_int_equal(VALUE(w.cluster->upstream_rq_total), 20);
	close_world(&w);
}

static void
an_upgraded_connection_outlives_the_routes_timeout(void **state)
{
	static const bool http2[] = {false, true};

	for (size_t i = 0; i < 2; i++) {
		struct world w;

		open_world(&w, http2[i], http2[i] ? H2 : "");
		w.o.config.h2.allow_connect = true;
		say(&w, "GET /fast HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\n"
			"upgrade: websocket\r\n\r\n");
		WAIT_FOR(&w, "HTTP/1.1 101 ");
		say(&w, "ping");
		WAIT_FOR(&w, "\r\n\r\nping");
		for (uint64_t from = loop_now_ms(w.l); loop_now_ms(w.l) < from + 60;)
			loop_turn(w.l, false);
		say(&w, "pong");
		WAIT_FOR(&w, "pingpong");
		assert_int_equal(VALUE(w.cluster->upstream_rq_timeout), 0);
		close_world(&w);
	}
}

/* ---- answers of the route */

static void
routes_answer_themselves(void **state)
{
	static const struct {
		const char *path, *status, *header, *body;
	} rows[] = {
	    {"/direct", "HTTP/1.1 418 ", "x-vhost: all\r\n", "\r\n\r\ntea"},
	    {"/move?a=b", "HTTP/1.1 301 ", "location: http://a/there?a=b\r\n", "\r\n\r\n"},
	    {"/nowhere", "HTTP/1.1 404 ", "content-length: 0\r\n", "\r\n\r\n"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world w;

		open_world(&w, false, "");
		get(&w, rows[i].path);
		WAIT_FOR(&w, rows[i].body);
		EXPECT(&w, rows[i].status, rows[i].header);
		assert_int_equal(VALUE(w.http->rq_direct_response), i == 0);
		assert_int_equal(VALUE(w.http->rq_redirect), i == 1);
		assert_int_equal(VALUE(w.http->no_route), i == 2);
		assert_int_equal(VALUE(w.cluster->upstream_rq_total), 0);
		close_world(&w);
	}
}

/* ---- what fails */

static void
an_unknown_cluster_is_503(void **state)
{
	struct world w;

	open_with(&w, false, "", false, true);
	get(&w, "/api");
	WAIT_FOR(&w, "\r\n\r\n");
	EXPECT(&w, "HTTP/1.1 503 ");
	assert_int_equal(VALUE(w.http->no_cluster), 1);
	close_world(&w);
}

static void
an_overloaded_cluster_drops_its_share(void **state)
{
	static const struct {
		uint32_t per_million;
		const char *header, *body, *status;
	} rows[] = {
	    {1000000, "x-envoy-unconditional-drop-overload: true\r\n", "unconditional drop overload", "HTTP/1.1 503 "},
	    {999999, "x-envoy-drop-overload: true\r\n", "\r\n\r\ndrop overload", "HTTP/1.1 503 "},
	    {1, "no healthy", "no healthy upstream", "HTTP/1.1 503 "},
	};
	struct world w;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		open_with(&w, false, "", true, false);
		snapshot_cluster(w.place.snapshot, STR("api"))->policy_of_members.drop_per_million =
		    rows[i].per_million;
		get(&w, "/api");
		WAIT_FOR(&w, rows[i].body);
		EXPECT(&w, rows[i].status, rows[i].header);
		assert_int_equal(VALUE(w.cluster->upstream_rq_total), 0);
		assert_int_equal(VALUE(w.cluster->upstream_rq_5xx), 1);
		close_world(&w);
	}
}

static void
a_cluster_without_hosts_is_503(void **state)
{
	struct world w;

	open_with(&w, false, "", true, false);
	get(&w, "/api");
	WAIT_FOR(&w, "no healthy upstream");
	EXPECT(&w, "HTTP/1.1 503 ");
	assert_int_equal(VALUE(w.cluster->upstream_cx_none_healthy), 1);
	assert_int_equal(VALUE(w.cluster->upstream_rq_5xx), 1);
	close_world(&w);
}

static void
a_refused_connection_says_so(void **state)
{
	struct world w;

	open_world(&w, false, "");
	origin_refuse(&w.o);
	get(&w, "/api");
	WAIT_FOR(&w, "upstream connect error or disconnect/reset before headers. reset reason: "
		     "remote connection failure, transport failure reason: "
		     "delayed connect error: Connection refused");
	EXPECT(&w, "HTTP/1.1 503 ");
	assert_int_equal(VALUE(w.cluster->upstream_rq_5xx), 1);
	close_world(&w);
}

static void
a_full_circuit_breaker_says_overloaded(void **state)
{
	struct world w;

	open_world(&w, false, "    circuit_breakers: {thresholds: [{max_pending_requests: 0}]}\n");
	get(&w, "/api");
	WAIT_FOR(&w, "reset reason: overflow");
	EXPECT(&w, "HTTP/1.1 503 ", "x-envoy-overloaded: true\r\n");
	assert_int_equal(VALUE(w.cluster->upstream_rq_pending_overflow), 1);
	close_world(&w);
}

static void
a_host_that_hangs_up_is_503(void **state)
{
	struct world w;

	open_world(&w, false, "");
	w.o.hang_up = true;
	get(&w, "/api");
	WAIT_FOR(&w, "reset reason: connection termination");
	EXPECT(&w, "HTTP/1.1 503 ");
	assert_int_equal(VALUE(w.cluster->upstream_rq_stale_retry), 0);
	assert_int_equal(VALUE(w.cluster->upstream_cx_destroy_remote_with_active_rq), 1);
	close_world(&w);
}

static void
a_stream_that_the_host_resets_is_503(void **state)
{
	struct world w;

	open_world(&w, true, H2);
	w.o.hold = true;
	get(&w, "/api");
	UNTIL(w.l, w.o.streams_n == 1 && w.o.streams[0]->complete);
	codec_reset(w.o.streams[0]->s, RESET_LOCAL);
	w.o.streams[0]->s = NULL;
	WAIT_FOR(&w, "reset reason: remote reset");
	assert_int_equal(VALUE(w.cluster->upstream_rq_rx_reset), 1);
	assert_int_equal(GAUGE(w.cluster->upstream_cx_active), 1);
	close_world(&w);
}

static void
half_a_response_ends_the_clients_connection(void **state)
{
	struct world w;

	open_world(&w, false, "");
	w.o.half = true;
	get(&w, "/api");
	WAIT_FOR(&w, "200 OK");
	conn_close(&w.o.conns[0]->conn, CLOSE_NOW, 0);
	UNTIL(w.l, has(&w, "\r\n\r\n") && w.eof);
	assert_int_equal(VALUE(w.http->rq_reset_after_downstream_response_started), 1);
	close_world(&w);
}

static void
the_routes_timeout_is_504(void **state)
{
	struct world w;

	open_world(&w, false, "");
	w.o.hold = true;
	get(&w, "/fast");
	WAIT_FOR(&w, "upstream request timeout");
	EXPECT(&w, "HTTP/1.1 504 ");
	assert_int_equal(VALUE(w.cluster->upstream_rq_timeout), 1);
	assert_int_equal(VALUE(w.cluster->upstream_rq_tx_reset), 1);
	close_world(&w);
}

static void
the_timeout_waits_for_the_whole_request(void **state)
{
	struct world w;

	open_world(&w, false, "");
	say(&w, "POST /fast HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n1");
	for (uint64_t from = loop_now_ms(w.l); loop_now_ms(w.l) < from + 60;)
		loop_turn(w.l, false);
	assert_false(has(&w, "HTTP"));
	say(&w, "2");
	WAIT_FOR(&w, "200 OK");
	close_world(&w);
}

static void
the_longest_duration_of_a_stream_is_kept(void **state)
{
	struct world w;

	open_world(&w, false, "    common_http_protocol_options: {max_stream_duration: 0.03s}\n");
	w.o.hold = true;
	get(&w, "/api");
	WAIT_FOR(&w, "upstream max stream duration reached");
	EXPECT(&w, "HTTP/1.1 504 ");
	assert_int_equal(VALUE(w.cluster->upstream_rq_max_duration_reached), 1);
	close_world(&w);
}

static void
a_client_that_leaves_cancels_its_request(void **state)
{
	struct world w;

	open_world(&w, false, "");
	w.o.hold = true;
	get(&w, "/api");
	UNTIL(w.l, w.o.streams_n == 1 && w.o.streams[0]->complete);
	connect_client(&w);
	UNTIL(w.l, GAUGE(w.cluster->upstream_rq_active) == 0);
	UNTIL(w.l, GAUGE(w.cluster->upstream_cx_active) == 0);
	assert_int_equal(VALUE(w.cluster->upstream_cx_destroy_local_with_active_rq), 1);
	close_world(&w);
}

/* ---- connections that were dead already */

static void
first_request(struct world *w)
{
	get(w, "/api");
	WAIT_FOR(w, "200 OK");
	strb_reset(&w->got);
}

static void
a_stale_connection_costs_nothing(void **state)
{
	static const char *const requests[] = {
	    "GET /api HTTP/1.1\r\nhost: a\r\n\r\n",
	    "PUT /api HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc",
	};

	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		struct world w;

		open_world(&w, false, "");
		first_request(&w);
		w.o.hang_up = true;
		say(&w, requests[i]);
		UNTIL(w.l, w.o.streams_n == 2 && w.o.streams[1]->complete);
		w.o.hang_up = false;
		WAIT_FOR(&w, "200 OK");
		assert_int_equal(VALUE(w.cluster->upstream_rq_stale_retry), 1);
		assert_int_equal(VALUE(w.cluster->upstream_rq_retry), 0);
		assert_int_equal(w.o.streams_n, 3);
		assert_int_equal(w.o.streams[2]->body, w.o.streams[1]->body);
		close_world(&w);
	}
}

static void
a_stale_connection_is_tried_again_once(void **state)
{
	struct world w;

	open_world(&w, false, "");
	first_request(&w);
	w.o.hang_up = true;
	get(&w, "/api");
	WAIT_FOR(&w, "reset reason: connection termination");
	assert_int_equal(w.o.streams_n, 3);
	close_world(&w);
}

static void
a_post_that_was_written_is_not_sent_again(void **state)
{
	struct world w;

	open_world(&w, false, "");
	first_request(&w);
	w.o.hang_up = true;
	say(&w, "POST /api HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc");
	WAIT_FOR(&w, "reset reason: connection termination");
	assert_int_equal(VALUE(w.cluster->upstream_rq_stale_retry), 0);
	close_world(&w);
}

/* ---- back-pressure */

static void
a_slow_host_slows_the_client(void **state)
{
	struct world w;
	char block[16384];
	size_t sent = 0, total = 16 << 20;
	struct strb head = {0};
	ssize_t n;

	open_world(&w, false, "    per_connection_buffer_limit_bytes: 32768\n");
	memset(block, 'x', sizeof(block));
	strb_printf(&head, "POST /api HTTP/1.1\r\nhost: a\r\ncontent-length: %zu\r\n\r\n", total);
	say(&w, strb_z(&head));
	strb_fini(&head);
	UNTIL(w.l, w.o.streams_n == 1);
	conn_pause(&w.o.conns[0]->conn);
	while (GAUGE(w.cluster->upstream_cx_tx_bytes_buffered) == 0 ||
	       VALUE(w.cluster->upstream_flow_control_backed_up_total) == 0) {
		if ((n = write(w.client, block, sizeof(block))) > 0)
			sent += (size_t)n;
		loop_turn(w.l, false);
	}
	for (int i = 0; i < 1000; i++) { /* the client's socket fills and stays full */
		if ((n = write(w.client, block, sizeof(block))) > 0)
			sent += (size_t)n;
		loop_turn(w.l, false);
	}
	assert_true(write(w.client, block, sizeof(block)) < 0);
	assert_true(GAUGE(w.cluster->upstream_cx_tx_bytes_buffered) < 512 * 1024);
	conn_resume(&w.o.conns[0]->conn);
	while (sent < total) {
		size_t want = total - sent < sizeof(block) ? total - sent : sizeof(block);

		if ((n = write(w.client, block, want)) > 0)
			sent += (size_t)n;
		loop_turn(w.l, false);
	}
	WAIT_FOR(&w, "200 OK");
	assert_int_equal(w.o.streams[0]->body, total);
	assert_true(VALUE(w.cluster->upstream_flow_control_drained_total) > 0);
	close_world(&w);
}

static void
a_slow_client_slows_the_host(void **state)
{
	static const bool http2[] = {false, true};
	static const char limit[] = "    per_connection_buffer_limit_bytes: 32768\n";
	static const char http2_limit[] = "    http2_protocol_options:\n"
					  "      initial_stream_window_size: 65536\n"
					  "    per_connection_buffer_limit_bytes: 32768\n";

	for (size_t i = 0; i < 2; i++) {
		struct world w;
		size_t total = 32 << 20;
		uint64_t before, after;

		open_world(&w, http2[i], http2[i] ? http2_limit : limit);
		w.o.big = total;
		get(&w, "/api");
		UNTIL(w.l, VALUE(w.cluster->upstream_flow_control_paused_reading_total) > 0);
		do { /* until nothing moves any more */
			before = VALUE(w.cluster->upstream_cx_rx_bytes_total);
			for (int k = 0; k < 100; k++)
				loop_turn(w.l, false);
			after = VALUE(w.cluster->upstream_cx_rx_bytes_total);
		} while (after > before);
		assert_true(after < total / 4);
		while (w.got.n < total) {
			receive(&w);
			loop_turn(w.l, false);
		}
		assert_true(VALUE(w.cluster->upstream_flow_control_resumed_reading_total) > 0);
		close_world(&w);
	}
}

static void
an_early_answer_does_not_wait_for_the_request(void **state)
{
	static const bool http2[] = {false, true};

	for (size_t i = 0; i < 2; i++) {
		struct world w;

		open_world(&w, http2[i], http2[i] ? H2 : "");
		say(&w, "POST /api HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n12345");
		UNTIL(w.l, w.o.streams_n == 1);
		origin_answer(w.o.streams[0]);
		WAIT_FOR(&w, "200 OK");
		EXPECT(&w, "connection: close");
		UNTIL(w.l, GAUGE(w.cluster->upstream_rq_active) == 0);
		assert_int_equal(VALUE(w.http->downstream_rq_response_before_rq_complete), 1);
		close_world(&w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_request_goes_to_a_host_and_its_answer_comes_back),
	    cmocka_unit_test(bodies_are_streamed_and_kept_in_order),
	    cmocka_unit_test(kept_connections_are_used_again),
	    cmocka_unit_test(an_upgraded_connection_outlives_the_routes_timeout),
	    cmocka_unit_test(routes_answer_themselves),
	    cmocka_unit_test(an_unknown_cluster_is_503),
	    cmocka_unit_test(a_cluster_without_hosts_is_503),
	    cmocka_unit_test(an_overloaded_cluster_drops_its_share),
	    cmocka_unit_test(a_refused_connection_says_so),
	    cmocka_unit_test(a_full_circuit_breaker_says_overloaded),
	    cmocka_unit_test(a_host_that_hangs_up_is_503),
	    cmocka_unit_test(a_stream_that_the_host_resets_is_503),
	    cmocka_unit_test(half_a_response_ends_the_clients_connection),
	    cmocka_unit_test(the_routes_timeout_is_504),
	    cmocka_unit_test(the_timeout_waits_for_the_whole_request),
	    cmocka_unit_test(the_longest_duration_of_a_stream_is_kept),
	    cmocka_unit_test(a_client_that_leaves_cancels_its_request),
	    cmocka_unit_test(a_stale_connection_costs_nothing),
	    cmocka_unit_test(a_stale_connection_is_tried_again_once),
	    cmocka_unit_test(a_post_that_was_written_is_not_sent_again),
	    cmocka_unit_test(a_slow_host_slows_the_client),
	    cmocka_unit_test(a_slow_client_slows_the_host),
	    cmocka_unit_test(an_early_answer_does_not_wait_for_the_request),
	};

	rand_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
