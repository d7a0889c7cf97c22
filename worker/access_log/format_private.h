/*
 * Compiled formats, as format.c (text) and format_json.c share them.
 */
#ifndef ACCESS_LOG_FORMAT_PRIVATE_H
#define ACCESS_LOG_FORMAT_PRIVATE_H

#include "worker/access_log/format.h"
#include "worker/access_log/operator.h"

#define LITERAL_MAX 15

/* A piece of text: bytes, then an operator unless op.get is NULL.  Longer literals are several. */
struct piece {
	struct operator op;
	char literal[LITERAL_MAX];
	uint8_t n; /* bytes of it */
};

struct text_format {
	struct piece *pieces;
	unsigned n;
	bool dash; /* stands for a value that is missing; false: nothing does */
};

struct json_node;

struct format {
	struct text_format text;
	const struct json_node *json; /* NULL: text */
};

int text_format_compile(struct text_format *out, struct str text, bool omit_empty,
    struct arena *a, struct err *err);
void text_format_write(
    const struct text_format *f, const struct stream_info *info, struct strb *out);
void json_format_write(
    const struct json_node *root, const struct stream_info *info, struct strb *out);

#endif
