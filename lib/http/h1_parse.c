/*
 * The pre-scan's machine: a step for each kind of place in a head.  Each
 * step runs a tight loop to the byte that ends it, and is entered again at
 * p->at when that byte was not there yet.  Worker and admin; bytes belong
 * to the connection's read buffer.
 */
#include "lib/http/h1_parse.h"

#include "lib/base/assert.h"
#include "lib/http/validate.h"

#define LONGEST_METHOD 32
#define VERSION_LINE 10 /* "HTTP/1.1\r\n" */
#define STATUS_LINE 13	/* "HTTP/1.1 200" and one more */
#define PSEUDO(id, name, value)                                                                    \
	{name, value, sizeof(value) - 1, sizeof(name) - 1, HDR_##id, HEADER_SOUND}
#define REQUEST_IDS(ID) ID(METHOD) ID(PATH) ID(AUTHORITY) ID(SCHEME)
#define RESPONSE_IDS(ID) ID(STATUS)

enum step {
	STEP_METHOD,
	STEP_TARGET,
	STEP_VERSION,
	STEP_STATUS,
	STEP_REASON,
	STEP_LINE,
	STEP_NAME,
	STEP_SPACE,
	STEP_VALUE,
};

enum turn {
	TURN_NEXT,
	TURN_MORE,
	TURN_DONE,
	TURN_FAILED,
};

static enum turn
fail(struct h1_parse *p, enum h1_error e)
{
	p->error = e;
	return TURN_FAILED;
}

static enum turn
next(struct h1_parse *p, enum step step)
{
	p->step = (uint8_t)step;
	return TURN_NEXT;
}

static bool
is_digit(char c)
{
	return (unsigned)(c - '0') < 10u;
}

/* b[at] is a CR: is LF behind it? */
static enum turn
line_feed(struct h1_parse *p, const char *b, uint32_t n)
{
	if (p->at + 1 == n)
		return TURN_MORE;
	if (b[p->at + 1] != '\n')
		return fail(p, H1_CR);
	p->at += 2;
	return TURN_NEXT;
}

static enum turn
method_end(struct h1_parse *p, const char *b)
{
	size_t len = p->at - p->mark;

	switch (b[p->at]) {
	case '\n':
		return fail(p, len ? H1_SPACES : H1_BARE_LF);
	case '\r':
		return fail(p, len ? H1_SPACES : H1_CR);
	case '\t':
		return fail(p, H1_SPACES);
	case ' ':
		break;
	default:
		return fail(p, H1_METHOD);
	}
	if (len == 0)
		return fail(p, H1_SPACES);
	if (!valid_method(str_make(b + p->mark, len), p->config->h1.allow_custom_methods))
		return fail(p, H1_METHOD);
	p->method_len = (uint8_t)len;
	p->at++;
	p->target_at = p->at;
	return next(p, STEP_TARGET);
}

static enum turn
step_method(struct h1_parse *p, char *b, uint32_t n)
{
	while (p->at < n && token_lower[(unsigned char)b[p->at]])
		p->at++;
	if (p->at - p->mark > LONGEST_METHOD)
		return fail(p, H1_METHOD);
	return p->at == n ? TURN_MORE : method_end(p, b);
}

static enum turn
step_target(struct h1_parse *p, char *b, uint32_t n)
{
	p->at = (uint32_t)target_end(b, p->at, n);
	if (p->at == n)
		return TURN_MORE;
	p->target_len = p->at - p->target_at;
	switch (b[p->at]) {
	case ' ':
		if (p->target_len == 0)
			return fail(p, H1_SPACES);
		p->at++;
		return next(p, STEP_VERSION);
	case '\r':
	case '\n': /* HTTP/0.9 */
		return fail(p, p->target_len ? H1_VERSION : H1_SPACES);
	default:
		return fail(p, H1_TARGET);
	}
}

/* "HTTP/" as far as it is there. */
static bool
is_http(const char *v, size_t n)
{
	return memcmp(v, "HTTP/", n < 5 ? n : 5) == 0;
}

static bool
is_version(const char *v)
{
	return is_digit(v[5]) && v[6] == '.' && is_digit(v[7]);
}

static enum turn
step_version(struct h1_parse *p, char *b, uint32_t n)
{
	const char *v = b + p->at;

	if (p->at == n)
		return TURN_MORE;
	if (!is_http(v, n - p->at))
		return fail(p, *v == ' ' ? H1_SPACES : H1_VERSION);
	if (n - p->at < VERSION_LINE)
		return TURN_MORE;
	if (!is_version(v))
		return fail(p, H1_VERSION);
	if (v[8] == ' ' || v[8] == '\t')
		return fail(p, H1_SPACES);
	if (v[8] == '\n')
		return fail(p, H1_BARE_LF);
	if (v[8] != '\r')
		return fail(p, H1_VERSION);
	if (v[9] != '\n')
		return fail(p, H1_CR);
	if (v[5] != '1' || v[7] > '1')
		return fail(p, H1_VERSION_UNKNOWN);
	p->minor = (uint8_t)(v[7] - '0');
	p->at += VERSION_LINE;
	return next(p, STEP_LINE);
}

static enum turn
step_status(struct h1_parse *p, char *b, uint32_t n)
{
	const char *v = b + p->at;

	if (p->at == n)
		return TURN_MORE;
	if (!is_http(v, n - p->at))
		return fail(p, H1_VERSION);
	if (n - p->at < STATUS_LINE)
		return TURN_MORE;
	if (!is_version(v) || v[5] != '1' || v[7] > '1')
		return fail(p, H1_VERSION);
	if (v[8] != ' ')
		return fail(p, H1_SPACES);
	if (!is_digit(v[9]) || !is_digit(v[10]) || !is_digit(v[11]) || v[9] < '1' || v[9] > '5' ||
	    is_digit(v[12]))
		return fail(p, H1_RESPONSE_FRAMING);
	p->minor = (uint8_t)(v[7] - '0');
	p->status = (uint16_t)((v[9] - '0') * 100 + (v[10] - '0') * 10 + (v[11] - '0'));
	p->mark = p->at + 9;
	p->at += 12;
	return next(p, STEP_REASON);
}

/* A reason, or none: everything up to the end of the line is text. */
static enum turn
step_reason(struct h1_parse *p, char *b, uint32_t n)
{
	enum turn t;

	p->at = (uint32_t)value_end(b, p->at, n);
	if (p->at == n)
		return TURN_MORE;
	if (b[p->at] != '\r')
		return fail(p, b[p->at] == '\n' ? H1_BARE_LF : H1_CONTROL_CHAR);
	t = line_feed(p, b, n);
	return t == TURN_NEXT ? next(p, STEP_LINE) : t;
}

static enum turn
step_name(struct h1_parse *p, char *b, uint32_t n)
{
	uint32_t at = p->at;
	unsigned char lower;

	while (at < n && (lower = token_lower[(unsigned char)b[at]]) != 0)
		b[at++] = (char)lower;
	p->at = at;
	if (at == n)
		return TURN_MORE;
	p->name_len = at - p->mark;
	if (p->name_len == 0 || p->name_len > NAME_MAX_BYTES)
		return fail(p, H1_HEADER_NAME);
	switch (b[at]) {
	case ':':
		p->at++;
		return next(p, STEP_VALUE);
	case ' ':
	case '\t':
		return next(p, STEP_SPACE);
	default:
		return fail(p, H1_HEADER_NAME);
	}
}

/* A space behind a name: it is wrong, the question is which way. */
static enum turn
step_space(struct h1_parse *p, char *b, uint32_t n)
{
	while (p->at < n && (b[p->at] == ' ' || b[p->at] == '\t'))
		p->at++;
	if (p->at == n)
		return TURN_MORE;
	return fail(p, b[p->at] == ':' ? H1_SPACE_BEFORE_COLON : H1_HEADER_NAME);
}

/* An underscore in the name: true when the field is to be dropped or refused. */
static bool
underscored(struct h1_parse *p, struct str name)
{
	struct http1_codec_stats *stats = p->config->h1_stats;

	if (memchr(name.p, '_', name.n) == NULL)
		return false;
	if (p->config->underscores == UNDERSCORE_REJECT)
		p->error = H1_UNDERSCORE;
	else if (stats)
		stat_inc(&stats->dropped_headers_with_underscores);
	return true;
}

/* What http-parser looks at when it frames a message. */
#define FRAMING(ID)                                                                                \
	ID(CONNECTION) ID(CONTENT_LENGTH) ID(PROXY_CONNECTION) ID(TRANSFER_ENCODING) ID(UPGRADE)
static const struct header_set framing = HEADER_SET(FRAMING);

/* The line from p->at is one of those; it ends before `end`. */
static void
note_framing(struct h1_parse *p, size_t name_len, size_t end)
{
	if (p->framing_lines < H1_FRAMING_LINES)
		p->framing[p->framing_lines] =
		    (struct h1_line){p->at, (uint32_t)end - p->at, (uint32_t)name_len};
	p->framing_lines++;
}

/* Does the field enter the map?  If not, it is dropped, or p->error says why it is refused. */
static bool
enters(struct h1_parse *p, struct str name, enum header_id id)
{
	if (p->part == H1_TRAILERS && trailer_forbidden(id)) {
		p->error = H1_TRAILER;
		return false;
	}
	if (p->config->underscores != UNDERSCORE_ALLOW && underscored(p, name))
		return false;
	return !p->drop;
}

/* Neither white space nor a line's end. */
static bool
is_visible(char c)
{
	return (unsigned char)c > ' ';
}

/* The line from p->at to the CR at `end` is a field; name and value were found to be sound. */
static inline bool
add_field(struct h1_parse *p, const char *b, size_t colon, size_t end)
{
	struct str name = str_make(b + p->at, colon - p->at);
	enum header_id id = header_id_of(name);
	size_t begin = colon + 1, behind = end;
	uint8_t flags = HEADER_SOUND;

	if (b[begin] == ' ' && is_visible(b[begin + 1]) && is_visible(b[end - 1])) {
		begin++;
		flags |= HEADER_LINE;
	} else {
		while (begin < behind && (b[begin] == ' ' || b[begin] == '\t'))
			begin++;
		while (behind > begin && (b[behind - 1] == ' ' || b[behind - 1] == '\t'))
			behind--;
	}
	if (++p->fields > p->config->max_headers_count) {
		p->error = H1_TOO_MANY_HEADERS;
		return false;
	}
	if (header_set_has(&framing, id))
		note_framing(p, name.n, end + 2);
	p->at = (uint32_t)end + 2;
	if (UNLIKELY(p->careful) && !enters(p, name, id))
		return p->error == H1_OK;
	if (id == HDR_HOST && p->part == H1_REQUEST) {
		p->hosts++;
		p->host_at = (uint32_t)begin;
		p->host_len = (uint32_t)(behind - begin);
		return true;
	}
	*headers_place(p->headers, id) = (struct header){.name = name.p,
	    .value = b + begin,
	    .value_len = (uint32_t)(behind - begin),
	    .name_len = (uint16_t)name.n,
	    .id = (uint8_t)id,
	    .flags = flags};
	return true;
}

/* The line is whole now: it is read again, in one go. */
static enum turn
step_value(struct h1_parse *p, char *b, uint32_t n)
{
	enum turn t;

	p->at = (uint32_t)value_end(b, p->at, n);
	if (p->at == n)
		return TURN_MORE;
	if (b[p->at] != '\r')
		return fail(p, b[p->at] == '\n' ? H1_BARE_LF : H1_CONTROL_CHAR);
	t = line_feed(p, b, n);
	if (t != TURN_NEXT)
		return t;
	p->at = p->mark;
	return next(p, STEP_LINE);
}

/* Where the name ends that begins at `at`; puts it into lower case. */
static inline size_t
name_end(char *b, size_t at, size_t n)
{
	unsigned taken = SCAN_BLOCK;
	unsigned char lower;

	while (taken == SCAN_BLOCK && n - at >= SCAN_BLOCK)
		at += taken = scan_name(b + at);
	while (at < n && (lower = token_lower[(unsigned char)b[at]]) != 0)
		b[at++] = (char)lower;
	return at;
}

/* Is b[at] the CR of a CRLF? */
static inline bool
is_crlf(const char *b, size_t at, size_t n)
{
	return n - at >= 2 && memcmp(b + at, "\r\n", 2) == 0;
}

/*
 * Lines that are complete and sound, as nearly all are, in one go.  What is
 * not stays where it is, for the steps to finish or to find the fault.
 */
static enum turn
whole_lines(struct h1_parse *p, char *b, size_t n)
{
	while (p->at < n && b[p->at] != '\r') {
		size_t colon = name_end(b, p->at, n), end;

		if (colon == n || b[colon] != ':' || colon - p->at - 1 >= NAME_MAX_BYTES)
			break; /* a name of nothing is beyond that, too */
		end = value_end(b, colon + 1, n);
		if (!is_crlf(b, end, n))
			break;
		if (!add_field(p, b, colon, end))
			return TURN_FAILED;
	}
	return TURN_NEXT;
}

static enum turn
step_line(struct h1_parse *p, char *b, uint32_t n)
{
	enum turn t = whole_lines(p, b, n);

	if (t != TURN_NEXT)
		return t;
	if (p->at == n)
		return TURN_MORE;
	switch (b[p->at]) {
	case '\r':
		t = line_feed(p, b, n);
		return t == TURN_NEXT ? TURN_DONE : t;
	case '\n':
		return fail(p, H1_BARE_LF);
	case ' ':
	case '\t':
		return fail(p, H1_OBS_FOLD);
	default:
		p->mark = p->at;
		return next(p, STEP_NAME);
	}
}

/* Length of a method that many requests have, if the head begins with it. */
static uint32_t
usual_method(const char *b)
{
	if (memcmp(b, "GET ", 4) == 0)
		return 3;
	if (memcmp(b, "POST ", 5) == 0)
		return 4;
	if (memcmp(b, "HEAD ", 5) == 0)
		return 4;
	return memcmp(b, "PUT ", 4) == 0 ? 3 : 0;
}

#define SHORTEST_LINE 14 /* "HTTP/1.1 200\r\n" */

/* A first line that is complete and as nearly all are, in one go.  Others are left to the steps. */
static void
whole_request_line(struct h1_parse *p, const char *b, uint32_t n)
{
	uint32_t method = n < SHORTEST_LINE ? 0 : usual_method(b), end;

	if (method == 0)
		return;
	end = (uint32_t)target_end(b, method + 1, n);
	if (end == method + 1 || n - end < 1 + VERSION_LINE ||
	    memcmp(b + end, " HTTP/1.1\r\n", 1 + VERSION_LINE) != 0)
		return;
	p->method_len = (uint8_t)method;
	p->target_at = method + 1;
	p->target_len = end - p->target_at;
	p->minor = 1;
	p->at = end + 1 + VERSION_LINE;
	p->step = STEP_LINE;
}

static void
whole_status_line(struct h1_parse *p, const char *b, uint32_t n)
{
	unsigned hundreds, tens, ones;
	uint32_t end;

	if (n < SHORTEST_LINE || memcmp(b, "HTTP/1.1 ", 9) != 0)
		return;
	hundreds = (unsigned)(b[9] - '0');
	tens = (unsigned)(b[10] - '0');
	ones = (unsigned)(b[11] - '0');
	end = (uint32_t)value_end(b, 12, n);
	if (hundreds - 1 >= 5 || tens > 9 || ones > 9 || is_digit(b[12]) || !is_crlf(b, end, n))
		return;
	p->minor = 1;
	p->status = (uint16_t)(hundreds * 100 + tens * 10 + ones);
	p->at = end + 2;
	p->step = STEP_LINE;
}

static enum turn
run(struct h1_parse *p, char *b, uint32_t n)
{
	enum turn t;

	do {
		switch ((enum step)p->step) {
		case STEP_METHOD:
			t = step_method(p, b, n);
			break;
		case STEP_TARGET:
			t = step_target(p, b, n);
			break;
		case STEP_VERSION:
			t = step_version(p, b, n);
			break;
		case STEP_STATUS:
			t = step_status(p, b, n);
			break;
		case STEP_REASON:
			t = step_reason(p, b, n);
			break;
		case STEP_LINE:
			t = step_line(p, b, n);
			break;
		case STEP_NAME:
			t = step_name(p, b, n);
			break;
		case STEP_SPACE:
			t = step_space(p, b, n);
			break;
		case STEP_VALUE:
			t = step_value(p, b, n);
			break;
		default:
			UNREACHABLE();
		}
	} while (t == TURN_NEXT);
	return t;
}

/* The buffer was made one piece somewhere else: the slices follow. */
static void
rebase(struct h1_parse *p, char *base)
{
	for (uint32_t i = 0; p->base && i < p->headers->len; i++) {
		struct header *x = &p->headers->at[i];

		if (x->name_len && x->name[0] == ':')
			continue;
		x->name = base + (x->name - p->base);
		x->value = base + (x->value - p->base);
	}
	p->base = base;
}

static void
complete_start_line(struct h1_parse *p, char *base)
{
	struct header *first = p->headers->at;

	if (p->part == H1_REQUEST) {
		first->value = base;
		first->value_len = p->method_len;
	} else if (p->part == H1_RESPONSE) {
		first->value = base + 9;
		first->value_len = 3;
	}
}

void
h1_parse_start(struct h1_parse *p, enum h1_part part, struct headers *headers,
    const struct codec_config *config)
{
	static const enum step first[] = {
	    [H1_REQUEST] = STEP_METHOD, [H1_RESPONSE] = STEP_STATUS, [H1_TRAILERS] = STEP_LINE};
	static const struct header of_request[] = {PSEUDO(METHOD, ":method", ""),
	    PSEUDO(PATH, ":path", ""), PSEUDO(AUTHORITY, ":authority", ""),
	    PSEUDO(SCHEME, ":scheme", "http")};
	static const struct header of_response[] = {PSEUDO(STATUS, ":status", "")};
	static const struct header_set request_ids = HEADER_SET(REQUEST_IDS);
	static const struct header_set response_ids = HEADER_SET(RESPONSE_IDS);

	*p = (struct h1_parse){.headers = headers,
	    .config = config,
	    .part = part,
	    .step = (uint8_t)first[part],
	    .careful = part == H1_TRAILERS || config->underscores != UNDERSCORE_ALLOW};
	if (part == H1_REQUEST)
		headers_add_all(headers, of_request, ARRAY_LEN(of_request), &request_ids);
	else if (part == H1_RESPONSE)
		headers_add_all(headers, of_response, ARRAY_LEN(of_response), &response_ids);
}

enum h1_progress
h1_parse(struct h1_parse *p, char *base, size_t n)
{
	uint32_t max = p->config->max_headers_bytes;
	uint32_t seen = n < max ? (uint32_t)n : max;

	if (base != p->base)
		rebase(p, base);
	if (p->at == 0 && p->part == H1_REQUEST)
		whole_request_line(p, base, seen);
	else if (p->at == 0 && p->part == H1_RESPONSE)
		whole_status_line(p, base, seen);
	switch (run(p, base, seen)) {
	case TURN_DONE:
		complete_start_line(p, base);
		return H1_COMPLETE;
	case TURN_FAILED:
		return H1_FAILED;
	default:
		if (n <= max)
			return H1_MORE;
		p->error = H1_HEADERS_TOO_LARGE;
		return H1_FAILED;
	}
}
