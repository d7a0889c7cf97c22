#include "admin/discovery/members.h"

#include "admin/discovery/members_private.h"
#include "conf/defaults.h"
#include "lib/base/assert.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/upstream/blocks.h"

typedef Envoy__Config__Endpoint__V3__ClusterLoadAssignment Assignment;

/* Bits that take a host out of balancing; the operator's `drain` too: it gets nothing new. */
#define UNHEALTHY                                                                                  \
	(HOST_FAILED_ACTIVE_HC | HOST_FAILED_OUTLIER | HOST_FAILED_EDS | HOST_EDS_DRAINING |       \
	    HOST_OPERATOR_DRAIN | HOST_OPERATOR_FAIL)
#define DEGRADED (HOST_DEGRADED_ACTIVE_HC | HOST_DEGRADED_EDS)
#define EXCLUDED                                                                                   \
	(HOST_EXCLUDED_IMMEDIATE_HC_FAIL | HOST_PENDING_ACTIVE_HC | HOST_OPERATOR_DRAIN |          \
	    HOST_OPERATOR_FAIL)

/* ---- observers */

void
members_observe(struct members *m, const struct members_events *e, void *arg)
{
	*vec_push(&m->observers) = (struct members_observer){e, arg};
}

static void
mark(struct members *m, struct member_cluster *c)
{
	c->book.dirty = true;
	c->updated_ns = m->wall_ns ? m->wall_ns(m->arg) : 0;
	if (m->on_dirty && c->in_force)
		m->on_dirty(m->arg);
}

/* ---- strings of our own */

struct str
members_own(struct str s)
{
	return str_make(mem_strndup(s.p, s.n), s.n);
}

void
members_disown(struct str *s)
{
	mem_free((void *)(uintptr_t)s->p);
	*s = (struct str){"", 0};
}

/* ---- blocks that go when nobody uses them any more */

void
members_retire_later(struct members *m, struct str prefix, size_t cluster_n)
{
	*vec_push(&m->retiring) = (struct members_retired){
	    .prefix = members_own(prefix), .cluster_n = cluster_n, .covered = m->accepting};
}

void
members_retire_cluster_later(struct members *m, const struct member_cluster *c)
{
	members_retire_later(m, c->prefix, 0);
	member_zones_copy(&m->retiring.at[m->retiring.len - 1].zones, &c->zones);
}

/* ---- one member */

static void
note_status(struct member *x)
{
	bool failed = false, draining = false, degraded = false;

	switch (x->endpoint.status) {
	case ENVOY__CONFIG__CORE__V3__HEALTH_STATUS__UNHEALTHY:
	case ENVOY__CONFIG__CORE__V3__HEALTH_STATUS__TIMEOUT:
		failed = true;
		break;
	case ENVOY__CONFIG__CORE__V3__HEALTH_STATUS__DRAINING:
		failed = draining = true;
		break;
	case ENVOY__CONFIG__CORE__V3__HEALTH_STATUS__DEGRADED:
		degraded = true;
		break;
	default:
		break;
	}
	host_cell_set(x->cell, HOST_FAILED_EDS, failed);
	host_cell_set(x->cell, HOST_EDS_DRAINING, draining);
	host_cell_set(x->cell, HOST_DEGRADED_EDS, degraded);
}

/* A block that waits for its retirement still has the verdict on the one who left. */
static void
first_verdict(struct members *m, struct member *x)
{
	const struct host_cell *known = map_get(&m->inherited, x->prefix);

	if (m->keep_verdicts) { /* the last admin's */
		x->inherited = true;
		return;
	}
	x->inherited = known != NULL;
	host_cell_take(x->cell, known);
}

static int
make_blocks(struct members *m, struct str prefix, struct err *err)
{
	if (block_publish(m->segment, SCOPE_host, prefix, err) < 0)
		return -1;
	return block_publish(m->segment, SCOPE_host_outcome, prefix, err);
}

