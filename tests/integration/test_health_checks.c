/* Active health checks: who is asked how, what becomes of it, and who still gets requests. */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "lib/base/mem.h"
#include "lib/http/codec.h"
#include "tests/harness/configs.h"
#include "tests/harness/generations.h"
#include "tests/harness/script.h"

/* Fields of every check here; no panic, so that a failed host gets nothing. */
#define CHECK(timeout, healthy, unhealthy, more)                                                   \
	"    common_lb_config: {healthy_panic_threshold: {value: 0}}\n"                            \
	"    health_checks:\n"                                                                     \
	"    - timeout: " timeout "\n"                                                             \
	"      interval: 0.05s\n"                                                                  \
	"      no_traffic_interval: 0.05s\n"                                                       \
	"      healthy_threshold: " healthy "\n"                                                   \
	"      unhealthy_threshold: " unhealthy "\n" more
#define HTTP_CHECK "      http_health_check: {path: /health}\n"

#define FREQUENT_CHECK                                                                             \
	"    health_checks:\n"                                                                     \
	"    - {timeout: 5s, interval: 0.01s, no_traffic_interval: 0.01s, healthy_threshold: 1, "   \
	"unhealthy_threshold: 3, http_health_check: {path: /health}}\n"

#define ONE_HOST CONF_HOST("@HOST0@")
#define TWO_HOSTS CONF_HOST("@HOST0@") CONF_HOST("@HOST1@")
#define CONF(hosts, check)                                                                         \
	CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS CONF_CLUSTER("api", hosts, check)

#define HEALTHY "cluster.api.health_check.healthy"

static void
start_two(struct scene *sc, const char *yaml)
{
	scene_init(sc);
	scene_scripted(sc, "one", false);
	scene_scripted(sc, "two", false);
	scene_proxy(sc, yaml);
}

/* Do all of n requests end at the host of this name? */
static bool
all_reach(struct scene *sc, const char *name, int n)
{
	for (int i = 0; i < n; i++) {
		struct reply r = scene_get(sc, "/");
		bool there = r.status == 200 && strstr(r.body, name);

		reply_free(&r);
		if (!there)
			return false;
	}
	return true;
}

static void
a_host_that_fails_gets_nothing_until_it_passes_again(void **state)
{
	struct scene sc;

	start_two(&sc, CONF(TWO_HOSTS, CHECK("1s", "2", "3", HTTP_CHECK)));
	assert_stat(&sc, HEALTHY, 2); /* it serves only after the first round */
	script_add(&sc, 0, (struct rule){.path = "/health", .status = 503});
	WAIT_FOR(scene_host_is(&sc, 0, "/failed_active_hc"));
	assert_stat(&sc, HEALTHY, 1);
	assert_stat(&sc, "cluster.api.membership_healthy", 1);
	assert_true(all_reach(&sc, "two", 20));
	script_clear(&sc, 0);
	WAIT_FOR(scene_stat(&sc, HEALTHY) == 2);
	assert_stat(&sc, "cluster.api.health_check.network_failure", 0);
	assert_non_null(strstr(script_of(&sc, 0)->last, "user-agent: Envoy/HC"));
	assert_non_null(strstr(script_of(&sc, 0)->last, ":authority: api"));
	scene_fini(&sc);
}

/* So that it may end in peace: nobody sends anything, and its connections go. */
static void
a_host_that_fails_loses_its_idle_connections(void **state)
{
	struct scene sc;

	scene_init(&sc);
	scene_scripted(&sc, "one", false);
	scene_proxy(&sc, CONF(ONE_HOST, CHECK("1s", "1", "1", HTTP_CHECK)));
	assert_true(all_reach(&sc, "one", 10));
	assert_true(script_of(&sc, 0)->open >= 2); /* the check's, and those of workers */
	script_add(&sc, 0, (struct rule){.path = "/health", .status = 503});
	WAIT_FOR(script_of(&sc, 0)->open <= 1);
	script_clear(&sc, 0);
	WAIT_FOR(all_reach(&sc, "one", 1));
	scene_fini(&sc);
}

static void
serving_begins_when_the_first_round_is_over(void **state)
{
	struct scene sc;

	scene_init(&sc);
	scene_scripted(&sc, "one", false);
	script_add(&sc, 0, (struct rule){.path = "/health", .delay_ms = 300, .times = 1});
	scene_proxy(&sc, CONF(ONE_HOST, CHECK("5s", "2", "3", HTTP_CHECK)));
	assert_int_equal(scene_status(&sc, "/"), 200);
	scene_fini(&sc);
}

