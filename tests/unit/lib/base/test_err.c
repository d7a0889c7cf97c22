#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "lib/base/err.h"

static void
a_reason_grows_from_the_inside_out(void **state)
{
	struct err err;

	assert_int_equal(err_set(&err, "port %d is taken", 80), -1);
	assert_int_equal(err_in(&err, "listener '%s'", "in"), -1);
	err_in(&err, "static_resources");
	assert_string_equal(err.text, "static_resources: listener 'in': port 80 is taken");
}

static void
the_system_says_why(void **state)
{
	struct err err;

	errno = ENOENT;
	assert_int_equal(err_sys(&err, "'%s'", "/x"), -1);
	assert_string_equal(err.text, "'/x': No such file or directory");
}

static void
long_reasons_are_cut_and_nobody_needs_to_listen(void **state)
{
	struct err err;
	char name[600];

	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	err_set(&err, "%s", name);
	err_in(&err, "%s", name);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	assert_int_equal(err_set(NULL, "x"), -1);
	assert_int_equal(err_in(NULL, "x"), -1);
	assert_int_equal(err_sys(NULL, "x"), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_reason_grows_from_the_inside_out),
	    cmocka_unit_test(the_system_says_why),
	    cmocka_unit_test(long_reasons_are_cut_and_nobody_needs_to_listen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
