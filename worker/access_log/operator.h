/*
 * One compiled %OPERATOR% and the value it gives for a stream.  Shared by
 * the files of this folder.
 */
#ifndef ACCESS_LOG_OPERATOR_H
#define ACCESS_LOG_OPERATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/http/headers.h"
#include "worker/hcm/stream_info.h"

struct operator;
struct start_time;

enum value_kind {
	VALUE_MISSING,
	VALUE_TEXT,
	VALUE_NUMBER,
};

/* What operators make themselves is never longer, and has no control bytes. */
#define VALUE_SCRATCH 256

struct value {
	enum value_kind kind;
	struct str text; /* borrowed from the stream, a literal, or in `scratch` */
	uint64_t number;
	char *scratch;   /* the caller's, VALUE_SCRATCH bytes */
};

typedef void operator_fn(const struct operator *op, const struct stream_info *info, struct value *v);

/* What few operators need. */
struct operator_more {
	struct str name, other;        /* REQ(X?Y), RESP(X?Y), in lower case */
	uint64_t most;                 /* ":Z": bytes at most */
	const struct start_time *time; /* START_TIME */
};

/* Small: a line of the log is written from some fifteen, after whatever else had the cache. */
struct operator {
	operator_fn *get;
	const struct operator_more *more;
	uint8_t id, other_id; /* enum header_id of the names */
	bool has_other;
	bool cut; /* to `most` */
};

/*
 * Parses one operator in *text, which begins behind its '%' and is cut
 * behind the closing one.  Names in op are in the arena.
 */
int operator_compile(struct operator *op, struct str *text, struct arena *a, struct err *err);

/* The value, cut to `most`.  A text that was borrowed may have control bytes. */
static inline void
operator_value(const struct operator *op, const struct stream_info *info, struct value *v)
{
	op->get(op, info, v);
	if (UNLIKELY(op->cut) && v->kind == VALUE_TEXT && v->text.n > op->more->most)
		v->text.n = op->more->most;
}

#endif
