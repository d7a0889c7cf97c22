#include "master/report.h"

#include <inttypes.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/event/loop.h"
#include "master/master_private.h"
#include "shm/flags.h"

static uint64_t
seconds_since(const struct master *m, uint64_t ns)
{
	uint64_t now = loop_now_ns(m->loop);

	return now > ns ? (now - ns) / NS_PER_S : 0;
}

static const char *
state_of(const struct child *c)
{
	return c->watch.aborted ? "hung" : c->watch.lent ? "silent" : child_state_name(c);
}

static void
child_text(const struct master *m, const struct child *c, struct strb *out)
{
	char name[24];

	strb_printf(out, "  %-10s", child_name(c, name));
	if (c->pid)
		strb_printf(out, " pid %-8d age %-8" PRIu64, (int)c->pid, seconds_since(m, c->started_ns));
	strb_printf(out, " %s", state_of(c));
	if (c->backoff_ms)
		strb_printf(out, ", starts again after %u ms", c->backoff_ms);
	if ((m->state == MASTER_DRAINING || m->state == MASTER_HANDED_OVER) && c->role == ROLE_WORKER && c->pid)
		strb_printf(out,
		    ", holds h1 %" PRIu64 ", h2 %" PRIu64 ", upgraded %" PRIu64 ", tcp %" PRIu64,
		    c->holding[0], c->holding[1], c->holding[2], c->holding[3]);
	strb_addc(out, '\n');
}

void
report_text(const struct master *m, struct strb *out)
{
	strb_printf(out, "generation epoch %u, base id %u: %s, %s\n", m->settings->restart_epoch,
	    m->settings->base_id, master_state_name(m),
	    flag_get(&shm_flags()->health_failed) ? "out of rotation" : "in rotation");
	strb_printf(out, "  %-10s pid %-8d age %-8" PRIu64 "\n", "master", (int)getpid(),
	    seconds_since(m, m->started_ns));
	for (unsigned i = 0; i <= m->children.n; i++)
		child_text(m, &m->children.at[i], out);
	if (m->deadline_ns)
		strb_printf(out, "  ends at the latest in %" PRIu64 " s\n", master_seconds_left(m));
	list_for_each(n, &m->links)
	{
		const struct link *l = list_entry(n, struct link, node);

		if (l->state == LINK_DRAINS)
			strb_adds(out, strb_str(&l->report));
	}
}

static void
child_json(const struct master *m, const struct child *c, struct strb *out)
{
	strb_printf(out,
	    "{\"role\":\"%s\",\"index\":%u,\"seat\":%u,\"pid\":%d,\"state\":\"%s\",\"age_s\":%" PRIu64
	    ",\"backoff_ms\":%u",
	    c->role == ROLE_ADMIN ? "admin" : "worker", c->index, c->seat, (int)c->pid, state_of(c),
	    c->pid ? seconds_since(m, c->started_ns) : 0, c->backoff_ms);
	if ((m->state == MASTER_DRAINING || m->state == MASTER_HANDED_OVER) && c->role == ROLE_WORKER)
		strb_printf(out,
		    ",\"holding\":{\"h1\":%" PRIu64 ",\"h2\":%" PRIu64 ",\"upgraded\":%" PRIu64
		    ",\"tcp\":%" PRIu64 "}",
		    c->holding[0], c->holding[1], c->holding[2], c->holding[3]);
	strb_addc(out, '}');
}

static void
others_json(const struct master *m, struct strb *out)
{
	const char *before = ",\"draining\":[";

	list_for_each(n, &m->links)
	{
		const struct link *l = list_entry(n, struct link, node);
		struct str json = strb_str(&l->report_json);

		if (l->state != LINK_DRAINS || json.n == 0)
			continue;
		strb_addz(out, before);
		strb_adds(out, str_make(json.p, json.n - 1)); /* it ends in a newline */
		before = ",";
	}
	if (before[1] == '\0')
		strb_addc(out, ']');
}

void
report_json(const struct master *m, struct strb *out)
{
	strb_printf(out,
	    "{\"epoch\":%u,\"base_id\":%u,\"state\":\"%s\",\"health_failed\":%s,\"pid\":%d,\"age_s\":%" PRIu64
	    ",\"processes\":[",
	    m->settings->restart_epoch, m->settings->base_id, master_state_name(m),
	    flag_get(&shm_flags()->health_failed) ? "true" : "false", (int)getpid(),
	    seconds_since(m, m->started_ns));
	for (unsigned i = 0; i <= m->children.n; i++) {
		if (i)
			strb_addc(out, ',');
		child_json(m, &m->children.at[i], out);
	}
	strb_addc(out, ']');
	if (m->deadline_ns)
		strb_printf(out, ",\"deadline_s\":%" PRIu64, master_seconds_left(m));
	others_json(m, out);
	strb_addz(out, "}\n");
}
