/*
 * What was killed at a bad moment: each scene is one that the soak's kill
 * points found, or that its promises name, with nothing left to chance.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "tests/harness/killing.h"

static void
serve(struct scene *sc)
{
	scene_init(sc);
	scene_origin(sc, "one");
	sc->extra[0] = "--concurrency";
	sc->extra[1] = "2";
	scene_proxy(sc, CONF_SIMPLE);
}

static void
assert_serves(struct scene *sc)
{
	for (int i = 0; i < 20; i++)
		assert_int_equal(scene_status(sc, "/"), 200);
}

/* ---- what a start finds */

static void
orphans_of_two_generations_give_all_that_they_have(void **state)
{
	struct scene sc;
	struct generation first, second;
	int fd;

	serve(&sc);
	fd = generation_hold(&sc, 1500);
	first = generation_of(&sc);
	assert_int_equal(generation_restart(&sc), 0);
	second = generation_of(&sc);
	/* The younger one's admin has the only copy of the admin port, the elder one's workers are
	 * all that listens. */
	process_kill(first.admin);
	process_kill(second.master);
	process_kill(first.master);
	process_kill(second.worker[0]);
	process_kill(second.worker[1]);
	generation_start(&sc, NULL);
	assert_serves(&sc);
	generation_let_go(fd);
	scene_wait_stat(&sc, "baton.generations", 1);
	scene_fini(&sc);
}

static void
a_generation_that_never_served_leaves_no_orphans(void **state)
{
	struct scene sc;
	struct generation coming;
	pid_t serving;

	serve(&sc);
	serving = sc.proxy;
	sc.proxy = generation_spawn(&sc, "auto");
	scene_wait_log(&sc, "taking over from");
	kill(serving, SIGSTOP); /* it says no "go" */
	coming = generation_of(&sc);
	process_kill(coming.master);
	WAIT_FOR(process_is_gone(coming.admin));
	WAIT_FOR(process_is_gone(coming.worker[0]));
	WAIT_FOR(process_is_gone(coming.worker[1]));
	kill(serving, SIGCONT);
	sc.proxy = serving;
	assert_serves(&sc);
	scene_fini(&sc);
}

static void
a_start_does_not_wait_for_one_that_only_drains(void **state)
{
	struct scene sc;
	struct generation second, third;
	pid_t first;
	int fd, other;

	serve(&sc);
	first = sc.proxy;
	fd = generation_hold(&sc, 4000);
	assert_int_equal(generation_restart(&sc), 0);
	second = generation_of(&sc);
	other = generation_hold(&sc, 3000);
	assert_int_equal(generation_restart(&sc), 0);
	third = generation_of(&sc);
	/* The first has let go of its sockets.  It lives, and can do nothing for us. */
	generation_kill(&second);
	generation_kill(&third);
	close(other);
	generation_start(&sc, "auto");
	assert_false(process_is_gone(first));
	assert_serves(&sc);
	generation_let_go(fd);
	WAIT_FOR(process_is_gone(first));
	scene_wait_stat(&sc, "baton.generations", 1);
	scene_fini(&sc);
}

