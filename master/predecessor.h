/*
 * Handing over to the next generation: giving it copies of all it needs,
 * and, when it serves, draining; accepting again when it dies.  Until its
 * DRAIN nothing has changed for us.  How it is started, and what is asked
 * for meanwhile: restart.h.
 */
#ifndef MASTER_PREDECESSOR_H
#define MASTER_PREDECESSOR_H

#include "lib/ipc/handover.h"
#include "master/link.h"

struct master;

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
