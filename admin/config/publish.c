#include "admin/config/publish.h"

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/state.h"
#include "lib/base/vec.h"

#define DEATHS_MOST 3 /* then what is prepared is taken for the reason */

#define PUBLISH_STATES(STATE)                                                                      \
	STATE(PUBLISH_IDLE, "idle", TO(PUBLISH_PREPARING))                                         \
	STATE(PUBLISH_PREPARING, "preparing", TO(PUBLISH_IDLE))
enum publish_state { PUBLISH_STATES(STATE_ENUM) };
STATE_TABLE(publish, PUBLISH_STATES)

struct worker_answer {
	unsigned seat;
	bool prepared;
	bool accepts;
};

struct publish {
	const struct publish_events *events;
	void *arg;
	enum publish_state state;
	uint64_t offset; /* being prepared */
	uint64_t used;
	unsigned deaths; /* of workers, while this one is prepared */
	VEC(struct worker_answer) workers;
};

static void
publish_enter(struct publish *p, enum publish_state next)
{
	STATE_CHECK(publish, p->state, next);
	log_trace(LOG_CONFIG, "publish: %s -> %s", publish_state_names[p->state],
	    publish_state_names[next]);
	p->state = next;
}

struct publish *
publish_new(const struct publish_events *events, void *arg)
{
	struct publish *p = mem_new(struct publish);

	p->events = events;
	p->arg = arg;
	return p;
}

void
publish_free(struct publish **pp)
{
	struct publish *p = *pp;

	*pp = NULL;
	if (p == NULL)
		return;
	vec_fini(&p->workers);
	mem_free(p);
}

bool
publish_is_busy(const struct publish *p)
{
	return p->state != PUBLISH_IDLE;
}

uint64_t
publish_used(const struct publish *p)
{
	return p->used;
}

void
publish_set_used(struct publish *p, uint64_t offset)
{
	p->used = offset;
}

unsigned
publish_workers(const struct publish *p)
{
	return (unsigned)p->workers.len;
}

static struct worker_answer *
find_worker(struct publish *p, unsigned seat)
{
	for (size_t i = 0; i < p->workers.len; i++)
		if (p->workers.at[i].seat == seat)
			return &p->workers.at[i];
	return NULL;
}

bool
publish_all_accept(const struct publish *p)
{
	for (size_t i = 0; i < p->workers.len; i++)
		if (!p->workers.at[i].accepts)
			return false;
	return p->workers.len > 0;
}

void
publish_worker_accepts(struct publish *p, unsigned seat)
{
	struct worker_answer *w = find_worker(p, seat);

	if (w)
		w->accepts = true;
}

static void
finish_if_all(struct publish *p)
{
	if (p->workers.len == 0 && p->deaths) /* nobody has proved it: wait for the next */
		return;
	for (size_t i = 0; i < p->workers.len; i++)
		if (!p->workers.at[i].prepared)
			return;
	p->used = p->offset;
	p->events->send_use(p->arg, p->offset);
	publish_enter(p, PUBLISH_IDLE);
	p->events->on_done(p->arg, p->offset, NULL);
}

void
publish_start(struct publish *p, uint64_t offset)
{
	publish_enter(p, PUBLISH_PREPARING);
	p->offset = offset;
	p->deaths = 0;
	for (size_t i = 0; i < p->workers.len; i++) {
		p->workers.at[i].prepared = false;
		p->events->send_prepare(p->arg, p->workers.at[i].seat, offset);
	}
	finish_if_all(p);
}

void
publish_worker_started(struct publish *p, unsigned seat)
{
	struct worker_answer *w = find_worker(p, seat);

	if (w == NULL) {
		w = vec_push(&p->workers);
		w->seat = seat;
	}
	w->prepared = w->accepts = false; /* the same seat again: its last owner is gone */
	if (p->state == PUBLISH_PREPARING)
		p->events->send_prepare(p->arg, seat, p->offset);
}

void
publish_worker_ended(struct publish *p, unsigned seat)
{
	struct worker_answer *w = find_worker(p, seat);

	if (w == NULL)
		return;
	vec_remove(&p->workers, (size_t)(w - p->workers.at));
	if (p->state != PUBLISH_PREPARING)
		return;
	if (++p->deaths < DEATHS_MOST) {
		finish_if_all(p);
		return;
	}
	publish_enter(p, PUBLISH_IDLE);
	p->events->on_done(p->arg, p->offset, "workers end while they build it");
}

void
publish_prepared(struct publish *p, unsigned seat, uint64_t offset, bool ok, struct str reason)
{
	struct worker_answer *w = find_worker(p, seat);
	char *why;

	if (p->state != PUBLISH_PREPARING || offset != p->offset || w == NULL)
		return; /* an answer to a publish that is over */
	if (ok) {
		w->prepared = true;
		finish_if_all(p);
		return;
	}
	why = str_dupz(reason);
	log_warning(LOG_CONFIG, "publish: refused by the worker of seat %u: %s", seat, why);
	publish_enter(p, PUBLISH_IDLE);
	p->events->on_done(p->arg, offset, why);
	mem_free(why);
}
