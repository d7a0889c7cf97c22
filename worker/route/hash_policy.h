/*
 * Hash policies of a route: what of a request decides which host a ring
 * or a Maglev table gives it (RouteAction.hash_policy).  Each one that
 * finds something turns the hash by one bit and mixes its own in; a
 * terminal one ends the search as soon as there is a hash.
 */
#ifndef ROUTE_HASH_POLICY_H
#define ROUTE_HASH_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/http/headers.h"

struct hash_policies;
struct stream_info;

/* msgs: n of envoy.config.route.v3.RouteAction.HashPolicy, borrowed; NULL when there are none. */
struct hash_policies *hash_policies_build(void *const *msgs, size_t n, struct arena *a);

/* A cookie that the client shall keep: for the response, NULL when none. */
struct hash_cookie {
	struct hash_cookie *next;
	struct str text;
};

/* False: no policy found anything.  Cookies that were made are put before *cookies, in the arena. */
bool hash_policies_apply(const struct hash_policies *p, const struct headers *request,
    const struct stream_info *info, struct arena *a, uint64_t *hash, struct hash_cookie **cookies);

#endif
