/* The barrier: every worker of the moment prepares, or nothing changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "admin/config/publish.h"
#include "lib/base/str.h"

struct seen {
	struct strb text; /* what happened, in order */
};

static void
send_prepare(void *arg, unsigned seat, uint64_t offset)
{
	strb_printf(&((struct seen *)arg)->text, "P%u:%u ", seat, (unsigned)offset);
}

static void
send_use(void *arg, uint64_t offset)
{
	strb_printf(&((struct seen *)arg)->text, "U%u ", (unsigned)offset);
}

static void
on_done(void *arg, uint64_t offset, const char *refused)
{
	strb_printf(&((struct seen *)arg)->text, refused ? "R(%s) " : "D ", refused);
}

static const struct publish_events events = {send_prepare, send_use, on_done};

/* Steps: +n worker n starts, -n it ends, !n publish offset n, yn prepared n, xn refuses, on answers
 * to an old offset. */
static void
play(struct publish *p, const char *script)
{
	struct str rest = str_of(script), step;

	while (str_cut(&rest, ' ', &step)) {
		uint64_t n = 0;

		assert_true(str_u64(str_make(step.p + 1, step.n - 1), &n));
		switch (step.p[0]) {
		case '+':
			publish_worker_started(p, (unsigned)n);
			break;
		case '-':
			publish_worker_ended(p, (unsigned)n);
			break;
		case '!':
			publish_start(p, n);
			break;
		case 'y':
			publish_prepared(p, (unsigned)n, 100, true, STR(""));
			break;
		case 'x':
			publish_prepared(p, (unsigned)n, 100, false, STR("no"));
			break;
		default:
			publish_prepared(p, (unsigned)n, 50, true, STR(""));
		}
	}
}

static void
barrier_is_told_by_scripts(void **state)
{
	static const struct {
		const char *script, *seen;
		uint64_t used;
		bool busy;
	} rows[] = {
	    {"!100", "U100 D ", 100, false},
	    {"+2 +3 !100", "P2:100 P3:100 ", 0, true},
	    {"+2 +3 !100 y2", "P2:100 P3:100 ", 0, true},
	    {"+2 +3 !100 y2 y3", "P2:100 P3:100 U100 D ", 100, false},
	    /* a refusal ends it, later answers count for nothing */
	    {"+2 +3 !100 y2 x3 y3", "P2:100 P3:100 R(no) ", 0, false},
	    {"+2 +3 !100 x2 x3", "P2:100 P3:100 R(no) ", 0, false},
	    /* a worker that ends leaves the barrier */
	    {"+2 +3 !100 y2 -3", "P2:100 P3:100 U100 D ", 100, false},
	    /* but who died of it is no proof */
	    {"+2 !100 -2", "P2:100 ", 0, true},
	    {"+2 !100 -2 +2 y2", "P2:100 P2:100 U100 D ", 100, false},
	    {"+2 +3 !100 -2 +2 -3 +3 -2", "P2:100 P3:100 P2:100 P3:100 R(workers end while they build it) ", 0,
		false},
	    /* one that comes meanwhile is asked too */
	    {"+2 !100 +3 y2", "P2:100 P3:100 ", 0, true},
	    {"+2 !100 +3 y2 y3", "P2:100 P3:100 U100 D ", 100, false},
	    /* the same seat again: its answer was its predecessor's */
	    {"+2 +3 !100 y2 -2 +2 y3", "P2:100 P3:100 P2:100 ", 0, true},
	    {"+2 +3 !100 y2 -2 +2 y3 y2", "P2:100 P3:100 P2:100 U100 D ", 100, false},
	    /* answers of strangers and to other offsets */
	    {"+2 !100 y7", "P2:100 ", 0, true},
	    {"+2 !100 o2", "P2:100 ", 0, true},
	    {"+2 y2 -9", "", 0, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct seen seen = {{0}};
		struct publish *p = publish_new(&events, &seen);

		play(p, rows[i].script);
		assert_string_equal(strb_z(&seen.text), rows[i].seen);
		assert_int_equal(publish_used(p), rows[i].used);
		assert_int_equal(publish_is_busy(p), rows[i].busy);
		publish_free(&p);
		strb_fini(&seen.text);
	}
}

static void
a_refused_publish_may_be_followed_by_another(void **state)
{
	struct seen seen = {{0}};
	struct publish *p = publish_new(&events, &seen);

	play(p, "+2 !100 x2 !100 y2");
	assert_string_equal(strb_z(&seen.text), "P2:100 R(no) P2:100 U100 D ");
	assert_int_equal(publish_workers(p), 1);
	publish_free(&p);
	strb_fini(&seen.text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(barrier_is_told_by_scripts),
	    cmocka_unit_test(a_refused_publish_may_be_followed_by_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
