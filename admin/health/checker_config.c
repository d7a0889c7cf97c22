/* A checker as the configuration wants it: intervals, kind, event logs. */
#include "admin/health/checker_private.h"
#include "conf/defaults.h"
#include "conf/message.h"
#include "lib/base/assert.h"
#include "lib/base/mem.h"

#include "envoy/extensions/health_check/event_sinks/file/v3/file.pb-c.h"

#define NO_TRAFFIC_MS 60000
#define MAX_HEADERS 100
#define MAX_HEADERS_BYTES (60u * 1024)
#define HIGH_WATERMARK (1u << 20)

typedef Envoy__Config__Core__V3__HealthCheck HealthCheck;
typedef Envoy__Extensions__HealthCheck__EventSinks__File__V3__HealthCheckEventFileSink FileSink;

static void
read_rules(struct verdict_rules *r, const HealthCheck *m)
{
	*r = (struct verdict_rules){
	    .healthy_threshold = conf_u32(m->healthy_threshold, 1),
	    .unhealthy_threshold = conf_u32(m->unhealthy_threshold, 1),
	    .interval_ms = conf_duration_ms(m->interval, 1),
	    .jitter_ms = conf_duration_ms(m->interval_jitter, 0),
	    .initial_jitter_ms = conf_duration_ms(m->initial_jitter, 0),
	    .jitter_percent = m->interval_jitter_percent,
	    .no_traffic_interval_ms = conf_duration_ms(m->no_traffic_interval, NO_TRAFFIC_MS),
	    .always_log_failures = m->always_log_health_check_failures,
	    .always_log_successes = m->always_log_health_check_success,
	};
	r->unhealthy_interval_ms = conf_duration_ms(m->unhealthy_interval, r->interval_ms);
	r->unhealthy_edge_interval_ms =
	    conf_duration_ms(m->unhealthy_edge_interval, r->unhealthy_interval_ms);
	r->healthy_edge_interval_ms = conf_duration_ms(m->healthy_edge_interval, r->interval_ms);
	r->no_traffic_healthy_interval_ms =
	    conf_duration_ms(m->no_traffic_healthy_interval, r->no_traffic_interval_ms);
}

static void *
codec_stats(struct checker *c, enum stat_scope scope, const char *name)
{
	char *prefix = arena_printf(&c->arena, STR_FMT "%s", STR_ARG(c->prefix), name);

	return block_stats(scope, str_of(prefix));
}

static void
read_codec(struct checker *c, struct codec_config *codec)
{
	codec->max_headers_bytes = MAX_HEADERS_BYTES;
	codec->max_headers_count = MAX_HEADERS;
	codec->high_watermark = HIGH_WATERMARK;
	codec->h1.allow_absolute_url = true;
	codec->h1.allow_custom_methods = true;
	http2_settings_defaults(&codec->h2);
	codec->h1_stats = codec_stats(c, SCOPE_http1_codec, "http1.");
	codec->h2_stats = codec_stats(c, SCOPE_http2_codec, "http2.");
}

/* The i-th event log that m names: 0 and its path, NULL behind the last one. */
static int
log_path(const char **path, const HealthCheck *m, size_t i, struct arena *a, struct err *err)
{
	const ProtobufCMessage *sink;

	*path = NULL;
	if (m->event_log_path[0] && i-- == 0) {
		*path = m->event_log_path;
		return 0;
	}
	if (i >= m->n_event_logger)
		return 0;
	sink = any_open(a, &m->event_logger[i]->typed_config->base,
	    &envoy__extensions__health_check__event_sinks__file__v3__health_check_event_file_sink__descriptor,
	    err);
	if (sink == NULL)
		return -1;
	*path = ((const FileSink *)sink)->event_log_path;
	return 0;
}

static int
open_logs(struct checker *c, const HealthCheck *m, struct err *err)
{
	struct event_log *f;
	const char *path;

	for (size_t i = 0;; i++) {
		if (log_path(&path, m, i, &c->arena, err) < 0)
			return -1;
		if (path == NULL)
			return 0;
		f = event_log_open(&c->all->logs, path, err);
		if (f == NULL)
			return -1;
		*vec_push(&c->logs) = f;
	}
}

int
checker_try_logs(struct checks *s, const HealthCheck *m, struct err *err)
{
	struct event_log *f;
	const char *path = "";
	struct arena a;
	int bad = 0;

	arena_init(&a);
	for (size_t i = 0; path && bad == 0; i++) {
		bad = log_path(&path, m, i, &a, err);
		if (bad < 0 || path == NULL)
			break;
		f = event_log_open(&s->logs, path, err);
		bad = f ? 0 : -1;
		event_log_close(&f);
	}
	arena_fini(&a);
	return bad;
}

static int
configure(struct checker *c, const HealthCheck *m, struct err *err)
{
	struct probe_settings *p = &c->probing;

	read_rules(&c->rules, m);
	c->alt_port = (uint16_t)conf_u32(m->alt_port, 0);
	c->stats = codec_stats(c, SCOPE_active_check, "health_check.");
	p->loop = c->all->loop;
	p->cluster = c->cluster;
	p->timeout_ms = conf_duration_ms(m->timeout, 1);
	p->reuse_connection = conf_bool(m->reuse_connection, true);
	p->scarce = &c->all->scarce;
	p->stats = c->stats;
	read_codec(c, &p->codec);
	p->kind = probe_kind_of(m);
	if (p->kind == NULL)
		return err_set(err, "this kind of health check is not supported");
	return p->kind->configure(p, m, &c->arena, err);
}

static struct str
pack(const struct checker_source *src, struct arena *a)
{
	struct strb b = {0};
	struct str s;

	message_pack(&src->message->base, &b);
	s = arena_str(a, strb_str(&b));
	strb_fini(&b);
	return s;
}

struct checker *
checker_new(struct checks *s, const struct checker_source *src, struct err *err)
{
	struct checker *c = mem_new(struct checker);
	const ProtobufCMessage *own;

	c->all = s;
	arena_init(&c->arena);
	c->packed = pack(src, &c->arena);
	c->cluster = arena_str(&c->arena, src->cluster);
	c->prefix = arena_str(&c->arena, src->prefix);
	c->traffic = src->traffic;
	c->hide_new = src->hide_new;
	own = message_unpack(&c->arena, src->message->base.descriptor, c->packed, err);
	if (own == NULL || configure(c, (const HealthCheck *)own, err) < 0 ||
	    open_logs(c, (const HealthCheck *)own, err) < 0) {
		checker_free(&c);
		err_in(err, "cluster '" STR_FMT "': health_checks", STR_ARG(src->cluster));
	}
	return c;
}

void
checker_free(struct checker **cp)
{
	struct checker *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	ASSERT(c->checks == 0);
	if (c->probing.own && c->probing.kind->fini)
		c->probing.kind->fini(&c->probing);
	for (size_t i = 0; i < c->logs.len; i++)
		event_log_close(&c->logs.at[i]);
	vec_fini(&c->logs);
	arena_fini(&c->arena);
	mem_free(c);
}

bool
checker_is(const struct checker *c, const struct checker_source *src)
{
	struct strb b = {0};
	bool same;

	message_pack(&src->message->base, &b);
	same = str_eq(strb_str(&b), c->packed) && str_eq(src->prefix, c->prefix) &&
	       src->hide_new == c->hide_new;
	strb_fini(&b);
	return same;
}
