#define PCRE2_CODE_UNIT_WIDTH 8
#include "lib/base/regex.h"

#include <pcre2.h>

#include "lib/base/assert.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"

#define MATCH_LIMIT 10000
#define REPEAT_LIMIT 1000
#define PATTERN_LIMIT (64 * 1024)

struct regex {
	pcre2_code *code;
	bool full;
};

/* One set of scratch memory for the process: nothing here runs twice at once. */
static struct {
	pcre2_match_context *context;
	pcre2_match_data *data;
	pcre2_jit_stack *stack;
	uint64_t limited;
	bool no_jit;
} scratch;

static void
scratch_init(void)
{
	if (scratch.context)
		return;
	scratch.context = pcre2_match_context_create(NULL);
	scratch.data = pcre2_match_data_create(REGEX_GROUPS, NULL);
	scratch.stack = pcre2_jit_stack_create(32 * 1024, 256 * 1024, NULL);
	ASSERT(scratch.context && scratch.data);
	pcre2_set_match_limit(scratch.context, MATCH_LIMIT);
	if (scratch.stack)
		pcre2_jit_stack_assign(scratch.context, NULL, scratch.stack);
}

/* The pattern is read once from left to right; `out` is what PCRE2 gets. */
struct scan {
	struct str in;
	size_t at;
	struct strb *out;
	struct err *err;
};

static char
peek(const struct scan *s, size_t ahead)
{
	return s->at + ahead < s->in.n ? s->in.p[s->at + ahead] : '\0';
}

static void
copy(struct scan *s, size_t n)
{
	ASSERT(n <= s->in.n - s->at);
	strb_add(s->out, s->in.p + s->at, n);
	s->at += n;
}

static int
refuse(struct scan *s, const char *what)
{
	return err_set(s->err, "%s at offset %zu (RE2 has none)", what, s->at);
}

