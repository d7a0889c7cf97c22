#!/bin/bash
# What grows with the configuration: how long a start takes and what it
# costs in memory, how long a dump of all numbers takes and whether the
# worker feels it, how long a hot restart takes.
#
#   make all build/took && B=build tests/bench/scale.sh
#
# Times are of the clock on the wall: they are worth something on a machine
# that has nothing else to do.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/bench/config.sh
B=$(cd "${B:-build}" && pwd)
dir=$(mktemp -d)
chmod 777 "$dir"
pids=
trap 'for p in $pids; do kill "$p" 2>/dev/null; done; wait 2>/dev/null; rm -rf "$dir"' EXIT

now_us() { local t=${EPOCHREALTIME/[.,]/}; echo "$t"; }
pss() { # pid, [Pss, or a part of it]: KiB of a process and its descendants, shared pages divided
	local p
	for p in "$1" $(pgrep -P "$1"); do awk -v what="${2:-Pss}:" '$1 == what {print $2}' /proc/"$p"/smaps_rollup 2>/dev/null; done |
		awk '{k += $1} END {print k}'
}
numbers() { # how many statistics there are
	curl -s "http://127.0.0.1:$admin_port/stats" | wc -l
}
start() { # name; what is more comes from the environment -> pid in $baton, port in $port, time in $took
	local from
	port=$(free_port) admin_port=$(free_port)
	mkdir -p "$dir/$1"
	chmod 777 "$dir/$1"
	baton_yaml "$port" 1 "$admin_port" >"$dir/$1/baton.yaml"
	from=$(now_us)
	"$B/baton" -c "$dir/$1/baton.yaml" --concurrency 1 --runtime-dir "$dir/$1/run" -l warning & baton=$!
	pids="$pids $baton"
	until (exec 3<>/dev/tcp/127.0.0.1/"$port") 2>/dev/null; do
		[ $(($(now_us) - from)) -lt 60000000 ] || { echo "scale: baton does not listen"; exit 1; }
		sleep 0.005
	done
	took=$((($(now_us) - from) / 1000))
}
stop() {
	kill "$baton"
	wait "$baton" 2>/dev/null
}
per() { # what, KiB more, how many
	awk -v w="$1" -v k="$2" -v n="$3" 'BEGIN {printf "%-28s %.3g KiB\n", w, k / n}'
}

start small
small=$(pss "$baton") small_shared=$(pss "$baton" Pss_Shmem) small_numbers=$(numbers)
printf '%-28s %d ms, %d KiB\n' "start, one of each" "$took" "$small"
stop
CLUSTERS=100 start restarted
for _ in $(seq 5); do
	from=$(now_us)
	"$B/batonctl" --runtime-dir "$dir/restarted/run" hot-restart >/dev/null || echo "scale: hot restart failed"
	echo $((($(now_us) - from) / 1000))
done >"$dir/restarts"
took=$(median <"$dir/restarts")
printf '%-28s %d ms (until it serves, median of 5), %s\n' "hot restart, 100 clusters" "$took" "$(wanted "$took" 50)"
"$B/batonctl" --runtime-dir "$dir/restarted/run" stop now >/dev/null
wait "$baton" 2>/dev/null

ROUTES=10000 start routes
printf '%-28s %d ms, %s\n' "start, 10,000 routes" "$took" "$(wanted "$took" 300)"
per "a route" $(($(pss "$baton") - small)) 10000
stop

VHOSTS=10000 start vhosts
printf '%-28s %d ms\n' "start, 10,000 virtual hosts" "$took"
per "a virtual host and its route" $(($(pss "$baton") - small)) 10000
stop
VHOSTS=10000 CLUSTERS=10000 start clusters
printf '%-28s %d ms\n' "start, and a cluster each" "$took"
stop

LISTENERS=200 start more_listeners
per "a listener with its routes" $(($(pss "$baton") - small)) 200
stop

CLUSTERS=1000 start more_clusters
per "a cluster with one host" $(($(pss "$baton") - small)) 1000
per "a statistic" $(($(pss "$baton" Pss_Shmem) - small_shared)) $(($(numbers) - small_numbers))
stop

HOSTS=1000 HOST_DIR=$dir start hosts
per "an upstream host" $(($(pss "$baton") - small)) 1000
stop
HOSTS=1000 HOST_DIR=$dir CLUSTERS=100 start dumped
for _ in 1 2 3; do
	took=$("$B/took" 50 "$B/batonstat" -1 --runtime-dir "$dir/dumped/run")
	printf '%-28s %s, %s\n' "batonstat -1, 100 clusters" "$took" "$(wanted "${took%% *}" 5000)"
done
stop
for row in h1_1k h1_vhosts h1_rr_1000 h1_lr_1000; do
	B=$B tests/bench/instructions.sh $row
done
echo "and while all numbers are dumped ten times a second, before and then:"
for dumps in "" 1; do # requests for some seconds: for some dozen dumps
	B=$B DUMPS=$dumps REQUESTS=40000 tests/bench/instructions.sh h1_1k
	B=$B DUMPS=$dumps REQUESTS=40000 tests/bench/syscalls.sh h1_1k
done
