/* RouteConfiguration → route table. */
#include <stdlib.h>

#include "conf/defaults.h"
#include "conf/message.h"
#include "envoy/config/route/v3/route.pb-c.h"
#include "lib/base/hash.h"
#include "lib/base/vec.h"
#include "lib/upstream/criteria.h"
#include "lib/upstream/hash_policy.h"
#include "worker/route/retry_policy.h"
#include "worker/route/table_private.h"
#include "worker/snapshot.h"

typedef Envoy__Config__Route__V3__RouteConfiguration RouteConfiguration;
typedef Envoy__Config__Route__V3__VirtualHost VirtualHost;
typedef Envoy__Config__Route__V3__Route Route;
typedef Envoy__Config__Route__V3__RouteMatch RouteMatch;
typedef Envoy__Config__Route__V3__RouteAction RouteAction;
typedef Envoy__Config__Route__V3__RedirectAction RedirectAction;
typedef Envoy__Config__Route__V3__DirectResponseAction DirectResponseAction;

#define DEFAULT_TIMEOUT_MS 15000

static int
build_match(struct route_entry *r, struct route_more *x, const RouteMatch *m, struct arena *a,
    struct err *err)
{
	struct str path = {"", 0};

	r->ignore_case = !conf_bool(m->case_sensitive, true);
	switch (m->path_specifier_case) {
	case ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_PREFIX:
		r->path_kind = PATH_PREFIX;
		path = arena_str(a, str_of(m->prefix));
		break;
	case ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_PATH:
		r->path_kind = PATH_EXACT;
		path = arena_str(a, str_of(m->path));
		break;
	case ENVOY__CONFIG__ROUTE__V3__ROUTE_MATCH__PATH_SPECIFIER_SAFE_REGEX:
		r->path_kind = PATH_REGEX;
		x->regex = match_regex(str_of(m->safe_regex->regex), a, err);
		if (x->regex == NULL)
			return err_in(err, "safe_regex");
		break;
	default:
		return err_set(err, "a route needs prefix, path or safe_regex");
	}
	r->path = path.p;
	r->path_n = (uint32_t)path.n;
	x->n_headers = m->n_headers;
	x->n_queries = m->n_query_parameters;
	if (header_matches_build(&x->headers, (void *const *)m->headers, m->n_headers, a, err) < 0)
		return -1;
	return query_matches_build(
	    &x->queries, (void *const *)m->query_parameters, m->n_query_parameters, a, err);
}

static const struct criteria *
build_criteria(const Envoy__Config__Core__V3__Metadata *m, struct arena *a)
{
	for (size_t i = 0; m && i < m->n_filter_metadata; i++)
		if (strcmp(m->filter_metadata[i]->key, "envoy.lb") == 0)
			return criteria_build(m->filter_metadata[i]->value, a);
	return NULL;
}

static const struct header *
build_timeout_line(uint64_t ms, struct arena *a)
{
	char text[20];
	struct header *h = arena_new(a, struct header);

	*h = header_of_line(HDR_X_ENVOY_EXPECTED_RQ_TIMEOUT_MS,
	    sizeof("x-envoy-expected-rq-timeout-ms") - 1,
	    header_line(
		a, HDR_X_ENVOY_EXPECTED_RQ_TIMEOUT_MS, str_make(text, u64_write(text, ms))));
	return h;
}

static void
build_times(struct route_policy *p, const RouteAction *m)
{
	p->timeout_ms = conf_duration_ms(m->timeout, DEFAULT_TIMEOUT_MS);
	p->has_idle_timeout = m->idle_timeout != NULL;
	p->idle_timeout_ms = conf_duration_ms(m->idle_timeout, 0);
	if (m->max_stream_duration == NULL)
		return;
	p->has_max_stream_duration = m->max_stream_duration->max_stream_duration != NULL;
	p->max_stream_duration_ms =
	    conf_duration_ms(m->max_stream_duration->max_stream_duration, 0);
	p->has_grpc_timeout_max = m->max_stream_duration->grpc_timeout_header_max != NULL;
	p->grpc_timeout_max_ms =
	    conf_duration_ms(m->max_stream_duration->grpc_timeout_header_max, 0);
	p->grpc_timeout_offset_ms =
	    conf_duration_ms(m->max_stream_duration->grpc_timeout_header_offset, 0);
}

