/*
 * Header additions and removals of one level (route, virtual host, route
 * table): removals first, then additions in order.  Values may hold
 * access-log operators.
 */
#ifndef ROUTE_HEADER_OPS_H
#define ROUTE_HEADER_OPS_H

#include "lib/base/arena.h"
#include "lib/base/err.h"
#include "lib/http/headers.h"

struct format;
struct stream_info;

enum append_action { /* envoy.config.core.v3.HeaderValueOption.HeaderAppendAction */
	HEADER_APPEND,
	HEADER_ADD_IF_ABSENT,
	HEADER_OVERWRITE_OR_ADD,
	HEADER_OVERWRITE_IF_EXISTS,
};

struct header_add {
	struct str name; /* lower case */
	struct str value; /* when there is no operator in it */
	const struct format *format; /* NULL: value stands */
	enum append_action action;
	bool keep_empty;
};

struct header_ops {
	struct header_add *add;
	struct str *remove; /* lower case */
	size_t adds, removes;
};

/* adds: HeaderValueOption messages; everything goes to the arena. */
int header_ops_build(struct header_ops *o, void *const *adds, size_t n_adds, char *const *removes,
    size_t n_removes, struct arena *a, struct err *err);
void header_ops_apply(const struct header_ops *o, struct headers *h, const struct stream_info *info);

#endif
