/*
 * The HTTP check: a request of HTTP/1 or HTTP/2, judged by status, body
 * and what the host says of itself.
 */
#include "admin/health/probe.h"
#include "admin/string_match.h"
#include "conf/defaults.h"
#include "conf/payload.h"
#include "lib/base/log.h"
#include "shm/block.h"

typedef Envoy__Config__Core__V3__HealthCheck HealthCheck;
typedef Envoy__Config__Core__V3__HealthCheck__HttpHealthCheck HttpCheck;

#define RESPONSE_BUFFER 1024

struct status_range {
	unsigned from, to; /* half open */
};

struct http_settings {
	struct str method, path, host, send;
	struct status_range *expected, *retriable;
	size_t expected_n, retriable_n;
	struct str *receive;
	size_t receive_n;
	size_t room; /* of the answer's body; SIZE_MAX: all of it */
	struct probe_headers add;
	struct str *remove;
	size_t remove_n;
	bool names_service;
	struct string_match_list service;
};

/* ---- configuration */

static struct status_range *
read_ranges(Envoy__Type__V3__Int64Range *const *r, size_t n, struct arena *a)
{
	struct status_range *out = arena_zalloc(a, (n + 1) * sizeof(*out));

	for (size_t i = 0; i < n; i++)
		out[i] = (struct status_range){(unsigned)r[i]->start, (unsigned)r[i]->end};
	return out;
}

static void
read_statuses(struct http_settings *x, const HttpCheck *m, struct arena *a)
{
	x->expected = read_ranges(m->expected_statuses, m->n_expected_statuses, a);
	x->expected_n = m->n_expected_statuses;
	x->retriable = read_ranges(m->retriable_statuses, m->n_retriable_statuses, a);
	x->retriable_n = m->n_retriable_statuses;
	if (x->expected_n == 0)
		x->expected[x->expected_n++] = (struct status_range){200, 201};
}

static struct str
method_name(Envoy__Config__Core__V3__RequestMethod m)
{
	static const char *const names[] = {
	    "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};

	return str_of((size_t)m < ARRAY_LEN(names) ? names[m] : "GET");
}

static void
read_request(struct http_settings *x, const HttpCheck *m, struct arena *a)
{
	x->method = method_name(m->method);
	x->path = arena_str(a, str_of(m->path));
	x->host = arena_str(a, str_of(m->host));
	if (m->send)
		x->send = payload_read(m->send, a);
	probe_headers_read(&x->add, m->request_headers_to_add, m->n_request_headers_to_add, a);
	x->remove_n = m->n_request_headers_to_remove;
	x->remove = arena_zalloc(a, x->remove_n * sizeof(*x->remove));
	for (size_t i = 0; i < x->remove_n; i++)
		x->remove[i] = arena_lower(a, str_of(m->request_headers_to_remove[i]));
}

static void
read_receive(struct http_settings *x, const HttpCheck *m, struct arena *a)
{
	uint64_t room = conf_u64(m->response_buffer_size, RESPONSE_BUFFER);

	x->receive_n = m->n_receive;
	x->receive = arena_zalloc(a, x->receive_n * sizeof(*x->receive));
	for (size_t i = 0; i < x->receive_n; i++)
		x->receive[i] = payload_read(m->receive[i], a);
	x->room = x->receive_n == 0 ? 0 : room ? room : SIZE_MAX;
}

static int
configure(struct probe_settings *s, const HealthCheck *message, struct arena *a, struct err *err)
{
	const HttpCheck *m = message->http_health_check;
	struct http_settings *x = arena_new(a, struct http_settings);

	s->own = x;
	s->wire = m->codec_client_type == ENVOY__TYPE__V3__CODEC_CLIENT_TYPE__HTTP2 ? WIRE_HTTP2
										    : WIRE_HTTP1;
	read_statuses(x, m, a);
	read_request(x, m, a);
	read_receive(x, m, a);
	if (m->service_name_matcher == NULL)
		return 0;
	x->names_service = true;
	return string_match_add(&x->service, m->service_name_matcher, err);
}

static void
fini(struct probe_settings *s)
{
	struct http_settings *x = s->own;

	string_match_fini(&x->service);
}

/* ---- question and answer */

static struct str
host_name(const struct probe *p, const struct http_settings *x)
{
	if (p->authority.n)
		return p->authority;
	return x->host.n ? x->host : p->settings->cluster;
}

static void
ask(struct probe *p)
{
	const struct http_settings *x = p->settings->own;
	struct headers h;

	probe_headers_begin(p, &h, x->method, host_name(p, x), x->path);
	for (size_t i = 0; i < x->remove_n; i++)
		headers_remove(&h, x->remove[i]);
	probe_headers_apply(&x->add, &h);
	if (x->send.n) {
		char *n = arena_printf(wire_arena(p->wire), "%zu", x->send.n);

		headers_set_id(&h, HDR_CONTENT_LENGTH, str_of(n));
	}
	wire_ask(p->wire, &h, x->send, x->room);
}

static bool
within(unsigned status, const struct status_range *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (status >= r[i].from && status < r[i].to)
			return true;
	return false;
}

static struct probe_verdict
bad(struct probe *p, const struct headers *h, bool retriable, const char *why)
{
	char address[ADDRESS_TEXT];

	address_format(&p->address, address);
	log_debug(LOG_HC, "cluster '" STR_FMT "' host %s: health check failed, %s, status=%u",
	    STR_ARG(p->settings->cluster), address, why, headers_status(h));
	return (struct probe_verdict){
	    .result = retriable ? PROBE_RETRIABLE : PROBE_FAILED,
	    .leave_alone = headers_has(h, HDR_X_ENVOY_IMMEDIATE_HEALTH_CHECK_FAIL),
	};
}

static struct probe_verdict
judge(struct probe *p, const struct wire_answer *a)
{
	const struct http_settings *x = p->settings->own;
	const struct headers *h = a->headers;
	unsigned status = headers_status(h);

	if (x->receive_n && !probe_holds(x->receive, x->receive_n, a->body))
		return bad(p, h, false, "the body is another");
	if (!within(status, x->expected, x->expected_n))
		return bad(p, h, within(status, x->retriable, x->retriable_n), "the status is another");
	if (x->names_service) {
		struct str name = headers_get(h, HDR_X_ENVOY_UPSTREAM_HEALTHCHECKED_CLUSTER);

		stat_inc(&p->settings->stats->verify_cluster);
		if (!string_match_any(&x->service, name.p ? name : STR("")))
			return (struct probe_verdict){.result = PROBE_FAILED};
	}
	return (struct probe_verdict){
	    .result = headers_has(h, HDR_X_ENVOY_DEGRADED) ? PROBE_DEGRADED : PROBE_PASSED};
}

const struct probe_kind http_check = {
    .name = "HTTP",
    .configure = configure,
    .fini = fini,
    .ask = ask,
    .judge = judge,
};
