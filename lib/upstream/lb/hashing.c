#include "lib/upstream/lb/hashing.h"

#include <math.h>

#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/event/loop.h"
#include "lib/upstream/cluster.h"
#include "lib/upstream/lb.h"
#include "lib/upstream/locality_weights.h"

/* What a host gets of one: of all weights together, or of its locality's part of all localities. */
static void
share_out(struct hashing *g)
{
	double sum = 0;

	for (uint32_t i = 0; i < g->n; i++)
		sum += g->hosts[i]->weight;
	for (uint32_t i = 0; i < g->n; i++)
		g->weights[i] = g->hosts[i]->weight / sum;
}

struct place {
	const struct locality *locality;
	double weight, hosts;
};

static struct place *
place_of(const struct hashing *g, struct place *places, uint32_t *n, const struct host *h)
{
	for (uint32_t i = 0; i < *n; i++)
		if (places[i].locality == h->locality)
			return &places[i];
	places[*n] = (struct place){h->locality, locality_weight_of(g->config->scaled, h), 0};
	return &places[(*n)++];
}

/* False when no locality has a weight. */
static bool
share_out_by_locality(struct hashing *g)
{
	struct place *places = mem_array(struct place, g->n);
	uint32_t n = 0;
	double sum = 0;

	for (uint32_t i = 0; i < g->n; i++)
		place_of(g, places, &n, g->hosts[i])->hosts += g->hosts[i]->weight;
	for (uint32_t i = 0; i < n; i++)
		sum += places[i].weight;
	for (uint32_t i = 0; i < g->n && sum > 0; i++) {
		const struct place *p = place_of(g, places, &n, g->hosts[i]);

		g->weights[i] = p->weight / sum * g->hosts[i]->weight / p->hosts;
	}
	mem_free(places);
	return sum > 0;
}

void
hashing_init(
    struct hashing *g, struct host *const *hosts, uint32_t n, const struct lb_config *config)
{
	*g = (struct hashing){.hosts = hosts, .n = n, .config = config, .least = 1};
	g->weights = mem_array(double, n);
	if (!config->weighted_localities || !share_out_by_locality(g))
		share_out(g);
	for (uint32_t i = 0; i < n; i++) {
		double w = g->weights[i];

		if (w > 0 && w < g->least)
			g->least = w;
		if (w > g->most)
			g->most = w;
	}
}

void
hashing_fini(struct hashing *g)
{
	MEM_CLEAR(g->weights);
}

void
hashing_key(const struct hashing *g, const struct host *h, struct strb *out)
{
	char text[ADDRESS_TEXT];

	if (h->metadata && h->metadata->hash_key.n) {
		strb_adds(out, h->metadata->hash_key);
	} else if (g->config->hash_hostname && h->hostname) {
		strb_adds(out, h->hostname->text);
	} else {
		address_format(&h->address, text);
		strb_addz(out, text);
	}
}

uint64_t
hashing_of(const struct lb_context *ctx)
{
	return ctx->has_hash ? ctx->hash : rand_u64();
}

/* ---- bounded load */

/* How many times its share of the open requests a host has; up to 1 it may take one more. */
static double
overload(const struct hashing *g, uint32_t i, uint64_t all, uint64_t now_ns)
{
	double slots = (double)(((all + 1) * g->config->balance_factor + 99) / 100);
	double share = ceil(slots * g->weights[i]);

	return (double)host_active_requests(g->hosts[i], now_ns) / (share < 1 ? 1 : share);
}

/* A sequence of numbers that only depends on where it began: splitmix64. */
static uint64_t
sequence_next(uint64_t *at)
{
	uint64_t z = (*at += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* All other hosts in an order drawn from the hash: the first with room, else the least loaded. */
static uint32_t
other_host(const struct hashing *g, uint32_t first, double least, uint64_t hash, uint64_t all,
    uint64_t now_ns)
{
	uint32_t *order = mem_array(uint32_t, g->n);
	uint32_t best = first;

	for (uint32_t i = 0; i < g->n; i++)
		order[i] = i;
	for (uint32_t i = 0; i < g->n; i++) {
		uint32_t j = i + (uint32_t)(sequence_next(&hash) % (g->n - i));
		uint32_t k = order[j];
		double load;

		order[j] = order[i];
		order[i] = k;
		if (k == first)
			continue;
		load = overload(g, k, all, now_ns);
		if (load < least) {
			best = k;
			least = load;
		}
		if (load <= 1)
			break;
	}
	mem_free(order);
	return best;
}

uint32_t
hashing_bounded(const struct hashing *g, uint32_t i, uint64_t hash)
{
	struct cluster *c = g->hosts[i]->cluster;
	uint64_t now_ns = loop_now_ns(c->loop);
	uint64_t all;
	double load;

	if (g->config->balance_factor == 0)
		return i;
	all = cluster_active_requests(c, now_ns);
	load = overload(g, i, all, now_ns);
	return load <= 1 ? i : other_host(g, i, load, hash, all, now_ns);
}
