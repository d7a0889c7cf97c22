#include "conf/node.h"

#include <stdarg.h>

#include "conf/diag.h"
#include "conf/node_private.h"
#include "lib/base/map.h"

bool
node_is_null(const struct node *n)
{
	if (n->kind != NODE_SCALAR || n->quoted)
		return false;
	return n->text.n == 0 || str_eqz(n->text, "~") || str_eqz(n->text, "null") ||
	       str_eqz(n->text, "Null") || str_eqz(n->text, "NULL");
}

struct node *
node_get(const struct node *map, struct str key)
{
	if (map->kind != NODE_MAP)
		return NULL;
	for (uint32_t i = 0; i < map->count; i++)
		if (str_eq(map->pairs[i].key->text, key))
			return map->pairs[i].value;
	return NULL;
}

const char *
node_kind_name(const struct node *n)
{
	switch (n->kind) {
	case NODE_MAP:
		return "a mapping";
	case NODE_SEQ:
		return "a list";
	case NODE_SCALAR:
		break;
	}
	return node_is_null(n) ? "null" : n->quoted ? "a string" : "a scalar";
}

struct document *
document_new(struct arena *a, const char *name, struct str text)
{
	struct document *doc = arena_new(a, struct document);

	doc->name = name;
	doc->text = arena_str(a, text);
	return doc;
}

int
document_check(struct node_builder *b)
{
	struct str text = b->doc->text;
	const char *nul;

	if (text.n > CONF_FILE_LIMIT)
		return node_fail(b, 0, 0, "larger than %u MiB", CONF_FILE_LIMIT >> 20);
	nul = text.n ? memchr(text.p, '\0', text.n) : NULL;
	if (nul)
		return node_fail(b, 0, 0, "holds a NUL byte (byte %zu)", (size_t)(nul - text.p));
	return 0;
}

int
node_fail(struct node_builder *b, uint32_t line, uint32_t column, const char *fmt, ...)
{
	struct strb text = {0};
	va_list ap;

	va_start(ap, fmt);
	strb_vprintf(&text, fmt, ap);
	va_end(ap);
	diag_add(b->diag, DIAG_ERROR, b->doc, line, column, "", NULL, strb_z(&text));
	strb_fini(&text);
	return -1;
}

struct node *
node_make(struct node_builder *b, enum node_kind kind, uint32_t line, uint32_t column)
{
	struct node *n;

	if (++b->made > NODE_LIMIT) {
		node_fail(b, line, column, "more than %u values in one document", NODE_LIMIT);
		return NULL;
	}
	n = arena_new(b->arena, struct node);
	n->kind = kind;
	n->line = line;
	n->column = column;
	n->weight = 1;
	return n;
}

int
node_reuse(struct node_builder *b, const struct node *n, uint32_t line, uint32_t column)
{
	if (n->weight > NODE_ALIAS_LIMIT - b->added)
		return node_fail(b, line, column,
		    "aliases and merge keys repeat more than %u values", NODE_ALIAS_LIMIT);
	b->added += n->weight;
	return 0;
}

int
node_fill_seq(struct node_builder *b, struct node *seq, const struct node_list *items)
{
	seq->items = arena_alloc(b->arena, items->len * sizeof(*seq->items));
	for (size_t i = 0; i < items->len; i++) {
		if (!items->at[i])
			continue;
		seq->items[seq->count++] = items->at[i];
		seq->weight += items->at[i]->weight;
	}
	return 0;
}

/* The pairs of a mapping while it grows; the index is built for the large ones only. */
struct filling {
	struct node *map;
	struct map index; /* key → the key's node */
	size_t cap;
};

#define SMALL_MAP 12

static const struct node *
key_of(const struct filling *f, struct str key)
{
	if (f->index.len)
		return map_get(&f->index, key);
	for (uint32_t i = 0; i < f->map->count; i++)
		if (str_eq(f->map->pairs[i].key->text, key))
			return f->map->pairs[i].key;
	return NULL;
}

static void
add_pair(struct node_builder *b, struct filling *f, struct node *key, struct node *value)
{
	struct node *map = f->map;

	if (map->count == f->cap) {
		struct node_pair *more = arena_alloc(b->arena, f->cap * 2 * sizeof(*more));

		memcpy(more, map->pairs, f->cap * sizeof(*more));
		map->pairs = more;
		f->cap *= 2;
	}
	map->pairs[map->count].key = key;
	map->pairs[map->count].value = value;
	map->count++;
	map->weight += 1 + value->weight;
	if (map->count == SMALL_MAP)
		for (uint32_t i = 0; i < map->count; i++)
			map_put(&f->index, map->pairs[i].key->text, map->pairs[i].key);
	else if (map->count > SMALL_MAP)
		map_put(&f->index, key->text, key);
}

static int
check_key(struct node_builder *b, const struct filling *f, const struct node *key)
{
	const struct node *first;

	if (key->kind != NODE_SCALAR)
		return node_fail(b, key->line, key->column, "a key must be a scalar, not %s",
		    node_kind_name(key));
	first = key_of(f, key->text);
	if (first)
		return node_fail(b, key->line, key->column,
		    "duplicate key '" STR_FMT "', first at %u:%u", STR_ARG(key->text), first->line,
		    first->column);
	return 0;
}

static int
merge_map(struct node_builder *b, struct filling *f, const struct node *at, const struct node *from)
{
	if (from->kind != NODE_MAP)
		return node_fail(b, at->line, at->column,
		    "<< takes a mapping or a list of mappings, not %s", node_kind_name(from));
	for (uint32_t i = 0; i < from->count; i++) {
		if (key_of(f, from->pairs[i].key->text))
			continue;
		if (node_reuse(b, from->pairs[i].value, at->line, at->column) < 0)
			return -1;
		add_pair(b, f, from->pairs[i].key, from->pairs[i].value);
	}
	return 0;
}

static int
merge(struct node_builder *b, struct filling *f, const struct node *key, const struct node *value)
{
	if (value->kind != NODE_SEQ)
		return merge_map(b, f, key, value);
	for (uint32_t i = 0; i < value->count; i++)
		if (merge_map(b, f, key, value->items[i]) < 0)
			return -1;
	return 0;
}

static bool
is_merge_key(const struct node *key)
{
	return key->kind == NODE_SCALAR && !key->quoted && str_eqz(key->text, "<<");
}

static int
fill(struct node_builder *b, struct filling *f, const struct node_list *members)
{
	const struct node *merge_key = NULL, *merge_value = NULL;

	for (size_t i = 0; i + 1 < members->len; i += 2) {
		struct node *key = members->at[i], *value = members->at[i + 1];

		if (!key || !value)
			continue;
		if (is_merge_key(key)) {
			if (merge_key)
				return node_fail(b, key->line, key->column,
				    "duplicate key '<<', first at %u:%u", merge_key->line,
				    merge_key->column);
			merge_key = key;
			merge_value = value;
			continue;
		}
		if (check_key(b, f, key) < 0)
			return -1;
		add_pair(b, f, key, value);
	}
	return merge_key ? merge(b, f, merge_key, merge_value) : 0;
}

int
node_fill_map(struct node_builder *b, struct node *map, const struct node_list *members)
{
	struct filling f = {.map = map, .cap = members->len / 2 + 1};
	int result;

	map->pairs = arena_alloc(b->arena, f.cap * sizeof(*map->pairs));
	result = fill(b, &f, members);
	map_fini(&f.index);
	return result;
}
