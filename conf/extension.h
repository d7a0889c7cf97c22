/*
 * The places where an extension stands: a message with a name and a
 * typed_config, or a map from name to Any.
 */
#ifndef CONF_EXTENSION_H
#define CONF_EXTENSION_H

#include <stdbool.h>

#include "conf/types.h"

struct message_build;
struct node;
struct where;

/* What the Any of the message at `w` configures; TYPE_NONE when it is no such place. */
enum type_category extension_category(const struct where *w);
/*
 * Is the item at `w` of a list left out: an optional HTTP filter, or a load
 * balancing policy, of a type that nobody knows?  Says so.
 */
bool extension_is_left_out(
    struct message_build *b, const ProtobufCMessageDescriptor *item, const struct where *w);

#endif
