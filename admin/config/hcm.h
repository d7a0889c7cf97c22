/*
 * What stands in a listener's filter chains: its HTTP connection managers
 * and what they log to.
 */
#ifndef ADMIN_CONFIG_HCM_H
#define ADMIN_CONFIG_HCM_H

#include <stdbool.h>

#include "envoy/config/listener/v3/listener.pb-c.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb-c.h"
#include "lib/base/arena.h"
#include "lib/base/err.h"

typedef Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__HttpConnectionManager
    HttpConnectionManager;

/* Calls fn for each; its -1 ends the walk and is given back. */
int hcm_each(const Envoy__Config__Listener__V3__Listener *l, struct arena *scratch,
    int (*fn)(void *arg, const HttpConnectionManager *hcm, struct err *err), void *arg,
    struct err *err);

/* The path of a file access log, or NULL when it is of another kind. */
const char *access_log_path(const Envoy__Config__Accesslog__V3__AccessLog *log, struct arena *scratch);
bool hcm_has_filter(const HttpConnectionManager *hcm, const char *full_name);

#endif
