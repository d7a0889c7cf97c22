/*
 * Flags of a generation that every process can see: one cell block in the
 * segment's shared area.  The proxy's own health has three doors (admin
 * port, batonctl, signals) to the one cell `health_failed`.
 */
#ifndef SHM_FLAGS_H
#define SHM_FLAGS_H

#include <stdbool.h>
#include <stdint.h>

/* Envoy's server states: server.state, /ready, /server_info. */
enum server_state {
	SERVER_LIVE = 0,
	SERVER_DRAINING = 1,
	SERVER_PRE_INITIALIZING = 2,
	SERVER_INITIALIZING = 3,
};

struct shm_flags {
	uint32_t health_failed; /* out of rotation: 0/1 */
	uint32_t draining;      /* this generation drains */
	uint32_t state;         /* enum server_state as admin sees it, without health_failed */
	uint32_t epoch;
	uint64_t health_changed_ns; /* CLOCK_MONOTONIC of the last change of health_failed */
	uint64_t drain_started_ns;
	uint64_t started_wall_ns;       /* this generation */
	uint64_t first_started_wall_ns; /* the first generation of the line */
};

struct shm_flags *shm_flags(void); /* of the mapped segment; a private zeroed one when none is mapped */

static inline bool
flag_get(const uint32_t *cell)
{
	return __atomic_load_n(cell, __ATOMIC_ACQUIRE) != 0;
}

void shm_set_health_failed(bool failed); /* notes the time; no-op when unchanged */

#endif
