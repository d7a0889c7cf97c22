/*
 * Readers for fields whose default is Envoy's and not zero, so that each
 * default is written at one place: where the field is read.
 */
#ifndef CONF_DEFAULTS_H
#define CONF_DEFAULTS_H

#include <stdbool.h>
#include <stdint.h>

#include "google/protobuf/duration.pb-c.h"
#include "google/protobuf/wrappers.pb-c.h"

static inline bool
conf_bool(const Google__Protobuf__BoolValue *v, bool unset)
{
	return v ? v->value : unset;
}

static inline uint32_t
conf_u32(const Google__Protobuf__UInt32Value *v, uint32_t unset)
{
	return v ? v->value : unset;
}

static inline uint64_t
conf_u64(const Google__Protobuf__UInt64Value *v, uint64_t unset)
{
	return v ? v->value : unset;
}

static inline double
conf_double(const Google__Protobuf__DoubleValue *v, double unset)
{
	return v ? v->value : unset;
}

/* Whole milliseconds; what is above zero is at least 1. */
static inline uint64_t
conf_duration_ms(const Google__Protobuf__Duration *d, uint64_t unset)
{
	uint64_t ms;

	if (!d)
		return unset;
	if (d->seconds < 0 || d->nanos < 0)
		return 0;
	ms = (uint64_t)d->seconds * 1000 + (uint64_t)d->nanos / 1000000;
	return ms == 0 && d->nanos > 0 ? 1 : ms;
}

/* A proto string that is not set is "": NULL for readers who ask for that. */
static inline const char *
conf_string(const char *s)
{
	return s && s[0] ? s : NULL;
}

#endif
