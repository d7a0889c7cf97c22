/*
 * The admin process: what its files share.  One struct admin a process;
 * each member is owned by it and explained in its own header.
 */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include <stdbool.h>
#include <stdint.h>

#include "admin/config/files.h"
#include "admin/config/publish.h"
#include "admin/config/store.h"
#include "admin/config/turns.h"
#include "admin/discovery/members.h"
#include "admin/stats.h"
#include "lib/event/loop.h"
#include "lib/event/timer.h"
#include "lib/event/work.h"
#include "lib/ipc/channel.h"
#include "lib/ipc/process.h"

struct announce;
struct eds;
struct flushes;
struct health;
struct message_view;
struct names;
struct orphan;
struct outliers;
struct reload;
struct segment;
struct signals;
struct startup;
struct web;
struct xds;

struct admin {
	const struct process_start *start; /* borrowed from master's fork */
	const struct settings *settings;
	struct loop *loop;
	struct works works; /* what takes long: reloads, responses of control planes */
	struct segment *segment; /* borrowed: this process's own */
	struct channel *channel; /* to master; NULL for orphans and tests */
	struct orphan *orphan;
	struct signals *signals;
	struct startup *startup;
	struct reload *reload;
	struct store store;
	VEC(struct store) past;    /* replaced while somebody read them */
	unsigned store_readers;
	struct publish *publish;
	struct turns turns; /* at the barrier */
	struct files files;
	struct members members;
	struct health *health;
	struct outliers *outliers;
	struct announce *announce;
	struct xds *xds;
	struct eds *eds;
	struct names *names;
	struct admin_stats stats;
	struct flushes *flushes;
	struct folds *folds;
	struct web *web;
	int adopted_fd; /* to another master, about to become the channel; -1: none */
	int exit_status;
	bool ending;  /* admin_stop() was called */
	bool serving; /* start-up is complete */
	uint64_t parent_connections; /* of draining generations, as master says */
	bool draining; /* this generation drains: told by master */
	enum {
		DRAINED_NONE,
		DRAINED_INBOUND,
		DRAINED_ALL
	} listeners_drained; /* /drain_listeners was asked for, for these */
};

/* Sends to one worker, to all of them (SEAT_ALL), or to master; m is empty again after. */
void admin_send(struct admin *a, struct message *m);
void admin_stop(struct admin *a, int exit_status); /* ends after this turn */

/* Answers that are made in slices borrow from the store: it stays until the last one is done. */
void admin_store_hold(struct admin *a);
void admin_store_release(struct admin *a);
/* The next becomes the store; the journal goes along. */
void admin_store_replace(struct admin *a, struct store *next);
void admin_store_fini(struct admin *a); /* also those that somebody read */

/* What /ready, /server_info and server.state say: enum server_state, health included. */
unsigned admin_state(const struct admin *a);
const char *admin_state_name(unsigned state);

#endif
