#include "lib/upstream/locality_weights.h"

#include <math.h>

static struct locality_weight *
find(const struct locality_weights *w, const struct host *h)
{
	for (size_t i = w->rows.len; i-- > 0;)
		if (w->rows.at[i].locality == h->locality && w->rows.at[i].priority == h->priority)
			return &w->rows.at[i];
	return NULL;
}

static void
add_rows(struct locality_weights *w, struct host *const *some, uint32_t some_n)
{
	for (uint32_t i = 0; i < some_n; i++) {
		struct locality_weight *row = find(w, some[i]);

		if (row == NULL) {
			row = vec_push(&w->rows);
			row->locality = some[i]->locality;
			row->priority = some[i]->priority;
			row->weight = some[i]->locality_weight;
		}
		row->some++;
	}
}

/* Rounded to whole weights, as Envoy does. */
void
locality_weights_make(struct locality_weights *w, struct host *const *all, uint32_t all_n,
    struct host *const *some, uint32_t some_n)
{
	add_rows(w, some, some_n);
	for (uint32_t i = 0; i < all_n; i++) {
		struct locality_weight *row = find(w, all[i]);

		if (row)
			row->all++;
	}
	for (size_t i = 0; i < w->rows.len; i++) {
		struct locality_weight *row = &w->rows.at[i];

		row->weight = (uint32_t)round((double)row->weight * row->some / row->all);
	}
}

void
locality_weights_fini(struct locality_weights *w)
{
	vec_fini(&w->rows);
}

uint32_t
locality_weight_of(const struct locality_weights *w, const struct host *h)
{
	const struct locality_weight *row = w ? find(w, h) : NULL;

	return row ? row->weight : h->locality_weight;
}
