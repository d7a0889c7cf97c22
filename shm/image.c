#include "shm/image.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "shm/lane.h"

/* What a reader is ready to hold; far above what we make. */
#define MOST_SEATS 8192u
#define MOST_SCHEMA (16ull << 20)
#define MOST_AREA (1ull << 30)

static int
read_at(int fd, uint64_t off, void *to, uint64_t n, struct err *err)
{
	uint64_t got = 0;

	while (got < n) {
		ssize_t r = pread(fd, (char *)to + got, n - got, (off_t)(off + got));

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_sys(err, "cannot read the segment");
		if (r == 0)
			return err_set(err, "the segment is truncated");
		got += (uint64_t)r;
	}
	return 0;
}

/* A copy of the range, one NUL behind it. */
static char *
load(int fd, uint64_t off, uint64_t n, uint64_t most, struct err *err)
{
	char *p = n <= most ? mem_try_room(n + 1) : NULL;

	if (p == NULL) {
		err_set(err, "the segment claims %llu bytes in one area", (unsigned long long)n);
		return NULL;
	}
	if (read_at(fd, off, p, n, err) < 0) {
		mem_free(p);
		return NULL;
	}
	p[n] = '\0';
	return p;
}

static bool
inside(const struct seg_header *h, uint64_t off, uint64_t n)
{
	return off <= h->total_bytes && n <= h->total_bytes - off;
}

static int
check_header(const struct seg_header *h, uint64_t file_bytes, struct err *err)
{
	uint64_t schema;

	if (h->magic != SEG_MAGIC)
		return err_set(err, "not a segment");
	if (h->format != SEG_FORMAT)
		return err_set(err, "a segment of format %u, known is %u", h->format, SEG_FORMAT);
	if (h->header_bytes < sizeof(*h) || h->total_bytes > file_bytes)
		return err_set(err, "the segment is truncated");
	if (h->seats > MOST_SEATS || h->seat_bytes < sizeof(struct seg_seat) ||
	    h->seat_bytes > 4096 || h->scope_bytes < sizeof(struct seg_scope) ||
	    h->row_bytes < sizeof(struct seg_row) || h->scope_bytes > 4096 || h->row_bytes > 4096 ||
	    h->flags_bytes < sizeof(struct shm_flags) ||
	    h->failure_bytes < sizeof(struct seg_failure))
		return err_set(err, "the segment's header is damaged");
	schema = (uint64_t)h->scopes * h->scope_bytes + (uint64_t)h->rows * h->row_bytes;
	if (h->schema_bytes > MOST_SCHEMA || schema > h->schema_bytes ||
	    h->dir_end > h->dir_bytes || h->shared_end > h->shared_bytes ||
	    h->lane_bytes < 2 * SEG_PAGE || h->lane_bytes % (2 * SEG_PAGE) ||
	    h->lane_end < SEG_PAGE || h->lane_end > h->lane_bytes / 2 ||
	    h->lane_bytes > UINT64_MAX / (MOST_SEATS + 1))
		return err_set(err, "the segment's header is damaged");
	if (!inside(h, h->seats_off, (uint64_t)h->seats * h->seat_bytes) ||
	    !inside(h, h->flags_off, h->flags_bytes) ||
	    !inside(h, h->failures_off, (uint64_t)h->failure_slots * h->failure_bytes) ||
	    !inside(h, h->schema_off, h->schema_bytes) || !inside(h, h->dir_off, h->dir_bytes) ||
	    !inside(h, h->shared_off, h->shared_bytes) ||
	    !inside(h, h->lanes_off, h->seats * h->lane_bytes))
		return err_set(err, "an area of the segment lies outside of it");
	return 0;
}

/* Bytes that a row's cell takes in a block. */
static uint32_t
cell_bytes(uint16_t kind)
{
	switch ((enum stat_kind)kind) {
	case STAT_COUNTER:
	case STAT_GAUGE:
	case STAT_HISTOGRAM:
		return 8;
	case STAT_CODES:
		return sizeof(struct stat_codes);
	case STAT_TEXT:
		return sizeof(struct stat_text);
	case STAT_KINDS:
		break;
	}
	return UINT32_MAX;
}

