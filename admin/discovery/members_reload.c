/* Clusters come and go with the configuration: what start-up and reloads ask of the members. */
#include "admin/blocks.h"
#include "admin/config/store.h"
#include "admin/discovery/members_private.h"
#include "lib/base/mem.h"
#include "lib/upstream/blocks.h"
#include "lib/upstream/thresholds.h"

/* ---- clusters come and go */

static int
publish_cluster(struct members *m, const struct store_cluster *s, struct err *err)
{
	struct strb prefix = {0};
	int bad;

	cluster_block_prefix(&prefix, s->message);
	bad = blocks_publish_cluster(
	    m->segment, strb_str(&prefix), s->message->n_health_checks > 0,
	    s->message->outlier_detection != NULL, err);
	strb_fini(&prefix);
	return bad;
}

/* Under the name that the stats are about to have. */
static int
publish_zones(struct members *m, const struct member_cluster *c, const struct store_cluster *s,
    struct err *err)
{
	struct strb prefix = {0};
	int bad;

	cluster_block_prefix(&prefix, s->message);
	bad = member_zones_publish(&c->zones, m->segment, strb_str(&prefix), m->own_zone, err);
	strb_fini(&prefix);
	return bad;
}

/* alt_stat_name may be another one than before. */
static void
take_message(struct members *m, struct member_cluster *c, const struct store_cluster *s)
{
	struct strb prefix = {0};

	cluster_block_prefix(&prefix, s->message);
	if (c->prefix.n && !str_eq(c->prefix, strb_str(&prefix)))
		members_retire_cluster_later(m, c);
	if (c->prefix.n)
		members_disown(&c->prefix);
	c->prefix = members_own(strb_str(&prefix));
	strb_fini(&prefix);
	c->message = s->message;
	c->names = s->names;
	c->version_hash = s->version;
	c->stats = block_stats(SCOPE_cluster, c->prefix);
	thresholds_publish(c->stats, c->message);
}

static struct member_cluster *
add_cluster(struct members *m, const struct store_cluster *s)
{
	struct member_cluster *c = mem_new(struct member_cluster);

	c->name = members_own(str_of(s->message->name));
	take_message(m, c, s);
	c->policy.overprovisioning = OVERPROVISIONING;
	c->book.whole = c->book.dirty = true;
	c->warming = 1;
	*vec_push(&m->clusters) = c;
	map_put(&m->by_name, c->name, c);
	TELL(m, cluster_added, c);
	return c;
}

static void
free_cluster(struct member_cluster *c)
{
	vec_fini(&c->members);
	vec_fini(&c->book.removed);
	vec_fini(&c->book.free);
	map_fini(&c->by_address);
	strb_fini(&c->version);
	member_zones_fini(&c->zones);
	members_disown(&c->name);
	members_disown(&c->prefix);
	mem_free(c);
}

void
members_end_cluster(struct members *m, size_t at)
{
	struct member_cluster *c = m->clusters.at[at];

	while (c->members.len)
		member_remove(m, c->members.at[c->members.len - 1]);
	TELL_BACKWARDS(m, cluster_removed, c);
	map_remove(&m->by_name, c->name);
	vec_remove(&m->clusters, at);
	members_retire_cluster_later(m, c);
	free_cluster(c);
}

/* ---- start-up and reload */

static void
plan_fini(struct members_plan *p)
{
	assignment_fini(&p->assignment);
	vec_fini(&p->numbers);
}

static bool
is_as_planned(const struct members_plan *p)
{
	const struct member_cluster *c = p->cluster;
	const struct assignment *a = &p->assignment;

	if (c->members.len != a->list.len || memcmp(&c->policy, &a->policy, sizeof(a->policy)) != 0)
		return false;
	for (size_t i = 0; i < a->list.len; i++) {
		char text[ADDRESS_TEXT];
		size_t n = address_format(&a->list.at[i].address, text);
		const struct member *x = map_get(&c->by_address, str_make(text, n));

		if (x == NULL || x->leaving || !endpoint_same(&x->endpoint, &a->list.at[i]))
			return false;
	}
	return true;
}

static int
plan(struct members *m, struct member_cluster *c, const struct store_cluster *s, struct err *err)
{
	struct members_plan *p = vec_push(&m->plans);

	p->cluster = c;
	if (assignment_read(&p->assignment, s->assignment, err) < 0)
		return err_in(err, "load_assignment");
	if (members_make_blocks(m, c, &p->assignment, err) < 0)
		return -1;
	if (c->initialised && is_as_planned(p)) {
		plan_fini(p);
		m->plans.len--;
	}
	return 0;
}

