/*
 * The HTTP/1 writer.  Worker and admin.  Bytes go straight into the
 * output's chunk: room for the whole head is reserved before.
 */
#include "lib/http/h1_encode.h"

#include "lib/base/assert.h"
#include "lib/http/status.h"
#include "lib/http/validate.h"

#define LINE_EXTRA 4   /* ": " and CRLF */
#define FIXED_ROOM 256 /* start line, framing and connection headers, CRLFs */

/* A place to write, inside a reservation. */
struct pen {
	char *p;
};

static void
put(struct pen *w, const char *p, size_t n)
{
	if (n)
		memcpy(w->p, p, n);
	w->p += n;
}

static void
put_str(struct pen *w, struct str s)
{
	put(w, s.p, s.n);
}

#define PUT(w, lit) put(w, "" lit, sizeof(lit) - 1)

static void
put_proper_name(struct pen *w, struct str name)
{
	char *p = w->p;
	bool first = true;

	put_str(w, name);
	for (size_t i = 0; i < name.n; i++) {
		if (first && (unsigned)(p[i] - 'a') < 26u)
			p[i] = (char)(p[i] - 0x20);
		first = p[i] == '-';
	}
}

static void
put_field(struct pen *w, struct str name, struct str value, bool proper_case)
{
	if (proper_case)
		put_proper_name(w, name);
	else
		put_str(w, name);
	PUT(w, ": ");
	put_str(w, value);
	PUT(w, "\r\n");
}

/* Not written from the map: not fields, or written by ourselves, or of this hop only. */
#define NOT_COPIED(ID)                                                                             \
	ID(METHOD) ID(PATH) ID(AUTHORITY) ID(SCHEME) ID(STATUS) ID(PROTOCOL)                       \
	ID(CONTENT_LENGTH) ID(KEEP_ALIVE) ID(PROXY_CONNECTION) ID(TRANSFER_ENCODING)               \
	ID(HOST) /* a request has it from :authority */
#define NOT_COPIED_IF_PLAIN(ID) NOT_COPIED(ID) ID(CONNECTION) ID(UPGRADE)

static const struct header_set not_copied = HEADER_SET(NOT_COPIED);
static const struct header_set not_copied_if_plain = HEADER_SET(NOT_COPIED_IF_PLAIN);

static bool
is_sound(const struct header *x)
{
	return (x->flags & HEADER_SOUND) ||
	       ((x->id != HDR_OTHER || valid_name(header_name(x))) && valid_value(header_value(x)));
}

/* Fields that lie behind each other as they were received are copied in one. */
static void
put_fields(struct pen *w, const struct headers *h, const struct h1_encode *e)
{
	const struct header_set *skip = e->upgrade ? &not_copied : &not_copied_if_plain;
	uint8_t copied = e->proper_case ? 0 : HEADER_LINE;
	const char *lines = "";
	size_t n = 0;

	for (const struct header *x = h->at, *end = x + h->len; x < end; x++) {
		if (header_set_has(skip, (enum header_id)x->id) && x != e->length_as_is)
			continue;
		if (x->flags & copied) {
			if (lines + n != x->name) {
				put(w, lines, n);
				lines = x->name;
				n = 0;
			}
			n += x->name_len + x->value_len + LINE_EXTRA;
			continue;
		}
		put(w, lines, n);
		n = 0;
		if (x->name_len && x->name[0] != ':' && is_sound(x))
			put_field(w, header_name(x), header_value(x), e->proper_case);
	}
	put(w, lines, n);
}

/* Framing and connection headers, and the end of the head. */
static void
put_ours(struct pen *w, const struct h1_encode *e)
{
	char digits[20];

	if (e->has_length && e->length_as_is == NULL)
		put_field(w, STR("content-length"), str_make(digits, u64_write(digits, e->length)),
		    e->proper_case);
	if (e->chunked)
		put_field(w, STR("transfer-encoding"), STR("chunked"), e->proper_case);
	if (e->connection)
		put_field(w, STR("connection"), str_of(e->connection), e->proper_case);
	PUT(w, "\r\n");
}

/* Room for a head: every field once, `more` bytes, and what we add. */
static char *
reserve(struct buf *out, const struct headers *h, size_t more, struct pen *w)
{
	size_t room;

	w->p = buf_reserve(out, headers_bytes(h) + h->len * LINE_EXTRA + more + FIXED_ROOM, &room);
	return w->p;
}

void
h1_encode_length(struct h1_encode *e, const struct headers *h)
{
	const struct header *x = headers_find_id(h, HDR_CONTENT_LENGTH);

	e->has_length = x && valid_content_length(header_value(x), &e->length);
	e->length_as_is = e->has_length && (x->flags & HEADER_SOUND) ? x : NULL;
}

void
h1_encode_set_length(struct h1_encode *e, bool has, uint64_t length)
{
	e->has_length = has;
	e->length = length;
	e->length_as_is = NULL;
}

