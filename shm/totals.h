/*
 * What dead generations counted, by stat name: the file `totals` beside
 * the generations.  Folding (shm/fold.h) writes it anew, old totals plus one segment,
 * that segment's id in its head, and renames it over the old one: the
 * only commit.  Then the segment is unlinked.  Killed anywhere, every
 * number is counted once: a reader sums the totals and every segment
 * whose id they do not list.
 *
 * The file is text, a line a stat, fields cut by one space (names with
 * %XX for blanks), help behind a tab; a last line says how many there are.
 */
#ifndef SHM_TOTALS_H
#define SHM_TOTALS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "lib/base/err.h"
#include "lib/base/vec.h"
#include "shm/set.h"

#define TOTALS_HEAD "baton totals 1"

struct totals {
	VEC(uint64_t) folded; /* ids of segments */
	bool exists;
	struct stat at;       /* what the file was when it was read */
};

/*
 * Reads the file in the base directory into the set: counters and
 * histograms.  No file: no totals, not an error.  `keep` may be NULL;
 * rows it does not like are left out.
 */
int totals_load(struct totals *out, int base_dirfd, struct stat_set *set,
    bool (*keep)(void *ctx, struct str name, bool hidden), void *ctx, struct err *err);
/* Its text alone. */
int totals_read(struct totals *out, int base_dirfd, struct strb *text, struct err *err);
/* From memory; borrows. */
int totals_parse(struct totals *out, struct str text, struct stat_set *set,
    bool (*keep)(void *ctx, struct str name, bool hidden), void *ctx, struct err *err);
/* The same, some lines a step: 1 again, 0 done, -1 damaged.  Borrows all until it is freed. */
struct totals_parser;
struct totals_parser *totals_parser_new(struct totals *out, struct str text, struct stat_set *set,
    bool (*keep)(void *ctx, struct str name, bool hidden), void *ctx);
int totals_parser_step(struct totals_parser *p, unsigned lines, struct err *err);
void totals_parser_free(struct totals_parser **pp);
void totals_fini(struct totals *t);
bool totals_list(const struct totals *t, uint64_t segment_id);
/* Has somebody folded since it was read? */
bool totals_changed(const struct totals *t, int base_dirfd);

#endif
