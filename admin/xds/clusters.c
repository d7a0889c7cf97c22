#include "admin/xds/clusters.h"

#include "admin/admin.h"
#include "admin/discovery/compose.h"
#include "lib/upstream/cluster.h"

typedef Envoy__Config__Cluster__V3__CircuitBreakers Breakers;
typedef Envoy__Config__Cluster__V3__CircuitBreakers__Thresholds Thresholds;

static struct own_cluster *
find(struct own_clusters *o, struct str name)
{
	for (size_t i = 0; i < o->list.len; i++)
		if (str_eq(o->list.at[i].cluster->name, name))
			return &o->list.at[i];
	return NULL;
}

static bool
is_as_built(const struct own_cluster *mine, const struct member_cluster *now)
{
	return now && mine->version == now->version_hash && mine->updated_ns == now->updated_ns;
}

/* remaining_* of admin's lane say what is allowed (lib/upstream/thresholds.h): not to be counted down. */
static Breakers *
without_remaining(struct arena *a, const Breakers *from)
{
	Breakers *m = arena_new(a, Breakers);

	*m = *from;
	m->thresholds = arena_zalloc(a, (from->n_thresholds + 1) * sizeof(Thresholds *));
	for (size_t i = 0; i < from->n_thresholds; i++) {
		m->thresholds[i] = arena_new(a, Thresholds);
		*m->thresholds[i] = *from->thresholds[i];
		m->thresholds[i]->track_remaining = false;
	}
	return m;
}

static int
build(struct cluster **out, struct admin *a, const struct member_cluster *c, struct err *err)
{
	Envoy__Config__Cluster__V3__Cluster message = *c->message; /* shares what is below */
	struct compose compose;
	struct arena arena;
	int rc;

	arena_init(&arena);
	compose_begin(&compose, &arena);
	for (size_t i = 0; i < c->members.len; i++)
		compose_add(&compose, &c->members.at[i]->endpoint);
	if (message.circuit_breakers)
		message.circuit_breakers = without_remaining(&arena, message.circuit_breakers);
	message.load_assignment = compose_end(&compose, c->name, &c->policy);
	rc = cluster_build(out, &message, a->loop, err);
	arena_fini(&arena);
	return rc;
}

struct cluster *
own_clusters_get(struct own_clusters *o, struct admin *a, struct str name, struct err *err)
{
	const struct member_cluster *now = members_cluster(&a->members, name);
	struct own_cluster *mine = find(o, name);
	struct cluster *built;

	if (now == NULL) {
		err_set(err, "there is no cluster '" STR_FMT "'", STR_ARG(name));
		return NULL;
	}
	if (mine && is_as_built(mine, now))
		return mine->cluster;
	if (build(&built, a, now, err) < 0)
		return NULL;
	if (mine == NULL)
		mine = vec_push(&o->list);
	cluster_unref(&mine->cluster);
	*mine = (struct own_cluster){built, now->version_hash, now->updated_ns};
	return built;
}

void
own_clusters_prune(struct own_clusters *o, struct admin *a)
{
	for (size_t i = o->list.len; i-- > 0;) {
		struct own_cluster *mine = &o->list.at[i];

		if (is_as_built(mine, members_cluster(&a->members, mine->cluster->name)))
			continue;
		cluster_unref(&mine->cluster);
		vec_remove(&o->list, i);
	}
}

void
own_clusters_fini(struct own_clusters *o)
{
	for (size_t i = 0; i < o->list.len; i++)
		cluster_unref(&o->list.at[i].cluster);
	vec_fini(&o->list);
}
