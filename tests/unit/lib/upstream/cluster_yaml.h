/*
 * A cluster from its YAML, as a configuration would have it; for tests of
 * this folder.  Stats are private memory (lane_private).
 */
#ifndef TESTS_UPSTREAM_CLUSTER_YAML_H
#define TESTS_UPSTREAM_CLUSTER_YAML_H

#include <stdio.h>

#include "conf/diag.h"
#include "conf/load.h"
#include "lib/base/str.h"
#include "lib/event/loop.h"
#include "lib/upstream/cluster.h"

struct cluster_yaml {
	struct conf *conf;
	Envoy__Config__Cluster__V3__Cluster *msg; /* lives with conf */
};

/* Each line of `body` is a line of the cluster's fields. */
static inline void
cluster_yaml_open(struct cluster_yaml *y, const char *body)
{
	struct strb text = {0};
	struct str rest = str_of(body), line;
	struct diag diag;

	strb_addz(&text, "static_resources:\n  clusters:\n  - name: api\n");
	while (str_cut(&rest, '\n', &line)) {
		strb_addz(&text, "    ");
		strb_adds(&text, line);
		strb_addc(&text, '\n');
	}
	if (!str_contains(str_of(body), STR("load_assignment:")))
		strb_addz(&text, "    load_assignment: {cluster_name: api}\n");
	diag_init(&diag);
	if (conf_load(&y->conf, &(struct conf_source){.inline_yaml = strb_z(&text)}, &diag) < 0) {
		struct strb out = {0};

		diag_print(&diag, &out, false);
		fail_msg("%s", strb_z(&out));
	}
	diag_fini(&diag);
	strb_fini(&text);
	y->msg = conf_bootstrap(y->conf)->static_resources->clusters[0];
}

static inline void
cluster_yaml_close(struct cluster_yaml *y)
{
	conf_free(&y->conf);
}

static inline struct cluster *
cluster_from_yaml(struct loop *l, const char *body)
{
	struct cluster_yaml y;
	struct cluster *c;
	struct err err;

	cluster_yaml_open(&y, body);
	if (cluster_build(&c, y.msg, l, &err) < 0)
		fail_msg("%s", err.text);
	cluster_yaml_close(&y);
	return c;
}

/* The last reference: turns until its memory is gone. */
static inline void
cluster_end(struct loop *l, struct cluster **c)
{
	cluster_unref(c);
	for (int i = 0; i < 3; i++)
		loop_turn(l, false);
}

/* A locality of n hosts 10.0.<net>.1 …; weights may be NULL. */
static inline void
add_hosts(struct strb *out, unsigned n, const unsigned *weights, unsigned net)
{
	strb_addz(out, "  - lb_endpoints:\n");
	for (unsigned i = 0; i < n; i++) {
		strb_printf(out,
		    "    - endpoint: {address: {socket_address: {address: 10.0.%u.%u, port_value: 80}}}\n",
		    net, i + 1);
		if (weights)
			strb_printf(out, "      load_balancing_weight: %u\n", weights[i]);
	}
}

#endif
