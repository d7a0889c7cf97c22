#include "lib/upstream/thresholds.h"

#include "conf/defaults.h"

#include "envoy/config/cluster/v3/cluster.pb-c.h"

#define BUDGET_PERCENT 20

typedef Envoy__Config__Cluster__V3__Cluster Cluster;
typedef Envoy__Config__Cluster__V3__CircuitBreakers__Thresholds Thresholds;

static const Thresholds *
of_priority(Thresholds *const *list, size_t n, bool high)
{
	for (size_t i = 0; i < n; i++)
		if ((list[i]->priority == ENVOY__CONFIG__CORE__V3__ROUTING_PRIORITY__HIGH) == high)
			return list[i];
	return NULL;
}

static const Thresholds *
thresholds_of(const Cluster *c, bool high)
{
	const Envoy__Config__Cluster__V3__CircuitBreakers *b = c->circuit_breakers;

	return b ? of_priority(b->thresholds, b->n_thresholds, high) : NULL;
}

uint64_t
thresholds_host_connections(const void *msg, bool high)
{
	const Envoy__Config__Cluster__V3__CircuitBreakers *b =
	    ((const Cluster *)msg)->circuit_breakers;
	const Thresholds *t =
	    b ? of_priority(b->per_host_thresholds, b->n_per_host_thresholds, high) : NULL;

	return t && t->max_connections ? t->max_connections->value : UINT64_MAX;
}

bool
thresholds_read(uint64_t max[BREAKER_KINDS], const void *msg, bool high)
{
	const Thresholds *t = thresholds_of(msg, high);

	max[BREAKER_CONNECTIONS] = conf_u32(t ? t->max_connections : NULL, BREAKER_MAX);
	max[BREAKER_PENDING] = conf_u32(t ? t->max_pending_requests : NULL, BREAKER_MAX);
	max[BREAKER_REQUESTS] = conf_u32(t ? t->max_requests : NULL, BREAKER_MAX);
	max[BREAKER_RETRIES] = conf_u32(t ? t->max_retries : NULL, BREAKER_MAX_RETRIES);
	return t && t->track_remaining;
}

bool
thresholds_read_budget(struct retry_budget *out, const void *msg, bool high)
{
	const Thresholds *t = thresholds_of(msg, high);

	if (t == NULL || t->retry_budget == NULL)
		return false;
	out->percent =
	    t->retry_budget->budget_percent ? t->retry_budget->budget_percent->value : BUDGET_PERCENT;
	out->least = conf_u32(t->retry_budget->min_retry_concurrency, BREAKER_MAX_RETRIES);
	return true;
}

#define PUBLISH(stats, priority, max, budget)                                                      \
	do {                                                                                       \
		stat_set(&(stats)->circuit_breakers_##priority##_remaining_cx,                     \
		    (int64_t)(max)[BREAKER_CONNECTIONS]);                                          \
		stat_set(&(stats)->circuit_breakers_##priority##_remaining_pending,                \
		    (int64_t)(max)[BREAKER_PENDING]);                                              \
		stat_set(&(stats)->circuit_breakers_##priority##_remaining_rq,                     \
		    (int64_t)(max)[BREAKER_REQUESTS]);                                             \
		if (!(budget))                                                                     \
			stat_set(&(stats)->circuit_breakers_##priority##_remaining_retries,        \
			    (int64_t)(max)[BREAKER_RETRIES]);                                      \
	} while (0)

void
thresholds_publish(struct cluster_stats *s, const void *msg)
{
	uint64_t max[BREAKER_KINDS];
	struct retry_budget budget;

	if (thresholds_read(max, msg, false))
		PUBLISH(s, default, max, thresholds_read_budget(&budget, msg, false));
	if (thresholds_read(max, msg, true))
		PUBLISH(s, high, max, thresholds_read_budget(&budget, msg, true));
}
