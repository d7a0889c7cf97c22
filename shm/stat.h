/*
 * Stat cells and the only ways to write them.
 *
 * A cell lies in this process's own lane (a seat of the segment): one
 * writer, so a write is a plain relaxed store, never an atomic
 * read-modify-write.  A cell that was never written reads as unused.
 * The types differ so that setting a counter does not compile.
 *
 *   counter     raw value; unused while 0
 *   gauge       bit 63 = written once; the rest is a 63-bit signed value
 *   histogram   where its extension lies in the lane's second half, in units of 8 bytes; 0 = none yet
 *   codes       counters by HTTP status (100…599): upstream_rq_<code>; an extension per century
 *   text        a string with a sequence, in the shared part of a block
 */
#ifndef SHM_STAT_H
#define SHM_STAT_H

#include <stdint.h>

#include "lib/base/str.h"

struct stat_counter {
	uint64_t raw;
};

struct stat_gauge {
	uint64_t raw;
};

struct stat_histogram {
	uint64_t ext;
};

struct stat_codes {
	uint32_t ext[6]; /* index: code / 100; [0] unused */
};

#define STAT_TEXT_MAX 248

struct stat_text {
	uint32_t seq; /* odd while it is being written, 0 = never written */
	uint32_t len;
	char bytes[STAT_TEXT_MAX];
};

#define STAT_GAUGE_USED (1ull << 63)

static inline void
stat_store_(uint64_t *cell, uint64_t v)
{
	__atomic_store_n(cell, v, __ATOMIC_RELAXED);
}

static inline void
stat_add(struct stat_counter *c, uint64_t n)
{
	stat_store_(&c->raw, c->raw + n);
}

static inline void
stat_inc(struct stat_counter *c)
{
	stat_add(c, 1);
}

static inline int64_t
stat_gauge_value(uint64_t raw)
{
	return (int64_t)(raw << 1) >> 1;
}

static inline void
stat_set(struct stat_gauge *g, int64_t v)
{
	stat_store_(&g->raw, (uint64_t)v | STAT_GAUGE_USED);
}

static inline void
stat_move(struct stat_gauge *g, int64_t by)
{
	stat_set(g, stat_gauge_value(g->raw) + by);
}

static inline void
stat_up(struct stat_gauge *g)
{
	stat_move(g, 1);
}

static inline void
stat_down(struct stat_gauge *g)
{
	stat_move(g, -1);
}

static inline void
stat_clear_(struct stat_gauge *g)
{
	stat_store_(&g->raw, 0);
}

/* Takes an extension from the own lane at first use; full: counted, value dropped. */
void stat_record(struct stat_histogram *h, uint64_t v);
void stat_code(struct stat_codes *c, unsigned status); /* outside 100…599: ignored */
/* One writer at a time (admin); cut at STAT_TEXT_MAX. */
void stat_text_set(struct stat_text *t, struct str value);

#endif
