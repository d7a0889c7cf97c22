/* Who we are: bootstrap.node, and what this program adds to it. */
#ifndef XDS_IDENTITY_H
#define XDS_IDENTITY_H

#include "envoy/config/core/v3/base.pb-c.h"
#include "lib/base/arena.h"

/* n: of the bootstrap, or NULL; shared with the result, which lies in the arena. */
const Envoy__Config__Core__V3__Node *identity_make(
    struct arena *a, const Envoy__Config__Core__V3__Node *n);

#endif
