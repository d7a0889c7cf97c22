/*
 * Places.  A `struct where` is one step of the path to what is being
 * read; steps lie on the stack and point upwards:
 *
 *   static_resources . clusters [2] . connect_timeout
 *
 * `struct origins` remembers for each message which mapping it was
 * written as, so that what a later check finds wrong can be shown too.
 */
#ifndef CONF_WHERE_H
#define CONF_WHERE_H

#include <stdarg.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "lib/base/arena.h"
#include "lib/base/map.h"
#include "lib/base/str.h"

struct diag;
struct document;
struct node;

struct where {
	const struct where *up;
	struct str field; /* proto name, or the map key when `keyed`; p = NULL: no name */
	int index;	  /* ≥ 0: an item of a list */
	const ProtobufCMessageDescriptor *type; /* of the message that stands here, if it is one */
	const struct document *doc;		/* NULL: not from a text */
	const struct node *node;		/* what is shown with a caret; NULL: unknown */
};

void where_path(const struct where *w, struct strb *out);
/* Both give -1. */
int where_error(struct diag *d, const struct where *w, const char *near, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void where_warn(struct diag *d, const struct where *w, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

struct origin {
	const ProtobufCMessage *message;
	const struct document *doc;
	const struct node *node;
	const struct origin *older; /* an earlier text that was merged into */
	ProtobufCMessage *inner;    /* of an Any: what it holds, before packing */
};

struct origins {
	struct arena *arena; /* borrowed */
	struct map map;	     /* message → struct origin */
};

void origins_fini(struct origins *o);
struct origin *origins_add(struct origins *o, const ProtobufCMessage *m, const struct where *w);
struct origin *origins_get(const struct origins *o, const ProtobufCMessage *m); /* NULL: unknown */
/* The node of a field as written, in either spelling; *doc is its text.  NULL: not written. */
const struct node *origin_field(
    const struct origin *o, const char *field, const struct document **doc);

/* Is `key` this field's name, or the JSON name made from it? */
bool field_is_called(const char *field, struct str key);

#endif
