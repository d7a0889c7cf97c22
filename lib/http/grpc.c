/* gRPC's few words on top of HTTP.  Pure; any process. */
#include "lib/http/grpc.h"

#include "lib/base/assert.h"

static const char *const names[GRPC_STATUSES] = {
    "OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound",
    "AlreadyExists", "PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted",
    "OutOfRange", "Unimplemented", "Internal", "Unavailable", "DataLoss", "Unauthenticated",
};

bool
grpc_content_type(struct str t)
{
	const struct str grpc = STR("application/grpc");

	return str_istarts(t, grpc) &&
	       (t.n == grpc.n || t.p[grpc.n] == '+' || t.p[grpc.n] == ';');
}

bool
grpc_is_request(const struct headers *h)
{
	return grpc_content_type(headers_get(h, HDR_CONTENT_TYPE));
}

enum grpc_status
grpc_status_of_http(unsigned http_status)
{
	switch (http_status) {
	case 400:
		return GRPC_INTERNAL;
	case 401:
		return GRPC_UNAUTHENTICATED;
	case 403:
		return GRPC_PERMISSION_DENIED;
	case 404:
		return GRPC_UNIMPLEMENTED;
	case 429:
	case 502:
	case 503:
	case 504:
		return GRPC_UNAVAILABLE;
	default:
		return GRPC_UNKNOWN;
	}
}

unsigned
http_status_of_grpc(enum grpc_status status)
{
	static const uint16_t codes[GRPC_STATUSES] = {
	    200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401};

	return (unsigned)status < GRPC_STATUSES ? codes[status] : 500;
}

const char *
grpc_status_name(enum grpc_status status)
{
	return (unsigned)status < GRPC_STATUSES ? names[status] : NULL;
}

bool
grpc_status_get(const struct headers *h, uint32_t *status)
{
	uint64_t v;

	if (!str_u64(headers_get(h, HDR_GRPC_STATUS), &v) || v > UINT32_MAX)
		return false;
	*status = (uint32_t)v;
	return true;
}

struct str
grpc_message_encode(struct arena *a, struct str text)
{
	static const char hex[] = "0123456789ABCDEF";
	char *p = arena_alloc(a, text.n * 3 + 1);
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c >= ' ' && c <= '~' && c != '%') {
			p[n++] = (char)c;
			continue;
		}
		p[n++] = '%';
		p[n++] = hex[c >> 4];
		p[n++] = hex[c & 15];
	}
	return str_make(p, n);
}

bool
grpc_timeout_parse(struct str s, uint64_t *ms)
{
	uint64_t v;

	if (s.n < 2 || s.n > 9 || !str_u64(str_make(s.p, s.n - 1), &v))
		return false;
	switch (s.p[s.n - 1]) {
	case 'H':
		*ms = v * 3600000;
		return true;
	case 'M':
		*ms = v * 60000;
		return true;
	case 'S':
		*ms = v * 1000;
		return true;
	case 'm':
		*ms = v;
		return true;
	case 'u':
		*ms = (v + 999) / 1000;
		return true;
	case 'n':
		*ms = (v + 999999) / 1000000;
		return true;
	default:
		return false;
	}
}

struct str
grpc_timeout_format(struct arena *a, uint64_t ms)
{
	static const struct {
		uint64_t ms;
		char unit;
	} units[] = {{1, 'm'}, {1000, 'S'}, {60000, 'M'}, {3600000, 'H'}};
	const uint64_t most = 99999999; /* eight digits */
	char *p = arena_alloc(a, 21);
	size_t n;

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (ms / units[i].ms > most && i + 1 < ARRAY_LEN(units))
			continue;
		ms /= units[i].ms;
		n = u64_write(p, ms > most ? most : ms);
		p[n] = units[i].unit;
		return str_make(p, n + 1);
	}
	UNREACHABLE();
}
