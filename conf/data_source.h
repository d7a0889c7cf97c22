/*
 * DataSource: bytes given in the configuration, in a file or in the
 * environment.  Only admin opens files: it inlines them before it
 * publishes, so that a worker finds inline_bytes or inline_string.
 */
#ifndef CONF_DATA_SOURCE_H
#define CONF_DATA_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include <protobuf-c/protobuf-c.h>

#include "envoy/config/core/v3/base.pb-c.h"
#include "lib/base/arena.h"
#include "lib/base/str.h"

struct err;

/* Appends the bytes; -1 when they cannot be had or are more than `most`. */
int data_source_read(
    const Envoy__Config__Core__V3__DataSource *d, size_t most, struct strb *out, struct err *err);

/* False for one that is not set, a file that cannot be read, a variable that does not exist. */
bool data_source_is_there(const Envoy__Config__Core__V3__DataSource *d);

/*
 * Gives m with every DataSource below it, the insides of Anys too, turned
 * into inline_bytes; m itself when there is nothing to turn, else a copy
 * in the arena.  NULL when one cannot be read.
 */
const ProtobufCMessage *data_sources_inline(
    struct arena *a, const ProtobufCMessage *m, size_t most, struct err *err);

#endif
