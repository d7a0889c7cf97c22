/*
 * Another configuration of the same listener: connections move to it, with
 * what they added to gauges.  Run by a worker after a reload.
 */
#include "worker/hcm/hcm_private.h"
#include "worker/snapshot.h"

static void
move_gauge(struct stat_gauge *from, struct stat_gauge *to, int64_t by)
{
	stat_move(from, -by);
	stat_move(to, by);
}

static void
move_held(const struct hcm_busy *b, struct http_stats *from, struct http_stats *to)
{
	if (b == NULL)
		return;
	move_gauge(&from->downstream_cx_rx_bytes_buffered, &to->downstream_cx_rx_bytes_buffered,
	    (int64_t)b->rx_held);
	move_gauge(&from->downstream_cx_tx_bytes_buffered, &to->downstream_cx_tx_bytes_buffered,
	    (int64_t)b->tx_held);
}

/* What this connection added to gauges stands in those of its new configuration from now on. */
static void
move_gauges(struct hcm_conn *c, const struct hcm_config *next)
{
	struct http_stats *from = c->config->stats, *to = next->stats;
	struct hcm_place *p = c->place;

	if (from != to) {
		move_gauge(&from->downstream_cx_active, &to->downstream_cx_active, 1);
		move_held(c->busy, from, to);
		if (hcm_is_http2(c))
			move_gauge(
			    &from->downstream_cx_http2_active, &to->downstream_cx_http2_active, 1);
		else if (c->http1)
			move_gauge(
			    &from->downstream_cx_http1_active, &to->downstream_cx_http1_active, 1);
	}
	if (c->listener_stats != p->stats)
		move_gauge(
		    &c->listener_stats->downstream_cx_active, &p->stats->downstream_cx_active, 1);
	if (c->worker_stats != p->worker_stats)
		move_gauge(&c->worker_stats->downstream_cx_active,
		    &p->worker_stats->downstream_cx_active, 1);
	c->listener_stats = p->stats;
	c->worker_stats = p->worker_stats;
}

/* An HTTP/2 codec has a copy of its settings, which its client was told; HTTP/1 reads them anew
 * with each request. */
void
hcm_conn_adopt(struct hcm_conn *c)
{
	struct hcm_place *p = c->place;
	struct snapshot *old = c->snapshot;

	if (p->config == NULL || old == p->snapshot || hcm_is_ending(c) ||
	    (c->streams_n && !hcm_is_http2(c)))
		return;
	move_gauges(c, p->config);
	c->config = p->config;
	c->snapshot = snapshot_ref(p->snapshot);
	if (c->codec && c->http1)
		c->codec->config = &c->config->codec;
	hcm_arm(c);
	snapshot_unref(&old);
}

void
hcm_adopt(struct hcm *m)
{
	list_for_each(n, &m->conns)
	{
		struct hcm_conn *c = list_entry(n, struct hcm_conn, node);

		if (c->place->came_back) {
			c->place->told_ns = c->tell_ns = 0;
			hcm_draw_moment(c);
		}
		hcm_conn_adopt(c);
	}
}
