/*
 * Two HTTP/2 codecs, client and server, joined in memory.
 */
#ifndef TEST_H2_PAIR_H
#define TEST_H2_PAIR_H

#include "tests/unit/lib/http/h2_peer.h"

struct pair {
	struct peer client, server;
	bool by_byte; /* every byte comes in a chunk of its own */
};

/* Change config between pair_init() and pair_open(). */
static inline void
pair_init(struct pair *pair)
{
	peer_init(&pair->client);
	peer_init(&pair->server);
	pair->by_byte = false;
}

static inline void
pair_open(struct pair *pair)
{
	pair->client.c = h2_client_new(&pair->client.config, &peer_events, &pair->client);
	pair->server.c = h2_server_new(&pair->server.config, &peer_events, &pair->server);
	codec_output(pair->client.c, &pair->client.out);
	codec_output(pair->server.c, &pair->server.out);
}

static inline void
pair_fini(struct pair *pair)
{
	peer_fini(&pair->client);
	peer_fini(&pair->server);
}

static inline void
feed_bytes(struct codec *c, struct buf *in)
{
	while (in->len) {
		struct buf one;
		char byte;

		buf_peek(in, &byte, 1);
		buf_drain(in, 1);
		buf_init(&one);
		buf_add(&one, &byte, 1);
		codec_feed(c, &one);
		buf_fini(&one);
	}
}

/* One turn of one side: writes what it has to the other. */
static inline bool
peer_turn(struct pair *pair, struct peer *from, struct peer *to)
{
	if (from->asked) {
		from->asked = false;
		codec_output(from->c, &from->out);
	}
	if (buf_empty(&from->out))
		return from->asked;
	if (pair->by_byte)
		feed_bytes(to->c, &from->out);
	else
		codec_feed(to->c, &from->out);
	assert_true(buf_empty(&from->out));
	return true;
}

static inline void
pump(struct pair *pair)
{
	bool more;

	do {
		more = peer_turn(pair, &pair->client, &pair->server);
		more |= peer_turn(pair, &pair->server, &pair->client);
	} while (more);
}

static inline struct headers *
get_head(struct end *e, const char *method, const char *path)
{
	struct headers *h = head_of(e);

	headers_add_id(h, HDR_METHOD, str_of(method));
	headers_add_id(h, HDR_SCHEME, STR("http"));
	headers_add_id(h, HDR_PATH, str_of(path));
	headers_add_id(h, HDR_AUTHORITY, STR("example.com"));
	return h;
}

static inline struct end *
request_new(struct pair *pair)
{
	struct codec_stream *s = codec_request(pair->client.c);

	assert_non_null(s);
	return end_new(&pair->client, s);
}

static inline struct end *
request(struct pair *pair, const char *method, const char *path, bool end)
{
	struct end *e = request_new(pair);

	codec_send_headers(e->s, get_head(e, method, path), end);
	return e;
}

static inline void
send_bytes(struct end *e, char fill, size_t n, bool end)
{
	char *p = mem_alloc(n);
	struct buf b;

	memset(p, fill, n);
	buf_init(&b);
	buf_add(&b, p, n);
	codec_send_data(e->s, &b, end);
	buf_fini(&b);
	mem_free(p);
}

#define assert_body(e, text) assert_string_equal(strb_z(&(e)->body), (text))

/* ---- a pair for each test */

static inline int
open_pair(void **state)
{
	struct pair *pair = mem_new(struct pair);

	pair_init(pair);
	pair_open(pair);
	*state = pair;
	return 0;
}

static inline int
open_pair_by_byte(void **state)
{
	open_pair(state);
	((struct pair *)*state)->by_byte = true;
	return 0;
}

static inline int
open_pair_later(void **state)
{
	struct pair *pair = mem_new(struct pair);

	pair_init(pair);
	*state = pair;
	return 0;
}

static inline int
close_pair(void **state)
{
	struct pair *pair = *state;

	pair_fini(pair);
	mem_free(pair);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_pair, close_pair)
#define TEST_BY_BYTE(name)                                                                         \
	{#name " by byte", name, open_pair_by_byte, close_pair, NULL}
#define TEST_OWN(name) cmocka_unit_test_setup_teardown(name, open_pair_later, close_pair)

#endif
