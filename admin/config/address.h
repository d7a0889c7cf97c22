/* Address messages of the configuration as addresses of the system. */
#ifndef ADMIN_CONFIG_ADDRESS_H
#define ADMIN_CONFIG_ADDRESS_H

#include "envoy/config/core/v3/address.pb-c.h"
#include "lib/base/err.h"
#include "lib/net/address.h"

/* -1 when it is not there, a name, or nonsense. */
int address_of_message(struct address *a, const Envoy__Config__Core__V3__Address *m, struct err *err);
/* A name that must be resolved first, or NULL: an IP, a pipe, or nothing. */
const char *address_name(const Envoy__Config__Core__V3__Address *m);

#endif
