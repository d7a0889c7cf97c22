#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"

/* What one log call writes. */
static const char *
written(void (*speak)(void))
{
	static char text[8192];
	int fds[2];
	ssize_t n;

	assert_int_equal(pipe(fds), 0);
	log_set_fd(fds[1]);
	speak();
	log_set_fd(2);
	close(fds[1]);
	n = read(fds[0], text, sizeof(text) - 1);
	close(fds[0]);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void
speak_of_a_start(void)
{
	log_info(LOG_MAIN, "start: epoch=%d", 3);
}

static void
speak_with_line_ends(void)
{
	log_error(LOG_HTTP, "header 'a\r\nb\x1b[2J'");
}

static void
speak_quietly(void)
{
	log_debug(LOG_MAIN, "nobody hears this");
}

static void
a_line_has_the_parts_of_its_format(void **state)
{
	char bad;

	clock_set(1, 1700000000123456789ull);
	assert_true(log_set_format("%Y-%m-%d %T.%e %f %F %l %L %n %v 100%%", &bad));
	assert_string_equal(written(speak_of_a_start),
	    "2023-11-14 22:13:20.123 123456 123456789 info I main start: epoch=3 100%\n");
	clock_set(0, 0);
}

static void
one_event_is_one_line_whatever_it_says(void **state)
{
	char bad;

	assert_true(log_set_format("%v", &bad));
	assert_string_equal(written(speak_with_line_ends), "header 'a  b [2J'\n");
}

static void
levels_are_kept_per_component(void **state)
{
	assert_string_equal(written(speak_quietly), "");
	log_set(LOG_MAIN, LOG_DEBUG);
	assert_string_equal(written(speak_quietly), "nobody hears this\n");
	log_set_all(LOG_OFF);
	assert_string_equal(written(speak_of_a_start), "");
	log_set_all(LOG_INFO);
	assert_string_equal(written(speak_of_a_start), "start: epoch=3\n");
}

static void
names_are_read_as_envoy_writes_them(void **state)
{
	enum log_component c;
	enum log_level l;
	char bad = 0;

	assert_true(log_level_parse(STR("warn"), &l) && l == LOG_WARNING);
	assert_true(log_level_parse(STR("critical"), &l) && l == LOG_CRITICAL);
	assert_false(log_level_parse(STR("loud"), &l));
	assert_true(log_component_parse(STR("router"), &c) && c == LOG_ROUTER);
	assert_false(log_component_parse(STR("nothing"), &c));
	assert_string_equal(log_level_name(LOG_TRACE), "trace");
	assert_string_equal(log_component_name(LOG_HTTP2), "http2");
	assert_false(log_set_format("%v %q", &bad));
	assert_int_equal(bad, 'q');
	assert_false(log_set_format("%", &bad));
}

static void
what_cannot_be_written_is_counted(void **state)
{
	log_take_dropped();
	log_set_fd(-1);
	speak_of_a_start();
	log_set_fd(2);
	assert_int_equal(log_take_dropped(), 1);
	assert_int_equal(log_take_dropped(), 0);
}

static void
a_reader_that_sleeps_stops_nobody(void **state)
{
	uint64_t lost = 0;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	log_set_fd(fds[1]);
	while (lost == 0) {
		speak_of_a_start();
		lost = log_take_dropped();
	}
	log_set_fd(2);
	assert_int_equal(lost, 1);
	close(fds[0]);
	close(fds[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_line_has_the_parts_of_its_format),
	    cmocka_unit_test(one_event_is_one_line_whatever_it_says),
	    cmocka_unit_test(levels_are_kept_per_component),
	    cmocka_unit_test(names_are_read_as_envoy_writes_them),
	    cmocka_unit_test(what_cannot_be_written_is_counted),
	    cmocka_unit_test(a_reader_that_sleeps_stops_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
