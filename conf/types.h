/*
 * Every message that may stand in an Any: its URL, what kind of thing it
 * configures, and the names by which people call it without a URL.  The
 * rows are conf/types.def.
 */
#ifndef CONF_TYPES_H
#define CONF_TYPES_H

#include <protobuf-c/protobuf-c.h>

#include "lib/base/str.h"

#define TYPE_PREFIX "type.googleapis.com/"

enum type_category {
	TYPE_NONE,
	TYPE_NETWORK_FILTER,
	TYPE_HTTP_FILTER,
	TYPE_ACCESS_LOG,
	TYPE_LB_POLICY,
	TYPE_HTTP_OPTIONS,
	TYPE_HEALTH_EVENT_SINK,
	TYPE_CLUSTER,
	TYPE_DNS_RESOLVER,
	TYPE_RETRY_HOST,
	TYPE_RETRY_PRIORITY,
	TYPE_RETRY_POLICY,
	TYPE_RESOURCE,
};

struct message_type {
	const char *full_name; /* "envoy.config.cluster.v3.Cluster" */
	enum type_category category;
	const char *name;			      /* canonical extension name, or NULL */
	const char *legacy;			      /* name from the time before v3, or NULL */
	const ProtobufCMessageDescriptor *descriptor; /* NULL: Envoy has it, baton does not yet */
};

/* By type URL: what follows the last '/'; NULL when nobody knows it. */
const struct message_type *type_by_url(struct str url);
/* By extension name, canonical or legacy, within a category; NULL when nobody knows it. */
const struct message_type *type_by_name(enum type_category category, struct str name);
const struct message_type *type_of(const ProtobufCMessageDescriptor *descriptor);
/* The nearest known URL or name, for "did you mean"; NULL when none is near. */
const char *type_nearest_url(struct str url);
const char *type_nearest_name(enum type_category category, struct str name);
const char *type_category_name(enum type_category category);

#endif
