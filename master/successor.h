/*
 * Taking over from the generation that serves: hello and copies before
 * anything is started, then "drain" when all of ours is ready.  Before
 * that every failure ends us and changes nothing for it.
 */
#ifndef MASTER_SUCCESSOR_H
#define MASTER_SUCCESSOR_H

#include "lib/base/err.h"
#include "lib/ipc/handover.h"
#include "master/link.h"

struct child;
struct master;
struct options;
struct settings;

/* Hello and everything that is handed over; waits at most five seconds for each word. */
int successor_take(struct master *m, const struct options *o, struct settings *s, struct err *err);
/* The start failed before that, after the directory was open: so that the asker hears why. */
void successor_says_why(struct master *m, struct str why);
/* Our admin has read it, or nobody will. */
void successor_forget_journal(struct master *m);
/* Admin or a worker became ready: when all are, asks for the go. */
void successor_look(struct master *m);
/* Our start failed, for a reason worth telling. */
void successor_failed(struct master *m, struct str why);
void successor_gives_up(struct master *m, const char *why);

/* A reload gave up an address: draining generations close theirs, so that it can be opened again. */
void successor_removed(struct master *m, struct str key);

/* The other end of a new way on which idle connections come to this worker of ours; -1. */
int successor_way(struct child *ours);
/* Ways for the workers of a generation that drains: all, or those that led to a worker which was
 * started anew. */
void successor_pairs(struct master *m, struct link *l);
void successor_worker_came(struct master *m, struct child *c);

/* From link.c. */
void successor_hears(struct master *m, struct link *l, struct handover_packet *p);
void successor_alone(struct master *m, struct link *l, enum link_state was);

/* A generation that drains came on the control socket: its own successor does not serve any more.
 * Takes fd. */
void successor_joined(struct master *m, int fd, const struct handover_packet *p);

/* batonctl rollback: the youngest that drains shall serve again.  The answer goes to who waits. */
void master_roll_back(struct master *m);

#endif
