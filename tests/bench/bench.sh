#!/bin/bash
# CPU time per request of baton beside Debian's nginx, haproxy and nghttpx, in
# one run: same machine, same work, one worker each, pinned.
#
#   B=build REPEATS=9 SECONDS_EACH=1 tests/bench/bench.sh [row …]
#
# rows.sh says what the rows are, and what is wanted of each.  A bare forwarder
# (forwarder.c) is the floor of the HTTP/1 rows.  CPU is how long all processes
# of a proxy ran during the load (/proc/PID/task/*/schedstat), divided by the
# requests the load generator counted.  The proxies have one CPU, load and
# origin the other.
#
# The proxies of a row have the load in turns: for a tenth of a second each, as
# long as REPEATS times SECONDS_EACH for each of them (`load turns`); rows of
# HTTP/2 and of a fixed rate for SECONDS_EACH, REPEATS times, another one first
# in each round.  A ratio is the median of the turns' ratios (report.awk): what
# the machine does meanwhile does not move it.  What a log, statistics and many
# virtual hosts cost is measured in pairs (pairs.sh).  Prints how busy the proxy
# was and what the origin took of its CPU; whether baton counted what the load
# generator did; of two workers, who took how many connections.  Of baton also
# system calls and instructions per request.
#
# Ends with 1 when a run had errors, answers other than 2xx, or other counts
# than baton.  A profile of each row (perf) stays in $B/bench: ROW.svg is its
# flame graph, ROW.folded the stacks and samples that it is drawn from.
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
REPEATS=${REPEATS:-9}
SECONDS_EACH=${SECONDS_EACH:-1}
dir=$(mktemp -d)
. tests/bench/config.sh
. tests/bench/peers.sh
. tests/bench/rows.sh
rows=${*:-$all_rows}
pids=
trap 'for p in $pids; do kill "$p" 2>/dev/null; done; wait 2>/dev/null; rm -rf "$dir"' EXIT
export PATH=$PATH:/usr/sbin
for tool in h2load nginx haproxy nghttpx nghttpd strace; do
	command -v $tool >/dev/null || { echo "bench: $tool is not installed (tools/install-deps.sh bench)"; exit 1; }
done
ulimit -n "$(ulimit -Hn)"
mkdir -p "$B/bench"
chmod 777 "$dir" # started by root, baton's worker has another user

load_cpu=1 proxy_cpu=0 both=0,1
[ "$(nproc)" -gt 1 ] || load_cpu=0 both=0

# ---- who takes part: name_port, and once started its process in a variable of its name

for p in origin baton log baton_admin nginx nginx_h2 nginx_log haproxy haproxy_h2 haproxy_numbers nghttpx floor \
	h2_origin baton_h2up haproxy_h2up nghttpx_h2up baton2 baton2_admin nginx2 haproxy2 haproxy2_numbers \
	baton_rr baton_rr_admin nginx_rr haproxy_rr baton_lr baton_lr_admin nginx_lr haproxy_lr baton_vhosts baton_vhosts_admin \
	floor_hosts floor_drawn; do
	declare ${p}_port="$(free_port)"
done

