/*
 * Making and removing blocks.  Runs in admin, the directory's only
 * writer; killed anywhere it leaves a directory that readers and the next
 * admin understand: memory first, record next, its end last.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/assert.h"
#include "shm/block.h"
#include "shm/block_private.h"
#include "shm/lane_private.h"
#include "shm/schema.h"

#define BLOCK_ALIGN 64u
#define NAME_ROOM(n) (((n) + 31u) & ~31u)

static bool (*filter)(void *ctx, struct str name);
static void *filter_ctx;

void
block_set_filter(bool (*keep)(void *ctx, struct str name), void *ctx)
{
	filter = keep;
	filter_ctx = ctx;
}

/* Readers may look at the bits meanwhile: those that stay are not touched. */
static void
hide_rows(struct seg_record *r, enum stat_scope scope, struct str prefix)
{
	const struct schema_scope *sc = &schema_scopes[scope];
	uint8_t *hidden = (uint8_t *)(r + 1);
	struct strb name = {0};

	if (filter == NULL) {
		memset(hidden, 0, r->hidden_bytes);
		return;
	}
	for (uint32_t i = 0; i < sc->rows; i++) {
		uint8_t bit = (uint8_t)(1u << i % 8);

		strb_reset(&name);
		strb_adds(&name, prefix);
		strb_addz(&name, sc->row[i].name);
		if (sc->row[i].kind == STAT_CODES)
			strb_addz(&name, "200");
		if (!filter(filter_ctx, strb_str(&name)))
			hidden[i / 8] |= bit;
		else
			hidden[i / 8] &= (uint8_t)~bit;
	}
	strb_fini(&name);
}

/* Every lane that has or had an owner has this range afterwards. */
static int
commit_in_lanes(struct segment *seg, uint64_t off, uint64_t n, bool dead_too, struct err *err)
{
	for (uint32_t i = 0; i < seg->h->seats; i++) {
		uint32_t state = __atomic_load_n(&segment_seat(seg, i)->state, __ATOMIC_SEQ_CST);

		if (state == SEAT_FREE || (state == SEAT_LEFT && !dead_too))
			continue;
		if (segment_commit(seg, seg->h->lanes_off + i * seg->h->lane_bytes + off, n, err) <
		    0)
			return -1;
	}
	return 0;
}

/* A page that was made for a block is there for those behind it: a seat that was taken since made all of
 * them up to lane_end for itself. */
static bool
is_made(uint64_t made, uint64_t at, uint64_t n)
{
	return made >= at && ((made + SEG_PAGE - 1) & ~(uint64_t)(SEG_PAGE - 1)) >= at + n;
}

static int
make_in_lanes(struct segment *seg, uint64_t at, uint64_t n, struct err *err)
{
	bool there = is_made(seg->made_lanes, at, n);

	seg->made_lanes = 0; /* unknown, should it fail */
	if (!there && commit_in_lanes(seg, at, n, false, err) < 0)
		return -1;
	seg->made_lanes = at + n;
	return 0;
}

/* Of an area that exists once. */
static int
make_in_area(struct segment *seg, uint64_t area, uint64_t *made, uint64_t at, uint64_t n,
    struct err *err)
{
	bool there = is_made(*made, at, n);

	*made = 0;
	if (!there && segment_commit(seg, area + at, n, err) < 0)
		return -1;
	*made = at + n;
	return 0;
}

static void
directory_changed(struct segment *seg)
{
	__atomic_store_n(&seg->h->dir_version, seg->h->dir_version + 1, __ATOMIC_RELEASE);
}

/* Our own index was in step and stays so: it needs no look at the directory. */
static void
index_own(struct segment *seg, struct seg_record *r)
{
	map_put(&seg->index[r->scope], record_name(r), r);
	seg->seen_end = seg->h->dir_end;
	seg->seen_version = seg->h->dir_version;
	seg->seen_reused = seg->h->dir_reused;
}

