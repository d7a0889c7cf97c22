/*
 * Master with fake children: life and death of processes, seen from
 * outside by signals, connections, the control socket and the log.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "lib/base/rand.h"
#include "lib/ipc/control.h"
#include "lib/net/address.h"
#include "master/master.h"
#include "tests/unit/master/fakes.h"

#define PATIENCE_S 20

struct scene {
	char dir[32], run[40], log[40];
	unsigned descriptors; /* hard limit of open files, 0: as it is */
	struct options o;
	pid_t master;
};

/* ---- the scene */

static int
setup(void **state)
{
	struct scene *s = mem_new(struct scene);

	memset(&fake, 0, sizeof(fake));
	snprintf(s->dir, sizeof(s->dir), "/tmp/baton-test-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->run, sizeof(s->run), "%s/run", s->dir);
	snprintf(s->log, sizeof(s->log), "%s/log", s->dir);
	snprintf(fake.key, sizeof(fake.key), "127.0.0.1:0#t");
	snprintf(fake.bound_path, sizeof(fake.bound_path), "%s/bound", s->dir);
	s->o = (struct options){.settings = {.concurrency = 2,
				    .runtime_dir = s->run,
				    .watchdog_s = 30,
				    .drain_time_s = 600,
				    .shutdown_deadline_s = 25,
				    .max_draining = 9,
				    .hot_restart_version = "disabled"}};
	*state = s;
	return 0;
}

static pid_t
start_master(struct scene *s)
{
	pid_t pid = fork();

	if (pid == 0) {
		int fd = open(s->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
		struct rlimit l = {s->descriptors, s->descriptors};

		dup2(fd, 2);
		if (s->descriptors)
			setrlimit(RLIMIT_NOFILE, &l);
		rand_init();
		_exit(master_run(&s->o, &fake_admin, &fake_worker));
	}
	return pid;
}

static int
ended_with(pid_t pid)
{
	int status;

	for (int i = 0; i < PATIENCE_S * 200; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
		usleep(5000);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return -1000;
}

static char *
read_log(struct scene *s)
{
	static char text[65536];
	int fd = open(s->log, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	close(fd);
	return text;
}

static void
await_log(struct scene *s, const char *words)
{
	for (int i = 0; i < PATIENCE_S * 200; i++) {
		if (strstr(read_log(s), words))
			return;
		usleep(5000);
	}
	fail_msg("not in the log: %s\n%s", words, read_log(s));
}

static int
teardown(void **state)
{
	struct scene *s = *state;
	char cmd[128];

	if (s->master > 0) {
		kill(s->master, SIGINT);
		ended_with(s->master);
	}
	snprintf(cmd, sizeof(cmd), "rm -rf %s", s->dir);
	assert_int_equal(system(cmd), 0);
	mem_free(s);
	return 0;
}

/* ---- the control socket */

static int
dial(const char *run)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s/0/control.sock", run);
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Gives the status, 99 when nobody answers; text is static. */
static unsigned
ask(struct scene *s, const char *line, const char **text)
{
	static struct strb got;
	struct str rest = str_of(line), word;
	struct control_request r = {0};
	struct strb b = {0};
	char packet[CONTROL_PACKET];
	unsigned status = 99;
	ssize_t n;
	int fd = dial(s->run);

	strb_fini(&got);
	if (fd < 0)
		return 99;
	while (str_cut(&rest, ' ', &word))
		r.words[r.n++] = word;
	control_request_write(&b, &r);
	if (send(fd, b.p, b.n, MSG_NOSIGNAL) == (ssize_t)b.n) {
		while ((n = recv(fd, packet, sizeof(packet), 0)) > 0)
			control_answer_read(str_make(packet, (size_t)n), &status, &got);
	}
	close(fd);
	strb_fini(&b);
	*text = strb_z(&got);
	return status;
}

static void
await_ps(struct scene *s, const char *words)
{
	const char *text = "";

	for (int i = 0; i < PATIENCE_S * 200; i++) {
		if (ask(s, "ps", &text) == 0 && strstr(text, words))
			return;
		usleep(5000);
	}
	fail_msg("ps never said '%s' but\n%s\n%s", words, text, read_log(s));
}

static pid_t
pid_of(struct scene *s, const char *who)
{
	const char *text = "", *at;
	int pid = 0;

	assert_int_equal(ask(s, "ps", &text), 0);
	at = strstr(text, who);
	assert_non_null(at);
	at = strstr(at, " pid ");
	assert_non_null(at);
	assert_int_equal(sscanf(at, " pid %d", &pid), 1);
	return pid;
}

static void
serve(struct scene *s)
{
	s->master = start_master(s);
	await_ps(s, ": serving");
	for (unsigned i = 1; i <= s->o.settings.concurrency; i++) {
		const char *text = "", *at = NULL;
		char who[24];

		snprintf(who, sizeof(who), "worker %u ", i);
		for (int k = 0; k < PATIENCE_S * 200 && (at == NULL || !strstr(at, "ready")); k++) {
			usleep(5000);
			ask(s, "ps", &text);
			at = strstr(text, who);
		}
		assert_non_null(at);
	}
}

/* ---- traffic */

static struct address
bound(struct scene *s)
{
	struct address a;
	char text[64] = "";
	FILE *f = fopen(fake.bound_path, "r");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%63s", text), 1);
	fclose(f);
	assert_int_equal(address_parse(&a, str_of(text), NULL), 0);
	return a;
}

static int
client(struct scene *s)
{
	struct address a = bound(s);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, &a.sa, a.len), 0);
	return fd;
}

/* Reads "<index> <pid> <descriptors>"; false when the connection was cut. */
static bool
answered(int fd, unsigned *index, int *pid, unsigned *descriptors)
{
	char text[64] = "";
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	return n > 0 && sscanf(text, "%u %d %u", index, pid, descriptors) == 3;
}

/* ---- tests */

static void
start_and_end_leave_nothing_behind(void **state)
{
	struct scene *s = *state;
	unsigned index, descriptors;
	int pid;

	serve(s);
	assert_true(answered(client(s), &index, &pid, &descriptors));
	kill(s->master, SIGTERM);
	assert_int_equal(ended_with(s->master), 0);
	s->master = 0;
	assert_int_equal(rmdir(s->run), 0); /* it is empty */
}

static void
a_killed_worker_is_replaced_and_queued_connections_are_answered(void **state)
{
	struct scene *s = *state;
	unsigned index, descriptors;
	int fds[40], pid;
	pid_t victim;

	serve(s);
	victim = pid_of(s, "worker 1");
	kill(victim, SIGSTOP); /* so that its queue fills */
	for (size_t i = 0; i < 40; i++)
		fds[i] = client(s);
	kill(victim, SIGKILL);
	for (size_t i = 0; i < 40; i++)
		assert_true(answered(fds[i], &index, &pid, &descriptors));
	await_log(s, "worker 1: ended unasked");
	for (int i = 0; i < PATIENCE_S * 200 && pid_of(s, "worker 1") == victim; i++)
		usleep(5000);
	assert_int_not_equal(pid_of(s, "worker 1"), victim);
}

static void
a_silent_workers_queue_is_served_by_its_neighbour_and_it_comes_back(void **state)
{
	struct scene *s = *state;
	unsigned index, descriptors;
	int pid;
	pid_t victim;

	serve(s);
	victim = pid_of(s, "worker 2");
	kill(victim, SIGSTOP);
	for (int i = 0; i < 40; i++) {
		assert_true(answered(client(s), &index, &pid, &descriptors));
		assert_int_equal(index, 1);
	}
	await_ps(s, "silent");
	kill(victim, SIGCONT);
	for (index = 1; index == 1;)
		assert_true(answered(client(s), &index, &pid, &descriptors));
	assert_int_equal(pid, victim);
}

static void
a_hung_worker_is_ended_and_replaced(void **state)
{
	struct scene *s = *state;
	pid_t victim;

	s->o.settings.watchdog_s = 1;
	serve(s);
	victim = pid_of(s, "worker 1");
	kill(victim, SIGSTOP);
	await_log(s, "worker 1: hangs");
	await_log(s, "worker 1: ended unasked");
	await_ps(s, "worker 1   pid");
	assert_int_not_equal(pid_of(s, "worker 1"), victim);
}

static void
a_crash_loop_backs_off_and_says_so(void **state)
{
	struct scene *s = *state;

	fake.worker_crashes = true;
	s->master = start_master(s);
	await_log(s, "starts again in 100 ms");
	await_log(s, "starts again in 800 ms");
	await_ps(s, "waiting for its turn, starts again after");
}

static void
admin_is_replaced_and_traffic_goes_on(void **state)
{
	struct scene *s = *state;
	unsigned index, descriptors;
	const char *text;
	int pid;
	pid_t victim;

	serve(s);
	victim = pid_of(s, "admin");
	kill(victim, SIGKILL);
	assert_true(answered(client(s), &index, &pid, &descriptors));
	for (int i = 0; i < PATIENCE_S * 200; i++) {
		if (ask(s, "logging a b", &text) == 0)
			break;
		usleep(5000);
	}
	assert_string_equal(text, "logging a b");
	assert_int_not_equal(pid_of(s, "admin"), victim);
}

static void
admin_that_cannot_start_ends_all_with_status_1(void **state)
{
	struct scene *s = *state;

	fake.admin_fails = true;
	assert_int_equal(ended_with(start_master(s)), 1);
	fake.admin_fails = false;
	fake.admin_crashes = true;
	assert_int_equal(ended_with(start_master(s)), 1);
	await_log(s, "admin ended before start-up was complete");
}

static void
a_port_in_use_ends_the_start_with_its_reason(void **state)
{
	struct scene *s = *state;
	struct address a;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(address_parse(&a, STR("127.0.0.1:0"), NULL), 0);
	assert_int_equal(bind(fd, &a.sa, a.len), 0);
	assert_int_equal(listen(fd, 1), 0);
	address_local(&a, fd);
	address_format(&a, fake.key);
	assert_int_equal(ended_with(start_master(s)), 1);
	await_log(s, "Address already in use");
	close(fd);
}

static void
modes_that_do_not_serve_pass_on_admins_status(void **state)
{
	struct scene *s = *state;

	s->o.settings.mode = MODE_VALIDATE;
	assert_int_equal(ended_with(start_master(s)), 7);
	assert_int_equal(access(s->run, F_OK), -1); /* no runtime directory was needed */
	s->o.settings.mode = MODE_INIT_ONLY;
	assert_int_equal(ended_with(start_master(s)), 0);
}

static void
children_have_no_descriptor_that_is_not_theirs(void **state)
{
	struct scene *s = *state;
	unsigned index, descriptors;
	int pid;

	s->o.settings.concurrency = 4;
	serve(s);
	for (int i = 0; i < 8; i++) {
		assert_true(answered(client(s), &index, &pid, &descriptors));
		/* 0 1 2, channel, segment, control; its loop's; its sockets and the connection */
		assert_in_range(descriptors, 8, 13);
	}
}

static void
a_second_baton_of_the_same_base_id_is_refused(void **state)
{
	struct scene *s = *state;

	serve(s);
	assert_int_equal(ended_with(start_master(s)), 1);
	await_log(s, "base id 0 is in use by the baton with pid");
	await_log(s, "--base-id");
	s->o.settings.base_id = 1;
	s->o.settings.mode = MODE_INIT_ONLY;
	assert_int_equal(ended_with(start_master(s)), 0);
}

static void
a_dynamic_base_id_is_one_that_is_free(void **state)
{
	struct scene *s = *state;
	char path[128], text[16] = "";
	FILE *f;

	serve(s);
	snprintf(path, sizeof(path), "%s/id", s->dir);
	s->o.dynamic_base_id = true;
	s->o.base_id_path = path;
	s->o.settings.mode = MODE_INIT_ONLY;
	assert_int_equal(ended_with(start_master(s)), 0);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%15s", text), 1);
	fclose(f);
	assert_string_equal(text, "1");
}

static void
note_children(struct scene *s, pid_t pids[3])
{
	pids[0] = pid_of(s, "admin");
	pids[1] = pid_of(s, "worker 1");
	pids[2] = pid_of(s, "worker 2");
}

/* Until it is gone; orphans of `s` are told to stop meanwhile. */
static void
await_end(pid_t pid, struct scene *s)
{
	const char *text;

	for (int i = 0; i < PATIENCE_S * 200 && seat_start_time(pid); i++) {
		if (s)
			ask(s, "stop now", &text);
		usleep(5000);
	}
}

static void
orphans_serve_on_are_named_and_can_be_stopped(void **state)
{
	struct scene *s = *state;
	unsigned index, descriptors;
	const char *text;
	pid_t pids[3];
	int pid;

	serve(s);
	note_children(s, pids);
	kill(s->master, SIGKILL);
	ended_with(s->master);
	s->master = 0;
	assert_true(answered(client(s), &index, &pid, &descriptors));
	assert_int_equal(ask(s, "ps", &text), 0);
	assert_non_null(strstr(text, "orphan"));
	for (int i = 0; i < 3; i++)
		await_end(pids[i], s);
	serve(s); /* nothing is in the way now */
}

static void
after_a_crash_of_all_the_next_start_serves(void **state)
{
	struct scene *s = *state;
	pid_t pids[3];

	serve(s);
	note_children(s, pids);
	kill(s->master, SIGKILL);
	for (int i = 0; i < 3; i++)
		kill(pids[i], SIGKILL);
	ended_with(s->master);
	for (int i = 0; i < 3; i++) /* init reaps them */
		await_end(pids[i], NULL);
	serve(s);
}

static void
signals_of_processes_change_health(void **state)
{
	struct scene *s = *state;

	serve(s);
	kill(s->master, SIGTTOU);
	await_ps(s, "out of rotation");
	kill(s->master, SIGTTIN);
	await_ps(s, ", in rotation");
	kill(s->master, SIGHUP);
	await_log(s, "signal: 1 from");
	kill(s->master, SIGUSR2);
	await_log(s, "hot restart: refused: the path of the binary is not known");
}

/* The terminal driver's are such: sent by the kernel, not by a process. */
static void
health_signals_of_the_kernel_are_ignored(void **state)
{
	struct scene *s = *state;
	const char *text;
	int fds[2];

	serve(s);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(fcntl(fds[0], F_SETOWN, s->master), 0);
	assert_int_equal(fcntl(fds[0], F_SETSIG, SIGTTOU), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_ASYNC), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	kill(s->master, SIGHUP);
	await_log(s, "signal: 1 from"); /* so the other was read too */
	assert_int_equal(ask(s, "ps", &text), 0);
	assert_non_null(strstr(text, ", in rotation"));
	close(fds[0]);
	close(fds[1]);
}

static void
batonctl_changes_health_and_is_told_what_is_wrong(void **state)
{
	struct scene *s = *state;
	const char *text;

	serve(s);
	assert_int_equal(ask(s, "healthcheck fail", &text), 0);
	await_ps(s, "out of rotation");
	assert_int_equal(ask(s, "healthcheck ok", &text), 0);
	await_ps(s, ", in rotation");
	assert_int_equal(ask(s, "healthcheck maybe", &text), CONTROL_USAGE);
	assert_int_equal(ask(s, "frobnicate", &text), CONTROL_USAGE);
	assert_int_equal(ask(s, "host c a drain", &text), 0);
	assert_string_equal(text, "host c a drain"); /* the fake admin says it back */
}

static void
a_graceful_end_waits_for_workers_and_a_second_signal_does_not(void **state)
{
	struct scene *s = *state;

	fake.worker_stays = true;
	serve(s);
	kill(s->master, SIGTERM);
	await_ps(s, ": draining");
	kill(s->master, SIGTERM);
	assert_int_equal(ended_with(s->master), 0);
	s->master = 0;
}

static void
the_deadline_ends_what_does_not_end(void **state)
{
	struct scene *s = *state;

	fake.worker_stays = true;
	s->o.settings.shutdown_deadline_s = 1;
	serve(s);
	kill(s->master, SIGTERM);
	assert_int_equal(ended_with(s->master), 0);
	s->master = 0;
	await_log(s, "-> ending");
}

static void
health_fails_for_a_while_before_the_drain(void **state)
{
	struct scene *s = *state;
	unsigned index, descriptors;
	int pid;

	s->o.settings.shutdown_health_wait_s = 20;
	serve(s);
	kill(s->master, SIGTERM);
	await_ps(s, "leaving rotation, out of rotation");
	assert_true(answered(client(s), &index, &pid, &descriptors));
	kill(s->master, SIGINT);
	assert_int_equal(ended_with(s->master), 0);
	s->master = 0;
}

static void
the_control_socket_is_its_owners_alone(void **state)
{
	struct scene *s = *state;
	struct stat st;
	char path[128];
	int status;

	serve(s);
	snprintf(path, sizeof(path), "%s/0/control.sock", s->run);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(s->run, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	if (geteuid() != 0)
		return;
	/* A process of somebody else that got hold of the path is still refused. */
	chmod(path, 0666);
	snprintf(path, sizeof(path), "%s/0", s->run);
	chmod(path, 0755);
	chmod(s->run, 0755);
	chmod(s->dir, 0755);
	if (fork() == 0) {
		const char *text = "";

		_exit(setuid(60998) == 0 && ask(s, "stop now", &text) == CONTROL_REFUSED ? 0 : 1);
	}
	wait(&status);
	assert_int_equal(status, 0);
}

static void
a_runtime_directory_that_is_not_ours_alone_is_refused(void **state)
{
	struct scene *s = *state;
	char other[96];

	assert_int_equal(mkdir(s->run, 0700), 0);
	chmod(s->run, 0755);
	assert_int_equal(ended_with(start_master(s)), 1);
	await_log(s, "--runtime-dir");
	assert_int_equal(rmdir(s->run), 0);
	snprintf(other, sizeof(other), "%s/other", s->dir);
	assert_int_equal(mkdir(other, 0700), 0);
	assert_int_equal(symlink(other, s->run), 0);
	assert_int_equal(ended_with(start_master(s)), 1);
	await_log(s, "cannot open it");
	unlink(s->run);
	s->o.settings.runtime_dir = "/nowhere/at/all";
	assert_int_equal(ended_with(start_master(s)), 1);
	await_log(s, "/nowhere/at/all: cannot make it");
	if (geteuid() == 0) {
		s->o.settings.runtime_dir = other;
		assert_int_equal(chown(other, 60998, 60998), 0);
		assert_int_equal(ended_with(start_master(s)), 1);
		await_log(s, "belongs to uid 60998");
	}
}

static void
too_few_descriptors_are_named_at_the_start(void **state)
{
	struct scene *s = *state;

	s->descriptors = 20;
	assert_int_equal(ended_with(start_master(s)), 1);
	await_log(s, "the limit of open files is 20");
}

static void
without_hot_restart_nothing_is_written(void **state)
{
	struct scene *s = *state;

	s->o.settings.hot_restart_disabled = true;
	s->o.settings.mode = MODE_INIT_ONLY;
	assert_int_equal(ended_with(start_master(s)), 0);
	assert_int_equal(access(s->run, F_OK), -1);
}

static void
status_line(pid_t pid, const char *name, char *out, size_t n)
{
	char path[64], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "r");
	assert_non_null(f);
	out[0] = '\0';
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, name, strlen(name)) == 0)
			snprintf(out, n, "%s", line + strlen(name) + 1);
	fclose(f);
}

