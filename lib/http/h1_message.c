/*
 * The meaning of a head: one pass over its fields picks out what frames
 * the message or belongs to the connection, then requests and responses
 * have rules of their own (RFC 9112, 3.2, 6 and 9; guards H9-H12, H19-H25).
 * Worker and admin; the map and its bytes are the stream's.
 */
#include "lib/http/h1_message.h"

#include "lib/base/assert.h"
#include "lib/http/status.h"
#include "lib/http/validate.h"

#define MAX_NOMINATED 16

/* What the pass found. */
struct fields {
	unsigned lengths, encodings;
	struct header *length; /* stays in the map */
	struct str encoding, upgrade;
	bool close, keep_alive, upgrading;
	bool bad_connection;
};

/* What Connection names, beside what is known to be of this hop. */
struct nominees {
	unsigned n;
	struct str names[MAX_NOMINATED];
};

/* Names that a request may not have removed on the way: they frame it, route it or say who asks. */
static bool
is_protected(struct str name)
{
	static const struct str names[] = {STR("content-length"), STR("host"), STR("authorization"),
	    STR("cookie"), STR("x-forwarded-for"), STR("x-forwarded-host"),
	    STR("x-forwarded-proto")};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (str_ieq(name, names[i]))
			return true;
	}
	return false;
}

static void
nominate(struct fields *f, struct nominees *gone, struct str name)
{
	if (!valid_token(name) || is_protected(name) || gone->n == MAX_NOMINATED)
		f->bad_connection = true;
	else
		gone->names[gone->n++] = name;
}

static void
read_connection(struct fields *f, struct nominees *gone, struct str list)
{
	struct str token;

	while (str_cut(&list, ',', &token)) {
		token = str_trim(token);
		if (token.n == 0)
			continue;
		if (str_ieqz(token, "close"))
			f->close = true;
		else if (str_ieqz(token, "keep-alive"))
			f->keep_alive = true;
		else if (str_ieqz(token, "upgrade"))
			f->upgrading = true;
		else if (!str_ieqz(token, "te") && !str_ieqz(token, "transfer-encoding"))
			nominate(f, gone, token);
	}
}

/* Takes note of x; true when it stays in the map. */
static bool
read_field(struct fields *f, struct nominees *gone, struct header *x)
{
	switch ((enum header_id)x->id) {
	case HDR_CONTENT_LENGTH:
		return ++f->lengths == 1;
	case HDR_TRANSFER_ENCODING:
		f->encodings++;
		f->encoding = header_value(x);
		return false;
	case HDR_CONNECTION:
		read_connection(f, gone, header_value(x));
		return false;
	case HDR_PROXY_CONNECTION:
		f->close |= str_ieqz(header_value(x), "close");
		return false;
	case HDR_KEEP_ALIVE:
		return false;
	case HDR_UPGRADE:
		f->upgrade = header_value(x);
		return false;
	case HDR_TE:
		return str_ieqz(header_value(x), "trailers");
	default:
		return true;
	}
}

static void
drop_nominated(const struct nominees *gone, struct headers *h)
{
	for (uint32_t i = 0; i < h->len;) {
		unsigned k = 0;

		while (k < gone->n && !str_ieq(header_name(&h->at[i]), gone->names[k]))
			k++;
		if (k < gone->n)
			headers_remove_at(h, i);
		else
			i++;
	}
}

/* Fields of this hop only, beside those of which the parser kept count. */
#define OF_THIS_HOP(ID)                                                                            \
	ID(CONNECTION) ID(KEEP_ALIVE) ID(PROXY_CONNECTION) ID(TE) ID(TRANSFER_ENCODING) ID(UPGRADE)
static const struct header_set of_this_hop = HEADER_SET(OF_THIS_HOP);

static __attribute__((noinline)) void
sift(struct fields *f, struct headers *h)
{
	struct nominees gone;
	uint32_t kept = 0;

	gone.n = 0;
	for (uint32_t i = 0; i < h->len; i++) {
		if (!read_field(f, &gone, &h->at[i]))
			continue;
		if (kept != i)
			h->at[kept] = h->at[i];
		kept++;
	}
	h->len = kept;
	if (gone.n)
		drop_nominated(&gone, h);
}

static inline void
read_fields(struct fields *f, const struct h1_parse *p)
{
	*f = (struct fields){0};
	if (p->framing_lines > 1 || headers_may_have_any(p->headers, &of_this_hop))
		sift(f, p->headers);
	else
		f->lengths = p->framing_lines; /* what else frames is of this hop */
	if (f->lengths)
		f->length = headers_find_id(p->headers, HDR_CONTENT_LENGTH);
}

