/*
 * A stream to a control plane, state of the world: one type on a stream
 * of its own, or several on ADS.  At most one stream is open; when it ends
 * the next service of the list is tried after a back-off, and what was
 * accepted stays and is said to whoever answers.
 *
 *   WAITING → OPEN → WAITING        STOPPED: this generation drains
 */
#include <inttypes.h>

#include "admin/admin.h"
#include "admin/xds/sotw_state.h"
#include "admin/xds/source.h"
#include "admin/xds/token_bucket.h"
#include "admin/xds/xds.h"
#include "conf/defaults.h"
#include "conf/message.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/rand.h"
#include "lib/base/state.h"
#include "lib/upstream/cluster.h"
#include "lib/upstream/grpc_call.h"

#include "envoy/config/core/v3/config_source.pb-c.h"

#define PLANE "control_plane."
#define RESOLVING_MS 10 /* between two looks whether the control plane's names were answered */
#define BACKOFF_BASE_MS 500
#define BACKOFF_MAX_MS 30000
#define TOKENS 100
#define TOKENS_PER_SECOND 10

#define SOTW_STATES(STATE)                                                                         \
	STATE(SOTW_WAITING, "waiting", TO(SOTW_OPEN) | TO(SOTW_WAITING) | TO(SOTW_STOPPED))        \
	STATE(SOTW_OPEN, "open", TO(SOTW_WAITING) | TO(SOTW_STOPPED))                              \
	STATE(SOTW_STOPPED, "stopped", TO(SOTW_WAITING) | TO(SOTW_STOPPED))
enum sotw_phase { SOTW_STATES(STATE_ENUM) };
STATE_TABLE(sotw, SOTW_STATES)

typedef Envoy__Config__Core__V3__ApiConfigSource ApiConfigSource;
typedef Envoy__Config__Core__V3__GrpcService__EnvoyGrpc EnvoyGrpc;
typedef Envoy__Service__Discovery__V3__DiscoveryRequest DiscoveryRequest;

struct sotw {
	struct source source;
	enum sotw_phase phase;
	struct arena arena;
	const ApiConfigSource *config; /* our own copy */
	struct strb packed;            /* what it was copied from */
	bool ads;
	enum xds_type_id own_type;
	struct grpc_call *call;  /* OPEN */
	struct cluster *cluster; /* a reference: what the call goes, or went, to */
	bool connected, node_sent;
	bool told;              /* that it failed; until it works again */
	size_t service;         /* of config->grpc_services, the one tried now */
	uint64_t backoff_ms;    /* bound of the next pause */
	struct timer again;     /* WAITING: the next try; OPEN: the next token */
	struct flush flush;     /* requests of a turn go together */
	struct token_bucket rate;
	struct sotw_state types[XDS_TYPES];
	struct control_plane_stats *plane; /* of ADS: "control_plane." */
	struct control_plane_texts *plane_texts;
	struct xds_response response; /* while it is given out */
};

static const char *
label(const struct sotw *t)
{
	return t->ads ? "ADS" : xds_types[t->own_type].label;
}

static void
enter(struct sotw *t, enum sotw_phase next)
{
	STATE_CHECK(sotw, t->phase, next);
	log_trace(LOG_CONFIG, "%s: %s -> %s", label(t), sotw_state_names[t->phase],
	    sotw_state_names[next]);
	t->phase = next;
}

/* ---- numbers: of the stream of ADS, or of everyone who is on this one */

static void
each_plane(struct sotw *t, void (*fn)(struct sotw *t, struct control_plane_stats *s))
{
	if (t->ads) {
		fn(t, t->plane);
		return;
	}
	list_for_each(n, &t->source.subscriptions[t->own_type])
	    fn(t, list_entry(n, struct subscription, node)->numbers.plane);
}

static unsigned
owed(const struct sotw *t)
{
	unsigned n = 0;

	for (unsigned i = 0; i < XDS_TYPES; i++)
		n += t->types[i].owed;
	return n;
}

static void
write_state(struct sotw *t, struct control_plane_stats *s)
{
	stat_set(&s->connected_state, t->connected);
	stat_set(&s->pending_requests, t->phase == SOTW_OPEN ? owed(t) : 0);
}

static void
count_limited(struct sotw *t, struct control_plane_stats *s)
{
	stat_inc(&s->rate_limit_enforced);
}

static void
count_state(struct sotw *t)
{
	each_plane(t, write_state);
}

/* ---- requests */

