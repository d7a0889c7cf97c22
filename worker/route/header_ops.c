#include "worker/route/header_ops.h"

#include "conf/defaults.h"
#include "envoy/config/core/v3/base.pb-c.h"
#include "worker/access_log/format.h"

typedef Envoy__Config__Core__V3__HeaderValueOption HeaderValueOption;

static enum append_action
action_of(const HeaderValueOption *o)
{
	if (o->append)
		return o->append->value ? HEADER_APPEND : HEADER_OVERWRITE_OR_ADD;
	return (enum append_action)o->append_action;
}

static int
build_add(struct header_add *x, const HeaderValueOption *o, struct arena *a, struct err *err)
{
	const Envoy__Config__Core__V3__HeaderValue *hv = o->header;
	struct str value = str_of(hv->value);

	if (hv->raw_value.len)
		value = str_make((const char *)hv->raw_value.data, hv->raw_value.len);
	x->name = arena_lower(a, str_of(hv->key));
	x->action = action_of(o);
	x->keep_empty = o->keep_empty_value;
	x->value = arena_str(a, value);
	if (memchr(value.p, '%', value.n)) {
		/* Missing values are empty here, and an empty header is not added (Envoy). */
		const struct format_options omit = {.omit_empty = true};
		struct format *f;

		if (format_compile_text(&f, x->value, &omit, a, err) < 0)
			return err_in(err, "header '%s'", x->name.p);
		x->format = f;
	}
	return 0;
}

int
header_ops_build(struct header_ops *o, void *const *adds, size_t n_adds, char *const *removes,
    size_t n_removes, struct arena *a, struct err *err)
{
	o->add = arena_zalloc(a, n_adds * sizeof(*o->add));
	o->remove = arena_zalloc(a, n_removes * sizeof(*o->remove));
	o->adds = n_adds;
	o->removes = n_removes;
	for (size_t i = 0; i < n_removes; i++)
		o->remove[i] = arena_lower(a, str_of(removes[i]));
	for (size_t i = 0; i < n_adds; i++)
		if (build_add(&o->add[i], adds[i], a, err) < 0)
			return -1;
	return 0;
}

static struct str
value_of(const struct header_add *x, struct headers *h, const struct stream_info *info)
{
	struct strb b = {0};
	struct str v;

	if (x->format == NULL)
		return x->value;
	format_write(x->format, info, &b);
	v = arena_str(h->arena, strb_str(&b));
	strb_fini(&b);
	return v;
}

static void
apply_add(const struct header_add *x, struct headers *h, const struct stream_info *info)
{
	struct str v = value_of(x, h, info);
	bool there;

	if (v.n == 0 && !x->keep_empty)
		return;
	if (x->action == HEADER_APPEND) {
		headers_add(h, x->name, v);
		return;
	}
	there = headers_find(h, x->name) != NULL;
	if (x->action == HEADER_OVERWRITE_OR_ADD || there == (x->action == HEADER_OVERWRITE_IF_EXISTS))
		headers_set(h, x->name, v);
}

void
header_ops_apply(const struct header_ops *o, struct headers *h, const struct stream_info *info)
{
	for (size_t i = 0; i < o->removes; i++)
		headers_remove(h, o->remove[i]);
	for (size_t i = 0; i < o->adds; i++)
		apply_add(&o->add[i], h, info);
}
