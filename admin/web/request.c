#include "admin/web/request.h"

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = ch_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent and plus; a broken escape stays as it is. */
static struct str
decode(struct arena *a, struct str s)
{
	char *out = arena_alloc(a, s.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		int hi = s.p[i] == '%' && i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
		int lo = hi >= 0 ? hex_digit(s.p[i + 2]) : -1;

		if (lo >= 0) {
			out[n++] = (char)(hi << 4 | lo);
			i += 2;
		} else {
			out[n++] = s.p[i] == '+' ? ' ' : s.p[i];
		}
	}
	out[n] = '\0';
	return str_make(out, n);
}

static void
read_params(struct web_request *q, struct str text)
{
	struct str pair, name;

	while (str_cut(&text, '&', &pair)) {
		struct web_param *p;

		if (pair.n == 0)
			continue;
		p = vec_push(&q->params);
		str_cut(&pair, '=', &name); /* without '=': the whole is the name, the value empty */
		p->name = decode(q->arena, name);
		p->value = decode(q->arena, pair);
	}
}

void
web_request_init(struct web_request *q, struct arena *arena, struct str method, struct str target,
    struct str content_type, struct str body)
{
	struct str rest = target, query;

	*q = (struct web_request){.arena = arena, .method = method, .target = target};
	str_cut(&rest, '?', &q->path);
	if (str_cut(&rest, '#', &query))
		read_params(q, query);
	if (str_istarts(content_type, STR("application/x-www-form-urlencoded")))
		read_params(q, body);
}

void
web_request_fini(struct web_request *q)
{
	vec_fini(&q->params);
}

static const struct web_param *
find(const struct web_request *q, const char *name)
{
	for (size_t i = 0; i < q->params.len; i++)
		if (str_eqz(q->params.at[i].name, name))
			return &q->params.at[i];
	return NULL;
}

bool
web_has(const struct web_request *q, const char *name)
{
	return find(q, name) != NULL;
}

struct str
web_get(const struct web_request *q, const char *name)
{
	const struct web_param *p = find(q, name);

	return p ? p->value : STR("");
}

void
web_reply_init(struct web_reply *r)
{
	*r = (struct web_reply){.status = 200, .type = WEB_TEXT};
}

void
web_reply_fini(struct web_reply *r)
{
	if (r->free_state)
		r->free_state(r->state);
	strb_fini(&r->body);
	web_reply_init(r);
}

void
web_reply_text(struct web_reply *r, unsigned status, const char *text)
{
	r->status = status;
	strb_addz(&r->body, text);
}

const char *
web_content_type(enum web_type t)
{
	static const char *const types[] = {
	    "text/plain; charset=UTF-8", "application/json", "text/html; charset=UTF-8"};

	return types[t];
}
