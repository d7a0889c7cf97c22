/* baton as the subject: its configurations, restarts of every sort, reloads, kills, numbers. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "tests/soak/baton.h"
#include "tests/soak/soak.h"

#define WORKERS 2
#define WORKERS_MAX 8
#define READY_NS (30 * NS_PER_S)

static uint16_t admin_port, extra_port;
static unsigned version;
static pid_t master; /* that serves */
static char *log_path, *config_path, *runtime_path, *drain_s;

/* ---- configuration */

static const char listener[] =
    "  - name: %s\n"
    "    address: {socket_address: {address: 127.0.0.1, port_value: %u}}\n"
    "    filter_chains:\n"
    "    - filters:\n"
    "      - name: envoy.filters.network.http_connection_manager\n"
    "        typed_config:\n"
    "          \"@type\": type.googleapis.com/envoy.extensions.filters.network."
    "http_connection_manager.v3.HttpConnectionManager\n"
    "          stat_prefix: %s\n"
    "          upgrade_configs: [{upgrade_type: websocket}]\n"
    "          route_config:\n"
    "            virtual_hosts:\n"
    "            - name: all\n"
    "              domains: [\"*\"]\n"
    "              routes:\n"
    "              - match: {path: /version}\n"
    "                direct_response: {status: 200, body: {inline_string: \"v%u\"}}\n"
    "              - match: {prefix: /}\n"
    "                route: {cluster: origin, timeout: 0s}\n"
    "          http_filters:\n"
    "          - name: envoy.filters.http.router\n"
    "            typed_config:\n"
    "              \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router\n";

static const char cluster[] =
    "  - name: %s\n"
    "    connect_timeout: %us\n"
    "    circuit_breakers: {thresholds: [{max_connections: 10000, max_pending_requests: 10000, "
    "max_requests: %u, track_remaining: true}]}\n"
    "    load_assignment:\n"
    "      cluster_name: %s\n"
    "      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, "
    "port_value: %u}}}}]}]\n";

/* Every other version has a listener and a cluster more; `bad` cannot be loaded. */
static void
write_config(unsigned v, bool bad)
{
	struct strb b = {0};

	strb_printf(&b,
	    "admin: {address: {socket_address: {address: 127.0.0.1, port_value: %u}}}\n"
	    "static_resources:\n  listeners:\n",
	    admin_port);
	strb_printf(&b, listener, "main", h1_port, "soak", v);
	if (v % 2)
		strb_printf(&b, listener, "extra", extra_port, "extra", v);
	strb_addz(&b, "  clusters:\n");
	strb_printf(&b, cluster, "origin", 5 + v % 2, BREAKER_REQUESTS, "origin", origin_port);
	if (v % 2)
		strb_printf(&b, cluster, "extra", 5, BREAKER_REQUESTS, "extra", origin_port);
	if (bad)
		strb_printf(
		    &b, cluster, "origin", 5, BREAKER_REQUESTS, "origin", origin_port); /* the same name twice */
	write_file("baton.yaml", "%s", strb_z(&b));
	strb_fini(&b);
}

/* From before the change is asked for, new connections may hear of it; once it is done, they must.
 */
static void
change_config(void)
{
	write_config(++version, false);
	version_most = version;
}

void
baton_change_config(bool plain)
{
	if (plain && version % 2 == 0)
		version++;
	change_config();
}

static void
in_force(void)
{
	version_least = version;
	for (unsigned i = 0; i < 4; i++)
		h1_start(KIND_PROBE);
}

/* ---- who serves */

pid_t
baton_master(void)
{
	char *path = mem_printf("%s/0/pid", runtime_path);
	FILE *f = fopen(path, "re");
	int pid = 0;

	if (f && fscanf(f, "%d", &pid) != 1)
		pid = 0;
	if (f)
		fclose(f);
	mem_free(path);
	return pid;
}

static unsigned
workers(pid_t *pids)
{
	return process_children(master, "baton: worker", pids, WORKERS_MAX);
}

/* `path` is of the binary: ours, or that of the last release. */
static pid_t
spawn(const char *path, const char *concurrency, const char *epoch, const char *const *more)
{
	char *argv[32] = {(char *)path, "-c", config_path, "--runtime-dir", runtime_path,
	    "--concurrency", (char *)concurrency, "--drain-time-s", drain_s, "-l", "info"};
	unsigned n = 11;

	if (epoch) {
		argv[n++] = "--restart-epoch";
		argv[n++] = (char *)epoch;
	}
	while (*more)
		argv[n++] = (char *)*more++;
	return process_start(argv, log_path);
}

