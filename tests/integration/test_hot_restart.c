/*
 * From one generation to the next: nobody who speaks to the proxy notices, whatever goes wrong on
 * the way.  Clients here never retry: one answer that does not come is one failure.
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "lib/base/mem.h"
#include "lib/ipc/frame.h"
#include "lib/ipc/handover.h"
#include "tests/harness/configs.h"
#include "tests/harness/generations.h"

#define CLIENTS 4

/* ---- generations */

static void
serve_with(struct scene *sc, const char *yaml, const char *workers, const char *levels)
{
	scene_init(sc);
	scene_origin(sc, "one");
	sc->extra[0] = "--concurrency";
	sc->extra[1] = workers;
	sc->extra[2] = "--component-log-level";
	sc->extra[3] = levels;
	scene_proxy(sc, yaml);
}

static void
serve(struct scene *sc, const char *yaml, const char *workers)
{
	serve_with(sc, yaml, workers, "master:info");
}

/* Starts another baton over the scene's directory; epoch: NULL when it is told of none. */
static pid_t
start_beside(struct scene *sc, const char *workers, const char *epoch, const char *levels)
{
	char *config = mem_printf("%s/baton.yaml", sc->dir), *admin = mem_printf("%s/admin", sc->dir);
	pid_t pid = fork();

	if (pid == 0) {
		int fd = open(sc->log, O_WRONLY | O_APPEND);

		dup2(fd, 1);
		dup2(fd, 2);
		execl(scene_program("baton"), "baton", "-c", config, "--runtime-dir", sc->dir,
		    "--admin-address-path", admin, "--concurrency", workers, "--component-log-level",
		    levels, epoch ? "--restart-epoch" : NULL, epoch, NULL);
		_exit(127);
	}
	mem_free(config);
	mem_free(admin);
	return pid;
}

/* The same, and waits until it serves: it is the scene's proxy then. */
static void
start_over(struct scene *sc, const char *workers, const char *epoch)
{
	pid_t before = generation_serving(sc), pid = start_beside(sc, workers, epoch, "master:info");

	WAIT_FOR(generation_serving(sc) != before);
	assert_int_equal(generation_serving(sc), pid);
	sc->proxy = pid;
}

/* ---- clients that never retry */

struct tally {
	int stop;
	uint64_t answered[CLIENTS], failed[CLIENTS];
};

static bool
one_request(int fd, bool *keep)
{
	struct reply r;
	bool ok;

	client_send(fd, "GET /?size=300 HTTP/1.1\r\nHost: a\r\n\r\n");
	r = client_reply(fd, false);
	ok = r.status == 200 && r.complete && r.body_len == 300;
	*keep = ok && (reply_header(&r, "connection") == NULL);
	reply_free(&r);
	return ok;
}

/* Keep-alive as long as the proxy does not say close; the odd ones pause between requests. */
static void
client_run(struct tally *t, unsigned me, uint16_t port)
{
	int fd = -1;

	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a scene that fails does not stop us */
	while (!__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE)) {
		bool keep = false;

		if (fd < 0)
			fd = client_connect(port);
		if (fd >= 0 && one_request(fd, &keep))
			t->answered[me]++;
		else
			t->failed[me]++;
		if (!keep && fd >= 0) {
			close(fd);
			fd = -1;
		}
		if (me % 2)
			scene_pause();
	}
	_exit(0);
}

static struct tally *
start_clients(struct scene *sc, pid_t pids[CLIENTS])
{
	struct tally *t =
	    mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(t != MAP_FAILED);
	for (unsigned i = 0; i < CLIENTS; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0)
			client_run(t, i, sc->port);
	}
	return t;
}

/* Gives the number of answers; a failure of any client fails the scene. */
static uint64_t
stop_clients(struct tally *t, const pid_t pids[CLIENTS])
{
	uint64_t answered = 0, failed = 0;

	__atomic_store_n(&t->stop, 1, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < CLIENTS; i++) {
		waitpid(pids[i], NULL, 0);
		answered += t->answered[i];
		failed += t->failed[i];
	}
	munmap(t, sizeof(*t));
	assert_int_equal(failed, 0);
	return answered;
}

