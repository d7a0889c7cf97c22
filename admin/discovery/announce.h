/*
 * Telling workers of changed members: what was marked in one turn of the
 * loop, or while the barrier was taken, goes out as one publish.  What is
 * refused is tried again, whole, a second later.
 */
#ifndef ADMIN_DISCOVERY_ANNOUNCE_H
#define ADMIN_DISCOVERY_ANNOUNCE_H

struct admin;
struct announce;
struct err;

/* Takes the members' on_dirty. */
struct announce *announce_new(struct admin *a);
void announce_free(struct announce **ap);
/* Serving has begun: from now on changes are announced. */
void announce_may_begin(struct announce *a);

/* In a turn of the barrier, before anything is appended: when half of the journal is stale, its live
 * records in a memory file of their own become the journal in force. */
int announce_compact(struct admin *a, struct err *err);

#endif
