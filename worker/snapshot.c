#include "worker/snapshot.h"

#include <inttypes.h>

#include "conf/resource.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb-c.h"
#include "lib/base/log.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "lib/base/vec.h"
#include "lib/ipc/journal.h"
#include "lib/upstream/cluster.h"
#include "lib/upstream/zone.h"
#include "worker/listener/config.h"
#include "worker/membership.h"

struct snapshot_entry {
	struct str name;
	uint64_t version; /* of the cluster's message: the same means the same cluster */
	struct cluster *cluster;
};

struct snapshot {
	uint32_t refs;
	struct arena arena;
	struct loop *loop;
	uint64_t offset;
	struct map clusters; /* name → struct snapshot_entry */
	VEC(struct listener_config *) listeners;
	const char *node_cluster, *node_id;
	struct zone *zone; /* a reference */
};

static unsigned living;

unsigned
snapshots_alive(void)
{
	return living;
}

struct snapshot *
snapshot_ref(struct snapshot *s)
{
	s->refs++;
	return s;
}

static void
snapshot_free(struct snapshot *s)
{
	struct map_slot *slot;
	size_t i = 0;

	log_debug(LOG_CONFIG, "snapshot: freed, offset=%" PRIu64 " left=%u", s->offset, living - 1);
	while ((slot = map_next(&s->clusters, &i)) != NULL) {
		struct snapshot_entry *e = slot->value;

		cluster_unref(&e->cluster);
	}
	map_fini(&s->clusters);
	vec_fini(&s->listeners);
	zone_unref(&s->zone);
	arena_fini(&s->arena);
	mem_free(s);
	living--;
}

void
snapshot_unref(struct snapshot **sp)
{
	struct snapshot *s = *sp;

	*sp = NULL;
	if (s && --s->refs == 0)
		snapshot_free(s);
}

struct cluster *
snapshot_cluster(const struct snapshot *s, struct str name)
{
	struct snapshot_entry *e = map_get(&s->clusters, name);

	return e ? e->cluster : NULL;
}

const struct listener_config *
snapshot_listener(const struct snapshot *s, unsigned i)
{
	return i < s->listeners.len ? s->listeners.at[i] : NULL;
}

const struct listener_config *
snapshot_listener_by_key(const struct snapshot *s, struct str key)
{
	for (size_t i = 0; i < s->listeners.len; i++)
		if (str_eq(s->listeners.at[i]->key, key))
			return s->listeners.at[i];
	return NULL;
}

uint64_t
snapshot_offset(const struct snapshot *s)
{
	return s->offset;
}

/* ---- building */

struct snapshot_build {
	struct snapshot *to;
	struct snapshot *now; /* one reference, or NULL */
	unsigned worker;
	struct journal_map map;
	struct journal_state state;
	unsigned pass;
	size_t next;
	struct membership membership;
	bool members_only;
	uint64_t at, upto; /* then: of the journal */
};

/* Clusters that two snapshots share are of one zone. */
static struct zone *
zone_of(const struct snapshot_build *b, const Envoy__Config__Bootstrap__V3__Bootstrap *m)
{
	struct zone *z =
	    zone_new(m->node, m->cluster_manager ? m->cluster_manager->local_cluster_name : "");

	if (b->now && b->now->zone && zone_same(z, b->now->zone)) {
		zone_unref(&z);
		z = zone_ref(b->now->zone);
	}
	return z;
}

static int
build_bootstrap(struct snapshot_build *b, const struct resource *r, struct err *err)
{
	const Envoy__Config__Bootstrap__V3__Bootstrap *m;
	struct arena scratch;
	const ProtobufCMessage *any;

	arena_init(&scratch);
	any = resource_message(&scratch, r, err);
	m = (const void *)any;
	if (m)
		b->to->zone = zone_of(b, m);
	if (m && m->node) {
		b->to->node_cluster = arena_str(&b->to->arena, str_of(m->node->cluster)).p;
		b->to->node_id = arena_str(&b->to->arena, str_of(m->node->id)).p;
	}
	arena_fini(&scratch);
	return any ? 0 : -1;
}

