/*
 * A codec on a tape: what it tells is written down as text, one event a
 * line, data of neighbouring events joined, so that two ways of feeding
 * the same bytes can be compared.  For tests; one connection a tape.
 */
#ifndef TESTS_HTTP_TAPE_H
#define TESTS_HTTP_TAPE_H

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/http/codec.h"

struct tape {
	struct codec *codec;
	struct codec_config config;
	struct http1_codec_stats stats;
	struct codec_stream *stream; /* open now */
	struct buf in, out;          /* out: everything written so far */
	struct arena arena;
	struct headers *headers;     /* the last ones that were told */
	struct strb text, data;
	bool answer;                 /* server: answers each complete request with an empty 200 */
	bool sent;
	bool hold_output;            /* do not fetch output */
	bool more;                   /* on_more was told */
	bool fetch;
	const char *broken;          /* details of on_broken; "" in good order; NULL not told */
	const char *error;           /* details of the last on_error or on_reset */
	unsigned status;             /* of the last on_error */
	unsigned requests, done;
};

static inline void tape_send(struct tape *t, const char *lines, bool end);

static inline void
flush_data(struct tape *t)
{
	if (t->data.n)
		strb_printf(&t->text, "data %.*s\n", (int)t->data.n, t->data.p);
	strb_reset(&t->data);
}

static inline void
write_headers(struct tape *t, const char *what, const struct headers *h, bool end)
{
	flush_data(t);
	strb_printf(&t->text, "%s", what);
	for (uint32_t i = 0; i < h->len; i++)
		strb_printf(&t->text, " %.*s=%.*s", STR_ARG(header_name(&h->at[i])),
		    STR_ARG(header_value(&h->at[i])));
	strb_printf(&t->text, "%s\n", end ? " end" : "");
}

static inline void
answer(struct tape *t)
{
	if (t->answer && !t->sent)
		tape_send(t, ":status: 200", true);
}

static inline void
on_headers(void *arg, struct headers *h, bool end)
{
	struct tape *t = arg;

	t->headers = h;
	write_headers(t, "headers", h, end);
	if (end)
		answer(t);
}

static inline void
on_info(void *arg, struct headers *h)
{
	write_headers(arg, "info", h, false);
}

static inline void
on_data(void *arg, struct buf *data, bool end)
{
	struct tape *t = arg;

	for (uint32_t i = 0; i < data->count; i++)
		strb_add(&t->data, slice_data(buf_slice(data, i)), buf_slice(data, i)->len);
	if (end) {
		flush_data(t);
		strb_addz(&t->text, "end\n");
		answer(t);
	}
}

static inline void
on_trailers(void *arg, struct headers *h)
{
	struct tape *t = arg;

	write_headers(t, "trailers", h, true);
	answer(t);
}

static inline void
on_error(void *arg, const struct codec_error *e)
{
	struct tape *t = arg;

	flush_data(t);
	strb_printf(&t->text, "error %u %s\n", e->status, e->details);
	t->error = e->details;
	t->status = e->status;
	if (t->answer && !t->sent)
		tape_send(t, ":status: 400", true);
}

static inline void
on_reset(void *arg, enum stream_reset why, const char *details)
{
	struct tape *t = arg;

	flush_data(t);
	strb_printf(&t->text, "reset %d %s\n", (int)why, details);
	t->error = details;
	t->stream = NULL;
}

static inline void
on_blocked(void *arg)
{
	strb_addz(&((struct tape *)arg)->text, "blocked\n");
}

static inline void
on_unblocked(void *arg)
{
	strb_addz(&((struct tape *)arg)->text, "unblocked\n");
}

static inline void
on_done(void *arg)
{
	struct tape *t = arg;

	flush_data(t);
	strb_addz(&t->text, "done\n");
	t->stream = NULL;
	t->done++;
}

static const struct stream_events stream_events = {
    .on_headers = on_headers,
    .on_info = on_info,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_error = on_error,
    .on_reset = on_reset,
    .on_blocked = on_blocked,
    .on_unblocked = on_unblocked,
    .on_done = on_done,
};

static inline void
take_stream(struct tape *t, struct codec_stream *s)
{
	t->stream = s;
	t->sent = false;
	t->requests++;
	s->events = &stream_events;
	s->arg = t;
	s->arena = &t->arena;
}

static inline void
on_stream(void *arg, struct codec_stream *s)
{
	take_stream(arg, s);
}

static inline void
on_output(void *arg)
{
	((struct tape *)arg)->fetch = true;
}

