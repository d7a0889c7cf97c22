/*
 * Sniffing HTTP/2's preface, split at every byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/http/codec.h"

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

static enum h2_preface
test(const char *a, size_t an, const char *b, size_t bn)
{
	enum h2_preface verdict;
	struct chunk *c = chunk_new(BUF_SMALL);
	struct buf in;

	buf_init(&in);
	memcpy(c->data, b, bn);
	c->used = (uint32_t)bn;
	buf_add(&in, a, an);
	buf_add_slice(&in, c, 0, (uint32_t)bn);
	chunk_unref(&c);
	verdict = h2_preface_test(&in);
	buf_fini(&in);
	return verdict;
}

static void
the_preface_is_known_wherever_it_is_cut(void **state)
{
	size_t n = sizeof(preface) - 1;

	for (size_t cut = 0; cut < n; cut++) {
		assert_int_equal(test(preface, cut, "", 0), PREFACE_MAYBE);
		assert_int_equal(test(preface, cut, preface + cut, n - cut), PREFACE_YES);
	}
}

static void
anything_else_is_known_at_its_first_wrong_byte(void **state)
{
	char wrong[sizeof(preface)];
	size_t n = sizeof(preface) - 1;

	for (size_t i = 0; i < n; i++) {
		memcpy(wrong, preface, sizeof(wrong));
		wrong[i] ^= 0x20;
		assert_int_equal(test(wrong, i, "", 0), PREFACE_MAYBE);
		assert_int_equal(test(wrong, i + 1, "", 0), PREFACE_NO);
	}
	assert_int_equal(test("GET / HTTP/1.1\r\n", 16, "", 0), PREFACE_NO);
	assert_int_equal(test("P", 1, "OST / HTTP/1.1", 14), PREFACE_NO);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_preface_is_known_wherever_it_is_cut),
		cmocka_unit_test(anything_else_is_known_at_its_first_wrong_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
