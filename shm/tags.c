#include "shm/tags.h"

#include <stdlib.h>

#include "lib/base/assert.h"

static const struct {
	struct str tag;
	const char *pattern;
} defaults[] = {
#define TAG(tag, pattern) {STR(tag), pattern},
#include "shm/tags.def"
#undef TAG
};

/* What a rule found in the name. */
struct found {
	struct str value;
	size_t from, upto; /* to be removed */
};

struct extraction {
	struct str name;
	struct stat_tagged *out;
	struct {
		size_t from, upto;
	} cut[STAT_TAGS_MAX];
	size_t cuts;
};

/* ---- patterns: `at` is where a token begins in the name, name.n + 1 behind the last one */

static bool match_from(struct str name, size_t at, const char *pattern, struct found *f);

static size_t
token_end(struct str name, size_t at)
{
	const char *dot = memchr(name.p + at, '.', name.n - at);

	return dot ? (size_t)(dot - name.p) : name.n;
}

static bool
all_of(struct str s, const char *extra, bool digits_only)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i], l = ch_lower(c);
		bool digit = c >= '0' && c <= '9';

		if (!digit && !strchr(extra, c) && (digits_only || l < 'a' || l > 'z'))
			return false;
	}
	return s.n > 0;
}

static bool
is_worker(struct str token)
{
	return str_starts(token, STR("worker_")) &&
	       all_of(str_make(token.p + 7, token.n - 7), "", true);
}

static bool
is_address_v6(struct str token)
{
	for (size_t i = 0; i < token.n; i++)
		if (!strchr("_[]0123456789abcdefABCDEF", token.p[i]))
			return false;
	return token.n > 0;
}

/* Where an address that begins at `at` ends: 10.0.0.1_80 as far as it goes, or one v6 token. */
static size_t
address_end(struct str name, size_t at)
{
	size_t end = at, next = at;

	while (next < name.n) {
		size_t e = token_end(name, next);

		if (!all_of(str_make(name.p + next, e - next), "_", true))
			break;
		end = e;
		next = e + 1;
	}
	if (end == at && is_address_v6(str_make(name.p + at, token_end(name, at) - at)))
		end = token_end(name, at);
	return end;
}

static bool
match_value(struct str name, size_t at, size_t skip, size_t end, const char *rest, struct found *f)
{
	if (!match_from(name, end + 1, rest, f))
		return false;
	f->value = str_make(name.p + at + skip, end - at - skip);
	f->from = end == name.n && at > 0 ? at - 1 : at;
	f->upto = end == name.n ? end : end + 1;
	return true;
}

static bool
match_values(struct str name, size_t at, const char *rest, struct found *f)
{
	for (size_t end = token_end(name, at); end <= name.n; end = token_end(name, end + 1)) {
		if (match_value(name, at, 0, end, rest, f))
			return true;
		if (end == name.n)
			break;
	}
	return false;
}

static bool
match_skip(struct str name, size_t at, const char *rest, struct found *f)
{
	while (at <= name.n) {
		if (match_from(name, at, rest, f))
			return true;
		at = token_end(name, at) + 1;
	}
	return false;
}

/* What follows the token that ends here. */
static const char *
behind(const char *token_end)
{
	return *token_end ? token_end + 1 : token_end;
}

/* A word, or one with the value behind its '='. */
static bool
match_word(struct str name, size_t at, const char *word, struct found *f)
{
	size_t upto = at;

	while (upto < name.n && name.p[upto] == *word && *word != '.' && *word != '$')
		upto++, word++;
	if (*word == '$')
		return match_value(name, at, upto - at, token_end(name, upto), behind(word + 1), f);
	if ((*word && *word != '.') || (upto < name.n && name.p[upto] != '.'))
		return false;
	return match_from(name, upto + 1, behind(word), f);
}

static bool
is_sign(const char *token)
{
	switch (*token) {
	case '*':
	case '~':
	case '$':
	case '@':
	case '#':
		return true;
	case 'w':
		return token[1] == '\0';
	}
	return false;
}

/* Tokens of one sign. */
static bool
match_sign(struct str name, size_t at, const char *sign, struct found *f)
{
	size_t end = token_end(name, at);
	struct str token = str_make(name.p + at, end - at);
	const char *rest = behind(sign + 1);

	switch (*sign) {
	case '*':
		return match_from(name, end + 1, rest, f);
	case '#':
		return is_worker(token) && match_value(name, at, 0, end, rest, f);
	case 'w':
		return end == name.n && all_of(token, "_", false);
	case '@':
		end = address_end(name, at);
		break;
	}
	return end > at && match_value(name, at, 0, end, rest, f);
}

static bool
match_from(struct str name, size_t at, const char *pattern, struct found *f)
{
	if (*pattern == '\0')
		return at > name.n;
	if (at > name.n)
		return false;
	if (!is_sign(pattern))
		return match_word(name, at, pattern, f);
	if (*pattern == '~')
		return match_skip(name, at, behind(pattern + 1), f);
	if (*pattern == '*' && pattern[1] == '*')
		return true;
	if (*pattern == '$' && pattern[1] == '$')
		return match_values(name, at, behind(pattern + 2), f);
	return match_sign(name, at, pattern, f);
}

/* ---- letters with which tokens begin, a bit for each: a name without those of a pattern's words
 * lacks a word and need not be matched */

