/* Active health checks by HTTP, gRPC and TCP: how a host is asked, where, and what it must say. */
#include "tests/integration/checks.h"

#include <sys/mman.h>

#include "lib/http/codec.h"

/* ---- HTTP */

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(statuses_and_bodies_are_those_expected),
	    cmocka_unit_test(http2_is_asked_on_one_connection),
	    cmocka_unit_test(a_host_may_be_asked_elsewhere_or_not_at_all),
	    cmocka_unit_test(grpc_hosts_say_whether_they_serve),
	    cmocka_unit_test(bytes_are_sent_and_others_expected),
	    cmocka_unit_test(a_connection_alone_may_be_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
