/*
 * What a reader found: one row a stat, summed over lanes and generations.
 * A set owns everything it shows and lives until stat_set_free().
 *
 * Who fills it adds rows, some of the same name when several generations
 * count it.  Then they are sorted, rows of one name become one, and all
 * stand as /stats lists them: texts, then counters and gauges, then
 * histograms, each by name.
 */
#ifndef SHM_SET_H
#define SHM_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/vec.h"
#include "shm/failures.h"
#include "shm/flags.h"
#include "shm/histogram.h"
#include "shm/layout.h"
#include "shm/sorter.h"

struct stat_row {
	struct str name;     /* whole: "cluster.api.upstream_rq_total" */
	const char *help;
	union { /* by kind */
		uint64_t counter;
		int64_t gauge;
		struct str text;
		struct {
			struct histogram *histogram; /* never NULL */
			struct histogram *interval;  /* since the last latch; empty without one */
		};
	};
	uint8_t kind; /* enum stat_kind, never STAT_CODES: each code is a counter */
	uint8_t unit; /* enum stat_unit */
	bool used, lazy, any;
	bool hidden;  /* of a scope that /stats does not show */
};

struct stat_seat {
	uint32_t seat, role, index;
	int32_t pid;
	bool taken; /* by somebody, alive or not */
	bool alive;
	uint32_t owners;
	uint64_t beat, taken_wall_ns;
};

struct stat_generation {
	uint64_t generation, id, created_wall_ns;
	char version[32];
	struct shm_flags flags;
	bool serving, alive;
	VEC(struct stat_seat) seats; /* that ever had an owner */
	uint64_t bytes;              /* of directory, shared area and lanes in use */
};

struct stat_host {
	struct str prefix, cluster, address; /* its rows: prefix + "cx_total" … */
	uint32_t flags;                      /* enum host_flag, of the serving generation */
};

struct stat_failure {
	uint64_t generation, number, wall_ns;
	enum failure_kind kind;
	uint32_t status;
	struct str flags, route, cluster, host, details;
};

enum stat_rank {
	RANK_TEXT,
	RANK_NUMBER,
	RANK_HISTOGRAM,
	STAT_RANKS,
};

struct stat_histograms;

struct stat_set {
	struct arena arena;
	VEC(struct stat_row *) rows;
	VEC(struct stat_generation) generations; /* oldest first */
	VEC(struct stat_host) hosts;
	VEC(struct stat_failure) failures;       /* newest first */
	struct stat_histograms *histograms;      /* of all rows, the last first */
	struct sorter sorter;                    /* while the rows are being sorted */
	size_t merged;                           /* … then so many of them are one a name, and */
	size_t ranked[STAT_RANKS];               /* … so many of each rank */
};

struct stat_set *stat_set_new(void);
void stat_set_free(struct stat_set **set);
/* One more row, of the name prefix + like->name and otherwise like it.  Texts and help are shared. */
struct stat_row *stat_set_add(struct stat_set *set, struct str prefix, const struct stat_row *like);
/* Puts the rows into the order of listings, some thousand a call; true while there is more.  The
 * first row of a name says of what kind it is, others are left out; the last one describes it. */
bool stat_set_sort_step(struct stat_set *set);
/* In a sorted set; or NULL. */
struct stat_row *stat_set_find(const struct stat_set *set, struct str name);

/* Is it in a listing: lazy rows only once they were used. */
static inline bool
stat_row_shown(const struct stat_row *row, bool used_only)
{
	return row->used || !(row->lazy || used_only);
}

#endif
