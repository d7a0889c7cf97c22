/*
 * How a downstream connection is told to go: by a header between two
 * requests, by GOAWAY, and when.  Run by a worker that drains, whose health
 * failed, or whose listener is removed.
 */
#include "lib/base/clock.h"
#include "lib/base/rand.h"
#include "worker/drain.h"
#include "worker/hcm/hcm_private.h"

void
hcm_count_drain(struct hcm_conn *c)
{
	stat_inc(&c->config->stats->downstream_cx_drain_close);
}

void
hcm_tell(struct hcm_conn *c)
{
	if (c->state != HCM_SERVING && c->state != HCM_SNIFFING)
		return;
	c->tell_ns = 0;
	if (c->state == HCM_SNIFFING)
		return;
	hcm_rouse(c);
	hcm_enter(c, HCM_TOLD);
	if (hcm_is_http2(c))
		codec_goaway(c->codec, false);
	hcm_output(c);
	c->busy->goaway_ns = loop_now_ns(c->hcm->loop) + c->config->drain_ms * NS_PER_MS;
	hcm_wake_by(c, c->busy->goaway_ns);
}

void
hcm_last_goaway(struct hcm_conn *c)
{
	c->busy->goaway_ns = 0;
	hcm_enter(c, HCM_LAST);
	if (hcm_is_http2(c))
		codec_goaway(c->codec, true);
	hcm_output(c);
	if (c->streams_n == 0)
		hcm_close(c, 0, STR(""));
}

/* The worker drains, or only this place does. */
static struct drain
drain_of(const struct hcm_conn *c)
{
	struct drain d = *c->hcm->drain;

	if (!d.draining && c->place->told_ns)
		drain_start(&d, c->place->told_ns, d.window_ns / NS_PER_S, d.immediate);
	return d;
}

static bool
drain_says_close(const struct hcm_conn *c, uint64_t now_ns)
{
	struct drain d;

	if (!c->hcm->drain->draining && c->place->told_ns == 0)
		return false;
	d = drain_of(c);
	return drain_decides(&d, now_ns, rand_u64());
}

bool
hcm_response_says_close(struct hcm_conn *c)
{
	uint64_t now_ns = loop_now_ns(c->hcm->loop);
	uint32_t max = c->config->max_requests_per_connection;

	if (c->state == HCM_SERVING && max && c->requests >= max) {
		stat_inc(&c->config->stats->downstream_cx_max_requests_reached);
		hcm_tell(c);
	} else if (c->state == HCM_SERVING && !(c->hcm->on_idle && !hcm_is_http2(c) && !c->kept) &&
		   ((c->tell_ns && now_ns >= c->tell_ns) ||
		       drain_says_close(c, now_ns))) {
		hcm_count_drain(c);
		hcm_tell(c);
	}
	return hcm_is_last(c) || c->state == HCM_TOLD || c->state == HCM_LAST;
}

void
hcm_draw_moment(struct hcm_conn *c)
{
	struct drain d = drain_of(c);

	c->tell_ns = drain_moment(&d, c->place->modify_only, loop_now_ns(c->hcm->loop), rand_u64());
	if (c->tell_ns)
		hcm_wake_by(c, c->tell_ns);
	if (d.draining)
		hcm_wake_by(c, drain_end_ns(&d));
}

void
hcm_tell_all(struct hcm *m)
{
	list_for_each(n, &m->conns)
	{
		hcm_draw_moment(list_entry(n, struct hcm_conn, node));
	}
}

void
hcm_tell_place(struct hcm *m, struct hcm_place *p)
{
	p->told_ns = loop_now_ns(m->loop);
	list_for_each(n, &m->conns)
	{
		struct hcm_conn *c = list_entry(n, struct hcm_conn, node);

		if (c->place != p)
			continue;
		hcm_draw_moment(c);
		if (p->end_ns)
			hcm_wake_by(c, p->end_ns);
	}
}

void
hcm_leave_place(struct hcm *m, struct hcm_place *p)
{
	struct drain d = *m->drain;

	drain_start(&d, loop_now_ns(m->loop), d.window_ns / NS_PER_S, d.immediate);
	p->end_ns = drain_end_ns(&d);
	hcm_tell_place(m, p);
}
