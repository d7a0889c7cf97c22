/* Fields that Envoy has and we do not carry out: conf/rules/unsupported.def. */
#ifndef CONF_UNSUPPORTED_H
#define CONF_UNSUPPORTED_H

#include <protobuf-c/protobuf-c.h>

#include "conf/near.h"

/* The field's name when `key` (either spelling) is such a field of the message; else NULL. */
const char *unsupported_by_name(const ProtobufCMessageDescriptor *message, struct str key);
const char *unsupported_by_number(const ProtobufCMessageDescriptor *message, uint32_t number);
/* What does the same here, or NULL; field: as given by one of the two above. */
const char *unsupported_instead(const ProtobufCMessageDescriptor *message, const char *field);
/* Offers all of a message's to "did you mean". */
void unsupported_offer(const ProtobufCMessageDescriptor *message, struct near *near);

#endif
