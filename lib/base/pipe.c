#include "lib/base/pipe.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/base/mem.h"

#define MOST_PIPES 64 /* 16 MiB of what the system lets a user have */
#define FILES_FOR_ONE 16 /* connections come first: of as many descriptors one pipe is had */

static struct pipe *free_pipes;
static unsigned made, may_make;
static bool knows_limit;

static void
destroy(struct pipe *p)
{
	close(p->rd);
	close(p->wr);
	mem_free(p);
	made--;
}

static void
find_limit(void)
{
	struct rlimit l;

	knows_limit = true;
	may_make = MOST_PIPES;
	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur / FILES_FOR_ONE < MOST_PIPES)
		may_make = (unsigned)(l.rlim_cur / FILES_FOR_ONE);
}

static struct pipe *
make(void)
{
	struct pipe *p;
	int fds[2];

	if (!knows_limit)
		find_limit();
	if (made >= may_make || pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return NULL;
	p = mem_new(struct pipe);
	p->rd = fds[0];
	p->wr = fds[1];
	made++;
	if (fcntl(p->wr, F_SETPIPE_SZ, PIPE_ROOM) < 0) {
		destroy(p);
		may_make = made; /* the user's share is used up: it will be */
		return NULL;
	}
	return p;
}

struct pipe *
pipe_take(void)
{
	struct pipe *p = free_pipes;

	if (p == NULL)
		return make();
	free_pipes = p->next_free;
	return p;
}

static bool
drop(struct pipe *p, size_t left)
{
	static int nowhere = -1;

	if (left && nowhere < 0)
		nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	while (left) {
		ssize_t n = splice(p->rd, NULL, nowhere, NULL, left, SPLICE_F_NONBLOCK);

		if (n <= 0)
			return false;
		left -= (size_t)n;
	}
	return true;
}

void
pipe_give(struct pipe **pp, size_t left)
{
	struct pipe *p = *pp;

	*pp = NULL;
	if (!drop(p, left)) {
		destroy(p);
		return;
	}
	p->next_free = free_pipes;
	free_pipes = p;
}
