/*
 * A named message with a version: what the journal carries and a snapshot
 * is built from.  The bytes of a record are
 *
 *   u8 kind · u8 removed · u16 0 · u32 length of name · u32 length of message ·
 *   u32 0 · u64 version · name · packed message          (little endian)
 *
 * A record of the journal (lib/ipc/journal.h) has the resource's kind and
 * name, its version as 16 hex digits, and as bytes what resource_write()
 * wrote: a reader gives record.bytes to resource_read().  Clusters stand
 * there with names resolved to addresses, listeners always have a name,
 * and the bootstrap is whole, its static resources too (for dumps only:
 * what is in force are the records of clusters and listeners).
 */
#ifndef CONF_RESOURCE_H
#define CONF_RESOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "lib/base/arena.h"
#include "lib/base/str.h"

struct err;

enum resource_kind {
#define RESOURCE(id, label, descriptor) RESOURCE_##id,
#define RESOURCE_RAW(id, label) RESOURCE_##id,
#include "conf/resources.def"
#undef RESOURCE
#undef RESOURCE_RAW
	RESOURCE_KINDS,
};

struct resource {
	enum resource_kind kind;
	bool removed; /* no message: the name is gone */
	struct str name;
	uint64_t version; /* hash of the packed message */
	struct str packed;
};

const char *resource_kind_name(enum resource_kind k);
const ProtobufCMessageDescriptor *resource_descriptor(enum resource_kind k);

/* Appends one record. */
void resource_write(
    struct strb *out, enum resource_kind k, struct str name, const ProtobufCMessage *m);
void resource_write_removed(struct strb *out, enum resource_kind k, struct str name);
/* Reads one record that fills `bytes`; the result borrows from it.  0, or -1 with err. */
int resource_read(struct str bytes, struct resource *out, struct err *err);
/* The message of a resource that was read, in the arena; NULL with err. */
ProtobufCMessage *resource_message(struct arena *a, const struct resource *r, struct err *err);

#endif
