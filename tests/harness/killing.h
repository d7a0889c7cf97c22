/*
 * Scenes in which generations are killed.  Goes with generations.h: the
 * program is the reaper of what it started (generations_adopt).
 */
#ifndef HARNESS_KILLING_H
#define HARNESS_KILLING_H

#include "tests/harness/generations.h"

/* Another baton over the scene's directory, with --restart-epoch when one is given. */
pid_t generation_spawn(struct scene *sc, const char *epoch);
/* The same, and it is the scene's proxy then. */
void generation_start(struct scene *sc, const char *epoch);
bool process_is_gone(pid_t pid); /* waits for it, when it is ours */
void process_kill(pid_t pid);	 /* and is gone then */

/* Master, admin and workers of the scene's proxy. */
struct generation {
	pid_t master, admin, worker[2];
};
struct generation generation_of(struct scene *sc);
void generation_kill(const struct generation *g);

/* A request that takes so long, on a connection of its own: the generation has something to hold. */
int generation_hold(struct scene *sc, unsigned ms);
void generation_let_go(int fd); /* it must be answered in full */

#endif
