/*
 * The last requests that failed, and connections cut at a deadline: a
 * ring in the shared area.  Any process writes: it claims a place by one
 * atomic add and marks the slot with its number before and after, so a
 * reader knows a slot that is half written.
 */
#ifndef SHM_FAILURES_H
#define SHM_FAILURES_H

#include <stdint.h>

#include "lib/base/str.h"

#define FAILURE_SLOTS 1024

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

#endif
