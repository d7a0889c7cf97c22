#include "lib/event/loop.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include "lib/base/assert.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/vec.h"
#include "lib/event/timer.h"

struct deferred {
	void (*fn)(void *);
	void *arg;
};

struct loop {
	struct event_base *base;
	struct event wake; /* the clock of the whole wheel, edge-triggered: never read */
	int wake_fd;
	uint64_t wake_at;  /* ms it is set to; UINT64_MAX = not set */
	struct wheel wheel;
	uint64_t now_ns, wall_ns;
	struct list again, flushes, later;
	struct timer later_timer;
	VEC(struct deferred) deferred;
	void (*turn_fn)(void *);
	void *turn_arg;
	void (*wait_fn)(void *);
	void *wait_arg;
	bool stopped;
	bool fresh; /* the clock was read in this turn */
};

/* The first callback after the wait starts the turn: everything after shares its time. */
static void
start_turn(struct loop *l)
{
	if (l->fresh)
		return;
	l->fresh = true;
	l->now_ns = clock_mono_ns();
	l->wall_ns = 0;
	if (l->turn_fn)
		l->turn_fn(l->turn_arg);
}

static void
run_flushes(struct list *flushes)
{
	struct list *n;

	while ((n = list_pop_front(flushes)) != NULL) {
		struct flush *f = list_entry(n, struct flush, node);

		f->fn(f->arg);
	}
}

/* Takes all that a list has: what is put there meanwhile is for the next time. */
static void
take_all(struct list *from, struct list *batch)
{
	list_init(batch);
	if (list_empty(from))
		return;
	*batch = *from;
	batch->next->prev = batch->prev->next = batch;
	list_init(from);
}

static void
on_later(void *arg)
{
	struct loop *l = arg;
	struct list batch;

	take_all(&l->later, &batch);
	run_flushes(&batch);
}

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;

	l->wake_at = UINT64_MAX;
	start_turn(l);
}

struct loop *
loop_new(void)
{
	struct loop *l = mem_new(struct loop);
	struct event_config *cfg = event_config_new();

	ASSERT(cfg != NULL);
	/* No changelist: it is wrong with descriptors that were passed (dup'ed). */
	event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK);
	event_config_set_flag(cfg, EVENT_BASE_FLAG_NO_CACHE_TIME); /* its clock serves its own timers */
	l->base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	ASSERT(l->base != NULL);
	list_init(&l->again);
	list_init(&l->flushes);
	list_init(&l->later);
	timer_init(&l->later_timer, on_later, l);
	l->wake_at = UINT64_MAX;
	l->now_ns = clock_mono_ns();
	wheel_init(&l->wheel, l->now_ns / NS_PER_MS);
	l->wake_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	ASSERT(l->wake_fd >= 0);
	event_assign(&l->wake, l->base, l->wake_fd, EV_READ | EV_ET | EV_PERSIST, on_wake, l);
	event_add(&l->wake, NULL);
	return l;
}

void
loop_free(struct loop **lp)
{
	struct loop *l = *lp;

	*lp = NULL;
	if (l == NULL)
		return;
	event_del(&l->wake);
	close(l->wake_fd);
	event_base_free(l->base);
	vec_fini(&l->deferred);
	mem_free(l);
}

uint64_t
loop_now_ns(const struct loop *l)
{
	return l->now_ns;
}

uint64_t
loop_wall_ns(struct loop *l)
{
	if (l->wall_ns == 0)
		l->wall_ns = clock_wall_ns();
	return l->wall_ns;
}

void
loop_on_turn(struct loop *l, void (*fn)(void *), void *arg)
{
	l->turn_fn = fn;
	l->turn_arg = arg;
}

void
loop_on_wait(struct loop *l, void (*fn)(void *), void *arg)
{
	l->wait_fn = fn;
	l->wait_arg = arg;
}

void
loop_stop(struct loop *l)
{
	l->stopped = true;
}

/*
 * Lets epoll_wait end when the next timer is due; moves the clock only when
 * it must ring earlier.  Not a timer of libevent: that goes by the coarse
 * clock, and asks again each millisecond until it has ticked.
 */
static void
set_wake(struct loop *l)
{
	uint64_t next = wheel_next(&l->wheel), now_ns, wait_ns;
	struct itimerspec at = {0};

	if (next >= l->wake_at)
		return;
	now_ns = clock_mono_ns();
	wait_ns = next * NS_PER_MS > now_ns ? next * NS_PER_MS - now_ns : 1;
	at.it_value.tv_sec = (time_t)(wait_ns / NS_PER_S);
	at.it_value.tv_nsec = (long)(wait_ns % NS_PER_S);
	timerfd_settime(l->wake_fd, 0, &at, NULL);
	l->wake_at = next;
}