static uint32_t
letter_bit(char c)
{
	return 1u << (c & 31);
}

static uint32_t
letters_of(struct str name)
{
	uint32_t bits = 0;

	for (size_t at = 0; at < name.n; at = token_end(name, at) + 1)
		bits |= letter_bit(name.p[at]);
	return bits;
}

static uint32_t
letters_of_words(const char *pattern)
{
	uint32_t bits = 0;

	for (; *pattern; pattern = behind(pattern + strcspn(pattern, ".")))
		if (!is_sign(pattern))
			bits |= letter_bit(*pattern);
	return bits;
}

/* Of each default rule. */
static const uint32_t *
needed_letters(void)
{
	static uint32_t needed[ARRAY_LEN(defaults)];

	for (size_t i = 0; needed[ARRAY_LEN(defaults) - 1] == 0 && i < ARRAY_LEN(defaults); i++)
		needed[i] = letters_of_words(defaults[i].pattern);
	return needed;
}

/* ---- collecting */

static bool
has_tag(const struct stat_tagged *out, struct str tag)
{
	for (size_t i = 0; i < out->tags; i++)
		if (str_eq(out->tag[i].name, tag))
			return true;
	return false;
}

static void
add(struct extraction *x, struct str tag, const struct found *f)
{
	struct stat_tagged *out = x->out;

	if (out->tags == STAT_TAGS_MAX || has_tag(out, tag))
		return;
	out->tag[out->tags++] = (struct stat_tag){tag, f->value};
	if (f->upto == f->from)
		return;
	x->cut[x->cuts].from = f->from;
	x->cut[x->cuts++].upto = f->upto;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* …_rq_200 and …_rq_2xx, in the order of the defaults the first two. */
static void
add_codes(struct extraction *x, bool code, bool class)
{
	struct str s = x->name;
	const char *end = s.p + s.n;

	if (s.n < 7)
		return;
	if (code && memcmp(end - 7, "_rq_", 4) == 0 && is_digit(end[-3]) && is_digit(end[-2]) &&
	    is_digit(end[-1]))
		add(x, STR("envoy.response_code"),
		    &(struct found){str_make(end - 3, 3), s.n - 4, s.n});
	if (class && memcmp(end - 7, "_rq_", 4) == 0 && is_digit(end[-3]) &&
	    memcmp(end - 2, "xx", 2) == 0)
		add(x, STR("envoy.response_code_class"),
		    &(struct found){str_make(end - 3, 1), s.n - 3, s.n - 2});
}

/* All default rules, or those of one tag. */
static void
add_defaults(struct extraction *x, struct str only)
{
	const uint32_t *needed = needed_letters(), letters = letters_of(x->name);
	struct found f;

	add_codes(x, only.n == 0 || str_eqz(only, "envoy.response_code"),
	    only.n == 0 || str_eqz(only, "envoy.response_code_class"));
	for (size_t i = 0; i < ARRAY_LEN(defaults); i++) {
		if (needed[i] & ~letters || (only.n && !str_eq(only, defaults[i].tag)))
			continue;
		if (match_from(x->name, 0, defaults[i].pattern, &f))
			add(x, defaults[i].tag, &f);
	}
}

static void
add_custom(struct extraction *x, const struct stat_tag_rule *rule)
{
	struct str group[3] = {0};
	struct found f = {0};

	if (rule->fixed_value) {
		f.value = str_of(rule->fixed_value);
		add(x, rule->tag, &f);
		return;
	}
	if (rule->regex == NULL) {
		add_defaults(x, rule->tag);
		return;
	}
	if (regex_capture(rule->regex, x->name, group, 3) == 0 || group[1].p == NULL)
		return;
	f.value = group[2].p ? group[2] : group[1];
	f.from = (size_t)(group[1].p - x->name.p);
	f.upto = f.from + group[1].n;
	add(x, rule->tag, &f);
}

static int
by_place(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;

	return (x > y) - (x < y);
}

static void
write_name(struct extraction *x)
{
	size_t at = 0;

	strb_reset(&x->out->name);
	if (x->cuts)
		qsort(x->cut, x->cuts, sizeof(x->cut[0]), by_place);
	for (size_t i = 0; i < x->cuts; i++) {
		if (x->cut[i].from > at)
			strb_add(&x->out->name, x->name.p + at, x->cut[i].from - at);
		if (x->cut[i].upto > at)
			at = x->cut[i].upto;
	}
	strb_add(&x->out->name, x->name.p + at, x->name.n - at);
	if (x->cuts && x->name.p[x->name.n - 1] != '.' &&
	    str_ends(strb_str(&x->out->name), STR(".")))
		x->out->name.p[--x->out->name.n] = '\0'; /* what followed the dot was a tag too */
}

void
stat_tags_extract(const struct stat_tags *tags, struct str name, struct stat_tagged *out)
{
	struct extraction x; /* of cuts only those that were made are looked at */

	x.name = name;
	x.out = out;
	x.cuts = 0;
	out->tags = 0;
	if (tags == NULL || !tags->no_defaults)
		add_defaults(&x, STR(""));
	for (size_t i = 0; tags && i < tags->rules; i++)
		add_custom(&x, &tags->rule[i]);
	write_name(&x);
}
