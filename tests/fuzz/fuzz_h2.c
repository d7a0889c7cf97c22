/*
 * HTTP/2 codec, both sides, against any bytes.  The first byte chooses
 * side, settings and how the input is cut; whoever receives answers,
 * pauses, resets as the bytes say.  The server is given its preface, so
 * that inputs begin with frames.
 */
#include <stdint.h>

#include "lib/base/assert.h"
#include "lib/base/mem.h"
#include "lib/http/codec.h"
#include "lib/http/h2.h"

#define MOST_STREAMS 128

struct side {
	struct codec *c;
	struct http2_codec_stats stats;
	struct http1_codec_stats h1_stats;
	struct codec_config config;
	struct arena arenas[MOST_STREAMS];
	struct codec_stream *open[MOST_STREAMS];
	unsigned streams, steps;
	uint8_t mood;
	bool asked;
};

struct end {
	struct side *side;
	struct codec_stream *s;
	unsigned index;
};

static bool
whim(struct side *side, unsigned one_in)
{
	return (side->steps++ * 7 + side->mood) % one_in == 0;
}

static void
gone(struct end *e)
{
	e->side->open[e->index] = NULL;
	e->s = NULL;
}

static void
answer(struct end *e)
{
	struct headers *h;
	struct buf b;

	if (!e->s->codec->server)
		return;
	h = arena_new(e->s->arena, struct headers);
	headers_init(h, e->s->arena);
	headers_set_status(h, 200);
	codec_send_headers(e->s, h, whim(e->side, 3));
	buf_init(&b);
	for (int i = 0; i < 300; i++)
		buf_addz(&b, "0123456789abcdef");
	codec_send_data(e->s, &b, whim(e->side, 2));
	buf_fini(&b);
}

static void
on_headers(void *arg, struct headers *h, bool end)
{
	struct end *e = arg;

	ASSERT(e->s);
	for (uint32_t i = 0; i < h->len; i++)
		ASSERT(h->at[i].name_len > 0);
	if (whim(e->side, 11)) {
		codec_reset(e->s, RESET_LOCAL);
		gone(e);
		return;
	}
	if (whim(e->side, 4))
		codec_pause(e->s, true);
	answer(e);
}

static void
on_info(void *arg, struct headers *h)
{
	ASSERT(headers_status(h) < 200);
}

static void
on_data(void *arg, struct buf *data, bool end)
{
	struct end *e = arg;

	ASSERT(e->s);
	if (whim(e->side, 9))
		codec_pause(e->s, true);
	if (e->s->codec->server)
		codec_send_data(e->s, data, end);
}

static void
on_trailers(void *arg, struct headers *t)
{
	struct end *e = arg;

	codec_send_trailers(e->s, t);
}

static void
on_error(void *arg, const struct codec_error *err)
{
	answer(arg);
}

static void
on_reset(void *arg, enum stream_reset why, const char *details)
{
	ASSERT(details);
	gone(arg);
}

static void
on_event(void *arg)
{
}

static void
on_done(void *arg)
{
	gone(arg);
}

static const struct stream_events stream_events = {
	on_headers, on_info, on_data, on_trailers, on_error, on_reset, on_event, on_event, on_done};

static void
take(struct side *side, struct codec_stream *s)
{
	unsigned i = side->streams++;
	struct end *e;

	arena_init(&side->arenas[i]);
	s->events = &stream_events;
	s->arena = &side->arenas[i];
	s->arg = e = arena_new(s->arena, struct end);
	*e = (struct end){side, s, i};
	side->open[i] = s;
}

static void
on_stream(void *arg, struct codec_stream *s)
{
	struct side *side = arg;

	if (side->streams == MOST_STREAMS)
		codec_reset(s, RESET_LOCAL_REFUSED);
	else
		take(side, s);
}

static void
on_output(void *arg)
{
	((struct side *)arg)->asked = true;
}

static void
on_broken(void *arg, const struct codec_error *err)
{
	ASSERT(err == NULL || err->details);
}

static const struct codec_events events = {on_stream, on_output, on_event, on_broken};

static void
request(struct side *side, bool upgrade)
{
	struct codec_stream *s = codec_request(side->c);
	struct headers *h;

	if (s == NULL)
		return;
	take(side, s);
	h = arena_new(s->arena, struct headers);
	headers_init(h, s->arena);
	headers_add_id(h, HDR_METHOD, STR("GET"));
	headers_add_id(h, HDR_SCHEME, STR("http"));
	headers_add_id(h, HDR_AUTHORITY, STR("a"));
	headers_add_id(h, HDR_PATH, STR("/"));
	if (upgrade) {
		headers_add_id(h, HDR_CONNECTION, STR("upgrade"));
		headers_add_id(h, HDR_UPGRADE, STR("websocket"));
	}
	codec_send_headers(s, h, !upgrade);
}

static void
output(struct side *side)
{
	struct buf out;

	buf_init(&out);
	for (int i = 0; side->asked && i < 100; i++) {
		side->asked = false;
		codec_output(side->c, &out);
		buf_drain(&out, out.len);
	}
	buf_fini(&out);
}

static void
feed(struct side *side, const uint8_t *p, size_t n)
{
	struct buf in;

	buf_init(&in);
	buf_add(&in, p, n);
	codec_feed(side->c, &in);
	buf_fini(&in);
	if (whim(side, 3))
		codec_blocked(side->c, whim(side, 2));
	if (!whim(side, 4))
		output(side);
	for (unsigned i = 0; i < side->streams; i++) {
		if (side->open[i] && whim(side, 3))
			codec_pause(side->open[i], whim(side, 4));
	}
}

static void
start(struct side *side, uint8_t choice)
{
	side->mood = choice;
	side->config.max_headers_bytes = 4096;
	side->config.max_headers_count = 50;
	side->config.high_watermark = 4096;
	side->config.underscores = (enum underscore_action)(choice % 3);
	side->config.h2.allow_connect = choice & 2;
	side->config.h2.stream_error_on_invalid = choice & 4;
	side->config.h2.initial_stream_window = 65535;
	side->config.h2_stats = &side->stats;
	side->config.h1_stats = &side->h1_stats;
	if (choice & 1) {
		side->c = h2_client_new(&side->config, &events, side);
		for (int i = 0; i < 4; i++)
			request(side, i & 1);
		side->asked = true;
		output(side);
	} else {
		side->c = h2_server_new(&side->config, &events, side);
		feed(side, (const uint8_t *)"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
	}
	h2_set_now(side->c, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct side *side;
	size_t step;

	if (size < 1)
		return 0;
	side = mem_new(struct side);
	start(side, data[0]);
	step = data[0] & 8 ? 1 + data[0] / 16 : size;
	for (size_t i = 1; i < size; i += step)
		feed(side, data + i, size - i < step ? size - i : step);
	output(side);
	if (data[0] & 16)
		codec_eof(side->c);
	codec_free(&side->c);
	ASSERT(stat_gauge_value(side->stats.streams_active.raw) == 0);
	ASSERT(stat_gauge_value(side->stats.pending_send_bytes.raw) == 0);
	for (unsigned i = 0; i < side->streams; i++) {
		ASSERT(side->open[i] == NULL);
		arena_fini(&side->arenas[i]);
	}
	mem_free(side);
	return 0;
}
