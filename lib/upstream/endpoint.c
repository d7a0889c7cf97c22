#include "lib/upstream/endpoint.h"

#include "lib/base/mem.h"

static void
check_free(struct endpoint_check **cp)
{
	struct endpoint_check *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	hostname_unref(&c->hostname);
	mem_free(c);
}

void
endpoint_fini(struct endpoint *e)
{
	hostname_unref(&e->hostname);
	locality_unref(&e->locality);
	metadata_unref(&e->metadata);
	check_free(&e->check);
}

void
endpoint_copy(struct endpoint *to, const struct endpoint *from)
{
	*to = *from;
	hostname_ref(to->hostname);
	locality_ref(to->locality);
	metadata_ref(to->metadata);
	if (from->check == NULL)
		return;
	to->check = mem_dup(from->check, sizeof(*from->check));
	hostname_ref(to->check->hostname);
}

bool
endpoint_check_same(const struct endpoint_check *a, const struct endpoint_check *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return a->port == b->port && a->disabled == b->disabled && a->hostname == b->hostname &&
	    a->address.len == b->address.len &&
	    (a->address.len == 0 || address_eq(&a->address, &b->address));
}

bool
endpoint_same(const struct endpoint *a, const struct endpoint *b)
{
	return a->weight == b->weight && a->locality_weight == b->locality_weight &&
	    a->priority == b->priority && a->status == b->status && a->hostname == b->hostname &&
	    a->locality == b->locality && a->metadata == b->metadata &&
	    endpoint_check_same(a->check, b->check);
}
