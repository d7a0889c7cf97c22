#include "lib/upstream/zone_plan.h"

#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "shm/block.h"

#define WHOLE 10000u
#define NOWHERE UINT32_MAX

/* A locality's share of the siblings and of the hosts. */
struct shares {
	uint64_t siblings, hosts;
};

static uint32_t
place_of(const struct locality_counts *c, const struct locality *l)
{
	for (uint32_t i = 0; i < c->all.len; i++)
		if (c->all.at[i].locality == l)
			return i;
	return NOWHERE;
}

static uint64_t
size_of(const struct locality_count *c, const struct zone_rules *rules)
{
	return rules->by_weight ? c->healthy_weight : c->healthy;
}

static uint64_t
size_of_all(const struct locality_counts *c, const struct zone_rules *rules)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < c->all.len; i++)
		sum += size_of(&c->all.at[i], rules);
	return sum;
}

static uint64_t
share(uint64_t part, uint64_t all)
{
	return all ? part * WHOLE / all : 0;
}

/* A locality whose hosts are all down has no share, however many siblings stand there. */
static struct shares
shares_of(const struct zone_plan *p, const struct zone *z, const struct locality_counts *hosts,
    uint32_t at)
{
	const struct locality_count *c = &hosts->all.at[at];
	uint32_t place = place_of(&z->siblings, c->locality);
	uint64_t there = place == NOWHERE ? 0 : size_of(&z->siblings.all.at[place], p->rules);

	if (c->healthy == 0)
		return (struct shares){0};
	return (struct shares){
	    .siblings = share(there, size_of_all(&z->siblings, p->rules)),
	    .hosts = share(size_of(c, p->rules), size_of_all(hosts, p->rules)),
	};
}

/* ---- is there anything to plan? */

static uint64_t
count_healthy(const struct locality_counts *hosts)
{
	uint64_t n = 0;

	for (size_t i = 0; i < hosts->all.len; i++)
		n += hosts->all.at[i].healthy;
	return n;
}

static bool
is_possible(const struct zone_plan *p, const struct zone *z, const struct locality_counts *hosts)
{
	if (hosts->all.len < 2)
		return false;
	if (z->siblings.all.len < 2 && !p->rules->force_min)
		return false;
	if (!z->placed || place_of(&z->siblings, z->here) == NOWHERE) {
		stat_inc(&p->stats->lb_local_cluster_not_ok);
		return false;
	}
	if (count_healthy(hosts) < p->rules->min_cluster_size) {
		stat_inc(&p->stats->lb_zone_cluster_too_small);
		return false;
	}
	return true;
}

/* ---- making */

static bool
all_can_stay(const struct zone_plan *p, const struct locality_counts *hosts, struct shares own)
{
	if (own.hosts > 0 && own.hosts >= own.siblings)
		return true;
	return p->rules->force_min && hosts->all.at[p->here].healthy >= p->rules->force_min;
}

static void
share_out_rest(struct zone_plan *p, const struct zone *z, const struct locality_counts *hosts)
{
	uint64_t sum = 0;

	p->residual = mem_array(uint64_t, p->n);
	for (uint32_t i = 0; i < p->n; i++) {
		struct shares s = shares_of(p, z, hosts, i);

		if (i != p->here && s.hosts > s.siblings)
			sum += s.hosts - s.siblings;
		p->residual[i] = sum;
	}
}

void
zone_plan_make(struct zone_plan *p, const struct zone *z, const struct locality_counts *hosts,
    const struct lb_config *config, struct cluster_stats *stats)
{
	struct shares own = {0};

	zone_plan_fini(p);
	*p = (struct zone_plan){.rules = &config->zones, .stats = stats};
	stat_inc(&stats->lb_recalculate_zone_structures);
	if (!is_possible(p, z, hosts))
		return;
	p->n = (uint32_t)hosts->all.len;
	p->here = place_of(hosts, z->here);
	p->siblings_panic = priority_in_panic(&z->counts, config->panic_threshold);
	if (p->here != NOWHERE)
		own = shares_of(p, z, hosts, p->here);
	if (p->here != NOWHERE && all_can_stay(p, hosts, own)) {
		p->state = ZONE_DIRECT;
		return;
	}
	p->state = ZONE_RESIDUAL;
	p->stays = own.siblings ? (uint32_t)(own.hosts * WHOLE / own.siblings) : 0;
	share_out_rest(p, z, hosts);
}

void
zone_plan_fini(struct zone_plan *p)
{
	mem_free(p->residual);
	*p = (struct zone_plan){0};
}

/* ---- choosing */

static int64_t
choose_elsewhere(const struct zone_plan *p)
{
	uint64_t all = p->residual[p->n - 1], dice;
	uint32_t i = 0;

	stat_inc(&p->stats->lb_zone_routing_cross_zone);
	if (all == 0) { /* rounding ate it */
		stat_inc(&p->stats->lb_zone_no_capacity_left);
		return (int64_t)rand_below(p->n);
	}
	dice = rand_below(all);
	while (dice >= p->residual[i])
		i++;
	return i;
}

int64_t
zone_plan_choose(const struct zone_plan *p)
{
	if (p->rules->enabled_percent < 100 && rand_below(100) >= p->rules->enabled_percent)
		return ZONE_ANY;
	if (p->siblings_panic) {
		stat_inc(&p->stats->lb_local_cluster_not_ok);
		return p->rules->fail_on_panic ? ZONE_NOBODY : ZONE_ANY;
	}
	if (p->state == ZONE_DIRECT) {
		stat_inc(&p->stats->lb_zone_routing_all_directly);
		return p->here;
	}
	if (rand_below(WHOLE) < p->stays) {
		stat_inc(&p->stats->lb_zone_routing_sampled);
		return p->here;
	}
	return choose_elsewhere(p);
}
