/*
 * The path of a request: dot segments, slashes, query.  New text is made
 * in the caller's arena; what does not change is not copied.
 */
#ifndef HTTP_PATH_H
#define HTTP_PATH_H

#include <stdbool.h>

#include "lib/base/arena.h"
#include "lib/base/str.h"

enum escaped_slashes { /* path_with_escaped_slashes_action */
	ESCAPED_SLASHES_KEEP,
	ESCAPED_SLASHES_REJECT,
	ESCAPED_SLASHES_REDIRECT,
	ESCAPED_SLASHES_FORWARD,
};

struct path_options {
	bool normalize, merge_slashes;
	enum escaped_slashes escaped;
};

enum path_verdict {
	PATH_OK,       /* *path may have changed */
	PATH_REDIRECT, /* answer 307 with *path as location */
	PATH_BAD,      /* answer 400 */
};

/* Everything a connection manager does to :path, in Envoy's order. */
enum path_verdict path_apply(const struct path_options *o, struct arena *a, struct str *path);

/*
 * RFC 3986: resolves . and .. (also %2e), takes '\' for '/', decodes
 * escapes of unreserved characters, escapes what a path may not hold.
 * False when it does not begin with '/', or holds NUL or %00.
 */
bool path_normalize(struct arena *a, struct str *path);
void path_merge_slashes(struct arena *a, struct str *path);
/* %2F → '/', %5C → '\'; true when there was one. */
bool path_unescape_slashes(struct arena *a, struct str *path);

struct str path_only(struct str path);  /* before '?' and '#' */
struct str path_query(struct str path); /* between '?' and '#'; {NULL, 0} when there is no '?' */
bool path_has_fragment(struct str path);
struct str path_strip_fragment(struct str path);

/* Walks "a=1&b&c=3": false at the end; value is {NULL, 0} without '='.  Nothing is decoded. */
bool query_next(struct str *query, struct str *name, struct str *value);
/* Value of the first parameter of that name, not decoded. */
bool query_find(struct str query, struct str name, struct str *value);
/* %XX → byte; broken escapes stay.  The same string when there is none. */
struct str percent_decode(struct arena *a, struct str s);

#endif
