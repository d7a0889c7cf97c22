/*
 * A JSON writer: values go to a strb as they come, commas and indentation
 * are the writer's business.  Strings are escaped and always valid UTF-8:
 * a byte that is not becomes U+FFFD.
 *
 *   struct json_out j;
 *   json_out_init(&j, &text, true);
 *   json_object(&j);
 *   json_keyz(&j, "name");  json_stringz(&j, "api");
 *   json_end(&j);
 */
#ifndef BASE_JSON_OUT_H
#define BASE_JSON_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"

#define JSON_OUT_DEPTH 128

struct json_out {
	struct strb *to; /* borrowed */
	bool pretty;	 /* one space an indent, as Envoy's dumps */
	bool after_key;
	unsigned depth;
	struct {
		char close;
		bool any;
	} level[JSON_OUT_DEPTH];
};

void json_out_init(struct json_out *j, struct strb *to, bool pretty);

void json_object(struct json_out *j);
void json_array(struct json_out *j);
void json_end(struct json_out *j); /* closes the innermost object or array */
void json_key(struct json_out *j, struct str key);

void json_string(struct json_out *j, struct str s);
void json_printf(struct json_out *j, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void json_u64(struct json_out *j, uint64_t v);
void json_i64(struct json_out *j, int64_t v);
void json_double(struct json_out *j, double v); /* shortest that reads back; null when not finite */
void json_bool(struct json_out *j, bool v);
void json_null(struct json_out *j);
void json_raw(struct json_out *j, struct str json); /* one value that is JSON already */

/* Only the escaped bytes between the quotes. */
void json_escape(struct strb *to, struct str s);

static inline void
json_keyz(struct json_out *j, const char *key)
{
	json_key(j, str_of(key));
}

static inline void
json_stringz(struct json_out *j, const char *s)
{
	json_string(j, str_of(s));
}

#endif
