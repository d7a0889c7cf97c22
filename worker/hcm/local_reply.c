#include "worker/hcm/local_reply.h"

#include "lib/http/grpc.h"

static struct str
number(struct arena *a, uint64_t v)
{
	char *p = arena_alloc(a, 20);

	return str_make(p, u64_write(p, v));
}

static void
write_grpc(const struct local_reply *r, struct headers *h)
{
	headers_set_status(h, 200);
	headers_add_id(h, HDR_CONTENT_TYPE, STR("application/grpc"));
	headers_add_id(h, HDR_GRPC_STATUS, number(h->arena, grpc_status_of_http(r->status)));
	if (r->body.n)
		headers_add_id(h, HDR_GRPC_MESSAGE, grpc_message_encode(h->arena, r->body));
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
