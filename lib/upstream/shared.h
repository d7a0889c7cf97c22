/*
 * Values that many hosts have in common: a locality, a hostname, metadata.
 * Equal values are one object of the process, so equality is a comparison
 * of pointers, and ten thousand hosts of one zone cost the zone once.
 * Refcounted; NULL stands for "none" and is never counted.
 */
#ifndef UPSTREAM_SHARED_H
#define UPSTREAM_SHARED_H

#include <stdbool.h>
#include <stdint.h>

#include "envoy/config/core/v3/base.pb-c.h"
#include "google/protobuf/struct.pb-c.h"
#include "lib/base/err.h"
#include "lib/base/str.h"

struct locality {
	uint32_t refs;
	struct str key; /* the three names, each with a NUL behind it */
	struct str region, zone, sub_zone;
};

struct hostname {
	uint32_t refs;
	struct str text;
};

struct metadata {
	uint32_t refs;
	struct str packed;   /* envoy.config.core.v3.Metadata */
	bool canary;         /* envoy.lb {canary: true} */
	struct str hash_key; /* envoy.lb {hash_key: …}; "" when none */
	struct metadata_open *open; /* the message, once somebody asked */
};

/* Each gives one reference; NULL when all names (the text, the bytes) are empty. */
struct locality *locality_get(struct str region, struct str zone, struct str sub_zone);
struct hostname *hostname_get(struct str text);
/* -1 when the bytes are no Metadata; *out is NULL for no bytes. */
int metadata_get(struct metadata **out, struct str packed, struct err *err);

struct locality *locality_ref(struct locality *l);
struct hostname *hostname_ref(struct hostname *n);
struct metadata *metadata_ref(struct metadata *md);
void locality_unref(struct locality **lp);
void hostname_unref(struct hostname **np);
void metadata_unref(struct metadata **mp);

/* The message; unpacked at the first call and kept. */
const Envoy__Config__Core__V3__Metadata *metadata_message(struct metadata *md);
/* The value of filter_metadata["envoy.lb"].fields[key], or NULL; md may be NULL. */
const Google__Protobuf__Value *metadata_lb(struct metadata *md, struct str key);

#endif
