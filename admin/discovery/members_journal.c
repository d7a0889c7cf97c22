/* What the journal says of members: written in turns of the barrier, read by an admin that replaces one. */
#include <inttypes.h>
#include <stdio.h>

#include "admin/blocks.h"
#include "admin/config/store.h"
#include "admin/discovery/members_private.h"
#include "conf/resource.h"
#include "lib/base/mem.h"
#include "lib/ipc/journal.h"
#include "lib/upstream/membership.h"
#include "shm/lane.h"

/* ---- writing */

void
members_said(struct member_cluster *c)
{
	for (size_t i = 0; i < c->members.len; i++)
		c->members.at[i]->changed = false;
	c->book.removed.len = 0;
	c->book.dirty = c->book.whole = c->book.policy = false;
}

static int
append(struct members *m, struct member_cluster *c, struct journal *j, struct membership_writer *w,
    bool whole, struct err *err)
{
	struct member_book *b = &c->book;
	struct str bytes = strb_str(&w->bytes);
	char version[17];
	int bad;

	snprintf(version, sizeof(version), "%016" PRIx64, m->serial);
	bad = (whole ? journal_append : journal_append_more)(
	    j, RESOURCE_MEMBERS, c->name, str_of(version), bytes, err);
	b->serial = m->serial;
	b->written = b->known = true;
	b->whole_bytes = whole ? bytes.n : b->whole_bytes;
	b->more_bytes = whole ? 0 : b->more_bytes + bytes.n;
	return bad;
}

static int
write_whole(struct members *m, struct member_cluster *c, struct journal *j, struct err *err)
{
	struct membership_writer w;
	int bad;

	membership_begin(&w, true, (uint32_t)c->members.len, c->book.serial, ++m->serial);
	membership_policy(&w, &c->policy);
	for (size_t i = 0; i < c->members.len; i++)
		membership_put(&w, c->members.at[i]->number, &c->members.at[i]->endpoint);
	bad = append(m, c, j, &w, true, err);
	membership_writer_fini(&w);
	return bad;
}

/* Removals come first: a number may have a new member already. */
static int
write_difference(struct members *m, struct member_cluster *c, struct journal *j, struct err *err)
{
	struct member_book *b = &c->book;
	struct membership_writer w;
	int bad;

	membership_begin(&w, false, (uint32_t)c->members.len, b->serial, ++m->serial);
	for (size_t i = 0; i < b->removed.len; i++)
		membership_remove(&w, b->removed.at[i]);
	for (size_t i = 0; i < c->members.len; i++)
		if (c->members.at[i]->changed)
			membership_put(&w, c->members.at[i]->number, &c->members.at[i]->endpoint);
	if (b->policy)
		membership_policy(&w, &c->policy);
	bad = append(m, c, j, &w, false, err);
	membership_writer_fini(&w);
	return bad;
}

/* Differences may grow to half of what they are differences of. */
static int
write_cluster(struct members *m, struct member_cluster *c, struct journal *j, struct err *err)
{
	bool whole = c->book.whole || !c->book.known ||
	    c->book.more_bytes > c->book.whole_bytes / 2;
	int bad = whole ? write_whole(m, c, j, err) : write_difference(m, c, j, err);

	members_said(c);
	return bad;
}

static void
fix_numbers(struct members_plan *p)
{
	p->numbers.len = 0;
	for (size_t i = 0; i < p->assignment.list.len; i++) {
		char text[ADDRESS_TEXT];
		size_t n = address_format(&p->assignment.list.at[i].address, text);
		const struct member *x = member_find(p->cluster, str_make(text, n));

		*vec_push(&p->numbers) = x ? x->number : member_number(&p->cluster->book);
	}
}

static int
write_plan(struct members *m, struct members_plan *p, struct journal *j, struct err *err)
{
	struct member_cluster *c = p->cluster;
	struct membership_writer w;
	int bad;

	fix_numbers(p);
	membership_begin(&w, true, (uint32_t)p->numbers.len, c->book.serial, ++m->serial);
	membership_policy(&w, &p->assignment.policy);
	for (size_t i = 0; i < p->numbers.len; i++)
		membership_put(&w, p->numbers.at[i], &p->assignment.list.at[i]);
	bad = append(m, c, j, &w, true, err);
	membership_writer_fini(&w);
	return bad;
}

static int
write_removed(struct members *m, struct journal *j, struct store *next, struct err *err)
{
	for (size_t i = 0; i < m->clusters.len; i++) {
		struct member_cluster *c = m->clusters.at[i];

		if (c->book.known && store_cluster(next, c->name) == NULL &&
		    journal_remove(j, RESOURCE_MEMBERS, c->name, err) < 0)
			return -1;
	}
	return 0;
}

