#include "worker/route/match.h"

#include "envoy/config/route/v3/route_components.pb-c.h"
#include "envoy/type/matcher/v3/string.pb-c.h"
#include "lib/base/assert.h"

static void
free_regex(void *arg)
{
	struct regex *re = arg;

	regex_free(&re);
}

struct regex *
match_regex(struct str pattern, struct arena *a, struct err *err)
{
	struct regex *re = regex_new(pattern, REGEX_FULL, err);

	if (re)
		arena_on_fini(a, free_regex, re);
	return re;
}

/* ---- strings */

static int
set_string(struct string_match *m, enum string_match_kind kind, const char *text, struct arena *a,
    struct err *err)
{
	m->kind = kind;
	m->text = arena_str(a, str_of(text));
	if (kind != MATCH_REGEX)
		return 0;
	m->regex = match_regex(m->text, a, err);
	return m->regex ? 0 : -1;
}

int
string_match_build(struct string_match *m, const void *msg, struct arena *a, struct err *err)
{
	const Envoy__Type__Matcher__V3__StringMatcher *s = msg;

	m->ignore_case = s->ignore_case;
	switch (s->match_pattern_case) {
	case ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_EXACT:
		return set_string(m, MATCH_EXACT, s->exact, a, err);
	case ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_PREFIX:
		return set_string(m, MATCH_PREFIX, s->prefix, a, err);
	case ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_SUFFIX:
		return set_string(m, MATCH_SUFFIX, s->suffix, a, err);
	case ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_CONTAINS:
		return set_string(m, MATCH_CONTAINS, s->contains, a, err);
	case ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_SAFE_REGEX:
		return set_string(m, MATCH_REGEX, s->safe_regex->regex, a, err);
	default:
		return err_set(err, "string matcher says nothing to match");
	}
}

static bool
contains_ignoring_case(struct str s, struct str needle)
{
	for (size_t i = 0; i + needle.n <= s.n; i++)
		if (str_ieq(str_make(s.p + i, needle.n), needle))
			return true;
	return false;
}

static bool
part_eq(const struct string_match *m, struct str part)
{
	return m->ignore_case ? str_ieq(part, m->text) : str_eq(part, m->text);
}

bool
string_matches(const struct string_match *m, struct str s)
{
	size_t n = m->text.n;

	switch (m->kind) {
	case MATCH_ANY:
		return true;
	case MATCH_EXACT:
		return part_eq(m, s);
	case MATCH_PREFIX:
		return s.n >= n && part_eq(m, str_make(s.p, n));
	case MATCH_SUFFIX:
		return s.n >= n && part_eq(m, str_make(s.p + s.n - n, n));
	case MATCH_CONTAINS:
		return m->ignore_case ? contains_ignoring_case(s, m->text) : str_contains(s, m->text);
	case MATCH_REGEX:
		return regex_match(m->regex, s);
	}
	UNREACHABLE();
}

/* ---- headers */

typedef Envoy__Config__Route__V3__HeaderMatcher HeaderMatcher;

static int
header_string(struct header_match *m, enum string_match_kind kind, const char *text,
    struct arena *a, struct err *err)
{
	m->kind = HEADER_STRING;
	return set_string(&m->string, kind, text, a, err);
}

static int
build_header(struct header_match *m, const HeaderMatcher *msg, struct arena *a, struct err *err)
{
	*m = (struct header_match){.present = true};
	m->name = arena_lower(a, str_of(msg->name));
	m->invert = msg->invert_match;
	m->missing_is_empty = msg->treat_missing_header_as_empty;
	switch (msg->header_match_specifier_case) {
	case ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_EXACT_MATCH:
		/* An empty value matches any, as Envoy's old matcher does. */
		return header_string(
		    m, msg->exact_match[0] ? MATCH_EXACT : MATCH_ANY, msg->exact_match, a, err);
	case ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_PREFIX_MATCH:
		return header_string(m, MATCH_PREFIX, msg->prefix_match, a, err);
	case ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_SUFFIX_MATCH:
		return header_string(m, MATCH_SUFFIX, msg->suffix_match, a, err);
	case ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_CONTAINS_MATCH:
		return header_string(m, MATCH_CONTAINS, msg->contains_match, a, err);
	case ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_SAFE_REGEX_MATCH:
		return header_string(m, MATCH_REGEX, msg->safe_regex_match->regex, a, err);
	case ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_STRING_MATCH:
		m->kind = HEADER_STRING;
		return string_match_build(&m->string, msg->string_match, a, err);
	case ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_RANGE_MATCH:
		m->kind = HEADER_RANGE;
		m->from = msg->range_match->start;
		m->to = msg->range_match->end;
		return 0;
	case ENVOY__CONFIG__ROUTE__V3__HEADER_MATCHER__HEADER_MATCH_SPECIFIER_PRESENT_MATCH:
		m->present = msg->present_match;
		return 0;
	default:
		return 0;
	}
}

