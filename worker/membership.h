/*
 * Membership records on their way into clusters: one update for each
 * cluster that a record names, carried out in slices beside what runs,
 * put in force together.  Part of building a snapshot, or all there is to
 * do when the journal says nothing else.
 */
#ifndef WORKER_MEMBERSHIP_H
#define WORKER_MEMBERSHIP_H

#include <stdbool.h>

#include "lib/base/err.h"
#include "lib/base/map.h"
#include "lib/base/str.h"
#include "lib/base/vec.h"

struct cluster;
struct cluster_update;

struct membership_work {
	struct cluster *cluster; /* a reference */
	struct cluster_update *update;
	bool fresh;              /* nobody uses the cluster yet */
};

struct membership {
	VEC(struct membership_work *) works;
	struct map by_cluster; /* name → work */
	struct membership_work *reading;
	size_t next; /* of the fresh ones */
};

void membership_init(struct membership *m);
void membership_fini(struct membership *m); /* what was not put in force is forgotten */

/* Begins a record of the cluster; it is read by membership_step(). */
int membership_add(
    struct membership *m, struct cluster *c, bool fresh, struct str bytes, struct err *err);
/* 1: more of the record, 0: done, -1: refused. */
int membership_step(struct membership *m, struct err *err);
/* One of the clusters that nobody uses gets its members; false when there is none left. */
bool membership_use_fresh(struct membership *m);
/* The others, all at once. */
void membership_use(struct membership *m);

#endif