static void
build_rewrites(struct route_more *x, const RouteAction *m, struct arena *a)
{
	x->prefix_rewrite = arena_str(a, str_of(m->prefix_rewrite));
	x->has_prefix_rewrite = x->prefix_rewrite.n > 0;
	if (m->host_rewrite_specifier_case ==
	    ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__HOST_REWRITE_SPECIFIER_HOST_REWRITE_LITERAL)
		x->host_rewrite = arena_str(a, str_of(m->host_rewrite_literal));
	x->n_upgrades = m->n_upgrade_configs;
	x->upgrades = arena_zalloc(a, m->n_upgrade_configs * sizeof(*x->upgrades));
	for (size_t i = 0; i < m->n_upgrade_configs; i++) {
		x->upgrades[i].type = arena_str(a, str_of(m->upgrade_configs[i]->upgrade_type));
		x->upgrades[i].enabled = conf_bool(m->upgrade_configs[i]->enabled, true);
	}
}

/* retry_policy, else what retry_policy_typed_config holds. */
static int
build_retry(struct retry_policy **out, const Envoy__Config__Route__V3__RetryPolicy *m,
    const Google__Protobuf__Any *typed, struct arena *a, struct err *err)
{
	const ProtobufCMessage *opened = m ? &m->base : NULL;

	if (opened == NULL && typed) {
		opened = any_open(a, &typed->base, NULL, err);
		if (opened == NULL)
			return err_in(err, "retry_policy_typed_config");
	}
	return retry_policy_build(out, opened, a, err);
}

/* What the route says of attempts replaces what its virtual host says. */
static int
build_attempts(struct route_policy *p, const RouteAction *m, const struct vhost *v, struct arena *a,
    struct err *err)
{
	struct retry_policy *own;

	if (build_retry(&own, m->retry_policy, m->retry_policy_typed_config, a, err) < 0)
		return -1;
	p->retry = own ? own : v->retry;
	p->hedge = m->hedge_policy ? m->hedge_policy->hedge_on_per_try_timeout : v->hedge;
	p->attempts = v->attempts;
	return 0;
}

/* p is compared as it stands: nothing was written to its gaps. */
static const struct route_policy *
share_policy(struct route_policy *p, struct route_table *t, struct arena *a)
{
	const struct route_policy *last = t->last_policy;
	struct route_policy *own;

	if (last && last->timeout_ms == p->timeout_ms)
		p->timeout_line = last->timeout_line;
	else
		p->timeout_line = build_timeout_line(p->timeout_ms, a);
	if (last && memcmp(last, p, sizeof(*p)) == 0)
		return last;
	own = arena_alloc(a, sizeof(*own));
	memcpy(own, p, sizeof(*own));
	t->last_policy = own;
	return own;
}

static int
build_cluster_action(struct route_entry *r, struct route_more *x, const Route *route,
    struct arena *a, struct err *err)
{
	const struct vhost *v = x->pub.vhost;
	const RouteAction *m = route->route;
	struct route_policy p;

	memset(&p, 0, sizeof(p));
	r->pub.kind = ROUTE_CLUSTER;
	x->pub.cluster = arena_str(a, str_of(m->cluster));
	build_times(&p, m);
	if (build_attempts(&p, m, v, a, err) < 0)
		return -1;
	p.cluster_not_found_status = 503;
	p.request_buffer_limit =
	    conf_u32(route->per_request_buffer_limit_bytes, v->request_buffer_limit);
	p.high_priority = m->priority == ENVOY__CONFIG__CORE__V3__ROUTING_PRIORITY__HIGH;
	p.criteria = build_criteria(m->metadata_match, a);
	p.hash_policies = hash_policies_build((void *const *)m->hash_policy, m->n_hash_policy, a);
	r->pub.policy = share_policy(&p, v->table, a);
	build_rewrites(x, m, a);
	return 0;
}

