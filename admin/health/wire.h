/*
 * One connection over which a host is asked how it is: a socket and,
 * unless bytes are all that is wanted, an HTTP codec.  One question at a
 * time; HTTP answers are told as a whole.  Belongs to one probe.
 */
#ifndef ADMIN_HEALTH_WIRE_H
#define ADMIN_HEALTH_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/http/codec.h"
#include "lib/net/address.h"

struct wire;
struct loop;

enum wire_kind {
	WIRE_BYTES,
	WIRE_HTTP1,
	WIRE_HTTP2,
};

enum wire_loss {
	WIRE_LOST,  /* refused, reset, ended: the host's doing */
	WIRE_STALE, /* a kept connection was at its end: nothing of the question was heard */
	WIRE_LOCAL, /* this process has no descriptor or no port left */
};

/* Borrowed until on_answer returns. */
struct wire_answer {
	const struct headers *headers;
	const struct headers *trailers; /* NULL: none */
	const struct buf *body;         /* its first bytes, as many as were asked for */
};

/* Told while a connection is being made or a question is open; never from within wire_* calls. */
struct wire_events {
	void (*on_open)(void *arg);
	void (*on_answer)(void *arg, const struct wire_answer *a);
	void (*on_bytes)(void *arg, struct buf *bytes); /* WIRE_BYTES: all that came and was not taken */
	void (*on_lost)(void *arg, enum wire_loss why); /* the wire is of no use any more */
};

/* Starts connecting; NULL when that is impossible here: WIRE_LOCAL. */
struct wire *wire_open(struct loop *l, const struct address *to, enum wire_kind kind,
    const struct codec_config *config, const struct wire_events *events, void *arg);
void wire_close(struct wire **wp); /* at once; no event follows; NULL is fine */

/* Is there room for a question? */
bool wire_is_ready(const struct wire *w);
/* A question: for HTTP headers and perhaps a body; room: so much of the answer's body is kept. */
void wire_ask(struct wire *w, const struct headers *h, struct str body, size_t room);
/* WIRE_BYTES: the question is open until wire_settle(). */
void wire_send(struct wire *w, struct str bytes);
void wire_settle(struct wire *w);
/* What has come and was not read yet is read now: events as usual. */
void wire_look(struct wire *w);
/* Where headers of a question may be built; empty again with the answer. */
struct arena *wire_arena(struct wire *w);

#endif
