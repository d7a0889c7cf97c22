#include "lib/upstream/assignment.h"

#include <string.h>

#include "conf/defaults.h"
#include "conf/message.h"
#include "lib/base/map.h"
#include "lib/base/task.h"

#include "envoy/config/endpoint/v3/endpoint.pb-c.h"

typedef Envoy__Config__Endpoint__V3__ClusterLoadAssignment Assignment;
typedef Envoy__Config__Endpoint__V3__ClusterLoadAssignment__Policy Policy;
typedef Envoy__Config__Endpoint__V3__ClusterLoadAssignment__Policy__DropOverload DropOverload;
typedef Envoy__Config__Endpoint__V3__LocalityLbEndpoints LocalityEndpoints;
typedef Envoy__Config__Endpoint__V3__LbEndpoint LbEndpoint;
typedef Envoy__Config__Endpoint__V3__Endpoint__HealthCheckConfig HealthCheckConfig;
typedef Envoy__Config__Core__V3__Address Address;

static struct str
text(const char *s)
{
	return str_of(s ? s : "");
}

/* ---- one endpoint */

static int
read_address(struct address *out, const Address *a, struct err *err)
{
	if (a && a->address_case == ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_SOCKET_ADDRESS)
		return address_from_ip(out, text(a->socket_address->address),
		    (uint16_t)a->socket_address->port_value, err);
	if (a && a->address_case == ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_PIPE)
		return address_from_pipe(out, text(a->pipe->path), err);
	return err_set(err, "endpoint without an address");
}

static int
read_check(struct endpoint *e, const HealthCheckConfig *c, struct err *err)
{
	if (c == NULL)
		return 0;
	if (c->port_value > 65535)
		return err_set(err, "health_check_config.port_value must be at most 65535");
	e->check = mem_new(struct endpoint_check);
	e->check->port = (uint16_t)c->port_value;
	e->check->disabled = c->disable_active_health_check;
	e->check->hostname = hostname_get(text(c->hostname));
	if (c->address && read_address(&e->check->address, c->address, err) < 0)
		return err_in(err, "health_check_config.address");
	return 0;
}

static int
read_metadata(struct endpoint *e, const Envoy__Config__Core__V3__Metadata *m, struct err *err)
{
	struct strb packed = {0};
	int bad;

	if (m == NULL)
		return 0;
	message_pack(&m->base, &packed);
	bad = metadata_get(&e->metadata, strb_str(&packed), err);
	strb_fini(&packed);
	return bad;
}

static int
read_endpoint(struct endpoint *e, const LocalityEndpoints *l, const LbEndpoint *m, struct err *err)
{
	*e = (struct endpoint){
	    .weight = conf_u32(m->load_balancing_weight, 1),
	    .locality_weight = conf_u32(l->load_balancing_weight, 0),
	    .priority = (uint8_t)l->priority,
	    .status = (uint8_t)m->health_status,
	};
	if (l->priority >= MEMBER_PRIORITIES)
		return err_set(err, "priority %u is above %u", l->priority, MEMBER_PRIORITIES - 1);
	if (e->weight == 0)
		return err_set(err, "load_balancing_weight must be at least 1");
	if (m->host_identifier_case !=
	    ENVOY__CONFIG__ENDPOINT__V3__LB_ENDPOINT__HOST_IDENTIFIER_ENDPOINT)
		return err_set(err, "lb_endpoint without an endpoint");
	if (read_address(&e->address, m->endpoint->address, err) < 0 ||
	    read_check(e, m->endpoint->health_check_config, err) < 0 ||
	    read_metadata(e, m->metadata, err) < 0)
		return -1;
	e->hostname = hostname_get(text(m->endpoint->hostname));
	if (l->locality)
		e->locality = locality_get(
		    text(l->locality->region), text(l->locality->zone), text(l->locality->sub_zone));
	return 0;
}

/* ---- all of them */

/* Keys are formatted addresses in the arena of the pass; values are places in the list + 1. */
struct pass {
	struct assignment *to;
	struct arena arena;
	struct map seen;
};