static void
build_redirect(
    struct route_entry *r, struct route_more *x, const RedirectAction *m, struct arena *a)
{
	static const unsigned status[] = {301, 302, 303, 307, 308};

	r->pub.kind = ROUTE_REDIRECT;
	x->redirect_status = (unsigned)m->response_code < 5 ? status[m->response_code] : 301;
	x->redirect_port = m->port_redirect;
	x->redirect_host = arena_str(a, str_of(m->host_redirect));
	x->strip_query = m->strip_query;
	switch (m->scheme_rewrite_specifier_case) {
	case ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__SCHEME_REWRITE_SPECIFIER_HTTPS_REDIRECT:
		x->redirect_scheme = m->https_redirect ? STR("https") : STR("");
		break;
	case ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__SCHEME_REWRITE_SPECIFIER_SCHEME_REDIRECT:
		x->redirect_scheme = arena_str(a, str_of(m->scheme_redirect));
		break;
	default:
		x->redirect_scheme = STR("");
	}
	switch (m->path_rewrite_specifier_case) {
	case ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__PATH_REWRITE_SPECIFIER_PATH_REDIRECT:
		x->redirect_path = arena_str(a, str_of(m->path_redirect));
		break;
	case ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__PATH_REWRITE_SPECIFIER_PREFIX_REWRITE:
		x->prefix_rewrite = arena_str(a, str_of(m->prefix_rewrite));
		x->has_prefix_rewrite = true;
		break;
	default:
		break;
	}
}

static int
build_direct(struct route_entry *r, struct route_more *x, const DirectResponseAction *m,
    struct arena *a, struct err *err)
{
	r->pub.kind = ROUTE_DIRECT;
	x->pub.direct_status = m->status;
	x->pub.direct_body = STR("");
	if (m->body == NULL)
		return 0;
	switch (m->body->specifier_case) {
	case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_STRING:
		x->pub.direct_body = arena_str(a, str_of(m->body->inline_string));
		return 0;
	case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_BYTES:
		x->pub.direct_body = arena_str(a,
		    str_make((const char *)m->body->inline_bytes.data, m->body->inline_bytes.len));
		return 0;
	case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER__NOT_SET:
		return 0;
	default: /* admin reads files and the environment and puts their bytes here */
		return err_set(err, "direct_response.body must be inline by now");
	}
}

static int
build_route(struct route_entry *r, struct route_more *x, const Route *m, const struct vhost *v,
    struct arena *a, struct err *err)
{
	static const struct route_policy none;

	x->pub.vhost = v;
	r->pub.rest = &x->pub;
	r->pub.policy = &none;
	r->pub.name = arena_str(a, str_of(m->name));
	if (build_match(r, x, m->match, a, err) < 0)
		return -1;
	switch (m->action_case) {
	case ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION_ROUTE:
		if (build_cluster_action(r, x, m, a, err) < 0)
			return -1;
		break;
	case ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION_REDIRECT:
		build_redirect(r, x, m->redirect, a);
		break;
	case ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION_DIRECT_RESPONSE:
		if (build_direct(r, x, m->direct_response, a, err) < 0)
			return -1;
		break;
	default:
		return err_set(err, "a route needs route, redirect or direct_response");
	}
	if (header_ops_build(&x->ops.request, (void *const *)m->request_headers_to_add,
		m->n_request_headers_to_add, m->request_headers_to_remove,
		m->n_request_headers_to_remove, a, err) < 0)
		return -1;
	return header_ops_build(&x->ops.response, (void *const *)m->response_headers_to_add,
	    m->n_response_headers_to_add, m->response_headers_to_remove,
	    m->n_response_headers_to_remove, a, err);
}

/* ---- the index of a virtual host */

static void
free_map(void *arg)
{
	map_fini(arg);
}

