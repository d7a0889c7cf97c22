/*
 * From nothing to serving.  The first admin of a generation reads the
 * configuration and walks
 *
 *   LOADING → LISTENING → WARMING → GATHERING → PUBLISHING → OPENING → DONE
 *
 * (sockets, first members and checks, workers, barrier, the workers' sockets).  Anything refused on
 * the way ends in FAILED: the reason is logged once, master is told, this process exits 1.
 *
 * An admin that replaces one finds the journal in force: it takes what
 * stands there instead of the file and goes LOADING → LISTENING → DONE
 * without touching workers; what fails then is logged, nothing ends.
 */
#ifndef ADMIN_STARTUP_H
#define ADMIN_STARTUP_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"

struct admin;
struct startup;

/* Begins; what follows comes by the calls below. */
struct startup *startup_begin(struct admin *a);
void startup_free(struct startup **sp);

void startup_on_listened(struct startup *s, struct str key, bool ok, struct str text);
/* Takes fd. */
void startup_on_admin_fd(struct startup *s, struct str key, int fd);
/* A cluster has its members and their first checks. */
void startup_on_warm(struct startup *s);
/* A worker came or went. */
void startup_on_workers(struct startup *s);
/* A worker has its sockets. */
void startup_on_accepts(struct startup *s);
/* Every worker is ready; USE is about to be sent. */
void startup_before_use(struct startup *s);

struct str startup_admin_key(const struct startup *s); /* empty: no admin port */
bool startup_is_over(const struct startup *s);
bool startup_is_again(const struct startup *s); /* this admin replaced one */

#endif