static bool
one_of(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

static int
scan_literal_run(struct scan *s)
{
	size_t n = 2;

	while (s->at + n < s->in.n && !(peek(s, n) == '\\' && peek(s, n + 1) == 'E'))
		n++;
	copy(s, s->at + n < s->in.n ? n + 2 : n);
	return 0;
}

static int
scan_escape(struct scan *s, bool in_class)
{
	char c = peek(s, 1);

	if (s->at + 1 >= s->in.n)
		return err_set(s->err, "\\ at the end");
	if (c == 'v') { /* RE2: the one character; PCRE2: a class */
		strb_addz(s->out, "\\x0b");
		s->at += 2;
		return 0;
	}
	if (c == 'Q' && !in_class)
		return scan_literal_run(s);
	if (one_of(c, "xpP") && peek(s, 2) == '{') {
		for (copy(s, 3); s->at < s->in.n && peek(s, 0) != '}';)
			copy(s, 1);
		return 0;
	}
	if (c >= '1' && c <= '9')
		return refuse(s, "back-reference");
	if (one_of(c, "gk"))
		return refuse(s, "back-reference");
	if (((c | 0x20) >= 'a' && (c | 0x20) <= 'z') &&
	    !one_of(c, in_class ? "aftnrdDsSwWpPx" : "aftnrdDsSwWpPxAbBz")) {
		char what[16] = {'\'', '\\', c, '\'', '\0'};

		return refuse(s, what);
	}
	copy(s, 2);
	return 0;
}

static int
scan_class(struct scan *s)
{
	copy(s, 1);
	if (peek(s, 0) == '^')
		copy(s, 1);
	if (peek(s, 0) == ']')
		copy(s, 1);
	while (s->at < s->in.n && peek(s, 0) != ']') {
		if (peek(s, 0) == '\\') {
			if (scan_escape(s, true) < 0)
				return -1;
		} else if (peek(s, 0) == '[' && peek(s, 1) == ':') {
			copy(s, 2);
			while (s->at < s->in.n && !(peek(s, 0) == ':' && peek(s, 1) == ']'))
				copy(s, 1);
			copy(s, s->at + 2 <= s->in.n ? 2 : s->in.n - s->at);
		} else {
			copy(s, 1);
		}
	}
	if (s->at < s->in.n)
		copy(s, 1);
	return 0;
}

/* "(?…": named groups, non-capturing groups and the flags i m s U pass. */
static int
scan_group(struct scan *s)
{
	size_t n = 2;

	if (peek(s, 1) == '*')
		return refuse(s, "verb");
	if (peek(s, 1) != '?') {
		copy(s, 1);
		return 0;
	}
	if (one_of(peek(s, 2), "=!") || (peek(s, 2) == '<' && one_of(peek(s, 3), "=!")))
		return refuse(s, "lookaround");
	if (peek(s, 2) == 'P' && peek(s, 3) == '<')
		n = 4;
	else if (peek(s, 2) == '<')
		n = 3;
	else if (peek(s, 2) == '>')
		return refuse(s, "atomic group");
	else if (peek(s, 2) == '(')
		return refuse(s, "conditional");
	else {
		while (one_of(peek(s, n), "imsU-"))
			n++;
		if (!one_of(peek(s, n), ":)"))
			return refuse(s, "this kind of group");
	}
	copy(s, n);
	return 0;
}

/* At '{': a repeat is checked, anything else is text. */
static int
scan_repeat(struct scan *s)
{
	size_t n = 1;
	uint64_t low = 0, high = 0;
	bool bounded = false;

	for (; peek(s, n) >= '0' && peek(s, n) <= '9' && low < 100000; n++)
		low = low * 10 + (uint64_t)(peek(s, n) - '0');
	bounded = n > 1;
	if (bounded && peek(s, n) == ',')
		for (n++; peek(s, n) >= '0' && peek(s, n) <= '9' && high < 100000; n++)
			high = high * 10 + (uint64_t)(peek(s, n) - '0');
	if (low > REPEAT_LIMIT || high > REPEAT_LIMIT)
		return err_set(s->err, "repeat above %d at offset %zu", REPEAT_LIMIT, s->at);
	if (!bounded || peek(s, n) != '}') {
		copy(s, 1);
		return 0;
	}
	if (peek(s, n + 1) == '+')
		return refuse(s, "possessive repeat");
	copy(s, n + 1);
	return 0;
}

static int
scan_pattern(struct scan *s)
{
	while (s->at < s->in.n) {
		char c = peek(s, 0);
		int r = 0;

		if (c == '\\')
			r = scan_escape(s, false);
		else if (c == '[')
			r = scan_class(s);
		else if (c == '(')
			r = scan_group(s);
		else if (c == '{')
			r = scan_repeat(s);
		else if (one_of(c, "*+?") && peek(s, 1) == '+')
			r = refuse(s, "possessive repeat");
		else
			copy(s, 1);
		if (r < 0)
			return -1;
	}
	return 0;
}

static pcre2_code *
compile(struct str pattern, enum regex_mode mode, struct err *err)
{
	uint32_t options = PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C | PCRE2_NEVER_UCP |
			   PCRE2_UTF | PCRE2_MATCH_INVALID_UTF;
	PCRE2_SIZE at;
	int code;
	char text[160];
	pcre2_code *re;

	if (mode == REGEX_FULL)
		options |= PCRE2_ANCHORED | PCRE2_ENDANCHORED;
	re = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n, options, &code, &at, NULL);
	if (!re) {
		pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof(text));
		err_set(err, "%s at offset %zu", text, (size_t)at);
	}
	return re;
}

struct regex *
regex_new(struct str pattern, enum regex_mode mode, struct err *err)
{
	struct strb text = {0};
	struct scan s = {.in = pattern, .out = &text, .err = err};
	pcre2_code *code = NULL;
	struct regex *re;

	scratch_init();
	if (pattern.n > PATTERN_LIMIT)
		err_set(err, "longer than %d bytes", PATTERN_LIMIT);
	else if (scan_pattern(&s) == 0)
		code = compile(strb_str(&text), mode, err);
	strb_fini(&text);
	if (!code)
		return NULL;
	if (pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) != 0)
		scratch.no_jit = true;
	re = mem_new(struct regex);
	re->code = code;
	re->full = mode == REGEX_FULL;
	return re;
}

void
regex_free(struct regex **rep)
{
	struct regex *re = *rep;

	*rep = NULL;
	if (!re)
		return;
	pcre2_code_free(re->code);
	mem_free(re);
}

/* Gives PCRE2's count of filled pairs, 0 when the expression has more groups than we keep, < 0 for
 * no match. */
