#include "shm/lane.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/assert.h"
#include "lib/base/clock.h"
#include "shm/block_private.h"
#include "shm/lane_private.h"
#include "shm/schema.h"

#define EXT_STEP (64u * 1024) /* memory is committed in pieces of this size */

struct own_lane own_lane;

static uint64_t no_beat;
uint64_t *lane_beat_cell = &no_beat;

uint64_t
seat_start_time(int32_t pid)
{
	char path[32], text[512], *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	p = strrchr(text, ')'); /* the name may hold anything; field 3 follows it */
	if (p && p[1] && (p[2] == 'Z' || p[2] == 'X')) /* dead, only not yet waited for */
		return 0;
	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	return p ? strtoull(p + 1, NULL, 10) : 0;
}

static uint32_t
seat_state(const struct seg_seat *seat)
{
	return __atomic_load_n(&seat->state, __ATOMIC_ACQUIRE);
}

bool
seat_is_alive(const struct seg_seat *seat)
{
	uint32_t state = seat_state(seat);

	if ((state != SEAT_TAKEN && state != SEAT_TAKING) || seat->pid <= 0)
		return false;
	if (seat->start_time == 0) /* taken where /proc could not be read */
		return kill(seat->pid, 0) == 0 || errno == EPERM;
	return seat_start_time(seat->pid) == seat->start_time;
}

int
seat_find(const struct segment *seg, enum seat_role role, uint32_t index)
{
	int found = -1;

	if (role != SEAT_WORKER)
		return role == SEAT_MASTER ? SEAT_OF_MASTER : SEAT_OF_ADMIN;
	for (uint32_t i = SEAT_OF_WORKERS; i < seg->h->seats; i++) {
		const struct seg_seat *seat = segment_seat(seg, i);
		uint32_t state = seat_state(seat);

		if (state != SEAT_FREE && state != SEAT_LEFT)
			continue;
		if (state == SEAT_LEFT && seat->index == index)
			return (int)i;
		if (found < 0)
			found = (int)i;
	}
	return found;
}

void
seat_release(struct segment *seg, uint32_t seat)
{
	ASSERT(seat < seg->h->seats);
	if (seat_state(segment_seat(seg, seat)) != SEAT_FREE)
		__atomic_store_n(&segment_seat(seg, seat)->state, SEAT_LEFT, __ATOMIC_SEQ_CST);
}

static void
zero_gauges(struct segment *seg, uint32_t n)
{
	char *lane = (char *)segment_lane(seg, n);
	uint64_t off = 0;
	struct seg_record *r;

	while ((r = record_next(seg, &off)) != NULL) {
		const struct schema_scope *sc = &schema_scopes[r->scope];

		for (uint32_t i = 0; i < sc->rows; i++)
			if (sc->row[i].kind == STAT_GAUGE)
				stat_clear_((void *)(lane + r->lane_off + sc->row[i].off));
	}
}

/*
 * Memory for every block there is.  Admin may publish at the same time:
 * it moves lane_end, then looks at the seats; we mark the seat, then look
 * at lane_end.  One of the two sees the other.
 */
static int
commit_lane(struct segment *seg, uint32_t n, struct err *err)
{
	uint64_t at = seg->h->lanes_off + n * seg->h->lane_bytes;
	uint64_t end = __atomic_load_n(&seg->h->lane_end, __ATOMIC_SEQ_CST);
	struct seg_lane *lane = segment_lane(seg, n);

	if (end < SEG_PAGE || end > seg->h->lane_bytes / 2)
		return err_set(err, "the segment's directory is damaged");
	if (segment_commit(seg, at, end, err) < 0)
		return -1;
	if (lane->ext_next < seg->h->lane_bytes / 2)
		lane->ext_next = lane->ext_committed = seg->h->lane_bytes / 2;
	return 0;
}

static int
sit_down(struct segment *seg, uint32_t n, enum seat_role role, uint32_t index, struct err *err)
{
	struct seg_seat *seat = segment_seat(seg, n);
	int32_t pid = (int32_t)getpid();

	if (seat_is_alive(seat) && seat->pid != pid)
		return err_set(err, "seat %u is held by process %d", n, seat->pid);
	seat->role = role;
	seat->pid = pid;
	seat->index = index;
	seat->start_time = seat_start_time(pid);
	seat->taken_wall_ns = clock_wall_ns();
	seat->owners++;
	__atomic_store_n(&seat->state, SEAT_TAKING, __ATOMIC_SEQ_CST);
	if (commit_lane(seg, n, err) < 0) {
		__atomic_store_n(&seat->state, SEAT_LEFT, __ATOMIC_SEQ_CST);
		return -1;
	}
	return 0;
}

