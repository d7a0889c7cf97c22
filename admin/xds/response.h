/*
 * A DiscoveryResponse, opened and judged: each resource is a message that
 * is sound by itself, or has a sentence that says why not, naming the
 * resource and the field.  Bytes of a stranger: sizes and nesting are
 * looked at before anything is unpacked.  Knows no streams; the fuzzer
 * calls it alone.
 */
#ifndef XDS_RESPONSE_H
#define XDS_RESPONSE_H

#include "admin/xds/types.h"
#include "envoy/service/discovery/v3/discovery.pb-c.h"
#include "lib/base/arena.h"
#include "lib/base/err.h"
#include "lib/base/map.h"
#include "lib/base/vec.h"

struct xds_resource {
	struct str name;                 /* may be empty when it is bad */
	struct str version;              /* its own, when it came in a Resource; else the response's */
	const ProtobufCMessage *message; /* NULL: bad */
	const char *why;                 /* of a bad one */
};

struct xds_response {
	struct arena arena; /* owns all below */
	const Envoy__Service__Discovery__V3__DiscoveryResponse *message;
	VEC(struct xds_resource) resources;
	struct map by_name; /* the first of each name */
	unsigned bad, nameless; /* nameless: bad, and nobody knows whose */
};

/* Unpacks only: type, nonce and version are known after it.  -1: no DiscoveryResponse. */
int xds_response_open(struct xds_response *r, struct str packed, struct err *err);
/* One that was built from a text, in r->arena. */
void xds_response_init(struct xds_response *r);
/* Its resources, as those of a type. */
void xds_response_judge(struct xds_response *r, enum xds_type_id type);
void xds_response_fini(struct xds_response *r);

struct xds_resource *xds_response_find(struct xds_response *r, struct str name);
/* The bad ones' reasons, for error_detail: cut when there are many. */
void xds_response_reasons(const struct xds_response *r, struct strb *out);

#endif
