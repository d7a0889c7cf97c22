/* Names in a bootstrap: what must be unique, and what others refer to. */
#include <arpa/inet.h>
#include <stdio.h>

#include "conf/check_private.h"
#include "conf/names.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb-c.h"

#define Resources Envoy__Config__Bootstrap__V3__Bootstrap__StaticResources

static void
name_clusters(struct checked *k, const Resources *r)
{
	for (size_t i = 0; i < r->n_clusters; i++) {
		const char *name = r->clusters[i]->name;

		if (name[0] && map_put(&k->c->clusters, str_of(name), r->clusters[i]))
			fail_item(k, "clusters", (int)i, "a second cluster is called '%s'", name);
	}
}

static void
check_listener_names(struct checked *k, const Resources *r)
{
	struct map names = {0}, addresses = {0};
	char text[ADDRESS_TEXT];

	for (size_t i = 0; i < r->n_listeners; i++) {
		Envoy__Config__Listener__V3__Listener *l = r->listeners[i];
		const Envoy__Config__Listener__V3__Listener *first;

		if (l->name[0] && map_put(&names, str_of(l->name), l))
			fail_item(
			    k, "listeners", (int)i, "a second listener is called '%s'", l->name);
		if (!l->address || !address_is_fixed(l->address))
			continue;
		address_write(l->address, text);
		first = map_put(&addresses, arena_str(k->c->arena, str_of(text)), l);
		if (first)
			fail_item(k, "listeners", (int)i,
			    "%s is the address of listener '%s' already", text, first->name);
	}
	map_fini(&names);
	map_fini(&addresses);
}

void
check_bootstrap(
    struct check *c, const Envoy__Config__Bootstrap__V3__Bootstrap *b, const struct where *w)
{
	struct where at = {
	    .up = w, .field = STR("static_resources"), .index = -1, .doc = w->doc, .node = w->node};
	struct checked k = {.c = c, .w = &at};

	c->bootstrap = b;
	c->routes_are_static = true;
	if (b->static_resources) {
		k.m = &b->static_resources->base;
		name_clusters(&k, b->static_resources);
		check_listener_names(&k, b->static_resources);
	}
	check_message(c, &b->base, w);
}
