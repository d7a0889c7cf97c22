/*
 * Blocks: named sets of stats.
 *
 * A scope (cluster, listener, http …) is a file shm/stats/<scope>.def; it
 * gives `struct <scope>_stats`.  A block is one instance of a scope under
 * a prefix ("cluster.api.", "http.ingress.", "server."); full stat names
 * are prefix + row name.  Admin publishes blocks (it is the directory's
 * only writer); a block stands at the same offset in every lane, so a
 * process finds its own copy by name once and then only stores.
 *
 * A block may also have a shared part (a few cells with several writers,
 * atomics only): the verdict of a host, flags.
 */
#ifndef SHM_BLOCK_H
#define SHM_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "shm/stat.h"

struct segment;

enum stat_scope {
#define SCOPE(id) SCOPE_##id,
#include "shm/stats/scopes.def"
#undef SCOPE
	STAT_SCOPES,
};

/* struct server_stats, struct cluster_stats, … one for each scope, made from the .def files. */
#include "shm/stats/structs.h"

/*
 * Admin: makes the block exist (a block of this scope and prefix that is
 * there already is the same block).  -1 when the segment is full or tmpfs
 * has no room (the configuration is then refused).
 */
int block_publish(struct segment *seg, enum stat_scope scope, struct str prefix, struct err *err);
/* Admin: is there room for n more prefixes, with a block of each scope? */
bool block_room_for(const struct segment *seg, const enum stat_scope *scopes, unsigned n_scopes,
    size_t prefix_bytes, uint64_t n);
/* Admin: gone from listings; reused only after every living seat let go (lane_let_go). */
void block_retire(struct segment *seg, enum stat_scope scope, struct str prefix);
/*
 * Admin, before it publishes: which stats are shown (stats_matcher).
 * `keep` is asked each row's full name once, when its block is published;
 * a codes row is asked as upstream_rq_200.  Hidden rows are counted but
 * appear nowhere.  NULL: all are shown.
 */
void block_set_filter(bool (*keep)(void *ctx, struct str name), void *ctx);
/* Asks for the blocks that are there already: those of the processes are older than any configuration. */
void block_filter_all(struct segment *seg);

/* A value as part of a stat's name: "://", ':' and NUL become '_'. */
void stat_name_add(struct strb *out, struct str part);

/*
 * Any process that took a lane: this seat's copy, never NULL.  A block that is not
 * published gives a scratch area of the process that nobody reads, so
 * callers need no branch.  Valid as long as the segment is mapped.
 */
void *block_stats(enum stat_scope scope, struct str prefix);
/* The shared part of the block (struct host_cell, struct <scope>_texts), or a private scratch. */
void *block_shared(enum stat_scope scope, struct str prefix);

/* Typed: cluster_stats_of("cluster.api.") … */
#define SCOPE(id)                                                                                  \
	static inline struct id##_stats *id##_stats_of(const char *prefix)                         \
	{                                                                                          \
		return block_stats(SCOPE_##id, str_of(prefix));                                    \
	}
#include "shm/stats/scopes.def"
#undef SCOPE

/*
 * Sum of one cell over all live seats but mine, for circuit breakers and
 * least request.  `cell` points into my own lane.  Dead seats' gauges do
 * not count.  Cheap (one load a seat); callers cache it (≤ 10 ms).
 */
int64_t stat_gauge_others(const struct stat_gauge *cell);
/* Sum over all seats, also of those whose owner is gone.  `cell` points into my own lane. */
uint64_t stat_counter_all(const struct stat_counter *cell);
/* Has any live seat counted here?  `cell` points into my own lane. */
bool stat_counter_moved(const struct stat_counter *cell);

#endif
