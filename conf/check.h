/*
 * Is a message sound?  The walk visits every message below a root, the
 * insides of Anys too, and asks of each: the rows of conf/rules/ that are
 * about it, then its own function of conf/checks.def.
 *
 * What is wrong goes to diag with its path and, when the message came
 * from a text, its place.
 */
#ifndef CONF_CHECK_H
#define CONF_CHECK_H

#include <stdbool.h>

#include <protobuf-c/protobuf-c.h>

#include "envoy/config/bootstrap/v3/bootstrap.pb-c.h"
#include "envoy/config/route/v3/route.pb-c.h"
#include "lib/base/map.h"

struct arena;
struct diag;
struct origins;
struct where;

struct check {
	struct diag *diag;
	struct arena *arena;	       /* for what has to be unpacked */
	const struct origins *origins; /* NULL: the messages came in binary */
	struct map clusters;	       /* names that routes may refer to → Cluster */
	const Envoy__Config__Bootstrap__V3__Bootstrap *bootstrap; /* NULL: not of a bootstrap */
	bool routes_are_static;	       /* validate_clusters is on unless said otherwise */

	/* Where the walk is. */
	const Envoy__Config__Route__V3__RouteConfiguration *routes;
	unsigned depth;
};

/* Checks m and all below it; the caller has filled the names.  Errors are counted in diag. */
void check_message(struct check *c, const ProtobufCMessage *m, const struct where *w);
/* The names in a bootstrap, then all of it. */
void check_bootstrap(
    struct check *c, const Envoy__Config__Bootstrap__V3__Bootstrap *b, const struct where *w);
void check_fini(struct check *c);

#endif
