/* How addresses and unnamed listeners are called, the same everywhere. */
#ifndef CONF_NAMES_H
#define CONF_NAMES_H

#include <stdbool.h>

#include "envoy/config/core/v3/address.pb-c.h"
#include "envoy/config/listener/v3/listener.pb-c.h"

#define ADDRESS_TEXT 160

/* "127.0.0.1:80", "[::1]:80", "/run/x.sock", "@abstract". */
void address_write(const Envoy__Config__Core__V3__Address *a, char out[ADDRESS_TEXT]);
/* False for port 0, which is another one each time. */
bool address_is_fixed(const Envoy__Config__Core__V3__Address *a);
/* A listener's name; one without is called by its address. */
void listener_name_write(const Envoy__Config__Listener__V3__Listener *l, char *out, size_t size);

#endif