static const char *const nothing_more[] = {NULL};

pid_t
baton_spawn(const char *concurrency, const char *epoch)
{
	return spawn(program("baton"), concurrency, epoch, nothing_more);
}

pid_t
baton_spawn_with(const char *concurrency, const char *epoch, const char *const *more)
{
	return spawn(program("baton"), concurrency, epoch, more);
}

bool
baton_wait_master(pid_t pid)
{
	uint64_t until = clock_mono_ns() + READY_NS;
	int status;

	while (baton_master() != pid) {
		loop_turn(5);
		if (process_ended(pid, &status)) {
			fault("a new generation ended, status %x", status);
			return false;
		}
		if (clock_mono_ns() > until) {
			fault("a new generation does not serve");
			kill(pid, SIGKILL);
			return false;
		}
	}
	master = pid;
	return true;
}

bool
baton_lives(pid_t pid)
{
	struct baton_process all[64];
	unsigned n = process_batons(all, 64);

	for (unsigned i = 0; i < n; i++)
		if (all[i].pid == pid)
			return true;
	return false;
}

const char *
baton_log(void)
{
	return log_path;
}

const char *
baton_runtime(void)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/0", runtime_path);
	return path;
}

void
baton_show_log(void)
{
	char *tail[] = {"tail", "-n", "15", log_path, NULL};
	struct strb b = {0};

	process_run(tail, &b);
	fputs(strb_z(&b), stdout);
	strb_fini(&b);
}

static void
start(void)
{
	int status;

	admin_port = free_port();
	extra_port = free_port();
	h1_port = h2_port = free_port();
	log_path = mem_printf("%s/log", run_dir);
	config_path = mem_printf("%s/baton.yaml", run_dir);
	runtime_path = mem_printf("%s/run", run_dir);
	drain_s = mem_printf("%s", getenv("DRAIN_S") ? getenv("DRAIN_S") : "5");
	mkdir(runtime_path, 0700);
	change_config();
	version_least = version;
	master = baton_spawn("2", NULL);
	wait_for_port(h1_port);
	if (process_ended(master, &status)) {
		baton_show_log();
		printf("soak: baton ended at its start\n");
		exit(1);
	}
}

/* ---- actions */

pid_t
baton_ask(const char *word)
{
	char *argv[] = {program("batonctl"), "--runtime-dir", runtime_path, (char *)word, NULL};
	char *log = mem_printf("%s/asked", run_dir);
	pid_t pid = process_start(argv, log);

	mem_free(log);
	return pid;
}

int
baton_ctl(const char *word, struct strb *out)
{
	char *argv[] = {program("batonctl"), "--runtime-dir", runtime_path, (char *)word, NULL};

	return process_run(argv, out);
}

/* Must be done, or refused when the configuration is bad.  True: so it was. */
static bool
command(const char *word, bool bad)
{
	struct strb said = {0};
	int code = baton_ctl(word, &said), want = bad ? 3 : 0;

	if (code == 2)
		fault("batonctl does not know '%s': %s", word, strb_z(&said));
	else if (bad && code != 3)
		fault("batonctl %s with a bad configuration: exit %d instead of 3: %s", word, code,
		    strb_z(&said));
	else if (!bad && code != 0)
		fault("batonctl %s: exit %d: %s", word, code, strb_z(&said));
	strb_fini(&said);
	return code == want;
}

static void
refused_command(const char *word)
{
	pid_t before = baton_master();

	write_config(version, true);
	if (command(word, true))
		refused++;
	write_config(version, false);
	if (baton_master() != before)
		fault("batonctl %s was refused, but another master serves", word);
}

/* As users of Envoy do: another number of workers, the epoch found by itself. */
static bool
restart_by_hand(unsigned n, const char *path)
{
	char *count = mem_printf("%u", 1 + n / 6 % 3);
	pid_t pid = spawn(path, count, "auto", nothing_more);

	mem_free(count);
	return baton_wait_master(pid);
}

/* Every tenth generation is the last release's, and the next one ours again. */
static const char *
last_release(void)
{
	static char path[256];
	const char *last = getenv("LAST");

	if (last == NULL || *last == '\0')
		return NULL;
	snprintf(path, sizeof(path), "%s/baton", last);
	return path;
}

