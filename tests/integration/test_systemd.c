/*
 * Under a service manager: what it hears at each turn of baton's life, that every generation is its
 * child, and that the packaged unit is one it takes.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "tests/harness/configs.h"
#include "tests/harness/manager.h"
#include "tests/harness/scene.h"

/* HEARS(m, expr): reads the notify socket until expr holds. */
#define HEARS(m, expr) WAIT_FOR(manager_hear(m) && (expr))

#define CONF_BAD CONF_ADMIN "static_resources: {listeners: 7}\n"
/* The second differs in what a reload may change. */
#define CONF_TIMEOUT(s)                                                                            \
	CONF_ADMIN CONF_LISTENER(                                                                  \
	    "", "              - {match: {prefix: /}, route: {cluster: api, timeout: " s "}}\n")   \
	    CONF_CLUSTERS CONF_CLUSTER("api", CONF_HOST("@HOST0@"), "")

static void
start(struct scene *sc, struct manager *m)
{
	char *name;

	scene_init(sc);
	scene_origin(sc, "one");
	name = mem_printf("@%s", sc->dir);
	manager_open(m, name);
	mem_free(name);
	sc->extra[0] = "--concurrency";
	sc->extra[1] = "2";
	scene_proxy(sc, CONF_TIMEOUT("0s"));
	HEARS(m, m->is_ready);
	assert_int_equal(m->main_pid, sc->proxy);
}

static void
finish(struct scene *sc, struct manager *m)
{
	scene_fini(sc);
	manager_close(m);
}

static int
ctl(struct scene *sc, const char *word)
{
	char *out;
	int status = scene_run_tool(sc, &out, "batonctl", word, NULL);

	mem_free(out);
	return status;
}

/* ---- one generation */

static void
a_start_is_told_when_it_serves(void **state)
{
	struct scene sc;
	struct manager m;
	char *path;

	scene_init(&sc);
	scene_origin(&sc, "one");
	path = mem_printf("%s/notify", sc.dir);
	manager_open(&m, path);
	mem_free(path);
	scene_proxy(&sc, CONF_SIMPLE);
	HEARS(&m, m.is_ready);
	assert_int_equal(m.main_pid, sc.proxy);
	assert_int_equal(m.not_believed, 0);
	assert_non_null(strstr(m.status, "epoch 0 serves"));
	assert_int_equal(scene_status(&sc, "/"), 200);
	finish(&sc, &m);
}

static void
a_start_that_fails_says_nothing_but_its_status(void **state)
{
	struct scene sc;
	struct manager m;
	char *out, *config, *path;

	scene_init(&sc);
	path = mem_printf("%s/notify", sc.dir);
	manager_open(&m, path);
	mem_free(path);
	scene_write_config(&sc, CONF_BAD);
	config = mem_printf("%s/baton.yaml", sc.dir);
	assert_int_equal(scene_run(&sc, &out, "-c", config, NULL), 1);
	manager_hear(&m);
	assert_int_equal(m.readies, 0);
	assert_false(m.is_stopping);
	mem_free(out);
	mem_free(config);
	finish(&sc, &m);
}

static void
a_reload_begins_and_ends_whatever_comes_of_it(void **state)
{
	struct scene sc;
	struct manager m;
	uint64_t before = clock_mono_ns() / 1000;

	start(&sc, &m);
	scene_write_config(&sc, CONF_TIMEOUT("14s"));
	assert_int_equal(ctl(&sc, "reload"), 0);
	HEARS(&m, m.readies == 2);
	assert_int_equal(m.reloads, 1);
	assert_in_range(m.monotonic_us, before, clock_mono_ns() / 1000);
	assert_null(strstr(m.status, "refused"));

	scene_write_config(&sc, CONF_BAD);
	assert_int_equal(ctl(&sc, "reload"), 3);
	HEARS(&m, m.readies == 3);
	assert_int_equal(m.reloads, 2);
	assert_false(m.is_reloading);
	assert_non_null(strstr(m.status, "refused: "));

	kill(sc.proxy, SIGHUP);
	HEARS(&m, m.readies == 4);
	assert_int_equal(m.reloads, 3);

	scene_write_config(&sc, CONF_TIMEOUT("13s"));
	assert_int_equal(ctl(&sc, "reload"), 0);
	HEARS(&m, m.readies == 5);
	assert_null(strstr(m.status, "refused"));
	assert_int_equal(scene_status(&sc, "/"), 200);
	finish(&sc, &m);
}

