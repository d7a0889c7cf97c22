/* What a route does to a request and its response: rewrites, redirects, headers. */
#include "worker/route/table_private.h"

/* ---- header levels: the most specific first, unless it shall have the last word */

typedef const struct header_ops *(*pick_ops)(const struct level_ops *l);

static const struct header_ops *
pick_request(const struct level_ops *l)
{
	return &l->request;
}

static const struct header_ops *
pick_response(const struct level_ops *l)
{
	return &l->response;
}

static void
apply_levels(
    const struct route *r, pick_ops pick, struct headers *h, const struct stream_info *info)
{
	const struct vhost *v = r->rest->vhost;
	const struct level_ops *levels[] = {&route_more(r)->ops, &v->ops, &v->table->ops};
	bool reverse = v->table->specific_wins;

	for (int i = 0; i < 3; i++) {
		const struct header_ops *o = pick(levels[reverse ? 2 - i : i]);

		if (o->adds || o->removes)
			header_ops_apply(o, h, info);
	}
}

/* ---- paths */

/* Where the query begins (or the end). */
static size_t
path_end(struct str path)
{
	const char *q = memchr(path.p, '?', path.n);

	return q ? (size_t)(q - path.p) : path.n;
}

/* The matched part replaced, the query kept. */
static struct str
rewritten_path(const struct route *r, struct str path, struct arena *a)
{
	const struct route_entry *e = route_entry_of(r);
	struct str by = route_more(r)->prefix_rewrite;
	size_t end = path_end(path);
	size_t matched = e->path_kind == PATH_PREFIX ? e->path_n : end;
	size_t rest = path.n - matched;
	char *p = arena_alloc(a, by.n + rest + 1);

	memcpy(p, by.p, by.n);
	memcpy(p + by.n, path.p + matched, rest);
	return str_make(p, by.n + rest);
}

void
route_rewrite_request(
    const struct route *r, struct headers *h, const struct stream_info *info, bool suppress)
{
	const struct route_more *e;

	if (r->keeps_request)
		return;
	e = route_more(r);
	apply_levels(r, pick_request, h, info);
	if (e->host_rewrite.n) {
		if (!suppress)
			headers_set_id(h, HDR_X_ENVOY_ORIGINAL_HOST, headers_get(h, HDR_AUTHORITY));
		headers_set_id(h, HDR_AUTHORITY, e->host_rewrite);
	}
	if (e->has_prefix_rewrite) {
		struct str path = headers_get(h, HDR_PATH);

		if (!suppress)
			headers_set_id(h, HDR_X_ENVOY_ORIGINAL_PATH, path);
		headers_set_id(h, HDR_PATH, rewritten_path(r, path, h->arena));
	}
}

void
route_rewrite_response(const struct route *r, struct headers *h, const struct stream_info *info)
{
	if (!r->keeps_response)
		apply_levels(r, pick_response, h, info);
}

/* ---- redirects */

/* The request's host; its port goes when a new one is set, or when it was the old scheme's own. */
static struct str
redirect_host(const struct route_more *r, struct str host, struct str old_scheme, struct str scheme)
{
	const char *colon = memrchr(host.p, ':', host.n);
	struct str port;
	bool drop;

	if (colon == NULL || memchr(colon, ']', host.n - (size_t)(colon - host.p)))
		return host;
	port = str_make(colon, host.n - (size_t)(colon - host.p));
	drop = r->redirect_port != 0;
	if (!str_eq(scheme, old_scheme))
		drop |= (str_eqz(old_scheme, "https") && str_eqz(port, ":443")) ||
		    (str_eqz(old_scheme, "http") && str_eqz(port, ":80"));
	return drop ? str_make(host.p, host.n - port.n) : host;
}

static void
add_redirect_path(struct strb *b, const struct route *pub, struct str path, struct arena *a)
{
	const struct route_more *r = route_more(pub);
	struct str query = str_make(path.p + path_end(path), path.n - path_end(path));

	if (r->redirect_path.n) {
		strb_adds(b, r->redirect_path);
		/* A query of the redirect's own wins and is never stripped. */
		if (!memchr(r->redirect_path.p, '?', r->redirect_path.n) && !r->strip_query)
			strb_adds(b, query);
		return;
	}
	if (r->has_prefix_rewrite)
		path = rewritten_path(pub, path, a);
	if (r->strip_query)
		path.n = path_end(path);
	strb_adds(b, path);
}

unsigned
route_redirect(
    const struct route *pub, const struct headers *h, struct arena *a, struct str *location)
{
	const struct route_more *r = route_more(pub);
	struct str old_scheme = headers_get(h, HDR_SCHEME);
	struct str scheme = r->redirect_scheme.n ? r->redirect_scheme : old_scheme;
	struct str host = r->redirect_host;
	struct strb b = {0};

	if (host.n == 0)
		host = redirect_host(r, headers_get(h, HDR_AUTHORITY), old_scheme, scheme);
	strb_adds(&b, scheme);
	strb_addz(&b, "://");
	strb_adds(&b, host);
	if (r->redirect_port)
		strb_printf(&b, ":%u", r->redirect_port);
	add_redirect_path(&b, pub, headers_get(h, HDR_PATH), a);
	*location = arena_str(a, strb_str(&b));
	strb_fini(&b);
	return r->redirect_status;
}
