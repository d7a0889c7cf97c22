/*
 * Seats and lanes.  A lane is a seat's part of the segment; whoever has
 * the seat is its only writer.  Seat 0 is master's, 1 admin's, the rest
 * are workers'.  When an owner ends, master says so (seat_release, after
 * waitpid); its counters stay and count, its gauges are ignored.  The
 * next owner zeroes the gauges and counts on.
 */
#ifndef SHM_LANE_H
#define SHM_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "shm/segment.h"

enum seat_role {
	SEAT_MASTER = 1,
	SEAT_ADMIN,
	SEAT_WORKER,
};

#define SEAT_OF_MASTER 0u
#define SEAT_OF_ADMIN 1u
#define SEAT_OF_WORKERS 2u

/*
 * This process takes the seat, commits its memory, zeroes what the last
 * owner's gauges said, and makes `seg` its own segment.  -1 when somebody
 * alive has the seat or tmpfs has no room.  After fork the child takes
 * its own seat: the lane it inherited is its parent's.  Taking one's own seat again is harmless.
 */
int lane_take(struct segment *seg, uint32_t seat, enum seat_role role, uint32_t index,
    struct err *err);
/*
 * A process without a generation (tests, tools): private memory, blocks
 * appear on demand.  Called again it begins anew: all before is freed.
 */
struct segment *lane_private(void);

/* Master: the seat for this process: master's, admin's, the last one of worker `index` if it is
 * free, else any free one.  -1: none. */
int seat_find(const struct segment *seg, enum seat_role role, uint32_t index);
/* Master: the owner is gone for certain (waitpid or pidfd said so). */
void seat_release(struct segment *seg, uint32_t seat);
/* Taken, and a process of that pid and start time exists. */
bool seat_is_alive(const struct seg_seat *seat);
uint64_t seat_start_time(int32_t pid); /* 0: no such process */

/* One more turn of the loop; master reads it. */
extern uint64_t *lane_beat_cell;

static inline void
lane_beat(void)
{
	__atomic_store_n(lane_beat_cell, *lane_beat_cell + 1, __ATOMIC_RELAXED);
}

/* Only of a taken seat. */
static inline uint64_t
lane_beat_of(const struct segment *seg, uint32_t seat)
{
	return __atomic_load_n(&segment_lane(seg, seat)->beat, __ATOMIC_RELAXED);
}

/* This process uses no block that was retired up to this number, and will use none. */
void lane_let_go(uint64_t retired);
uint64_t lane_retired(void); /* the last one until now */

#endif
