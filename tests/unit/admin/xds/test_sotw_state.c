/* State of the world: what a request says after what came. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin/xds/sotw_state.h"
#include "admin/xds/token_bucket.h"

typedef Envoy__Service__Discovery__V3__DiscoveryRequest Request;

static char *names[] = {"a", "b"};

/* Takes the request that is owed and compares it with "version|nonce|error". */
static void
assert_request(struct sotw_state *t, const char *want)
{
	Google__Rpc__Status detail;
	struct strb got = {0};
	Request r;

	assert_true(t->owed);
	sotw_state_request(t, &r, &detail, "type", names, 2);
	strb_printf(&got, "%s|%s|%s", r.version_info, r.response_nonce,
	    r.error_detail ? r.error_detail->message : "");
	assert_string_equal(strb_z(&got), want);
	assert_int_equal(r.n_resource_names, 2);
	if (r.error_detail)
		assert_int_equal(r.error_detail->code, 13);
	sotw_state_sent(t);
	assert_false(t->owed);
	strb_fini(&got);
}

static void
answered(struct sotw_state *t, const char *version, const char *nonce, const char *reasons)
{
	sotw_state_answered(t, str_of(version), str_of(nonce), str_of(reasons));
}

static void
versions_move_only_when_accepted(void **state)
{
	struct sotw_state t = {0};

	sotw_state_begin(&t, true);
	assert_request(&t, "||");
	answered(&t, "1", "x", "");
	assert_request(&t, "1|x|");
	answered(&t, "2", "y", "bad");
	assert_request(&t, "1|y|bad");
	answered(&t, "3", "z", "");
	assert_request(&t, "3|z|");
	sotw_state_fini(&t);
}

static void
a_refusal_is_told_once(void **state)
{
	struct sotw_state t = {0};

	sotw_state_begin(&t, true);
	assert_request(&t, "||");
	answered(&t, "1", "x", "bad");
	assert_request(&t, "|x|bad");
	sotw_state_changed(&t);
	assert_request(&t, "|x|");
	sotw_state_fini(&t);
}

static void
another_stream_begins_with_the_version_and_without_a_nonce(void **state)
{
	struct sotw_state t = {0};

	sotw_state_begin(&t, true);
	assert_request(&t, "||");
	answered(&t, "1", "x", "");
	sotw_state_begin(&t, true); /* it broke before the answer went out */
	assert_request(&t, "1||");
	answered(&t, "2", "x2", "bad");
	sotw_state_begin(&t, true);
	assert_request(&t, "1||");
	sotw_state_begin(&t, false);
	assert_false(t.owed);
	sotw_state_fini(&t);
}

static void
a_reason_is_text(void **state)
{
	struct sotw_state t = {0};

	sotw_state_begin(&t, true);
	answered(&t, "1", "x", "a\xff\nb");
	assert_request(&t, "|x|a??b");
	sotw_state_fini(&t);
}

static void
tokens_come_back_with_time(void **state)
{
	struct token_bucket b;

	token_bucket_init(&b, 2, 10, 1000);
	assert_int_equal(token_bucket_take(&b, 1000), 0);
	assert_int_equal(token_bucket_take(&b, 1000), 0);
	assert_in_range(token_bucket_take(&b, 1000), 100, 101);
	assert_in_range(token_bucket_take(&b, 1050), 50, 51);
	assert_int_equal(token_bucket_take(&b, 1101), 0);
	assert_int_equal(token_bucket_take(&b, 90000), 0); /* never more than at the start */
	assert_int_equal(token_bucket_take(&b, 90000), 0);
	assert_true(token_bucket_take(&b, 90000) > 0);
	token_bucket_init(&b, 0, 0, 0);
	assert_int_equal(token_bucket_take(&b, 5), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(versions_move_only_when_accepted),
	    cmocka_unit_test(a_refusal_is_told_once),
	    cmocka_unit_test(another_stream_begins_with_the_version_and_without_a_nonce),
	    cmocka_unit_test(a_reason_is_text),
	    cmocka_unit_test(tokens_come_back_with_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
