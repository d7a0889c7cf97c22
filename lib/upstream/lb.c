#include "lib/upstream/lb.h"

#include "conf/message.h"
#include "conf/types.h"
#include "lib/base/assert.h"

#include "envoy/config/cluster/v3/cluster.pb-c.h"
#include "envoy/extensions/load_balancing_policies/least_request/v3/least_request.pb-c.h"
#include "envoy/extensions/load_balancing_policies/maglev/v3/maglev.pb-c.h"
#include "envoy/extensions/load_balancing_policies/override_host/v3/override_host.pb-c.h"
#include "envoy/extensions/load_balancing_policies/random/v3/random.pb-c.h"
#include "envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash.pb-c.h"
#include "envoy/extensions/load_balancing_policies/round_robin/v3/round_robin.pb-c.h"
#include "envoy/extensions/load_balancing_policies/subset/v3/subset.pb-c.h"
#include "envoy/extensions/load_balancing_policies/wrr_locality/v3/wrr_locality.pb-c.h"
#include "lib/upstream/lb_config.h"

typedef Envoy__Config__Cluster__V3__Cluster Cluster;
typedef Envoy__Config__Cluster__V3__LoadBalancingPolicy Policies;
typedef Envoy__Config__Cluster__V3__LoadBalancingPolicy__Policy Policy;
typedef Envoy__Extensions__LoadBalancingPolicies__WrrLocality__V3__WrrLocality WrrLocality;
typedef Envoy__Extensions__LoadBalancingPolicies__Subset__V3__Subset Subset;
typedef Envoy__Extensions__LoadBalancingPolicies__OverrideHost__V3__OverrideHost OverrideHost;

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

static bool
is_known(const ProtobufCMessage *m)
{
	for (size_t k = 0; k < ARRAY_LEN(rows); k++)
		if (m->descriptor == rows[k].message)
			return true;
	return m->descriptor == &MESSAGE_OF(wrr_locality__v3__wrr_locality) ||
	       m->descriptor == &MESSAGE_OF(subset__v3__subset) ||
	       m->descriptor == &MESSAGE_OF(override_host__v3__override_host);
}

const void *
lb_first_policy(const void *load_balancing_policy, struct arena *a)
{
	const Policies *list = load_balancing_policy;

	for (size_t i = 0; i < list->n_policies; i++) {
		const ProtobufCMessage *m = open_policy(a, list->policies[i], NULL);

		if (m && is_known(m))
			return m;
	}
	return NULL;
}

/* Within subsets only when they say so too, as where the Cluster message says it. */
static void
weigh_localities(struct lb_config *config, const ProtobufCMessage *outer)
{
	const Subset *s = (const void *)outer;

	if (outer->descriptor == &MESSAGE_OF(wrr_locality__v3__wrr_locality))
		config->weighted_localities = true;
	if (outer->descriptor == &MESSAGE_OF(subset__v3__subset) && s->n_subset_selectors)
		config->weighted_localities &= s->locality_weight_aware;
}

/* The first policy of the list that we know; wrr_locality, subset and override_host have
 * lists of their own. */
static int
choose_from_list(const struct lb_policy **out, struct lb_config *config, struct arena *a,
    const Policies *list, struct err *err)
{
	const ProtobufCMessage *m = lb_first_policy(list, a);
	const Policies *inner = NULL;
	int rc;

	if (m == NULL)
		return err_set(err, "load_balancing_policy: none of its policies is supported");
	if (m->descriptor == &MESSAGE_OF(wrr_locality__v3__wrr_locality))
		inner = ((const WrrLocality *)m)->endpoint_picking_policy;
	else if (m->descriptor == &MESSAGE_OF(subset__v3__subset))
		inner = ((const Subset *)m)->subset_lb_policy;
	else if (m->descriptor == &MESSAGE_OF(override_host__v3__override_host))
		inner = ((const OverrideHost *)m)->fallback_policy;
	if (inner) {
		rc = choose_from_list(out, config, a, inner, err);
		weigh_localities(config, m);
		return rc;
	}
	for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
		if (m->descriptor != rows[k].message)
			continue;
		*out = rows[k].policy;
		lb_config_read_extension(config, m);
		return 0;
	}
	return err_set(err, "load_balancing_policy: a policy without the one within it");
}

int
lb_choose(const struct lb_policy **out, struct lb_config *config, const void *cluster_msg,
    struct err *err)
{
	const Cluster *c = cluster_msg;
	struct arena a;
	int rc;

	lb_config_init(config, c);
	if (c->load_balancing_policy) {
		arena_init(&a);
		rc = choose_from_list(out, config, &a, c->load_balancing_policy, err);
		arena_fini(&a);
		return rc;
	}
	lb_config_read_cluster(config, c);
	for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
		if (rows[k].value != (int)c->lb_policy)
			continue;
		*out = rows[k].policy;
		return 0;
	}
	return err_set(err, "lb_policy: not supported");
}
