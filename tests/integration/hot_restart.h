/*
 * What the scenes of one generation after another share: a proxy, another
 * one started beside it, and clients that never retry: one answer that does
 * not come is one failure.
 */
#ifndef TESTS_HOT_RESTART_H
#define TESTS_HOT_RESTART_H

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "lib/base/mem.h"
#include "tests/harness/configs.h"
#include "tests/harness/generations.h"

#define CLIENTS 4

/* ---- generations */

static inline void
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

static inline void
serve(struct scene *sc, const char *yaml, const char *workers)
{
	serve_with(sc, yaml, workers, "master:info");
}

/* Starts another baton over the scene's directory; epoch: NULL when it is told of none. */
static inline pid_t
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
static inline void
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

static inline bool
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
static inline void
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

static inline struct tally *
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
static inline uint64_t
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

static inline bool
has_answered(const struct tally *t, uint64_t each)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		if (__atomic_load_n(&t->answered[i], __ATOMIC_RELAXED) < each)
			return false;
	return true;
}

#endif