static bool
has_answered(const struct tally *t, uint64_t each)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		if (__atomic_load_n(&t->answered[i], __ATOMIC_RELAXED) < each)
			return false;
	return true;
}

/* ---- scenes */

static void
five_restarts_under_load_fail_nothing_and_lose_no_number(void **state)
{
	struct scene sc;
	pid_t pids[CLIENTS];
	struct tally *t;
	uint64_t answered;

	serve(&sc, CONF_SIMPLE, "2");
	t = start_clients(&sc, pids);
	for (uint64_t i = 1; i <= 5; i++) {
		assert_int_equal(generation_restart(&sc), 0);
		WAIT_FOR(has_answered(t, 20 * i));
	}
	answered = stop_clients(t, pids);
	assert_stat(&sc, "http.ingress.downstream_rq_total", (int64_t)answered);
	assert_stat(&sc, "http.ingress.downstream_rq_2xx", (int64_t)answered);
	assert_stat(&sc, "baton.handovers_done", 5);
	assert_stat(&sc, "server.hot_restart_epoch", 5);
	assert_stat(&sc, "server.hot_restart_generation", 6);
	scene_fini(&sc);
}

static void
a_signal_restarts_as_batonctl_does(void **state)
{
	struct scene sc;
	pid_t first;

	serve(&sc, CONF_SIMPLE, "1");
	first = sc.proxy;
	kill(first, SIGUSR2);
	WAIT_FOR(generation_serving(&sc) != first);
	sc.proxy = generation_serving(&sc);
	scene_wait_stat(&sc, "server.hot_restart_epoch", 1);
	assert_int_equal(scene_status(&sc, "/"), 200);
	WAIT_FOR(generation_is_gone(first)); /* it held nothing */
	scene_wait_stat(&sc, "baton.generations", 1);
	assert_stat(&sc, "http.ingress.downstream_rq_total", 1);
	scene_fini(&sc);
}

static void
a_download_outlasts_the_restart(void **state)
{
	struct scene sc;
	struct reply r;
	pid_t first;
	int fd;

	serve(&sc, CONF_SIMPLE, "1");
	first = sc.proxy;
	fd = client_connect(sc.port);
	client_send(fd, "GET /?size=2000000&delay_ms=300 HTTP/1.1\r\nHost: a\r\n\r\n");
	scene_wait_stat(&sc, "cluster.api.upstream_rq_active", 1);
	assert_int_equal(generation_restart(&sc), 0);
	assert_int_equal(generation_restart(&sc), 0);
	r = client_reply(fd, false);
	assert_int_equal(r.status, 200);
	assert_int_equal(r.body_len, 2000000);
	assert_true(r.complete);
	reply_free(&r);
	close(fd);
	WAIT_FOR(generation_is_gone(first));
	scene_fini(&sc);
}

static void
a_refused_restart_changes_nothing(void **state)
{
	struct scene sc;
	pid_t pids[CLIENTS], first;
	struct tally *t;
	char *out;

	serve(&sc, CONF_SIMPLE, "2");
	first = sc.proxy;
	t = start_clients(&sc, pids);
	scene_write_config(&sc, "static_resources:\n  listenrs: []\n");
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "hot-restart", NULL), 3);
	assert_non_null(strstr(out, "listenrs"));
	mem_free(out);
	assert_int_equal(generation_serving(&sc), first);
	WAIT_FOR(has_answered(t, 50));
	assert_stat(&sc, "baton.handovers_refused", 1);
	assert_stat(&sc, "server.hot_restart_epoch", 0);
	/* And the next one, in order again, is not refused. */
	scene_write_config(&sc, CONF_SIMPLE);
	assert_int_equal(generation_restart(&sc), 0);
	WAIT_FOR(has_answered(t, 100));
	stop_clients(t, pids);
	scene_fini(&sc);
}

