/*
 * The life of a downstream connection, run by a worker: its memory, what
 * it counts as, how its output leaves once a turn, and how it closes.
 */
#include <inttypes.h>
#include <sys/socket.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "worker/hcm/hcm_private.h"
#include "worker/hcm/stream_private.h"
#include "worker/snapshot.h"

#define KEPT_CONNS 256
/* Its timer is set once, for what the route of its first request is likely to say, and not moved by
 * each timeout that comes before. */
#define FIRST_LOOK_NS (15 * NS_PER_S)

STATE_TABLE(hcm, HCM_STATES)

static struct list free_conns;
static unsigned free_conns_n;

static struct hcm_conn *
take_conn(void)
{
	struct list *n = list_first(&free_conns);
	struct hcm_conn *c;

	if (n == NULL)
		return mem_new(struct hcm_conn);
	list_remove(n);
	free_conns_n--;
	c = list_entry(n, struct hcm_conn, node);
	mem_zero(c, sizeof(*c));
	return c;
}

static void
give_conn(void *arg)
{
	struct hcm_conn *c = arg;

	hcm_free_busy(c);
	if (free_conns_n >= KEPT_CONNS) {
		mem_free(c);
		return;
	}
	if (free_conns.next == NULL)
		list_init(&free_conns);
	list_push_front(&free_conns, &c->node);
	free_conns_n++;
}

void
hcm_enter(struct hcm_conn *c, enum hcm_state next)
{
	STATE_CHECK(hcm, c->state, next);
	log_trace(LOG_HTTP, "connection: [C%" PRIu64 "] %s -> %s", c->id, hcm_state_names[c->state],
	    hcm_state_names[next]);
	c->state = next;
}

/* ---- output: once a turn */

void
hcm_count_buffered(struct hcm_conn *c)
{
	struct http_stats *st = c->config->stats;
	struct hcm_busy *b = c->busy;
	size_t in = b->conn.in.len, out = b->conn.out.len;

	if (in != b->rx_held)
		stat_move(
		    &st->downstream_cx_rx_bytes_buffered, (int64_t)in - (int64_t)b->rx_held);
	if (out != b->tx_held)
		stat_move(
		    &st->downstream_cx_tx_bytes_buffered, (int64_t)out - (int64_t)b->tx_held);
	b->rx_held = in;
	b->tx_held = out;
}

static void
fetch_output(struct hcm_conn *c)
{
	struct buf *out = conn_out(&c->busy->conn);

	if (c->codec == NULL)
		return;
	hcm_tell_time(c);
	if (out)
		codec_output(c->codec, out);
	else
		codec_drop_output(c->codec);
}

void
hcm_touch_tunnel(struct hcm_conn *c)
{
	if (c->upgrades && !hcm_is_http2(c))
		list_entry(list_first(&c->streams), struct stream, node)->active_ns =
		    loop_now_ns(c->hcm->loop);
}

void
hcm_on_turn_end(void *arg)
{
	struct hcm_conn *c = arg;
	struct hcm_busy *b = c->busy;

	if (c->state == HCM_CLOSED)
		return;
	fetch_output(c);
	hcm_touch_tunnel(c);
	b->flushing = true;
	conn_push(&b->conn);
	if (b->half_close && c->state != HCM_CLOSING)
		conn_shutdown_write(&b->conn);
	b->flushing = false;
	if (c->state == HCM_CLOSING)
		conn_close(&b->conn, b->client_last ? CLOSE_LAST : CLOSE_FLUSH,
		    (uint32_t)c->config->delayed_close_ms);
	hcm_count_buffered(c);
	if (c->hcm->on_idle && hcm_may_be_given(c))
		c->hcm->on_idle(c->hcm->on_idle_arg, c);
}

void
hcm_output(struct hcm_conn *c)
{
	if (c->state != HCM_CLOSED)
		loop_flush(c->hcm->loop, &c->busy->flush);
}

void
hcm_tunnel_ended(struct hcm_conn *c)
{
	if (hcm_is_http2(c))
		return;
	c->busy->half_close = true;
	hcm_output(c);
}

/* ---- closing */

int
hcm_leave_socket(struct hcm_conn *c)
{
	int fd;

	if (c->busy) {
		hcm_count_buffered(c);
		return conn_release(&c->busy->conn);
	}
	fd = io_fd(&c->io);
	io_del(&c->io);
	return fd;
}

static void
cut_streams(struct hcm_conn *c, enum stream_reset why, uint32_t flags, struct str details)
{
	struct list *n;

	while ((n = list_first(&c->streams)) != NULL)
		stream_cut(list_entry(n, struct stream, node), why, flags, details);
}

