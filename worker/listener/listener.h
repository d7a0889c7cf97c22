/*
 * The listening sockets of this worker and what is done with what they
 * accept.  A listener is its key (address); sockets come and go by
 * message: the worker's own, and those lent to it for a neighbour.  The
 * configuration comes with the snapshot, before or after the sockets;
 * only with both is anything polled.
 */
#ifndef LISTENER_LISTENER_H
#define LISTENER_LISTENER_H

#include <stdbool.h>

#include "lib/base/str.h"
#include "lib/base/vec.h"
#include "worker/hcm/hcm.h"

struct listener;
struct snapshot;

struct listeners {
	struct hcm *hcm;
	VEC(struct listener *) all;
	bool stopped; /* nothing is polled any more */
};

void listeners_init(struct listeners *ls, struct hcm *hcm);
struct listener_socket {
	struct str key; /* borrowed */
	unsigned index;
	int fd;	     /* borrowed, unless it is added */
	bool handed; /* a service manager's too: never shut down */
};
/* Takes its fd; one of the same key and index is replaced. */
void listeners_add_socket(struct listeners *ls, const struct listener_socket *add);
/* A socket goes back to its owner: closed here, it lives on there. */
void listeners_take_back(struct listeners *ls, struct str key, unsigned index);
/* The nth listening socket that is held here; false: there is none. */
bool listeners_socket(const struct listeners *ls, size_t n, struct listener_socket *out);
/* Where connections of this key come from; NULL when none is configured. */
struct hcm_place *listeners_place(struct listeners *ls, struct str key);
/* From now on this configuration.  Listeners that it does not know accept what waits, close their
 * sockets and tell their connections to go. */
void listeners_use(struct listeners *ls, struct snapshot *s);
/* Accepts who waits, refuses who comes: all, or those of inbound traffic. */
void listeners_stop(struct listeners *ls, bool inbound_only);
/* Polls no more and leaves the queues alone: the next generation accepts from the same sockets. */
void listeners_rest(struct listeners *ls);
/* Polls again: the successor is gone. */
void listeners_resume(struct listeners *ls);
/* Tells the connections of those to go. */
void listeners_drain(struct listeners *ls, bool inbound_only);
/* Sockets are closed and snapshots let go; connections must be gone. */
void listeners_fini(struct listeners *ls);

#endif
