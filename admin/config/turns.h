/*
 * Whose turn it is at the barrier (publish.h): start-up, a reload, changes
 * of membership.  One at a time; the others wait, each at most once, and
 * what they have to say then is what has come together meanwhile.
 */
#ifndef ADMIN_CONFIG_TURNS_H
#define ADMIN_CONFIG_TURNS_H

#include <stdbool.h>

#include "lib/base/vec.h"

struct turn {
	/* The barrier is free: appends to the journal and calls publish_start(), or turns_pass(). */
	void (*begin)(void *arg);
	/* After publish_start(): the reason, or NULL when it is in force. */
	void (*done)(void *arg, const char *refused);
	void *arg;
};

struct turns {
	const struct turn *now; /* has the barrier; borrowed */
	VEC(const struct turn *) waiting;
};

void turns_fini(struct turns *t);
/* Its begin() follows, perhaps before this returns; nothing when it waits already. */
void turns_ask(struct turns *t, const struct turn *one);
bool turns_has(const struct turns *t, const struct turn *one); /* it waits or has the barrier */
/* It ends: done() is not called. */
void turns_leave(struct turns *t, const struct turn *one);
/* From begin(): there is nothing to publish after all. */
void turns_pass(struct turns *t);
/* The barrier's end. */
void turns_done(struct turns *t, const char *refused);

#endif
