#include "lib/base/map.h"

#include "lib/base/assert.h"
#include "lib/base/hash.h"
#include "lib/base/mem.h"

static size_t
find(const struct map *m, uint64_t hash, struct str key)
{
	size_t i = hash & (m->cap - 1);

	while (m->slots[i].value && !(m->slots[i].hash == hash && str_eq(m->slots[i].key, key)))
		i = (i + 1) & (m->cap - 1);
	return i;
}

static void
grow(struct map *m)
{
	struct map old = *m;

	m->cap = old.cap ? old.cap * 2 : 16;
	m->slots = mem_array(struct map_slot, m->cap);
	for (size_t i = 0; i < old.cap; i++)
		if (old.slots[i].value)
			m->slots[find(m, old.slots[i].hash, old.slots[i].key)] = old.slots[i];
	mem_free(old.slots);
}

void *
map_get_hashed(const struct map *m, uint64_t hash, struct str key)
{
	return m->len ? m->slots[find(m, hash, key)].value : NULL;
}

void *
map_get(const struct map *m, struct str key)
{
	return m->len ? map_get_hashed(m, hash_bytes(key.p, key.n), key) : NULL;
}

void *
map_put(struct map *m, struct str key, void *value)
{
	return map_put_hashed(m, hash_bytes(key.p, key.n), key, value);
}

void *
map_put_hashed(struct map *m, uint64_t hash, struct str key, void *value)
{
	struct map_slot *s;
	void *was;

	ASSERT(value != NULL);
	if ((m->len + 1) * 4 > m->cap * 3)
		grow(m);
	s = &m->slots[find(m, hash, key)];
	was = s->value;
	if (was == NULL)
		m->len++;
	*s = (struct map_slot){hash, key, value};
	return was;
}

void *
map_remove(struct map *m, struct str key)
{
	size_t i, j;
	void *was;

	if (m->len == 0)
		return NULL;
	i = find(m, hash_bytes(key.p, key.n), key);
	was = m->slots[i].value;
	if (was == NULL)
		return NULL;
	m->len--;
	m->slots[i].value = NULL;
	/* Move back what probing pushed past the hole. */
	for (j = (i + 1) & (m->cap - 1); m->slots[j].value; j = (j + 1) & (m->cap - 1)) {
		struct map_slot s = m->slots[j];

		m->slots[j].value = NULL;
		m->slots[find(m, s.hash, s.key)] = s;
	}
	return was;
}

void
map_fini(struct map *m)
{
	mem_free(m->slots);
	*m = (struct map){0};
}

struct map_slot *
map_next(const struct map *m, size_t *i)
{
	while (*i < m->cap) {
		struct map_slot *s = &m->slots[(*i)++];

		if (s->value)
			return s;
	}
	return NULL;
}
