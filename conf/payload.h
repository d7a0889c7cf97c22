/* The bytes that a health check sends or expects: hexadecimal text, or the bytes themselves. */
#ifndef CONF_PAYLOAD_H
#define CONF_PAYLOAD_H

#include "envoy/config/core/v3/health_check.pb-c.h"
#include "lib/base/arena.h"

size_t payload_size(const Envoy__Config__Core__V3__HealthCheck__Payload *p);
/* p was checked; binary bytes are copied too. */
struct str payload_read(const Envoy__Config__Core__V3__HealthCheck__Payload *p, struct arena *a);

#endif