static int
run_from(const struct regex *re, struct str text, size_t from)
{
	const PCRE2_SIZE *ov = pcre2_get_ovector_pointer(scratch.data);
	int rc = pcre2_match(
	    re->code, (PCRE2_SPTR)text.p, text.n, from, 0, scratch.data, scratch.context);

	if (rc < 0) {
		if (rc != PCRE2_ERROR_NOMATCH)
			scratch.limited++;
		return -1;
	}
	if (re->full && (ov[0] != 0 || ov[1] != text.n))
		return -1;
	return rc;
}

static int
run(const struct regex *re, struct str text)
{
	return run_from(re, text, 0);
}

/* The empty text may come without an address; PCRE2 wants one. */
static struct str
addressed(struct str text)
{
	return text.p ? text : STR("");
}

bool
regex_match(const struct regex *re, struct str text)
{
	return run(re, addressed(text)) >= 0;
}

int
regex_capture(const struct regex *re, struct str text, struct str *groups, int max)
{
	const PCRE2_SIZE *ov = pcre2_get_ovector_pointer(scratch.data);
	uint32_t count = 0;
	int filled;

	text = addressed(text);
	filled = run(re, text);
	if (filled < 0)
		return 0;
	if (filled == 0)
		filled = REGEX_GROUPS;
	pcre2_pattern_info(re->code, PCRE2_INFO_CAPTURECOUNT, &count);
	for (int i = 0; i < max; i++) {
		groups[i] = (struct str){NULL, 0};
		if (i < filled && ov[2 * i] != PCRE2_UNSET)
			groups[i] = str_make(text.p + ov[2 * i], ov[2 * i + 1] - ov[2 * i]);
	}
	return (int)count + 1;
}

/* ---- replacing */

int
regex_check_replacement(const struct regex *re, struct str with, struct err *err)
{
	uint32_t groups = 0;

	pcre2_pattern_info(re->code, PCRE2_INFO_CAPTURECOUNT, &groups);
	for (size_t i = 0; i < with.n; i++) {
		char c;

		if (with.p[i] != '\\')
			continue;
		c = ++i < with.n ? with.p[i] : '\0';
		if (c == '\\')
			continue;
		if (c < '0' || c > '9')
			return err_set(err, "a backslash stands before a digit or a backslash only");
		if ((uint32_t)(c - '0') > groups)
			return err_set(err, "\\%c: the expression has no such group", c);
	}
	return 0;
}

/* filled: pairs that the last match wrote. */
static void
add_replacement(struct str text, struct str with, int filled, struct strb *out)
{
	const PCRE2_SIZE *ov = pcre2_get_ovector_pointer(scratch.data);

	for (size_t i = 0; i < with.n; i++) {
		int group;

		if (with.p[i] != '\\' || ++i == with.n || with.p[i] == '\\') {
			if (i < with.n)
				strb_addc(out, with.p[i]);
			continue;
		}
		group = with.p[i] - '0';
		if (group >= 0 && group < filled && ov[2 * group] != PCRE2_UNSET)
			strb_add(out, text.p + ov[2 * group], ov[2 * group + 1] - ov[2 * group]);
	}
}

/* One character, of up to four bytes. */
static size_t
copy_character(struct str text, size_t at, struct strb *out)
{
	do
		strb_addc(out, text.p[at++]);
	while (at < text.n && ((unsigned char)text.p[at] & 0xc0) == 0x80);
	return at;
}

/* An empty match right behind the last one is none, as in RE2. */
void
regex_replace_all(const struct regex *re, struct str text, struct str with, struct strb *out)
{
	const PCRE2_SIZE *ov = pcre2_get_ovector_pointer(scratch.data);
	size_t at = 0, last_end = SIZE_MAX;
	int filled;

	text = addressed(text);
	for (unsigned n = 0; n < REGEX_REPLACED && at <= text.n;) {
		filled = run_from(re, text, at);
		if (filled < 0)
			break;
		strb_add(out, text.p + at, ov[0] - at);
		at = ov[1];
		if (ov[0] == last_end && ov[1] == last_end) {
			if (at == text.n)
				break;
			at = copy_character(text, at, out);
			continue;
		}
		add_replacement(text, with, filled ? filled : REGEX_GROUPS, out);
		last_end = at;
		n++;
	}
	if (at < text.n)
		strb_add(out, text.p + at, text.n - at);
}

uint64_t
regex_limited(void)
{
	return scratch.limited;
}

bool
regex_has_jit(void)
{
	return !scratch.no_jit;
}
