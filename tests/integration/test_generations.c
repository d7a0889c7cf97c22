/*
 * Several generations at once, as their operator sees them: who lives and what it holds, and what is
 * asked for while something else is under way.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "lib/base/mem.h"
#include "lib/ipc/control.h"
#include "tests/harness/generations.h"

/* ---- ps */

static void
ps_shows_every_generation_that_lives(void **state)
{
	struct scene sc;
	pid_t first, second;
	int ws, h1;

	hold_serve(&sc, WORDS("--drain-deadline", "websocket=7200"));
	first = sc.proxy;
	ws = hold_websocket(&sc);
	assert_int_equal(generation_restart(&sc), 0);
	second = sc.proxy;
	h1 = hold_h1(&sc, "/?delay_ms=60000");
	scene_wait_stat(&sc, "cluster.api.upstream_rq_active", 2);
	assert_int_equal(generation_restart(&sc), 0);
	WAIT_FOR(ctl_says(&sc, "holds h1 1, h2 0, websocket 0, tcp 0", WORDS("ps")));
	/* The one between them ends; the oldest tells the one that serves. */
	close(h1);
	WAIT_FOR(generation_is_gone(second));
	WAIT_FOR(ctl_says(&sc, "generation epoch 0, base id 0: draining", WORDS("ps")));
	WAIT_FOR(ctl_says(&sc, "holds h1 0, h2 0, websocket 1, tcp 0", WORDS("ps")));
	assert_true(ctl_says(&sc, "generation epoch 2, base id 0: serving", WORDS("ps")));
	assert_false(ctl_says(&sc, "epoch 1", WORDS("ps")));
	assert_true(ctl_says(&sc, "websocket 71", WORDS("ps"))); /* its deadline */
	assert_false(ctl_says(&sc, "websocket 127.0.0.1:", WORDS("ps")));
	assert_true(ctl_says(&sc, "websocket 127.0.0.1:", WORDS("ps", "--why")));
	assert_true(ctl_says(&sc, "upgraded for", WORDS("--why", "ps")));
	assert_true(ctl_says(&sc, "\"websocket\":1", WORDS("ps", "--json")));
	assert_true(ctl_says(&sc, "\"kind\":\"websocket\",\"peer\":\"127.0.0.1:", WORDS("ps", "-o", "json")));
	scene_wait_stat(&sc, "server.parent_connections", 1);
	assert_echo(ws);
	close(ws);
	WAIT_FOR(generation_is_gone(first));
	WAIT_FOR(!ctl_says(&sc, "draining", WORDS("ps")));
	scene_fini(&sc);
}

static void
a_generation_whose_master_died_is_shown_too(void **state)
{
	struct scene sc;
	pid_t first;
	int ws, status;

	hold_serve(&sc, WORDS("--drain-strategy", "immediate"));
	first = sc.proxy;
	ws = hold_websocket(&sc);
	assert_int_equal(generation_restart(&sc), 0);
	kill(first, SIGKILL);
	assert_int_equal(waitpid(first, &status, 0), first);
	WAIT_FOR(ctl_says(&sc, "generation epoch 0: draining, its master died", WORDS("ps")));
	WAIT_FOR(ctl_says(&sc, "holds h1 0, h2 0, websocket 1, tcp 0", WORDS("ps")));
	WAIT_FOR(ctl_says(&sc, "websocket 127.0.0.1:", WORDS("ps", "--why")));
	assert_true(ctl_says(&sc, "its master died", WORDS("ps", "--json")));
	assert_echo(ws);
	close(ws);
	WAIT_FOR(!ctl_says(&sc, "draining", WORDS("ps")));
	scene_fini(&sc);
}

static void
three_that_drain_are_worth_a_warning(void **state)
{
	struct scene sc;
	pid_t masters[3];
	int ws[3];

	hold_serve(&sc, WORDS("--drain-strategy", "immediate"));
	for (int i = 0; i < 3; i++) {
		masters[i] = sc.proxy;
		ws[i] = hold_websocket(&sc);
		assert_int_equal(log_count(&sc, "generations drain, the oldest"), 0);
		assert_int_equal(generation_restart(&sc), 0);
	}
	scene_wait_log(&sc, "3 generations drain, the oldest: epoch 0, pid ");
	WAIT_FOR(ctl_says(&sc, "epoch 0, base id 0: draining", WORDS("ps")) &&
		 ctl_says(&sc, "epoch 1, base id 0: draining", WORDS("ps")) &&
		 ctl_says(&sc, "epoch 2, base id 0: draining", WORDS("ps")));
	scene_wait_stat(&sc, "server.parent_connections", 3);
	for (int i = 0; i < 3; i++) {
		close(ws[i]);
		WAIT_FOR(generation_is_gone(masters[i]));
	}
	scene_fini(&sc);
}