static void
set_state(struct seg_record *r, enum record_state state)
{
	__atomic_store_n(&r->state, ((r->state >> 2) + 1) << 2 | state, __ATOMIC_RELEASE);
}

static void
set_name(struct seg_record *r, struct str prefix)
{
	r->name_bytes = (uint16_t)prefix.n;
	memcpy((char *)(r + 1) + r->hidden_bytes, prefix.p, prefix.n);
}

/* ---- taking a retired block again */

/* The last retired block that every living seat has let go; all before it are let go, too. */
static uint64_t
let_go_by_all(const struct segment *seg)
{
	uint64_t lowest = UINT64_MAX;

	for (uint32_t i = 0; i < seg->h->seats; i++) {
		uint32_t state = __atomic_load_n(&segment_seat(seg, i)->state, __ATOMIC_ACQUIRE);
		uint64_t mine = __atomic_load_n(&segment_lane(seg, i)->let_go, __ATOMIC_ACQUIRE);

		if (state == SEAT_TAKING)
			return 0;
		if (state == SEAT_TAKEN && mine < lowest)
			lowest = mine;
	}
	return lowest;
}

static int
by_retirement(const void *a, const void *b)
{
	uint64_t x = (*(struct seg_record *const *)a)->retired;
	uint64_t y = (*(struct seg_record *const *)b)->retired;

	return x < y ? -1 : x > y;
}

/* What an admin before us retired, once; later ones are added as they are retired. */
static void
know_retired(struct segment *seg)
{
	struct seg_record *r;
	uint64_t off = 0;

	if (seg->retired_known)
		return;
	seg->retired_known = true;
	while (seg->h->retired && (r = record_next(seg, &off)) != NULL)
		if (record_state(r) != RECORD_LIVE)
			*vec_push(&seg->retired[r->scope]) = r;
	for (int i = 0; i < STAT_SCOPES; i++)
		if (seg->retired[i].len)
			qsort(seg->retired[i].at, seg->retired[i].len, sizeof(seg->retired[i].at[0]),
			    by_retirement);
}

/* Drops what was taken from the front, now and then. */
static void
close_gap(struct segment *seg, enum stat_scope scope)
{
	size_t n = seg->retired_first[scope];

	if (n < 64 || n < seg->retired[scope].len / 2)
		return;
	seg->retired[scope].len -= n;
	memmove(seg->retired[scope].at, seg->retired[scope].at + n,
	    seg->retired[scope].len * sizeof(seg->retired[scope].at[0]));
	seg->retired_first[scope] = 0;
}

/* The first that is let go and has room for the name; behind one that is not let go, none is. */
static struct seg_record *
take_reusable(struct segment *seg, enum stat_scope scope, struct str prefix)
{
	uint64_t let_go;

	know_retired(seg);
	if (seg->retired_first[scope] == seg->retired[scope].len)
		return NULL;
	let_go = let_go_by_all(seg);
	for (size_t i = seg->retired_first[scope]; i < seg->retired[scope].len; i++) {
		struct seg_record *r = seg->retired[scope].at[i];

		if (r->retired > let_go)
			break;
		if (r->name_room < prefix.n)
			continue;
		seg->retired[scope].at[i] = seg->retired[scope].at[seg->retired_first[scope]++];
		close_gap(seg, scope);
		return r;
	}
	return NULL;
}

static void
zero_extension(char *lane, uint64_t lane_bytes, uint64_t place, uint64_t n)
{
	uint64_t off = place * 8;

	if (place <= UINT32_MAX && off >= lane_bytes / 2 &&
	    off + n <= ((struct seg_lane *)(void *)lane)->ext_next &&
	    ((struct seg_lane *)(void *)lane)->ext_next <= lane_bytes)
		memset(lane + off, 0, n);
}

