/*
 * Active health checks while all else changes: an admin process that dies
 * or sleeps, a next generation, an operator's word, a reload.
 */
#include "tests/integration/checks.h"

#include <sys/wait.h>

#include "lib/base/mem.h"
#include "tests/harness/generations.h"

/* ---- processes */

static void
verdicts_outlive_the_admin_process(void **state)
{
	struct scene sc;
	pid_t admin, next;

	start_two(&sc, CONF(TWO_HOSTS, CHECK("0.1s", "1", "1", HTTP_CHECK)));
	script_add(&sc, 0, (struct rule){.path = "/health", .status = 503});
	WAIT_FOR(scene_host_is(&sc, 0, "/failed_active_hc"));
	for (int i = 0; i < 3; i++) {
		admin = scene_child(&sc, "admin");
		kill(admin, SIGKILL);
		assert_true(all_reach(&sc, "two", 10));
		next = scene_wait_child(&sc, "admin", admin);
		assert_true(next > 0);
		assert_true(all_reach(&sc, "two", 10));
		WAIT_FOR(scene_host_is(&sc, 0, "/failed_active_hc"));
	}
	script_clear(&sc, 0);
	WAIT_FOR(scene_host_is(&sc, 0, "healthy"));
	scene_fini(&sc);
}

/* Asleep in the middle of checks, again and again: what was missed is our fault. */
static void
an_admin_that_was_stopped_blames_no_host(void **state)
{
	struct scene sc;
	pid_t admin;

	start_two(&sc, CONF(TWO_HOSTS, CHECK("0.1s", "1", "1", HTTP_CHECK)));
	script_add(&sc, 0, (struct rule){.path = "/health", .delay_ms = 30});
	script_add(&sc, 1, (struct rule){.path = "/health", .delay_ms = 60});
	admin = scene_child(&sc, "admin");
	for (int i = 0; i < 10; i++) {
		unsigned asked = script_of(&sc, 1)->requests;

		WAIT_FOR(script_of(&sc, 1)->requests > asked);
		kill(admin, SIGSTOP);
		usleep(250000); /* longer than a check may take: this very time must not count */
		kill(admin, SIGCONT);
	}
	assert_stat(&sc, "cluster.api.health_check.failure", 0);
	assert_stat(&sc, HEALTHY_HOSTS, 2);
	scene_fini(&sc);
}

static void
a_hot_restart_keeps_verdicts_and_does_not_wait(void **state)
{
	struct scene sc;
	unsigned before;
	char *out;

	/* Only the first generation's checks of host 1 pass; each takes longer than the scene. */
	start_two(&sc, CONF(TWO_HOSTS, CHECK("60s", "1", "1", HTTP_CHECK)));
	script_add(&sc, 0, (struct rule){.path = "/health", .status = 503, .times = 1});
	script_add(&sc, 0, (struct rule){.path = "/health", .deed = DEED_HANG});
	script_add(&sc, 1, (struct rule){.path = "/health", .deed = DEED_HANG});
	WAIT_FOR(scene_host_is(&sc, 0, "/failed_active_hc"));
	WAIT_FOR(script_of(&sc, 1)->used[0] > 0);
	before = script_of(&sc, 0)->requests;
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "hot-restart", NULL), 0);
	mem_free(out);
	assert_true(all_reach(&sc, "two", 50));
	assert_true(scene_host_is(&sc, 0, "/failed_active_hc"));
	assert_true(script_of(&sc, 0)->requests - before <= 2); /* checks, both hanging */
	scene_fini(&sc);
}

/* ---- the operator */

static void
order(struct scene *sc, unsigned host, const char *what)
{
	char *address = mem_printf("127.0.0.1:%u", sc->host_port[host]), *out;

	assert_int_equal(scene_run_tool(sc, &out, "batonctl", "host", "api", address, what, NULL), 0);
	mem_free(out);
	mem_free(address);
}

/* Above checks that pass, and below those that do not; for the next admin and the next generation, too. */
static void
the_operators_word_stands_beside_checks(void **state)
{
	static const char *const words[][2] = {{"fail", "/operator_fail"}, {"drain", "/operator_drain"}};
	struct scene sc;
	pid_t admin;

	start_two(&sc, CONF(TWO_HOSTS, CHECK("1s", "1", "1", HTTP_CHECK)));
	for (int i = 0; i < 2; i++) {
		unsigned asked = script_of(&sc, 0)->requests;

		order(&sc, 0, words[i][0]);
		WAIT_FOR(script_of(&sc, 0)->requests > asked + 3); /* checks go on, and pass */
		assert_true(scene_host_is(&sc, 0, words[i][1]));
		assert_true(all_reach(&sc, "two", 20));
		admin = scene_wait_child(&sc, "admin", 0);
		kill(admin, SIGKILL);
		scene_wait_child(&sc, "admin", admin);
		assert_int_equal(generation_restart(&sc), 0);
		assert_true(scene_host_is(&sc, 0, words[i][1]));
		assert_true(all_reach(&sc, "two", 20));
		order(&sc, 0, "ok");
		WAIT_FOR(all_reach(&sc, "one", 1));
	}
	script_add(&sc, 0, (struct rule){.path = "/health", .status = 503});
	WAIT_FOR(scene_host_is(&sc, 0, "/failed_active_hc"));
	order(&sc, 0, "ok"); /* no more than nothing said */
	assert_true(scene_host_is(&sc, 0, "/failed_active_hc"));
	assert_true(all_reach(&sc, "two", 20));
	scene_fini(&sc);
}

