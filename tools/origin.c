/*
 * origin: the upstream of the quickstart, of tests and of benches.  One
 * process, HTTP/1.1, answers as the URL asks:
 *
 *   origin --name A --port N        (0: the kernel picks) or --uds PATH
 *
 *   any path     ?status=503&delay_ms=200&size=1024&close=1&chunked=1&header=x-a:b
 *   /            one kibibyte of help, built once: the fast path
 *   /echo        the request's head as JSON lines
 *   /count       how many requests came so far
 *   /upload      counts and hashes the body; ?echo=1 sends it back
 *   /ws          a WebSocket that echoes
 *
 * Trusts its peers no more than it must to stay up: heads above 64 KiB,
 * malformed framing and unknown encodings end the connection.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/list.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "tools/sha1.h"

#define HEAD_MAX 65536
#define READ_ROOM 65536
#define OUT_HIGH (1u << 20) /* stop reading above this */
#define PIECE 16384         /* of a generated body */
#define HELP_BYTES 1024

enum body_kind {
	BODY_NONE,
	BODY_LENGTH,
	BODY_CHUNKED,
};

enum chunk_state {
	CHUNK_SIZE,
	CHUNK_DATA,
	CHUNK_END, /* CRLF behind the data */
	CHUNK_TRAILER,
};

/* What the URL and the head of the request at hand ask for. */
struct request {
	struct str method, target, path;
	bool head, upload, echo_body, websocket;
	unsigned status, delay_ms;
	bool has_size, chunked, close;
	uint64_t size;
	struct strb extra; /* header lines */
	enum body_kind body;
	uint64_t body_left; /* of the length or of the chunk */
	enum chunk_state chunk;
	uint64_t body_bytes, body_hash;
};

enum step {
	READING_HEAD,
	READING_BODY,
	WAITING,   /* delay_ms */
	WRITING,   /* a generated body */
	SOCKET,    /* a WebSocket */
};

struct client {
	struct list node;
	int fd;
	enum step step;
	struct strb in, out;
	size_t in_at, out_at;     /* how much of each is done with */
	struct strb head;         /* of the request at hand: slices point into it */
	struct request r;
	uint64_t due_ms;          /* of WAITING */
	uint64_t left;            /* of WRITING */
	bool generated_chunked;
	bool ending;              /* close when all is written */
	bool eof;
	unsigned polled;          /* what epoll is told */
};

static const char *name = "origin";
static int poll_fd;
static uint64_t requests;
static struct list waiting = {&waiting, &waiting};
static char help_keep[HELP_BYTES + 512]; /* head and body */
static size_t help_len;
static struct str help_body;
static char filler[PIECE];

/* ---- answers */

static const char *
reason(unsigned status)
{
	switch (status) {
	case 200: return "OK";
	case 201: return "Created";
	case 204: return "No Content";
	case 301: return "Moved Permanently";
	case 304: return "Not Modified";
	case 400: return "Bad Request";
	case 404: return "Not Found";
	case 429: return "Too Many Requests";
	case 500: return "Internal Server Error";
	case 502: return "Bad Gateway";
	case 503: return "Service Unavailable";
	default: return "Status";
	}
}

/* The page at "/": the name, and what may be asked, filled up to one kibibyte. */
static void
build_help(void)
{
	char body[HELP_BYTES + 1];
	int n = snprintf(body, sizeof(body),
	    "%s answers.\n\n"
	    "Any path answers as its query asks:\n"
	    "  ?status=503     this status\n"
	    "  ?delay_ms=200   after this time\n"
	    "  ?size=1024      with a body of this size\n"
	    "  ?chunked=1      in chunks\n"
	    "  ?close=1        and closes the connection\n"
	    "  ?header=x-a:b   with this header\n"
	    "/echo tells what was asked, /count how often, /upload what was sent, /ws echoes\n",
	    name);

	memset(body + n, ' ', (size_t)(HELP_BYTES - n));
	body[HELP_BYTES - 1] = '\n';
	help_len = (size_t)snprintf(help_keep, sizeof(help_keep),
	    "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\nx-origin: %s\r\n\r\n",
	    HELP_BYTES, name);
	memcpy(help_keep + help_len, body, HELP_BYTES);
	help_body = str_make(help_keep + help_len, HELP_BYTES);
	help_len += HELP_BYTES;
}

