#include "conf/message.h"

#include "conf/diag.h"
#include "conf/extension.h"
#include "conf/near.h"
#include "conf/node.h"
#include "conf/scalar.h"
#include "conf/types.h"
#include "conf/unsupported.h"
#include "conf/wellknown.h"
#include "conf/where.h"
#include "google/protobuf/any.pb-c.h"
#include "google/protobuf/struct.pb-c.h"
#include "lib/base/assert.h"
#include "lib/base/task.h"

#define FIELDS_MAX 128

ProtobufCMessage *
message_new(struct arena *a, const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *m = arena_alloc(a, type->sizeof_message);

	type->message_init(m);
	return m;
}

const ProtobufCFieldDescriptor *
message_field_named(const ProtobufCMessageDescriptor *d, struct str name)
{
	for (unsigned i = 0; i < d->n_fields; i++)
		if (str_eqz(name, d->fields[i].name))
			return &d->fields[i];
	return NULL;
}

static bool
in_oneof(const ProtobufCFieldDescriptor *f)
{
	return f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
}

static uint32_t *
oneof_case(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	return (uint32_t *)((char *)m + f->quantifier_offset);
}

static size_t *
repeated_count(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	return (size_t *)((char *)m + f->quantifier_offset);
}

size_t
message_value_size(const ProtobufCFieldDescriptor *f)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_MESSAGE:
	case PROTOBUF_C_TYPE_STRING:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	default:
		return 4;
	}
}

static bool
is_zero(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

bool
message_has(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	void *at = message_field(m, f);

	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return *repeated_count(m, f) > 0;
	if (in_oneof(f))
		return *oneof_case(m, f) == f->id;
	if (f->type == PROTOBUF_C_TYPE_STRING)
		return *(char **)at && **(char **)at;
	if (f->type == PROTOBUF_C_TYPE_BYTES)
		return ((ProtobufCBinaryData *)at)->len > 0;
	return !is_zero(at, message_value_size(f));
}

/* protoc-c marks no map entries; their name and shape are fixed by the language. */
bool
message_field_is_map(const ProtobufCFieldDescriptor *f)
{
	const ProtobufCMessageDescriptor *d = f->descriptor;

	return f->label == PROTOBUF_C_LABEL_REPEATED && f->type == PROTOBUF_C_TYPE_MESSAGE &&
	       d->n_fields == 2 && str_ends(str_of(d->short_name), STR("Entry")) &&
	       strcmp(d->fields[0].name, "key") == 0 && strcmp(d->fields[1].name, "value") == 0;
}

/* One mapping being merged into one message. */
struct merging {
	struct message_build *b;
	ProtobufCMessage *m;
	const struct node *n;
	const struct where *w;
	bool seen[FIELDS_MAX];
};

static struct where
step(const struct merging *g, const ProtobufCFieldDescriptor *f, int index, const struct node *n)
{
	return (struct where){
	    .up = g->w,
	    .field = str_of(f->name),
	    .index = index,
	    .type = f->type == PROTOBUF_C_TYPE_MESSAGE ? f->descriptor : NULL,
	    .doc = g->w->doc,
	    .node = n,
	};
}

static int
unknown_field(struct merging *g, const struct node *key, const struct node *value)
{
	const ProtobufCMessageDescriptor *d = g->m->descriptor;
	const char *later = unsupported_by_name(d, key->text);
	struct where at = {
	    .up = g->w, .field = key->text, .index = -1, .doc = g->w->doc, .node = key};
	struct near near;

	if (later) {
		at.field = str_of(later);
		if (node_is_null(value) || (value->kind == NODE_SEQ && value->count == 0))
			return 0;
		if (unsupported_instead(d, later))
			return where_error(g->b->diag, &at, NULL,
			    "known to Envoy but not supported by baton: use %s",
			    unsupported_instead(d, later));
		return where_error(
		    g->b->diag, &at, NULL, "known to Envoy but not supported by baton yet");
	}
	if (g->b->allow_unknown_fields) {
		where_warn(
		    g->b->diag, &at, "unknown field '" STR_FMT "' is ignored", STR_ARG(key->text));
		return 0;
	}
	near_init(&near, key->text);
	for (unsigned i = 0; i < d->n_fields; i++)
		near_offer(&near, d->fields[i].name);
	unsupported_offer(d, &near);
	return where_error(g->b->diag, &at, near.best, "unknown field");
}

static int
merge_message(struct merging *g, const ProtobufCFieldDescriptor *f, ProtobufCMessage *into,
    const struct where *w)
{
	struct str name = {"", 0};
	const struct node *n;
	enum type_category category;

	if (f->descriptor != &google__protobuf__any__descriptor)
		return message_merge(g->b, into, w->node, w);
	category = extension_category(g->w);
	n = node_get(g->n, STR("name"));
	if (category == TYPE_HTTP_OPTIONS)
		name = g->w->field;
	else if (n && n->kind == NODE_SCALAR)
		name = n->text;
	return any_merge(g->b, into, w->node, w, category, name);
}

static int
say(struct merging *g, const struct where *w, struct scalar_error *e)
{
	where_error(g->b->diag, w, e->near, "%s", strb_z(&e->text));
	scalar_error_fini(e);
	return -1;
}

static int
merge_value(struct merging *g, const ProtobufCFieldDescriptor *f, void *at, const struct where *w)
{
	struct scalar_error e = {0};

	if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
		ProtobufCMessage **m = at;

		if (!*m)
			*m = message_new(g->b->arena, f->descriptor);
		return merge_message(g, f, *m, w);
	}
	return scalar_read(g->b->arena, f, w->node, at, &e) < 0 ? say(g, w, &e) : 0;
}

