/* Orders to drain: what one says another understands, older and newer ones included. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/ipc/channel.h"
#include "lib/ipc/drain_order.h"
#include "lib/ipc/handover.h"

static const struct drain_order order = {
    .seconds = 600,
    .immediate = true,
    .another_serves = true,
    .deadline_s = {10, 900, DRAIN_NO_DEADLINE, 0},
};

static void
assert_same(const struct drain_order *got)
{
	assert_int_equal(got->seconds, order.seconds);
	assert_int_equal(got->immediate, order.immediate);
	assert_int_equal(got->another_serves, order.another_serves);
	assert_memory_equal(got->deadline_s, order.deadline_s, sizeof(order.deadline_s));
}

static void
a_worker_reads_what_its_master_wrote(void **state)
{
	struct message m;
	struct message_view v;
	struct drain_order got;

	message_init(&m, MSG_DRAIN);
	drain_order_put(&m, &order);
	v = (struct message_view){.rest = strb_str(&m.body)};
	drain_order_get(&got, &v);
	assert_same(&got);
	message_fini(&m);
}

static void
without_deadlines_everything_may_stay(void **state)
{
	struct message m;
	struct message_view v;
	struct drain_order got;

	message_init(&m, MSG_DRAIN);
	message_u(&m, 5);
	message_u(&m, 0);
	message_u(&m, 1);
	v = (struct message_view){.rest = strb_str(&m.body)};
	drain_order_get(&got, &v);
	assert_int_equal(got.seconds, 5);
	for (unsigned k = 0; k < DRAIN_KINDS; k++)
		assert_int_equal(got.deadline_s[k], DRAIN_NO_DEADLINE);
	message_fini(&m);
}

static void
a_master_reads_what_another_wrote(void **state)
{
	struct strb b = {0};
	struct handover_packet p;
	struct drain_order got;

	handover_begin(&b, HANDOVER_DRAIN);
	drain_order_pack(&b, &order);
	handover_parse(&p, strb_str(&b));
	drain_order_unpack(&got, &p);
	assert_same(&got);
	strb_fini(&b);
}

static void
kinds_that_are_not_named_have_the_common_deadline(void **state)
{
	static const struct {
		const char *kinds;
		uint32_t want[DRAIN_KINDS];
	} rows[] = {
	    {"", {900, 900, 900, 900}},
	    {"h2=5", {900, 5, 900, 900}},
	    {"h3=7 websocket=1 tcp=x h1", {900, 900, 1, 900}},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct strb b = {0};
		struct handover_packet p;
		struct drain_order got;

		handover_begin(&b, HANDOVER_DRAIN);
		handover_put_u(&b, FIELD_SECONDS, 600);
		handover_put_u(&b, FIELD_DEADLINE_S, 900);
		handover_put_s(&b, FIELD_DEADLINES, str_of(rows[i].kinds));
		handover_parse(&p, strb_str(&b));
		drain_order_unpack(&got, &p);
		assert_memory_equal(got.deadline_s, rows[i].want, sizeof(got.deadline_s));
		strb_fini(&b);
	}
}

static void
the_last_deadline_is_that_of_the_generation(void **state)
{
	struct drain_order o = {.deadline_s = {10, 7200, 30, 0}};

	assert_int_equal(drain_order_last_s(&o), 7200);
	drain_order_until(&o, 3);
	assert_int_equal(o.deadline_s[DRAIN_TCP], 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_worker_reads_what_its_master_wrote),
	    cmocka_unit_test(without_deadlines_everything_may_stay),
	    cmocka_unit_test(a_master_reads_what_another_wrote),
	    cmocka_unit_test(kinds_that_are_not_named_have_the_common_deadline),
	    cmocka_unit_test(the_last_deadline_is_that_of_the_generation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
