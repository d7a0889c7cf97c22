/*
 * What the YAML and the JSON reader share: making nodes under the limits,
 * duplicate keys, merge keys.
 */
#ifndef CONF_NODE_PRIVATE_H
#define CONF_NODE_PRIVATE_H

#include "conf/node.h"
#include "lib/base/vec.h"

struct diag;

struct node_builder {
	struct arena *arena;
	struct document *doc;
	struct diag *diag;
	uint32_t made;	/* nodes written in the text */
	uint32_t added; /* nodes that aliases and merge keys repeat */
};

struct node_list {
	struct node **at;
	size_t len, cap;
};

struct document *document_new(struct arena *a, const char *name, struct str text);
/* The limits that can be seen before reading. */
int document_check(struct node_builder *b);

int node_fail(struct node_builder *b, uint32_t line, uint32_t column, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* NULL when the document has too many; said in diag. */
struct node *node_make(struct node_builder *b, enum node_kind kind, uint32_t line, uint32_t column);
/* Counts a node that is used once more; -1 when that goes too far. */
int node_reuse(struct node_builder *b, const struct node *n, uint32_t line, uint32_t column);

/* Items in order; NULL ones are left out.  Borrows the list. */
int node_fill_seq(struct node_builder *b, struct node *seq, const struct node_list *items);
/* Keys and values in turn; pairs with a NULL value are left out, "<<" is merged. */
int node_fill_map(struct node_builder *b, struct node *map, const struct node_list *members);

#endif
