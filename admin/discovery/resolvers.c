#include "admin/discovery/resolvers.h"

#include <string.h>

struct dns *
resolvers_take(struct resolvers *r, struct loop *l, const struct dns_settings *s, struct err *err)
{
	struct resolver *x;
	struct dns *d;

	for (size_t i = 0; i < r->all.len; i++) {
		x = &r->all.at[i];
		if (memcmp(&x->settings, s, sizeof(*s)) == 0) {
			x->users++;
			return x->dns;
		}
	}
	d = dns_new(l, s, err);
	if (d == NULL)
		return NULL;
	x = vec_push(&r->all);
	memcpy(&x->settings, s, sizeof(*s));
	x->dns = d;
	x->users = 1;
	return d;
}

void
resolvers_give_back(struct resolvers *r, struct dns **dp)
{
	for (size_t i = 0; i < r->all.len; i++) {
		if (r->all.at[i].dns != *dp || --r->all.at[i].users > 0)
			continue;
		dns_free(&r->all.at[i].dns);
		vec_remove(&r->all, i);
		break;
	}
	if (r->all.len == 0)
		vec_fini(&r->all);
	*dp = NULL;
}
