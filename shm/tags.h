/*
 * Tags: what Prometheus shows as labels is cut out of the stat's name.
 * The default rules are Envoy's; a configuration may add its own or turn
 * the defaults off (stats_config.stats_tags, use_all_default_tags).
 */
#ifndef SHM_TAGS_H
#define SHM_TAGS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/regex.h"
#include "lib/base/str.h"
#include "lib/base/vec.h"

/* One row of stats_tags.  All borrowed. */
struct stat_tag_rule {
	struct str tag;
	const struct regex *regex; /* REGEX_SEARCH: group 1 is removed, group 2 (else 1) is the value */
	const char *fixed_value;   /* with neither: the default rule of this tag */
};

struct stat_tags {
	bool no_defaults;
	const struct stat_tag_rule *rule;
	size_t rules;
};

struct stat_tag {
	struct str name;  /* "envoy.cluster_name" */
	struct str value; /* borrowed from the stat's name or the rule */
};

#define STAT_TAGS_MAX 16

struct stat_tagged {
	struct strb name; /* without the tags; owned */
	struct stat_tag tag[STAT_TAGS_MAX];
	size_t tags;
};

/* tags NULL: the defaults.  *out is used again and again; strb_fini(&out->name) at the end. */
void stat_tags_extract(const struct stat_tags *tags, struct str name, struct stat_tagged *out);

#endif
