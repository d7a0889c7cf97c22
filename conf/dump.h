/*
 * Message → proto3 JSON: snake_case names, 64-bit numbers as strings,
 * enums by name, durations as "1.500s", what an Any holds beside its
 * @type, secrets as "[redacted]".
 */
#ifndef CONF_DUMP_H
#define CONF_DUMP_H

#include <stdbool.h>

#include <protobuf-c/protobuf-c.h>

struct json_out;

struct dump_options {
	bool defaults;	  /* also the fields that are not set */
	const char *type; /* written first as "@type"; NULL: left out */
};

/* Writes one value. */
void conf_dump(struct json_out *j, const ProtobufCMessage *m, const struct dump_options *o);

#endif
