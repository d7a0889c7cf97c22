/*
 * What a draining generation holds, for how long, and what becomes of the rest: deadlines by kind,
 * the record of what they cut, how many generations may drain, and the graceful end.
 */
#include <stdlib.h>

#include "lib/base/mem.h"
#include "tests/harness/generations.h"

/* ---- scenes */

static void
each_kind_is_cut_at_its_own_deadline(void **state)
{
	struct scene sc;
	pid_t first;
	int h1, h2, ws;

	hold_serve(&sc, WORDS("--drain-deadline", "h1=1", "--drain-deadline", "h2=2", "--drain-deadline",
		       "websocket=600"));
	first = sc.proxy;
	h1 = hold_h1(&sc, "/?delay_ms=60000");
	h2 = hold_h2(&sc);
	ws = hold_websocket(&sc);
	scene_wait_stat(&sc, "cluster.api.upstream_rq_active", 3);
	assert_int_equal(generation_restart(&sc), 0);
	scene_wait_stat(&sc, "baton.cx_cut_at_deadline", 1);
	assert_true(client_closed(h1));
	scene_wait_stat(&sc, "baton.cx_cut_at_deadline", 2);
	expect_tool(&sc, 0, "h1 from 127.0.0.1:", "batonstat", WORDS("--failures"));
	scene_wait_log(&sc, "is cut, h1 from 127.0.0.1:");
	scene_wait_log(&sc, "is cut, h2 from 127.0.0.1:");
	assert_echo(ws);
	assert_false(generation_is_gone(first));
	close(h1);
	close(h2);
	close(ws);
	WAIT_FOR(generation_is_gone(first));
	scene_wait_stat(&sc, "baton.generations", 1);
	assert_stat(&sc, "baton.cx_cut_at_deadline", 2);
	/* The record outlives the generation that wrote it. */
	expect_tool(&sc, 0, " cut ", "batonstat", WORDS("--failures"));
	expect_tool(&sc, 0, "a request is under way", "batonstat", WORDS("--failures"));
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_kind_is_cut_at_its_own_deadline),
	};

	generations_adopt();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
