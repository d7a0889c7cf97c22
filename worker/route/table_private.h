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

/* The compiled route; `pub` is what table.h shows. */
struct route_entry {
	struct route pub;
	enum path_match_kind path_kind;
	bool ignore_case;
	bool only_prefix; /* nothing else is asked; it has at least one character */
	struct str path; /* prefix or whole path */
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

struct vhost {
	struct str name;
	const struct route_table *table;
	struct route_entry *routes;
	uint32_t n_routes;
	struct level_ops ops;
	struct attempt_headers attempts;
	struct retry_policy *retry;
	bool hedge;
	uint32_t request_buffer_limit; /* UINT32_MAX: none */
	/* Index; not used while there are few routes. */
	bool indexed;
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
	struct str *internal_only;
	size_t n_internal_only;
};

static inline const struct route_entry *
route_entry_of(const struct route *r)
{
	return container_of(r, struct route_entry, pub);
}

#endif
