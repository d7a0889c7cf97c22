/*
 * MAGLEV: a table of prime size that hosts fill in turns, each by its own
 * permutation ("Maglev: A Fast and Reliable Software Network Load
 * Balancer", section 3.4); a heavier host has more turns.  Hosts are
 * taken in the order of their keys, so every worker and every proxy has
 * the same table.
 */
#include <stdlib.h>

#include "lib/base/hash.h"
#include "lib/base/mem.h"
#include "lib/upstream/lb.h"
#include "lib/upstream/lb/hashing.h"

#define NOBODY UINT32_MAX

struct maglev {
	struct hashing group;
	uint32_t *table; /* owned; index of the host in the group */
	uint64_t size;
	uint64_t least, most; /* entries of a host */
};

struct turn {
	struct str key;	   /* owned */
	uint64_t at, skip; /* the slot that it asks for next */
	double weight, target;
	uint32_t host;
	uint64_t entries;
};

static int
by_key(const void *a, const void *b)
{
	return str_cmp(((const struct turn *)a)->key, ((const struct turn *)b)->key);
}

static struct turn *
turns_new(const struct maglev *m)
{
	struct turn *turns = mem_array(struct turn, m->group.n);
	struct strb key = {0};

	for (uint32_t i = 0; i < m->group.n; i++) {
		struct turn *t = &turns[i];

		key.n = 0;
		hashing_key(&m->group, m->group.hosts[i], &key);
		t->key = (struct str){mem_dup(key.p, key.n), key.n};
		t->at = hash_xx64(key.p, key.n, 0) % m->size;
		t->skip = hash_xx64(key.p, key.n, 1) % (m->size - 1) + 1;
		t->weight = m->group.weights[i];
		t->host = i;
	}
	strb_fini(&key);
	qsort(turns, m->group.n, sizeof(*turns), by_key);
	return turns;
}

static void
take_slot(struct maglev *m, struct turn *t)
{
	while (m->table[t->at] != NOBODY)
		t->at = (t->at + t->skip) % m->size;
	m->table[t->at] = t->host;
	t->at = (t->at + t->skip) % m->size;
	t->target += m->group.most;
	t->entries++;
}

static void
fill(struct maglev *m, struct turn *turns)
{
	uint64_t left = m->size;

	for (uint64_t round = 1; left > 0; round++) {
		for (uint32_t i = 0; i < m->group.n && left > 0; i++) {
			if (turns[i].weight == 0 ||
			    (double)round * turns[i].weight < turns[i].target)
				continue;
			take_slot(m, &turns[i]);
			left--;
		}
	}
}

static void
count_entries(struct maglev *m, const struct turn *turns)
{
	m->least = m->size;
	for (uint32_t i = 0; i < m->group.n; i++) {
		m->least = turns[i].entries < m->least ? turns[i].entries : m->least;
		m->most = turns[i].entries > m->most ? turns[i].entries : m->most;
	}
}

static void *
build(struct host *const *hosts, uint32_t n, const struct lb_config *config)
{
	struct maglev *m = mem_new(struct maglev);
	struct turn *turns;

	hashing_init(&m->group, hosts, n, config);
	m->size = config->table_size;
	m->table = mem_array(uint32_t, m->size);
	for (uint64_t i = 0; i < m->size; i++)
		m->table[i] = NOBODY;
	turns = turns_new(m);
	fill(m, turns);
	count_entries(m, turns);
	for (uint32_t i = 0; i < n; i++)
		mem_free((void *)turns[i].key.p);
	mem_free(turns);
	return m;
}

static struct host *
pick(void *self, const struct lb_context *ctx)
{
	struct maglev *m = self;
	uint64_t hash = hashing_of(ctx);
	uint64_t at = hash;

	if (ctx->attempt) /* as Envoy: another slot for each further try */
		at ^= 0 - (uint64_t)ctx->attempt;
	return m->group.hosts[hashing_bounded(&m->group, m->table[at % m->size], hash)];
}

static void
release(void *self)
{
	struct maglev *m = self;

	hashing_fini(&m->group);
	mem_free(m->table);
	mem_free(m);
}

static void
report(const void *self, struct cluster_stats *stats)
{
	const struct maglev *m = self;

	stat_set(&stats->maglev_lb_min_entries_per_host, (int64_t)m->least);
	stat_set(&stats->maglev_lb_max_entries_per_host, (int64_t)m->most);
}

const struct lb_policy lb_maglev = {
    .name = "maglev",
    .by_hash = true,
    .build = build,
    .pick = pick,
    .free = release,
    .report = report,
};
