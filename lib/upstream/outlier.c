#include "lib/upstream/outlier.h"

#include "conf/defaults.h"
#include "lib/upstream/cluster.h"

#include "envoy/config/cluster/v3/cluster.pb-c.h"

#define IN_A_ROW 5

static void (*reporter)(void *arg, struct host *h, enum outlier_streak s);
static void *reporter_arg;

void
outlier_set_reporter(void (*report)(void *, struct host *, enum outlier_streak), void *arg)
{
	reporter = report;
	reporter_arg = arg;
}

void
outlier_rules_read(struct outlier_rules *r, const void *msg)
{
	const Envoy__Config__Cluster__V3__OutlierDetection *m =
	    ((const Envoy__Config__Cluster__V3__Cluster *)msg)->outlier_detection;

	*r = (struct outlier_rules){0};
	if (m == NULL)
		return;
	r->on = true;
	r->split = m->split_external_local_origin_errors;
	r->threshold[OUTLIER_5XX] = conf_u32(m->consecutive_5xx, IN_A_ROW);
	r->threshold[OUTLIER_GATEWAY] = conf_u32(m->consecutive_gateway_failure, IN_A_ROW);
	r->threshold[OUTLIER_LOCAL] = conf_u32(m->consecutive_local_origin_failure, IN_A_ROW);
}

static uint32_t *
streak_of(struct host *h, enum outlier_streak s)
{
	switch (s) {
	case OUTLIER_5XX:
		return &h->cell->consecutive_5xx;
	case OUTLIER_GATEWAY:
		return &h->cell->consecutive_gateway;
	default:
		return &h->cell->consecutive_local;
	}
}

/* Written by all workers, and only when it changes: a good host costs a load. */
static void
end_streak(struct host *h, enum outlier_streak s)
{
	uint32_t *n = streak_of(h, s);

	if (__atomic_load_n(n, __ATOMIC_RELAXED))
		__atomic_store_n(n, 0, __ATOMIC_RELAXED);
}

/* The one who brings it to the threshold tells. */
static void
add_failure(struct host *h, enum outlier_streak s)
{
	uint32_t n = __atomic_add_fetch(streak_of(h, s), 1, __ATOMIC_RELAXED);

	if (n == h->cluster->outlier.threshold[s] && reporter)
		reporter(reporter_arg, h, s);
}

static bool
is_gateway_failure(unsigned status)
{
	return status == 502 || status == 503 || status == 504;
}

void
outlier_note_status(struct host *h, unsigned status)
{
	if (!h->cluster->outlier.on)
		return;
	if (status < 500) {
		stat_inc(&h->outcome->success);
		end_streak(h, OUTLIER_5XX);
		end_streak(h, OUTLIER_GATEWAY);
		return;
	}
	stat_inc(&h->outcome->failure);
	if (is_gateway_failure(status))
		add_failure(h, OUTLIER_GATEWAY);
	else
		end_streak(h, OUTLIER_GATEWAY);
	add_failure(h, OUTLIER_5XX);
}

static void
note_apart(struct host *h, enum outlier_local what)
{
	if (what == OUTLIER_CONNECTED) {
		stat_inc(&h->outcome->local_success);
		end_streak(h, OUTLIER_LOCAL);
		return;
	}
	stat_inc(&h->outcome->local_failure);
	add_failure(h, OUTLIER_LOCAL);
}

void
outlier_note_local(struct host *h, enum outlier_local what)
{
	if (!h->cluster->outlier.on)
		return;
	if (h->cluster->outlier.split)
		note_apart(h, what);
	else if (what != OUTLIER_CONNECTED) /* to have connected says nothing */
		outlier_note_status(h, what == OUTLIER_TIMED_OUT ? 504 : 503);
}
