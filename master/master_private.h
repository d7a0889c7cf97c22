/*
 * What the files of master/ share about the one master of this process.
 */
#ifndef MASTER_MASTER_PRIVATE_H
#define MASTER_MASTER_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/event/timer.h"
#include "lib/ipc/process.h"
#include "master/children.h"
#include "master/runtime_dir.h"

struct baton_stats;
struct control;
struct log_fds;
struct loop;
struct sockets;
struct watchdog_stats;

#define MASTER_STATES(STATE)                                                                       \
	STATE(MASTER_STARTING, "starting",                                                         \
	    TO(MASTER_SERVING) | TO(MASTER_ENDING))                                                \
	STATE(MASTER_SERVING, "serving", TO(MASTER_LEAVING) | TO(MASTER_ENDING))                   \
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
	struct timer tick, step, deadline;
	struct baton_stats *stats;
	struct watchdog_stats **watched; /* [0] admin, [1..n] workers */
	int log_fd; /* --log-path as admin opened it; -1: standard error */
	int exit_status;
	bool admin_serves; /* SERVING came: later failures of admin end nothing */
	bool reload_wanted; /* SIGHUP came while no admin was there to hear it */
	struct log_fds *log_fds;
	uint64_t started_ns;
	uint64_t deadline_ns; /* 0: none */
};

const char *master_state_name(const struct master *m);
bool master_serves(const struct master *m); /* not a mode that only checks or prints */
uint64_t master_seconds_left(const struct master *m);
void master_serving(struct master *m);           /* start-up is complete */
void master_drain(struct master *m);             /* graceful end; asked again, or before serving: at once */
void master_end(struct master *m, int status);   /* end now; a status that is not 0 stays */
void master_reload(struct master *m);            /* SIGHUP; remembered while admin is away */
void master_set_health(struct master *m, bool failed, const char *who);

/* messages.c: what children say */
void master_on_message(void *arg, struct child *c, struct message_view *v);

/* watch.c: one look at every child's beat */
void master_watch(struct master *m);

#endif
