# For the benches' scripts: ports, and the configuration of the proxy they measure.
# One listener, one route, one cluster with one host; no access log, no
# request id, no limits that a load generator would reach.

baton_yaml() { # listener's port, origin's port, admin's port
	cat <<EOF
admin: {address: {socket_address: {address: 127.0.0.1, port_value: $3}}}
static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: $1}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          generate_request_id: false
          route_config:
            virtual_hosts:
            - {name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: origin}}]}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
              dynamic_stats: false
  clusters:
  - name: origin
    circuit_breakers: {thresholds: [{max_connections: 100000, max_pending_requests: 100000, max_requests: 100000}]}
    load_assignment:
      cluster_name: origin
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: $2}}}}]}]
EOF
}

free_port() { # one that nobody listens on
	local p
	while p=$((20000 + RANDOM % 12000)); do
		(exec 3<>/dev/tcp/127.0.0.1/$p) 2>/dev/null || { echo $p; return; }
	done
}

await_port() { # port, tries of half a second, who should listen
	local n=0
	until (exec 3<>/dev/tcp/127.0.0.1/"$1") 2>/dev/null; do
		n=$((n + 1)); [ $n -lt "$2" ] || { echo "$3 does not listen" >&2; return 1; }
		sleep 0.5
	done
}

load_of() { # row -> the load generator's command; -n and the URL follow
	case $1 in
	h1_1k) echo "h2load --h1 -c16" ;;
	h1_newconn) echo "h1_newconn" ;;
	h2_1k) echo "h2load -c4 -m32" ;;
	*) echo "no such row: $1" >&2; return 2 ;;
	esac
}

h1_newconn() { # -n requests url: a connection for each, 20 at a time
	local n=0 done_=0 k
	while [ $n -lt "$2" ]; do
		k=$(h2load --h1 -n 20 -c 20 -H 'connection: close' "$3" | requests_done)
		n=$((n + 20)) done_=$((done_ + k))
	done
	echo "requests: $2 total, $2 started, $2 done, $done_ succeeded"
}

requests_done() { # what h2load printed -> requests that succeeded
	awk '/^requests:/ {print $8}'
}
