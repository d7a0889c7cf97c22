/*
 * The other generations of this line, as the one that serves looks after
 * them once a second: what died is folded into the totals, processes
 * whose master died are adopted and drained.
 */
#ifndef MASTER_LINE_H
#define MASTER_LINE_H

struct master;

void line_look(struct master *m);

#endif
