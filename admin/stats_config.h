/*
 * bootstrap.stats_config in force: which stats are shown at all
 * (stats_matcher).  Applied before any block is published.
 */
#ifndef ADMIN_STATS_CONFIG_H
#define ADMIN_STATS_CONFIG_H

#include "envoy/config/bootstrap/v3/bootstrap.pb-c.h"
#include "lib/base/err.h"

/* The message is borrowed for good.  -1: a regular expression does not compile. */
int stats_config_apply(const Envoy__Config__Bootstrap__V3__Bootstrap *b, struct err *err);

#endif
