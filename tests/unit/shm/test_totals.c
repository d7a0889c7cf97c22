/* The file of totals: what is not one is an error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/assert.h"
#include "shm/totals.h"

static void
damaged_totals_are_an_error(void **state)
{
	static const char *const bad[] = {
	    "",
	    "baton totals 2\nend 0\n",
	    "baton totals 1\n",
	    "baton totals 1\nend 1\n",
	    "baton totals 1\nend 0\nmore\n",
	    "baton totals 1\nend 0",
	    "baton totals 1\nfolded xyz\nend 0\n",
	    "baton totals 1\nC 0 a\nend 1\n",
	    "baton totals 1\nC 0 a -1\tx\nend 1\n",
	    "baton totals 1\nC 99 a 1\tx\nend 1\n",
	    "baton totals 1\nC 0 %zz 1\tx\nend 1\n",
	    "baton totals 1\nH 0 a 1 99999:1\tx\nend 1\n",
	    "baton totals 1\nH 0 a 1 1:x\tx\nend 1\n",
	    "baton totals 1\nQ 0 a 1\tx\nend 1\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct stat_set *set = stat_set_new();
		struct totals t = {0};
		struct err err;

		if (totals_parse(&t, str_of(bad[i]), set, NULL, NULL, &err) == 0)
			fail_msg("accepted: %s", bad[i]);
		totals_fini(&t);
		stat_set_free(&set);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(damaged_totals_are_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
