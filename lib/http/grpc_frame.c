#include "lib/http/grpc_frame.h"

void
grpc_reader_init(struct grpc_reader *r, uint32_t limit_bytes)
{
	buf_init(&r->in);
	r->limit_bytes = limit_bytes;
	r->held = 0;
}

void
grpc_reader_fini(struct grpc_reader *r)
{
	buf_fini(&r->in);
	r->held = 0;
}

static void
drop_held(struct grpc_reader *r)
{
	buf_drain(&r->in, r->held);
	r->held = 0;
}

void
grpc_reader_feed(struct grpc_reader *r, struct buf *data)
{
	drop_held(r);
	buf_move(&r->in, data);
}

int
grpc_reader_next(struct grpc_reader *r, struct str *message, struct err *err)
{
	unsigned char head[GRPC_FRAME_HEAD];
	uint32_t n;

	drop_held(r);
	if (buf_peek(&r->in, head, sizeof(head)) < sizeof(head))
		return 0;
	n = (uint32_t)head[1] << 24 | (uint32_t)head[2] << 16 | (uint32_t)head[3] << 8 | head[4];
	if (head[0] > 1)
		return err_set(err, "frame begins with byte %u, which is no flag", head[0]);
	if (head[0] == 1)
		return err_set(err, "compressed message, and no compression was agreed");
	if (n > r->limit_bytes)
		return err_set(err, "message of %u bytes is larger than the limit of %u", n, r->limit_bytes);
	if (r->in.len < sizeof(head) + n)
		return 0;
	r->held = sizeof(head) + n;
	*message = str_make(buf_pullup(&r->in, r->held) + sizeof(head), n);
	return 1;
}

bool
grpc_reader_is_between(const struct grpc_reader *r)
{
	return r->in.len == r->held;
}

void
grpc_frame_write(struct buf *out, struct str message)
{
	uint32_t n = (uint32_t)message.n;
	const unsigned char head[GRPC_FRAME_HEAD] = {0, (unsigned char)(n >> 24), (unsigned char)(n >> 16),
	    (unsigned char)(n >> 8), (unsigned char)n};

	buf_add(out, head, sizeof(head));
	buf_add(out, message.p, message.n);
}
