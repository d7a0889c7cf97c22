#include "admin/discovery/eds.h"

#include "admin/admin.h"
#include "admin/xds/xds.h"
#include "conf/defaults.h"
#include "conf/message.h"
#include "envoy/config/endpoint/v3/endpoint.pb-c.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

typedef Envoy__Config__Cluster__V3__Cluster Cluster;
typedef Envoy__Config__Cluster__V3__Cluster__EdsClusterConfig EdsConfig;
typedef Envoy__Config__Endpoint__V3__ClusterLoadAssignment Assignment;

struct eds {
	struct admin *admin;
	struct map clusters; /* name → struct eds_cluster */
};

struct eds_cluster {
	struct admin *admin;
	struct member_cluster *cluster;
	struct subscription subscription;
	struct strb config; /* eds_cluster_config, packed: is it still the same? */
	struct timer stale; /* endpoint_stale_after */
};

static bool
is_eds(const struct member_cluster *c)
{
	return c->message->cluster_discovery_type_case ==
		   ENVOY__CONFIG__CLUSTER__V3__CLUSTER__CLUSTER_DISCOVERY_TYPE_TYPE &&
	       c->message->type == ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__EDS;
}

/* ---- what comes */

static void
on_stale(void *arg)
{
	struct eds_cluster *e = arg;
	struct member_cluster *c = e->cluster;
	Assignment empty = ENVOY__CONFIG__ENDPOINT__V3__CLUSTER_LOAD_ASSIGNMENT__INIT;
	struct err err = {""};

	if (xds_is_stopped(e->admin->xds)) /* it drains: nobody tells it any more */
		return;
	xds_settle(e->admin->xds);
	stat_inc(&c->stats->assignment_stale);
	log_warning(LOG_UPSTREAM, "cluster '" STR_FMT "': no update within endpoint_stale_after, its members are dropped",
	    STR_ARG(c->name));
	if (members_replace(&e->admin->members, c, &empty, &err) < 0)
		log_error(LOG_UPSTREAM, "cluster '" STR_FMT "': %s", STR_ARG(c->name), err.text);
}

static void
watch_age(struct eds_cluster *e, const Assignment *a)
{
	uint64_t ms = a->policy ? conf_duration_ms(a->policy->endpoint_stale_after, 0) : 0;

	timer_stop(&e->stale);
	if (ms == 0)
		return;
	stat_inc(&e->cluster->stats->assignment_timeout_received);
	timer_set(e->admin->loop, &e->stale, ms);
}

static int
take(void *arg, const ProtobufCMessage *m, struct str version, struct err *err)
{
	struct eds_cluster *e = arg;
	struct member_cluster *c = e->cluster;
	const Assignment *a = (const Assignment *)m;

	if (members_replace(&e->admin->members, c, a, err) < 0)
		return -1;
	strb_reset(&c->version);
	strb_adds(&c->version, version);
	watch_age(e, a);
	log_debug(LOG_UPSTREAM, "cluster '" STR_FMT "': members of version '" STR_FMT "' are taken",
	    STR_ARG(c->name), STR_ARG(version));
	return 0;
}

static void
give_up(void *arg)
{
	struct eds_cluster *e = arg;

	members_give_up(&e->admin->members, e->cluster);
}

static const struct subscription_events subscription_events = {.take = take, .give_up = give_up};

/* ---- subscribing */

static void
publish(struct admin *a, enum stat_scope scope, const struct strb *prefix)
{
	struct err err = {""};

	if (block_publish(a->segment, scope, strb_str(prefix), &err) < 0)
		log_warning(LOG_STATS, "%s: %s", strb_z(prefix), err.text);
}

static void
find_numbers(struct eds_cluster *e)
{
	struct subscription_numbers *n = &e->subscription.numbers;
	struct cluster_stats *s = e->cluster->stats;
	struct strb prefix = {0};

	*n = (struct subscription_numbers){
	    .attempt = &s->update_attempt, .failure = &s->update_failure, .empty = &s->update_empty};
	strb_adds(&prefix, e->cluster->prefix);
	publish(e->admin, SCOPE_subscription, &prefix);
	n->own = block_stats(SCOPE_subscription, strb_str(&prefix));
	n->texts = block_shared(SCOPE_subscription, strb_str(&prefix));
	strb_addz(&prefix, "control_plane.");
	if (e->cluster->message->eds_cluster_config->eds_config->config_source_specifier_case ==
	    ENVOY__CONFIG__CORE__V3__CONFIG_SOURCE__CONFIG_SOURCE_SPECIFIER_API_CONFIG_SOURCE)
		publish(e->admin, SCOPE_control_plane, &prefix);
	n->plane = block_stats(SCOPE_control_plane, strb_str(&prefix));
	n->plane_texts = block_shared(SCOPE_control_plane, strb_str(&prefix));
	strb_fini(&prefix);
}

static void
subscribe(struct eds_cluster *e)
{
	const EdsConfig *config = e->cluster->message->eds_cluster_config;

	find_numbers(e);
	xds_subscribe(e->admin->xds, &e->subscription, XDS_EDS,
	    config->service_name[0] ? str_of(config->service_name) : e->cluster->name,
	    config->eds_config, &subscription_events, e);
}

/* ---- what the model tells */

static void
cluster_added(void *arg, struct member_cluster *c)
{
	struct eds *all = arg;
	struct eds_cluster *e;

	if (!is_eds(c))
		return;
	e = mem_new(struct eds_cluster);
	e->admin = all->admin;
	e->cluster = c;
	timer_init(&e->stale, on_stale, e);
	message_pack(&c->message->eds_cluster_config->base, &e->config);
	map_put(&all->clusters, c->name, e);
	subscribe(e);
}

static void
cluster_removed(void *arg, struct member_cluster *c)
{
	struct eds *all = arg;
	struct eds_cluster *e = map_remove(&all->clusters, c->name);

	if (e == NULL)
		return;
	xds_unsubscribe(&e->subscription);
	timer_stop(&e->stale);
	strb_fini(&e->config);
	mem_free(e);
}

/* Does it ask somebody else now, or for another name? */
static void
compare_config(struct eds_cluster *e)
{
	struct strb now = {0};

	message_pack(&e->cluster->message->eds_cluster_config->base, &now);
	find_numbers(e); /* alt_stat_name may be another */
	if (!str_eq(strb_str(&now), strb_str(&e->config))) {
		xds_unsubscribe(&e->subscription);
		subscribe(e);
	}
	strb_fini(&e->config);
	e->config = now;
}

static void
cluster_changed(void *arg, struct member_cluster *c)
{
	struct eds *all = arg;
	struct eds_cluster *e = map_get(&all->clusters, c->name);

	if (e && is_eds(c))
		compare_config(e);
	else if (e)
		cluster_removed(all, c);
	else
		cluster_added(all, c);
}

static const struct members_events members_events = {
    .cluster_added = cluster_added,
    .cluster_changed = cluster_changed,
    .cluster_removed = cluster_removed,
};

struct eds *
eds_new(struct admin *a)
{
	struct eds *e = mem_new(struct eds);

	e->admin = a;
	members_observe(&a->members, &members_events, e);
	return e;
}

void
eds_free(struct eds **ep)
{
	struct eds *e = *ep;

	*ep = NULL;
	if (e == NULL)
		return;
	ASSERT(e->clusters.len == 0);
	map_fini(&e->clusters);
	mem_free(e);
}
