/*
 * One direction of a stream through its filters.  A request visits them
 * in order, a response in reverse; at the end of the response's way
 * stands the codec.
 *
 * A filter that stops holds the message: its headers go no further and
 * what comes behind them waits in `held`.  Filters that stop at headers
 * only wait for something: the sender is paused above the limit.  Filters
 * that stop at data want the whole body: above the limit it is refused.
 */
#ifndef HCM_CHAIN_H
#define HCM_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/http/headers.h"

struct http_filter;
struct stream;

/* A filter in this stream. */
struct chain_filter {
	const struct http_filter *filter;
	void *self;
};

struct chain {
	struct stream *stream;
	struct chain_filter *filters; /* in configuration order; shared by both directions */
	unsigned n;	/* 0 of a response that none of them looks at */
	bool response;	/* reverse order, codec at the end */
	bool started;	/* headers entered */
	bool stopped;	/* the filter at stop_at holds the message */
	bool buffering; /* it holds for the body's sake */
	bool ended;	/* the end of the message has entered */
	bool closed;	/* nothing goes in any more */
	bool own;	/* an answer of ours: it is as large as it is */
	bool sender_paused;
	unsigned headers_at, trailers_at; /* next position to see them */
	unsigned stop_at;
	uint32_t run; /* moves when the message is replaced: stale callers stop */
	struct headers *headers, *trailers;
	struct buf held;
};

void chain_init(struct chain *c, struct stream *s, bool response); /* zeroed memory */
void chain_fini(struct chain *c);
/* Makes each filter's object.  Both directions of the stream get the list. */
void chain_start(struct stream *s);

void chain_headers(struct chain *c, struct headers *h, bool end);
void chain_data(struct chain *c, struct buf *data, bool end); /* takes all bytes */
void chain_trailers(struct chain *c, struct headers *t);
/* Does no filter look at what comes of the body from here on? */
bool chain_is_blind(const struct chain *c);
void chain_continue(struct chain *c);
/* Forgets what is under way, so that another message (a local reply) may take its place. */
void chain_restart(struct chain *c);
void chain_close(struct chain *c);

#endif
