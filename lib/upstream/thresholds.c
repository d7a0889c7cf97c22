#include "lib/upstream/thresholds.h"

#include "conf/defaults.h"

#include "envoy/config/cluster/v3/cluster.pb-c.h"

typedef Envoy__Config__Cluster__V3__Cluster Cluster;
typedef Envoy__Config__Cluster__V3__CircuitBreakers__Thresholds Thresholds;

static const Thresholds *
thresholds_of(const Cluster *c, bool high)
{
	for (size_t i = 0; c->circuit_breakers && i < c->circuit_breakers->n_thresholds; i++) {
		const Thresholds *t = c->circuit_breakers->thresholds[i];

		if ((t->priority == ENVOY__CONFIG__CORE__V3__ROUTING_PRIORITY__HIGH) == high)
			return t;
	}
	return NULL;
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

void
thresholds_publish(struct cluster_stats *s, const void *msg)
{
	uint64_t max[BREAKER_KINDS];

	if (!thresholds_read(max, msg, false))
		return;
	stat_set(&s->circuit_breakers_default_remaining_cx, (int64_t)max[BREAKER_CONNECTIONS]);
	stat_set(&s->circuit_breakers_default_remaining_pending, (int64_t)max[BREAKER_PENDING]);
	stat_set(&s->circuit_breakers_default_remaining_rq, (int64_t)max[BREAKER_REQUESTS]);
	stat_set(&s->circuit_breakers_default_remaining_retries, (int64_t)max[BREAKER_RETRIES]);
}
