/*
 * Upgrades: whether a request asks for one, and whether it may.  Requests
 * have their HTTP/1 shape here whatever they came in (lib/http/codec.h).
 */
#ifndef HCM_UPGRADE_H
#define HCM_UPGRADE_H

#include <stdbool.h>

#include "lib/http/headers.h"

struct hcm_config;
struct route;

/* The type asked for ("websocket", "CONNECT"), or {NULL, 0}. */
struct str upgrade_type(const struct headers *h);
/* The route decides, else the HCM; r may be NULL. */
bool upgrade_is_allowed(const struct hcm_config *c, const struct route *r, struct str type);

#endif
