/*
 * Publishing: every block of stats that a configuration needs is made to
 * exist before a worker hears of the configuration.  Admin is the only
 * writer of the segment's directory.
 */
#ifndef ADMIN_BLOCKS_H
#define ADMIN_BLOCKS_H

#include "lib/base/err.h"

struct members;
struct segment;
struct settings;
struct store;

/* Blocks that are always there: server, http1, http2, managers, admin's own. */
int blocks_publish_own(struct segment *seg, const struct settings *settings, struct err *err);
/* Those of listeners, clusters and hosts; harmless for what is there already. */
int blocks_publish_conf(struct segment *seg, const struct settings *settings, const struct store *s,
    const struct members *m, struct err *err);

#endif