static void
a_half_made_segment_is_cleared_away(void **state)
{
	static const char zeros[4096];
	struct scene sc;
	char *dir, *segment;
	int fd;

	serve(&sc);
	dir = mem_printf("%s/0/g7", sc.dir);
	segment = mem_printf("%s/segment", dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	fd = open(segment, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_int_equal(write(fd, zeros, sizeof(zeros)), sizeof(zeros));
	close(fd);
	WAIT_FOR(access(dir, F_OK) < 0);
	mem_free(segment);
	mem_free(dir);
	scene_fini(&sc);
}

static void
a_start_that_another_is_at_is_refused(void **state)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct scene sc;
	char *out, *config, *lock, *base, *us;
	int fd;

	scene_init(&sc);
	scene_origin(&sc, "one");
	scene_write_config(&sc, CONF_SIMPLE);
	config = mem_printf("%s/baton.yaml", sc.dir);
	base = mem_printf("%s/0", sc.dir);
	lock = mem_printf("%s/start.lock", base);
	us = mem_printf("pid %d", (int)getpid());
	mkdir(base, 0700);
	fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(fcntl(fd, F_SETLK, &l), 0);
	assert_int_equal(scene_run(&sc, &out, "-c", config, NULL), 1);
	assert_non_null(strstr(out, us));
	assert_non_null(strstr(out, "--base-id"));
	mem_free(out);
	close(fd);
	mem_free(us);
	mem_free(lock);
	mem_free(base);
	mem_free(config);
	scene_fini(&sc);
}

/* ---- numbers */

static void
numbers_go_on_when_everything_was_killed(void **state)
{
	struct scene sc;
	struct generation g;

	serve(&sc);
	assert_serves(&sc);
	for (int i = 1; i <= 3; i++) {
		g = generation_of(&sc);
		generation_kill(&g);
		generation_start(&sc, i % 2 ? NULL : "auto");
		assert_stat(&sc, "http.ingress.downstream_rq_total", 20 * i);
		assert_stat(&sc, "http.ingress.downstream_cx_active", 0);
		assert_stat(&sc, "cluster.api.upstream_cx_active", 0);
		assert_serves(&sc);
	}
	scene_fini(&sc);
}

static void
numbers_outlive_an_elder_that_ends_after_its_heirs(void **state)
{
	struct scene sc;
	struct generation second, third;
	pid_t first;
	int fd, other;

	serve(&sc);
	assert_serves(&sc);
	first = sc.proxy;
	fd = generation_hold(&sc, 3000);
	assert_int_equal(generation_restart(&sc), 0);
	second = generation_of(&sc);
	other = generation_hold(&sc, 3000);
	assert_int_equal(generation_restart(&sc), 0);
	third = generation_of(&sc);
	assert_serves(&sc);
	generation_kill(&second);
	generation_kill(&third);
	close(other);
	generation_let_go(fd);
	WAIT_FOR(process_is_gone(first)); /* as the last of all, but not the line's end */
	generation_start(&sc, NULL);
	assert_stat(&sc, "http.ingress.downstream_rq_total", 42);
	scene_fini(&sc);
}

/* ---- orphans */

static void
adopted_orphans_outlive_their_adopter(void **state)
{
	struct scene sc;
	int fd;

	serve(&sc);
	fd = generation_hold(&sc, 2500);
	process_kill(sc.proxy);
	generation_start(&sc, NULL); /* adopts */
	assert_int_equal(generation_restart(&sc), 0);
	assert_serves(&sc);
	generation_let_go(fd);
	scene_wait_stat(&sc, "baton.generations", 1);
	scene_fini(&sc);
}

/* Killed together with its adopter, so to speak: nobody but the one that ends can tell them. */
static void
the_end_takes_along_orphans_that_nobody_adopted_yet(void **state)
{
	struct scene sc;
	struct generation g;
	int fd;

	serve(&sc);
	g = generation_of(&sc);
	assert_int_equal(generation_restart(&sc), 0);
	WAIT_FOR(process_is_gone(g.master));
	g = generation_of(&sc);
	fd = generation_hold(&sc, 5000);
	assert_int_equal(generation_restart(&sc), 0);
	process_kill(g.master);
	kill(sc.proxy, SIGINT);
	WAIT_FOR(process_is_gone(g.admin));
	WAIT_FOR(process_is_gone(g.worker[0]));
	WAIT_FOR(process_is_gone(g.worker[1]));
	WAIT_FOR(process_is_gone(sc.proxy));
	sc.proxy = 0;
	close(fd);
	scene_fini(&sc);
}

static void
an_orphan_serves_until_it_is_told_to_end(void **state)
{
	struct scene sc;
	struct generation g;
	int fd, status;

	serve(&sc);
	g = generation_of(&sc);
	process_kill(g.master);
	assert_serves(&sc);
	fd = generation_hold(&sc, 700); /* by one of the two */
	kill(g.worker[0], SIGTERM);
	kill(g.worker[1], SIGTERM);
	kill(g.admin, SIGTERM);
	generation_let_go(fd);
	WAIT_FOR(process_is_gone(g.worker[0]));
	WAIT_FOR(process_is_gone(g.worker[1]));
	WAIT_FOR(process_is_gone(g.admin));
	status = client_connect(sc.port);
	assert_int_equal(status, -1);
	sc.proxy = 0;
	scene_fini(&sc);
}

#define SECOND /* a format: its port */                                                            \
	"  - name: second\n"                                                                       \
	"    address: {socket_address: {address: 127.0.0.1, port_value: %u}}\n"                    \
	"    filter_chains:\n    - filters:\n"                                                     \
	"      - name: envoy.filters.network.http_connection_manager\n"                            \
	"        typed_config:\n"                                                                  \
	"          \"@type\": type.googleapis.com/envoy.extensions.filters.network."               \
	"http_connection_manager.v3.HttpConnectionManager\n"                                       \
	"          stat_prefix: second\n          route_config: {name: r}\n"                       \
	"          http_filters:\n" CONF_ROUTER

static uint16_t
port_of(struct scene *sc, const char *listener)
{
	struct reply r = scene_admin(sc, "GET", "/listeners");
	char *line = r.body ? strstr(r.body, listener) : NULL;
	uint16_t port = 0;

	if (line) {
		line[strcspn(line, "\n")] = '\0';
		port = (uint16_t)atoi(strrchr(line, ':') + 1);
	}
	reply_free(&r);
	return port;
}

/* The configuration with one listener more, after the first. */
static char *
with_second(uint16_t port)
{
	const char *clusters = strstr(CONF_SIMPLE, "  clusters:");

	assert_non_null(clusters);
	return mem_printf(
	    "%.*s" SECOND "%s", (int)(clusters - CONF_SIMPLE), CONF_SIMPLE, port, clusters);
}

static bool
is_refused(uint16_t port)
{
	int fd = client_connect(port);

	if (fd >= 0)
		close(fd);
	return fd < 0;
}

static void
serve_two(struct scene *sc)
{
	char *yaml = with_second(0);

	scene_init(sc);
	scene_origin(sc, "one");
	sc->extra[0] = "--concurrency";
	sc->extra[1] = "2";
	scene_proxy(sc, yaml);
	mem_free(yaml);
}

static void
an_address_that_a_start_does_not_want_is_refused_at_once(void **state)
{
	struct scene sc;
	uint16_t second;
	int fd;

	serve_two(&sc);
	second = port_of(&sc, "second");
	assert_false(is_refused(second));
	fd = generation_hold(&sc, 2500); /* the orphan that has it lives on */
	process_kill(sc.proxy);
	scene_write_config(&sc, CONF_SIMPLE);
	generation_start(&sc, NULL);
	WAIT_FOR(is_refused(second));
	generation_let_go(fd);
	scene_fini(&sc);
}

static void
a_removed_address_comes_back_with_the_old_generation(void **state)
{
	struct scene sc;
	struct generation g;
	pid_t first;
	uint16_t second;
	int fd;

	serve_two(&sc);
	first = sc.proxy;
	second = port_of(&sc, "second");
	fd = generation_hold(&sc, 4000);
	scene_write_config(&sc, CONF_SIMPLE);
	assert_int_equal(generation_restart(&sc), 0);
	WAIT_FOR(is_refused(second));
	g = generation_of(&sc);
	generation_kill(&g);
	WAIT_FOR(generation_serving(&sc) == first);
	sc.proxy = first;
	WAIT_FOR(!is_refused(second));
	assert_serves(&sc);
	generation_let_go(fd);
	scene_fini(&sc);
}

static bool
can_listen_again(struct scene *sc, uint16_t second)
{
	char *yaml = with_second(second), *out;
	int status;

	scene_write_config(sc, yaml);
	status = scene_run_tool(sc, &out, "batonctl", "reload", NULL);
	mem_free(out);
	mem_free(yaml);
	return status == 0;
}

/* Who adopted them drains for a minute. */
static void
orphans_of_one_that_drains_are_for_the_one_that_serves(void **state)
{
	static const char held[] = "/?delay_ms=60000";
	static const char ours[] = "of epoch 0 is ours now";
	struct generation orphans, adopter, heir;
	struct scene sc;
	uint16_t second;
	int fds[2];

	serve_two(&sc);
	second = port_of(&sc, "second");
	orphans = generation_of(&sc);
	fds[0] = hold_h1(&sc, held);
	scene_wait_stat(&sc, "cluster.api.upstream_rq_active", 1);
	process_kill(sc.proxy);
	generation_start(&sc, NULL);
	adopter = generation_of(&sc);
	assert_int_equal(log_count(&sc, ours), 3);
	fds[1] = hold_h1(&sc, held);
	scene_wait_stat(&sc, "cluster.api.upstream_rq_active", 2);
	scene_write_config(&sc, CONF_SIMPLE);
	assert_int_equal(generation_restart(&sc), 0);
	heir = generation_of(&sc);
	WAIT_FOR(is_refused(second));
	WAIT_FOR(log_count(&sc, ours) > 3);
	WAIT_FOR(can_listen_again(&sc, second)); /* the orphans, which live on, gave it up */
	assert_false(process_is_gone(adopter.master));
	/* And when nobody else is left, they have what the next one needs. */
	generation_kill(&adopter);
	generation_kill(&heir);
	assert_false(process_is_gone(orphans.worker[0]) && process_is_gone(orphans.worker[1]));
	generation_start(&sc, NULL);
	assert_serves(&sc);
	close(fds[0]);
	close(fds[1]);
	scene_fini(&sc);
}

static bool
is_live(struct scene *sc)
{
	struct reply r = scene_admin(sc, "GET", "/ready");
	bool live = r.status == 200;

	reply_free(&r);
	return live;
}

/* LIVE is admin's word, the sockets are master's to give: who reads the one may count on the other. */
static void
what_is_live_accepts_without_master(void **state)
{
	for (int i = 0; i < 6; i++) {
		uint64_t until = scene_now_ms() + SCENE_PATIENCE_MS;
		struct scene sc;

		scene_init(&sc);
		scene_origin(&sc, "one");
		sc.extra[0] = "--concurrency";
		sc.extra[1] = "2";
		scene_proxy_begin(&sc, CONF_SIMPLE);
		while (!is_live(&sc)) /* without a pause: the moment counts */
			assert_true(scene_now_ms() < until);
		process_kill(sc.proxy);
		scene_find_ports(&sc);
		assert_serves(&sc);
		sc.proxy = 0;
		scene_fini(&sc);
	}
}

/* ---- idle connections find their way */

static void
assert_answers(int fd)
{
	struct reply r;

	client_send(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	r = client_reply(fd, false);
	assert_int_equal(r.status, 200);
	assert_null(reply_header(&r, "connection"));
	reply_free(&r);
}

static void
idle_connections_of_orphans_go_to_who_adopts_them(void **state)
{
	struct scene sc;
	struct generation g;
	int fd[20];

	serve(&sc);
	for (int i = 0; i < 20; i++) {
		fd[i] = client_connect(sc.port);
		assert_answers(fd[i]);
	}
	g = generation_of(&sc);
	process_kill(g.master);
	generation_start(&sc, NULL);
	WAIT_FOR(process_is_gone(g.worker[0])); /* they hold nothing more */
	WAIT_FOR(process_is_gone(g.worker[1]));
	assert_stat(&sc, "baton.cx_handed_over", 20);
	for (int i = 0; i < 20; i++) {
		assert_answers(fd[i]);
		close(fd[i]);
	}
	scene_fini(&sc);
}

/* The direct heir has gone; what becomes idle only then goes to the one that serves. */
static void
a_busy_connection_finds_the_youngest_when_its_heir_has_gone(void **state)
{
	struct scene sc;
	struct reply r;
	pid_t first, second;
	int fd;

	serve(&sc);
	first = sc.proxy;
	fd = client_connect(sc.port);
	client_send(fd, "GET /?delay_ms=2500 HTTP/1.1\r\nHost: a\r\n\r\n");
	scene_wait_stat(&sc, "cluster.api.upstream_rq_active", 1);
	assert_int_equal(generation_restart(&sc), 0);
	second = sc.proxy;
	assert_int_equal(generation_restart(&sc), 0);
	WAIT_FOR(process_is_gone(second));
	assert_false(process_is_gone(first));
	r = client_reply(fd, false);
	assert_int_equal(r.status, 200);
	assert_null(reply_header(&r, "connection"));
	reply_free(&r);
	WAIT_FOR(process_is_gone(first));
	assert_answers(fd);
	close(fd);
	scene_fini(&sc);
}

static void
idle_connections_follow_a_rollback(void **state)
{
	struct scene sc;
	pid_t first, second;
	char *out;
	int fd, held;

	serve(&sc);
	first = sc.proxy;
	held = generation_hold(&sc, 2500);
	assert_int_equal(generation_restart(&sc), 0);
	second = sc.proxy;
	fd = client_connect(sc.port);
	assert_answers(fd);
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "rollback", NULL), 0);
	mem_free(out);
	sc.proxy = first;
	WAIT_FOR(process_is_gone(second)); /* it holds nothing more */
	assert_answers(fd);
	generation_let_go(held);
	assert_answers(fd);
	close(fd);
	scene_fini(&sc);
}

