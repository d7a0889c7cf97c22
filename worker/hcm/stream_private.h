/*
 * The rest of a request, for the files of this folder.  `struct stream`
 * begins with what filters see (stream.h).
 */
#ifndef HCM_STREAM_PRIVATE_H
#define HCM_STREAM_PRIVATE_H

#include <inttypes.h>

#include "lib/base/buf.h"
#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/state.h"
#include "lib/http/codec.h"
#include "worker/hcm/chain.h"
#include "worker/hcm/config.h"
#include "worker/hcm/stream.h"

struct hcm_conn;

#define STREAM_STATES(STATE)                                                                       \
	STATE(STREAM_HEAD, "receiving headers",                                                    \
	    TO(STREAM_RUNNING) | TO(STREAM_REPLYING) | TO(STREAM_CLOSED))                          \
	STATE(STREAM_RUNNING, "running filters",                                                   \
	    TO(STREAM_REPLYING) | TO(STREAM_TUNNEL) | TO(STREAM_CLOSED))                           \
	STATE(STREAM_REPLYING, "sending the response", TO(STREAM_REPLIED) | TO(STREAM_CLOSED))     \
	STATE(STREAM_TUNNEL, "carrying an upgraded connection",                                    \
	    TO(STREAM_REPLIED) | TO(STREAM_CLOSED))                                                \
	STATE(STREAM_REPLIED, "response complete", TO(STREAM_CLOSED))                              \
	STATE(STREAM_CLOSED, "closed", 0)

enum stream_state { STREAM_STATES(STATE_ENUM) };
STATE_TABLE(stream, STREAM_STATES)

/* What most requests want of their arena; from the second block on it is as any other. */
#define STREAM_ROOM 2048

struct stream {
	struct http_stream s; /* first */
	struct hcm_conn *conn;
	struct codec_stream *codec; /* NULL: the codec has forgotten it */
	struct list node;	    /* conn->streams */
	enum stream_state state;
	uint64_t active_ns;	     /* last event in either direction */
	struct chain request, response;
	uint64_t sent;		     /* body bytes that had left at the last look */
	uint64_t idle_ms, max_ms;    /* in force for this stream, 0 = off */
	unsigned paused;	     /* reasons why the client is not read */
	bool close_after;	     /* HTTP/1: this response is the connection's last */
	/* Not cleared with the rest: set when they are used. */
	struct address local, remote; /* of the connection */
	struct address found_remote;  /* the client by x-forwarded-for */
	_Alignas(8) char room[STREAM_ROOM];
};

static inline struct stream *
stream_of(struct http_stream *s)
{
	return (struct stream *)(void *)s;
}

static inline bool
stream_is_open(const struct stream *s)
{
	return s->state != STREAM_CLOSED;
}

/* ---- life: stream.c */
struct stream *stream_open(struct hcm_conn *c, struct codec_stream *cs);
void stream_moved(struct stream *s, enum stream_state was); /* what a step brings with it */
static inline void
stream_enter(struct stream *s, enum stream_state next)
{
	enum stream_state was = s->state;

	STATE_CHECK(stream, was, next);
	log_trace(LOG_HTTP, "stream: [C%" PRIu64 "] %s -> %s", s->s.info.connection_id,
	    stream_state_names[was], stream_state_names[next]);
	s->state = next;
	if (next >= STREAM_TUNNEL || was == STREAM_TUNNEL)
		stream_moved(s, was);
}
/* Ends it now, whatever its state: log, stats, filters.  The codec must have forgotten it. */
void stream_finish(struct stream *s);
/* Ends it and tells the codec, with a flag and details when nothing else was noted. */
void stream_cut(struct stream *s, enum stream_reset why, uint32_t flag, struct str details);
void stream_touch(struct stream *s);
void stream_pause(struct stream *s, bool paused);

/* ---- the way in: request.c */
void stream_request(struct stream *s, bool end);

/* ---- the way out: respond.c; called by the response chain when its filters are through */
void stream_send_headers(struct stream *s, bool end);
void stream_send_data(struct stream *s, struct buf *data, bool end);
void stream_send_trailers(struct stream *s);

/* ---- timeouts.c: ends what is overdue; gives when to look again */
uint64_t stream_deadline(struct stream *s);
uint64_t stream_check(struct stream *s, uint64_t now_ns);

#endif