static int
merge_singular(struct merging *g, const ProtobufCFieldDescriptor *f, const struct where *w)
{
	char *at = message_field(g->m, f);

	if (in_oneof(f) && *oneof_case(g->m, f) != f->id) {
		memset(at, 0, message_value_size(f));
		if (f->type == PROTOBUF_C_TYPE_STRING) /* never NULL, also when reading fails */
			*(char **)at = arena_dup(g->b->arena, "", 0);
		*oneof_case(g->m, f) = f->id;
	}
	return merge_value(g, f, at, w);
}

static void
make_room(struct merging *g, const ProtobufCFieldDescriptor *f, size_t more)
{
	size_t size = message_value_size(f), have = *repeated_count(g->m, f);
	void **array = message_field(g->m, f);
	void *bigger = arena_zalloc(g->b->arena, (have + more) * size);

	if (have)
		memcpy(bigger, *array, have * size);
	*array = bigger;
}

static int
merge_list(struct merging *g, const ProtobufCFieldDescriptor *f, const struct where *w)
{
	const struct node *n = w->node;
	size_t size = message_value_size(f);
	int result = 0;

	if (n->kind != NODE_SEQ)
		return where_error(g->b->diag, w, NULL, "takes a list, not %s", node_kind_name(n));
	make_room(g, f, n->count);
	for (uint32_t i = 0; i < n->count; i++) {
		struct where at = step(g, f, (int)i, n->items[i]);
		char *slot = *(char **)message_field(g->m, f) + *repeated_count(g->m, f) * size;

		if (node_is_null(n->items[i]) &&
		    f->descriptor != &google__protobuf__value__descriptor) {
			result = where_error(
			    g->b->diag, &at, NULL, "is null; a list has no empty places");
			continue;
		}
		if (f->type == PROTOBUF_C_TYPE_MESSAGE &&
		    extension_is_left_out(g->b, f->descriptor, &at))
			continue;
		if (f->type == PROTOBUF_C_TYPE_STRING)
			*(char **)slot = (char *)protobuf_c_empty_string;
		if (merge_value(g, f, slot, &at) < 0)
			result = -1;
		++*repeated_count(g->m, f);
	}
	return result;
}

/* The entry of a key: one of the `old`, emptied, or a new one at the end (room is made). */
static ProtobufCMessage *
map_entry(struct merging *g, const ProtobufCFieldDescriptor *f, const struct node *key, size_t old)
{
	const ProtobufCMessageDescriptor *d = f->descriptor;
	const ProtobufCFieldDescriptor *kf = &d->fields[0];
	ProtobufCMessage **entries = *(ProtobufCMessage ***)message_field(g->m, f);
	ProtobufCMessage *entry = message_new(g->b->arena, d);
	size_t *count = repeated_count(g->m, f);
	size_t i = 0;

	*(char **)message_field(entry, kf) = arena_dup(g->b->arena, key->text.p, key->text.n);
	while (i < old && !str_eqz(key->text, *(char **)message_field(entries[i], kf)))
		i++;
	if (i == old)
		i = (*count)++;
	entries[i] = entry;
	return entry;
}

static int
merge_map(struct merging *g, const ProtobufCFieldDescriptor *f, const struct where *w)
{
	const ProtobufCMessageDescriptor *d = f->descriptor;
	const struct node *n = w->node;
	size_t old = *repeated_count(g->m, f);
	int result = 0;

	if (n->kind != NODE_MAP)
		return where_error(
		    g->b->diag, w, NULL, "takes a mapping, not %s", node_kind_name(n));
	make_room(g, f, n->count);
	for (uint32_t i = 0; i < n->count; i++) {
		ProtobufCMessage *entry = map_entry(g, f, n->pairs[i].key, old);
		struct where at = {.up = w,
		    .field = n->pairs[i].key->text,
		    .index = -1,
		    .type = d,
		    .doc = w->doc,
		    .node = n->pairs[i].value};
		struct merging inner = {.b = g->b, .m = entry, .n = n->pairs[i].value, .w = &at};

		if (memchr(at.field.p, '\0', at.field.n))
			result = where_error(g->b->diag, &at, NULL, "the key holds a NUL");
		else if (merge_value(
			     &inner, &d->fields[1], message_field(entry, &d->fields[1]), &at) < 0)
			result = -1;
	}
	return result;
}