static void
an_end_that_takes_long_asks_for_time(void **state)
{
	struct scene sc;
	struct manager m;
	int fd;

	start(&sc, &m);
	fd = client_connect(sc.port);
	client_send(fd, "GET /?delay_ms=600000 HTTP/1.1\r\nHost: a\r\n\r\n");
	scene_wait_stat(&sc, "cluster.api.upstream_rq_active", 1);
	kill(sc.proxy, SIGTERM);
	HEARS(&m, m.is_stopping);
	HEARS(&m, m.extensions >= 1 && strstr(m.status, "connections=1"));
	kill(sc.proxy, SIGTERM); /* at once */
	assert_int_equal(scene_wait_exit(&sc), 0);
	close(fd);
	finish(&sc, &m);
}

static void
the_watchdog_hears_whoever_serves(void **state)
{
	struct scene sc;
	struct manager m;
	pid_t first;

	setenv("WATCHDOG_USEC", "600000", 1);
	start(&sc, &m);
	first = sc.proxy;
	HEARS(&m, m.pings >= 3);
	assert_int_equal(m.pinged_by, first);
	assert_int_equal(ctl(&sc, "hot-restart"), 0);
	HEARS(&m, m.pinged_by != first);
	assert_int_equal(m.pinged_by, m.main_pid);
	sc.proxy = m.main_pid;
	unsetenv("WATCHDOG_USEC");
	finish(&sc, &m);
}

/* ---- generations */

static pid_t
parent_of(pid_t pid)
{
	char *path = mem_printf("/proc/%d/status", (int)pid);
	char line[128];
	FILE *f = fopen(path, "r");
	int parent = 0;

	mem_free(path);
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "PPid: %d", &parent) == 1)
			break;
	if (f)
		fclose(f);
	return parent;
}

/* A download that outlives a restart, so that the old generation drains for as long as we want. */
static int
hold(struct scene *sc)
{
	int fd = client_connect(sc->port);

	client_send(fd, "GET /?delay_ms=600000 HTTP/1.1\r\nHost: a\r\n\r\n");
	scene_wait_stat(sc, "cluster.api.upstream_rq_active", 1);
	return fd;
}

static void
a_hot_restart_names_the_next_main_process(void **state)
{
	struct scene sc;
	struct manager m;
	pid_t first;

	start(&sc, &m);
	first = sc.proxy;
	assert_int_equal(ctl(&sc, "hot-restart"), 0);
	HEARS(&m, m.main_pid != first);
	/* As a daemon is a child of systemd: never of its predecessor. */
	assert_int_equal(parent_of(m.main_pid), getpid());
	assert_non_null(strstr(m.status, "epoch 1 serves"));
	assert_int_equal(scene_wait_exit(&sc), 0);
	sc.proxy = m.main_pid;

	scene_write_config(&sc, CONF_BAD);
	assert_int_equal(ctl(&sc, "reload"), 3);
	HEARS(&m, m.is_ready && strstr(m.status, "refused: "));
	assert_false(m.is_stopping);
	finish(&sc, &m);
}

static void
a_refused_hot_restart_leaves_the_service_as_it_was(void **state)
{
	struct scene sc;
	struct manager m;

	start(&sc, &m);
	m.believe_all = true;
	scene_write_config(&sc, CONF_BAD);
	assert_int_equal(ctl(&sc, "hot-restart"), 3);
	assert_stat(&sc, "baton.handovers_refused", 1);
	manager_hear(&m);
	assert_int_equal(m.main_pid, sc.proxy);
	assert_int_equal(m.readies, 1);
	assert_false(m.is_stopping);
	assert_non_null(strstr(m.status, "epoch 0 serves"));
	finish(&sc, &m);
}

static void
a_rollback_names_the_old_one_again(void **state)
{
	struct scene sc;
	struct manager m;
	pid_t first, second;
	int fd;

	start(&sc, &m);
	first = sc.proxy;
	fd = hold(&sc);
	assert_int_equal(ctl(&sc, "hot-restart"), 0);
	HEARS(&m, m.main_pid != first);
	second = m.main_pid;
	assert_int_equal(ctl(&sc, "rollback"), 0);
	HEARS(&m, m.main_pid == first);
	assert_non_null(strstr(m.status, "epoch 0 serves"));
	WAIT_FOR(waitpid(second, NULL, WNOHANG) == second);
	manager_hear(&m);
	assert_false(m.is_stopping);
	close(fd);
	finish(&sc, &m);
}

