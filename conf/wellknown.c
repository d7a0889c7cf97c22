#include "conf/wellknown.h"

#include "conf/diag.h"
#include "conf/node.h"
#include "conf/scalar.h"
#include "conf/where.h"
#include "google/protobuf/any.pb-c.h"
#include "google/protobuf/duration.pb-c.h"
#include "google/protobuf/struct.pb-c.h"
#include "google/protobuf/wrappers.pb-c.h"
#include "lib/base/assert.h"

enum wellknown
wellknown_of(const ProtobufCMessageDescriptor *d)
{
	static const struct {
		const ProtobufCMessageDescriptor *descriptor;
		enum wellknown kind;
	} rows[] = {
	    {&google__protobuf__duration__descriptor, WELLKNOWN_DURATION},
	    {&google__protobuf__any__descriptor, WELLKNOWN_ANY},
	    {&google__protobuf__struct__descriptor, WELLKNOWN_STRUCT},
	    {&google__protobuf__value__descriptor, WELLKNOWN_VALUE},
	    {&google__protobuf__list_value__descriptor, WELLKNOWN_LIST},
	    {&google__protobuf__bool_value__descriptor, WELLKNOWN_WRAPPER},
	    {&google__protobuf__uint32_value__descriptor, WELLKNOWN_WRAPPER},
	    {&google__protobuf__uint64_value__descriptor, WELLKNOWN_WRAPPER},
	    {&google__protobuf__int32_value__descriptor, WELLKNOWN_WRAPPER},
	    {&google__protobuf__int64_value__descriptor, WELLKNOWN_WRAPPER},
	    {&google__protobuf__double_value__descriptor, WELLKNOWN_WRAPPER},
	    {&google__protobuf__float_value__descriptor, WELLKNOWN_WRAPPER},
	    {&google__protobuf__string_value__descriptor, WELLKNOWN_WRAPPER},
	    {&google__protobuf__bytes_value__descriptor, WELLKNOWN_WRAPPER},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].descriptor == d)
			return rows[i].kind;
	return WELLKNOWN_NONE;
}

static int
say(struct message_build *b, const struct where *w, struct scalar_error *e)
{
	where_error(b->diag, w, e->near, "%s", strb_z(&e->text));
	scalar_error_fini(e);
	return -1;
}

static int
merge_duration(
    struct message_build *b, ProtobufCMessage *m, const struct node *n, const struct where *w)
{
	Google__Protobuf__Duration *d = (Google__Protobuf__Duration *)m;
	struct scalar_error e = {0};

	if (n->kind != NODE_SCALAR)
		return where_error(b->diag, w, NULL, "takes a duration such as \"0.25s\", not %s",
		    node_kind_name(n));
	return scalar_duration(n, &d->seconds, &d->nanos, &e) < 0 ? say(b, w, &e) : 0;
}

static int
merge_wrapper(
    struct message_build *b, ProtobufCMessage *m, const struct node *n, const struct where *w)
{
	const ProtobufCFieldDescriptor *f = &m->descriptor->fields[0];
	struct scalar_error e = {0};

	if (scalar_read(b->arena, f, n, message_field(m, f), &e) < 0)
		return say(b, w, &e);
	return 0;
}

static int merge_struct(struct message_build *b, Google__Protobuf__Struct *s, const struct node *n,
    const struct where *w);
static int merge_list(struct message_build *b, Google__Protobuf__ListValue *l, const struct node *n,
    const struct where *w);

/* What the scalar says by itself: null, true, false, a number, else a string. */
static int
value_of_scalar(struct message_build *b, Google__Protobuf__Value *v, const struct node *n,
    const struct where *w)
{
	if (node_is_null(n)) {
		v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE;
	} else if (!n->quoted && (str_ieqz(n->text, "true") || str_ieqz(n->text, "false"))) {
		v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE;
		v->bool_value = str_ieqz(n->text, "true");
	} else if (scalar_is_number(n, &v->number_value)) {
		v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
	} else {
		if (memchr(n->text.p, '\0', n->text.n))
			return where_error(b->diag, w, NULL, "holds a NUL");
		v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
		v->string_value = arena_dup(b->arena, n->text.p, n->text.n);
	}
	return 0;
}

