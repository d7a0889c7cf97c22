/*
 * The header map.  Any process that speaks HTTP runs it; arrays and
 * copies live in the map's arena, bytes of names and values are borrowed.
 *
 * Names become ids through a small open-addressing table over length,
 * beginning and end, filled from header_names.def at the first question.
 */
#include "lib/http/headers.h"

#include "lib/base/assert.h"
#include "lib/http/validate.h"

#define ID_SLOT_BITS 9 /* several times HDR_IDS: nearly no second probe */
#define ID_SLOTS (1u << ID_SLOT_BITS)
#define FIRST_CAP 24
#define LINE_EXTRA 4 /* ": " and CRLF */

_Static_assert(HDR_IDS <= 128, "struct headers has 128 bits of `have`");

static const struct str id_names[HDR_IDS] = {
#define HEADER(id, name) [HDR_##id] = {name, sizeof(name) - 1},
#include "lib/http/header_names.def"
#undef HEADER
};

/* The first and the last eight bytes of a name, all of it up to sixteen. */
struct ends {
	uint64_t first, last;
};

static struct ends id_ends[HDR_IDS];
static uint8_t id_slots[ID_SLOTS];
static bool id_slots_filled;

/* n > 0.  Of less than eight bytes `first` has all. */
static inline struct ends
ends_of(const char *p, size_t n)
{
	struct ends e = {0, 0};

	if (n >= 8) {
		memcpy(&e.first, p, 8);
		memcpy(&e.last, p + n - 8, 8);
	} else if (n >= 4) {
		uint32_t low, high;

		memcpy(&low, p, 4);
		memcpy(&high, p + n - 4, 4);
		e.first = (uint64_t)high << 32 | low;
	} else {
		e.first = (unsigned char)p[0] | (uint64_t)(unsigned char)p[n / 2] << 8 |
			  (uint64_t)(unsigned char)p[n - 1] << 16;
	}
	return e;
}

static inline unsigned
id_slot(struct ends e, size_t n)
{
	return (unsigned)((e.first ^ e.last * 31 ^ n) * 0x9e3779b97f4a7c15ull >> (64 - ID_SLOT_BITS));
}

/* These two stay out of header_id_of(), which shall not save registers for them. */
static __attribute__((noinline)) enum header_id
long_header_id_of(struct str name, unsigned slot)
{
	for (; id_slots[slot]; slot = (slot + 1) % ID_SLOTS)
		if (str_eq(id_names[id_slots[slot]], name))
			return (enum header_id)id_slots[slot];
	return HDR_OTHER;
}

static __attribute__((noinline, cold)) enum header_id
first_header_id_of(struct str name)
{
	for (unsigned id = HDR_OTHER + 1; id < HDR_IDS; id++) {
		unsigned slot;

		id_ends[id] = ends_of(id_names[id].p, id_names[id].n);
		slot = id_slot(id_ends[id], id_names[id].n);
		while (id_slots[slot])
			slot = (slot + 1) % ID_SLOTS;
		id_slots[slot] = (uint8_t)id;
	}
	id_slots_filled = true;
	return header_id_of(name);
}

enum header_id
header_id_of(struct str name)
{
	struct ends e;
	unsigned slot, id;

	if (name.n == 0)
		return HDR_OTHER;
	if (UNLIKELY(!id_slots_filled))
		return first_header_id_of(name);
	e = ends_of(name.p, name.n);
	slot = id_slot(e, name.n);
	if (name.n > 16)
		return long_header_id_of(name, slot);
	for (; (id = id_slots[slot]) != 0; slot = (slot + 1) % ID_SLOTS)
		if (id_names[id].n == name.n && id_ends[id].first == e.first &&
		    id_ends[id].last == e.last)
			return (enum header_id)id;
	return HDR_OTHER;
}

struct str
header_id_name(enum header_id id)
{
	return id_names[id];
}

void
headers_init(struct headers *h, struct arena *arena)
{
	*h = (struct headers){.arena = arena};
}

void
headers_grow(struct headers *h)
{
	uint32_t cap = h->cap ? h->cap * 2 : FIRST_CAP;
	struct header *more = arena_alloc(h->arena, cap * sizeof(*more));

	if (h->len)
		memcpy(more, h->at, h->len * sizeof(*more));
	h->at = more;
	h->cap = cap;
}