/* systemd would start another one as well; with NotifyAccess=all it need not. */
static void
whoever_takes_the_traffic_back_says_so(void **state)
{
	struct scene sc;
	struct manager m;
	pid_t first, second;
	int fd;

	start(&sc, &m);
	m.believe_all = true;
	first = sc.proxy;
	fd = hold(&sc);
	assert_int_equal(ctl(&sc, "hot-restart"), 0);
	HEARS(&m, m.main_pid != first);
	second = m.main_pid;
	kill(second, SIGKILL);
	HEARS(&m, m.main_pid == first);
	waitpid(second, NULL, 0);
	assert_int_equal(scene_status(&sc, "/"), 200);
	close(fd);
	finish(&sc, &m);
}

static void
the_end_of_a_generation_is_not_the_services(void **state)
{
	const struct linger at_once = {.l_onoff = 1};
	struct scene sc;
	struct manager m;
	pid_t first;
	int fd;

	start(&sc, &m);
	m.believe_all = true;
	first = sc.proxy;
	fd = hold(&sc);
	assert_int_equal(ctl(&sc, "hot-restart"), 0);
	HEARS(&m, m.main_pid != first);
	setsockopt(
	    fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)); /* a reset, no half close */
	close(fd);
	assert_int_equal(scene_wait_exit(&sc), 0);
	sc.proxy = m.main_pid;
	manager_hear(&m);
	assert_false(m.is_stopping);
	kill(sc.proxy, SIGTERM);
	assert_int_equal(scene_wait_exit(&sc), 0);
	manager_hear(&m);
	assert_true(m.is_stopping);
	finish(&sc, &m);
}

/* ---- socket activation */

#define CONF_AT_PORT                                                                               \
	CONF_ADMIN                                                                                 \
	"static_resources:\n"                                                                      \
	"  listeners:\n"                                                                           \
	"  - name: main\n"                                                                         \
	"    address: {socket_address: {address: 127.0.0.1, port_value: @HOST9@}}\n"               \
	"    filter_chains:\n"                                                                     \
	"    - filters:\n"                                                                         \
	"      - name: envoy.filters.network.http_connection_manager\n"                            \
	"        typed_config:\n"                                                                  \
	"          \"@type\": type.googleapis.com/"                                                \
	"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n"      \
	"          stat_prefix: ingress\n"                                                         \
	"          http_filters:\n" CONF_ROUTER "          route_config:\n"                        \
	"            name: local\n"                                                                \
	"            virtual_hosts:\n"                                                             \
	"            - {name: all, domains: [\"*\"], routes: [{match: {prefix: /}, route: "        \
	"{cluster: "                                                                               \
	"api}}]}\n" CONF_CLUSTERS CONF_CLUSTER("api", CONF_HOST("@HOST0@"), "")

/* As a service manager makes it, and keeps it. */
static int
listening(uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0), high;

	assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	*port = ntohs(a.sin_port);
	high = fcntl(fd, F_DUPFD, 30); /* out of the way of 3 and 4 */
	close(fd);
	return high;
}

static bool
has_socket(pid_t pid, int fd)
{
	char *path = mem_printf("/proc/%d/fd", (int)pid), want[64], got[64];
	DIR *d = opendir(path);
	struct dirent *e;
	struct stat st;
	bool has = false;

	mem_free(path);
	assert_int_equal(fstat(fd, &st), 0);
	snprintf(want, sizeof(want), "socket:[%lu]", (unsigned long)st.st_ino);
	while (d && !has && (e = readdir(d)) != NULL) {
		ssize_t n = readlinkat(dirfd(d), e->d_name, got, sizeof(got) - 1);

		got[n > 0 ? n : 0] = '\0';
		has = strcmp(got, want) == 0;
	}
	if (d)
		closedir(d);
	return has;
}

struct activation {
	struct scene sc;
	int web, strange; /* handed over as descriptors 3 and 4 */
};

static void
activate(struct activation *a, const char *workers)
{
	uint16_t unused;
	char *number;

	scene_init(&a->sc);
	scene_origin(&a->sc, "one");
	a->web = listening(&a->sc.host_port[9]);
	a->strange = listening(&unused);
	number = mem_printf("%d", a->web);
	setenv("WEB", number, 1);
	mem_free(number);
	number = mem_printf("%d", a->strange);
	setenv("STRANGE", number, 1);
	mem_free(number);
	a->sc.wrap[0] = "/bin/bash";
	a->sc.wrap[1] = "-c";
	a->sc.wrap[2] = "export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:strange; "
			"exec \"$0\" \"$@\" 3<&$WEB 4<&$STRANGE {WEB}<&- {STRANGE}<&-";
	a->sc.extra[0] = "--concurrency";
	a->sc.extra[1] = workers;
}

