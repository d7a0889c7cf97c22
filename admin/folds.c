#include "admin/folds.h"

#include <fcntl.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/vec.h"
#include "lib/event/timer.h"
#include "lib/ipc/process.h"
#include "shm/fold.h"
#include "shm/paths.h"

#define SLICE_NS 2000000ull /* between two turns */

struct folds {
	struct loop *loop;
	const struct settings *settings;
	struct timer slice;
	VEC(uint64_t) wanted; /* the first is being folded */
	struct folding *folding;
	int dirfd;
};

/* This one is done, or cannot be: master asks again while there is a segment. */
static void
next(struct folds *f)
{
	folding_free(&f->folding);
	if (f->dirfd >= 0)
		close(f->dirfd);
	f->dirfd = -1;
	vec_remove(&f->wanted, 0);
	if (f->wanted.len)
		timer_set(f->loop, &f->slice, 0);
}

static int
begin(struct folds *f, struct err *err)
{
	struct strb path = {0};

	path_base(&path, f->settings->runtime_dir, f->settings->base_id);
	f->dirfd = open(strb_z(&path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->dirfd < 0)
		err_sys(err, "folding: cannot open '%s'", strb_z(&path));
	else
		f->folding = folding_new(f->dirfd, f->wanted.at[0], err);
	strb_fini(&path);
	return f->folding ? 1 : -1;
}

static void
on_slice(void *arg)
{
	struct folds *f = arg;
	uint64_t end_ns = clock_mono_ns() + SLICE_NS;
	struct err err = {""};
	int more = 1;

	if (f->folding == NULL)
		more = begin(f, &err);
	while (more > 0 && clock_mono_ns() < end_ns)
		more = folding_step(f->folding, &err);
	if (more < 0)
		log_warning(LOG_STATS, "%s", err.text);
	if (more > 0)
		timer_set(f->loop, &f->slice, 0);
	else
		next(f);
}

void
folds_ask(struct folds *f, uint64_t generation)
{
	for (size_t i = 0; i < f->wanted.len; i++)
		if (f->wanted.at[i] == generation)
			return;
	*vec_push(&f->wanted) = generation;
	if (f->wanted.len == 1)
		timer_set(f->loop, &f->slice, 0);
}

struct folds *
folds_new(struct loop *l, const struct settings *s)
{
	struct folds *f = mem_new(struct folds);

	*f = (struct folds){.loop = l, .settings = s, .dirfd = -1};
	timer_init(&f->slice, on_slice, f);
	return f;
}

void
folds_free(struct folds **fp)
{
	struct folds *f = *fp;

	*fp = NULL;
	if (f == NULL)
		return;
	timer_stop(&f->slice);
	folding_free(&f->folding);
	if (f->dirfd >= 0)
		close(f->dirfd);
	vec_fini(&f->wanted);
	mem_free(f);
}
