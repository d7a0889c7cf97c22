/* Targets and forms as endpoints see them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin/web/request.h"

static void
targets_split_into_path_and_parameters(void **state)
{
	static const struct {
		const char *target, *body;
		const char *seen; /* path, then name=value; … */
	} rows[] = {
	    {"/", "", "/ "},
	    {"/stats?", "", "/stats "},
	    {"/stats?usedonly", "", "/stats usedonly=;"},
	    {"/stats?a=1&b=2", "", "/stats a=1;b=2;"},
	    {"/stats?a=1&&b", "", "/stats a=1;b=;"},
	    {"/stats?a=x%20y+z", "", "/stats a=x y z;"},
	    {"/stats?a=%5Bx%5D", "", "/stats a=[x];"},
	    {"/stats?a=%zz%4", "", "/stats a=%zz%4;"},
	    {"/stats?a=b=c", "", "/stats a=b=c;"},
	    {"/stats?=x", "", "/stats =x;"},
	    {"/stats?a=1#b=2", "", "/stats a=1;"},
	    {"/x?a=1", "b=2&c=%33", "/x a=1;b=2;c=3;"},
	    {"", "", " "},
	};
	struct arena arena;

	arena_init(&arena);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct web_request q;
		struct strb seen = {0};

		web_request_init(&q, &arena, STR("GET"), str_of(rows[i].target),
		    STR("application/x-www-form-urlencoded; charset=utf-8"), str_of(rows[i].body));
		strb_adds(&seen, q.path);
		strb_addc(&seen, ' ');
		for (size_t k = 0; k < q.params.len; k++)
			strb_printf(&seen, STR_FMT "=" STR_FMT ";", STR_ARG(q.params.at[k].name),
			    STR_ARG(q.params.at[k].value));
		assert_string_equal(strb_z(&seen), rows[i].seen);
		strb_fini(&seen);
		web_request_fini(&q);
	}
	arena_fini(&arena);
}

static void
a_body_that_is_no_form_gives_no_parameters(void **state)
{
	struct arena arena;
	struct web_request q;

	arena_init(&arena);
	web_request_init(&q, &arena, STR("POST"), STR("/x"), STR("application/json"), STR("a=1"));
	assert_false(web_has(&q, "a"));
	assert_int_equal(web_get(&q, "a").n, 0);
	web_request_fini(&q);
	arena_fini(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(targets_split_into_path_and_parameters),
	    cmocka_unit_test(a_body_that_is_no_form_gives_no_parameters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
