/*
 * What a new configuration changes: the rows that the journal gets, and
 * nothing for what is the same.
 */
#ifndef ADMIN_CONFIG_DIFF_H
#define ADMIN_CONFIG_DIFF_H

#include "admin/config/store.h"

enum diff_change {
	DIFF_ADDED,
	DIFF_CHANGED,
	DIFF_REMOVED,
	DIFF_CHANGES,
};

struct diff_row {
	enum resource_kind kind;
	enum diff_change change;
	struct str name;		 /* borrowed from one of the two stores */
	const ProtobufCMessage *message; /* NULL: removed */
};

struct diff {
	VEC(struct diff_row) rows;
	struct map clusters; /* names of those that have a row */
	unsigned count[RESOURCE_KINDS][DIFF_CHANGES];
};

/* Also gives what is the same in next the time since when it is like this. */
void diff_make(struct diff *d, struct store *now, struct store *next);
/* Members of a cluster that is the same otherwise; they are written elsewhere (members_write). */
void diff_add_members(struct diff *d, struct store *next, struct str cluster);
void diff_fini(struct diff *d);
int diff_write(const struct diff *d, struct journal *j, struct err *err);
/* "listeners: 1 added, 2 changed; clusters: 1 removed" */
void diff_text(const struct diff *d, struct strb *out);

/* The field that differs and cannot change while the proxy runs, or NULL. */
const char *diff_needs_restart(const struct store *now, const struct store *next);

#endif