wants() { # row …: is one of them to be run?
	local r
	for r in "$@"; do case " $rows " in *" $r "*) return 0 ;; esac; done
	return 1
}
start() { # name, CPUs, command …
	local port=$1_port
	taskset -c "$2" "${@:3}" >"$dir/$1.out" 2>&1 &
	declare -g "$1=$!"
	pids="$pids $!"
	await_port "${!port}" 40 "bench: $1" || { cat "$dir/$1.out"; exit 1; }
}
start_baton() { # name, CPUs, workers, admin's port, [more of baton_yaml]
	local port=$1_port
	baton_yaml "${!port}" "$origin_port" "${@:4}" >"$dir/$1.yaml"
	start "$1" "$2" "$B/baton" -c "$dir/$1.yaml" --concurrency "$3" --runtime-dir "$dir/run.$1" -l warning
}
start_hosts() { # rr or lr; the policy as baton, nginx and haproxy call it: 1,000 upstream hosts
	local admin=baton_$1_admin_port nginx=nginx_$1_port haproxy=haproxy_$1_port
	HOSTS=1000 POLICY=$2 start_baton "baton_$1" $proxy_cpu 1 "${!admin}"
	nginx_hosts_conf "$dir" "nginx_$1" "${!nginx}" $origin_port 1000 "$3" >"$dir/nginx_$1.conf"
	start "nginx_$1" $proxy_cpu nginx -c "$dir/nginx_$1.conf"
	haproxy_hosts_cfg "${!haproxy}" $origin_port 1000 "$4" >"$dir/haproxy_$1.cfg"
	start "haproxy_$1" $proxy_cpu haproxy -db -f "$dir/haproxy_$1.cfg"
}
start_all() {
	: >"$dir/access.log"
	chmod 666 "$dir/access.log"
	nginx_conf 1 "$dir" $origin_port $nginx_port $nginx_h2_port $nginx_log_port >"$dir/nginx.conf"
	haproxy_cfg 1 $origin_port $haproxy_port $haproxy_h2_port $haproxy_numbers_port $haproxy_h2up_port $h2_origin_port \
		>"$dir/haproxy.cfg"
	start origin $load_cpu "$B/origin" --name bench --port $origin_port --loopback
	H2_PORT=$baton_h2up_port H2_ORIGIN_PORT=$h2_origin_port \
		start_baton baton $proxy_cpu 1 $baton_admin_port $log_port "$dir/access.log"
	start nginx $proxy_cpu nginx -c "$dir/nginx.conf"
	start haproxy $proxy_cpu haproxy -db -f "$dir/haproxy.cfg"
	start floor $proxy_cpu "$B/forwarder" $floor_port $origin_port
	start nghttpx $proxy_cpu $(nghttpx_command "$dir" $nghttpx_port $origin_port)
	if wants h2_h2; then
		start h2_origin $load_cpu $(h2_origin_command "$dir" $h2_origin_port)
		start nghttpx_h2up $proxy_cpu $(nghttpx_command "$dir" $nghttpx_h2up_port "$h2_origin_port;;proto=h2")
	fi
	if wants h1_1k_two; then
		nginx_conf 2 "$dir" $origin_port $nginx2_port "$(free_port)" "$(free_port)" >"$dir/nginx2.conf"
		haproxy_cfg 2 $origin_port $haproxy2_port "$(free_port)" $haproxy2_numbers_port >"$dir/haproxy2.cfg"
		start_baton baton2 $both 2 $baton2_admin_port
		start nginx2 $both nginx -c "$dir/nginx2.conf"
		start haproxy2 $both haproxy -db -f "$dir/haproxy2.cfg"
	fi
	if wants h1_rr_1000; then start floor_hosts $proxy_cpu "$B/forwarder" $floor_hosts_port $origin_port 1000; fi
	if wants h1_lr_1000; then start floor_drawn $proxy_cpu "$B/forwarder" $floor_drawn_port $origin_port 1000 drawn; fi
	if wants h1_rr_1000; then start_hosts rr ROUND_ROBIN "" roundrobin; fi
	if wants h1_lr_1000; then start_hosts lr LEAST_REQUEST 'random two least_conn' 'random(2)'; fi
	if wants h1_vhosts; then VHOSTS=10000 start_baton baton_vhosts $proxy_cpu 1 $baton_vhosts_admin_port; fi
}

# ---- measuring

