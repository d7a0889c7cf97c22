/*
 * One scalar of a text as a field's type wants it, by the rules of proto3
 * JSON; plus what is unambiguous (plain numbers for strings, numbers in
 * quotes, enum names in any case).
 */
#ifndef CONF_SCALAR_H
#define CONF_SCALAR_H

#include <protobuf-c/protobuf-c.h>

#include "lib/base/arena.h"
#include "lib/base/str.h"

struct node;

struct scalar_error {
	struct strb text; /* what is wrong; scalar_error_fini() frees it */
	const char *near; /* the nearest valid word, or NULL */
};

void scalar_error_fini(struct scalar_error *e);

/* Writes the value where a field of this type has it (sizes as protobuf-c's).  0, or -1 with *e. */
int scalar_read(struct arena *a, const ProtobufCFieldDescriptor *f, const struct node *n, void *out,
    struct scalar_error *e);

/* "1.5s", "-0.25s". */
int scalar_duration(const struct node *n, int64_t *seconds, int32_t *nanos, struct scalar_error *e);

/* A plain scalar that reads as a JSON number. */
bool scalar_is_number(const struct node *n, double *out);

#endif