void
h1_encode_response(struct buf *out, const struct headers *h, const struct h1_encode *e)
{
	unsigned status = headers_status(h);
	struct pen w;
	char *begin = reserve(out, h, 0, &w);

	ASSERT(status >= 100);
	if (e->http10)
		PUT(&w, "HTTP/1.0 ");
	else
		PUT(&w, "HTTP/1.1 ");
	put_str(&w, headers_get(h, HDR_STATUS));
	PUT(&w, " ");
	put_str(&w, status_reason(status));
	PUT(&w, "\r\n");
	put_fields(&w, h, e);
	put_ours(&w, e);
	buf_commit(out, (size_t)(w.p - begin));
}

/* The parts of a request's first line, looked up once. */
struct request_line {
	const struct header *method, *path, *authority, *scheme; /* NULL: not there */
	bool connect;
};

static struct str
value_of(const struct header *x)
{
	return x ? header_value(x) : str_make(NULL, 0);
}

static void
find_request_line(struct request_line *l, const struct headers *h)
{
	l->method = headers_find_id(h, HDR_METHOD);
	l->path = headers_find_id(h, HDR_PATH);
	l->authority = headers_find_id(h, HDR_AUTHORITY);
	l->scheme = headers_find_id(h, HDR_SCHEME);
	l->connect = str_eqz(value_of(l->method), "CONNECT");
}

static void
put_target(struct pen *w, const struct request_line *l, const struct h1_encode *e)
{
	struct str authority = value_of(l->authority);

	if (l->connect) {
		put_str(w, authority);
		return;
	}
	if (e->absolute && authority.n) {
		put_str(w, value_of(l->scheme));
		PUT(w, "://");
		put_str(w, authority);
	}
	put_str(w, value_of(l->path));
}

/* Was it found sound when it came, and not changed since? */
static bool
was_checked(const struct header *x)
{
	return x && (x->flags & HEADER_SOUND) && x->value_len > 0;
}

static bool
can_write_request(const struct request_line *l, const struct h1_encode *e)
{
	struct str authority = value_of(l->authority), scheme = value_of(l->scheme);

	if (!was_checked(l->method) && !valid_token(value_of(l->method)))
		return false;
	if (!was_checked(l->authority) && !valid_authority(authority))
		return false;
	if (l->connect)
		return authority.n > 0;
	if (e->absolute && !str_eqz(scheme, "http") && !str_eqz(scheme, "https"))
		return false;
	return was_checked(l->path) || valid_target(value_of(l->path));
}

bool
h1_encode_request(struct buf *out, const struct headers *h, const struct h1_encode *e)
{
	struct request_line l;
	struct str authority;
	struct pen w;
	char *begin;

	find_request_line(&l, h);
	if (!can_write_request(&l, e))
		return false;
	authority = value_of(l.authority);
	begin = reserve(out, h, authority.n, &w); /* it may stand in the URL too */
	put_str(&w, value_of(l.method));
	PUT(&w, " ");
	put_target(&w, &l, e);
	PUT(&w, " HTTP/1.1\r\n");
	put_str(&w, e->proper_case ? STR("Host: ") : STR("host: "));
	put_str(&w, authority);
	PUT(&w, "\r\n");
	put_fields(&w, h, e);
	put_ours(&w, e);
	buf_commit(out, (size_t)(w.p - begin));
	return true;
}

/*
 * Framing bytes of all connections of the process share one chunk: bytes
 * that never change are safe to share, and no chunk is spent on two bytes.
 */
static struct chunk *framing;

static void
add_framing(struct buf *out, const char *p, size_t n)
{
	if (framing == NULL || framing->cap - framing->used < n) {
		chunk_unref(&framing);
		framing = chunk_new(BUF_SMALL);
	}
	memcpy(framing->data + framing->used, p, n);
	framing->used += (uint32_t)n;
	buf_add_slice(out, framing, framing->used - (uint32_t)n, (uint32_t)n);
}

void
h1_encode_chunk(struct buf *out, struct buf *data)
{
	static const char hex[] = "0123456789abcdef";
	char size[18], *p = size + sizeof(size);
	size_t n = data->len;

	ASSERT(n > 0);
	*--p = '\n';
	*--p = '\r';
	for (; n; n >>= 4)
		*--p = hex[n & 15];
	add_framing(out, p, (size_t)(size + sizeof(size) - p));
	buf_move(out, data);
	add_framing(out, "\r\n", 2);
}

static bool
may_be_trailer(const struct header *x)
{
	return x->name_len && x->name[0] != ':' && !trailer_forbidden((enum header_id)x->id) &&
	       is_sound(x);
}

void
h1_encode_last_chunk(struct buf *out, const struct headers *trailers, bool proper_case)
{
	struct pen w;
	char *begin;

	if (trailers == NULL || trailers->len == 0) {
		add_framing(out, "0\r\n\r\n", 5);
		return;
	}
	begin = reserve(out, trailers, 0, &w);
	PUT(&w, "0\r\n");
	for (uint32_t i = 0; i < trailers->len; i++) {
		const struct header *x = &trailers->at[i];

		if (may_be_trailer(x))
			put_field(&w, header_name(x), header_value(x), proper_case);
	}
	PUT(&w, "\r\n");
	buf_commit(out, (size_t)(w.p - begin));
}