static void
workers_have_no_privileges(void **state)
{
	struct scene *s = *state;
	pid_t worker, admin;
	char line[256];
	unsigned long long caps;

	serve(s);
	worker = pid_of(s, "worker 1");
	admin = pid_of(s, "admin");
	status_line(worker, "NoNewPrivs:", line, sizeof(line));
	assert_int_equal(atoi(line), 1);
	if (geteuid() != 0)
		return;
	status_line(worker, "Uid:", line, sizeof(line));
	assert_int_not_equal(atoi(line), 0);
	status_line(worker, "Groups:", line, sizeof(line));
	assert_null(strpbrk(line, "0123456789"));
	status_line(worker, "CapPrm:", line, sizeof(line));
	assert_int_equal(strtoull(line, NULL, 16), 0);
	status_line(admin, "CapEff:", line, sizeof(line));
	assert_int_equal(strtoull(line, NULL, 16) & ~(1ull << 2), 0); /* DAC_READ_SEARCH at most */
	status_line(s->master, "CapEff:", line, sizeof(line));
	caps = strtoull(line, NULL, 16);
	/* KILL SETGID SETUID NET_BIND_SERVICE NET_ADMIN at most */
	assert_int_equal(caps & ~(1ull << 5 | 1ull << 6 | 1ull << 7 | 1ull << 10 | 1ull << 12), 0);
}

