/*
 * Reading the numbers: the totals and every generation's segment, lanes
 * summed.  Counters of dead seats count, their gauges do not; a gauge
 * that belongs to one generation is read from the serving one.  Admin
 * (/stats, Prometheus) and batonstat read alike; no process need live.
 *
 * A read goes in steps, so that admin's loop turns between them.
 */
#ifndef SHM_READ_H
#define SHM_READ_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "shm/set.h"

struct stat_query {
	bool (*match)(void *ctx, struct str name); /* NULL: every stat; others cost nothing */
	void *ctx;
	bool hosts;           /* the hosts' own stats instead of those of /stats; fills set->hosts */
	bool failures;        /* fills set->failures */
	bool one_generation;  /* only this one, no totals: */
	uint64_t generation;
	bool one_seat;        /* only this lane: */
	uint32_t seat;
};

struct stat_reader;

/* base_path: "<runtime dir>/<base id>".  An empty base (nothing ever ran) is an error that says so. */
struct stat_reader *stat_reader_new(const char *base_path, const struct stat_query *q);
/* 1: call again; 0: done, take the set; -1: failed. */
int stat_reader_step(struct stat_reader *r, struct err *err);
struct stat_set *stat_reader_take(struct stat_reader *r); /* gives */
void stat_reader_free(struct stat_reader **r);

/* All steps at once. */
int stat_read(struct stat_set **out, const char *base_path, const struct stat_query *q,
    struct err *err);
/* One segment by descriptor (borrowed), whatever totals say. */
int stat_read_fd(struct stat_set **out, int fd, const struct stat_query *q, struct err *err);

#endif
