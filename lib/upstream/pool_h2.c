/*
 * HTTP/2 connections of a pool: as many requests as the host and we
 * allow, until a GOAWAY; kept alive by PINGs when configured.
 */
#include "lib/upstream/cluster.h"
#include "lib/upstream/pool_private.h"

#define LINGER_MS 1000

static uint32_t
expected(const struct cluster *c)
{
	return c->codec.h2.max_concurrent_streams;
}

static uint32_t
limit(const struct pool_conn *pc)
{
	uint32_t ours = pc->pool->cluster->codec.h2.max_concurrent_streams;

	return pc->codec->max_streams < ours ? pc->codec->max_streams : ours;
}

static uint32_t
room(const struct pool_conn *pc)
{
	return pc->streams < limit(pc) ? limit(pc) - pc->streams : 0;
}

static void
on_ping(void *arg)
{
	struct pool_conn *pc = arg;
	const struct http2_settings *s = &pc->pool->cluster->codec.h2;

	if (!pc->ping_out) {
		pc->ping_out = true;
		pc->ping_answers = pc->codec->last_ping_answer;
		codec_ping(pc->codec);
		timer_set(pc->pool->loop, &pc->ping, s->keepalive_timeout_ms);
		return;
	}
	if (pc->codec->last_ping_answer == pc->ping_answers) {
		stat_inc(&pc->pool->cluster->codec.h2_stats->keepalive_timeout);
		pool_conn_shut(pc);
		return;
	}
	pc->ping_out = false;
	timer_set(pc->pool->loop, &pc->ping, s->keepalive_interval_ms);
}

static void
on_connected(struct pool_conn *pc)
{
	const struct http2_settings *s = &pc->pool->cluster->codec.h2;

	timer_init(&pc->ping, on_ping, pc);
	pc->output_wanted = true; /* the preface leaves even if nobody has a request any more */
	loop_flush(pc->pool->loop, &pc->flush);
	if (s->keepalive_interval_ms)
		timer_set(pc->pool->loop, &pc->ping, s->keepalive_interval_ms);
}

static bool
is_over(struct pool_conn *pc)
{
	if (!pc->codec->goaway_received)
		return false;
	stat_inc(&pc->pool->cluster->stats->upstream_cx_close_notify);
	return true;
}

/* Windows hold back what a paused stream would get; the others go on. */
static void
pause(struct pool_conn *pc, bool paused)
{
}

const struct pool_protocol pool_h2 = {
    .codec_new = h2_client_new,
    .expected = expected,
    .room = room,
    .on_connected = on_connected,
    .is_over = is_over,
    .how = CLOSE_FLUSH,
    .linger_ms = LINGER_MS,
    .pause = pause,
};
