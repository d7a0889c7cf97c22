/* Pipes for bodies: how many there are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "lib/base/pipe.h"

#define FILES 96

static void
descriptors_are_left_for_connections(void **state)
{
	struct rlimit l;
	struct pipe *taken[FILES];
	unsigned n = 0;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &l), 0);
	l.rlim_cur = FILES;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &l), 0);
	while (n < FILES && (taken[n] = pipe_take()) != NULL)
		n++;
	assert_in_range(n, 1, FILES / 16);
	while (n)
		pipe_give(&taken[--n], 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(descriptors_are_left_for_connections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