int
members_write(struct members *m, struct journal *j, struct store *next, struct err *err)
{
	for (size_t i = 0; i < m->retiring.len; i++)
		m->retiring.at[i].covered = true;
	for (size_t i = 0; i < m->clusters.len; i++) {
		struct member_cluster *c = m->clusters.at[i];

		c->book.written = false;
		if (c->book.dirty && (c->in_force || next) && write_cluster(m, c, j, err) < 0)
			return -1;
	}
	if (next == NULL)
		return 0;
	for (size_t i = 0; i < m->plans.len; i++)
		if (write_plan(m, &m->plans.at[i], j, err) < 0)
			return -1;
	return write_removed(m, j, next, err);
}

bool
members_are_dirty(const struct members *m)
{
	for (size_t i = 0; i < m->clusters.len; i++)
		if (m->clusters.at[i]->book.dirty && m->clusters.at[i]->in_force)
			return true;
	return false;
}

/* ---- the end of a turn */

/* A block that somebody of the same name has taken up again stays. */
static bool
host_is_back(struct members *m, const struct members_retired *r)
{
	struct member_cluster *c = members_cluster(m, str_make(r->prefix.p, r->cluster_n));
	struct str address = str_make(
	    r->prefix.p + r->cluster_n + 1, r->prefix.n - r->cluster_n - 2);

	return c && member_find(c, address);
}

/* Clusters may have their numbers under another name (alt_stat_name). */
static void
find_prefixes(const struct members *m, struct map *out)
{
	if (out->len)
		return;
	for (size_t i = 0; i < m->clusters.len; i++)
		map_put(out, m->clusters.at[i]->prefix, m->clusters.at[i]);
}

static void
retire(struct members *m, struct members_retired *r, struct map *prefixes)
{
	if (r->cluster_n && !host_is_back(m, r)) {
		block_retire(m->segment, SCOPE_host, r->prefix);
		block_retire(m->segment, SCOPE_host_outcome, r->prefix);
	} else if (r->cluster_n == 0) {
		find_prefixes(m, prefixes);
		if (map_get(prefixes, r->prefix) == NULL) {
			blocks_retire_cluster(m->segment, r->prefix);
			member_zones_retire(&r->zones, m->segment, r->prefix, m->own_zone);
		}
	}
	member_zones_fini(&r->zones);
	mem_free((void *)(uintptr_t)r->prefix.p);
}

uint64_t
members_before_use(struct members *m)
{
	struct map prefixes = {0};
	size_t kept = 0;

	for (size_t i = 0; i < m->retiring.len; i++) {
		if (m->retiring.at[i].covered)
			retire(m, &m->retiring.at[i], &prefixes);
		else
			m->retiring.at[kept++] = m->retiring.at[i];
	}
	m->retiring.len = kept;
	map_fini(&prefixes);
	lane_let_go(lane_retired());
	return lane_retired();
}

void
members_written(struct members *m, bool in_force)
{
	for (size_t i = 0; i < m->clusters.len; i++) {
		struct member_book *b = &m->clusters.at[i]->book;

		if (b->written && !in_force)
			b->dirty = b->whole = true;
		b->written = false;
	}
}

/* ---- reading */

/* What a journal says of one cluster: endpoints by number, those without an address are none. */
struct said {
	VEC(struct endpoint) at;
	struct assignment_policy policy;
	uint64_t serial, whole_bytes, more_bytes;
};

static void
forget_endpoints(struct said *s)
{
	for (size_t i = 0; i < s->at.len; i++)
		endpoint_fini(&s->at.at[i]);
	s->at.len = 0;
}

static void
take_endpoint(struct said *s, uint32_t number, const struct endpoint *e)
{
	while (s->at.len <= number)
		vec_push(&s->at);
	endpoint_fini(&s->at.at[number]);
	s->at.at[number] = (struct endpoint){0};
	if (e)
		endpoint_copy(&s->at.at[number], e);
}

static void
take_entry(struct said *s, const struct membership_entry *e)
{
	switch (e->change) {
	case MEMBERSHIP_PUT:
		take_endpoint(s, e->number, e->endpoint);
		break;
	case MEMBERSHIP_REMOVE:
		take_endpoint(s, e->number, NULL);
		break;
	case MEMBERSHIP_POLICY:
		s->policy = e->policy;
		break;
	}
}

