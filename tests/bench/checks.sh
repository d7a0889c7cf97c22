#!/bin/bash
# How late do active health checks begin?  HOSTS hosts at INTERVAL, baton on one
# CPU and the hosts on the other, for SECONDS_EACH; then the quantiles of
# baton.check_delay_ms, what was checked, and what it cost.  First checks are
# spread over one interval (initial_jitter), as anybody with so many hosts does.
#
#   B=build HOSTS=10000 INTERVAL=1s SECONDS_EACH=60 tests/bench/checks.sh
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
HOSTS=${HOSTS:-10000}
INTERVAL=${INTERVAL:-1s}
SECONDS_EACH=${SECONDS_EACH:-60}
TIMEOUT=${TIMEOUT:-0.5s}
dir=$(mktemp -d)
pids=
trap 'for p in $pids; do kill "$p" 2>/dev/null; done; wait 2>/dev/null; rm -rf "$dir"' EXIT
host_cpu=1
[ "$(nproc)" -gt 1 ] || host_cpu=0
make -s B="$B" "$B/baton" "$B/bench/check_hosts" || exit 1
ulimit -n "$(ulimit -Hn)"

# Two processes: a port and its connection take two descriptors.
for half in $((HOSTS / 2)) $((HOSTS - HOSTS / 2)); do
	taskset -c $host_cpu "$B/bench/check_hosts" "$half" >"$dir/ports.$half.$RANDOM" &
	pids="$pids $!"
done
until [ "$(cat "$dir"/ports.* | wc -l)" -ge "$HOSTS" ]; do sleep 0.1; done
{
	cat <<YAML
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
static_resources:
  clusters:
  - name: many
    health_checks:
    - {initial_jitter: $INTERVAL, timeout: $TIMEOUT, interval: $INTERVAL, no_traffic_interval: $INTERVAL, healthy_threshold: 1, unhealthy_threshold: 3, http_health_check: {path: /health}}
    load_assignment:
      cluster_name: many
      endpoints:
      - lb_endpoints:
YAML
	sed 's/.*/        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: &}}}/' "$dir"/ports.*
} >"$dir/baton.yaml"
taskset -c 0 "$B/baton" -c "$dir/baton.yaml" --concurrency 1 --runtime-dir "$dir/run" \
	--admin-address-path "$dir/admin" >"$dir/log" 2>&1 &
pids="$pids $!"
until [ -s "$dir/admin" ]; do sleep 0.1; done
admin=$(cat "$dir/admin")
until [ "$(curl -s "$admin/ready")" = LIVE ]; do sleep 0.1; done
pid=$(pgrep -P "${pids##* }" -f admin | head -1)
ran() { [ -n "$pid" ] && awk '{print $1}' "/proc/$pid/schedstat" || echo 0; }
number() { curl -s "$admin/stats?filter=$1" | awk -v n="$1:" '$1 == n {print $2}'; }
bucket() { curl -s "$admin/stats/prometheus" | awk -v le="$1" '/check_delay_ms_bucket/ && index($0, "le=\"" le "\"") {print $2}'; }
sleep 2 # the first round is another matter: everything is new
all=$(bucket +Inf) soon=$(bucket 25) late=$(bucket 100)
before=$(number cluster.many.health_check.attempt) cpu=$(ran)
sleep "$SECONDS_EACH"
after=$(number cluster.many.health_check.attempt) cpu=$(($(ran) - cpu))
echo "hosts $HOSTS, interval $INTERVAL, $SECONDS_EACH s: $(((after - before) / SECONDS_EACH)) checks a second," \
	"$((cpu / (after - before + 1) / 1000)) us of admin's CPU each, admin busy $((cpu / SECONDS_EACH / 10000000)) %"
all=$(($(bucket +Inf) - all)) soon=$(($(bucket 25) - soon)) late=$(($(bucket 100) - late))
awk -v a=$all -v s=$soon -v l=$late 'BEGIN {printf "begun within 25 ms: %.3f %%, within 100 ms: %.3f %% of %d\n", 100*s/a, 100*l/a, a}'
for s in success failure network_failure healthy; do
	echo "health_check.$s $(number cluster.many.health_check.$s)"
done
[ -z "$pid" ] || grep -E '^(VmRSS)' "/proc/$pid/status"
