/*
 * Idle HTTP/1 connections that go from one generation to the next: which
 * may be given, and what is given beside the descriptor.  Run by the
 * workers of both.
 */
#include <inttypes.h>

#include "lib/base/log.h"
#include "worker/drain.h"
#include "worker/hcm/hcm_private.h"

bool
hcm_may_be_given(const struct hcm_conn *c)
{
	return !c->kept && hcm_at_rest(c);
}

void
hcm_on_idle(struct hcm *m, void (*fn)(void *arg, struct hcm_conn *c), void *arg)
{
	m->on_idle = fn;
	m->on_idle_arg = arg;
}

struct hcm_conn *
hcm_next_idle(struct hcm *m)
{
	list_for_each(n, &m->conns)
	{
		struct hcm_conn *c = list_entry(n, struct hcm_conn, node);

		/* What is about to be flushed this turn comes by on_idle. */
		if (hcm_may_be_given(c))
			return c;
	}
	return NULL;
}

struct hcm_place *
hcm_place_of(const struct hcm_conn *c)
{
	return c->place;
}

int
hcm_give(struct hcm_conn *c, struct hcm_given *out)
{
	int fd;

	*out = (struct hcm_given){.id = c->id,
	    .opened_ns = c->opened_ns,
	    .requests = c->requests,
	    .http1 = c->http1};
	address_unpack(&c->remote, &out->remote);
	address_unpack(&c->local, &out->local);
	fd = hcm_leave_socket(c);
	hcm_enter(c, HCM_CLOSED);
	stat_down(&c->config->stats->downstream_cx_active);
	stat_down(&c->listener_stats->downstream_cx_active);
	stat_down(&c->worker_stats->downstream_cx_active);
	if (c->http1)
		stat_down(&c->config->stats->downstream_cx_http1_active);
	log_debug(LOG_CONN, "connection: [C%" PRIu64 "] offered to the next generation", c->id);
	hcm_forget(c);
	return fd;
}

bool
hcm_would_take(const struct hcm_place *p, const struct hcm_given *g)
{
	return p->config && (!g->http1 || p->config->codec_choice != CODEC_HTTP2);
}

void
hcm_take(struct hcm *m, struct hcm_place *p, int fd, const struct hcm_given *g)
{
	struct hcm_conn *c = hcm_conn_new(m, p, g->id, &g->remote, &g->local);

	c->opened_ns = g->opened_ns;
	c->requests = g->requests;
	c->kept = g->kept;
	hcm_conn_start(c, fd);
	if (g->http1)
		hcm_set_protocol(c, false);
	else if (m->drain->draining)
		hcm_draw_moment(c);
}

void
hcm_count_handed_over(void)
{
	stat_inc(&baton_stats_of("baton.")->cx_handed_over);
}
