/*
 * Format strings with %OPERATORS%: access-log lines and header values.
 * Compiled once into an arena, immutable; written without malloc beyond
 * the builder's own growth.
 */
#ifndef ACCESS_LOG_FORMAT_H
#define ACCESS_LOG_FORMAT_H

#include "lib/base/arena.h"
#include "lib/base/err.h"
#include "lib/base/str.h"

struct format;
struct stream_info;

/* Text with operators; "%%" is a percent sign.  -1 with err for an unknown operator or bad syntax. */
int format_compile(struct format **out, struct str text, struct arena *a, struct err *err);
/* Appends; a value that is missing is "-". */
void format_write(const struct format *f, const struct stream_info *info, struct strb *out);

#endif
