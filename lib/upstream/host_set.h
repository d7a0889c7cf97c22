/*
 * The members of a cluster by priority and health, and the choice of one
 * of them: first a priority by load, then healthy, degraded or (in panic)
 * all of its hosts, then one by the cluster's policy.
 *
 * Verdicts are shared memory that other processes change at any time.  A
 * pick trusts what was seen at the last scan and looks only at the host
 * it chose: if that one's verdict changed, all are scanned and one is
 * chosen anew, so a host that failed gets no further request.  A host
 * that came back is seen at the next regular scan: every 10 ms, less
 * often when there are many hosts.
 */
#ifndef UPSTREAM_HOST_SET_H
#define UPSTREAM_HOST_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/upstream/lb.h"

struct cluster_stats;
struct host_set;
struct loop;

/* hosts and config: borrowed; all hosts of a cluster, or some of them, by their index. */
struct host_set *host_set_new(struct loop *l, struct host *const *hosts, uint32_t n,
    const struct lb_policy *policy, const struct lb_config *config, struct cluster_stats *stats);
void host_set_free(struct host_set **sp);

/*
 * NULL: none is available.  A further attempt of a request (ctx->tried)
 * picks again while the host is refused, ctx->more_picks times at most;
 * and unless the policy goes by the request's hash it gets a host that was
 * not tried yet, as long as there is one.
 */
struct host *host_set_pick(struct host_set *s, const struct lb_context *ctx);

#endif