static void
put(struct pass *p, struct endpoint *e)
{
	char key[ADDRESS_TEXT];
	size_t n = address_format(&e->address, key);
	uintptr_t place = (uintptr_t)map_get(&p->seen, str_make(key, n));

	if (place) {
		endpoint_fini(&p->to->list.at[place - 1]);
		p->to->list.at[place - 1] = *e;
		return;
	}
	*vec_push(&p->to->list) = *e;
	map_put(&p->seen, arena_str(&p->arena, str_make(key, n)),
	    (void *)(uintptr_t)p->to->list.len);
}

static int
read_locality(
    struct pass *p, const LocalityEndpoints *l, size_t at, uint64_t *weights, struct err *err)
{
	struct endpoint e;

	*weights += conf_u32(l->load_balancing_weight, 0);
	for (size_t k = 0; k < l->n_lb_endpoints; k++) {
		task_breathe();
		if (read_endpoint(&e, l, l->lb_endpoints[k], err) < 0) {
			endpoint_fini(&e);
			return err_in(err, "endpoints[%zu].lb_endpoints[%zu]", at, k);
		}
		put(p, &e);
	}
	return 0;
}

static int
read_endpoints(struct pass *p, const Assignment *a, struct err *err)
{
	uint64_t weights[MEMBER_PRIORITIES] = {0};

	for (size_t i = 0; i < a->n_endpoints; i++) {
		const LocalityEndpoints *l = a->endpoints[i];
		uint64_t *sum = &weights[l->priority < MEMBER_PRIORITIES ? l->priority : 0];

		if (read_locality(p, l, i, sum, err) < 0)
			return -1;
		if (*sum > UINT32_MAX)
			return err_set(err, "endpoints[%zu].load_balancing_weight: the weights of priority %u add up to more than %u",
			    i, l->priority, UINT32_MAX);
	}
	return 0;
}

static int
check_weights(const struct assignment *m, struct err *err)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < m->list.len; i++)
		sum += m->list.at[i].weight;
	return sum <= UINT32_MAX
	    ? 0
	    : err_set(err, "endpoints: the weights add up to more than %u", UINT32_MAX);
}

/* ---- the policy */

static uint32_t
per_million(const Envoy__Type__V3__FractionalPercent *f)
{
	static const uint32_t scale[] = {10000, 100, 1};
	uint64_t v = f ? (uint64_t)f->numerator * scale[(unsigned)f->denominator % 3] : 0;

	return v > 1000000 ? 1000000 : (uint32_t)v;
}

static int
read_policy(struct assignment_policy *to, const Policy *p, struct err *err)
{
	*to = (struct assignment_policy){.overprovisioning = OVERPROVISIONING};
	if (p == NULL)
		return 0;
	if (p->n_drop_overloads > 1)
		return err_set(err, "policy.drop_overloads: only one category is supported");
	to->overprovisioning = conf_u32(p->overprovisioning_factor, OVERPROVISIONING);
	if (to->overprovisioning == 0)
		return err_set(err, "policy.overprovisioning_factor must be at least 1");
	to->weighted_priority_health = p->weighted_priority_health;
	if (p->n_drop_overloads) {
		const DropOverload *d = p->drop_overloads[0];
		size_t n = strlen(d->category);

		if (n == 0)
			return err_set(err, "policy.drop_overloads[0].category is empty");
		to->drop_per_million = per_million(d->drop_percentage);
		n = n < sizeof(to->drop_category) ? n : sizeof(to->drop_category) - 1;
		memcpy(to->drop_category, d->category, n);
	}
	return 0;
}

int
assignment_read(struct assignment *m, const void *msg, struct err *err)
{
	const Assignment *a = msg;
	struct pass p = {.to = m};
	int bad;

	*m = (struct assignment){.policy.overprovisioning = OVERPROVISIONING};
	if (a == NULL)
		return 0;
	arena_init(&p.arena);
	bad = read_endpoints(&p, a, err) < 0 || check_weights(m, err) < 0 ||
	    read_policy(&m->policy, a->policy, err) < 0;
	map_fini(&p.seen);
	arena_fini(&p.arena);
	if (bad)
		assignment_fini(m);
	return bad ? -1 : 0;
}

void
assignment_fini(struct assignment *m)
{
	for (size_t i = 0; i < m->list.len; i++)
		endpoint_fini(&m->list.at[i]);
	vec_fini(&m->list);
}