/* It fails before it has asked for anything: the asker hears of it nevertheless. */
static void
what_a_new_generation_lacks_is_told_to_who_asked(void **state)
{
	struct scene sc;
	char *dir, *path, *out;

	scene_init(&sc);
	scene_origin(&sc, "one");
	dir = mem_printf("%s/ids", sc.dir);
	path = mem_printf("%s/base", dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	sc.extra[0] = "--base-id-path";
	sc.extra[1] = path;
	scene_proxy(&sc, CONF_SIMPLE);
	assert_int_equal(unlink(path) | rmdir(dir), 0);
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "hot-restart", NULL), 3);
	assert_non_null(strstr(out, "/ids/base: No such file or directory"));
	mem_free(out);
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(generation_restart(&sc), 0);
	assert_int_equal(scene_status(&sc, "/"), 200);
	mem_free(path);
	mem_free(dir);
	scene_fini(&sc);
}

static void
more_and_fewer_workers_and_other_listeners(void **state)
{
	struct scene sc;
	char *out, *config;
	pid_t pids[CLIENTS];
	struct tally *t;

	serve(&sc, CONF_SIMPLE, "1");
	config = mem_printf("%s/baton.yaml", sc.dir);
	t = start_clients(&sc, pids);
	for (int i = 0; i < 2; i++) {
		start_over(&sc, i ? "1" : "3", i ? "auto" : "1");
		scene_wait_stat(&sc, "server.concurrency", i ? 1 : 3);
		for (int k = 0; k < 30; k++)
			assert_int_equal(scene_status(&sc, "/"), 200);
	}
	assert_stat(&sc, "server.hot_restart_epoch", 2);
	stop_clients(t, pids);
	/* An epoch that is not the next, and nothing to take over from. */
	assert_int_equal(scene_run(&sc, &out, "-c", config, "--restart-epoch", "1", NULL), 1);
	assert_non_null(strstr(out, "serves already"));
	mem_free(out);
	assert_int_equal(
	    scene_run(&sc, &out, "-c", config, "--restart-epoch", "1", "--base-id", "7", NULL), 1);
	assert_non_null(strstr(out, "no baton to take over"));
	mem_free(out);
	mem_free(config);
	scene_fini(&sc);
}

static void
the_old_one_accepts_again_when_the_new_one_dies(void **state)
{
	struct scene sc;
	struct reply r;
	pid_t first, workers[2], admin;
	int fd;
	char *out;

	serve(&sc, CONF_SIMPLE, "1");
	first = sc.proxy;
	fd = client_connect(sc.port);
	client_send(fd, "GET /?delay_ms=3000 HTTP/1.1\r\nHost: a\r\n\r\n"); /* keeps the old one */
	scene_wait_stat(&sc, "cluster.api.upstream_rq_active", 1);
	assert_int_equal(generation_restart(&sc), 0);
	workers[0] = scene_child(&sc, "worker 1");
	admin = scene_child(&sc, "admin");
	kill(sc.proxy, SIGKILL);
	kill(admin, SIGKILL);
	kill(workers[0], SIGKILL);
	sc.proxy = first;
	WAIT_FOR(generation_serving(&sc) == first);
	for (int i = 0; i < 20; i++)
		assert_int_equal(scene_status(&sc, "/"), 200);
	WAIT_FOR(scene_admin_status(&sc, "GET", "/ready") == 200);
	assert_stat(&sc, "server.hot_restart_epoch", 0);
	r = client_reply(fd, false);
	assert_int_equal(r.status, 200);
	reply_free(&r);
	close(fd);
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "ps", NULL), 0);
	assert_non_null(strstr(out, "epoch 0, base id 0: serving"));
	mem_free(out);
	assert_int_equal(generation_restart(&sc), 0);
	assert_int_equal(scene_status(&sc, "/"), 200);
	assert_stat(&sc, "http.ingress.downstream_rq_total", 22);
	scene_fini(&sc);
}

