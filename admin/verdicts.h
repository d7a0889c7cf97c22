/*
 * What the last generation knew of its hosts: active checks, ejections
 * and the operator's word, so that the next one starts warm.  They are
 * read from its segment, by name, before the first member is made
 * (members.inherited); one that comes later finds its verdict there, too.
 */
#ifndef ADMIN_VERDICTS_H
#define ADMIN_VERDICTS_H

struct admin;

void verdicts_inherit(struct admin *a);

#endif