static void
bucket_add(struct route_bucket *b, uint32_t i, struct arena *a)
{
	/* Doubles at powers of two; a bucket is nearly always one route. */
	if ((b->n & (b->n - 1)) == 0) {
		uint32_t *more = arena_alloc(a, (b->n ? 2 * b->n : 1) * sizeof(*more));

		if (b->n)
			memcpy(more, b->at, b->n * sizeof(*more));
		b->at = more;
	}
	b->at[b->n++] = i;
}

static void
map_bucket(struct map *m, struct str key, uint32_t i, struct arena *a)
{
	struct route_bucket *b = map_get(m, key);

	if (b == NULL) {
		b = arena_new(a, struct route_bucket);
		map_put(m, key, b);
	}
	bucket_add(b, i, a);
}

static int
cmp_u32(const void *x, const void *y)
{
	uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;

	return (a > b) - (a < b);
}

/* Distinct values of lens[0 .. n), ascending; gives how many. */
static uint32_t
distinct(uint32_t *lens, uint32_t n)
{
	uint32_t k = 0;

	if (n)
		qsort(lens, n, sizeof(*lens), cmp_u32);
	for (uint32_t i = 0; i < n; i++)
		if (k == 0 || lens[k - 1] != lens[i])
			lens[k++] = lens[i];
	return k;
}

static void
build_index(const struct vhost_lookup *l, struct arena *a)
{
	struct vhost *v = l->vhost;

	if (l->n_routes <= ROUTES_SCANNED)
		return;
	arena_on_fini(a, free_map, &v->exact);
	arena_on_fini(a, free_map, &v->prefix);
	v->prefix_lens = arena_alloc(a, l->n_routes * sizeof(uint32_t));
	for (uint32_t i = 0; i < l->n_routes; i++) {
		const struct route_entry *r = &lookup_routes(l)[i];

		if (r->path_kind == PATH_REGEX || r->ignore_case) {
			bucket_add(&v->others, i, a);
		} else if (r->path_kind == PATH_EXACT) {
			map_bucket(&v->exact, route_path(r), i, a);
		} else {
			map_bucket(&v->prefix, route_path(r), i, a);
			v->prefix_lens[v->n_lens++] = r->path_n;
		}
	}
	v->n_lens = distinct(v->prefix_lens, v->n_lens);
}

/* ---- virtual hosts and domains */

static int
build_vhost(struct vhost_lookup *l, struct route_more *more, const VirtualHost *m,
    struct route_table *t, struct arena *a, struct err *err)
{
	struct vhost *v = l->vhost;

	v->table = t;
	v->name = arena_str(a, str_of(m->name));
	v->attempts = (struct attempt_headers){
	    .count_in_request = m->include_request_attempt_count,
	    .count_in_response = m->include_attempt_count_in_response,
	    .is_timeout_retry = m->include_is_timeout_retry_header,
	};
	v->hedge = m->hedge_policy && m->hedge_policy->hedge_on_per_try_timeout;
	v->request_buffer_limit = conf_u32(m->per_request_buffer_limit_bytes, UINT32_MAX);
	if (build_retry(&v->retry, m->retry_policy, m->retry_policy_typed_config, a, err) < 0)
		return err_in(err, "virtual host '%s'", m->name);
	for (uint32_t i = 0; i < l->n_routes; i++)
		if (build_route(&lookup_routes(l)[i], &more[i], m->routes[i], v, a, err) < 0)
			return err_in(err, "virtual host '%s', route %u", m->name, i);
	if (header_ops_build(&v->ops.request, (void *const *)m->request_headers_to_add,
		m->n_request_headers_to_add, m->request_headers_to_remove,
		m->n_request_headers_to_remove, a, err) < 0 ||
	    header_ops_build(&v->ops.response, (void *const *)m->response_headers_to_add,
		m->n_response_headers_to_add, m->response_headers_to_remove,
		m->n_response_headers_to_remove, a, err) < 0)
		return err_in(err, "virtual host '%s'", m->name);
	build_index(l, a);
	return 0;
}

