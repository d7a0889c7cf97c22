/* Heads on HTTP/2 have their HTTP/1 shape inside: what is left out, joined, refused; and upgrades. */
#include "tests/unit/lib/http/h2_pair.h"

static void
connection_headers_do_not_travel(void **state)
{
	struct pair *pair = *state;
	struct end *c = request_new(pair), *s;
	struct headers *h = get_head(c, "GET", "/");

	headers_add_id(h, HDR_TE, STR("trailers"));
	headers_add_id(h, HDR_KEEP_ALIVE, STR("timeout=5"));
	headers_add_id(h, HDR_TRANSFER_ENCODING, STR("chunked"));
	headers_add_id(h, HDR_PROXY_CONNECTION, STR("keep-alive"));
	headers_add(h, STR("x-kept"), STR("yes"));
	codec_send_headers(c->s, h, true);
	pump(pair);
	s = pair->server.ends[0];
	assert_field(s->head, "te", "trailers");
	assert_field(s->head, "x-kept", "yes");
	assert_false(headers_has(s->head, HDR_KEEP_ALIVE));
	assert_false(headers_has(s->head, HDR_TRANSFER_ENCODING));
	assert_false(headers_has(s->head, HDR_PROXY_CONNECTION));
	assert_int_equal(pair->server.broken, 0);
}

static void
crumbs_become_one_cookie(void **state)
{
	struct pair *pair = *state;
	struct end *c = request_new(pair), *s;
	struct headers *h = get_head(c, "GET", "/");

	headers_add_id(h, HDR_COOKIE, STR("a=1"));
	headers_add(h, STR("x-between"), STR("b"));
	headers_add_id(h, HDR_COOKIE, STR("b=2"));
	headers_add_id(h, HDR_COOKIE, STR("c=3"));
	codec_send_headers(c->s, h, true);
	pump(pair);
	s = pair->server.ends[0];
	assert_field(s->head, "cookie", "a=1; b=2; c=3");
	headers_remove_id(s->head, HDR_COOKIE);
	assert_false(headers_has(s->head, HDR_COOKIE));
}

static void
requests_that_http1_could_not_carry_are_errors(void **state)
{
	static const struct {
		const char *method, *path, *authority, *name, *value, *details;
	} rows[] = {
		{"GET", "/a#b", "a", NULL, NULL, "http2.codec_error.target"},
		{"GET", "/\xc3\xa4", "a", NULL, NULL, "http2.codec_error.target"},
		{"GET", "/", "user@a", NULL, NULL, "http2.codec_error.authority"},
		{"GET", "/", "a", "host", "b", "http2.codec_error.host"},
	};
	struct pair *pair = *state;

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct end *c = request_new(pair), *s;
		struct headers *h = get_head(c, rows[i].method, rows[i].path);

		headers_set_id(h, HDR_AUTHORITY, str_of(rows[i].authority));
		if (rows[i].name) /* the codec would drop `host`: not by its id */
			headers_add_known(
			    h, HDR_OTHER, str_of(rows[i].name), str_of(rows[i].value));
		codec_send_headers(c->s, h, true);
		pump(pair);
		s = pair->server.ends[i];
		assert_true(s->error);
		assert_null(s->head);
		assert_int_equal(s->error_status, 400);
		assert_string_equal(s->details, rows[i].details);
		respond(s, 400, true);
		pump(pair);
		assert_int_equal(headers_status(c->head), 400);
		assert_true(s->done && c->done);
	}
}

static void
a_host_alone_becomes_the_authority(void **state)
{
	struct pair *pair = *state;
	struct end *c = request_new(pair), *s;
	struct headers *h = get_head(c, "GET", "/");

	headers_remove_id(h, HDR_AUTHORITY);
	headers_add_known(h, HDR_OTHER, STR("host"), STR("h.example"));
	codec_send_headers(c->s, h, true);
	pump(pair);
	s = pair->server.ends[0];
	assert_field(s->head, ":authority", "h.example");
	assert_false(headers_has(s->head, HDR_HOST));
}

/* ---- upgrades */

static void
upgrade_head(struct end *c)
{
	struct headers *h = get_head(c, "GET", "/chat");

	headers_add_id(h, HDR_CONNECTION, STR("upgrade"));
	headers_add_id(h, HDR_UPGRADE, STR("websocket"));
	codec_send_headers(c->s, h, false);
}

static void
an_upgrade_crosses_as_extended_connect(void **state)
{
	struct pair *pair = *state;
	struct end *c, *s;
	struct headers *h;

	pair->server.config.h2.allow_connect = true;
	pair_open(pair);
	c = request_new(pair); /* before SETTINGS came: it waits for them */
	upgrade_head(c);
	send_text(c, "early", false);
	pump(pair);
	assert_int_equal(pair->server.count, 1);
	s = pair->server.ends[0];
	assert_field(s->head, ":method", "GET");
	assert_field(s->head, "upgrade", "websocket");
	assert_field(s->head, "connection", "upgrade");
	assert_false(headers_has(s->head, HDR_PROTOCOL));
	assert_body(s, "early");
	h = head_of(s);
	headers_set_status(h, 101);
	headers_add_id(h, HDR_CONNECTION, STR("upgrade"));
	headers_add_id(h, HDR_UPGRADE, STR("websocket"));
	codec_send_headers(s->s, h, false);
	pump(pair);
	assert_int_equal(headers_status(c->head), 101);
	assert_field(c->head, "upgrade", "websocket");
	assert_true(c->s->upgraded && s->s->upgraded);
	send_text(s, "down", true); /* one direction ends, the other goes on */
	pump(pair);
	assert_body(c, "down");
	assert_true(c->complete && !c->done && !s->done);
	send_text(c, " up", true);
	pump(pair);
	assert_body(s, "early up");
	assert_true(c->done && s->done);
}

static void
an_upgrade_without_consent_is_refused(void **state)
{
	struct pair *pair = *state;
	struct end *c = request_new(pair);

	upgrade_head(c);
	pump(pair);
	assert_true(c->reset);
	assert_int_equal(c->why, RESET_LOCAL_REFUSED);
	assert_string_equal(c->details, "http2.extended_connect_not_enabled");
	assert_int_equal(pair->server.count, 0);
}

static void
a_refused_upgrade_is_an_ordinary_answer(void **state)
{
	struct pair *pair = *state;
	struct end *c, *s;
	struct headers *h;

	pair->server.config.h2.allow_connect = true;
	pair_open(pair);
	c = request_new(pair);
	upgrade_head(c);
	pump(pair);
	s = pair->server.ends[0];
	h = head_of(s);
	headers_set_status(h, 403);
	headers_add_id(h, HDR_CONTENT_LENGTH, STR("2"));
	codec_send_headers(s->s, h, false);
	send_text(s, "no", true);
	pump(pair);
	assert_int_equal(headers_status(c->head), 403);
	assert_field(c->head, "content-length", "2");
	assert_body(c, "no");
	assert_true(s->done && c->done);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(connection_headers_do_not_travel),
		TEST(crumbs_become_one_cookie),
		TEST(requests_that_http1_could_not_carry_are_errors),
		TEST(a_host_alone_becomes_the_authority),
		TEST_BY_BYTE(crumbs_become_one_cookie),
		TEST_OWN(an_upgrade_crosses_as_extended_connect),
		TEST(an_upgrade_without_consent_is_refused),
		TEST_OWN(a_refused_upgrade_is_an_ordinary_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
