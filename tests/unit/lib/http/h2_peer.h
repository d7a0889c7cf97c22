/*
 * One HTTP/2 codec under test.  Each end of a stream keeps what it was
 * told in a `struct end`; tests act and look.
 */
#ifndef TEST_H2_PEER_H
#define TEST_H2_PEER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/http/codec.h"
#include "lib/http/h2.h"

#define MOST_STREAMS 64

struct peer;

/* One end of one stream, and everything it was told. */
struct end {
	struct peer *peer;
	struct codec_stream *s;
	struct arena arena;
	struct headers *head, *trailers;
	struct strb body;
	unsigned infos, info_status, blocked, unblocked, pieces;
	bool complete, done, reset, error;
	bool pause_at_data; /* pauses itself in on_data */
	bool reset_at_head;
	enum stream_reset why;
	char details[64];
	unsigned error_status;
};

struct peer {
	struct codec *c;
	struct codec_config config;
	struct http2_codec_stats stats;
	struct http1_codec_stats h1_stats;
	struct buf out;
	struct end *ends[MOST_STREAMS];
	unsigned count, more, broken;
	bool asked, pause_all, refuse_all;
	char details[64];
};

static void
end_head(void *arg, struct headers *h, bool end)
{
	struct end *e = arg;

	assert_null(e->head);
	e->head = h;
	e->complete = end;
	if (e->reset_at_head)
		codec_reset(e->s, RESET_LOCAL);
}

static void
end_info(void *arg, struct headers *h)
{
	struct end *e = arg;

	assert_null(e->head);
	e->infos++;
	e->info_status = headers_status(h);
}

static void
end_data(void *arg, struct buf *data, bool end)
{
	struct end *e = arg;

	assert_non_null(e->head);
	assert_false(e->complete);
	e->pieces++;
	for (uint32_t i = 0; i < data->count; i++)
		strb_add(&e->body, slice_data(buf_slice(data, i)), buf_slice(data, i)->len);
	buf_drain(data, data->len);
	e->complete = end;
	if (e->pause_at_data)
		codec_pause(e->s, true);
}

static void
end_trailers(void *arg, struct headers *t)
{
	struct end *e = arg;

	assert_false(e->complete);
	e->trailers = t;
	e->complete = true;
}

static void
end_error(void *arg, const struct codec_error *err)
{
	struct end *e = arg;

	e->error = true;
	e->error_status = err->status;
	snprintf(e->details, sizeof(e->details), "%s", err->details);
}

static void
end_reset(void *arg, enum stream_reset why, const char *details)
{
	struct end *e = arg;

	assert_false(e->reset || e->done);
	e->reset = true;
	e->why = why;
	e->s = NULL;
	snprintf(e->details, sizeof(e->details), "%s", details);
}

static void
end_blocked(void *arg)
{
	((struct end *)arg)->blocked++;
}

static void
end_unblocked(void *arg)
{
	((struct end *)arg)->unblocked++;
}

static void
end_done(void *arg)
{
	struct end *e = arg;

	assert_false(e->reset || e->done);
	e->done = true;
	e->s = NULL;
}

static const struct stream_events end_events = {
	.on_headers = end_head,
	.on_info = end_info,
	.on_data = end_data,
	.on_trailers = end_trailers,
	.on_error = end_error,
	.on_reset = end_reset,
	.on_blocked = end_blocked,
	.on_unblocked = end_unblocked,
	.on_done = end_done,
};

static struct end *
end_new(struct peer *p, struct codec_stream *s)
{
	struct end *e = mem_new(struct end);

	assert_true(p->count < MOST_STREAMS);
	arena_init(&e->arena);
	e->peer = p;
	e->s = s;
	s->events = &end_events;
	s->arg = e;
	s->arena = &e->arena;
	p->ends[p->count++] = e;
	return e;
}

static void
peer_stream(void *arg, struct codec_stream *s)
{
	struct peer *p = arg;
	struct end *e = end_new(p, s);

	if (p->refuse_all) {
		e->s = NULL;
		codec_reset(s, RESET_LOCAL_REFUSED);
	} else if (p->pause_all) {
		codec_pause(s, true);
	}
}

static void
peer_output(void *arg)
{
	struct peer *p = arg;

	assert_false(p->asked);
	p->asked = true;
}

static void
peer_more(void *arg)
{
	((struct peer *)arg)->more++;
}

static void
peer_broken(void *arg, const struct codec_error *e)
{
	struct peer *p = arg;

	p->broken++;
	snprintf(p->details, sizeof(p->details), "%s", e ? e->details : "");
}

static const struct codec_events peer_events = {
	.on_stream = peer_stream,
	.on_output = peer_output,
	.on_more = peer_more,
	.on_broken = peer_broken,
};

static void
peer_init(struct peer *p)
{
	*p = (struct peer){0};
	buf_init(&p->out);
	p->config.max_headers_bytes = 60 * 1024;
	p->config.max_headers_count = 100;
	p->config.high_watermark = 64 * 1024;
	p->config.h2_stats = &p->stats;
	p->config.h1_stats = &p->h1_stats;
}

static void
peer_fini(struct peer *p)
{
	codec_free(&p->c);
	assert_int_equal(stat_gauge_value(p->stats.streams_active.raw), 0);
	assert_int_equal(stat_gauge_value(p->stats.pending_send_bytes.raw), 0);
	assert_int_equal(stat_gauge_value(p->stats.outbound_frames_active.raw), 0);
	for (unsigned i = 0; i < p->count; i++) {
		arena_fini(&p->ends[i]->arena);
		strb_fini(&p->ends[i]->body);
		mem_free(p->ends[i]);
	}
	buf_fini(&p->out);
}

static struct headers *
head_of(struct end *e)
{
	struct headers *h = arena_new(&e->arena, struct headers);

	headers_init(h, &e->arena);
	return h;
}

static void
respond(struct end *e, unsigned status, bool end)
{
	struct headers *h = head_of(e);

	headers_set_status(h, status);
	codec_send_headers(e->s, h, end);
}

static void
send_text(struct end *e, const char *text, bool end)
{
	struct buf b;

	buf_init(&b);
	buf_addz(&b, text);
	codec_send_data(e->s, &b, end);
	buf_fini(&b);
}

static struct str
field(const struct headers *h, const char *name)
{
	return headers_get_name(h, str_of(name));
}

#define assert_field(h, name, value) assert_true(str_eqz(field((h), (name)), (value)))

#endif
