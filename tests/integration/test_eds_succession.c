/*
 * Members from a control plane, from one to the next: another admin
 * process, another generation, another configuration; and an end in the
 * middle of it.
 */
#include "lib/base/mem.h"
#include "tests/harness/generations.h"
#include "tests/integration/eds.h"

static void
another_admin_goes_on_where_the_last_one_was(void **state)
{
	struct eds_scene *e = *state;
	struct plane_request r;
	pid_t old;

	begin_with_one_member(e, CONF_API, &r);
	old = scene_child(&e->sc, "admin");
	kill(old, SIGKILL);
	plane_next(&e->plane, &r);
	assert_string_equal(r.names, "api");
	assert_string_equal(r.nonce, "");
	assert_int_equal(scene_status(&e->sc, "/"), 200);
	WAIT_FOR(scene_stat(&e->sc, "cluster.api.membership_total") == 1);
	plane_members(&e->plane, r.stream, "v2", "n2", "api", NULL, 0);
	plane_wait(&e->plane, &r, "v2", "n2");
	WAIT_FOR(scene_status(&e->sc, "/") == 503);
}

/* ---- from one generation to the next */

static void
the_next_generation_knows_the_members_without_asking(void **state)
{
	struct eds_scene *e = *state;
	struct plane_request r;

	begin_with_one_member(e, CONF_API, &r);
	plane_kill(&e->plane);
	/* It waits until the next one serves: less than initial_fetch_timeout. */
	assert_int_equal(generation_restart(&e->sc), 0);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(scene_status(&e->sc, "/"), 200);
	assert_stat(&e->sc, "cluster.api.init_fetch_timeout", 0);

	plane_restart(&e->plane);
	plane_next(&e->plane, &r);
	assert_string_equal(r.names, "api");
	plane_members(&e->plane, r.stream, "v2", "n2", "api", NULL, 0);
	WAIT_FOR(scene_status(&e->sc, "/") == 503);
}

static void
a_draining_generation_leaves_the_control_plane(void **state)
{
	struct eds_scene *e = *state;
	struct plane_request r;
	unsigned old;

	e->sc.extra[0] = "--parent-shutdown-time-s";
	e->sc.extra[1] = "600";
	begin_with_one_member(e, CONF_API, &r);
	old = r.stream;
	assert_int_equal(generation_restart(&e->sc), 0);
	plane_next(&e->plane, &r);
	assert_true(r.stream > old);
	plane_wait_closed(&e->plane, old);
	plane_members(&e->plane, r.stream, "v2", "n2", "api", &e->sc.host_port[1], 1);
	plane_wait(&e->plane, &r, "v2", "n2");
	assert_int_equal(scene_status(&e->sc, "/"), 200);
}

/* ---- reloads */

#define CONF_TWO                                                                                   \
	CONF_ADMIN CONF_LISTENER("", "              - {match: {prefix: /b}, route: {cluster: b}}\n"  \
				     CONF_ROUTE_ALL)                                               \
	CONF_CLUSTERS CONF_PLANE CONF_EDS("api", "") CONF_EDS("b", "")

static void
a_reload_waits_for_the_members_of_what_it_brings(void **state)
{
	struct eds_scene *e = *state;
	unsigned other = scene_origin(&e->sc, "other");
	struct plane_request r;
	char *out;

	begin_with_one_member(e, CONF_API, &r);
	scene_write_config(&e->sc, CONF_TWO);
	kill(e->sc.proxy, SIGHUP);
	do
		plane_next(&e->plane, &r);
	while (strcmp(r.names, "api,b") != 0);
	assert_string_equal(r.version, "v1");
	assert_int_equal(scene_status(&e->sc, "/b"), 200); /* the old routes */
	plane_members(&e->plane, r.stream, "v2", "n2", "b", &e->sc.host_port[other], 1);
	scene_wait_stat(&e->sc, "cluster_manager.cluster_added", 3);
	assert_int_equal(scene_status(&e->sc, "/b"), 200);
	assert_int_equal(scene_run_tool(&e->sc, &out, "batonctl", "reload", NULL), 0);
	mem_free(out);
	assert_stat(&e->sc, "http.ingress.downstream_rq_5xx", 0);

	scene_write_config(&e->sc, CONF_API);
	assert_int_equal(scene_run_tool(&e->sc, &out, "batonctl", "reload", NULL), 0);
	mem_free(out);
	do
		plane_next(&e->plane, &r);
	while (strcmp(r.names, "api") != 0);
	assert_int_equal(scene_status(&e->sc, "/"), 200);
}

static void
a_reload_that_moves_the_control_plane_moves_the_stream(void **state)
{
	struct eds_scene *e = *state;
	struct plane_request r;
	struct plane second;
	char *out;

	begin_with_one_member(e, CONF_API, &r);
	plane_start(&e->sc, &second);
	assert_int_equal(second.host, 2);
	scene_write_config(&e->sc,
	    CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL) CONF_CLUSTERS
	        CONF_CLUSTER("plane", CONF_HOST("@HOST2@"), "    http2_protocol_options: {}\n")
	            CONF_EDS("api", ""));
	assert_int_equal(scene_run_tool(&e->sc, &out, "batonctl", "reload", NULL), 0);
	mem_free(out);
	plane_next(&second, &r);
	assert_string_equal(r.version, "v1");
	assert_string_equal(r.nonce, "");
	assert_int_equal(scene_status(&e->sc, "/"), 200);
	plane_members(&second, r.stream, "v2", "n2", "api", NULL, 0);
	plane_wait(&second, &r, "v2", "n2");
	WAIT_FOR(scene_status(&e->sc, "/") == 503);
	close(second.fd);
}

/* ---- the end, in the middle of it */

#define MANY 2000

static void
send_many(struct eds_scene *e, unsigned stream, unsigned turn)
{
	uint16_t ports[MANY];
	char version[16];

	snprintf(version, sizeof(version), "many%u", turn);
	for (unsigned i = 0; i < MANY; i++)
		ports[i] = (uint16_t)(20000 + i + turn % 2 * MANY);
	plane_members(&e->plane, stream, version, version, "api", ports, MANY);
}

static void
an_end_while_members_are_taken_leaves_nothing_behind(void **state)
{
	struct eds_scene *e = *state;
	struct plane_request r;
	char *log;

	begin_with_one_member(e, CONF_API, &r);
	for (unsigned turn = 0; turn < 8; turn++)
		send_many(e, r.stream, turn);
	plane_next(&e->plane, &r); /* several may be answered by one */
	kill(e->sc.proxy, SIGTERM);
	assert_int_equal(scene_wait_exit(&e->sc), 0);
	log = scene_log(&e->sc);
	assert_null(strstr(log, "ERROR: AddressSanitizer"));
	mem_free(log);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(another_admin_goes_on_where_the_last_one_was, setup, teardown),
	    cmocka_unit_test_setup_teardown(
	        the_next_generation_knows_the_members_without_asking, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_draining_generation_leaves_the_control_plane, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_reload_waits_for_the_members_of_what_it_brings, setup, teardown),
	    cmocka_unit_test_setup_teardown(
	        a_reload_that_moves_the_control_plane_moves_the_stream, setup, teardown),
	    cmocka_unit_test_setup_teardown(
	        an_end_while_members_are_taken_leaves_nothing_behind, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