static void
rollback_lets_the_previous_one_serve(void **state)
{
	struct scene sc;
	struct reply r;
	pid_t first, second;
	int fd;
	char *out;

	serve(&sc, CONF_SIMPLE, "1");
	first = sc.proxy;
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "rollback", NULL), 3);
	mem_free(out);
	fd = client_connect(sc.port);
	client_send(fd, "GET /?delay_ms=1500 HTTP/1.1\r\nHost: a\r\n\r\n");
	scene_wait_stat(&sc, "cluster.api.upstream_rq_active", 1);
	assert_int_equal(generation_restart(&sc), 0);
	second = sc.proxy;
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "ps", NULL), 0);
	mem_free(out);
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "rollback", NULL), 0);
	mem_free(out);
	assert_int_equal(generation_serving(&sc), first);
	sc.proxy = first;
	WAIT_FOR(generation_is_gone(second));
	assert_int_equal(scene_status(&sc, "/"), 200);
	WAIT_FOR(scene_admin_status(&sc, "GET", "/ready") == 200);
	assert_stat(&sc, "server.hot_restart_epoch", 0);
	r = client_reply(fd, false);
	assert_int_equal(r.status, 200);
	reply_free(&r);
	close(fd);
	scene_fini(&sc);
}

static void
a_silent_old_generation_is_given_up_cleanly(void **state)
{
	struct scene sc;
	char *out, *config;

	serve(&sc, CONF_SIMPLE, "1");
	config = mem_printf("%s/baton.yaml", sc.dir);
	kill(sc.proxy, SIGSTOP);
	assert_int_equal(scene_run(&sc, &out, "-c", config, "--restart-epoch", "1", NULL), 1);
	assert_non_null(strstr(out, "does not answer"));
	mem_free(out);
	kill(sc.proxy, SIGCONT);
	assert_int_equal(scene_status(&sc, "/"), 200);
	assert_int_equal(generation_restart(&sc), 0);
	assert_int_equal(scene_status(&sc, "/"), 200);
	mem_free(config);
	scene_fini(&sc);
}

/* Says hello as version 9.9 would, hears all, and goes away. */
static unsigned
hear_everything(struct scene *sc)
{
	static char room[HANDOVER_PACKET];
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct handover_packet p = {.fd = -1};
	struct strb b = {0};
	unsigned sockets = 0;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s/0/control.sock", sc->dir);
	assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	handover_begin(&b, HANDOVER_HELLO);
	handover_put_s(&b, FIELD_VERSION, STR("9.9"));
	frame_put(&b, 93, STR("a field nobody knows yet"));
	assert_int_equal(handover_send(fd, &b, -1), 1);
	strb_reset(&b);
	frame_put(&b, 61, STR("a word nobody knows yet"));
	assert_int_equal(handover_send(fd, &b, -1), 1);
	while (p.word != HANDOVER_STATE_END && handover_receive(fd, room, sizeof(room), &p) > 0) {
		sockets += p.word == HANDOVER_SOCKET && p.fd >= 0;
		if (p.word == HANDOVER_HELLO)
			assert_true(str_eqz(handover_s(&p, FIELD_VERSION), "1.0"));
		if (p.fd >= 0)
			close(p.fd);
	}
	close(fd);
	strb_fini(&b);
	return sockets;
}

static void
a_partner_of_a_made_up_version_is_understood(void **state)
{
	struct scene sc;

	serve(&sc, CONF_SIMPLE, "2");
	assert_int_equal(hear_everything(&sc), 3); /* two workers' and the admin port's */
	scene_wait_stat(&sc, "baton.handovers_refused", 1);
	assert_int_equal(scene_status(&sc, "/"), 200);
	assert_int_equal(generation_restart(&sc), 0);
	assert_int_equal(scene_status(&sc, "/"), 200);
	scene_fini(&sc);
}