static bool
has_no_body(const struct request *r)
{
	return r->status == 204 || r->status == 304;
}

static void
put_head(struct client *c, const char *type, uint64_t length, bool chunked)
{
	struct request *r = &c->r;

	strb_printf(&c->out, "HTTP/1.1 %u %s\r\ncontent-type: %s\r\nx-origin: %s\r\n", r->status,
	    reason(r->status), type, name);
	if (chunked)
		strb_addz(&c->out, "transfer-encoding: chunked\r\n");
	else if (!has_no_body(r))
		strb_printf(&c->out, "content-length: %llu\r\n", (unsigned long long)length);
	if (r->close)
		strb_addz(&c->out, "connection: close\r\n");
	strb_adds(&c->out, strb_str(&r->extra));
	strb_addz(&c->out, "\r\n");
}

static void
put_text(struct client *c, const char *type, struct str text)
{
	struct request *r = &c->r;

	put_head(c, type, text.n, r->chunked && !has_no_body(r));
	if (r->head || has_no_body(r))
		return;
	if (r->chunked)
		strb_printf(&c->out, "%zx\r\n", text.n);
	strb_adds(&c->out, text);
	if (r->chunked)
		strb_addz(&c->out, "\r\n0\r\n\r\n");
}

static void
put_json_string(struct strb *b, struct str s)
{
	strb_addc(b, '"');
	for (size_t i = 0; i < s.n; i++) {
		unsigned char ch = (unsigned char)s.p[i];

		if (ch == '"' || ch == '\\')
			strb_printf(b, "\\%c", ch);
		else if (ch < 32 || ch > 126)
			strb_printf(b, "\\u%04x", ch);
		else
			strb_addc(b, (char)ch);
	}
	strb_addc(b, '"');
}

/* One JSON object a line: the request line, then a header each. */
static void
put_echo(struct client *c)
{
	struct str rest = strb_str(&c->head), line, field;
	struct strb b = {0};

	strb_addz(&b, "{\"method\":");
	put_json_string(&b, c->r.method);
	strb_addz(&b, ",\"target\":");
	put_json_string(&b, c->r.target);
	strb_printf(&b, ",\"origin\":\"%s\"}\n", name);
	str_cut(&rest, '\n', &line);
	while (str_cut(&rest, '\n', &line)) {
		if (line.n && line.p[line.n - 1] == '\r')
			line.n--;
		if (!str_cut(&line, ':', &field) || field.n == 0)
			continue;
		strb_addz(&b, "{\"name\":");
		put_json_string(&b, field);
		strb_addz(&b, ",\"value\":");
		put_json_string(&b, str_trim(line));
		strb_addz(&b, "}\n");
	}
	put_text(c, "application/x-ndjson", strb_str(&b));
	strb_fini(&b);
}

static void
put_upload(struct client *c)
{
	char text[160];
	int n = snprintf(text, sizeof(text), "{\"origin\":\"%s\",\"bytes\":%llu,\"fnv1a64\":\"%016llx\"}\n",
	    name, (unsigned long long)c->r.body_bytes, (unsigned long long)c->r.body_hash);

	put_text(c, "application/json", str_make(text, (size_t)n));
}

static void
put_line(struct client *c)
{
	struct strb b = {0};

	strb_printf(&b, "%s: " STR_FMT " " STR_FMT ", status %u, after %u ms\n", name,
	    STR_ARG(c->r.method), STR_ARG(c->r.target), c->r.status, c->r.delay_ms);
	put_text(c, "text/plain", strb_str(&b));
	strb_fini(&b);
}

static void
put_count(struct client *c)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)requests);

	put_text(c, "text/plain", str_make(text, (size_t)n));
}