static bool
has_seat(struct segment *seg, uint32_t n)
{
	const struct seg_seat *seat = segment_seat(seg, n);

	return own_lane.seg == seg && own_lane.seat == n && seat->pid == (int32_t)getpid() &&
	       seat_state(seat) == SEAT_TAKEN;
}

int
lane_take(struct segment *seg, uint32_t n, enum seat_role role, uint32_t index, struct err *err)
{
	if (n >= seg->h->seats)
		return err_set(err, "no seat %u in a segment of %u", n, seg->h->seats);
	if (has_seat(seg, n))
		return 0;
	if (sit_down(seg, n, role, index, err) < 0)
		return -1;
	segment_use(seg);
	own_lane.seg = seg;
	own_lane.head = segment_lane(seg, n);
	own_lane.base = (char *)own_lane.head;
	own_lane.bytes = seg->h->lane_bytes;
	own_lane.seat = n;
	lane_beat_cell = &own_lane.head->beat;
	zero_gauges(seg, n);
	lane_let_go(lane_retired());
	__atomic_store_n(&segment_seat(seg, n)->state, SEAT_TAKEN, __ATOMIC_SEQ_CST);
	return 0;
}

void
lane_forget(const struct segment *seg)
{
	if (own_lane.seg != seg)
		return;
	own_lane = (struct own_lane){0};
	lane_beat_cell = &no_beat;
}

struct segment *
lane_private(void)
{
	static struct segment *last;
	static const struct segment_params small = {
	    .concurrency = 1,
	    .lane_bytes = 16u << 20,
	    .dir_bytes = 4u << 20,
	    .shared_bytes = 4u << 20,
	};
	struct segment *seg;
	struct err err;

	if (last && last == own_lane.seg)
		segment_free(&last);
	if (segment_create_private(&seg, &small, &err) < 0 ||
	    lane_take(seg, SEAT_OF_ADMIN, SEAT_ADMIN, 0, &err) < 0) {
		fprintf(stderr, "private lane: %s\n", err.text);
		abort();
	}
	seg->on_demand = true;
	last = seg;
	return seg;
}

uint64_t
lane_retired(void)
{
	return __atomic_load_n(&own_lane.seg->h->retired, __ATOMIC_ACQUIRE);
}

void
lane_let_go(uint64_t retired)
{
	if (retired > own_lane.head->let_go)
		__atomic_store_n(&own_lane.head->let_go, retired, __ATOMIC_RELEASE);
}

static int
commit_extensions(struct seg_lane *lane, uint64_t end)
{
	struct segment *seg = own_lane.seg;
	uint64_t at = seg->h->lanes_off + own_lane.seat * seg->h->lane_bytes;
	uint64_t upto = (end + EXT_STEP - 1) & ~(uint64_t)(EXT_STEP - 1);

	if (upto > own_lane.bytes)
		upto = own_lane.bytes;
	if (segment_commit(seg, at + lane->ext_committed, upto - lane->ext_committed, NULL) < 0)
		return -1;
	lane->ext_committed = upto;
	return 0;
}

static uint32_t
no_room(struct seg_lane *lane)
{
	stat_store_(&lane->dropped, lane->dropped + 1);
	stat_inc(&baton_stats_of("baton.")->stats_dropped);
	return 0;
}

/* The place is taken before it is named in a cell: killed between the two, it is only lost. */
uint32_t
lane_extend(uint32_t n)
{
	struct seg_lane *lane = own_lane.head;
	uint64_t at = lane->ext_next;

	if (at < own_lane.bytes / 2 || at + n > own_lane.bytes ||
	    lane->ext_committed > own_lane.bytes)
		return no_room(lane);
	if (at + n > lane->ext_committed && commit_extensions(lane, at + n) < 0)
		return no_room(lane);
	stat_store_(&lane->ext_next, at + n);
	return (uint32_t)(at / 8);
}
