#include "conf/check.h"

#include <stdarg.h>

#include "conf/check_private.h"
#include "conf/extension.h"
#include "conf/node.h"
#include "conf/types.h"
#include "conf/unsupported.h"
#include "envoy/config/accesslog/v3/accesslog.pb-c.h"
#include "envoy/config/core/v3/backoff.pb-c.h"
#include "envoy/config/core/v3/config_source.pb-c.h"
#include "envoy/extensions/access_loggers/file/v3/file.pb-c.h"
#include "envoy/extensions/clusters/dns/v3/dns_cluster.pb-c.h"
#include "envoy/extensions/filters/http/health_check/v3/health_check.pb-c.h"
#include "envoy/extensions/filters/http/router/v3/router.pb-c.h"
#include "envoy/extensions/network/dns_resolver/cares/v3/cares_dns_resolver.pb-c.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb-c.h"
#include "envoy/extensions/load_balancing_policies/maglev/v3/maglev.pb-c.h"
#include "envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash.pb-c.h"
#include "envoy/extensions/load_balancing_policies/subset/v3/subset.pb-c.h"
#include "envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config.pb-c.h"
#include "google/protobuf/any.pb-c.h"
#include "google/protobuf/duration.pb-c.h"
#include "google/protobuf/struct.pb-c.h"
#include "lib/base/assert.h"
#include "lib/base/task.h"

struct where
checked_field(const struct checked *k, const char *field, int index)
{
	const struct origin *o = k->c->origins ? origins_get(k->c->origins, k->m) : NULL;
	struct where at = *k->w;
	const struct document *doc;
	const struct node *n;

	if (!field)
		return at;
	at = (struct where){.up = k->w,
	    .field = str_of(field),
	    .index = index,
	    .doc = k->w->doc,
	    .node = k->w->node};
	n = origin_field(o, field, &doc);
	if (!n)
		return at;
	if (index >= 0 && n->kind == NODE_SEQ && (uint32_t)index < n->count)
		n = n->items[index];
	at.doc = doc;
	at.node = n;
	return at;
}

bool
checked_written(const struct checked *k, const char *field)
{
	const struct origin *o = k->c->origins ? origins_get(k->c->origins, k->m) : NULL;
	const struct document *doc;
	const struct node *n = origin_field(o, field, &doc);

	return n && !node_is_null(n);
}

bool
checked_wrote_unsupported(const struct checked *k)
{
	const struct origin *o = k->c->origins ? origins_get(k->c->origins, k->m) : NULL;

	for (; o; o = o->older)
		for (uint32_t i = 0; o->node && o->node->kind == NODE_MAP && i < o->node->count;
		     i++)
			if (unsupported_by_name(k->m->descriptor, o->node->pairs[i].key->text))
				return true;
	return false;
}

static void
report(struct checked *k, enum diag_kind kind, const char *field, int index, const char *near,
    const char *fmt, va_list ap)
{
	struct where at = checked_field(k, field, index);
	struct strb text = {0};

	strb_vprintf(&text, fmt, ap);
	if (kind == DIAG_ERROR)
		where_error(k->c->diag, &at, near, "%s", strb_z(&text));
	else
		where_warn(k->c->diag, &at, "%s", strb_z(&text));
	strb_fini(&text);
}

void
fail(struct checked *k, const char *field, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report(k, DIAG_ERROR, field, -1, NULL, fmt, ap);
	va_end(ap);
}

void
fail_item(struct checked *k, const char *field, int index, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report(k, DIAG_ERROR, field, index, NULL, fmt, ap);
	va_end(ap);
}

void
fail_near(struct checked *k, const char *field, const char *near, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report(k, DIAG_ERROR, field, -1, near, fmt, ap);
	va_end(ap);
}

void
warn(struct checked *k, const char *field, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report(k, DIAG_WARNING, field, -1, NULL, fmt, ap);
	va_end(ap);
}

void
fail_below(struct checked *k, const char *path, const ProtobufCMessage *inner, const char *field,
    const char *near, const char *fmt, ...)
{
	const struct origin *o = k->c->origins ? origins_get(k->c->origins, inner) : NULL;
	struct where at = {.up = k->w,
	    .field = str_of(path),
	    .index = -1,
	    .doc = o ? o->doc : NULL,
	    .node = o ? o->node : NULL};
	struct checked below = {.c = k->c, .m = inner, .w = &at};
	va_list ap;

	va_start(ap, fmt);
	report(&below, DIAG_ERROR, field, -1, near, fmt, ap);
	va_end(ap);
}

/* The message's own function in conf/checks.def. */
static void
own_check(struct checked *k)
{
	static const struct {
		const ProtobufCMessageDescriptor *type;
		void (*function)(struct checked *k);
	} rows[] = {
#define CHECK(message, function) {&message##__descriptor, function},
#include "conf/checks.def"
#undef CHECK
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].type == k->m->descriptor) {
			rows[i].function(k);
			return;
		}
}