static void
zero_histogram(char *lane, uint64_t lane_bytes, struct stat_histogram *cell)
{
	struct seg_histogram *h = (void *)(lane + cell->ext * 8);
	uint64_t off = cell->ext * 8;

	if (cell->ext > UINT32_MAX || off < lane_bytes / 2 || off + sizeof(*h) > lane_bytes)
		return;
	for (int d = 1; d < HIST_DIGITS; d++)
		zero_extension(lane, lane_bytes, h->chunk[d], HIST_CHUNK * 8);
	h->sum = 0;
	memset(h->small, 0, sizeof(h->small));
}

/* Extensions stay where they are, for the block's next life. */
static void
zero_block(struct segment *seg, uint32_t seat, const struct seg_record *r)
{
	const struct schema_scope *sc = &schema_scopes[r->scope];
	char *lane = (char *)segment_lane(seg, seat);

	for (uint32_t i = 0; i < sc->rows; i++) {
		void *cell = lane + r->lane_off + sc->row[i].off;

		switch (sc->row[i].kind) {
		case STAT_COUNTER:
		case STAT_GAUGE:
			stat_store_(cell, 0);
			break;
		case STAT_HISTOGRAM:
			zero_histogram(lane, seg->h->lane_bytes, cell);
			break;
		case STAT_CODES:
			for (int c = 1; c < 6; c++)
				zero_extension(lane, seg->h->lane_bytes,
				    ((struct stat_codes *)cell)->ext[c], CODES_CENTURY * 8);
			break;
		case STAT_TEXT:
		case STAT_KINDS:
			break;
		}
	}
}

static int
reuse(struct segment *seg, struct seg_record *r, struct str prefix, struct err *err)
{
	if (commit_in_lanes(seg, r->lane_off, r->lane_bytes, true, err) < 0) {
		*vec_push(&seg->retired[r->scope]) = r;
		return -1;
	}
	set_state(r, RECORD_CHANGING);
	for (uint32_t i = 0; i < seg->h->seats; i++)
		if (segment_seat(seg, i)->owners > 0)
			zero_block(seg, i, r);
	memset(seg->base + seg->h->shared_off + r->shared_off, 0, r->shared_bytes);
	set_name(r, prefix);
	hide_rows(r, r->scope, prefix);
	set_state(r, RECORD_LIVE);
	__atomic_store_n(&seg->h->dir_reused, seg->h->dir_reused + 1, __ATOMIC_RELEASE);
	directory_changed(seg);
	index_own(seg, r);
	return 0;
}

/* ---- a new block */

static int
take_lane_range(struct segment *seg, struct seg_record *r, struct err *err)
{
	uint64_t at = seg->h->lane_end, end = at + r->lane_bytes;

	if (end > seg->h->lane_bytes / 2)
		return err_set(err, "the segment is full: no room for more stats");
	__atomic_store_n(&seg->h->lane_end, end, __ATOMIC_SEQ_CST); /* see commit_lane() */
	r->lane_off = (uint32_t)at;
	return make_in_lanes(seg, at, r->lane_bytes, err);
}

static int
take_shared_range(struct segment *seg, struct seg_record *r, struct err *err)
{
	uint64_t at = seg->h->shared_end;

	if (at + r->shared_bytes > seg->h->shared_bytes)
		return err_set(err, "the segment is full: no room for more hosts");
	r->shared_off = (uint32_t)at;
	if (make_in_area(seg, seg->h->shared_off, &seg->made_shared, at, r->shared_bytes, err) < 0)
		return -1;
	seg->h->shared_end = at + r->shared_bytes;
	return 0;
}

static uint32_t
align(uint64_t n)
{
	return (uint32_t)((n + BLOCK_ALIGN - 1) & ~(uint64_t)(BLOCK_ALIGN - 1));
}

