/*
 * The messages that proto3 JSON writes in a form of their own: Duration,
 * the wrappers, Any, Struct, Value, ListValue.
 */
#ifndef CONF_WELLKNOWN_H
#define CONF_WELLKNOWN_H

#include <stdbool.h>

#include "conf/message.h"
#include "conf/types.h"

struct json_out;

enum wellknown {
	WELLKNOWN_NONE,
	WELLKNOWN_DURATION,
	WELLKNOWN_WRAPPER,
	WELLKNOWN_ANY,
	WELLKNOWN_STRUCT,
	WELLKNOWN_VALUE,
	WELLKNOWN_LIST,
};

enum wellknown wellknown_of(const ProtobufCMessageDescriptor *d);

/* Reads anything but an Any, which wants to know where it stands. */
int wellknown_merge(struct message_build *b, enum wellknown kind, ProtobufCMessage *m,
    const struct node *n, const struct where *w);
/*
 * Reads an Any; `name` is the extension's name beside it, for one without
 * a type ("" when there is none).
 */
int any_merge(struct message_build *b, ProtobufCMessage *any, const struct node *n,
    const struct where *w, enum type_category category, struct str name);
/* Makes `any` the default message of a type. */
void any_default(struct message_build *b, ProtobufCMessage *any, const struct message_type *type,
    const struct where *w);

#endif