void
hcm_close(struct hcm_conn *c, uint32_t flags, struct str details)
{
	if (hcm_is_ending(c))
		return;
	hcm_rouse(c);
	c->busy->end_flags = flags;
	c->busy->end_details = details;
	hcm_enter(c, HCM_CLOSING);
	timer_stop(&c->timer);
	cut_streams(c, RESET_LOCAL, flags, details);
	hcm_output(c);
}

void
hcm_end_by_reset(struct hcm_conn *c)
{
	struct linger now = {.l_onoff = 1};

	setsockopt(c->busy->conn.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

void
hcm_client_left(struct hcm_conn *c)
{
	struct hcm_busy *b = c->busy;

	b->remote_end = true;
	fetch_output(c);
	conn_push(&b->conn);
	if (b->conn.closed)
		return;
	if (c->http1 && list_entry(list_first(&c->streams), struct stream, node)->s.response_started)
		hcm_end_by_reset(c);
	conn_close(&b->conn, CLOSE_NOW, 0);
}

void
hcm_count_closed(struct hcm_conn *c, bool local)
{
	struct http_stats *st = c->config->stats;
	uint64_t length_ms = (loop_now_ns(c->hcm->loop) - c->opened_ns) / NS_PER_MS;

	stat_inc(&st->downstream_cx_destroy);
	stat_inc(local ? &st->downstream_cx_destroy_local : &st->downstream_cx_destroy_remote);
	if (c->streams_n) {
		stat_inc(&st->downstream_cx_destroy_active_rq);
		stat_inc(local ? &st->downstream_cx_destroy_local_active_rq
			       : &st->downstream_cx_destroy_remote_active_rq);
	}
	stat_down(&st->downstream_cx_active);
	stat_record(&st->downstream_cx_length_ms, length_ms);
	stat_inc(&c->listener_stats->downstream_cx_destroy);
	stat_down(&c->listener_stats->downstream_cx_active);
	stat_record(&c->listener_stats->downstream_cx_length_ms, length_ms);
	stat_down(&c->worker_stats->downstream_cx_active);
	if (hcm_is_http2(c))
		stat_down(&st->downstream_cx_http2_active);
	else if (c->http1)
		stat_down(&st->downstream_cx_http1_active);
}

void
hcm_forget(struct hcm_conn *c)
{
	struct hcm *m = c->hcm;

	if (hcm_is_http2(c))
		m->h2--;
	else if (c->http1)
		m->h1--;
	m->held--;
	c->place->conns--;
	timer_stop(&c->timer);
	hcm_cool(c);
	if (c->busy)
		flush_cancel(&c->busy->flush);
	list_remove(&c->node);
	codec_free(&c->codec);
	address_packed_fini(&c->local);
	address_packed_fini(&c->remote);
	snapshot_unref(&c->snapshot);
	loop_defer(m->loop, give_conn, c);
}

/* ---- opening */

void
hcm_arm(struct hcm_conn *c)
{
	const struct hcm_config *config = c->config;

	if (config->idle_ms)
		hcm_wake_by(c, c->idle_since_ns + config->idle_ms * NS_PER_MS);
	if (config->max_connection_ms)
		hcm_wake_by(c, c->opened_ns + config->max_connection_ms * NS_PER_MS);
}

static void
count_active(struct hcm_conn *c)
{
	c->listener_stats = c->place->stats;
	c->worker_stats = c->place->worker_stats;
	stat_up(&c->config->stats->downstream_cx_active);
	stat_up(&c->listener_stats->downstream_cx_active);
	stat_up(&c->worker_stats->downstream_cx_active);
	c->place->conns++;
	c->hcm->held++;
}

struct hcm_conn *
hcm_conn_new(struct hcm *m, struct hcm_place *p, uint64_t id, const struct address *remote,
    const struct address *local)
{
	struct hcm_conn *c = take_conn();

	c->hcm = m;
	c->place = p;
	c->config = p->config;
	c->snapshot = snapshot_ref(p->snapshot);
	c->id = id;
	c->opened_ns = c->idle_since_ns = loop_now_ns(m->loop);
	c->wake_ns = NEVER;
	address_pack(&c->local, local);
	address_pack(&c->remote, remote);
	timer_init(&c->timer, hcm_on_timer, c);
	list_init(&c->streams);
	list_push_back(&m->conns, &c->node);
	count_active(c);
	return c;
}

void
hcm_conn_start(struct hcm_conn *c, int fd)
{
	io_add_edge(c->hcm->loop, &c->io, fd, hcm_on_ready, c);
	hcm_wake_by(c, loop_now_ns(c->hcm->loop) + FIRST_LOOK_NS);
	hcm_arm(c);
}
