#include "admin/stats_config.h"

#include "admin/string_match.h"
#include "lib/base/regex.h"
#include "shm/block.h"

typedef Envoy__Config__Metrics__V3__StatsConfig StatsConfig;
typedef Envoy__Config__Metrics__V3__StatsMatcher StatsMatcher;
typedef Envoy__Config__Metrics__V3__TagSpecifier TagSpecifier;
typedef Envoy__Config__Metrics__V3__HistogramBucketSettings BucketSettings;

#define MATCHER(x) ENVOY__CONFIG__METRICS__V3__STATS_MATCHER__STATS_MATCHER_##x
#define TAG(x) ENVOY__CONFIG__METRICS__V3__TAG_SPECIFIER__TAG_VALUE_##x

/* One a process: block_set_filter() is the segment's, and there is one segment. */
static struct {
	struct string_match_list list;
	bool keeps_listed; /* inclusion_list; else exclusion_list */
	VEC(struct stat_tag_rule) rules;
	struct stat_tags tags;
	VEC(struct regex *) regexes; /* owns those of the rules */
	VEC(struct bucket_setting) settings;
	VEC(struct string_match_list *) bucket_matches; /* owns the contexts of the settings */
} applied;

static void
forget(void)
{
	string_match_fini(&applied.list);
	for (size_t i = 0; i < applied.regexes.len; i++)
		regex_free(&applied.regexes.at[i]);
	for (size_t i = 0; i < applied.bucket_matches.len; i++) {
		string_match_fini(applied.bucket_matches.at[i]);
		mem_free(applied.bucket_matches.at[i]);
	}
	vec_fini(&applied.regexes);
	vec_fini(&applied.rules);
	vec_fini(&applied.settings);
	vec_fini(&applied.bucket_matches);
	applied.tags = (struct stat_tags){0};
	block_set_filter(NULL, NULL);
}

/* ---- stats_matcher */

static bool
keep_none(void *ctx, struct str name)
{
	return false;
}

static bool
keep_by_list(void *ctx, struct str name)
{
	return string_match_any(&applied.list, name) == applied.keeps_listed;
}

static int
apply_matcher(const StatsMatcher *m, struct err *err)
{
	const Envoy__Type__Matcher__V3__ListStringMatcher *list = NULL;

	if (m == NULL)
		return 0;
	if (m->stats_matcher_case == MATCHER(REJECT_ALL) && m->reject_all)
		block_set_filter(keep_none, NULL);
	if (m->stats_matcher_case == MATCHER(EXCLUSION_LIST))
		list = m->exclusion_list;
	else if (m->stats_matcher_case == MATCHER(INCLUSION_LIST))
		list = m->inclusion_list;
	for (size_t i = 0; list && i < list->n_patterns; i++)
		if (string_match_add(&applied.list, list->patterns[i], err) < 0)
			return err_in(err, "stats_config.stats_matcher: patterns[%zu]", i);
	applied.keeps_listed = m->stats_matcher_case == MATCHER(INCLUSION_LIST);
	if (list)
		block_set_filter(keep_by_list, NULL);
	return 0;
}

/* ---- tags */

static int
add_tag(const TagSpecifier *m, struct err *err)
{
	struct stat_tag_rule rule = {.tag = str_of(m->tag_name)};

	if (m->tag_value_case == TAG(FIXED_VALUE)) {
		rule.fixed_value = m->fixed_value;
	} else if (m->tag_value_case == TAG(REGEX) && m->regex[0]) {
		struct regex *re = regex_new(str_of(m->regex), REGEX_SEARCH, err);

		if (re == NULL)
			return err_in(err, "stats_config.stats_tags: '%s'", m->tag_name);
		*vec_push(&applied.regexes) = re;
		rule.regex = re;
	}
	*vec_push(&applied.rules) = rule;
	return 0;
}

static int
apply_tags(const StatsConfig *c, struct err *err)
{
	for (size_t i = 0; i < c->n_stats_tags; i++)
		if (add_tag(c->stats_tags[i], err) < 0)
			return -1;
	applied.tags = (struct stat_tags){
	    .no_defaults = c->use_all_default_tags && !c->use_all_default_tags->value,
	    .rule = applied.rules.at,
	    .rules = applied.rules.len};
	return 0;
}

/* ---- buckets */

static bool
bucket_matches(void *ctx, struct str name)
{
	return string_match_any(ctx, name);
}

static int
add_buckets(const BucketSettings *m, struct err *err)
{
	struct string_match_list *l = mem_new(struct string_match_list);

	*vec_push(&applied.bucket_matches) = l;
	if (m->match && string_match_add(l, m->match, err) < 0)
		return err_in(err, "stats_config.histogram_bucket_settings");
	*vec_push(&applied.settings) =
	    (struct bucket_setting){bucket_matches, l, m->buckets, m->n_buckets};
	return 0;
}

int
stats_config_apply(const Envoy__Config__Bootstrap__V3__Bootstrap *b, struct err *err)
{
	const StatsConfig *c = b->stats_config;

	forget();
	if (c == NULL)
		return 0;
	if (apply_matcher(c->stats_matcher, err) < 0 || apply_tags(c, err) < 0)
		return -1;
	for (size_t i = 0; i < c->n_histogram_bucket_settings; i++)
		if (add_buckets(c->histogram_bucket_settings[i], err) < 0)
			return -1;
	return 0;
}

void
stats_config_print_options(struct stat_print_options *o)
{
	o->tags = &applied.tags;
	o->setting = applied.settings.at;
	o->settings = applied.settings.len;
}
