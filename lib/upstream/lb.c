#include "lib/upstream/lb.h"

#include "conf/defaults.h"
#include "conf/message.h"
#include "conf/types.h"
#include "lib/base/assert.h"

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

typedef Envoy__Config__Cluster__V3__Cluster Cluster;
typedef Envoy__Config__Cluster__V3__LoadBalancingPolicy__Policy Policy;
typedef Envoy__Extensions__LoadBalancingPolicies__LeastRequest__V3__LeastRequest LeastRequest;
typedef Envoy__Extensions__LoadBalancingPolicies__RingHash__V3__RingHash RingHash;
typedef Envoy__Extensions__LoadBalancingPolicies__Maglev__V3__Maglev Maglev;
typedef Envoy__Extensions__LoadBalancingPolicies__Common__V3__ConsistentHashingLbConfig Hashing;

#define MESSAGE_OF(message) envoy__extensions__load_balancing_policies__##message##__descriptor

static const struct {
	int value; /* Cluster.lb_policy */
	const ProtobufCMessageDescriptor *message;
	const struct lb_policy *policy;
} rows[] = {
#define LB(id, policy, message)                                                                    \
	{ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__##policy, &MESSAGE_OF(message), &lb_##id},
#include "lib/upstream/lb.def"
#undef LB
};

static uint32_t
choices(const Google__Protobuf__UInt32Value *v)
{
	uint32_t n = conf_u32(v, CHOICES);

	return n < 2 ? 2 : n;
}

static void
read_hashing(struct lb_config *config, const Hashing *h)
{
	if (h == NULL)
		return;
	config->hash_hostname = h->use_hostname_for_hashing;
	config->balance_factor = conf_u32(h->hash_balance_factor, 0);
}

static void
read_ring_hash(struct lb_config *config, const RingHash *r)
{
	config->ring_min = conf_u64(r->minimum_ring_size, RING_MIN);
	config->ring_max = conf_u64(r->maximum_ring_size, RING_MAX);
	config->murmur = r->hash_function == 2; /* MURMUR_HASH_2 */
	config->hash_hostname = r->use_hostname_for_hashing;
	config->balance_factor = conf_u32(r->hash_balance_factor, 0);
	read_hashing(config, r->consistent_hashing_lb_config);
}

static void
read_maglev(struct lb_config *config, const Maglev *m)
{
	config->table_size = conf_u64(m->table_size, TABLE_SIZE);
	read_hashing(config, m->consistent_hashing_lb_config);
}

static void
read_extension(struct lb_config *config, const ProtobufCMessage *m)
{
	if (m->descriptor == &MESSAGE_OF(least_request__v3__least_request))
		config->choice_count = choices(((const LeastRequest *)m)->choice_count);
	else if (m->descriptor == &MESSAGE_OF(ring_hash__v3__ring_hash))
		read_ring_hash(config, (const RingHash *)m);
	else if (m->descriptor == &MESSAGE_OF(maglev__v3__maglev))
		read_maglev(config, (const Maglev *)m);
}

/* What the Cluster message itself says. */
static void
read_cluster(struct lb_config *config, const Cluster *c)
{
	const Envoy__Config__Cluster__V3__Cluster__CommonLbConfig *common = c->common_lb_config;

	if (c->lb_config_case ==
	    ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_CONFIG_LEAST_REQUEST_LB_CONFIG) {
		config->choice_count = choices(c->least_request_lb_config->choice_count);
	} else if (c->lb_config_case ==
		   ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_CONFIG_RING_HASH_LB_CONFIG) {
		config->ring_min = conf_u64(c->ring_hash_lb_config->minimum_ring_size, RING_MIN);
		config->ring_max = conf_u64(c->ring_hash_lb_config->maximum_ring_size, RING_MAX);
		config->murmur = c->ring_hash_lb_config->hash_function == 1; /* MURMUR_HASH_2 */
	} else if (c->lb_config_case ==
		   ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_CONFIG_MAGLEV_LB_CONFIG) {
		config->table_size = conf_u64(c->maglev_lb_config->table_size, TABLE_SIZE);
	}
	if (common && common->consistent_hashing_lb_config) {
		config->hash_hostname =
		    common->consistent_hashing_lb_config->use_hostname_for_hashing;
		config->balance_factor =
		    conf_u32(common->consistent_hashing_lb_config->hash_balance_factor, 0);
	}
}

/* The message of a policy: what typed_config holds, or an empty one of what the name says. */
static const ProtobufCMessage *
open_policy(struct arena *a, const Policy *p, struct err *err)
{
	const Envoy__Config__Core__V3__TypedExtensionConfig *ext = p->typed_extension_config;
	const struct message_type *type;

	if (ext == NULL)
		return NULL;
	if (ext->typed_config && ext->typed_config->type_url && ext->typed_config->type_url[0])
		return any_open(a, &ext->typed_config->base, NULL, err);
	type = type_by_name(TYPE_LB_POLICY, str_of(ext->name ? ext->name : ""));
	return type && type->descriptor ? message_new(a, type->descriptor) : NULL;
}

/* The first policy of the list that we know. */
static int
choose_from_list(const struct lb_policy **out, struct lb_config *config, struct arena *a,
    const Cluster *c, struct err *err)
{
	for (size_t i = 0; i < c->load_balancing_policy->n_policies; i++) {
		const ProtobufCMessage *m =
		    open_policy(a, c->load_balancing_policy->policies[i], err);

		for (size_t k = 0; m && k < ARRAY_LEN(rows); k++) {
			if (m->descriptor != rows[k].message)
				continue;
			*out = rows[k].policy;
			read_extension(config, m);
			return 0;
		}
	}
	return err_set(err, "load_balancing_policy: none of its policies is supported");
}

/* Envoy cuts it to whole percent. */
static uint32_t
panic_threshold(const Cluster *c)
{
	if (c->common_lb_config == NULL || c->common_lb_config->healthy_panic_threshold == NULL)
		return PANIC_PERCENT;
	return (uint32_t)c->common_lb_config->healthy_panic_threshold->value;
}

int
lb_choose(const struct lb_policy **out, struct lb_config *config, const void *cluster_msg,
    struct err *err)
{
	const Cluster *c = cluster_msg;
	struct arena a;
	int rc;

	*config = (struct lb_config){
	    .choice_count = CHOICES,
	    .ring_min = RING_MIN,
	    .ring_max = RING_MAX,
	    .table_size = TABLE_SIZE,
	    .panic_threshold = panic_threshold(c),
	};
	if (c->load_balancing_policy) {
		arena_init(&a);
		rc = choose_from_list(out, config, &a, c, err);
		arena_fini(&a);
		return rc;
	}
	read_cluster(config, c);
	for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
		if (rows[k].value != (int)c->lb_policy)
			continue;
		*out = rows[k].policy;
		return 0;
	}
	return err_set(err, "lb_policy: not supported");
}
