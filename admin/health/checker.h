/*
 * The active checks of one cluster, and when each of its hosts is asked.
 *
 *   RESTING ──interval──► DUE ──its turn──► ASKING ──answer or timeout──► RESTING
 *
 * All checkers of the process share one queue of checks that are due: a
 * turn of the loop begins a few of them, so that answers are read in
 * between however many are due at once.
 *
 * The timeout is the host's, not ours: what has come is read before it is
 * judged, and time in which this process did something else or was not
 * run at all does not count.
 */
#ifndef ADMIN_HEALTH_CHECKER_H
#define ADMIN_HEALTH_CHECKER_H

#include <stdbool.h>
#include <stdint.h>

#include "admin/health/event_log.h"
#include "admin/health/verdict.h"
#include "envoy/config/core/v3/health_check.pb-c.h"
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/event/loop.h"
#include "lib/net/address.h"
#include "shm/block.h"

struct check;
struct checker;
struct cluster_stats;
struct host_cell;

struct checks_events {
	/* The cell is written; `owner` of the check may be freed by this. */
	void (*on_verdict)(void *arg, void *owner, enum verdict_change change);
	/* Of a check that is awaited: it has an answer, or is gone. */
	void (*on_first)(void *arg, void *owner);
};

/* What the checkers of a process share; embedded in its owner. */
struct checks {
	struct loop *loop;
	const struct checks_events *events;
	void *arg;
	struct event_logs logs;
	struct list due;       /* checks whose time has come */
	struct io pump;        /* no descriptor: asks the loop for one more round */
	struct stat_histogram *delay; /* from due to begun, ms; may be NULL */
	uint64_t busy_ns;      /* spent in turns that were too long */
	bool scarce;           /* descriptors or ports ran out once: none are kept between questions */
};

void checks_init(struct checks *s, struct loop *l, const struct checks_events *e, void *arg);
void checks_fini(struct checks *s);    /* after its checkers */
void checks_on_wait(struct checks *s); /* the loop's turn is over */

struct checker_source {
	const Envoy__Config__Core__V3__HealthCheck *message; /* borrowed for the call */
	struct str cluster;              /* name; borrowed */
	struct str prefix;               /* "cluster.<stat name>."; borrowed */
	const struct cluster_stats *traffic;
	bool hide_new;                   /* ignore_new_hosts_until_first_hc */
};

/* Can its event logs be opened? */
int checker_try_logs(struct checks *s, const Envoy__Config__Core__V3__HealthCheck *m, struct err *err);

struct checker *checker_new(struct checks *s, const struct checker_source *src, struct err *err);
void checker_free(struct checker **cp); /* without checks */
/* Is this what it does already? */
bool checker_is(const struct checker *c, const struct checker_source *src);
struct check_target {
	struct address address; /* of the host, for the event log */
	struct address ask;     /* where it is asked */
	struct str hostname;    /* health_check_config.hostname, or empty; borrowed */
	struct str region, zone, sub_zone; /* borrowed */
	struct host_cell *cell;
	bool in_use;            /* workers have it already, unchecked */
	bool awaited;           /* on_first is wanted, if nothing is known yet */
	void *owner;            /* for events */
};

struct check *checker_add(struct checker *c, const struct check_target *t);
bool check_is_awaited(const struct check *k);
/* forget: what was said of the host goes as well. */
void check_free(struct check **kp, bool forget);
/* The port, or the other address, that the configuration wants asked. */
void checker_place(const struct checker *c, struct check_target *t, uint16_t port);

#endif
