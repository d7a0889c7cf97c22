#include "admin/web/endpoints.h"

#include "admin/admin.h"
#include "lib/base/assert.h"

#define CHANGES_GET false
#define CHANGES_POST true

const struct endpoint_row endpoint_rows[] = {
#define ENDPOINT(f, p, method, h) {.path = p, .changes = CHANGES_##method, .fn = web_##f, .help = h},
#define PARAM(n, k, c, h) {.name = n, .kind = PARAM_##k, .choices = c, .help = h},
#include "admin/web/endpoints.def"
#undef ENDPOINT
#undef PARAM
};

const size_t endpoint_row_count = ARRAY_LEN(endpoint_rows);

static const struct endpoint_row *
find(struct str path)
{
	for (size_t i = 0; i < endpoint_row_count; i++)
		if (endpoint_rows[i].path && str_eqz(path, endpoint_rows[i].path))
			return &endpoint_rows[i];
	return NULL;
}

static void
add_choices(struct strb *out, const char *choices)
{
	struct str rest = str_of(choices), word;
	const char *comma = "";

	strb_addz(out, "; One of (");
	while (str_cut(&rest, ' ', &word)) {
		strb_addz(out, comma);
		strb_adds(out, word);
		comma = ", ";
	}
	strb_addz(out, ")");
}

void
endpoint_help(struct strb *out)
{
	strb_addz(out, "admin commands are:\n");
	for (size_t i = 0; i < endpoint_row_count; i++) {
		const struct endpoint_row *e = &endpoint_rows[i];

		if (e->path) {
			strb_printf(out, "  %s%s: %s\n", e->path, e->changes ? " (POST)" : "", e->help);
			continue;
		}
		strb_printf(out, "      %s: %s", e->name, e->help);
		if (e->kind == PARAM_CHOICE)
			add_choices(out, e->choices);
		strb_addc(out, '\n');
	}
}

bool
web_reaches_workers(const struct admin *a, struct web_reply *r)
{
	if (a->orphan)
		web_reply_text(r, 503, "the master is gone, workers cannot be reached\n");
	return a->orphan == NULL;
}

void
endpoint_call(struct admin *a, const struct web_request *q, struct web_reply *r)
{
	const struct endpoint_row *e = find(q->path);

	if (e == NULL) {
		r->status = 404;
		strb_addz(&r->body, "invalid path. ");
		endpoint_help(&r->body);
	} else if (e->changes && !str_eqz(q->method, "POST")) {
		r->status = 405;
		strb_printf(&r->body, "Method " STR_FMT " not allowed, POST required.", STR_ARG(q->method));
	} else {
		e->fn(a, q, r);
	}
}