/* "gzip, chunked" and the like are another's business (501); the rest is nonsense (400). */
static enum h1_error
classify_encoding(struct str list)
{
	struct str token;
	bool chunked = false;

	if (list.n == 0)
		return H1_TE_VALUE;
	if (str_ieqz(list, "chunked"))
		return H1_OK;
	while (str_cut(&list, ',', &token)) {
		const char *semicolon = memchr(token.p, ';', token.n);

		if (semicolon)
			token.n = (size_t)(semicolon - token.p);
		token = str_trim(token);
		if (chunked || !valid_token(token))
			return H1_TE_VALUE;
		chunked = str_ieqz(token, "chunked");
	}
	return H1_TE_CODING;
}

/* One content-length of digits, without the zeros in front. */
static enum h1_error
read_length(const struct fields *f, uint64_t *length)
{
	struct header *x = f->length;

	if (f->lengths > 1 || x == NULL || !valid_content_length(header_value(x), length))
		return H1_CONTENT_LENGTH;
	while (x->value_len > 1 && x->value[0] == '0')
		header_set_value(x, str_make(x->value + 1, x->value_len - 1));
	return H1_OK;
}

static enum h1_error
read_framing(const struct h1_parse *p, const struct fields *f, struct h1_message *m)
{
	enum h1_error e;

	if (f->encodings) {
		e = f->encodings > 1 ? H1_TE_VALUE : classify_encoding(f->encoding);
		if (f->lengths && (e || !p->config->h1.allow_chunked_length))
			return H1_TE_AND_CL;
		if (p->minor == 0)
			return H1_TE_HTTP10;
		if (e)
			return e;
		headers_remove_id(p->headers, HDR_CONTENT_LENGTH);
		m->framing = H1_CHUNKED;
		return H1_OK;
	}
	if (f->lengths == 0)
		return H1_OK;
	e = read_length(f, &m->length);
	if (e == H1_OK && m->length)
		m->framing = H1_LENGTH;
	return e;
}

static bool
says_close(const struct h1_parse *p, const struct fields *f)
{
	return f->close || (p->minor == 0 && !f->keep_alive);
}

static void
keep_upgrade(struct headers *h, const struct fields *f)
{
	headers_add_id(h, HDR_CONNECTION, STR("upgrade"));
	headers_add_id(h, HDR_UPGRADE, f->upgrade);
}

/* ---- requests */

/* The value was checked. */
static void
set_pseudo(struct headers *h, enum header_id id, struct str value)
{
	struct header *x = headers_find_id(h, id);

	if (x == NULL) { /* HTTP/1.0 without Host, but an authority in the target */
		headers_add_id(h, id, value);
		return;
	}
	header_set_value(x, value);
	x->flags = HEADER_SOUND;
}

/* http://authority/path: the authority in it counts, not Host. */
static enum h1_error
absolute_target(struct headers *h, struct str scheme, struct str rest, bool options)
{
	struct str authority = rest, path;
	size_t n = 0;

	while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
		n++;
	authority.n = n;
	if (n == 0 || !valid_authority(authority)) /* also refuses user@ */
		return H1_AUTHORITY;
	path = str_make(rest.p + n, rest.n - n);
	if (path.n == 0) {
		path = options ? STR("*") : STR("/");
	} else if (path.p[0] == '?') {
		char *p = arena_alloc(h->arena, path.n + 1);

		p[0] = '/';
		memcpy(p + 1, path.p, path.n);
		path = str_make(p, path.n + 1);
	}
	set_pseudo(h, HDR_AUTHORITY, authority);
	set_pseudo(h, HDR_PATH, path);
	set_pseudo(h, HDR_SCHEME, scheme);
	return H1_OK;
}

static enum h1_error
read_target(const struct h1_parse *p, struct str target, struct str method)
{
	static const struct str http = STR("http://"), https = STR("https://");
	struct headers *h = p->headers;
	bool options = str_eqz(method, "OPTIONS"), tls = str_istarts(target, https);
	size_t prefix = tls ? https.n : http.n;

	if (target.p[0] == '/') {
		set_pseudo(h, HDR_PATH, target);
		return H1_OK;
	}
	if (str_eqz(target, "*")) {
		set_pseudo(h, HDR_PATH, target);
		return options ? H1_OK : H1_ASTERISK;
	}
	if (!tls && !str_istarts(target, http))
		return H1_TARGET;
	if (!p->config->h1.allow_absolute_url) { /* the owner refuses such a path */
		set_pseudo(h, HDR_PATH, target);
		return H1_OK;
	}
	return absolute_target(h, tls ? STR("https") : STR("http"),
	    str_make(target.p + prefix, target.n - prefix), options);
}