/* Of 20,000 hosts; refused for the last of them, so that nothing but reading and checking is done. */
static char *
large_and_wrong(void)
{
	struct strb text = {0};

	strb_addz(&text, CONF(ONE_HOST, FREQUENT_CHECK));
	strb_addz(&text, CONF_CLUSTER("many", "", ""));
	for (unsigned i = 0; i < 20000; i++)
		strb_printf(&text,
		    "        - {endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: %u}}}}\n", i + 1);
	strb_addz(&text, "        - {endpoint: {address: {socket_address: {address: nowhere, port_value: 1}}}}\n");
	return text.p;
}

/* A check is begun every 10 ms; in one step, loading would let one or two begin. */
static void
checks_go_on_while_a_large_configuration_is_loaded(void **state)
{
	char *large = large_and_wrong(), *said;
	struct scene sc;
	int64_t before;

	scene_init(&sc);
	scene_scripted(&sc, "one", false);
	scene_proxy(&sc, CONF(ONE_HOST, FREQUENT_CHECK));
	scene_write_config(&sc, large);
	before = scene_stat(&sc, "cluster.api.health_check.attempt");
	assert_int_equal(scene_run_tool(&sc, &said, "batonctl", "reload", NULL), 3);
	assert_non_null(strstr(said, "'nowhere' is not an IP address"));
	assert_true(scene_stat(&sc, "cluster.api.health_check.attempt") >= before + 5);
	assert_stat(&sc, HEALTHY, 1);
	assert_stat(&sc, "cluster.api.health_check.failure", 0);
	mem_free(said);
	mem_free(large);
	scene_fini(&sc);
}

static void
the_network_has_a_threshold(void **state)
{
	struct scene sc;

	start_two(&sc, CONF(TWO_HOSTS, CHECK("1s", "1", "4", HTTP_CHECK)));
	script_listen(&sc, 0, LISTEN_REFUSE);
	script_drop(&sc, 0);
	WAIT_FOR(scene_host_is(&sc, 0, "/failed_active_hc"));
	assert_true(scene_stat(&sc, "cluster.api.health_check.network_failure") >= 4);
	assert_true(all_reach(&sc, "two", 10));
	script_listen(&sc, 0, LISTEN_YES);
	WAIT_FOR(scene_host_is(&sc, 0, "healthy"));
	scene_fini(&sc);
}

static void
a_host_that_hangs_is_shown_as_timed_out(void **state)
{
	struct scene sc;

	start_two(&sc, CONF(TWO_HOSTS, CHECK("0.1s", "1", "2", HTTP_CHECK)));
	script_add(&sc, 0, (struct rule){.path = "/health", .deed = DEED_HANG});
	WAIT_FOR(scene_host_is(&sc, 0, "/failed_active_hc/active_hc_timeout"));
	script_clear(&sc, 0);
	script_add(&sc, 0, (struct rule){.path = "/health", .deed = DEED_RESET});
	WAIT_FOR(scene_host_is(&sc, 0, "/failed_active_hc"));
	script_clear(&sc, 0);
	WAIT_FOR(scene_host_is(&sc, 0, "healthy"));
	scene_fini(&sc);
}

/* The host closes its side each time: the check on the dead connection is asked again on another. */
static void
a_kept_connection_that_ends_is_no_failure(void **state)
{
	struct scene sc;

	scene_init(&sc);
	scene_scripted(&sc, "one", false);
	scene_proxy(&sc, CONF(ONE_HOST, CHECK("5s", "1", "1", HTTP_CHECK)));
	for (int i = 0; i < 10; i++) {
		int64_t before = scene_stat(&sc, "cluster.api.health_check.success");

		script_drop(&sc, 0);
		scene_wait_stat(&sc, "cluster.api.health_check.success", before + 1);
	}
	assert_stat(&sc, "cluster.api.health_check.failure", 0);
	assert_true(script_of(&sc, 0)->connections >= 10);
	scene_fini(&sc);
}

