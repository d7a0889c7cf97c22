/*
 * Walking the directory of a mapped segment; only inside shm/.
 */
#ifndef SHM_BLOCK_PRIVATE_H
#define SHM_BLOCK_PRIVATE_H

#include "shm/layout.h"
#include "shm/segment.h"

/* The record at *off, which moves on; NULL at the end.  Its scope and ranges are checked. */
struct seg_record *record_next(const struct segment *seg, uint64_t *off);

/* NULL when it is not there (and not made on demand). */
struct seg_record *block_find(struct segment *seg, enum stat_scope scope, struct str prefix);

static inline struct str
record_name(const struct seg_record *r)
{
	return str_make((const char *)(r + 1) + r->hidden_bytes, r->name_bytes);
}

static inline enum record_state
record_state(const struct seg_record *r)
{
	return RECORD_STATE(__atomic_load_n(&r->state, __ATOMIC_ACQUIRE));
}

#endif
