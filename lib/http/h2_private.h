/*
 * What the files of the HTTP/2 codec share: the session, one stream, and
 * who tells what.  Included by lib/http/h2*.c only.
 *
 * nghttp2 calls back into h2_recv.c while it reads and into h2_send.c
 * while it writes.  Events for owners are told from h2_stream_settle()
 * only.  While `depth` > 0 a codec call is running: streams that have
 * something to tell stand in `dirty` and are settled before the outermost
 * call returns, never while nghttp2 is writing.
 */
#ifndef HTTP_H2_PRIVATE_H
#define HTTP_H2_PRIVATE_H

#include <nghttp2/nghttp2.h>

#include "lib/base/list.h"
#include "lib/base/state.h"
#include "lib/http/codec.h"
#include "lib/http/h2.h"
#include "lib/http/h2_limits.h"

#define H2_BATCH (64 * 1024) /* body bytes one codec_output() writes; the rest asks again */

struct h2 {
	struct codec codec; /* first: a struct codec * is a struct h2 * */
	nghttp2_session *session;
	struct codec_config config; /* a copy whose h2 part has no zeros */
	struct h2_limits limits;
	struct h2_tally tally;
	struct list streams;   /* every struct h2_stream that is not forgotten */
	struct list dirty;     /* those with something to tell */
	struct h2_stream *heading; /* whose head nghttp2 reads now; NULL: nobody's */
	struct chunk *feeding; /* what nghttp2 reads now; borrowed from the input */
	struct buf *out;       /* where nghttp2 writes now; borrowed */
	struct chunk *pen;     /* frame headers and small frames of this output */
	size_t batch;          /* body bytes of this output */
	size_t credited;       /* connection window given back for bytes that still wait */
	unsigned depth;
	bool asked;            /* on_output was told */
	bool blocked;          /* by the owner */
	bool more;             /* on_more is due */
	bool settings_known;   /* the other side's SETTINGS came */
	const struct codec_error *failure; /* why the connection ends; NULL = it does not */
	enum stream_reset failure_why;
	uint32_t failure_code; /* for GOAWAY */
	bool failure_told;
};

/* What we have of the other side's message. */
#define H2_IN_STATES(STATE)                                                                        \
	STATE(H2_IN_HEAD, "awaiting head", TO(H2_IN_BODY) | TO(H2_IN_LAST) | TO(H2_IN_DONE))       \
	STATE(H2_IN_BODY, "receiving", TO(H2_IN_LAST))                                             \
	STATE(H2_IN_LAST, "received, not all told", TO(H2_IN_DONE))                                \
	STATE(H2_IN_DONE, "told", 0)
/* What the other side has of ours. */
#define H2_OUT_STATES(STATE)                                                                       \
	STATE(H2_OUT_HEAD, "nothing sent", TO(H2_OUT_BODY) | TO(H2_OUT_LAST))                      \
	STATE(H2_OUT_BODY, "sending", TO(H2_OUT_LAST))                                             \
	STATE(H2_OUT_LAST, "all queued", TO(H2_OUT_DONE))                                          \
	STATE(H2_OUT_DONE, "sent", 0)
enum h2_in { H2_IN_STATES(STATE_ENUM) };
enum h2_out { H2_OUT_STATES(STATE_ENUM) };

struct h2_stream {
	struct codec_stream pub; /* first: a struct codec_stream * is a struct h2_stream * */
	struct h2 *h2;
	struct list link, dirty;
	struct h2_stream *next_free;
	enum h2_in in_state;
	enum h2_out out_state;
	unsigned busy;            /* events being told: not freed before they return */
	/* receiving */
	struct headers *block;    /* the header block that is coming in */
	uint32_t block_fields, block_cookies;
	uint64_t block_bytes;
	struct headers *trailers; /* received, behind data that waits */
	struct buf in;            /* received, not told */
	size_t owed;              /* received, window not given back to the stream */
	size_t credited;          /* … but to the connection */
	/* sending */
	struct buf out;
	const struct headers *trailers_out;
	const struct headers *held; /* extended CONNECT that waits for the other side's SETTINGS */
	bool held_end;
	struct str upgrade;       /* its type when the request is an upgrade */
	enum stream_reset why;    /* when it ended, or must end, before its time */
	const char *details;
	uint32_t close_code;
	bool open;                /* nghttp2 knows it */
	bool closed;              /* nghttp2 has ended it */
	bool peer_reset;          /* … by RST_STREAM of the other side */
	bool not_sent;            /* … since the request could not be sent */
	bool doomed;              /* to be killed for `why` as soon as events may be told */
	bool paused, blocked_told, forgotten;
	bool deferred;            /* nghttp2 waits for h2_stream_resume() */
};