static void
statuses_and_bodies_are_those_expected(void **state)
{
	struct scene sc;

	start_two(&sc,
	    CONF(TWO_HOSTS, CHECK("1s", "1", "3",
				"      http_health_check: {path: /health, method: POST,"
				" send: {text: \"68690a\"}, receive: [{text: \"6f\"}, {binary: bmU=}],"
				" host: checked.example, request_headers_to_remove: [user-agent],"
				" request_headers_to_add: [{header: {key: X-Check, value: 100%% sure}}],"
				" expected_statuses: [{start: 200, end: 300}, {start: 404, end: 405}],"
				" retriable_statuses: [{start: 503, end: 504}]}\n")));
	assert_true(scene_host_is(&sc, 0, "healthy"));            /* "one" is o, then ne */
	assert_true(scene_host_is(&sc, 1, "/failed_active_hc")); /* "two" is not */
	assert_int_equal(script_of(&sc, 0)->body_bytes / script_of(&sc, 0)->requests, 3);
	assert_non_null(strstr(script_of(&sc, 0)->last, "x-check: 100% sure"));
	assert_non_null(strstr(script_of(&sc, 0)->last, ":authority: checked.example"));
	assert_non_null(strstr(script_of(&sc, 0)->last, "content-length: 3"));
	assert_null(strstr(script_of(&sc, 0)->last, "user-agent"));
	script_add(&sc, 0, (struct rule){.path = "/health", .status = 404, .times = 5});
	script_add(&sc, 0, (struct rule){.path = "/health", .status = 503, .times = 2});
	WAIT_FOR(script_of(&sc, 0)->used[1] == 2);
	assert_true(scene_host_is(&sc, 0, "healthy"));
	script_add(&sc, 0, (struct rule){.path = "/health", .status = 500});
	WAIT_FOR(scene_host_is(&sc, 0, "/failed_active_hc"));
	scene_fini(&sc);
}

static void
a_degraded_host_is_used_when_no_other_is_left(void **state)
{
	struct scene sc;

	start_two(&sc, CONF(TWO_HOSTS, CHECK("1s", "1", "1", HTTP_CHECK)));
	script_add(
	    &sc, 0, (struct rule){.path = "/health", .headers = "x-envoy-degraded: 1\r\n"});
	WAIT_FOR(scene_host_is(&sc, 0, "/degraded_active_hc"));
	assert_stat(&sc, "cluster.api.health_check.degraded", 1);
	WAIT_FOR(scene_stat(&sc, "cluster.api.membership_degraded") == 1);
	script_add(&sc, 1, (struct rule){.path = "/health", .status = 500});
	WAIT_FOR(scene_host_is(&sc, 1, "/failed_active_hc"));
	assert_true(all_reach(&sc, "one", 10));
	scene_fini(&sc);
}

/* ---- x-envoy-immediate-health-check-fail */

#define LEAVE_ME "x-envoy-immediate-health-check-fail: true\r\n"

static void
a_host_that_wants_to_be_left_alone_is(void **state)
{
	struct scene sc;
	struct reply r;

	start_two(&sc, CONF(TWO_HOSTS, CHECK("1s", "1", "1", HTTP_CHECK)));
	script_add(&sc, 0, (struct rule){.path = "/health", .deed = DEED_HANG});
	script_add(&sc, 0, (struct rule){.path = "/", .headers = LEAVE_ME});
	WAIT_FOR(script_of(&sc, 0)->used[0] > 0); /* no check passes from here on */
	while (script_of(&sc, 0)->used[1] == 0) {
		r = scene_get(&sc, "/");
		assert_int_equal(r.status, 200);
		assert_null(reply_header(&r, "x-envoy-immediate-health-check-fail"));
		reply_free(&r);
	}
	assert_true(all_reach(&sc, "two", 20));
	assert_int_equal(script_of(&sc, 0)->used[1], 1);
	assert_stat(&sc, "cluster.api.health_check.passive_failure", 1);
	assert_true(scene_host_is(&sc, 0, "/failed_active_hc/excluded_via_immediate_hc_fail") ||
		    scene_host_is(&sc, 0,
			"/failed_active_hc/excluded_via_immediate_hc_fail/active_hc_timeout"));
	WAIT_FOR(scene_stat(&sc, "cluster.api.membership_excluded") == 1);
	script_clear(&sc, 0);
	WAIT_FOR(scene_host_is(&sc, 0, "healthy"));
	scene_fini(&sc);
}

static void
the_checker_hears_it_too(void **state)
{
	struct scene sc;

	start_two(&sc, CONF(TWO_HOSTS, CHECK("1s", "1", "1", HTTP_CHECK)));
	script_add(&sc, 0, (struct rule){.path = "/health", .status = 503, .headers = LEAVE_ME});
	WAIT_FOR(scene_host_is(&sc, 0, "/failed_active_hc/excluded_via_immediate_hc_fail"));
	script_clear(&sc, 0);
	WAIT_FOR(scene_host_is(&sc, 0, "healthy"));
	scene_fini(&sc);
}

static void
without_checks_the_header_passes(void **state)
{
	struct scene sc;
	struct reply r;

	scene_init(&sc);
	scene_scripted(&sc, "one", false);
	script_add(&sc, 0, (struct rule){.headers = LEAVE_ME});
	scene_proxy(&sc, CONF(ONE_HOST, ""));
	for (int i = 0; i < 3; i++) {
		r = scene_get(&sc, "/");
		assert_int_equal(r.status, 200);
		assert_string_equal(
		    reply_header(&r, "x-envoy-immediate-health-check-fail"), "true");
		reply_free(&r);
	}
	scene_fini(&sc);
}

