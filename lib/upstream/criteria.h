/*
 * Metadata that a request asks of its host (route's metadata_match, under
 * envoy.lb), in a form that is looked up as one text: names and values in
 * the order of the names.  Values are equal when their texts are.
 */
#ifndef UPSTREAM_CRITERIA_H
#define UPSTREAM_CRITERIA_H

#include <stddef.h>

#include "google/protobuf/struct.pb-c.h"
#include "lib/base/arena.h"
#include "lib/base/str.h"

struct criterion {
	struct str name, value; /* value: as criterion_value() writes it */
};

struct criteria {
	struct criterion *at; /* by name */
	size_t n;
	struct str names; /* each with a NUL behind it */
	struct str key;	  /* name, NUL, value, NUL … */
	/* "fallback_list": what to ask for instead, in order, when metadata_fallback_policy is
	 * FALLBACK_LIST.  Each is whole. */
	const struct criteria **instead;
	size_t instead_n;
};

/* Lives in the arena; m is borrowed for the call.  NULL when it is NULL or empty. */
const struct criteria *criteria_build(const Google__Protobuf__Struct *m, struct arena *a);

void criterion_value(struct strb *out, const Google__Protobuf__Value *v);
/* One more pair of the key. */
void criterion_add(struct strb *key, struct str name, struct str value);

#endif
