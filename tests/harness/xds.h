/*
 * A control plane that does what the scene says: it listens, tells of
 * every request that comes, and sends the bytes it is given, sound or
 * not.  The logic is the scene's; protobuf is written and read by hand
 * here, so that what baton says is judged by somebody else.
 *
 * It is a host of the scene: its port is @HOSTn@, and scene_fini() ends it.
 */
#ifndef HARNESS_XDS_H
#define HARNESS_XDS_H

#include "lib/base/str.h"
#include "tests/harness/scene.h"

#define PLANE_EDS_URL "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
#define PLANE_EDS_PATH "/envoy.service.endpoint.v3.EndpointDiscoveryService/StreamEndpoints"
#define PLANE_ADS_PATH                                                                             \
	"/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"

struct plane {
	struct scene *sc;
	unsigned host;
	int fd;          /* to the child */
	unsigned closed; /* the stream that was closed last */
};

/* A DiscoveryRequest, and on which stream it came. */
struct plane_request {
	unsigned stream; /* counts from 1 over all connections */
	char path[160];
	char version[128], nonce[128], type_url[160];
	char names[1024]; /* joined by "," */
	char node_id[64], node_cluster[64], user_agent[64];
	bool has_node, has_error;
	int error_code;
	char error[4096];
};

void plane_start(struct scene *sc, struct plane *p);
void plane_kill(struct plane *p);    /* as if its machine were gone */
void plane_restart(struct plane *p); /* on the same port, with no memory */

/* The next request; fails the test when none comes. */
void plane_next(struct plane *p, struct plane_request *r);
/* The next one that is about this version and nonce; others are dropped. */
void plane_wait(struct plane *p, struct plane_request *r, const char *version, const char *nonce);
void plane_wait_closed(struct plane *p, unsigned stream); /* the stream is gone */
bool plane_is_quiet(struct plane *p, unsigned ms); /* no request in that time */

/* One message of gRPC on a stream. */
void plane_send(struct plane *p, unsigned stream, const struct strb *message);
void plane_send_raw(struct plane *p, unsigned stream, const void *bytes, size_t n);
void plane_end(struct plane *p, unsigned stream, unsigned status);

/* ---- messages */
void pb_bytes(struct strb *out, unsigned field, const void *p, size_t n);
void pb_text(struct strb *out, unsigned field, const char *z);
void pb_message(struct strb *out, unsigned field, struct strb *inner); /* inner is freed */
void pb_number(struct strb *out, unsigned field, uint64_t v);

/* A ClusterLoadAssignment with endpoints on 127.0.0.1. */
void plane_assignment(struct strb *out, const char *name, const uint16_t *ports, unsigned n);
/* Appends an Any to the resources of a response. */
void plane_add(struct strb *response, const char *type_url, struct strb *resource);
/* Version, type and nonce of a response. */
void plane_head(struct strb *response, const char *version, const char *type_url, const char *nonce);
/* A whole answer: one cluster, these ports. */
void plane_members(struct plane *p, unsigned stream, const char *version, const char *nonce,
    const char *name, const uint16_t *ports, unsigned n);

#endif
