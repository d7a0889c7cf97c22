/*
 * The numbers admin itself writes, into its own lane: server.*,
 * listener_manager.*, cluster_manager.*, runtime.*, filesystem.* and the
 * membership of clusters.  Gauges are written anew each second.
 */
#ifndef ADMIN_STATS_H
#define ADMIN_STATS_H

#include "lib/base/str.h"
#include "lib/base/vec.h"
#include "lib/event/timer.h"
#include "shm/block.h"

struct admin;

struct admin_stats {
	struct server_stats *server;
	struct baton_stats *baton;
	struct listener_manager_stats *listener_manager;
	struct cluster_manager_stats *cluster_manager;
	struct filesystem_stats *filesystem;
	struct runtime_stats *runtime;
	struct timer second;
	VEC(char *) leaving; /* prefixes of removed listeners that still have connections */
};

/* Finds the cells; blocks that are not published yet give scratch. */
void stats_attach(struct admin *a);
void stats_start(struct admin *a); /* the timer */
void stats_stop(struct admin *a);
void stats_update(struct admin *a); /* now, e.g. after a verdict */
/* Counters of the first accepted configuration. */
void stats_count_added(struct admin *a);

/* A removed listener drains until its last connection is gone. */
void stats_note_leaving(struct admin *a, struct str prefix);

/* Bytes of all processes that have a seat, from /proc. */
struct process_memory {
	uint64_t physical, allocated, heap;
};
struct process_memory stats_memory(const struct admin *a);

#endif
