#include "lib/upstream/host_set.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/event/loop.h"
#include "lib/upstream/assignment.h"
#include "lib/upstream/group.h"
#include "lib/upstream/lb/slow_start.h"
#include "lib/upstream/loads.h"
#include "lib/upstream/locality_weights.h"
#include "lib/upstream/pool.h"
#include "lib/upstream/zone_plan.h"

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

struct priority {
	struct group groups[GROUP_KINDS];
	struct locality_counts localities; /* only when they count */
};

struct host_set {
	struct loop *loop;
	struct host *const *hosts; /* borrowed from the cluster */
	uint32_t n;
	const struct lb_policy *policy;
	const struct lb_config *config;
	struct cluster_stats *stats;
	uint8_t *seen; /* owned; by place in hosts */
	struct priority *priorities;
	struct priority_counts *counts;
	struct priority_load *loads;
	unsigned priorities_n;
	struct zone_plan plan;  /* of priority 0 */
	uint64_t siblings_seen; /* the zone's serial that it was made from */
	uint64_t scan_at_ns;
	uint64_t slow_until_ns; /* the first slow start that ends; 0: there is none */
};

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
		for (unsigned k = 0; k < GROUP_KINDS; k++)
			group_fini(&s->priorities[i].groups[k]);
		s->priorities[i].localities.all.len = 0;
		s->counts[i] = (struct priority_counts){0};
	}
}

static void
count_host(struct priority_counts *c, const struct host *h, uint8_t seen)
{
	c->total++;
	c->total_weight += h->weight;
	if ((seen & SEEN_HEALTH) == HOST_HEALTHY) {
		c->healthy++;
		c->healthy_weight += h->weight;
	} else if ((seen & SEEN_HEALTH) == HOST_DEGRADED) {
		c->degraded++;
		c->degraded_weight += h->weight;
	}
	if (seen & SEEN_EXCLUDED) {
		c->excluded++;
		c->excluded_weight += h->weight;
	}
}

static void
count_locality(struct locality_counts *c, const struct host *h, uint8_t seen,
    const struct locality_weights *scaled)
{
	struct locality_count *row = locality_counts_of(c, h->locality);

	if (row->total++ == 0)
		row->weight = locality_weight_of(scaled, h);
	row->eligible += !(seen & SEEN_EXCLUDED);
	if ((seen & SEEN_HEALTH) != HOST_HEALTHY)
		return;
	row->healthy++;
	row->healthy_weight += h->weight;
}

static bool
is_zoned(const struct host_set *s)
{
	return s->config->zone && !s->policy->by_hash && s->priorities_n > 0;
}

static bool
localities_count(const struct host_set *s, unsigned priority)
{
	return s->config->weighted_localities || (priority == 0 && is_zoned(s));
}

static struct load_rules
rules_of(const struct host_set *s)
{
	return (struct load_rules){
	    .panic_threshold = s->config->panic_threshold,
	    .overprovisioning = s->config->overprovisioning,
	    .weighted = s->config->weighted_health,
	};
}

static void
count_hosts(struct host_set *s)
{
	struct load_rules rules = rules_of(s);

	for (uint32_t i = 0; i < s->n; i++) {
		const struct host *h = s->hosts[i];

		count_host(&s->counts[h->priority], h, s->seen[i]);
		if (localities_count(s, h->priority))
			count_locality(&s->priorities[h->priority].localities, h, s->seen[i],
			    s->config->scaled);
	}
	priority_loads(s->counts, s->loads, s->priorities_n, &rules);
}

static void
fill_groups(struct host_set *s)
{
	for (uint32_t i = 0; i < s->n; i++) {
		struct host *h = s->hosts[i];
		struct group *groups = s->priorities[h->priority].groups;
		uint32_t room = s->counts[h->priority].total;

		if ((s->seen[i] & SEEN_HEALTH) == HOST_HEALTHY)
			group_add(&groups[GROUP_HEALTHY], h, room);
		if ((s->seen[i] & SEEN_HEALTH) == HOST_DEGRADED)
			group_add(&groups[GROUP_DEGRADED], h, room);
		if (s->loads[h->priority].panic && !(s->seen[i] & SEEN_DRAINED))
			group_add(&groups[GROUP_ALL], h, room);
	}
}

/* In panic localities do not count: everybody helps. */
static void
build_groups(struct host_set *s)
{
	for (unsigned i = 0; i < s->priorities_n; i++) {
		struct priority *p = &s->priorities[i];

		for (unsigned k = 0; k < GROUP_KINDS; k++)
			group_build(&p->groups[k], s->policy, s->config,
			    k == GROUP_ALL ? NULL : &p->localities, i == 0 ? &s->plan : NULL);
	}
}

