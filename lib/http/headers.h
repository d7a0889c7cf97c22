/*
 * A header map: an array of slices in arrival order.
 *
 * Names are lower case.  Bytes are borrowed: from the read buffer (the
 * receiver keeps the chunk), from an arena, or from literals; a change is
 * a new slice, never a write into bytes.  Well-known names carry an id,
 * set when the header enters the map, so that the hot path compares
 * numbers; pseudo-headers (:method, :path …) are ordinary entries and
 * stand first.  `host` of HTTP/1 is `:authority` here.
 */
#ifndef HTTP_HEADERS_H
#define HTTP_HEADERS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/assert.h"
#include "lib/base/str.h"

enum header_id {
	HDR_OTHER,
#define HEADER(id, name) HDR_##id,
#include "lib/http/header_names.def"
#undef HEADER
	HDR_IDS,
};

struct header {
	const char *name, *value;
	uint32_t value_len;
	uint16_t name_len;
	uint8_t id; /* enum header_id */
	uint8_t flags;
};

/* What is known of a header that came as HTTP/1 and that nobody changed. */
enum header_flag {
	HEADER_SOUND = 1, /* name and value may be written as they are */
	HEADER_LINE = 2,  /* and lie in memory as "name: value\r\n" */
};

struct headers {
	struct header *at;
	uint32_t len, cap;
	uint64_t have[2]; /* bit per header_id that may be present */
	struct arena *arena; /* borrowed: grows from it, copies go to it */
};

void headers_init(struct headers *h, struct arena *arena);

enum header_id header_id_of(struct str name); /* name in lower case */
struct str header_id_name(enum header_id id);

/* Slices are stored as they are (borrowed for the map's life). */
void headers_add(struct headers *h, struct str name, struct str value);
void headers_add_id(struct headers *h, enum header_id id, struct str value);
void headers_add_known(struct headers *h, enum header_id id, struct str name, struct str value);
void headers_grow(struct headers *h);

/* A place for one more of that id, to be filled. */
static inline struct header *
headers_place(struct headers *h, enum header_id id)
{
	if (UNLIKELY(h->len == h->cap))
		headers_grow(h);
	h->have[id >> 6] |= 1ull << (id & 63);
	return &h->at[h->len++];
}

static inline void
headers_push(struct headers *h, const struct header *x)
{
	*headers_place(h, (enum header_id)x->id) = *x;
}

/* A header that may be put into any number of maps, of such a line ("name: value\r\n", borrowed), whose
 * name has that id. */
static inline struct header
header_of_line(enum header_id id, size_t name_len, struct str line)
{
	return (struct header){.name = line.p,
	    .value = line.p + name_len + 2,
	    .value_len = (uint32_t)(line.n - name_len - 4),
	    .name_len = (uint16_t)name_len,
	    .id = (uint8_t)id,
	    .flags = HEADER_SOUND | HEADER_LINE};
}

/* Replaces all of that name by one. */
void headers_set_id(struct headers *h, enum header_id id, struct str value);
/* The same with a text that the HTTP/1 writer copies as it is: "name: value\r\n", of that id's name
 * and a valid value.  Borrowed like values. */
void headers_set_line(struct headers *h, enum header_id id, struct str line);
void headers_set_number(struct headers *h, enum header_id id, uint64_t value);
/* Makes such a text; {NULL, 0} when the value is not valid. */
struct str header_line(struct arena *a, enum header_id id, struct str value);
void headers_set(struct headers *h, struct str name, struct str value);
void headers_remove_id(struct headers *h, enum header_id id);
void headers_remove(struct headers *h, struct str name);

/*
 * A set of well-known names, made at compile time from a list of ids:
 *   #define SECRETS(ID) ID(COOKIE) ID(AUTHORIZATION)
 *   static const struct header_set secrets = HEADER_SET(SECRETS);
 */
struct header_set {
	uint64_t bits[2];
};
#define HEADER_SET(LIST) {{0 LIST(HEADER_SET_LOW), 0 LIST(HEADER_SET_HIGH)}}
#define HEADER_SET_LOW(id) | (HDR_##id < 64 ? 1ull << (HDR_##id & 63) : 0)
#define HEADER_SET_HIGH(id) | (HDR_##id < 64 ? 0 : 1ull << (HDR_##id & 63))

