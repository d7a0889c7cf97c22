/* Finding the route of a request. */
#include "lib/base/hash.h"
#include "worker/route/table_private.h"

#define HOST_MAX 512 /* longer host names match "*" only */

/* ---- virtual hosts */

static struct str
without_port(struct str host)
{
	const char *colon = memrchr(host.p, ':', host.n);

	if (colon == NULL || memchr(colon, ']', host.n - (size_t)(colon - host.p)))
		return host;
	return str_make(host.p, (size_t)(colon - host.p));
}

static const struct vhost_lookup *
find_wildcard(const struct route_table *t, struct str host)
{
	for (uint32_t i = 0; i < t->n_suffix_lens; i++) {
		uint32_t n = t->suffix_lens[i];
		const struct vhost_lookup *l;

		if (n >= host.n) /* the '*' stands for at least one character */
			continue;
		l = map_get(&t->suffix, str_make(host.p + host.n - n, n));
		if (l)
			return l;
	}
	for (uint32_t i = 0; i < t->n_prefix_lens; i++) {
		uint32_t n = t->prefix_lens[i];
		const struct vhost_lookup *l;

		if (n >= host.n)
			continue;
		l = map_get(&t->prefix, str_make(host.p, n));
		if (l)
			return l;
	}
	return t->any;
}

static const struct vhost_lookup *
find_exact(const struct route_table *t, struct str host)
{
	uint64_t hash = hash_bytes(host.p, host.n);
	const struct domain_place *p = find_place(t, hash, host);

	return p->at ? lookup_at(t, p->at) : map_get_hashed(&t->exact, hash, host);
}

static const struct vhost_lookup *
find_named(const struct route_table *t, struct str authority)
{
	char low[HOST_MAX];
	struct str host = t->ignore_port ? without_port(authority) : authority;
	const struct vhost_lookup *l;

	if (host.n > sizeof(low))
		return t->any;
	str_lower(low, host);
	host.p = low;
	l = find_exact(t, host);
	return l ? l : find_wildcard(t, host);
}

static const struct vhost_lookup *
find_vhost(const struct route_table *t, const struct headers *request)
{
	struct str authority;

	if (!t->has_names)
		return t->any;
	authority = headers_get(request, HDR_AUTHORITY);
	return find_named(t, authority.p ? authority : STR(""));
}

/* ---- routes of one virtual host */

static bool
path_matches(const struct route_entry *r, struct str path)
{
	switch (r->path_kind) {
	case PATH_REGEX:
		return regex_match(route_more(&r->pub)->regex, path);
	case PATH_EXACT:
		return r->ignore_case ? str_ieq(path, route_path(r)) : str_eq(path, route_path(r));
	case PATH_PREFIX:
		return r->ignore_case ? str_istarts(path, route_path(r))
				      : str_starts(path, route_path(r));
	}
	UNREACHABLE();
}

static inline bool
entry_matches(const struct route_entry *r, const struct headers *h, struct str full, struct str path)
{
	const struct route_more *x;

	if (r->only_prefix)
		return path.n >= r->path_n && path.p[0] == r->first &&
		    (r->path_n == 1 || memcmp(path.p + 1, r->path + 1, r->path_n - 1) == 0);
	if (!path_matches(r, path))
		return false;
	x = route_more(&r->pub);
	return header_matches_all(x->headers, x->n_headers, h) &&
	    query_matches_all(x->queries, x->n_queries, full);
}

/* The first route of a bucket that matches and stands before `best`. */
static uint32_t
first_in(const struct vhost_lookup *l, const struct route_bucket *b, uint32_t best,
    const struct headers *h, struct str full, struct str path)
{
	for (uint32_t i = 0; b && i < b->n && b->at[i] < best; i++)
		if (entry_matches(&lookup_routes(l)[b->at[i]], h, full, path))
			return b->at[i];
	return best;
}

static const struct route *
find_indexed(
    const struct vhost_lookup *l, const struct headers *h, struct str full, struct str path)
{
	const struct vhost *v = l->vhost;
	uint32_t best = l->n_routes;

	best = first_in(l, map_get(&v->exact, path), best, h, full, path);
	for (uint32_t i = 0; i < v->n_lens && v->prefix_lens[i] <= path.n; i++)
		best = first_in(l, map_get(&v->prefix, str_make(path.p, v->prefix_lens[i])), best, h,
		    full, path);
	best = first_in(l, &v->others, best, h, full, path);
	return best < l->n_routes ? &lookup_routes(l)[best].pub : NULL;
}

static const struct route *
find_route(const struct vhost_lookup *l, const struct headers *h, struct str full)
{
	const char *end = full.p;
	struct str path;

	while (end < full.p + full.n && *end != '?' && *end != '#')
		end++;
	path = str_make(full.p, (size_t)(end - full.p));
	if (l->n_routes > ROUTES_SCANNED)
		return find_indexed(l, h, full, path);
	for (uint32_t i = 0; i < l->n_routes; i++)
		if (entry_matches(&lookup_routes(l)[i], h, full, path))
			return &lookup_routes(l)[i].pub;
	return NULL;
}

const struct route *
route_table_find(const struct route_table *t, const struct headers *request)
{
	struct str path = headers_get(request, HDR_PATH);
	const struct vhost_lookup *l = find_vhost(t, request);

	if (l == NULL || path.p == NULL)
		return NULL;
	return find_route(l, request, path);
}

struct str
route_vhost_name(const struct route *r)
{
	return r->rest->vhost->name;
}

enum route_upgrade
route_upgrade_of(const struct route *r, struct str type)
{
	const struct route_more *e = route_more(r);

	for (size_t i = 0; i < e->n_upgrades; i++)
		if (str_ieq(e->upgrades[i].type, type))
			return e->upgrades[i].enabled ? UPGRADE_ON : UPGRADE_OFF;
	return UPGRADE_UNSET;
}

void
route_table_strip_internal(const struct route_table *t, struct headers *request)
{
	for (size_t i = 0; i < t->n_internal_only; i++)
		headers_remove(request, t->internal_only[i]);
}
