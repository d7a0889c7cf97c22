/*
 * MAGLEV: a table of prime size that hosts fill in turns, each by its own
 * permutation ("Maglev: A Fast and Reliable Software Network Load
 * Balancer", section 3.4); a heavier host has more turns.  Hosts are
 * taken in the order of their keys, so every worker and every proxy has
 * the same table.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/arena.h"
#include "lib/base/hash.h"
#include "lib/base/mem.h"
#include "lib/upstream/lb.h"
#include "lib/upstream/lb/hashing.h"

struct maglev {
	struct hashing group;
	uint32_t *table; /* owned; index of the host in the group */
	uint64_t size;
	uint64_t least, most; /* entries of a host */
};

struct turn {
	struct str key;	   /* in the arena of the building */
	uint64_t first[2]; /* its first bytes, as numbers that compare as they do */
	uint64_t at, skip; /* the slot that it asks for next */
	double weight, target;
	uint32_t host;
	uint64_t entries;
};

static uint64_t
bytes_as_number(struct str s, size_t from)
{
	unsigned char bytes[8] = {0};
	uint64_t v;

	if (s.n > from)
		memcpy(bytes, s.p + from, s.n - from < 8 ? s.n - from : 8);
	memcpy(&v, bytes, 8);
	return be64toh(v);
}

static int
by_key(const void *a, const void *b)
{
	const struct turn *x = a, *y = b;

	for (unsigned i = 0; i < 2; i++)
		if (x->first[i] != y->first[i])
			return x->first[i] < y->first[i] ? -1 : 1;
	return str_cmp(x->key, y->key);
}

static struct turn *
turns_new(const struct maglev *m, struct arena *a)
{
	struct turn *turns = mem_array(struct turn, m->group.n);
	struct strb key = {0};

	for (uint32_t i = 0; i < m->group.n; i++) {
		struct turn *t = &turns[i];

		key.n = 0;
		hashing_key(&m->group, m->group.hosts[i], &key);
		t->key = arena_str(a, strb_str(&key));
		t->first[0] = bytes_as_number(t->key, 0);
		t->first[1] = bytes_as_number(t->key, 8);
		t->at = hash_xx64(key.p, key.n, 0) % m->size;
		t->skip = hash_xx64(key.p, key.n, 1) % (m->size - 1) + 1;
		t->weight = m->group.weights[i];
		t->host = i;
	}
	strb_fini(&key);
	qsort(turns, m->group.n, sizeof(*turns), by_key);
	return turns;
}

/* Both are below the size: no division. */
static void
step(const struct maglev *m, struct turn *t)
{
	t->at += t->skip;
	if (t->at >= m->size)
		t->at -= m->size;
}

/* taken: a bit for each slot.  It fits in the nearest cache, where the table does not. */
static void
take_slot(struct maglev *m, struct turn *t, uint64_t *taken)
{
	while (taken[t->at / 64] & 1ull << t->at % 64)
		step(m, t);
	taken[t->at / 64] |= 1ull << t->at % 64;
	m->table[t->at] = t->host;
	step(m, t);
	t->target += m->group.most;
	t->entries++;
}

static void
fill(struct maglev *m, struct turn *turns)
{
	uint64_t *taken = mem_array(uint64_t, m->size / 64 + 1);
	uint64_t left = m->size;

	for (uint64_t round = 1; left > 0; round++) {
		for (uint32_t i = 0; i < m->group.n && left > 0; i++) {
			if (turns[i].weight == 0 ||
			    (double)round * turns[i].weight < turns[i].target)
				continue;
			take_slot(m, &turns[i], taken);
			left--;
		}
	}
	mem_free(taken);
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
	struct arena arena;

	hashing_init(&m->group, hosts, n, config);
	m->size = config->table_size;
	m->table = mem_array(uint32_t, m->size);
	arena_init(&arena);
	turns = turns_new(m, &arena);
	fill(m, turns);
	count_entries(m, turns);
	arena_fini(&arena);
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
