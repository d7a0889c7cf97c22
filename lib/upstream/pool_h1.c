/* HTTP/1 connections of a pool: one request at a time. */
#include "lib/upstream/cluster.h"
#include "lib/upstream/pool_private.h"

static uint32_t
expected(const struct cluster *c)
{
	return 1;
}

static void
on_connected(struct pool_conn *pc)
{
}

/* The codec says whether the connection may carry another request. */
static bool
is_over(struct pool_conn *pc)
{
	return pc->streams == 0 && !pc->codec->reusable;
}

/* The codec parses nothing while its stream is paused, so nothing is read either. */
static void
pause(struct pool_conn *pc, bool paused)
{
	if (pc->paused == paused || pc->conn.closed)
		return;
	pc->paused = paused;
	if (paused)
		conn_pause(&pc->conn);
	else
		conn_resume(&pc->conn);
}

const struct pool_protocol pool_h1 = {
    .codec_new = h1_client_new,
    .expected = expected,
    .on_connected = on_connected,
    .is_over = is_over,
    .how = CLOSE_NOW,
    .pause = pause,
    .rests = true,
};
