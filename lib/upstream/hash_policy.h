/*
 * Hash policies: what of a request decides which host a ring or a Maglev
 * table gives it.  A route has them (RouteAction.hash_policy), or the
 * cluster, whose own come before the route's (hash_policy of
 * ConsistentHashingLbConfig).  Each one that finds something turns the
 * hash by one bit and mixes its own in; a terminal one ends the search as
 * soon as there is a hash.
 */
#ifndef UPSTREAM_HASH_POLICY_H
#define UPSTREAM_HASH_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/http/headers.h"

struct address;
struct hash_policies;

/* msgs: n of envoy.config.route.v3.RouteAction.HashPolicy, borrowed; NULL when there are none. */
struct hash_policies *hash_policies_build(void *const *msgs, size_t n, struct arena *a);

/* The same with memory of its own. */
struct hash_policies *hash_policies_new(void *const *msgs, size_t n);
void hash_policies_free(struct hash_policies **pp);

/* A cookie that the client shall keep: for the response, NULL when none. */
struct hash_cookie {
	struct hash_cookie *next;
	struct str text;
};

/* What a policy may look at; the arena: of cookies that are made. */
struct hash_source {
	const struct headers *request;
	const struct address *remote, *direct_remote, *local; /* remote: after x-forwarded-for */
	struct arena *arena;
};

/* False: no policy found anything.  Cookies that were made are put before *cookies. */
bool hash_policies_apply(const struct hash_policies *p, const struct hash_source *from,
    uint64_t *hash, struct hash_cookie **cookies);

#endif
