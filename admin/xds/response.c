#include "admin/xds/response.h"

#include <string.h>

#include "conf/check.h"
#include "conf/diag.h"
#include "conf/message.h"
#include "conf/where.h"
#include "google/protobuf/any.pb-c.h"

#define REASONS_BYTES 4096
#define WRAPPER "envoy.service.discovery.v3.Resource"

typedef Envoy__Service__Discovery__V3__DiscoveryResponse DiscoveryResponse;
typedef Envoy__Service__Discovery__V3__Resource Wrapper;
typedef Google__Protobuf__Any Any;

void
xds_response_init(struct xds_response *r)
{
	*r = (struct xds_response){0};
	arena_init(&r->arena);
}

int
xds_response_open(struct xds_response *r, struct str packed, struct err *err)
{
	xds_response_init(r);
	r->message = (const DiscoveryResponse *)message_unpack(
	    &r->arena, &envoy__service__discovery__v3__discovery_response__descriptor, packed, err);
	if (r->message)
		return 0;
	xds_response_fini(r);
	return -1;
}

void
xds_response_fini(struct xds_response *r)
{
	map_fini(&r->by_name);
	vec_fini(&r->resources);
	arena_fini(&r->arena);
	r->message = NULL;
}

/* ---- one resource */

static void
refuse(struct xds_response *r, struct xds_resource *x, const char *why)
{
	if (x->why == NULL)
		r->bad++;
	x->message = NULL;
	x->why = why;
}

static struct str
bytes_of(const Any *any)
{
	return str_make((const char *)any->value.data, any->value.len);
}

static bool
is_wrapper(const Any *any)
{
	return str_ends(str_of(any->type_url), STR("/" WRAPPER));
}

/* The Any inside a Resource, whose name and version count; NULL: it was bad or is empty. */
static const Any *
unwrap(struct xds_response *r, struct xds_resource *x, const Any *any)
{
	struct err err = {""};
	const Wrapper *w = (const Wrapper *)message_unpack(&r->arena,
	    &envoy__service__discovery__v3__resource__descriptor, bytes_of(any), &err);

	if (w == NULL) {
		refuse(r, x, arena_printf(&r->arena, "%s", err.text));
		return NULL;
	}
	x->name = str_of(w->name);
	if (w->version[0])
		x->version = str_of(w->version);
	if (w->resource == NULL)
		refuse(r, x, "a Resource without a resource");
	return w->resource;
}

/* The first thing that is wrong with a message by the rules of the configuration. */
static const char *
fault_of(struct xds_response *r, const ProtobufCMessage *m)
{
	struct check c = {.arena = &r->arena};
	struct where w = {.index = -1, .type = m->descriptor};
	const char *why = NULL;
	struct diag diag;

	diag_init(&diag);
	c.diag = &diag;
	check_message(&c, m, &w);
	check_fini(&c);
	for (unsigned i = 0; i < diag.count && why == NULL; i++) {
		const struct diag_entry *e = &diag.entries[i];

		if (e->kind == DIAG_ERROR)
			why = arena_printf(
			    &r->arena, "%s%s%s", e->path, e->path[0] ? ": " : "", e->text);
	}
	if (diag.errors && why == NULL)
		why = "is not sound";
	diag_fini(&diag);
	return why;
}

static void
judge(struct xds_response *r, struct xds_resource *x, const Any *any, enum xds_type_id type)
{
	struct err err = {""};
	ProtobufCMessage *m;
	const char *why;

	if (is_wrapper(any) && (any = unwrap(r, x, any)) == NULL)
		return;
	if (xds_type_by_url(str_of(any->type_url)) != (int)type) {
		refuse(r, x,
		    arena_printf(&r->arena, "is of type '%s', not %s", any->type_url,
		        xds_types[type].message->name));
		return;
	}
	m = message_unpack(&r->arena, xds_types[type].message, bytes_of(any), &err);
	if (m == NULL) {
		refuse(r, x, arena_printf(&r->arena, "%s", err.text));
		return;
	}
	x->message = m;
	x->name = xds_resource_name(type, m);
	if ((why = fault_of(r, m)) != NULL)
		refuse(r, x, why);
}

/* ---- all of them */

/* Two of one name contradict each other: neither is taken. */
static void
index_names(struct xds_response *r)
{
	for (size_t i = 0; i < r->resources.len; i++) {
		struct xds_resource *x = &r->resources.at[i];
		struct xds_resource *first = x->name.n ? map_get(&r->by_name, x->name) : NULL;

		if (first) {
			refuse(r, x, "stands twice in one response");
			refuse(r, first, "stands twice in one response");
		} else if (x->name.n) {
			map_put(&r->by_name, x->name, x);
		}
	}
}

void
xds_response_judge(struct xds_response *r, enum xds_type_id type)
{
	for (size_t i = 0; i < r->message->n_resources; i++) {
		struct xds_resource *x = vec_push(&r->resources);

		x->name = STR("");
		x->version = str_of(r->message->version_info);
		judge(r, x, r->message->resources[i], type);
		r->nameless += x->message == NULL && x->name.n == 0;
	}
	index_names(r);
}

struct xds_resource *
xds_response_find(struct xds_response *r, struct str name)
{
	return map_get(&r->by_name, name);
}

void
xds_response_reasons(const struct xds_response *r, struct strb *out)
{
	unsigned told = 0;

	for (size_t i = 0; i < r->resources.len; i++) {
		const struct xds_resource *x = &r->resources.at[i];

		if (x->why == NULL)
			continue;
		if (out->n > REASONS_BYTES) {
			strb_printf(out, "; and %u more", r->bad - told);
			return;
		}
		strb_addz(out, out->n ? "; " : "");
		if (x->name.n)
			strb_printf(out, "resource '" STR_FMT "': %s", STR_ARG(x->name), x->why);
		else
			strb_printf(out, "resources[%zu]: %s", i, x->why);
		told++;
	}
}
