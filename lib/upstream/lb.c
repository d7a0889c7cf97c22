#include "lib/upstream/lb.h"

#include "conf/defaults.h"
#include "conf/message.h"
#include "conf/types.h"
#include "lib/base/assert.h"

#include "envoy/config/cluster/v3/cluster.pb-c.h"
#include "envoy/extensions/load_balancing_policies/least_request/v3/least_request.pb-c.h"
#include "envoy/extensions/load_balancing_policies/random/v3/random.pb-c.h"
#include "envoy/extensions/load_balancing_policies/round_robin/v3/round_robin.pb-c.h"

#define CHOICES 2

typedef Envoy__Config__Cluster__V3__Cluster Cluster;
typedef Envoy__Config__Cluster__V3__LoadBalancingPolicy__Policy Policy;
typedef Envoy__Extensions__LoadBalancingPolicies__LeastRequest__V3__LeastRequest LeastRequest;

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
read_least_request(struct lb_config *config, const ProtobufCMessage *m)
{
	const LeastRequest *lr = (const LeastRequest *)m;

	if (m->descriptor != &MESSAGE_OF(least_request__v3__least_request))
		return;
	config->choice_count = choices(lr->choice_count);
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
			read_least_request(config, m);
			return 0;
		}
	}
	return err_set(err, "load_balancing_policy: none of its policies is supported");
}

int
lb_choose(const struct lb_policy **out, struct lb_config *config, const void *cluster_msg,
    struct err *err)
{
	const Cluster *c = cluster_msg;
	struct arena a;
	int rc;

	*config = (struct lb_config){.choice_count = CHOICES};
	if (c->load_balancing_policy) {
		arena_init(&a);
		rc = choose_from_list(out, config, &a, c, err);
		arena_fini(&a);
		return rc;
	}
	if (c->lb_config_case ==
	    ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_CONFIG_LEAST_REQUEST_LB_CONFIG)
		config->choice_count = choices(c->least_request_lb_config->choice_count);
	for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
		if (rows[k].value != (int)c->lb_policy)
			continue;
		*out = rows[k].policy;
		return 0;
	}
	return err_set(err, "lb_policy: not supported");
}
