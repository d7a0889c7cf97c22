/*
 * A FieldMask: comma-separated paths into a message, "name,admin.address".
 * An empty mask lets everything through.
 */
#ifndef WEB_MASK_H
#define WEB_MASK_H

#include <stdbool.h>

#include "lib/base/arena.h"
#include "lib/base/str.h"
#include "lib/base/vec.h"

struct ProtobufCMessage;

struct mask {
	VEC(struct str) paths; /* borrowed texts */
};

void mask_parse(struct mask *m, struct str text);
void mask_fini(struct mask *m);
bool mask_allows(const struct mask *m, const char *field);
/* What the mask says below a field that it allows. */
void mask_below(struct mask *out, const struct mask *m, const char *field);
/* The message with only what the mask allows; itself when that is all.  NULL: it cannot be copied. */
const struct ProtobufCMessage *mask_apply(
    const struct mask *m, const struct ProtobufCMessage *message, struct arena *a);

#endif