/* Of the priority that was built last, as in Envoy: of its hosts that get its load. */
static void
report_tables(struct host_set *s)
{
	for (unsigned i = 0; i < s->priorities_n && s->policy->report; i++) {
		const struct group *g =
		    &s->priorities[i].groups[s->loads[i].panic ? GROUP_ALL : GROUP_HEALTHY];

		if (g->lb)
			s->policy->report(g->lb, s->stats);
	}
}

static void
note_slow_starts(struct host_set *s)
{
	uint64_t now_ns = loop_now_ns(s->loop);

	s->slow_until_ns = 0;
	for (uint32_t i = 0; i < s->n && s->config->slow_start_ms; i++) {
		uint64_t end = slow_start_until(s->config, s->hosts[i], now_ns);

		if (end && (s->slow_until_ns == 0 || end < s->slow_until_ns))
			s->slow_until_ns = end;
	}
}

static void
make_plan(struct host_set *s)
{
	if (!is_zoned(s))
		return;
	s->siblings_seen = s->config->zone->serial;
	zone_plan_make(
	    &s->plan, s->config->zone, &s->priorities[0].localities, s->config, s->stats);
}

static void
rebuild(struct host_set *s)
{
	clear_groups(s);
	count_hosts(s);
	make_plan(s);
	fill_groups(s);
	build_groups(s);
	report_tables(s);
	note_slow_starts(s);
}

/* The siblings changed: the objects of the localities stay, unless there is need of other ones. */
static void
plan_anew(struct host_set *s)
{
	bool was_off = s->plan.state == ZONE_OFF;

	make_plan(s);
	if (was_off == (s->plan.state == ZONE_OFF))
		return;
	clear_groups(s);
	count_hosts(s);
	fill_groups(s);
	build_groups(s);
}

static bool
siblings_changed(struct host_set *s)
{
	if (!is_zoned(s))
		return false;
	zone_look(s->config->zone, loop_now_ns(s->loop));
	return s->config->zone->serial != s->siblings_seen;
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
	uint64_t now_ns = loop_now_ns(s->loop);
	bool changed = s->slow_until_ns && now_ns >= s->slow_until_ns;

	for (uint32_t i = 0; i < s->n; i++) {
		uint8_t v = verdict(s->hosts[i]);

		if (v == s->seen[i])
			continue;
		if ((v & SEEN_HEALTH) == HOST_UNHEALTHY)
			drain_pools(s->hosts[i]);
		s->seen[i] = v;
		changed = true;
	}
	s->scan_at_ns = now_ns + SCAN_NS + (uint64_t)s->n * SCAN_PER_HOST_NS;
	if (changed)
		rebuild(s);
	else if (siblings_changed(s))
		plan_anew(s);
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
	s->counts = mem_array(struct priority_counts, s->priorities_n);
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
	for (unsigned i = 0; i < s->priorities_n; i++)
		vec_fini(&s->priorities[i].localities.all);
	zone_plan_fini(&s->plan);
	mem_free(s->priorities);
	mem_free(s->counts);
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
	if (s->config->zones.fail_on_panic && !s->policy->by_hash)
		return NULL;
	return &s->priorities[priority].groups[GROUP_ALL];
}

/*
 * Envoy's previous_priorities: after each `frequency` attempts the
 * priorities tried so far are passed over; when nobody would be left all
 * are forgotten and it begins anew.
 */
static void
retry_loads(struct host_set *s, const struct lb_context *ctx, struct priority_load *out)
{
	struct load_rules rules = rules_of(s);
	bool *passed_over = mem_array(bool, s->priorities_n);
	unsigned since = 0;

	memcpy(out, s->loads, s->priorities_n * sizeof(*out));
	for (unsigned n = 1; n <= ctx->tried_len; n++) {
		if ((n - since) % ctx->priority_frequency)
			continue;
		for (unsigned i = since; i < n; i++)
			if (ctx->tried[i]->priority < s->priorities_n)
				passed_over[ctx->tried[i]->priority] = true;
		if (priority_loads_without(s->counts, passed_over, out, s->priorities_n, &rules))
			continue;
		memcpy(out, s->loads, s->priorities_n * sizeof(*out));
		memset(passed_over, 0, s->priorities_n * sizeof(*passed_over));
		since = n;
	}
	mem_free(passed_over);
}

/* Healthy shares of all priorities come before degraded ones, as Envoy lays them out. */
static struct group *
group_by_dice(struct host_set *s, const struct priority_load *loads, uint32_t dice)
{
	for (unsigned i = 0; i < s->priorities_n; i++) {
		if (dice < loads[i].healthy)
			return group_of(s, i, GROUP_HEALTHY);
		dice -= loads[i].healthy;
	}
	for (unsigned i = 0; i < s->priorities_n; i++) {
		if (dice < loads[i].degraded)
			return group_of(s, i, GROUP_DEGRADED);
		dice -= loads[i].degraded;
	}
	return NULL;
}