static void
restart(unsigned n)
{
	pid_t before = baton_master();
	bool done;

	if (n % 5 == 4) {
		refused_command("hot-restart");
		return;
	}
	if (last_release() && n % 10 == 6) {
		done = restart_by_hand(n, last_release());
	} else if ((n % 3 == 2 && n % 2) || (last_release() && n % 10 == 7)) {
		done = restart_by_hand(n, program("baton"));
	} else {
		if (n % 3 == 2)
			change_config();
		done = command("hot-restart", false);
	}
	if (!done)
		return;
	master = baton_master();
	if (master == before)
		fault("after a restart the same master serves");
	in_force();
}

static void
reload(unsigned n)
{
	pid_t before = baton_master();

	if (n % 5 == 4) {
		refused_command("reload");
		return;
	}
	change_config();
	if (!command("reload", false))
		return;
	if (baton_master() != before)
		fault("after a reload another master serves");
	in_force();
}

static bool
all_are_back(pid_t killed, unsigned count)
{
	pid_t pids[WORKERS_MAX];
	unsigned n = workers(pids);

	for (unsigned i = 0; i < n; i++)
		if (pids[i] == killed)
			return false;
	return n == count;
}

void
baton_kill_worker(void)
{
	uint64_t until = clock_mono_ns() + READY_NS;
	pid_t pids[WORKERS_MAX], pid;
	uint64_t stopped_at;
	unsigned n;

	master = baton_master();
	n = workers(pids);
	if (n == 0) {
		fault("there is no worker to kill");
		return;
	}
	pid = pids[between(0, n - 1)];
	stopped_at = clock_mono_ns();
	kill(pid, SIGSTOP); /* it accepts no more, so what it holds can be told */
	process_doom_clients(pid);
	kill(pid, SIGKILL);
	if (clock_mono_ns() - stopped_at > loop_away_ns)
		loop_away_ns = clock_mono_ns() - stopped_at;
	while (!all_are_back(pid, n)) {
		loop_turn(10);
		if (clock_mono_ns() > until) {
			fault("a killed worker has no successor");
			return;
		}
	}
}

/* ---- numbers */

int64_t
baton_stat(const char *name)
{
	char *argv[] = {program("batonstat"), "-1", "-r", runtime_path, "-f", (char *)name, NULL};
	struct strb b = {0};
	int64_t value = -1;
	int code = process_run(argv, &b);
	const char *colon = code == 0 ? strrchr(strb_z(&b), ':') : NULL;

	if (colon)
		value = atoll(colon + 1);
	else
		printf("batonstat: exit %d, %s\n", code, strb_z(&b));
	strb_fini(&b);
	return value;
}

unsigned
baton_records(const char *kind)
{
	char *argv[] = {program("batonstat"), "-F", "-r", runtime_path, NULL};
	char *column = mem_printf("  %s  ", kind);
	struct strb b = {0};
	unsigned n = 0;

	process_run(argv, &b);
	for (const char *at = strb_z(&b); (at = strstr(at, column)) != NULL; at++)
		n++;
	strb_fini(&b);
	mem_free(column);
	return n;
}

static void
check_log(void)
{
	static const char *const bad[] = {
	    "AddressSanitizer", "LeakSanitizer", "runtime error:", "assertion failed",
	    "killed by signal 4", "killed by signal 6", "killed by signal 7", "killed by signal 8",
	    "killed by signal 11"};
	char line[2048];
	FILE *f = fopen(log_path, "re");

	while (f && fgets(line, sizeof(line), f))
		for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
			if (strstr(line, bad[i]))
				fault("baton says: %s", line);
	if (f)
		fclose(f);
}

void
baton_stop_checks(unsigned kills)
{
	int64_t crashes = baton_stat("baton.worker_crashes"),
		hung = baton_stat("baton.worker_hung");

	if (points.done == 0 && crashes != (int64_t)kills)
		fault("%lld workers died, %u were killed", (long long)crashes, kills);
	if (points.done == 0 && hung > 0)
		fault("%lld processes hung", (long long)hung);
}

static void
stop(void)
{
	uint64_t until = clock_mono_ns() + READY_NS;

	command("stop", false);
	while (process_memory(0).masters && clock_mono_ns() < until)
		loop_turn(20);
	if (process_memory(0).masters)
		fault("there are generations left after the end");
	check_log();
	if (faults)
		baton_show_log();
}

const struct subject subject_baton = {
    .name = "baton",
    .start = start,
    .restart = restart,
    .reload = reload,
    .stop = stop,
};
