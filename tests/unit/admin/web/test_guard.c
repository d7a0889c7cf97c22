/* Whom the admin port answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin/web/guard.h"

static void
hosts_that_strangers_can_name_are_refused(void **state)
{
	static const struct {
		const char *authority;
		bool ours;
	} rows[] = {
	    {"", true},
	    {"127.0.0.1:9901", true},
	    {"10.1.2.3", true},
	    {"[::1]:9901", true},
	    {"[fe80::1]", true},
	    {"localhost:9901", true},
	    {"LOCALHOST", true},
	    {"proxy:9901", true}, /* a name of this network: no dot */
	    {"box.example.com:80", true}, /* this machine */
	    {"proxy.default.svc:9901", true},
	    {"proxy.default.svc.cluster.local", true},
	    {"a.localhost", true},
	    {"a.internal.", true},
	    {"evil.com", false},
	    {"evil.com:9901", false},
	    {"127.0.0.1.evil.com", false},
	    {"localhost.evil.com", false},
	    {"notlocal", true},
	    {"x.notlocal", false},
	    {"1.2.3", false},
	    {"1.2.3.4.5", false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (guard_host_is_ours(str_of(rows[i].authority), STR("box.example.com")) != rows[i].ours)
			fail_msg("%s", rows[i].authority);
}

static void
pages_of_other_sites_are_refused(void **state)
{
	static const struct {
		const char *origin, *authority;
		bool matches;
	} rows[] = {
	    {NULL, "127.0.0.1:9901", true},
	    {"http://127.0.0.1:9901", "127.0.0.1:9901", true},
	    {"http://LocalHost:9901", "localhost:9901", true},
	    {"http://127.0.0.1:9902", "127.0.0.1:9901", false},
	    {"http://evil.com", "127.0.0.1:9901", false},
	    {"null", "127.0.0.1:9901", false},
	    {"", "127.0.0.1:9901", false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct str origin = str_of(rows[i].origin);

		if (guard_origin_matches(origin, str_of(rows[i].authority)) != rows[i].matches)
			fail_msg("%s at %s", rows[i].origin, rows[i].authority);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(hosts_that_strangers_can_name_are_refused),
	    cmocka_unit_test(pages_of_other_sites_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
