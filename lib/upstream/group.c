#include "lib/upstream/group.h"

#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/base/rand.h"

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

static const struct locality_count *
count_of(const struct locality_count *all, uint32_t n, const struct locality *l)
{
	for (uint32_t i = 0; i < n; i++)
		if (all[i].locality == l)
			return &all[i];
	return NULL;
}

/* Weight × availability, where overprovisioning makes up for some hosts that are not there. */
static double
effective_weight(const struct locality_count *c, uint32_t available, const struct lb_config *config)
{
	double ratio;

	if (c == NULL || c->eligible == 0)
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
    struct group *g, const struct lb_config *config, const struct locality_count *all, uint32_t n)
{
	qsort(g->hosts, g->n, sizeof(*g->hosts), by_locality);
	g->parts = mem_array(struct group_part, n);
	for (uint32_t from = 0, to; from < g->n; from = to) {
		const struct locality *l = g->hosts[from]->locality;
		double weight;

		for (to = from + 1; to < g->n && g->hosts[to]->locality == l;)
			to++;
		weight = effective_weight(count_of(all, n, l), to - from, config);
		if (weight > 0)
			add_part(g, from, to, weight, config);
	}
	if (g->parts_n)
		start_turns(g);
}

void
group_build(struct group *g, const struct lb_policy *policy, const struct lb_config *config,
    const struct locality_count *localities, uint32_t n)
{
	g->policy = policy;
	if (g->n == 0)
		return;
	if (localities && !policy->by_hash)
		build_parts(g, config, localities, n);
	if (g->parts_n == 0) /* no locality has a weight: as if there were none */
		g->lb = policy->build(g->hosts, g->n, config);
}

void
group_fini(struct group *g)
{
	if (g->lb)
		g->policy->free(g->lb);
	for (uint32_t i = 0; i < g->parts_n; i++)
		g->policy->free(g->parts[i].lb);
	edf_fini(&g->turns);
	mem_free(g->parts);
	mem_free(g->hosts);
	*g = (struct group){0};
}

struct host *
group_pick(struct group *g, const struct lb_context *ctx)
{
	if (g->lb)
		return g->policy->pick(g->lb, ctx);
	return g->parts_n ? g->policy->pick(next_part(g)->lb, ctx) : NULL;
}