static inline bool
header_set_has(const struct header_set *set, enum header_id id)
{
	return set->bits[id >> 6] >> (id & 63) & 1;
}

/* A parser's way in, in order: pseudo-headers first.  `ids` are those of x. */
static inline void
headers_add_all(
    struct headers *h, const struct header *x, uint32_t n, const struct header_set *ids)
{
	while (h->cap - h->len < n)
		headers_grow(h);
	memcpy(&h->at[h->len], x, n * sizeof(*x));
	h->len += n;
	h->have[0] |= ids->bits[0];
	h->have[1] |= ids->bits[1];
}

/* Removes all that are of the set: one look when none is there. */
void headers_remove_set_(struct headers *h, const struct header_set *set);
void headers_remove_at(struct headers *h, uint32_t i);

/* First of that name, or NULL. */
struct header *headers_find(const struct headers *h, struct str name);
struct str headers_get_name(const struct headers *h, struct str name);
/* All values of that name joined with ","; {NULL,0} when absent; made in the arena when several. */
struct str headers_joined(const struct headers *h, struct str name);
uint64_t headers_bytes(const struct headers *h); /* names and values, for limits and %..._BYTES% */
void headers_copy(struct headers *to, const struct headers *from); /* bytes into to's arena */
/* Appends ",value" to an existing header, or adds it. */
void headers_append(struct headers *h, enum header_id id, struct str value, const char *joiner);

/* False: there is none.  True: there may be one. */
static inline bool
headers_may_have(const struct headers *h, enum header_id id)
{
	return h->have[id >> 6] >> (id & 63) & 1;
}

/* First of that name, or NULL. */
struct header *headers_search(const struct headers *h, enum header_id id);

/* The same; pseudo-headers are where they usually stand: a request's in the order of their ids. */
static inline struct header *
headers_find_id(const struct headers *h, enum header_id id)
{
	uint32_t usual = id <= HDR_SCHEME ? (uint32_t)id - HDR_METHOD : 0;

	if (!headers_may_have(h, id))
		return NULL;
	if (usual < h->len && h->at[usual].id == id)
		return &h->at[usual];
	return headers_search(h, id);
}

/* False: none of the set is there. */
static inline bool
headers_may_have_any(const struct headers *h, const struct header_set *set)
{
	return ((h->have[0] & set->bits[0]) | (h->have[1] & set->bits[1])) != 0;
}

static inline void
headers_remove_set(struct headers *h, const struct header_set *set)
{
	if (headers_may_have_any(h, set))
		headers_remove_set_(h, set);
}

void headers_put_(struct headers *h, const struct header *x);
/* Replaces all of that name by this one, as it is. */
static inline void
headers_put(struct headers *h, const struct header *x)
{
	if (UNLIKELY(headers_may_have(h, (enum header_id)x->id) || h->len == h->cap))
		headers_put_(h, x);
	else
		headers_push(h, x);
}

static inline bool
headers_has(const struct headers *h, enum header_id id)
{
	return headers_find_id(h, id) != NULL;
}

static inline struct str
header_name(const struct header *x)
{
	return str_make(x->name, x->name_len);
}

static inline struct str
header_value(const struct header *x)
{
	return str_make(x->value, x->value_len);
}

static inline void
header_set_value(struct header *x, struct str value)
{
	ASSERT(value.n <= UINT32_MAX);
	x->value = value.p;
	x->value_len = (uint32_t)value.n;
	x->flags = 0;
}

/* Value of the first, or {NULL, 0}. */
static inline struct str
headers_get(const struct headers *h, enum header_id id)
{
	const struct header *x = headers_find_id(h, id);

	return x ? header_value(x) : str_make(NULL, 0);
}

/* :status as a number, 0 when missing or bad. */
static inline unsigned
headers_status(const struct headers *h)
{
	struct str v = headers_get(h, HDR_STATUS);
	unsigned hundreds, tens, ones;

	if (v.n != 3)
		return 0;
	hundreds = (unsigned)(v.p[0] - '0');
	tens = (unsigned)(v.p[1] - '0');
	ones = (unsigned)(v.p[2] - '0');
	return hundreds - 1 < 9 && tens <= 9 && ones <= 9 ? hundreds * 100 + tens * 10 + ones : 0;
}

void headers_set_status(struct headers *h, unsigned status);

#endif
