#include "admin/config/diff.h"

#include <string.h>

#include "lib/base/mem.h"

typedef Envoy__Config__Bootstrap__V3__Bootstrap Bootstrap;

static void
add(struct diff *d, enum resource_kind kind, enum diff_change change, struct str name,
    const void *m)
{
	*vec_push(&d->rows) = (struct diff_row){kind, change, name, m};
	d->count[kind][change]++;
	if (kind == RESOURCE_CLUSTER)
		map_put(&d->clusters, name, d);
}

/* ---- one kind after the other: the new ones, then those that are gone */

static void
compare_clusters(struct diff *d, struct store *now, struct store *next)
{
	for (size_t i = 0; i < next->clusters.len; i++) {
		struct store_cluster *c = &next->clusters.at[i];
		struct str name = str_of(c->message->name);
		const struct store_cluster *old = store_cluster(now, name);

		if (old && old->version == c->version)
			c->updated_ns = old->updated_ns;
		else
			add(d, RESOURCE_CLUSTER, old ? DIFF_CHANGED : DIFF_ADDED, name, c->message);
	}
	for (size_t i = 0; i < now->clusters.len; i++) {
		struct str name = str_of(now->clusters.at[i].message->name);

		if (store_cluster(next, name) == NULL)
			add(d, RESOURCE_CLUSTER, DIFF_REMOVED, name, NULL);
	}
}

static void
compare_listeners(struct diff *d, struct store *now, struct store *next)
{
	for (size_t i = 0; i < next->listeners.len; i++) {
		struct store_listener *l = &next->listeners.at[i];
		const struct store_listener *old = store_listener(now, l->name);

		if (old && old->version == l->version)
			l->updated_ns = old->updated_ns;
		else
			add(d, RESOURCE_LISTENER, old ? DIFF_CHANGED : DIFF_ADDED, l->name,
			    l->message);
	}
	for (size_t i = 0; i < now->listeners.len; i++)
		if (store_listener(next, now->listeners.at[i].name) == NULL)
			add(d, RESOURCE_LISTENER, DIFF_REMOVED, now->listeners.at[i].name, NULL);
}

static bool
same(const void *a, const void *b)
{
	struct strb x = {0}, y = {0};
	bool equal;

	if (a == NULL || b == NULL)
		return a == b;
	resource_write(&x, RESOURCE_BOOTSTRAP, STR(""), a);
	resource_write(&y, RESOURCE_BOOTSTRAP, STR(""), b);
	equal = str_eq(strb_str(&x), strb_str(&y));
	strb_fini(&x);
	strb_fini(&y);
	return equal;
}

void
diff_make(struct diff *d, struct store *now, struct store *next)
{
	*d = (struct diff){0};
	if (!same(now->bootstrap, next->bootstrap))
		add(d, RESOURCE_BOOTSTRAP, DIFF_CHANGED, STR("bootstrap"), next->bootstrap);
	compare_clusters(d, now, next);
	compare_listeners(d, now, next);
}

void
diff_add_members(struct diff *d, struct store *next, struct str cluster)
{
	if (map_get(&d->clusters, cluster))
		return;
	add(d, RESOURCE_MEMBERS, DIFF_CHANGED, cluster, NULL);
	d->count[RESOURCE_CLUSTER][DIFF_CHANGED]++;
	store_cluster(next, cluster)->updated_ns = next->accepted_wall_ns;
}

void
diff_fini(struct diff *d)
{
	vec_fini(&d->rows);
	map_fini(&d->clusters);
}

int
diff_write(const struct diff *d, struct journal *j, struct err *err)
{
	for (size_t i = 0; i < d->rows.len; i++) {
		const struct diff_row *row = &d->rows.at[i];

		if (row->kind == RESOURCE_MEMBERS)
			continue;
		if (store_put(j, row->kind, row->name, row->message, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- in words */

static void
kind_text(const struct diff *d, enum resource_kind kind, const char *label, struct strb *out)
{
	static const char *const words[] = {"added", "changed", "removed"};
	bool any = false;

	for (unsigned i = 0; i < DIFF_CHANGES; i++) {
		if (d->count[kind][i] == 0)
			continue;
		if (any)
			strb_addz(out, ", ");
		else
			strb_printf(out, "%s%s: ", out->n ? "; " : "", label);
		strb_printf(out, "%u %s", d->count[kind][i], words[i]);
		any = true;
	}
}

void
diff_text(const struct diff *d, struct strb *out)
{
	size_t before = out->n;

	kind_text(d, RESOURCE_LISTENER, "listeners", out);
	kind_text(d, RESOURCE_CLUSTER, "clusters", out);
	if (out->n == before)
		strb_addz(out, d->rows.len ? "bootstrap: changed" : "nothing changed");
}

/* ---- what cannot change */

static const void *
admin_address(const Bootstrap *b)
{
	return b->admin ? b->admin->address : NULL;
}

static const char *
local_cluster(const Bootstrap *b)
{
	return b->cluster_manager ? b->cluster_manager->local_cluster_name : "";
}

const char *
diff_needs_restart(const struct store *now, const struct store *next)
{
	const Bootstrap *a = now->bootstrap, *b = next->bootstrap;

	if (!same(a->node, b->node))
		return "node";
	if (!same(admin_address(a), admin_address(b)))
		return "admin.address";
	if (!same(a->stats_config, b->stats_config))
		return "stats_config";
	if (strcmp(local_cluster(a), local_cluster(b)) != 0)
		return "cluster_manager.local_cluster_name";
	return NULL;
}
