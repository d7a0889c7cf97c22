/* What table.c builds and match/action code reads; only inside worker/route. */
#ifndef ROUTE_TABLE_PRIVATE_H
#define ROUTE_TABLE_PRIVATE_H

#include "lib/base/assert.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"
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
 * cache holds what a request asks of its own: that is a line of its route and
 * one of its virtual host (struct vhost_lookup).  Those of all virtual hosts
 * stand together: what lies in few pages the processor finds sooner.
 */
struct route_entry {
	const char *path; /* prefix or whole path */
	uint32_t path_n;
	uint8_t path_kind; /* enum path_match_kind */
	bool ignore_case;
	bool only_prefix; /* nothing else is asked; it has at least one character */
	char first;       /* of path */
	struct route pub;
};

_Static_assert(sizeof(struct route_entry) == CACHE_LINE, "one line");

/* What of a route stands apart. */
struct route_more {
	struct route_rest pub;
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
	struct retry_policy *retry;
	uint32_t request_buffer_limit; /* UINT32_MAX: none */
	bool hedge;
	struct attempt_headers attempts;
	struct route_table *table;
	struct level_ops ops;
	/* The index, of more than ROUTES_SCANNED routes. */
	struct map exact, prefix;       /* path → struct route_bucket */
	uint32_t *prefix_lens, n_lens;  /* distinct lengths, ascending */
	struct route_bucket others;     /* expressions, case-insensitive ones */
};

#define ROUTES_SCANNED 8 /* of more the index pays */

/*
 * What finds a route of a virtual host.  Its routes stand right behind it, so
 * that the processor fetches the first of them while it compares the domain.
 */
struct vhost_lookup {
	struct vhost *vhost;
	uint32_t n_routes;
	uint8_t domain_n;
	char domain[51]; /* the first without a '*', in lower case; longer ones are in the map */
};

_Static_assert(sizeof(struct vhost_lookup) == CACHE_LINE, "one line");

static inline struct route_entry *
lookup_routes(const struct vhost_lookup *l)
{
	return (struct route_entry *)(l + 1);
}

static inline struct vhost_lookup *
lookup_next(const struct vhost_lookup *l)
{
	return (struct vhost_lookup *)(lookup_routes(l) + l->n_routes);
}

/*
 * Where the virtual host stands that has a domain in its lookup.  Eight bytes:
 * the places of 10,000 are 128 KiB, which the cache of a core may hold.
 */
struct domain_place {
	uint32_t tag; /* of the hash */
	uint32_t at;  /* in lookups, lines from their beginning, and 1; 0: free */
};

struct route_table {
	struct vhost *vhosts;
	struct vhost_lookup *lookups; /* the first; as many, by lookup_next() */
	size_t n_vhosts;
	struct domain_place *places; /* a power of two, by the hash; one at least is free */
	uint32_t places_mask;
	/* The other domains, without their '*', in lower case → struct vhost_lookup. */
	struct map exact, suffix, prefix;
	uint32_t *suffix_lens, *prefix_lens; /* distinct lengths, longest first */
	uint32_t n_suffix_lens, n_prefix_lens;
	const struct vhost_lookup *any;
	bool ignore_port, specific_wins;
	bool has_names; /* not only "*" */
	struct level_ops ops;
	const struct route_policy *last_policy; /* while it is built */
	struct str *internal_only;
	size_t n_internal_only;
};

static inline struct vhost_lookup *
lookup_at(const struct route_table *t, uint32_t at)
{
	return t->lookups + (at - 1);
}

static inline struct str
lookup_domain(const struct vhost_lookup *l)
{
	return str_make(l->domain, l->domain_n);
}

/* The place of a domain: of the lookup that has it, or the free one where it belongs. */
static inline struct domain_place *
find_place(const struct route_table *t, uint64_t hash, struct str domain)
{
	uint32_t i = (uint32_t)hash & t->places_mask;
	struct domain_place *p;

	for (;; i = (i + 1) & t->places_mask) {
		p = &t->places[i];
		if (p->at == 0 ||
		    (p->tag == hash >> 32 && str_eq(lookup_domain(lookup_at(t, p->at)), domain)))
			return p;
	}
}

static inline const struct route_entry *
route_entry_of(const struct route *r)
{
	return container_of(r, struct route_entry, pub);
}

static inline struct str
route_path(const struct route_entry *r)
{
	return str_make(r->path, r->path_n);
}

static inline const struct route_more *
route_more(const struct route *r)
{
	return container_of(r->rest, struct route_more, pub);
}

#endif
