#include "admin/discovery/compose.h"

#include "conf/message.h"

typedef Envoy__Config__Endpoint__V3__ClusterLoadAssignment Assignment;
typedef Envoy__Config__Endpoint__V3__ClusterLoadAssignment__Policy Policy;
typedef Envoy__Config__Endpoint__V3__ClusterLoadAssignment__Policy__DropOverload Drop;
typedef Envoy__Config__Endpoint__V3__LocalityLbEndpoints LocalityEndpoints;
typedef Envoy__Config__Endpoint__V3__LbEndpoint LbEndpoint;
typedef Envoy__Config__Endpoint__V3__Endpoint Endpoint;
typedef Envoy__Config__Endpoint__V3__Endpoint__HealthCheckConfig CheckConfig;
typedef Envoy__Config__Core__V3__Address Address;
typedef Google__Protobuf__UInt32Value Number;

#define NEW(a, type, descriptor) ((type *)(void *)message_new((a), &descriptor##__descriptor))

void
compose_begin(struct compose *c, struct arena *a)
{
	*c = (struct compose){.arena = a};
}

static char *
text(struct arena *a, struct str s)
{
	return arena_dup(a, s.p, s.n);
}

static Number *
number(struct arena *a, uint32_t v)
{
	Number *n = NEW(a, Number, google__protobuf__uint32_value);

	n->value = v;
	return n;
}

static Address *
address_message(struct arena *a, const struct address *from)
{
	Address *m = NEW(a, Address, envoy__config__core__v3__address);
	char buf[ADDRESS_TEXT];
	size_t n;

	if (address_is_ip(from)) {
		Envoy__Config__Core__V3__SocketAddress *s = NEW(a,
		    Envoy__Config__Core__V3__SocketAddress, envoy__config__core__v3__socket_address);

		n = address_format_ip(from, buf);
		s->address = arena_dup(a, buf, n);
		s->port_specifier_case =
		    ENVOY__CONFIG__CORE__V3__SOCKET_ADDRESS__PORT_SPECIFIER_PORT_VALUE;
		s->port_value = address_port(from);
		m->address_case = ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_SOCKET_ADDRESS;
		m->socket_address = s;
		return m;
	}
	n = address_format(from, buf);
	m->address_case = ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_PIPE;
	m->pipe = NEW(a, Envoy__Config__Core__V3__Pipe, envoy__config__core__v3__pipe);
	m->pipe->path = arena_dup(a, buf, n);
	return m;
}

static CheckConfig *
check_message(struct arena *a, const struct endpoint_check *from)
{
	CheckConfig *m =
	    NEW(a, CheckConfig, envoy__config__endpoint__v3__endpoint__health_check_config);

	m->port_value = from->port;
	m->disable_active_health_check = from->disabled;
	if (from->hostname)
		m->hostname = text(a, from->hostname->text);
	if (from->address.len)
		m->address = address_message(a, &from->address);
	return m;
}

static LbEndpoint *
endpoint_message(struct arena *a, const struct endpoint *e)
{
	LbEndpoint *m = NEW(a, LbEndpoint, envoy__config__endpoint__v3__lb_endpoint);

	m->host_identifier_case = ENVOY__CONFIG__ENDPOINT__V3__LB_ENDPOINT__HOST_IDENTIFIER_ENDPOINT;
	m->endpoint = NEW(a, Endpoint, envoy__config__endpoint__v3__endpoint);
	m->endpoint->address = address_message(a, &e->address);
	if (e->hostname)
		m->endpoint->hostname = text(a, e->hostname->text);
	if (e->check)
		m->endpoint->health_check_config = check_message(a, e->check);
	m->health_status = e->status;
	m->load_balancing_weight = number(a, e->weight);
	if (e->metadata)
		m->metadata = (void *)message_unpack(a, &envoy__config__core__v3__metadata__descriptor,
		    arena_str(a, e->metadata->packed), NULL);
	return m;
}

void
compose_add(struct compose *c, const struct endpoint *e)
{
	struct arena *a = c->arena;
	LocalityEndpoints *l =
	    NEW(a, LocalityEndpoints, envoy__config__endpoint__v3__locality_lb_endpoints);

	if (e->locality) {
		l->locality =
		    NEW(a, Envoy__Config__Core__V3__Locality, envoy__config__core__v3__locality);
		l->locality->region = text(a, e->locality->region);
		l->locality->zone = text(a, e->locality->zone);
		l->locality->sub_zone = text(a, e->locality->sub_zone);
	}
	if (e->locality_weight)
		l->load_balancing_weight = number(a, e->locality_weight);
	l->priority = e->priority;
	l->lb_endpoints = arena_zalloc(a, sizeof(LbEndpoint *));
	l->lb_endpoints[0] = endpoint_message(a, e);
	l->n_lb_endpoints = 1;
	*vec_push(&c->localities) = l;
}

static Drop *
drop_message(struct arena *a, const struct assignment_policy *from)
{
	Drop *m = NEW(
	    a, Drop, envoy__config__endpoint__v3__cluster_load_assignment__policy__drop_overload);

	m->category = text(a, str_of(from->drop_category));
	m->drop_percentage =
	    NEW(a, Envoy__Type__V3__FractionalPercent, envoy__type__v3__fractional_percent);
	m->drop_percentage->numerator = from->drop_per_million;
	m->drop_percentage->denominator =
	    ENVOY__TYPE__V3__FRACTIONAL_PERCENT__DENOMINATOR_TYPE__MILLION;
	return m;
}

static Policy *
policy_message(struct arena *a, const struct assignment_policy *from)
{
	Policy *m =
	    NEW(a, Policy, envoy__config__endpoint__v3__cluster_load_assignment__policy);

	m->overprovisioning_factor = number(a, from->overprovisioning);
	m->weighted_priority_health = from->weighted_priority_health != 0;
	if (from->drop_per_million == 0)
		return m;
	m->n_drop_overloads = 1;
	m->drop_overloads = arena_zalloc(a, sizeof(Drop *));
	m->drop_overloads[0] = drop_message(a, from);
	return m;
}

Assignment *
compose_end(struct compose *c, struct str cluster, const struct assignment_policy *policy)
{
	struct arena *a = c->arena;
	Assignment *m =
	    NEW(a, Assignment, envoy__config__endpoint__v3__cluster_load_assignment);
	size_t bytes = c->localities.len * sizeof(LocalityEndpoints *);

	m->cluster_name = text(a, cluster);
	m->n_endpoints = c->localities.len;
	m->endpoints = arena_zalloc(a, bytes + 1);
	if (bytes)
		memcpy(m->endpoints, c->localities.at, bytes);
	if (policy)
		m->policy = policy_message(a, policy);
	vec_fini(&c->localities);
	return m;
}
