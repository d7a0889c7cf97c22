/* lb_subset_config and the Subset extension, read into one form. */
#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/upstream/criteria.h"
#include "lib/upstream/lb_config.h"
#include "lib/upstream/subset.h"

#include "envoy/config/cluster/v3/cluster.pb-c.h"
#include "envoy/extensions/load_balancing_policies/override_host/v3/override_host.pb-c.h"
#include "envoy/extensions/load_balancing_policies/subset/v3/subset.pb-c.h"

typedef Envoy__Config__Cluster__V3__Cluster Cluster;
typedef Envoy__Config__Cluster__V3__Cluster__LbSubsetConfig__LbSubsetSelector Selector;
typedef Envoy__Extensions__LoadBalancingPolicies__Subset__V3__Subset Subset;
typedef Envoy__Extensions__LoadBalancingPolicies__OverrideHost__V3__OverrideHost OverrideHost;

static int
by_bytes(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static struct str *
sorted(char *const *keys, size_t n, struct arena *a)
{
	struct str *out = arena_zalloc(a, n * sizeof(*out));

	for (size_t i = 0; i < n; i++)
		out[i] = arena_str(a, str_of(keys[i]));
	qsort(out, n, sizeof(*out), by_bytes);
	return out;
}

static void
read_selector(struct subset_selector *s, const Selector *m, struct arena *a)
{
	struct strb names = {0};

	s->keys = sorted(m->keys, m->n_keys, a);
	s->n = m->n_keys;
	for (size_t i = 0; i < s->n; i++) {
		strb_adds(&names, s->keys[i]);
		strb_addc(&names, '\0');
	}
	s->names = arena_str(a, strb_str(&names));
	strb_fini(&names);
	s->fallback = (enum subset_fallback)m->fallback_policy;
	s->fallback_keys = sorted(m->fallback_keys_subset, m->n_fallback_keys_subset, a);
	s->fallback_n = m->n_fallback_keys_subset;
	s->single_host = m->single_host_per_subset;
}

/* LbSubsetFallbackPolicy has other numbers than that of a selector. */
static enum subset_fallback
fallback_of(int policy)
{
	switch (policy) {
	case ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_SUBSET_CONFIG__LB_SUBSET_FALLBACK_POLICY__ANY_ENDPOINT:
		return FALLBACK_ANY;
	case ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_SUBSET_CONFIG__LB_SUBSET_FALLBACK_POLICY__DEFAULT_SUBSET:
		return FALLBACK_DEFAULT;
	default:
		return FALLBACK_NONE;
	}
}

static void
read_selectors(struct subset_config *c, Selector *const *at, size_t n, struct arena *a)
{
	c->selectors = arena_zalloc(a, n * sizeof(*c->selectors));
	c->n = n;
	for (size_t i = 0; i < n; i++)
		read_selector(&c->selectors[i], at[i], a);
}

/* Two messages with equal fields. */
#define READ(c, m)                                                                                 \
	do {                                                                                       \
		read_selectors(c, (m)->subset_selectors, (m)->n_subset_selectors, &(c)->arena);    \
		(c)->fallback = fallback_of((int)(m)->fallback_policy);                            \
		(c)->default_subset = criteria_build((m)->default_subset, &(c)->arena);            \
		(c)->panic_mode_any = (m)->panic_mode_any;                                         \
		(c)->list_as_any = (m)->list_as_any;                                               \
		(c)->scale_weights = (m)->scale_locality_weight;                                   \
		(c)->fallback_list = (m)->metadata_fallback_policy != 0;                           \
	} while (0)

static struct subset_config *
config_new(void)
{
	struct subset_config *c = mem_new(struct subset_config);

	arena_init(&c->arena);
	return c;
}

void
subset_config_free(struct subset_config **cp)
{
	struct subset_config *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	arena_fini(&c->arena);
	mem_free(c);
}

static struct subset_config *
read_extension(const Envoy__Config__Cluster__V3__LoadBalancingPolicy *list)
{
	struct subset_config *out = NULL;
	const ProtobufCMessage *m;
	struct arena scratch;

	arena_init(&scratch);
	m = lb_first_policy(list, &scratch);
	if (m &&
	    m->descriptor ==
		&envoy__extensions__load_balancing_policies__override_host__v3__override_host__descriptor)
		m = lb_first_policy(((const OverrideHost *)m)->fallback_policy, &scratch);
	if (m &&
	    m->descriptor ==
		&envoy__extensions__load_balancing_policies__subset__v3__subset__descriptor &&
	    ((const Subset *)m)->n_subset_selectors) {
		out = config_new();
		READ(out, (const Subset *)m);
		out->redundant_keys = ((const Subset *)m)->allow_redundant_keys;
	}
	arena_fini(&scratch);
	return out;
}

/* A cluster without selectors has one set of hosts, as Envoy says. */
struct subset_config *
subset_config_read(const void *msg)
{
	const Cluster *c = msg;
	struct subset_config *out;

	if (c->load_balancing_policy)
		return read_extension(c->load_balancing_policy);
	if (c->lb_subset_config == NULL || c->lb_subset_config->n_subset_selectors == 0)
		return NULL;
	out = config_new();
	READ(out, c->lb_subset_config);
	return out;
}
