/*
 * The target of a request in one normal form, before anybody routes by
 * it: dot segments, escaped and double slashes in :path, port and trailing
 * dot in :authority.  What may be done is the configuration's choice.
 */
#ifndef HCM_TARGET_H
#define HCM_TARGET_H

#include "lib/http/headers.h"
#include "lib/http/path.h"
#include "worker/hcm/config.h"

/* :path is there and begins with '/'; PATH_REDIRECT: to the :path as it is now. */
enum path_verdict target_normalize_path(
    struct headers *h, struct str path, const struct hcm_config *c);
void target_normalize_host(struct headers *h, const struct hcm_config *c);

#endif