static void
no_more_generations_drain_than_the_operator_wants(void **state)
{
	struct scene sc;
	pid_t first, second;
	char *out, *config;
	int ws;

	hold_serve(&sc, WORDS("--max-draining", "1", "--drain-deadline", "websocket=7200"));
	first = sc.proxy;
	ws = hold_websocket(&sc);
	assert_int_equal(generation_restart(&sc), 0);
	second = sc.proxy;
	WAIT_FOR(ctl_says(&sc, "websocket 1", WORDS("ps")));
	expect_tool(&sc, 3, "1 draining already (--max-draining 1); the oldest: epoch 0, pid ", "batonctl",
	    WORDS("hot-restart"));
	expect_tool(&sc, 3, "holds h1 0, h2 0, websocket 1, tcp 0, ends at the latest in 71", "batonctl",
	    WORDS("hot-restart"));
	expect_tool(&sc, 3, "\"status\":\"refused\"", "batonctl", WORDS("--json", "hot-restart"));
	/* One that is started by hand too. */
	config = mem_printf("%s/baton.yaml", sc.dir);
	assert_int_equal(scene_run(&sc, &out, "-c", config, "--restart-epoch", "auto", NULL), 1);
	assert_non_null(strstr(out, "1 draining already (--max-draining 1); the oldest: epoch 0, pid "));
	mem_free(out);
	mem_free(config);
	assert_int_equal(generation_serving(&sc), second);
	assert_echo(ws);
	close(ws);
	WAIT_FOR(generation_is_gone(first));
	assert_int_equal(generation_restart(&sc), 0);
	scene_fini(&sc);
}

/* ---- what is asked for meanwhile */

static void
each_asker_hears_of_the_restart_that_served_him(void **state)
{
	struct scene sc;
	struct ctl_run a, b, c;
	char *out[3];
	pid_t pid;

	hold_serve(&sc, WORDS("--drain-strategy", "immediate"));
	ctl_begin(&sc, &a, "hot-restart");
	pid = generation_started(&sc, 1);
	kill(pid, SIGSTOP);
	ctl_begin(&sc, &b, "hot-restart");
	ctl_begin(&sc, &c, "hot-restart");
	WAIT_FOR(log_count(&sc, "one is under way, the next follows it") == 2);
	kill(pid, SIGCONT);
	assert_int_equal(ctl_end(&a, &out[0]), 0);
	assert_int_equal(ctl_end(&b, &out[1]), 0);
	assert_int_equal(ctl_end(&c, &out[2]), 0);
	assert_non_null(strstr(out[0], "epoch 1 serves"));
	assert_non_null(strstr(out[1], "epoch 2 serves"));
	assert_string_equal(out[1], out[2]);
	sc.proxy = generation_serving(&sc);
	WAIT_FOR(scene_stat(&sc, "server.hot_restart_epoch") == 2);
	assert_stat(&sc, "baton.handovers_done", 2);
	for (int i = 0; i < 3; i++)
		mem_free(out[i]);
	scene_fini(&sc);
}

static void
a_reload_asked_for_in_a_restart_is_done_by_the_one_that_serves_then(void **state)
{
	struct scene sc;
	struct ctl_run a, b;
	pid_t pid;
	char *out;

	hold_serve(&sc, WORDS("--drain-strategy", "immediate"));
	ctl_begin(&sc, &a, "hot-restart");
	pid = generation_started(&sc, 1);
	kill(pid, SIGSTOP);
	ctl_begin(&sc, &b, "reload");
	scene_wait_log(&sc, "reload: waits for the hot restart");
	kill(sc.proxy, SIGHUP);
	scene_wait_log(&sc, "signal: 1 from");
	assert_int_equal(log_count(&sc, "reload: begins"), 0);
	kill(pid, SIGCONT);
	assert_int_equal(ctl_end(&a, NULL), 0);
	assert_int_equal(ctl_end(&b, &out), 0);
	assert_non_null(strstr(out, "nothing changed"));
	mem_free(out);
	sc.proxy = generation_serving(&sc);
	assert_int_equal(sc.proxy, pid);
	WAIT_FOR(log_count(&sc, "reload: nothing changed") >= 1);
	scene_fini(&sc);
}

