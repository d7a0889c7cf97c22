/*
 * baton as process 1 of a container: the process that was started stays
 * for good as a tiny init, master is its child, and so is every later
 * generation (successors are forked twice, so they fall to it).
 *
 * It hears who serves by the notify protocol, as systemd would
 * (supervisor.h), and passes the rest on to whoever started the
 * container.  It reaps, forwards signals to the generation that serves,
 * starts an adopting one when that is killed, and ends with the last one.
 */
#ifndef MASTER_INIT_H
#define MASTER_INIT_H

#include <stdbool.h>

struct options;

/* Is this process 1, and about to serve? */
bool init_is_wanted(const struct options *o);
/* Gives true in the parent when all is over, with what to exit with; false in the child, which goes
 * on as master. */
bool init_run(const struct options *o, int *status);

#endif
