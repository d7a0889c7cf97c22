#include "worker/hcm/local_reply.h"

unsigned
local_reply_grpc_status(unsigned status)
{
	switch (status) {
	case 400:
		return 13; /* internal */
	case 401:
		return 16; /* unauthenticated */
	case 403:
		return 7; /* permission denied */
	case 404:
		return 12; /* unimplemented */
	case 429:
	case 502:
	case 503:
	case 504:
		return 14; /* unavailable */
	default:
		return 2; /* unknown */
	}
}

static struct str
number(struct arena *a, uint64_t v)
{
	char *p = arena_alloc(a, 20);

	return str_make(p, u64_write(p, v));
}

/* grpc-message: printable ASCII but '%' as it is, anything else percent-encoded. */
static struct str
percent_encoded(struct arena *a, struct str s)
{
	static const char hex[] = "0123456789ABCDEF";
	char *out = arena_alloc(a, s.n * 3 + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c >= 0x20 && c < 0x7f && c != '%') {
			out[n++] = (char)c;
			continue;
		}
		out[n++] = '%';
		out[n++] = hex[c >> 4];
		out[n++] = hex[c & 15];
	}
	return str_make(out, n);
}

static void
write_grpc(const struct local_reply *r, struct headers *h)
{
	headers_set_status(h, 200);
	headers_add_id(h, HDR_CONTENT_TYPE, STR("application/grpc"));
	headers_add_id(h, HDR_GRPC_STATUS, number(h->arena, local_reply_grpc_status(r->status)));
	if (r->body.n)
		headers_add_id(h, HDR_GRPC_MESSAGE, percent_encoded(h->arena, r->body));
}

void
local_reply_write(const struct local_reply *r, struct headers *h, struct buf *body)
{
	if (r->grpc) {
		write_grpc(r, h);
		return;
	}
	headers_set_status(h, r->status);
	if (r->body.n) {
		headers_add_id(h, HDR_CONTENT_LENGTH, number(h->arena, r->body.n));
		headers_add_id(h, HDR_CONTENT_TYPE, STR("text/plain"));
		if (!r->head)
			buf_add(body, r->body.p, r->body.n);
	}
}
