/*
 * Frames: type (2 bytes), reserved (2), length (4), value.  Packets of the
 * control socket and of the hand-over between generations are made of
 * them; whoever reads skips the types it does not know.
 */
#ifndef IPC_FRAME_H
#define IPC_FRAME_H

#include "lib/base/str.h"

void frame_put(struct strb *out, unsigned type, struct str value);
/* Takes the next one off the packet: 1 one more, 0 the end, -1 cut off.  value borrows. */
int frame_next(struct str *packet, unsigned *type, struct str *value);

#endif
