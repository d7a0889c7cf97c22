#include "admin/health/checker.h"

#include "admin/health/checker_private.h"
#include "lib/base/assert.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/base/state.h"
#include "lib/event/timer.h"
#include "shm/hosts.h"

#define BATCH 32                  /* checks begun in one turn */
#define LONG_TURN_NS 5000000ull   /* a turn that takes longer than this is our fault */
#define EXTENSIONS 3              /* of one timeout */
#define LOCAL_PAUSE_MS 100        /* until we try again what we could not ask */

#define CHECK_STATES(STATE)                                                                        \
	STATE(CHECK_RESTING, "resting", TO(CHECK_DUE) | TO(CHECK_GONE))                            \
	STATE(CHECK_DUE, "due", TO(CHECK_ASKING) | TO(CHECK_GONE))                                 \
	STATE(CHECK_ASKING, "asking", TO(CHECK_RESTING) | TO(CHECK_GONE))                          \
	STATE(CHECK_GONE, "gone", 0)
enum check_state { CHECK_STATES(STATE_ENUM) };
STATE_TABLE(check, CHECK_STATES)

struct check {
	struct checker *checker;
	struct probe probe;
	struct verdict verdict;
	struct address address;
	struct str region, zone, sub_zone;
	void *owner;
	enum check_state state;
	struct list node;      /* while due */
	struct timer timer;    /* the interval, then the timeout */
	uint64_t due_ns;
	uint64_t busy_before;  /* checks.busy_ns when it was begun, and what was given back since */
	unsigned extended;
	bool awaited;
	bool healthy, degraded; /* as counted in the gauges */
};

static void
enter(struct check *k, enum check_state next)
{
	STATE_CHECK(check, k->state, next);
	log_trace(LOG_HEALTH_CHECKER, "check: %s -> %s", check_state_names[k->state],
	    check_state_names[next]);
	k->state = next;
	list_remove(&k->node);
	timer_stop(&k->timer);
}

/* ---- numbers */

static void
count_health(struct check *k, bool gone)
{
	struct active_check_stats *s = k->checker->stats;
	uint32_t flags = host_cell_flags(k->verdict.cell);
	bool healthy = !gone && !(flags & HOST_FAILED_ACTIVE_HC);
	bool degraded = !gone && (flags & HOST_DEGRADED_ACTIVE_HC);

	if (healthy != k->healthy)
		stat_move(&s->healthy, healthy ? 1 : -1);
	if (degraded != k->degraded)
		stat_move(&s->degraded, degraded ? 1 : -1);
	k->healthy = healthy;
	k->degraded = degraded;
}

/* Was the cluster ever used?  The next generation learns it from its hosts. */
static bool
has_traffic(struct checker *c)
{
	if (!c->has_traffic)
		c->has_traffic = c->traffic && stat_counter_moved(&c->traffic->upstream_cx_total);
	return c->has_traffic;
}

/* ---- the event log */

static const char *
failure_name(enum check_failure f)
{
	static const char *const names[] = {
	    [FAILURE_ACTIVE] = "ACTIVE",
	    [FAILURE_PASSIVE] = "PASSIVE",
	    [FAILURE_NETWORK] = "NETWORK",
	    [FAILURE_TIMEOUT] = "NETWORK_TIMEOUT",
	};

	return names[f];
}

static void
log_event(struct check *k, const char *name, const char *failure, bool says_first, bool first)
{
	struct checker *c = k->checker;
	struct health_event e = {
	    .checker = c->probing.kind->name,
	    .event = name,
	    .failure = failure,
	    .says_first = says_first,
	    .first = first,
	    .cluster = c->cluster,
	    .region = k->region,
	    .zone = k->zone,
	    .sub_zone = k->sub_zone,
	    .host = &k->address,
	    .wall_ns = loop_wall_ns(c->all->loop),
	};

	for (size_t i = 0; i < c->logs.len; i++)
		event_log_write(c->logs.at[i], &e);
}

static void
log_change(const struct check *k, const char *text, const char *why)
{
	char address[ADDRESS_TEXT];

	address_format(&k->address, address);
	log_info(LOG_HEALTH_CHECKER, "cluster '" STR_FMT "' host %s: %s%s",
	    STR_ARG(k->checker->cluster), address, text, why);
}

