/*
 * Subsets of a cluster's members by their metadata (lb_subset_config): a
 * selector names keys, and hosts that have equal values for all of them
 * are a subset with a balancer of its own.  A request whose criteria have
 * just the keys of a selector is balanced within that subset; what
 * happens to the others is the fallback policy's to say (Envoy docs:
 * arch_overview/upstream/load_balancing/subsets).
 *
 * Built anew with the members; belongs to the cluster.
 */
#ifndef UPSTREAM_SUBSET_H
#define UPSTREAM_SUBSET_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/str.h"
#include "lib/upstream/lb.h"

struct cluster;
struct criteria;
struct subsets;

enum subset_fallback { /* numbers of LbSubsetSelectorFallbackPolicy */
	FALLBACK_NOT_DEFINED,
	FALLBACK_NONE,
	FALLBACK_ANY,
	FALLBACK_DEFAULT,
	FALLBACK_KEYS,
};

struct subset_selector {
	struct str *keys; /* in order */
	size_t n;
	struct str names; /* each with a NUL behind it */
	enum subset_fallback fallback;
	struct str *fallback_keys;
	size_t fallback_n;
	bool single_host;
};

struct subset_config {
	struct arena arena; /* all of it */
	struct subset_selector *selectors;
	size_t n;
	enum subset_fallback fallback;
	const struct criteria *default_subset; /* NULL: every host is in it */
	bool panic_mode_any, list_as_any, fallback_list, scale_weights;
	bool redundant_keys; /* of a request are left out; else it must have just those of a selector */
};

/* msg: envoy.config.cluster.v3.Cluster, borrowed.  NULL: it has no subsets. */
struct subset_config *subset_config_read(const void *msg);
void subset_config_free(struct subset_config **cp);

struct subsets *subsets_new(struct cluster *c);
void subsets_free(struct subsets **sp);
struct host *subsets_pick(struct subsets *s, const struct lb_context *ctx); /* NULL: nobody */

#endif