static void
after_a_refused_restart_the_reload_is_done_here(void **state)
{
	struct scene sc;
	struct ctl_run a, b;
	pid_t pid;
	char *out;

	hold_serve(&sc, WORDS("--drain-strategy", "immediate"));
	ctl_begin(&sc, &a, "hot-restart");
	pid = generation_started(&sc, 1);
	kill(pid, SIGSTOP);
	ctl_begin(&sc, &b, "reload");
	scene_wait_log(&sc, "reload: waits for the hot restart");
	kill(pid, SIGKILL);
	kill(pid, SIGCONT);
	assert_int_equal(ctl_end(&a, &out), 3);
	mem_free(out);
	assert_int_equal(ctl_end(&b, &out), 0);
	assert_non_null(strstr(out, "nothing changed"));
	mem_free(out);
	assert_stat(&sc, "server.hot_restart_epoch", 0);
	assert_stat(&sc, "baton.handovers_refused", 1);
	scene_fini(&sc);
}

static void
a_restart_asked_for_in_a_reload_follows_it(void **state)
{
	struct scene sc;
	struct ctl_run reload, restart, rollback;
	pid_t worker;
	char *out;

	hold_serve(&sc, WORDS("--drain-strategy", "immediate", "--watchdog-s", "0"));
	worker = scene_child(&sc, "worker 1");
	scene_write_config(&sc, CONF_SIMPLE);
	kill(worker, SIGSTOP);
	ctl_begin(&sc, &reload, "reload");
	scene_wait_log(&sc, "reload: begins");
	ctl_begin(&sc, &restart, "hot-restart");
	scene_wait_log(&sc, "hot restart: a reload is under way, the next follows it");
	ctl_begin(&sc, &rollback, "rollback");
	assert_int_equal(ctl_end(&rollback, &out), 3);
	assert_non_null(strstr(out, "a reload is under way"));
	mem_free(out);
	assert_int_equal(log_count(&sc, "hot restart: started pid"), 0);
	kill(worker, SIGCONT);
	assert_int_equal(ctl_end(&reload, &out), 0);
	assert_non_null(strstr(out, "listeners: 1 changed"));
	mem_free(out);
	assert_int_equal(ctl_end(&restart, &out), 0);
	assert_non_null(strstr(out, "epoch 1 serves"));
	mem_free(out);
	sc.proxy = generation_serving(&sc);
	WAIT_FOR(scene_stat(&sc, "server.hot_restart_epoch") == 1);
	scene_fini(&sc);
}

/* ---- rollback */

static void
rollback_says_why_not(void **state)
{
	struct scene sc;
	struct ctl_run a;
	pid_t first, second;
	int ws;

	hold_serve(&sc, WORDS("--drain-strategy", "immediate"));
	first = sc.proxy;
	expect_tool(&sc, 3, "no generation drains that could serve again", "batonctl", WORDS("rollback"));
	ws = hold_websocket(&sc);
	assert_int_equal(generation_restart(&sc), 0);
	second = sc.proxy;
	/* It cannot answer, and what it was asked is not wanted any more when it can. */
	kill(first, SIGSTOP);
	expect_tool(&sc, 3, "the previous generation did not answer", "batonctl", WORDS("rollback"));
	kill(first, SIGCONT);
	WAIT_FOR(ctl_says(&sc, "websocket 1", WORDS("ps")));
	assert_int_equal(generation_serving(&sc), second);
	assert_true(ctl_says(&sc, "epoch 1, base id 0: serving", WORDS("ps")));
	/* Not while the next one comes. */
	ctl_begin(&sc, &a, "hot-restart");
	kill(generation_started(&sc, 2), SIGSTOP);
	expect_tool(&sc, 3, "a hot restart is under way", "batonctl", WORDS("rollback"));
	kill(generation_started(&sc, 2), SIGKILL);
	assert_int_equal(ctl_end(&a, NULL), 3);
	/* Back and forth, and the numbers stay. */
	expect_tool(&sc, 0, "the previous generation serves again", "batonctl", WORDS("rollback"));
	assert_int_equal(generation_serving(&sc), first);
	sc.proxy = first;
	WAIT_FOR(scene_stat(&sc, "server.hot_restart_epoch") == 0);
	assert_int_equal(scene_status(&sc, "/"), 200);
	assert_echo(ws);
	assert_stat(&sc, "http.ingress.downstream_cx_upgrades_total", 1);
	close(ws);
	WAIT_FOR(generation_is_gone(second));
	scene_fini(&sc);
}