uint32_t
member_number(struct member_book *b)
{
	return b->free.len ? b->free.at[--b->free.len] : b->next_number++;
}

struct member *
member_add(struct members *m, struct member_cluster *c, const struct endpoint *e,
    struct str address, uint32_t number)
{
	struct member *x = mem_new(struct member);
	struct strb prefix = {0};

	host_prefix(&prefix, c->name, address);
	x->cluster = c;
	x->prefix = members_own(strb_str(&prefix));
	x->address = str_make(x->prefix.p + prefix.n - 1 - address.n, address.n);
	strb_fini(&prefix);
	endpoint_copy(&x->endpoint, e);
	x->number = number;
	x->place = (uint32_t)c->members.len;
	x->changed = true;
	make_blocks(m, x->prefix, NULL); /* the barrier may have retired what was made before a breath */
	x->cell = block_shared(SCOPE_host, x->prefix);
	*vec_push(&c->members) = x;
	map_put(&c->by_address, x->address, x);
	first_verdict(m, x);
	note_status(x);
	if (c->in_force && !x->inherited)
		host_cell_begins(x->cell, clock_mono_ns());
	TELL(m, added, x);
	return x;
}

static void
free_member(struct member *x)
{
	endpoint_fini(&x->endpoint);
	members_disown(&x->prefix);
	mem_free(x);
}

void
member_remove(struct members *m, struct member *x)
{
	struct member_cluster *c = x->cluster;
	struct member *last = c->members.at[c->members.len - 1];

	TELL_BACKWARDS(m, removed, x);
	last->place = x->place;
	c->members.at[x->place] = last;
	c->members.len--;
	map_remove(&c->by_address, x->address);
	*vec_push(&c->book.removed) = x->number;
	*vec_push(&c->book.free) = x->number;
	members_retire_later(m, x->prefix, c->name.n);
	free_member(x);
}

static void
set_leaving(struct member *x, bool leaving)
{
	x->leaving = leaving;
	host_cell_set(x->cell, HOST_PENDING_REMOVAL, leaving);
}

void
member_update(struct members *m, struct member *x, const struct endpoint *e)
{
	struct endpoint before = x->endpoint;

	endpoint_copy(&x->endpoint, e);
	x->changed = true;
	note_status(x);
	TELL(m, changed, x, &before);
	endpoint_fini(&before);
}

/* ---- all members of a cluster */

/* Asked before the first block is made: what is refused must leave nothing behind. */
static int
check_room(struct members *m, struct member_cluster *c, const struct assignment *a, struct err *err)
{
	static const enum stat_scope scopes[] = {SCOPE_host, SCOPE_host_outcome};
	uint64_t fresh = 0;

	for (size_t i = 0; i < a->list.len; i++) {
		char text[ADDRESS_TEXT];
		size_t n = address_format(&a->list.at[i].address, text);

		fresh += map_get(&c->by_address, str_make(text, n)) == NULL;
	}
	if (block_room_for(m->segment, scopes, 2, c->name.n + sizeof("|255.255.255.255:65535|"), fresh))
		return 0;
	return err_set(err, "endpoints: shared memory has no room for %llu more hosts",
	    (unsigned long long)fresh);
}

int
members_make_blocks(
    struct members *m, struct member_cluster *c, const struct assignment *a, struct err *err)
{
	struct strb prefix = {0};
	int bad = check_room(m, c, a, err);

	for (size_t i = 0; i < a->list.len && bad == 0; i++) {
		task_breathe();
		strb_reset(&prefix);
		host_block_prefix(&prefix, c->name, &a->list.at[i].address);
		bad = make_blocks(m, strb_str(&prefix), err);
	}
	strb_fini(&prefix);
	if (bad == 0)
		bad = member_zones_add(&c->zones, m->segment, c->prefix, m->own_zone, a, err);
	return bad;
}

