/* The start page: every endpoint with a form for its parameters; and /help. */
#include "admin/web/endpoints.h"

#include "admin/web/html.h"

void
web_help(struct admin *a, const struct web_request *q, struct web_reply *r)
{
	endpoint_help(&r->body);
}

/* Fields stand in other table cells than their form and name it: form='f<n>'. */
static void
add_choice_field(struct strb *out, const struct endpoint_row *p, size_t form)
{
	struct str rest = str_of(p->choices), word;

	strb_printf(out, "<select name='%s' form='f%zu'>", p->name, form);
	while (str_cut(&rest, ' ', &word))
		strb_printf(out, "<option>" STR_FMT "</option>", STR_ARG(word));
	strb_addz(out, "</select>");
}

static void
add_field(struct strb *out, const struct endpoint_row *p, size_t form)
{
	strb_addz(out, "<tr><td class='param'>");
	if (p->kind == PARAM_CHOICE)
		add_choice_field(out, p, form);
	else if (p->kind == PARAM_FLAG)
		strb_printf(out, "<input type='checkbox' name='%s' form='f%zu'>", p->name, form);
	else
		strb_printf(out, "<input type='text' name='%s' form='f%zu'>", p->name, form);
	strb_printf(out, " %s</td><td>", p->name);
	html_escape(out, str_of(p->help));
	strb_addz(out, "</td></tr>\n");
}

/* One endpoint and the rows of its parameters; gives the next endpoint's row. */
static size_t
add_endpoint(struct strb *out, size_t i)
{
	const struct endpoint_row *e = &endpoint_rows[i++];
	const char *label = e->path[1] ? e->path + 1 : "/";
	size_t form = i;

	strb_printf(out, "<tbody><tr><td><form action='%s' method='%s' id='f%zu'>"
			 "<button type='submit'%s>%s</button></form></td><td>",
	    e->path[1] ? e->path + 1 : ".", e->changes ? "post" : "get", form,
	    e->changes ? " class='changes'" : "", label);
	html_escape(out, str_of(e->help));
	strb_addz(out, "</td></tr>\n");
	for (; i < endpoint_row_count && endpoint_rows[i].path == NULL; i++)
		add_field(out, &endpoint_rows[i], form);
	strb_addz(out, "</tbody>\n");
	return i;
}

void
web_home(struct admin *a, const struct web_request *q, struct web_reply *r)
{
	r->type = WEB_HTML;
	html_begin(&r->body, "baton");
	strb_addz(&r->body, "<table>\n");
	for (size_t i = 0; i < endpoint_row_count;)
		i = add_endpoint(&r->body, i);
	strb_addz(&r->body, "</table>\n");
	html_end(&r->body);
}