/* Another member of the same oneof in this mapping, or NULL. */
static const ProtobufCFieldDescriptor *
rival(const struct merging *g, const ProtobufCFieldDescriptor *f)
{
	const ProtobufCMessageDescriptor *d = g->m->descriptor;

	for (unsigned i = 0; in_oneof(f) && i < d->n_fields; i++)
		if (g->seen[i] && &d->fields[i] != f && in_oneof(&d->fields[i]) &&
		    d->fields[i].quantifier_offset == f->quantifier_offset)
			return &d->fields[i];
	return NULL;
}

static const ProtobufCFieldDescriptor *
field_called(const ProtobufCMessageDescriptor *d, struct str key)
{
	for (unsigned i = 0; i < d->n_fields; i++)
		if (field_is_called(d->fields[i].name, key))
			return &d->fields[i];
	return NULL;
}

static int
merge_pair(struct merging *g, const struct node *key, const struct node *value)
{
	const ProtobufCFieldDescriptor *f = field_called(g->m->descriptor, key->text), *other;
	struct where at;

	if (!f)
		return unknown_field(g, key, value);
	at = step(g, f, -1, key);
	if (g->seen[f - g->m->descriptor->fields])
		return where_error(g->b->diag, &at, NULL, "is given in two spellings");
	if (node_is_null(value) && f->descriptor != &google__protobuf__value__descriptor)
		return 0;
	other = rival(g, f);
	if (other)
		return where_error(g->b->diag, &at, NULL,
		    "'%s' is set already; only one of the two may be", other->name);
	g->seen[f - g->m->descriptor->fields] = true;
	at.node = value;
	if (f->label != PROTOBUF_C_LABEL_REPEATED)
		return merge_singular(g, f, &at);
	return message_field_is_map(f) ? merge_map(g, f, &at) : merge_list(g, f, &at);
}

/* A name without a typed_config means that extension with its defaults. */
static int
default_extension(struct merging *g)
{
	enum type_category category = extension_category(g->w);
	const ProtobufCFieldDescriptor *f =
	    message_field_named(g->m->descriptor, STR("typed_config"));
	const ProtobufCFieldDescriptor *name = message_field_named(g->m->descriptor, STR("name"));
	const struct node *called = node_get(g->n, STR("name"));
	const struct message_type *type;
	struct where at = *g->w;
	ProtobufCMessage *any;

	if (category == TYPE_NONE || !f || !name || g->seen[f - g->m->descriptor->fields] ||
	    message_has(g->m, f) || !message_has(g->m, name))
		return 0;
	type = type_by_name(category, str_of(*(char **)message_field(g->m, name)));
	if (called)
		at.node = called;
	if (!type)
		return where_error(g->b->diag, &at,
		    type_nearest_name(category, str_of(*(char **)message_field(g->m, name))),
		    "has no typed_config, and no %s is called '%s'", type_category_name(category),
		    *(char **)message_field(g->m, name));
	if (!type->descriptor)
		return where_error(g->b->diag, &at, NULL,
		    "%s is known to Envoy but not supported by baton yet", type->name);
	any = message_new(g->b->arena, f->descriptor);
	any_default(g->b, any, type, g->w);
	if (in_oneof(f))
		*oneof_case(g->m, f) = f->id;
	*(ProtobufCMessage **)message_field(g->m, f) = any;
	return 0;
}

int
message_merge(
    struct message_build *b, ProtobufCMessage *m, const struct node *n, const struct where *w)
{
	struct merging g = {.b = b, .m = m, .n = n, .w = w};
	enum wellknown kind = wellknown_of(m->descriptor);
	int result = 0;

	ASSERT(m->descriptor->n_fields <= FIELDS_MAX);
	task_breathe();
	if (b->origins)
		origins_add(b->origins, m, w);
	if (kind == WELLKNOWN_ANY)
		return any_merge(b, m, n, w, TYPE_NONE, (struct str){"", 0});
	if (kind != WELLKNOWN_NONE)
		return wellknown_merge(b, kind, m, n, w);
	if (node_is_null(n))
		return 0;
	if (n->kind != NODE_MAP)
		return where_error(b->diag, w, NULL, "takes a mapping, not %s", node_kind_name(n));
	for (uint32_t i = 0; i < n->count; i++)
		if (merge_pair(&g, n->pairs[i].key, n->pairs[i].value) < 0)
			result = -1;
	if (default_extension(&g) < 0)
		result = -1;
	return result;
}
