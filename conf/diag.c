#include "conf/diag.h"

#include <stdlib.h>
#include <string.h>

#include "conf/node.h"
#include "lib/base/mem.h"

#define SOURCE_SHOWN 160

void
diag_init(struct diag *d)
{
	memset(d, 0, sizeof(*d));
	arena_init(&d->arena);
}

void
diag_fini(struct diag *d)
{
	mem_free(d->entries);
	arena_fini(&d->arena);
	memset(d, 0, sizeof(*d));
}

static struct str
line_of(const struct document *doc, uint32_t line)
{
	struct str rest = doc->text, part = {NULL, 0};

	for (uint32_t i = 0; i < line; i++)
		if (!str_cut(&rest, '\n', &part))
			return (struct str){NULL, 0};
	if (part.n && part.p[part.n - 1] == '\r')
		part.n--;
	return part;
}

static bool
same_place(const struct diag_entry *e, const struct document *doc, uint32_t line, uint32_t column,
    const char *path)
{
	if (strcmp(e->path, path) == 0 && line == e->line && column == e->column)
		return true;
	return line && doc && e->file && strcmp(e->file, doc->name) == 0 && e->line == line &&
	       e->column == column;
}

/* One error hides others at its place; a warning only its like. */
static bool
already_said(const struct diag *d, enum diag_kind kind, const struct document *doc, uint32_t line,
    uint32_t column, const char *path, const char *text)
{
	for (unsigned i = 0; i < d->count; i++) {
		const struct diag_entry *e = &d->entries[i];

		if (e->kind != kind)
			continue;
		if (kind == DIAG_ERROR ? same_place(e, doc, line, column, path)
				       : strcmp(e->text, text) == 0)
			return true;
	}
	return false;
}

static bool
is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

/* A copy that is safe on a terminal, whatever the configuration held. */
static char *
keep(struct diag *d, const char *s)
{
	char *copy = s ? arena_dup(&d->arena, s, strlen(s)) : NULL;

	for (char *p = copy; p && *p; p++)
		if (is_control(*p))
			*p = '?';
	return copy;
}

void
diag_add(struct diag *d, enum diag_kind kind, const struct document *doc, uint32_t line,
    uint32_t column, const char *path, const char *near, const char *text)
{
	struct diag_entry *e;
	unsigned *total = kind == DIAG_ERROR ? &d->errors : &d->warnings;

	if (already_said(d, kind, doc, line, column, path, text))
		return;
	if (++*total > (kind == DIAG_ERROR ? DIAG_ERRORS : DIAG_NOTICES))
		return;
	if (d->count == d->cap) {
		d->cap = d->cap ? d->cap * 2 : 8;
		d->entries = mem_resize(d->entries, d->cap * sizeof(*d->entries));
	}
	e = &d->entries[d->count++];
	memset(e, 0, sizeof(*e));
	e->kind = kind;
	e->file = doc ? keep(d, doc->name) : NULL;
	e->line = line;
	e->column = column;
	e->path = keep(d, path);
	e->text = keep(d, text);
	e->near = keep(d, near);
	if (doc && line)
		e->source = arena_str(&d->arena, line_of(doc, line));
}

static void
print_head(const struct diag_entry *e, struct strb *out)
{
	if (e->file) {
		strb_addz(out, e->file);
		if (e->line)
			strb_printf(out, ":%u:%u", e->line, e->column);
		strb_addz(out, ": ");
	}
	strb_addz(out, e->kind == DIAG_ERROR ? "error: " : "warning: ");
	if (e->path[0])
		strb_printf(out, "%s: ", e->path);
	strb_addz(out, e->text);
}

static bool
continues(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* Columns are characters: the byte where one begins. */
static size_t
byte_of(struct str s, uint32_t column)
{
	size_t at = 0;

	while (column > 1 && at < s.n)
		for (column--, at++; at < s.n && continues(s.p[at]);)
			at++;
	return at;
}

/* The line, cut around the column, and a caret below; tabs stay tabs so that both line up. */
static void
print_source(const struct diag_entry *e, struct strb *out)
{
	struct str s = e->source;
	size_t at = byte_of(s, e->column), from = 0;

	if (s.n == 0)
		return;
	if (at > SOURCE_SHOWN / 2)
		from = at - SOURCE_SHOWN / 2;
	while (continues(s.p[from]))
		from++;
	if (s.n - from > SOURCE_SHOWN)
		s.n = from + SOURCE_SHOWN;
	while (s.n < e->source.n && continues(s.p[s.n]))
		s.n++;
	strb_addz(out, "    ");
	for (size_t i = from; i < s.n; i++)
		strb_addc(out, is_control(s.p[i]) && s.p[i] != '\t' ? '?' : s.p[i]);
	strb_addz(out, "\n    ");
	for (size_t i = from; i < at; i++)
		if (!continues(s.p[i]))
			strb_addc(out, s.p[i] == '\t' ? '\t' : ' ');
	strb_addz(out, "^\n");
}

void
diag_print_entry(const struct diag_entry *e, struct strb *out)
{
	print_head(e, out);
	strb_addc(out, '\n');
	print_source(e, out);
	if (e->near)
		strb_printf(out, "  did you mean '%s'?\n", e->near);
}

/* Errors first; each kind in the order of the text. */
static int
by_place(const void *a, const void *b)
{
	const struct diag_entry *x = *(const struct diag_entry *const *)a;
	const struct diag_entry *y = *(const struct diag_entry *const *)b;
	int files = x->file && y->file ? strcmp(x->file, y->file) : !x->file - !y->file;

	if (x->kind != y->kind)
		return x->kind == DIAG_ERROR ? -1 : 1;
	if (files)
		return files;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	if (x->column != y->column)
		return x->column < y->column ? -1 : 1;
	return x < y ? -1 : 1;
}

void
diag_print(const struct diag *d, struct strb *out, bool errors_only)
{
	const struct diag_entry *order[DIAG_ERRORS + DIAG_NOTICES];

	for (unsigned i = 0; i < d->count; i++)
		order[i] = &d->entries[i];
	qsort(order, d->count, sizeof(order[0]), by_place);
	for (unsigned i = 0; i < d->count; i++)
		if (!errors_only || order[i]->kind == DIAG_ERROR)
			diag_print_entry(order[i], out);
	if (d->errors > DIAG_ERRORS)
		strb_printf(out, "and %u more errors\n", d->errors - DIAG_ERRORS);
}

void
diag_first(const struct diag *d, struct strb *out)
{
	for (unsigned i = 0; i < d->count; i++) {
		if (d->entries[i].kind != DIAG_ERROR)
			continue;
		print_head(&d->entries[i], out);
		if (d->entries[i].near)
			strb_printf(out, " (did you mean '%s'?)", d->entries[i].near);
		return;
	}
}