cpu_us() { # microseconds that a process tree ran
	local p
	for p in $(tree "$1"); do cat /proc/"$p"/task/*/schedstat 2>/dev/null; done |
		awk '{ns += $1} END {printf "%.0f\n", ns / 1000}'
}
worker_of() { pgrep -P "$1" -f 'baton: worker' | head -n 1; }
load() { # row, port -> requests completed; what the generator printed is in $dir/load
	taskset -c $load_cpu bash -c "exec $(load_command "$1" "$2")" >"$dir/load" 2>&1
	awk '/^requests:/ {print $8} /^requests [0-9]/ {print $2}' "$dir/load" | head -n 1
}
failed() { # what went wrong: the bench goes on, and ends with 1
	echo "bench: FAILED: $*" | tee -a "$dir/failures" >&2
}
check_answers() { # row, proxy: what the generator said of answers that it did not want
	local bad
	bad=$(awk '/^requests:/ && $10 + $12 + $14 > 0 {print}
		/^status codes:/ && $5 + $7 + $9 > 0 {print}
		/^requests [0-9]/ && $4 > 0 {print}' "$dir/load")
	[ -z "$bad" ] || failed "$1 through $2:" $bad
}
turned() { # round, names …: another one is first in each round
	local round=$1 first
	shift
	first=$((1 + (round - 1) % $#))
	echo "${@:first}" "${@:1:first - 1}"
}
load_turns() { # row, seconds, proxies …
	local row=$1 seconds=$2 kind n connections proxy sides=
	read -r kind n connections <<<"$(turns_of "$row")"
	for proxy in "${@:3}"; do sides+=" $proxy:$(port_of "$proxy" "$row"):$(processes "$(pid_of "$proxy" "$row")")"; done
	taskset -c $load_cpu "$B/load" turns "$kind" "$n" "$seconds" "$connections" "$(processes "$(pid_of origin "$row")")" $sides
}
run_turns() { # row: all of its results
	local proxies before
	read -ra proxies <<<"$(proxies_of "$1")"
	before=$(counted "$1")
	if [ "$1" = h1_1k_two ]; then sharing "$1" "${proxies[@]}" & fi
	load_turns "$1" $((REPEATS * SECONDS_EACH * ${#proxies[@]})) "${proxies[@]}" >"$dir/load" || failed "$1: $(tail -n 1 "$dir/load")"
	grep -v '^requests' "$dir/load" >"$dir/res"
	sleep 0.2
	counters="$(($(counted "$1") - before)) $(awk '/^requests/ {print $2}' "$dir/load")"
}
run_once() { # row, proxy: one more line of results
	local pid feeds before origin_before after done_ counted_before
	pid=$(pid_of "$2" "$1") feeds=$(pid_of origin "$1")
	counted_before=$(counted "$1")
	before=$(cpu_us "$pid") origin_before=$(cpu_us "$feeds")
	done_=$(load "$1" "$(port_of "$2" "$1")")
	after=$(cpu_us "$pid")
	check_answers "$1" "$2"
	[ -n "$done_" ] && [ "$done_" -gt 0 ] || { echo "bench: $1 through $2: no requests"; cat "$dir/load"; exit 1; }
	awk -v t=$((after - before)) -v o=$(($(cpu_us "$feeds") - origin_before)) -v n="$done_" -v s="$SECONDS_EACH" -v p="$2" '
		/^p50/ {quantiles = $2 " " $4 " " $10}
		END {printf "%s %.2f %.0f %.0f %.0f %s\n", p, t / n, n / s, t / s / 1e4, o / s / 1e4, quantiles}' "$dir/load" >>"$dir/res"
	if [ "$2" = baton ]; then
		sleep 0.2
		counters="$(($(counted "$1") - counted_before)) $done_"
	fi
}
run_rounds() { # row: all of its results
	local round proxy
	for round in $(seq "$REPEATS"); do
		for proxy in $(turned "$round" $(proxies_of "$1")); do run_once "$1" "$proxy"; done
	done
}
report() { # row
	awk -v row="$1" -v proxies="$(proxies_of "$1")" -v wanted="$(wanted_of "$1")" -f tests/bench/report.awk "$dir/res"
}

# ---- baton's numbers against the generator's

counted() { # row -> what baton counted so far: requests; of a WebSocket the bytes that came
	local name=http.bench.downstream_rq_completed admin
	[ "$1" != ws_1k ] || name=http.bench.downstream_cx_rx_bytes_total
	admin=$(in_row baton "$1")_admin_port
	curl -s "http://127.0.0.1:${!admin}/stats?filter=^$name\$" | awk '{print $2}'
}
check_counters() { # row, counted by baton, by the generator
	awk -v r="$1" -v b="$2" -v n="$3" -v most="$(most_under_way "$1")" 'BEGIN {
		if (r == "ws_1k") b /= 1032 # a message with its head
		d = b - n
		ok = d > -1 && d <= most
		printf "%-12s baton counted %.0f, the load generator %d: %s\n", r, b, n, ok ? "ok" : "DIFFERENT"
		exit !ok
	}' || failed "$1: counted differently"
}
sharing() { # row, proxies of two workers: who took how many connections
	local row=$1 proxy
	sleep 0.7
	for proxy in "${@:2}"; do
		if [ "$proxy" = haproxy ]; then
			exec 3<>/dev/tcp/127.0.0.1/$haproxy2_numbers_port
			echo "show activity" >&3
			awk '$1 == "accepted:" {print $4, $5}' <&3
		else
			ss -Htnp state established "( sport = :$(port_of "$proxy" "$row") )" | grep -o 'pid=[0-9]*' | sort | uniq -c | awk '{printf "%s ", $1}'
		fi >"$dir/sharing.$proxy"
	done
}

# ---- profiles

profile() { # row: the worker's stacks while the row runs
	local pid loading out=$B/bench/$1
	rm -f "$out.folded" "$out.svg"
	pid=$(worker_of "$(pid_of baton "$1")")
	if [ -n "$(turns_of "$1")" ]; then
		load_turns "$1" 2 baton >/dev/null & loading=$!
	else
		SECONDS_EACH=2 load "$1" "$(port_of baton "$1")" >/dev/null & loading=$!
	fi
	sleep 0.3
	perf record -q -e cpu-clock -F 999 --call-graph dwarf,4096 -p "$pid" -o "$dir/perf" sleep 1 >/dev/null 2>&1 &&
		perf script --no-inline -i "$dir/perf" 2>/dev/null | tests/bench/fold.awk >"$out.folded"
	wait $loading
	tests/bench/flame.awk -v title="$1" "$out.folded" >"$out.svg" 2>/dev/null ||
		echo "$1: perf recorded nothing; OUT=file tests/bench/instructions.sh has callgrind's table"
}

start_all
sleep 1
if wants memory; then memory; fi
printf '%-12s %-8s %10s %13s %10s %6s %7s %8s %8s\n' row proxy us/request 'middle half' requests/s busy% origin% "p50 us" "p99 us"
for row in $rows; do
	case $row in memory | scale) continue ;; esac
	: >"$dir/res"
	if [ -n "$(turns_of "$row")" ]; then run_turns "$row"; else run_rounds "$row"; fi
	report "$row"
	check_counters "$row" $counters
	if [ "$row" = h1_1k_two ]; then
		for proxy in $(proxies_of "$row"); do echo "$row    connections of each worker, $proxy: $(cat "$dir/sharing.$proxy")"; done
	fi
	profile "$row"
	pairs=$(pairs_of "$row")
	[ -z "$pairs" ] || B=$B tests/bench/pairs.sh "$pairs" || failed "$row: pairs"
done
for row in h1_1k h2_1k; do
	wants $row || continue
	B=$B REQUESTS=20000 tests/bench/syscalls.sh $row
	if command -v valgrind >/dev/null; then B=$B tests/bench/instructions.sh $row; fi
done
if wants h1_1k h2_1k; then
	echo "wanted: 4.3 system calls of h1_1k, 2.3 of h2_1k, 11000 instructions of h1_1k (make limits holds them to less)"
fi
if wants scale; then B=$B tests/bench/scale.sh || failed "scale"; fi
if [ -s "$dir/failures" ]; then
	cat "$dir/failures"
	exit 1
fi
