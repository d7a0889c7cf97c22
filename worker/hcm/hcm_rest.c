/*
 * Downstream connections at rest: plain HTTP/1 between two requests, or
 * before the first byte.  Run by a worker.
 *
 * Of most of them only the descriptor's io and what cannot be found out
 * again is kept (struct hcm_conn).  WARM_CONNS of them keep struct hcm_busy
 * and codec, so that a client who asks again soon finds both: hcm->warm.
 *
 *	            bytes come              all is answered
 *	no busy  ────────────────>  busy  ──────────────────>  busy, warm
 *	   ^                                                       │
 *	   └────────── others were answered and got its place ─────┘
 */
#include "lib/base/mem.h"
#include "worker/hcm/hcm_private.h"

#define KEPT_BUSY 128

static struct hcm_busy *free_busy;
static unsigned free_busy_n;

static struct hcm_busy *
take_busy(void)
{
	struct hcm_busy *b = free_busy;

	if (b == NULL)
		return mem_new(struct hcm_busy);
	free_busy = b->next_free;
	free_busy_n--;
	mem_zero(b, sizeof(*b));
	return b;
}

void
hcm_free_busy(struct hcm_conn *c)
{
	struct hcm_busy *b = c->busy;

	c->busy = NULL;
	if (b == NULL || free_busy_n >= KEPT_BUSY) {
		mem_free(b);
		return;
	}
	b->next_free = free_busy;
	free_busy = b;
	free_busy_n++;
}

bool
hcm_at_rest(const struct hcm_conn *c)
{
	const struct hcm_busy *b = c->busy;

	if ((c->state != HCM_SERVING && c->state != HCM_SNIFFING) || hcm_is_http2(c) || c->streams_n)
		return false;
	return b == NULL || (conn_at_rest(&b->conn) && !b->client_done && !b->half_close &&
				!list_linked(&b->flush.node));
}

void
hcm_cool(struct hcm_conn *c)
{
	if (c->busy == NULL || c->busy->warm == 0)
		return;
	c->hcm->warm[c->busy->warm - 1] = NULL;
	c->busy->warm = 0;
}

/* One that is at work just now comes here again when it is not. */
static void
park(struct hcm_conn *c)
{
	hcm_cool(c);
	if (!hcm_at_rest(c))
		return;
	hcm_count_buffered(c);
	codec_free(&c->codec);
	c->large = c->busy->conn.large;
	conn_leave(&c->busy->conn, hcm_on_ready, c);
	hcm_free_busy(c);
}

/* In the place of the one that was warm for longest. */
static void
warm_up(struct hcm_conn *c)
{
	struct hcm *m = c->hcm;
	unsigned at = m->warm_at++ % WARM_CONNS;

	if (m->warm[at])
		park(m->warm[at]);
	m->warm[at] = c;
	c->busy->warm = (uint8_t)(at + 1);
}

void
hcm_settle(struct hcm_conn *c)
{
	if (c->busy == NULL || c->busy->conn.closed)
		return;
	conn_settle(&c->busy->conn);
	if (c->busy->warm == 0 && !hcm_is_http2(c))
		warm_up(c);
}

void
hcm_rouse(struct hcm_conn *c)
{
	if (c->busy)
		return;
	c->busy = take_busy();
	c->busy->flush.fn = hcm_on_turn_end;
	c->busy->flush.arg = c;
	conn_join(&c->busy->conn, &c->io, &plain_transport, c->config->buffer_limit,
	    &hcm_conn_events, c);
	c->busy->conn.large = c->large;
}

/* That it may be written to is no news. */
void
hcm_on_ready(void *arg, unsigned ready)
{
	struct hcm_conn *c = arg;

	if (!(ready & (IO_READ | IO_CLOSED)))
		return;
	hcm_rouse(c);
	conn_told(&c->busy->conn, ready);
	if (c->streams_n == 0)
		hcm_settle(c);
}