/* ---- where and by what */

static void
wait_for_passes(struct scene *sc, int n)
{
	const char *name = "cluster.api.health_check.success";

	scene_wait_stat(sc, name, scene_stat(sc, name) + n);
}

static void
http2_is_asked_on_one_connection(void **state)
{
	struct scene sc;

	scene_init(&sc);
	scene_scripted(&sc, "one", true);
	scene_proxy(&sc,
	    CONF(ONE_HOST, CHECK("5s", "1", "1",
			       "      http_health_check: {path: /health, codec_client_type: HTTP2}\n")));
	scene_wait_stat(&sc, "cluster.api.health_check.success", 5);
	assert_int_equal(script_of(&sc, 0)->connections, 1);
	/* A stream that was left out or refused is asked for again on another connection. */
	script_add(&sc, 0, (struct rule){.path = "/health", .deed = DEED_GOAWAY, .times = 1});
	wait_for_passes(&sc, 3);
	assert_int_equal(script_of(&sc, 0)->connections, 2);
	script_add(&sc, 0, (struct rule){.path = "/health", .deed = DEED_REFUSE_STREAM, .times = 1});
	wait_for_passes(&sc, 3);
	assert_int_equal(script_of(&sc, 0)->connections, 3);
	assert_stat(&sc, "cluster.api.health_check.failure", 0);
	script_add(&sc, 0, (struct rule){.path = "/health", .status = 500});
	WAIT_FOR(scene_host_is(&sc, 0, "/failed_active_hc"));
	scene_fini(&sc);
}

static void
a_host_may_be_asked_elsewhere_or_not_at_all(void **state)
{
	struct scene sc;

	scene_init(&sc);
	scene_scripted(&sc, "one", false);
	scene_scripted(&sc, "two", false);
	scene_scripted(&sc, "doctor", false);
	script_add(&sc, 0, (struct rule){.path = "/health", .status = 500});
	script_add(&sc, 1, (struct rule){.path = "/health", .status = 500});
	scene_proxy(&sc,
	    CONF("        - endpoint:\n"
		 "            address: {socket_address: {address: 127.0.0.1, port_value: @HOST0@}}\n"
		 "            health_check_config: {port_value: @HOST2@, hostname: one.example}\n"
		 "        - endpoint:\n"
		 "            address: {socket_address: {address: 127.0.0.1, port_value: @HOST1@}}\n"
		 "            health_check_config: {disable_active_health_check: true}\n",
		CHECK("1s", "1", "1", HTTP_CHECK)));
	assert_true(scene_host_is(&sc, 0, "healthy"));
	assert_true(scene_host_is(&sc, 1, "healthy"));
	assert_int_equal(script_of(&sc, 0)->requests + script_of(&sc, 1)->requests, 0);
	assert_non_null(strstr(script_of(&sc, 2)->last, ":authority: one.example"));
	script_add(&sc, 2, (struct rule){.path = "/health", .status = 500});
	WAIT_FOR(scene_host_is(&sc, 0, "/failed_active_hc"));
	assert_true(all_reach(&sc, "two", 10));
	scene_fini(&sc);
}

/* ---- gRPC */

enum grpc_mood {
	GRPC_SERVES,
	GRPC_SERVES_NOT,
	GRPC_UNKNOWN_SERVICE, /* trailers only, NOT_FOUND */
	GRPC_HAS_NO_HEALTH,   /* trailers only, UNIMPLEMENTED */
	GRPC_IS_NONE,         /* 404 of a web server */
};

/* Shared by the scene and its host. */
struct grpc_host {
	_Atomic int mood;
	char request[256]; /* headers and bytes of the latest question */
	_Atomic unsigned questions;
};

struct grpc_connection {
	struct grpc_host *host;
	struct codec *codec;
	struct codec_stream *stream;
	struct arena arena;
};

