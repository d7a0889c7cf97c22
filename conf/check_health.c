/* Soundness of active health checks: statuses, payloads, headers. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

#include "conf/check_private.h"
#include "conf/defaults.h"
#include "conf/payload.h"
#include "envoy/config/accesslog/v3/accesslog.pb-c.h"
#include "envoy/config/cluster/v3/cluster.pb-c.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb-c.h"
#include "envoy/extensions/filters/http/health_check/v3/health_check.pb-c.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb-c.h"

typedef Envoy__Config__Core__V3__HealthCheck__HttpHealthCheck HttpCheck;
typedef Envoy__Config__Core__V3__HealthCheck__GrpcHealthCheck GrpcCheck;
typedef Envoy__Config__Core__V3__HealthCheck__Payload Payload;
typedef Envoy__Config__Core__V3__HeaderValueOption HeaderOption;

#define RESPONSE_BUFFER 1024

static void
check_ranges(struct checked *k, const char *field, Envoy__Type__V3__Int64Range *const *r, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (r[i]->start >= r[i]->end)
			fail_item(k, field, (int)i, "start %" PRId64 " is not below end %" PRId64,
			    r[i]->start, r[i]->end);
		else if (r[i]->start < 100 || r[i]->end > 600)
			fail_item(k, field, (int)i, "statuses are from 100 to 599");
	}
}

/* No request of a client stands behind a check: there is nothing that an operator could tell. */
static void
check_headers(struct checked *k, const char *field, HeaderOption *const *h, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *p = h[i]->header ? h[i]->header->value : "";

		for (p = strchr(p, '%'); p && p[1] == '%'; p = strchr(p + 2, '%'))
			;
		if (p)
			fail_item(k, field, (int)i,
			    "operators in headers of health checks are " NOT_YET
			    "; a per cent sign is written %%%%");
	}
}

static bool
takes_no_body(Envoy__Config__Core__V3__RequestMethod method)
{
	switch (method) {
	case ENVOY__CONFIG__CORE__V3__REQUEST_METHOD__POST:
	case ENVOY__CONFIG__CORE__V3__REQUEST_METHOD__PUT:
	case ENVOY__CONFIG__CORE__V3__REQUEST_METHOD__PATCH:
	case ENVOY__CONFIG__CORE__V3__REQUEST_METHOD__OPTIONS:
		return false;
	default:
		return true;
	}
}

static void
check_receive(struct checked *k, const HttpCheck *h)
{
	uint64_t room = conf_u64(h->response_buffer_size, RESPONSE_BUFFER), wanted = 0;

	for (size_t i = 0; i < h->n_receive; i++)
		wanted += payload_size(h->receive[i]);
	if (room && wanted > room)
		fail(k, "receive",
		    "%" PRIu64 " bytes are expected, response_buffer_size holds %" PRIu64, wanted, room);
}

void
check_http_health_check(struct checked *k)
{
	const HttpCheck *h = (const void *)k->m;

	check_ranges(k, "expected_statuses", h->expected_statuses, h->n_expected_statuses);
	check_ranges(k, "retriable_statuses", h->retriable_statuses, h->n_retriable_statuses);
	check_headers(
	    k, "request_headers_to_add", h->request_headers_to_add, h->n_request_headers_to_add);
	check_receive(k, h);
	if (h->path[0] && h->path[0] != '/' && strcmp(h->path, "*") != 0)
		warn(k, "path", "'%s' does not begin with '/': few hosts answer that", h->path);
	if (h->method == ENVOY__CONFIG__CORE__V3__REQUEST_METHOD__CONNECT)
		fail(k, "method", "CONNECT cannot be a health check");
	else if (h->send && takes_no_body(h->method))
		fail(k, "send", "only POST, PUT, PATCH and OPTIONS carry a payload");
}

void
check_grpc_health_check(struct checked *k)
{
	const GrpcCheck *g = (const void *)k->m;

	check_headers(k, "initial_metadata", g->initial_metadata, g->n_initial_metadata);
}

void
check_payload(struct checked *k)
{
	const Payload *p = (const void *)k->m;
	size_t n;

	if (p->payload_case != ENVOY__CONFIG__CORE__V3__HEALTH_CHECK__PAYLOAD__PAYLOAD_TEXT)
		return;
	for (n = 0; p->text[n] && isxdigit((unsigned char)p->text[n]); n++)
		;
	if (p->text[0] == '\0')
		fail(k, "text", "must not be empty");
	else if (p->text[n] || n % 2)
		fail(k, "text", "'%s' is not hexadecimal: two digits a byte", p->text);
}