static void
run_again(struct loop *l)
{
	struct list batch, *n;

	take_all(&l->again, &batch);
	while ((n = list_pop_front(&batch)) != NULL) {
		struct io *io = list_entry(n, struct io, again_node);
		unsigned what = io->again;

		io->again = 0;
		io->fn(io->arg, what);
	}
}

static void
run_deferred(struct loop *l)
{
	for (size_t i = 0; i < l->deferred.len; i++) {
		struct deferred d = l->deferred.at[i];

		d.fn(d.arg);
	}
	l->deferred.len = 0;
}

void
loop_turn(struct loop *l, bool wait)
{
	bool busy = !list_empty(&l->again);

	if (l->wait_fn)
		l->wait_fn(l->wait_arg);
	set_wake(l);
	l->fresh = false;
	event_base_loop(l->base, busy || !wait ? EVLOOP_NONBLOCK : EVLOOP_ONCE);
	start_turn(l);
	wheel_advance(&l->wheel, l->now_ns / NS_PER_MS);
	run_again(l);
	run_flushes(&l->flushes);
	run_deferred(l);
}

void
loop_run(struct loop *l)
{
	l->stopped = false;
	while (!l->stopped)
		loop_turn(l, true);
}

/* ---- descriptors */

static void
on_event(evutil_socket_t fd, short what, void *arg)
{
	struct io *io = arg;
	unsigned ready = (unsigned)what & (IO_READ | IO_WRITE | IO_CLOSED);

	start_turn(io->loop);
	if (io->again) {
		ready |= io->again;
		io->again = 0;
		list_remove(&io->again_node);
	}
	io->fn(io->arg, ready);
}

static void
io_start(struct loop *l, struct io *io, int fd, short what, void (*fn)(void *, unsigned), void *arg)
{
	*io = (struct io){.loop = l, .fn = fn, .arg = arg};
	event_assign(&io->ev, l->base, fd, what, on_event, io);
	if (what & (EV_READ | EV_WRITE))
		event_add(&io->ev, NULL);
	io->added = true;
}

void
io_add_edge(struct loop *l, struct io *io, int fd, void (*fn)(void *, unsigned), void *arg)
{
	io_start(l, io, fd, EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST, fn, arg);
}

static short
level_flags(unsigned what)
{
	return (short)(what | EV_PERSIST);
}

void
io_add_level(
    struct loop *l, struct io *io, int fd, unsigned what, void (*fn)(void *, unsigned), void *arg)
{
	io_start(l, io, fd, level_flags(what), fn, arg);
}

void
io_change_level(struct io *io, unsigned what)
{
	int fd = event_get_fd(&io->ev);

	event_del(&io->ev);
	event_assign(&io->ev, io->loop->base, fd, level_flags(what), on_event, io);
	if (what)
		event_add(&io->ev, NULL);
}

void
io_del(struct io *io)
{
	if (!io->added)
		return;
	event_del(&io->ev);
	list_remove(&io->again_node);
	io->again = 0;
	io->added = false;
}

void
io_again(struct io *io, unsigned what)
{
	if (io->again == 0)
		list_push_back(&io->loop->again, &io->again_node);
	io->again |= what;
}

/* ---- end of turn */

void
loop_flush(struct loop *l, struct flush *f)
{
	if (f->node.next == NULL)
		list_push_back(&l->flushes, &f->node);
}

void
loop_later(struct loop *l, struct flush *f)
{
	if (f->node.next)
		return;
	if (list_empty(&l->later))
		timer_set(l, &l->later_timer, LOOP_LATER_MS - 1); /* rounded up */
	list_push_back(&l->later, &f->node);
}

void
flush_cancel(struct flush *f)
{
	list_remove(&f->node);
}

void
loop_defer(struct loop *l, void (*fn)(void *), void *arg)
{
	*vec_push(&l->deferred) = (struct deferred){fn, arg};
}

/* ---- timers */

void
timer_set(struct loop *l, struct timer *t, uint64_t ms)
{
	/* Rounded up: the current millisecond is partly over. */
	wheel_set(&l->wheel, t, l->now_ns / NS_PER_MS + ms + 1);
}
