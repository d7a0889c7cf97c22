/*
 * HTTP options of a cluster: protocol, limits, codec settings, in both of
 * their spellings (typed_extension_protocol_options and the fields of the
 * Cluster message that it replaces).
 */
#ifndef UPSTREAM_CLUSTER_HTTP_H
#define UPSTREAM_CLUSTER_HTTP_H

#include "lib/base/err.h"

struct cluster;

/* msg: envoy.config.cluster.v3.Cluster, borrowed. */
int cluster_http_read(struct cluster *c, const void *msg, struct err *err);

#endif
