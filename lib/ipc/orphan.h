/*
 * A child whose master died.  It goes on with its work and answers on the
 * control socket, whose listening descriptor it inherited: `ps` says who
 * is left, `stop` ends it.  Several orphans share the socket; each command
 * reaches one of them, so batonctl repeats `stop` until nobody answers.
 */
#ifndef IPC_ORPHAN_H
#define IPC_ORPHAN_H

#include "lib/base/str.h"
#include "lib/ipc/process.h"

struct loop;
struct orphan;

struct orphan_events {
	/* End at once, or drain and end.  Must not free the orphan itself. */
	void (*on_stop)(void *arg, bool now);
	/* Another master takes over: fd (the orphan's to keep) is the new channel.  Not to be freed
	 * from inside either.  NULL: it cannot be adopted. */
	void (*on_adopted)(void *arg, int fd);
	/* Adds what `ps` shall say of this generation. */
	void (*on_ps)(void *arg, bool json, struct strb *out);
};

/* start is borrowed for the orphan's life.  NULL when there is no control socket (tests). */
struct orphan *orphan_start(struct loop *l, const struct process_start *start,
    const struct orphan_events *events, void *arg);
void orphan_free(struct orphan **op);

#endif
