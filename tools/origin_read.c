#include "tools/origin.h"

#include <string.h>

#include "lib/base/clock.h"
#include "tools/sha1.h"

/* ---- reading a head */

static int
hex_digit(char ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	ch = ch_lower(ch);
	return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

/* ?header=x-a:b, %XX decoded; what cannot stand in a header is left out. */
static void
add_header(struct strb *out, struct str v)
{
	struct strb b = {0};

	for (size_t i = 0; i < v.n; i++) {
		char ch = v.p[i];

		if (ch == '%' && i + 2 < v.n && hex_digit(v.p[i + 1]) >= 0 && hex_digit(v.p[i + 2]) >= 0) {
			ch = (char)(hex_digit(v.p[i + 1]) * 16 + hex_digit(v.p[i + 2]));
			i += 2;
		}
		if ((unsigned char)ch >= 32)
			strb_addc(&b, ch);
	}
	if (b.n && memchr(b.p, ':', b.n))
		strb_printf(out, "%s\r\n", b.p);
	strb_fini(&b);
}

static void
read_parameter(struct request *r, struct str key, struct str value)
{
	uint64_t v = 0;
	bool number = str_u64(value, &v);

	if (str_eqz(key, "status") && number && v >= 200 && v <= 999)
		r->status = (unsigned)v;
	else if (str_eqz(key, "delay_ms") && number && v < 3600000)
		r->delay_ms = (unsigned)v;
	else if (str_eqz(key, "size") && number)
		r->has_size = true, r->size = v;
	else if (str_eqz(key, "seed") && number)
		r->has_seed = true, r->seed = v;
	else if (str_eqz(key, "close"))
		r->close = v != 0;
	else if (str_eqz(key, "chunked"))
		r->chunked = v != 0;
	else if (str_eqz(key, "echo"))
		r->echo_body = v != 0;
	else if (str_eqz(key, "header"))
		add_header(&r->extra, value);
}

static void
read_target(struct request *r)
{
	struct str rest = r->target, pair, key;

	str_cut(&rest, '?', &r->path);
	while (str_cut(&rest, '&', &pair))
		if (str_cut(&pair, '=', &key))
			read_parameter(r, key, pair);
	r->upload = str_eqz(r->path, "/upload");
}

struct seen {
	bool expect, upgrade;
	struct str key; /* Sec-WebSocket-Key */
};

static bool
read_header(struct client *c, struct str field, struct str value, struct seen *seen)
{
	struct request *r = &c->r;

	if (str_ieqz(field, "content-length")) {
		if (!str_u64(value, &r->body_left) || r->body == BODY_CHUNKED)
			return false;
		r->body = r->body_left ? BODY_LENGTH : BODY_NONE;
	} else if (str_ieqz(field, "transfer-encoding")) {
		if (!str_ieqz(value, "chunked"))
			return false;
		r->body = BODY_CHUNKED;
	} else if (str_ieqz(field, "connection")) {
		if (str_ieqz(value, "close"))
			r->close = true;
	} else if (str_ieqz(field, "expect")) {
		seen->expect = str_ieqz(value, "100-continue");
	} else if (str_ieqz(field, "upgrade")) {
		seen->upgrade = str_ieqz(value, "websocket");
	} else if (str_ieqz(field, "sec-websocket-key")) {
		seen->key = value;
	}
	return true;
}

static bool
read_headers(struct client *c, struct seen *seen)
{
	struct str rest = strb_str(&c->head), line, field, version;

	str_cut(&rest, '\n', &line);
	version = line;
	if (version.n && version.p[version.n - 1] == '\r')
		version.n--;
	if (!str_cut(&version, ' ', &c->r.method) || !str_cut(&version, ' ', &c->r.target))
		return false;
	c->r.close = str_eqz(version, "HTTP/1.0");
	c->r.head = str_eqz(c->r.method, "HEAD");
	while (str_cut(&rest, '\n', &line)) {
		if (line.n && line.p[line.n - 1] == '\r')
			line.n--;
		if (line.n == 0)
			continue;
		if (!str_cut(&line, ':', &field) || !read_header(c, field, str_trim(line), seen))
			return false;
	}
	return true;
}

static void
accept_websocket(struct client *c, struct str key)
{
	char accept[32];

	websocket_accept(key.p, key.n, accept);
	strb_printf(&c->out,
	    "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
	    "sec-websocket-accept: %s\r\nx-origin: %s\r\n\r\n",
	    accept, origin_name);
	c->step = SOCKET;
}

static void
wait_or_answer(struct client *c)
{
	if (c->r.delay_ms == 0) {
		answer_put(c);
		return;
	}
	c->step = WAITING;
	c->due_ms = clock_mono_ns() / NS_PER_MS + c->r.delay_ms;
	list_push_back(&origin_waiting, &c->node);
}

static void
request_clear(struct request *r)
{
	strb_fini(&r->extra);
	*r = (struct request){.status = 200, .body_hash = 0xcbf29ce484222325ull};
}

/* False: the connection is to be cut. */
static bool
start_request(struct client *c)
{
	struct seen seen = {0};

	request_clear(&c->r);
	origin_requests++;
	if (!read_headers(c, &seen))
		return false;
	read_target(&c->r);
	if (seen.upgrade && seen.key.n && str_eqz(c->r.path, "/ws")) {
		accept_websocket(c, seen.key);
		return true;
	}
	if (seen.expect && c->r.body != BODY_NONE)
		strb_addz(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
	if (c->r.upload && c->r.echo_body) {
		c->r.chunked = c->r.body == BODY_CHUNKED;
		answer_put_head(c, "application/octet-stream", c->r.body_left, c->r.chunked);
	}
	if (c->r.body == BODY_NONE)
		wait_or_answer(c);
	else
		c->step = READING_BODY;
	return true;
}

/*
 * The commonest request of a bench needs no parsing: "GET / HTTP/1.1" and
 * no header that begins as Content-Length, Connection, Transfer-Encoding,
 * Expect or Upgrade do.
 */
static bool
is_plain(struct str head)
{
	static const char first[] = "GET / HTTP/1.1\r\n";
	const char *p, *end = head.p + head.n;

	if (head.n < sizeof(first) || memcmp(head.p, first, sizeof(first) - 1) != 0)
		return false;
	for (p = head.p; (p = memchr(p, '\n', (size_t)(end - p))) != NULL && ++p < end;)
		if (strchr("cteu", ch_lower(*p)) != NULL)
			return false;
	return true;
}

static struct str
input(const struct client *c)
{
	return str_make(c->in.p + c->in_at, c->in.n - c->in_at);
}

/* 1 a request was read, 0 more bytes are needed, -1 cut the connection. */
static int
read_head(struct client *c)
{
	struct str in = input(c), head;
	const char *end;

	while (in.n && (in.p[0] == '\r' || in.p[0] == '\n'))
		in.p++, in.n--, c->in_at++;
	end = in.n ? memmem(in.p, in.n, "\r\n\r\n", 4) : NULL;
	if (end == NULL)
		return in.n > HEAD_MAX ? -1 : 0;
	head = str_make(in.p, (size_t)(end - in.p) + 4);
	c->in_at += head.n;
	if (is_plain(head)) {
		origin_requests++;
		answer_put_plain(c);
		return 1;
	}
	strb_reset(&c->head);
	strb_adds(&c->head, head);
	return start_request(c) ? 1 : -1;
}

/* ---- reading a body */

static void
take_body(struct client *c, struct str bytes)
{
	struct request *r = &c->r;

	r->body_bytes += bytes.n;
	if (!r->upload)
		return;
	for (size_t i = 0; i < bytes.n; i++)
		r->body_hash = (r->body_hash ^ (unsigned char)bytes.p[i]) * 0x100000001b3ull;
	if (!r->echo_body || bytes.n == 0)
		return;
	if (r->body == BODY_CHUNKED)
		strb_printf(&c->out, "%zx\r\n", bytes.n);
	strb_adds(&c->out, bytes);
	if (r->body == BODY_CHUNKED)
		strb_addz(&c->out, "\r\n");
}

/* Bytes of the piece at hand; true when it is complete. */
static bool
take_piece(struct client *c)
{
	struct str in = input(c);

	if (in.n > c->r.body_left)
		in.n = c->r.body_left;
	take_body(c, in);
	c->in_at += in.n;
	c->r.body_left -= in.n;
	return c->r.body_left == 0;
}

/* A line without its end; false when it is not complete. */
static bool
take_line(struct client *c, struct str *line)
{
	struct str in = input(c);
	const char *end = in.n ? memchr(in.p, '\n', in.n) : NULL;

	if (end == NULL)
		return false;
	*line = str_make(in.p, (size_t)(end - in.p));
	c->in_at += line->n + 1;
	if (line->n && line->p[line->n - 1] == '\r')
		line->n--;
	return true;
}

static bool
read_chunk_size(struct request *r, struct str line)
{
	uint64_t v = 0;
	size_t i;

	for (i = 0; i < line.n && hex_digit(line.p[i]) >= 0; i++) {
		if (v >> 56)
			return false;
		v = v * 16 + (unsigned)hex_digit(line.p[i]);
	}
	if (i == 0 || (i < line.n && line.p[i] != ';' && line.p[i] != ' '))
		return false;
	r->body_left = v;
	r->chunk = v ? CHUNK_DATA : CHUNK_TRAILER;
	return true;
}

/* 1 complete, 0 more bytes are needed, -1 malformed. */
static int
read_chunks(struct client *c)
{
	struct request *r = &c->r;
	struct str line;

	for (;;) {
		if (r->chunk == CHUNK_DATA) {
			if (!take_piece(c))
				return 0;
			r->chunk = CHUNK_END;
		}
		if (!take_line(c, &line))
			return input(c).n > HEAD_MAX ? -1 : 0;
		if (r->chunk == CHUNK_SIZE && !read_chunk_size(r, line))
			return -1;
		else if (r->chunk == CHUNK_END)
			r->chunk = CHUNK_SIZE;
		else if (r->chunk == CHUNK_TRAILER && line.n == 0 && r->body_left == 0)
			return 1;
	}
}

static int
read_body(struct client *c)
{
	int done = c->r.body == BODY_CHUNKED ? read_chunks(c) : take_piece(c);

	if (done == 1)
		wait_or_answer(c);
	return done;
}

/* ---- a WebSocket: each frame goes back unmasked */

/* 1 a frame was answered, 0 more bytes are needed, -1 not a client's frame or too large. */
static int
read_frame(struct client *c)
{
	struct str in = input(c);
	const unsigned char *p = (const unsigned char *)in.p;
	uint64_t n;
	size_t at = 2;

	if (in.n < 2)
		return 0;
	if (!(p[1] & 0x80))
		return -1;
	n = p[1] & 0x7f;
	if (n >= 126) {
		size_t bytes = n == 126 ? 2 : 8;

		if (in.n < 2 + bytes)
			return 0;
		for (n = 0; at < 2 + bytes; at++)
			n = n << 8 | p[at];
	}
	if (n > OUT_HIGH)
		return -1;
	if (in.n < at + 4 + n)
		return 0;
	strb_addc(&c->out, (char)((p[0] & 0x0f) == 9 ? (p[0] & 0xf0) | 10 : p[0])); /* ping, pong */
	strb_addc(&c->out, (char)(at == 2 ? n : at == 4 ? 126 : 127));
	strb_add(&c->out, in.p + 2, at - 2);
	for (size_t i = 0; i < n; i++)
		strb_addc(&c->out, (char)(p[at + 4 + i] ^ p[at + i % 4]));
	c->in_at += at + 4 + n;
	if ((p[0] & 0x0f) == 8)
		c->ending = true;
	return 1;
}

/* ---- as far as it goes */

int
read_advance(struct client *c)
{
	int more = 1;

	while (more > 0 && !c->ending && c->out.n - c->out_at < OUT_HIGH) {
		if (c->step == READING_HEAD)
			more = read_head(c);
		else if (c->step == READING_BODY)
			more = read_body(c);
		else if (c->step == SOCKET)
			more = read_frame(c);
		else if (c->step == WRITING)
			answer_generate(c);
		else
			more = 0;
	}
	if (c->in_at == c->in.n) {
		c->in_at = 0;
		strb_reset(&c->in);
	} else if (c->in_at > READ_ROOM) {
		memmove(c->in.p, c->in.p + c->in_at, c->in.n - c->in_at);
		c->in.n -= c->in_at;
		c->in_at = 0;
	}
	return more < 0 ? -1 : 0;
}
