/*
 * Matchers that routes and filters share: strings, headers, query
 * parameters.  Built once into an arena, immutable; expressions are freed
 * with the arena.
 */
#ifndef ROUTE_MATCH_H
#define ROUTE_MATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/err.h"
#include "lib/base/regex.h"
#include "lib/http/headers.h"

enum string_match_kind {
	MATCH_ANY,
	MATCH_EXACT,
	MATCH_PREFIX,
	MATCH_SUFFIX,
	MATCH_CONTAINS,
	MATCH_REGEX,
};

struct string_match {
	enum string_match_kind kind;
	bool ignore_case;
	struct str text;
	struct regex *regex;
};

/* msg: envoy.type.matcher.v3.StringMatcher. */
int string_match_build(struct string_match *m, const void *msg, struct arena *a, struct err *err);
bool string_matches(const struct string_match *m, struct str s);

enum header_match_kind {
	HEADER_PRESENT,
	HEADER_STRING,
	HEADER_RANGE,
};

struct header_match {
	struct str name; /* lower case */
	enum header_match_kind kind;
	bool present, invert, missing_is_empty;
	struct string_match string;
	int64_t from, to; /* [from, to) */
};

/* msgs: n envoy.config.route.v3.HeaderMatcher; the array is in the arena. */
int header_matches_build(struct header_match **out, void *const *msgs, size_t n, struct arena *a,
    struct err *err);
bool header_matches(const struct header_match *m, const struct headers *h);
bool header_matches_all(const struct header_match *m, size_t n, const struct headers *h);

struct query_match {
	struct str name;
	bool only_present, present;
	struct string_match string;
};

int query_matches_build(struct query_match **out, void *const *msgs, size_t n, struct arena *a,
    struct err *err);
bool query_matches_all(const struct query_match *m, size_t n, struct str path);

/* Compiles a RegexMatcher's expression (full match), owned by the arena. */
struct regex *match_regex(struct str pattern, struct arena *a, struct err *err);

#endif
