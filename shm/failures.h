/*
 * The last requests that failed, and connections cut at a deadline: a
 * ring in the shared area.  Any process writes: it claims a place by one
 * atomic add and marks the slot with its number before and after, so a
 * reader knows a slot that is half written.
 */
#ifndef SHM_FAILURES_H
#define SHM_FAILURES_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"

#define FAILURE_SLOTS 1024

struct image;
struct seg_failure;

enum failure_kind {
	FAILURE_REQUEST,
	FAILURE_CUT, /* ended at a drain deadline */
	FAILURE_KINDS,
};

/* All borrowed, all cut to the slot's size. */
struct failure {
	enum failure_kind kind;
	uint64_t wall_ns;
	uint32_t status; /* what the client got; 0: nothing */
	struct str flags;
	struct str route;
	struct str cluster;
	struct str host;
	struct str details;
};

/* Into the segment of this process; nothing without one. */
void failure_note(const struct failure *f);
/* From the ring of this process's segment, the newest is 0; false: nothing stands there, or it is
 * just being written. */
bool failure_look(uint64_t back, struct seg_failure *out);
/* A dead generation's record of what it cut goes on in ours: its segment is about to go. */
void failures_inherit_cuts(const struct image *dead);

#endif