static enum h1_error
read_host(const struct h1_parse *p)
{
	const struct http1_settings *s = &p->config->h1;
	struct str host = str_make(p->base + p->host_at, p->host_len);

	if (p->hosts > 1 || !valid_authority(host))
		return H1_HOST;
	if (p->hosts == 0) {
		if (p->minor > 0)
			return H1_NO_HOST;
		if (!s->accept_http_10 || s->default_host_for_http_10 == NULL) {
			headers_remove_id(p->headers, HDR_AUTHORITY);
			return H1_OK;
		}
		host = str_of(s->default_host_for_http_10);
	}
	set_pseudo(p->headers, HDR_AUTHORITY, host);
	return H1_OK;
}

/* CONNECT has an authority for a target, no path, and no body before the answer. */
static enum h1_error
check_connect(
    const struct h1_parse *p, const struct fields *f, struct str target, struct h1_message *m)
{
	if (f->lengths || f->encodings)
		return H1_UPGRADE_BODY;
	if (!valid_authority(target))
		return H1_AUTHORITY;
	set_pseudo(p->headers, HDR_AUTHORITY, target);
	headers_remove_id(p->headers, HDR_PATH);
	headers_remove_id(p->headers, HDR_SCHEME);
	m->tunnel = true;
	return H1_OK;
}

/* h2c is not offered: such a request is an ordinary one. */
static enum h1_error
read_upgrade(const struct h1_parse *p, const struct fields *f, struct h1_message *m)
{
	if (!f->upgrading || f->upgrade.n == 0 || p->minor == 0)
		return H1_OK;
	if (str_ieqz(f->upgrade, "h2c")) {
		headers_remove(p->headers, STR("http2-settings"));
		return H1_OK;
	}
	if (m->framing != H1_NO_BODY)
		return H1_UPGRADE_BODY;
	keep_upgrade(p->headers, f);
	m->tunnel = true;
	return H1_OK;
}

enum h1_error
h1_check_request(const struct h1_parse *p, struct h1_message *m)
{
	struct str method = header_value(p->headers->at);
	struct str target = str_make(p->base + p->target_at, p->target_len);
	struct fields f;
	enum h1_error e;

	*m = (struct h1_message){0};
	read_fields(&f, p);
	if ((e = read_host(p)) != H1_OK)
		return e;
	if (f.bad_connection)
		return H1_CONNECTION_HEADER;
	m->close = says_close(p, &f);
	if (str_eqz(method, "CONNECT"))
		return check_connect(p, &f, target, m);
	if ((e = read_target(p, target, method)) != H1_OK || (e = read_framing(p, &f, m)) != H1_OK)
		return e;
	return read_upgrade(p, &f, m);
}

/* ---- responses */

static enum h1_error
check_switching(const struct h1_parse *p, const struct h1_question *q, const struct fields *f,
    struct h1_message *m)
{
	if (!q->upgrade)
		return H1_RESPONSE_FRAMING;
	headers_remove_id(p->headers, HDR_CONTENT_LENGTH);
	keep_upgrade(p->headers, f);
	m->tunnel = true;
	m->framing = H1_UNTIL_CLOSE;
	m->close = true;
	return H1_OK;
}

enum h1_error
h1_check_response(const struct h1_parse *p, const struct h1_question *q, struct h1_message *m)
{
	struct fields f;

	*m = (struct h1_message){0};
	read_fields(&f, p);
	m->close = says_close(p, &f);
	if (p->status == 101)
		return check_switching(p, q, &f, m);
	if (read_framing(p, &f, m) != H1_OK)
		return H1_RESPONSE_FRAMING;
	if (q->connect && p->status >= 200 && p->status < 300) {
		headers_remove_id(p->headers, HDR_CONTENT_LENGTH);
		*m = (struct h1_message){.framing = H1_UNTIL_CLOSE, .close = true, .tunnel = true};
		return H1_OK;
	}
	if (p->status < 200 || p->status == 204)
		headers_remove_id(p->headers, HDR_CONTENT_LENGTH);
	if (q->head || status_is_bodiless(p->status)) {
		m->framing = H1_NO_BODY;
	} else if (m->framing == H1_NO_BODY && f.lengths == 0) {
		m->framing = H1_UNTIL_CLOSE;
		m->close = true;
	}
	return H1_OK;
}
