/* Settings of the balancing policies as the Cluster message and the extension messages say them. */
#ifndef UPSTREAM_LB_CONFIG_H
#define UPSTREAM_LB_CONFIG_H

#include "lib/base/arena.h"
#include "lib/upstream/lb.h"

struct assignment_policy;

/* Envoy's defaults, and what counts whichever way the policy is written; msg:
 * envoy.config.cluster.v3.Cluster. */
void lb_config_init(struct lb_config *config, const void *msg);
/* lb_policy and its configuration in the Cluster message itself. */
void lb_config_read_cluster(struct lb_config *config, const void *msg);
/* A message of load_balancing_policy (ProtobufCMessage). */
void lb_config_read_extension(struct lb_config *config, const void *msg);
/* The message of the first policy of a LoadBalancingPolicy that is known, in the arena, or NULL. */
const void *lb_first_policy(const void *load_balancing_policy, struct arena *a);
/* What comes with the members. */
void lb_config_set_members(struct lb_config *config, const struct assignment_policy *policy);

#endif
