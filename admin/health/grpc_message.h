/*
 * The two messages of grpc.health.v1.Health/Check, with their gRPC frame.
 * They have one field each: HealthCheckRequest `service` (1, text) and
 * HealthCheckResponse `status` (1, enum; 1 = SERVING).
 */
#ifndef ADMIN_HEALTH_GRPC_MESSAGE_H
#define ADMIN_HEALTH_GRPC_MESSAGE_H

#include <stdbool.h>

#include "lib/base/arena.h"
#include "lib/base/buf.h"

#define GRPC_ANSWER_ROOM 1024 /* no answer is as long as this */

/* Empty service: the host as a whole. */
struct str grpc_check_request(struct str service, struct arena *a);
/* The whole body of an answer: exactly one message, not compressed, that says SERVING. */
bool grpc_check_is_serving(const struct buf *body);

#endif
