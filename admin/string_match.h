/* envoy.type.matcher.v3.StringMatcher, compiled: a list of them, any may match. */
#ifndef ADMIN_STRING_MATCH_H
#define ADMIN_STRING_MATCH_H

#include <stdbool.h>

#include "envoy/type/matcher/v3/string.pb-c.h"
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/base/vec.h"

struct regex;

struct string_match {
	const Envoy__Type__Matcher__V3__StringMatcher *message; /* borrowed */
	struct regex *regex;                                    /* NULL: not a regular expression */
};

struct string_match_list {
	VEC(struct string_match) at;
};

int string_match_add(struct string_match_list *l, const Envoy__Type__Matcher__V3__StringMatcher *m,
    struct err *err);
bool string_match_any(const struct string_match_list *l, struct str s);
void string_match_fini(struct string_match_list *l);

#endif