/* A member that its check keeps: gone from discovery, and still passing. */
static bool
outlives_discovery(const struct member *x)
{
	return x->checked && !x->cluster->message->ignore_health_on_host_removal &&
	    !(host_cell_flags(x->cell) & (HOST_FAILED_ACTIVE_HC | HOST_FAILED_EDS));
}

/* numbers: of new members, where they are fixed already; or NULL. */
static bool
take_endpoints(struct members *m, struct member_cluster *c, const struct assignment *a,
    const uint32_t *numbers, uint64_t serial, bool *came)
{
	bool changed = false;

	for (size_t i = 0; i < a->list.len; i++) {
		char text[ADDRESS_TEXT];
		size_t n = address_format(&a->list.at[i].address, text);
		struct member *x;

		task_breathe();
		x = map_get(&c->by_address, str_make(text, n));
		if (x == NULL) {
			x = member_add(m, c, &a->list.at[i], str_make(text, n),
			    numbers ? numbers[i] : member_number(&c->book));
			*came = true;
		} else if (!endpoint_same(&x->endpoint, &a->list.at[i])) {
			member_update(m, x, &a->list.at[i]);
			changed = true;
		}
		if (x->leaving)
			set_leaving(x, false);
		x->mentioned = serial;
	}
	return changed;
}

static bool
let_others_go(struct members *m, struct member_cluster *c, uint64_t serial, bool keep_checked)
{
	bool went = false;

	for (size_t i = c->members.len; i-- > 0;) {
		struct member *x;

		task_breathe();
		if (i >= c->members.len) /* some went meanwhile */
			continue;
		x = c->members.at[i];
		if (x->mentioned == serial)
			continue;
		if (keep_checked && outlives_discovery(x)) {
			set_leaving(x, true);
			continue;
		}
		c->book.dirty = true; /* a turn of the barrier that comes meanwhile says so, too */
		member_remove(m, x);
		went = true;
	}
	return went;
}

static bool
take_policy(struct member_cluster *c, const struct assignment_policy *p)
{
	if (memcmp(&c->policy, p, sizeof(*p)) == 0)
		return false;
	c->policy = *p;
	c->book.policy = true;
	return true;
}

/* The comparison; true when workers must hear of it. */
bool
members_take(struct members *m, struct member_cluster *c, const struct assignment *a,
    const uint32_t *numbers, bool keep_checked)
{
	uint64_t serial = ++m->assignments;
	bool came = false;
	bool changed = take_endpoints(m, c, a, numbers, serial, &came);
	bool went = let_others_go(m, c, serial, keep_checked);
	bool other_policy = take_policy(c, &a->policy);

	if (came || went)
		stat_inc(&c->stats->membership_change);
	if (!(changed || came || went || other_policy))
		return false;
	mark(m, c);
	return true;
}

void
members_initialised(struct members *m, struct member_cluster *c)
{
	if (c->initialised)
		return;
	c->initialised = true;
	members_let_go(m, c);
}

/* The proxies of all zones are one priority: who stands where is all that is asked of them. */
static int
check_siblings(const struct members *m, const struct member_cluster *c, const struct assignment *a,
    struct err *err)
{
	if (m->local_cluster.n == 0 || !str_eq(m->local_cluster, c->name))
		return 0;
	for (size_t i = 0; i < a->list.len; i++)
		if (a->list.at[i].priority > 0)
			return err_set(err,
			    "endpoints: all members of the local cluster must be of priority 0, not %u",
			    a->list.at[i].priority);
	return 0;
}

int
members_replace(struct members *m, struct member_cluster *c, const Assignment *message, struct err *err)
{
	struct assignment a;

	if (assignment_read(&a, message, err) < 0)
		return -1;
	if (check_siblings(m, c, &a, err) < 0 || members_make_blocks(m, c, &a, err) < 0) {
		assignment_fini(&a);
		return -1;
	}
	stat_inc(&c->stats->update_success);
	if (!members_take(m, c, &a, NULL, true))
		stat_inc(&c->stats->update_no_rebuild);
	assignment_fini(&a);
	members_initialised(m, c);
	return 0;
}

