#include "lib/http/cookie.h"

static struct str
without_quotes(struct str v)
{
	if (v.n >= 2 && v.p[0] == '"' && v.p[v.n - 1] == '"')
		return str_make(v.p + 1, v.n - 2);
	return v;
}

static bool
find_in(struct str line, struct str name, struct str *value)
{
	struct str pair, key;

	while (str_cut(&line, ';', &pair)) {
		pair = str_trim(pair);
		if (memchr(pair.p, '=', pair.n) == NULL || !str_cut(&pair, '=', &key))
			continue;
		if (!str_eq(key, name))
			continue;
		*value = without_quotes(pair);
		return true;
	}
	return false;
}

struct str
cookie_find(const struct headers *request, struct str name)
{
	struct str value;

	for (uint32_t i = 0; i < request->len; i++)
		if (request->at[i].id == HDR_COOKIE &&
		    find_in(header_value(&request->at[i]), name, &value))
			return value;
	return str_make(NULL, 0);
}

struct str
cookie_print(struct arena *a, const struct cookie *c)
{
	struct strb out = {0};
	struct str s;

	strb_adds(&out, c->name);
	strb_addz(&out, "=\"");
	strb_adds(&out, c->value);
	strb_addc(&out, '"');
	if (c->max_age_s)
		strb_printf(&out, "; Max-Age=%llu", (unsigned long long)c->max_age_s);
	if (c->path.n) {
		strb_addz(&out, "; Path=");
		strb_adds(&out, c->path);
	}
	for (size_t i = 0; i < c->n_attributes; i++) {
		strb_addz(&out, "; ");
		strb_adds(&out, c->attributes[i].name);
		if (c->attributes[i].value.n == 0)
			continue;
		strb_addc(&out, '=');
		strb_adds(&out, c->attributes[i].value);
	}
	strb_addz(&out, "; HttpOnly");
	s = arena_str(a, strb_str(&out));
	strb_fini(&out);
	return s;
}
