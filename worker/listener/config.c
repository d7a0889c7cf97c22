#include "worker/listener/config.h"

#include "conf/defaults.h"
#include "conf/message.h"
#include "envoy/config/listener/v3/listener.pb-c.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb-c.h"
#include "lib/ipc/listen.h"
#include "lib/net/address.h"
#include "worker/hcm/config.h"

#define HCM_TYPE                                                                                   \
	envoy__extensions__filters__network__http_connection_manager__v3__http_connection_manager__descriptor
#define LISTENER(name) Envoy__Config__Listener__V3__##name
#define LISTENER_ENUM(name) ENVOY__CONFIG__LISTENER__V3__LISTENER__##name
#define CORE(name) Envoy__Config__Core__V3__##name
#define CORE_ENUM(name) ENVOY__CONFIG__CORE__V3__##name

#define DEFAULT_BUFFER_LIMIT (1024u * 1024)
#define DEFAULT_ACCEPT_BUDGET 64u

static int
read_address(struct address *a, const CORE(Address) * m, struct err *err)
{
	if (m && m->address_case == CORE_ENUM(ADDRESS__ADDRESS_PIPE))
		return address_from_pipe(a, str_of(m->pipe->path), err);
	if (m == NULL || m->address_case != CORE_ENUM(ADDRESS__ADDRESS_SOCKET_ADDRESS))
		return err_set(err, "address: required");
	return address_from_ip(
	    a, str_of(m->socket_address->address), (uint16_t)m->socket_address->port_value, err);
}

/* "listener.127.0.0.1_8000." */
static const char *
stat_block(const LISTENER(Listener) * m, struct str address, struct arena *a)
{
	struct strb b = {0};
	const char *out;

	strb_addz(&b, "listener.");
	stat_name_add(&b, conf_string(m->stat_prefix) ? str_of(m->stat_prefix) : address);
	strb_addc(&b, '.');
	out = arena_str(a, strb_str(&b)).p;
	strb_fini(&b);
	return out;
}

static struct str
socket_key(struct str address, struct str name, struct arena *a)
{
	struct strb b = {0};
	struct str out;

	listen_key(&b, address, name);
	out = arena_str(a, strb_str(&b));
	strb_fini(&b);
	return out;
}

static void
read_options(struct listener_config *c, const LISTENER(Listener) * m)
{
	const CORE(TcpKeepalive) *k = m->tcp_keepalive;

	c->accept_budget =
	    conf_u32(m->max_connections_to_accept_per_socket_event, DEFAULT_ACCEPT_BUDGET);
	if (c->accept_budget == 0)
		c->accept_budget = DEFAULT_ACCEPT_BUDGET;
	c->on_port = conf_bool(m->bind_to_port, true);
	c->modify_only = m->drain_type == LISTENER_ENUM(DRAIN_TYPE__MODIFY_ONLY);
	c->inbound = m->traffic_direction == CORE_ENUM(TRAFFIC_DIRECTION__INBOUND);
	if (k) {
		c->keepalive = true;
		c->keepalive_options.probes = conf_u32(k->keepalive_probes, 0);
		c->keepalive_options.time_s = conf_u32(k->keepalive_time, 0);
		c->keepalive_options.interval_s = conf_u32(k->keepalive_interval, 0);
	}
}

/* The one filter of the one chain. */
static const ProtobufCMessage *
find_hcm(const LISTENER(Listener) * m, struct arena *a, struct err *err)
{
	const LISTENER(FilterChain) *chain =
	    m->n_filter_chains ? m->filter_chains[0] : m->default_filter_chain;
	const LISTENER(Filter) * f;

	if (chain == NULL || chain->n_filters != 1) {
		err_set(err, "filter_chains: one chain with one filter is needed");
		return NULL;
	}
	f = chain->filters[0];
	if (f->config_type_case != ENVOY__CONFIG__LISTENER__V3__FILTER__CONFIG_TYPE_TYPED_CONFIG) {
		err_set(err, "filter '%s': typed_config: required", f->name);
		return NULL;
	}
	return any_open(a, &f->typed_config->base, &HCM_TYPE, err);
}

int
listener_config_build(struct listener_config **out, struct str name, const void *msg,
    const struct listener_build *b, struct err *err)
{
	const LISTENER(Listener) *m = msg;
	struct listener_config *c = arena_new(b->arena, struct listener_config);
	const ProtobufCMessage *hcm;
	struct address a;
	char text[ADDRESS_TEXT];
	struct str address;
	struct hcm_build hb = {
	    .arena = b->arena,
	    .snapshot = b->snapshot,
	    .node_cluster = b->node_cluster,
	    .node_id = b->node_id,
	    .buffer_limit = conf_u32(m->per_connection_buffer_limit_bytes, DEFAULT_BUFFER_LIMIT),
	};

	if (read_address(&a, m->address, err) < 0)
		return -1;
	address = str_make(text, address_format(&a, text));
	c->name = arena_str(b->arena, name);
	c->key = socket_key(address, name, b->arena);
	read_options(c, m);
	hb.listener_port = address_port(&a);
	hb.listener_prefix = stat_block(m, address, b->arena);
	c->stats = listener_stats_of(hb.listener_prefix);
	c->worker_stats = listener_worker_stats_of(
	    arena_printf(b->arena, "%sworker_%u.", hb.listener_prefix, b->worker));
	hcm = find_hcm(m, b->arena, err);
	if (hcm == NULL || hcm_config_build(&c->hcm, hcm, &hb, err) < 0)
		return -1;
	*out = c;
	return 0;
}