/* What the two of them log on the way, in this order; NULL: nothing yet. */
static const char *const restart_steps[] = {NULL, "taking over from pid",
    "gets copies of everything", "we are starting -> ready", "the successor is starting ->",
    "-> the other drains", "the successor takes over ->", "hot restart: serving, pid"};

/* Kills a successor while it is starting, after each of the steps. */
static void
a_successor_killed_at_any_moment_harms_nobody(void **state)
{
	const unsigned steps = sizeof(restart_steps) / sizeof(restart_steps[0]);
	struct scene sc;
	pid_t pids[CLIENTS], old;
	struct tally *t;
	uint64_t answered;

	serve_with(&sc, CONF_SIMPLE, "2", "master:debug");
	t = start_clients(&sc, pids);
	for (unsigned i = 0; i < steps; i++) {
		unsigned before = restart_steps[i] ? log_count(&sc, restart_steps[i]) : 0;
		pid_t pid;
		int status;

		old = sc.proxy;
		pid = start_beside(&sc, "2", "auto", "master:debug");
		WAIT_FOR(!restart_steps[i] || log_count(&sc, restart_steps[i]) > before);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		WAIT_FOR(generation_serving(&sc) != pid || generation_is_gone(old));
		if (generation_is_gone(old)) /* it had nothing left to hold: what it left behind serves */
			break;
		WAIT_FOR(has_answered(t, 10 * (i + 1)));
	}
	if (!generation_is_gone(old))
		scene_wait_stat(&sc, "baton.generations", 1);
	answered = stop_clients(t, pids);
	assert_true(answered > 0);
	if (!generation_is_gone(old))
		assert_stat(&sc, "http.ingress.downstream_rq_total", (int64_t)answered);
	else
		start_over(&sc, "2", NULL);
	scene_fini(&sc);
}

static void
no_descriptor_leaks_from_restart_to_restart(void **state)
{
	struct scene sc;
	unsigned before = 0;

	serve(&sc, CONF_SIMPLE, "2");
	for (int i = 0; i < 4; i++) {
		pid_t old = sc.proxy;

		assert_int_equal(generation_restart(&sc), 0);
		WAIT_FOR(generation_is_gone(old));
		scene_wait_stat(&sc, "server.hot_restart_epoch", i + 1);
		if (i == 0)
			before = scene_descriptors(sc.proxy);
	}
	WAIT_FOR(scene_descriptors(sc.proxy) <= before);
	scene_fini(&sc);
}

static void
what_the_operator_said_goes_to_the_next_one(void **state)
{
	struct scene sc;
	struct reply r;
	char *out, *host;

	serve(&sc, CONF_SIMPLE, "1");
	host = mem_printf("127.0.0.1:%u", sc.host_port[0]);
	assert_int_equal(
	    scene_run_tool(&sc, &out, "batonctl", "host", "api", host, "fail", NULL), 0);
	mem_free(out);
	assert_int_equal(scene_run_tool(&sc, &out, "batonctl", "healthcheck", "fail", NULL), 0);
	mem_free(out);
	assert_int_equal(generation_restart(&sc), 0);
	WAIT_FOR(scene_stat(&sc, "server.hot_restart_epoch") == 1);
	r = scene_admin(&sc, "GET", "/clusters");
	assert_non_null(strstr(r.body, "/operator_fail"));
	reply_free(&r);
	r = scene_admin(&sc, "GET", "/ready");
	assert_int_equal(r.status, 503);
	reply_free(&r);
	mem_free(host);
	scene_fini(&sc);
}

static void
assert_answer(int fd, const char *connection)
{
	struct reply r;

	client_get(fd, "/");
	r = client_reply(fd, false);
	assert_int_equal(r.status, 200);
	if (connection)
		assert_string_equal(reply_header(&r, "connection"), connection);
	else
		assert_null(reply_header(&r, "connection"));
	reply_free(&r);
}

#define IDLE 100

