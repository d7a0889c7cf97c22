/*
 * What a worker serves: a snapshot of the configuration, built from the
 * journal between two turns, kept until master says USE or FORGET.
 */
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "worker/process_private.h"

#define SLICE_NS 2000000ull /* of building a snapshot between two turns */

static void
answer_prepared(struct worker *w, uint64_t offset, const char *reason)
{
	struct message m;

	message_init(&m, MSG_PREPARED);
	message_u(&m, offset);
	message_u(&m, reason == NULL);
	message_z(&m, reason ? reason : "");
	worker_tell_master(w, &m);
}

static void
use(struct worker *w, struct snapshot *s) /* takes s */
{
	struct snapshot *old = w->snapshot;
	struct message m;

	w->snapshot = s;
	if (s != old)
		listeners_use(&w->listeners, s);
	snapshot_unref(&old);
	if (w->state != WORKER_STARTING)
		return;
	worker_enter(w, WORKER_SERVING);
	message_init(&m, MSG_WORKER_READY);
	worker_tell_master(w, &m);
}

void
worker_forget_build(struct worker *w)
{
	timer_stop(&w->slice);
	snapshot_build_free(&w->build);
	w->prepared = false;
}

static bool
begin_build(struct worker *w, uint64_t offset, struct err *err)
{
	worker_forget_build(w);
	w->build_offset = offset;
	if (w->journal_fd < 0) {
		err_set(err, "there is no journal");
		return false;
	}
	if (w->snapshot)
		w->build = snapshot_build_members(
		    w->journal_fd, w->journal_used, offset, w->snapshot);
	if (w->build == NULL)
		w->build = snapshot_build_start(
		    w->loop, w->start->index - 1, w->journal_fd, offset, w->snapshot, err);
	return w->build != NULL;
}

/* 1: more to do; 0: it is prepared; -1: refused. */
static int
build_until(struct worker *w, uint64_t end_ns, struct err *err)
{
	int more;

	do {
		more = snapshot_build_step(w->build, err);
	} while (more > 0 && (end_ns == 0 || clock_mono_ns() < end_ns));
	w->prepared = more == 0;
	if (more < 0)
		snapshot_build_free(&w->build);
	return more;
}

void
worker_on_slice(void *arg)
{
	struct worker *w = arg;
	struct err err = {""};
	int more = build_until(w, clock_mono_ns() + SLICE_NS, &err);

	if (more > 0)
		timer_set(w->loop, &w->slice, 0);
	else
		answer_prepared(w, w->build_offset, more < 0 ? err.text : NULL);
}

void
worker_on_prepare(struct worker *w, struct message_view *v)
{
	uint64_t offset = message_get_u(v);
	struct err err = {""};

	if (!begin_build(w, offset, &err))
		answer_prepared(w, offset, err.text);
	else
		worker_on_slice(w);
}

/* At once, for a worker that comes while others serve. */
static void
build_now(struct worker *w, uint64_t offset)
{
	struct err err = {""};

	if (begin_build(w, offset, &err) && build_until(w, 0, &err) == 0)
		return;
	log_error(LOG_WORKER, "worker %u: the configuration in force cannot be built: %s",
	    w->start->index, err.text);
}

void
worker_use_offset(struct worker *w, uint64_t offset)
{
	struct snapshot *s;

	if (!w->prepared || w->build_offset != offset)
		build_now(w, offset);
	if (!w->prepared)
		return;
	s = snapshot_build_take(w->build);
	worker_forget_build(w);
	w->journal_used = offset;
	use(w, s);
}

void
worker_on_use(struct worker *w, struct message_view *v)
{
	uint64_t offset = message_get_u(v);

	worker_use_offset(w, offset);
	if (w->journal_used == offset)
		w->retired = message_get_u(v);
}

/* Somebody refused it. */
void
worker_on_forget(struct worker *w, struct message_view *v)
{
	worker_forget_build(w);
}

void
worker_on_journal_fd(struct worker *w, struct message_view *v)
{
	uint64_t use = message_get_u(v);
	int fd = message_take_fd(v);

	if (fd < 0)
		return;
	worker_forget_build(w); /* of another journal */
	w->journal_used = w->snapshot ? use : 0; /* a copy of what is in force */
	if (w->journal_fd >= 0)
		close(w->journal_fd);
	w->journal_fd = fd;
}
