#include "master/report.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/event/loop.h"
#include "lib/ipc/handover.h"
#include "master/line.h"
#include "master/master_private.h"
#include "master/report_private.h"
#include "shm/failures.h"
#include "shm/flags.h"
#include "shm/layout.h"

#define CUTS_LOOK 256 /* so far back in the ring */

/* ---- what both forms need */

uint64_t
report_age_s(const struct master *m, uint64_t since_ns)
{
	uint64_t now = loop_now_ns(m->loop);

	return now > since_ns ? (now - since_ns) / NS_PER_S : 0;
}

uint64_t
report_seconds_left(const struct master *m, uint64_t at_ns)
{
	uint64_t now = loop_now_ns(m->loop);

	return at_ns > now ? (at_ns - now) / NS_PER_S : 0;
}

const char *
report_child_state(const struct child *c)
{
	return c->watch.aborted ? "hung" : c->watch.lent ? "silent" : child_state_name(c);
}

bool
report_drains(const struct master *m)
{
	return m->state == MASTER_DRAINING || m->state == MASTER_HANDED_OVER;
}

bool
report_connection(struct str *rest, struct held_connection *out)
{
	struct str line;

	if (!str_cut(rest, '\n', &line) || line.n == 0)
		return false;
	*out = (struct held_connection){0};
	str_cut(&line, '\t', &out->kind);
	str_cut(&line, '\t', &out->peer);
	str_cut(&line, '\t', &out->age_s);
	out->why = line;
	return true;
}

bool
report_cut_next(uint64_t *back, struct report_cut *out)
{
	struct seg_failure f;

	while (*back < CUTS_LOOK) {
		time_t at;
		struct tm tm;

		if (!failure_look((*back)++, &f))
			continue;
		if (f.kind != FAILURE_CUT)
			continue;
		at = (time_t)(f.wall_ns / NS_PER_S);
		gmtime_r(&at, &tm);
		strftime(out->time, sizeof(out->time), "%Y-%m-%dT%H:%M:%SZ", &tm);
		snprintf(out->details, sizeof(out->details), "%.*s", (int)sizeof(f.details),
		    f.details);
		return true;
	}
	return false;
}

unsigned
report_cut_by_now(void)
{
	uint64_t began_ns = shm_flags()->drain_started_ns, now_ns = clock_mono_ns();
	uint64_t began_wall_ns = clock_wall_ns() - (now_ns - began_ns);
	struct seg_failure f;
	unsigned n = 0;

	for (uint64_t back = 0; flag_get(&shm_flags()->draining) && back < FAILURE_SLOTS; back++)
		n += failure_look(back, &f) && f.kind == FAILURE_CUT && f.wall_ns >= began_wall_ns;
	return n;
}

bool
report_is_known(const struct master *m, uint64_t generation)
{
	if (adopted_of(m, generation))
		return true;
	list_for_each(n, (struct list *)&m->links)
		if (list_entry(n, struct link, node)->generation == generation)
			return true;
	return false;
}

unsigned
report_not_adopted(const struct master *m, const struct runtime_other *o)
{
	unsigned adopted = adopted_of(m, o->generation);

	return o->master == 0 && o->processes > adopted ? o->processes - adopted : 0;
}

/* ---- this generation as text */

static void
add_held(struct strb *out, const uint64_t by_kind[DRAIN_KINDS])
{
	for (unsigned k = 0; k < DRAIN_KINDS; k++)
		strb_printf(
		    out, "%s%s %" PRIu64, k ? ", " : "holds ", drain_kind_names[k], by_kind[k]);
}

static void
child_text(const struct master *m, const struct child *c, struct strb *out)
{
	char name[24];

	strb_printf(out, "  %-10s", child_name(c, name));
	if (c->pid)
		strb_printf(out, " pid %-8d age %-8" PRIu64, (int)c->pid,
		    report_age_s(m, c->started_ns));
	strb_printf(out, " %s", report_child_state(c));
	if (c->backoff_ms)
		strb_printf(out, ", starts again after %u ms", c->backoff_ms);
	if (report_drains(m) && c->role == ROLE_WORKER && c->pid) {
		strb_addz(out, ", ");
		add_held(out, c->holding);
	}
	strb_addc(out, '\n');
}

static void
deadlines_text(const struct master *m, struct strb *out)
{
	const char *before = "  cut after  ";

	strb_printf(
	    out, "  ends at the latest in %" PRIu64 " s\n", report_seconds_left(m, m->deadline_ns));
	if (!report_drains(m))
		return;
	for (unsigned k = 0; k < DRAIN_KINDS; k++) {
		if (m->cut_ns[k] == UINT64_MAX)
			continue;
		strb_printf(out, "%s%s %" PRIu64 " s", before, drain_kind_names[k],
		    report_seconds_left(m, m->cut_ns[k]));
		before = ", ";
	}
	if (before[0] == ',')
		strb_addc(out, '\n');
}

static unsigned
connections_text(struct str who, unsigned room, struct strb *out)
{
	struct held_connection c;

	while (room && report_connection(&who, &c)) {
		strb_printf(out,
		    "    " STR_FMT " " STR_FMT ", open for " STR_FMT " s: " STR_FMT "\n",
		    STR_ARG(c.kind), STR_ARG(c.peer), STR_ARG(c.age_s), STR_ARG(c.why));
		room--;
	}
	return room;
}

