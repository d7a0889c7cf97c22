/*
 * Outlier detection, the half that admin runs: it ejects hosts whose
 * answers are bad and takes them back in time.  Workers count
 * (lib/upstream/outlier.h); a streak that reached its threshold comes as
 * MSG_OUTLIER, success rates and failure percentages are looked at once
 * an interval.  Follows the members like the checker does.
 *
 * What is needed to take a host back stands in its cell, so that a new
 * admin, and the next generation, know it too.
 *
 * Semantics: Envoy docs, arch_overview/upstream/outlier; envoy.config.
 * cluster.v3.OutlierDetection.
 */
#ifndef ADMIN_HEALTH_OUTLIER_H
#define ADMIN_HEALTH_OUTLIER_H

#include <stdbool.h>

#include "envoy/config/bootstrap/v3/bootstrap.pb-c.h"
#include "lib/base/str.h"

struct admin;
struct member;
struct member_cluster;
struct outliers;

struct outliers *outliers_new(struct admin *a); /* before the members have a cluster */
void outliers_free(struct outliers **op);	/* after the members are gone */
/* Its cluster_manager.outlier_detection.event_log_path; one that cannot be opened is told in the
 * log and the one before stays. */
void outliers_use_log(struct outliers *o, const Envoy__Config__Bootstrap__V3__Bootstrap *b);
void outliers_reopen_logs(struct outliers *o);

/* A worker: the host has failed often enough in a row; streak: enum outlier_streak. */
void outliers_hear(struct outliers *o, struct str cluster, struct str address, unsigned streak);
/* An active check passed: it is taken back, unless the configuration says otherwise. */
void outliers_check_passed(struct outliers *o, struct member *x);

/* For /clusters: -1 when there is no such number. */
struct outlier_numbers {
	double average, threshold, local_average, local_threshold;
};
/* Of a cluster with a detector (c->outlier). */
struct outlier_numbers outliers_numbers(const struct member_cluster *c);
double outlier_success_rate(
    const struct member *x, bool local); /* of the last interval; -1: too few */

#endif
