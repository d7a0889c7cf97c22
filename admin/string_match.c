#include "admin/string_match.h"

#include "lib/base/regex.h"

typedef Envoy__Type__Matcher__V3__StringMatcher StringMatcher;

#define CASE(x) ENVOY__TYPE__MATCHER__V3__STRING_MATCHER__MATCH_PATTERN_##x

int
string_match_add(struct string_match_list *l, const StringMatcher *m, struct err *err)
{
	struct regex *re = NULL;

	if (m->match_pattern_case == CASE(SAFE_REGEX)) {
		re = regex_new(str_of(m->safe_regex->regex), REGEX_FULL, err);
		if (re == NULL)
			return -1;
	}
	*vec_push(&l->at) = (struct string_match){m, re};
	return 0;
}

static bool
ends_without_case(struct str s, struct str suffix)
{
	return s.n >= suffix.n && str_ieq(str_make(s.p + s.n - suffix.n, suffix.n), suffix);
}

static bool
contains_without_case(struct str s, struct str needle)
{
	for (size_t i = 0; i + needle.n <= s.n; i++)
		if (str_ieq(str_make(s.p + i, needle.n), needle))
			return true;
	return false;
}

static bool
matches(const struct string_match *x, struct str s)
{
	const StringMatcher *m = x->message;
	bool fold = m->ignore_case;

	switch (m->match_pattern_case) {
	case CASE(EXACT):
		return fold ? str_ieqz(s, m->exact) : str_eqz(s, m->exact);
	case CASE(PREFIX):
		return fold ? str_istarts(s, str_of(m->prefix)) : str_starts(s, str_of(m->prefix));
	case CASE(SUFFIX):
		return fold ? ends_without_case(s, str_of(m->suffix)) : str_ends(s, str_of(m->suffix));
	case CASE(CONTAINS):
		return fold ? contains_without_case(s, str_of(m->contains))
			    : str_contains(s, str_of(m->contains));
	case CASE(SAFE_REGEX):
		return regex_match(x->regex, s);
	default:
		return false;
	}
}

bool
string_match_any(const struct string_match_list *l, struct str s)
{
	for (size_t i = 0; i < l->at.len; i++)
		if (matches(&l->at.at[i], s))
			return true;
	return false;
}

void
string_match_fini(struct string_match_list *l)
{
	for (size_t i = 0; i < l->at.len; i++)
		regex_free(&l->at.at[i].regex);
	vec_fini(&l->at);
}
