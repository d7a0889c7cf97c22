/*
 * The HTTP connection manager of one worker: every downstream connection
 * it carries, from accept to the last byte.  A listener opens them with
 * hcm_open(); they end by themselves.
 *
 * A `struct hcm_place` is where connections come from: the listener's
 * configuration now in force.  Connections take new requests under what
 * the place says at that moment.  When it says something else they *adopt*
 * it: HTTP/2 at once, HTTP/1 between two requests; a request goes on under
 * what it began with.
 */
#ifndef HCM_HCM_H
#define HCM_HCM_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/list.h"
#include "lib/ipc/drain_order.h"
#include "lib/net/address.h"
#include "shm/block.h"

struct drain;
struct hcm_config;
struct hcm_conn;
struct loop;
struct snapshot;

#define WARM_CONNS 64

struct hcm {
	struct loop *loop;
	struct drain *drain; /* borrowed from the worker */
	const char *hostname;
	struct list conns;
	uint64_t next_id, id_step; /* connection ids: no two workers give the same */
	/* What is held now; upgraded ones count in h1 and h2 too. */
	uint32_t held, h1, h2, upgraded, upgraded_h2;
	/* Draining with a successor: who takes idle HTTP/1 connections. */
	void (*on_idle)(void *arg, struct hcm_conn *c);
	void *on_idle_arg;
	/* They keep their codec between two requests: those that were idle last. */
	struct hcm_conn *warm[WARM_CONNS];
	unsigned warm_at;
	uint64_t hold_until_ns; /* nobody takes them just now: idle HTTP/1 ones are not closed before */
};

struct hcm_place {
	struct str key; /* of its listener; borrowed */
	const struct hcm_config *config; /* NULL: none in force; borrowed from snapshot */
	struct snapshot *snapshot;	 /* one reference */
	struct listener_stats *stats;
	struct listener_worker_stats *worker_stats;
	bool modify_only; /* failed health does not concern it */
	uint64_t told_ns; /* since then its connections are told to go; 0: they are not */
	uint64_t end_ns;  /* its listener is removed: idle connections end then; 0: it is not */
	bool came_back;	  /* it was removed and is there again; until the next hcm_adopt() */
	uint32_t conns;	  /* open connections that point here */
};

void hcm_init(struct hcm *m, struct loop *l, struct drain *d, const char *hostname);

/* Takes an accepted, non-blocking fd; tries to read at once.  place->config must be there. */
void hcm_open(struct hcm *m, struct hcm_place *p, int fd, const struct address *remote,
    const struct address *local);

/* ---- from one process to another: what a connection is, beside its descriptor */
struct hcm_given {
	struct address remote, local;
	uint64_t id, opened_ns;
	uint32_t requests;
	bool http1; /* known to be */
	bool kept;  /* nobody wanted it: not to be offered again */
};

/* Calls fn for each connection that becomes idle and may be given away; NULL: no more. */
void hcm_on_idle(struct hcm *m, void (*fn)(void *arg, struct hcm_conn *c), void *arg);
/* One that may be given away now, or NULL. */
struct hcm_conn *hcm_next_idle(struct hcm *m);
struct hcm_place *hcm_place_of(const struct hcm_conn *c);
/* Gives the descriptor and forgets the connection: it counts as active here no more. */
int hcm_give(struct hcm_conn *c, struct hcm_given *out);
bool hcm_would_take(const struct hcm_place *p, const struct hcm_given *g);
/* Takes fd; the connection counts as active here, and not as a new one. */
void hcm_take(struct hcm *m, struct hcm_place *p, int fd, const struct hcm_given *g);
void hcm_count_handed_over(void);

/* Draining began, or health changed: each connection gets its moment. */
void hcm_tell_all(struct hcm *m);
/* Only those of one place, and who comes later. */
void hcm_tell_place(struct hcm *m, struct hcm_place *p);
/* Its listener is removed: they are told, and those that are idle at the end of the window end. */
void hcm_leave_place(struct hcm *m, struct hcm_place *p);
/* Places have another configuration: connections move there, the busy ones later. */
void hcm_adopt(struct hcm *m);

/* ---- held.c: what a draining worker still has */
void hcm_count_held(const struct hcm *m, uint32_t by_kind[DRAIN_KINDS]);
/* Ends what is held beyond the deadline of its kind: each is logged, noted and counted. */
void hcm_cut_late(struct hcm *m);
/* The oldest connections, a line each: kind, client, seconds since it was opened, why it is still
 * there; separated by tabs. */
void hcm_list_held(const struct hcm *m, unsigned most, struct strb *out);

/* Everything ends at once: logs are written, nothing is flushed to clients. */
void hcm_abort_all(struct hcm *m);

#endif
