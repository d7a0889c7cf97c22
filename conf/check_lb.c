/* Checks of load balancing: policies, ring and table sizes, the local cluster. */
#include <string.h>

#include "conf/check_private.h"
#include "conf/defaults.h"
#include "conf/near.h"
#include "lib/base/assert.h"

#include "envoy/config/bootstrap/v3/bootstrap.pb-c.h"
#include "envoy/config/cluster/v3/cluster.pb-c.h"
#include "envoy/extensions/load_balancing_policies/maglev/v3/maglev.pb-c.h"
#include "envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash.pb-c.h"

#define RING_MIN 1024
#define RING_MAX (8u << 20)
#define TABLE_SIZE 65537

typedef Envoy__Config__Cluster__V3__Cluster Cluster;

static const struct {
	int config; /* of the oneof lb_config */
	int policy; /* whose it is */
	const char *name;
} configs[] = {
    {ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_CONFIG_RING_HASH_LB_CONFIG,
	ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__RING_HASH, "ring_hash_lb_config"},
    {ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_CONFIG_LEAST_REQUEST_LB_CONFIG,
	ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__LEAST_REQUEST, "least_request_lb_config"},
    {ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_CONFIG_MAGLEV_LB_CONFIG,
	ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__MAGLEV, "maglev_lb_config"},
    {ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_CONFIG_ROUND_ROBIN_LB_CONFIG,
	ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__ROUND_ROBIN, "round_robin_lb_config"},
};

/* Called for each cluster, by its own check. */
void
check_cluster_lb(struct checked *k)
{
	const Cluster *c = (const void *)k->m;

	if (c->lb_policy ==
		ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__LOAD_BALANCING_POLICY_CONFIG &&
	    !c->load_balancing_policy)
		fail(k, "lb_policy", "LOAD_BALANCING_POLICY_CONFIG needs load_balancing_policy");
	for (size_t i = 0; i < ARRAY_LEN(configs); i++) {
		if ((int)c->lb_config_case != configs[i].config)
			continue;
		if (c->load_balancing_policy)
			warn(k, "load_balancing_policy", "load_balancing_policy wins over %s",
			    configs[i].name);
		else if ((int)c->lb_policy != configs[i].policy)
			warn(k, configs[i].name, "%s has no effect: lb_policy is another",
			    configs[i].name);
	}
}

void
check_load_balancing_policy(struct checked *k)
{
	const Envoy__Config__Cluster__V3__LoadBalancingPolicy *p = (const void *)k->m;

	if (p->n_policies == 0)
		fail(k, "policies", "needs a policy that is known");
	for (size_t i = 0; i < p->n_policies; i++)
		if (!p->policies[i]->typed_extension_config)
			fail_item(k, "policies", (int)i, "needs a typed_extension_config");
}

static void
check_ring(struct checked *k, const Google__Protobuf__UInt64Value *least,
    const Google__Protobuf__UInt64Value *most)
{
	uint64_t min = conf_u64(least, RING_MIN), max = conf_u64(most, RING_MAX);

	if (min > max)
		fail(k, most ? "maximum_ring_size" : "minimum_ring_size",
		    "minimum_ring_size (%llu) is above maximum_ring_size (%llu)",
		    (unsigned long long)min, (unsigned long long)max);
}

static bool
is_prime(uint64_t n)
{
	for (uint64_t d = 2; d * d <= n; d++)
		if (n % d == 0)
			return false;
	return n > 1;
}

static void
check_table(struct checked *k, const Google__Protobuf__UInt64Value *size)
{
	uint64_t n = conf_u64(size, TABLE_SIZE);

	if (n <= 5000011 && !is_prime(n))
		fail(k, "table_size", "must be a prime number, not %llu", (unsigned long long)n);
}

void
check_ring_hash_lb_config(struct checked *k)
{
	const Envoy__Config__Cluster__V3__Cluster__RingHashLbConfig *r = (const void *)k->m;

	check_ring(k, r->minimum_ring_size, r->maximum_ring_size);
}

void
check_ring_hash(struct checked *k)
{
	const Envoy__Extensions__LoadBalancingPolicies__RingHash__V3__RingHash *r =
	    (const void *)k->m;

	check_ring(k, r->minimum_ring_size, r->maximum_ring_size);
}

void
check_maglev_lb_config(struct checked *k)
{
	const Envoy__Config__Cluster__V3__Cluster__MaglevLbConfig *m = (const void *)k->m;

	check_table(k, m->table_size);
}

void
check_maglev(struct checked *k)
{
	const Envoy__Extensions__LoadBalancingPolicies__Maglev__V3__Maglev *m = (const void *)k->m;

	check_table(k, m->table_size);
}

static bool
is_key(
    const Envoy__Config__Cluster__V3__Cluster__LbSubsetConfig__LbSubsetSelector *s, const char *key)
{
	for (size_t i = 0; i < s->n_keys; i++)
		if (strcmp(s->keys[i], key) == 0)
			return true;
	return false;
}

/* With KEYS_SUBSET each step has fewer keys, so it ends. */
void
check_subset_selector(struct checked *k)
{
	const Envoy__Config__Cluster__V3__Cluster__LbSubsetConfig__LbSubsetSelector *s =
	    (const void *)k->m;
	bool by_keys =
	    s->fallback_policy ==
	    ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_SUBSET_CONFIG__LB_SUBSET_SELECTOR__LB_SUBSET_SELECTOR_FALLBACK_POLICY__KEYS_SUBSET;

	if (by_keys && s->n_fallback_keys_subset == 0)
		fail(k, "fallback_policy", "KEYS_SUBSET needs fallback_keys_subset");
	if (!by_keys && s->n_fallback_keys_subset)
		fail(k, "fallback_keys_subset", "only KEYS_SUBSET has it");
	if (s->n_fallback_keys_subset >= s->n_keys && by_keys && s->n_keys)
		fail(k, "fallback_keys_subset", "must have fewer keys than the selector");
	for (size_t i = 0; i < s->n_fallback_keys_subset; i++)
		if (!is_key(s, s->fallback_keys_subset[i]))
			fail_item(k, "fallback_keys_subset", (int)i,
			    "'%s' is not a key of the selector", s->fallback_keys_subset[i]);
	if (s->single_host_per_subset && s->n_keys > 1)
		fail(k, "single_host_per_subset", "needs a selector of one key");
}

/* ---- zone-aware routing */

/* The proxies of all zones are one priority: who stands where is all that is asked. */
static void
check_siblings(struct checked *k, const Cluster *c)
{
	const Envoy__Config__Endpoint__V3__ClusterLoadAssignment *a = c->load_assignment;

	for (size_t i = 0; a && i < a->n_endpoints; i++)
		if (a->endpoints[i]->priority > 0) {
			fail(k, "local_cluster_name",
			    "all members of local cluster '%s' must be of priority 0, not %u", c->name,
			    a->endpoints[i]->priority);
			return;
		}
}

void
check_cluster_manager(struct checked *k)
{
	const Envoy__Config__Bootstrap__V3__ClusterManager *m = (const void *)k->m;
	const Cluster *local = map_getz(&k->c->clusters, m->local_cluster_name);
	struct map_slot *slot;
	struct near near;
	size_t i = 0;

	if (m->local_cluster_name[0] == '\0')
		return;
	if (local) {
		check_siblings(k, local);
		return;
	}
	near_init(&near, str_of(m->local_cluster_name));
	while ((slot = map_next(&k->c->clusters, &i)))
		near_offer(&near, slot->key.p);
	fail_near(k, "local_cluster_name", near.best, "no cluster is called '%s'",
	    m->local_cluster_name);
}
