/*
 * A configuration text as a tree of scalars, mappings and sequences, each
 * with its line and column.  YAML and JSON both become this; nothing is
 * typed yet, that is the message's business (conf/message.h).
 *
 * Nodes live in the arena they were parsed into and borrow from nothing
 * else.  An alias is the anchored node itself, so a node may have several
 * parents; its weight counts as often as it is used.
 */
#ifndef CONF_NODE_H
#define CONF_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/str.h"

#define NODE_DEPTH 64
#define NODE_LIMIT (2u << 20)	    /* nodes of one document as written: 100,000 routes fit well */
#define NODE_ALIAS_LIMIT 200000u    /* nodes that aliases and merge keys may add to it */
#define CONF_FILE_LIMIT (32u << 20) /* bytes of one file */

struct diag;

enum node_kind {
	NODE_SCALAR,
	NODE_MAP,
	NODE_SEQ,
};

struct node_pair {
	struct node *key; /* a scalar */
	struct node *value;
};

struct node {
	enum node_kind kind;
	bool quoted;	       /* scalar: "1", '1', | and > are strings; 1 may be a number */
	uint32_t line, column; /* from 1 */
	uint32_t count;	       /* pairs or items */
	uint32_t weight;       /* nodes below and this one, aliases expanded */
	union {
		struct str text; /* always followed by a NUL that is not counted */
		struct node_pair *pairs;
		struct node **items;
	};
};

struct document {
	const char *name; /* as shown in messages: the path, or "--config-yaml" */
	struct str text;
	struct node *root; /* NULL for an empty document */
};

/* 0, or -1 with the reason in diag.  The text is copied; `name` is borrowed. */
int yaml_parse(
    struct arena *a, const char *name, struct str text, struct document **out, struct diag *diag);
int json_parse(
    struct arena *a, const char *name, struct str text, struct document **out, struct diag *diag);

/* NULL, ~, null and an empty plain scalar: the field is not set. */
bool node_is_null(const struct node *n);
/* Value of a key, or NULL. */
struct node *node_get(const struct node *map, struct str key);
/* "a mapping", "a list", "a string", "null": for messages. */
const char *node_kind_name(const struct node *n);

#endif