static int
append(struct segment *seg, enum stat_scope scope, struct str prefix, struct err *err)
{
	struct seg_record rec = {
	    .state = RECORD_LIVE,
	    .scope = (uint16_t)scope,
	    .name_room = (uint16_t)NAME_ROOM(prefix.n),
	    .hidden_bytes = (uint16_t)((schema_scopes[scope].rows + 63) / 64 * 8),
	    .lane_bytes = align(schema_scopes[scope].lane_bytes),
	    .shared_bytes = align(schema_shared_bytes(scope)),
	};
	struct seg_record *r;

	rec.bytes = (uint32_t)sizeof(rec) + rec.hidden_bytes + rec.name_room;
	if (seg->h->dir_end + rec.bytes > seg->h->dir_bytes)
		return err_set(err, "the segment is full: no room for more names");
	if (make_in_area(seg, seg->h->dir_off, &seg->made_dir, seg->h->dir_end, rec.bytes, err) < 0 ||
	    take_lane_range(seg, &rec, err) < 0 || take_shared_range(seg, &rec, err) < 0)
		return -1;
	r = (void *)(seg->base + seg->h->dir_off + seg->h->dir_end);
	*r = rec;
	set_name(r, prefix);
	hide_rows(r, scope, prefix);
	__atomic_store_n(&seg->h->dir_end, seg->h->dir_end + rec.bytes, __ATOMIC_RELEASE);
	directory_changed(seg);
	index_own(seg, r);
	return 0;
}

static struct seg_record *
find_live(struct segment *seg, enum stat_scope scope, struct str prefix)
{
	bool on_demand = seg->on_demand;
	struct seg_record *r;

	seg->on_demand = false;
	r = block_find(seg, scope, prefix);
	seg->on_demand = on_demand;
	return r;
}

int
block_publish(struct segment *seg, enum stat_scope scope, struct str prefix, struct err *err)
{
	struct seg_record *old;
	int rc;

	if (prefix.n > 1024)
		return err_set(err, "stat prefix of more than 1024 bytes");
	if (find_live(seg, scope, prefix))
		return 0;
	old = take_reusable(seg, scope, prefix);
	rc = old ? reuse(seg, old, prefix, err) : append(seg, scope, prefix, err);
	return rc < 0 ? err_in(err, "stats '" STR_FMT "'", STR_ARG(prefix)) : 0;
}

bool
block_room_for(const struct segment *seg, const enum stat_scope *scopes, unsigned n_scopes, size_t prefix_bytes,
    uint64_t n)
{
	uint64_t lane = 0, shared = 0, dir = 0, again;

	for (unsigned i = 0; i < n_scopes; i++) {
		lane += align(schema_scopes[scopes[i]].lane_bytes);
		shared += align(schema_shared_bytes(scopes[i]));
		dir += sizeof(struct seg_record) + (schema_scopes[scopes[i]].rows + 63) / 64 * 8 +
		    NAME_ROOM(prefix_bytes);
	}
	again = seg->retired[scopes[0]].len - seg->retired_first[scopes[0]];
	n = n > again ? n - again : 0;
	return seg->h->lane_end + n * lane <= seg->h->lane_bytes / 2 &&
	       seg->h->shared_end + n * shared <= seg->h->shared_bytes &&
	       seg->h->dir_end + n * dir <= seg->h->dir_bytes;
}

void
block_filter_all(struct segment *seg)
{
	struct seg_record *r;
	uint64_t off = 0;

	while ((r = record_next(seg, &off)) != NULL)
		if (record_state(r) == RECORD_LIVE)
			hide_rows(r, r->scope, record_name(r));
	directory_changed(seg);
}

void
block_retire(struct segment *seg, enum stat_scope scope, struct str prefix)
{
	struct seg_record *r = find_live(seg, scope, prefix);

	if (r == NULL)
		return;
	know_retired(seg);
	r->retired = seg->h->retired + 1;
	set_state(r, RECORD_RETIRED);
	__atomic_store_n(&seg->h->retired, r->retired, __ATOMIC_RELEASE);
	map_remove(&seg->index[scope], prefix);
	*vec_push(&seg->retired[scope]) = r;
	directory_changed(seg);
}