static void
add_cluster(struct snapshot *s, const struct resource *r, struct cluster *c)
{
	struct snapshot_entry *e = arena_new(&s->arena, struct snapshot_entry);

	e->name = arena_str(&s->arena, r->name);
	e->version = r->version;
	e->cluster = c;
	map_put(&s->clusters, e->name, e);
}

static int
build_cluster(struct snapshot_build *b, const struct resource *r, struct err *err)
{
	struct snapshot_entry *e = b->now ? map_get(&b->now->clusters, r->name) : NULL;
	const ProtobufCMessage *m;
	struct cluster *c = NULL;
	struct arena scratch;
	int bad;

	if (e && e->version == r->version) {
		add_cluster(b->to, r, cluster_ref(e->cluster));
		return 0;
	}
	arena_init(&scratch);
	m = resource_message(&scratch, r, err);
	bad = m ? cluster_build(&c, m, b->to->loop, err) : -1;
	arena_fini(&scratch);
	if (bad == 0) {
		cluster_set_zone(c, b->to->zone);
		add_cluster(b->to, r, c);
	}
	return bad;
}

static int
build_listener(struct snapshot_build *b, const struct resource *r, struct err *err)
{
	struct listener_build lb = {
	    .arena = &b->to->arena,
	    .snapshot = b->to,
	    .node_cluster = b->to->node_cluster,
	    .node_id = b->to->node_id,
	    .worker = b->worker,
	};
	const ProtobufCMessage *m = resource_message(&b->to->arena, r, err);
	struct listener_config *c;

	if (m == NULL || listener_config_build(&c, r->name, m, &lb, err) < 0)
		return -1;
	*vec_push(&b->to->listeners) = c;
	return 0;
}

/* Of a cluster that was removed nothing is left to do. */
static int
build_members(struct snapshot_build *b, const struct resource *r, struct err *err)
{
	struct snapshot_entry *e = map_get(&b->to->clusters, r->name);
	struct snapshot_entry *before = b->now ? map_get(&b->now->clusters, r->name) : NULL;

	if (e == NULL)
		return 0;
	return membership_add(&b->membership, e->cluster,
	    before == NULL || before->cluster != e->cluster, r->packed, err);
}

/* What is built when: a listener finds its clusters, everything finds the node. */
static const struct {
	enum resource_kind kind;
	int (*build)(struct snapshot_build *, const struct resource *, struct err *);
} passes[] = {
    {RESOURCE_BOOTSTRAP, build_bootstrap},
    {RESOURCE_CLUSTER, build_cluster},
    {RESOURCE_MEMBERS, build_members},
    {RESOURCE_LISTENER, build_listener},
};

static bool
is_known(unsigned kind)
{
	for (size_t i = 0; i < ARRAY_LEN(passes); i++)
		if (passes[i].kind == kind)
			return true;
	return false;
}

static int
check_kinds(const struct journal_state *s, struct err *err)
{
	for (size_t i = 0; i < s->live.len; i++)
		if (!is_known(s->live.at[i].kind))
			return err_set(err,
			    "record '" STR_FMT "' is of kind %u, which a worker does not take",
			    STR_ARG(s->live.at[i].name), s->live.at[i].kind);
	return 0;
}

static struct snapshot *
snapshot_new(struct loop *l)
{
	struct snapshot *s = mem_new(struct snapshot);

	s->refs = 1;
	s->loop = l;
	s->node_cluster = s->node_id = "";
	arena_init(&s->arena);
	living++;
	return s;
}

struct snapshot_build *
snapshot_build_start(struct loop *l, unsigned worker, int journal_fd, uint64_t offset,
    struct snapshot *now, struct err *err)
{
	struct snapshot_build *b = mem_new(struct snapshot_build);