static void
who_text(const struct master *m, struct strb *out)
{
	unsigned room = REPORT_CONNECTIONS;
	uint64_t held = master_held(m);

	for (unsigned i = 1; i <= m->children.n; i++)
		if (m->children.at[i].pid && m->children.at[i].who)
			room = connections_text(str_of(m->children.at[i].who), room, out);
	if (held > REPORT_CONNECTIONS - room)
		strb_printf(out, "    and %" PRIu64 " more\n", held - (REPORT_CONNECTIONS - room));
}

static void
cuts_text(struct strb *out)
{
	struct report_cut cut;
	uint64_t back = 0;

	for (unsigned i = 0; i < REPORT_CUTS && report_cut_next(&back, &cut); i++)
		strb_printf(out, "    cut at %s: %s\n", cut.time, cut.details);
}

static void
own_text(const struct master *m, bool why, struct strb *out)
{
	strb_printf(out, "generation epoch %u, base id %u: %s, %s\n", m->settings->restart_epoch,
	    m->settings->base_id, master_state_name(m),
	    flag_get(&shm_flags()->health_failed) ? "out of rotation" : "in rotation");
	strb_printf(out, "  %-10s pid %-8d age %-8" PRIu64 "\n", "master", (int)getpid(),
	    report_age_s(m, m->started_ns));
	for (unsigned i = 0; i <= m->children.n; i++)
		child_text(m, &m->children.at[i], out);
	if (m->deadline_ns)
		deadlines_text(m, out);
	if (why && report_drains(m))
		who_text(m, out);
	if (why)
		cuts_text(out);
}

/* ---- the others as text */

static void
link_text(const struct link *l, bool why, struct strb *out)
{
	if (l->state != LINK_DRAINS)
		strb_printf(out, "generation epoch %u, pid %d: %s\n", (unsigned)l->epoch,
		    (int)l->pid, link_state_name(l));
	else if (l->report.n == 0 && l->line.n)
		strb_printf(out, "generation " STR_FMT "\n", STR_ARG(strb_str(&l->line)));
	else if (l->report.n == 0)
		strb_printf(out, "generation epoch %u, pid %d: draining, has told nothing yet\n",
		    (unsigned)l->epoch, (int)l->pid);
	else
		strb_adds(out, strb_str(why && l->report_why.n ? &l->report_why : &l->report));
}

static void
orphan_text(const struct master *m, const struct adopted_view *v, bool why, struct strb *out)
{
	if (v->first)
		strb_printf(out, "generation epoch %u: draining, its master died\n",
		    (unsigned)v->epoch);
	strb_printf(out, "  %-10s pid %-8d ", v->admin ? "admin" : "worker", (int)v->pid);
	if (!v->admin) {
		add_held(out, v->holding);
		strb_addz(out, ", ");
	}
	strb_printf(out, "ends at the latest in %" PRIu64 " s\n",
	    report_seconds_left(m, v->deadline_ns));
	if (why && v->who)
		connections_text(str_of(v->who), REPORT_CONNECTIONS, out);
}

/* Known by its lock or its segment only. */
static void
silent_text(const struct master *m, const struct runtime_other *o, struct strb *out)
{
	unsigned left = report_not_adopted(m, o);

	if (left)
		strb_printf(out, "generation g%" PRIu64 ": draining, its master died, %u to be adopted\n",
		    o->generation, left);
	else if (o->master && !report_is_known(m, o->generation))
		strb_printf(out, "generation g%" PRIu64 ": pid %d, tells nothing of itself\n",
		    o->generation, (int)o->master);
}

static void
others_text(struct master *m, bool why, struct strb *out)
{
	struct runtime_others others = {0};
	struct adopted_view v;

	list_for_each(n, &m->links)
		if (list_entry(n, struct link, node)->state != LINK_ENDED)
			link_text(list_entry(n, struct link, node), why, out);
	for (size_t i = 0; adopted_each(m, i, &v); i++)
		if (v.pid)
			orphan_text(m, &v, why, out);
	if (m->has_dir)
		runtime_dir_others(&m->dir, &others);
	for (size_t i = 0; i < others.all.len; i++)
		silent_text(m, &others.all.at[i], out);
	vec_fini(&others.all);
}

void
report_text(struct master *m, bool why, struct strb *out)
{
	own_text(m, why, out);
	others_text(m, why, out);
}

/* ---- what another master is told */

static void
line_text(const struct master *m, struct strb *out)
{
	uint64_t held[DRAIN_KINDS];

	master_held_by_kind(m, held);
	strb_printf(out, "epoch %u, pid %d, age %" PRIu64 " s, ", m->settings->restart_epoch,
	    (int)getpid(), report_age_s(m, m->started_ns));
	add_held(out, held);
	strb_printf(out, ", ends at the latest in %" PRIu64 " s",
	    report_seconds_left(m, m->deadline_ns));
}

/* What does not fit is told in one line. */
void
report_pack(struct master *m, struct strb *packet)
{
	struct strb text = {0}, why = {0}, json = {0}, line = {0};

	own_text(m, false, &text);
	own_text(m, true, &why);
	report_json_own(m, &json);
	line_text(m, &line);
	handover_put_u(packet, FIELD_HELD, master_held(m));
	handover_put_u(packet, FIELD_DEADLINE_S, report_seconds_left(m, m->deadline_ns));
	handover_put_s(packet, FIELD_LINE, strb_str(&line));
	if (text.n + json.n + why.n < HANDOVER_PACKET - 1024) {
		handover_put_s(packet, FIELD_TEXT, strb_str(&text));
		handover_put_s(packet, FIELD_WHY, strb_str(&why));
		handover_put_s(packet, FIELD_JSON, strb_str(&json));
	}
	strb_fini(&text);
	strb_fini(&why);
	strb_fini(&json);
	strb_fini(&line);
}
