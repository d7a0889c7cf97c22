/*
 * Header maps and nghttp2's fields.  Inside the proxy a request has its
 * HTTP/1 shape; here it gets it and loses it again: extended CONNECT
 * (RFC 8441) ⇄ GET with upgrade, its 200 ⇄ 101, `host` ⇄ :authority,
 * cookie crumbs ⇄ one cookie, and no connection headers on HTTP/2.
 *
 * Received bytes are copied once, into the stream's arena.  Sent bytes
 * are not copied: names and values must live as long as that arena.
 */
#include "lib/http/h2_private.h"

#include "lib/base/vec.h"
#include "lib/http/validate.h"

static const struct codec_error no_host = {400, "missing_host_header"};
static const struct codec_error by_guard[] = {
	{400, "http2.codec_error.method"},
	{400, "http2.codec_error.scheme"},
	{400, "http2.codec_error.target"},
	{400, "http2.codec_error.asterisk"},
	{400, "http2.codec_error.authority"},
	{400, "http2.codec_error.host"},
	{400, "http2.codec_error.header_name"},
	{400, "http2.codec_error.control_char"},
	{400, "http2.codec_error.connection_header"},
	{400, "http2.codec_error.content_length"},
};

void
h2_block_begin(struct h2_stream *s)
{
	s->block = arena_new(s->pub.arena, struct headers);
	headers_init(s->block, s->pub.arena);
	s->block_fields = s->block_cookies = 0;
	s->block_bytes = 0;
}

/* Envoy's measure: bytes of names and values, and the number of fields with all crumbs of a cookie
 * as one. */
static bool
over_limit(struct h2_stream *s, enum header_id id, size_t bytes)
{
	const struct codec_config *cfg = &s->h2->config;

	s->block_bytes += bytes;
	if (id != HDR_COOKIE || s->block_cookies++ == 0)
		s->block_fields++;
	return s->block_bytes > cfg->max_headers_bytes || s->block_fields > cfg->max_headers_count;
}

/* True when the field is not to be kept; *verdict says whether that is an error. */
static bool
underscored(struct h2_stream *s, struct str name, enum h2_field *verdict)
{
	struct h2 *h2 = s->h2;

	if (!h2->codec.server || h2->config.underscores == UNDERSCORE_ALLOW ||
	    memchr(name.p, '_', name.n) == NULL)
		return false;
	if (h2->config.underscores == UNDERSCORE_DROP) {
		stat_inc(&h2->config.h2_stats->dropped_headers_with_underscores);
		return true;
	}
	stat_inc(&h2->config.h2_stats->requests_rejected_with_underscores_in_headers);
	*verdict = H2_FIELD_UNDERSCORE;
	return true;
}

/* As HTTP/1 would write it: "name: value" and CRLF. */
static void
add_line(struct headers *h, enum header_id id, struct str name, struct str value)
{
	char *p = arena_alloc(h->arena, name.n + value.n + 4);

	if (name.n)
		memcpy(p, name.p, name.n);
	memcpy(p + name.n, ": ", 2);
	if (value.n)
		memcpy(p + name.n + 2, value.p, value.n);
	memcpy(p + name.n + 2 + value.n, "\r\n", 2);
	*headers_place(h, id) = (struct header){.name = p,
	    .value = p + name.n + 2,
	    .value_len = (uint32_t)value.n,
	    .name_len = (uint16_t)name.n,
	    .id = (uint8_t)id};
}

enum h2_field
h2_block_add(struct h2_stream *s, struct str name, struct str value)
{
	enum header_id id = header_id_of(name);
	enum h2_field verdict = H2_FIELD_OK;

	if (name.n > UINT16_MAX || over_limit(s, id, name.n + value.n))
		return H2_FIELD_OVERFLOW;
	if (id == HDR_OTHER && underscored(s, name, &verdict))
		return verdict;
	if (name.n && name.p[0] == ':')
		headers_add_known(s->block, id,
		    id == HDR_OTHER ? arena_str(s->pub.arena, name) : header_id_name(id),
		    arena_str(s->pub.arena, value));
	else
		add_line(s->block, id, name, value);
	return H2_FIELD_OK;
}

/*
 * The block was found to be what HTTP/1 may carry: its writer need not look
 * again.  A length it writes itself, without zeros in front.
 */
static void
mark_sound(struct headers *h)
{
	for (uint32_t i = 0; i < h->len; i++) {
		struct header *x = &h->at[i];

		if (x->name[0] == ':')
			x->flags = HEADER_SOUND;
		else if (x->id != HDR_CONTENT_LENGTH)
			x->flags = HEADER_SOUND | HEADER_LINE;
	}
}

/* RFC 9113 8.2.3: crumbs become one cookie, joined with "; ". */
static void
join_cookies(struct h2_stream *s)
{
	struct headers *h = s->block;
	size_t n = 0, first = 0;
	char *p, *at;

	if (s->block_cookies < 2)
		return;
	for (uint32_t i = 0; i < h->len; i++)
		n += h->at[i].id == HDR_COOKIE ? h->at[i].value_len + 2 : 0;
	at = p = arena_alloc(s->pub.arena, n);
	for (uint32_t i = h->len; i-- > 0;)
		first = h->at[i].id == HDR_COOKIE ? i : first;
	for (uint32_t i = (uint32_t)first; i < h->len; i++) {
		struct header *x = &h->at[i];

		if (x->id != HDR_COOKIE)
			continue;
		memcpy(at, x->value, x->value_len);
		memcpy(at + x->value_len, "; ", 2);
		at += x->value_len + 2;
	}
	headers_set_id(h, HDR_COOKIE, str_make(p, n - 2));
}

