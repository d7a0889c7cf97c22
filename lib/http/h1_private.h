/*
 * What the server and the client side of the HTTP/1 codec share: one
 * connection, with its one stream.
 *
 * A connection carries one message at a time in each direction, so the
 * stream is part of it and a request costs no allocation.  Input is read
 * by a small machine (`reading`); output collects in `out`.
 */
#ifndef HTTP_H1_PRIVATE_H
#define HTTP_H1_PRIVATE_H

#include "lib/http/h1_body.h"
#include "lib/http/h1_encode.h"

enum h1_reading {
	H1_READ_IDLE,    /* no stream */
	H1_READ_HEAD,
	H1_READ_BODY,    /* and its trailers */
	H1_READ_WAIT,    /* their message is complete, ours is not; or they wait for our 101 */
	H1_READ_TUNNEL,
	H1_READ_NOTHING, /* what comes is thrown away */
};

/* Of stream and connection: what every byte passes stands together, in front. */
struct h1_stream {
	struct codec_stream s; /* first */
	struct h1_stream *joined; /* where the bytes of this tunnel go: h1_join() */
	enum h1_framing framing; /* of what we send */
	uint16_t infos;          /* 1xx answers received */
	bool open;               /* somebody holds it */
	bool sent_head;
	bool in_done, out_done;
	bool paused, blocked;
	bool upgrade, connect;   /* the request asks for a tunnel */
	uint64_t left;           /* of H1_LENGTH */
	struct h1_message in;
	struct headers headers, trailers;
};

struct h1_conn {
	struct codec codec; /* first */
	enum h1_reading reading;
	uint32_t turn;                   /* counts streams: is it still the same one? */
	size_t left;                     /* bytes the last feed could not use */
	uint8_t empty_lines;
	bool feeding, in_trailers;
	bool eof;                        /* no bytes will come */
	bool closing;                    /* no message after this one */
	bool conn_blocked, asked, wake;
	struct buf out;
	struct h1_stream stream;
	void (*settle)(struct h1_conn *c); /* our message is complete: ends the stream if theirs is */
	struct buf held;                 /* client: tunnel bytes before its 101 */
	const struct codec_error *error; /* why it ends; NULL: in good order */
	struct h1_parse parse;
	struct h1_judge judge;
	struct h1_body body;
};

static inline struct h1_conn *
h1_conn_of(struct codec *c)
{
	return (struct h1_conn *)(void *)c;
}

static inline struct h1_conn *
h1_conn_of_stream(struct codec_stream *s)
{
	return (struct h1_conn *)(void *)s->codec;
}

struct h1_conn *h1_conn_new(const struct codec_config *cfg, const struct codec_events *events,
    void *arg, const struct codec_ops *ops, bool server);
void h1_read_enter(struct h1_conn *c, enum h1_reading next);
/* The stream begins: clean, counted, not yet anybody's. */
struct codec_stream *h1_stream_open(struct h1_conn *c);
/* The stream is forgotten.  Its events and arg may still be used for one last word. */
void h1_stream_close(struct h1_conn *c);
/* Is the stream of that turn still there? */
static inline bool
h1_alive(const struct h1_conn *c, uint32_t turn)
{
	return c->stream.open && c->turn == turn;
}

/* The connection cannot go on; told once. */
void h1_break(struct h1_conn *c);
/* There is something for codec_output(), or to tell at that moment. */
void h1_ask_output(struct h1_conn *c);
void h1_tell_output(struct h1_conn *c, bool above); /* on_blocked, on_unblocked */
/* Client: bytes for a tunnel wait in `held`, nobody has granted it. */
static inline bool
h1_is_held(const struct h1_stream *st)
{
	return (st->upgrade || st->connect) && !st->s.upgraded;
}

/* Has what waits risen above the watermark, or fallen below its half? */
static inline void
h1_watch_output(struct h1_conn *c)
{
	const struct h1_stream *st = &c->stream;
	size_t high = c->codec.config->high_watermark;
	size_t waiting = c->out.len + (h1_is_held(st) ? c->held.len : 0);
	bool above = c->conn_blocked || (high && waiting > (st->blocked ? high / 2 : high));

	if (UNLIKELY(above != st->blocked) && st->open)
		h1_tell_output(c, above);
}

/* Somebody should feed again. */
void h1_wake(struct h1_conn *c);

/* ---- reading, both sides.  An error is the caller's to handle. */
enum h1_progress h1_scan(struct h1_conn *c, struct buf *in);
/* The scanned part stays valid until the arena is freed; drains it. */
void h1_keep_scanned(struct h1_conn *c, struct buf *in);
/* Tells the stream of body and trailers as far as they are there; in_done when complete. */
enum h1_error h1_read_body(struct h1_conn *c, struct buf *in);
/* After a feed: how much of what comes next may stay in the kernel. */
void h1_find_unseen(struct h1_conn *c, const struct buf *in);
static inline void
h1_note_unseen(struct h1_conn *c, const struct buf *in)
{
	c->codec.unseen = 0;
	if (c->reading == H1_READ_BODY)
		h1_find_unseen(c, in);
}
void h1_read_tunnel(struct h1_conn *c, struct buf *in);
/* What a receiver is shown: lives as long as the stream's arena, longer than the codec. */
struct headers *h1_lasting(struct h1_stream *st, const struct headers *h);
/* Their message ends where nothing else said so: by FIN. */
void h1_end_by_eof(struct h1_conn *c);

/* ---- the parts of codec_ops that are the same on both sides */
void h1_output(struct codec *codec, struct buf *out);
void h1_blocked(struct codec *codec, bool blocked);
void h1_goaway(struct codec *codec, bool final);
void h1_ping(struct codec *codec);
void h1_free(struct codec *codec);
void h1_send_data(struct codec_stream *s, struct buf *data, bool end);
void h1_send_trailers(struct codec_stream *s, const struct headers *t);
void h1_pause(struct codec_stream *s, bool paused);

#endif
