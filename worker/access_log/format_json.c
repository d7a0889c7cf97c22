/*
 * JSON formats: a Struct becomes a tree of nodes that is walked for every
 * line.  Keys stand in the order of the configuration.  Run by workers.
 */
#include "worker/access_log/format.h"

#include <stdlib.h>

#include "google/protobuf/struct.pb-c.h"
#include "lib/base/assert.h"
#include "lib/base/json_out.h"
#include "worker/access_log/format_private.h"

#define DEEPEST 64

enum node_kind {
	NODE_NULL,
	NODE_NUMBER,
	NODE_BOOL,
	NODE_VALUE, /* one operator: keeps its type */
	NODE_TEXT,  /* anything else in a string */
	NODE_OBJECT,
	NODE_LIST,
};

struct json_node {
	enum node_kind kind;
	bool omit_empty;
	struct str key; /* in an object */
	double number;
	bool truth;
	struct text_format text;
	struct json_node *children;
	size_t n;
};

struct build {
	const struct format_options *options;
	struct arena *arena;
	unsigned depth;
};

static int build_node(struct json_node *out, const Google__Protobuf__Value *v, struct build *b,
    struct err *err);

static int
by_key(const void *a, const void *b)
{
	return str_cmp(((const struct json_node *)a)->key, ((const struct json_node *)b)->key);
}

static int
build_object(
    struct json_node *out, const Google__Protobuf__Struct *s, struct build *b, struct err *err)
{
	out->kind = NODE_OBJECT;
	out->n = s->n_fields;
	out->children = arena_zalloc(b->arena, s->n_fields * sizeof(*out->children));
	for (size_t i = 0; i < s->n_fields; i++) {
		struct json_node *child = &out->children[i];

		child->key = arena_str(b->arena, str_of(s->fields[i]->key));
		if (build_node(child, s->fields[i]->value, b, err) < 0)
			return err_in(err, "'%s'", s->fields[i]->key);
	}
	if (b->options->sort_keys)
		qsort(out->children, out->n, sizeof(*out->children), by_key);
	return 0;
}

static int
build_list(
    struct json_node *out, const Google__Protobuf__ListValue *l, struct build *b, struct err *err)
{
	out->kind = NODE_LIST;
	out->n = l->n_values;
	out->children = arena_zalloc(b->arena, l->n_values * sizeof(*out->children));
	for (size_t i = 0; i < l->n_values; i++) {
		if (build_node(&out->children[i], l->values[i], b, err) < 0)
			return -1;
	}
	return 0;
}

static int
build_text(struct json_node *out, const char *text, struct build *b, struct err *err)
{
	struct text_format *t = &out->text;

	if (text_format_compile(t, str_of(text), out->omit_empty, b->arena, err) < 0)
		return -1;
	out->kind = t->n == 1 && t->pieces[0].op.get && t->pieces[0].n == 0 ? NODE_VALUE : NODE_TEXT;
	return 0;
}

static int
build_nested(
    struct json_node *out, const Google__Protobuf__Value *v, struct build *b, struct err *err)
{
	int rc;

	if (++b->depth > DEEPEST)
		return err_set(err, "more than %d levels deep", DEEPEST);
	if (v->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE)
		rc = build_object(out, v->struct_value, b, err);
	else
		rc = build_list(out, v->list_value, b, err);
	b->depth--;
	return rc;
}

static int
build_node(
    struct json_node *out, const Google__Protobuf__Value *v, struct build *b, struct err *err)
{
	out->omit_empty = b->options->omit_empty;
	switch (v ? v->kind_case : GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE) {
	case GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE:
		out->kind = NODE_NUMBER;
		out->number = v->number_value;
		return 0;
	case GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE:
		out->kind = NODE_BOOL;
		out->truth = v->bool_value;
		return 0;
	case GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE:
		return build_text(out, v->string_value, b, err);
	case GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE:
	case GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE:
		return build_nested(out, v, b, err);
	default:
		out->kind = NODE_NULL;
		return 0;
	}
}

int
format_compile_json(struct format **out, const struct Google__Protobuf__Struct *fields,
    const struct format_options *o, struct arena *a, struct err *err)
{
	struct format *f = arena_new(a, struct format);
	struct json_node *root = arena_new(a, struct json_node);
	struct build b = {o, a, 1};

	*out = f;
	f->json = root;
	return build_object(root, fields, &b, err);
}

/* ---- writing */

static void write_node(
    struct json_out *j, const struct json_node *node, const struct stream_info *info);

static void
write_key(struct json_out *j, const struct json_node *node)
{
	if (node->key.p)
		json_key(j, node->key);
}

static void
write_value(struct json_out *j, const struct json_node *node, const struct stream_info *info)
{
	char scratch[VALUE_SCRATCH];
	struct value v = {.scratch = scratch};

	operator_value(&node->text.pieces[0].op, info, &v);
	if (v.kind == VALUE_MISSING && node->omit_empty)
		return;
	write_key(j, node);
	if (v.kind == VALUE_TEXT)
		json_string(j, v.text);
	else if (v.kind == VALUE_NUMBER)
		json_u64(j, v.number);
	else
		json_null(j);
}

/* The scratch is the process's and keeps its memory. */
static void
write_text(struct json_out *j, const struct json_node *node, const struct stream_info *info)
{
	static struct strb scratch;

	strb_reset(&scratch);
	text_format_write(&node->text, info, &scratch);
	write_key(j, node);
	json_string(j, strb_str(&scratch));
}

static void
write_children(struct json_out *j, const struct json_node *node, const struct stream_info *info)
{
	write_key(j, node);
	if (node->kind == NODE_OBJECT)
		json_object(j);
	else
		json_array(j);
	for (size_t i = 0; i < node->n; i++)
		write_node(j, &node->children[i], info);
	json_end(j);
}

static void
write_node(struct json_out *j, const struct json_node *node, const struct stream_info *info)
{
	switch (node->kind) {
	case NODE_VALUE:
		write_value(j, node, info);
		return;
	case NODE_TEXT:
		write_text(j, node, info);
		return;
	case NODE_OBJECT:
	case NODE_LIST:
		write_children(j, node, info);
		return;
	case NODE_NULL:
	case NODE_NUMBER:
	case NODE_BOOL:
		break;
	}
	write_key(j, node);
	if (node->kind == NODE_NUMBER)
		json_double(j, node->number);
	else if (node->kind == NODE_BOOL)
		json_bool(j, node->truth);
	else
		json_null(j);
}

void
json_format_write(const struct json_node *root, const struct stream_info *info, struct strb *out)
{
	struct json_out j;

	json_out_init(&j, out, false);
	write_node(&j, root, info);
	strb_addc(out, '\n');
}
