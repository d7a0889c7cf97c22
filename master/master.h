/*
 * The life of a generation: master owns the sockets, the segment, the
 * journal's descriptor and its children, and ends when they have.
 */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include "lib/ipc/process.h"
#include "master/options.h"

/*
 * From here to the end of the process's work; gives the exit status.
 * Modes that do not serve run admin alone and pass its status on.
 */
int master_run(const struct options *o, const struct process *admin, const struct process *worker);

#endif