static char **
names_of(struct sotw *t, enum xds_type_id type, size_t *n)
{
	struct list *all = &t->source.subscriptions[type];
	char **names;

	*n = 0;
	list_for_each(a, all) (*n)++;
	names = mem_array(char *, *n + 1);
	*n = 0;
	list_for_each(b, all) names[(*n)++] = list_entry(b, struct subscription, node)->name;
	return names;
}

static void
send_request(struct sotw *t, enum xds_type_id type)
{
	struct strb url = {0}, packed = {0};
	DiscoveryRequest m;
	Google__Rpc__Status detail;
	char **names;
	size_t n;

	names = names_of(t, type, &n);
	xds_type_url(&url, type);
	sotw_state_request(&t->types[type], &m, &detail, (char *)strb_z(&url), names, n);
	if (!t->node_sent || !t->config->set_node_on_first_message_only)
		m.node = (void *)xds_node(t->source.xds);
	t->node_sent = true;
	message_pack(&m.base, &packed);
	grpc_call_send(t->call, strb_str(&packed));
	log_debug(LOG_CONFIG, "%s: asks for %zu resource(s), version='%s', nonce='%s'%s",
	    xds_types[type].label, n, m.version_info, m.response_nonce,
	    m.error_detail ? ", refusing" : "");
	sotw_state_sent(&t->types[type]);
	mem_free(names);
	strb_fini(&packed);
	strb_fini(&url);
}

/* The end of a turn, or a token came: what is owed goes out, as far as the rate allows. */
static void
send_owed(void *arg)
{
	struct sotw *t = arg;

	for (unsigned i = 0; i < XDS_TYPES && t->phase == SOTW_OPEN; i++) {
		uint64_t wait_ms;

		if (!t->types[i].owed)
			continue;
		wait_ms = token_bucket_take(&t->rate, loop_now_ms(source_loop(&t->source)));
		if (wait_ms) {
			each_plane(t, count_limited);
			timer_set(source_loop(&t->source), &t->again, wait_ms);
			break;
		}
		send_request(t, (enum xds_type_id)i);
	}
	count_state(t);
}

static void
send_soon(struct sotw *t)
{
	if (t->phase == SOTW_OPEN && !timer_armed(&t->again))
		loop_flush(source_loop(&t->source), &t->flush);
}

/* ---- the next try */

static const EnvoyGrpc *
service_of(const struct sotw *t)
{
	return t->config->grpc_services[t->service]->envoy_grpc;
}

static uint64_t
backoff_bound(const struct sotw *t, bool most)
{
	const EnvoyGrpc *g = service_of(t);
	const Envoy__Config__Core__V3__BackoffStrategy *b =
	    g->retry_policy ? g->retry_policy->retry_back_off : NULL;
	uint64_t base = b ? conf_duration_ms(b->base_interval, BACKOFF_BASE_MS) : BACKOFF_BASE_MS;

	if (!most)
		return base;
	if (b == NULL)
		return BACKOFF_MAX_MS;
	return conf_duration_ms(b->max_interval, base * 10);
}

/* Each pause is drawn from the upper half of its bound, which doubles. */
static void
try_later(struct sotw *t)
{
	uint64_t most = backoff_bound(t, true), bound = t->backoff_ms, half;

	if (bound == 0)
		bound = backoff_bound(t, false);
	half = bound / 2;
	t->backoff_ms = bound * 2 > most ? most : bound * 2;
	t->service = (t->service + 1) % t->config->n_grpc_services;
	timer_set(source_loop(&t->source), &t->again, half + rand_below(bound - half + 1));
}

static void
failed(struct sotw *t, uint32_t status, struct str text)
{
	const char *name = grpc_status_name(status);

	source_settle(&t->source);
	enter(t, SOTW_WAITING);
	t->call = NULL;
	t->connected = false;
	if (t->told)
		log_debug(LOG_CONFIG, "%s: stream to '%s' closed: %" PRIu32 " %s, " STR_FMT, label(t),
		    service_of(t)->cluster_name, status, name ? name : "", STR_ARG(text));
	else
		log_warning(LOG_CONFIG,
		    "%s: stream to '%s' closed: %" PRIu32 " %s, " STR_FMT "; what is in force stays",
		    label(t), service_of(t)->cluster_name, status, name ? name : "", STR_ARG(text));
	t->told = true;
	source_fail(&t->source);
	count_state(t);
	try_later(t);
}

/* ---- the stream */

static void
on_sent(void *arg)
{
	struct sotw *t = arg;

	t->connected = true;
	count_state(t);
}

