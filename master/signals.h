/*
 * Signals of master: each is a row of signals.def and acts as ordinary
 * code in the loop.
 */
#ifndef MASTER_SIGNALS_H
#define MASTER_SIGNALS_H

struct loop;
struct master;
struct signals;

/* NULL with errno when no descriptor is to be had. */
struct signals *master_signals(struct loop *l, struct master *m);

#endif
