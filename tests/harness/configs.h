/*
 * Configurations that scenes share, as text to be put together:
 *   CONF_ADMIN  CONF_LISTENER(filters, routes)  CONF_CLUSTER(name, port, more)
 */
#ifndef HARNESS_CONFIGS_H
#define HARNESS_CONFIGS_H

#define CONF_ADMIN                                                                                 \
	"admin:\n"                                                                                 \
	"  address: {socket_address: {address: 127.0.0.1, port_value: 0}}\n"                       \
	"node: {id: test-node, cluster: test-cluster}\n"

#define CONF_ROUTER                                                                                \
	"          - name: envoy.filters.http.router\n"                                            \
	"            typed_config:\n"                                                              \
	"              \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router\n"

/* hcm: more fields of the connection manager, 10 spaces deep; routes: 14 deep. */
#define CONF_LISTENER_WITH(more, hcm, filters, routes)                                             \
	"static_resources:\n"                                                                      \
	"  listeners:\n"                                                                           \
	"  - name: main\n"                                                                         \
	"    address: {socket_address: {address: 127.0.0.1, port_value: 0}}\n" more                \
	"    filter_chains:\n"                                                                     \
	"    - filters:\n"                                                                         \
	"      - name: envoy.filters.network.http_connection_manager\n"                            \
	"        typed_config:\n"                                                                  \
	"          \"@type\": type.googleapis.com/"                                               \
	"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n"      \
	"          stat_prefix: ingress\n" hcm                                                     \
	"          http_filters:\n" filters CONF_ROUTER                                            \
	"          route_config:\n"                                                                \
	"            name: local\n"                                                                \
	"            virtual_hosts:\n"                                                             \
	"            - name: all\n"                                                                \
	"              domains: [\"*\"]\n"                                                         \
	"              routes:\n" routes

#define CONF_LISTENER(filters, routes) CONF_LISTENER_WITH("", "", filters, routes)

#define CONF_ROUTE_ALL "              - {match: {prefix: /}, route: {cluster: api}}\n"

#define CONF_CLUSTERS "  clusters:\n"
#define CONF_CLUSTER(name, hosts, more)                                                            \
	"  - name: " name "\n"                                                                     \
	"    connect_timeout: 1s\n"                                                                \
	"    type: STATIC\n" more                                                                  \
	"    load_assignment:\n"                                                                   \
	"      cluster_name: " name "\n"                                                           \
	"      endpoints:\n"                                                                       \
	"      - lb_endpoints:\n" hosts
#define CONF_HOST(port)                                                                            \
	"        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: " port "}}}\n"
#define CONF_HTTP2                                                                                 \
	"    typed_extension_protocol_options:\n"                                                  \
	"      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n"                          \
	"        \"@type\": type.googleapis.com/"                                                 \
	"envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n"                                 \
	"        explicit_http_config: {http2_protocol_options: {}}\n"

/* One listener, every path to cluster `api` on host 0. */
#define CONF_SIMPLE                                                                                \
	CONF_ADMIN CONF_LISTENER("", CONF_ROUTE_ALL)                                               \
	CONF_CLUSTERS CONF_CLUSTER("api", CONF_HOST("@HOST0@"), "")

#endif