typedef VEC(uint32_t) len_vec;

/* The first domain of a virtual host stands in its lookup, others in the map.  False: it is somebody's. */
static bool
add_exact(struct route_table *t, struct vhost_lookup *l, struct str domain, struct arena *a)
{
	bool here = l->domain_n == 0 && domain.n <= sizeof(l->domain);
	char *low = here ? l->domain : arena_alloc(a, domain.n);
	uint64_t hash;
	struct domain_place *p;

	str_lower(low, domain);
	domain.p = low;
	hash = hash_bytes(domain.p, domain.n);
	p = find_place(t, hash, domain);
	if (p->at || map_get_hashed(&t->exact, hash, domain))
		return false;
	if (here) {
		l->domain_n = (uint8_t)domain.n;
		*p = (struct domain_place){(uint32_t)(hash >> 32), (uint32_t)(l - t->lookups) + 1};
	} else {
		map_put_hashed(&t->exact, hash, domain, l);
	}
	return true;
}

static bool
add_wildcard(struct route_table *t, struct vhost_lookup *l, struct str d, len_vec *suffixes,
    len_vec *prefixes)
{
	if (d.p[0] == '*') {
		d = str_make(d.p + 1, d.n - 1);
		*vec_push(suffixes) = (uint32_t)d.n;
		return map_put(&t->suffix, d, l) == NULL;
	}
	d.n--;
	*vec_push(prefixes) = (uint32_t)d.n;
	return map_put(&t->prefix, d, l) == NULL;
}

static int
add_domain(struct route_table *t, struct vhost_lookup *l, const char *domain, len_vec *suffixes,
    len_vec *prefixes, struct arena *a, struct err *err)
{
	struct str d = str_of(domain);
	bool single;

	if (str_eqz(d, "*")) {
		single = t->any == NULL;
		t->any = l;
	} else {
		t->has_names = true;
		single = d.p[0] == '*' || d.p[d.n - 1] == '*'
			     ? add_wildcard(t, l, arena_lower(a, d), suffixes, prefixes)
			     : add_exact(t, l, d, a);
	}
	if (!single)
		return err_set(err,
		    "Only unique values for domains are permitted. Duplicate entry of domain %s", domain);
	return 0;
}

/* In one piece, so that a large table is in few pages: lookups with their routes, then the places, of
 * which a quarter stays free. */
static void
make_room(struct route_table *t, size_t n, size_t routes, struct arena *a)
{
	size_t lines = n * sizeof(struct vhost_lookup) + routes * sizeof(struct route_entry);
	size_t cap = 2;

	while (cap * 3 < n * 4)
		cap *= 2;
	t->vhosts = arena_zalloc(a, n * sizeof(*t->vhosts));
	t->n_vhosts = n;
	t->lookups = arena_zalloc_lines(a, lines + cap * sizeof(*t->places));
	t->places = (struct domain_place *)((char *)t->lookups + lines);
	t->places_mask = (uint32_t)(cap - 1);
}

/* Longest first. */
static uint32_t *
lens_of(len_vec *v, uint32_t *n, struct arena *a)
{
	uint32_t *out, k = distinct(v->at, (uint32_t)v->len);

	out = arena_alloc(a, k * sizeof(*out));
	for (uint32_t i = 0; i < k; i++)
		out[i] = v->at[k - 1 - i];
	*n = k;
	vec_fini(v);
	return out;
}

