/*
 * What is wrong with a configuration, collected so that one run tells
 * all of it: at most DIAG_ERRORS errors, one a place, and notices.
 *
 *   edge.yaml:12:9: error: static_resources.clusters[0].conect_timeout: unknown field
 *       conect_timeout: 1s
 *       ^
 *     did you mean 'connect_timeout'?
 */
#ifndef CONF_DIAG_H
#define CONF_DIAG_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/str.h"

#define DIAG_ERRORS 20
#define DIAG_NOTICES 100

struct document;

enum diag_kind {
	DIAG_ERROR,
	DIAG_WARNING, /* works, but is deprecated or has no effect; each said once */
};

struct diag_entry {
	enum diag_kind kind;
	const char *file;      /* NULL when it came from no text */
	uint32_t line, column; /* from 1; 0 when unknown */
	const char *path;      /* "static_resources.clusters[0].name"; "" for the whole */
	const char *text;
	const char *near;  /* the nearest valid name, or NULL */
	struct str source; /* the line of the file */
};

struct diag {
	struct arena arena; /* owns the texts */
	struct diag_entry *entries;
	unsigned count, cap;
	unsigned errors; /* all of them, kept or not */
	unsigned warnings;
};

void diag_init(struct diag *d);
void diag_fini(struct diag *d);

/* `doc` may be NULL; line 0 means unknown.  A second error at the same place is dropped. */
void diag_add(struct diag *d, enum diag_kind kind, const struct document *doc, uint32_t line,
    uint32_t column, const char *path, const char *near, const char *text);

/* All of it as the operator reads it; with `errors_only` the warnings are left out. */
void diag_print(const struct diag *d, struct strb *out, bool errors_only);
void diag_print_entry(const struct diag_entry *e, struct strb *out);
/* The first error in one line, for an answer that has room for one; "" when there is none. */
void diag_first(const struct diag *d, struct strb *out);

#endif
