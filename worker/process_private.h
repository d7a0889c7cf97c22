/*
 * What the parts of a worker's process share: process.c has its life, its
 * sockets and its master, process_config.c what it serves, process_going.c
 * how it ends.  One thread runs all of it; the worker owns what it points to.
 */
#ifndef WORKER_PROCESS_PRIVATE_H
#define WORKER_PROCESS_PRIVATE_H

#include "lib/base/state.h"
#include "lib/event/loop.h"
#include "lib/event/signal.h"
#include "lib/event/timer.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/orphan.h"
#include "lib/ipc/process.h"
#include "worker/drain.h"
#include "worker/handover.h"
#include "worker/hcm/hcm.h"
#include "worker/listener/listener.h"
#include "worker/snapshot.h"

#define WORKER_STATES(STATE)                                                                       \
	STATE(WORKER_STARTING, "waiting for a configuration",                                      \
	    TO(WORKER_SERVING) | TO(WORKER_DRAINING) | TO(WORKER_ENDED))                           \
	STATE(WORKER_SERVING, "serving", TO(WORKER_DRAINING) | TO(WORKER_ENDED))                   \
	STATE(WORKER_DRAINING, "draining", TO(WORKER_SERVING) | TO(WORKER_ENDED))                  \
	STATE(WORKER_ENDED, "ended", 0)

enum worker_state { WORKER_STATES(STATE_ENUM) };

struct worker {
	const struct process_start *start;
	struct loop *loop;
	struct channel *channel; /* NULL: an orphan */
	struct orphan *orphan;
	struct signals *signals;
	struct baton_stats *stats;
	enum worker_state state;
	int journal_fd;
	struct snapshot *snapshot;    /* in force; NULL before the first */
	struct snapshot_build *build; /* being built, or waiting for its USE */
	bool prepared;                /* the latter */
	uint64_t build_offset;
	uint64_t journal_used; /* what is in force, in the journal that we have; 0: unknown */
	uint64_t retired;      /* blocks up to this number are not part of what is in force */
	struct drain drain;
	struct hcm hcm;
	struct listeners listeners;
	struct handover handover;
	struct timer tick, slice, stop;
	bool stop_inbound_only;
	unsigned ticks;
	int app_log_fd;
	bool adopted;	/* our own master is dead, the channel leads to another one */
	int adopted_fd; /* to another master, about to become the channel; -1: none */
	char hostname[256];
};

void worker_enter(struct worker *w, enum worker_state next);
void worker_tell_master(struct worker *w, struct message *m); /* takes m; an orphan tells nobody */

/* ---- what it serves: process_config.c */
void worker_use_offset(struct worker *w, uint64_t offset); /* at once, built or not */
void worker_forget_build(struct worker *w);
void worker_on_slice(void *arg); /* w->slice */
void worker_on_prepare(struct worker *w, struct message_view *v);
void worker_on_use(struct worker *w, struct message_view *v);
void worker_on_forget(struct worker *w, struct message_view *v);
void worker_on_journal_fd(struct worker *w, struct message_view *v);

/* ---- how it goes: process_going.c */
void worker_drain(struct worker *w, const struct drain_order *o);
void worker_report_holding(struct worker *w); /* what connections keep it */
void worker_end_if_empty(struct worker *w);
void worker_on_window_over(void *arg); /* w->stop */
void worker_on_stop_accepting(struct worker *w, struct message_view *v);
void worker_on_drain(struct worker *w, struct message_view *v);
void worker_on_drain_listeners(struct worker *w, struct message_view *v);
void worker_on_resume(struct worker *w, struct message_view *v);
void worker_on_hand_to(struct worker *w, struct message_view *v);
void worker_on_hand_from(struct worker *w, struct message_view *v);
void worker_on_stop(struct worker *w, struct message_view *v);

#endif
