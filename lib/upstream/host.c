#include "lib/upstream/host.h"

#include "lib/base/arena.h"
#include "lib/base/assert.h"
#include "lib/base/mem.h"
#include "lib/upstream/blocks.h"
#include "lib/upstream/cluster.h"
#include "lib/upstream/pool.h"

#include "envoy/config/core/v3/health_check.pb-c.h"

#define FAILED_FLAGS                                                                               \
	(HOST_FAILED_ACTIVE_HC | HOST_FAILED_OUTLIER | HOST_FAILED_EDS | HOST_EDS_DRAINING |       \
	    HOST_OPERATOR_DRAIN | HOST_OPERATOR_FAIL)
#define DEGRADED_FLAGS (HOST_DEGRADED_ACTIVE_HC | HOST_DEGRADED_EDS)
/* The operator's hosts are excluded so that taking one out never leads to panic. */
#define EXCLUDED_FLAGS                                                                             \
	(HOST_EXCLUDED_IMMEDIATE_HC_FAIL | HOST_PENDING_ACTIVE_HC | HOST_OPERATOR_DRAIN |          \
	    HOST_OPERATOR_FAIL)

static void
take_values(struct host *h, const struct endpoint *e)
{
	h->weight = e->weight;
	h->locality_weight = e->locality_weight;
	h->priority = e->priority;
	h->eds_status = e->status;
	h->canary = e->metadata && e->metadata->canary;
	h->hostname = hostname_ref(e->hostname);
	h->locality = locality_ref(e->locality);
	h->metadata = metadata_ref(e->metadata);
	h->zone_codes = cluster_zone_codes(h->cluster, h->locality);
}

static void
drop_values(struct host *h)
{
	hostname_unref(&h->hostname);
	locality_unref(&h->locality);
	metadata_unref(&h->metadata);
}

struct host *
host_new(struct cluster *c, const struct endpoint *e)
{
	struct host *h = mem_new(struct host);
	struct strb prefix = {0};

	h->refs = 1;
	h->cluster = c;
	h->address = e->address;
	take_values(h, e);
	host_block_prefix(&prefix, c->name, &e->address);
	h->cell = block_shared(SCOPE_host, strb_str(&prefix));
	h->stats = block_stats(SCOPE_host, strb_str(&prefix));
	h->outcome = block_stats(SCOPE_host_outcome, strb_str(&prefix));
	strb_fini(&prefix);
	return h;
}

void
host_update(struct host *h, const struct endpoint *e)
{
	struct host before = *h;

	take_values(h, e);
	drop_values(&before);
}

bool
host_says(const struct host *h, const struct endpoint *e)
{
	return h->weight == e->weight && h->locality_weight == e->locality_weight &&
	    h->priority == e->priority && h->eds_status == e->status &&
	    h->hostname == e->hostname && h->locality == e->locality && h->metadata == e->metadata;
}

uint32_t upstream_departed;

void
host_departs(struct host *h)
{
	ASSERT(h->removed);
	upstream_departed++;
}

static void
unkeep(void *arg)
{
	struct host *h = arg;

	host_unref(&h);
}

struct host *
host_keep(struct host *h, struct arena *a)
{
	arena_on_fini(a, unkeep, host_ref(h));
	return h;
}

struct host *
host_ref(struct host *h)
{
	h->refs++;
	return h;
}

void
host_unref(struct host **hp)
{
	struct host *h = *hp;

	*hp = NULL;
	if (h == NULL || --h->refs > 0)
		return;
	upstream_departed -= h->removed;
	pool_free(&h->pool[0]);
	pool_free(&h->pool[1]);
	drop_values(h);
	mem_free(h);
}

static bool
eds_says_unhealthy(const struct host *h)
{
	switch (h->eds_status) {
	case ENVOY__CONFIG__CORE__V3__HEALTH_STATUS__UNHEALTHY:
	case ENVOY__CONFIG__CORE__V3__HEALTH_STATUS__DRAINING:
	case ENVOY__CONFIG__CORE__V3__HEALTH_STATUS__TIMEOUT:
		return true;
	default:
		return false;
	}
}

enum host_health
host_health(const struct host *h)
{
	uint32_t flags = host_cell_flags(h->cell);

	if ((flags & FAILED_FLAGS) || eds_says_unhealthy(h))
		return HOST_UNHEALTHY;
	if ((flags & DEGRADED_FLAGS) ||
	    h->eds_status == ENVOY__CONFIG__CORE__V3__HEALTH_STATUS__DEGRADED)
		return HOST_DEGRADED;
	return HOST_HEALTHY;
}

bool
host_is_excluded(const struct host *h)
{
	return host_cell_flags(h->cell) & EXCLUDED_FLAGS;
}

bool
host_is_drained(const struct host *h)
{
	return host_cell_flags(h->cell) & HOST_OPERATOR_DRAIN;
}

uint64_t
host_active_requests(struct host *h, uint64_t now_ns)
{
	int64_t n = limit_in_use(&h->rq_others, &h->stats->rq_active, UINT32_MAX, now_ns);

	return n > 0 ? (uint64_t)n : 0;
}

bool
host_fail_active_check(struct host *h)
{
	if (!(host_cell_flags(h->cell) & HOST_CHECKED))
		return false;
	host_cell_set(h->cell, HOST_FAILED_ACTIVE_HC | HOST_EXCLUDED_IMMEDIATE_HC_FAIL, true);
	return true;
}