static inline void
on_more(void *arg)
{
	((struct tape *)arg)->more = true;
}

static inline void
on_broken(void *arg, const struct codec_error *e)
{
	((struct tape *)arg)->broken = e ? e->details : "";
}

static const struct codec_events codec_events = {
    .on_stream = on_stream,
    .on_output = on_output,
    .on_more = on_more,
    .on_broken = on_broken,
};

static inline void
init(struct tape *t)
{
	*t = (struct tape){0};
	buf_init(&t->in);
	buf_init(&t->out);
	arena_init(&t->arena);
	t->config = (struct codec_config){.max_headers_bytes = 60 * 1024,
	    .max_headers_count = 100,
	    .h1 = {.allow_absolute_url = true},
	    .h1_stats = &t->stats};
}

static inline void
tape_server(struct tape *t)
{
	init(t);
	t->codec = h1_server_new(&t->config, &codec_events, t);
	t->answer = true;
}

static inline void
tape_client(struct tape *t)
{
	init(t);
	t->codec = h1_client_new(&t->config, &codec_events, t);
}

static inline void
tape_fini(struct tape *t)
{
	codec_free(&t->codec);
	buf_fini(&t->in);
	buf_fini(&t->out);
	arena_fini(&t->arena);
	strb_fini(&t->text);
	strb_fini(&t->data);
}

/* Moves output to t->out, and feeds again what is left, until nothing changes. */
static inline void
tape_turn(struct tape *t)
{
	while ((t->fetch && !t->hold_output) || t->more) {
		t->more = false;
		if (t->fetch && !t->hold_output) {
			t->fetch = false;
			codec_output(t->codec, &t->out);
		}
		codec_feed(t->codec, &t->in);
	}
}

static inline void
tape_feed(struct tape *t, const void *p, size_t n)
{
	buf_add(&t->in, p, n);
	codec_feed(t->codec, &t->in);
	tape_turn(t);
}

/* Each byte in a chunk of its own, as the worst of senders would have it. */
static inline void
tape_feed_bytewise(struct tape *t, const void *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct chunk *c = chunk_new(1);

		c->data[0] = ((const char *)p)[i];
		c->used = 1;
		buf_add_slice(&t->in, c, 0, 1);
		chunk_unref(&c);
		codec_feed(t->codec, &t->in);
		tape_turn(t);
	}
}

static inline void
tape_eof(struct tape *t)
{
	codec_eof(t->codec);
	tape_turn(t);
}

/* The map of "name: value\n…", pseudo-headers too. */
static inline void
tape_headers(struct tape *t, struct headers *h, const char *lines)
{
	struct str all = str_make(arena_dup(&t->arena, lines, strlen(lines)), strlen(lines)), line;

	headers_init(h, &t->arena);
	while (str_cut(&all, '\n', &line)) {
		const char *colon = line.n ? memmem(line.p, line.n, ": ", 2) : NULL;

		if (colon == NULL)
			continue;
		headers_add(h, str_make(line.p, (size_t)(colon - line.p)),
		    str_make(colon + 2, line.n - (size_t)(colon - line.p) - 2));
	}
}

static inline void
tape_send(struct tape *t, const char *lines, bool end)
{
	struct headers h;

	tape_headers(t, &h, lines);
	t->sent = true;
	codec_send_headers(t->stream, &h, end);
}

static inline void
tape_send_data(struct tape *t, const char *text, bool end)
{
	struct buf b;

	buf_init(&b);
	buf_addz(&b, text);
	codec_send_data(t->stream, &b, end);
	buf_fini(&b);
	tape_turn(t);
}

/* Client: opens a stream and sends "name: value\n…" as its headers. */
static inline struct codec_stream *
tape_request(struct tape *t, const char *lines, bool end)
{
	struct codec_stream *s = codec_request(t->codec);

	if (s == NULL)
		return NULL;
	take_stream(t, s);
	tape_send(t, lines, end);
	tape_turn(t);
	return t->stream;
}

/* What was told so far, and forgets it. */
static inline const char *
tape_text(struct tape *t)
{
	const char *text;

	flush_data(t);
	text = arena_dup(&t->arena, strb_z(&t->text), t->text.n);
	strb_reset(&t->text);
	return text;
}

/* What was written so far, and forgets it. */
static inline const char *
tape_out(struct tape *t)
{
	char *text = buf_dupz(&t->out);
	const char *copy = arena_dup(&t->arena, text, t->out.len);

	mem_free(text);
	buf_drain(&t->out, t->out.len);
	return copy;
}

#endif
