/*
 * Members of the clusters: the one model of who belongs to which cluster.
 * /clusters shows it, operators give verdicts on it, checks and outlier
 * detection hang on it, workers get it by the journal.
 *
 * A member_cluster lives as long as a cluster of its name is configured, a
 * member as long as its address is in the cluster: reloads and updates
 * keep both.  They are owned here; everybody else borrows them until the
 * event `removed` or `cluster_removed`.
 *
 * Sources (the Cluster message, DNS, EDS) call members_replace() with all
 * members each time.  It compares, makes the stat blocks, tells observers
 * and marks the cluster; what is marked is written to the journal and
 * published when the barrier is free (announce.h), several changes as one.
 *
 * A change of the model is at once; workers follow when it is published.
 * From a task, members_replace() breathes between one member and the next:
 * a source gives a cluster one assignment at a time, and nobody keeps a
 * member over a breath.
 */
#ifndef ADMIN_DISCOVERY_MEMBERS_H
#define ADMIN_DISCOVERY_MEMBERS_H

#include <stdbool.h>
#include <stdint.h>

#include "admin/discovery/member_zones.h"
#include "envoy/config/cluster/v3/cluster.pb-c.h"
#include "envoy/config/endpoint/v3/endpoint.pb-c.h"
#include "lib/base/arena.h"
#include "lib/base/err.h"
#include "lib/base/map.h"
#include "lib/base/vec.h"
#include "lib/upstream/assignment.h"
#include "shm/block.h"
#include "shm/hosts.h"

struct journal;
struct member_cluster;
struct names_config;
struct segment;
struct store;

struct member {
	struct member_cluster *cluster;
	struct str address; /* text */
	struct str prefix;  /* of its block: "<cluster>|<address>|" */
	struct endpoint endpoint; /* as the source said last */
	uint32_t number;          /* in its cluster, for the journal */
	uint32_t place;           /* in cluster->members */
	struct host_cell *cell;   /* verdicts, shared by all processes */
	/* The checker: it is checked actively.  Then it outlives its removal from discovery while the
	 * check passes (HOST_PENDING_REMOVAL), unless ignore_health_on_host_removal. */
	bool checked;
	bool leaving;   /* the source does not name it any more; see `checked` */
	bool inherited; /* the last generation knew it: its verdict stands in the cell already */
	bool changed;   /* since the last record */
	uint64_t mentioned; /* by this assignment, as members count them */
	void *check, *outlier; /* slots of the observers */
};

/* What the journal is still to be told of a cluster (announce.h). */
struct member_book {
	uint64_t serial; /* of the last record */
	uint32_t next_number;
	VEC(uint32_t) free, removed; /* numbers */
	uint64_t whole_bytes, more_bytes; /* of the last whole record, of what followed */
	bool dirty, whole, policy; /* anything; all of it; the policy */
	bool written;              /* in the turn that goes on */
	bool known;                /* to the journal: it has a record */
};

struct member_cluster {
	/* Without load_assignment; borrowed from the store in force: read it anew, keep no pointer. */
	const Envoy__Config__Cluster__V3__Cluster *message;
	const struct names_config *names; /* NULL: it resolves none; borrowed as message is */
	struct str name;
	struct str prefix; /* "cluster.<stat name>." */
	struct cluster_stats *stats;
	VEC(struct member *) members; /* in no order that says anything */
	struct assignment_policy policy;
	uint64_t updated_ns; /* wall clock of the last change of membership */
	struct strb version; /* of the source's last word, for dumps: xDS version_info, else "" */
	unsigned warming;    /* holds, see members_hold() */
	bool initialised;    /* the source has said something */
	bool in_force;       /* workers know the cluster; false for one that a reload is about to bring */
	void *check, *outlier, *source; /* slots of the observers */
	struct map by_address;          /* text → struct member */
	uint64_t version_hash;          /* of the message */
	struct member_book book;
	struct member_zones zones;
};

struct member_health {
	uint32_t total, healthy, degraded, excluded, max_weight;
};

/*
 * All are optional.  Called in the order of registration, `removed` and
 * `cluster_removed` in the opposite one; from the loop or from within
 * members_replace().  None may call members_replace() for the same cluster.
 */
struct members_events {
	/* Before its first member; its source begins here. */
	void (*cluster_added)(void *arg, struct member_cluster *c);
	/* Another message, the same members. */
	void (*cluster_changed)(void *arg, struct member_cluster *c);
	/* After its last member. */
	void (*cluster_removed)(void *arg, struct member_cluster *c);
	/* Its cell is there and no worker knows it: the first verdict is set here (not if inherited). */
	void (*added)(void *arg, struct member *x);
	/* Weight, priority, locality, metadata, status, hostname, where it is checked. */
	void (*changed)(void *arg, struct member *x, const struct endpoint *before);
	void (*removed)(void *arg, struct member *x);
};

