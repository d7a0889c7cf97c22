/*
 * The journal: the accepted configuration as one memfd of records (kind,
 * name, version, bytes).  Admin is its only writer; master holds the
 * descriptor without reading it; workers, a new admin and the next
 * generation map it read-only, up to an offset that was announced.
 *
 * A later record of the same kind and name replaces the earlier one, a
 * remove record takes it away, and one that says more stands beside what
 * is there until the next that replaces.  The file is sealed against shrinking, so
 * a mapping never faults; a failed append leaves it as it was.  When half
 * of it is stale, admin copies what is live to a new one.
 *
 * Kinds are numbers that conf gives meaning to.
 */
#ifndef IPC_JOURNAL_H
#define IPC_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/base/vec.h"

struct journal_record {
	uint16_t kind;
	bool removed, more;
	struct str name, version, bytes; /* borrowed from the mapping */
	uint64_t end;                    /* offset behind this record */
};

/* ---- writing: admin */
struct journal;

struct journal *journal_new(struct err *err); /* NULL: no memory, no descriptor */
/*
 * A new admin goes on where the last one stopped: takes fd, keeps its
 * first `use` bytes (0: none); what lies behind was never in force and is
 * overwritten, so a worker that prepared it builds anew at PREPARE.
 */
struct journal *journal_adopt(int fd, uint64_t use, struct err *err);
void journal_free(struct journal **jp);

int journal_append(struct journal *j, uint16_t kind, struct str name, struct str version,
    struct str bytes, struct err *err);
/* To what was appended under this kind and name before: a difference. */
int journal_append_more(struct journal *j, uint16_t kind, struct str name, struct str version,
    struct str bytes, struct err *err);
int journal_remove(struct journal *j, uint16_t kind, struct str name, struct err *err);
/* Takes back what was appended after `size` (a refused publish). */
void journal_rewind(struct journal *j, uint64_t size);
uint64_t journal_size(const struct journal *j);
int journal_fd(const struct journal *j);
bool journal_is_stale(const struct journal *j);                /* worth compacting */
struct journal *journal_compact(const struct journal *j, struct err *err); /* gives the copy */

/* ---- reading: anybody */
struct journal_map {
	const char *p;
	uint64_t n;      /* bytes that may be read */
	size_t mapped;
};

/* A read-only descriptor of the same file, for a worker; caller owns, -1 on failure. */
int journal_reader_fd(int fd);
int journal_map(struct journal_map *m, int fd, uint64_t n, struct err *err);
void journal_unmap(struct journal_map *m);
/* Records from *at on (0 at first): 1 one more, 0 the end, -1 damaged. */
int journal_next(const struct journal_map *m, uint64_t *at, struct journal_record *out);

/* The state after all records: each live kind and name once, in the order they first came, and behind
 * it, not always next to it, what says more of it. */
struct journal_state {
	VEC(struct journal_record) live;
};

int journal_read(const struct journal_map *m, struct journal_state *out, struct err *err);
void journal_state_fini(struct journal_state *s);

#endif
