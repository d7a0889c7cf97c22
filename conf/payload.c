#include "conf/payload.h"

typedef Envoy__Config__Core__V3__HealthCheck__Payload Payload;

#define IS_BINARY ENVOY__CONFIG__CORE__V3__HEALTH_CHECK__PAYLOAD__PAYLOAD_BINARY
#define IS_TEXT ENVOY__CONFIG__CORE__V3__HEALTH_CHECK__PAYLOAD__PAYLOAD_TEXT

size_t
payload_size(const Payload *p)
{
	switch (p->payload_case) {
	case IS_BINARY:
		return p->binary.len;
	case IS_TEXT:
		return strlen(p->text) / 2;
	default:
		return 0;
	}
}

static unsigned
digit(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(ch_lower(c) - 'a') + 10;
}

struct str
payload_read(const Payload *p, struct arena *a)
{
	size_t n = payload_size(p);
	char *out;

	if (p->payload_case == IS_BINARY)
		return arena_str(a, str_make((const char *)p->binary.data, n));
	out = arena_alloc(a, n + 1);
	for (size_t i = 0; i < n; i++)
		out[i] = (char)(digit(p->text[2 * i]) << 4 | digit(p->text[2 * i + 1]));
	return str_make(out, n);
}
