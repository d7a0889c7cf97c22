#include "lib/upstream/hash_policy.h"

#include <stdlib.h>

#include "conf/defaults.h"
#include "lib/base/hash.h"
#include "lib/base/regex.h"
#include "lib/http/cookie.h"
#include "lib/http/path.h"
#include "lib/net/address.h"

#include "envoy/config/route/v3/route_components.pb-c.h"

typedef Envoy__Config__Route__V3__RouteAction__HashPolicy HashPolicy;
typedef Envoy__Config__Route__V3__RouteAction__HashPolicy__Cookie Cookie;
typedef Envoy__Config__Route__V3__RouteAction__HashPolicy__Header Header;

#define MOST_VALUES 16 /* of one header; what more there are does not count */

enum hash_kind {
	HASH_HEADER,
	HASH_COOKIE,
	HASH_SOURCE_IP,
	HASH_QUERY,
};

struct hash_policy {
	enum hash_kind kind;
	bool terminal;
	struct str name;      /* of the header, cookie or parameter */
	struct regex *rewrite; /* of the header's values, before they are hashed; NULL: as they are */
	struct str rewritten;  /* what stands for a match */
	bool makes_cookie;    /* ttl is set */
	struct cookie cookie; /* without its value */
};

struct hash_policies {
	struct hash_policy *at;
	size_t n;
	struct arena own; /* of those that hash_policies_new() made: all of it */
};

struct request {
	const struct hash_source *from;
	struct hash_cookie **cookies;
};

/* ---- building */

static void
build_cookie(struct hash_policy *p, const Cookie *m, struct arena *a)
{
	struct cookie_attribute *attributes =
	    arena_zalloc(a, m->n_attributes * sizeof(*attributes));

	p->kind = HASH_COOKIE;
	p->name = arena_str(a, str_of(m->name));
	p->makes_cookie = m->ttl != NULL;
	for (size_t i = 0; i < m->n_attributes; i++) {
		attributes[i].name = arena_str(a, str_of(m->attributes[i]->name));
		attributes[i].value = arena_str(a, str_of(m->attributes[i]->value));
	}
	p->cookie = (struct cookie){
	    .name = p->name,
	    .path = arena_str(a, str_of(m->path)),
	    .max_age_s = conf_duration_ms(m->ttl, 0) / 1000,
	    .attributes = attributes,
	    .n_attributes = m->n_attributes,
	};
}

static void
free_regex(void *arg)
{
	struct regex *re = arg;

	regex_free(&re);
}

/* The expression compiles: the configuration was checked. */
static void
build_header(struct hash_policy *p, const Header *m, struct arena *a)
{
	p->kind = HASH_HEADER;
	p->name = arena_lower(a, str_of(m->header_name));
	if (m->regex_rewrite == NULL)
		return;
	p->rewritten = arena_str(a, str_of(m->regex_rewrite->substitution));
	p->rewrite = regex_new(str_of(m->regex_rewrite->pattern->regex), REGEX_SEARCH, NULL);
	if (p->rewrite)
		arena_on_fini(a, free_regex, p->rewrite);
}

static bool
build(struct hash_policy *p, const HashPolicy *m, struct arena *a)
{
	p->terminal = m->terminal;
	switch (m->policy_specifier_case) {
	case ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__HASH_POLICY__POLICY_SPECIFIER_HEADER:
		build_header(p, m->header, a);
		return true;
	case ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__HASH_POLICY__POLICY_SPECIFIER_COOKIE:
		build_cookie(p, m->cookie, a);
		return true;
	case ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__HASH_POLICY__POLICY_SPECIFIER_CONNECTION_PROPERTIES:
		p->kind = HASH_SOURCE_IP;
		return m->connection_properties->source_ip;
	case ENVOY__CONFIG__ROUTE__V3__ROUTE_ACTION__HASH_POLICY__POLICY_SPECIFIER_QUERY_PARAMETER:
		p->kind = HASH_QUERY;
		p->name = arena_str(a, str_of(m->query_parameter->name));
		return true;
	default:
		return false;
	}
}

struct hash_policies *
hash_policies_build(void *const *msgs, size_t n, struct arena *a)
{
	struct hash_policies *p;

	if (n == 0)
		return NULL;
	p = arena_new(a, struct hash_policies);
	p->at = arena_zalloc(a, n * sizeof(*p->at));
	for (size_t i = 0; i < n; i++)
		if (build(&p->at[p->n], msgs[i], a))
			p->n++;
	return p;
}

