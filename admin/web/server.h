/*
 * The admin port: a small HTTP/1 and HTTP/2 server on our own codecs.
 * Bounded in connections, bytes and time; a slow client costs its own
 * connection only, a large answer goes out in slices.
 */
#ifndef WEB_SERVER_H
#define WEB_SERVER_H

#include "lib/base/err.h"
#include "lib/base/str.h"

struct admin;
struct web;

/* Takes the listening socket; bound is its address as text.  NULL with the reason. */
struct web *web_start(struct admin *a, int fd, struct str bound, struct err *err);
int web_fd(const struct web *w); /* the listening socket; -1 when it was given back */
/* Open connections go on; the socket is given back. */
void web_stop_accepting(struct web *w);
/* Stops at once; what is left of its connections goes in the loop's next turns. */
void web_free(struct web **wp);

#endif
