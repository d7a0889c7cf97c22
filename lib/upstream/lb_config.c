#include "lib/upstream/lb_config.h"

#include "conf/defaults.h"
#include "lib/upstream/assignment.h"
#include "lib/upstream/hash_policy.h"

#include "envoy/config/cluster/v3/cluster.pb-c.h"
#include "envoy/extensions/load_balancing_policies/least_request/v3/least_request.pb-c.h"
#include "envoy/extensions/load_balancing_policies/maglev/v3/maglev.pb-c.h"
#include "envoy/extensions/load_balancing_policies/random/v3/random.pb-c.h"
#include "envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash.pb-c.h"
#include "envoy/extensions/load_balancing_policies/round_robin/v3/round_robin.pb-c.h"

#define CHOICES 2
#define RING_MIN 1024
#define RING_MAX (8u << 20)
#define TABLE_SIZE 65537
#define PANIC_PERCENT 50
#define SLOW_START_LEAST 10.0
#define ZONE_MIN_CLUSTER_SIZE 6

typedef Envoy__Config__Cluster__V3__Cluster Cluster;
typedef Envoy__Config__Cluster__V3__Cluster__CommonLbConfig CommonLbConfig;
typedef Envoy__Config__Core__V3__RuntimeDouble RuntimeDouble;
typedef Envoy__Extensions__LoadBalancingPolicies__LeastRequest__V3__LeastRequest LeastRequest;
typedef Envoy__Extensions__LoadBalancingPolicies__RoundRobin__V3__RoundRobin RoundRobin;
typedef Envoy__Extensions__LoadBalancingPolicies__Random__V3__Random Random;
typedef Envoy__Extensions__LoadBalancingPolicies__RingHash__V3__RingHash RingHash;
typedef Envoy__Extensions__LoadBalancingPolicies__Maglev__V3__Maglev Maglev;
typedef Envoy__Extensions__LoadBalancingPolicies__Common__V3__ConsistentHashingLbConfig Hashing;
typedef Envoy__Extensions__LoadBalancingPolicies__Common__V3__LocalityLbConfig LocalityLbConfig;
typedef Envoy__Extensions__LoadBalancingPolicies__Common__V3__LocalityLbConfig__ZoneAwareLbConfig
    ZoneAwareLbConfig;

#define MESSAGE_OF(message) envoy__extensions__load_balancing_policies__##message##__descriptor
#define LB_CONFIG(name) ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_CONFIG_##name##_LB_CONFIG
#define COMMON_LB(name)                                                                            \
	ENVOY__CONFIG__CLUSTER__V3__CLUSTER__COMMON_LB_CONFIG__LOCALITY_CONFIG_SPECIFIER_##name
#define LOCALITY_LB(name)                                                                          \
	ENVOY__EXTENSIONS__LOAD_BALANCING_POLICIES__COMMON__V3__LOCALITY_LB_CONFIG__##name
#define WEIGHTED_LOCALITIES LOCALITY_LB(LOCALITY_CONFIG_SPECIFIER_LOCALITY_WEIGHTED_LB_CONFIG)
#define ZONE_AWARE LOCALITY_LB(LOCALITY_CONFIG_SPECIFIER_ZONE_AWARE_LB_CONFIG)
#define BY_WEIGHT LOCALITY_LB(ZONE_AWARE_LB_CONFIG__LOCALITY_BASIS__HEALTHY_HOSTS_WEIGHT)

void
lb_config_set_members(struct lb_config *config, const struct assignment_policy *policy)
{
	config->overprovisioning = policy->overprovisioning;
	config->weighted_health = policy->weighted_priority_health != 0;
}

/* Envoy cuts it to whole percent. */
static uint32_t
panic_threshold(const CommonLbConfig *common)
{
	if (common == NULL || common->healthy_panic_threshold == NULL)
		return PANIC_PERCENT;
	return (uint32_t)common->healthy_panic_threshold->value;
}

