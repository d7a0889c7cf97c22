/* The gRPC check: grpc.health.v1.Health/Check over HTTP/2. */
#include "admin/health/grpc_message.h"
#include "admin/health/probe.h"
#include "lib/base/log.h"
#include "lib/http/grpc.h"

typedef Envoy__Config__Core__V3__HealthCheck HealthCheck;

#define PATH "/grpc.health.v1.Health/Check"

struct grpc_settings {
	struct str authority, request, timeout;
	struct probe_headers metadata;
};

/* ---- the kind */

static int
configure(struct probe_settings *s, const HealthCheck *message, struct arena *a, struct err *err)
{
	const Envoy__Config__Core__V3__HealthCheck__GrpcHealthCheck *m = message->grpc_health_check;
	struct grpc_settings *x = arena_new(a, struct grpc_settings);

	s->own = x;
	s->wire = WIRE_HTTP2;
	x->authority = arena_str(a, str_of(m->authority));
	x->request = grpc_check_request(str_of(m->service_name), a);
	x->timeout = grpc_timeout_format(a, s->timeout_ms);
	probe_headers_read(&x->metadata, m->initial_metadata, m->n_initial_metadata, a);
	return 0;
}

static void
ask(struct probe *p)
{
	const struct grpc_settings *x = p->settings->own;
	struct str authority = p->authority.n   ? p->authority
			       : x->authority.n ? x->authority
						: p->settings->cluster;
	struct headers h;

	probe_headers_begin(p, &h, STR("POST"), authority, STR(PATH));
	headers_add_id(&h, HDR_TE, STR("trailers"));
	headers_add_id(&h, HDR_CONTENT_TYPE, STR("application/grpc"));
	headers_add_id(&h, HDR_GRPC_TIMEOUT, x->timeout);
	probe_headers_apply(&x->metadata, &h);
	wire_ask(p->wire, &h, x->request, GRPC_ANSWER_ROOM);
}

static uint32_t
status_of(const struct wire_answer *a)
{
	unsigned http = headers_status(a->headers);
	uint32_t status;

	if (grpc_status_get(a->trailers ? a->trailers : a->headers, &status))
		return status;
	return http == 200 ? GRPC_INTERNAL : grpc_status_of_http(http);
}

static bool
passes(const struct wire_answer *a)
{
	return headers_status(a->headers) == 200 &&
	       grpc_content_type(headers_get(a->headers, HDR_CONTENT_TYPE)) &&
	       status_of(a) == GRPC_OK && grpc_check_is_serving(a->body);
}

static struct probe_verdict
judge(struct probe *p, const struct wire_answer *a)
{
	char address[ADDRESS_TEXT];

	if (passes(a))
		return (struct probe_verdict){.result = PROBE_PASSED};
	address_format(&p->address, address);
	log_debug(LOG_HC, "cluster '" STR_FMT "' host %s: health check failed, grpc-status=%u",
	    STR_ARG(p->settings->cluster), address, status_of(a));
	return (struct probe_verdict){.result = PROBE_FAILED};
}

const struct probe_kind grpc_check = {
    .name = "GRPC",
    .configure = configure,
    .ask = ask,
    .judge = judge,
};
