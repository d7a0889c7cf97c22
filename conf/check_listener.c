/* Soundness of listeners, their chains, their addresses and the HTTP connection manager. */
#include <stdio.h>

#include "conf/check_private.h"
#include "conf/defaults.h"
#include "conf/types.h"
#include "envoy/config/accesslog/v3/accesslog.pb-c.h"
#include "envoy/config/listener/v3/listener.pb-c.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb-c.h"
#include "envoy/extensions/filters/http/health_check/v3/health_check.pb-c.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb-c.h"
#include "google/protobuf/duration.pb-c.h"

#define Hcm Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__HttpConnectionManager

#define PIPE_PATH_MAX 107

void
check_listener(struct checked *k)
{
	const Envoy__Config__Listener__V3__Listener *l = (const void *)k->m;
	const Envoy__Config__Core__V3__SocketAddress *s;
	bool v6;

	if (l->n_filter_chains == 0 && !l->default_filter_chain)
		fail(k, checked_written(k, "filter_chains") ? "filter_chains" : NULL,
		    "needs a filter chain");
	else if (l->n_filter_chains > 1)
		fail_item(k, "filter_chains", 1,
		    "more than one filter chain is not supported by baton yet: nothing chooses "
		    "between them");
	else if (l->n_filter_chains == 1 && l->default_filter_chain)
		fail(k, "default_filter_chain",
		    "beside a filter chain that takes every connection it could never be used");
	if (!l->address ||
	    l->address->address_case != ENVOY__CONFIG__CORE__V3__ADDRESS__ADDRESS_SOCKET_ADDRESS)
		return;
	s = l->address->socket_address;
	if (s->address[0] && !is_ip(s->address, &v6))
		fail_below(k, "address.socket_address", &s->base, "address", NULL,
		    "'%s' is not an IP address; a listener is bound to one", s->address);
}

void
check_filter_chain(struct checked *k)
{
	const Envoy__Config__Listener__V3__FilterChain *fc = (const void *)k->m;

	if (fc->n_filters == 0)
		fail(k, "filters",
		    "needs a network filter: envoy.filters.network.http_connection_manager");
	if (fc->n_filters > 1)
		fail_item(k, "filters", 1,
		    "stands behind http_connection_manager, which must be the only network filter");
}

void
check_socket_address(struct checked *k)
{
	const Envoy__Config__Core__V3__SocketAddress *s = (const void *)k->m;
	bool v6;

	if (s->ipv4_compat && is_ip(s->address, &v6) && !v6)
		fail(k, "ipv4_compat", "is for IPv6 addresses only");
}

void
check_pipe(struct checked *k)
{
	const Envoy__Config__Core__V3__Pipe *p = (const void *)k->m;

	if (strlen(p->path) > PIPE_PATH_MAX)
		fail(k, "path", "is longer than %d bytes", PIPE_PATH_MAX);
	if (p->path[0] == '@' && p->mode)
		fail(k, "mode", "an abstract socket has no file mode");
}

void
check_cidr_range(struct checked *k)
{
	const Envoy__Config__Core__V3__CidrRange *r = (const void *)k->m;
	bool v6;

	if (r->address_prefix[0] == '\0')
		return;
	if (!is_ip(r->address_prefix, &v6))
		fail(k, "address_prefix", "'%s' is not an IP address", r->address_prefix);
	else if (!v6 && conf_u32(r->prefix_len, 0) > 32)
		fail(k, "prefix_len", "must be from 0 to 32 for an IPv4 address, not %u",
		    r->prefix_len->value);
}

void
check_scheme_transformation(struct checked *k)
{
	const Envoy__Config__Core__V3__SchemeHeaderTransformation *t = (const void *)k->m;

	if (t->transformation_case ==
		ENVOY__CONFIG__CORE__V3__SCHEME_HEADER_TRANSFORMATION__TRANSFORMATION_SCHEME_TO_OVERWRITE &&
	    strcmp(t->scheme_to_overwrite, "http") != 0 &&
	    strcmp(t->scheme_to_overwrite, "https") != 0)
		fail(k, "scheme_to_overwrite", "'%s' is neither http nor https",
		    t->scheme_to_overwrite);
}

static bool
is_router(const Google__Protobuf__Any *any)
{
	const struct message_type *t = any ? type_by_url(str_of(any->type_url)) : NULL;

	return t && strcmp(t->name, "envoy.filters.http.router") == 0;
}

/* The router ends the chain and stands nowhere else; a filter that failed to load is no proof. */
static void
check_filter_order(struct checked *k, const Hcm *h)
{
	for (size_t i = 0; i < h->n_http_filters; i++) {
		const Google__Protobuf__Any *any = h->http_filters[i]->typed_config;

		if (!any || !any->type_url[0])
			return;
		if (i + 1 < h->n_http_filters && is_router(any))
			fail_item(k, "http_filters", (int)i,
			    "envoy.filters.http.router ends the chain: nothing may stand behind "
			    "it");
		if (i + 1 == h->n_http_filters && !is_router(any))
			fail_item(k, "http_filters", (int)i,
			    "the last filter must be envoy.filters.http.router");
		if (h->http_filters[i]->disabled && is_router(any))
			fail_item(k, "http_filters", (int)i,
			    "envoy.filters.http.router cannot be disabled");
	}
	if (h->n_http_filters == 0)
		fail(k, "http_filters", "needs at least envoy.filters.http.router");
}

static void
check_upgrades(struct checked *k, const Hcm *h)
{
	for (size_t i = 0; i < h->n_upgrade_configs; i++)
		for (size_t j = 0; j < i; j++)
			if (str_ieqz(str_of(h->upgrade_configs[i]->upgrade_type),
				h->upgrade_configs[j]->upgrade_type))
				fail_item(k, "upgrade_configs", (int)i, "'%s' is listed already",
				    h->upgrade_configs[i]->upgrade_type);
}

static void
check_filter_names(struct checked *k, const Hcm *h)
{
	struct map names = {0};

	for (size_t i = 0; i < h->n_http_filters; i++)
		if (h->http_filters[i]->name[0] &&
		    map_put(&names, str_of(h->http_filters[i]->name), h->http_filters[i]))
			warn(k, "http_filters", "two HTTP filters are called '%s'",
			    h->http_filters[i]->name);
	map_fini(&names);
}

void
check_hcm(struct checked *k)
{
	const Hcm *h = (const void *)k->m;

	check_filter_order(k, h);
	check_filter_names(k, h);
	check_upgrades(k, h);
	if (h->strip_matching_host_port && h->strip_any_host_port)
		fail(k, "strip_any_host_port",
		    "strip_matching_host_port is set already; only one of the two may be");
}

void
check_health_check_filter(struct checked *k)
{
	const Envoy__Extensions__Filters__Http__HealthCheck__V3__HealthCheck *h =
	    (const void *)k->m;
	bool pass_through = conf_bool(h->pass_through_mode, false);

	if (h->cache_time && !pass_through)
		fail(k, "cache_time", "needs pass_through_mode: true");
	if (h->n_cluster_min_healthy_percentages > 0 && pass_through)
		fail(k, "cluster_min_healthy_percentages", "needs pass_through_mode: false");
}
