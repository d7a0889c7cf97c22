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

struct value {
	enum value_kind kind;
	bool ours;          /* a text that has no control bytes, for nobody else wrote it */
	struct str text;    /* borrowed from the stream, a literal, or `scratch` */
	uint64_t number;
	char scratch[256];  /* not initialised */
};

typedef void operator_fn(const struct operator *op, const struct stream_info *info, struct value *v);

struct operator {
	operator_fn *get;
	const struct start_time *time; /* START_TIME */
	enum header_id id, other_id;   /* REQ(X?Y), RESP(X?Y) */
	struct str name, other;        /* in lower case; other.p NULL: none */
	uint64_t most;                 /* ":Z": bytes at most; UINT64_MAX: all */
};

/*
 * Parses one operator in *text, which begins behind its '%' and is cut
 * behind the closing one.  Names in op are in the arena.
 */
int operator_compile(struct operator *op, struct str *text, struct arena *a, struct err *err);

/* The value, cut to op->most, without control bytes: a line stays a line. */
void operator_value(const struct operator *op, const struct stream_info *info, struct value *v);

#endif
