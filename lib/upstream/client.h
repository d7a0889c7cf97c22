/*
 * One request of baton itself to a cluster, with no client behind it: a
 * control plane's stream, later authorisation and logs.  Picks a host,
 * takes a connection of its pool, tries once.  Both directions may stay
 * open for as long as both sides like.
 *
 * Events never come from inside a call of this header, and on_end comes
 * exactly once, last, unless client_cancel() was called; the client is
 * gone after it.
 */
#ifndef UPSTREAM_CLIENT_H
#define UPSTREAM_CLIENT_H

#include <stdbool.h>

#include "lib/base/buf.h"
#include "lib/http/headers.h"

struct client;
struct cluster;

enum client_end {
	CLIENT_COMPLETE, /* the response is complete */
	CLIENT_NO_HOST,
	CLIENT_OVERFLOW, /* a circuit breaker */
	CLIENT_NO_CONNECTION,
	CLIENT_RESET, /* the stream, or the connection under it */
};

struct client_events {
	void (*on_sent)(void *arg); /* there is a connection, the headers are on it */
	void (*on_headers)(void *arg, struct headers *h, bool end);
	void (*on_data)(void *arg, struct buf *data, bool end); /* take what is wanted out of data */
	void (*on_trailers)(void *arg, struct headers *t);
	void (*on_end)(void *arg, enum client_end why, const char *text);
};

/* The request's headers are then filled in; the cluster is shared. */
struct client *client_new(struct cluster *c, const struct client_events *events, void *arg);
struct headers *client_headers(struct client *c); /* bytes that are not literals: in their arena */
void client_start(struct client *c, bool end);
/* Takes everything out of data; waits inside while there is no connection. */
void client_send(struct client *c, struct buf *data, bool end);
/* No event follows. */
void client_cancel(struct client **cp);

#endif
