/*
 * Reload: the configuration of the command line is read anew, and what
 * changed is published, or nothing is.
 *
 *   IDLE → LOADING → LISTENING → WARMING → PUBLISHING → IDLE
 *
 * (reading and comparing, in slices; sockets of new addresses, members of
 * new clusters, barrier).  Whatever is refused on the
 * way is given back: sockets, the journal's tail, opened log files.  One
 * at a time; whoever asks while one goes on is answered at the end of one
 * more, which begins then.
 */
#ifndef ADMIN_RELOAD_H
#define ADMIN_RELOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"

struct admin;
struct reload;
struct store;

struct reload *reload_new(struct admin *a);
void reload_free(struct reload **rp);

/* id: of the CONTROL that asks, answered with CONTROL_DONE. */
void reload_ask(struct reload *r, uint64_t id, bool json);
void reload_may_begin(struct reload *r); /* start-up is complete */

/* What is about to be in force, or NULL: its clusters may be waited for already. */
struct store *reload_next(struct reload *r);

/* To the workers: a prepared configuration that nobody will put in force. */
void reload_forget_prepared(struct admin *a);

/* True when the answer was to this reload's question. */
bool reload_on_listened(struct reload *r, struct str key, bool ok, struct str text);
/* Every worker is ready; USE is about to be sent. */
void reload_before_use(struct reload *r);
/* A cluster has become warm. */
void reload_on_warm(struct reload *r);

#endif
