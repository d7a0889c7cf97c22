/*
 * strict_check_headers: what internal callers ask of the router by headers
 * is passed over when it is malformed, unless the configuration says that
 * it is an error.
 */
#include "worker/router/router_private.h"

enum strict_kind { STRICT_NUMBER, STRICT_HTTP_CONDITIONS, STRICT_GRPC_CONDITIONS };

struct strict_header {
	struct str name;
	enum strict_kind kind;
};

static enum strict_kind
kind_of(struct str name)
{
	if (str_eqz(name, "x-envoy-retry-on"))
		return STRICT_HTTP_CONDITIONS;
	return str_eqz(name, "x-envoy-retry-grpc-on") ? STRICT_GRPC_CONDITIONS : STRICT_NUMBER;
}

void
strict_read(struct router_config *c, char *const *names, size_t n, struct arena *a)
{
	struct strict_header *all = arena_zalloc(a, n * sizeof(*all));

	for (size_t i = 0; i < n; i++) {
		all[i].name = arena_str(a, str_of(names[i]));
		all[i].kind = kind_of(all[i].name);
	}
	c->strict = all;
	c->strict_n = n;
}

static bool
is_sound(enum strict_kind kind, struct str value)
{
	uint64_t number;

	if (kind == STRICT_NUMBER)
		return str_u64(value, &number);
	return retry_on_is_sound(value, kind == STRICT_GRPC_CONDITIONS);
}

static void
refuse(struct router *r, struct str name, struct str value)
{
	struct arena *a = &r->stream->arena;

	r->over = true;
	stream_local_reply(r->stream, 400,
	    str_of(arena_printf(a, "invalid header '" STR_FMT "' with value '" STR_FMT "'",
		STR_ARG(name), STR_ARG(value))),
	    FLAG_IH,
	    str_of(arena_printf(a, "request_headers_failed_strict_check{" STR_FMT "}", STR_ARG(name))),
	    NULL, NULL);
}

bool
strict_passes(struct router *r)
{
	for (size_t i = 0; i < r->config->strict_n; i++) {
		const struct strict_header *s = &r->config->strict[i];
		const struct header *h = headers_find(r->request, s->name);
		struct str value = h ? str_make(h->value, h->value_len) : (struct str){0};

		if (h == NULL || is_sound(s->kind, value))
			continue;
		refuse(r, s->name, value);
		return false;
	}
	return true;
}