static inline struct h2 *
h2_of(struct codec *c)
{
	return (struct h2 *)c;
}

static inline struct h2_stream *
h2_stream_of(struct codec_stream *s)
{
	return (struct h2_stream *)s;
}

/* ---- h2.c */
void h2_enter(struct h2 *h2);
void h2_leave(struct h2 *h2); /* the outermost one settles streams and asks for output */
void h2_want_output(struct h2 *h2);
/* The connection cannot go on.  Gives what a callback returns to stop nghttp2. */
int h2_fail(struct h2 *h2, uint32_t code, enum stream_reset why, const struct codec_error *e);
/* NULL: 0; else a flood: as h2_fail(). */
int h2_check(struct h2 *h2, const struct codec_error *flood);

/* ---- h2_recv.c, h2_send.c: callbacks */
void h2_recv_callbacks(nghttp2_session_callbacks *cb);
void h2_send_callbacks(nghttp2_session_callbacks *cb);
/* nghttp2 read something against the rules on this stream (NULL: none). */
int h2_messaging_error(struct h2 *h2, struct h2_stream *s, const char *details);
void h2_put(struct h2 *h2, const void *p, size_t n); /* copies to the output */
ssize_t h2_read_body(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length,
    uint32_t *flags, nghttp2_data_source *source, void *arg);

/* ---- h2_stream.c */
struct h2_stream *h2_stream_new(struct h2 *h2);
/* Around every event: the stream is not freed before the last h2_stream_release(). */
void h2_stream_hold(struct h2_stream *s);
void h2_stream_release(struct h2_stream *s);
void h2_stream_dirty(struct h2_stream *s);
void h2_stream_settle(struct h2_stream *s);
void h2_stream_in_enter(struct h2_stream *s, enum h2_in next);
void h2_stream_out_enter(struct h2_stream *s, enum h2_out next);
void h2_stream_received(struct h2_stream *s, const uint8_t *p, size_t n);
void h2_stream_doom(struct h2_stream *s, enum stream_reset why, const char *details);
void h2_stream_drained(struct h2_stream *s, size_t n); /* n bytes of out were written */
void h2_stream_resume(struct h2_stream *s);            /* bytes may leave again */
/* Tells on_reset, resets towards the other side, forgets. */
void h2_stream_kill(
    struct h2_stream *s, uint32_t code, enum stream_reset why, const char *details);
void h2_stream_settings_came(struct h2_stream *s);
void h2_stream_send_headers(struct codec_stream *cs, const struct headers *h, bool end);
void h2_stream_send_info(struct codec_stream *cs, const struct headers *h);
void h2_stream_send_data(struct codec_stream *cs, struct buf *data, bool end);
void h2_stream_send_trailers(struct codec_stream *cs, const struct headers *t);
void h2_stream_reset(struct codec_stream *cs, enum stream_reset why);
void h2_stream_pause(struct codec_stream *cs, bool paused);

/* ---- h2_headers.c: header maps and nghttp2's fields */
enum h2_field {
	H2_FIELD_OK,
	H2_FIELD_OVERFLOW,   /* too many, too long */
	H2_FIELD_UNDERSCORE, /* and that is not wanted */
};
void h2_block_begin(struct h2_stream *s);
enum h2_field h2_block_add(struct h2_stream *s, struct str name, struct str value);
/* The head is complete: HTTP/1's shape.  NULL, or what is wrong with it. */
const struct codec_error *h2_block_to_request(struct h2_stream *s);
void h2_block_to_response(struct h2_stream *s);
/* Fields for nghttp2 in a scratch array that the next call overwrites. */
nghttp2_nv *h2_fields(struct h2_stream *s, const struct headers *h, size_t *n);

#endif