static void
log_result(struct check *k, const struct verdict_result *r, enum check_failure why)
{
	const char *failure = failure_name(why);

	if (r->events & EVENT_EJECTED) {
		log_change(k, "failed its health check: ", failure);
		log_event(k, "eject_unhealthy_event", failure, false, false);
	}
	if (r->events & EVENT_FAILURE)
		log_event(k, "health_check_failure_event", failure, true, r->first);
	if (r->events & EVENT_ADDED) {
		if (!r->first)
			log_change(k, "passes its health check again", "");
		log_event(k, "add_healthy_event", NULL, true, r->first);
	}
	if (r->events & EVENT_SUCCESS)
		log_event(k, "successful_health_check_event", NULL, false, false);
	if (r->events & EVENT_DEGRADED)
		log_event(k, "degraded_healthy_host", NULL, false, false);
	if (r->events & EVENT_NO_LONGER_DEGRADED)
		log_event(k, "no_longer_degraded_host", NULL, false, false);
}

/* ---- results */

static void
no_longer_awaited(struct check *k)
{
	struct checks *all = k->checker->all;

	if (!k->awaited)
		return;
	k->awaited = false;
	all->events->on_first(all->arg, k->owner);
}

static void
rest(struct check *k, uint64_t ms)
{
	enter(k, CHECK_RESTING);
	k->due_ns = loop_now_ns(k->checker->all->loop) + ms * NS_PER_MS;
	timer_set(k->checker->all->loop, &k->timer, ms);
}

/* The last of it: the owner may free the check. */
static void
tell(struct check *k, enum verdict_change change)
{
	struct checks *all = k->checker->all;

	count_health(k, false);
	if (k->checker->has_traffic)
		host_cell_set(k->verdict.cell, HOST_CLUSTER_USED, true);
	no_longer_awaited(k);
	all->events->on_verdict(all->arg, k->owner, change);
}

static void
failed(struct check *k, enum check_failure why, bool retriable)
{
	struct checker *c = k->checker;
	struct verdict_result r = verdict_fail(&k->verdict, &c->rules, why, retriable);

	stat_inc(&c->stats->failure);
	if (why == FAILURE_NETWORK || why == FAILURE_TIMEOUT)
		stat_inc(&c->stats->network_failure);
	rest(k, verdict_interval_ms(&c->rules, false, r.change, has_traffic(c), rand_u64()));
	log_result(k, &r, why);
	tell(k, r.change);
}

static void
passed(struct check *k, bool degraded)
{
	struct checker *c = k->checker;
	struct verdict_result r;

	/* Before the flag goes: a worker that sees that must see when its slow start began. */
	if (host_cell_flags(k->verdict.cell) & HOST_FAILED_ACTIVE_HC)
		host_cell_begins(k->verdict.cell, loop_now_ns(c->all->loop));
	r = verdict_pass(&k->verdict, &c->rules, degraded);
	stat_inc(&c->stats->success);
	rest(k, verdict_interval_ms(&c->rules, true, r.change, has_traffic(c), rand_u64()));
	log_result(k, &r, FAILURE_ACTIVE);
	tell(k, r.change);
}

/* A worker's word came while we asked: newer than the host's answer. */
static bool
was_failed_meanwhile(struct check *k)
{
	struct verdict_result r = {.events = EVENT_EJECTED};

	if (!verdict_failed_meanwhile(&k->verdict))
		return false;
	log_result(k, &r, FAILURE_PASSIVE);
	count_health(k, false);
	return true;
}

/* We had no descriptor or no port to ask with: nothing is known of the host. */
static void
could_not_ask(struct check *k)
{
	struct checks *all = k->checker->all;

	if (!all->scarce)
		log_warning(LOG_HEALTH_CHECKER, "health checks wait and keep no connections: this "
						"process has no file descriptor or no port left");
	all->scarce = true;
	rest(k, LOCAL_PAUSE_MS);
	no_longer_awaited(k);
}

static void
on_answer(struct probe *p, struct probe_verdict v)
{
	struct check *k = container_of(p, struct check, probe);
	bool newer = was_failed_meanwhile(k);

	if (v.leave_alone && v.result == PROBE_FAILED)
		host_cell_set(k->verdict.cell, HOST_EXCLUDED_IMMEDIATE_HC_FAIL, true);
	switch (v.result) {
	case PROBE_PASSED:
	case PROBE_DEGRADED:
		if (!newer)
			passed(k, v.result == PROBE_DEGRADED);
		else
			rest(k, k->checker->rules.unhealthy_interval_ms);
		break;
	case PROBE_LOCAL:
		could_not_ask(k);
		break;
	default:
		failed(k, v.result == PROBE_LOST ? FAILURE_NETWORK : FAILURE_ACTIVE,
		    v.result == PROBE_RETRIABLE);
		break;
	}
}

/* ---- time */

static void
begin(struct check *k)
{
	struct checker *c = k->checker;
	struct checks *all = c->all;
	uint64_t now = clock_mono_ns();

	was_failed_meanwhile(k);
	enter(k, CHECK_ASKING);
	if (all->delay && now >= k->due_ns)
		stat_record(all->delay, (now - k->due_ns) / NS_PER_MS);
	k->extended = 0;
	k->busy_before = all->busy_ns;
	timer_set(all->loop, &k->timer, c->probing.timeout_ms);
	stat_inc(&c->stats->attempt);
	probe_ask(&k->probe);
}

