/*
 * What the files of master/ share about the one master of this process.
 */
#ifndef MASTER_MASTER_PRIVATE_H
#define MASTER_MASTER_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/event/timer.h"
#include "lib/ipc/drain_order.h"
#include "lib/ipc/process.h"
#include "lib/base/list.h"
#include "master/children.h"
#include "master/link.h"
#include "master/restart.h"
#include "master/runtime_dir.h"
#include "master/supervisor.h"

struct baton_stats;
struct control;
struct log_fds;
struct loop;
struct sockets;
struct watchdog_stats;

#define MASTER_STATES(STATE)                                                                       \
	STATE(MASTER_STARTING, "starting",                                                         \
	    TO(MASTER_SERVING) | TO(MASTER_ENDING))                                                \
	STATE(MASTER_SERVING, "serving",                                                           \
	    TO(MASTER_LEAVING) | TO(MASTER_HANDED_OVER) | TO(MASTER_ENDING))                       \
	STATE(MASTER_HANDED_OVER, "draining, another serves",                                      \
	    TO(MASTER_SERVING) | TO(MASTER_ENDING))                                                \
	STATE(MASTER_LEAVING, "leaving rotation", TO(MASTER_DRAINING) | TO(MASTER_ENDING))         \
	STATE(MASTER_DRAINING, "draining", TO(MASTER_ENDING))                                      \
	STATE(MASTER_ENDING, "ending", 0)

enum master_state {
#define STATE_ID(id, name, edges) id,
	MASTER_STATES(STATE_ID)
#undef STATE_ID
};

struct master {
	struct loop *loop;
	const struct settings *settings;
	enum master_state state;
	struct children children;
	struct sockets *sockets;
	struct runtime_dir dir;
	bool has_dir;
	struct segment *segment;
	struct signals *signals;
	struct control *control;
	struct timer tick, step, deadline, init;
	struct list links; /* to other generations */
	struct restart restart;
	struct supervisor supervisor;
	unsigned ways_given; /* to adopted workers: ours take turns */
	struct list adopted; /* orphans that are ours now, adopt.c */
	struct timer adoption;
	void (*adoption_done)(struct master *m);
	uint64_t adoption_since_ns;
	uint64_t orphans_epoch;
	uint32_t *epoch_auto; /* where to write the epoch that orphans lead to; NULL: it is given */
	bool served;   /* was in force once: its end is an end, not a failed start */
	bool has_heir; /* another generation has the addresses and the files now */
	bool line_ends; /* the heir ends as it should, and all with it */
	bool elder_health_failed; /* as the one we take over from said */
	uint64_t elder_started_ns;
	unsigned ticks;
	unsigned draining_warned; /* so many generations drained at the last warning */
	uint64_t parents_held; /* as admin was told */
	struct baton_stats *stats;
	struct watchdog_stats **watched; /* [0] admin, [1..n] workers */
	int log_fd; /* --log-path as admin opened it; -1: standard error */
	int exit_status;
	bool admin_serves; /* SERVING came: later failures of admin end nothing */
	bool reload_wanted; /* SIGHUP came while no admin was there to hear it, or in a restart */
	unsigned reloading; /* reloads that admin was asked for and has not answered */
	struct log_fds *log_fds;
	uint64_t started_ns;
	uint64_t deadline_ns; /* of the last kind of connection; 0: none */
	struct drain_order order; /* while it drains */
	uint64_t cut_ns[DRAIN_KINDS]; /* as workers were told; UINT64_MAX: never */
};

/* life.c: the states, and what leads from one to another */
const char *master_state_name(const struct master *m);
uint64_t master_seconds_left(const struct master *m);
void master_go(struct master *m);                /* all are ready: sockets and control socket are ours */
/* How a generation that drains for this one shall do it. */
void master_order(const struct master *m, struct drain_order *o);
/* Another generation serves: stop accepting, drain as ordered, end when empty or at the deadline. */
void master_hand_over(struct master *m, const struct drain_order *o);
void master_take_names(struct master *m);        /* control socket and pid files name this one */
void master_take_back(struct master *m);         /* it is gone: accept again */
void master_end_by(struct master *m, uint64_t seconds); /* a draining generation: the deadline is not later than this */
uint64_t master_held(const struct master *m);    /* connections, as draining workers said */
void master_held_by_kind(const struct master *m, uint64_t held[DRAIN_KINDS]);
void master_drain(struct master *m);             /* graceful end; asked again, or before serving: at once */
void master_end(struct master *m, int status);   /* end now; a status that is not 0 stays */
void master_on_step(void *arg);                  /* timers of the state at hand */
void master_on_deadline(void *arg);
bool master_is_childless(const struct master *m);

/* crew.c: children come and go, and get their sockets */
extern const struct children_events master_children_events;
extern const struct sockets_events master_sockets_events;

/* master.c */
bool master_serves(const struct master *m);      /* not a mode that only checks or prints */
void master_reload(struct master *m);            /* SIGHUP; remembered while admin is away */
void master_reload_done(struct master *m);
void master_set_health(struct master *m, bool failed, const char *who);

/* messages.c: what children say */
void master_on_message(void *arg, struct child *c, struct message_view *v);

/* watch.c: one look at every child's beat */
void master_watch(struct master *m);

#endif
