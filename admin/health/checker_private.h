/*
 * One cluster's checker, for the two files of it: checker_config.c makes it
 * of the configuration, checker.c carries it out.
 */
#ifndef ADMIN_HEALTH_CHECKER_PRIVATE_H
#define ADMIN_HEALTH_CHECKER_PRIVATE_H

#include "admin/health/checker.h"
#include "admin/health/probe.h"
#include "lib/base/arena.h"
#include "lib/base/vec.h"

struct checker {
	struct checks *all;
	struct arena arena;
	struct str packed;  /* the message as it came */
	struct str cluster, prefix;
	struct verdict_rules rules;
	struct probe_settings probing;
	uint16_t alt_port;
	bool hide_new;
	const struct cluster_stats *traffic;
	bool has_traffic;
	struct active_check_stats *stats;
	VEC(struct event_log *) logs;
	unsigned checks;
};

#endif