static void
grpc_answer(struct grpc_connection *c)
{
	static const char serving[] = "\0\0\0\0\2\x08\x01", not_serving[] = "\0\0\0\0\2\x08\x02";
	struct headers h, *t = arena_new(&c->arena, struct headers);
	struct buf b;
	int mood = c->host->mood;

	headers_init(&h, &c->arena);
	headers_set_status(&h, mood == GRPC_IS_NONE ? 404 : 200);
	headers_add_id(&h, HDR_CONTENT_TYPE,
	    mood == GRPC_IS_NONE ? STR("text/html") : STR("application/grpc"));
	if (mood > GRPC_SERVES_NOT) {
		if (mood != GRPC_IS_NONE)
			headers_add_id(&h, HDR_GRPC_STATUS,
			    mood == GRPC_HAS_NO_HEALTH ? STR("12") : STR("5"));
		codec_send_headers(c->stream, &h, true);
		return;
	}
	codec_send_headers(c->stream, &h, false);
	buf_init(&b);
	buf_add(&b, mood == GRPC_SERVES ? serving : not_serving, 7);
	codec_send_data(c->stream, &b, false);
	buf_fini(&b);
	headers_init(t, &c->arena);
	headers_add_id(t, HDR_GRPC_STATUS, STR("0"));
	codec_send_trailers(c->stream, t); /* leave when the data has left */
}

static void
grpc_on_headers(void *arg, struct headers *h, bool end)
{
	struct grpc_connection *c = arg;
	char *to = c->host->request;
	int n = 0;

	for (uint32_t i = 0; i < h->len && n < 200; i++)
		n += snprintf(to + n, 200 - (size_t)n, "%.*s: %.*s\n", h->at[i].name_len,
		    h->at[i].name, (int)h->at[i].value_len, h->at[i].value);
}

static void
grpc_on_data(void *arg, struct buf *data, bool end)
{
	struct grpc_connection *c = arg;

	buf_peek(data, c->host->request + 200, 50);
	if (!end)
		return;
	c->host->questions++;
	grpc_answer(c);
}

static void
grpc_on_reset(void *arg, enum stream_reset why, const char *details)
{
}

static void
grpc_on_nothing(void *arg)
{
}

static void
grpc_on_stream(void *arg, struct codec_stream *s)
{
	static const struct stream_events events = {
	    .on_headers = grpc_on_headers,
	    .on_data = grpc_on_data,
	    .on_reset = grpc_on_reset,
	    .on_blocked = grpc_on_nothing,
	    .on_unblocked = grpc_on_nothing,
	    .on_done = grpc_on_nothing,
	};
	struct grpc_connection *c = arg;

	s->events = &events;
	s->arg = c;
	s->arena = &c->arena;
	c->stream = s;
}

static void
grpc_on_broken(void *arg, const struct codec_error *e)
{
}

static bool
grpc_write(int fd, struct codec *codec)
{
	struct buf out;
	bool ok = true;

	buf_init(&out);
	codec_output(codec, &out);
	if (out.len)
		ok = write(fd, buf_pullup(&out, out.len), out.len) == (ssize_t)out.len;
	buf_fini(&out);
	return ok;
}

static void
serve_grpc(int fd, unsigned n, void *arg)
{
	static const struct codec_events events = {
	    .on_stream = grpc_on_stream,
	    .on_output = grpc_on_nothing,
	    .on_more = grpc_on_nothing,
	    .on_broken = grpc_on_broken,
	};
	static struct http2_codec_stats stats;
	struct codec_config config = {
	    .max_headers_bytes = 8192, .max_headers_count = 100, .high_watermark = 65536};
	struct grpc_connection c = {.host = arg};
	char bytes[4096];
	ssize_t got;
	struct buf in;

	config.h2_stats = &stats;
	http2_settings_defaults(&config.h2);
	arena_init(&c.arena);
	buf_init(&in);
	c.codec = h2_server_new(&config, &events, &c);
	while (grpc_write(fd, c.codec) && (got = read(fd, bytes, sizeof(bytes))) > 0) {
		buf_add(&in, bytes, (size_t)got);
		codec_feed(c.codec, &in);
	}
	codec_free(&c.codec);
	buf_fini(&in);
	arena_fini(&c.arena);
}

static void
grpc_hosts_say_whether_they_serve(void **state)
{
	static const enum grpc_mood bad[] = {
	    GRPC_SERVES_NOT, GRPC_UNKNOWN_SERVICE, GRPC_HAS_NO_HEALTH, GRPC_IS_NONE};
	struct grpc_host *host = mmap(NULL, sizeof(*host), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct scene sc;

	scene_init(&sc);
	scene_host(&sc, serve_grpc, host);
	scene_proxy(&sc,
	    CONF(ONE_HOST, CHECK("2s", "1", "5",
			       "      grpc_health_check: {service_name: shop, authority: grpc.example,"
			       " initial_metadata: [{header: {key: x-who, value: doctor}}]}\n")));
	assert_true(scene_host_is(&sc, 0, "healthy"));
	assert_non_null(strstr(host->request, ":path: /grpc.health.v1.Health/Check\n"));
	assert_non_null(strstr(host->request, ":authority: grpc.example\n"));
	assert_non_null(strstr(host->request, "te: trailers\n"));
	assert_memory_equal(host->request + 200, "\0\0\0\0\6\x0a\4shop", 11);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		host->mood = bad[i];
		WAIT_FOR(scene_host_is(&sc, 0, "/failed_active_hc"));
		host->mood = GRPC_SERVES;
		WAIT_FOR(scene_host_is(&sc, 0, "healthy"));
	}
	assert_stat(&sc, "cluster.api.health_check.network_failure", 0);
	scene_fini(&sc);
	munmap(host, sizeof(*host));
}

