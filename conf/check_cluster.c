/* Soundness of clusters and their members. */
#include <stdio.h>

#include "conf/check_private.h"
#include "conf/defaults.h"
#include "envoy/config/accesslog/v3/accesslog.pb-c.h"
#include "envoy/config/cluster/v3/cluster.pb-c.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb-c.h"
#include "envoy/extensions/filters/http/health_check/v3/health_check.pb-c.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb-c.h"
#include "google/protobuf/duration.pb-c.h"

#define Cluster Envoy__Config__Cluster__V3__Cluster
#define STATIC ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__STATIC
#define STRICT_DNS ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__STRICT_DNS
#define EDS ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__EDS
#define LOGICAL_DNS ENVOY__CONFIG__CLUSTER__V3__CLUSTER__DISCOVERY_TYPE__LOGICAL_DNS
#define LB_CONFIGURED ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__LOAD_BALANCING_POLICY_CONFIG
#define LB_LEAST_REQUEST ENVOY__CONFIG__CLUSTER__V3__CLUSTER__LB_POLICY__LEAST_REQUEST

static Envoy__Config__Cluster__V3__Cluster__DiscoveryType
type_of_cluster(struct checked *k, const Cluster *c)
{
	switch (c->cluster_discovery_type_case) {
	case ENVOY__CONFIG__CLUSTER__V3__CLUSTER__CLUSTER_DISCOVERY_TYPE_TYPE:
		return c->type;
	case ENVOY__CONFIG__CLUSTER__V3__CLUSTER__CLUSTER_DISCOVERY_TYPE_CLUSTER_TYPE:
		return is_logical_dns(k, c) ? LOGICAL_DNS : STRICT_DNS;
	default:
		return STATIC;
	}
}

static const Envoy__Config__Core__V3__SocketAddress *
socket_address_of(const Envoy__Config__Endpoint__V3__LbEndpoint *e)
{
	const Envoy__Config__Core__V3__Address *a;

	if (e->host_identifier_case !=
	    ENVOY__CONFIG__ENDPOINT__V3__LB_ENDPOINT__HOST_IDENTIFIER_ENDPOINT)
		return NULL;
	a = e->endpoint->address;
	return a && a->address_case == ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_SOCKET_ADDRESS
		   ? a->socket_address
		   : NULL;
}

/* A STATIC cluster has IP addresses and pipes. */
static void
check_static_members(struct checked *k, const Cluster *c)
{
	char path[128];
	bool v6;

	for (size_t i = 0; i < c->load_assignment->n_endpoints; i++) {
		const Envoy__Config__Endpoint__V3__LocalityLbEndpoints *l =
		    c->load_assignment->endpoints[i];

		for (size_t j = 0; j < l->n_lb_endpoints; j++) {
			const Envoy__Config__Core__V3__SocketAddress *s =
			    socket_address_of(l->lb_endpoints[j]);

			if (!s || s->address[0] == '\0' || is_ip(s->address, &v6))
				continue;
			snprintf(path, sizeof(path),
			    "load_assignment.endpoints[%zu].lb_endpoints[%zu].endpoint.address."
			    "socket_address",
			    i, j);
			fail_below(k, path, &s->base, "address", NULL,
			    "'%s' is not an IP address: a name needs type STRICT_DNS or "
			    "LOGICAL_DNS",
			    s->address);
		}
	}
}

static void
check_members(struct checked *k, const Cluster *c)
{
	if (!c->load_assignment) {
		if (!checked_written(k, "load_assignment") && type_of_cluster(k, c) <= LOGICAL_DNS)
			fail(k, NULL, "needs a load_assignment");
		return;
	}
	if (type_of_cluster(k, c) == STATIC)
		check_static_members(k, c);
	if (type_of_cluster(k, c) == LOGICAL_DNS &&
	    (c->load_assignment->n_endpoints != 1 ||
		c->load_assignment->endpoints[0]->n_lb_endpoints != 1))
		fail(k, "load_assignment",
		    "a LOGICAL_DNS cluster has exactly one locality with one endpoint");
}

