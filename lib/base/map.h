/*
 * Hash map from bytes to a pointer.  Keys are borrowed from the caller
 * (usually they stand in the value) and must live as long as the entry.
 * Open addressing, seeded hash; values are not NULL.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "lib/base/str.h"

struct map_slot {
	uint64_t hash;
	struct str key;
	void *value; /* NULL: free */
};

struct map {
	struct map_slot *slots;
	size_t cap, len;
};

void *map_get(const struct map *m, struct str key);            /* NULL when absent */
void *map_put(struct map *m, struct str key, void *value);     /* gives the value that was there, or NULL */
/* The same for who needs the hash anyway: hash_bytes() of the key. */
void *map_get_hashed(const struct map *m, uint64_t hash, struct str key);
void *map_put_hashed(struct map *m, uint64_t hash, struct str key, void *value);
void *map_remove(struct map *m, struct str key);               /* gives the value, or NULL */
void map_fini(struct map *m);                                  /* frees no values */

/* Iterate in no order: size_t i = 0; while ((slot = map_next(m, &i))) … */
struct map_slot *map_next(const struct map *m, size_t *i);

static inline void *
map_getz(const struct map *m, const char *key)
{
	return map_get(m, str_of(key));
}

#endif
