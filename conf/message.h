/*
 * Node tree → protobuf message, by walking protobuf-c descriptors with
 * the rules of proto3 JSON; and packed bytes → message with limits that
 * protobuf-c does not have.
 *
 * Messages are built in an arena: they are never given to
 * protobuf_c_message_free_unpacked().
 */
#ifndef CONF_MESSAGE_H
#define CONF_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include <protobuf-c/protobuf-c.h>

#include "lib/base/arena.h"
#include "lib/base/str.h"

struct diag;
struct document;
struct err;
struct node;
struct origins;
struct where;

#define MESSAGE_DEPTH 100
#define MESSAGE_BYTES (64u << 20)

struct message_build {
	struct arena *arena;
	struct diag *diag;
	struct origins *origins; /* remembers where each message was written; may be NULL */
	bool allow_unknown_fields;
};

/*
 * Merges the mapping `n` into the message as protobuf merges: scalars are
 * overridden, lists appended, messages merged.  Errors go to diag; 0 or -1.
 */
int message_merge(struct message_build *b, ProtobufCMessage *into, const struct node *n,
    const struct where *where);

/* An empty message in the arena. */
ProtobufCMessage *message_new(struct arena *a, const ProtobufCMessageDescriptor *type);

/* Unpacks bytes of a stranger or of the journal: size and nesting are looked at first. */
ProtobufCMessage *message_unpack(
    struct arena *a, const ProtobufCMessageDescriptor *type, struct str bytes, struct err *err);
/* Appends the packed form. */
void message_pack(const ProtobufCMessage *m, struct strb *out);

/*
 * What an Any holds, when its type is one of conf/types.def and, if `want`
 * is given, that one; NULL with the reason in err.  An Any that is not
 * there (NULL) gives an empty message of `want`.
 */
const ProtobufCMessage *any_open(struct arena *a, const ProtobufCMessage *any,
    const ProtobufCMessageDescriptor *want, struct err *err);

/* Is the member of a message, oneof or repeated field set? */
bool message_has(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f);
/* The address of a field of m. */
static inline void *
message_field(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	return (char *)m + f->offset;
}
/* Number of items of a repeated field. */
static inline size_t
message_count(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	return *(const size_t *)((const char *)m + f->quantifier_offset);
}
/* Bytes of one value of the field's type as protobuf-c stores it. */
size_t message_value_size(const ProtobufCFieldDescriptor *f);
bool message_field_is_map(const ProtobufCFieldDescriptor *f);
/* Field by proto name, or NULL. */
const ProtobufCFieldDescriptor *message_field_named(
    const ProtobufCMessageDescriptor *d, struct str name);

#endif
