/*
 * ROUND_ROBIN: an index that walks the hosts from a random start; when
 * weights differ, earliest deadline first with steps in proportion to
 * 1/weight, started somewhere in the middle so that workers do not begin
 * with the same host.
 */
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/event/loop.h"
#include "lib/upstream/cluster.h"
#include "lib/upstream/lb.h"
#include "lib/upstream/lb/edf.h"
#include "lib/upstream/lb/slow_start.h"

struct round_robin {
	struct host *const *hosts; /* borrowed */
	const struct lb_config *config;
	struct loop *loop;
	uint32_t n, next;
	uint64_t unit; /* of virtual time: what all weights divide, when that is small enough */
	bool weighted, slow; /* slow: some are in their slow start */
	struct edf edf;
};

static uint64_t
gcd(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* The least common multiple makes steps whole numbers and so the sequence exactly periodic. */
static uint64_t
common_unit(struct host *const *hosts, uint32_t n)
{
	uint64_t unit = 1;

	for (uint32_t i = 0; i < n; i++) {
		unit = unit / gcd(unit, hosts[i]->weight) * hosts[i]->weight;
		if (unit > EDF_UNIT)
			return EDF_UNIT;
	}
	return unit;
}

static uint64_t
step_of(const struct round_robin *rr, const struct host *h)
{
	uint64_t step = rr->unit / h->weight;

	if (!rr->slow)
		return step;
	return (uint64_t)((double)step / slow_start_factor(rr->config, h, loop_now_ns(rr->loop)));
}

static struct host *
pick_weighted(struct round_robin *rr)
{
	struct host *h = edf_first(&rr->edf);

	edf_again(&rr->edf, step_of(rr, h));
	return h;
}

static void
start_weighted(struct round_robin *rr)
{
	rr->unit = rr->slow ? EDF_UNIT : common_unit(rr->hosts, rr->n);
	edf_init(&rr->edf, rr->n);
	for (uint32_t i = 0; i < rr->n; i++)
		edf_add(&rr->edf, rr->hosts[i], step_of(rr, rr->hosts[i]));
	for (uint64_t skip = rand_below(rr->n); skip > 0; skip--)
		pick_weighted(rr);
}

static void *
build(struct host *const *hosts, uint32_t n, const struct lb_config *config)
{
	struct round_robin *rr = mem_new(struct round_robin);

	rr->hosts = hosts;
	rr->n = n;
	rr->config = config;
	rr->loop = hosts[0]->cluster->loop;
	for (uint32_t i = 0; i < n; i++) {
		rr->weighted |= hosts[i]->weight != hosts[0]->weight;
		rr->slow |= slow_start_until(config, hosts[i], loop_now_ns(rr->loop)) != 0;
	}
	rr->weighted |= rr->slow;
	if (rr->weighted)
		start_weighted(rr);
	else
		rr->next = (uint32_t)rand_below(n);
	return rr;
}

static struct host *
pick(void *self, const struct lb_context *ctx)
{
	struct round_robin *rr = self;
	struct host *h;

	if (rr->weighted)
		return pick_weighted(rr);
	h = rr->hosts[rr->next];
	rr->next = rr->next + 1 == rr->n ? 0 : rr->next + 1;
	return h;
}

static void
release(void *self)
{
	struct round_robin *rr = self;

	edf_fini(&rr->edf);
	mem_free(rr);
}

const struct lb_policy lb_round_robin = {
    .name = "round_robin",
    .build = build,
    .pick = pick,
    .free = release,
};
