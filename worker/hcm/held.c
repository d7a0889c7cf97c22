/*
 * What a draining worker still holds: how many connections of each kind,
 * who they are, and the end of those whose deadline has come.
 */
#include <inttypes.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "shm/failures.h"
#include "worker/drain.h"
#include "worker/hcm/hcm_private.h"
#include "worker/hcm/stream_private.h"

/* A tunnel among HTTP/2 streams makes its connection one of the tunnels: it is held for their sake. */
static enum drain_kind
kind_of(const struct hcm_conn *c)
{
	if (c->upgrades)
		return DRAIN_WEBSOCKET;
	return hcm_is_http2(c) ? DRAIN_H2 : DRAIN_H1;
}

void
hcm_count_held(const struct hcm *m, uint32_t by_kind[DRAIN_KINDS])
{
	by_kind[DRAIN_WEBSOCKET] = m->upgraded;
	by_kind[DRAIN_H2] = m->h2 - m->upgraded_h2;
	by_kind[DRAIN_H1] = m->held - m->h2 - (m->upgraded - m->upgraded_h2);
	by_kind[DRAIN_TCP] = 0; /* none is carried yet */
}

static uint64_t
seconds_since(const struct hcm_conn *c, uint64_t ns)
{
	uint64_t now_ns = loop_now_ns(c->hcm->loop);

	return now_ns > ns ? (now_ns - ns) / NS_PER_S : 0;
}

/* ---- why it is still there */

static const struct stream *
first_stream(const struct hcm_conn *c)
{
	return c->streams_n ? list_entry(c->streams.next, struct stream, node) : NULL;
}

static void
add_stream(struct strb *out, const struct hcm_conn *c)
{
	const struct stream_info *i = &first_stream(c)->s.info;

	if (c->upgrades)
		strb_addz(out, "upgraded");
	else if (c->streams_n == 1)
		strb_addz(out, "a request is under way");
	else
		strb_printf(out, "%u requests are under way", c->streams_n);
	strb_printf(out, " for %" PRIu64 " s", seconds_since(c, i->start_ns));
	if (i->cluster_name.n)
		strb_printf(out, ", cluster " STR_FMT, STR_ARG(i->cluster_name));
}

static void
add_why(struct strb *out, const struct hcm_conn *c)
{
	if (c->state == HCM_CLOSING)
		strb_addz(out, "the last bytes are being written");
	else if (c->streams_n)
		add_stream(out, c);
	else if (c->state == HCM_SNIFFING)
		strb_addz(out, "nothing was asked yet");
	else if (c->state == HCM_TOLD || c->state == HCM_LAST)
		strb_addz(out, "told to go");
	else
		strb_addz(out, "idle");
}

static void
add_peer(struct strb *out, const struct hcm_conn *c)
{
	char text[ADDRESS_TEXT];
	struct address remote;

	address_unpack(&c->remote, &remote);
	address_format(&remote, text);
	strb_addz(out, text[0] ? text : "-");
}

void
hcm_list_held(const struct hcm *m, unsigned most, struct strb *out)
{
	list_for_each(n, (struct list *)&m->conns)
	{
		const struct hcm_conn *c = list_entry(n, struct hcm_conn, node);

		if (most-- == 0)
			return;
		strb_printf(out, "%s\t", drain_kind_names[kind_of(c)]);
		add_peer(out, c);
		strb_printf(out, "\t%" PRIu64 "\t", seconds_since(c, c->opened_ns));
		add_why(out, c);
		strb_addc(out, '\n');
	}
}

/* ---- the end of the deadline */

static void
note_cut(const struct hcm_conn *c, struct str text)
{
	const struct stream *s = first_stream(c);
	struct failure f = {.kind = FAILURE_CUT,
	    .wall_ns = loop_wall_ns(c->hcm->loop),
	    .flags = STR("-"),
	    .details = text};
	char host[ADDRESS_TEXT] = "";

	if (s) {
		f.status = s->s.info.status;
		f.route = s->s.info.route_name;
		f.cluster = s->s.info.cluster_name;
		if (s->s.info.upstream)
			address_format(s->s.info.upstream, host);
		f.host = str_of(host);
	}
	failure_note(&f);
}

static void
end_badly(struct hcm_conn *c)
{
	if (c->streams_n && !hcm_is_http2(c))
		hcm_end_by_reset(c);
	hcm_abort(c, STR("drain_deadline"));
}

static void
cut(struct hcm_conn *c)
{
	struct strb text = {0};

	strb_printf(&text, "%s from ", drain_kind_names[kind_of(c)]);
	add_peer(&text, c);
	strb_printf(&text, ", open for %" PRIu64 " s: ", seconds_since(c, c->opened_ns));
	add_why(&text, c);
	log_warning(LOG_CONN, "deadline: [C%" PRIu64 "] is cut, %s", c->id, strb_z(&text));
	note_cut(c, strb_str(&text));
	stat_inc(&baton_stats_of("baton.")->cx_cut_at_deadline);
	strb_fini(&text);
	end_badly(c);
}

static bool
anything_late(const struct hcm *m, uint64_t now_ns)
{
	uint32_t held[DRAIN_KINDS];

	hcm_count_held(m, held);
	for (unsigned k = 0; k < DRAIN_KINDS; k++)
		if (held[k] && drain_is_late(m->drain, (enum drain_kind)k, now_ns))
			return true;
	return false;
}

void
hcm_cut_late(struct hcm *m)
{
	uint64_t now_ns = loop_now_ns(m->loop);

	if (!anything_late(m, now_ns))
		return;
	list_for_each(n, &m->conns)
	{
		struct hcm_conn *c = list_entry(n, struct hcm_conn, node);

		if (!hcm_is_gone(c) && drain_is_late(m->drain, kind_of(c), now_ns))
			cut(c);
	}
}