static void
note_identity(struct sotw *t, const Envoy__Service__Discovery__V3__DiscoveryResponse *m)
{
	struct str id = str_of(m->control_plane ? m->control_plane->identifier : "");

	if (id.n && t->ads)
		stat_text_set(&t->plane_texts->identifier, id);
	if (id.n == 0 || t->ads)
		return;
	list_for_each(n, &t->source.subscriptions[t->own_type])
	    stat_text_set(
	        &list_entry(n, struct subscription, node)->numbers.plane_texts->identifier, id);
}

/* The type that a response is about; -1: nobody asked for it here. */
static int
type_of_response(const struct sotw *t, struct str url)
{
	int type = xds_type_by_url(url);

	if (!t->ads)
		return t->own_type;
	return type >= 0 && t->types[type].asked ? type : -1;
}

static void
answer(struct sotw *t, enum xds_type_id type, struct xds_response *r)
{
	struct str url = str_of(r->message->type_url);
	struct strb reasons = {0};

	if (url.n && xds_type_by_url(url) != (int)type) { /* on a stream of its own */
		strb_printf(&reasons, "type_url '" STR_FMT "' on a stream of %s", STR_ARG(url),
		    xds_types[type].message->name);
		source_reject(&t->source, type);
	} else {
		xds_response_judge(r, type);
		source_deliver(&t->source, type, r, &reasons);
	}
	if (reasons.n)
		log_warning(LOG_CONFIG, "%s: version '%s' is refused: %s", xds_types[type].label,
		    r->message->version_info, strb_z(&reasons));
	sotw_state_answered(&t->types[type], str_of(r->message->version_info),
	    str_of(r->message->nonce), strb_str(&reasons));
	strb_fini(&reasons);
	send_soon(t);
}

/* A task. */
static void
take_response(void *arg)
{
	struct sotw *t = arg;
	struct xds_response *r = &t->response;
	const char *url = r->message->type_url, *later = xds_type_later(str_of(url));
	int type = type_of_response(t, str_of(url));

	if (type < 0)
		log_warning(LOG_CONFIG, "%s: a response of type '%s', which was not asked for, is left out%s%s",
		    label(t), url, later ? ": baton has no " : "", later ? later : "");
	else
		answer(t, (enum xds_type_id)type, r);
	xds_response_fini(r);
	count_state(t);
}

static void
on_message(void *arg, struct str packed)
{
	struct sotw *t = arg;
	struct err err = {""};

	source_settle(&t->source);
	if (xds_response_open(&t->response, packed, &err) < 0) { /* no nonce to refuse it by */
		grpc_call_cancel(&t->call);
		failed(t, GRPC_INVALID_ARGUMENT, str_of(err.text));
		return;
	}
	t->backoff_ms = 0;
	t->told = false;
	note_identity(t, t->response.message);
	source_work(&t->source, take_response, t);
}

static void
on_end(void *arg, uint32_t status, struct str text)
{
	failed(arg, status, text);
}

static const struct grpc_call_events call_events = {
    .on_sent = on_sent,
    .on_message = on_message,
    .on_end = on_end,
};

static void
start_call(struct sotw *t, struct cluster *c)
{
	const EnvoyGrpc *g = service_of(t);
	const Envoy__Config__Core__V3__GrpcService *s = t->config->grpc_services[t->service];
	struct grpc_call_options o = {
	    .path = str_of(t->ads ? XDS_ADS_METHOD : xds_types[t->own_type].method),
	    .authority = str_of(g->authority),
	    .limit_bytes = conf_u32(g->max_receive_message_length, MESSAGE_BYTES),
	    .skip_envoy_headers = g->skip_envoy_headers,
	    .metadata = s->initial_metadata,
	    .n_metadata = s->n_initial_metadata,
	};

	cluster_unref(&t->cluster);
	t->cluster = cluster_ref(c);
	t->call = grpc_call_start(c, &o, &call_events, t);
	t->node_sent = false;
	enter(t, SOTW_OPEN);
	for (unsigned i = 0; i < XDS_TYPES; i++)
		sotw_state_begin(&t->types[i], !list_empty(&t->source.subscriptions[i]));
	send_soon(t);
}

static void
open_stream(struct sotw *t)
{
	struct str name = str_of(service_of(t)->cluster_name);
	struct err err = {""};
	struct cluster *c;

	if (xds_cluster_is_resolving(t->source.xds, name)) {
		timer_set(source_loop(&t->source), &t->again, RESOLVING_MS);
		return;
	}
	c = xds_cluster(t->source.xds, name, &err);
	if (c)
		start_call(t, c);
	else
		failed(t, GRPC_UNAVAILABLE, str_of(err.text));
}