static void
deactivate(struct activation *a)
{
	scene_fini(&a->sc);
	close(a->web);
	close(a->strange);
	unsetenv("WEB");
	unsetenv("STRANGE");
}

static int
answered(int fd)
{
	struct reply r = client_reply(fd, false);
	int status = r.status;

	reply_free(&r);
	close(fd);
	return status;
}

static int
ask(uint16_t port)
{
	int fd = client_connect(port);

	client_send(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	return fd;
}

static void
a_handed_socket_is_the_listeners(void **state)
{
	struct activation a;
	int early;
	char *log;

	activate(&a, "1");
	early = ask(a.sc.host_port[9]); /* nobody is there yet */
	scene_proxy(&a.sc, CONF_AT_PORT);
	assert_int_equal(a.sc.port, a.sc.host_port[9]);
	assert_int_equal(answered(early), 200);
	assert_int_equal(scene_status(&a.sc, "/"), 200);
	assert_stat(&a.sc, "http.ingress.downstream_cx_total", 2);
	assert_true(has_socket(a.sc.proxy, a.web));
	assert_true(has_socket(scene_child(&a.sc, "worker 1"), a.web));
	assert_false(has_socket(scene_child(&a.sc, "admin"), a.web));
	assert_false(has_socket(a.sc.proxy, a.strange));
	scene_wait_log(&a.sc, "socket 'strange'");
	log = scene_log(&a.sc);
	assert_null(strstr(log, "socket 'web' at"));
	mem_free(log);
	deactivate(&a);
}

/* The socket is the manager's: a hot restart passes it on, an end leaves it as it is, and who comes
 * then is answered by the next start. */
static void
a_handed_socket_outlives_restarts_and_ends(void **state)
{
	struct activation a;
	pid_t second;
	char *text;
	int late;

	activate(&a, "2");
	scene_proxy(&a.sc, CONF_AT_PORT);
	for (int i = 0; i < 20; i++) /* some to it, some to the one that joined it */
		assert_int_equal(scene_status(&a.sc, "/"), 200);
	assert_int_equal(ctl(&a.sc, "hot-restart"), 0);
	assert_int_equal(scene_wait_exit(&a.sc), 0);
	text = scene_file(&a.sc, "0/pid");
	second = atoi(text);
	mem_free(text);
	assert_true(has_socket(second, a.web));
	for (int i = 0; i < 20; i++)
		assert_int_equal(scene_status(&a.sc, "/"), 200);
	assert_stat(&a.sc, "http.ingress.downstream_rq_2xx", 40);
	a.sc.proxy = second;
	kill(second, SIGTERM);
	assert_int_equal(scene_wait_exit(&a.sc), 0);

	late = ask(a.sc.host_port[9]);
	scene_proxy(&a.sc, CONF_AT_PORT);
	assert_int_equal(answered(late), 200);
	deactivate(&a);
}

/* A start that adopts has the socket twice, from the orphans and from the manager. */
static void
a_handed_socket_outlives_a_crash(void **state)
{
	struct activation a;
	int late;

	activate(&a, "1");
	scene_proxy(&a.sc, CONF_AT_PORT);
	assert_int_equal(scene_status(&a.sc, "/"), 200); /* the worker has its socket */
	kill(a.sc.proxy, SIGKILL);
	assert_int_equal(scene_wait_exit(&a.sc), -SIGKILL);
	assert_int_equal(scene_status(&a.sc, "/"), 200);
	scene_proxy(&a.sc, CONF_AT_PORT);
	assert_true(has_socket(a.sc.proxy, a.web));
	for (int i = 0; i < 20; i++)
		assert_int_equal(scene_status(&a.sc, "/"), 200);
	kill(a.sc.proxy, SIGTERM);
	assert_int_equal(scene_wait_exit(&a.sc), 0);
	late = ask(a.sc.host_port[9]); /* still the manager's */
	scene_proxy(&a.sc, CONF_AT_PORT);
	assert_int_equal(answered(late), 200);
	deactivate(&a);
}

/* ---- the unit file */

#define UNIT "examples/systemd/baton.service"
#define ANALYZE "/usr/bin/systemd-analyze"

static void
the_unit_file_is_hardened(void **state)
{
	struct scene sc;
	char *out;

	scene_init(&sc);
	if (scene_run_tool(&sc, &out, ANALYZE, "security", "--offline=true", "--threshold=30",
		"--no-pager", UNIT, NULL) != 0)
		fail_msg("%s: more exposed than 3.0:\n%s", UNIT, out);
	mem_free(out);
	scene_fini(&sc);
}

static char *
absolute(const char *program)
{
	char *path = realpath(scene_program(program), NULL), *copy;

	assert_non_null(path);
	copy = mem_strdup(path);
	free(path);
	return copy;
}

/* As `make install` writes it, only with the programs of this build. */
static void
the_unit_file_is_one_that_systemd_takes(void **state)
{
	struct scene sc;
	char *out, *baton, *ctl_path, *copy;

	scene_init(&sc);
	baton = absolute("baton");
	ctl_path = absolute("batonctl");
	copy = mem_printf(
	    "sed -e 's|/usr/local/sbin/baton|%s|' -e 's|/usr/local/bin/batonctl|%s|' " UNIT
	    " >%s/baton.service",
	    baton, ctl_path, sc.dir);
	assert_int_equal(scene_run_tool(&sc, NULL, "/bin/sh", "-ec", copy, NULL), 0);
	mem_free(copy);
	copy = mem_printf("%s/baton.service", sc.dir);
	if (scene_run_tool(&sc, &out, ANALYZE, "verify", "--man=no", copy, NULL) != 0 || *out)
		fail_msg("%s: systemd says:\n%s", UNIT, out);
	mem_free(out);
	mem_free(baton);
	mem_free(ctl_path);
	mem_free(copy);
	scene_fini(&sc);
}

/* "CAP_X CAP_Y" of the unit file as setpriv wants it. */
static char *
unit_capabilities(void)
{
	struct strb set = {0};
	char line[512];
	FILE *f = fopen(UNIT, "r");

	assert_non_null(f);
	strb_addz(&set, "-all");
	while (fgets(line, sizeof(line), f)) {
		char *save = NULL, *word = line + strlen("CapabilityBoundingSet=");

		if (strncmp(line, "CapabilityBoundingSet=", strlen("CapabilityBoundingSet=")) != 0)
			continue;
		for (word = strtok_r(word, " \n", &save); word; word = strtok_r(NULL, " \n", &save))
			strb_printf(&set, ",+%s", word + strlen("CAP_"));
	}
	fclose(f);
	for (size_t i = 0; i < set.n; i++)
		if (set.p[i] >= 'A' && set.p[i] <= 'Z')
			set.p[i] += 'a' - 'A';
	return strb_give(&set);
}

static void
the_units_capabilities_are_enough(void **state)
{
	struct scene sc;
	struct manager m;
	char *set = unit_capabilities(), *name;

	assert_non_null(strstr(set, ",+setuid"));
	scene_init(&sc);
	scene_origin(&sc, "one");
	name = mem_printf("@%s", sc.dir);
	manager_open(&m, name);
	mem_free(name);
	sc.wrap[0] = "/usr/bin/setpriv";
	sc.wrap[1] = "--no-new-privs";
	sc.wrap[2] = "--bounding-set";
	sc.wrap[3] = set;
	scene_proxy(&sc, CONF_TIMEOUT("15s"));
	assert_int_equal(scene_status(&sc, "/"), 200);
	assert_int_equal(ctl(&sc, "hot-restart"), 0);
	HEARS(&m, m.main_pid != sc.proxy);
	assert_int_equal(scene_wait_exit(&sc), 0);
	sc.proxy = m.main_pid;
	assert_int_equal(scene_status(&sc, "/"), 200);
	mem_free(set);
	finish(&sc, &m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_start_is_told_when_it_serves),
	    cmocka_unit_test(a_start_that_fails_says_nothing_but_its_status),
	    cmocka_unit_test(a_reload_begins_and_ends_whatever_comes_of_it),
	    cmocka_unit_test(an_end_that_takes_long_asks_for_time),
	    cmocka_unit_test(the_watchdog_hears_whoever_serves),
	    cmocka_unit_test(a_hot_restart_names_the_next_main_process),
	    cmocka_unit_test(a_refused_hot_restart_leaves_the_service_as_it_was),
	    cmocka_unit_test(a_rollback_names_the_old_one_again),
	    cmocka_unit_test(whoever_takes_the_traffic_back_says_so),
	    cmocka_unit_test(the_end_of_a_generation_is_not_the_services),
	    cmocka_unit_test(a_handed_socket_is_the_listeners),
	    cmocka_unit_test(a_handed_socket_outlives_restarts_and_ends),
	    cmocka_unit_test(a_handed_socket_outlives_a_crash),
	    cmocka_unit_test(the_unit_file_is_hardened),
	    cmocka_unit_test(the_unit_file_is_one_that_systemd_takes),
	    cmocka_unit_test(the_units_capabilities_are_enough),
	};

	/* Whoever is double forked comes to us, as to systemd. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
