/*
 * The gRPC check: grpc.health.v1.Health/Check over HTTP/2.  Request and
 * answer have one field each, so they are written and read here: field 1
 * of HealthCheckRequest is `service` (text), of HealthCheckResponse
 * `status` (1 = SERVING).
 */
#include "admin/health/probe.h"
#include "lib/base/log.h"
#include "lib/http/grpc.h"

typedef Envoy__Config__Core__V3__HealthCheck HealthCheck;

#define PATH "/grpc.health.v1.Health/Check"
#define PREFIX 5      /* compressed flag and length of a message */
#define ANSWER 1024   /* more than any answer takes */
#define FIELD_1_TEXT 0x0a
#define FIELD_1_NUMBER 0x08
#define SERVING 1

struct grpc_settings {
	struct str authority, request, timeout;
	struct probe_headers metadata;
};

/* ---- messages */

static size_t
put_varint(char *out, size_t v)
{
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		out[n++] = (char)(v | 0x80);
	out[n++] = (char)v;
	return n;
}

static struct str
make_request(struct str service, struct arena *a)
{
	char *out = arena_zalloc(a, PREFIX + 1 + 10 + service.n);
	size_t n = PREFIX;

	if (service.n) {
		out[n++] = FIELD_1_TEXT;
		n += put_varint(out + n, service.n);
		memcpy(out + n, service.p, service.n);
		n += service.n;
	}
	for (int i = 0; i < 4; i++)
		out[4 - i] = (char)((n - PREFIX) >> (8 * i));
	return str_make(out, n);
}

static bool
read_varint(struct str *s, uint64_t *out)
{
	*out = 0;
	for (unsigned shift = 0; shift < 64 && s->n; shift += 7) {
		unsigned char c = (unsigned char)*s->p;

		s->p++;
		s->n--;
		*out |= (uint64_t)(c & 0x7f) << shift;
		if (!(c & 0x80))
			return true;
	}
	return false;
}

/* Drops the value of a field that is not known. */
static bool
skip_value(struct str *s, unsigned wire)
{
	uint64_t n = wire == 1 ? 8 : wire == 5 ? 4 : 0;

	if (wire == 0)
		return read_varint(s, &n);
	if (wire == 2 && !read_varint(s, &n))
		return false;
	if ((wire != 1 && wire != 2 && wire != 5) || n > s->n)
		return false;
	s->p += n;
	s->n -= n;
	return true;
}

/* The last one counts, as in protobuf; a message without it says UNKNOWN. */
static bool
says_serving(struct str s)
{
	uint64_t status = 0, tag;

	while (s.n) {
		if (!read_varint(&s, &tag))
			return false;
		if (tag == FIELD_1_NUMBER ? !read_varint(&s, &status) : !skip_value(&s, tag & 7))
			return false;
	}
	return status == SERVING;
}

/* Exactly one message, not compressed. */
static bool
answer_is_serving(const struct buf *body)
{
	unsigned char text[ANSWER];
	size_t n = buf_peek(body, text, sizeof(text));
	size_t len;

	if (n < PREFIX || text[0] != 0)
		return false;
	len = (size_t)text[1] << 24 | (size_t)text[2] << 16 | (size_t)text[3] << 8 | text[4];
	return len == n - PREFIX && says_serving(str_make((char *)text + PREFIX, len));
}

/* ---- the kind */

static int
configure(struct probe_settings *s, const HealthCheck *message, struct arena *a, struct err *err)
{
	const Envoy__Config__Core__V3__HealthCheck__GrpcHealthCheck *m = message->grpc_health_check;
	struct grpc_settings *x = arena_new(a, struct grpc_settings);

	s->own = x;
	s->wire = WIRE_HTTP2;
	x->authority = arena_str(a, str_of(m->authority));
	x->request = make_request(str_of(m->service_name), a);
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
	wire_ask(p->wire, &h, x->request, ANSWER + 1);
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
	       status_of(a) == GRPC_OK && answer_is_serving(a->body);
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
