/*
 * Orphans: processes whose master died.  Each accepts one connection on
 * its generation's control socket, which replaces its lost channel.  At a
 * start they give their listening sockets first and are drained when we
 * serve; found later they are drained at once.
 */
#ifndef MASTER_ADOPT_H
#define MASTER_ADOPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/str.h"

struct child;
struct master;

/* Asks so many processes of the generation; what answers is ours. */
void adopt(struct master *m, uint64_t generation, unsigned processes);
/* All that the start found.  on_done is called once, when all have answered or gone, or some time
 * has passed. */
void adopt_all_left(struct master *m, void (*on_done)(struct master *));
void adopt_late(void *arg); /* the timer master->adoption: some time has passed */
/* How many processes of this generation are ours, or about to be? */
unsigned adopted_of(const struct master *m, uint64_t generation);
/* The nth process whose master died and that is ours now; false at the end. */
struct adopted_view {
	uint64_t generation, epoch, deadline_ns;
	int32_t pid; /* 0: it has not answered yet */
	bool admin;
	bool first; /* of its generation */
	const uint64_t *holding; /* by kind; as it said last */
	const char *who;	 /* some of them by name; NULL: none */
};
bool adopted_each(const struct master *m, size_t n, struct adopted_view *out);
/* All of them drain from now on. */
void adopted_drain(struct master *m);
/* One of our workers was started anew: those whose connections went to it get another way. */
void adopted_worker_came(struct master *m, const struct child *c);
/* This address is not listened on any more: they accept who waits and let go of it. */
void adopted_removed(struct master *m, struct str key);
/* We drain ourselves: each is an orphan again, and the one that serves finds it. */
void adopted_let_go(struct master *m);
/* Our end is theirs: at once, or after a drain of so many seconds. */
void adopted_stop(struct master *m);
void adopted_fini(struct master *m);

#endif
