/*
 * The configuration in force, as this worker runs it: built from the
 * journal, immutable, refcounted.  Streams keep the snapshot they began
 * with; its last reference frees its arena.  Clusters and hosts are
 * shared between snapshots by reference, so that connection pools live on.
 * Members of a cluster change under all snapshots that share it.
 */
#ifndef WORKER_SNAPSHOT_H
#define WORKER_SNAPSHOT_H

#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/err.h"
#include "lib/base/str.h"

struct cluster;
struct listener_config;
struct loop;
struct snapshot;

struct cluster *snapshot_cluster(const struct snapshot *s, struct str name); /* NULL: unknown */
struct snapshot *snapshot_ref(struct snapshot *s);
void snapshot_unref(struct snapshot **sp);

const struct listener_config *snapshot_listener(
    const struct snapshot *s, unsigned i); /* NULL past the end */
const struct listener_config *snapshot_listener_by_key(const struct snapshot *s, struct str key);
uint64_t snapshot_offset(const struct snapshot *s); /* of the journal it was built from */
/* How many there are; with one only, nothing of an earlier configuration is in use. */
unsigned snapshots_alive(void);

/*
 * Building, in slices: one resource a step, so that streams do not wait
 * for a large configuration.
 */
struct snapshot_build;

/* From the first `offset` bytes of the journal.  Clusters that `now` (may be NULL) has too are
 * shared.  NULL with the reason. */
struct snapshot_build *snapshot_build_start(struct loop *l, unsigned worker, int journal_fd,
    uint64_t offset, struct snapshot *now, struct err *err);
/* When nothing but members stands in the journal from `from` on: they alone are built, for the clusters
 * of `now`, which stays.  NULL: there is more to build. */
struct snapshot_build *snapshot_build_members(
    int journal_fd, uint64_t from, uint64_t offset, struct snapshot *now);
int snapshot_build_step(
    struct snapshot_build *b, struct err *err);			/* 1: more, 0: done, -1: refused */
/* When done: puts the members in force; gives the snapshot, or `now` once more. */
struct snapshot *snapshot_build_take(struct snapshot_build *b);
void snapshot_build_free(struct snapshot_build **bp);

#endif
