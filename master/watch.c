/*
 * The watchdog's hands: what each verdict of watchdog.c does to a child.
 */
#include <signal.h>

#include "lib/base/log.h"
#include "lib/event/loop.h"
#include "master/master_private.h"
#include "master/sockets.h"
#include "shm/block.h"
#include "shm/lane.h"

#define MISS_MS 200
#define MEGA_MISS_MS 1000

static uint64_t
beat_of(const struct master *m, const struct child *c)
{
	const struct seg_seat *seat;

	if (m->segment == NULL)
		return 0;
	seat = segment_seat(m->segment, c->seat);
	if (__atomic_load_n(&seat->state, __ATOMIC_ACQUIRE) != SEAT_TAKEN)
		return 0; /* its memory may not be there yet */
	return lane_beat_of(m->segment, c->seat);
}

static void
end_hung(struct master *m, struct child *c, int signo)
{
	char name[24];

	log_error(LOG_MASTER, "%s: hangs, pid=%d, gets signal %d", child_name(c, name), (int)c->pid, signo);
	if (!c->told_hung && c->role == ROLE_WORKER)
		stat_inc(&m->stats->worker_hung);
	c->told_hung = true;
	child_kill(c, signo);
}

static void
act(struct master *m, struct child *c, enum watch_verdict verdict)
{
	bool worker = c->role == ROLE_WORKER;

	switch (verdict) {
	case WATCH_ASK:
		child_tell(c, worker ? MSG_PING : MSG_PING_ADMIN);
		break;
	case WATCH_LEND:
		if (worker && c->state == CHILD_READY) {
			log_debug(LOG_MASTER, "worker %u: silent, its sockets are lent", c->index);
			stat_inc(&m->stats->listeners_lent);
			sockets_worker_silent(m->sockets, c->index);
		}
		break;
	case WATCH_BACK:
		if (worker)
			sockets_worker_awake(m->sockets, c->index);
		break;
	case WATCH_ABORT:
		end_hung(m, c, SIGABRT);
		break;
	case WATCH_KILL:
		end_hung(m, c, SIGKILL);
		break;
	case WATCH_FINE:
	case WATCH_LATE:
		break;
	}
}

void
master_watch(struct master *m)
{
	for (unsigned i = 0; i <= m->children.n; i++) {
		struct child *c = &m->children.at[i];

		if (c->pid == 0)
			continue;
		act(m, c, watch_tick(&c->watch, beat_of(m, c), m->settings->watchdog_s));
		if (watch_is_at(&c->watch, MISS_MS))
			stat_inc(&m->watched[i]->watchdog_miss);
		if (watch_is_at(&c->watch, MEGA_MISS_MS))
			stat_inc(&m->watched[i]->watchdog_mega_miss);
	}
}
