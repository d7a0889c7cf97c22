/*
 * Cutting tags out of stat names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/base/assert.h"
#include "lib/base/err.h"
#include "shm/tags.h"

static char *
shown(const struct stat_tags *tags, const char *name)
{
	struct stat_tagged t = {0};
	struct strb out = {0};

	stat_tags_extract(tags, str_of(name), &t);
	strb_adds(&out, strb_str(&t.name));
	for (size_t i = 0; i < t.tags; i++)
		strb_printf(
		    &out, " " STR_FMT "=" STR_FMT, STR_ARG(t.tag[i].name), STR_ARG(t.tag[i].value));
	strb_fini(&t.name);
	return strb_give(&out);
}

struct row {
	const char *name, *want;
};

static void
assert_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char *got = shown(NULL, rows[i].name);

		assert_string_equal(got, rows[i].want);
		mem_free(got);
	}
}

static void
default_tags_are_cut_out_of_the_name(void **state)
{
	static const struct row rows[] = {
	    {"server.live", "server.live"},
	    {"cluster.foo.upstream_rq_200",
		"cluster.upstream_rq envoy.response_code=200 envoy.cluster_name=foo"},
	    {"cluster.foo.upstream_rq_total", "cluster.upstream_rq_total envoy.cluster_name=foo"},
	    {"cluster.foo.retry.upstream_rq_5xx",
		"cluster.retry.upstream_rq_xx envoy.response_code_class=5 envoy.cluster_name=foo"},
	    {"http.ingress_http.downstream_rq_2xx",
		"http.downstream_rq_xx envoy.response_code_class=2 "
		"envoy.http_conn_manager_prefix=ingress_http"},
	    {"listener.0.0.0.0_8000.http.ingress_http.downstream_rq_5xx",
		"listener.http.downstream_rq_xx envoy.response_code_class=5 "
		"envoy.http_conn_manager_prefix=ingress_http envoy.listener_address=0.0.0.0_8000"},
	    {"listener.[__1]_8000.downstream_cx_total",
		"listener.downstream_cx_total envoy.listener_address=[__1]_8000"},
	    {"listener.admin.downstream_cx_total", "listener.admin.downstream_cx_total"},
	    {"listener.127.0.0.1_80.worker_3.downstream_cx_total",
		"listener.downstream_cx_total envoy.listener_address=127.0.0.1_80 "
		"envoy.worker_id=worker_3"},
	    {"listener_manager.worker_0.dispatcher.loop_duration_us",
		"listener_manager.dispatcher.loop_duration_us envoy.worker_id=worker_0"},
	    {"server.worker_1.watchdog_miss", "server.watchdog_miss envoy.worker_id=worker_1"},
	    {"server.main_thread.watchdog_miss", "server.main_thread.watchdog_miss"},
	    {"http.in.user_agent.ios.downstream_cx_total",
		"http.user_agent.downstream_cx_total envoy.http_user_agent=ios "
		"envoy.http_conn_manager_prefix=in"},
	    {"http.in.rds.route.config.123.update_success",
		"http.rds.update_success envoy.http_conn_manager_prefix=in "
		"envoy.rds_route_config=route.config.123"},
	    {"vhost.v.vcluster.c.upstream_rq_2xx",
		"vhost.vcluster.upstream_rq_xx envoy.response_code_class=2 envoy.virtual_cluster=c "
		"envoy.virtual_host=v"},
	    {"vhost.v.route.r.upstream_rq_total",
		"vhost.route.upstream_rq_total envoy.route=r envoy.virtual_host=v"},
	    {"listener.0.0.0.0_80.ssl.cipher.AES256-SHA",
		"listener.ssl.cipher envoy.ssl_cipher=AES256-SHA "
		"envoy.listener_address=0.0.0.0_80"},
	    {"cluster.c.ssl.ciphers.DHE-RSA-AES256-GCM-SHA384",
		"cluster.ssl.ciphers cipher_suite=DHE-RSA-AES256-GCM-SHA384 envoy.cluster_name=c"},
	    {"tcp.ingress.downstream_cx_total", "tcp.downstream_cx_total envoy.tcp_prefix=ingress"},
	    {"udp.u.sess", "udp.sess envoy.udp_prefix=u"},
	    {"ratelimit.foo.over_limit", "ratelimit.over_limit envoy.ratelimit_prefix=foo"},
	    {"auth.clientssl.x.update_success",
		"auth.clientssl.update_success envoy.clientssl_prefix=x"},
	    {"mongo.m.cmd.find.total", "mongo.cmd.total envoy.mongo_cmd=find envoy.mongo_prefix=m"},
	    {"mongo.m.collection.c.callsite.s.query.total",
		"mongo.collection.callsite.query.total envoy.mongo_callsite=s "
		"envoy.mongo_collection=c envoy.mongo_prefix=m"},
	    {"cluster.c.grpc.svc.method.success",
		"cluster.grpc.success envoy.grpc_bridge_method=method "
		"envoy.grpc_bridge_service=svc "
		"envoy.cluster_name=c"},
	    {"http.h.dynamodb.operation.Query.upstream_rq_total",
		"http.dynamodb.operation.upstream_rq_total envoy.dynamo_operation=Query "
		"envoy.http_conn_manager_prefix=h"},
	    {"http.h.dynamodb.table.t.capacity.Query.__partition_id=ABC1234",
		"http.dynamodb.table.capacity envoy.dynamo_partition_id=ABC1234 "
		"envoy.dynamo_operation=Query envoy.dynamo_table=t "
		"envoy.http_conn_manager_prefix=h"},
	    {"http.h.fault.down.delays_injected",
		"http.fault.delays_injected envoy.fault_downstream_cluster=down "
		"envoy.http_conn_manager_prefix=h"},
	    {"thrift.t.request", "thrift.request envoy.thrift_prefix=t"},
	    {"redis.r.downstream_rq_total", "redis.downstream_rq_total envoy.redis_prefix=r"},
	    {"connection_limit.l.active",
		"connection_limit.active envoy.connection_limit_prefix=l"},
	    {"cluster.a..upstream", "cluster..upstream envoy.cluster_name=a"},
	    {"_rq_200", "_rq envoy.response_code=200"},
	    {"cluster.", "cluster."},
	    {"x", "x"},
	};

	assert_rows(rows, ARRAY_LEN(rows));
}

static void
words_of_a_rule_count_as_whole_tokens_in_their_place(void **state)
{
	static const struct row rows[] = {
	    {"", ""},
	    {"cluster", "cluster"},
	    {"cluster.c", "cluster.c"},
	    {"clusters.c.upstream_rq_total", "clusters.c.upstream_rq_total"},
	    {"clus.c.upstream_rq_total", "clus.c.upstream_rq_total"},
	    {"Cluster.c.x", "Cluster.c.x"},
	    {"http.", "http."},
	    {"http..x", "http..x"},
	    {"cluster.a.b.c", "cluster.b.c envoy.cluster_name=a"},
	    {"cluster.w.w", "cluster.w envoy.cluster_name=w"},
	    {"cluster.cluster.cluster.x", "cluster.cluster.x envoy.cluster_name=cluster"},
	    {"cluster.grpc.grpc.a.b",
		"cluster.b envoy.grpc_bridge_method=a envoy.grpc_bridge_service=grpc "
		"envoy.cluster_name=grpc"},
	    {"cluster.c.grpc.svc", "cluster.grpc.svc envoy.cluster_name=c"},
	    {"cluster.c.grpc.a.svc.method.total",
		"cluster.grpc.svc.total envoy.grpc_bridge_method=method "
		"envoy.grpc_bridge_service=a envoy.cluster_name=c"},
	    {"cluster.c.grpc.svc.method.a-b",
		"cluster.grpc.method.a-b envoy.grpc_bridge_service=svc envoy.cluster_name=c"},
	    {"cluster.c.ssl.ciphers.a.b",
		"cluster.ssl.ciphers cipher_suite=a.b envoy.cluster_name=c"},
	    {"cluster.c.ssl.cipher.a", "cluster.ssl.cipher.a envoy.cluster_name=c"},
	    {"listener.1.2.3.4_80.x", "listener.x envoy.listener_address=1.2.3.4_80"},
	    {"listener.10.x", "listener.x envoy.listener_address=10"},
	    {"listener.0.0.0.0_80", "listener.0.0.0.0_80"},
	    {"listener.[__1]_80.worker_x.a", "listener.worker_x.a envoy.listener_address=[__1]_80"},
	    {"listener.dead_beef.a", "listener.a envoy.listener_address=dead_beef"},
	    {"listener.main.worker_12.a", "listener.main.a envoy.worker_id=worker_12"},
	    {"server.worker_.x", "server.worker_.x"},
	    {"server.worker_1", "server.worker_1"},
	    {"listener_manager.worker_0x.a", "listener_manager.worker_0x.a"},
	    {"http.in.rbac.allowed", "http.rbac.allowed envoy.http_conn_manager_prefix=in"},
	    {"http.in.rbac.p.allowed",
		"http.rbac.allowed envoy.http_conn_manager_prefix=in envoy.rbac_http_prefix=p"},
	    {"http.in.rbac.p.policy.q.allowed",
		"http.rbac.p.policy.allowed envoy.http_conn_manager_prefix=in "
		"envoy.rbac_policy_name=q"},
	    {"http.in.rbac.policy.q.denied",
		"http.rbac.policy.denied envoy.http_conn_manager_prefix=in "
		"envoy.rbac_policy_name=q"},
	    {"x.rbac.allowed", "rbac.allowed envoy.rbac_prefix=x"},
	    {"x.y.rbac.allowed", "x.y.rbac.allowed"},
	    {"x.http_local_rate_limit.ok",
		"http_local_rate_limit.ok envoy.local_http_ratelimit_prefix=x"},
	    {"local_rate_limit.x.ok", "local_rate_limit.ok envoy.local_network_ratelimit_prefix=x"},
	    {"a.b.ext_authz.c.ok", "a.b.ext_authz.ok envoy.ext_authz_prefix=c"},
	    {"cluster.c.ext_authz.p.denied",
		"cluster.ext_authz.denied envoy.cluster_name=c envoy.ext_authz_prefix=p"},
	    {"dns_filter.f.known", "dns_filter.known envoy.dns_filter_prefix=f"},
	    {"grpc.x.streams_total", "grpc.streams_total envoy.google_grpc_client_prefix=x"},
	    {"proxy_proto.p.versions.v1.found",
		"proxy_proto.versions.found envoy.proxy_protocol_version=v1 "
		"envoy.proxy_protocol_prefix=p"},
	    {"proxy_proto.versions.v1.found",
		"proxy_proto.versions.found envoy.proxy_protocol_version=v1"},
	    {"mongo.m.cmd.a.b.total", "mongo.cmd.total envoy.mongo_cmd=a.b envoy.mongo_prefix=m"},
	    {"mongo.m.collection.c.query.total",
		"mongo.collection.query.total envoy.mongo_collection=c envoy.mongo_prefix=m"},
	    {"mongo.m.collection.c.query.a-b", "mongo.collection.c.query.a-b envoy.mongo_prefix=m"},
	    {"http.h.dynamodb.error.t.BadRequest",
		"http.dynamodb.error.BadRequest envoy.dynamo_table=t "
		"envoy.http_conn_manager_prefix=h"},
	    {"http.h.dynamodb.table.t.capacity.Query",
		"http.dynamodb.table.capacity envoy.dynamo_operation=Query "
		"envoy.dynamo_table=t envoy.http_conn_manager_prefix=h"},
	    {"http.h.dynamodb.table.t.capacity.Query.__partition_id=",
		"http.dynamodb.table.capacity envoy.dynamo_partition_id= "
		"envoy.dynamo_operation=Query envoy.dynamo_table=t "
		"envoy.http_conn_manager_prefix=h"},
	    {"http.h.dynamodb.table.t.capacity.Query.__partition_id",
		"http.dynamodb.table.capacity.__partition_id envoy.dynamo_operation=Query "
		"envoy.dynamo_table=t envoy.http_conn_manager_prefix=h"},
	    {"vhost.v.vcluster.a.b.upstream_rq_200",
		"vhost.vcluster.upstream_rq envoy.response_code=200 envoy.virtual_cluster=a.b "
		"envoy.virtual_host=v"},
	    {"vhost.route.route.route.x",
		"vhost.route.x envoy.route=route envoy.virtual_host=route"},
	    {"http.user_agent.user_agent.ios.x", "http.x envoy.http_user_agent=user_agent.ios "
						 "envoy.http_conn_manager_prefix=user_agent"},
	    {"udp.a.b.sess", "udp.sess envoy.udp_prefix=a.b"},
	    {"tcp.a", "tcp.a"},
	    {"ratelimit.a.b-c", "ratelimit.a.b-c"},
	    {"x_rq_2xx.y_rq_503", "x_rq_2xx.y_rq envoy.response_code=503"},
	    {"a.upstream_rq_20x", "a.upstream_rq_20x"},
	    {"rq_200", "rq_200"},
	    {"cluster.c.upstream_rq_200.", "cluster.upstream_rq_200. envoy.cluster_name=c"},
	};

	assert_rows(rows, ARRAY_LEN(rows));
}

static void
a_configuration_adds_its_own_tags(void **state)
{
	struct err err;
	struct regex *re =
	    regex_new(STR("^cluster\\.((.+?)-(?:blue|green)\\.)"), REGEX_SEARCH, &err);
	struct stat_tag_rule rules[] = {
	    {.tag = STR("app"), .regex = re},
	    {.tag = STR("zone"), .fixed_value = "eu"},
	    {.tag = STR("envoy.response_code")},
	};
	struct stat_tags tags = {.no_defaults = true, .rule = rules, .rules = ARRAY_LEN(rules)};
	char *got;

	assert_non_null(re);
	got = shown(&tags, "cluster.shop-blue.upstream_rq_503");
	assert_string_equal(got, "cluster.upstream_rq app=shop zone=eu envoy.response_code=503");
	mem_free(got);
	rules[2].tag = STR("envoy.rbac_prefix");
	got = shown(&tags, "x.rbac.allowed");
	assert_string_equal(got, "rbac.allowed zone=eu envoy.rbac_prefix=x");
	mem_free(got);
	got = shown(&tags, "cluster.x.rbac.allowed_rq_200");
	assert_string_equal(got, "cluster.x.rbac.allowed_rq_200 zone=eu");
	mem_free(got);
	tags.no_defaults = false;
	got = shown(&tags, "server.live");
	assert_string_equal(got, "server.live zone=eu");
	mem_free(got);
	regex_free(&re);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(default_tags_are_cut_out_of_the_name),
	    cmocka_unit_test(words_of_a_rule_count_as_whole_tokens_in_their_place),
	    cmocka_unit_test(a_configuration_adds_its_own_tags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