/* Fields of a binary message that have no place in proto/: ours to refuse, or nobody's. */
static void
check_unknown(struct checked *k)
{
	for (unsigned i = 0; i < k->m->n_unknown_fields; i++) {
		const char *later =
		    unsupported_by_number(k->m->descriptor, k->m->unknown_fields[i].tag);

		if (later)
			fail(k, later, NOT_YET);
	}
}

static void
check_any(struct check *c, const ProtobufCMessage *m, const struct where *w)
{
	const Google__Protobuf__Any *any = (const Google__Protobuf__Any *)m;
	const struct origin *o = c->origins ? origins_get(c->origins, m) : NULL;
	enum type_category category = w->up ? extension_category(w->up) : TYPE_NONE;
	const struct message_type *type;
	const ProtobufCMessage *inner;
	struct err err;

	if (o && o->inner) { /* category and type were looked at when it was read */
		check_message(c, o->inner, w);
		return;
	}
	type = type_by_url(str_of(any->type_url));
	if (type && category != TYPE_NONE && type->category != category) {
		where_error(c->diag, w, NULL, "'%s' is no %s", type->full_name,
		    type_category_name(category));
		return;
	}
	inner = any_open(c->arena, m, NULL, &err);
	if (inner)
		check_message(c, inner, w);
	else if (any->type_url[0] || !o)
		where_error(c->diag, w, NULL, "%s", err.text);
}

static void
check_child(struct check *c, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
    int index, const struct where *up)
{
	const struct origin *o = c->origins ? origins_get(c->origins, m) : NULL;
	struct where w = {.up = up,
	    .field = str_of(f->name),
	    .index = index,
	    .type = m->descriptor,
	    .doc = o ? o->doc : up->doc,
	    .node = o ? o->node : up->node};

	if (m->descriptor == &google__protobuf__any__descriptor)
		check_any(c, m, &w);
	else
		check_message(c, m, &w);
}

/* The value of a map's entry stands under its key. */
static void
check_entry(struct check *c, const ProtobufCMessage *entry, const struct where *map)
{
	const ProtobufCFieldDescriptor *fields = entry->descriptor->fields;
	struct where at = {.up = map,
	    .field = str_of(*(char **)message_field(entry, &fields[0])),
	    .index = -1,
	    .type = entry->descriptor,
	    .doc = map->doc,
	    .node = map->node};
	struct where inside = {.up = &at, .index = -1, .doc = map->doc, .node = map->node};
	const ProtobufCMessage *value;

	if (fields[1].type != PROTOBUF_C_TYPE_MESSAGE)
		return;
	value = *(ProtobufCMessage **)message_field(entry, &fields[1]);
	if (value && value->descriptor == &google__protobuf__any__descriptor)
		check_any(c, value, &inside);
	else if (value)
		check_message(c, value, &at);
}

static void
check_field(struct check *c, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
    const struct where *w)
{
	const void *at = message_field(m, f);
	struct where map = {
	    .up = w, .field = str_of(f->name), .index = -1, .doc = w->doc, .node = w->node};

	if (f->type != PROTOBUF_C_TYPE_MESSAGE || !message_has(m, f))
		return;
	if (f->label != PROTOBUF_C_LABEL_REPEATED) {
		check_child(c, *(ProtobufCMessage *const *)at, f, -1, w);
		return;
	}
	for (size_t i = 0; i < message_count(m, f); i++) {
		const ProtobufCMessage *item = (*(ProtobufCMessage *const *const *)at)[i];

		if (message_field_is_map(f))
			check_entry(c, item, &map);
		else
			check_child(c, item, f, (int)i, w);
	}
}

void
check_message(struct check *c, const ProtobufCMessage *m, const struct where *w)
{
	const struct origin *o = c->origins ? origins_get(c->origins, m) : NULL;
	struct where here = *w;
	struct checked k = {.c = c, .m = m, .w = &here};

	task_breathe();
	if (m->descriptor == &google__protobuf__struct__descriptor)
		return; /* anything goes */
	if (++c->depth > MESSAGE_DEPTH) {
		where_error(
		    c->diag, w, NULL, "messages are nested deeper than %d levels", MESSAGE_DEPTH);
		c->depth--;
		return;
	}
	if (o) {
		here.doc = o->doc;
		here.node = o->node;
	}
	here.type = m->descriptor;
	check_unknown(&k);
	rules_check(&k);
	own_check(&k);
	for (unsigned i = 0; i < m->descriptor->n_fields; i++)
		check_field(c, m, &m->descriptor->fields[i], &here);
	c->depth--;
}

void
check_fini(struct check *c)
{
	map_fini(&c->clusters);
}
