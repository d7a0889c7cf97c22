/*
 * Admin and the workers: started by fork, watched, replaced.
 *
 * A child that ends unasked is replaced: the first time at once, then
 * with a back-off that doubles from 100 ms to 10 s, until one has lived
 * long enough.  Its seat is free for the next only after it was waited
 * for.  A fresh child closes every descriptor that is not named for it:
 * a sibling holding master's end of a channel would hide master's death.
 */
#ifndef MASTER_CHILDREN_H
#define MASTER_CHILDREN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/event/timer.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/process.h"
#include "master/privileges.h"
#include "master/watchdog.h"

struct segment;

#define CHILD_STATES(STATE)                                                                        \
	STATE(CHILD_ABSENT, "absent", TO(CHILD_WAITING) | TO(CHILD_STARTING) | TO(CHILD_ABSENT))   \
	STATE(CHILD_WAITING, "waiting for its turn", TO(CHILD_STARTING) | TO(CHILD_ABSENT))        \
	STATE(CHILD_STARTING, "starting", TO(CHILD_READY) | TO(CHILD_ABSENT))                      \
	STATE(CHILD_READY, "ready", TO(CHILD_READY) | TO(CHILD_ABSENT))

enum child_state {
#define STATE_ID(id, name, edges) id,
	CHILD_STATES(STATE_ID)
#undef STATE_ID
};

struct children;

struct child {
	struct children *all;
	enum role role;
	unsigned index; /* workers 1..n; admin 0 */
	enum child_state state;
	pid_t pid; /* 0: none */
	unsigned seat;
	struct channel *channel;
	uint64_t started_ns;
	unsigned failures; /* in a row */
	uint32_t backoff_ms;
	struct timer respawn;
	struct watch watch;
	bool expected;     /* told to end, or may: its end is no crash */
	bool resumed;      /* was told to end when empty, then not to: it may have ended meanwhile */
	bool told_hung;    /* ended by the watchdog */
	uint64_t holding[DRAIN_KINDS]; /* while it drains */
	char *who;	     /* some of them by name, as HOLDING says; owned, NULL: none */
};

struct children_events {
	void (*on_message)(void *arg, struct child *c, struct message_view *v);
	void (*on_started)(void *arg, struct child *c);
	/* Waited for; status as waitpid gives it.  Called before a replacement is planned. */
	void (*on_ended)(void *arg, struct child *c, int status);
};

/* What a new child is given; kept up to date by master. */
struct child_gifts {
	int segment_fd, control_fd;
	uint64_t elder_generation; /* that hands over to this one; 0: none */
	int journal_fd;       /* owned by master; -1: none yet */
	uint64_t journal_use; /* bytes in force */
	int elder_journal_fd; /* of the generation that hands over, until we serve; owned by master; -1 */
	uint64_t elder_journal_use;
};

struct children {
	struct loop *loop;
	const struct settings *settings;
	const struct process *admin_process, *worker_process;
	struct segment *segment; /* NULL: none (tests, modes that do not serve) */
	struct identity identity;
	struct child_gifts gifts;
	const struct children_events *events;
	void *arg;
	bool replacing; /* whether who ends is replaced */
	unsigned n;
	struct child *at; /* [0] admin, [1..n] workers */
};

void children_init(struct children *all, struct loop *l, const struct settings *s,
    const struct process *admin, const struct process *worker, const struct children_events *events,
    void *arg);
void children_fini(struct children *all); /* closes channels; kills nobody */

/* Forks; a failure is retried later. */
void child_start(struct child *c);
void child_became_ready(struct child *c);
void children_reap(struct children *all); /* at SIGCHLD */
/* The seat's child, or NULL. */
struct child *children_at_seat(struct children *all, unsigned seat);
unsigned children_alive(const struct children *all, enum role role);

bool child_send(struct child *c, struct message *m);
bool child_tell(struct child *c, enum message_type t);
void children_tell_workers(struct children *all, enum message_type t);
void child_kill(struct child *c, int signo); /* harmless when there is no process */

/* Delay before start number `failures` + 1 of a crashing child. */
uint32_t backoff_ms(unsigned failures);
const char *child_state_name(const struct child *c);
/* "admin", "worker 3"; buffer of 24 bytes */
const char *child_name(const struct child *c, char *out);

#endif