/* ---- reloads */

#define FREQUENT_CHECK                                                                             \
	"    health_checks:\n"                                                                     \
	"    - {timeout: 5s, interval: 0.01s, no_traffic_interval: 0.01s, healthy_threshold: 1, "   \
	"unhealthy_threshold: 3, http_health_check: {path: /health}}\n"

/* Of 20,000 hosts; refused for the last of them, so that nothing but reading and checking is done. */
static char *
large_and_wrong(void)
{
	struct strb text = {0};

	strb_addz(&text, CONF(ONE_HOST, FREQUENT_CHECK));
	strb_addz(&text, CONF_CLUSTER("many", "", ""));
	for (unsigned i = 0; i < 20000; i++)
		strb_printf(&text,
		    "        - {endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: %u}}}}\n", i + 1);
	strb_addz(&text, "        - {endpoint: {address: {socket_address: {address: nowhere, port_value: 1}}}}\n");
	return text.p;
}

/* A check is begun every 10 ms; in one step, loading would let one or two begin. */
static void
checks_go_on_while_a_large_configuration_is_loaded(void **state)
{
	char *large = large_and_wrong(), *said;
	struct scene sc;
	int64_t before;

	scene_init(&sc);
	scene_scripted(&sc, "one", false);
	scene_proxy(&sc, CONF(ONE_HOST, FREQUENT_CHECK));
	scene_write_config(&sc, large);
	before = scene_stat(&sc, "cluster.api.health_check.attempt");
	assert_int_equal(scene_run_tool(&sc, &said, "batonctl", "reload", NULL), 3);
	assert_non_null(strstr(said, "'nowhere' is not an IP address"));
	assert_true(scene_stat(&sc, "cluster.api.health_check.attempt") >= before + 5);
	assert_stat(&sc, HEALTHY_HOSTS, 1);
	assert_stat(&sc, "cluster.api.health_check.failure", 0);
	mem_free(said);
	mem_free(large);
	scene_fini(&sc);
}

static void
a_reload_changes_how_hosts_are_checked(void **state)
{
	struct scene sc;
	char *out;

	start_two(&sc, CONF(TWO_HOSTS, CHECK("1s", "1", "1", HTTP_CHECK)));
	script_add(&sc, 0, (struct rule){.path = "/health", .status = 503});
	WAIT_FOR(scene_host_is(&sc, 0, "/failed_active_hc"));
	scene_write_config(&sc,
	    CONF(TWO_HOSTS, CHECK("1s", "1", "1", "      http_health_check: {path: /other}\n")));
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "reload", NULL), 0);
	mem_free(out);
	WAIT_FOR(scene_host_is(&sc, 0, "healthy"));
	script_add(&sc, 0, (struct rule){.path = "/other", .status = 503});
	WAIT_FOR(scene_host_is(&sc, 0, "/failed_active_hc"));
	scene_write_config(&sc, CONF(TWO_HOSTS, ""));
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "reload", NULL), 0);
	mem_free(out);
	assert_true(scene_host_is(&sc, 0, "healthy")); /* nobody checks: all are good */
	WAIT_FOR(all_reach(&sc, "one", 1));
	scene_fini(&sc);
}

/* The cluster that a reload brings is used when its hosts are known to be well. */
static void
a_reload_waits_for_the_checks_of_a_new_cluster(void **state)
{
	struct scene sc;
	pid_t reload;
	char *out;

	start_two(&sc, CONF(ONE_HOST, ""));
	script_add(&sc, 1, (struct rule){.path = "/health", .delay_ms = 500});
	scene_write_config(&sc,
	    CONF_ADMIN CONF_LISTENER(
		"", "              - {match: {prefix: /}, route: {cluster: other}}\n") CONF_CLUSTERS
		CONF_CLUSTER("other", CONF_HOST("@HOST1@"), CHECK("5s", "1", "1", HTTP_CHECK)));
	reload = fork();
	if (reload == 0)
		_exit(scene_run_tool(&sc, &out, "batonctl", "reload", NULL));
	WAIT_FOR(all_reach(&sc, "one", 1) || all_reach(&sc, "two", 1));
	while (script_of(&sc, 1)->complete < 2) /* its check, and then a request */
		assert_int_equal(scene_status(&sc, "/"), 200);
	waitpid(reload, NULL, 0);
	assert_true(all_reach(&sc, "two", 10));
	assert_stat(&sc, "cluster.other.health_check.failure", 0);
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(checks_go_on_while_a_large_configuration_is_loaded),
	    cmocka_unit_test(verdicts_outlive_the_admin_process),
	    cmocka_unit_test(an_admin_that_was_stopped_blames_no_host),
	    cmocka_unit_test(a_hot_restart_keeps_verdicts_and_does_not_wait),
	    cmocka_unit_test(the_operators_word_stands_beside_checks),
	    cmocka_unit_test(a_reload_changes_how_hosts_are_checked),
	    cmocka_unit_test(a_reload_waits_for_the_checks_of_a_new_cluster),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