static int
build_vhosts(struct route_table *t, const RouteConfiguration *m, struct arena *a, struct err *err)
{
	len_vec suffixes = {0}, prefixes = {0};
	struct vhost_lookup *l;
	struct route_more *more;
	size_t routes = 0;
	int rc = 0;

	for (size_t i = 0; i < m->n_virtual_hosts; i++)
		routes += m->virtual_hosts[i]->n_routes;
	make_room(t, m->n_virtual_hosts, routes, a);
	l = t->lookups;
	more = arena_zalloc(a, routes * sizeof(*more));
	for (size_t i = 0; i < m->n_virtual_hosts && rc == 0; i++) {
		const VirtualHost *vm = m->virtual_hosts[i];

		l->vhost = &t->vhosts[i];
		l->n_routes = (uint32_t)vm->n_routes;
		rc = build_vhost(l, more, vm, t, a, err);
		for (size_t k = 0; k < vm->n_domains && rc == 0; k++)
			rc = add_domain(t, l, vm->domains[k], &suffixes, &prefixes, a, err);
		more += l->n_routes;
		l = lookup_next(l);
	}
	t->suffix_lens = lens_of(&suffixes, &t->n_suffix_lens, a);
	t->prefix_lens = lens_of(&prefixes, &t->n_prefix_lens, a);
	return rc;
}

/* ---- what need not be asked at each request */

static bool
is_empty(const struct header_ops *o)
{
	return o->adds == 0 && o->removes == 0;
}

static void
note_shortcuts(struct route_entry *r, const void *arg)
{
	const struct route_more *x = route_more(&r->pub);
	const struct vhost *v = x->pub.vhost;
	const struct level_ops *all = &v->table->ops;

	r->only_prefix = r->path_kind == PATH_PREFIX && !r->ignore_case && r->path_n > 0 &&
	    x->n_headers == 0 && x->n_queries == 0;
	r->first = r->only_prefix ? r->path[0] : '\0';
	r->pub.keeps_response = is_empty(&x->ops.response) && is_empty(&v->ops.response) &&
	    is_empty(&all->response);
	r->pub.keeps_request = is_empty(&x->ops.request) && is_empty(&v->ops.request) &&
	    is_empty(&all->request) && x->host_rewrite.n == 0 && !x->has_prefix_rewrite;
}

static void
each_route(struct route_table *t, void (*fn)(struct route_entry *r, const void *arg), const void *arg)
{
	struct vhost_lookup *l = t->lookups;

	for (size_t i = 0; i < t->n_vhosts; i++, l = lookup_next(l))
		for (uint32_t k = 0; k < l->n_routes; k++)
			fn(&lookup_routes(l)[k], arg);
}

static void
resolve(struct route_entry *r, const void *snapshot)
{
	if (r->pub.kind == ROUTE_CLUSTER)
		r->pub.to = snapshot_cluster(snapshot, r->pub.rest->cluster);
}

void
route_table_resolve(struct route_table *t, const struct snapshot *s)
{
	each_route(t, resolve, s);
}

int
route_table_build(
    struct route_table **out, const void *route_configuration, struct arena *a, struct err *err)
{
	const RouteConfiguration *m = route_configuration;
	struct route_table *t = arena_new(a, struct route_table);

	arena_on_fini(a, free_map, &t->exact);
	arena_on_fini(a, free_map, &t->suffix);
	arena_on_fini(a, free_map, &t->prefix);
	t->ignore_port = m->ignore_port_in_host_matching;
	t->specific_wins = m->most_specific_header_mutations_wins;
	t->n_internal_only = m->n_internal_only_headers;
	t->internal_only = arena_zalloc(a, t->n_internal_only * sizeof(struct str));
	for (size_t i = 0; i < t->n_internal_only; i++)
		t->internal_only[i] = arena_lower(a, str_of(m->internal_only_headers[i]));
	if (header_ops_build(&t->ops.request, (void *const *)m->request_headers_to_add,
		m->n_request_headers_to_add, m->request_headers_to_remove,
		m->n_request_headers_to_remove, a, err) < 0 ||
	    header_ops_build(&t->ops.response, (void *const *)m->response_headers_to_add,
		m->n_response_headers_to_add, m->response_headers_to_remove,
		m->n_response_headers_to_remove, a, err) < 0 ||
	    build_vhosts(t, m, a, err) < 0)
		return err_in(err, "route configuration '%s'", m->name);
	each_route(t, note_shortcuts, NULL);
	*out = t;
	return 0;
}