struct hash_policies *
hash_policies_new(void *const *msgs, size_t n)
{
	struct hash_policies *p;
	struct arena a;

	if (n == 0)
		return NULL;
	arena_init(&a);
	p = hash_policies_build(msgs, n, &a);
	p->own = a;
	return p;
}

void
hash_policies_free(struct hash_policies **pp)
{
	struct hash_policies *p = *pp;
	struct arena a;

	*pp = NULL;
	if (p == NULL)
		return;
	a = p->own;
	arena_fini(&a);
}

/* ---- one policy */

static int
by_bytes(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static uint64_t
hash_text(struct str s)
{
	return hash_xx64(s.p, s.n, 0);
}

static struct str
rewrite(const struct hash_policy *p, struct str value, struct arena *a)
{
	struct strb out = {0};

	if (p->rewrite == NULL)
		return value;
	regex_replace_all(p->rewrite, value, p->rewritten, &out);
	value = arena_str(a, strb_str(&out));
	strb_fini(&out);
	return value;
}

/* Several values are hashed as one text, sorted: their order on the wire does not matter. */
static bool
hash_header(const struct hash_policy *p, const struct request *q, uint64_t *hash)
{
	struct str values[MOST_VALUES];
	struct strb all = {0};
	size_t n = 0;

	for (uint32_t i = 0; i < q->from->request->len && n < MOST_VALUES; i++)
		if (str_eq(header_name(&q->from->request->at[i]), p->name))
			values[n++] = rewrite(
			    p, header_value(&q->from->request->at[i]), q->from->arena);
	if (n == 0)
		return false;
	if (n == 1) {
		*hash = hash_text(values[0]);
		return true;
	}
	qsort(values, n, sizeof(values[0]), by_bytes);
	for (size_t i = 0; i < n; i++)
		strb_adds(&all, values[i]);
	*hash = hash_text(strb_str(&all));
	strb_fini(&all);
	return true;
}

/* The same for all requests of a connection: those that race get the same cookie. */
static struct str
make_cookie(const struct hash_policy *p, const struct request *q)
{
	char text[2 * ADDRESS_TEXT];
	size_t n = address_format(q->from->direct_remote, text);
	struct cookie c = p->cookie;
	struct hash_cookie *made = arena_new(q->from->arena, struct hash_cookie);

	n += address_format(q->from->local, text + n);
	c.value =
	    str_of(arena_printf(q->from->arena, "%016llx", (unsigned long long)hash_xx64(text, n, 0)));
	made->text = cookie_print(q->from->arena, &c);
	made->next = *q->cookies;
	*q->cookies = made;
	return c.value;
}

static bool
hash_cookie(const struct hash_policy *p, const struct request *q, uint64_t *hash)
{
	struct str value = cookie_find(q->from->request, p->name);

	if (value.n == 0 && p->makes_cookie)
		value = make_cookie(p, q);
	if (value.n == 0)
		return false;
	*hash = hash_text(value);
	return true;
}

static bool
hash_source_ip(const struct request *q, uint64_t *hash)
{
	char text[ADDRESS_TEXT];

	if (q->from->remote == NULL || !address_is_ip(q->from->remote))
		return false;
	*hash = hash_text(str_make(text, address_format_ip(q->from->remote, text)));
	return true;
}

static bool
hash_query(const struct hash_policy *p, const struct request *q, uint64_t *hash)
{
	struct str value;

	if (!query_find(path_query(headers_get(q->from->request, HDR_PATH)), p->name, &value))
		return false;
	*hash = hash_text(value.p ? value : STR(""));
	return true;
}

static bool
apply(const struct hash_policy *p, const struct request *q, uint64_t *hash)
{
	switch (p->kind) {
	case HASH_HEADER:
		return hash_header(p, q, hash);
	case HASH_COOKIE:
		return hash_cookie(p, q, hash);
	case HASH_SOURCE_IP:
		return hash_source_ip(q, hash);
	case HASH_QUERY:
		return hash_query(p, q, hash);
	}
	return false;
}

bool
hash_policies_apply(const struct hash_policies *p, const struct hash_source *from, uint64_t *hash,
    struct hash_cookie **cookies)
{
	struct request q = {from, cookies};
	bool found = false;

	*hash = 0;
	for (size_t i = 0; i < p->n; i++) {
		uint64_t one;

		if (apply(&p->at[i], &q, &one)) {
			*hash = (*hash << 1 | *hash >> 63) ^ one;
			found = true;
		}
		if (found && p->at[i].terminal)
			break;
	}
	return found;
}
