/*
 * Names of STRICT_DNS and LOGICAL_DNS clusters, asked at a start.  The
 * result is a list of clusters whose members have addresses: a name of a
 * STRICT_DNS cluster becomes a member for each address, of a LOGICAL_DNS
 * cluster one member.  A name without an answer gives no member and a
 * warning; the start goes on, as Envoy's.  A reload asks again.
 */
#ifndef ADMIN_DISCOVERY_RESOLVE_H
#define ADMIN_DISCOVERY_RESOLVE_H

#include "lib/base/err.h"

struct loop;
struct store;
struct resolve;

/*
 * before: what is in force, at a reload: the order of answers that the
 * server turns is no change, and a name without an answer keeps the
 * addresses it had.  NULL at the start.
 *
 * Reads the bootstrap's clusters, fills store->clusters, calls on_done
 * from the loop (never from here).  The resolve is freed after on_done.
 */
struct resolve *resolve_start(struct loop *l, struct store *s, struct store *before,
    void (*on_done)(void *arg), void *arg, struct err *err);
void resolve_free(struct resolve **rp);

#endif
