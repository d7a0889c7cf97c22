/*
 * Publishing: every block of stats that a configuration needs is made to
 * exist before a worker hears of the configuration.  Admin is the only
 * writer of the segment's directory.
 */
#ifndef ADMIN_BLOCKS_H
#define ADMIN_BLOCKS_H

#include <stdbool.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

struct segment;
struct settings;
struct store;

/* Blocks that are always there: server, http1, http2, managers, admin's own. */
int blocks_publish_own(struct segment *seg, const struct settings *settings, struct err *err);
/* Those of the listeners; harmless for what is there already. */
int blocks_publish_listeners(struct segment *seg, const struct settings *settings,
    const struct store *s, struct err *err);
/* Those of one cluster but for its hosts (members.c); prefix: "cluster.<stat name>.".  checked: it
 * has active health checks; watched: outlier detection. */
int blocks_publish_cluster(
    struct segment *seg, struct str prefix, bool checked, bool watched, struct err *err);
void blocks_retire_cluster(struct segment *seg, struct str prefix);

#endif
