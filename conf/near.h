/*
 * "did you mean": of the names offered, the one with the fewest edits
 * from what was written, if that is few enough to be a slip.
 */
#ifndef CONF_NEAR_H
#define CONF_NEAR_H

#include "lib/base/str.h"

struct near {
	struct str wanted;
	const char *best; /* borrowed from the caller; NULL: none is near */
	unsigned distance;
};

void near_init(struct near *n, struct str wanted);
void near_offer(struct near *n, const char *name);

#endif
