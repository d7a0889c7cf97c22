#include "lib/upstream/assignment.h"

#include "conf/defaults.h"
#include "lib/base/map.h"

#include "envoy/config/endpoint/v3/endpoint.pb-c.h"

typedef Envoy__Config__Endpoint__V3__ClusterLoadAssignment Assignment;
typedef Envoy__Config__Endpoint__V3__LocalityLbEndpoints LocalityEndpoints;
typedef Envoy__Config__Endpoint__V3__LbEndpoint LbEndpoint;
typedef Envoy__Config__Core__V3__Address Address;

static struct str
text(const char *s)
{
	return str_of(s ? s : "");
}

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
read_member(struct member *m, const LocalityEndpoints *l, const LbEndpoint *e, struct err *err)
{
	*m = (struct member){
	    .weight = conf_u32(e->load_balancing_weight, 1),
	    .priority = l->priority,
	    .eds_status = e->health_status,
	};
	if (m->priority >= MEMBER_PRIORITIES)
		return err_set(err, "priority %u is above %u", m->priority, MEMBER_PRIORITIES - 1);
	if (m->weight == 0)
		return err_set(err, "load_balancing_weight must be at least 1");
	if (l->locality) {
		m->region = text(l->locality->region);
		m->zone = text(l->locality->zone);
		m->sub_zone = text(l->locality->sub_zone);
	}
	if (e->host_identifier_case !=
	    ENVOY__CONFIG__ENDPOINT__V3__LB_ENDPOINT__HOST_IDENTIFIER_ENDPOINT)
		return err_set(err, "lb_endpoint without an endpoint");
	m->hostname = text(e->endpoint->hostname);
	return read_address(&m->address, e->endpoint->address, err);
}

/* The place of each address is remembered as index + 1; keys lie in the members' own addresses,
 * which move while the list grows, so they are copies. */
static void
put(struct assignment *m, struct map *seen, const struct member *one)
{
	char key[ADDRESS_TEXT];
	size_t n = address_format(&one->address, key);
	uintptr_t place = (uintptr_t)map_get(seen, str_make(key, n));

	if (place) {
		m->list.at[place - 1] = *one;
		return;
	}
	*vec_push(&m->list) = *one;
	map_put(seen, str_make(mem_strndup(key, n), n), (void *)(uintptr_t)m->list.len);
}

static void
free_keys(struct map *seen)
{
	struct map_slot *slot;
	size_t i = 0;

	while ((slot = map_next(seen, &i)) != NULL)
		mem_free((void *)(uintptr_t)slot->key.p);
	map_fini(seen);
}

static int
read_all(struct assignment *m, struct map *seen, const Assignment *a, struct err *err)
{
	struct member one;

	for (size_t i = 0; i < a->n_endpoints; i++) {
		const LocalityEndpoints *l = a->endpoints[i];

		for (size_t k = 0; k < l->n_lb_endpoints; k++) {
			if (read_member(&one, l, l->lb_endpoints[k], err) < 0)
				return err_in(err, "endpoints[%zu].lb_endpoints[%zu]", i, k);
			put(m, seen, &one);
		}
	}
	return 0;
}

int
assignment_read(struct assignment *m, const void *msg, struct err *err)
{
	struct map seen = {0};
	int rc;

	*m = (struct assignment){0};
	if (msg == NULL)
		return 0;
	rc = read_all(m, &seen, msg, err);
	free_keys(&seen);
	if (rc < 0)
		assignment_fini(m);
	return rc;
}

void
assignment_fini(struct assignment *m)
{
	vec_fini(&m->list);
}
