/* Resolvers, one for each way of asking: clusters that ask the same servers share it. */
#ifndef ADMIN_DISCOVERY_RESOLVERS_H
#define ADMIN_DISCOVERY_RESOLVERS_H

#include "lib/base/vec.h"
#include "lib/net/dns.h"

struct resolver {
	struct dns_settings settings;
	struct dns *dns;
	unsigned users;
};

struct resolvers {
	VEC(struct resolver) all;
};

/* Shares; NULL with the reason when a new one cannot start. */
struct dns *resolvers_take(
    struct resolvers *r, struct loop *l, const struct dns_settings *s, struct err *err);
/* The taker has no open question any more. */
void resolvers_give_back(struct resolvers *r, struct dns **dp);

#endif
