/*
 * envoy.filters.http.health_check: answers a balancer's health checks, or
 * lets them through and remembers the answer; and says on every other
 * response when this proxy is out of rotation.
 */
#include "conf/defaults.h"
#include "envoy/extensions/filters/http/health_check/v3/health_check.pb-c.h"
#include "lib/event/loop.h"
#include "lib/upstream/cluster.h"
#include "shm/flags.h"
#include "worker/hcm/http_filter.h"
#include "worker/hcm/stream.h"
#include "worker/route/match.h"
#include "worker/snapshot.h"

#define HC(name) Envoy__Extensions__Filters__Http__HealthCheck__V3__##name

struct min_healthy {
	struct str cluster;
	uint32_t percent;
};

/* The last answer that came from upstream; this worker's own. */
struct cached_answer {
	uint64_t until_ns;
	unsigned status;
	bool degraded;
};

struct health_check_config {
	struct health_check_stats *stats;
	struct header_match *headers;
	size_t headers_n;
	bool pass_through;
	uint64_t cache_ms; /* 0: no cache */
	struct cached_answer *cache;
	struct min_healthy *clusters;
	size_t clusters_n;
	struct str node_cluster;
};

struct health_check {
	const struct health_check_config *config;
	struct http_stream *s;
	bool asked;    /* this request is a health check */
	bool handling; /* and we answer it */
};

/* ---- configuration */

static int
configure(void **out, const void *msg, const struct filter_build *b, struct err *err)
{
	const HC(HealthCheck) *m = msg;
	struct health_check_config *c = arena_new(b->arena, struct health_check_config);

	if (m == NULL || m->pass_through_mode == NULL)
		return err_set(err, "pass_through_mode: required");
	c->stats = health_check_stats_of(arena_printf(b->arena, "%shealth_check.", b->stat_block));
	c->pass_through = m->pass_through_mode->value;
	c->cache_ms = conf_duration_ms(m->cache_time, 0);
	if (!c->pass_through && c->cache_ms)
		return err_set(err, "cache_time: needs pass_through_mode");
	if (c->pass_through && m->n_cluster_min_healthy_percentages)
		return err_set(err, "cluster_min_healthy_percentages: not with pass_through_mode");
	c->cache = arena_new(b->arena, struct cached_answer);
	c->node_cluster = str_of(b->node_cluster);
	c->clusters_n = m->n_cluster_min_healthy_percentages;
	c->clusters = arena_zalloc(b->arena, c->clusters_n * sizeof(*c->clusters));
	for (size_t i = 0; i < c->clusters_n; i++) {
		c->clusters[i].cluster =
		    arena_str(b->arena, str_of(m->cluster_min_healthy_percentages[i]->key));
		if (m->cluster_min_healthy_percentages[i]->value)
			c->clusters[i].percent =
			    (uint32_t)m->cluster_min_healthy_percentages[i]->value->value;
	}
	c->headers_n = m->n_headers;
	*out = c;
	return header_matches_build(
	    &c->headers, (void *const *)m->headers, m->n_headers, b->arena, err);
}

static void *
start(struct http_stream *s, const void *config)
{
	struct health_check *f = arena_new(&s->arena, struct health_check);

	f->config = config;
	f->s = s;
	return f;
}

/* ---- the answer */

struct verdict {
	unsigned status;
	const char *details;
	bool degraded;
};

static bool
is_failed(void)
{
	return flag_get(&shm_flags()->health_failed);
}

/* False when this cluster fails us; *v says why. */
static bool
cluster_is_enough(const struct health_check *f, const struct min_healthy *want, struct verdict *v)
{
	struct cluster *c = snapshot_cluster(f->s->snapshot, want->cluster);
	struct health_check_stats *st = f->config->stats;
	struct cluster_health h;

	v->status = 503;
	if (c == NULL) {
		stat_inc(&st->failed_cluster_not_found);
		v->details = "health_check_failed_no_cluster_found";
		return false;
	}
	h = cluster_health(c);
	if (h.total == 0 && want->percent > 0) {
		stat_inc(&st->failed_cluster_empty);
		v->details = "health_check_failed_cluster_empty";
		return false;
	}
	if (100ull * (h.healthy + h.degraded) < (uint64_t)h.total * want->percent) {
		stat_inc(&st->failed_cluster_unhealthy);
		v->details = "health_check_failed_cluster_unhealthy";
		return false;
	}
	v->status = 200;
	v->details = "health_check_ok_cluster_healthy";
	return true;
}

