# For the benches' scripts: ports, and the configuration of the proxy they measure.
# One listener, one route, one cluster with one host; no access log, no
# request id, no limits that a load generator would reach.

windows='{initial_stream_window_size: 65535, initial_connection_window_size: 65535}' # what the others have
upstream_h2=${windows%\}}', max_concurrent_streams: 100}' # as haproxy and nghttpx open them by default

baton_listener() { # port, cluster, [file of its access log], [virtual hosts], [their clusters: c%d; one without a %d is everybody's], [address], [routes more]
	cat <<EOF
  - address: {socket_address: {address: ${6:-127.0.0.1}, port_value: $1}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          generate_request_id: false
          http2_protocol_options: $windows
          upgrade_configs: [{upgrade_type: websocket}]
EOF
	[ -z "${3:-}" ] || cat <<EOF
          access_log:
          - name: envoy.access_loggers.file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: $3
EOF
	cat <<EOF
          route_config:
            virtual_hosts:
EOF
	[ -z "${4:-}" ] || awk -v n="$4" -v c="${5:-origin}" 'BEGIN {for (i = 0; i < n; i++) {
		to = c; sub(/%d/, i, to)
		printf "            - {name: v%d, domains: [\"h%d.example\"], routes: [{match: {prefix: /}, route: {cluster: %s}}]}\n", i, i, to}}'
	echo '            - {name: all, domains: ["*"], routes: ['
	[ -z "${7:-}" ] || awk -v n="$7" -v c="$2" 'BEGIN {for (i = 0; i < n; i++)
		printf "                {match: {prefix: /r%d/}, route: {cluster: %s}},\n", i, c}'
	cat <<EOF
                {match: {prefix: /}, route: {cluster: $2}}]}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
              dynamic_stats: false
EOF
}

host_addresses() { # how many: origin --loopback is there
	awk -v n="$1" 'BEGIN {for (i = 0; i < n; i++) printf "127.1.%d.%d\n", i / 250, i % 250 + 1}'
}

# Several hosts are addresses of the loopback, or, with a folder, sockets there: 0, 1, 2 ...
baton_cluster() { # name, origin's port, [hosts], [policy], [folder]
	cat <<EOF
  - name: $1
    lb_policy: ${4:-ROUND_ROBIN}
    circuit_breakers: {thresholds: [{max_connections: 100000, max_pending_requests: 100000, max_requests: 100000}]}
    load_assignment:
      cluster_name: $1
      endpoints:
      - lb_endpoints:
EOF
	if [ "${3:-1}" = 1 ]; then
		echo "        - {endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: $2}}}}"
	elif [ -z "${5:-}" ]; then
		host_addresses "$3" | sed "s/.*/        - {endpoint: {address: {socket_address: {address: &, port_value: $2}}}}/"
	else
		awk -v n="$3" -v dir="$5" 'BEGIN {for (i = 0; i < n; i++)
			printf "        - {endpoint: {address: {pipe: {path: %s/%d}}}}\n", dir, i}'
	fi
}

baton_h2_cluster() { # name, origin's port
	baton_cluster "$1" "$2"
	cat <<EOF
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: $upstream_h2}
EOF
}

more_clusters() { # how many: c0, c1, ... with a host each
	awk -v n="$1" 'BEGIN {for (i = 0; i < n; i++)
		printf "  - {name: c%d, load_assignment: {cluster_name: c%d, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}}]}]}}\n", i, i, 1 + i % 65535}'
}

# In the environment, more of what there is one of: LISTENERS, VHOSTS, ROUTES, CLUSTERS (one for each virtual host), HOSTS
# (with HOST_DIR sockets, else addresses); POLICY; H2_PORT and H2_ORIGIN_PORT (a listener whose cluster speaks HTTP/2); REJECT_ALL.
baton_yaml() { # listener's port, origin's port, admin's port, [port of one more listener, its access log]
	local i
	echo "admin: {address: {socket_address: {address: 127.0.0.1, port_value: $3}}}"
	[ -z "${REJECT_ALL:-}" ] || echo "stats_config: {stats_matcher: {reject_all: true}}"
	echo "static_resources:"
	echo "  listeners:"
	baton_listener "$1" origin "" "${VHOSTS:-}" "${CLUSTERS:+c%d}" "" "${ROUTES:-}"
	[ -z "${4:-}" ] || baton_listener "$4" origin "$5"
	[ -z "${H2_PORT:-}" ] || baton_listener "$H2_PORT" origin_h2
	for i in $(seq "${LISTENERS:-0}"); do baton_listener "$1" origin "" "" "" 127.0.1.$i; done
	echo "  clusters:"
	baton_cluster origin "$2" "${HOSTS:-1}" "${POLICY:-ROUND_ROBIN}" "${HOST_DIR:-}"
	[ -z "${H2_ORIGIN_PORT:-}" ] || baton_h2_cluster origin_h2 "$H2_ORIGIN_PORT"
	[ -z "${CLUSTERS:-}" ] || more_clusters "$CLUSTERS"
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

tree() { # a pid and its descendants
	local c
	echo "$1"
	for c in $(cat /proc/"$1"/task/*/children 2>/dev/null); do tree "$c"; done
}

processes() { # of a tree, with commas
	tree "$1" | paste -sd,
}

median() { # of the numbers that come, one a line
	sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'
}

load_of() { # row, baton's port -> the load generator's command; -n and the URL follow
	case $1 in
	h1_1k | h1_rr_1000 | h1_lr_1000) echo "h2load --h1 -c16" ;;
	h1_vhosts) echo "h2load --h1 -c16 --connect-to=127.0.0.1:$2" ;;
	h1_newconn | ws_1k) echo "$1" ;;
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

ws_1k() { # -n messages url: each with its echo
	local port=${3##*:}
	echo "requests: $2 total, $2 started, $2 done, $("$B/load" count ws 1024 "$2" 16 "${port%/}" | awk '/errors 0$/ {print $2}') succeeded"
}

requests_done() { # what h2load printed -> requests that succeeded
	awk '/^requests:/ {print $8}'
}

dump_often() { # runtime folder: somebody reads all numbers ten times a second, until killed
	while sleep 0.1; do "$B/batonstat" -1 --runtime-dir "$1" >/dev/null 2>&1; done
}

wanted() { # a number, the most that is wanted: what to say of it
	awk -v n="$1" -v most="$2" 'BEGIN {printf "wanted %s: %s\n", most, n + 0 <= most + 0 ? "ok" : "MISSED"}'
}

calls_of() { # row, requests, what strace -c wrote
	awk -v r="$1" -v n="$2" '{calls = $4 ~ /^[0-9]+$/ ? $4 : $3} $NF == "epoll_ctl" {ctl = calls}
		$NF == "total" {printf "%-12s baton: %.2f system calls a request, of these epoll_ctl %.2f\n", r, calls / n, ctl / n}' "$3"
}
