/*
 * A segment: one generation's shared memory.  Master creates it before it
 * forks; children inherit mapping and descriptor.  A process has one
 * segment of its own (segment_use); others it only reads, by shm/read.h.
 *
 * The file has its final size at once and no memory: whoever needs a
 * range commits it with fallocate, so that a full tmpfs is an error here
 * and never a SIGBUS later.
 */
#ifndef SHM_SEGMENT_H
#define SHM_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/err.h"
#include "lib/base/map.h"
#include "lib/base/vec.h"
#include "shm/block.h"
#include "shm/layout.h"

struct segment_params {
	uint32_t concurrency; /* seats: 2 × concurrency + 2 */
	uint64_t generation;
	/* 0: the usual size.  Address space only, not memory. */
	uint64_t lane_bytes, dir_bytes, shared_bytes;
};

struct segment {
	int fd;
	char *base;
	struct seg_header *h; /* = base */
	uint64_t bytes;
	bool on_demand; /* block_stats() publishes what is missing: lane_private() */
	/* what this process knows of the directory: prefix → record, by scope */
	struct map index[STAT_SCOPES];
	uint64_t seen_end, seen_version, seen_reused;
	/* admin: records that wait for a new name, by scope */
	VEC(struct seg_record *) retired[STAT_SCOPES]; /* in the order of their retirement */
	size_t retired_first[STAT_SCOPES];             /* those before it are taken again */
	bool retired_known;
	/* admin: ends of what it has made in each area; the rest of the last page is there, too */
	uint64_t made_dir, made_lanes, made_shared;
};

/* Creates `name` in the directory (O_EXCL, 0600). */
int segment_create(struct segment **out, int dirfd, const char *name, const struct segment_params *p,
    struct err *err);
/* The same without a name in any directory. */
int segment_create_private(struct segment **out, const struct segment_params *p, struct err *err);
/* Maps a segment of this same binary's schema for writing; takes fd (closed on error too). */
int segment_map(struct segment **out, int fd, struct err *err);
void segment_free(struct segment **s); /* unmaps and closes; the file stays */
/* Its maker is, or was killed, on the way: nothing was counted. */
bool segment_is_unfinished(int fd);
int segment_unlink(int dirfd, const char *name, struct err *err);

/* Makes memory for the range; idempotent. */
int segment_commit(struct segment *s, uint64_t off, uint64_t len, struct err *err);
/* The same by descriptor, for tests to replace: 0 or -1 with errno. */
extern int (*segment_fallocate)(int fd, int mode, off_t off, off_t len);

/* The segment that block_stats(), shm_flags() and failure_note() mean in this process; borrowed. */
void segment_use(struct segment *s);
struct segment *segment_own(void); /* NULL when none */

static inline struct seg_lane *
segment_lane(const struct segment *s, uint32_t seat)
{
	return (struct seg_lane *)(void *)(s->base + s->h->lanes_off + (uint64_t)seat * s->h->lane_bytes);
}

static inline struct seg_seat *
segment_seat(const struct segment *s, uint32_t seat)
{
	return (struct seg_seat *)(void *)(s->base + s->h->seats_off) + seat;
}

#endif
