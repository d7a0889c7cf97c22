#!/bin/bash
# What `make pgo` learns from: a baton that counts its branches serves some
# of everything, and ends.  What it counted is put beside the objects.
#
#   B=build tests/bench/train.sh build/pgo
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/bench/config.sh
B=$(cd "${B:-build}" && pwd)
pgo=$(cd "$1" && pwd)
command -v h2load >/dev/null || { echo "train: h2load is not installed (tools/install-deps.sh test)"; exit 1; }
dir=$(mktemp -d)
pids=
trap 'for p in $pids; do kill "$p" 2>/dev/null; done; wait 2>/dev/null; rm -rf "$dir"' EXIT
chmod 777 "$dir"
as= # by root, a worker that gave up its rights could not write
[ "$(id -u)" != 0 ] || as="setpriv --reuid=65534 --regid=65534 --clear-groups"
origin_port=$(free_port) baton_port=$(free_port) admin_port=$(free_port) log_port=$(free_port)
baton_yaml $baton_port $origin_port $admin_port $log_port "$dir/access.log" >"$dir/baton.yaml"
"$B/origin" --name train --port $origin_port >/dev/null & pids="$pids $!"
(cd "$dir" && exec env GCOV_PREFIX="$dir/counts" $as "$pgo/baton" -c "$dir/baton.yaml" --concurrency 1 \
	--runtime-dir "$dir/run" -l warning) & baton=$!
pids="$pids $baton"
await_port "$baton_port" 60 "train: baton" || exit 1
head -c 65536 /dev/zero >"$dir/body"
some() { # arguments of h2load: 10,000 requests at most, a minute at most
	timeout 60 h2load "$@" | awk '/^requests:/ {print "train: " $8 " requests"; bad = $8 == 0} END {exit bad}' ||
		{ echo "train: no answers"; exit 1; }
}
some --h1 -c16 -n 10000 http://127.0.0.1:$baton_port/
some --h1 -c16 -n 10000 http://127.0.0.1:$log_port/
some --h1 -c8 -n 1000 -d "$dir/body" http://127.0.0.1:$baton_port/
some -c4 -m32 -n 10000 http://127.0.0.1:$baton_port/
h1_newconn -n 500 http://127.0.0.1:$baton_port/ | awk '/^requests:/ {print "train: " $8 " requests"}'
kill -TERM $baton
wait $baton
[ -d "$dir/counts$pgo" ] || { echo "train: nothing was counted"; exit 1; }
cp -r "$dir/counts$pgo/." "$pgo/"
