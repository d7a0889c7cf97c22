/*
 * State tables.  An object that lives over several events has one enum,
 * one table of names and legal successors, and one function that assigns
 * it:
 *
 *   #define DOOR_STATES(STATE)                                    \
 *           STATE(DOOR_OPEN, "open", TO(DOOR_SHUT))               \
 *           STATE(DOOR_SHUT, "shut", TO(DOOR_OPEN) | TO(DOOR_GONE)) \
 *           STATE(DOOR_GONE, "gone", 0)
 *   enum door_state { DOOR_STATES(STATE_ENUM) };
 *   STATE_TABLE(door, DOOR_STATES)       → door_state_names[], door_edges[]
 *   ...
 *   STATE_CHECK(door, d->state, next);   asserts that the step is legal
 */
#ifndef BASE_STATE_H
#define BASE_STATE_H

#include "lib/base/assert.h"

#define TO(state) (1u << (state))
#define STATE_ENUM(id, name, edges) id,
#define STATE_NAME(id, name, edges) name,
#define STATE_EDGES(id, name, edges) (edges),
#define STATE_TABLE(prefix, STATES)                                                                \
	static const char *const prefix##_state_names[] = {STATES(STATE_NAME)};                    \
	static const unsigned prefix##_edges[] = {STATES(STATE_EDGES)};
#define STATE_CHECK(prefix, from, to) ASSERT(prefix##_edges[(from)] & TO(to))

#endif
