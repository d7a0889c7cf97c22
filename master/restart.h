/*
 * One change of generations at a time: a hot restart or a rollback is
 * under way or it is not.  Whatever else is asked for meanwhile, a reload
 * included, is remembered and done by whoever serves then.
 */
#ifndef MASTER_RESTART_H
#define MASTER_RESTART_H

#include <stdbool.h>
#include <sys/types.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/event/loop.h"
#include "lib/event/timer.h"

struct link;
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
/* Whether --max-draining forbids another one; the reason names the oldest that drains. */
bool restart_too_many(const struct master *m, struct err *err);
/* How a hot restart came out; from the words of the new generation and its end. */
void restart_refused(struct master *m, struct str why);
void restart_succeeded(struct master *m, struct link *l);

#endif
