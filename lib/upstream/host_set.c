#include "lib/upstream/host_set.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/event/loop.h"
#include "lib/upstream/assignment.h"
#include "lib/upstream/pool.h"

#define SCAN_NS (10 * NS_PER_MS)
#define SCAN_PER_HOST_NS 10000 /* 10,000 hosts are scanned every 110 ms */

/* What is remembered of a host since the last scan. */
#define SEEN_HEALTH 3u
#define SEEN_EXCLUDED 4u
#define SEEN_DRAINED 8u

enum group_kind {
	GROUP_HEALTHY,
	GROUP_DEGRADED,
	GROUP_ALL,
	GROUP_KINDS,
};

struct group {
	struct host **hosts; /* owned array of borrowed hosts */
	uint32_t n;
	void *lb; /* NULL while there is nobody */
};

struct priority {
	struct priority_counts counts;
	struct group groups[GROUP_KINDS];
};

struct host_set {
	struct loop *loop;
	struct host *const *hosts; /* borrowed from the cluster */
	uint32_t n;
	const struct lb_policy *policy;
	const struct lb_config *config;
	struct cluster_stats *stats;
	uint8_t *seen; /* owned; by host index */
	struct priority *priorities;
	struct priority_load *loads;
	unsigned priorities_n;
	uint64_t scan_at_ns;
};

/* ---- shares of the priorities */

static uint32_t
eligible(const struct priority_counts *c)
{
	return c->total - c->excluded;
}

static uint32_t
health_percent(uint32_t good, const struct priority_counts *c)
{
	uint64_t percent = eligible(c) ? (uint64_t)good * OVERPROVISIONING / eligible(c) : 0;

	return percent > 100 ? 100 : (uint32_t)percent;
}

static uint32_t
least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static bool
in_panic(const struct priority_counts *c, uint32_t threshold)
{
	uint64_t available = (uint64_t)c->healthy + c->degraded;

	if (eligible(c) == 0)
		return threshold > 0;
	return available * 100 < (uint64_t)eligible(c) * threshold;
}

/* Everybody is in panic: shares by number of hosts. */
static void
loads_by_count(const struct priority_counts *counts, struct priority_load *loads, unsigned n)
{
	uint64_t hosts = 0;
	uint32_t left = 100;

	for (unsigned i = 0; i < n; i++)
		hosts += counts[i].total;
	for (unsigned i = 0; i < n; i++) {
		loads[i].degraded = 0;
		loads[i].healthy = hosts ? (uint8_t)((uint64_t)counts[i].total * 100 / hosts) : 0;
		left -= loads[i].healthy;
	}
	for (unsigned i = 0; i < n && hosts; i++) {
		if (counts[i].total == 0)
			continue;
		loads[i].healthy = (uint8_t)(loads[i].healthy + left);
		return;
	}
}

static void
loads_by_health(
    const struct priority_counts *counts, struct priority_load *loads, unsigned n, uint32_t total)
{
	uint32_t left = 100;

	if (total == 0) { /* nobody, and no panic either */
		memset(loads, 0, n * sizeof(*loads));
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		uint32_t percent = health_percent(counts[i].healthy, &counts[i]);

		loads[i].healthy = (uint8_t)least(left, percent * 100 / total);
		left -= loads[i].healthy;
	}
	for (unsigned i = 0; i < n; i++) {
		uint32_t percent = health_percent(counts[i].degraded, &counts[i]);

		loads[i].degraded = (uint8_t)least(left, percent * 100 / total);
		left -= loads[i].degraded;
	}
	for (unsigned i = 0; i < n && left; i++) { /* what rounding left */
		uint8_t *to = counts[i].healthy ? &loads[i].healthy : &loads[i].degraded;

		if (counts[i].healthy + counts[i].degraded == 0)
			continue;
		*to = (uint8_t)(*to + left);
		left = 0;
	}
}

void
priority_loads(const struct priority_counts *counts, struct priority_load *loads, unsigned n,
    uint32_t panic_threshold)
{
	uint32_t total = 0;
	bool all_panic = true;

	for (unsigned i = 0; i < n; i++)
		total += health_percent(counts[i].healthy, &counts[i]) +
			 health_percent(counts[i].degraded, &counts[i]);
	total = least(total, 100);
	for (unsigned i = 0; i < n; i++) {
		loads[i].panic = total < 100 && in_panic(&counts[i], panic_threshold);
		all_panic &= loads[i].panic;
	}
	if (all_panic)
		loads_by_count(counts, loads, n);
	else
		loads_by_health(counts, loads, n, total);
}

/* ---- groups */

static uint8_t
verdict(const struct host *h)
{
	return (uint8_t)((unsigned)host_health(h) | (host_is_excluded(h) ? SEEN_EXCLUDED : 0) |
			 (host_is_drained(h) ? SEEN_DRAINED : 0));
}

static void
clear_groups(struct host_set *s)
{
	for (unsigned i = 0; i < s->priorities_n; i++) {
		for (unsigned k = 0; k < GROUP_KINDS; k++) {
			struct group *g = &s->priorities[i].groups[k];

			if (g->lb)
				s->policy->free(g->lb);
			mem_free(g->hosts);
			*g = (struct group){0};
		}
		s->priorities[i].counts = (struct priority_counts){0};
	}
}

