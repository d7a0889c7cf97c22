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
#define PSEUDO(text, id_) {text, "", 0, sizeof(text) - 1, HDR_##id_, HEADER_SOUND}

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
	while (p->at < n && (char_class[(unsigned char)b[p->at]] & CH_TARGET))
		p->at++;
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

	p->at += (uint32_t)value_span(b + p->at, n - p->at);
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
static bool
frames(enum header_id id)
{
	switch (id) {
	case HDR_CONNECTION:
	case HDR_CONTENT_LENGTH:
	case HDR_PROXY_CONNECTION:
	case HDR_TRANSFER_ENCODING:
	case HDR_UPGRADE:
		return true;
	default:
		return false;
	}
}

/* The line from mark to the CRLF before p->at is one of those. */
static void
note_framing(struct h1_parse *p)
{
	if (p->framing_lines < H1_FRAMING_LINES)
		p->framing[p->framing_lines] = (struct h1_line){p->mark, p->at - p->mark, p->name_len};
	p->framing_lines++;
}

/* Neither white space nor a line's end. */
static bool
is_visible(char c)
{
	return (unsigned char)c > ' ';
}

/* The line from mark to the CR at `end` is a field; name and value were found to be sound. */
static enum turn
add_field(struct h1_parse *p, const char *b, uint32_t end)
{
	uint32_t begin = p->mark + p->name_len + 1;
	uint8_t flags = HEADER_SOUND;
	struct str name = str_make(b + p->mark, p->name_len);
	enum header_id id = header_id_of(name);
	struct header x;

	if (b[begin] == ' ' && is_visible(b[begin + 1]) && is_visible(b[end - 1])) {
		begin++;
		flags |= HEADER_LINE;
	} else {
		while (begin < end && (b[begin] == ' ' || b[begin] == '\t'))
			begin++;
		while (end > begin && (b[end - 1] == ' ' || b[end - 1] == '\t'))
			end--;
	}
	if (++p->fields > p->config->max_headers_count)
		return fail(p, H1_TOO_MANY_HEADERS);
	if (frames(id))
		note_framing(p);
	if (p->part == H1_TRAILERS && trailer_forbidden(id))
		return fail(p, H1_TRAILER);
	if (p->config->underscores != UNDERSCORE_ALLOW && underscored(p, name))
		return p->error ? TURN_FAILED : next(p, STEP_LINE);
	if (p->drop)
		return next(p, STEP_LINE);
	x = (struct header){.name = name.p,
	    .value = b + begin,
	    .value_len = end - begin,
	    .name_len = (uint16_t)name.n,
	    .id = (uint8_t)id,
	    .flags = flags};
	headers_push(p->headers, &x);
	return next(p, STEP_LINE);
}

static enum turn
step_value(struct h1_parse *p, char *b, uint32_t n)
{
	uint32_t end;
	enum turn t;

	p->at += (uint32_t)value_span(b + p->at, n - p->at);
	if (p->at == n)
		return TURN_MORE;
	end = p->at;
	if (b[end] != '\r')
		return fail(p, b[end] == '\n' ? H1_BARE_LF : H1_CONTROL_CHAR);
	t = line_feed(p, b, n);
	return t == TURN_NEXT ? add_field(p, b, end) : t;
}

/*
 * Eight bytes of a name: how many of them from the first on are letters or
 * '-', put into lower case where they lie.
 */
static unsigned
take_letters(char *b)
{
	const uint64_t ones = ~0ull / 255, tops = ones << 7;
	uint64_t x, folded, letters, dashes, others;

	memcpy(&x, b, 8);
	x = le64toh(x);
	folded = (x | ones * 0x20) & ~tops;
	letters = (folded + ones * (0x80 - 'a')) & ~(folded + ones * (0x7f - 'z'));
	dashes = ~(((x ^ ones * '-') & ~tops) + ones * 0x7f);
	others = ~((letters | dashes) & ~x) & tops;
	if (others)
		x |= ones * 0x20 & ((others & -others) - 1) >> 7;
	else
		x |= ones * 0x20;
	x = htole64(x);
	memcpy(b, &x, 8);
	return others ? (unsigned)__builtin_ctzll(others) / 8 : 8;
}

/* Where the name ends that begins at `at`; puts it into lower case. */
static uint32_t
name_end(char *b, uint32_t at, uint32_t n)
{
	unsigned char lower;
	unsigned taken = 8;

	while (taken == 8 && n - at >= 8)
		at += taken = take_letters(b + at);
	while (at < n && (lower = token_lower[(unsigned char)b[at]]) != 0)
		b[at++] = (char)lower;
	return at;
}

/*
 * Lines that are complete and sound, as nearly all are, in one go.  What is
 * not stays where it is, for the steps to finish or to find the fault.
 */
static enum turn
whole_lines(struct h1_parse *p, char *b, uint32_t n)
{
	enum turn t = TURN_NEXT;

	while (t == TURN_NEXT) {
		uint32_t begin = p->at, colon = name_end(b, begin, n), end;

		if (colon == n || b[colon] != ':' || colon == begin ||
		    colon - begin > NAME_MAX_BYTES)
			break;
		end = colon + 1 + (uint32_t)value_span(b + colon + 1, n - colon - 1);
		if (n - end < 2 || b[end] != '\r' || b[end + 1] != '\n')
			break;
		p->mark = begin;
		p->name_len = colon - begin;
		p->at = end + 2;
		t = add_field(p, b, end);
	}
	return t;
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
	static const struct header of_request[] = {PSEUDO(":method", METHOD),
	    PSEUDO(":path", PATH), PSEUDO(":authority", AUTHORITY), PSEUDO(":scheme", SCHEME)};
	static const struct header of_response[] = {PSEUDO(":status", STATUS)};

	*p = (struct h1_parse){
	    .headers = headers, .config = config, .part = part, .step = (uint8_t)first[part]};
	if (part == H1_REQUEST)
		headers_add_all(headers, of_request, ARRAY_LEN(of_request));
	else if (part == H1_RESPONSE)
		headers_add_all(headers, of_response, ARRAY_LEN(of_response));
}

enum h1_progress
h1_parse(struct h1_parse *p, char *base, size_t n)
{
	uint32_t max = p->config->max_headers_bytes;
	uint32_t seen = n < max ? (uint32_t)n : max;

	if (base != p->base)
		rebase(p, base);
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