static void
those_that_drain_turn_to_whoever_serves(void **state)
{
	struct scene sc;
	pid_t masters[3];
	int ws[3];

	hold_serve(&sc, WORDS("--drain-strategy", "immediate"));
	for (int i = 0; i < 3; i++) {
		masters[i] = sc.proxy;
		ws[i] = hold_websocket(&sc);
		if (i < 2)
			assert_int_equal(generation_restart(&sc), 0);
	}
	expect_tool(&sc, 0, "serves again", "batonctl", WORDS("rollback"));
	sc.proxy = masters[1];
	WAIT_FOR(ctl_says(&sc, "epoch 1, base id 0: serving", WORDS("ps")) &&
		 ctl_says(&sc, "epoch 0, base id 0: draining", WORDS("ps")) &&
		 ctl_says(&sc, "epoch 2, base id 0: draining", WORDS("ps")));
	/* And forward again; then the newest one dies. */
	expect_tool(&sc, 0, "serves again", "batonctl", WORDS("rollback"));
	sc.proxy = masters[2];
	WAIT_FOR(ctl_says(&sc, "epoch 2, base id 0: serving", WORDS("ps")) &&
		 ctl_says(&sc, "epoch 0, base id 0: draining", WORDS("ps")) &&
		 ctl_says(&sc, "epoch 1, base id 0: draining", WORDS("ps")));
	kill(masters[2], SIGKILL);
	WAIT_FOR(generation_is_gone(masters[2]));
	WAIT_FOR(generation_serving(&sc) == masters[1]);
	sc.proxy = masters[1];
	WAIT_FOR(ctl_says(&sc, "epoch 1, base id 0: serving", WORDS("ps")) &&
		 ctl_says(&sc, "epoch 0, base id 0: draining", WORDS("ps")) &&
		 ctl_says(&sc, "generation epoch 2: draining, its master died", WORDS("ps")));
	WAIT_FOR(scene_stat(&sc, "server.parent_connections") == 2);
	for (int i = 0; i < 3; i++) {
		assert_echo(ws[i]);
		close(ws[i]);
	}
	WAIT_FOR(generation_is_gone(masters[0]));
	WAIT_FOR(!ctl_says(&sc, "draining", WORDS("ps")));
	scene_fini(&sc);
}

static int
dial_control(struct scene *sc)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s/0/control.sock", sc->dir);
	assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	return fd;
}

/* Connected to a generation that drains when at last it asks. */
static void
who_asked_the_wrong_generation_is_answered_by_the_right_one(void **state)
{
	struct scene sc;
	struct control_request r = {.n = 1, .words = {STR("ps")}};
	static char packet[CONTROL_PACKET];
	struct strb b = {0}, text = {0};
	unsigned status = CONTROL_UNREACHABLE;
	int fd, ws;
	ssize_t n;

	hold_serve(&sc, WORDS("--drain-strategy", "immediate"));
	ws = hold_websocket(&sc);
	fd = dial_control(&sc);
	assert_true(ctl_says(&sc, "epoch 0", WORDS("ps"))); /* it was accepted before this one */
	assert_int_equal(generation_restart(&sc), 0);
	control_request_write(&b, &r);
	assert_int_equal(send(fd, b.p, b.n, MSG_NOSIGNAL), b.n);
	while ((n = recv(fd, packet, sizeof(packet), 0)) > 0)
		control_answer_read(str_make(packet, (size_t)n), &status, &text);
	assert_int_equal(status, CONTROL_OK);
	assert_true(str_starts(strb_str(&text), STR("generation epoch 1, base id 0: serving")));
	strb_fini(&b);
	strb_fini(&text);
	close(fd);
	close(ws);
	scene_fini(&sc);
}

