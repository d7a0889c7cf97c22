/*
 * The contract of the HTTP codecs: bytes in, stream events out, and back.
 * Codecs know no sockets, clocks or loops, so they fuzz alone.
 *
 * One `struct codec` a connection, one `struct codec_stream` a request;
 * HTTP/1 and HTTP/2, server and client side, look the same from here.
 * Inside the proxy a request always has its HTTP/1 shape: an extended
 * CONNECT of HTTP/2 appears as GET with connection/upgrade headers and
 * its 200 as 101, and is turned back when it is written to HTTP/2.
 *
 * Order of events of one stream, on the receiving side:
 *
 *   on_headers  ( on_data )*  [ on_trailers ]        complete: `end` on the last one
 *       at any time instead: on_error (server: bad request, answer it) or on_reset
 *   client side only: on_info for each 1xx but 101, before on_headers
 *
 * Rules
 *  - After on_reset, or after both directions are complete (on_done), the
 *    codec forgets the stream: the pointer must not be used again.
 *  - Receivers may call any codec_stream function from inside an event,
 *    also codec_reset().
 *  - Nothing is written to the connection from inside codec calls: output
 *    collects, on_output() says so once, the owner calls codec_output().
 */
#ifndef HTTP_CODEC_H
#define HTTP_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/http/headers.h"
#include "shm/block.h"

enum http_protocol {
	HTTP_10,
	HTTP_11,
	HTTP_2,
};

/* Why a stream ended without being complete. */
enum stream_reset {
	RESET_LOCAL,             /* we gave up (timeout, other side gone) */
	RESET_LOCAL_REFUSED,     /* we refuse it before doing anything (REFUSED_STREAM) */
	RESET_REMOTE,            /* RST_STREAM, CANCEL */
	RESET_REMOTE_REFUSED,    /* REFUSED_STREAM, or above the last id of a GOAWAY */
	RESET_CONNECTION_CLOSED, /* connection ended under it */
	RESET_PROTOCOL_ERROR,    /* the other side broke the protocol */
	RESET_OVERFLOW,          /* a budget of ours */
};

/* What is wrong with a message.  Strings are static. */
struct codec_error {
	unsigned status;     /* answer for a request: 400, 408, 413, 431, 501, 505 … */
	const char *details; /* "http1.codec_error.bare_lf": RESPONSE_CODE_DETAILS */
};

struct codec_stream;

struct stream_events {
	/* h stays valid, with its bytes, until the stream's arena is freed. */
	void (*on_headers)(void *arg, struct headers *h, bool end);
	void (*on_info)(void *arg, struct headers *h);
	/* Take everything out of data (buf_move); what is left is dropped. */
	void (*on_data)(void *arg, struct buf *data, bool end);
	void (*on_trailers)(void *arg, struct headers *trailers);
	/* Server side: the request is bad; answer with e->status (if nothing was sent yet) and close. */
	void (*on_error)(void *arg, const struct codec_error *e);
	void (*on_reset)(void *arg, enum stream_reset why, const char *details);
	/* Bytes waiting to be sent rose above / fell below the watermarks. */
	void (*on_blocked)(void *arg);
	void (*on_unblocked)(void *arg);
	/* Both directions complete and everything handed to the connection; the stream is forgotten. */
	void (*on_done)(void *arg);
};

/* Public part of a stream; codecs embed it first in their own struct. */
struct codec_stream {
	struct codec *codec;
	const struct stream_events *events; /* set by who takes the stream */
	void *arg;
	struct arena *arena;                /* for headers and trailers; lives longer than the stream */
	enum http_protocol protocol;
	uint32_t id;                        /* HTTP/2 stream id, else 1, 2, … */
	bool close_after;                   /* server, HTTP/1: say connection: close in the response */
	bool head_request;                  /* the request is HEAD */
	bool unseen;                /* set by who takes the stream: it looks at no byte of the body */
	bool upgraded;                      /* bytes are a tunnel from now on (101 passed) */
	uint64_t bytes_in, bytes_out;       /* body bytes */
};

