/*
 * A cluster as one process uses it: settings, members, balancer, pools,
 * stats.  Built from the Envoy message (names already resolved to
 * addresses by admin); refcounted: snapshots and running requests hold it.
 *
 * When the last reference goes no request is left; the idle connections
 * are closed from the loop and the memory goes with the last of them.
 */
#ifndef UPSTREAM_CLUSTER_H
#define UPSTREAM_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/event/timer.h"
#include "lib/http/codec.h"
#include "lib/net/socket.h"
#include "lib/upstream/assignment.h"
#include "lib/upstream/blocks.h"
#include "lib/upstream/breaker.h"
#include "lib/upstream/host.h"
#include "lib/upstream/lb.h"
#include "lib/upstream/outlier.h"
#include "shm/block.h"

struct host_set;
struct override_host;
struct subset_config;
struct subsets;
struct loop;
struct zone;

struct cluster {
	uint32_t refs;
	struct str name;               /* owned */
	struct str stat_prefix;        /* owned */
	struct zone *zone;             /* a reference; NULL: nobody said where we are */
	struct loop *loop;
	struct cluster_stats *stats;
	struct cluster_codes_stats *codes[CODES_SETS];
	bool http2;                    /* prior knowledge */
	struct active_check_stats *check_stats; /* NULL: its hosts are not checked actively */
	uint32_t connect_timeout_ms;
	uint32_t buffer_limit;         /* per_connection_buffer_limit_bytes */
	uint64_t idle_timeout_ms, max_connection_duration_ms; /* 0 = off */
	uint32_t max_requests_per_connection;                 /* 0 = no limit */
	uint64_t max_stream_duration_ms;                      /* 0 = off */
	bool tcp_keepalive;
	bool close_on_host_change;     /* close_connections_on_host_set_change */
	struct socket_keepalive keepalive;
	struct codec_config codec;
	struct breakers breakers[2];   /* priority DEFAULT, HIGH */
	const struct lb_policy *policy;
	struct lb_config lb;
	struct host **hosts;           /* changed by cluster_update_use() only */
	uint32_t hosts_n, numbers;
	struct host **by_number;       /* the same, by their number in the journal; may have holes */
	uint64_t members_serial;       /* of the record they come from; 0: none yet */
	struct assignment_policy policy_of_members;
	struct host_set *set;
	struct subset_config *subset_config; /* owned; NULL: no subsets */
	struct subsets *subsets;
	struct override_host *override; /* owned; NULL: requests name no hosts */
	struct outlier_rules outlier;
	struct limit_others rq_others;
	uint32_t connections;          /* not closed yet */
	struct timer look;             /* while there are connections */
	bool closed;                   /* no reference is left */
};

/* msg: envoy.config.cluster.v3.Cluster, borrowed.  Admin published the stat blocks before.  Members come
 * by cluster_update.h; those of a load_assignment in the message are there from the beginning. */
int cluster_build(struct cluster **out, const void *msg, struct loop *l, struct err *err);
/* Where this process stands: for zone-aware routing and numbers by zone.  After cluster_build(), once. */
void cluster_set_zone(struct cluster *c, struct zone *z);
struct cluster *cluster_ref(struct cluster *c);
void cluster_unref(struct cluster **cp); /* the last one closes the pools */

/* A host for a request, or NULL: none is available (the caller counts and answers UH). */
struct host *cluster_pick(struct cluster *c, const struct lb_context *ctx);

/* Counts: the numbers `cluster_min_healthy_percentages` and membership gauges need. */
struct cluster_health {
	uint32_t total, healthy, degraded, excluded;
};
struct cluster_health cluster_health(const struct cluster *c);
/* Requests open at all hosts, of all workers; the others' part is at most 10 ms old. */
uint64_t cluster_active_requests(struct cluster *c, uint64_t now_ns);
struct host *cluster_host_at(const struct cluster *c, uint32_t i); /* NULL past the end */

/* A response, from a host or of our own instead (h: the host that failed, NULL when there was none):
 * upstream_rq_<code>, _Nxx, host success or error; dynamic = router's dynamic_stats. */
void cluster_count_response(struct cluster *c, struct host *h, unsigned status, bool dynamic,
    bool internal, bool canary);
/* An answer that was dropped for another attempt: retry.upstream_rq_<code>. */
void cluster_count_retried(struct cluster *c, unsigned status, bool dynamic);
/* upstream_rq_time of a response that a host completed. */
void cluster_count_time(struct cluster *c, struct host *h, uint64_t ms, bool dynamic,
    bool internal, bool canary);
/* Where responses from hosts of this place are counted by zone; NULL: nowhere. */
struct cluster_codes_stats *cluster_zone_codes(const struct cluster *c, const struct locality *l);

/* The hosts are there, or others than before: their sets are made.  Freed first, with the old hosts
 * still there. */
void cluster_make_sets(struct cluster *c);
void cluster_free_sets(struct cluster *c);

/* The pool: a connection is being made; one of them is gone for good. */
void cluster_connection_comes(struct cluster *c);
void cluster_connection_gone(struct cluster *c);

#endif
