/*
 * An order to drain: over which time connections are told to go, and how
 * long each kind of connection may be held at most.  Written by whoever
 * takes over or ends, carried by DRAIN between masters and from a master
 * to its workers, who keep it.
 */
#ifndef IPC_DRAIN_ORDER_H
#define IPC_DRAIN_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

/* The order is that of the numbers in HOLDING and DRAIN. */
#define DRAIN_KINDS_OF(KIND)                                                                       \
	KIND(DRAIN_H1, "h1")               /* HTTP/1, and what has not said anything yet */         \
	KIND(DRAIN_H2, "h2")                                                                       \
	KIND(DRAIN_WEBSOCKET, "websocket") /* with an upgraded stream: WebSocket, CONNECT */        \
	KIND(DRAIN_TCP, "tcp")

enum drain_kind {
#define KIND_ID(id, name) id,
	DRAIN_KINDS_OF(KIND_ID)
#undef KIND_ID
	DRAIN_KINDS,
};

extern const char *const drain_kind_names[DRAIN_KINDS];

#define DRAIN_NO_DEADLINE UINT32_MAX

struct drain_order {
	uint64_t seconds; /* the window over which connections are told */
	bool immediate;	  /* all at once instead */
	bool another_serves;
	uint32_t deadline_s[DRAIN_KINDS]; /* from now on; DRAIN_NO_DEADLINE: held as long as it lives */
};

struct handover_packet;
struct message;
struct message_view;

/* The same deadline for every kind. */
void drain_order_until(struct drain_order *o, uint64_t deadline_s);
/* When nothing is held any more. */
uint32_t drain_order_last_s(const struct drain_order *o);
/* "KIND=S": the value of --drain-deadline.  -1: what is wrong with it. */
int drain_deadline_parse(struct str pair, enum drain_kind *kind, uint32_t *seconds, struct err *err);

/* As fields of DRAIN, for a worker or admin. */
void drain_order_put(struct message *m, const struct drain_order *o);
void drain_order_get(struct drain_order *o, struct message_view *v);
/* As fields of DRAIN, for another master. */
void drain_order_pack(struct strb *packet, const struct drain_order *o);
void drain_order_unpack(struct drain_order *o, const struct handover_packet *p);

#endif
