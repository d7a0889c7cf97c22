/* The harness's own host that fails on command does what it is told. */
#include "tests/harness/script.h"

static int
status_of(struct scene *sc, unsigned h, const char *path)
{
	struct reply r = scene_request(sc, sc->host_port[h], "GET", path, "", NULL);
	int status = r.complete ? r.status : -r.status;

	reply_free(&r);
	return status;
}

static void
rules_are_played_in_order_and_counted(void **state)
{
	struct scene sc;
	unsigned h;

	scene_init(&sc);
	h = scene_scripted(&sc, "one", false);
	script_add(&sc, h, (struct rule){.path = "/health", .status = 404});
	script_add(&sc, h, (struct rule){.status = 503, .times = 2});
	script_add(&sc, h, (struct rule){.deed = DEED_RESET, .times = 1});
	script_add(&sc, h, (struct rule){.deed = DEED_CLOSE, .when = IN_ANSWER, .body = 100, .times = 1});
	assert_int_equal(status_of(&sc, h, "/"), 503);
	assert_int_equal(status_of(&sc, h, "/health"), 404);
	assert_int_equal(status_of(&sc, h, "/"), 503);
	assert_int_equal(status_of(&sc, h, "/"), 0);
	assert_int_equal(status_of(&sc, h, "/"), -200);
	assert_int_equal(status_of(&sc, h, "/"), 200);
	assert_int_equal(script_of(&sc, h)->requests, 6);
	scene_fini(&sc);
}

static void
its_port_refuses_and_listens_again(void **state)
{
	struct scene sc;
	unsigned h;

	scene_init(&sc);
	h = scene_scripted(&sc, "one", false);
	script_listen(&sc, h, LISTEN_REFUSE);
	script_listen(&sc, h, LISTEN_DEAF);
	script_listen(&sc, h, LISTEN_YES);
	assert_int_equal(status_of(&sc, h, "/"), 200);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rules_are_played_in_order_and_counted),
	    cmocka_unit_test(its_port_refuses_and_listens_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
