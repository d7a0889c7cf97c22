#include "lib/upstream/shared.h"

#include "conf/message.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "lib/base/task.h"

/* One table of each type in a process; an entry's key stands in the entry. */
static struct map localities, hostnames, all_metadata;

static char *
text_behind(void *object, size_t head, struct str text)
{
	char *p = (char *)object + head;

	memcpy(p, text.p, text.n);
	p[text.n] = '\0';
	return p;
}

static void
drop_if_empty(struct map *table)
{
	if (table->len == 0)
		map_fini(table);
}

/* ---- localities */

static struct str
locality_key(struct strb *b, struct str region, struct str zone, struct str sub_zone)
{
	strb_adds(b, region);
	strb_addc(b, '\0');
	strb_adds(b, zone);
	strb_addc(b, '\0');
	strb_adds(b, sub_zone);
	strb_addc(b, '\0');
	return strb_str(b);
}

static struct locality *
locality_new(struct str key, size_t region, size_t zone, size_t sub_zone)
{
	struct locality *l = mem_alloc(sizeof(*l) + key.n + 1);
	char *p = text_behind(l, sizeof(*l), key);

	l->key = str_make(p, key.n);
	l->region = str_make(p, region);
	l->zone = str_make(p + region + 1, zone);
	l->sub_zone = str_make(p + region + 1 + zone + 1, sub_zone);
	map_put(&localities, l->key, l);
	return l;
}

struct locality *
locality_get(struct str region, struct str zone, struct str sub_zone)
{
	struct strb b = {0};
	struct locality *l;
	struct str key;

	if (region.n == 0 && zone.n == 0 && sub_zone.n == 0)
		return NULL;
	key = locality_key(&b, region, zone, sub_zone);
	l = map_get(&localities, key);
	if (l == NULL)
		l = locality_new(key, region.n, zone.n, sub_zone.n);
	strb_fini(&b);
	return locality_ref(l);
}

struct locality *
locality_ref(struct locality *l)
{
	if (l)
		l->refs++;
	return l;
}

void
locality_unref(struct locality **lp)
{
	struct locality *l = *lp;

	*lp = NULL;
	if (l == NULL || --l->refs > 0)
		return;
	map_remove(&localities, l->key);
	mem_free(l);
	drop_if_empty(&localities);
}

/* ---- hostnames */

struct hostname *
hostname_get(struct str text)
{
	struct hostname *n = text.n ? map_get(&hostnames, text) : NULL;

	if (text.n && n == NULL) {
		n = mem_alloc(sizeof(*n) + text.n + 1);
		n->text = str_make(text_behind(n, sizeof(*n), text), text.n);
		map_put(&hostnames, n->text, n);
	}
	return hostname_ref(n);
}

struct hostname *
hostname_ref(struct hostname *n)
{
	if (n)
		n->refs++;
	return n;
}

void
hostname_unref(struct hostname **np)
{
	struct hostname *n = *np;

	*np = NULL;
	if (n == NULL || --n->refs > 0)
		return;
	map_remove(&hostnames, n->text);
	mem_free(n);
	drop_if_empty(&hostnames);
}

/* ---- metadata */

struct metadata_open {
	struct arena arena;
	const Envoy__Config__Core__V3__Metadata *message;
};

static const Google__Protobuf__Value *
lb_value(const Envoy__Config__Core__V3__Metadata *m, struct str key)
{
	for (size_t i = 0; m && i < m->n_filter_metadata; i++) {
		const Google__Protobuf__Struct *s = m->filter_metadata[i]->value;

		if (s == NULL || strcmp(m->filter_metadata[i]->key, "envoy.lb") != 0)
			continue;
		for (size_t k = 0; k < s->n_fields; k++)
			if (str_eqz(key, s->fields[k]->key))
				return s->fields[k]->value;
	}
	return NULL;
}

/* Without a breath: between the look for it and its place in the map nobody else puts it there. */
static const Envoy__Config__Core__V3__Metadata *
unpack(struct arena *a, struct str packed, struct err *err)
{
	const void *m;

	task_hold();
	m = message_unpack(a, &envoy__config__core__v3__metadata__descriptor, packed, err);
	task_release();
	return m;
}

static bool
lb_flag(const Envoy__Config__Core__V3__Metadata *m, struct str key)
{
	const Google__Protobuf__Value *v = lb_value(m, key);

	return v && v->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE && v->bool_value;
}

static struct str
lb_text(const Envoy__Config__Core__V3__Metadata *m, struct str key)
{
	const Google__Protobuf__Value *v = lb_value(m, key);

	return v && v->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE
	    ? str_of(v->string_value)
	    : (struct str){"", 0};
}

static struct metadata *
metadata_new(struct str packed, const Envoy__Config__Core__V3__Metadata *m)
{
	struct str hash_key = lb_text(m, STR("hash_key"));
	struct metadata *md = mem_alloc(sizeof(*md) + packed.n + 1 + hash_key.n + 1);

	md->packed = str_make(text_behind(md, sizeof(*md), packed), packed.n);
	md->hash_key =
	    str_make(text_behind(md, sizeof(*md) + packed.n + 1, hash_key), hash_key.n);
	md->canary = lb_flag(m, STR("canary"));
	map_put(&all_metadata, md->packed, md);
	return md;
}

static int
metadata_read(struct metadata **out, struct str packed, struct err *err)
{
	const Envoy__Config__Core__V3__Metadata *m;
	struct arena scratch;

	arena_init(&scratch);
	m = unpack(&scratch, packed, err);
	if (m)
		*out = metadata_new(packed, m);
	arena_fini(&scratch);
	return m ? 0 : -1;
}

int
metadata_get(struct metadata **out, struct str packed, struct err *err)
{
	*out = packed.n ? map_get(&all_metadata, packed) : NULL;
	if (packed.n && *out == NULL && metadata_read(out, packed, err) < 0)
		return -1;
	metadata_ref(*out);
	return 0;
}

struct metadata *
metadata_ref(struct metadata *md)
{
	if (md)
		md->refs++;
	return md;
}

void
metadata_unref(struct metadata **mp)
{
	struct metadata *md = *mp;

	*mp = NULL;
	if (md == NULL || --md->refs > 0)
		return;
	map_remove(&all_metadata, md->packed);
	if (md->open)
		arena_fini(&md->open->arena);
	mem_free(md->open);
	mem_free(md);
	drop_if_empty(&all_metadata);
}

const Envoy__Config__Core__V3__Metadata *
metadata_message(struct metadata *md)
{
	if (md->open == NULL) {
		md->open = mem_new(struct metadata_open);
		arena_init(&md->open->arena);
		md->open->message = unpack(&md->open->arena, md->packed, NULL);
	}
	return md->open->message;
}

const Google__Protobuf__Value *
metadata_lb(struct metadata *md, struct str key)
{
	return md ? lb_value(metadata_message(md), key) : NULL;
}
