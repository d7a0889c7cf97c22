/*
 * bootstrap.stats_config in force: which stats are shown at all
 * (stats_matcher; applied before any block is published), their tags, and
 * the buckets of histograms.
 */
#ifndef ADMIN_STATS_CONFIG_H
#define ADMIN_STATS_CONFIG_H

#include "envoy/config/bootstrap/v3/bootstrap.pb-c.h"
#include "lib/base/err.h"
#include "shm/print.h"

/* The message is borrowed for good.  -1: a regular expression does not compile. */
int stats_config_apply(const Envoy__Config__Bootstrap__V3__Bootstrap *b, struct err *err);

/* Fills in tags and buckets; they are borrowed until the next apply. */
void stats_config_print_options(struct stat_print_options *o);

#endif
