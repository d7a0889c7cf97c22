#include "admin/health/probe.h"

#include "conf/defaults.h"
#include "lib/base/assert.h"
#include "lib/base/mem.h"
#include "lib/event/loop.h"

typedef Envoy__Config__Core__V3__HealthCheck HealthCheck;
typedef Envoy__Config__Core__V3__HeaderValueOption HeaderOption;

const struct probe_kind *
probe_kind_of(const HealthCheck *m)
{
	switch (m->health_checker_case) {
#define KIND(case_, object)                                                                        \
	case ENVOY__CONFIG__CORE__V3__HEALTH_CHECK__HEALTH_CHECKER_##case_:                        \
		return &object;
#include "admin/health/health.def"
#undef KIND
	default:
		return NULL;
	}
}

/* ---- one question */

void
probe_answer(struct probe *p, struct probe_verdict v)
{
	ASSERT(p->asking);
	p->asking = false;
	if (p->answered)
		*p->answered = true;
	p->answered = NULL;
	if (p->wire && (!p->settings->reuse_connection || *p->settings->scarce ||
			   v.result == PROBE_LOST || v.result == PROBE_LOCAL))
		wire_close(&p->wire);
	p->done(p, v);
}

static void
on_open(void *arg)
{
	struct probe *p = arg;

	p->settings->kind->ask(p);
}

static void
on_answer(void *arg, const struct wire_answer *a)
{
	struct probe *p = arg;

	probe_answer(p, p->settings->kind->judge(p, a));
}

static void
on_bytes(void *arg, struct buf *bytes)
{
	struct probe *p = arg;
	enum probe_result r = p->settings->kind->match(p, bytes);

	if (r != PROBE_WAITS) {
		wire_settle(p->wire);
		probe_answer(p, (struct probe_verdict){.result = r});
	}
}

static void begin(struct probe *p);

static void
on_lost(void *arg, enum wire_loss why)
{
	struct probe *p = arg;

	wire_close(&p->wire);
	if (why == WIRE_STALE && !p->asked_again) { /* it was dead before we asked */
		p->asked_again = true;
		begin(p);
		return;
	}
	probe_answer(
	    p, (struct probe_verdict){.result = why == WIRE_LOCAL ? PROBE_LOCAL : PROBE_LOST});
}

static const struct wire_events wire_events = {on_open, on_answer, on_bytes, on_lost};

static void
begin(struct probe *p)
{
	const struct probe_settings *s = p->settings;

	p->wire = wire_open(s->loop, &p->address, s->wire, &s->codec, &wire_events, p);
	if (p->wire == NULL)
		probe_answer(p, (struct probe_verdict){.result = PROBE_LOCAL});
}

void
probe_ask(struct probe *p)
{
	ASSERT(!p->asking);
	p->asking = true;
	p->asked_again = false;
	if (p->wire && wire_is_ready(p->wire)) {
		p->settings->kind->ask(p);
		return;
	}
	wire_close(&p->wire);
	begin(p);
}

bool
probe_look(struct probe *p)
{
	bool answered = false;

	if (p->wire == NULL)
		return false;
	p->answered = &answered;
	wire_look(p->wire);
	if (!answered)
		p->answered = NULL;
	return answered;
}

void
probe_stop(struct probe *p)
{
	p->asking = false;
	wire_close(&p->wire);
}

bool
probe_holds(const struct str *blocks, size_t n, const struct buf *bytes)
{
	char *text = buf_dupz(bytes), *at = text, *end = text + bytes->len;

	for (size_t i = 0; i < n && at; i++) {
		at = memmem(at, (size_t)(end - at), blocks[i].p, blocks[i].n);
		if (at)
			at += blocks[i].n;
	}
	mem_free(text);
	return at != NULL;
}

/* ---- headers */

static struct str
without_escapes(struct str s, struct arena *a)
{
	char *out = arena_alloc(a, s.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		out[n++] = s.p[i];
		if (s.p[i] == '%' && i + 1 < s.n && s.p[i + 1] == '%')
			i++;
	}
	return str_make(out, n);
}

static void
read_action(struct probe_header *x, const HeaderOption *o)
{
	switch (o->append_action) {
	case ENVOY__CONFIG__CORE__V3__HEADER_VALUE_OPTION__HEADER_APPEND_ACTION__ADD_IF_ABSENT:
		x->if_absent = true;
		break;
	case ENVOY__CONFIG__CORE__V3__HEADER_VALUE_OPTION__HEADER_APPEND_ACTION__OVERWRITE_IF_EXISTS_OR_ADD:
		x->replace = true;
		break;
	case ENVOY__CONFIG__CORE__V3__HEADER_VALUE_OPTION__HEADER_APPEND_ACTION__OVERWRITE_IF_EXISTS:
		x->replace = x->if_exists = true;
		break;
	default:
		x->replace = !conf_bool(o->append, true);
		break;
	}
}

void
probe_headers_read(
    struct probe_headers *to, HeaderOption *const *from, size_t n, struct arena *a)
{
	to->at = arena_zalloc(a, n * sizeof(*to->at));
	for (size_t i = 0; i < n; i++) {
		const Envoy__Config__Core__V3__HeaderValue *h = from[i]->header;
		struct str value = str_of(h->value);
		struct probe_header *x = &to->at[to->n];

		if (h->raw_value.len)
			value = str_make((const char *)h->raw_value.data, h->raw_value.len);
		if (value.n == 0 && !from[i]->keep_empty_value)
			continue;
		x->name = arena_lower(a, str_of(h->key));
		x->value = without_escapes(value, a);
		read_action(x, from[i]);
		to->n++;
	}
}

void
probe_headers_apply(const struct probe_headers *x, struct headers *h)
{
	for (size_t i = 0; i < x->n; i++) {
		const struct probe_header *o = &x->at[i];
		bool there = headers_find(h, o->name) != NULL;

		if ((o->if_absent && there) || (o->if_exists && !there))
			continue;
		if (o->replace)
			headers_set(h, o->name, o->value);
		else
			headers_add(h, o->name, o->value);
	}
}

void
probe_headers_begin(
    struct probe *p, struct headers *h, struct str method, struct str authority, struct str path)
{
	headers_init(h, wire_arena(p->wire));
	headers_add_id(h, HDR_METHOD, method);
	headers_add_id(h, HDR_SCHEME, STR("http"));
	headers_add_id(h, HDR_AUTHORITY, authority);
	headers_add_id(h, HDR_PATH, path);
	headers_add_id(h, HDR_USER_AGENT, STR("Envoy/HC"));
}