/* ---- TCP */

/* Answers each byte 'q' with "..no..yes" in two pieces, or with "..no" when its number is odd. */
static void
serve_bytes(int fd, unsigned n, void *arg)
{
	char c;

	while (read(fd, &c, 1) == 1) {
		if (write(fd, "..no", 4) != 4)
			return;
		scene_pause();
		if (n % 2 == 0 && write(fd, "..yes", 5) != 5)
			return;
	}
}

static void
bytes_are_sent_and_others_expected(void **state)
{
	struct scene sc;

	scene_init(&sc);
	scene_host(&sc, serve_bytes, NULL);
	scene_proxy(&sc,
	    CONF(ONE_HOST, CHECK("0.2s", "1", "1",
			       "      tcp_health_check: {send: {text: \"71\"}, "
			       "receive: [{text: \"6e6f\"}, {text: \"796573\"}]}\n")));
	scene_wait_stat(&sc, "cluster.api.health_check.success", 4);
	assert_stat(&sc, "cluster.api.health_check.failure", 0);
	assert_true(scene_host_is(&sc, 0, "healthy"));
	scene_fini(&sc);
}

static void
a_connection_alone_may_be_enough(void **state)
{
	struct scene sc;

	start_two(&sc, CONF(TWO_HOSTS, CHECK("1s", "1", "1", "      tcp_health_check: {}\n")));
	assert_true(scene_host_is(&sc, 0, "healthy"));
	script_listen(&sc, 0, LISTEN_REFUSE);
	WAIT_FOR(scene_host_is(&sc, 0, "/failed_active_hc"));
	assert_true(all_reach(&sc, "two", 10));
	scene_fini(&sc);
}

/* ---- what outlives what */

static void
verdicts_outlive_the_admin_process(void **state)
{
	struct scene sc;
	pid_t admin, next;

	start_two(&sc, CONF(TWO_HOSTS, CHECK("0.1s", "1", "1", HTTP_CHECK)));
	script_add(&sc, 0, (struct rule){.path = "/health", .status = 503});
	WAIT_FOR(scene_host_is(&sc, 0, "/failed_active_hc"));
	for (int i = 0; i < 3; i++) {
		admin = scene_child(&sc, "admin");
		kill(admin, SIGKILL);
		assert_true(all_reach(&sc, "two", 10));
		next = scene_wait_child(&sc, "admin", admin);
		assert_true(next > 0);
		assert_true(all_reach(&sc, "two", 10));
		WAIT_FOR(scene_host_is(&sc, 0, "/failed_active_hc"));
	}
	script_clear(&sc, 0);
	WAIT_FOR(scene_host_is(&sc, 0, "healthy"));
	scene_fini(&sc);
}

/* Asleep in the middle of checks, again and again: what was missed is our fault. */
static void
an_admin_that_was_stopped_blames_no_host(void **state)
{
	struct scene sc;
	pid_t admin;

	start_two(&sc, CONF(TWO_HOSTS, CHECK("0.1s", "1", "1", HTTP_CHECK)));
	script_add(&sc, 0, (struct rule){.path = "/health", .delay_ms = 30});
	script_add(&sc, 1, (struct rule){.path = "/health", .delay_ms = 60});
	admin = scene_child(&sc, "admin");
	for (int i = 0; i < 10; i++) {
		unsigned asked = script_of(&sc, 1)->requests;

		WAIT_FOR(script_of(&sc, 1)->requests > asked);
		kill(admin, SIGSTOP);
		usleep(250000); /* longer than a check may take: this very time must not count */
		kill(admin, SIGCONT);
	}
	assert_stat(&sc, "cluster.api.health_check.failure", 0);
	assert_stat(&sc, HEALTHY, 2);
	scene_fini(&sc);
}