/* Envoy's rules; what an EDS cluster is given besides is not heard. */
static void
check_eds(struct checked *k, const Cluster *c)
{
	if (type_of_cluster(k, c) != EDS) {
		if (c->eds_cluster_config)
			fail(k, "eds_cluster_config", "eds_cluster_config in a cluster that is not of type EDS");
		return;
	}
	if (!c->eds_cluster_config && !checked_written(k, "eds_cluster_config"))
		fail(k, "type", "an EDS cluster needs eds_cluster_config");
	if (c->load_assignment)
		warn(k, "load_assignment", "load_assignment has no effect: members come from eds_config");
}

static bool
has_protocol_options(const Cluster *c)
{
	return c->n_typed_extension_protocol_options > 0;
}

/* Protocol options stand in one place, and name one protocol. */
static void
check_protocol(struct checked *k, const Cluster *c)
{
	static const char *const old[] = {"http_protocol_options", "http2_protocol_options",
	    "common_http_protocol_options", "max_requests_per_connection"};

	if (c->http_protocol_options && c->http2_protocol_options)
		fail(k, "http2_protocol_options",
		    "http_protocol_options is set already; a cluster speaks one protocol");
	for (size_t i = 0; i < 3 && has_protocol_options(c); i++)
		if (message_has(k->m, message_field_named(k->m->descriptor, str_of(old[i]))))
			fail(k, old[i],
			    "typed_extension_protocol_options is set already; write it there");
	if (c->max_requests_per_connection && c->common_http_protocol_options &&
	    c->common_http_protocol_options->max_requests_per_connection)
		fail(k, old[3],
		    "common_http_protocol_options.max_requests_per_connection is set already");
}

void
check_cluster(struct checked *k)
{
	const Cluster *c = (const void *)k->m;

	if (c->n_health_checks > 1)
		fail_item(k, "health_checks", 1, "a cluster has at most one health check");
	check_members(k, c);
	check_eds(k, c);
	check_cluster_dns(k, type_of_cluster(k, c) == STRICT_DNS || type_of_cluster(k, c) == LOGICAL_DNS);
	check_protocol(k, c);
	check_cluster_lb(k);
}

static void
check_per_host(struct checked *k, int index,
    const Envoy__Config__Cluster__V3__CircuitBreakers__Thresholds *t)
{
	if (t->max_pending_requests || t->max_requests || t->max_retries ||
	    t->max_connection_pools || t->retry_budget)
		fail_item(k, "per_host_thresholds", index,
		    "a host has no limit of its own but max_connections");
}

void
check_circuit_breakers(struct checked *k)
{
	const Envoy__Config__Cluster__V3__CircuitBreakers *b = (const void *)k->m;

	for (size_t i = 0; i < b->n_thresholds; i++)
		for (size_t j = 0; j < i; j++)
			if (b->thresholds[j]->priority == b->thresholds[i]->priority)
				warn(k, "thresholds", "only the first of a priority count");
	for (size_t i = 0; i < b->n_per_host_thresholds; i++)
		check_per_host(k, (int)i, b->per_host_thresholds[i]);
}

void
check_outlier_detection(struct checked *k)
{
	const Envoy__Config__Cluster__V3__OutlierDetection *o = (const void *)k->m;

	if (o->max_ejection_time && conf_duration_ms(o->max_ejection_time, 0) <
					conf_duration_ms(o->base_ejection_time, 30000))
		fail(k, "max_ejection_time", "must not be less than base_ejection_time (30s unless set)");
}

void
check_locality(struct checked *k)
{
	const Envoy__Config__Endpoint__V3__LocalityLbEndpoints *l = (const void *)k->m;
	uint64_t sum = 0;

	if (l->priority > 128)
		fail(k, "priority", "must be from 0 to 128, not %u", l->priority);
	for (size_t i = 0; i < l->n_lb_endpoints; i++)
		sum += conf_u32(l->lb_endpoints[i]->load_balancing_weight, 1);
	if (sum > UINT32_MAX)
		fail(k, "lb_endpoints", "the weights add up to more than %u", UINT32_MAX);
}
