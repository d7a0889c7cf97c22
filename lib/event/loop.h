/*
 * The loop of a process: readiness by libevent, and around it our own
 * order of work.  One turn is
 *
 *   1. event_base_loop(EVLOOP_ONCE): io callbacks; then due timers
 *   2. ready list: io that was left readable or writable (an edge comes
 *      once), each called once more
 *   3. flush list: sessions with bytes to send, log batches
 *   4. deferred frees
 *
 * The clock is read once a turn (loop_now_ns).  One loop per process,
 * made after fork.  This folder is libevent's only home.
 */
#ifndef EVENT_LOOP_H
#define EVENT_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "lib/base/list.h"

struct loop;

struct loop *loop_new(void);
void loop_free(struct loop **lp);
void loop_run(struct loop *l); /* turns until loop_stop() */
void loop_turn(struct loop *l, bool wait);
void loop_stop(struct loop *l);

uint64_t loop_now_ns(const struct loop *l); /* CLOCK_MONOTONIC of this turn */
static inline uint64_t
loop_now_ms(const struct loop *l)
{
	return loop_now_ns(l) / 1000000;
}
/* CLOCK_REALTIME of this turn, read at first use in the turn. */
uint64_t loop_wall_ns(struct loop *l);

/* Called at the start of each turn (heartbeat). */
void loop_on_turn(struct loop *l, void (*fn)(void *), void *arg);

/* Called at the end of each turn, before the loop waits. */
void loop_on_wait(struct loop *l, void (*fn)(void *arg), void *arg);

/* ---- descriptors */
enum io_ready {
	IO_READ = EV_READ,
	IO_WRITE = EV_WRITE,
	IO_CLOSED = EV_CLOSED, /* the other side shut down its half, or worse (EPOLLRDHUP) */
};

/* Embedded in its owner; delete before close or hand-over, always. */
struct io {
	struct event ev;
	struct loop *loop;
	void (*fn)(void *arg, unsigned ready);
	void *arg;
	unsigned again; /* what to report in the next pass of the ready list */
	bool added;
	struct list again_node;
};

/* Edge-triggered, added once for its life: the request path of sockets. */
void io_add_edge(struct loop *l, struct io *io, int fd, void (*fn)(void *, unsigned), void *arg);
/* Level-triggered, for listening sockets and control channels; `what` is IO_READ and/or IO_WRITE. */
void io_add_level(
    struct loop *l, struct io *io, int fd, unsigned what, void (*fn)(void *, unsigned), void *arg);
void io_change_level(struct io *io, unsigned what); /* 0 = stay, not polled */
void io_del(struct io *io);                         /* harmless when not added */
/* Who hears of it from now on. */
static inline void
io_tell(struct io *io, void (*fn)(void *, unsigned), void *arg)
{
	io->fn = fn;
	io->arg = arg;
}
static inline int
io_fd(const struct io *io)
{
	return io->ev.ev_fd;
}
/* Call fn again with `what`: later in this turn, or in the next one when asked from the ready list. */
void io_again(struct io *io, unsigned what);

/* ---- end of turn, and later */
struct flush {
	struct list node;
	void (*fn)(void *arg);
	void *arg;
};
void loop_flush(struct loop *l, struct flush *f); /* once in this turn, however often asked */
#define LOOP_LATER_MS 20
/* Once, at most LOOP_LATER_MS from now; one timer for all of them. */
void loop_later(struct loop *l, struct flush *f);
void flush_cancel(struct flush *f); /* of either kind */
static inline bool
flush_is_ordered(const struct flush *f)
{
	return f->node.next != NULL;
}

/* Runs fn(arg) when nothing of this turn is on the stack any more.  Cannot be cancelled. */
void loop_defer(struct loop *l, void (*fn)(void *arg), void *arg);

#endif
