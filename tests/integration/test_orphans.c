/* Workers and an admin whose master was killed: they serve on until somebody adopts or drains them. */
#include "tests/integration/hot_restart.h"

static void
orphans_are_adopted(const char *epoch, int64_t want_epoch)
{
	struct scene sc;
	pid_t pids[CLIENTS], first, worker, admin;
	struct tally *t;
	uint64_t answered;
	int status;

	serve(&sc, CONF_SIMPLE, "2");
	first = sc.proxy;
	worker = scene_child(&sc, "worker 1");
	admin = scene_child(&sc, "admin");
	t = start_clients(&sc, pids);
	WAIT_FOR(has_answered(t, 20));
	kill(first, SIGKILL);
	assert_int_equal(waitpid(first, &status, 0), first);
	WAIT_FOR(has_answered(t, 60)); /* nobody noticed */
	start_over(&sc, "2", epoch);
	WAIT_FOR(scene_stat(&sc, "server.hot_restart_epoch") == want_epoch);
	WAIT_FOR(has_answered(t, 120));
	answered = stop_clients(t, pids);
	WAIT_FOR(generation_is_gone(worker));
	WAIT_FOR(generation_is_gone(admin));
	WAIT_FOR(scene_stat(&sc, "http.ingress.downstream_rq_total") == (int64_t)answered);
	/* And the numbers stay when the orphans' segment is folded. */
	scene_wait_stat(&sc, "baton.generations", 1);
	assert_stat(&sc, "http.ingress.downstream_rq_total", (int64_t)answered);
	assert_int_equal(generation_restart(&sc), 0);
	assert_int_equal(scene_status(&sc, "/"), 200);
	scene_fini(&sc);
}

static void
a_plain_start_adopts_orphans(void **state)
{
	orphans_are_adopted(NULL, 0);
}

static void
an_automatic_epoch_goes_on_from_orphans(void **state)
{
	orphans_are_adopted("auto", 1);
}

static void
orphans_of_a_dead_successor_are_drained_by_the_old_one(void **state)
{
	struct scene sc;
	struct reply r;
	pid_t first, second, worker;
	int fd, status;

	serve(&sc, CONF_SIMPLE, "1");
	first = sc.proxy;
	fd = client_connect(sc.port);
	client_send(fd, "GET /?delay_ms=3000 HTTP/1.1\r\nHost: a\r\n\r\n"); /* keeps the old one */
	scene_wait_stat(&sc, "cluster.api.upstream_rq_active", 1);
	assert_int_equal(generation_restart(&sc), 0);
	second = sc.proxy;
	worker = scene_child(&sc, "worker 1");
	assert_true(worker > 0);
	kill(second, SIGKILL);
	assert_int_equal(waitpid(second, &status, 0), second);
	WAIT_FOR(generation_serving(&sc) == first);
	sc.proxy = first;
	WAIT_FOR(generation_is_gone(worker));
	for (int i = 0; i < 20; i++)
		assert_int_equal(scene_status(&sc, "/"), 200);
	r = client_reply(fd, false);
	assert_int_equal(r.status, 200);
	reply_free(&r);
	close(fd);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_plain_start_adopts_orphans),
	    cmocka_unit_test(an_automatic_epoch_goes_on_from_orphans),
	    cmocka_unit_test(orphans_of_a_dead_successor_are_drained_by_the_old_one),
	};

	generations_adopt();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
