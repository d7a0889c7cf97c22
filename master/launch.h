/*
 * Starting the next generation: the binary at the path this one was
 * started from, with the same arguments and the next epoch.  By double
 * fork: the successor is a child of init, never of its predecessor.
 */
#ifndef MASTER_LAUNCH_H
#define MASTER_LAUNCH_H

#include <stdint.h>
#include <sys/types.h>

#include "lib/base/err.h"

/* First thing in main: notes path and arguments (copies). */
void launch_init(int argc, char **argv);
/* The pid of the process that was started, or -1 with the reason. */
pid_t launch_successor(uint32_t epoch, struct err *err);
/* In a forked process: becomes that binary with this --restart-epoch; nothing of ours goes along but
 * standard input, output and error.  Comes back only with a negative errno. */
int launch_exec(const char *epoch);

#endif
