#!/bin/bash
# Instructions that a worker of baton spends on a request (user space), by
# callgrind: a number that other work on the machine does not move.
#
#   B=build REQUESTS=4000 tests/bench/instructions.sh [row]
#
# Rows: h1_1k, h1_newconn (a connection each), h1_rr_1000 and h1_lr_1000 (as
# many upstream hosts, round robin and least request), h1_vhosts (10,000
# virtual hosts), h2_1k, ws_1k (WebSocket messages and their echo).  With DUMPS
# somebody reads all numbers ten times a second.
#
# The profile stays in $OUT (callgrind_annotate reads it) when OUT is set.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/bench/config.sh
B=$(cd "${B:-build}" && pwd)
REQUESTS=${REQUESTS:-4000}
row=${1:-h1_1k}
origin_port=$(free_port) baton_port=$(free_port) admin_port=$(free_port)
load=$(load_of "$row" "$baton_port") || exit
dir=$(mktemp -d)
pids=
trap 'for p in $pids; do kill "$p" 2>/dev/null; done; wait 2>/dev/null; rm -rf "$dir"' EXIT

# Started by root, baton gives its worker a user whom callgrind_control does not reach.
as=
if [ "$(id -u)" = 0 ]; then
	as="setpriv --reuid=65534 --regid=65534 --clear-groups"
	chmod 777 "$dir"
fi
warm=640 url=http://127.0.0.1:$baton_port/
case $row in
h1_rr_1000 | h1_lr_1000)
	export HOSTS=1000 HOST_DIR=$dir
	[ $row = h1_rr_1000 ] || export POLICY=LEAST_REQUEST
	for i in $(seq 0 999); do ln -s origin.sock "$dir/$i"; done
	"$B/origin" --name bench --uds "$dir/origin.sock" >/dev/null & pids="$pids $!"
	until [ -S "$dir/origin.sock" ]; do sleep 0.1; done
	chmod 777 "$dir/origin.sock"
	warm=8000 # each host has its connections
	;;
h1_vhosts)
	export VHOSTS=10000
	url=http://h7777.example/
	;;
esac
baton_yaml $baton_port $origin_port $admin_port >"$dir/baton.yaml"
"$B/origin" --name bench --port $origin_port >/dev/null & pids="$pids $!"
(cd "$dir" && exec $as valgrind -q --tool=callgrind --trace-children=yes --callgrind-out-file="$dir/out.%p" \
	"$B/baton" -c "$dir/baton.yaml" --concurrency 1 --watchdog-s 0 --runtime-dir "$dir/run" -l warning) & baton=$!
pids="$pids $baton"
await_port "$baton_port" 120 "instructions: baton" || exit
$load -n $warm $url >/dev/null # connections, pools and free lists
worker=$(pgrep -P $baton | tail -n 1) # admin is forked first
if [ -n "${DUMPS:-}" ]; then dump_often "$dir/run" & pids="$pids $!"; fi
(cd "$dir" && timeout 10 $as callgrind_control -z "$worker" >/dev/null 2>&1)
done_=$($load -n "$REQUESTS" $url | requests_done)
(cd "$dir" && timeout 10 $as callgrind_control -d "$worker" >/dev/null 2>&1)
n=0
until [ -s "$dir/out.$worker.1" ]; do
	n=$((n + 1)); [ $n -lt 50 ] || { echo "instructions: no profile of worker $worker"; exit 1; }
	sleep 0.1
done
[ "$done_" = "$REQUESTS" ] || { echo "instructions: $done_ of $REQUESTS requests succeeded"; exit 1; }
awk -v r="$row" -v n="$REQUESTS" '/^(summary|totals):/ && !done {printf "%-12s baton: %.0f instructions a request\n", r, $2 / n; done = 1}' "$dir/out.$worker.1"
[ -z "${OUT:-}" ] || cp "$dir/out.$worker.1" "$OUT"
