/* Finding the route of a request. */
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

static const struct vhost *
find_wildcard(const struct route_table *t, struct str host)
{
	for (uint32_t i = 0; i < t->n_suffix_lens; i++) {
		uint32_t n = t->suffix_lens[i];
		const struct vhost *v;

		if (n >= host.n) /* the '*' stands for at least one character */
			continue;
		v = map_get(&t->suffix, str_make(host.p + host.n - n, n));
		if (v)
			return v;
	}
	for (uint32_t i = 0; i < t->n_prefix_lens; i++) {
		uint32_t n = t->prefix_lens[i];
		const struct vhost *v;

		if (n >= host.n)
			continue;
		v = map_get(&t->prefix, str_make(host.p, n));
		if (v)
			return v;
	}
	return t->any;
}

static const struct vhost *
find_named(const struct route_table *t, struct str authority)
{
	char low[HOST_MAX];
	struct str host = t->ignore_port ? without_port(authority) : authority;
	const struct vhost *v;

	if (host.n > sizeof(low))
		return t->any;
	for (size_t i = 0; i < host.n; i++)
		low[i] = ch_lower(host.p[i]);
	host.p = low;
	v = map_get(&t->exact, host);
	return v ? v : find_wildcard(t, host);
}

static const struct vhost *
find_vhost(const struct route_table *t, const struct headers *request)
{
	struct str authority;

	if (t->exact.len == 0 && t->n_suffix_lens == 0 && t->n_prefix_lens == 0)
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
		return regex_match(r->regex, path);
	case PATH_EXACT:
		return r->ignore_case ? str_ieq(path, r->path) : str_eq(path, r->path);
	case PATH_PREFIX:
		return r->ignore_case ? str_istarts(path, r->path) : str_starts(path, r->path);
	}
	UNREACHABLE();
}

static inline bool
entry_matches(const struct route_entry *r, const struct headers *h, struct str full, struct str path)
{
	if (r->only_prefix)
		return path.n >= r->path.n && path.p[0] == r->first &&
		    (r->path.n == 1 || memcmp(path.p + 1, r->path.p + 1, r->path.n - 1) == 0);
	return path_matches(r, path) && header_matches_all(r->headers, r->n_headers, h) &&
	    query_matches_all(r->queries, r->n_queries, full);
}

/* The first route of a bucket that matches and stands before `best`. */
static uint32_t
first_in(const struct vhost *v, const struct route_bucket *b, uint32_t best, const struct headers *h,
    struct str full, struct str path)
{
	for (uint32_t i = 0; b && i < b->n && b->at[i] < best; i++)
		if (entry_matches(&v->routes[b->at[i]], h, full, path))
			return b->at[i];
	return best;
}

static const struct route *
find_indexed(const struct vhost *v, const struct headers *h, struct str full, struct str path)
{
	uint32_t best = v->n_routes;

	best = first_in(v, map_get(&v->exact, path), best, h, full, path);
	for (uint32_t i = 0; i < v->n_lens && v->prefix_lens[i] <= path.n; i++)
		best = first_in(v, map_get(&v->prefix, str_make(path.p, v->prefix_lens[i])), best, h,
		    full, path);
	best = first_in(v, &v->others, best, h, full, path);
	return best < v->n_routes ? &v->routes[best].pub : NULL;
}

static const struct route *
find_route(const struct vhost *v, const struct headers *h, struct str full)
{
	const char *end = full.p;
	struct str path;

	while (end < full.p + full.n && *end != '?' && *end != '#')
		end++;
	path = str_make(full.p, (size_t)(end - full.p));
	if (v->indexed)
		return find_indexed(v, h, full, path);
	for (uint32_t i = 0; i < v->n_routes; i++)
		if (entry_matches(&v->routes[i], h, full, path))
			return &v->routes[i].pub;
	return NULL;
}

const struct route *
route_table_find(const struct route_table *t, const struct headers *request)
{
	struct str path = headers_get(request, HDR_PATH);
	const struct vhost *v = find_vhost(t, request);

	if (v == NULL || path.p == NULL)
		return NULL;
	return find_route(v, request, path);
}

const struct attempt_headers *
route_attempt_headers(const struct route *r)
{
	return &r->vhost->attempts;
}

struct str
route_vhost_name(const struct route *r)
{
	return r->vhost->name;
}

enum route_upgrade
route_upgrade_of(const struct route *r, struct str type)
{
	const struct route_entry *e = route_entry_of(r);

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
