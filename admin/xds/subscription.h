/*
 * One resource that somebody wants from a source, by name.  Embedded in
 * whoever wants it (an EDS cluster) and owned there; it lives from
 * xds_subscribe() (xds.h) to xds_unsubscribe().
 *
 * The first answer is waited for at most initial_fetch_timeout; what
 * comes later still counts.  A resource that is refused changes nothing.
 */
#ifndef XDS_SUBSCRIPTION_H
#define XDS_SUBSCRIPTION_H

#include <stdbool.h>

#include "admin/xds/types.h"
#include "lib/base/err.h"
#include "lib/base/list.h"
#include "lib/event/timer.h"
#include "shm/block.h"

struct source;

struct subscription_events {
	/* The resource as it is now.  -1: refused, the old one stays. */
	int (*take)(void *arg, const ProtobufCMessage *m, struct str version, struct err *err);
	/* The first answer was refused, or did not come in time: go on with what there is. */
	void (*give_up)(void *arg);
};

/* Where it is counted; texts lie in shared parts. */
struct subscription_numbers {
	struct stat_counter *attempt, *failure, *empty;
	struct stat_counter *success; /* NULL: the taker counts */
	struct subscription_stats *own;
	struct subscription_texts *texts;
	struct control_plane_stats *plane; /* NULL: the source has its own */
	struct control_plane_texts *plane_texts;
};

struct subscription {
	struct list node; /* of the source's subscriptions of this type */
	struct source *source;
	enum xds_type_id type;
	char *name;
	const struct subscription_events *events;
	void *arg;
	struct subscription_numbers numbers;
	struct timer fetch; /* initial_fetch_timeout */
	bool answered;      /* the first wait is over */
};

/* ---- for sources */

void subscription_begin(struct subscription *s, struct source *from, enum xds_type_id type,
    struct str name, uint64_t fetch_timeout_ms, const struct subscription_events *events, void *arg);
void subscription_end(struct subscription *s);
/* A sound resource; -1 with the reason when the taker refuses it (counted then). */
int subscription_take(
    struct subscription *s, const ProtobufCMessage *m, struct str version, struct err *err);
void subscription_reject(struct subscription *s);
void subscription_empty(struct subscription *s); /* an answer without any resource */
void subscription_fail(struct subscription *s); /* its source cannot be reached */

#endif