static void
a_hot_restart_keeps_verdicts_and_does_not_wait(void **state)
{
	struct scene sc;
	unsigned before;
	char *out;

	/* Only the first generation's checks of host 1 pass; each takes longer than the scene. */
	start_two(&sc, CONF(TWO_HOSTS, CHECK("60s", "1", "1", HTTP_CHECK)));
	script_add(&sc, 0, (struct rule){.path = "/health", .status = 503, .times = 1});
	script_add(&sc, 0, (struct rule){.path = "/health", .deed = DEED_HANG});
	script_add(&sc, 1, (struct rule){.path = "/health", .deed = DEED_HANG});
	WAIT_FOR(scene_host_is(&sc, 0, "/failed_active_hc"));
	WAIT_FOR(script_of(&sc, 1)->used[0] > 0);
	before = script_of(&sc, 0)->requests;
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "hot-restart", NULL), 0);
	mem_free(out);
	assert_true(all_reach(&sc, "two", 50));
	assert_true(scene_host_is(&sc, 0, "/failed_active_hc"));
	assert_true(script_of(&sc, 0)->requests - before <= 2); /* checks, both hanging */
	scene_fini(&sc);
}

static void
order(struct scene *sc, unsigned host, const char *what)
{
	char *address = mem_printf("127.0.0.1:%u", sc->host_port[host]), *out;

	assert_int_equal(scene_run_tool(sc, &out, "batonctl", "host", "api", address, what, NULL), 0);
	mem_free(out);
	mem_free(address);
}

/* Above checks that pass, and below those that do not; for the next admin and the next generation, too. */
static void
the_operators_word_stands_beside_checks(void **state)
{
	static const char *const words[][2] = {{"fail", "/operator_fail"}, {"drain", "/operator_drain"}};
	struct scene sc;
	pid_t admin;

	start_two(&sc, CONF(TWO_HOSTS, CHECK("1s", "1", "1", HTTP_CHECK)));
	for (int i = 0; i < 2; i++) {
		unsigned asked = script_of(&sc, 0)->requests;

		order(&sc, 0, words[i][0]);
		WAIT_FOR(script_of(&sc, 0)->requests > asked + 3); /* checks go on, and pass */
		assert_true(scene_host_is(&sc, 0, words[i][1]));
		assert_true(all_reach(&sc, "two", 20));
		admin = scene_wait_child(&sc, "admin", 0);
		kill(admin, SIGKILL);
		scene_wait_child(&sc, "admin", admin);
		assert_int_equal(generation_restart(&sc), 0);
		assert_true(scene_host_is(&sc, 0, words[i][1]));
		assert_true(all_reach(&sc, "two", 20));
		order(&sc, 0, "ok");
		WAIT_FOR(all_reach(&sc, "one", 1));
	}
	script_add(&sc, 0, (struct rule){.path = "/health", .status = 503});
	WAIT_FOR(scene_host_is(&sc, 0, "/failed_active_hc"));
	order(&sc, 0, "ok"); /* no more than nothing said */
	assert_true(scene_host_is(&sc, 0, "/failed_active_hc"));
	assert_true(all_reach(&sc, "two", 20));
	scene_fini(&sc);
}

static void
a_reload_changes_how_hosts_are_checked(void **state)
{
	struct scene sc;
	char *out;

	start_two(&sc, CONF(TWO_HOSTS, CHECK("1s", "1", "1", HTTP_CHECK)));
	script_add(&sc, 0, (struct rule){.path = "/health", .status = 503});
	WAIT_FOR(scene_host_is(&sc, 0, "/failed_active_hc"));
	scene_write_config(&sc,
	    CONF(TWO_HOSTS, CHECK("1s", "1", "1", "      http_health_check: {path: /other}\n")));
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "reload", NULL), 0);
	mem_free(out);
	WAIT_FOR(scene_host_is(&sc, 0, "healthy"));
	script_add(&sc, 0, (struct rule){.path = "/other", .status = 503});
	WAIT_FOR(scene_host_is(&sc, 0, "/failed_active_hc"));
	scene_write_config(&sc, CONF(TWO_HOSTS, ""));
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "reload", NULL), 0);
	mem_free(out);
	assert_true(scene_host_is(&sc, 0, "healthy")); /* nobody checks: all are good */
	WAIT_FOR(all_reach(&sc, "one", 1));
	scene_fini(&sc);
}

/* The cluster that a reload brings is used when its hosts are known to be well. */
static void
a_reload_waits_for_the_checks_of_a_new_cluster(void **state)
{
	struct scene sc;
	pid_t reload;
	char *out;

	start_two(&sc, CONF(ONE_HOST, ""));
	script_add(&sc, 1, (struct rule){.path = "/health", .delay_ms = 500});
	scene_write_config(&sc,
	    CONF_ADMIN CONF_LISTENER(
		"", "              - {match: {prefix: /}, route: {cluster: other}}\n") CONF_CLUSTERS
		CONF_CLUSTER("other", CONF_HOST("@HOST1@"), CHECK("5s", "1", "1", HTTP_CHECK)));
	reload = fork();
	if (reload == 0)
		_exit(scene_run_tool(&sc, &out, "batonctl", "reload", NULL));
	WAIT_FOR(all_reach(&sc, "one", 1) || all_reach(&sc, "two", 1));
	while (script_of(&sc, 1)->complete < 2) /* its check, and then a request */
		assert_int_equal(scene_status(&sc, "/"), 200);
	waitpid(reload, NULL, 0);
	assert_true(all_reach(&sc, "two", 10));
	assert_stat(&sc, "cluster.other.health_check.failure", 0);
	scene_fini(&sc);
}

