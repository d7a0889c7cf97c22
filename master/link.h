/*
 * A connection to the master of another generation: first the hand-over
 * itself, then, for as long as one of the two drains, word of what it
 * still holds and of either's end.  One that ends without "goodbye" died.
 *
 * predecessor.c is what the older one does with it, successor.c the newer.
 */
#ifndef MASTER_LINK_H
#define MASTER_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/list.h"
#include "lib/base/str.h"
#include "lib/event/loop.h"
#include "lib/event/timer.h"
#include "lib/ipc/handover.h"

struct master;

#define LINK_STATES(STATE)                                                                         \
	STATE(LINK_BUILDING, "the successor is starting", TO(LINK_STILL) | TO(LINK_ENDED))         \
	STATE(LINK_STILL, "the successor takes over", TO(LINK_SERVES) | TO(LINK_ENDED))            \
	STATE(LINK_ASKING, "we are starting", TO(LINK_READY) | TO(LINK_ENDED))                     \
	STATE(LINK_READY, "ready, waiting for a go", TO(LINK_DRAINS) | TO(LINK_ENDED))             \
	STATE(LINK_SERVES, "the other serves", TO(LINK_DRAINS) | TO(LINK_ENDED))                   \
	STATE(LINK_DRAINS, "the other drains", TO(LINK_SERVES) | TO(LINK_ENDED))                   \
	STATE(LINK_ENDED, "ended", 0)

enum link_state {
#define STATE_ID(id, name, edges) id,
	LINK_STATES(STATE_ID)
#undef STATE_ID
};

struct link {
	struct list node; /* master->links */
	struct master *master;
	enum link_state state;
	int fd;
	struct io io;
	struct timer patience;			  /* the other one's next word is due */
	struct list queue;			  /* packets that did not fit */
	uint64_t pid, generation, epoch, workers; /* of the other one */
	bool forgot;   /* the draining other one will not serve again */
	bool goodbye;  /* was said to us, or its end is none of our business: no crash */
	uint64_t deadline_ns; /* the draining other one is gone by then; 0: it has not said */
	bool killed;	      /* it was not */
	uint64_t held; /* what the draining other one still holds, and its words for it */
	struct strb report, report_why, report_json, line;
};

/* Takes fd; the link is one of master's and frees itself when it has ended. */
struct link *link_new(struct master *m, int fd, enum link_state state);
void link_free(struct link **lp);
void link_enter(struct link *l, enum link_state next);
const char *link_state_name(const struct link *l);
/* Packets leave in order; fd is borrowed (-1: none).  The packet is empty again after. */
void link_send(struct link *l, struct strb *packet, int fd);
void link_say(struct link *l, enum handover_word word);
void link_refuse(struct link *l, struct str why); /* says so and ends */
/* Our end, told to the other one: is it the whole line's, and in how many seconds at the latest? */
void link_goodbye(struct link *l, bool ending, uint64_t seconds);
/* We turn to another one: to be called from its own words too. */
void link_leave(struct link *l);
/* The one in this state, or NULL. */
struct link *link_in(struct master *m, enum link_state state);

#endif
