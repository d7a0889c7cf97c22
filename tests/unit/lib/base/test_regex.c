#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "lib/base/err.h"
#include "lib/base/regex.h"

static struct regex *
compile(const char *pattern, enum regex_mode mode)
{
	struct err err = {{0}};
	struct regex *re = regex_new(str_of(pattern), mode, &err);

	if (!re)
		fail_msg("%s: %s", pattern, err.text);
	return re;
}

static void
full_mode_matches_the_whole_text_only(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool matches;
	} rows[] = {
	    {"/a", "/a", true},
	    {"/a", "/ab", false},
	    {"/a", "x/a", false},
	    {"a|ab", "ab", true},
	    {"a$", "a\n", false},
	    {"(?i)AbC", "aBc", true},
	    {".*", "", true},
	    {"", "", true},
	    {"", "x", false},
	    {"[^/]+", "a\xc3\xbc", true},
	    {"..", "\xc3\xbcx", true},
	    {"\\d{3}", "123", true},
	    {"\\v", "\v", true},
	    {"\\v", "\n", false},
	    {"\\Qa.b\\E", "a.b", true},
	    {"\\Qa.b\\E", "axb", false},
	    {"\\x{2713}", "\xe2\x9c\x93", true},
	    {"[[:alpha:]]+", "abc", true},
	    {"[]a]+", "a]", true},
	    {"(?P<n>a)(?:b)?", "ab", true},
	    {"a{2,3}", "aaa", true},
	    {"a{x", "a{x", true},
	    {".", "\xff", false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct regex *re = compile(rows[i].pattern, REGEX_FULL);

		if (regex_match(re, str_of(rows[i].text)) != rows[i].matches)
			fail_msg("'%s' on '%s' should%s match", rows[i].pattern, rows[i].text,
			    rows[i].matches ? "" : " not");
		regex_free(&re);
		assert_null(re);
	}
}

