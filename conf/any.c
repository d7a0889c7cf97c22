/*
 * Any: a message beside its "@type".  What is inside is built and packed;
 * the origin of the Any keeps the inner message, so that checks need not
 * unpack it again and know where it was written.
 */
#include "conf/diag.h"
#include "conf/node.h"
#include "conf/types.h"
#include "conf/wellknown.h"
#include "conf/where.h"
#include "google/protobuf/any.pb-c.h"
#include "lib/base/err.h"

static bool
is_typed_struct(struct str url)
{
	return str_ends(url, STR("udpa.type.v1.TypedStruct")) ||
	       str_ends(url, STR("xds.type.v3.TypedStruct"));
}

static void
fill(struct message_build *b, Google__Protobuf__Any *any, const struct message_type *type,
    ProtobufCMessage *inner, const struct where *w)
{
	struct strb packed = {0};

	message_pack(inner, &packed);
	any->type_url = arena_printf(b->arena, TYPE_PREFIX "%s", type->full_name);
	any->value.data = (uint8_t *)arena_dup(b->arena, strb_z(&packed), packed.n);
	any->value.len = packed.n;
	strb_fini(&packed);
	if (b->origins)
		origins_add(b->origins, &any->base, w)->inner = inner;
}

void
any_default(struct message_build *b, ProtobufCMessage *any, const struct message_type *type,
    const struct where *w)
{
	ProtobufCMessage *inner = message_new(b->arena, type->descriptor);

	if (b->origins)
		origins_add(b->origins, inner, w);
	fill(b, (Google__Protobuf__Any *)any, type, inner, w);
}

/* The type that is meant; NULL when that was an error, which is said. */
static const struct message_type *
type_meant(struct message_build *b, const struct node *url, const struct where *w,
    enum type_category category, struct str name)
{
	const struct message_type *t;
	struct where at = *w;

	if (!url) {
		t = type_by_name(category, name);
		if (!t) {
			where_error(b->diag, w, type_nearest_name(category, name),
			    "has no @type, and no %s is called '" STR_FMT "'",
			    type_category_name(category), STR_ARG(name));
			return NULL;
		}
	} else {
		at.node = url;
		t = type_by_url(url->text);
		if (!t) {
			where_error(b->diag, &at, type_nearest_url(url->text),
			    "unknown type '" STR_FMT "'", STR_ARG(url->text));
			return NULL;
		}
	}
	if (!t->descriptor) {
		where_error(b->diag, &at, NULL,
		    "%s is known to Envoy but not supported by baton yet", t->name);
		return NULL;
	}
	if (category != TYPE_NONE && t->category != category) {
		where_error(b->diag, &at, NULL, "'%s' is no %s (it is: %s)", t->full_name,
		    type_category_name(category), type_category_name(t->category));
		return NULL;
	}
	return t;
}

/* The message's fields of an Any's mapping: all but "@type". */
static struct node *
without_type(struct message_build *b, const struct node *n)
{
	struct node *rest = arena_new(b->arena, struct node);

	*rest = *n;
	rest->pairs = arena_alloc(b->arena, n->count * sizeof(*rest->pairs));
	rest->count = 0;
	for (uint32_t i = 0; i < n->count; i++)
		if (!str_eqz(n->pairs[i].key->text, "@type"))
			rest->pairs[rest->count++] = n->pairs[i];
	return rest;
}

static int
merge_inner(struct message_build *b, ProtobufCMessage *any, const struct node *n,
    const struct where *w, const struct message_type *type)
{
	ProtobufCMessage *inner = message_new(b->arena, type->descriptor);
	struct where at = *w;
	int result;

	at.type = type->descriptor;
	at.node = n;
	result = message_merge(b, inner, n, &at);
	fill(b, (Google__Protobuf__Any *)any, type, inner, w);
	return result;
}

/* {"@type": …TypedStruct, type_url: …, value: {…}}: the message itself in a wrapping of its own. */
static int
merge_typed_struct(struct message_build *b, ProtobufCMessage *any, const struct node *n,
    const struct where *w, enum type_category category)
{
	static struct node nothing = {.kind = NODE_MAP};
	const struct node *url = NULL, *value = NULL;
	const struct message_type *type;

	for (uint32_t i = 0; i < n->count; i++) {
		struct str key = n->pairs[i].key->text;

		if (field_is_called("type_url", key))
			url = n->pairs[i].value;
		else if (str_eqz(key, "value"))
			value = n->pairs[i].value;
		else if (!str_eqz(key, "@type"))
			return where_error(b->diag, w, NULL,
			    "unknown field '" STR_FMT "' in a TypedStruct", STR_ARG(key));
	}
	if (!url || url->kind != NODE_SCALAR)
		return where_error(b->diag, w, NULL, "a TypedStruct needs a type_url");
	type = type_meant(b, url, w, category, (struct str){NULL, 0});
	if (!type)
		return -1;
	return merge_inner(b, any, value ? value : &nothing, w, type);
}

int
any_merge(struct message_build *b, ProtobufCMessage *any, const struct node *n,
    const struct where *w, enum type_category category, struct str name)
{
	const struct message_type *type;
	const struct node *url;

	if (b->origins) /* also of one that fails, so that it is complained of once */
		origins_add(b->origins, any, w);
	if (n->kind != NODE_MAP)
		return where_error(
		    b->diag, w, NULL, "takes a mapping with an @type, not %s", node_kind_name(n));
	url = node_get(n, STR("@type"));
	if (url && url->kind != NODE_SCALAR)
		return where_error(
		    b->diag, w, NULL, "@type takes a string, not %s", node_kind_name(url));
	if (url && is_typed_struct(url->text))
		return merge_typed_struct(b, any, n, w, category);
	if (!url && n->count > 0)
		return where_error(b->diag, w, NULL, "has fields but no @type");
	type = type_meant(b, url, w, category, name);
	if (!type)
		return -1;
	return merge_inner(b, any, without_type(b, n), w, type);
}

const ProtobufCMessage *
any_open(struct arena *a, const ProtobufCMessage *m, const ProtobufCMessageDescriptor *want,
    struct err *err)
{
	const Google__Protobuf__Any *any = (const Google__Protobuf__Any *)m;
	const struct message_type *type;

	if (!any) {
		if (!want)
			err_set(err, "typed_config is not set");
		return want ? message_new(a, want) : NULL;
	}
	type = type_by_url(str_of(any->type_url));
	if (!type || !type->descriptor) {
		err_set(err, "type '%s' is not supported", any->type_url);
		return NULL;
	}
	if (want && type->descriptor != want) {
		err_set(err, "holds '%s', not '%s'", type->full_name, want->name);
		return NULL;
	}
	return message_unpack(
	    a, type->descriptor, str_make((char *)any->value.data, any->value.len), err);
}