/* The whole answer, or its head and the promise of a generated body. */
static void
put_answer(struct client *c)
{
	struct request *r = &c->r;

	c->step = READING_HEAD;
	if (r->upload && r->echo_body) {
		if (r->body == BODY_CHUNKED)
			strb_addz(&c->out, "0\r\n\r\n");
	} else if (r->has_size) {
		put_head(c, "application/octet-stream", r->size, r->chunked && !has_no_body(r));
		if (!r->head && !has_no_body(r)) {
			c->step = WRITING;
			c->left = r->size;
			c->generated_chunked = r->chunked;
		}
	} else if (str_eqz(r->target, "/")) {
		put_text(c, "text/plain", help_body);
	} else if (str_eqz(r->path, "/echo")) {
		put_echo(c);
	} else if (str_eqz(r->path, "/count")) {
		put_count(c);
	} else if (r->upload) {
		put_upload(c);
	} else {
		put_line(c);
	}
	if (r->close && c->step != WRITING)
		c->ending = true;
}

/* Adds the next piece of a generated body while there is room. */
static void
generate(struct client *c)
{
	while (c->left && c->out.n - c->out_at < OUT_HIGH) {
		size_t n = c->left < PIECE ? c->left : PIECE;

		if (c->generated_chunked)
			strb_printf(&c->out, "%zx\r\n", n);
		strb_add(&c->out, filler, n);
		if (c->generated_chunked)
			strb_addz(&c->out, "\r\n");
		c->left -= n;
	}
	if (c->left)
		return;
	if (c->generated_chunked)
		strb_addz(&c->out, "0\r\n\r\n");
	c->step = READING_HEAD;
	if (c->r.close)
		c->ending = true;
}

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
	    accept, name);
	c->step = SOCKET;
}

static void
wait_or_answer(struct client *c)
{
	if (c->r.delay_ms == 0) {
		put_answer(c);
		return;
	}
	c->step = WAITING;
	c->due_ms = clock_mono_ns() / NS_PER_MS + c->r.delay_ms;
	list_push_back(&waiting, &c->node);
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
	requests++;
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
		put_head(c, "application/octet-stream", c->r.body_left, c->r.chunked);
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
		requests++;
		strb_add(&c->out, help_keep, help_len);
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

/* ---- connections */

static void
client_free(struct client *c)
{
	list_remove(&c->node);
	close(c->fd);
	strb_fini(&c->in);
	strb_fini(&c->out);
	strb_fini(&c->head);
	strb_fini(&c->r.extra);
	mem_free(c);
}

/* All that the input allows: 0, or -1 to cut the connection. */
static int
advance(struct client *c)
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
			generate(c);
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

/* False: the connection is dead. */
static bool
write_out(struct client *c)
{
	while (c->out_at < c->out.n) {
		ssize_t n = send(c->fd, c->out.p + c->out_at, c->out.n - c->out_at, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		c->out_at += (size_t)n;
	}
	c->out_at = 0;
	strb_reset(&c->out);
	return true;
}

/* False: the connection is dead. */
static bool
read_in(struct client *c)
{
	ssize_t n;

	strb_reserve(&c->in, READ_ROOM);
	n = recv(c->fd, c->in.p + c->in.n, READ_ROOM, 0);
	if (n == 0)
		c->eof = true;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	c->in.n += (size_t)n;
	return true;
}

static bool
wants_input(const struct client *c)
{
	return !c->eof && !c->ending && c->out.n - c->out_at < OUT_HIGH && c->step != WAITING &&
	    c->step != WRITING && c->in.n - c->in_at < 2 * OUT_HIGH;
}

static void
tell_poll(struct client *c)
{
	unsigned want = (wants_input(c) ? EPOLLIN : 0u) | (c->out_at < c->out.n ? EPOLLOUT : 0u);
	struct epoll_event e = {.events = want, .data.ptr = c};

	if (want != c->polled)
		epoll_ctl(poll_fd, EPOLL_CTL_MOD, c->fd, &e);
	c->polled = want;
}

/* Turns the crank until nothing moves any more. */
static void
work(struct client *c)
{
	bool empty;

	do {
		if (advance(c) < 0 || !write_out(c)) {
			client_free(c);
			return;
		}
		empty = c->out_at == c->out.n;
	} while (empty && c->step == WRITING);
	if (empty && (c->ending || (c->eof && c->step != WAITING))) {
		shutdown(c->fd, SHUT_WR);
		client_free(c);
		return;
	}
	tell_poll(c);
}

static void
on_client(struct client *c, unsigned ready)
{
	if (ready & (EPOLLERR | EPOLLHUP)) {
		client_free(c);
		return;
	}
	if ((ready & EPOLLIN) && !read_in(c)) {
		client_free(c);
		return;
	}
	work(c);
}

static void
accept_clients(int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct client *c = mem_new(struct client);
		struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};

		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
		c->fd = fd;
		c->polled = EPOLLIN;
		if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &e) < 0)
			client_free(c);
	}
}

