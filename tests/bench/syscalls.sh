#!/bin/bash
# System calls that a worker of baton makes for a request, by strace; with DUMPS
# while somebody reads all numbers ten times a second.
#
#   B=build REQUESTS=4000 DUMPS= tests/bench/syscalls.sh [h1_1k|h2_1k|ws_1k]
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/bench/config.sh
B=${B:-build}
REQUESTS=${REQUESTS:-4000}
row=${1:-h1_1k}
origin_port=$(free_port) baton_port=$(free_port) admin_port=$(free_port)
load=$(load_of "$row" "$baton_port") || exit
dir=$(mktemp -d)
pids=
trap 'for p in $pids; do kill "$p" 2>/dev/null; done; wait 2>/dev/null; rm -rf "$dir"' EXIT

baton_yaml "$baton_port" "$origin_port" "$admin_port" >"$dir/baton.yaml"
"$B/origin" --name bench --port "$origin_port" >/dev/null & pids="$pids $!"
"$B/baton" -c "$dir/baton.yaml" --concurrency 1 --runtime-dir "$dir/run" -l warning & baton=$!
pids="$pids $baton"
await_port "$baton_port" 60 "syscalls: baton" || exit
url=http://127.0.0.1:$baton_port/
$load -n 640 "$url" >/dev/null # connections, pools and free lists
worker=$(pgrep -P $baton | tail -n 1)      # admin is forked first
if [ -n "${DUMPS:-}" ]; then dump_often "$dir/run" & pids="$pids $!"; fi
strace -c -f -p "$worker" -o "$dir/strace" 2>"$dir/attached" & st=$!
n=0
until grep -q attached "$dir/attached"; do
	n=$((n + 1)); [ $n -lt 50 ] || { echo "syscalls: strace cannot attach"; cat "$dir/attached"; exit 1; }
	sleep 0.1
done
done_=$($load -n "$REQUESTS" "$url" | requests_done)
kill -INT $st; wait $st 2>/dev/null
[ "$done_" = "$REQUESTS" ] || { echo "syscalls: $done_ of $REQUESTS requests succeeded"; exit 1; }
calls_of "$row" "$REQUESTS" "$dir/strace"
