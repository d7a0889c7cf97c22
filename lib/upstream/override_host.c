#include "lib/upstream/override_host.h"

#include "lib/base/arena.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "lib/http/headers.h"
#include "lib/upstream/lb_config.h"

#include "envoy/config/cluster/v3/cluster.pb-c.h"
#include "envoy/extensions/load_balancing_policies/override_host/v3/override_host.pb-c.h"

#define MOST_ADDRESSES 32 /* of one header; what more there are does not count */

typedef Envoy__Config__Cluster__V3__Cluster Cluster;
typedef Envoy__Extensions__LoadBalancingPolicies__OverrideHost__V3__OverrideHost OverrideHost;

struct override_host {
	struct str *headers; /* owned, as their texts */
	size_t n;
	struct map by_address; /* text → struct host */
	struct arena texts;    /* its keys */
};

static struct str
lower(const char *name)
{
	struct str s = str_of(mem_strdup(name));

	str_lower((char *)s.p, s);
	return s;
}

static struct override_host *
build(const OverrideHost *m)
{
	struct override_host *o = mem_new(struct override_host);

	arena_init(&o->texts);
	o->n = m->n_override_host_sources;
	o->headers = mem_array(struct str, o->n);
	for (size_t i = 0; i < o->n; i++)
		o->headers[i] = lower(m->override_host_sources[i]->header);
	return o;
}

struct override_host *
override_host_read(const void *msg)
{
	const Cluster *c = msg;
	struct override_host *o = NULL;
	const ProtobufCMessage *m;
	struct arena scratch;

	if (c->load_balancing_policy == NULL)
		return NULL;
	arena_init(&scratch);
	m = lb_first_policy(c->load_balancing_policy, &scratch);
	if (m &&
	    m->descriptor ==
		&envoy__extensions__load_balancing_policies__override_host__v3__override_host__descriptor)
		o = build((const OverrideHost *)m);
	arena_fini(&scratch);
	return o;
}

void
override_host_free(struct override_host **op)
{
	struct override_host *o = *op;

	*op = NULL;
	if (o == NULL)
		return;
	for (size_t i = 0; i < o->n; i++)
		mem_free((void *)(uintptr_t)o->headers[i].p);
	mem_free(o->headers);
	map_fini(&o->by_address);
	arena_fini(&o->texts);
	mem_free(o);
}

void
override_host_index(struct override_host *o, struct host *const *hosts, uint32_t n)
{
	map_fini(&o->by_address);
	arena_fini(&o->texts);
	for (uint32_t i = 0; i < n; i++) {
		char text[ADDRESS_TEXT];
		size_t bytes = address_format(&hosts[i]->address, text);

		map_put(&o->by_address, arena_str(&o->texts, str_make(text, bytes)), hosts[i]);
	}
}

/* ---- picking */

static bool
was_tried(const struct lb_context *ctx, const struct host *h)
{
	for (unsigned i = 0; i < ctx->tried_len; i++)
		if (ctx->tried[i] == h)
			return true;
	return false;
}

/* By the form that we write: "[::1]:80" has several spellings. */
static struct host *
find_host(const struct override_host *o, struct str text)
{
	char key[ADDRESS_TEXT];
	struct address a;

	if (address_parse(&a, text, NULL) < 0)
		return NULL;
	return map_get(&o->by_address, str_make(key, address_format(&a, key)));
}

static struct host *
pick_of_list(const struct override_host *o, const struct lb_context *ctx, struct str list)
{
	struct str one;

	for (unsigned i = 0; i < MOST_ADDRESSES && str_cut(&list, ',', &one); i++) {
		struct host *h = find_host(o, str_trim(one));

		if (h && host_health(h) != HOST_UNHEALTHY && !was_tried(ctx, h))
			return h;
	}
	return NULL;
}

struct host *
override_host_pick(const struct override_host *o, const struct lb_context *ctx)
{
	struct host *h = NULL;

	for (size_t i = 0; ctx->request && i < o->n && h == NULL; i++)
		h = pick_of_list(o, ctx, headers_get_name(ctx->request, o->headers[i]));
	return h;
}
