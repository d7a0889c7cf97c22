/* What a proxy must know of gRPC: is it one, its status, message and deadline. */
#ifndef HTTP_GRPC_H
#define HTTP_GRPC_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/http/headers.h"

enum grpc_status {
	GRPC_OK,
	GRPC_CANCELLED,
	GRPC_UNKNOWN,
	GRPC_INVALID_ARGUMENT,
	GRPC_DEADLINE_EXCEEDED,
	GRPC_NOT_FOUND,
	GRPC_ALREADY_EXISTS,
	GRPC_PERMISSION_DENIED,
	GRPC_RESOURCE_EXHAUSTED,
	GRPC_FAILED_PRECONDITION,
	GRPC_ABORTED,
	GRPC_OUT_OF_RANGE,
	GRPC_UNIMPLEMENTED,
	GRPC_INTERNAL,
	GRPC_UNAVAILABLE,
	GRPC_DATA_LOSS,
	GRPC_UNAUTHENTICATED,
	GRPC_STATUSES,
};

bool grpc_content_type(struct str content_type); /* application/grpc, …+proto, …; charset */
bool grpc_is_request(const struct headers *h);
/* The status that stands for an HTTP answer of a proxy. */
enum grpc_status grpc_status_of_http(unsigned http_status);
unsigned http_status_of_grpc(enum grpc_status status);
const char *grpc_status_name(enum grpc_status status); /* "DeadlineExceeded"; NULL out of range */
/* grpc-status of headers or trailers; false when missing or no number. */
bool grpc_status_get(const struct headers *h, uint32_t *status);
struct str grpc_message_encode(struct arena *a, struct str text); /* percent-encoding */
/* grpc-timeout: at most eight digits and H M S m u n, in milliseconds rounded up. */
bool grpc_timeout_parse(struct str s, uint64_t *ms);
struct str grpc_timeout_format(struct arena *a, uint64_t ms);

#endif
