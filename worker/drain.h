/*
 * How this worker's connections are told to go, spread over time so that
 * clients do not all come back at once.
 *
 * Three reasons: the worker drains (it is to end), its health is failed
 * (clients should go elsewhere, accepting goes on), or a listener is
 * removed.  HTTP/1 hears `connection: close` on a response, HTTP/2 a
 * GOAWAY at the connection's own moment.  The worker owns one struct
 * drain; connections ask it.
 */
#ifndef WORKER_DRAIN_H
#define WORKER_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/ipc/drain_order.h"

struct shm_flags;

struct drain {
	bool immediate;	     /* --drain-strategy immediate */
	uint64_t window_ns;  /* --drain-time-s */
	uint64_t started_ns; /* 0: not draining */
	bool draining;
	bool stopped; /* accepting was stopped for good */
	uint64_t cut_ns[DRAIN_KINDS]; /* what is held longer is cut; UINT64_MAX: never */
	/* health as of the last look at the flags */
	bool health_failed;
	uint64_t health_changed_ns;
};

void drain_init(struct drain *d, uint32_t drain_time_s, bool immediate);
/* The worker is to end: over `seconds`, from now on. */
void drain_start(struct drain *d, uint64_t now_ns, uint64_t seconds, bool immediate);
/* The same as ordered, deadlines included: the window ends before that of HTTP connections. */
void drain_obey(struct drain *d, uint64_t now_ns, const struct drain_order *o);
/* While draining: deadlines come nearer, never further. */
void drain_hurry(struct drain *d, uint64_t now_ns, const struct drain_order *o);
bool drain_is_late(const struct drain *d, enum drain_kind kind, uint64_t now_ns);
/* Looks at the generation's flags; true when health changed since the last look. */
bool drain_look(struct drain *d, const struct shm_flags *flags);

/*
 * Envoy's gradual decision, taken at each response: the later, the
 * likelier.  `dice` is a random number.
 */
bool drain_decides(const struct drain *d, uint64_t now_ns, uint64_t dice);

/*
 * When a connection that is open now is told: the moment drawn for it, 0
 * for never.  While the worker drains: within the first quarter of the
 * window (Envoy's spread for connections); while health is failed:
 * within a tenth of it, at most 10 s, and not when `modify_only`.
 */
uint64_t drain_moment(const struct drain *d, bool modify_only, uint64_t now_ns, uint64_t dice);

/* End of the window: connections that are idle may be closed.  UINT64_MAX when not draining. */
uint64_t drain_end_ns(const struct drain *d);

#endif
