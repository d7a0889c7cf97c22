/*
 * The .def files as tables: what every stat is called, how it is summed
 * and where it stands in its block.  A segment carries these tables, so
 * readers of any version use the segment's, not their own.
 */
#ifndef SHM_SCHEMA_H
#define SHM_SCHEMA_H

#include <stdint.h>

#include "lib/base/str.h"
#include "shm/block.h"
#include "shm/layout.h"

struct schema_row {
	const char *name, *help;
	enum stat_kind kind;
	enum stat_unit unit;
	uint32_t flags; /* ROW_… */
	uint32_t off;
};

struct schema_scope {
	const char *name;
	const struct schema_row *row;
	uint32_t rows;
	uint32_t lane_bytes; /* of one block */
};

extern const struct schema_scope schema_scopes[STAT_SCOPES];

uint32_t schema_shared_bytes(enum stat_scope scope);

/* The tables as they stand in a segment: scopes, rows, strings. */
void schema_write(struct strb *out, uint32_t *rows);

#endif
