/* RANDOM: each host as likely as any other; weights do not count. */
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/upstream/lb.h"

struct random_lb {
	struct host *const *hosts; /* borrowed */
	uint32_t n;
};

static void *
build(struct host *const *hosts, uint32_t n, const struct lb_config *config)
{
	struct random_lb *r = mem_new(struct random_lb);

	r->hosts = hosts;
	r->n = n;
	return r;
}

static struct host *
pick(void *self, const struct lb_context *ctx)
{
	struct random_lb *r = self;

	return r->hosts[rand_below(r->n)];
}

const struct lb_policy lb_random = {
    .name = "random",
    .build = build,
    .pick = pick,
    .free = mem_free,
};