/* RFC 8441: CONNECT with :protocol is GET with upgrade in HTTP/1. */
static void
connect_to_upgrade(struct h2_stream *s)
{
	struct headers *h = s->block;
	struct str type = headers_get(h, HDR_PROTOCOL);

	if (type.n == 0 || !str_eq(headers_get(h, HDR_METHOD), STR("CONNECT")))
		return;
	s->upgrade = type;
	headers_remove_id(h, HDR_PROTOCOL);
	headers_remove_id(h, HDR_CONTENT_LENGTH);
	headers_set_id(h, HDR_METHOD, STR("GET"));
	headers_add_id(h, HDR_UPGRADE, type);
	headers_add_id(h, HDR_CONNECTION, STR("upgrade"));
}

/* Everything nghttp2 lets through that HTTP/1 could not carry, or could carry in two ways. */
static const struct codec_error *
check_request(const struct headers *h)
{
	const char *guard = validate_request_headers(h, true), *name;

	if (guard == NULL)
		return NULL;
	if (!headers_has(h, HDR_AUTHORITY) && !headers_has(h, HDR_HOST))
		return &no_host;
	for (size_t i = 0; i < ARRAY_LEN(by_guard); i++) {
		name = strrchr(by_guard[i].details, '.') + 1;
		if (strcmp(name, guard) == 0)
			return &by_guard[i];
	}
	UNREACHABLE();
}

const struct codec_error *
h2_block_to_request(struct h2_stream *s)
{
	struct headers *h = s->block;
	const struct codec_error *e = check_request(h);

	s->pub.head_request = str_eq(headers_get(h, HDR_METHOD), STR("HEAD"));
	if (e)
		return e;
	mark_sound(h);
	join_cookies(s);
	connect_to_upgrade(s);
	if (!headers_has(h, HDR_AUTHORITY))
		headers_set_id(h, HDR_AUTHORITY, headers_get(h, HDR_HOST));
	headers_remove_id(h, HDR_HOST);
	return NULL;
}

void
h2_block_to_response(struct h2_stream *s)
{
	struct headers *h = s->block;

	mark_sound(h);
	if (s->upgrade.n == 0 || headers_status(h) != 200)
		return;
	headers_set_status(h, 101);
	headers_remove_id(h, HDR_CONTENT_LENGTH);
	headers_add_id(h, HDR_UPGRADE, s->upgrade);
	headers_add_id(h, HDR_CONNECTION, STR("upgrade"));
	s->pub.upgraded = true;
}

/* RFC 9113 8.2.2: what belongs to an HTTP/1 connection does not travel. */
static bool
is_of_connection(const struct header *x)
{
	switch (x->id) {
	case HDR_CONNECTION:
	case HDR_KEEP_ALIVE:
	case HDR_PROXY_CONNECTION:
	case HDR_TRANSFER_ENCODING:
	case HDR_UPGRADE:
	case HDR_HOST:
		return true;
	case HDR_TE:
		return !str_ieq(header_value(x), STR("trailers"));
	default:
		return false;
	}
}

static void
add_field(nghttp2_nv *nv, struct str name, struct str value)
{
	*nv = (nghttp2_nv){(uint8_t *)(uintptr_t)name.p, (uint8_t *)(uintptr_t)value.p, name.n,
	    value.n, NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

/* An upgrade on HTTP/2: GET is CONNECT, 101 is 200, and there is no length. */
static bool
switches_protocols(const struct h2_stream *s, const struct headers *h)
{
	return s->upgrade.n && (headers_has(h, HDR_METHOD) || headers_status(h) == 101);
}

static struct str
field_value(const struct header *x, bool switching)
{
	if (switching && x->id == HDR_METHOD)
		return STR("CONNECT");
	if (switching && x->id == HDR_STATUS)
		return STR("200");
	return header_value(x);
}

static bool
is_left_out(const struct header *x, bool switching, bool connect)
{
	return is_of_connection(x) || (switching && x->id == HDR_CONTENT_LENGTH) ||
	       (connect && (x->id == HDR_SCHEME || x->id == HDR_PATH));
}

nghttp2_nv *
h2_fields(struct h2_stream *s, const struct headers *h, size_t *n)
{
	static VEC(nghttp2_nv) scratch;
	bool switching = switches_protocols(s, h);
	bool connect = !switching && str_eq(headers_get(h, HDR_METHOD), STR("CONNECT"));

	*n = 0;
	vec_reserve(&scratch, h->len + 2u);
	for (uint32_t i = 0; i < h->len; i++) {
		const struct header *x = &h->at[i];

		if (is_left_out(x, switching, connect))
			continue;
		add_field(&scratch.at[(*n)++], header_name(x), field_value(x, switching));
		if (switching && x->id == HDR_METHOD)
			add_field(&scratch.at[(*n)++], STR(":protocol"), s->upgrade);
	}
	return scratch.at;
}