static void
on_pump(void *arg, unsigned ready)
{
	struct checks *s = arg;

	for (unsigned i = 0; i < BATCH && !list_empty(&s->due); i++)
		begin(list_entry(list_first(&s->due), struct check, node));
	if (!list_empty(&s->due))
		io_again(&s->pump, IO_WRITE);
}

static void
become_due(struct check *k)
{
	struct checks *s = k->checker->all;

	enter(k, CHECK_DUE);
	list_push_back(&s->due, &k->node);
	io_again(&s->pump, IO_WRITE);
}

/* How long this process looked away while the host was asked, and it was not made up for. */
static uint64_t
away_ms(const struct check *k)
{
	struct checks *s = k->checker->all;
	uint64_t busy = s->busy_ns - k->busy_before;
	uint64_t now = loop_now_ns(s->loop), due = k->timer.at * NS_PER_MS;
	uint64_t late = now > due ? now - due : 0;
	uint64_t away = late > busy ? late : busy;

	return away > LONG_TURN_NS ? away / NS_PER_MS + 1 : 0;
}

static void
on_timeout(struct check *k)
{
	struct checks *s = k->checker->all;
	uint64_t away = away_ms(k);

	if (away && k->extended < EXTENSIONS) {
		k->extended++;
		k->busy_before = s->busy_ns;
		timer_set(s->loop, &k->timer,
		    away < k->checker->probing.timeout_ms ? away : k->checker->probing.timeout_ms);
		return;
	}
	if (probe_look(&k->probe)) /* the answer was there: done, and k perhaps freed */
		return;
	probe_stop(&k->probe);
	was_failed_meanwhile(k);
	failed(k, FAILURE_TIMEOUT, false);
}

static void
on_timer(void *arg)
{
	struct check *k = arg;

	if (k->state == CHECK_ASKING)
		on_timeout(k);
	else
		become_due(k);
}

void
checks_on_wait(struct checks *s)
{
	uint64_t now = clock_mono_ns(), began = loop_now_ns(s->loop);

	if (now > began + LONG_TURN_NS)
		s->busy_ns += now - began;
}

void
checks_init(struct checks *s, struct loop *l, const struct checks_events *e, void *arg)
{
	*s = (struct checks){.loop = l, .events = e, .arg = arg};
	list_init(&s->due);
	event_logs_init(&s->logs, l);
	s->pump = (struct io){.loop = l, .fn = on_pump, .arg = s};
}

void
checks_fini(struct checks *s)
{
	list_remove(&s->pump.again_node);
	event_logs_fini(&s->logs);
}

/* ---- a host's check */

void
checker_place(const struct checker *c, struct check_target *t, uint16_t port)
{
	if (port == 0)
		port = c->alt_port;
	if (port && address_is_ip(&t->ask))
		address_set_port(&t->ask, port);
}

struct check *
checker_add(struct checker *c, const struct check_target *t)
{
	struct check *k = mem_new(struct check);
	uint64_t initial_ms = verdict_initial_ms(&c->rules, rand_u64());

	k->checker = c;
	k->owner = t->owner;
	k->address = t->address;
	k->region = t->region;
	k->zone = t->zone;
	k->sub_zone = t->sub_zone;
	k->probe.settings = &c->probing;
	k->probe.address = t->ask;
	k->probe.authority = t->hostname;
	k->probe.done = on_answer;
	timer_init(&k->timer, on_timer, k);
	verdict_init(&k->verdict, t->cell,
	    t->in_use       ? BEGIN_USED
	    : c->hide_new ? BEGIN_HIDDEN
			  : BEGIN_FAILED);
	k->awaited = t->awaited && k->verdict.first;
	c->has_traffic |= (host_cell_flags(t->cell) & HOST_CLUSTER_USED) != 0;
	c->checks++;
	count_health(k, false);
	k->due_ns = loop_now_ns(c->all->loop) + initial_ms * NS_PER_MS;
	if (initial_ms)
		timer_set(c->all->loop, &k->timer, initial_ms);
	else
		become_due(k);
	return k;
}

bool
check_is_awaited(const struct check *k)
{
	return k->awaited;
}

void
check_free(struct check **kp, bool forget)
{
	struct check *k = *kp;

	*kp = NULL;
	if (k == NULL)
		return;
	enter(k, CHECK_GONE);
	probe_stop(&k->probe);
	count_health(k, true);
	no_longer_awaited(k);
	if (forget)
		verdict_forget(&k->verdict);
	k->checker->checks--;
	mem_free(k);
}
