/*
 * Idle HTTP/1 connections on their way to the next generation.
 *
 * A draining worker offers each over a socket pair to one worker that
 * serves, and keeps the descriptor until the answer: "no", or the other
 * end's death, and it is ours as before.  The other answers "yes" first
 * and reads then: one side reads, ever.  At most 64 are unanswered.  What
 * waits in the kernel travels with the descriptor.
 */
#ifndef WORKER_HANDOVER_H
#define WORKER_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/list.h"

struct hcm;
struct listeners;

struct handover {
	struct hcm *hcm;
	struct listeners *listeners;
	struct handover_way *to; /* where ours go; NULL: nowhere */
	struct list before;	 /* ways of `to` before: only their answers count */
	struct list from;	 /* ways on which others come */
	bool offering;
};

void handover_init(struct handover *h, struct hcm *hcm, struct listeners *ls);
void handover_fini(struct handover *h);
/* Takes fd.  While we drain, a new way replaces the last one: its other end went, or drains too. */
void handover_to(struct handover *h, int fd);
void handover_from(struct handover *h, int fd); /* takes fd */
/* The drain began: idle ones go now, busy ones when their response is written. */
void handover_start(struct handover *h);
void handover_stop(struct handover *h); /* the drain was taken back */
unsigned handover_unanswered(const struct handover *h);

#endif