static void
what_re2_lacks_is_refused(void **state)
{
	static const struct {
		const char *pattern, *why;
	} rows[] = {
	    {"(?=a)", "lookaround"},
	    {"(?!a)", "lookaround"},
	    {"(?<=a)", "lookaround"},
	    {"(?<!a)", "lookaround"},
	    {"(a)\\1", "back-reference"},
	    {"(?P<n>a)(?P=n)", "group"},
	    {"\\k<n>", "back-reference"},
	    {"a++", "possessive"},
	    {"a*+", "possessive"},
	    {"a?+", "possessive"},
	    {"a{2}+", "possessive"},
	    {"(?>a)", "atomic"},
	    {"(?R)", "group"},
	    {"(?1)", "group"},
	    {"(?(1)a)", "conditional"},
	    {"(*UTF)a", "verb"},
	    {"(?#x)a", "group"},
	    {"(?|a)", "group"},
	    {"(?x)a", "group"},
	    {"a\\K", "\\K"},
	    {"\\R", "\\R"},
	    {"\\X", "\\X"},
	    {"\\h", "\\h"},
	    {"\\Z", "\\Z"},
	    {"\\G", "\\G"},
	    {"\\C", "\\C"},
	    {"[\\h]", "\\h"},
	    {"a{1001}", "repeat"},
	    {"a{1,1001}", "repeat"},
	    {"a{2000,}", "repeat"},
	    {"(", "parenthesis"},
	    {"[a", "]"},
	    {"*a", "quantifier"},
	    {"\\", "\\"},
	    {"\xff", "UTF-8"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err = {{0}};
		struct regex *re = regex_new(str_of(rows[i].pattern), REGEX_FULL, &err);

		if (re)
			fail_msg("'%s' should be refused", rows[i].pattern);
		if (!strstr(err.text, rows[i].why))
			fail_msg(
			    "'%s': '%s' does not say '%s'", rows[i].pattern, err.text, rows[i].why);
	}
}

static void
search_mode_gives_the_groups(void **state)
{
	struct regex *re = compile("^cluster\\.((.+?)\\.)(x)?", REGEX_SEARCH);
	struct str g[4];

	assert_int_equal(regex_capture(re, STR("cluster.api.upstream_rq"), g, 4), 4);
	assert_true(str_eqz(g[0], "cluster.api."));
	assert_true(str_eqz(g[1], "api."));
	assert_true(str_eqz(g[2], "api"));
	assert_null(g[3].p);
	assert_int_equal(regex_capture(re, STR("http.api"), g, 4), 0);
	regex_free(&re);
	re = compile("(a?)", REGEX_SEARCH);
	assert_int_equal(regex_capture(re, (struct str){NULL, 0}, g, 4), 2);
	assert_int_equal(g[1].n, 0);
	regex_free(&re);
	re = compile("b+", REGEX_SEARCH);
	assert_true(regex_match(re, STR("abbc")));
	regex_free(&re);
}

static void
more_groups_than_are_kept_still_match(void **state)
{
	struct regex *re =
	    compile("(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)(k)(l)(m)(n)(o)(p)(q)(r)", REGEX_SEARCH);
	struct str g[REGEX_GROUPS];

	assert_int_equal(regex_capture(re, STR("abcdefghijklmnopqr"), g, REGEX_GROUPS), 19);
	assert_true(str_eqz(g[15], "o"));
	regex_free(&re);
}

static void
a_match_beyond_the_limit_is_given_up(void **state)
{
	struct regex *re = compile("(a+)+$", REGEX_FULL);
	uint64_t before = regex_limited();
	char text[64];

	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = 'b';
	assert_false(regex_match(re, str_make(text, sizeof(text))));
	assert_int_equal(regex_limited(), before + 1);
	regex_free(&re);
}

static void
all_matches_are_replaced(void **state)
{
	static const struct {
		const char *pattern, *text, *with, *want;
	} rows[] = {
	    {"^/(\\w+)/.*$", "/tenant/x/y", "\\1", "tenant"},
	    {"a", "banana", "o", "bonono"},
	    {"(a)(n)", "banana", "\\2\\1", "bnanaa"},
	    {"x", "banana", "y", "banana"},
	    {"^b", "bbb", "-", "-bb"},
	    {"b*", "abc", "-", "-a-c-"},
	    {"", "ab", "-", "-a-b-"},
	    {"", "\xc3\xbc", "-", "-\xc3\xbc-"},
	    {"", "", "-", "-"},
	    {"a|(b)", "ab", "[\\1]", "[][b]"},
	    {".", "ab", "\\0\\0\\\\", "aa\\bb\\"},
	};
	struct strb out = {0};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct regex *re = compile(rows[i].pattern, REGEX_SEARCH);
		struct err err;

		assert_int_equal(regex_check_replacement(re, str_of(rows[i].with), &err), 0);
		strb_reset(&out);
		regex_replace_all(re, str_of(rows[i].text), str_of(rows[i].with), &out);
		assert_string_equal(strb_z(&out), rows[i].want);
		regex_free(&re);
	}
	strb_fini(&out);
}

static void
a_long_text_has_a_limit_of_replacements(void **state)
{
	struct regex *re = compile("a", REGEX_SEARCH);
	char text[100];
	struct strb out = {0};

	memset(text, 'a', sizeof(text));
	regex_replace_all(re, str_make(text, sizeof(text)), STR(""), &out);
	assert_int_equal(out.n, sizeof(text) - REGEX_REPLACED);
	strb_fini(&out);
	regex_free(&re);
}

static void
a_replacement_names_groups_that_there_are(void **state)
{
	struct regex *re = compile("(a)", REGEX_SEARCH);
	struct err err = {""};

	assert_int_equal(regex_check_replacement(re, STR("\\0 \\1 \\\\"), &err), 0);
	assert_int_equal(regex_check_replacement(re, STR("\\2"), &err), -1);
	assert_string_equal(err.text, "\\2: the expression has no such group");
	assert_int_equal(regex_check_replacement(re, STR("\\n"), &err), -1);
	assert_int_equal(regex_check_replacement(re, STR("x\\"), &err), -1);
	regex_free(&re);
}

static void
freeing_nothing_is_allowed(void **state)
{
	struct regex *re = NULL;

	regex_free(&re);
	assert_null(re);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(full_mode_matches_the_whole_text_only),
	    cmocka_unit_test(what_re2_lacks_is_refused),
	    cmocka_unit_test(search_mode_gives_the_groups),
	    cmocka_unit_test(more_groups_than_are_kept_still_match),
	    cmocka_unit_test(a_match_beyond_the_limit_is_given_up),
	    cmocka_unit_test(all_matches_are_replaced),
	    cmocka_unit_test(a_long_text_has_a_limit_of_replacements),
	    cmocka_unit_test(a_replacement_names_groups_that_there_are),
	    cmocka_unit_test(freeing_nothing_is_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