#define SCENE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    SCENE(start_and_end_leave_nothing_behind),
	    SCENE(a_killed_worker_is_replaced_and_queued_connections_are_answered),
	    SCENE(a_silent_workers_queue_is_served_by_its_neighbour_and_it_comes_back),
	    SCENE(a_hung_worker_is_ended_and_replaced),
	    SCENE(a_crash_loop_backs_off_and_says_so),
	    SCENE(admin_is_replaced_and_traffic_goes_on),
	    SCENE(admin_that_cannot_start_ends_all_with_status_1),
	    SCENE(a_port_in_use_ends_the_start_with_its_reason),
	    SCENE(modes_that_do_not_serve_pass_on_admins_status),
	    SCENE(children_have_no_descriptor_that_is_not_theirs),
	    SCENE(a_second_baton_of_the_same_base_id_is_refused),
	    SCENE(a_dynamic_base_id_is_one_that_is_free),
	    SCENE(orphans_serve_on_are_named_and_can_be_stopped),
	    SCENE(after_a_crash_of_all_the_next_start_serves),
	    SCENE(signals_of_processes_change_health),
	    SCENE(health_signals_of_the_kernel_are_ignored),
	    SCENE(batonctl_changes_health_and_is_told_what_is_wrong),
	    SCENE(a_graceful_end_waits_for_workers_and_a_second_signal_does_not),
	    SCENE(the_deadline_ends_what_does_not_end),
	    SCENE(health_fails_for_a_while_before_the_drain),
	    SCENE(the_control_socket_is_its_owners_alone),
	    SCENE(a_runtime_directory_that_is_not_ours_alone_is_refused),
	    SCENE(too_few_descriptors_are_named_at_the_start),
	    SCENE(without_hot_restart_nothing_is_written),
	    SCENE(workers_have_no_privileges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
