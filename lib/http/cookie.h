/* Cookies of a request, and the Set-Cookie of a response (RFC 6265). */
#ifndef HTTP_COOKIE_H
#define HTTP_COOKIE_H

#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/str.h"
#include "lib/http/headers.h"

/* Value of the first cookie of that name without its quotes, {NULL, 0} when there is none. */
struct str cookie_find(const struct headers *request, struct str name);

struct cookie_attribute {
	struct str name, value; /* value "": the name alone */
};

struct cookie {
	struct str name, value, path; /* path "": none */
	uint64_t max_age_s;           /* 0: for the session */
	const struct cookie_attribute *attributes;
	size_t n_attributes;
};

/* name="value"; Max-Age=…; Path=…; attributes; HttpOnly */
struct str cookie_print(struct arena *a, const struct cookie *c);

#endif
