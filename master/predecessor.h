/*
 * Handing over to the next generation: starting it, giving it copies of
 * all it needs, and, when it serves, draining; accepting again when it
 * dies.  Until its DRAIN nothing has changed for us.
 */
#ifndef MASTER_PREDECESSOR_H
#define MASTER_PREDECESSOR_H

#include <stdbool.h>
#include <sys/types.h>

#include "lib/event/loop.h"
#include "lib/event/timer.h"
#include "lib/ipc/handover.h"
#include "master/link.h"

struct master;

/* The hot restart that is under way in this master. */
struct restart {
	struct master *master;
	pid_t pid;    /* of the process that was started; 0: none, or it came by itself */
	struct io io; /* its pidfd */
	int pidfd;    /* -1: none */
	bool running;
	bool again;		   /* another was asked for meanwhile */
	struct link *rolling_back; /* it is a rollback: this one shall serve again */
	struct timer patience;	   /* it has not said hello, or not taken back */
};

void restart_init(struct restart *r, struct master *m);
void restart_fini(struct restart *r);

/* SIGUSR2, batonctl hot-restart.  The answer goes to who waits on the control socket. */
void master_hot_restart(struct master *m);
/* A restart, a rollback or a reload is under way: what is asked for now comes after it. */
bool master_is_changing(const struct master *m);
/* One of those is over: what was asked for meanwhile. */
void restart_next(struct master *m);
/* A rollback is over; when it did not come about we go on with what was asked for meanwhile. */
void restart_rolled_back(struct master *m, struct link *serving, struct str why);
/* A hello came on the control socket; takes fd. */
void predecessor_hello(struct master *m, int fd, const struct handover_packet *p);

/* From link.c: a word, the end of the link, nothing in time. */
void predecessor_hears(struct master *m, struct link *l, const struct handover_packet *p);
void predecessor_alone(struct master *m, struct link *l, enum link_state was);
void predecessor_gives_up(struct master *m, struct link *l);

/* We drain, and with us those who drained for us: they turn to the one that serves. */
void predecessor_tell_elders(struct master *m);
/* Draining after a hand-over: what is held is told to the one that serves. */
void predecessor_report(struct master *m);

#endif