void
lb_config_init(struct lb_config *config, const void *msg)
{
	const Cluster *c = msg;

	*config = (struct lb_config){
	    .choice_count = CHOICES,
	    .active_bias = 1,
	    .ring_min = RING_MIN,
	    .ring_max = RING_MAX,
	    .table_size = TABLE_SIZE,
	    .overprovisioning = OVERPROVISIONING,
	    .panic_threshold = panic_threshold(c->common_lb_config),
	    .zones = {.enabled_percent = 100, .min_cluster_size = ZONE_MIN_CLUSTER_SIZE},
	};
}

/* ---- parts that two spellings share */

static uint32_t
choices(const Google__Protobuf__UInt32Value *v)
{
	uint32_t n = conf_u32(v, CHOICES);

	return n < 2 ? 2 : n;
}

static double
runtime_double(const RuntimeDouble *v, double unset)
{
	return v ? v->default_value : unset;
}

/* SlowStartConfig of the Cluster message and of the extensions are two messages with equal fields.
 */
#define READ_SLOW_START(config, m)                                                                 \
	do {                                                                                       \
		if ((m) == NULL)                                                                   \
			break;                                                                     \
		(config)->slow_start_ms = conf_duration_ms((m)->slow_start_window, 0);             \
		(config)->slow_start_aggression = runtime_double((m)->aggression, 1);              \
		(config)->slow_start_least =                                                       \
		    (m)->min_weight_percent ? (m)->min_weight_percent->value : SLOW_START_LEAST;   \
	} while (0)

/* ZoneAwareLbConfig likewise: what both have. */
#define READ_ZONES(config, m)                                                                      \
	do {                                                                                       \
		if ((m)->routing_enabled)                                                          \
			(config)->zones.enabled_percent =                                          \
			    (uint32_t)((m)->routing_enabled->value + 0.5);                         \
		(config)->zones.min_cluster_size =                                                 \
		    conf_u64((m)->min_cluster_size, ZONE_MIN_CLUSTER_SIZE);                        \
		(config)->zones.fail_on_panic = (m)->fail_traffic_on_panic;                        \
	} while (0)

static uint32_t
force_min(const ZoneAwareLbConfig *m)
{
	if (m->force_local_zone)
		return conf_u32(m->force_local_zone->min_size, 1);
	return m->force_locality_direct_routing ? 1 : 0;
}

static void
read_locality(struct lb_config *config, const LocalityLbConfig *m)
{
	config->weighted_localities = m && m->locality_config_specifier_case == WEIGHTED_LOCALITIES;
	if (m == NULL || m->locality_config_specifier_case != ZONE_AWARE)
		return;
	READ_ZONES(config, m->zone_aware_lb_config);
	config->zones.force_min = force_min(m->zone_aware_lb_config);
	config->zones.by_weight = m->zone_aware_lb_config->locality_basis == BY_WEIGHT;
}

static void
read_hashing(struct lb_config *config, const Hashing *h)
{
	if (h == NULL)
		return;
	config->hash_hostname = h->use_hostname_for_hashing;
	config->balance_factor = conf_u32(h->hash_balance_factor, 0);
	config->hash_policies =
	    hash_policies_new((void *const *)h->hash_policy, h->n_hash_policy);
}

/* ---- the Cluster message itself */

static void
read_common(struct lb_config *config, const CommonLbConfig *m)
{
	if (m == NULL)
		return;
	config->weighted_localities =
	    m->locality_config_specifier_case == COMMON_LB(LOCALITY_WEIGHTED_LB_CONFIG);
	if (m->locality_config_specifier_case == COMMON_LB(ZONE_AWARE_LB_CONFIG))
		READ_ZONES(config, m->zone_aware_lb_config);
	if (m->consistent_hashing_lb_config == NULL)
		return;
	config->hash_hostname = m->consistent_hashing_lb_config->use_hostname_for_hashing;
	config->balance_factor = conf_u32(m->consistent_hashing_lb_config->hash_balance_factor, 0);
}

