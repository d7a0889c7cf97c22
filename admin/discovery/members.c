#include "admin/discovery/members.h"

#include "admin/config/address.h"
#include "admin/config/store.h"
#include "conf/defaults.h"
#include "lib/upstream/blocks.h"
#include "lib/upstream/thresholds.h"

typedef Envoy__Config__Cluster__V3__Cluster Cluster;
typedef Envoy__Config__Endpoint__V3__LocalityLbEndpoints Locality;
typedef Envoy__Config__Endpoint__V3__LbEndpoint LbEndpoint;

/* Bits that take a host out of balancing; the operator's `drain` too: it gets nothing new. */
#define UNHEALTHY                                                                                  \
	(HOST_FAILED_ACTIVE_HC | HOST_FAILED_OUTLIER | HOST_FAILED_EDS | HOST_EDS_DRAINING |       \
	    HOST_OPERATOR_DRAIN | HOST_OPERATOR_FAIL)
#define DEGRADED (HOST_DEGRADED_ACTIVE_HC | HOST_DEGRADED_EDS)
#define EXCLUDED                                                                                   \
	(HOST_EXCLUDED_IMMEDIATE_HC_FAIL | HOST_PENDING_ACTIVE_HC | HOST_OPERATOR_DRAIN |          \
	    HOST_OPERATOR_FAIL)

void
members_init(struct members *m)
{
	*m = (struct members){0};
	arena_init(&m->arena);
}

void
members_fini(struct members *m)
{
	for (size_t i = 0; i < m->clusters.len; i++)
		vec_fini(&m->clusters.at[i].members);
	vec_fini(&m->clusters);
	arena_fini(&m->arena);
}

static struct str
arena_take(struct arena *a, struct strb *b)
{
	struct str s = arena_str(a, strb_str(b));

	strb_fini(b);
	return s;
}

static struct str
cluster_prefix(struct arena *a, const Cluster *c)
{
	struct strb b = {0};

	cluster_block_prefix(&b, c);
	return arena_take(a, &b);
}

static int
add_member(struct members *m, struct member_cluster *c, const Locality *l, const LbEndpoint *e,
    struct err *err)
{
	struct address a;
	char text[ADDRESS_TEXT];
	struct strb prefix = {0};
	struct member *x;

	if (e->endpoint == NULL || address_of_message(&a, e->endpoint->address, err) < 0)
		return err_in(err, "cluster '%s'", c->message->name);
	address_format(&a, text);
	if (member_find(c, str_of(text))) /* twice the same address is one host */
		return 0;
	x = vec_push(&c->members);
	x->address = arena_str(&m->arena, str_of(text));
	x->hostname = str_of(e->endpoint->hostname);
	x->weight = conf_u32(e->load_balancing_weight, 1);
	x->priority = l->priority;
	if (l->locality) {
		x->region = str_of(l->locality->region);
		x->zone = str_of(l->locality->zone);
		x->sub_zone = str_of(l->locality->sub_zone);
	}
	x->health_status = e->health_status;
	host_prefix(&prefix, c->name, str_of(text));
	x->prefix = arena_take(&m->arena, &prefix);
	return 0;
}

static int
add_cluster(struct members *m, const Cluster *message, struct err *err)
{
	struct member_cluster *c = vec_push(&m->clusters);
	const Envoy__Config__Endpoint__V3__ClusterLoadAssignment *all = message->load_assignment;

	c->message = message;
	c->name = str_of(message->name);
	c->prefix = cluster_prefix(&m->arena, message);
	for (size_t i = 0; all && i < all->n_endpoints; i++) {
		const Locality *l = all->endpoints[i];

		for (size_t k = 0; k < l->n_lb_endpoints; k++)
			if (add_member(m, c, l, l->lb_endpoints[k], err) < 0)
				return -1;
	}
	return 0;
}

int
members_build(struct members *m, const struct store *s, struct err *err)
{
	for (size_t i = 0; i < s->clusters.len; i++)
		if (add_cluster(m, s->clusters.at[i].message, err) < 0)
			return -1;
	return 0;
}

static void
note_configured_health(struct member *x)
{
	bool failed = false, draining = false, degraded = false;

	switch (x->health_status) {
	case ENVOY__CONFIG__CORE__V3__HEALTH_STATUS__UNHEALTHY:
	case ENVOY__CONFIG__CORE__V3__HEALTH_STATUS__TIMEOUT:
		failed = true;
		break;
	case ENVOY__CONFIG__CORE__V3__HEALTH_STATUS__DRAINING:
		failed = draining = true;
		break;
	case ENVOY__CONFIG__CORE__V3__HEALTH_STATUS__DEGRADED:
		degraded = true;
		break;
	default:
		break;
	}
	host_cell_set(x->cell, HOST_FAILED_EDS, failed);
	host_cell_set(x->cell, HOST_EDS_DRAINING, draining);
	host_cell_set(x->cell, HOST_DEGRADED_EDS, degraded);
}

void
members_attach(struct members *m)
{
	for (size_t i = 0; i < m->clusters.len; i++) {
		struct member_cluster *c = &m->clusters.at[i];

		c->stats = block_stats(SCOPE_cluster, c->prefix);
		thresholds_publish(c->stats, c->message);
		for (size_t k = 0; k < c->members.len; k++) {
			struct member *x = &c->members.at[k];

			x->cell = block_shared(SCOPE_host, x->prefix);
			note_configured_health(x);
		}
	}
}

struct member_cluster *
members_cluster(struct members *m, struct str name)
{
	for (size_t i = 0; i < m->clusters.len; i++)
		if (str_eq(m->clusters.at[i].name, name))
			return &m->clusters.at[i];
	return NULL;
}

struct member *
member_find(struct member_cluster *c, struct str address)
{
	for (size_t i = 0; i < c->members.len; i++)
		if (str_eq(c->members.at[i].address, address))
			return &c->members.at[i];
	return NULL;
}

struct member_health
member_cluster_health(const struct member_cluster *c)
{
	struct member_health h = {0};

	for (size_t i = 0; i < c->members.len; i++) {
		const struct member *x = &c->members.at[i];
		uint32_t flags = host_cell_flags(x->cell);

		h.total++;
		h.excluded += (flags & EXCLUDED) != 0;
		if (flags & UNHEALTHY)
			;
		else if (flags & DEGRADED)
			h.degraded++;
		else
			h.healthy++;
		if (x->weight > h.max_weight)
			h.max_weight = x->weight;
	}
	return h;
}

void
members_count(struct members *m)
{
	for (size_t i = 0; i < m->clusters.len; i++) {
		struct member_cluster *c = &m->clusters.at[i];
		struct member_health h = member_cluster_health(c);

		stat_set(&c->stats->membership_total, h.total);
		stat_set(&c->stats->membership_healthy, h.healthy);
		stat_set(&c->stats->membership_degraded, h.degraded);
		stat_set(&c->stats->membership_excluded, h.excluded);
		stat_set(&c->stats->max_host_weight, h.max_weight);
	}
}