struct seg_scope
image_scope(const struct image *img, uint32_t i)
{
	struct seg_scope s;

	memcpy(&s, img->schema + (uint64_t)i * img->h.scope_bytes, sizeof(s));
	return s;
}

static struct seg_row
row_at(const struct image *img, uint32_t i)
{
	struct seg_row row;

	memcpy(&row,
	    img->schema + (uint64_t)img->h.scopes * img->h.scope_bytes +
		(uint64_t)i * img->h.row_bytes,
	    sizeof(row));
	return row;
}

struct seg_row
image_row(const struct image *img, const struct seg_scope *scope, uint32_t i)
{
	return row_at(img, scope->first + i);
}

const char *
image_string(const struct image *img, uint32_t off)
{
	return off < img->strings.n ? img->strings.p + off : "";
}

static bool
row_fits(const struct seg_scope *s, const struct seg_row *row)
{
	uint32_t room = row->kind == STAT_TEXT ? s->shared_bytes : s->lane_bytes;

	return row->kind < STAT_KINDS && row->unit < STAT_UNITS &&
	       (uint64_t)row->off + cell_bytes(row->kind) <= room;
}

/* Scope after scope: no row belongs to two. */
static int
check_schema(struct image *img, struct err *err)
{
	uint64_t tables =
	    (uint64_t)img->h.scopes * img->h.scope_bytes + (uint64_t)img->h.rows * img->h.row_bytes;
	uint64_t end = 0;

	img->strings = str_make(img->schema + tables, img->h.schema_bytes - tables);
	for (uint32_t i = 0; i < img->h.scopes; i++) {
		struct seg_scope s = image_scope(img, i);

		if (s.first < end || (uint64_t)s.first + s.rows > img->h.rows)
			return err_set(err, "the segment's schema is damaged");
		end = (uint64_t)s.first + s.rows;
		for (uint32_t k = 0; k < s.rows; k++) {
			struct seg_row row = image_row(img, &s, k);

			if (!row_fits(&s, &row))
				return err_set(err, "the segment's schema is damaged");
		}
	}
	return 0;
}

static int
load_areas(struct image *img, struct err *err)
{
	const struct seg_header *h = &img->h;

	img->seats =
	    load(img->fd, h->seats_off, (uint64_t)h->seats * h->seat_bytes, MOST_AREA, err);
	if (img->seats == NULL ||
	    read_at(img->fd, h->flags_off, &img->flags, sizeof(img->flags), err) < 0)
		return -1;
	img->schema = load(img->fd, h->schema_off, h->schema_bytes, MOST_SCHEMA, err);
	if (img->schema == NULL || check_schema(img, err) < 0)
		return -1;
	img->dir = load(img->fd, h->dir_off, h->dir_end, MOST_AREA, err);
	if (img->dir == NULL)
		return -1;
	img->shared = load(img->fd, h->shared_off, h->shared_end, MOST_AREA, err);
	return img->shared ? 0 : -1;
}

static bool
our_pids(uint64_t pid_namespace)
{
	struct stat st;

	return pid_namespace && stat("/proc/self/ns/pid", &st) == 0 && st.st_ino == pid_namespace;
}

int
image_open(struct image **out, int fd, struct err *err)
{
	struct image *img = mem_new(struct image);
	struct stat st;

	img->fd = fd;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		image_free(&img);
		return err_set(err, "not a segment");
	}
	if (read_at(fd, 0, &img->h, sizeof(img->h), err) < 0 ||
	    check_header(&img->h, (uint64_t)st.st_size, err) < 0 || load_areas(img, err) < 0) {
		image_free(&img);
		return -1;
	}
	img->h.version[sizeof(img->h.version) - 1] = '\0';
	img->same_pids = our_pids(img->h.pid_namespace);
	*out = img;
	return 0;
}

void
image_free(struct image **ip)
{
	struct image *img = *ip;

	*ip = NULL;
	if (img == NULL)
		return;
	mem_free(img->seats);
	mem_free(img->schema);
	mem_free(img->dir);
	mem_free(img->shared);
	mem_free(img);
}

struct seg_seat
image_seat(const struct image *img, uint32_t i)
{
	struct seg_seat seat;

	memcpy(&seat, img->seats + (uint64_t)i * img->h.seat_bytes, sizeof(seat));
	return seat;
}

