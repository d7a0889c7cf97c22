/* Soundness of route tables: domains, matches, actions. */
#include "conf/check_private.h"
#include "conf/data_source.h"
#include "conf/defaults.h"
#include "conf/near.h"
#include "envoy/config/accesslog/v3/accesslog.pb-c.h"
#include "envoy/config/route/v3/route.pb-c.h"
#include "envoy/config/route/v3/route_components.pb-c.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb-c.h"
#include "envoy/extensions/filters/http/health_check/v3/health_check.pb-c.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb-c.h"
#include "google/protobuf/duration.pb-c.h"

#define DIRECT_BODY_DEFAULT 4096

/* The domains of one virtual host: none of them may stand in an earlier one. */
static void
check_unique_domains(struct checked *k, struct map *domains)
{
	Envoy__Config__Route__V3__VirtualHost *v = (void *)k->m;

	for (size_t i = 0; i < v->n_domains; i++) {
		const Envoy__Config__Route__V3__VirtualHost *first =
		    map_put(domains, arena_lower(k->c->arena, str_of(v->domains[i])), v);

		if (first)
			fail_item(k, "domains", (int)i,
			    "'%s' stands in virtual host '%s' already; a domain may occur once",
			    v->domains[i], first->name);
	}
}

static void
check_virtual_hosts(struct checked *k, const Envoy__Config__Route__V3__RouteConfiguration *r)
{
	struct map names = {0}, domains = {0};

	for (size_t i = 0; i < r->n_virtual_hosts; i++) {
		Envoy__Config__Route__V3__VirtualHost *v = r->virtual_hosts[i];
		struct where w = checked_field(k, "virtual_hosts", (int)i);
		struct checked host = {.c = k->c, .m = &v->base, .w = &w};

		if (v->name[0] && map_put(&names, str_of(v->name), v))
			fail(&host, "name", "a second virtual host is called '%s'", v->name);
		check_unique_domains(&host, &domains);
	}
	map_fini(&names);
	map_fini(&domains);
}

void
check_route_configuration(struct checked *k)
{
	const Envoy__Config__Route__V3__RouteConfiguration *r = (const void *)k->m;

	k->c->routes = r; /* what its routes, which come next, ask for */
	check_virtual_hosts(k, r);
}

void
check_virtual_host(struct checked *k)
{
	const Envoy__Config__Route__V3__VirtualHost *v = (const void *)k->m;

	for (size_t i = 0; i < v->n_domains; i++) {
		const char *d = v->domains[i], *star = strchr(d, '*');
		bool at_start = star == d, at_end = star && star[1] == '\0';

		if (d[0] == '\0')
			fail_item(k, "domains", (int)i, "must not be empty");
		else if (star && (!(at_start || at_end) || strchr(star + 1, '*')))
			fail_item(k, "domains", (int)i,
			    "'%s': '*' may stand once, at the start or at the end", d);
		else if (!is_header_value(str_of(d)))
			fail_item(k, "domains", (int)i, "holds a control character");
	}
}

void
check_route_match(struct checked *k)
{
	const Envoy__Config__Route__V3__RouteMatch *m = (const void *)k->m;
	const char *field = NULL, *value = "";

	if (m->path_specifier_case == ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_PREFIX)
		field = "prefix", value = m->prefix;
	else if (m->path_specifier_case ==
		 ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_PATH)
		field = "path", value = m->path;
	if (!field)
		return;
	if (value[0] && value[0] != '/')
		warn(k, field, "%s '%s' can never match: a path begins with '/'", field, value);
	else if (strpbrk(value, "?#"))
		warn(k, field, "%s '%s' can never match: the query is no part of the path", field,
		    value);
}

static void
check_cluster_name(struct checked *k, const char *name)
{
	bool validate = k->c->routes
			    ? conf_bool(k->c->routes->validate_clusters, k->c->routes_are_static)
			    : k->c->routes_are_static;
	struct map_slot *slot;
	struct near near;
	size_t i = 0;

	if (!validate || name[0] == '\0' || map_getz(&k->c->clusters, name))
		return;
	near_init(&near, str_of(name));
	while ((slot = map_next(&k->c->clusters, &i)))
		near_offer(&near, slot->key.p);
	fail_near(k, "cluster", near.best, "no cluster is called '%s'", name);
}

void
check_route_action(struct checked *k)
{
	const Envoy__Config__Route__V3__RouteAction *a = (const void *)k->m;

	if (a->cluster_specifier_case ==
	    ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__CLUSTER_SPECIFIER_CLUSTER)
		check_cluster_name(k, a->cluster);
	for (size_t i = 0; i < a->n_upgrade_configs; i++)
		for (size_t j = 0; j < i; j++)
			if (str_ieqz(str_of(a->upgrade_configs[i]->upgrade_type),
				a->upgrade_configs[j]->upgrade_type))
				fail_item(k, "upgrade_configs", (int)i, "'%s' is listed already",
				    a->upgrade_configs[i]->upgrade_type);
}

void
check_redirect(struct checked *k)
{
	const Envoy__Config__Route__V3__RedirectAction *r = (const void *)k->m;

	if (r->scheme_rewrite_specifier_case ==
		ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__SCHEME_REWRITE_SPECIFIER_SCHEME_REDIRECT &&
	    !is_header_name(str_of(r->scheme_redirect), false))
		fail(k, "scheme_redirect", "'%s' is not a scheme", r->scheme_redirect);
}

void
check_direct_response(struct checked *k)
{
	const Envoy__Config__Route__V3__DirectResponseAction *d = (const void *)k->m;
	size_t most = k->c->routes ? conf_u32(k->c->routes->max_direct_response_body_size_bytes,
					 DIRECT_BODY_DEFAULT)
				   : DIRECT_BODY_DEFAULT;
	struct strb body = {0};
	struct err err;

	if (d->body && data_source_is_there(d->body) &&
	    data_source_read(d->body, most, &body, &err) < 0)
		fail(k, "body", "%s", err.text);
	strb_fini(&body);
}
