#include "worker/membership.h"

#include "lib/base/mem.h"
#include "lib/upstream/cluster.h"
#include "lib/upstream/cluster_update.h"

void
membership_init(struct membership *m)
{
	*m = (struct membership){0};
}

void
membership_fini(struct membership *m)
{
	for (size_t i = 0; i < m->works.len; i++) {
		struct membership_work *w = m->works.at[i];

		cluster_update_free(&w->update);
		cluster_unref(&w->cluster);
		mem_free(w);
	}
	vec_fini(&m->works);
	map_fini(&m->by_cluster);
	*m = (struct membership){0};
}

static struct membership_work *
work_of(struct membership *m, struct cluster *c, bool fresh)
{
	struct membership_work *w = map_get(&m->by_cluster, c->name);

	if (w)
		return w;
	w = mem_new(struct membership_work);
	w->cluster = cluster_ref(c);
	w->update = cluster_update_new(c);
	w->fresh = fresh;
	*vec_push(&m->works) = w;
	map_put(&m->by_cluster, c->name, w);
	return w;
}

int
membership_add(
    struct membership *m, struct cluster *c, bool fresh, struct str bytes, struct err *err)
{
	m->reading = work_of(m, c, fresh);
	return cluster_update_record(m->reading->update, bytes, err);
}

int
membership_step(struct membership *m, struct err *err)
{
	int more = m->reading ? cluster_update_step(m->reading->update, err) : 0;

	if (more <= 0)
		m->reading = NULL;
	return more;
}

bool
membership_use_fresh(struct membership *m)
{
	while (m->next < m->works.len) {
		struct membership_work *w = m->works.at[m->next++];

		if (!w->fresh)
			continue;
		cluster_update_use(w->update);
		return true;
	}
	return false;
}

void
membership_use(struct membership *m)
{
	while (membership_use_fresh(m))
		;
	for (size_t i = 0; i < m->works.len; i++)
		if (!m->works.at[i]->fresh)
			cluster_update_use(m->works.at[i]->update);
}
