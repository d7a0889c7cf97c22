/*
 * The flush interval (stats_flush_interval) as the admin port shows it:
 * the first of the two values of each quantile is "since the last flush".
 * Flushing reads everything, so it goes on only while somebody looks: for
 * a minute after each look at /stats.  Also what /reset_counters took off.
 */
#ifndef ADMIN_FLUSH_H
#define ADMIN_FLUSH_H

struct admin;
struct flushes;
struct stat_set;

struct flushes *flushes_new(struct admin *a);
void flushes_free(struct flushes **fp);

/* A set was read to be shown: gives it its intervals and takes off what was reset. */
void flushes_shown(struct flushes *f, struct stat_set *set);
void flushes_reset_counters(struct flushes *f, const struct stat_set *set);

#endif