void
members_forget_plans(struct members *m)
{
	for (size_t i = 0; i < m->plans.len; i++)
		plan_fini(&m->plans.at[i]);
	vec_fini(&m->plans);
}

/* What was written of it in this turn needs not be said again, unless more came meanwhile. */
static void
carry_out(struct members *m, const struct members_plan *p)
{
	struct member_cluster *c = p->cluster;
	bool said = p->numbers.len == p->assignment.list.len && c->book.written && !c->book.dirty;

	members_take(m, c, &p->assignment, said ? p->numbers.at : NULL, false);
	members_initialised(m, c);
	if (said)
		members_said(c);
	else
		c->book.whole = true;
}

static int
prepare_cluster(struct members *m, const struct store_cluster *s, struct err *err)
{
	struct member_cluster *c = members_cluster(m, str_of(s->message->name));
	bool fresh = c == NULL;
	size_t before = m->plans.len;

	if (publish_cluster(m, s, err) < 0)
		return -1;
	if (fresh)
		c = add_cluster(m, s);
	if (s->assignment == NULL)
		return publish_zones(m, c, s, err);
	if (plan(m, c, s, err) < 0 || publish_zones(m, c, s, err) < 0)
		return -1;
	if (fresh && m->plans.len > before) {
		carry_out(m, &m->plans.at[before]);
		plan_fini(&m->plans.at[before]);
		m->plans.len = before;
	}
	return 0;
}

/* Neither can change without a hot restart. */
static void
find_own_place(struct members *m, const struct store *s)
{
	const Envoy__Config__Core__V3__Node *n = s->bootstrap->node;
	const Envoy__Config__Bootstrap__V3__ClusterManager *cm = s->bootstrap->cluster_manager;

	if (m->own_zone.n == 0 && n && n->locality && n->locality->zone[0])
		m->own_zone = members_own(str_of(n->locality->zone));
	if (m->local_cluster.n == 0 && cm && cm->local_cluster_name[0])
		m->local_cluster = members_own(str_of(cm->local_cluster_name));
}

int
members_prepare(struct members *m, struct store *next, struct err *err)
{
	find_own_place(m, next);
	for (size_t i = 0; i < next->clusters.len; i++) {
		const struct store_cluster *s = &next->clusters.at[i];

		task_breathe();
		if (prepare_cluster(m, s, err) < 0) {
			err_in(err, "cluster '%s'", s->message->name);
			members_drop(m);
			return -1;
		}
	}
	return 0;
}

/* Numbers that a plan took for new members. */
static void
give_numbers_back(struct members_plan *p)
{
	for (size_t i = 0; i < p->numbers.len; i++) {
		char text[ADDRESS_TEXT];
		size_t n = address_format(&p->assignment.list.at[i].address, text);

		if (map_get(&p->cluster->by_address, str_make(text, n)) == NULL)
			*vec_push(&p->cluster->book.free) = p->numbers.at[i];
	}
}

void
members_drop(struct members *m)
{
	for (size_t i = 0; i < m->plans.len; i++)
		give_numbers_back(&m->plans.at[i]);
	members_forget_plans(m);
	for (size_t i = m->clusters.len; i-- > 0;)
		if (!m->clusters.at[i]->in_force)
			members_end_cluster(m, i);
}

static void
accept_cluster(struct members *m, struct member_cluster *c, const struct store_cluster *s)
{
	bool other = c->version_hash != s->version;

	c->in_force = true;
	take_message(m, c, s);
	if (other)
		TELL(m, cluster_changed, c);
}

void
members_accept(struct members *m, struct store *next)
{
	m->accepting = true; /* workers know all of it */
	for (size_t i = m->clusters.len; i-- > 0;)
		if (store_cluster(next, m->clusters.at[i]->name) == NULL)
			members_end_cluster(m, i);
	for (size_t i = 0; i < m->clusters.len; i++)
		accept_cluster(m, m->clusters.at[i], store_cluster(next, m->clusters.at[i]->name));
	for (size_t i = 0; i < m->plans.len; i++)
		carry_out(m, &m->plans.at[i]);
	members_forget_plans(m);
	m->accepting = false;
	if (members_are_dirty(m) && m->on_dirty)
		m->on_dirty(m->arg);
}