void
lb_config_read_cluster(struct lb_config *config, const void *msg)
{
	const Cluster *c = msg;

	read_common(config, c->common_lb_config);
	if (c->lb_subset_config && c->lb_subset_config->n_subset_selectors)
		config->weighted_localities &= c->lb_subset_config->locality_weight_aware;
	switch (c->lb_config_case) {
	case LB_CONFIG(ROUND_ROBIN):
		READ_SLOW_START(config, c->round_robin_lb_config->slow_start_config);
		break;
	case LB_CONFIG(LEAST_REQUEST):
		config->choice_count = choices(c->least_request_lb_config->choice_count);
		config->active_bias =
		    runtime_double(c->least_request_lb_config->active_request_bias, 1);
		READ_SLOW_START(config, c->least_request_lb_config->slow_start_config);
		break;
	case LB_CONFIG(RING_HASH):
		config->ring_min = conf_u64(c->ring_hash_lb_config->minimum_ring_size, RING_MIN);
		config->ring_max = conf_u64(c->ring_hash_lb_config->maximum_ring_size, RING_MAX);
		config->murmur =
		    c->ring_hash_lb_config->hash_function ==
		    ENVOY__CONFIG__CLUSTER__V3__CLUSTER__RING_HASH_LB_CONFIG__HASH_FUNCTION__MURMUR_HASH_2;
		break;
	case LB_CONFIG(MAGLEV):
		config->table_size = conf_u64(c->maglev_lb_config->table_size, TABLE_SIZE);
		break;
	default:
		break;
	}
}

/* ---- messages of load_balancing_policy */

static void
read_round_robin(struct lb_config *config, const RoundRobin *m)
{
	READ_SLOW_START(config, m->slow_start_config);
	read_locality(config, m->locality_lb_config);
}

static void
read_least_request(struct lb_config *config, const LeastRequest *m)
{
	config->choice_count = choices(m->choice_count);
	config->full_scan =
	    m->selection_method ==
		ENVOY__EXTENSIONS__LOAD_BALANCING_POLICIES__LEAST_REQUEST__V3__LEAST_REQUEST__SELECTION_METHOD__FULL_SCAN ||
	    conf_bool(m->enable_full_scan, false);
	config->active_bias = runtime_double(m->active_request_bias, 1);
	READ_SLOW_START(config, m->slow_start_config);
	read_locality(config, m->locality_lb_config);
}

static void
read_ring_hash(struct lb_config *config, const RingHash *m)
{
	config->ring_min = conf_u64(m->minimum_ring_size, RING_MIN);
	config->ring_max = conf_u64(m->maximum_ring_size, RING_MAX);
	config->murmur =
	    m->hash_function ==
	    ENVOY__EXTENSIONS__LOAD_BALANCING_POLICIES__RING_HASH__V3__RING_HASH__HASH_FUNCTION__MURMUR_HASH_2;
	config->hash_hostname = m->use_hostname_for_hashing;
	config->balance_factor = conf_u32(m->hash_balance_factor, 0);
	config->weighted_localities = m->locality_weighted_lb_config != NULL;
	read_hashing(config, m->consistent_hashing_lb_config);
}

static void
read_maglev(struct lb_config *config, const Maglev *m)
{
	config->table_size = conf_u64(m->table_size, TABLE_SIZE);
	config->weighted_localities = m->locality_weighted_lb_config != NULL;
	read_hashing(config, m->consistent_hashing_lb_config);
}

void
lb_config_read_extension(struct lb_config *config, const void *msg)
{
	const ProtobufCMessageDescriptor *d = ((const ProtobufCMessage *)msg)->descriptor;

	if (d == &MESSAGE_OF(round_robin__v3__round_robin))
		read_round_robin(config, msg);
	else if (d == &MESSAGE_OF(least_request__v3__least_request))
		read_least_request(config, msg);
	else if (d == &MESSAGE_OF(random__v3__random))
		read_locality(config, ((const Random *)msg)->locality_lb_config);
	else if (d == &MESSAGE_OF(ring_hash__v3__ring_hash))
		read_ring_hash(config, msg);
	else if (d == &MESSAGE_OF(maglev__v3__maglev))
		read_maglev(config, msg);
}
