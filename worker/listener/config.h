/* A listener as configured: read once into the snapshot's arena, immutable. */
#ifndef LISTENER_CONFIG_H
#define LISTENER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/err.h"
#include "lib/net/socket.h"
#include "shm/block.h"

struct hcm_config;
struct snapshot;

struct listener_config {
	struct str name;
	struct str key; /* of its sockets: lib/ipc/listen.h */
	struct hcm_config *hcm;
	struct listener_stats *stats;
	struct listener_worker_stats *worker_stats;
	uint32_t accept_budget; /* connections in one socket event */
	bool on_port;		/* false: nobody listens */
	bool modify_only;	/* drain_type */
	bool inbound;		/* traffic_direction */
	bool keepalive;
	struct socket_keepalive keepalive_options;
};

struct listener_build {
	struct arena *arena;
	struct snapshot *snapshot;
	const char *node_cluster, *node_id;
	unsigned worker; /* from 0: "worker_0." */
};

/* msg: envoy.config.listener.v3.Listener, living as long as the arena. */
int listener_config_build(struct listener_config **out, struct str name, const void *msg,
    const struct listener_build *b, struct err *err);

#endif
