/*
 * What the last generation knew of its hosts: active checks, ejections
 * and the operator's word, so that the next one starts warm.  They are
 * read from its segment, by name: a host that is new here keeps what the
 * configuration says of it.
 */
#ifndef ADMIN_VERDICTS_H
#define ADMIN_VERDICTS_H

struct admin;

void verdicts_inherit(struct admin *a);

#endif