struct http1_settings {
	bool allow_absolute_url;    /* default true */
	bool accept_http_10;
	const char *default_host_for_http_10; /* NULL: none */
	bool enable_trailers;
	bool allow_chunked_length;
	bool proper_case;           /* header_key_format.proper_case_words */
	bool send_fully_qualified_url;
	bool allow_custom_methods;
};

/* Zero means Envoy's default (facts in compat.md); filled by http2_settings_defaults(). */
struct http2_settings {
	uint32_t hpack_table_size, max_concurrent_streams;
	uint32_t initial_stream_window, initial_connection_window;
	bool allow_connect, allow_metadata;
	uint32_t max_outbound_frames, max_outbound_control_frames;
	uint32_t max_consecutive_empty_frames, max_priority_frames_per_stream;
	uint32_t max_window_updates_per_data_frame;
	bool stream_error_on_invalid;
	uint32_t keepalive_interval_ms, keepalive_timeout_ms; /* 0 = off; the owner keeps the clock */
};

enum underscore_action {
	UNDERSCORE_ALLOW,
	UNDERSCORE_REJECT,
	UNDERSCORE_DROP,
};

/* Shared by all connections of one listener chain or cluster; borrowed. */
struct codec_config {
	uint32_t max_headers_bytes;  /* whole head */
	uint32_t max_headers_count;
	enum underscore_action underscores;
	struct http1_settings h1;
	struct http2_settings h2;
	size_t high_watermark;       /* of bytes waiting in one stream; low is half */
	struct http1_codec_stats *h1_stats;
	struct http2_codec_stats *h2_stats;
};

/* What the owner of the connection is told. */
struct codec_events {
	/* Server: a request begins (its first byte came).  Set s->events, s->arg, s->arena. */
	void (*on_stream)(void *arg, struct codec_stream *s);
	/* There is output to fetch with codec_output().  Asked once until it is fetched. */
	void (*on_output)(void *arg);
	/* Server, HTTP/1: the response is complete and the connection goes on: feed again what is left.
	 * HTTP/1, both sides: a paused stream goes on, or a tunnel begins, and bytes were left.
	 * HTTP/2 client: a stream slot is free again, settings came, or GOAWAY was received. */
	void (*on_more)(void *arg);
	/* The connection cannot go on: flush what is there (a GOAWAY, a last answer), then close.
	 * e is NULL when it ends in good order (connection: close, a tunnel's end, our own reset). */
	void (*on_broken)(void *arg, const struct codec_error *e);
};

struct codec_ops {
	void (*feed)(struct codec *c, struct buf *in);
	void (*eof)(struct codec *c);
	void (*output)(struct codec *c, struct buf *out);
	void (*blocked)(struct codec *c, bool blocked);
	struct codec_stream *(*request)(struct codec *c);
	void (*goaway)(struct codec *c, bool final);
	void (*ping)(struct codec *c);
	void (*free)(struct codec *c);
	void (*send_headers)(struct codec_stream *s, const struct headers *h, bool end);
	void (*send_info)(struct codec_stream *s, const struct headers *h);
	void (*send_data)(struct codec_stream *s, struct buf *data, bool end);
	void (*send_trailers)(struct codec_stream *s, const struct headers *t);
	void (*reset)(struct codec_stream *s, enum stream_reset why);
	void (*pause)(struct codec_stream *s, bool paused);
};

struct codec {
	const struct codec_ops *ops;
	const struct codec_config *config;
	const struct codec_events *events;
	void *arg;
	enum http_protocol protocol;
	bool server;
	bool broken;       /* on_broken was or will be told; feed nothing more */
	bool goaway_received, goaway_sent;
	uint32_t streams;       /* open now */
	uint32_t max_streams;   /* client: what the other side allows at once (HTTP/1: 1) */
	uint64_t streams_total;
	bool reusable;     /* client HTTP/1: may carry another request when idle */
	uint64_t unseen;   /* bytes behind what was fed that no receiver looks at: they may come in a pipe */
	uint64_t last_ping_answer; /* HTTP/2: answers to our PINGs so far */
};

