/*
 * The frames of gRPC: a byte that says "compressed", four bytes of
 * length, the message.  A reader takes body bytes as they come and gives
 * one whole message after the other; what is larger than its limit, or
 * compressed, ends it.  Pure; any process.
 */
#ifndef HTTP_GRPC_FRAME_H
#define HTTP_GRPC_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/str.h"

#define GRPC_FRAME_HEAD 5

struct grpc_reader {
	struct buf in;
	uint32_t limit_bytes; /* of one message */
	size_t held;          /* of the message that was given last */
};

void grpc_reader_init(struct grpc_reader *r, uint32_t limit_bytes);
void grpc_reader_fini(struct grpc_reader *r);
/* Takes everything out of data. */
void grpc_reader_feed(struct grpc_reader *r, struct buf *data);
/* 1 with a message, whose bytes are borrowed until the next call; 0: more bytes are needed; -1: the
 * stream cannot go on. */
int grpc_reader_next(struct grpc_reader *r, struct str *message, struct err *err);
bool grpc_reader_is_between(const struct grpc_reader *r); /* no half message waits */

void grpc_frame_write(struct buf *out, struct str message);

#endif