static bool
is_pseudo(const struct header *x)
{
	return x->name_len && x->name[0] == ':';
}

/* Pseudo-headers stand first: makes room behind the last of them. */
static struct header *
open_pseudo(struct headers *h)
{
	uint32_t i = h->len - 1;

	while (i > 0 && !is_pseudo(&h->at[i - 1]))
		i--;
	memmove(&h->at[i + 1], &h->at[i], (h->len - 1 - i) * sizeof(*h->at));
	return &h->at[i];
}

void
headers_add_known(struct headers *h, enum header_id id, struct str name, struct str value)
{
	struct header *x;

	ASSERT(name.n <= UINT16_MAX && value.n <= UINT32_MAX);
	if (h->len == h->cap)
		headers_grow(h);
	x = &h->at[h->len++];
	if (name.n && name.p[0] == ':' && h->len > 1 && !is_pseudo(x - 1))
		x = open_pseudo(h);
	*x = (struct header){
	    name.p, value.p, (uint32_t)value.n, (uint16_t)name.n, (uint8_t)id, 0};
	h->have[id >> 6] |= 1ull << (id & 63);
}

void
headers_add(struct headers *h, struct str name, struct str value)
{
	headers_add_known(h, header_id_of(name), name, value);
}

void
headers_add_id(struct headers *h, enum header_id id, struct str value)
{
	headers_add_known(h, id, id_names[id], value);
}

static bool
named(const struct header *x, enum header_id id, struct str name)
{
	return x->id == id && (id != HDR_OTHER || str_eq(header_name(x), name));
}

/* Drops every header of that name from position `from` on. */
static void
drop(struct headers *h, enum header_id id, struct str name, uint32_t from)
{
	uint32_t kept = from;

	for (uint32_t i = from; i < h->len; i++) {
		if (!named(&h->at[i], id, name))
			h->at[kept++] = h->at[i];
	}
	h->len = kept;
}

static void
replace(struct headers *h, enum header_id id, struct str name, struct str value)
{
	for (uint32_t i = 0; headers_may_have(h, id) && i < h->len; i++) {
		if (named(&h->at[i], id, name)) {
			header_set_value(&h->at[i], value);
			drop(h, id, name, i + 1);
			return;
		}
	}
	headers_add_known(h, id, name, value);
}

void
headers_set_id(struct headers *h, enum header_id id, struct str value)
{
	replace(h, id, id_names[id], value);
}

/* Room for a line with that name, whose beginning is written. */
static char *
start_line(struct arena *a, enum header_id id, size_t value_room)
{
	size_t n = id_names[id].n;
	char *p = arena_alloc(a, n + value_room + LINE_EXTRA);

	memcpy(p, id_names[id].p, n);
	memcpy(p + n, ": ", 2);
	return p;
}

static struct str
finish_line(char *p, enum header_id id, size_t value_len)
{
	size_t n = id_names[id].n + 2 + value_len;

	memcpy(p + n, "\r\n", 2);
	return str_make(p, n + 2);
}

struct str
header_line(struct arena *a, enum header_id id, struct str value)
{
	char *p;

	if (!valid_value(value))
		return str_make(NULL, 0);
	p = start_line(a, id, value.n);
	if (value.n)
		memcpy(p + id_names[id].n + 2, value.p, value.n);
	return finish_line(p, id, value.n);
}

void
headers_put_(struct headers *h, const struct header *x)
{
	headers_remove_id(h, (enum header_id)x->id);
	headers_push(h, x);
}

void
headers_set_line(struct headers *h, enum header_id id, struct str line)
{
	struct header x = header_of_line(id, id_names[id].n, line);

	headers_put(h, &x);
}

void
headers_set_number(struct headers *h, enum header_id id, uint64_t value)
{
	char *p = start_line(h->arena, id, 20);

	headers_set_line(h, id, finish_line(p, id, u64_write(p + id_names[id].n + 2, value)));
}

void
headers_set(struct headers *h, struct str name, struct str value)
{
	replace(h, header_id_of(name), name, value);
}

void
headers_remove_id(struct headers *h, enum header_id id)
{
	if (!headers_may_have(h, id))
		return;
	drop(h, id, id_names[id], 0);
	h->have[id >> 6] &= ~(1ull << (id & 63));
}

