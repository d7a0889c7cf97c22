/*
 * The same report for machines.
 */
#include <inttypes.h>
#include <unistd.h>

#include "lib/base/json_out.h"
#include "master/master_private.h"
#include "master/report_private.h"
#include "shm/flags.h"

static void
key_u(struct json_out *j, const char *key, uint64_t v)
{
	json_keyz(j, key);
	json_u64(j, v);
}

static void
key_s(struct json_out *j, const char *key, struct str s)
{
	json_keyz(j, key);
	json_string(j, s);
}

static void
key_z(struct json_out *j, const char *key, const char *z)
{
	key_s(j, key, str_of(z));
}

static void
by_kind(struct json_out *j, const char *key, const uint64_t v[DRAIN_KINDS])
{
	json_keyz(j, key);
	json_object(j);
	for (unsigned k = 0; k < DRAIN_KINDS; k++)
		key_u(j, drain_kind_names[k], v[k]);
	json_end(j);
}

/* ---- this generation */

static void
child_json(struct json_out *j, const struct master *m, const struct child *c)
{
	json_object(j);
	key_z(j, "role", c->role == ROLE_ADMIN ? "admin" : "worker");
	key_u(j, "index", c->index);
	key_u(j, "seat", c->seat);
	key_u(j, "pid", (uint64_t)c->pid);
	key_z(j, "state", report_child_state(c));
	key_u(j, "age_s", c->pid ? report_age_s(m, c->started_ns) : 0);
	key_u(j, "backoff_ms", c->backoff_ms);
	if (report_drains(m) && c->role == ROLE_WORKER)
		by_kind(j, "holding", c->holding);
	json_end(j);
}

static unsigned
connections_json(struct json_out *j, struct str who, unsigned room)
{
	struct held_connection c;
	uint64_t age_s;

	while (room && report_connection(&who, &c)) {
		json_object(j);
		key_s(j, "kind", c.kind);
		key_s(j, "peer", c.peer);
		key_u(j, "age_s", str_u64(c.age_s, &age_s) ? age_s : 0);
		key_s(j, "why", c.why);
		json_end(j);
		room--;
	}
	return room;
}

static void
deadlines_json(struct json_out *j, const struct master *m)
{
	json_keyz(j, "deadlines_s");
	json_object(j);
	for (unsigned k = 0; k < DRAIN_KINDS; k++)
		if (m->cut_ns[k] != UINT64_MAX)
			key_u(j, drain_kind_names[k], report_seconds_left(m, m->cut_ns[k]));
	json_end(j);
}

static void
drain_json(struct json_out *j, const struct master *m)
{
	unsigned room = REPORT_CONNECTIONS;
	uint64_t held[DRAIN_KINDS];

	master_held_by_kind(m, held);
	by_kind(j, "holding", held);
	deadlines_json(j, m);
	json_keyz(j, "connections");
	json_array(j);
	for (unsigned i = 1; i <= m->children.n; i++)
		if (m->children.at[i].pid && m->children.at[i].who)
			room = connections_json(j, str_of(m->children.at[i].who), room);
	json_end(j);
}

static void
cuts_json(struct json_out *j)
{
	struct report_cut cut;
	uint64_t back = 0;

	json_keyz(j, "cut");
	json_array(j);
	for (unsigned i = 0; i < REPORT_CUTS && report_cut_next(&back, &cut); i++) {
		json_object(j);
		key_z(j, "time", cut.time);
		key_z(j, "details", cut.details);
		json_end(j);
	}
	json_end(j);
}

/* Leaves the object open. */
static void
own_json(struct json_out *j, const struct master *m)
{
	json_object(j);
	key_u(j, "epoch", m->settings->restart_epoch);
	key_u(j, "base_id", m->settings->base_id);
	key_z(j, "state", master_state_name(m));
	json_keyz(j, "health_failed");
	json_bool(j, flag_get(&shm_flags()->health_failed));
	key_u(j, "pid", (uint64_t)getpid());
	key_u(j, "age_s", report_age_s(m, m->started_ns));
	json_keyz(j, "processes");
	json_array(j);
	for (unsigned i = 0; i <= m->children.n; i++)
		child_json(j, m, &m->children.at[i]);
	json_end(j);
	if (m->deadline_ns)
		key_u(j, "deadline_s", report_seconds_left(m, m->deadline_ns));
	if (report_drains(m))
		drain_json(j, m);
	cuts_json(j);
}

void
report_json_own(struct master *m, struct strb *out)
{
	struct json_out j;

	json_out_init(&j, out, false);
	own_json(&j, m);
	json_end(&j);
}

/* ---- the others */

static void
link_json(struct json_out *j, const struct link *l)
{
	struct str report = strb_str(&l->report_json);

	if (report.n) {
		json_raw(j, str_trim(str_ends(report, STR("\n")) ? str_make(report.p, report.n - 1)
								 : report));
		return;
	}
	json_object(j);
	key_u(j, "epoch", l->epoch);
	key_u(j, "pid", l->pid);
	key_z(j, "state", "draining");
	key_u(j, "held", l->held);
	json_end(j);
}

static void
orphan_json(struct json_out *j, const struct master *m, const struct adopted_view *v)
{
	json_object(j);
	key_u(j, "epoch", v->epoch);
	key_z(j, "state", "draining, its master died");
	key_z(j, "role", v->admin ? "admin" : "worker");
	key_u(j, "pid", (uint64_t)v->pid);
	key_u(j, "deadline_s", report_seconds_left(m, v->deadline_ns));
	by_kind(j, "holding", v->holding);
	json_keyz(j, "connections");
	json_array(j);
	if (v->who)
		connections_json(j, str_of(v->who), REPORT_CONNECTIONS);
	json_end(j);
	json_end(j);
}

static void
silent_one_json(struct json_out *j, const struct master *m, const struct runtime_other *o)
{
	unsigned left = report_not_adopted(m, o);

	if (left == 0 && (o->master == 0 || report_is_known(m, o->generation)))
		return;
	json_object(j);
	key_u(j, "generation", o->generation);
	key_u(j, "pid", (uint64_t)o->master);
	key_z(j, "state", left ? "draining, its master died" : "tells nothing of itself");
	key_u(j, "not_adopted", left);
	json_end(j);
}

static void
silent_json(struct json_out *j, struct master *m)
{
	struct runtime_others others = {0};

	if (m->has_dir)
		runtime_dir_others(&m->dir, &others);
	for (size_t i = 0; i < others.all.len; i++)
		silent_one_json(j, m, &others.all.at[i]);
	vec_fini(&others.all);
}

void
report_json(struct master *m, struct strb *out)
{
	struct adopted_view v;
	struct json_out j;

	json_out_init(&j, out, false);
	own_json(&j, m);
	json_keyz(&j, "draining");
	json_array(&j);
	list_for_each(n, &m->links)
		if (list_entry(n, struct link, node)->state == LINK_DRAINS)
			link_json(&j, list_entry(n, struct link, node));
	for (size_t i = 0; adopted_each(m, i, &v); i++)
		if (v.pid)
			orphan_json(&j, m, &v);
	silent_json(&j, m);
	json_end(&j);
	json_end(&j);
	strb_addc(out, '\n');
}
