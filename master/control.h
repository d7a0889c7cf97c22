/*
 * Master's end of the control socket (lib/ipc/control.h): who asks is
 * checked by the kernel's word (our user or root), a command is a row of
 * control.def, and what admin knows is asked of admin with a deadline.
 */
#ifndef MASTER_CONTROL_H
#define MASTER_CONTROL_H

#include <stdbool.h>

#include "lib/base/str.h"
#include "lib/ipc/channel.h"

struct control;
struct handover_packet;
struct link;
struct master;

/* What an asker waits for; everybody gets the answer of the run that served him. */
enum control_wait {
	WAITS_FOR_NOTHING,
	WAITS_FOR_ADMIN,
	WAITS_FOR_RESTART,	/* the one that is under way */
	WAITS_FOR_NEXT_RESTART, /* the one that follows it, here or in the next generation */
	WAITS_FOR_ROLLBACK,
	WAITS_TO_RELOAD, /* a restart is under way, or admin is not there */
	WAITS_FOR_END,
};

#define RELOAD_ID (1ull << 63) /* in the id of a question to admin: it is a reload */

struct control *control_new(struct master *m, int listening_fd); /* borrows the descriptor */
void control_close(struct control *c); /* asks nobody in any more; who waits for the end still does */
void control_free(struct control **cp); /* they are told now */
void control_on_done(struct control *c, struct message_view *v); /* CONTROL_DONE */
void control_admin_ended(struct control *c); /* what was asked of it is refused */

/* Answers all who wait for this. */
void control_done(struct control *c, enum control_wait what, unsigned status, struct str text);
/* The restart that was remembered begins: it is theirs. */
void control_next_begins(struct control *c);
/* Those who wait to reload are served here now. */
void control_reload_now(struct control *c);
/* All who wait for a restart or reload are answered by the one that serves. */
void control_pass_on(struct control *c, struct link *l);
/* From the other side of that; takes the packet's descriptor. */
void control_take(struct control *c, struct handover_packet *p);

#endif
