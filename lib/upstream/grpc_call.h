/*
 * A gRPC call of baton itself to a cluster: messages both ways on one
 * stream, then a status.  Events as in client.h: never from inside a call
 * of this header, on_end once and last.
 */
#ifndef UPSTREAM_GRPC_CALL_H
#define UPSTREAM_GRPC_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"
#include "lib/http/grpc.h"

struct cluster;
struct grpc_call;

struct grpc_call_events {
	void (*on_sent)(void *arg);    /* there is a connection */
	void (*on_message)(void *arg, struct str message);
	void (*on_end)(void *arg, uint32_t status, struct str text);
};

/* All borrowed until grpc_call_start() returns. */
struct grpc_call_options {
	struct str path;         /* "/package.Service/Method" */
	struct str authority;    /* empty: the cluster's name */
	uint32_t limit_bytes;    /* of one message received */
	bool skip_envoy_headers; /* else x-envoy-internal: true */
	const void *metadata;    /* initial_metadata: envoy.config.core.v3.HeaderValue ** */
	size_t n_metadata;
};

struct grpc_call *grpc_call_start(struct cluster *c, const struct grpc_call_options *o,
    const struct grpc_call_events *events, void *arg);
void grpc_call_send(struct grpc_call *g, struct str message);
void grpc_call_cancel(struct grpc_call **gp); /* no event follows */

#endif
