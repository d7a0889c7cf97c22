#!/bin/bash
# What something of baton costs where that is little against what a machine does
# from one second to the next: an access log, statistics, many virtual hosts.
#
#   B=build STARTS=7 PAIR_SECONDS=6 tests/bench/pairs.sh [h1_1k_log] [h1_1k_stats] [h1_vhosts]
#
# h1_1k with it and without it, in slices of a tenth of a second by turns (`load
# turns`): a pair of slices gives one difference.  Starts differ from each other
# by more than their pairs do, so there are several, and each counts once: what
# is printed is the median of the starts' medians, the least and the most of them.
# Ends with 1 when an answer was missing or wrong.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/bench/config.sh
B=${B:-build}
STARTS=${STARTS:-7}
PAIR_SECONDS=${PAIR_SECONDS:-6}
rows=${*:-h1_1k_log h1_1k_stats h1_vhosts}
dir=$(mktemp -d)
pids=
trap 'end_all; rm -rf "$dir"' EXIT
chmod 777 "$dir" # started by root, baton's worker has another user
load_cpu=1 proxy_cpu=0
[ "$(nproc)" -gt 1 ] || load_cpu=0

start() { # name, listener's port, [more of baton_yaml] -> pid in $started
	local port=$2
	baton_yaml "$port" "$origin_port" "$(free_port)" "${@:3}" >"$dir/$1.yaml"
	taskset -c $proxy_cpu "$B/baton" -c "$dir/$1.yaml" --concurrency 1 --runtime-dir "$dir/run.$1" -l warning &
	started=$!
	pids="$pids $started"
	await_port "$port" 40 "pairs: baton" || exit
}
end_all() {
	local p
	for p in $pids; do kill "$p" 2>/dev/null; done
	wait 2>/dev/null
	pids=
}
start_once() { # row: pairs of one start
	local names=1 origin with without with_port without_port
	origin_port=$(free_port) with_port=$(free_port) without_port=$(free_port)
	taskset -c $load_cpu "$B/origin" --name bench --port "$origin_port" >/dev/null &
	origin=$! pids=$!
	await_port "$origin_port" 40 "pairs: origin" || exit
	case $1 in
	h1_1k_log)
		: >"$dir/access.log"
		chmod 666 "$dir/access.log"
		start log "$without_port" "$with_port" "$dir/access.log"
		with=$started without=$started
		;;
	h1_1k_stats)
		start stats "$with_port"
		with=$started
		REJECT_ALL=1 start nostats "$without_port"
		without=$started
		;;
	h1_vhosts)
		names=10000
		VHOSTS=$names start many "$with_port"
		with=$started
		start one "$without_port"
		without=$started
		;;
	esac
	sleep 0.5
	taskset -c $load_cpu "$B/load" turns names $names "$PAIR_SECONDS" 64 $origin "with:$with_port:$(processes "$with")" \
		"without:$without_port:$(processes "$without")" >"$dir/turns" ||
		{ echo "pairs: FAILED: $1: $(tail -n 1 "$dir/turns")"; exit 1; }
	end_all
}
medians() { # of the pairs: difference, time without
	awk '$1 == "with" {w[++n] = $2} $1 == "without" {o[++m] = $2} END {for (i = 1; i <= n && i <= m; i++) print w[i] - o[i]}' "$dir/turns" | median
	awk '$1 == "without" {print $2}' "$dir/turns" | median
}
what_of() { # row -> what it is, and what is wanted at most
	case $1 in
	h1_1k_log) echo "0.5 an access log" ;;
	h1_1k_stats) echo "- statistics" ;;
	h1_vhosts) echo "0.5 10,000 virtual hosts" ;;
	*) return 1 ;;
	esac
}

for row in $rows; do
	what=$(what_of "$row") || { echo "pairs: there is no row $row"; exit 2; }
	: >"$dir/starts"
	for _ in $(seq "$STARTS"); do
		start_once "$row"
		medians | paste -sd' ' >>"$dir/starts"
	done
	more=$(awk '{print $1}' "$dir/starts" | median)
	most=${what%% *}
	printf '%-12s more for %s: %+.2f us a request (%d starts: %+.2f..%+.2f; %.2f without)' "$row" "${what#* }" "$more" "$STARTS" \
		$(awk '{print $1}' "$dir/starts" | sort -n | sed -n '1p;$p') "$(awk '{print $2}' "$dir/starts" | median)"
	if [ "$most" = - ]; then echo; else echo ", $(wanted "$more" "$most")"; fi
done
