/*
 * Finding blocks.  Every process keeps its own index of the directory and
 * brings it up to date when the directory's version has moved.
 */
#include "shm/block.h"

#include "lib/base/assert.h"
#include "shm/block_private.h"
#include "shm/hosts.h"
#include "shm/lane_private.h"
#include "shm/schema.h"

/* What cells of blocks that do not exist are written to; large enough for any scope. */
static union {
#define SCOPE(id) struct id##_stats id;
#include "shm/stats/scopes.def"
#undef SCOPE
} scratch_stats;

static union {
	struct host_cell host;
	struct baton_texts baton;
	struct subscription_texts subscription;
	struct control_plane_texts control_plane;
} scratch_shared;

static bool
record_fits(const struct segment *seg, const struct seg_record *r, uint64_t room)
{
	if (r->bytes < sizeof(*r) || r->bytes % 8 || r->bytes > room || r->scope >= STAT_SCOPES)
		return false;
	return sizeof(*r) + r->hidden_bytes + r->name_room <= r->bytes &&
	       r->name_bytes <= r->name_room && r->lane_off >= SEG_PAGE &&
	       r->lane_bytes >= schema_scopes[r->scope].lane_bytes &&
	       (uint64_t)r->lane_off + r->lane_bytes <= seg->h->lane_bytes / 2 &&
	       r->shared_bytes >= schema_shared_bytes(r->scope) &&
	       (uint64_t)r->shared_off + r->shared_bytes <= seg->h->shared_bytes;
}

struct seg_record *
record_next(const struct segment *seg, uint64_t *off)
{
	uint64_t end = __atomic_load_n(&seg->h->dir_end, __ATOMIC_ACQUIRE);
	struct seg_record *r;

	if (end > seg->h->dir_bytes || *off + sizeof(*r) > end)
		return NULL;
	r = (void *)(seg->base + seg->h->dir_off + *off);
	if (!record_fits(seg, r, end - *off))
		return NULL;
	*off += r->bytes;
	return r;
}

static void
index_record(struct segment *seg, struct seg_record *r)
{
	if (record_state(r) == RECORD_LIVE)
		map_put(&seg->index[r->scope], record_name(r), r);
	else if (map_get(&seg->index[r->scope], record_name(r)) == r)
		map_remove(&seg->index[r->scope], record_name(r));
}

static void
index_rebuild(struct segment *seg)
{
	for (int i = 0; i < STAT_SCOPES; i++) {
		map_fini(&seg->index[i]);
		seg->index[i] = (struct map){0};
	}
	seg->seen_end = 0;
}

static void
index_sync(struct segment *seg)
{
	uint64_t version = __atomic_load_n(&seg->h->dir_version, __ATOMIC_ACQUIRE);
	uint64_t reused = __atomic_load_n(&seg->h->dir_reused, __ATOMIC_ACQUIRE);
	struct seg_record *r;

	if (LIKELY(version == seg->seen_version))
		return;
	if (reused != seg->seen_reused)
		index_rebuild(seg);
	seg->seen_version = version;
	seg->seen_reused = reused;
	while ((r = record_next(seg, &seg->seen_end)) != NULL)
		index_record(seg, r);
}

struct seg_record *
block_find(struct segment *seg, enum stat_scope scope, struct str prefix)
{
	struct seg_record *r;

	if (seg == NULL)
		return NULL;
	index_sync(seg);
	r = map_get(&seg->index[scope], prefix);
	if (r && record_state(r) != RECORD_LIVE)
		r = NULL;
	if (r == NULL && seg->on_demand && block_publish(seg, scope, prefix, NULL) == 0) {
		index_sync(seg);
		r = map_get(&seg->index[scope], prefix);
	}
	return r;
}

void *
block_stats(enum stat_scope scope, struct str prefix)
{
	struct seg_record *r = block_find(own_lane.seg, scope, prefix);

	return r ? (void *)(own_lane.base + r->lane_off) : (void *)&scratch_stats;
}

void *
block_shared(enum stat_scope scope, struct str prefix)
{
	struct segment *seg = segment_own();
	struct seg_record *r = block_find(seg, scope, prefix);

	return r ? (void *)(seg->base + seg->h->shared_off + r->shared_off)
		 : (void *)&scratch_shared;
}

int64_t
stat_gauge_others(const struct stat_gauge *cell)
{
	const struct segment *seg = own_lane.seg;
	uint64_t off;
	int64_t sum = 0;

	if (!lane_holds(cell))
		return 0;
	off = (uint64_t)((const char *)cell - own_lane.base);
	for (uint32_t i = 0; i < seg->h->seats; i++) {
		const struct stat_gauge *other = (void *)((char *)segment_lane(seg, i) + off);

		if (i == own_lane.seat ||
		    __atomic_load_n(&segment_seat(seg, i)->state, __ATOMIC_ACQUIRE) != SEAT_TAKEN)
			continue;
		sum += stat_gauge_value(__atomic_load_n(&other->raw, __ATOMIC_RELAXED));
	}
	return sum;
}

uint64_t
stat_counter_all(const struct stat_counter *cell)
{
	const struct segment *seg = own_lane.seg;
	uint64_t off, sum = 0;

	if (!lane_holds(cell))
		return cell->raw;
	off = (uint64_t)((const char *)cell - own_lane.base);
	for (uint32_t i = 0; i < seg->h->seats; i++) {
		const struct stat_counter *other = (void *)((char *)segment_lane(seg, i) + off);

		if (__atomic_load_n(&segment_seat(seg, i)->state, __ATOMIC_ACQUIRE) != SEAT_FREE)
			sum += __atomic_load_n(&other->raw, __ATOMIC_RELAXED);
	}
	return sum;
}

bool
stat_counter_moved(const struct stat_counter *cell)
{
	const struct segment *seg = own_lane.seg;
	uint64_t off;

	if (!lane_holds(cell))
		return false;
	off = (uint64_t)((const char *)cell - own_lane.base);
	for (uint32_t i = 0; i < seg->h->seats; i++) {
		const struct stat_counter *other = (void *)((char *)segment_lane(seg, i) + off);

		if (__atomic_load_n(&segment_seat(seg, i)->state, __ATOMIC_ACQUIRE) == SEAT_TAKEN &&
		    __atomic_load_n(&other->raw, __ATOMIC_RELAXED))
			return true;
	}
	return false;
}

void
stat_name_add(struct strb *out, struct str part)
{
	for (size_t i = 0; i < part.n; i++) {
		char c = part.p[i];

		if (c == ':' && part.n - i >= 3 && memcmp(part.p + i, "://", 3) == 0)
			i += 2;
		strb_addc(out, c == ':' || c == '\0' ? '_' : c);
	}
}
