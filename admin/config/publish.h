/*
 * The barrier between admin and the workers: PREPARE(n) to every worker,
 * all PREPARED, USE(n); or one refusal and nothing has changed.  One
 * publish at a time; a later one waits for its caller to ask again.
 *
 *   IDLE → PREPARING → IDLE
 *
 * A worker that ends leaves the barrier; one that comes meanwhile is
 * asked as well.  When three have ended it is refused: building it is
 * what they die of.  Knows the living workers all the time.
 */
#ifndef ADMIN_CONFIG_PUBLISH_H
#define ADMIN_CONFIG_PUBLISH_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"

struct publish;

struct publish_events {
	/* Sends PREPARE to one seat, USE to SEAT_ALL. */
	void (*send_prepare)(void *arg, unsigned seat, uint64_t offset);
	void (*send_use)(void *arg, uint64_t offset);
	/* refused: the reason, or NULL when the offset is in force. */
	void (*on_done)(void *arg, uint64_t offset, const char *refused);
};

struct publish *publish_new(const struct publish_events *events, void *arg);
void publish_free(struct publish **pp);

bool publish_is_busy(const struct publish *p);
/* Not while busy.  With no worker alive it is done at once. */
void publish_start(struct publish *p, uint64_t offset);
uint64_t publish_used(const struct publish *p); /* offset in force, 0 at first */
void publish_set_used(struct publish *p, uint64_t offset); /* a new admin: what is in force already */

void publish_worker_started(struct publish *p, unsigned seat);
void publish_worker_ended(struct publish *p, unsigned seat);
void publish_prepared(struct publish *p, unsigned seat, uint64_t offset, bool ok, struct str reason);

unsigned publish_workers(const struct publish *p); /* alive now */
/* A worker has the configuration and its sockets: it needs nobody to accept. */
void publish_worker_accepts(struct publish *p, unsigned seat);
bool publish_all_accept(const struct publish *p); /* and there is one */

#endif
