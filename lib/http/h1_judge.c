/* The second opinion on HTTP/1 framing.  Worker and admin; one a connection, embedded. */
#include "lib/http/h1_judge.h"

#include "lib/base/assert.h"
#include "lib/http/status.h"

static int
on_headers_complete(http_parser *parser)
{
	const struct h1_judge *j = parser->data;

	return j->skip;
}

static int
on_message_complete(http_parser *parser)
{
	struct h1_judge *j = parser->data;

	j->complete = true;
	return 0;
}

static const http_parser_settings settings = {
    .on_headers_complete = on_headers_complete,
    .on_message_complete = on_message_complete,
};

bool
h1_judge_bytes(struct h1_judge *j, const char *p, size_t n)
{
	size_t done = http_parser_execute(&j->parser, &settings, p, n);

	return done == n && HTTP_PARSER_ERRNO(&j->parser) == HPE_OK;
}

uint64_t
h1_judge_left(const struct h1_judge *j)
{
	return j->parser.content_length;
}

static void
start(struct h1_judge *j, const struct h1_parse *p)
{
	static bool limit_lifted;

	if (!limit_lifted) { /* our own limits hold; the library's is one for the process */
		http_parser_set_max_header_size(UINT32_MAX);
		limit_lifted = true;
	}
	http_parser_init(&j->parser, p->part == H1_RESPONSE ? HTTP_RESPONSE : HTTP_REQUEST);
	j->parser.data = j;
	j->parser.allow_chunked_length = p->config->h1.allow_chunked_length;
}

/*
 * A head of nothing but what frames the message: start line, and the lines
 * that say so.  Up to `cut`, behind the name of the last of them, the heads
 * of many messages are the same.
 */
struct extract {
	char at[512];
	size_t n, cut;
};

static inline void
add(struct extract *x, const char *p, size_t n)
{
	memcpy(x->at + x->n, p, n);
	x->n += n;
}

static bool
is_connect(const struct h1_parse *p, const char *head)
{
	return p->method_len == 7 && memcmp(head, "CONNECT", 7) == 0;
}

/* Always fits: methods are short.  The library knows none but its own: for others it reads a POST. */
static void
add_start_line(struct extract *x, const struct h1_parse *p, const char *head)
{
	const char *version = p->minor ? "HTTP/1.1\r\n" : "HTTP/1.0\r\n";

	if (p->part == H1_RESPONSE) {
		add(x, version, 8);
		add(x, " ", 1);
		add(x, head + 9, 3);
		add(x, "\r\n", 2);
		return;
	}
	if (is_connect(p, head))
		add(x, "CONNECT a:1 ", 12);
	else if (p->config->h1.allow_custom_methods)
		add(x, "POST / ", 7);
	else {
		add(x, head, p->method_len);
		add(x, " / ", 3);
	}
	add(x, version, 10);
}

/* False when it does not fit: then the judge reads the head itself. */
static bool
extract(struct extract *x, const struct h1_parse *p, const char *head)
{
	x->n = 0;
	add_start_line(x, p, head);
	x->cut = x->n;
	if (p->framing_lines > H1_FRAMING_LINES)
		return false;
	for (uint32_t i = 0; i < p->framing_lines; i++) {
		const struct h1_line *line = &p->framing[i];
		size_t value = line->name_len + 1u;

		if (line->len > sizeof(x->at) - 2 - x->n)
			return false;
		value += head[line->at + value] == ' ';
		x->cut = x->n + value;
		add(x, head + line->at, line->len);
	}
	add(x, "\r\n", 2);
	return true;
}

/*
 * Where the library stands after a text that it has read before.  All it
 * knows is in its struct: it need not be shown the same bytes again.  What
 * makes the difference, the value behind them, it reads each time.
 */
struct reached {
	http_parser parser;
	uint32_t n;
	char text[92];
};

static struct reached reached[16];

static struct reached *
reached_by(const struct extract *x)
{
	return &reached[(x->cut ^ (size_t)x->at[0] ^ (size_t)x->at[11]) % ARRAY_LEN(reached)];
}

/* Starts behind x->at[0..x->cut). */
static bool
start_behind(struct h1_judge *j, const struct h1_parse *p, const struct extract *x)
{
	struct reached *r = reached_by(x);

	if (r->n == x->cut && memcmp(r->text, x->at, x->cut) == 0 &&
	    r->parser.allow_chunked_length == p->config->h1.allow_chunked_length) {
		j->parser = r->parser;
		j->parser.data = j;
		return true;
	}
	start(j, p);
	if (!h1_judge_bytes(j, x->at, x->cut))
		return false;
	if (x->cut <= sizeof(r->text)) {
		r->parser = j->parser;
		r->n = (uint32_t)x->cut;
		memcpy(r->text, x->at, x->cut);
	}
	return true;
}

static bool
read_whole(struct h1_judge *j, const struct h1_parse *p, const char *head, size_t n)
{
	size_t method = 0;

	start(j, p);
	if (p->part == H1_REQUEST && p->config->h1.allow_custom_methods && !is_connect(p, head)) {
		method = p->method_len;
		if (!h1_judge_bytes(j, "POST", 4))
			return false;
	}
	return h1_judge_bytes(j, head + method, n - method);
}

static bool
read_head(struct h1_judge *j, const struct h1_parse *p, const char *head, size_t n)
{
	struct extract x;

	if (!extract(&x, p, head))
		return read_whole(j, p, head, n);
	return start_behind(j, p, &x) && h1_judge_bytes(j, x.at + x.cut, x.n - x.cut);
}

static bool
same_framing(const struct h1_judge *j, const struct h1_message *m)
{
	bool chunked = j->parser.flags & F_CHUNKED;

	if (m->tunnel)
		return j->complete;
	switch (m->framing) {
	case H1_NO_BODY:
		return j->complete;
	case H1_LENGTH:
		return !j->complete && !chunked && j->parser.content_length == m->length;
	case H1_CHUNKED:
		return !j->complete && chunked;
	case H1_UNTIL_CLOSE:
		return !j->complete && !chunked && j->parser.content_length == UINT64_MAX;
	}
	return false;
}

bool
h1_judge_head(struct h1_judge *j, const struct h1_parse *p, const struct h1_message *m,
    const char *head, size_t n)
{
	if (p->part == H1_REQUEST && p->framing_lines == 0 && !is_connect(p, head))
		return m->framing == H1_NO_BODY && !m->tunnel; /* nothing to be of two minds about */
	j->complete = false;
	j->skip = 0;
	if (p->part == H1_RESPONSE) {
		if (m->tunnel)
			j->skip = 2;
		else if (m->framing == H1_NO_BODY)
			j->skip = 1;
	}
	if (!read_head(j, p, head, n))
		return false;
	return j->parser.http_major == 1 && j->parser.http_minor == p->minor &&
	       (p->part == H1_REQUEST || j->parser.status_code == p->status) && same_framing(j, m);
}