struct codec *h1_server_new(
    const struct codec_config *cfg, const struct codec_events *events, void *arg);
struct codec *h1_client_new(
    const struct codec_config *cfg, const struct codec_events *events, void *arg);
struct codec *h2_server_new(
    const struct codec_config *cfg, const struct codec_events *events, void *arg);
struct codec *h2_client_new(
    const struct codec_config *cfg, const struct codec_events *events, void *arg);

/* Sniffing for codec_type AUTO: does the input begin like HTTP/2's preface? */
enum h2_preface {
	PREFACE_NO,
	PREFACE_MAYBE, /* a proper prefix so far: wait */
	PREFACE_YES,
};
enum h2_preface h2_preface_test(const struct buf *in);

void http2_settings_defaults(struct http2_settings *s);

/* ---- connection level */

/* Parses what it can out of `in`; what it leaves there waits (incomplete head, or HTTP/1 between
 * request and response): feed again when more came or on_more was told. */
static inline void
codec_feed(struct codec *c, struct buf *in)
{
	c->ops->feed(c, in);
}

/* The peer sent FIN after everything that was fed. */
static inline void
codec_eof(struct codec *c)
{
	c->ops->eof(c);
}

/* Moves what waits to be written to `out`. */
static inline void
codec_output(struct codec *c, struct buf *out)
{
	c->ops->output(c, out);
}

/* The same where nothing can be written any more. */
void codec_drop_output(struct codec *c);

/* The connection's own output is above (true) or below again (false) its watermarks. */
static inline void
codec_blocked(struct codec *c, bool blocked)
{
	c->ops->blocked(c, blocked);
}

/* Client: a new stream, or NULL when the connection takes none now.  Set events, arg, arena. */
static inline struct codec_stream *
codec_request(struct codec *c)
{
	return c->ops->request(c);
}

/* HTTP/2: first the notice (2^31-1), later final.  HTTP/1: nothing. */
static inline void
codec_goaway(struct codec *c, bool final)
{
	c->ops->goaway(c, final);
}

/* HTTP/2: sends PING (counted in last_ping_answer when answered).  HTTP/1: nothing. */
static inline void
codec_ping(struct codec *c)
{
	c->ops->ping(c);
}

/* Resets every open stream (RESET_CONNECTION_CLOSED) and frees; not from inside a codec event. */
static inline void
codec_free(struct codec **cp)
{
	struct codec *c = *cp;

	*cp = NULL;
	if (c)
		c->ops->free(c);
}

/* ---- stream level */

static inline void
codec_send_headers(struct codec_stream *s, const struct headers *h, bool end)
{
	s->codec->ops->send_headers(s, h, end);
}

static inline void
codec_send_info(struct codec_stream *s, const struct headers *h)
{
	s->codec->ops->send_info(s, h);
}

/* Takes everything out of data. */
static inline void
codec_send_data(struct codec_stream *s, struct buf *data, bool end)
{
	s->codec->ops->send_data(s, data, end);
}

static inline void
codec_send_trailers(struct codec_stream *s, const struct headers *t)
{
	s->codec->ops->send_trailers(s, t);
}

/* Ends the stream at once; no event follows and the pointer is dead.  HTTP/1: the connection
 * becomes broken unless nothing was sent or received yet. */
static inline void
codec_reset(struct codec_stream *s, enum stream_reset why)
{
	s->codec->ops->reset(s, why);
}

/* While paused no on_data comes (HTTP/1: nothing is parsed; HTTP/2: no window is given back, what
 * comes within the window waits in the codec). */
static inline void
codec_pause(struct codec_stream *s, bool paused)
{
	s->codec->ops->pause(s, paused);
}

/*
 * The two ends of a tunnel that nobody between them looks at, after both were
 * upgraded: what comes in at one goes out at the other, counted, and is told
 * to nobody.  Ends, pauses and watermarks are told as before.  It lasts until
 * one of them is forgotten.  Where HTTP/2 is at an end it changes nothing.
 */
void h1_join(struct codec_stream *a, struct codec_stream *b);

#endif
