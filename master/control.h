/*
 * Master's end of the control socket (lib/ipc/control.h): who asks is
 * checked by the kernel's word (our user or root), a command is a row of
 * control.def, and what admin knows is asked of admin with a deadline.
 */
#ifndef MASTER_CONTROL_H
#define MASTER_CONTROL_H

#include "lib/base/str.h"
#include "lib/ipc/channel.h"

struct control;
struct master;

struct control *control_new(struct master *m, int listening_fd); /* borrows the descriptor */
void control_free(struct control **cp);
void control_on_done(struct control *c, struct message_view *v); /* CONTROL_DONE */
/* A hot restart or a rollback came to its end: whoever waits for it is told. */
void control_restart_done(struct control *c, unsigned status, struct str text);
void control_admin_ended(struct control *c); /* what was asked of it is refused */

#endif
