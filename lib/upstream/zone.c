#include "lib/upstream/zone.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/upstream/cluster.h"

#include "envoy/config/core/v3/base.pb-c.h"

/* As a cluster's own hosts are looked at (host_set.c). */
#define LOOK_NS (10 * NS_PER_MS)
#define LOOK_PER_HOST_NS 10000

typedef Envoy__Config__Core__V3__Node Node;

struct zone *
zone_new(const void *node, const char *local_cluster)
{
	const Node *n = node;
	const Envoy__Config__Core__V3__Locality *l = n ? n->locality : NULL;
	struct zone *z = mem_new(struct zone);

	z->refs = 1;
	z->local_name = str_of(mem_strdup(local_cluster));
	if (l == NULL)
		return z;
	z->placed = true;
	z->here = locality_get(str_of(l->region), str_of(l->zone), str_of(l->sub_zone));
	return z;
}

struct zone *
zone_ref(struct zone *z)
{
	z->refs++;
	return z;
}

/* Localities are told apart by their addresses, so those that were seen must stay. */
static void
drop_siblings(struct zone *z)
{
	for (size_t i = 0; i < z->siblings.all.len; i++) {
		struct locality *l = (struct locality *)(uintptr_t)z->siblings.all.at[i].locality;

		locality_unref(&l);
	}
	vec_fini(&z->siblings.all);
}

static void
hold_siblings(struct zone *z)
{
	for (size_t i = 0; i < z->siblings.all.len; i++)
		locality_ref((struct locality *)(uintptr_t)z->siblings.all.at[i].locality);
}

void
zone_unref(struct zone **zp)
{
	struct zone *z = *zp;

	*zp = NULL;
	if (z == NULL || --z->refs > 0)
		return;
	locality_unref(&z->here);
	mem_free((void *)(uintptr_t)z->local_name.p);
	drop_siblings(z);
	mem_free(z);
}

bool
zone_same(const struct zone *a, const struct zone *b)
{
	return a->placed == b->placed && a->here == b->here && str_eq(a->local_name, b->local_name);
}

void
zone_set_local(struct zone *z, struct cluster *local)
{
	z->local = local;
	z->look_at_ns = 0;
}

void
zone_forget(struct zone *z, const struct cluster *gone)
{
	if (z->local == gone)
		z->local = NULL;
}

bool
zone_is_local(const struct zone *z, struct str cluster)
{
	return z->local_name.n && str_eq(z->local_name, cluster);
}

/* ---- siblings */

static void
count_host(struct locality_counts *to, struct priority_counts *sum, const struct host *h)
{
	struct locality_count *row = locality_counts_of(to, h->locality);
	enum host_health health = host_health(h);

	row->total++;
	sum->total++;
	sum->excluded += host_is_excluded(h);
	sum->degraded += health == HOST_DEGRADED;
	if (health != HOST_HEALTHY)
		return;
	sum->healthy++;
	row->healthy++;
	row->healthy_weight += h->weight;
}

static void
count_siblings(const struct cluster *c, struct locality_counts *to, struct priority_counts *sum)
{
	for (uint32_t i = 0; i < c->hosts_n; i++)
		if (c->hosts[i]->priority == 0)
			count_host(to, sum, c->hosts[i]);
}

static bool
is_as_seen(const struct zone *z, const struct locality_counts *c, const struct priority_counts *sum)
{
	if (c->all.len != z->siblings.all.len || memcmp(sum, &z->counts, sizeof(*sum)) != 0)
		return false;
	return c->all.len == 0 ||
	    memcmp(c->all.at, z->siblings.all.at, c->all.len * sizeof(*c->all.at)) == 0;
}

void
zone_look(struct zone *z, uint64_t now_ns)
{
	struct locality_counts counts = {0};
	struct priority_counts sum = {0};

	if (z->local == NULL || now_ns < z->look_at_ns)
		return;
	z->look_at_ns = now_ns + LOOK_NS + (uint64_t)z->local->hosts_n * LOOK_PER_HOST_NS;
	count_siblings(z->local, &counts, &sum);
	if (is_as_seen(z, &counts, &sum)) {
		vec_fini(&counts.all);
		return;
	}
	drop_siblings(z);
	z->siblings = counts;
	hold_siblings(z);
	z->counts = sum;
	z->serial++;
}