static void
idle_connections_go_to_the_next_one(void **state)
{
	struct scene sc;
	pid_t first;
	int fd[IDLE];

	serve(&sc, CONF_SIMPLE, "2");
	first = sc.proxy;
	/* Most have carried a request, the last ten nothing yet. */
	for (int i = 0; i < IDLE; i++) {
		fd[i] = client_connect(sc.port);
		if (i < IDLE - 10)
			assert_answer(fd[i], NULL);
	}
	scene_wait_stat(&sc, "http.ingress.downstream_cx_total", IDLE);
	assert_int_equal(generation_restart(&sc), 0);
	WAIT_FOR(generation_is_gone(first)); /* it holds nothing more */
	scene_wait_stat(&sc, "baton.cx_handed_over", IDLE);
	assert_stat(&sc, "http.ingress.downstream_cx_active", IDLE);
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < IDLE; i++)
			assert_answer(fd[i], NULL);
	assert_stat(&sc, "http.ingress.downstream_cx_total", IDLE);
	assert_stat(&sc, "http.ingress.downstream_cx_destroy", 0);
	assert_stat(&sc, "http.ingress.downstream_rq_total", 3 * IDLE - 10);
	assert_int_equal(generation_restart(&sc), 0);
	for (int i = 0; i < IDLE; i++) {
		assert_answer(fd[i], NULL);
		close(fd[i]);
	}
	scene_wait_stat(&sc, "http.ingress.downstream_cx_destroy", IDLE);
	assert_stat(&sc, "http.ingress.downstream_cx_active", 0);
	scene_fini(&sc);
}

static void
a_busy_connection_follows_when_it_is_answered(void **state)
{
	struct scene sc;
	struct reply r;
	pid_t first;
	int fd;

	serve(&sc, CONF_SIMPLE, "1");
	first = sc.proxy;
	fd = client_connect(sc.port);
	client_send(fd, "GET /?delay_ms=500 HTTP/1.1\r\nHost: a\r\n\r\n");
	scene_wait_stat(&sc, "cluster.api.upstream_rq_active", 1);
	assert_int_equal(generation_restart(&sc), 0);
	r = client_reply(fd, false);
	assert_int_equal(r.status, 200);
	assert_null(reply_header(&r, "connection"));
	reply_free(&r);
	assert_answer(fd, NULL);
	scene_wait_stat(&sc, "baton.cx_handed_over", 1);
	WAIT_FOR(generation_is_gone(first));
	assert_answer(fd, NULL);
	close(fd);
	scene_fini(&sc);
}

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
	    cmocka_unit_test(five_restarts_under_load_fail_nothing_and_lose_no_number),
	    cmocka_unit_test(a_signal_restarts_as_batonctl_does),
	    cmocka_unit_test(a_download_outlasts_the_restart),
	    cmocka_unit_test(a_refused_restart_changes_nothing),
	    cmocka_unit_test(what_a_new_generation_lacks_is_told_to_who_asked),
	    cmocka_unit_test(more_and_fewer_workers_and_other_listeners),
	    cmocka_unit_test(the_old_one_accepts_again_when_the_new_one_dies),
	    cmocka_unit_test(rollback_lets_the_previous_one_serve),
	    cmocka_unit_test(a_silent_old_generation_is_given_up_cleanly),
	    cmocka_unit_test(a_partner_of_a_made_up_version_is_understood),
	    cmocka_unit_test(a_successor_killed_at_any_moment_harms_nobody),
	    cmocka_unit_test(no_descriptor_leaks_from_restart_to_restart),
	    cmocka_unit_test(what_the_operator_said_goes_to_the_next_one),
	    cmocka_unit_test(idle_connections_go_to_the_next_one),
	    cmocka_unit_test(a_busy_connection_follows_when_it_is_answered),
	    cmocka_unit_test(a_plain_start_adopts_orphans),
	    cmocka_unit_test(an_automatic_epoch_goes_on_from_orphans),
	    cmocka_unit_test(orphans_of_a_dead_successor_are_drained_by_the_old_one),
	};

	generations_adopt();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
