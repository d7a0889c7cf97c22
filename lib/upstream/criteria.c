#include "lib/upstream/criteria.h"

#include <stdlib.h>

#include "lib/base/mem.h"

#define FALLBACK_LIST "fallback_list"

typedef Google__Protobuf__Struct Struct;
typedef Google__Protobuf__Struct__FieldsEntry Field;
typedef Google__Protobuf__Value Value;

/* A letter says what it is: the text "1" is not the number 1. */
void
criterion_value(struct strb *out, const Value *v)
{
	size_t n;

	switch (v->kind_case) {
	case GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE:
		strb_addc(out, 's');
		strb_addz(out, v->string_value);
		break;
	case GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE:
		strb_printf(out, "n%.17g", v->number_value);
		break;
	case GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE:
		strb_addz(out, v->bool_value ? "b1" : "b0");
		break;
	case GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE:
	case GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE: {
		uint8_t *bytes;

		n = google__protobuf__value__get_packed_size(v);
		bytes = mem_alloc(n + 1);
		google__protobuf__value__pack(v, bytes);
		strb_addc(out, 'p');
		strb_add(out, bytes, n);
		mem_free(bytes);
		break;
	}
	default:
		strb_addc(out, '0');
	}
}

void
criterion_add(struct strb *key, struct str name, struct str value)
{
	strb_adds(key, name);
	strb_addc(key, '\0');
	strb_adds(key, value);
	strb_addc(key, '\0');
}

static int
by_name(const void *a, const void *b)
{
	return str_cmp(((const struct criterion *)a)->name, ((const struct criterion *)b)->name);
}

static struct str
keep(struct arena *a, struct strb *b)
{
	struct str s = arena_str(a, strb_str(b));

	strb_reset(b);
	return s;
}

static struct criterion *
find(struct criteria *c, struct str name)
{
	for (size_t i = 0; i < c->n; i++)
		if (str_eq(c->at[i].name, name))
			return &c->at[i];
	return NULL;
}

static void
put(struct criteria *c, const Field *f, struct arena *a)
{
	struct criterion *x = find(c, str_of(f->key));
	struct strb value = {0};

	if (x == NULL) {
		x = &c->at[c->n++];
		x->name = arena_str(a, str_of(f->key));
	}
	criterion_value(&value, f->value);
	x->value = keep(a, &value);
	strb_fini(&value);
}

/* m, and what `more` says over it. */
static struct criteria *
merge(const Struct *m, const Struct *more, struct arena *a)
{
	struct criteria *c = arena_new(a, struct criteria);
	size_t room = m->n_fields + (more ? more->n_fields : 0);
	struct strb text = {0};

	c->at = arena_zalloc(a, room * sizeof(*c->at));
	for (size_t i = 0; i < m->n_fields; i++)
		if (m->fields[i]->value && strcmp(m->fields[i]->key, FALLBACK_LIST) != 0)
			put(c, m->fields[i], a);
	for (size_t i = 0; more && i < more->n_fields; i++)
		if (more->fields[i]->value)
			put(c, more->fields[i], a);
	qsort(c->at, c->n, sizeof(*c->at), by_name);
	for (size_t i = 0; i < c->n; i++) {
		strb_adds(&text, c->at[i].name);
		strb_addc(&text, '\0');
	}
	c->names = keep(a, &text);
	for (size_t i = 0; i < c->n; i++)
		criterion_add(&text, c->at[i].name, c->at[i].value);
	c->key = keep(a, &text);
	strb_fini(&text);
	return c;
}

static const Value *
fallback_list(const Struct *m)
{
	for (size_t i = 0; i < m->n_fields; i++)
		if (strcmp(m->fields[i]->key, FALLBACK_LIST) == 0 && m->fields[i]->value &&
		    m->fields[i]->value->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE)
			return m->fields[i]->value;
	return NULL;
}

const struct criteria *
criteria_build(const Struct *m, struct arena *a)
{
	const Value *list;
	struct criteria *c;

	if (m == NULL || m->n_fields == 0)
		return NULL;
	c = merge(m, NULL, a);
	list = fallback_list(m);
	if (list == NULL)
		return c;
	c->instead = arena_zalloc(a, list->list_value->n_values * sizeof(*c->instead));
	for (size_t i = 0; i < list->list_value->n_values; i++) {
		const Value *v = list->list_value->values[i];

		if (v->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE)
			c->instead[c->instead_n++] = merge(m, v->struct_value, a);
	}
	return c;
}