static void
events_are_written_down(void **state)
{
	struct scene sc;

	start_two(&sc,
	    CONF(TWO_HOSTS, CHECK("1s", "1", "1",
				HTTP_CHECK "      event_log_path: @DIR@/old.log\n"
					   "      event_logger:\n"
					   "      - name: envoy.health_check.event_sinks.file\n"
					   "        typed_config:\n"
					   "          \"@type\": type.googleapis.com/"
					   "envoy.extensions.health_check.event_sinks.file.v3."
					   "HealthCheckEventFileSink\n"
					   "          event_log_path: @DIR@/new.log\n")));
	WAIT_FOR(scene_file_has(&sc, "new.log", "\"add_healthy_event\":{\"first_check\":true}"));
	script_add(&sc, 0, (struct rule){.path = "/health", .status = 503});
	WAIT_FOR(scene_file_has(
	    &sc, "new.log", "\"eject_unhealthy_event\":{\"failure_type\":\"ACTIVE\"}"));
	assert_true(scene_file_has(
	    &sc, "old.log", "\"eject_unhealthy_event\":{\"failure_type\":\"ACTIVE\"}"));
	script_clear(&sc, 0);
	WAIT_FOR(scene_file_has(&sc, "new.log", "\"add_healthy_event\":{\"first_check\":false}"));
	scene_fini(&sc);
}

/* Nobody should believe in checks that are not made. */
static void
an_event_log_that_cannot_be_opened_is_refused(void **state)
{
	struct scene sc;
	char *out;

	start_two(&sc, CONF(TWO_HOSTS, CHECK("1s", "1", "1", HTTP_CHECK)));
	scene_write_config(&sc,
	    CONF(TWO_HOSTS, CHECK("1s", "1", "1",
				HTTP_CHECK "      event_log_path: @DIR@/missing/events.log\n")));
	assert_int_not_equal(scene_run_tool(&sc, &out, "batonctl", "reload", NULL), 0);
	assert_non_null(strstr(out, "cluster 'api': health_checks: event log"));
	mem_free(out);
	assert_true(scene_host_is(&sc, 0, "healthy"));
	wait_for_passes(&sc, 2);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_host_that_fails_gets_nothing_until_it_passes_again),
	    cmocka_unit_test(a_host_that_fails_loses_its_idle_connections),
	    cmocka_unit_test(serving_begins_when_the_first_round_is_over),
	    cmocka_unit_test(checks_go_on_while_a_large_configuration_is_loaded),
	    cmocka_unit_test(the_network_has_a_threshold),
	    cmocka_unit_test(a_host_that_hangs_is_shown_as_timed_out),
	    cmocka_unit_test(a_kept_connection_that_ends_is_no_failure),
	    cmocka_unit_test(statuses_and_bodies_are_those_expected),
	    cmocka_unit_test(a_degraded_host_is_used_when_no_other_is_left),
	    cmocka_unit_test(a_host_that_wants_to_be_left_alone_is),
	    cmocka_unit_test(the_checker_hears_it_too),
	    cmocka_unit_test(without_checks_the_header_passes),
	    cmocka_unit_test(http2_is_asked_on_one_connection),
	    cmocka_unit_test(a_host_may_be_asked_elsewhere_or_not_at_all),
	    cmocka_unit_test(grpc_hosts_say_whether_they_serve),
	    cmocka_unit_test(bytes_are_sent_and_others_expected),
	    cmocka_unit_test(a_connection_alone_may_be_enough),
	    cmocka_unit_test(verdicts_outlive_the_admin_process),
	    cmocka_unit_test(an_admin_that_was_stopped_blames_no_host),
	    cmocka_unit_test(a_hot_restart_keeps_verdicts_and_does_not_wait),
	    cmocka_unit_test(the_operators_word_stands_beside_checks),
	    cmocka_unit_test(a_reload_changes_how_hosts_are_checked),
	    cmocka_unit_test(a_reload_waits_for_the_checks_of_a_new_cluster),
	    cmocka_unit_test(events_are_written_down),
	    cmocka_unit_test(an_event_log_that_cannot_be_opened_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