void
headers_remove_set_(struct headers *h, const struct header_set *set)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < h->len; i++) {
		if (!header_set_has(set, (enum header_id)h->at[i].id))
			h->at[kept++] = h->at[i];
	}
	h->len = kept;
	h->have[0] &= ~set->bits[0];
	h->have[1] &= ~set->bits[1];
}

void
headers_remove(struct headers *h, struct str name)
{
	enum header_id id = header_id_of(name);

	if (id == HDR_OTHER)
		drop(h, id, name, 0);
	else
		headers_remove_id(h, id);
}

void
headers_remove_at(struct headers *h, uint32_t i)
{
	ASSERT(i < h->len);
	h->len--;
	memmove(&h->at[i], &h->at[i + 1], (h->len - i) * sizeof(*h->at));
}

struct header *
headers_search(const struct headers *h, enum header_id id)
{
	for (uint32_t i = 0; i < h->len; i++) {
		if (h->at[i].id == id)
			return &h->at[i];
	}
	return NULL;
}

struct header *
headers_find(const struct headers *h, struct str name)
{
	enum header_id id = header_id_of(name);

	if (id != HDR_OTHER)
		return headers_find_id(h, id);
	for (uint32_t i = 0; i < h->len; i++) {
		if (named(&h->at[i], id, name))
			return &h->at[i];
	}
	return NULL;
}

struct str
headers_get_name(const struct headers *h, struct str name)
{
	const struct header *x = headers_find(h, name);

	return x ? header_value(x) : str_make(NULL, 0);
}

/* Number of headers of that name; *bytes of their values together. */
static uint32_t
count_named(const struct headers *h, enum header_id id, struct str name, size_t *bytes)
{
	uint32_t n = 0;

	*bytes = 0;
	for (uint32_t i = 0; i < h->len; i++) {
		if (named(&h->at[i], id, name)) {
			*bytes += h->at[i].value_len;
			n++;
		}
	}
	return n;
}

struct str
headers_joined(const struct headers *h, struct str name)
{
	enum header_id id = header_id_of(name);
	size_t bytes;
	uint32_t n = count_named(h, id, name, &bytes);
	char *p, *to;

	if (n <= 1)
		return headers_get_name(h, name);
	p = to = arena_alloc(h->arena, bytes + n);
	for (uint32_t i = 0; i < h->len; i++) {
		const struct header *x = &h->at[i];

		if (!named(x, id, name))
			continue;
		if (x->value_len)
			memcpy(to, x->value, x->value_len);
		to += x->value_len;
		*to++ = ',';
	}
	return str_make(p, (size_t)(to - p) - 1);
}

uint64_t
headers_bytes(const struct headers *h)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < h->len; i++)
		n += h->at[i].name_len + (uint64_t)h->at[i].value_len;
	return n;
}

void
headers_copy(struct headers *to, const struct headers *from)
{
	for (uint32_t i = 0; i < from->len; i++) {
		const struct header *x = &from->at[i];
		struct str name = header_name(x);

		name = x->id != HDR_OTHER ? id_names[x->id] : arena_str(to->arena, name);
		headers_add_known(
		    to, (enum header_id)x->id, name, arena_str(to->arena, header_value(x)));
	}
}

void
headers_append(struct headers *h, enum header_id id, struct str value, const char *joiner)
{
	struct header *x = headers_find_id(h, id);
	size_t old, j = strlen(joiner);
	char *p;

	if (x == NULL) {
		headers_add_id(h, id, value);
		return;
	}
	old = x->value_len;
	p = arena_alloc(h->arena, old + j + value.n);
	if (old)
		memcpy(p, x->value, old);
	memcpy(p + old, joiner, j);
	if (value.n)
		memcpy(p + old + j, value.p, value.n);
	header_set_value(x, str_make(p, old + j + value.n));
}

void
headers_set_status(struct headers *h, unsigned status)
{
	char *p = arena_alloc(h->arena, 3);

	ASSERT(status >= 100 && status <= 999);
	p[0] = (char)('0' + status / 100);
	p[1] = (char)('0' + status / 10 % 10);
	p[2] = (char)('0' + status % 10);
	headers_set_id(h, HDR_STATUS, str_make(p, 3));
}