static void
count_hosts(struct host_set *s)
{
	struct priority_counts *counts = mem_array(struct priority_counts, s->priorities_n);

	for (uint32_t i = 0; i < s->n; i++) {
		struct priority_counts *c = &counts[s->hosts[i]->priority];

		c->total++;
		c->healthy += (s->seen[i] & SEEN_HEALTH) == HOST_HEALTHY;
		c->degraded += (s->seen[i] & SEEN_HEALTH) == HOST_DEGRADED;
		c->excluded += (s->seen[i] & SEEN_EXCLUDED) != 0;
	}
	for (unsigned i = 0; i < s->priorities_n; i++)
		s->priorities[i].counts = counts[i];
	priority_loads(counts, s->loads, s->priorities_n, s->config->panic_threshold);
	mem_free(counts);
}

static void
group_add(struct host_set *s, struct host *h, enum group_kind k)
{
	struct priority *p = &s->priorities[h->priority];
	struct group *g = &p->groups[k];

	if (g->hosts == NULL)
		g->hosts = mem_array(struct host *, p->counts.total);
	g->hosts[g->n++] = h;
}

static void
fill_groups(struct host_set *s)
{
	for (uint32_t i = 0; i < s->n; i++) {
		struct host *h = s->hosts[i];

		if ((s->seen[i] & SEEN_HEALTH) == HOST_HEALTHY)
			group_add(s, h, GROUP_HEALTHY);
		if ((s->seen[i] & SEEN_HEALTH) == HOST_DEGRADED)
			group_add(s, h, GROUP_DEGRADED);
		if (s->loads[h->priority].panic && !(s->seen[i] & SEEN_DRAINED))
			group_add(s, h, GROUP_ALL);
	}
	for (unsigned i = 0; i < s->priorities_n; i++) {
		for (unsigned k = 0; k < GROUP_KINDS; k++) {
			struct group *g = &s->priorities[i].groups[k];

			if (g->n)
				g->lb = s->policy->build(g->hosts, g->n, s->config);
		}
	}
}

static void
rebuild(struct host_set *s)
{
	clear_groups(s);
	count_hosts(s);
	fill_groups(s);
}

/* ---- verdicts */

static void
drain_pools(struct host *h)
{
	for (unsigned i = 0; i < 2; i++)
		if (h->pool[i])
			pool_drain(h->pool[i]);
}

static void
scan(struct host_set *s)
{
	bool changed = false;

	for (uint32_t i = 0; i < s->n; i++) {
		uint8_t v = verdict(s->hosts[i]);

		if (v == s->seen[i])
			continue;
		if ((v & SEEN_HEALTH) == HOST_UNHEALTHY)
			drain_pools(s->hosts[i]);
		s->seen[i] = v;
		changed = true;
	}
	s->scan_at_ns = loop_now_ns(s->loop) + SCAN_NS + (uint64_t)s->n * SCAN_PER_HOST_NS;
	if (changed)
		rebuild(s);
}

struct host_set *
host_set_new(struct loop *l, struct host *const *hosts, uint32_t n, const struct lb_policy *policy,
    const struct lb_config *config, struct cluster_stats *stats)
{
	struct host_set *s = mem_new(struct host_set);

	s->loop = l;
	s->hosts = hosts;
	s->n = n;
	s->policy = policy;
	s->config = config;
	s->stats = stats;
	s->seen = mem_array(uint8_t, n);
	for (uint32_t i = 0; i < n; i++) {
		s->seen[i] = verdict(hosts[i]);
		if (hosts[i]->priority >= s->priorities_n)
			s->priorities_n = hosts[i]->priority + 1;
	}
	s->priorities = mem_array(struct priority, s->priorities_n);
	s->loads = mem_array(struct priority_load, s->priorities_n);
	rebuild(s);
	return s;
}

void
host_set_free(struct host_set **sp)
{
	struct host_set *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	clear_groups(s);
	mem_free(s->priorities);
	mem_free(s->loads);
	mem_free(s->seen);
	mem_free(s);
}

/* ---- picking */

static struct group *
group_of(struct host_set *s, unsigned priority, enum group_kind k)
{
	if (!s->loads[priority].panic)
		return &s->priorities[priority].groups[k];
	stat_inc(&s->stats->lb_healthy_panic);
	return &s->priorities[priority].groups[GROUP_ALL];
}

/* Healthy shares of all priorities come before degraded ones, as Envoy lays them out. */
static struct group *
choose_group(struct host_set *s, const struct lb_context *ctx)
{
	uint32_t dice;

	if (s->priorities_n == 0)
		return NULL;
	if (s->loads[0].healthy == 100)
		return group_of(s, 0, GROUP_HEALTHY);
	dice = (uint32_t)(s->policy->by_hash && ctx->has_hash ? ctx->hash % 100 : rand_below(100));
	for (unsigned i = 0; i < s->priorities_n; i++) {
		if (dice < s->loads[i].healthy)
			return group_of(s, i, GROUP_HEALTHY);
		dice -= s->loads[i].healthy;
	}
	for (unsigned i = 0; i < s->priorities_n; i++) {
		if (dice < s->loads[i].degraded)
			return group_of(s, i, GROUP_DEGRADED);
		dice -= s->loads[i].degraded;
	}
	return NULL;
}

static struct host *
pick_as_seen(struct host_set *s, const struct lb_context *ctx)
{
	struct group *g = choose_group(s, ctx);

	return g && g->lb ? s->policy->pick(g->lb, ctx) : NULL;
}

struct host *
host_set_pick(struct host_set *s, const struct lb_context *ctx)
{
	struct host *h;

	if (loop_now_ns(s->loop) >= s->scan_at_ns)
		scan(s);
	h = pick_as_seen(s, ctx);
	if (h == NULL || verdict(h) == s->seen[h->index])
		return h;
	scan(s);
	return pick_as_seen(s, ctx);
}
