/*
 * Outlier detection, the half that workers run: every answer of a host,
 * or the lack of one, is counted where all processes see it (its cell,
 * its host_outcome block).  When a count of failures in a row reaches its
 * threshold the process's reporter is told, once; admin decides
 * (admin/health/outlier.h).
 *
 * Semantics: Envoy docs, arch_overview/upstream/outlier.
 */
#ifndef UPSTREAM_OUTLIER_H
#define UPSTREAM_OUTLIER_H

#include <stdbool.h>
#include <stdint.h>

struct host;

/* Detectors that count in a row; numbers are those of MSG_OUTLIER. */
enum outlier_streak {
	OUTLIER_5XX,
	OUTLIER_GATEWAY,
	OUTLIER_LOCAL,
	OUTLIER_STREAKS,
};

struct outlier_rules {
	bool on;
	bool split; /* split_external_local_origin_errors */
	uint32_t threshold[OUTLIER_STREAKS];
};

/* msg: envoy.config.cluster.v3.Cluster, borrowed. */
void outlier_rules_read(struct outlier_rules *r, const void *msg);

/* What happened before or instead of an answer. */
enum outlier_local {
	OUTLIER_CONNECTED,
	OUTLIER_FAILED,	   /* refused, reset, ended: a 503 unless errors are split */
	OUTLIER_TIMED_OUT, /* a 504 */
};

/* An answer of h: its status, for gRPC what its grpc-status is in HTTP. */
void outlier_note_status(struct host *h, unsigned status);
void outlier_note_local(struct host *h, enum outlier_local what);

/* Who is told; NULL in processes that only look. */
void outlier_set_reporter(
    void (*report)(void *arg, struct host *h, enum outlier_streak s), void *arg);

#endif