/* Answers what is due; gives the time to the next in ms, -1 when none waits. */
static int
serve_waiting(void)
{
	uint64_t now, first = UINT64_MAX;

	if (list_empty(&waiting))
		return -1;
	now = clock_mono_ns() / NS_PER_MS;
	list_for_each(n, &waiting) {
		struct client *c = list_entry(n, struct client, node);

		if (c->due_ms > now) {
			first = c->due_ms < first ? c->due_ms : first;
			continue;
		}
		list_remove(&c->node);
		put_answer(c);
		work(c);
	}
	return first == UINT64_MAX ? -1 : (int)(first - now);
}

/* ---- the start */

static int
listen_tcp(uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	socklen_t n = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (fd < 0 || bind(fd, (struct sockaddr *)&in, sizeof(in)) < 0 || listen(fd, 4096) < 0) {
		fprintf(stderr, "origin: port %u: %s\n", port, strerror(errno));
		exit(1);
	}
	getsockname(fd, (struct sockaddr *)&in, &n);
	printf("listening 127.0.0.1:%u\n", ntohs(in.sin_port));
	return fd;
}

static int
listen_path(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(un.sun_path)) {
		fprintf(stderr, "origin: %s: too long\n", path);
		exit(1);
	}
	memcpy(un.sun_path, path, strlen(path) + 1);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&un, sizeof(un)) < 0 || listen(fd, 4096) < 0) {
		fprintf(stderr, "origin: %s: %s\n", path, strerror(errno));
		exit(1);
	}
	printf("listening %s\n", path);
	return fd;
}

static int
read_options(int argc, char **argv)
{
	const char *path = NULL;
	uint64_t port = 0;

	for (int i = 1; i < argc; i += 2) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (value && strcmp(argv[i], "--name") == 0) {
			name = value;
		} else if (value && strcmp(argv[i], "--uds") == 0) {
			path = value;
		} else if (!value || strcmp(argv[i], "--port") != 0 || !str_u64(str_of(value), &port) ||
		    port > 65535) {
			fprintf(stderr, "usage: origin [--name NAME] [--port N | --uds PATH]\n");
			exit(2);
		}
	}
	if (strlen(name) > 64 || strpbrk(name, "\"\\\r\n")) {
		fprintf(stderr, "origin: name: at most 64 plain characters\n");
		exit(2);
	}
	return path ? listen_path(path) : listen_tcp((uint16_t)port);
}

int
main(int argc, char **argv)
{
	int listener = read_options(argc, argv);
	struct epoll_event e = {.events = EPOLLIN}, ready[256];

	fflush(stdout);
	signal(SIGPIPE, SIG_IGN);
	memset(filler, 'x', sizeof(filler));
	build_help();
	poll_fd = epoll_create1(EPOLL_CLOEXEC);
	epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &e);
	for (;;) {
		int n = epoll_wait(poll_fd, ready, 256, serve_waiting());

		for (int i = 0; i < n; i++) {
			if (ready[i].data.ptr == NULL)
				accept_clients(listener);
			else
				on_client(ready[i].data.ptr, ready[i].events);
		}
	}
}
