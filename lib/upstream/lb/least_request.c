/*
 * LEAST_REQUEST: of a few hosts taken at random the one with the fewest
 * open requests (the first when equal), or of all hosts (any of those
 * when equal).  When weights differ, earliest deadline first with steps in
 * proportion to (open requests + 1) ^ bias / weight.  Open requests are those of all workers.
 */
#include <math.h>

#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/event/loop.h"
#include "lib/upstream/cluster.h"
#include "lib/upstream/lb.h"
#include "lib/upstream/lb/edf.h"
#include "lib/upstream/lb/slow_start.h"

#define MOST_OPEN (1u << 20) /* keeps a step within virtual time */

struct least_request {
	struct host *const *hosts; /* borrowed */
	const struct lb_config *config;
	struct loop *loop;
	uint32_t n;
	bool weighted, slow; /* slow: some are in their slow start */
	struct edf edf;
};

static uint64_t
active(const struct least_request *lr, struct host *h)
{
	return host_active_requests(h, loop_now_ns(lr->loop));
}

static uint64_t
step_of(const struct least_request *lr, struct host *h)
{
	uint64_t open = active(lr, h) + 1;

	if (open > MOST_OPEN)
		open = MOST_OPEN;
	if (lr->config->active_bias == 1 && !lr->slow)
		return EDF_UNIT / h->weight * open;
	return (uint64_t)((double)EDF_UNIT / h->weight * pow((double)open, lr->config->active_bias) /
			  slow_start_factor(lr->config, h, loop_now_ns(lr->loop)));
}

static struct host *
pick_weighted(struct least_request *lr)
{
	struct host *h = edf_first(&lr->edf);

	edf_again(&lr->edf, step_of(lr, h));
	return h;
}

static struct host *
pick_choices(struct least_request *lr)
{
	struct host *best = NULL;
	uint64_t least = 0;

	for (uint32_t i = 0; i < lr->config->choice_count; i++) {
		struct host *h = lr->hosts[rand_below(lr->n)];
		uint64_t a = active(lr, h);

		if (best == NULL || a < least) {
			best = h;
			least = a;
		}
	}
	return best;
}

static struct host *
pick_of_all(struct least_request *lr)
{
	struct host *best = NULL;
	uint64_t least = 0, equal = 0;

	for (uint32_t i = 0; i < lr->n; i++) {
		uint64_t a = active(lr, lr->hosts[i]);

		if (best && a > least)
			continue;
		equal = best && a == least ? equal + 1 : 1;
		if (equal == 1 || rand_below(equal) == 0)
			best = lr->hosts[i];
		least = a;
	}
	return best;
}

static void *
build(struct host *const *hosts, uint32_t n, const struct lb_config *config)
{
	struct least_request *lr = mem_new(struct least_request);

	lr->hosts = hosts;
	lr->config = config;
	lr->loop = hosts[0]->cluster->loop;
	lr->n = n;
	for (uint32_t i = 0; i < n; i++) {
		lr->weighted |= hosts[i]->weight != hosts[0]->weight;
		lr->slow |= slow_start_until(config, hosts[i], loop_now_ns(lr->loop)) != 0;
	}
	lr->weighted |= lr->slow;
	if (!lr->weighted)
		return lr;
	edf_init(&lr->edf, n);
	for (uint32_t i = 0; i < n; i++)
		edf_add(&lr->edf, hosts[i], step_of(lr, hosts[i]));
	for (uint64_t skip = rand_below(n); skip > 0; skip--)
		pick_weighted(lr);
	return lr;
}

static struct host *
pick(void *self, const struct lb_context *ctx)
{
	struct least_request *lr = self;

	if (lr->weighted)
		return pick_weighted(lr);
	return lr->config->full_scan ? pick_of_all(lr) : pick_choices(lr);
}

static void
release(void *self)
{
	struct least_request *lr = self;

	edf_fini(&lr->edf);
	mem_free(lr);
}

const struct lb_policy lb_least_request = {
    .name = "least_request",
    .build = build,
    .pick = pick,
    .free = release,
};
