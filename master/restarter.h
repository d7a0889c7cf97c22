/*
 * Below a restarter script, Envoy's for instance: it starts every
 * generation as its own child, with the epoch in RESTART_EPOCH, and ends
 * with them.
 */
#ifndef MASTER_RESTARTER_H
#define MASTER_RESTARTER_H

struct options;

/* Was this one started by such a script (RESTART_EPOCH says the same as --restart-epoch)?  Then its
 * death is a SIGTERM, as with Envoy: another restarter begins at epoch 0, and a baton that nobody
 * counts any more would be in its way for ever. */
void restarter_follow(const struct options *o);
/* For a successor that we start ourselves: no restarter counts it. */
void restarter_forget(void);

#endif
