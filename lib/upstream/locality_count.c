#include "lib/upstream/locality_count.h"

/* Hosts of one locality mostly stand together, and there are few localities. */
struct locality_count *
locality_counts_of(struct locality_counts *c, const struct locality *l)
{
	struct locality_count *row;

	for (size_t i = c->all.len; i-- > 0;)
		if (c->all.at[i].locality == l)
			return &c->all.at[i];
	row = vec_push(&c->all);
	row->locality = l;
	return row;
}