static uint32_t
throw_dice(struct host_set *s, const struct lb_context *ctx)
{
	if (s->policy->by_hash && ctx->has_hash)
		return (uint32_t)(ctx->hash % 100);
	return (uint32_t)rand_below(100);
}

static struct group *
choose_group_again(struct host_set *s, const struct lb_context *ctx)
{
	struct priority_load *loads = mem_array(struct priority_load, s->priorities_n);
	struct group *g;

	retry_loads(s, ctx, loads);
	g = group_by_dice(s, loads, throw_dice(s, ctx));
	mem_free(loads);
	return g;
}

static struct group *
choose_group(struct host_set *s, const struct lb_context *ctx)
{
	if (s->priorities_n == 0)
		return NULL;
	if (ctx->priority_frequency && ctx->tried_len)
		return choose_group_again(s, ctx);
	if (s->loads[0].healthy == 100)
		return group_of(s, 0, GROUP_HEALTHY);
	return group_by_dice(s, s->loads, throw_dice(s, ctx));
}

/* The same for a first attempt. */
static inline struct group *
choose_first(struct host_set *s, const struct lb_context *ctx)
{
	if (LIKELY(s->priorities_n && s->loads[0].healthy == 100 && !s->loads[0].panic))
		return &s->priorities[0].groups[GROUP_HEALTHY];
	return choose_group(s, ctx);
}

static bool
was_tried(const struct lb_context *ctx, const struct host *h)
{
	for (unsigned i = 0; i < ctx->tried_len; i++)
		if (ctx->tried[i] == h)
			return true;
	return false;
}

static bool
is_refused(const struct host_set *s, const struct lb_context *ctx, const struct host *h)
{
	return (ctx->refuses && ctx->refuses(ctx->arg, h)) ||
	       (!s->policy->by_hash && was_tried(ctx, h));
}

/* Any of these hosts that was not tried, one that nothing else speaks against first (good). */
static struct host *
find_untried(struct host *const *hosts, uint32_t n, const struct lb_context *ctx, bool *good)
{
	uint32_t start = (uint32_t)rand_below(n);
	struct host *second = NULL;

	for (uint32_t i = 0; i < n; i++) {
		struct host *h = hosts[(start + i) % n];

		if (was_tried(ctx, h))
			continue;
		*good = ctx->refuses == NULL || !ctx->refuses(ctx->arg, h);
		if (*good)
			return h;
		second = second ? second : h;
	}
	*good = false;
	return second;
}

/* With zone-aware routing of the locality first that the last pick chose. */
static struct host *
find_other(const struct group *g, const struct lb_context *ctx, const struct host *last)
{
	const struct group_part *near = group_part_of(g, last);
	struct host *h = NULL, *far;
	bool good = false;

	if (near)
		h = find_untried(near->hosts, near->n, ctx, &good);
	if (good)
		return h;
	far = find_untried(g->hosts, g->n, ctx, &good);
	return good || h == NULL ? far : h;
}

static struct host *
pick_again(struct host_set *s, const struct lb_context *ctx)
{
	struct lb_context turn = *ctx;
	struct host *h = NULL, *other;
	struct group *g = NULL;

	for (turn.attempt = 0; turn.attempt <= ctx->more_picks; turn.attempt++) {
		g = choose_group(s, &turn);
		h = g ? group_pick(g, &turn) : NULL;
		if (h == NULL || !is_refused(s, ctx, h))
			return h;
	}
	if (s->policy->by_hash || !was_tried(ctx, h))
		return h;
	other = find_other(g, ctx, h);
	return other ? other : h;
}

static struct host *
pick_as_seen(struct host_set *s, const struct lb_context *ctx)
{
	struct group *g;

	if (ctx->tried_len)
		return pick_again(s, ctx);
	g = choose_first(s, ctx);
	return g ? group_pick(g, ctx) : NULL;
}

/* Of all hosts of the cluster the index is the place; a subset is searched. */
static uint32_t
place_of(const struct host_set *s, const struct host *h)
{
	uint32_t low = 0, high = s->n;

	if (h->index < s->n && s->hosts[h->index] == h)
		return h->index;
	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (s->hosts[mid]->index < h->index)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct host *
host_set_pick(struct host_set *s, const struct lb_context *ctx)
{
	struct host *h;

	if (loop_now_ns(s->loop) >= s->scan_at_ns)
		scan(s);
	h = pick_as_seen(s, ctx);
	if (h == NULL || verdict(h) == s->seen[place_of(s, h)])
		return h;
	scan(s);
	return pick_as_seen(s, ctx);
}