static struct verdict
judge(const struct health_check *f)
{
	const struct health_check_config *c = f->config;
	struct verdict v = {200, "health_check_ok", false};

	if (is_failed())
		return (struct verdict){503, "health_check_failed", false};
	if (c->pass_through) {
		stat_inc(&c->stats->cached_response);
		return (struct verdict){
		    c->cache->status, "health_check_cached", c->cache->degraded};
	}
	for (size_t i = 0; i < c->clusters_n; i++)
		if (!cluster_is_enough(f, &c->clusters[i], &v))
			break;
	return v;
}

static void
say_degraded(void *arg, struct headers *h)
{
	headers_set_id(h, HDR_X_ENVOY_DEGRADED, STR(""));
}

static void
answer(struct health_check *f)
{
	struct verdict v = judge(f);
	bool ok = v.status >= 200 && v.status < 300;

	stream_local_reply(f->s, v.status, STR(""), ok ? 0 : FLAG_LH, str_of(v.details),
	    v.degraded ? say_degraded : NULL, NULL);
}

/* ---- the request */

static bool
may_use_cache(const struct health_check *f)
{
	const struct health_check_config *c = f->config;

	return c->cache_ms && loop_now_ns(f->s->loop) < c->cache->until_ns;
}

static enum filter_verdict
on_request_headers(void *self, struct headers *h, bool end)
{
	struct health_check *f = self;
	const struct health_check_config *c = f->config;

	if (!header_matches_all(c->headers, c->headers_n, h))
		return FILTER_CONTINUE;
	f->asked = f->s->info.health_check = true;
	stat_inc(&c->stats->request_total);
	f->handling = !c->pass_through || is_failed() || may_use_cache(f);
	if (!f->handling)
		return FILTER_CONTINUE;
	if (end)
		answer(f);
	return FILTER_STOP;
}

static enum filter_verdict
on_request_data(void *self, struct buf *data, bool end)
{
	struct health_check *f = self;

	if (!f->handling)
		return FILTER_CONTINUE;
	buf_drain(data, data->len);
	if (end)
		answer(f);
	return FILTER_STOP;
}

static enum filter_verdict
on_request_trailers(void *self, struct headers *t)
{
	struct health_check *f = self;

	if (!f->handling)
		return FILTER_CONTINUE;
	answer(f);
	return FILTER_STOP;
}

/* ---- the response */

static void
remember(struct health_check *f, unsigned status, bool degraded)
{
	const struct health_check_config *c = f->config;

	*c->cache = (struct cached_answer){
	    .until_ns = loop_now_ns(f->s->loop) + c->cache_ms * 1000000,
	    .status = status,
	    .degraded = degraded,
	};
}

static enum filter_verdict
on_response_headers(void *self, struct headers *h, bool end)
{
	struct health_check *f = self;
	struct health_check_stats *st = f->config->stats;
	unsigned status = headers_status(h);
	bool degraded;

	if (!f->asked) {
		if (is_failed())
			headers_set_id(h, HDR_X_ENVOY_IMMEDIATE_HEALTH_CHECK_FAIL, STR("true"));
		return FILTER_CONTINUE;
	}
	degraded = headers_has(h, HDR_X_ENVOY_DEGRADED);
	if (f->config->cache_ms && !f->handling)
		remember(f, status, degraded);
	stat_inc(status >= 200 && status < 300 ? &st->ok : &st->failed);
	if (degraded)
		stat_inc(&st->degraded);
	headers_set_id(h, HDR_X_ENVOY_UPSTREAM_HEALTHCHECKED_CLUSTER, f->config->node_cluster);
	return FILTER_CONTINUE;
}

extern const struct http_filter health_check_filter;
const struct http_filter health_check_filter = {
    .name = "envoy.filters.http.health_check",
    .type = "envoy.extensions.filters.http.health_check.v3.HealthCheck",
    .configure = configure,
    .start = start,
    .on_request_headers = on_request_headers,
    .on_request_data = on_request_data,
    .on_request_trailers = on_request_trailers,
    .on_response_headers = on_response_headers,
};