static int
merge_value(struct message_build *b, Google__Protobuf__Value *v, const struct node *n,
    const struct where *w)
{
	switch (n->kind) {
	case NODE_SCALAR:
		return value_of_scalar(b, v, n, w);
	case NODE_MAP:
		v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE;
		v->struct_value =
		    (void *)message_new(b->arena, &google__protobuf__struct__descriptor);
		return merge_struct(b, v->struct_value, n, w);
	case NODE_SEQ:
		break;
	}
	v->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE;
	v->list_value = (void *)message_new(b->arena, &google__protobuf__list_value__descriptor);
	return merge_list(b, v->list_value, n, w);
}

static struct where
below(const struct where *w, struct str field, int index, const struct node *n)
{
	return (struct where){.up = w, .field = field, .index = index, .doc = w->doc, .node = n};
}

/* The value of a key: one of the `old`, emptied, or new at the end. */
static Google__Protobuf__Value *
struct_value(
    struct message_build *b, Google__Protobuf__Struct *s, const struct node *key, size_t old)
{
	Google__Protobuf__Struct__FieldsEntry *entry;

	for (size_t i = 0; i < old; i++)
		if (str_eqz(key->text, s->fields[i]->key))
			return s->fields[i]->value = (void *)message_new(
				   b->arena, &google__protobuf__value__descriptor);
	entry = (void *)message_new(b->arena, &google__protobuf__struct__fields_entry__descriptor);
	entry->key = arena_dup(b->arena, key->text.p, key->text.n);
	entry->value = (void *)message_new(b->arena, &google__protobuf__value__descriptor);
	s->fields[s->n_fields++] = entry;
	return entry->value;
}

static int
merge_struct(struct message_build *b, Google__Protobuf__Struct *s, const struct node *n,
    const struct where *w)
{
	Google__Protobuf__Struct__FieldsEntry **fields = s->fields;
	size_t old = s->n_fields;

	if (n->kind != NODE_MAP)
		return where_error(b->diag, w, NULL, "takes a mapping, not %s", node_kind_name(n));
	s->fields = arena_alloc(b->arena, (old + n->count) * sizeof(*s->fields));
	if (old)
		memcpy(s->fields, fields, old * sizeof(*fields));
	for (uint32_t i = 0; i < n->count; i++) {
		struct where at = below(w, n->pairs[i].key->text, -1, n->pairs[i].value);

		if (memchr(at.field.p, '\0', at.field.n))
			return where_error(b->diag, &at, NULL, "the key holds a NUL");
		if (merge_value(
			b, struct_value(b, s, n->pairs[i].key, old), n->pairs[i].value, &at) < 0)
			return -1;
	}
	return 0;
}

static int
merge_list(struct message_build *b, Google__Protobuf__ListValue *l, const struct node *n,
    const struct where *w)
{
	if (n->kind != NODE_SEQ)
		return where_error(b->diag, w, NULL, "takes a list, not %s", node_kind_name(n));
	l->values = arena_alloc(b->arena, n->count * sizeof(*l->values));
	l->n_values = 0;
	for (uint32_t i = 0; i < n->count; i++) {
		struct where at = below(w, (struct str){NULL, 0}, (int)i, n->items[i]);

		l->values[i] = (void *)message_new(b->arena, &google__protobuf__value__descriptor);
		l->n_values++;
		if (merge_value(b, l->values[i], n->items[i], &at) < 0)
			return -1;
	}
	return 0;
}

int
wellknown_merge(struct message_build *b, enum wellknown kind, ProtobufCMessage *m,
    const struct node *n, const struct where *w)
{
	switch (kind) {
	case WELLKNOWN_DURATION:
		return merge_duration(b, m, n, w);
	case WELLKNOWN_WRAPPER:
		return merge_wrapper(b, m, n, w);
	case WELLKNOWN_STRUCT:
		return merge_struct(b, (void *)m, n, w);
	case WELLKNOWN_VALUE:
		return merge_value(b, (void *)m, n, w);
	case WELLKNOWN_LIST:
		return merge_list(b, (void *)m, n, w);
	case WELLKNOWN_ANY:
	case WELLKNOWN_NONE:
		break;
	}
	UNREACHABLE();
}
