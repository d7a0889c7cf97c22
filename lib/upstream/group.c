#include "lib/upstream/group.h"

#include <stddef.h>
#include <stdlib.h>

#include "lib/base/assert.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/upstream/zone_plan.h"

void
group_add(struct group *g, struct host *h, uint32_t room)
{
	if (g->hosts == NULL)
		g->hosts = mem_array(struct host *, room);
	g->hosts[g->n++] = h;
}

/* ---- parts: one for each locality */

static int
by_locality(const void *a, const void *b)
{
	const struct host *x = *(struct host *const *)a, *y = *(struct host *const *)b;

	if (x->locality != y->locality)
		return (uintptr_t)x->locality < (uintptr_t)y->locality ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

static uint32_t
place_of(const struct locality_counts *c, const struct locality *l)
{
	for (uint32_t i = 0; i < c->all.len; i++)
		if (c->all.at[i].locality == l)
			return i;
	return UINT32_MAX;
}

/* Weight × availability, where overprovisioning makes up for some hosts that are not there. */
static double
effective_weight(const struct locality_count *c, uint32_t available, const struct lb_config *config)
{
	double ratio;

	if (c->eligible == 0)
		return 0;
	ratio = (double)available / c->eligible * config->overprovisioning / 100;
	return c->weight * (ratio < 1 ? ratio : 1);
}

static void
add_part(struct group *g, uint32_t from, uint32_t to, double weight, const struct lb_config *config)
{
	struct group_part *p = &g->parts[g->parts_n++];

	p->hosts = g->hosts + from;
	p->n = to - from;
	p->lb = g->policy->build(p->hosts, p->n, config);
	p->step = (uint64_t)((double)EDF_UNIT / weight);
}

static struct group_part *
next_part(struct group *g)
{
	struct group_part *p = edf_first(&g->turns);

	edf_again(&g->turns, p->step);
	return p;
}

/* Workers shall not all begin with the same locality. */
static void
start_turns(struct group *g)
{
	edf_init(&g->turns, g->parts_n);
	for (uint32_t i = 0; i < g->parts_n; i++)
		edf_add(&g->turns, &g->parts[i], g->parts[i].step);
	for (uint64_t skip = rand_below(g->parts_n); skip > 0; skip--)
		next_part(g);
}

static void
build_parts(
    struct group *g, const struct lb_config *config, const struct locality_counts *localities)
{
	qsort(g->hosts, g->n, sizeof(*g->hosts), by_locality);
	g->parts = mem_array(struct group_part, localities->all.len);
	for (uint32_t from = 0, to; from < g->n; from = to) {
		const struct locality *l = g->hosts[from]->locality;
		uint32_t place = place_of(localities, l);
		double weight;

		ASSERT(place < localities->all.len);
		for (to = from + 1; to < g->n && g->hosts[to]->locality == l;)
			to++;
		weight = effective_weight(&localities->all.at[place], to - from, config);
		if (weight > 0)
			add_part(g, from, to, weight, config);
	}
	if (g->parts_n)
		start_turns(g);
}

/* ---- zones: a part for each locality, by its place, beside the object of all hosts */

static void
measure_zones(struct group *g, const struct locality_counts *localities)
{
	struct host *const *at = g->by_zone;

	for (uint32_t i = 0; i < g->n; i++)
		g->parts[place_of(localities, g->hosts[i]->locality)].n++;
	for (uint32_t i = 0; i < g->parts_n; i++) {
		g->parts[i].hosts = at;
		at += g->parts[i].n;
	}
}

static void
build_zones(
    struct group *g, const struct lb_config *config, const struct locality_counts *localities)
{
	uint32_t *filled;

	g->parts_n = (uint32_t)localities->all.len;
	g->parts = mem_array(struct group_part, g->parts_n);
	g->by_zone = mem_array(struct host *, g->n);
	measure_zones(g, localities);
	filled = mem_array(uint32_t, g->parts_n);
	for (uint32_t i = 0; i < g->n; i++) {
		uint32_t place = place_of(localities, g->hosts[i]->locality);
		ptrdiff_t start = g->parts[place].hosts - g->by_zone;

		g->by_zone[start + filled[place]++] = g->hosts[i];
	}
	mem_free(filled);
	for (uint32_t i = 0; i < g->parts_n; i++)
		if (g->parts[i].n)
			g->parts[i].lb =
			    g->policy->build(g->parts[i].hosts, g->parts[i].n, config);
}

/* A locality may have hosts, but none in this group: then anybody is better than nobody. */
static struct host *
pick_in_zone(struct group *g, const struct lb_context *ctx)
{
	int64_t place = zone_plan_choose(g->plan);

	if (place == ZONE_NOBODY)
		return NULL;
	if (place != ZONE_ANY && g->parts[place].lb)
		return g->policy->pick(g->parts[place].lb, ctx);
	return g->policy->pick(g->lb, ctx);
}

void
group_build(struct group *g, const struct lb_policy *policy, const struct lb_config *config,
    const struct locality_counts *localities, const struct zone_plan *plan)
{
	g->policy = policy;
	if (g->n == 0)
		return;
	if (localities && config->weighted_localities && !policy->by_hash)
		build_parts(g, config, localities);
	if (g->parts_n) /* else no locality has a weight: as if there were none */
		return;
	g->lb = policy->build(g->hosts, g->n, config);
	if (localities == NULL || plan == NULL || plan->state == ZONE_OFF)
		return;
	mem_free(g->parts);
	build_zones(g, config, localities);
	g->plan = plan;
}

void
group_fini(struct group *g)
{
	if (g->lb)
		g->policy->free(g->lb);
	for (uint32_t i = 0; i < g->parts_n; i++)
		if (g->parts[i].lb)
			g->policy->free(g->parts[i].lb);
	edf_fini(&g->turns);
	mem_free(g->parts);
	mem_free(g->by_zone);
	mem_free(g->hosts);
	*g = (struct group){0};
}

const struct group_part *
group_part_of(const struct group *g, const struct host *h)
{
	for (uint32_t i = 0; g->plan && i < g->parts_n; i++)
		if (g->parts[i].n && g->parts[i].hosts[0]->locality == h->locality)
			return &g->parts[i];
	return NULL;
}

struct host *
group_pick(struct group *g, const struct lb_context *ctx)
{
	if (g->plan)
		return pick_in_zone(g, ctx);
	if (g->lb)
		return g->policy->pick(g->lb, ctx);
	return g->parts_n ? g->policy->pick(next_part(g)->lb, ctx) : NULL;
}
