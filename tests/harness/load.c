#include "tests/harness/load.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "lib/base/mem.h"

static void
one_request(struct load *l, int fd, const char *path)
{
	struct reply r;

	client_get(fd, path);
	r = client_reply(fd, false);
	l->requests++;
	if (r.status != 200 || !r.complete)
		l->failures++;
	if (r.closed || (r.head && reply_header(&r, "connection")))
		l->closes++;
	reply_free(&r);
}

static void
run(struct load *l, uint16_t port, const char *const *paths)
{
	int fds[LOAD_CONNECTIONS];
	unsigned known = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (paths[known])
		known++;
	for (unsigned i = 0; i < LOAD_CONNECTIONS; i++)
		fds[i] = client_connect(port);
	for (unsigned n = 0; !l->stop && !l->failures; n++)
		one_request(l, fds[n % LOAD_CONNECTIONS], paths[n % known]);
	_exit(0);
}

struct load *
load_start(struct scene *sc, const char *const *paths)
{
	struct load *l =
	    mmap(NULL, sizeof(*l), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	assert_ptr_not_equal(l, MAP_FAILED);
	pid = fork();
	if (pid == 0)
		run(l, sc->port, paths);
	l->pid = pid;
	return l;
}

void
load_more(struct load *l, uint64_t requests)
{
	uint64_t until = l->requests + requests;

	WAIT_FOR(l->requests >= until || l->failures);
}

uint64_t
load_end(struct load *l)
{
	uint64_t requests;

	l->stop = 1;
	waitpid(l->pid, NULL, 0);
	requests = l->requests;
	assert_int_equal(l->failures, 0);
	assert_int_equal(l->closes, 0);
	munmap(l, sizeof(*l));
	return requests;
}
