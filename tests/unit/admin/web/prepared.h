/*
 * An admin in this process as it is once a small configuration is in
 * force: no master, no workers, private memory for the numbers.
 */
#ifndef TESTS_ADMIN_PREPARED_H
#define TESTS_ADMIN_PREPARED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "admin/admin.h"
#include "admin/blocks.h"
#include "admin/flush.h"
#include "admin/stats_config.h"
#include "admin/web/endpoints.h"
#include "conf/diag.h"
#include "conf/load.h"
#include "lib/base/mem.h"
#include "shm/flags.h"
#include "shm/lane.h"

static const char prepared_config[] =
    "node: {id: n1, cluster: c1}\n"
    "static_resources:\n"
    "  listeners:\n"
    "  - name: ingress\n"
    "    address: {socket_address: {address: 127.0.0.1, port_value: 18000}}\n"
    "    filter_chains:\n"
    "    - filters:\n"
    "      - name: envoy.filters.network.http_connection_manager\n"
    "        typed_config:\n"
    "          \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n"
    "          stat_prefix: web\n"
    "          route_config: {name: routes, virtual_hosts: [{name: all, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: api}}]}]}\n"
    "          http_filters: [{name: envoy.filters.http.router, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]\n"
    "  clusters:\n"
    "  - name: api\n"
    "    alt_stat_name: api_stats\n"
    "    connect_timeout: 1s\n"
    "    circuit_breakers: {thresholds: [{max_connections: 7}]}\n"
    "    load_assignment:\n"
    "      cluster_name: api\n"
    "      endpoints:\n"
    "      - locality: {region: eu, zone: a}\n"
    "        lb_endpoints:\n"
    "        - endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 80}}, hostname: one}\n"
    "          load_balancing_weight: 3\n"
    "        - endpoint: {address: {socket_address: {address: 10.0.0.2, port_value: 80}}}\n"
    "          health_status: DRAINING\n"
    "  - name: other\n"
    "    connect_timeout: 1s\n"
    "    load_assignment: {cluster_name: other}\n";

struct prepared {
	struct admin admin;
	struct settings settings;
	struct process_start start;
	struct arena arena;
};

static inline int
prepare(void **state)
{
	struct prepared *p = mem_new(struct prepared);
	struct conf_source src = {.inline_yaml = prepared_config};
	struct admin *a = &p->admin;
	struct conf *conf;
	struct diag diag;
	struct err err;

	p->settings = (struct settings){.concurrency = 2,
	    .config_path = "/etc/baton.yaml",
	    .runtime_dir = "/nonexistent",
	    .drain_time_s = 600,
	    .file_flush_interval_ms = 1500,
	    .hot_restart_version = "disabled"};
	arena_init(&p->arena);
	a->settings = &p->settings;
	a->start = &p->start;
	a->loop = loop_new();
	works_init(&a->works, a->loop);
	a->segment = lane_private();
	segment_use(a->segment);
	store_init(&a->store);
	files_init(&a->files);
	members_init(&a->members);
	a->flushes = flushes_new(a);
	diag_init(&diag);
	if (conf_load(&conf, &src, &diag) < 0) {
		struct strb text = {0};

		diag_print(&diag, &text, true);
		fail_msg("%s", strb_z(&text));
	}
	diag_fini(&diag);
	store_take(&a->store, conf, 1700000000123456789ull);
	assert_int_equal(store_listeners(&a->store, &err), 0);
	a->members.segment = a->segment;
	assert_int_equal(blocks_publish_own(a->segment, &p->settings, &err), 0);
	assert_int_equal(
	    blocks_publish_listeners(a->segment, &p->settings, &a->store, &err), 0);
	assert_int_equal(members_prepare(&a->members, &a->store, &err), 0);
	members_accept(&a->members, &a->store);
	stats_attach(a);
	a->serving = true;
	shm_flags()->state = SERVER_LIVE;
	shm_set_health_failed(false);
	*state = p;
	return 0;
}

static inline int
unprepare(void **state)
{
	struct prepared *p = *state;
	struct admin *a = &p->admin;

	stats_stop(a);
	flushes_free(&a->flushes);
	works_fini(&a->works);
	loop_turn(a->loop, false); /* what was deferred */
	members_fini(&a->members);
	files_fini(&a->files);
	store_fini(&a->store);
	loop_free(&a->loop);
	arena_fini(&p->arena);
	mem_free(p);
	return 0;
}

/* Calls an endpoint and collects every slice; the text lives until the next call. */
static inline const char *
ask(struct prepared *p, const char *method, const char *target, unsigned *status, enum web_type *type)
{
	static struct strb text;
	struct web_request q;
	struct web_reply r;

	web_request_init(&q, &p->arena, str_of(method), str_of(target), STR(""), STR(""));
	web_reply_init(&r);
	endpoint_call(&p->admin, &q, &r);
	while (r.more && r.more(r.state, &r.body))
		;
	strb_fini(&text);
	strb_adds(&text, strb_str(&r.body));
	*status = r.status;
	if (type)
		*type = r.type;
	web_reply_fini(&r);
	web_request_fini(&q);
	return strb_z(&text);
}

#endif
