/*
 * Regular expressions with RE2's promise kept by limits: PCRE2 with JIT,
 * a match limit, and only the constructs that RE2 has.  What goes over
 * the limit does not match (regex_limited() counts it).
 *
 * A compiled expression is immutable; scratch memory is the process's.
 */
#ifndef BASE_REGEX_H
#define BASE_REGEX_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"

struct err;
struct regex;

enum regex_mode {
	REGEX_FULL,   /* safe_regex: the whole text must match */
	REGEX_SEARCH, /* anywhere in the text: ?filter=, tag extraction */
};

#define REGEX_GROUPS 16

/* NULL with the reason in err; the caller owns the result. */
struct regex *regex_new(struct str pattern, enum regex_mode mode, struct err *err);
void regex_free(struct regex **re);

bool regex_match(const struct regex *re, struct str text);
/*
 * Fills groups[0 .. max) with what matched as a whole and in each group (p = NULL: took no part);
 * gives how many groups the expression has plus one, or 0 for no match.
 */
int regex_capture(const struct regex *re, struct str text, struct str *groups, int max);

/*
 * Replacing, with an expression of REGEX_SEARCH: in the replacement \0 … \9 stand for what matched as a
 * whole and in each group, \\ for a backslash.  The check: -1 for another escape, or a group that the
 * expression has not.  At most REGEX_REPLACED matches of a text are replaced, from left to right.
 */
#define REGEX_REPLACED 32
int regex_check_replacement(const struct regex *re, struct str with, struct err *err);
void regex_replace_all(
    const struct regex *re, struct str text, struct str with, struct strb *out); /* appended */

uint64_t regex_limited(void); /* matches given up at the limit */
bool regex_has_jit(void);     /* false once JIT was refused, e.g. by MemoryDenyWriteExecute */

#endif
