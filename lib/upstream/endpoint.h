/*
 * One endpoint as discovery describes it: what a host is made from and
 * what may change while it lives.  A plain value that holds references;
 * endpoint_fini() lets them go.  Admin and workers use the same.
 */
#ifndef UPSTREAM_ENDPOINT_H
#define UPSTREAM_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/net/address.h"
#include "lib/upstream/shared.h"

/* Where and whether it is checked; only admin reads it. */
struct endpoint_check {
	struct address address; /* none: its own */
	uint16_t port;          /* 0: that of the address */
	bool disabled;          /* disable_active_health_check */
	struct hostname *hostname;
};

struct endpoint {
	struct address address;
	uint32_t weight;          /* at least 1 */
	uint32_t locality_weight; /* 0: none given */
	uint8_t priority;
	uint8_t status;           /* envoy.config.core.v3.HealthStatus */
	struct hostname *hostname;
	struct locality *locality;
	struct metadata *metadata;
	struct endpoint_check *check; /* NULL: nothing said; owned */
};

void endpoint_fini(struct endpoint *e);
/* A copy with its own references. */
void endpoint_copy(struct endpoint *to, const struct endpoint *from);
bool endpoint_check_same(const struct endpoint_check *a, const struct endpoint_check *b);
/* Everything but the address. */
bool endpoint_same(const struct endpoint *a, const struct endpoint *b);

static inline struct str
endpoint_hostname(const struct endpoint *e)
{
	return e->hostname ? e->hostname->text : (struct str){"", 0};
}

#endif