bool
image_seat_alive(const struct image *img, const struct seg_seat *seat)
{
	if (seat->state != SEAT_TAKEN && seat->state != SEAT_TAKING)
		return false;
	return !img->same_pids || seat_is_alive(seat);
}

static uint64_t
lane_at(const struct image *img, uint32_t seat)
{
	return img->h.lanes_off + seat * img->h.lane_bytes;
}

uint64_t
image_beat(const struct image *img, uint32_t seat)
{
	uint64_t beat = 0;

	return read_at(img->fd, lane_at(img, seat), &beat, sizeof(beat), NULL) < 0 ? 0 : beat;
}

int
image_lane(const struct image *img, uint32_t seat, struct image_lane *lane, struct err *err)
{
	uint64_t at = lane_at(img, seat), half = img->h.lane_bytes / 2;
	struct seg_lane head;

	*lane = (struct image_lane){0};
	lane->cells = load(img->fd, at, img->h.lane_end, MOST_AREA, err);
	if (lane->cells == NULL)
		return -1;
	memcpy(&head, lane->cells, sizeof(head));
	if (head.ext_next > half && head.ext_next <= img->h.lane_bytes)
		lane->ext_bytes = head.ext_next - half;
	lane->ext = load(img->fd, at + half, lane->ext_bytes, MOST_AREA, err);
	if (lane->ext == NULL) {
		image_lane_fini(lane);
		return -1;
	}
	return 0;
}

void
image_lane_fini(struct image_lane *lane)
{
	mem_free(lane->cells);
	mem_free(lane->ext);
	*lane = (struct image_lane){0};
}

const char *
image_extension(const struct image *img, const struct image_lane *lane, uint64_t place, uint32_t n)
{
	uint64_t half = img->h.lane_bytes / 2, off;

	if (place < half / 8 || place > UINT32_MAX)
		return NULL;
	off = place * 8 - half;
	return off <= lane->ext_bytes && n <= lane->ext_bytes - off ? lane->ext + off : NULL;
}

static bool
block_fits(const struct image *img, const struct seg_record *r, const struct seg_scope *s)
{
	return sizeof(*r) + (uint64_t)r->hidden_bytes + r->name_room <= r->bytes &&
	       r->name_bytes <= r->name_room && (uint64_t)r->hidden_bytes * 8 >= s->rows &&
	       r->lane_bytes >= s->lane_bytes && r->shared_bytes >= s->shared_bytes &&
	       r->lane_off % 8 == 0 && (uint64_t)r->lane_off + r->lane_bytes <= img->h.lane_end &&
	       (uint64_t)r->shared_off + r->shared_bytes <= img->h.shared_end;
}

int
image_next(const struct image *img, uint64_t *off, struct image_block *b, struct err *err)
{
	struct seg_record r;
	const char *p = img->dir + *off;

	if (*off == img->h.dir_end)
		return 0;
	if (img->h.dir_end - *off < sizeof(r))
		return err_set(err, "the segment's directory is damaged");
	memcpy(&r, p, sizeof(r));
	if (r.bytes < sizeof(r) || r.bytes > img->h.dir_end - *off || r.scope >= img->h.scopes)
		return err_set(err, "the segment's directory is damaged");
	b->scope = image_scope(img, r.scope);
	if (!block_fits(img, &r, &b->scope))
		return err_set(err, "the segment's directory is damaged");
	b->scope_id = r.scope;
	b->live = RECORD_STATE(r.state) == RECORD_LIVE;
	b->hidden = (const uint8_t *)p + sizeof(r);
	b->hidden_bytes = r.hidden_bytes;
	b->prefix = str_make(p + sizeof(r) + r.hidden_bytes, r.name_bytes);
	b->shared = img->shared + r.shared_off;
	b->lane_off = r.lane_off;
	*off += r.bytes;
	return 1;
}

int
image_failure(const struct image *img, uint32_t i, struct seg_failure *out)
{
	uint64_t at = img->h.failures_off + (uint64_t)i * img->h.failure_bytes, seq;

	if (read_at(img->fd, at, out, sizeof(*out), NULL) < 0 ||
	    read_at(img->fd, at, &seq, sizeof(seq), NULL) < 0)
		return -1;
	return out->seq != 0 && out->seq % 2 == 0 && seq == out->seq ? 0 : -1;
}
