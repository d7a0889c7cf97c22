#include "lib/upstream/subset.h"

#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "lib/base/vec.h"
#include "lib/upstream/cluster.h"
#include "lib/upstream/criteria.h"
#include "lib/upstream/host_set.h"
#include "lib/upstream/locality_weights.h"

#define MOST_VALUES 16 /* of a list, with list_as_any */

typedef Google__Protobuf__Value Value;

struct subset {
	struct str key;		  /* owned; of the default one empty */
	VEC(struct host *) hosts; /* borrowed, in the order of the cluster */
	struct locality_weights weights; /* with scale_locality_weight */
	struct lb_config lb;             /* then: the cluster's, with them */
	struct host_set *set;
};

struct subsets {
	struct cluster *cluster;
	const struct subset_config *config;
	struct map by_key;	/* struct criteria's key → struct subset, owned */
	struct subset fallback; /* DEFAULT_SUBSET */
};

/* ---- building */

static struct subset *
subset_at(struct subsets *s, struct str key)
{
	struct subset *x = map_get(&s->by_key, key);

	if (x == NULL) {
		x = mem_new(struct subset);
		x->key = str_make(mem_dup(key.p, key.n), key.n);
		map_put(&s->by_key, x->key, x);
		stat_inc(&s->cluster->stats->lb_subsets_created);
		stat_up(&s->cluster->stats->lb_subsets_active);
	}
	return x;
}

static void
add_host(struct subsets *s, const struct subset_selector *sel, struct str key, struct host *h)
{
	struct subset *x = subset_at(s, key);

	if (sel->single_host && x->hosts.len > 0) {
		stat_inc(&s->cluster->stats->lb_subsets_single_host_per_subset_duplicate);
		return;
	}
	if (x->hosts.len == 0 || x->hosts.at[x->hosts.len - 1] != h)
		*vec_push(&x->hosts) = h;
}

/* The values that the host has for a key: one, or with list_as_any those of a list. */
static size_t
values_of(const struct subsets *s, const struct host *h, struct str key, const Value **out)
{
	const Value *v = metadata_lb(h->metadata, key);
	size_t n = 0;

	if (v == NULL)
		return 0;
	if (!s->config->list_as_any || v->kind_case != GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE) {
		out[0] = v;
		return 1;
	}
	for (size_t i = 0; i < v->list_value->n_values && n < MOST_VALUES; i++)
		out[n++] = v->list_value->values[i];
	return n;
}

/* All combinations of the host's values for the keys from `i` on; as deep as a selector has keys.
 */
static void
add_combinations(struct subsets *s, const struct subset_selector *sel, struct host *h, size_t i,
    struct strb *key)
{
	const Value *values[MOST_VALUES];
	size_t start = key->n, n;

	if (i == sel->n) {
		add_host(s, sel, strb_str(key), h);
		return;
	}
	n = values_of(s, h, sel->keys[i], values);
	for (size_t k = 0; k < n; k++) {
		struct strb value = {0};

		criterion_value(&value, values[k]);
		key->n = start;
		criterion_add(key, sel->keys[i], strb_str(&value));
		strb_fini(&value);
		add_combinations(s, sel, h, i + 1, key);
	}
	key->n = start;
}

static void
make_set(struct subsets *s, struct subset *x)
{
	struct cluster *c = s->cluster;
	uint32_t n = (uint32_t)x->hosts.len;
	const struct lb_config *lb = &c->lb;

	if (s->config->scale_weights && lb->weighted_localities) {
		locality_weights_make(&x->weights, c->hosts, c->hosts_n, x->hosts.at, n);
		x->lb = *lb;
		x->lb.scaled = &x->weights;
		lb = &x->lb;
	}
	x->set = host_set_new(c->loop, x->hosts.at, n, c->policy, lb, c->stats);
}

static bool
has_all(const struct host *h, const struct criteria *c)
{
	for (size_t i = 0; c && i < c->n; i++) {
		const Value *v = metadata_lb(h->metadata, c->at[i].name);
		struct strb text = {0};
		bool same;

		if (v == NULL)
			return false;
		criterion_value(&text, v);
		same = str_eq(strb_str(&text), c->at[i].value);
		strb_fini(&text);
		if (!same)
			return false;
	}
	return true;
}

static void
build_default(struct subsets *s)
{
	struct cluster *c = s->cluster;

	for (uint32_t i = 0; i < c->hosts_n; i++)
		if (has_all(c->hosts[i], s->config->default_subset))
			*vec_push(&s->fallback.hosts) = c->hosts[i];
	make_set(s, &s->fallback);
}

struct subsets *
subsets_new(struct cluster *c)
{
	struct subsets *s = mem_new(struct subsets);
	struct strb key = {0};
	struct map_slot *e;

	s->cluster = c;
	s->config = c->subset_config;
	for (size_t k = 0; k < s->config->n; k++)
		for (uint32_t i = 0; i < c->hosts_n; i++)
			add_combinations(s, &s->config->selectors[k], c->hosts[i], 0, &key);
	strb_fini(&key);
	for (size_t i = 0; (e = map_next(&s->by_key, &i)) != NULL;)
		make_set(s, e->value);
	build_default(s);
	return s;
}

