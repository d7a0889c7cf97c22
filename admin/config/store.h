/*
 * What is accepted: the bootstrap as it was written, and from when.  The
 * messages are immutable; they come from a file (a conf owns them) or,
 * after admin was replaced, from the journal (the arena owns them).
 *
 * Beside it stand the clusters as workers see them, without their members
 * (admin/discovery/members.h).
 */
#ifndef ADMIN_CONFIG_STORE_H
#define ADMIN_CONFIG_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/resource.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb-c.h"
#include "envoy/config/cluster/v3/cluster.pb-c.h"
#include "envoy/config/listener/v3/listener.pb-c.h"
#include "lib/base/arena.h"
#include "lib/base/err.h"
#include "lib/base/map.h"
#include "lib/base/vec.h"

struct conf;
struct journal;
struct names_config;

/* One cluster as workers see it. */
struct store_cluster {
	const Envoy__Config__Cluster__V3__Cluster *message;
	/* Its members with their addresses, or NULL: they are discovered. */
	const Envoy__Config__Endpoint__V3__ClusterLoadAssignment *assignment;
	const struct names_config *names; /* NULL: it resolves none */
	uint64_t version;    /* hash of the message, and of its names */
	uint64_t updated_ns; /* wall clock: since when it is like this */
};

/* One listener in force: a Listener that always has a name, and where it is bound. */
struct store_listener {
	const Envoy__Config__Listener__V3__Listener *message;
	struct str name;
	struct str address; /* text form of the configured address */
	struct str key;     /* what LISTEN calls it */
	struct str bound;   /* as LISTENED said; the real port */
	struct str prefix;  /* "listener.0.0.0.0_8000." */
	uint64_t version;
	uint64_t updated_ns;
	bool on_port;       /* bind_to_port is not false */
	bool answered;      /* LISTENED came */
};

struct store {
	struct conf *conf;
	struct arena arena;
	const Envoy__Config__Bootstrap__V3__Bootstrap *bootstrap;
	uint64_t accepted_wall_ns;
	VEC(struct store_cluster) clusters;
	VEC(struct store_listener) listeners;
	struct map by_name;  /* cluster's name → its place in clusters + 1; of the first `indexed` */
	size_t indexed;
	struct journal *journal;
};

void store_init(struct store *s);
void store_fini(struct store *s);

/* Takes conf; makes the list of clusters. */
void store_take(struct store *s, struct conf *conf, uint64_t wall_ns);
/* Makes the list of listeners from the bootstrap; -1 when an address makes no sense. */
int store_listeners(struct store *s, struct err *err);
/* One record; m NULL: it is gone. */
int store_put(struct journal *j, enum resource_kind kind, struct str name, const ProtobufCMessage *m,
    struct err *err);
/* Appends one record for the bootstrap and for each cluster and listener. */
int store_write(struct store *s, struct err *err);
/* Reads all of it back from the journal's first `use` bytes. */
int store_read(struct store *s, uint64_t use, uint64_t wall_ns, struct err *err);

struct store_cluster *store_cluster(struct store *s, struct str name);
struct store_listener *store_listener(struct store *s, struct str name);
struct store_listener *store_listener_by_key(struct store *s, struct str key);

#endif
