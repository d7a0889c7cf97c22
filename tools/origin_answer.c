#include "tools/origin.h"

#include <stdio.h>
#include <string.h>

#define PIECE 16384 /* of a generated body */
#define HELP_BYTES 1024

static char help_keep[HELP_BYTES + 512]; /* head and body of the page at "/" */
static size_t help_len;
static struct str help_body;
static char filler[PIECE];

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

/* The page at "/": who answers and what may be asked, filled up to one kibibyte. */
void
answer_init(void)
{
	char body[HELP_BYTES + 1];
	int n = snprintf(body, sizeof(body),
	    "%s answers.\n\n"
	    "Any path answers as its query asks:\n"
	    "  ?status=503     this status\n"
	    "  ?delay_ms=200   after this time\n"
	    "  ?size=1024      with a body of this size\n"
	    "  &seed=7         whose bytes tell their place\n"
	    "  ?chunked=1      in chunks\n"
	    "  ?close=1        and closes the connection\n"
	    "  ?header=x-a:b   with this header\n"
	    "/echo tells what was asked, /count how often, /upload what was sent, /ws echoes\n",
	    origin_name);

	memset(filler, 'x', sizeof(filler));
	memset(body + n, ' ', (size_t)(HELP_BYTES - n));
	body[HELP_BYTES - 1] = '\n';
	help_len = (size_t)snprintf(help_keep, sizeof(help_keep),
	    "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\nx-origin: %s\r\n\r\n",
	    HELP_BYTES, origin_name);
	memcpy(help_keep + help_len, body, HELP_BYTES);
	help_body = str_make(help_keep + help_len, HELP_BYTES);
	help_len += HELP_BYTES;
}

void
answer_put_plain(struct client *c)
{
	strb_add(&c->out, help_keep, help_len);
}

static bool
has_no_body(const struct request *r)
{
	return r->status == 204 || r->status == 304;
}

void
answer_put_head(struct client *c, const char *type, uint64_t length, bool chunked)
{
	struct request *r = &c->r;

	strb_printf(&c->out, "HTTP/1.1 %u %s\r\ncontent-type: %s\r\nx-origin: %s\r\n", r->status,
	    reason(r->status), type, origin_name);
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

	answer_put_head(c, type, text.n, r->chunked && !has_no_body(r));
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
	strb_printf(&b, ",\"origin\":\"%s\"}\n", origin_name);
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
	    origin_name, (unsigned long long)c->r.body_bytes, (unsigned long long)c->r.body_hash);

	put_text(c, "application/json", str_make(text, (size_t)n));
}

static void
put_line(struct client *c)
{
	struct strb b = {0};

	strb_printf(&b, "%s: " STR_FMT " " STR_FMT ", status %u, after %u ms\n", origin_name,
	    STR_ARG(c->r.method), STR_ARG(c->r.target), c->r.status, c->r.delay_ms);
	put_text(c, "text/plain", strb_str(&b));
	strb_fini(&b);
}

static void
put_count(struct client *c)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)origin_requests);

	put_text(c, "text/plain", str_make(text, (size_t)n));
}

void
answer_put(struct client *c)
{
	struct request *r = &c->r;

	c->step = READING_HEAD;
	if (r->upload && r->echo_body) {
		if (r->body == BODY_CHUNKED)
			strb_addz(&c->out, "0\r\n\r\n");
	} else if (r->has_size) {
		answer_put_head(c, "application/octet-stream", r->size, r->chunked && !has_no_body(r));
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

/* The next bytes of a body with a seed: pieces that are lost, doubled or change places show. */
static void
put_pattern(struct client *c, size_t n)
{
	uint64_t at = c->r.size - c->left;
	char *p;

	strb_reserve(&c->out, n);
	p = c->out.p + c->out.n;
	for (size_t i = 0; i < n; i++, at++)
		p[i] = (char)(at + (at >> 8) * 7 + (at >> 16) * 13 + c->r.seed);
	c->out.n += n;
	c->out.p[c->out.n] = '\0';
}

void
answer_generate(struct client *c)
{
	while (c->left && c->out.n - c->out_at < OUT_HIGH) {
		size_t n = c->left < PIECE ? c->left : PIECE;

		if (c->generated_chunked)
			strb_printf(&c->out, "%zx\r\n", n);
		if (c->r.has_seed)
			put_pattern(c, n);
		else
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