static int
take_record(struct said *s, struct str bytes, struct err *err)
{
	struct membership_reader r;
	struct membership_entry e = {0};
	int more;

	if (membership_open(&r, bytes, err) < 0)
		return -1;
	if (r.whole) {
		forget_endpoints(s);
		s->policy = (struct assignment_policy){.overprovisioning = OVERPROVISIONING};
	}
	while ((more = membership_next(&r, &e, err)) > 0) {
		if (e.number >= MEMBERSHIP_NUMBERS)
			return err_set(err, "members: number %u", e.number);
		take_entry(s, &e);
	}
	s->serial = r.to;
	s->whole_bytes = r.whole ? bytes.n : s->whole_bytes;
	s->more_bytes = r.whole ? 0 : s->more_bytes + bytes.n;
	membership_reader_fini(&r);
	return more;
}

static int
add_said(struct members *m, struct member_cluster *c, const struct endpoint *e, uint32_t number,
    struct err *err)
{
	char text[ADDRESS_TEXT];
	struct str address = str_make(text, address_format(&e->address, text));
	struct strb prefix = {0};
	struct member *x;
	int bad;

	if (member_find(c, address))
		return 0;
	host_prefix(&prefix, c->name, address);
	bad = block_publish(m->segment, SCOPE_host, strb_str(&prefix), err);
	if (bad == 0)
		bad = block_publish(m->segment, SCOPE_host_outcome, strb_str(&prefix), err);
	strb_fini(&prefix);
	if (bad < 0)
		return -1;
	x = member_add(m, c, e, address, number);
	x->leaving = (host_cell_flags(x->cell) & HOST_PENDING_REMOVAL) != 0;
	return 0;
}

/* Numbers below the largest that nobody has. */
static void
find_free_numbers(struct member_cluster *c, const struct said *s)
{
	c->book.next_number = (uint32_t)s->at.len;
	c->book.free.len = 0;
	for (uint32_t i = 0; i < s->at.len; i++)
		if (s->at.at[i].address.len == 0)
			*vec_push(&c->book.free) = i;
}

static int
take_said(struct members *m, struct member_cluster *c, const struct said *s, struct err *err)
{
	c->policy = s->policy;
	for (uint32_t i = 0; i < s->at.len; i++)
		if (s->at.at[i].address.len && add_said(m, c, &s->at.at[i], i, err) < 0)
			return -1;
	find_free_numbers(c, s);
	c->book.known = true;
	c->book.serial = s->serial;
	c->book.whole_bytes = s->whole_bytes;
	c->book.more_bytes = s->more_bytes;
	members_said(c);
	if (s->serial > m->serial)
		m->serial = s->serial;
	members_initialised(m, c);
	return 0;
}

static int
read_cluster(struct members *m, struct member_cluster *c, const struct journal_state *state,
    size_t from, struct err *err)
{
	struct said s = {0};
	int bad = 0;

	for (size_t i = from; i < state->live.len && bad == 0; i++)
		if (state->live.at[i].kind == RESOURCE_MEMBERS &&
		    str_eq(state->live.at[i].name, c->name))
			bad = take_record(&s, state->live.at[i].bytes, err);
	if (bad == 0)
		bad = take_said(m, c, &s, err);
	forget_endpoints(&s);
	vec_fini(&s.at);
	return bad;
}

static int
read_all(struct members *m, const struct journal_state *state, struct err *err)
{
	for (size_t i = 0; i < state->live.len; i++) {
		const struct journal_record *j = &state->live.at[i];
		struct member_cluster *c =
		    j->kind == RESOURCE_MEMBERS && !j->more ? members_cluster(m, j->name) : NULL;

		if (c && !c->initialised && read_cluster(m, c, state, i, err) < 0)
			return err_in(err, "cluster '" STR_FMT "'", STR_ARG(c->name));
	}
	return 0;
}

static int
load(struct members *m, int fd, uint64_t use, struct err *err)
{
	struct journal_map map;
	struct journal_state state;
	int bad;

	if (journal_map(&map, fd, use, err) < 0)
		return -1;
	bad = journal_read(&map, &state, err);
	if (bad == 0) {
		bad = read_all(m, &state, err);
		journal_state_fini(&state);
	}
	journal_unmap(&map);
	return bad;
}

int
members_load(struct members *m, const struct journal *j, uint64_t use, struct err *err)
{
	int bad = load(m, journal_fd(j), use, err);

	for (size_t i = 0; i < m->clusters.len; i++)
		if (!m->clusters.at[i]->book.known)
			m->clusters.at[i]->book.dirty = false; /* its source has not spoken yet */
	return bad;
}
