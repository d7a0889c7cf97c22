/*
 * Hosts that the request itself names (the OverrideHost policy): a header
 * has addresses, in order of preference.  The first that is a member of
 * the cluster, that is not known to be down and that this request has not
 * tried gets it; when there is none the fallback policy chooses.
 *
 * Belongs to its cluster; the index is made anew with the members.
 */
#ifndef UPSTREAM_OVERRIDE_HOST_H
#define UPSTREAM_OVERRIDE_HOST_H

#include "lib/upstream/lb.h"

struct override_host;

/* msg: envoy.config.cluster.v3.Cluster, borrowed.  NULL: it has no such policy. */
struct override_host *override_host_read(const void *msg);
void override_host_free(struct override_host **op);

/* hosts: borrowed until the next call. */
void override_host_index(struct override_host *o, struct host *const *hosts, uint32_t n);

struct host *override_host_pick(const struct override_host *o, const struct lb_context *ctx);

#endif
