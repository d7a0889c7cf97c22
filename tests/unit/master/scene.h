/*
 * Master with fake children, in a runtime directory of its own: seen from
 * outside, by connections, the control socket and the log.
 */
#ifndef TESTS_MASTER_SCENE_H
#define TESTS_MASTER_SCENE_H

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
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

static inline int
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

static inline pid_t
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

static inline int
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

static inline char *
read_log(struct scene *s)
{
	static char text[65536];
	int fd = open(s->log, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	close(fd);
	return text;
}

static inline void
await_log(struct scene *s, const char *words)
{
	for (int i = 0; i < PATIENCE_S * 200; i++) {
		if (strstr(read_log(s), words))
			return;
		usleep(5000);
	}
	fail_msg("not in the log: %s\n%s", words, read_log(s));
}

static inline int
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

static inline int
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
static inline unsigned
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

static inline void
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

static inline pid_t
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

static inline void
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

static inline struct address
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

static inline int
client(struct scene *s)
{
	struct address a = bound(s);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, &a.sa, a.len), 0);
	return fd;
}

/* Reads "<index> <pid> <descriptors>"; false when the connection was cut. */
static inline bool
answered(int fd, unsigned *index, int *pid, unsigned *descriptors)
{
	char text[64] = "";
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	return n > 0 && sscanf(text, "%u %d %u", index, pid, descriptors) == 3;
}

#define SCENE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

#endif