/* ---- an old generation that is stopped */

static int
exit_status(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
one_that_is_stopped_before_go_is_given_up(void **state)
{
	struct scene sc;
	pid_t pid;

	serve(&sc);
	pid = generation_spawn(&sc, "auto");
	scene_wait_log(&sc, "taking over from");
	kill(sc.proxy, SIGSTOP); /* it has given everything, and will not say "go" */
	assert_int_equal(exit_status(pid), 1);
	assert_serves(&sc); /* its workers do */
	kill(sc.proxy, SIGCONT);
	assert_serves(&sc);
	assert_stat(&sc, "baton.handovers_refused", 1);
	assert_int_equal(generation_restart(&sc), 0);
	assert_serves(&sc);
	scene_fini(&sc);
}

static void
one_that_is_stopped_after_go_is_done_without(void **state)
{
	struct scene sc;
	struct generation old;
	pid_t pid;

	serve(&sc);
	old = generation_of(&sc);
	pid = generation_spawn(&sc, "auto");
	scene_wait_log(&sc, "starting -> serving");
	WAIT_FOR(generation_serving(&sc) == pid);
	kill(old.master, SIGSTOP); /* with "drain" read or not */
	sc.proxy = pid;
	WAIT_FOR(scene_stat(&sc, "server.hot_restart_epoch") == 1);
	assert_serves(&sc);
	kill(old.master, SIGCONT);
	WAIT_FOR(process_is_gone(old.master));
	assert_serves(&sc);
	scene_fini(&sc);
}

/* The line ends between the death of the generation that served and the adoption of its orphans. */
static void
the_end_of_the_line_is_that_of_its_orphans_too(void **state)
{
	struct scene sc;
	struct generation first, second;
	int fd;

	serve(&sc);
	fd = generation_hold(&sc, 1500);
	first = generation_of(&sc);
	assert_int_equal(generation_restart(&sc), 0);
	second = generation_of(&sc);
	process_kill(second.master);
	scene_wait_log(&sc, "died, accepting again");
	kill(first.master, SIGINT);
	WAIT_FOR(process_is_gone(first.master));
	WAIT_FOR(process_is_gone(second.admin));
	WAIT_FOR(process_is_gone(second.worker[0]));
	WAIT_FOR(process_is_gone(second.worker[1]));
	close(fd);
	sc.proxy = 0;
	scene_fini(&sc);
}

/* It read "drain" and "go on" together, too late: it had nothing, and has ended. */
static void
a_worker_that_ended_before_a_rollback_is_no_crash(void **state)
{
	struct scene sc;
	struct generation first;

	serve(&sc);
	first = generation_of(&sc);
	kill(first.worker[0], SIGSTOP);
	assert_int_equal(generation_restart(&sc), 0);
	expect_tool(&sc, 0, "serves again", "batonctl", WORDS("rollback"));
	sc.proxy = first.master;
	kill(first.worker[0], SIGCONT);
	WAIT_FOR(process_is_gone(first.worker[0]));
	scene_wait_child(&sc, "worker 1", first.worker[0]);
	assert_serves(&sc);
	assert_stat(&sc, "baton.worker_crashes", 0);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(orphans_of_two_generations_give_all_that_they_have),
	    cmocka_unit_test(a_generation_that_never_served_leaves_no_orphans),
	    cmocka_unit_test(the_end_of_the_line_is_that_of_its_orphans_too),
	    cmocka_unit_test(a_start_does_not_wait_for_one_that_only_drains),
	    cmocka_unit_test(a_half_made_segment_is_cleared_away),
	    cmocka_unit_test(a_start_that_another_is_at_is_refused),
	    cmocka_unit_test(numbers_go_on_when_everything_was_killed),
	    cmocka_unit_test(numbers_outlive_an_elder_that_ends_after_its_heirs),
	    cmocka_unit_test(adopted_orphans_outlive_their_adopter),
	    cmocka_unit_test(the_end_takes_along_orphans_that_nobody_adopted_yet),
	    cmocka_unit_test(an_orphan_serves_until_it_is_told_to_end),
	    cmocka_unit_test(what_is_live_accepts_without_master),
	    cmocka_unit_test(an_address_that_a_start_does_not_want_is_refused_at_once),
	    cmocka_unit_test(a_removed_address_comes_back_with_the_old_generation),
	    cmocka_unit_test(orphans_of_one_that_drains_are_for_the_one_that_serves),
	    cmocka_unit_test(idle_connections_of_orphans_go_to_who_adopts_them),
	    cmocka_unit_test(a_busy_connection_finds_the_youngest_when_its_heir_has_gone),
	    cmocka_unit_test(idle_connections_follow_a_rollback),
	    cmocka_unit_test(a_worker_that_ended_before_a_rollback_is_no_crash),
	    cmocka_unit_test(one_that_is_stopped_before_go_is_given_up),
	    cmocka_unit_test(one_that_is_stopped_after_go_is_done_without),
	};

	generations_adopt();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
