/*
 * The lane of this process, shared by lane.c, record.c and block.c.
 */
#ifndef SHM_LANE_PRIVATE_H
#define SHM_LANE_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/segment.h"

struct own_lane {
	struct segment *seg; /* borrowed; NULL before lane_take() */
	struct seg_lane *head;
	char *base;      /* = head */
	uint64_t bytes;  /* of the lane */
	uint32_t seat;
};

extern struct own_lane own_lane;

/* Is the cell one of the blocks of this process's lane? */
static inline bool
lane_holds(const void *cell)
{
	uint64_t off = (uint64_t)((const char *)cell - own_lane.base);

	return own_lane.base && off >= SEG_PAGE && off < own_lane.bytes / 2;
}

/* The segment is about to be unmapped. */
void lane_forget(const struct segment *seg);
/* n zeroed bytes (a multiple of 8) of the second half; place in units of 8 bytes, 0 = no room. */
uint32_t lane_extend(uint32_t n);

/* An extension of n bytes at this place, or NULL when the place cannot be one. */
static inline void *
lane_extension(uint64_t place, uint32_t n)
{
	uint64_t off = place * 8;

	if (place == 0 || place > UINT32_MAX || off < own_lane.bytes / 2 ||
	    off + n > own_lane.head->ext_next || own_lane.head->ext_next > own_lane.bytes)
		return NULL;
	return own_lane.base + off;
}

#endif
