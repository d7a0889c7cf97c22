/*
 * Writing a set as text, JSON or Prometheus, byte for byte as Envoy's
 * /stats does (Prometheus with HELP besides).  Used by admin's /stats and
 * by batonstat.  A printer borrows set and options and goes in steps.
 */
#ifndef SHM_PRINT_H
#define SHM_PRINT_H

#include <stdbool.h>
#include <stddef.h>

#include "shm/set.h"
#include "shm/tags.h"

enum stat_format {
	STAT_FORMAT_TEXT,
	STAT_FORMAT_JSON,
	STAT_FORMAT_PROMETHEUS,
};

/* ?histogram_buckets= */
enum stat_buckets {
	BUCKETS_NONE, /* quantiles; Prometheus: cumulative buckets */
	BUCKETS_CUMULATIVE,
	BUCKETS_DISJOINT,
	BUCKETS_DETAILED,
	BUCKETS_SUMMARY, /* as none; Prometheus: quantiles */
};

bool stat_buckets_parse(struct str word, enum stat_buckets *out);

/* One row of stats_config.histogram_bucket_settings. */
struct bucket_setting {
	bool (*match)(void *ctx, struct str name);
	void *ctx;
	const double *bound; /* ascending */
	size_t bounds;
};

#define STAT_TYPE_COUNTERS 1u
#define STAT_TYPE_GAUGES 2u
#define STAT_TYPE_HISTOGRAMS 4u
#define STAT_TYPE_TEXTS 8u
#define STAT_TYPE_ALL 15u

struct stat_print_options {
	unsigned types; /* STAT_TYPE_…; 0: all */
	bool used_only;
	bool pretty;    /* JSON */
	bool texts;     /* Prometheus: text readouts too */
	enum stat_buckets buckets;
	const struct bucket_setting *setting; /* the first that matches counts */
	size_t settings;
	const struct stat_tags *tags;         /* NULL: the defaults */
};

struct stat_printer;

struct stat_printer *stat_printer_new(enum stat_format format, const struct stat_set *set,
    const struct stat_print_options *options);
/* Adds about this many stats to *out; true while there is more.  *out may be emptied between. */
bool stat_printer_step(struct stat_printer *p, struct strb *out, size_t rows);
void stat_printer_free(struct stat_printer **p);

/* All at once. */
void stat_print(struct strb *out, enum stat_format format, const struct stat_set *set,
    const struct stat_print_options *options);

#endif
