/* Types of resources as rows: types.def. */
#ifndef XDS_TYPES_H
#define XDS_TYPES_H

#include "conf/message.h"

#include "lib/base/str.h"

#define XDS_ADS_METHOD                                                                             \
	"/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"

enum xds_type_id {
#define XDS(id, label, message, method, name, state) XDS_##id,
#define LATER(id, label, message)
#include "admin/xds/types.def"
#undef XDS
#undef LATER
	XDS_TYPES,
};

enum xds_state {
	XDS_FULL,
	XDS_PARTIAL,
};

struct xds_type {
	const char *label;   /* "EDS" */
	const ProtobufCMessageDescriptor *message;
	const char *method;  /* of its own stream */
	const char *name;    /* field with the resource's name */
	enum xds_state state;
};

extern const struct xds_type xds_types[XDS_TYPES];

/* By type URL, whatever stands in front of its last '/'; -1: none of ours. */
int xds_type_by_url(struct str url);
/* What people call a type that only Envoy asks for, or NULL. */
const char *xds_type_later(struct str url);
/* "type.googleapis.com/…" of a type. */
void xds_type_url(struct strb *out, enum xds_type_id id);
struct str xds_resource_name(enum xds_type_id id, const ProtobufCMessage *m);

#endif
