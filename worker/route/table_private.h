/* What table.c builds and match/action code reads; only inside worker/route. */
#ifndef ROUTE_TABLE_PRIVATE_H
#define ROUTE_TABLE_PRIVATE_H

#include "lib/base/assert.h"
#include "lib/base/map.h"
#include "worker/route/header_ops.h"
#include "worker/route/match.h"
#include "worker/route/table.h"

enum path_match_kind {
	PATH_PREFIX,
	PATH_EXACT,
	PATH_REGEX,
};

struct level_ops {
	struct header_ops request, response;
};

/*
 * The compiled route; `pub` is what table.h shows.  Of many virtual hosts no
 * cache holds what a request asks of its own: that stands together, in front.
 */
struct route_entry {
	struct str path; /* prefix or whole path */
	enum path_match_kind path_kind;
	bool ignore_case;
	bool only_prefix; /* nothing else is asked; it has at least one character */
	char first;       /* of path */
	struct route pub;
	struct regex *regex;
	struct header_match *headers;
	struct query_match *queries;
	size_t n_headers, n_queries;
	struct level_ops ops;
	/* ROUTE_CLUSTER */
	bool has_prefix_rewrite;
	struct str prefix_rewrite, host_rewrite;
	struct {
		struct str type;
		bool enabled;
	} *upgrades;
	size_t n_upgrades;
	/* ROUTE_REDIRECT */
	unsigned redirect_status, redirect_port;
	struct str redirect_scheme, redirect_host, redirect_path;
	bool strip_query;
};

/* Routes whose path specifier is the same text, in list order. */
struct route_bucket {
	uint32_t *at, n;
};

/* Like a route: what each request asks stands in front. */
struct vhost {
	struct str name;
	struct route_entry *routes;
	uint32_t n_routes;
	uint32_t request_buffer_limit; /* UINT32_MAX: none */
	bool indexed; /* there are so many routes that the index is used */
	bool hedge;
	struct attempt_headers attempts;
	struct retry_policy *retry;
	struct route_table *table;
	struct level_ops ops;
	struct map exact, prefix;       /* path → struct route_bucket */
	uint32_t *prefix_lens, n_lens;  /* distinct lengths, ascending */
	struct route_bucket others;     /* expressions, case-insensitive ones */
};

struct route_table {
	struct vhost *vhosts;
	uint32_t n_vhosts;
	struct map exact, suffix, prefix; /* domain without '*', lower case → struct vhost */
	uint32_t *suffix_lens, *prefix_lens; /* distinct lengths, longest first */
	uint32_t n_suffix_lens, n_prefix_lens;
	const struct vhost *any;
	bool ignore_port, specific_wins;
	struct level_ops ops;
	const struct route *last_timed; /* while it is built: the last route with a timeout_line */
	struct str *internal_only;
	size_t n_internal_only;
};

static inline const struct route_entry *
route_entry_of(const struct route *r)
{
	return container_of(r, struct route_entry, pub);
}

#endif
