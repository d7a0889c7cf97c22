/*
 * JSON: jansson judges the text, then one pass over what it found valid
 * builds the nodes, because jansson's values have no positions.
 */
#include "conf/node.h"

#include <jansson.h>

#include "conf/diag.h"
#include "conf/node_private.h"

struct scan {
	struct node_builder b;
	struct str text;
	size_t at;
	uint32_t line, column;
};

static char
peek(const struct scan *s)
{
	return s->at < s->text.n ? s->text.p[s->at] : '\0';
}

static char
take(struct scan *s)
{
	char c = peek(s);

	s->at++;
	if (c == '\n') {
		s->line++;
		s->column = 1;
	} else if (((unsigned char)c & 0xc0) != 0x80) {
		s->column++;
	}
	return c;
}

static void
skip_space(struct scan *s)
{
	while (peek(s) == ' ' || peek(s) == '\t' || peek(s) == '\n' || peek(s) == '\r')
		take(s);
}

static unsigned
hex4(struct scan *s)
{
	unsigned v = 0;

	for (int i = 0; i < 4; i++) {
		char c = take(s);

		v = v * 16 + (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return v;
}

static void
add_utf8(struct strb *out, unsigned c)
{
	if (c < 0x80) {
		strb_addc(out, (char)c);
		return;
	}
	if (c < 0x800) {
		strb_addc(out, (char)(0xc0 | c >> 6));
	} else {
		if (c < 0x10000) {
			strb_addc(out, (char)(0xe0 | c >> 12));
		} else {
			strb_addc(out, (char)(0xf0 | c >> 18));
			strb_addc(out, (char)(0x80 | (c >> 12 & 0x3f)));
		}
		strb_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
	}
	strb_addc(out, (char)(0x80 | (c & 0x3f)));
}

static void
scan_escape(struct scan *s, struct strb *out)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	char c = take(s);
	const char *p = strchr(from, c);
	unsigned u;

	if (c != 'u') {
		strb_addc(out, p ? to[p - from] : c);
		return;
	}
	u = hex4(s);
	if (u >= 0xd800 && u < 0xdc00) { /* jansson saw to it that the other half follows */
		take(s);
		take(s);
		u = 0x10000 + ((u - 0xd800) << 10) + (hex4(s) - 0xdc00);
	}
	add_utf8(out, u);
}

static struct node *
scan_string(struct scan *s)
{
	struct node *n = node_make(&s->b, NODE_SCALAR, s->line, s->column);
	struct strb text = {0};

	if (!n)
		return NULL;
	for (take(s); s->at < s->text.n && peek(s) != '"';) {
		char c = take(s);

		if (c == '\\')
			scan_escape(s, &text);
		else
			strb_addc(&text, c);
	}
	take(s);
	n->text = arena_str(s->b.arena, strb_str(&text));
	n->quoted = true;
	strb_fini(&text);
	return n;
}

static struct node *
scan_word(struct scan *s)
{
	struct node *n = node_make(&s->b, NODE_SCALAR, s->line, s->column);
	size_t start = s->at;

	if (!n)
		return NULL;
	while (peek(s) && !strchr(",]} \t\r\n", peek(s)))
		take(s);
	n->text = arena_str(s->b.arena, str_make(s->text.p + start, s->at - start));
	return n;
}

static struct node *scan_value(struct scan *s, unsigned depth);

static int
scan_members(struct scan *s, unsigned depth, char close, struct node_list *list)
{
	take(s);
	for (skip_space(s); s->at < s->text.n && peek(s) != close; skip_space(s)) {
		struct node *n;

		if (peek(s) == ',' || peek(s) == ':') {
			take(s);
			continue;
		}
		n = scan_value(s, depth);
		if (!n)
			return -1;
		*vec_push(list) = n;
	}
	take(s);
	return 0;
}

static struct node *
scan_collection(struct scan *s, unsigned depth)
{
	bool map = peek(s) == '{';
	struct node *n = node_make(&s->b, map ? NODE_MAP : NODE_SEQ, s->line, s->column);
	struct node_list list = {0};
	int failed;

	if (!n)
		return NULL;
	if (depth >= NODE_DEPTH) {
		node_fail(&s->b, s->line, s->column, "nested deeper than %d levels", NODE_DEPTH);
		return NULL;
	}
	failed = scan_members(s, depth + 1, map ? '}' : ']', &list) < 0 ||
		 (map ? node_fill_map(&s->b, n, &list) : node_fill_seq(&s->b, n, &list)) < 0;
	vec_fini(&list);
	return failed ? NULL : n;
}

static struct node *
scan_value(struct scan *s, unsigned depth)
{
	skip_space(s);
	switch (peek(s)) {
	case '{':
	case '[':
		return scan_collection(s, depth);
	case '"':
		return scan_string(s);
	default:
		return scan_word(s);
	}
}

/* Brackets outside strings: jansson recurses too, so depth is looked at before it runs. */
static int
check_depth(struct scan *s)
{
	unsigned depth = 0;
	bool quoted = false;

	for (; s->at < s->text.n; take(s)) {
		char c = peek(s);

		if (quoted) {
			if (c == '\\')
				take(s);
			else if (c == '"')
				quoted = false;
		} else if (c == '"') {
			quoted = true;
		} else if (c == '{' || c == '[') {
			if (++depth > NODE_DEPTH)
				return node_fail(&s->b, s->line, s->column,
				    "nested deeper than %d levels", NODE_DEPTH);
		} else if ((c == '}' || c == ']') && depth > 0) {
			depth--;
		}
	}
	return 0;
}

static void
rewind_to_start(struct scan *s)
{
	s->at = 0;
	s->line = s->column = 1;
}

static int
judge(struct scan *s)
{
	json_error_t why;
	json_t *j = json_loadb(s->text.p, s->text.n, JSON_DECODE_INT_AS_REAL, &why);

	if (!j)
		return node_fail(&s->b, why.line > 0 ? (uint32_t)why.line : 0,
		    why.column > 0 ? (uint32_t)why.column : 1, "%s", why.text);
	json_decref(j);
	return 0;
}

int
json_parse(
    struct arena *a, const char *name, struct str text, struct document **out, struct diag *diag)
{
	struct scan s = {.b = {.arena = a, .diag = diag}};

	*out = s.b.doc = document_new(a, name, text);
	s.text = s.b.doc->text;
	rewind_to_start(&s);
	if (document_check(&s.b) < 0 || check_depth(&s) < 0 || judge(&s) < 0)
		return -1;
	rewind_to_start(&s);
	s.b.doc->root = scan_value(&s, 0);
	return s.b.doc->root ? 0 : -1;
}
