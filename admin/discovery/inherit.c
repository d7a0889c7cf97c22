#include "admin/discovery/inherit.h"

#include "admin/admin.h"
#include "admin/config/names.h"
#include "admin/discovery/compose.h"
#include "conf/message.h"
#include "conf/resource.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/ipc/journal.h"
#include "lib/upstream/membership.h"

typedef Envoy__Config__Bootstrap__V3__Bootstrap Bootstrap;
typedef Envoy__Config__Cluster__V3__Cluster Cluster;

/* The members of one cluster, by their number there. */
struct heritage {
	struct member_cluster *cluster;
	VEC(struct endpoint) by_number; /* address.len 0: nobody */
	struct assignment_policy policy;
	bool has_policy;
};

/* ---- reading records of one cluster, in their order */

static void
forget_all(struct heritage *h)
{
	for (size_t i = 0; i < h->by_number.len; i++)
		endpoint_fini(&h->by_number.at[i]);
	vec_fini(&h->by_number);
}

static struct endpoint *
place_of(struct heritage *h, uint32_t number)
{
	while (h->by_number.len <= number)
		vec_push(&h->by_number);
	endpoint_fini(&h->by_number.at[number]);
	h->by_number.at[number] = (struct endpoint){0};
	return &h->by_number.at[number];
}

static void
take_entry(struct heritage *h, const struct membership_entry *e)
{
	switch (e->change) {
	case MEMBERSHIP_PUT:
		endpoint_copy(place_of(h, e->number), e->endpoint);
		break;
	case MEMBERSHIP_REMOVE:
		place_of(h, e->number);
		break;
	case MEMBERSHIP_POLICY:
		h->policy = e->policy;
		h->has_policy = true;
		break;
	}
}

static int
take_record(struct heritage *h, struct str bytes, struct err *err)
{
	struct membership_reader r;
	struct membership_entry e;
	int more;

	if (membership_open(&r, bytes, err) < 0)
		return -1;
	if (r.whole)
		forget_all(h);
	while ((more = membership_next(&r, &e, err)) > 0)
		take_entry(h, &e);
	membership_reader_fini(&r);
	return more;
}

/* ---- giving them to the model */

static bool
has_members(const struct heritage *h)
{
	for (size_t i = 0; i < h->by_number.len; i++)
		if (h->by_number.at[i].address.len)
			return true;
	return false;
}

static int
hand_over(struct members *m, struct heritage *h, struct err *err)
{
	struct compose c;
	struct arena arena;
	int rc;

	arena_init(&arena);
	compose_begin(&c, &arena);
	for (size_t i = 0; i < h->by_number.len; i++)
		if (h->by_number.at[i].address.len)
			compose_add(&c, &h->by_number.at[i]);
	rc = members_replace(m, h->cluster,
	    compose_end(&c, h->cluster->name, h->has_policy ? &h->policy : NULL), err);
	arena_fini(&arena);
	return rc;
}

/* ---- who may inherit: a cluster whose members come from where they came from before */

struct elder {
	struct arena arena;
	struct journal_state state;
	const Bootstrap *bootstrap; /* NULL: not readable */
};

static const Bootstrap *
bootstrap_of(struct elder *e)
{
	struct resource r;

	for (size_t i = 0; i < e->state.live.len; i++)
		if (e->state.live.at[i].kind == RESOURCE_BOOTSTRAP &&
		    resource_read(e->state.live.at[i].bytes, &r, NULL) == 0)
			return (const Bootstrap *)resource_message(&e->arena, &r, NULL);
	return NULL;
}

static const Cluster *
cluster_of(const Bootstrap *b, struct str name)
{
	for (size_t i = 0; b && b->static_resources && i < b->static_resources->n_clusters; i++)
		if (str_eqz(name, b->static_resources->clusters[i]->name))
			return b->static_resources->clusters[i];
	return NULL;
}

static bool
same_message(const void *a, const void *b)
{
	struct strb x = {0}, y = {0};
	bool same;

	if (a == NULL || b == NULL)
		return a == b;
	message_pack(a, &x);
	message_pack(b, &y);
	same = str_eq(strb_str(&x), strb_str(&y));
	strb_fini(&x);
	strb_fini(&y);
	return same;
}

static bool
same_source(const Cluster *a, const Cluster *b)
{
	if (names_are_in(a))
		return names_are_in(b);
	return a->cluster_discovery_type_case == b->cluster_discovery_type_case &&
	       a->type == b->type;
}

static bool
may_inherit(const struct elder *e, struct admin *a, struct str name)
{
	const struct store_cluster *s = store_cluster(&a->store, name);
	const Cluster *now = cluster_of(a->store.bootstrap, name);
	const Cluster *then = cluster_of(e->bootstrap, name);

	return s && s->assignment == NULL && now && then && same_source(now, then) &&
	       same_message(now->eds_cluster_config, then->eds_cluster_config) &&
	       same_message(now->load_assignment, then->load_assignment);
}

static int
inherit_cluster(
    struct admin *a, const struct elder *from, struct member_cluster *c, struct err *err)
{
	struct heritage h = {.cluster = c};
	int bad = 0;

	for (size_t i = 0; i < from->state.live.len && bad == 0; i++) {
		const struct journal_record *r = &from->state.live.at[i];

		if (r->kind != RESOURCE_MEMBERS || !str_eq(r->name, c->name))
			continue;
		bad = take_record(&h, r->bytes, err);
	}
	if (bad == 0 && has_members(&h)) /* none may also mean that nobody has told it any */
		bad = hand_over(&a->members, &h, err);
	forget_all(&h);
	return bad;
}

static void
inherit_all(struct admin *a, const struct elder *from)
{
	unsigned n = 0;

	for (size_t i = 0; i < a->members.clusters.len; i++) {
		struct member_cluster *c = a->members.clusters.at[i];
		struct err why = {""};

		if (!may_inherit(from, a, c->name))
			continue;
		if (inherit_cluster(a, from, c, &why) < 0)
			log_warning(LOG_UPSTREAM, "cluster '" STR_FMT "': members of the last generation: %s",
			    STR_ARG(c->name), why.text);
		n += c->initialised;
	}
	if (n)
		log_info(LOG_UPSTREAM,
		    "clusters: the members of %u are taken over from the last generation", n);
}

int
inherit_members(struct admin *a, struct err *err)
{
	struct elder from = {0};
	struct journal_map map;
	int bad;

	if (journal_map(&map, a->start->elder_journal_fd, a->start->elder_journal_use, err) < 0)
		return -1;
	bad = journal_read(&map, &from.state, err);
	if (bad == 0) {
		arena_init(&from.arena);
		from.bootstrap = bootstrap_of(&from);
		inherit_all(a, &from);
		arena_fini(&from.arena);
		journal_state_fini(&from.state);
	}
	journal_unmap(&map);
	return bad;
}
