#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf/diag.h"
#include "conf/node.h"

struct parsed {
	struct arena arena;
	struct diag diag;
	struct document *doc;
	int result;
};

static void
parse(struct parsed *p, bool json, const char *text, size_t n)
{
	arena_init(&p->arena);
	diag_init(&p->diag);
	p->result =
	    (json ? json_parse : yaml_parse)(&p->arena, "t", str_make(text, n), &p->doc, &p->diag);
}

static void
drop(struct parsed *p)
{
	diag_fini(&p->diag);
	arena_fini(&p->arena);
}

static void
assert_at(const struct node *n, const char *text, uint32_t line, uint32_t column)
{
	assert_non_null(n);
	assert_true(str_eqz(n->text, text));
	assert_int_equal(n->line, line);
	assert_int_equal(n->column, column);
}

static void
yaml_and_json_give_the_same_tree_with_places(void **state)
{
	static const char *const texts[] = {
	    "{\"a\": 1,\n  \"b\": [true, null, \"x\"]}",
	    "{a: 1,\n  \"b\": [true, null, \"x\"]}",
	};

	for (int json = 0; json < 2; json++) {
		const char *text = texts[!json];
		struct node *b;
		struct parsed p;

		parse(&p, json, text, strlen(text));
		assert_int_equal(p.result, 0);
		assert_int_equal(p.doc->root->kind, NODE_MAP);
		assert_at(node_get(p.doc->root, STR("a")), "1", 1, json ? 7 : 5);
		b = node_get(p.doc->root, STR("b"));
		assert_int_equal(b->kind, NODE_SEQ);
		assert_int_equal(b->count, 3);
		assert_at(b->items[0], "true", 2, 9);
		assert_false(b->items[0]->quoted);
		assert_true(node_is_null(b->items[1]));
		assert_true(b->items[2]->quoted);
		assert_null(node_get(p.doc->root, STR("c")));
		drop(&p);
	}
}

static void
the_empty_document_has_no_root(void **state)
{
	static const char *const texts[] = {"", "# words\n", "---\n", "\n\n"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct parsed p;

		parse(&p, false, texts[i], strlen(texts[i]));
		assert_int_equal(p.result, 0);
		assert_true(p.doc->root == NULL || node_is_null(p.doc->root));
		drop(&p);
	}
}

static void
merge_keys_give_way_to_what_is_written(void **state)
{
	static const char text[] = "base: &b {x: 1, y: 2}\nother: &o {y: 3, z: 4}\n"
				   "it: {y: 0, <<: [*b, *o]}\nplain: {\"<<\": 5}\n";
	struct node *it;
	struct parsed p;

	parse(&p, false, text, sizeof(text) - 1);
	assert_int_equal(p.result, 0);
	it = node_get(p.doc->root, STR("it"));
	assert_int_equal(it->count, 3);
	assert_at(node_get(it, STR("y")), "0", 3, 9);
	assert_at(node_get(it, STR("x")), "1", 1, 14);
	assert_at(node_get(it, STR("z")), "4", 2, 21);
	assert_at(node_get(node_get(p.doc->root, STR("plain")), STR("<<")), "5", 4, 15);
	drop(&p);
}

static double
seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
assert_refused_quickly(bool json, const char *text, size_t n, const char *why)
{
	double start = seconds();
	struct parsed p;

	parse(&p, json, text, n);
	assert_int_equal(p.result, -1);
	assert_true(p.diag.count > 0);
	if (!strstr(p.diag.entries[0].text, why))
		fail_msg("'%s' does not say '%s'", p.diag.entries[0].text, why);
	drop(&p);
	assert_true(seconds() - start < 1.0); /* of processor time, sanitizers included */
}

static void
hostile_texts_are_refused_quickly(void **state)
{
	size_t n = 16 << 20;
	char *text = malloc(n);

	for (int json = 0; json < 2; json++) {
		memset(text, '[', n);
		assert_refused_quickly(json, text, n, "nested deeper");
	}
	for (size_t i = 0; i < n; i += 2)
		memcpy(text + i, "- ", 2);
	assert_refused_quickly(false, text, n, "nested deeper");
	for (size_t i = 0; i + 5 <= n; i += 5)
		memcpy(text + i, "{\"a\":", 5);
	assert_refused_quickly(false, text, 1 << 20, "");
	text[100] = '\0';
	assert_refused_quickly(false, text, n, "NUL");
	assert_refused_quickly(true, text, n, "NUL");
	free(text);
	text = calloc(1, CONF_FILE_LIMIT + 1);
	assert_refused_quickly(false, text, CONF_FILE_LIMIT + 1, "larger than");
	free(text);
}

static void
a_wide_document_is_bounded_too(void **state)
{
	size_t n = 2 * (NODE_LIMIT + 10);
	char *text = malloc(n);
	struct parsed p;

	text[0] = '[';
	for (size_t i = 1; i + 1 < n; i += 2)
		memcpy(text + i, "1,", 2);
	parse(&p, false, text, n - 1);
	assert_int_equal(p.result, -1);
	assert_non_null(strstr(p.diag.entries[0].text, "values in one document"));
	drop(&p);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(yaml_and_json_give_the_same_tree_with_places),
	    cmocka_unit_test(the_empty_document_has_no_root),
	    cmocka_unit_test(merge_keys_give_way_to_what_is_written),
	    cmocka_unit_test(hostile_texts_are_refused_quickly),
	    cmocka_unit_test(a_wide_document_is_bounded_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
