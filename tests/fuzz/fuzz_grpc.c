/* gRPC frames in pieces: whatever way the bytes are cut, the messages are the same. */
#include <stdint.h>

#include "lib/base/assert.h"
#include "lib/base/hash.h"
#include "lib/http/grpc_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LIMIT 4096

struct outcome {
	uint64_t hash;
	unsigned messages;
	int end;
};

static struct outcome
read_in_pieces(const uint8_t *p, size_t n, size_t piece)
{
	struct grpc_reader r;
	struct outcome o = {0};
	struct str message;
	struct err err;
	struct buf b;

	grpc_reader_init(&r, LIMIT);
	buf_init(&b);
	for (size_t i = 0; i < n && o.end == 0; i += piece) {
		buf_add(&b, p + i, n - i < piece ? n - i : piece);
		grpc_reader_feed(&r, &b);
		while ((o.end = grpc_reader_next(&r, &message, &err)) == 1) {
			ASSERT(message.n <= LIMIT);
			o.hash = hash_xx64(message.p, message.n, o.hash);
			o.messages++;
		}
	}
	buf_fini(&b);
	grpc_reader_fini(&r);
	return o;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome a = read_in_pieces(data, size, size ? size : 1);
	struct outcome b = read_in_pieces(data, size, 1 + size % 7);

	ASSERT(a.hash == b.hash && a.messages == b.messages && a.end == b.end);
	return 0;
}
