#!/bin/bash
# What an idle HTTP/1 client connection costs a worker of baton in memory
# (PSS: pages shared with other processes are divided).
#
#   B=build HELD=2000 tests/bench/memory.sh
#
# Each connection has had a request.  The first thousand fill free lists and
# are not counted.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/bench/config.sh
B=${B:-build}
HELD=${HELD:-2000}
origin_port=$(free_port) baton_port=$(free_port) admin_port=$(free_port)
dir=$(mktemp -d)
pids=
trap 'exec 4>&-; for p in $pids; do kill "$p" 2>/dev/null; done; wait 2>/dev/null; rm -rf "$dir"' EXIT
ulimit -n $((HELD + 2000)) 2>/dev/null || ulimit -n "$(ulimit -Hn)"

baton_yaml "$baton_port" "$origin_port" "$admin_port" >"$dir/baton.yaml"
"$B/origin" --name bench --port "$origin_port" >/dev/null & pids="$pids $!"
"$B/baton" -c "$dir/baton.yaml" --concurrency 1 --runtime-dir "$dir/run" -l warning & baton=$!
pids="$pids $baton"
await_port "$baton_port" 60 "memory: baton" || exit
await_port "$origin_port" 60 "memory: origin" || exit
worker=$(pgrep -P $baton | tail -n 1) # admin is forked first
mkfifo "$dir/in" "$dir/out"
"$B/load" hold "$baton_port" <"$dir/in" >"$dir/out" &
exec 4>"$dir/in" 5<"$dir/out"

pss_with() { # connections more -> KiB of the worker once they are idle
	echo "$1" >&4
	read -r -t 60 _ <&5 || { echo "memory: connections are not answered" >&2; return 1; }
	sleep 1
	awk '/^Pss:/ {print $2}' "/proc/$worker/smaps_rollup"
}
before=$(pss_with 1000) && after=$(pss_with "$HELD") || exit
awk -v k=$((after - before)) -v n="$HELD" 'BEGIN {printf "memory       baton: %.3f KiB for each of %d idle connections\n", k / n, n}'
