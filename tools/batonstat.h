/*
 * batonstat: the numbers of a baton, read from shared memory.  No process
 * of the proxy need live or answer.
 */
#ifndef TOOLS_BATONSTAT_H
#define TOOLS_BATONSTAT_H

#include <stdbool.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/base/vec.h"
#include "shm/read.h"

enum stat_view {
	VIEW_STATS,
	VIEW_WORKERS,
	VIEW_GENERATIONS,
	VIEW_HOSTS,
	VIEW_FAILURES,
};

struct batonstat {
	char *base; /* "<runtime dir>/<base id>" */
	enum stat_view view;
	bool once, json, prometheus, used;
	VEC(const char *) include, exclude; /* borrowed from argv */
};

/* Does the name pass -f? */
bool batonstat_match(void *options, struct str name);
/* Every stat that does. */
struct stat_query batonstat_query(const struct batonstat *o);
int batonstat_read(const struct batonstat *o, struct stat_query q, struct stat_set **set,
    struct err *err);

/* Each prints its view into *out, as a table or as JSON. */
int batonstat_workers(const struct batonstat *o, struct strb *out, struct err *err);
int batonstat_generations(const struct batonstat *o, struct strb *out, struct err *err);
int batonstat_hosts(const struct batonstat *o, struct strb *out, struct err *err);
int batonstat_failures(const struct batonstat *o, struct strb *out, struct err *err);

/* The view on a terminal; gives the exit code. */
int batonstat_live(const struct batonstat *o);

/* ---- words for people */

/* What a terminal may be shown: control characters become '?'. */
void show_text(struct strb *out, struct str s);
void show_age(struct strb *out, uint64_t seconds);  /* 3d4h, 5m6s */
void show_bytes(struct strb *out, uint64_t n);      /* 1.2 MiB */
void show_time(struct strb *out, uint64_t wall_ns); /* 2024-05-06T07:08:09.123Z */
void show_seat(struct strb *out, const struct stat_seat *seat); /* master, admin, worker 3 */
const char *show_state(const struct stat_generation *g);

/* ---- tables: cells row by row, columns as wide as their widest */

#define TABLE_COLUMNS 256

struct table {
	size_t columns;
	VEC(char *) cell;
};

void table_add(struct table *t, struct strb *cell); /* takes what stands in it; it is empty after */
void table_addz(struct table *t, const char *z);
void table_num(struct table *t, int64_t v);
void table_print(struct table *t, struct strb *out); /* and frees the cells */

#endif
