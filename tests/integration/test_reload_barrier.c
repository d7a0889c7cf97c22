/*
 * Between the order to reload and the moment it is in force: a worker that
 * holds it up or ends, an admin that dies, others who ask; and what those
 * who come later know of it.
 */
#include "tests/integration/reload.h"

#include <sys/wait.h>

/* ---- a reload that others wait for */

static pid_t
reload_in_background(struct scene *sc, const char *yaml)
{
	pid_t pid;

	if (yaml)
		scene_write_config(sc, yaml);
	pid = fork();
	if (pid == 0) {
		execl(scene_program("batonctl"), "batonctl", "--runtime-dir", sc->dir, "reload",
		    NULL);
		_exit(127);
	}
	return pid;
}

static int
status_of(pid_t pid)
{
	int status = -1;

	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A worker that does not answer holds the barrier: the reload has come that far and no further. */
static pid_t
reload_held_by(struct scene *sc, pid_t worker, const char *yaml)
{
	pid_t pid;

	kill(worker, SIGSTOP);
	pid = reload_in_background(sc, yaml);
	scene_wait_log(sc, "reload: warming -> publishing");
	return pid;
}

static void
a_worker_that_ends_leaves_the_barrier(void **state)
{
	struct scene sc;
	pid_t worker, asked;

	proxy(&sc, CONF_WORD("one"));
	worker = scene_child(&sc, "worker 1");
	asked = reload_held_by(&sc, worker, CONF_WORD("two"));
	expect_body(&sc, "/word", "one");
	kill(worker, SIGKILL);
	assert_int_equal(status_of(asked), 0);
	scene_wait_child(&sc, "worker 1", worker);
	for (int i = 0; i < 20; i++)
		expect_body(&sc, "/word", "two");
	scene_fini(&sc);
}

static void
whoever_asks_meanwhile_is_answered_by_one_more(void **state)
{
	struct scene sc;
	pid_t worker, asked[3];

	proxy(&sc, CONF_WORD("one"));
	worker = scene_child(&sc, "worker 1");
	asked[0] = reload_held_by(&sc, worker, CONF_WORD("two"));
	asked[1] = reload_in_background(&sc, CONF_WORD("three"));
	asked[2] = reload_in_background(&sc, NULL);
	kill(sc.proxy, SIGHUP);
	kill(worker, SIGCONT);
	for (int i = 0; i < 3; i++)
		assert_int_equal(status_of(asked[i]), 0);
	for (int i = 0; i < 20; i++)
		expect_body(&sc, "/word", "three");
	scene_fini(&sc);
}

static void
an_admin_that_dies_on_the_way_has_changed_nothing(void **state)
{
	struct scene sc;
	unsigned master, other;
	pid_t admin, worker, asked;

	proxy(&sc, CONF_WORD("one"));
	admin = scene_child(&sc, "admin");
	worker = scene_child(&sc, "worker 1");
	expect_body(&sc, "/word", "one");
	master = scene_descriptors(sc.proxy);
	other = scene_descriptors(scene_child(&sc, "worker 2"));
	asked = reload_held_by(&sc, worker, CONF_TWO_LISTENERS("0"));
	assert_int_not_equal(scene_descriptors(sc.proxy), master);
	kill(admin, SIGKILL);
	assert_int_equal(status_of(asked), 3);
	scene_wait_child(&sc, "admin", admin);
	kill(worker, SIGCONT);
	WAIT_FOR(port_of(&sc, "main") != 0);
	expect_body(&sc, "/word", "one");
	assert_int_equal(port_of(&sc, "second"), 0);
	WAIT_FOR(scene_descriptors(sc.proxy) <= master); /* what was opened is closed */
	WAIT_FOR(scene_descriptors(scene_child(&sc, "worker 2")) <= other);
	WAIT_FOR(reload(&sc, NULL, NULL) == 0);
	assert_int_not_equal(port_of(&sc, "second"), 0);
	scene_fini(&sc);
}

/* ---- who comes later */

static void
a_signal_reloads_and_a_replaced_admin_knows_what_is_in_force(void **state)
{
	struct scene sc;
	pid_t admin, worker;

	proxy(&sc, CONF_WORD("one"));
	scene_write_config(&sc, CONF_WORD("two"));
	kill(sc.proxy, SIGHUP);
	scene_wait_log(&sc, "reload: in force, listeners: 1 changed");
	expect_body(&sc, "/word", "two");
	admin = scene_child(&sc, "admin");
	worker = scene_child(&sc, "worker 1");
	kill(admin, SIGKILL);
	kill(worker, SIGKILL);
	scene_wait_child(&sc, "admin", admin);
	scene_wait_child(&sc, "worker 1", worker);
	for (int i = 0; i < 20; i++)
		expect_body(&sc, "/word", "two");
	WAIT_FOR(reload(&sc, CONF_WORD("three"), NULL) == 0); /* as soon as it is back */
	for (int i = 0; i < 20; i++)
		expect_body(&sc, "/word", "three");
	/* A signal while it is away is remembered. */
	admin = scene_child(&sc, "admin");
	scene_write_config(&sc, CONF_WORD("four"));
	kill(admin, SIGKILL);
	kill(sc.proxy, SIGHUP);
	scene_wait_child(&sc, "admin", admin);
	scene_wait_log(&sc, "reload: begins");
	scene_fini(&sc);
}

/* Enough to make the journal mostly stale more than once. */
static char *
large_config(unsigned n)
{
	struct strb b = {0};

	strb_addz(&b, CONF_ADMIN CONF_LISTENER("", ""));
	for (unsigned i = 0; i < 200; i++)
		strb_printf(&b,
		    "              - {match: {path: /word%u}, direct_response: {status: 200, body: "
		    "{inline_string: \"%u %064u\"}}}\n",
		    i, n, i);
	strb_addz(&b, "  clusters: []\n");
	return strb_give(&b);
}

static void
the_journal_is_compacted_on_the_way(void **state)
{
	struct scene sc;
	char *yaml = large_config(0), want[80];
	pid_t admin, worker;

	proxy(&sc, yaml);
	mem_free(yaml);
	for (unsigned i = 1; i <= 8; i++) {
		yaml = large_config(i);
		assert_int_equal(reload(&sc, yaml, NULL), 0);
		mem_free(yaml);
		snprintf(want, sizeof(want), "%u %064u", i, 7u);
		expect_body(&sc, "/word7", want);
	}
	admin = scene_child(&sc, "admin");
	worker = scene_child(&sc, "worker 1");
	kill(worker, SIGKILL);
	kill(admin, SIGKILL);
	scene_wait_child(&sc, "worker 1", worker);
	scene_wait_child(&sc, "admin", admin);
	for (int i = 0; i < 20; i++)
		expect_body(&sc, "/word7", want);
	assert_int_equal(reload(&sc, CONF_WORD("one"), NULL), 0);
	expect_body(&sc, "/word", "one");
	scene_fini(&sc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_signal_reloads_and_a_replaced_admin_knows_what_is_in_force),
	    cmocka_unit_test(a_worker_that_ends_leaves_the_barrier),
	    cmocka_unit_test(whoever_asks_meanwhile_is_answered_by_one_more),
	    cmocka_unit_test(an_admin_that_dies_on_the_way_has_changed_nothing),
	    cmocka_unit_test(the_journal_is_compacted_on_the_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
