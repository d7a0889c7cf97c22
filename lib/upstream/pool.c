#include "lib/upstream/pool.h"

#include "lib/base/err.h"
#include "lib/base/mem.h"
#include "lib/upstream/cluster.h"
#include "lib/upstream/pool_private.h"

static void on_idle(void *arg);

/* ---- the pool of a host */

static struct pool *
pool_new(struct host *h, bool high_priority)
{
	struct pool *p = mem_new(struct pool);
	struct cluster *c = h->cluster;

	p->cluster = c;
	p->host = h;
	p->loop = c->loop;
	p->breakers = &c->breakers[high_priority];
	p->protocol = c->http2 ? &pool_h2 : &pool_h1;
	list_init(&p->ready);
	list_init(&p->others);
	list_init(&p->pending);
	timer_init(&p->idle, on_idle, p);
	return p;
}

void
pool_free(struct pool **pp)
{
	struct pool *p = *pp;

	*pp = NULL;
	if (p == NULL)
		return;
	ASSERT(p->conns == 0 && p->pending_n == 0);
	timer_stop(&p->idle);
	mem_free(p);
}

static struct pool *
pool_of(struct host *h, bool high_priority)
{
	if (h->pool[high_priority] == NULL)
		h->pool[high_priority] = pool_new(h, high_priority);
	return h->pool[high_priority];
}

/* ---- requests */

static void
fail(struct pool_request *r, enum pool_failure why, const char *transport)
{
	host_unref(&r->host);
	r->events->on_failure(r->arg, why, transport);
}

static void
overflow(struct pool *p, struct pool_request *r)
{
	stat_inc(&p->cluster->stats->upstream_rq_pending_overflow);
	fail(r, POOL_OVERFLOW, "");
}

static void
count_begin(struct pool *p)
{
	stat_inc(&p->cluster->stats->upstream_rq_total);
	stat_up(&p->cluster->stats->upstream_rq_active);
	stat_inc(&p->host->stats->rq_total);
	stat_up(&p->host->stats->rq_active);
	breaker_add(p->breakers, BREAKER_REQUESTS);
}

/* Gives the request a stream of the connection; false: it has none to give. */
static bool
attach(struct pool *p, struct pool_conn *pc, struct pool_request *r)
{
	struct codec_stream *s;

	if (!breaker_allows(p->breakers, BREAKER_REQUESTS)) {
		overflow(p, r);
		return true;
	}
	s = pool_conn_take(pc);
	if (s == NULL)
		return false;
	count_begin(p);
	host_unref(&r->host);
	r->events->on_ready(r->arg, s, pc);
	return true;
}

static void
wait(struct pool *p, struct pool_request *r)
{
	r->waiting = true;
	list_push_back(&p->pending, &r->node);
	p->pending_n++;
	stat_inc(&p->cluster->stats->upstream_rq_pending_total);
	stat_up(&p->cluster->stats->upstream_rq_pending_active);
	breaker_add(p->breakers, BREAKER_PENDING);
}

static void
unwait(struct pool *p, struct pool_request *r)
{
	r->waiting = false;
	list_remove(&r->node);
	p->pending_n--;
	stat_down(&p->cluster->stats->upstream_rq_pending_active);
	breaker_remove(p->breakers, BREAKER_PENDING);
}

/* ---- connections for requests that wait */

static bool
host_has_room(struct pool *p)
{
	uint64_t most = p->breakers->host_connections;
	struct host *h = p->host;

	return most == UINT64_MAX ||
	    limit_in_use(&h->cx_others, &h->stats->cx_active, most, loop_now_ns(p->cluster->loop)) <
		(int64_t)most;
}

/* Full, but a host without any connection gets one all the same.  Each request counts once. */
static bool
may_connect(struct pool *p, bool new_request)
{
	if (breaker_allows(p->breakers, BREAKER_CONNECTIONS) && host_has_room(p))
		return true;
	if (new_request)
		stat_inc(&p->cluster->stats->upstream_cx_overflow);
	return p->conns == 0;
}

static void
connect_as_needed(struct pool *p, bool new_request)
{
	struct err err;

	while (p->pending_n > (uint64_t)p->connecting * p->protocol->expected(p->cluster)) {
		if (!may_connect(p, new_request))
			return;
		if (pool_conn_open(p, &err) < 0) {
			pool_fail_pending(p, POOL_CONNECT_LOCAL, err.text);
			return;
		}
	}
}

/* The most recently used connection that can take a request. */
static inline struct pool_conn *
find_ready(struct pool *p, bool fresh)
{
	list_for_each(n, &p->ready)
	{
		struct pool_conn *pc = list_entry(n, struct pool_conn, node);

		if (pool_conn_usable(pc) && (!fresh || pc->served == 0))
			return pc;
	}
	return NULL;
}