int
header_matches_build(
    struct header_match **out, void *const *msgs, size_t n, struct arena *a, struct err *err)
{
	*out = arena_zalloc(a, n * sizeof(**out));
	for (size_t i = 0; i < n; i++)
		if (build_header(&(*out)[i], msgs[i], a, err) < 0)
			return err_in(err, "header '%s'", (*out)[i].name.p);
	return 0;
}

static bool
value_matches(const struct header_match *m, struct str value)
{
	int64_t number;

	switch (m->kind) {
	case HEADER_PRESENT:
		return m->present;
	case HEADER_STRING:
		return string_matches(&m->string, value);
	case HEADER_RANGE:
		return str_i64(value, &number) && number >= m->from && number < m->to;
	}
	UNREACHABLE();
}

/* Envoy: a header that is missing matches only a present_match that asks for just that. */
bool
header_matches(const struct header_match *m, const struct headers *h)
{
	struct str value = headers_joined(h, m->name);

	if (value.p == NULL && !m->missing_is_empty)
		return m->kind == HEADER_PRESENT && m->present == m->invert;
	if (value.p == NULL)
		value = str_make("", 0);
	return value_matches(m, value) != m->invert;
}

bool
header_matches_all(const struct header_match *m, size_t n, const struct headers *h)
{
	for (size_t i = 0; i < n; i++)
		if (!header_matches(&m[i], h))
			return false;
	return true;
}

/* ---- query parameters */

typedef Envoy__Config__Route__V3__QueryParameterMatcher QueryMatcher;

int
query_matches_build(
    struct query_match **out, void *const *msgs, size_t n, struct arena *a, struct err *err)
{
	*out = arena_zalloc(a, n * sizeof(**out));
	for (size_t i = 0; i < n; i++) {
		const QueryMatcher *msg = msgs[i];
		struct query_match *m = &(*out)[i];

		m->name = arena_str(a, str_of(msg->name));
		m->only_present = m->present = true;
		switch (msg->query_parameter_match_specifier_case) {
		case ENVOY__CONFIG__ROUTE__V3__QUERY_PARAMETER_MATCHER__QUERY_PARAMETER_MATCH_SPECIFIER_STRING_MATCH:
			m->only_present = false;
			if (string_match_build(&m->string, msg->string_match, a, err) < 0)
				return err_in(err, "query parameter '%s'", m->name.p);
			break;
		case ENVOY__CONFIG__ROUTE__V3__QUERY_PARAMETER_MATCHER__QUERY_PARAMETER_MATCH_SPECIFIER_PRESENT_MATCH:
			m->present = msg->present_match;
			break;
		default:
			break;
		}
	}
	return 0;
}

/* The first value of a parameter, undecoded as in Envoy; false when it is not there. */
static bool
query_value(struct str path, struct str name, struct str *value)
{
	const char *q = memchr(path.p, '?', path.n);
	struct str rest, part;

	if (q == NULL)
		return false;
	rest = str_make(q + 1, path.n - (size_t)(q + 1 - path.p));
	if (memchr(rest.p, '#', rest.n))
		rest.n = (size_t)((const char *)memchr(rest.p, '#', rest.n) - rest.p);
	while (str_cut(&rest, '&', &part)) {
		struct str key;

		*value = part;
		str_cut(value, '=', &key);
		if (value->p == NULL)
			*value = str_make("", 0);
		if (str_eq(key, name))
			return true;
	}
	return false;
}

bool
query_matches_all(const struct query_match *m, size_t n, struct str path)
{
	for (size_t i = 0; i < n; i++) {
		struct str value;
		bool there = query_value(path, m[i].name, &value);

		if (m[i].only_present ? there != m[i].present :
					!there || !string_matches(&m[i].string, value))
			return false;
	}
	return true;
}
