/*
 * YAML by libyaml's events.  libyaml bounds neither depth nor size and
 * lets duplicate keys and further documents pass: all of that is here.
 */
#include "conf/node.h"

#include <yaml.h>

#include "conf/diag.h"
#include "conf/node_private.h"
#include "lib/base/map.h"
#include "lib/base/task.h"
#include "lib/base/vec.h"

struct reader {
	yaml_parser_t parser;
	struct node_builder b;
	struct map anchors; /* name → struct node; keys in the arena */
};

/* A node just read and what stood in front of it. */
struct read_node {
	struct node *node; /* NULL: the end of a sequence or mapping */
	bool ignored;	   /* tagged !ignore: only its anchor counts */
};

static int
syntax_error(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	yaml_mark_t at = p->problem_mark;
	const char *what = p->problem ? p->problem : "cannot be read";

	if (p->error == YAML_MEMORY_ERROR)
		return node_fail(&r->b, 0, 0, "out of memory");
	if (p->error == YAML_READER_ERROR)
		return node_fail(&r->b, 0, 0, "%s (byte %zu)", what, p->problem_offset);
	if (strstr(what, "end of stream")) /* where it began helps more */
		at = p->context_mark;
	if (p->context)
		return node_fail(&r->b, (uint32_t)at.line + 1, (uint32_t)at.column + 1, "%s: %s",
		    p->context, what);
	return node_fail(&r->b, (uint32_t)at.line + 1, (uint32_t)at.column + 1, "%s", what);
}

static int
next_event(struct reader *r, yaml_event_t *e)
{
	return yaml_parser_parse(&r->parser, e) ? 0 : syntax_error(r);
}

static uint32_t
line(const yaml_event_t *e)
{
	return (uint32_t)e->start_mark.line + 1;
}

static uint32_t
column(const yaml_event_t *e)
{
	return (uint32_t)e->start_mark.column + 1;
}

static int read_value(struct reader *r, yaml_event_t *e, unsigned depth, struct read_node *out);

static void
remember_anchor(struct reader *r, const yaml_char_t *anchor, struct node *n)
{
	if (anchor)
		map_put(&r->anchors, arena_str(r->b.arena, str_of((const char *)anchor)), n);
}

static int
read_alias(struct reader *r, const yaml_event_t *e, struct read_node *out)
{
	const char *name = (const char *)e->data.alias.anchor;

	out->node = map_getz(&r->anchors, name);
	if (!out->node)
		return node_fail(
		    &r->b, line(e), column(e), "no anchor '%s' stands before this", name);
	return node_reuse(&r->b, out->node, line(e), column(e));
}

static bool
has_tag(const yaml_char_t *tag, const char *name)
{
	return tag && strcmp((const char *)tag, name) == 0;
}

static int
read_scalar(struct reader *r, const yaml_event_t *e, struct read_node *out)
{
	struct node *n = node_make(&r->b, NODE_SCALAR, line(e), column(e));

	if (!n)
		return -1;
	n->text = arena_str(
	    r->b.arena, str_make((const char *)e->data.scalar.value, e->data.scalar.length));
	n->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE ||
		    has_tag(e->data.scalar.tag, YAML_STR_TAG);
	remember_anchor(r, e->data.scalar.anchor, n);
	out->node = n;
	out->ignored = has_tag(e->data.scalar.tag, "!ignore");
	return 0;
}

/* Reads values until the end event; gives them in `list`. */
static int
read_members(struct reader *r, unsigned depth, struct node_list *list)
{
	for (;;) {
		struct read_node value = {0};
		yaml_event_t e;
		int failed;

		task_breathe();
		if (next_event(r, &e) < 0)
			return -1;
		failed = read_value(r, &e, depth, &value);
		yaml_event_delete(&e);
		if (failed)
			return -1;
		if (!value.node)
			return 0;
		*vec_push(list) = value.ignored ? NULL : value.node;
	}
}

/*
 * The anchor of a mapping or sequence is known only behind it: an alias to
 * what it stands in would be a circle, and is refused as unknown.
 */
static int
read_collection(struct reader *r, const yaml_event_t *e, unsigned depth, struct read_node *out)
{
	bool map = e->type == YAML_MAPPING_START_EVENT;
	const yaml_char_t *anchor =
	    map ? e->data.mapping_start.anchor : e->data.sequence_start.anchor;
	const yaml_char_t *tag = map ? e->data.mapping_start.tag : e->data.sequence_start.tag;
	struct node *n = node_make(&r->b, map ? NODE_MAP : NODE_SEQ, line(e), column(e));
	struct node_list list = {0};
	int failed;

	if (!n)
		return -1;
	if (depth >= NODE_DEPTH)
		return node_fail(
		    &r->b, line(e), column(e), "nested deeper than %d levels", NODE_DEPTH);
	failed = read_members(r, depth + 1, &list) < 0 ||
		 (map ? node_fill_map(&r->b, n, &list) : node_fill_seq(&r->b, n, &list)) < 0;
	vec_fini(&list);
	if (failed)
		return -1;
	remember_anchor(r, anchor, n);
	out->node = n;
	out->ignored = has_tag(tag, "!ignore");
	return 0;
}

static int
read_value(struct reader *r, yaml_event_t *e, unsigned depth, struct read_node *out)
{
	switch (e->type) {
	case YAML_ALIAS_EVENT:
		return read_alias(r, e, out);
	case YAML_SCALAR_EVENT:
		return read_scalar(r, e, out);
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		return read_collection(r, e, depth, out);
	default: /* the end of what we are in */
		return 0;
	}
}

static int
read_document(struct reader *r, struct document *doc)
{
	struct read_node root = {0};

	for (;;) {
		yaml_event_t e;
		yaml_event_type_t type;
		int failed = 0;

		if (next_event(r, &e) < 0)
			return -1;
		type = e.type;
		if (type == YAML_DOCUMENT_START_EVENT && doc->root)
			failed = node_fail(&r->b, line(&e), column(&e),
			    "a second document begins here; a configuration is one document");
		else
			failed = read_value(r, &e, 0, &root);
		yaml_event_delete(&e);
		if (failed)
			return -1;
		if (root.node && !doc->root)
			doc->root = root.node;
		if (type == YAML_STREAM_END_EVENT)
			return 0;
	}
}

int
yaml_parse(
    struct arena *a, const char *name, struct str text, struct document **out, struct diag *diag)
{
	struct reader r = {.b = {.arena = a, .diag = diag}};
	int result;

	*out = r.b.doc = document_new(a, name, text);
	if (document_check(&r.b) < 0)
		return -1;
	if (!yaml_parser_initialize(&r.parser))
		return node_fail(&r.b, 0, 0, "out of memory");
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)r.b.doc->text.p, text.n);
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	result = read_document(&r, r.b.doc);
	yaml_parser_delete(&r.parser);
	map_fini(&r.anchors);
	return result;
}
