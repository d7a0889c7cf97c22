#include "master/line.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/event/loop.h"
#include "master/adopt.h"
#include "master/master_private.h"

#define MANY 3 /* generations that drain at once */
#define OVERDUE_NS (5 * NS_PER_S)

static void
tell_admin(struct master *m, enum message_type t, uint64_t v)
{
	struct message out;

	message_init(&out, t);
	message_u(&out, v);
	child_send(&m->children.at[0], &out);
}

/* A generation all of whose processes are gone: its numbers go to the totals, then its directory.
 */
static void
bury(struct master *m, const struct runtime_other *o)
{
	if (o->has_segment)
		tell_admin(m, MSG_FOLD, o->generation);
	else
		runtime_dir_forget(&m->dir, o->generation);
}

static uint64_t
held_by_orphans(const struct master *m)
{
	struct adopted_view v;
	uint64_t held = 0;

	for (size_t i = 0; adopted_each(m, i, &v); i++)
		for (unsigned k = 0; k < DRAIN_KINDS && v.pid; k++)
			held += v.holding[k];
	return held;
}

static void
tell_parents(struct master *m)
{
	uint64_t held = held_by_orphans(m);

	list_for_each(n, &m->links)
	{
		const struct link *l = list_entry(n, struct link, node);

		if (l->state == LINK_DRAINS)
			held += l->held;
	}
	if (held == m->parents_held)
		return;
	m->parents_held = held;
	tell_admin(m, MSG_PARENTS, held);
}

unsigned
line_draining(const struct master *m, const struct link **oldest)
{
	struct adopted_view v;
	unsigned count = 0;

	*oldest = NULL;
	for (size_t i = 0; adopted_each(m, i, &v); i++)
		count += v.pid && v.first;
	list_for_each(n, (struct list *)&m->links)
	{
		const struct link *l = list_entry(n, struct link, node);

		if (l->state != LINK_DRAINS)
			continue;
		count++;
		if (*oldest == NULL || l->generation < (*oldest)->generation)
			*oldest = l;
	}
	return count;
}

/* Each holds memory and processes: once at three, and again at each more. */
static void
warn_of_many(struct master *m)
{
	const struct link *oldest;
	unsigned draining = line_draining(m, &oldest);

	if (draining >= MANY && draining > m->draining_warned && oldest && oldest->line.n)
		log_warning(LOG_MASTER, "%u generations drain, the oldest: " STR_FMT, draining,
		    STR_ARG(strb_str(&oldest->line)));
	else if (draining >= m->draining_warned)
		return;
	m->draining_warned = draining;
}

/* The link of a generation that should be gone by now. */
static struct link *
overdue(struct master *m, uint64_t generation)
{
	list_for_each(n, &m->links)
	{
		struct link *l = list_entry(n, struct link, node);

		if (l->state == LINK_DRAINS && l->generation == generation && l->deadline_ns &&
		    !l->killed && loop_now_ns(m->loop) > l->deadline_ns + OVERDUE_NS)
			return l;
	}
	return NULL;
}

static bool
is_still_its_master(struct master *m, const struct runtime_other *o)
{
	struct runtime_others others = {0};
	bool is = false;

	runtime_dir_others(&m->dir, &others);
	for (size_t i = 0; i < others.all.len; i++)
		is |= others.all.at[i].generation == o->generation &&
		      others.all.at[i].master == o->master;
	vec_fini(&others.all);
	return is;
}

/* By descriptor: the pid is the lock's holder before and after it was opened.  Its children become
 * orphans, which end what is late by themselves. */
static void
end_overdue(struct master *m, const struct runtime_other *o)
{
	struct link *l = overdue(m, o->generation);
	int fd;

	if (l == NULL)
		return;
	fd = (int)syscall(SYS_pidfd_open, o->master, 0);
	if (fd < 0)
		return;
	if (is_still_its_master(m, o)) {
		log_error(LOG_MASTER, "generation %u: hangs beyond its deadline, pid %d is ended",
		    (unsigned)o->generation, (int)o->master);
		syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
		l->killed = true;
	}
	close(fd);
}

void
line_look(struct master *m)
{
	struct runtime_others others = {0};

	if (m->state != MASTER_SERVING || !m->has_dir || link_in(m, LINK_BUILDING))
		return;
	tell_parents(m);
	warn_of_many(m);
	runtime_dir_others(&m->dir, &others);
	/* Who starts has a directory before it has a lock of its own. */
	if (runtime_dir_is_starting(&m->dir))
		others.all.len = 0;
	for (size_t i = 0; i < others.all.len; i++) {
		const struct runtime_other *o = &others.all.at[i];

		if (o->master)
			end_overdue(m, o);
		else if (o->processes == 0)
			bury(m, o);
		else if (adopted_of(m, o->generation) < o->processes)
			adopt(m, o->generation, o->processes - adopted_of(m, o->generation));
	}
	vec_fini(&others.all);
}