	b->to = snapshot_new(l);
	b->upto = offset;
	membership_init(&b->membership);
	b->now = now ? snapshot_ref(now) : NULL;
	b->worker = worker;
	if (journal_map(&b->map, journal_fd, offset, err) < 0 ||
	    journal_read(&b->map, &b->state, err) < 0 || check_kinds(&b->state, err) < 0)
		snapshot_build_free(&b);
	return b;
}

static int
read_record(const struct journal_record *j, struct resource *out, struct err *err)
{
	if (j->kind != RESOURCE_MEMBERS)
		return resource_read(j->bytes, out, err);
	*out = (struct resource){.kind = RESOURCE_MEMBERS, .name = j->name, .packed = j->bytes};
	return 0;
}

static int
build_record(struct snapshot_build *b, const struct journal_record *j, struct err *err)
{
	struct resource r;

	if (read_record(j, &r, err) < 0 || passes[b->pass].build(b, &r, err) < 0)
		return err_in(err, "%s '" STR_FMT "'", resource_kind_name(passes[b->pass].kind),
		    STR_ARG(j->name));
	return 0;
}

/* 1: one more was begun; 0: there is none; -1. */
static int
next_record(struct snapshot_build *b, struct err *err)
{
	for (; b->pass < ARRAY_LEN(passes); b->pass++, b->next = 0) {
		while (b->next < b->state.live.len) {
			const struct journal_record *j = &b->state.live.at[b->next++];

			if (j->kind != passes[b->pass].kind)
				continue;
			return build_record(b, j, err) < 0 ? -1 : 1;
		}
		if (passes[b->pass].kind == RESOURCE_MEMBERS && membership_use_fresh(&b->membership))
			return 1; /* the same pass again */
	}
	return 0;
}

static int
next_members(struct snapshot_build *b, struct err *err)
{
	struct journal_record j;
	int more = journal_next(&b->map, &b->at, &j);

	if (more <= 0)
		return more < 0 ? err_set(err, "journal: damaged") : 0;
	b->pass = 2; /* of passes[] */
	return build_record(b, &j, err) < 0 ? -1 : 1;
}

int
snapshot_build_step(struct snapshot_build *b, struct err *err)
{
	int more = membership_step(&b->membership, err);

	if (more != 0)
		return more;
	return b->members_only ? next_members(b, err) : next_record(b, err);
}

struct snapshot *
snapshot_build_take(struct snapshot_build *b)
{
	struct snapshot *s = b->to;

	membership_use(&b->membership);
	if (s->zone)
		zone_set_local(s->zone, snapshot_cluster(s, s->zone->local_name));
	s->offset = b->upto;
	b->to = NULL;
	return s;
}

/* ---- members only */

static bool
is_members_only(const struct journal_map *m, uint64_t from)
{
	struct journal_record j;
	int more;

	while ((more = journal_next(m, &from, &j)) > 0)
		if (j.kind != RESOURCE_MEMBERS || j.removed)
			return false;
	return more == 0;
}

struct snapshot_build *
snapshot_build_members(int journal_fd, uint64_t from, uint64_t offset, struct snapshot *now)
{
	struct snapshot_build *b;
	struct journal_map map;

	if (from == 0 || from > offset || journal_map(&map, journal_fd, offset, NULL) < 0)
		return NULL;
	if (!is_members_only(&map, from)) {
		journal_unmap(&map);
		return NULL;
	}
	b = mem_new(struct snapshot_build);
	b->to = snapshot_ref(now);
	b->now = snapshot_ref(now);
	b->map = map;
	b->members_only = true;
	b->at = from;
	b->upto = offset;
	membership_init(&b->membership);
	return b;
}

void
snapshot_build_free(struct snapshot_build **bp)
{
	struct snapshot_build *b = *bp;

	*bp = NULL;
	if (b == NULL)
		return;
	membership_fini(&b->membership);
	snapshot_unref(&b->to);
	snapshot_unref(&b->now);
	journal_state_fini(&b->state);
	journal_unmap(&b->map);
	mem_free(b);
}
