#include "conf/where.h"

#include "conf/diag.h"
#include "conf/node.h"

void
where_path(const struct where *w, struct strb *out)
{
	if (w->up)
		where_path(w->up, out);
	if (w->field.p) {
		if (out->n)
			strb_addc(out, '.');
		strb_adds(out, w->field);
	}
	if (w->index >= 0)
		strb_printf(out, "[%d]", w->index);
}

static void
add(struct diag *d, enum diag_kind kind, const struct where *w, const char *near, const char *fmt,
    va_list ap)
{
	struct strb path = {0}, text = {0};

	where_path(w, &path);
	strb_vprintf(&text, fmt, ap);
	diag_add(d, kind, w->doc, w->node ? w->node->line : 0, w->node ? w->node->column : 0,
	    strb_z(&path), near, strb_z(&text));
	strb_fini(&path);
	strb_fini(&text);
}

int
where_error(struct diag *d, const struct where *w, const char *near, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(d, DIAG_ERROR, w, near, fmt, ap);
	va_end(ap);
	return -1;
}

void
where_warn(struct diag *d, const struct where *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(d, DIAG_WARNING, w, NULL, fmt, ap);
	va_end(ap);
}

void
origins_fini(struct origins *o)
{
	map_fini(&o->map);
}

static struct str
key_of(const ProtobufCMessage *const *m)
{
	return str_make((const char *)m, sizeof(*m));
}

struct origin *
origins_get(const struct origins *o, const ProtobufCMessage *m)
{
	return map_get(&o->map, key_of(&m));
}

struct origin *
origins_add(struct origins *o, const ProtobufCMessage *m, const struct where *w)
{
	struct origin *new = arena_new(o->arena, struct origin);
	struct origin *old = origins_get(o, m);

	new->message = m;
	new->doc = w->doc;
	new->node = w->node;
	if (old) { /* the entry stays, so that its key does */
		struct origin swap = *old;

		*old = *new;
		*new = swap;
		old->older = new;
		return old;
	}
	map_put(&o->map, key_of(&new->message), new);
	return new;
}

bool
field_is_called(const char *field, struct str key)
{
	size_t i = 0;

	if (str_eqz(key, field))
		return true;
	for (const char *f = field; *f; f++) {
		char c = *f;

		if (c == '_')
			continue;
		if (f > field && f[-1] == '_' && c >= 'a' && c <= 'z')
			c = (char)(c - 'a' + 'A');
		if (i == key.n || key.p[i] != c)
			return false;
		i++;
	}
	return i == key.n;
}

const struct node *
origin_field(const struct origin *o, const char *field, const struct document **doc)
{
	for (; o; o = o->older) {
		if (!o->node || o->node->kind != NODE_MAP)
			continue;
		for (uint32_t i = 0; i < o->node->count; i++) {
			if (!field_is_called(field, o->node->pairs[i].key->text))
				continue;
			*doc = o->doc;
			return o->node->pairs[i].value;
		}
	}
	return NULL;
}