/* The oldest request that one of the connections can take. */
static struct pool_request *
find_servable(struct pool *p, struct pool_conn **pc)
{
	list_for_each(n, &p->pending)
	{
		struct pool_request *r = list_entry(n, struct pool_request, node);

		*pc = find_ready(p, r->fresh);
		if (*pc)
			return r;
		if (!r->fresh)
			return NULL; /* nobody has room; those behind it need room, too */
	}
	return NULL;
}

void
pool_serve(struct pool *p)
{
	struct pool_request *r;
	struct pool_conn *pc;

	if (p->pending_n == 0)
		return;
	while ((r = find_servable(p, &pc)) != NULL) {
		unwait(p, r);
		if (!attach(p, pc, r))
			wait(p, r);
	}
	connect_as_needed(p, false);
}

/* Requests that come while the others are told of the failure are not part of it. */
void
pool_fail_pending(struct pool *p, enum pool_failure why, const char *transport)
{
	struct list failed, *n;

	if (list_empty(&p->pending))
		return;
	failed = p->pending;
	failed.next->prev = failed.prev->next = &failed;
	list_init(&p->pending);
	while ((n = list_first(&failed)) != NULL) {
		struct pool_request *r = list_entry(n, struct pool_request, node);

		unwait(p, r);
		stat_inc(&p->cluster->stats->upstream_rq_pending_failure_eject);
		fail(r, why, transport);
	}
}

/* ---- what attempts call */

void
pool_ask(struct pool_request *r, struct cluster *c, struct host *h, bool high_priority, bool fresh,
    const struct pool_events *events, void *arg)
{
	struct pool *p = pool_of(h, high_priority);
	struct pool_conn *pc;

	*r = (struct pool_request){
	    .events = events,
	    .arg = arg,
	    .host = host_ref(h),
	    .high_priority = high_priority,
	    .fresh = fresh,
	};
	while ((pc = find_ready(p, fresh)) != NULL)
		if (attach(p, pc, r))
			return;
	if (!breaker_allows(p->breakers, BREAKER_PENDING)) {
		overflow(p, r);
		return;
	}
	wait(p, r);
	connect_as_needed(p, true);
}

void
pool_cancel(struct pool_request *r)
{
	struct pool *p = r->host->pool[r->high_priority];

	ASSERT(r->waiting);
	unwait(p, r);
	stat_inc(&p->cluster->stats->upstream_rq_cancelled);
	host_unref(&r->host);
}

void
pool_release(struct pool_conn *pc, bool lost)
{
	struct pool *p = pc->pool;

	ASSERT(pc->streams > 0);
	pc->streams--;
	pc->cut |= lost;
	stat_down(&p->cluster->stats->upstream_rq_active);
	stat_down(&p->host->stats->rq_active);
	breaker_remove(p->breakers, BREAKER_REQUESTS);
	pool_conn_pause(pc, NULL, false);
	pool_conn_unsettle(pc);
}

void
pool_reset(struct pool_conn *pc, struct codec_stream *s)
{
	pc->cut |= !pc->pool->cluster->http2;
	codec_reset(s, RESET_LOCAL);
	stat_inc(&pc->pool->cluster->stats->upstream_rq_tx_reset);
	pool_release(pc, false);
}

/* ---- for the host and its cluster */

static void
each_conn(struct pool *p, void (*fn)(struct pool_conn *))
{
	list_for_each(n, &p->ready) fn(list_entry(n, struct pool_conn, node));
	list_for_each(m, &p->others) fn(list_entry(m, struct pool_conn, node));
}

void
pool_drain(struct pool *p)
{
	each_conn(p, pool_conn_drain);
}

void
pool_close(struct pool *p)
{
	ASSERT(p->pending_n == 0);
	timer_stop(&p->idle);
	each_conn(p, pool_conn_shut);
}

/* ---- idle connections */

void
pool_watch_idle(struct pool *p)
{
	if (p->cluster->idle_timeout_ms && !timer_armed(&p->idle))
		timer_set(p->loop, &p->idle, p->cluster->idle_timeout_ms);
}

/* One timer for all: it rings when the first might be due and looks at each then. */
static void
on_idle(void *arg)
{
	struct pool *p = arg;
	uint64_t now_ms = loop_now_ms(p->loop), limit_ms = p->cluster->idle_timeout_ms;
	uint64_t next_ms = UINT64_MAX;

	list_for_each(n, &p->ready)
	{
		struct pool_conn *pc = list_entry(n, struct pool_conn, node);
		uint64_t idle_ms = now_ms - pc->idle_since_ms;

		if (pc->streams > 0)
			continue;
		if (idle_ms < limit_ms) {
			next_ms = limit_ms - idle_ms < next_ms ? limit_ms - idle_ms : next_ms;
			continue;
		}
		stat_inc(&p->cluster->stats->upstream_cx_idle_timeout);
		pool_conn_shut(pc);
	}
	if (next_ms != UINT64_MAX)
		timer_set(p->loop, &p->idle, next_ms);
}
