/*
 * batonstat reads what a proxy left in shared memory, whoever lives.  The
 * "proxy" is this program: it makes segments and counts in them.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/str.h"
#include "shm/block.h"
#include "shm/failures.h"
#include "shm/flags.h"
#include "shm/hosts.h"
#include "shm/lane.h"
#include "shm/paths.h"

static char dir[64];
static char program[PATH_MAX];
static struct segment *seg;
static pid_t worker;

/* Generation 1 under base id 0: this process is admin, a child is worker 0. */
static void
be_a_proxy(void)
{
	struct segment_params p = {.concurrency = 2, .generation = 1, .lane_bytes = 1u << 20};
	char path[PATH_MAX];
	struct err err;
	int base;

	snprintf(path, sizeof(path), "%s/0", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	base = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(base, "g1", 0700), 0);
	assert_int_equal(segment_create(&seg, base, "g1/" PATH_SEGMENT, &p, &err), 0);
	close(base);
	assert_int_equal(block_publish(seg, SCOPE_cluster, STR("cluster.api."), &err), 0);
	assert_int_equal(block_publish(seg, SCOPE_http, STR("http.in."), &err), 0);
	assert_int_equal(block_publish(seg, SCOPE_host, STR("api|10.0.0.1:80|"), &err), 0);
	assert_int_equal(lane_take(seg, SEAT_OF_ADMIN, SEAT_ADMIN, 0, &err), 0);
	host_cell_set(block_shared(SCOPE_host, STR("api|10.0.0.1:80|")), HOST_OPERATOR_DRAIN, true);
	failure_note(&(struct failure){.wall_ns = 1700000000123000000ull,
	    .status = 503,
	    .flags = STR("UF"),
	    .cluster = STR("api"),
	    .host = STR("10.0.0.1:80"),
	    .details = STR("upstream_reset_before_response_started")});
}