static void
on_again(void *arg)
{
	struct sotw *t = arg;

	if (t->phase == SOTW_OPEN)
		send_owed(t);
	else
		open_stream(t);
}

/* ---- its configuration */

static void
set_rate(struct sotw *t)
{
	const Envoy__Config__Core__V3__RateLimitSettings *r = t->config->rate_limit_settings;

	if (r)
		token_bucket_init(&t->rate, conf_u32(r->max_tokens, TOKENS),
		    conf_double(r->fill_rate, TOKENS_PER_SECOND),
		    loop_now_ms(source_loop(&t->source)));
}

/* Messages of the configuration go with it, and this may stay longer.  True when it is another. */
static bool
take_config(struct sotw *t, const ApiConfigSource *config)
{
	struct strb packed = {0};
	bool other;

	message_pack(&config->base, &packed);
	other = !str_eq(strb_str(&packed), strb_str(&t->packed));
	if (other) {
		arena_fini(&t->arena);
		t->config = (const ApiConfigSource *)message_unpack(&t->arena,
		    &envoy__config__core__v3__api_config_source__descriptor, strb_str(&packed), NULL);
		ASSERT(t->config && t->config->n_grpc_services > 0);
		t->service = 0;
		set_rate(t);
	}
	strb_fini(&t->packed);
	t->packed = packed;
	return other;
}

/* ---- as a source */

static void
sotw_changed(struct source *s, enum xds_type_id type)
{
	struct sotw *t = (struct sotw *)s;

	sotw_state_changed(&t->types[type]);
	send_soon(t);
}

static void
sotw_stop(struct source *s)
{
	struct sotw *t = (struct sotw *)s;

	source_settle(s);
	timer_stop(&t->again);
	flush_cancel(&t->flush);
	grpc_call_cancel(&t->call);
	cluster_unref(&t->cluster);
	t->connected = false;
	enter(t, SOTW_STOPPED);
	count_state(t);
}

/* At once, not from inside the caller. */
static void
sotw_resume(struct source *s)
{
	struct sotw *t = (struct sotw *)s;

	enter(t, SOTW_WAITING);
	timer_set(source_loop(s), &t->again, 0);
}

/* Its control plane may be elsewhere now, and ADS another one. */
static void
sotw_reloaded(struct source *s)
{
	struct sotw *t = (struct sotw *)s;
	const ApiConfigSource *ads = t->ads ? xds_ads_config(s->xds) : NULL;
	bool other = ads && take_config(t, ads);

	if (!other && t->phase == SOTW_OPEN &&
	    xds_cluster(s->xds, str_of(service_of(t)->cluster_name), NULL) == t->cluster)
		return;
	sotw_stop(s);
	t->backoff_ms = 0;
	sotw_resume(s);
}

static void
sotw_free(struct source **sp)
{
	struct sotw *t = (struct sotw *)*sp;

	*sp = NULL;
	sotw_stop(&t->source);
	for (unsigned i = 0; i < XDS_TYPES; i++)
		sotw_state_fini(&t->types[i]);
	source_fini(&t->source);
	strb_fini(&t->packed);
	arena_fini(&t->arena);
	mem_free(t);
}

static const struct source_kind sotw_kind = {
    .changed = sotw_changed,
    .stop = sotw_stop,
    .resume = sotw_resume,
    .reloaded = sotw_reloaded,
    .free = sotw_free,
};

struct source *
sotw_new(struct xds *x, struct str key, const void *config, bool ads, enum xds_type_id own_type)
{
	struct sotw *t = mem_new(struct sotw);
	struct err err = {""};

	source_init(&t->source, x, &sotw_kind, key);
	arena_init(&t->arena);
	t->ads = ads;
	t->own_type = own_type;
	t->phase = SOTW_STOPPED;
	timer_init(&t->again, on_again, t);
	t->flush = (struct flush){.fn = send_owed, .arg = t};
	take_config(t, config);
	if (ads) {
		if (block_publish(xds_admin(x)->segment, SCOPE_control_plane, STR(PLANE), &err) < 0)
			log_warning(LOG_STATS, "%s", err.text);
		t->plane = control_plane_stats_of(PLANE);
		t->plane_texts = block_shared(SCOPE_control_plane, STR(PLANE));
	}
	return &t->source;
}