/* Its workers cut what they hold, but nobody reaps them and nobody closes its sockets. */
static void
a_generation_that_hangs_is_ended_after_its_deadline(void **state)
{
	struct scene sc;
	pid_t first, worker, admin;
	int ws;

	hold_serve(&sc, WORDS("--parent-shutdown-time-s", "1"));
	first = sc.proxy;
	worker = scene_child(&sc, "worker 1");
	admin = scene_child(&sc, "admin");
	ws = hold_websocket(&sc);
	assert_int_equal(generation_restart(&sc), 0);
	kill(first, SIGSTOP);
	assert_true(client_closed(ws));
	scene_wait_log(&sc, "is cut, websocket from 127.0.0.1:");
	WAIT_FOR(generation_is_gone(first));
	WAIT_FOR(generation_is_gone(worker));
	WAIT_FOR(generation_is_gone(admin));
	scene_wait_stat(&sc, "baton.cx_cut_at_deadline", 1);
	WAIT_FOR(scene_stat(&sc, "baton.generations") == 1);
	close(ws);
	scene_fini(&sc);
}

/* ---- a new generation that does not come about */

/* Whoever reads the configuration now waits for a writer for ever. */
static void
block_config(struct scene *sc)
{
	char *path = mem_printf("%s/baton.yaml", sc->dir);

	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	mem_free(path);
}

static void
unblock_config(struct scene *sc)
{
	char *path = mem_printf("%s/baton.yaml", sc->dir);

	assert_int_equal(unlink(path), 0);
	scene_write_config(sc, CONF_UPGRADES);
	mem_free(path);
}

static void
a_generation_that_is_never_ready_is_given_up(void **state)
{
	struct scene sc;
	struct ctl_run a;
	pid_t first, pid;
	char *out;

	hold_serve(&sc, WORDS("--init-timeout-s", "1"));
	first = sc.proxy;
	block_config(&sc);
	ctl_begin(&sc, &a, "hot-restart");
	pid = generation_started(&sc, 1);
	assert_int_equal(ctl_end(&a, &out), 3);
	assert_non_null(strstr(out, "not ready within --init-timeout-s"));
	mem_free(out);
	assert_int_equal(generation_serving(&sc), first);
	assert_int_equal(scene_status(&sc, "/"), 200);
	WAIT_FOR(generation_is_gone(pid));
	assert_stat(&sc, "baton.handovers_refused", 1);
	unblock_config(&sc);
	assert_int_equal(generation_restart(&sc), 0); /* nothing stands in the way */
	assert_int_equal(scene_status(&sc, "/"), 200);
	scene_fini(&sc);
}

static void
a_restart_may_bring_the_proxy_back_in_rotation(void **state)
{
	struct scene sc;

	hold_serve(&sc, WORDS("--healthy-after-restart"));
	expect_tool(&sc, 0, "OK", "batonctl", WORDS("healthcheck", "fail"));
	WAIT_FOR(scene_admin_status(&sc, "GET", "/ready") == 503);
	assert_int_equal(generation_restart(&sc), 0);
	WAIT_FOR(scene_stat(&sc, "server.hot_restart_epoch") == 1);
	WAIT_FOR(scene_admin_status(&sc, "GET", "/ready") == 200);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ps_shows_every_generation_that_lives),
	    cmocka_unit_test(a_generation_whose_master_died_is_shown_too),
	    cmocka_unit_test(three_that_drain_are_worth_a_warning),
	    cmocka_unit_test(no_more_generations_drain_than_the_operator_wants),
	    cmocka_unit_test(each_asker_hears_of_the_restart_that_served_him),
	    cmocka_unit_test(a_reload_asked_for_in_a_restart_is_done_by_the_one_that_serves_then),
	    cmocka_unit_test(after_a_refused_restart_the_reload_is_done_here),
	    cmocka_unit_test(a_restart_asked_for_in_a_reload_follows_it),
	    cmocka_unit_test(rollback_says_why_not),
	    cmocka_unit_test(those_that_drain_turn_to_whoever_serves),
	    cmocka_unit_test(who_asked_the_wrong_generation_is_answered_by_the_right_one),
	    cmocka_unit_test(a_generation_that_hangs_is_ended_after_its_deadline),
	    cmocka_unit_test(a_generation_that_is_never_ready_is_given_up),
	    cmocka_unit_test(a_restart_may_bring_the_proxy_back_in_rotation),
	};

	generations_adopt();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
