#!/bin/bash
# What else admin does, and how late health checks begin for it: HOSTS hosts are
# checked every second while a configuration with 10,000 virtual hosts is loaded,
# then one with 10,000 static endpoints, then these are replaced by others, then
# a cluster of EDS gets 10,000 endpoints, and others in their place; then all of it
# is dumped.  After each step: how long it took, the CPU time of admin, the longest turn of its loop and
# the latest check so far (ms).
#
#   B=build HOSTS=300 RUN="chrt -r 1" tests/bench/turns.sh
#
# RUN: what runs baton; on a machine that has other work a turn is as long as the
# scheduler makes it, without priority.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/bench/config.sh
B=$(cd "${B:-build}" && pwd)
HOSTS=${HOSTS:-300}
dir=$(mktemp -d)
chmod 777 "$dir"
pids=
trap 'for p in $pids; do kill "$p" 2>/dev/null; done; wait 2>/dev/null; rm -rf "$dir"' EXIT
make -s B="$B" "$B/bench/check_hosts" || exit 1
"$B/bench/check_hosts" "$HOSTS" >"$dir/ports" &
pids="$pids $!"
until [ "$(cat "$dir/ports" 2>/dev/null | wc -l)" -ge "$HOSTS" ]; do sleep 0.1; done
port=$(free_port)

endpoints() { # indent, second number of their addresses
	awk -v s="$1" -v g="$2" 'BEGIN {for (i = 0; i < 10000; i++)
		printf "%s- {endpoint: {address: {socket_address: {address: 10.%d.%d.%d, port_value: 80}}}}\n", s, g, i / 250, i % 250 + 1}'
}
assignment() { # second number of the addresses: the file that EDS reads
	cat <<EOF
version_info: "$1"
resources:
- "@type": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment
  cluster_name: discovered
  endpoints:
  - lb_endpoints:
EOF
	endpoints "    " "$1"
}
config() { # [virtual hosts], [second number of the static endpoints]
	echo "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}"
	echo "static_resources:"
	echo "  listeners:"
	baton_listener "$port" origin "" "${1:-}"
	echo "  clusters:"
	baton_cluster origin 1
	cat <<EOF
  - name: checked
    health_checks:
    - {initial_jitter: 1s, timeout: 0.5s, interval: 1s, no_traffic_interval: 1s, healthy_threshold: 1, unhealthy_threshold: 3, http_health_check: {path: /health}}
    load_assignment:
      cluster_name: checked
      endpoints:
      - lb_endpoints:
EOF
	sed 's/.*/        - {endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: &}}}}/' "$dir/ports"
	echo "  - {name: discovered, type: EDS, eds_cluster_config: {eds_config: {path_config_source: {path: $dir/eds.yaml}}}}"
	[ -n "${2:-}" ] || return
	echo "  - {name: static, load_assignment: {cluster_name: static, endpoints: [{lb_endpoints: ["
	endpoints "" "$2" | sed 's/^- //; s/$/,/'
	echo "  ]}]}}"
}
largest() { # a histogram, all of it
	curl -s "$admin/stats?filter=$1" | grep -o 'P100([^)]*' | sed 's/.*,//' |
		awk -v d="$2" '{printf "%.1f", $1 / d}'
}
cpu() { awk '{print int($1 / 1000)}' "/proc/$pid/schedstat"; }
step() { # what, the command
	local what=$1 from cpu_from
	shift
	from=${EPOCHREALTIME/[.,]/} cpu_from=$(cpu)
	"$@"
	printf '%-44s %6d ms, %4d ms of CPU, longest turn %s ms, latest check %s ms\n' "$what" \
		$(((${EPOCHREALTIME/[.,]/} - from) / 1000)) $((($(cpu) - cpu_from) / 1000)) \
		"$(largest baton.admin_turn_us 1000)" "$(largest baton.check_delay_ms 1)"
}
reload() { # the arguments of config
	config "$@" >"$dir/baton.yaml"
	"$B/batonctl" --runtime-dir "$dir/run" reload >/dev/null || echo "turns: refused"
}
discover() { # second number of the addresses
	local n
	n=$(number update_success)
	assignment "$1" >"$dir/new.yaml"
	mv "$dir/new.yaml" "$dir/eds.yaml"
	for _ in $(seq 500); do
		[ "$(number update_success)" = "$n" ] || return 0
		sleep 0.02
	done
	echo "turns: no update came"
}
dump() { curl -s "$admin/$1" >"$dir/dump"; }
number() { curl -s "$admin/stats?filter=cluster.discovered.$1" | awk '{print $2}'; }

printf 'version_info: "0"\nresources: []\n' >"$dir/eds.yaml"
config >"$dir/baton.yaml"
${RUN:-} "$B/baton" -c "$dir/baton.yaml" --concurrency 1 --runtime-dir "$dir/run" -l error \
	--admin-address-path "$dir/admin" & baton=$!
pids="$pids $baton"
for _ in $(seq 100); do
	admin=$(cat "$dir/admin" 2>/dev/null)
	[ "$(curl -s "$admin/ready")" = LIVE ] && break
	sleep 0.1
done
pid=$(pgrep -P "$baton" -f admin | head -1)
step "checks alone, for 5 s" sleep 5
step "10,000 virtual hosts" reload 10000
step "10,000 other virtual hosts, 10,000 endpoints" reload 9999 1
step "10,000 other endpoints" reload 9999 2
step "the same again" reload 9999 2
step "EDS: 10,000 endpoints" discover 1
step "EDS: 10,000 others" discover 2
step "/config_dump?include_eds" dump "config_dump?include_eds"
step "/clusters" dump clusters
step "/stats" dump stats
step "they go, all" reload
step "checks alone, for 5 s" sleep 5
echo "failed checks: $(curl -s "$admin/stats?filter=cluster.checked.health_check.failure" | awk '{print $2}')"
