/* Outlier detection in admin: the numbers it compares, and what its log says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin/health/outlier_log.h"
#include "admin/health/outlier_rates.h"
#include "lib/base/clock.h"

static void
the_threshold_is_below_the_average_by_deviations(void **state)
{
	const double rates[] = {50, 100, 100, 100, 100};
	struct rate_verdict v = rates_compare(rates, 5, 1.9);

	assert_float_equal(v.average, 90, 0.0001);
	assert_float_equal(v.threshold, 52, 0.0001); /* σ = 20 */
	v = rates_compare(rates, 0, 1.9);
	assert_float_equal(v.average, -1, 0.0001);
	assert_float_equal(v.threshold, -1, 0.0001);
	v = rates_compare(rates + 1, 4, 1.9);
	assert_float_equal(v.threshold, 100, 0.0001); /* all alike: nobody is below */
}

static void
a_line_says_who_why_and_whether_it_was_enforced(void **state)
{
	static const struct {
		struct outlier_event event;
		const char *line;
	} rows[] = {
	    {{.kind = EJECT_CONSECUTIVE_5XX,
		 .eject = true,
		 .enforced = true,
		 .since_last_s = -1,
		 .ejections = 1},
		"{\"type\":\"CONSECUTIVE_5XX\",\"timestamp\":\"2001-09-09T01:46:40.123Z\","
		"\"cluster_name\":\"api\",\"upstream_url\":\"127.0.0.1:80\",\"action\":\"EJECT\","
		"\"num_ejections\":1,\"enforced\":true,\"eject_consecutive_event\":{}}\n"},
	    {{.kind = EJECT_SUCCESS_RATE,
		 .eject = true,
		 .since_last_s = 30,
		 .ejections = 2,
		 .rate = 50,
		 .average = 90,
		 .threshold = 52},
		"{\"type\":\"SUCCESS_RATE\",\"timestamp\":\"2001-09-09T01:46:40.123Z\","
		"\"secs_since_last_action\":\"30\",\"cluster_name\":\"api\","
		"\"upstream_url\":\"127.0.0.1:80\",\"action\":\"EJECT\",\"num_ejections\":2,"
		"\"enforced\":false,\"eject_success_rate_event\":{\"host_success_rate\":50,"
		"\"cluster_average_success_rate\":90,"
		"\"cluster_success_rate_ejection_threshold\":52}}\n"},
	    {{.kind = EJECT_CONSECUTIVE_5XX, .since_last_s = 7, .ejections = 2},
		"{\"type\":\"CONSECUTIVE_5XX\",\"timestamp\":\"2001-09-09T01:46:40.123Z\","
		"\"secs_since_last_action\":\"7\",\"cluster_name\":\"api\","
		"\"upstream_url\":\"127.0.0.1:80\",\"action\":\"UNEJECT\",\"num_ejections\":2,"
		"\"enforced\":false}\n"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct outlier_event e = rows[i].event;
		struct strb out = {0};

		e.cluster = STR("api");
		e.host = STR("127.0.0.1:80");
		e.wall_ns = 1000000000 * NS_PER_S + 123 * NS_PER_MS;
		outlier_event_print(&out, &e);
		assert_string_equal(strb_z(&out), rows[i].line);
		strb_fini(&out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_threshold_is_below_the_average_by_deviations),
	    cmocka_unit_test(a_line_says_who_why_and_whether_it_was_enforced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