int
members_check(const Assignment *message, struct err *err)
{
	struct assignment a;

	if (assignment_read(&a, message, err) < 0)
		return -1;
	assignment_fini(&a);
	return 0;
}

void
members_give_up(struct members *m, struct member_cluster *c)
{
	members_initialised(m, c);
}

void
members_checked(struct members *m, struct member *x)
{
	struct member_cluster *c = x->cluster;

	if (!x->leaving || outlives_discovery(x))
		return;
	member_remove(m, x);
	stat_inc(&c->stats->membership_change);
	mark(m, c);
}

/* ---- warming */

void
members_hold(struct member_cluster *c)
{
	c->warming++;
}

void
members_let_go(struct members *m, struct member_cluster *c)
{
	ASSERT(c->warming > 0);
	if (--c->warming == 0 && m->on_warm)
		m->on_warm(m->arg);
}

bool
members_are_warm(const struct members *m)
{
	for (size_t i = 0; i < m->clusters.len; i++) {
		const struct member_cluster *c = m->clusters.at[i];

		if (c->warming && !c->in_force && conf_bool(c->message->wait_for_warm_on_init, true))
			return false;
	}
	return true;
}

unsigned
members_warming(const struct members *m)
{
	unsigned n = 0;

	for (size_t i = 0; i < m->clusters.len; i++)
		n += m->clusters.at[i]->warming > 0;
	return n;
}

/* ---- life */

void
members_init(struct members *m)
{
	*m = (struct members){0};
	arena_init(&m->arena);
}

void
members_fini(struct members *m)
{
	members_forget_plans(m);
	while (m->clusters.len)
		members_end_cluster(m, m->clusters.len - 1);
	vec_fini(&m->clusters);
	vec_fini(&m->observers);
	for (size_t i = 0; i < m->retiring.len; i++) {
		members_disown(&m->retiring.at[i].prefix);
		member_zones_fini(&m->retiring.at[i].zones);
	}
	vec_fini(&m->retiring);
	map_fini(&m->by_name);
	map_fini(&m->inherited);
	arena_fini(&m->arena);
	if (m->own_zone.n)
		members_disown(&m->own_zone);
	if (m->local_cluster.n)
		members_disown(&m->local_cluster);
}

/* ---- for all */

struct member_cluster *
members_cluster(struct members *m, struct str name)
{
	return map_get(&m->by_name, name);
}

struct member *
member_find(struct member_cluster *c, struct str address)
{
	return map_get(&c->by_address, address);
}

struct member_health
member_cluster_health(const struct member_cluster *c)
{
	struct member_health h = {0};

	for (size_t i = 0; i < c->members.len; i++) {
		const struct member *x = c->members.at[i];
		uint32_t flags = host_cell_flags(x->cell);

		h.total++;
		h.excluded += (flags & EXCLUDED) != 0;
		if (flags & UNHEALTHY)
			;
		else if (flags & DEGRADED)
			h.degraded++;
		else
			h.healthy++;
		if (x->endpoint.weight > h.max_weight)
			h.max_weight = x->endpoint.weight;
	}
	return h;
}

void
members_count(struct members *m)
{
	for (size_t i = 0; i < m->clusters.len; i++) {
		struct member_cluster *c = m->clusters.at[i];
		struct member_health h = member_cluster_health(c);

		stat_set(&c->stats->membership_total, h.total);
		stat_set(&c->stats->membership_healthy, h.healthy);
		stat_set(&c->stats->membership_degraded, h.degraded);
		stat_set(&c->stats->membership_excluded, h.excluded);
		stat_set(&c->stats->max_host_weight, h.max_weight);
	}
}
