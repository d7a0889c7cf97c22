#include "lib/base/json_out.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/assert.h"

void
json_out_init(struct json_out *j, struct strb *to, bool pretty)
{
	j->to = to;
	j->pretty = pretty;
	j->after_key = false;
	j->depth = 0;
}

static void
new_line(struct json_out *j)
{
	if (!j->pretty)
		return;
	strb_addc(j->to, '\n');
	for (unsigned i = 0; i < j->depth; i++)
		strb_addc(j->to, ' ');
}

/* What stands in front of every value and key. */
static void
separate(struct json_out *j)
{
	if (j->after_key) {
		j->after_key = false;
		return;
	}
	if (j->depth == 0)
		return;
	if (j->level[j->depth - 1].any)
		strb_addc(j->to, ',');
	j->level[j->depth - 1].any = true;
	new_line(j);
}

static void
open_level(struct json_out *j, char open, char close)
{
	separate(j);
	ASSERT(j->depth < JSON_OUT_DEPTH);
	strb_addc(j->to, open);
	j->level[j->depth].close = close;
	j->level[j->depth].any = false;
	j->depth++;
}

void
json_object(struct json_out *j)
{
	open_level(j, '{', '}');
}

void
json_array(struct json_out *j)
{
	open_level(j, '[', ']');
}

void
json_end(struct json_out *j)
{
	ASSERT(j->depth > 0 && !j->after_key);
	j->depth--;
	if (j->level[j->depth].any)
		new_line(j);
	strb_addc(j->to, j->level[j->depth].close);
}

void
json_key(struct json_out *j, struct str key)
{
	separate(j);
	strb_addc(j->to, '"');
	json_escape(j->to, key);
	strb_addz(j->to, j->pretty ? "\": " : "\":");
	j->after_key = true;
}

/* Length of the valid UTF-8 sequence at p, 0 when there is none. */
static size_t
utf8_length(const unsigned char *p, size_t n)
{
	size_t len = p[0] < 0x80   ? 1
		     : p[0] < 0xc2 ? 0
		     : p[0] < 0xe0 ? 2
		     : p[0] < 0xf0 ? 3
		     : p[0] < 0xf5 ? 4
				   : 0;

	if (len == 0 || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

static void
escape_control(struct strb *to, unsigned char c)
{
	switch (c) {
	case '"':
		strb_addz(to, "\\\"");
		break;
	case '\\':
		strb_addz(to, "\\\\");
		break;
	case '\n':
		strb_addz(to, "\\n");
		break;
	case '\r':
		strb_addz(to, "\\r");
		break;
	case '\t':
		strb_addz(to, "\\t");
		break;
	default:
		strb_printf(to, "\\u%04x", c);
	}
}

void
json_escape(struct strb *to, struct str s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t start = 0;

	for (size_t i = 0; i < s.n;) {
		size_t len = 1;

		if (p[i] >= 0x20 && p[i] < 0x7f && p[i] != '"' && p[i] != '\\') {
			i++;
			continue;
		}
		if (p[i] >= 0x80 && (len = utf8_length(p + i, s.n - i)) > 0) {
			i += len;
			continue;
		}
		strb_add(to, s.p + start, i - start);
		if (p[i] >= 0x80)
			strb_addz(to, "\xef\xbf\xbd");
		else
			escape_control(to, p[i]);
		start = ++i;
	}
	if (s.n > start)
		strb_add(to, s.p + start, s.n - start);
}

void
json_string(struct json_out *j, struct str s)
{
	separate(j);
	strb_addc(j->to, '"');
	json_escape(j->to, s);
	strb_addc(j->to, '"');
}

void
json_printf(struct json_out *j, const char *fmt, ...)
{
	struct strb text = {0};
	va_list ap;

	va_start(ap, fmt);
	strb_vprintf(&text, fmt, ap);
	va_end(ap);
	json_string(j, strb_str(&text));
	strb_fini(&text);
}

void
json_u64(struct json_out *j, uint64_t v)
{
	separate(j);
	strb_addu(j->to, v);
}

void
json_i64(struct json_out *j, int64_t v)
{
	separate(j);
	if (v < 0)
		strb_addc(j->to, '-');
	strb_addu(j->to, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void
json_double(struct json_out *j, double v)
{
	char text[40];

	if (!isfinite(v)) {
		json_null(j);
		return;
	}
	separate(j);
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	strb_addz(j->to, text);
}

void
json_bool(struct json_out *j, bool v)
{
	separate(j);
	strb_addz(j->to, v ? "true" : "false");
}

void
json_null(struct json_out *j)
{
	separate(j);
	strb_addz(j->to, "null");
}

void
json_raw(struct json_out *j, struct str json)
{
	separate(j);
	strb_adds(j->to, json);
}
