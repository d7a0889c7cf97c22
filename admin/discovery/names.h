/*
 * The source of members of STRICT_DNS and LOGICAL_DNS clusters: each name
 * is asked when its cluster comes, and again and again after that.
 *
 * STRICT_DNS: every address of every name is a member.  A name that fails
 * keeps the addresses it had; one that is answered with none has none.
 * LOGICAL_DNS: one member, at the address it has as long as the answer
 * names it, else at the first one.
 *
 * A cluster is warm when all its names were answered or failed, or a
 * second after the first answer.
 */
#ifndef ADMIN_DISCOVERY_NAMES_H
#define ADMIN_DISCOVERY_NAMES_H

struct loop;
struct members;
struct names;

/* Observes the members: before any of them come. */
struct names *names_new(struct loop *l, struct members *m);
void names_free(struct names **np); /* after members_fini() */

#endif
