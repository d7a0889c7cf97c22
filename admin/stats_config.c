#include "admin/stats_config.h"

#include "admin/string_match.h"
#include "shm/block.h"

typedef Envoy__Config__Metrics__V3__StatsMatcher StatsMatcher;

#define CASE(x) ENVOY__CONFIG__METRICS__V3__STATS_MATCHER__STATS_MATCHER_##x

/* One a process: block_set_filter() is the segment's, and there is one segment. */
static struct {
	struct string_match_list list;
	bool keeps_listed; /* inclusion_list; else exclusion_list */
} matcher;

static bool
keep_none(void *ctx, struct str name)
{
	return false;
}

static bool
keep_by_list(void *ctx, struct str name)
{
	return string_match_any(&matcher.list, name) == matcher.keeps_listed;
}

int
stats_config_apply(const Envoy__Config__Bootstrap__V3__Bootstrap *b, struct err *err)
{
	const StatsMatcher *m = b->stats_config ? b->stats_config->stats_matcher : NULL;
	const Envoy__Type__Matcher__V3__ListStringMatcher *list = NULL;

	string_match_fini(&matcher.list);
	block_set_filter(NULL, NULL);
	if (m == NULL)
		return 0;
	if (m->stats_matcher_case == CASE(REJECT_ALL)) {
		if (m->reject_all)
			block_set_filter(keep_none, NULL);
		return 0;
	}
	if (m->stats_matcher_case == CASE(EXCLUSION_LIST))
		list = m->exclusion_list;
	else if (m->stats_matcher_case == CASE(INCLUSION_LIST))
		list = m->inclusion_list;
	for (size_t i = 0; list && i < list->n_patterns; i++)
		if (string_match_add(&matcher.list, list->patterns[i], err) < 0)
			return err_in(err, "stats_config.stats_matcher: patterns[%zu]", i);
	matcher.keeps_listed = m->stats_matcher_case == CASE(INCLUSION_LIST);
	if (list)
		block_set_filter(keep_by_list, NULL);
	return 0;
}
