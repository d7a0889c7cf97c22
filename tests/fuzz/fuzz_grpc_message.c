/* The answer of a host to a gRPC health check. */
#include <stddef.h>
#include <stdint.h>

#include "admin/health/grpc_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf b;

	buf_init(&b);
	buf_add(&b, data, n);
	grpc_check_is_serving(&b);
	buf_fini(&b);
	return 0;
}