static void
subset_fini(struct subset *x)
{
	host_set_free(&x->set);
	locality_weights_fini(&x->weights);
	vec_fini(&x->hosts);
	mem_free((void *)(uintptr_t)x->key.p);
}

void
subsets_free(struct subsets **sp)
{
	struct subsets *s = *sp;
	struct map_slot *e;

	*sp = NULL;
	if (s == NULL)
		return;
	for (size_t i = 0; (e = map_next(&s->by_key, &i)) != NULL;) {
		stat_inc(&s->cluster->stats->lb_subsets_removed);
		stat_down(&s->cluster->stats->lb_subsets_active);
		subset_fini(e->value);
		mem_free(e->value);
	}
	map_fini(&s->by_key);
	subset_fini(&s->fallback);
	mem_free(s);
}

/* ---- picking */

static struct host *pick_by_key(
    struct subsets *s, const struct lb_context *ctx, struct str names, struct str key);

static const struct subset_selector *
selector_of(const struct subset_config *c, struct str names)
{
	for (size_t i = 0; i < c->n; i++)
		if (str_eq(c->selectors[i].names, names))
			return &c->selectors[i];
	return NULL;
}

static bool
has_name(const struct str *names, size_t n, struct str name)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(names[i], name))
			return true;
	return false;
}

/* The same criteria, but only those of these keys. */
static struct host *
pick_with_keys(
    struct subsets *s, const struct lb_context *ctx, const struct str *keys, size_t keys_n)
{
	struct strb names = {0}, key = {0};
	struct host *h;

	for (size_t i = 0; i < ctx->criteria->n; i++) {
		const struct criterion *x = &ctx->criteria->at[i];

		if (!has_name(keys, keys_n, x->name))
			continue;
		strb_adds(&names, x->name);
		strb_addc(&names, '\0');
		criterion_add(&key, x->name, x->value);
	}
	h = pick_by_key(s, ctx, strb_str(&names), strb_str(&key));
	strb_fini(&names);
	strb_fini(&key);
	return h;
}

static bool
has_all_keys(const struct criteria *c, const struct subset_selector *sel)
{
	size_t found = 0;

	for (size_t i = 0; i < c->n; i++)
		found += has_name(sel->keys, sel->n, c->at[i].name);
	return found == sel->n;
}

/* The selector with the most keys of those that ask for nothing the request has not. */
static const struct subset_selector *
widest_selector(const struct subset_config *config, const struct criteria *c)
{
	const struct subset_selector *best = NULL;

	for (size_t i = 0; i < config->n; i++) {
		const struct subset_selector *sel = &config->selectors[i];

		if ((best == NULL || sel->n > best->n) && has_all_keys(c, sel))
			best = sel;
	}
	return best;
}

static struct host *
fall_back(struct subsets *s, const struct lb_context *ctx, enum subset_fallback how)
{
	struct host *h = NULL;

	if (how == FALLBACK_ANY)
		h = host_set_pick(s->cluster->set, ctx);
	else if (how == FALLBACK_DEFAULT)
		h = host_set_pick(s->fallback.set, ctx);
	if (h)
		stat_inc(&s->cluster->stats->lb_subsets_fallback);
	return h;
}

static struct host *
pick_by_key(struct subsets *s, const struct lb_context *ctx, struct str names, struct str key)
{
	struct subset *x = map_get(&s->by_key, key);
	const struct subset_selector *sel;

	if (x) {
		stat_inc(&s->cluster->stats->lb_subsets_selected);
		return host_set_pick(x->set, ctx);
	}
	sel = selector_of(s->config, names);
	if (sel && sel->fallback == FALLBACK_KEYS)
		return pick_with_keys(s, ctx, sel->fallback_keys, sel->fallback_n);
	return fall_back(s, ctx,
	    sel && sel->fallback != FALLBACK_NOT_DEFINED ? sel->fallback : s->config->fallback);
}

static struct host *
pick_by(struct subsets *s, const struct lb_context *ctx, const struct criteria *c)
{
	const struct subset_selector *sel = NULL;
	struct lb_context turn = *ctx;

	turn.criteria = c;
	if (c == NULL || c->n == 0)
		return fall_back(s, &turn, s->config->fallback);
	if (s->config->redundant_keys)
		sel = widest_selector(s->config, c);
	if (sel && sel->n < c->n)
		return pick_with_keys(s, &turn, sel->keys, sel->n);
	return pick_by_key(s, &turn, c->names, c->key);
}

static struct host *
pick_of_list(struct subsets *s, const struct lb_context *ctx)
{
	struct host *h = NULL;

	for (size_t i = 0; i < ctx->criteria->instead_n && h == NULL; i++)
		h = pick_by(s, ctx, ctx->criteria->instead[i]);
	return h;
}

struct host *
subsets_pick(struct subsets *s, const struct lb_context *ctx)
{
	struct host *h;

	if (s->config->fallback_list && ctx->criteria && ctx->criteria->instead_n)
		h = pick_of_list(s, ctx);
	else
		h = pick_by(s, ctx, ctx->criteria);
	if (h == NULL && s->config->panic_mode_any) {
		h = host_set_pick(s->cluster->set, ctx);
		if (h)
			stat_inc(&s->cluster->stats->lb_subsets_fallback_panic);
	}
	return h;
}
