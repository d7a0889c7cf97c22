/*
 * The configuration in force, as this worker runs it: built from the
 * journal, immutable, refcounted.  Streams keep the snapshot they began
 * with; its last reference frees its arena.  Clusters and hosts are
 * shared between snapshots by reference, so that connection pools live on.
 */
#ifndef WORKER_SNAPSHOT_H
#define WORKER_SNAPSHOT_H

#include "lib/base/arena.h"
#include "lib/base/err.h"
#include "lib/base/str.h"

struct cluster;
struct listener;
struct snapshot;

struct cluster *snapshot_cluster(const struct snapshot *s, struct str name); /* NULL: unknown */
struct snapshot *snapshot_ref(struct snapshot *s);
void snapshot_unref(struct snapshot **sp);

#endif
