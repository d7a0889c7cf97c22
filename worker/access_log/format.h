/*
 * Format strings with %OPERATORS%: access-log lines and header values.
 * Compiled once into an arena, immutable; written without malloc beyond
 * the builder's own growth.
 */
#ifndef ACCESS_LOG_FORMAT_H
#define ACCESS_LOG_FORMAT_H

#include <stdbool.h>

#include "lib/base/arena.h"
#include "lib/base/err.h"
#include "lib/base/str.h"

struct format;
struct stream_info;
struct Google__Protobuf__Struct;

struct format_options {
	bool omit_empty; /* missing: nothing in text, no key in JSON */
	bool sort_keys;  /* JSON */
};

/* Envoy's default line, its newline included. */
extern const char format_default_text[];

/* Text with operators; "%%" is a percent sign.  -1 with err for an unknown operator or bad syntax. */
int format_compile(struct format **out, struct str text, struct arena *a, struct err *err);
int format_compile_text(struct format **out, struct str text, const struct format_options *o,
    struct arena *a, struct err *err);
/* One JSON object a line.  A string that is one operator keeps the type of its value. */
int format_compile_json(struct format **out, const struct Google__Protobuf__Struct *fields,
    const struct format_options *o, struct arena *a, struct err *err);

/* Appends; a value that is missing is "-", in JSON null when it stands alone. */
void format_write(const struct format *f, const struct stream_info *info, struct strb *out);

#endif
