/*
 * The other generations of this line, as the one that serves looks after
 * them once a second: what died is folded into the totals, processes
 * whose master died are adopted and drained.
 */
#ifndef MASTER_LINE_H
#define MASTER_LINE_H

struct link;
struct master;

void line_look(struct master *m);
/* How many drain, and the oldest of those that tell of themselves (NULL: none does). */
unsigned line_draining(const struct master *m, const struct link **oldest);

#endif
