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
 *   histogram   number of an extension in the lane's second half, 0 = none yet
 *   codes       counters by HTTP status (100…599): upstream_rq_<code>; an extension per century
 */
#ifndef SHM_STAT_H
#define SHM_STAT_H

#include <stdint.h>

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

/* Takes an extension from the own lane at first use; full: counted, value dropped. */
void stat_record(struct stat_histogram *h, uint64_t v);
void stat_code(struct stat_codes *c, unsigned status); /* outside 100…599: ignored */

#endif