struct members_observer {
	const struct members_events *events;
	void *arg;
};

/* Between members_prepare() and members_accept(). */
struct members_plan {
	struct member_cluster *cluster;
	struct assignment assignment;
	VEC(uint32_t) numbers; /* of the endpoints, once it is written */
};

/* A block that workers may still use; cluster_n: of a host, the bytes of its cluster's name. */
struct members_retired {
	struct str prefix; /* owned */
	size_t cluster_n;
	bool covered;      /* by the turn that goes on: then nobody gets it again */
	struct member_zones zones; /* of a cluster */
};

struct members {
	uint64_t serial; /* of the last record of any cluster */
	uint64_t assignments; /* compared with the model */
	struct segment *segment; /* where blocks are made; borrowed */
	struct str own_zone, local_cluster; /* of the node, of the cluster manager; owned, or empty */
	VEC(struct member_cluster *) clusters;
	struct map by_name;
	VEC(struct members_observer) observers;
	/* Something is to be published, or a cluster became warm. */
	void (*on_dirty)(void *arg);
	void (*on_warm)(void *arg);
	void *arg;
	uint64_t (*wall_ns)(void *arg);
	struct map inherited; /* prefix → struct host_cell of the last generation, in the arena */
	struct arena arena;   /* of those */
	bool keep_verdicts;   /* what stands in the cells is true: a new admin reads the journal */
	VEC(struct members_plan) plans; /* static members of clusters that are there already */
	VEC(struct members_retired) retiring;
	bool accepting;
};

void members_init(struct members *m);
/* Tells observers of all that goes: they end after it. */
void members_fini(struct members *m);
void members_observe(struct members *m, const struct members_events *e, void *arg);

/* ---- for sources */

/*
 * These are the members now.  -1: refused, the old ones stay; err names
 * the field, and update_rejected or update_failure is the caller's to
 * count.  Ends the source's own hold on warming (initialised).
 */
int members_replace(struct members *m, struct member_cluster *c,
    const Envoy__Config__Endpoint__V3__ClusterLoadAssignment *a, struct err *err);
/* The same check without any effect: to judge a response before its parts are taken. */
int members_check(
    const Envoy__Config__Endpoint__V3__ClusterLoadAssignment *a, struct err *err);
/* No answer came (initial_fetch_timeout, DNS failed): the cluster goes on with what it has. */
void members_give_up(struct members *m, struct member_cluster *c);

/*
 * Warming: a cluster is not used before every hold on it has ended.  A
 * cluster begins with its source's own (until members_replace() or
 * members_give_up()); the checker adds one until its first round is over.
 * Start-up and reload wait for the clusters they bring, unless
 * wait_for_warm_on_init is false.
 */
void members_hold(struct member_cluster *c);
void members_let_go(struct members *m, struct member_cluster *c);
/* All that start-up or a reload are about to bring. */
bool members_are_warm(const struct members *m);
unsigned members_warming(const struct members *m); /* clusters with a hold */

/* ---- for the checker */

/* An active check of x failed or passes again (after its cell was written): a member that only its
 * check kept goes now, and x with it. */
void members_checked(struct members *m, struct member *x);

/* ---- for all */

struct member_cluster *members_cluster(struct members *m, struct str name); /* NULL: unknown */
struct member *member_find(struct member_cluster *c, struct str address);
struct member_health member_cluster_health(const struct member_cluster *c);
/* Writes the membership gauges of every cluster. */
void members_count(struct members *m);

/* ---- for start-up and reload (one at a time)

   members_prepare() makes the clusters that are new, with their members,
   and checks the rest; then either members_accept() or members_drop(). */

int members_prepare(struct members *m, struct store *next, struct err *err);
/* The next store is in force: messages, members of static clusters, clusters that are gone. */
void members_accept(struct members *m, struct store *next);
void members_drop(struct members *m);

/* ---- the journal (members_journal.c)

   members_write() in a turn of the barrier, then members_before_use() when every worker is ready, and
   members_written() at its end. */

/* Records of what was marked; with the reload's next store also of what that changes. */
int members_write(struct members *m, struct journal *j, struct store *next, struct err *err);
bool members_are_dirty(const struct members *m);
/* Blocks that the workers are about to leave are retired; gives the number of the last. */
uint64_t members_before_use(struct members *m);
/* Refused: all of it is to be said again. */
void members_written(struct members *m, bool in_force);
/* A new admin, after members_prepare(): the members in force. */
int members_load(struct members *m, const struct journal *j, uint64_t use, struct err *err);

#endif
