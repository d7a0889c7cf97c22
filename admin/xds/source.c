#include "admin/xds/source.h"

#include "admin/admin.h"
#include "admin/xds/xds.h"
#include "lib/base/log.h"

void
source_init(struct source *s, struct xds *x, const struct source_kind *kind, struct str key)
{
	s->kind = kind;
	s->xds = x;
	strb_adds(&s->key, key);
	for (unsigned i = 0; i < XDS_TYPES; i++)
		list_init(&s->subscriptions[i]);
}

void
source_fini(struct source *s)
{
	source_settle(s);
	list_remove(&s->node);
	strb_fini(&s->key);
}

void
source_work(struct source *s, void (*fn)(void *arg), void *arg)
{
	source_settle(s);
	work_start(&xds_admin(s->xds)->works, &s->delivering, fn, arg);
}

void
source_settle(struct source *s)
{
	work_finish(&s->delivering);
}

struct admin *
source_admin(const struct source *s)
{
	return xds_admin(s->xds);
}

struct loop *
source_loop(const struct source *s)
{
	return xds_admin(s->xds)->loop;
}

/* Nothing is said about it, or what was said cannot be read. */
static void
leave_out(struct subscription *sub, const struct xds_response *r)
{
	if (r->resources.len == 0)
		subscription_empty(sub);
	else if (r->nameless)
		subscription_reject(sub);
}

static void
deliver_one(struct source *s, struct subscription *sub, struct xds_response *r, struct strb *reasons)
{
	struct xds_resource *x = xds_response_find(r, str_of(sub->name));
	struct err err = {""};

	if (x == NULL) {
		leave_out(sub, r);
		return;
	}
	if (x->message == NULL) {
		subscription_reject(sub);
		return; /* among the response's own reasons */
	}
	if (subscription_take(sub, x->message, x->version, &err) < 0)
		strb_printf(reasons, "%sresource '%s': %s", reasons->n ? "; " : "", sub->name, err.text);
}

void
source_deliver(
    struct source *s, enum xds_type_id type, struct xds_response *r, struct strb *reasons)
{
	xds_response_reasons(r, reasons);
	list_for_each(n, &s->subscriptions[type])
	    deliver_one(s, list_entry(n, struct subscription, node), r, reasons);
}

void
source_reject(struct source *s, enum xds_type_id type)
{
	list_for_each(n, &s->subscriptions[type])
	    subscription_reject(list_entry(n, struct subscription, node));
}

void
source_fail(struct source *s)
{
	for (unsigned i = 0; i < XDS_TYPES; i++)
		list_for_each(n, &s->subscriptions[i])
		    subscription_fail(list_entry(n, struct subscription, node));
}