static void
start_worker(void)
{
	int ready[2];
	char c;

	assert_int_equal(pipe(ready), 0);
	worker = fork();
	if (worker == 0) {
		struct err err;

		if (lane_take(seg, 2, SEAT_WORKER, 0, &err) < 0)
			_exit(1);
		stat_add(&http_stats_of("http.in.")->downstream_rq_total, 41);
		stat_set(&http_stats_of("http.in.")->downstream_rq_active, 3);
		stat_record(&http_stats_of("http.in.")->downstream_rq_time, 1);
		stat_code(&cluster_stats_of("cluster.api.")->upstream_rq, 503);
		stat_add(&host_stats_of("api|10.0.0.1:80|")->rq_total, 17);
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(ready[1]);
}

static int
set_up(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/baton-test-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	be_a_proxy();
	start_worker();
	return 0;
}

static void
end_worker(void)
{
	if (worker > 0) {
		kill(worker, SIGKILL);
		waitpid(worker, NULL, 0);
	}
	worker = 0;
}

static int
tear_down(void **state)
{
	static const char *const names[] = {"0/g1/segment", "0/g1", "0", ""};
	char path[PATH_MAX];

	end_worker();
	segment_free(&seg);
	for (size_t i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		if (remove(path) < 0)
			return -1;
	}
	return 0;
}

/* Runs batonstat on our directory; all it writes to out, its exit code back. */
static int
run(struct strb *out, const char *const *args)
{
	const char *argv[16] = {program, "--runtime-dir", dir};
	int fd[2], status, n = 3;
	char buf[4096];
	ssize_t got;
	pid_t pid;

	for (; *args; args++)
		argv[n++] = *args;
	assert_int_equal(pipe(fd), 0);
	pid = fork();
	if (pid == 0) {
		dup2(fd[1], 1);
		dup2(fd[1], 2);
		execv(program, (char **)argv);
		_exit(127);
	}
	close(fd[1]);
	strb_reset(out);
	while ((got = read(fd[0], buf, sizeof(buf))) > 0)
		strb_add(out, buf, (size_t)got);
	close(fd[0]);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void
assert_shows(const char *const *args, const char *want)
{
	struct strb out = {0};
	int code = run(&out, args);

	if (code != 0 || strstr(strb_z(&out), want) == NULL)
		fail_msg("exit %d, no '%s' in:\n%s", code, want, strb_z(&out));
	strb_fini(&out);
}

static void
assert_shows_not(const char *const *args, const char *unwanted)
{
	struct strb out = {0};

	assert_int_equal(run(&out, args), 0);
	if (strstr(strb_z(&out), unwanted))
		fail_msg("'%s' in:\n%s", unwanted, strb_z(&out));
	strb_fini(&out);
}

static void
piped_it_prints_every_stat_once(void **state)
{
	assert_shows(ARGS(NULL), "http.in.downstream_rq_total: 41\n");
	assert_shows(ARGS("-1"), "http.in.downstream_rq_active: 3\n");
	assert_shows(ARGS("-1"), "cluster.api.upstream_rq_503: 1\n");
	assert_shows(ARGS("-1"), "http.in.downstream_cx_length_ms: No recorded values\n");
	assert_shows(ARGS("-j"), "{\"name\":\"http.in.downstream_rq_total\",\"value\":41}");
	assert_shows(ARGS("-p"),
	    "envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix=\"in\"} 41\n");
	assert_shows(ARGS("-p"), "# HELP envoy_http_downstream_rq_total Requests\n");
}

/* What promtool may say: Envoy's names are not Prometheus' taste.  Nothing about format or help. */
static bool
is_about_a_name(struct str line)
{
	return str_contains(line, STR("should have \"_total\" suffix")) ||
	       str_contains(line, STR("should not have \"_total\" suffix")) ||
	       str_contains(line, STR("should not contain abbreviated units")) ||
	       str_contains(line, STR("use base unit"));
}

static void
promtool_finds_only_envoys_names_unusual(void **state)
{
	char command[2 * PATH_MAX], line[512];
	bool any = false;
	FILE *p;

	if (system("command -v promtool >/dev/null") != 0)
		skip();
	snprintf(command, sizeof(command), "%s --runtime-dir %s -p | promtool check metrics 2>&1",
	    program, dir);
	p = popen(command, "r");
	assert_non_null(p);
	while (fgets(line, sizeof(line), p)) {
		any = true;
		if (!is_about_a_name(str_of(line)))
			fail_msg("promtool: %s", line);
	}
	pclose(p);
	assert_true(any);
}

static void
filters_include_and_exclude(void **state)
{
	assert_shows(ARGS("-f", "http.*", "-f", "!*rq_active"), "downstream_rq_total: 41\n");
	assert_shows_not(ARGS("-f", "http.*", "-f", "!*rq_active"), "rq_active:");
	assert_shows_not(ARGS("-f", "http.*"), "cluster.");
	assert_shows_not(ARGS("--used"), "downstream_cx_total");
}

static void
each_process_has_a_column(void **state)
{
	assert_shows(ARGS("--workers", "-f", "*in.downstream_rq_total"), "g1:worker_0");
	assert_shows(ARGS("--workers", "-f", "*in.downstream_rq_total"),
	    "http.in.downstream_rq_total  41     0         41\n");
	assert_shows(ARGS("--workers", "-j"), "\"g1:worker_0\": 41");
}

static void
hosts_failures_and_generations_are_tables(void **state)
{
	assert_shows(ARGS("--hosts"), "api      10.0.0.1:80  /operator_drain  0 ");
	assert_shows(ARGS("--hosts", "--json"), "\"rq_total\": 17");
	assert_shows(ARGS("--failures"), "2023-11-14T22:13:20.123Z  request  503     UF");
	assert_shows(
	    ARGS("--failures", "-j"), "\"details\": \"upstream_reset_before_response_started\"");
	assert_shows(ARGS("--generations"), "worker 0");
	assert_shows(ARGS("--generations", "-j"), "\"state\": \"serving\"");
}

static void
a_stopped_or_killed_proxy_can_be_read(void **state)
{
	kill(worker, SIGSTOP);
	assert_shows(ARGS("-1"), "http.in.downstream_rq_active: 3\n");
	end_worker();
	assert_shows(ARGS("-1"), "http.in.downstream_rq_active: 0\n");
	assert_shows(ARGS("-1"), "http.in.downstream_rq_total: 41\n");
	assert_shows(ARGS("--generations"), "gone)");
}

static void
what_cannot_be_read_is_an_error(void **state)
{
	struct strb out = {0};

	assert_int_equal(run(&out, ARGS("--base-id", "7")), 1);
	assert_non_null(strstr(strb_z(&out), "no baton ran here"));
	assert_int_equal(run(&out, ARGS("--base-id", "x")), 2);
	assert_int_equal(run(&out, ARGS("--nonsense")), 2);
	assert_int_equal(run(&out, ARGS("surplus")), 2);
	assert_int_equal(run(&out, ARGS("--help")), 0);
	assert_int_equal(ftruncate(seg->fd, 100000), 0);
	assert_int_equal(run(&out, ARGS("-1")), 1);
	assert_non_null(strstr(strb_z(&out), "generation 1: the segment is truncated"));
	strb_fini(&out);
}

/* ---- on a terminal */

static pid_t
run_on_terminal(int *terminal)
{
	struct winsize size = {.ws_row = 24, .ws_col = 100};
	int fd = posix_openpt(O_RDWR | O_NOCTTY);
	pid_t pid;

	assert_true(fd >= 0);
	assert_int_equal(grantpt(fd), 0);
	assert_int_equal(unlockpt(fd), 0);
	pid = fork();
	if (pid == 0) {
		int side;

		setsid();
		side = open(ptsname(fd), O_RDWR);
		ioctl(side, TIOCSWINSZ, &size);
		dup2(side, 0);
		dup2(side, 1);
		dup2(side, 2);
		setenv("TERM", "vt100", 1);
		execl(program, program, "--runtime-dir", dir, (char *)NULL);
		_exit(127);
	}
	*terminal = fd;
	return pid;
}

/* Reads the screen until the text was seen. */
static void
await(int terminal, const char *want)
{
	struct strb seen = {0};
	char buf[4096];

	while (strstr(strb_z(&seen), want) == NULL) {
		struct pollfd p = {.fd = terminal, .events = POLLIN};
		ssize_t n = 0;

		if (poll(&p, 1, 30000) <= 0 || (n = read(terminal, buf, sizeof(buf))) <= 0)
			fail_msg("no '%s' on the screen: %s", want, strb_z(&seen));
		for (ssize_t i = 0; i < n; i++)
			if (buf[i])
				strb_addc(&seen, buf[i]);
	}
	strb_fini(&seen);
}

static void
on_a_terminal_it_is_live(void **state)
{
	int terminal, status;
	pid_t pid = run_on_terminal(&terminal);

	await(terminal, "CLUSTER");
	assert_int_equal(write(terminal, "h", 1), 1);
	await(terminal, "/operator_drain");
	assert_int_equal(write(terminal, "g", 1), 1);
	await(terminal, "worker 0");
	assert_int_equal(write(terminal, "f", 1), 1);
	await(terminal, "upstream_reset");
	assert_int_equal(write(terminal, "q", 1), 1);
	for (;;) { /* its last words, or it would wait for a reader */
		char buf[4096];

		if (read(terminal, buf, sizeof(buf)) <= 0)
			break;
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	close(terminal);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(piped_it_prints_every_stat_once, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
	        promtool_finds_only_envoys_names_unusual, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(filters_include_and_exclude, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(each_process_has_a_column, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		hosts_failures_and_generations_are_tables, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		a_stopped_or_killed_proxy_can_be_read, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(what_cannot_be_read_is_an_error, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(on_a_terminal_it_is_live, set_up, tear_down),
	};
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return 1;
	self[n] = '\0';
	snprintf(program, sizeof(program), "%s/../batonstat", dirname(self));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
