#!/bin/bash
# CPU time per request of baton beside Debian's nginx and haproxy, in one run:
# same machine, same work, one worker each, pinned; repeats interleaved, medians.
#
#   B=build REPEATS=3 SECONDS_EACH=3 tests/bench/bench.sh [row …]
#
# Rows: h1_1k h1_1k_log h1_64k h1_1m post_64k h1_newconn h2_1k.  A bare
# forwarder (tests/bench/forwarder.c) is the floor of the HTTP/1 rows, nghttpx
# joins for HTTP/2.  CPU is how long all processes
# of a proxy ran during the load (/proc/PID/task/*/schedstat), divided by the
# requests the load generator counted.  The proxies have one CPU, load and
# origin the other.  Prints a table with how busy the proxy was and what the
# origin took of its CPU; then of baton: memory, system calls per request,
# and instructions per request where valgrind is installed.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/bench/config.sh
B=${B:-build}
REPEATS=${REPEATS:-3}
SECONDS_EACH=${SECONDS_EACH:-3}
HOLD=${HOLD:-1000}
rows=${*:-h1_1k h1_1k_log h1_64k h1_1m post_64k h1_newconn h2_1k}
dir=$(mktemp -d)
pids=
trap 'for p in $pids; do kill "$p" 2>/dev/null; done; wait 2>/dev/null; rm -rf "$dir"' EXIT
export PATH=$PATH:/usr/sbin
for tool in wrk h2load nginx haproxy nghttpx strace; do
	command -v $tool >/dev/null || { echo "bench: $tool is not installed (tools/install-deps.sh bench)"; exit 1; }
done
ulimit -n 20000 2>/dev/null || ulimit -n "$(ulimit -Hn)"

for p in origin baton log admin nginx nginx_h2 nginx_log haproxy haproxy_h2 nghttpx floor; do
	declare ${p}_port="$(free_port)"
done

load_cpu=1 proxy_cpu=0
[ "$(nproc)" -gt 1 ] || load_cpu=0

chmod 777 "$dir" # started by root, baton's worker has another user
: >"$dir/access.log"
chmod 666 "$dir/access.log"
baton_yaml $baton_port $origin_port $admin_port $log_port "$dir/access.log" >"$dir/baton.yaml"
cat >"$dir/nginx.conf" <<EOF
worker_processes 1; daemon off; pid $dir/nginx.pid; error_log $dir/nginx.err;
events { worker_connections 4000; }
http {
  access_log off; keepalive_requests 100000000; client_body_temp_path $dir/b; proxy_temp_path $dir/p;
  fastcgi_temp_path $dir/f; uwsgi_temp_path $dir/u; scgi_temp_path $dir/s;
  proxy_request_buffering off; proxy_buffers 8 64k; proxy_buffer_size 64k; proxy_busy_buffers_size 128k;
  upstream o { server 127.0.0.1:$origin_port; keepalive 256; keepalive_requests 100000000; }
  server { listen 127.0.0.1:$nginx_port; location / { proxy_pass http://o; proxy_http_version 1.1; proxy_set_header Connection ""; } }
  server { listen 127.0.0.1:$nginx_h2_port http2; location / { proxy_pass http://o; proxy_http_version 1.1; proxy_set_header Connection ""; } }
  server { listen 127.0.0.1:$nginx_log_port; access_log $dir/nginx.log combined buffer=64k flush=1s;
    location / { proxy_pass http://o; proxy_http_version 1.1; proxy_set_header Connection ""; } }
}
EOF
cat >"$dir/haproxy.cfg" <<EOF
global
  nbthread 1
  maxconn 4000
defaults
  mode http
  http-reuse always
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend f
  bind 127.0.0.1:$haproxy_port
  bind 127.0.0.1:$haproxy_h2_port proto h2
  default_backend b
backend b
  server s 127.0.0.1:$origin_port
EOF

cat >"$dir/post.lua" <<EOF
wrk.method = "POST"
wrk.body = string.rep("x", 65536)
EOF

taskset -c $load_cpu "$B/origin" --name bench --port $origin_port >/dev/null & origin=$!; pids="$pids $origin"
taskset -c $proxy_cpu "$B/baton" -c "$dir/baton.yaml" --concurrency 1 --runtime-dir "$dir/run" -l warning & baton=$!; pids="$pids $baton"
taskset -c $proxy_cpu nginx -c "$dir/nginx.conf" & nginx=$!; pids="$pids $nginx"
taskset -c $proxy_cpu haproxy -db -f "$dir/haproxy.cfg" & haproxy=$!; pids="$pids $haproxy"
taskset -c $proxy_cpu nghttpx --workers=1 --no-ocsp --accesslog-file=/dev/null --errorlog-file="$dir/nghttpx.err" --conf=/dev/null \
	--frontend="127.0.0.1,$nghttpx_port;no-tls" --backend="127.0.0.1,$origin_port" & nghttpx=$!; pids="$pids $nghttpx"
taskset -c $proxy_cpu "$B/forwarder" $floor_port $origin_port & floor=$!; pids="$pids $floor"
for p in $origin_port $baton_port $nginx_port $haproxy_port $nghttpx_port $floor_port; do
	await_port $p 40 "bench: port $p" || exit
done

tree() { # a pid and its descendants
	echo "$1"
	for c in $(cat /proc/"$1"/task/*/children 2>/dev/null); do tree "$c"; done
}
cpu_us() { # microseconds that a process tree ran
	for p in $(tree "$1"); do cat /proc/"$p"/task/*/schedstat 2>/dev/null; done |
		awk '{ns += $1} END {printf "%.0f\n", ns / 1000}'
}
load() { # row, port -> requests completed
	case $1 in
	h1_1k | h1_1k_log) taskset -c $load_cpu wrk -t1 -c64 -d"${SECONDS_EACH}s" "http://127.0.0.1:$2/" ;;
	h1_64k) taskset -c $load_cpu wrk -t1 -c32 -d"${SECONDS_EACH}s" "http://127.0.0.1:$2/?size=65536" ;;
	h1_1m) taskset -c $load_cpu wrk -t1 -c16 -d"${SECONDS_EACH}s" "http://127.0.0.1:$2/?size=1048576" ;;
	post_64k) taskset -c $load_cpu wrk -t1 -c32 -d"${SECONDS_EACH}s" -s "$dir/post.lua" "http://127.0.0.1:$2/" ;;
	h1_newconn) taskset -c $load_cpu wrk -t1 -c32 -d"${SECONDS_EACH}s" -H 'Connection: close' "http://127.0.0.1:$2/" ;;
	h2_1k) taskset -c $load_cpu h2load -D "$SECONDS_EACH" -c10 -m32 "http://127.0.0.1:$2/" ;;
	esac >"$dir/load" 2>&1
	awk '/requests in/ {print $1} /^requests:/ {print $8}' "$dir/load" | head -n 1
	if grep -q 'Non-2xx\|Socket errors' "$dir/load"; then grep 'Non-2xx\|Socket errors' "$dir/load" >&2; fi
}
port_of() { # proxy, row
	case $1-$2 in
	baton-h1_1k_log) echo $log_port ;;
	nginx-h1_1k_log) echo $nginx_log_port ;;
	nginx-h2_*) echo $nginx_h2_port ;;
	haproxy-h2_*) echo $haproxy_h2_port ;;
	*) local p=$1_port; echo "${!p}" ;;
	esac
}
proxies_of() { # row; the floor stands last and is no peer
	case $1 in
	h1_1k_log) echo "baton nginx" ;;
	h2_*) echo "baton nginx haproxy nghttpx" ;;
	*) echo "baton nginx haproxy floor" ;;
	esac
}
column() { # proxy, column of the results -> its median
	awk -v p="$1" -v c="$2" '$1 == p {print $c}' "$dir/res" | sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'
}

worker=$(pgrep -P "$baton" -f 'baton: worker' | head -n 1)
pss() { # KiB of processes, shared pages divided
	for p in "$@"; do awk '/^Pss:/ {print $2}' /proc/"$p"/smaps_rollup; done | awk '{k += $1} END {print k}'
}
# Before the rows, which leave free lists of connections.  The first thousand fills those of buffers.
sleep 1
tree_kib=$(pss $(tree "$baton"))
hold=$HOLD
fds=
hold_more() { # keep-alive connections after a request each; what follows the first line stays in the socket
	for _ in $(seq $hold); do
		exec {fd}<>/dev/tcp/127.0.0.1/$baton_port || break
		printf 'GET / HTTP/1.1\r\nHost: bench\r\n\r\n' >&$fd
		read -r _ <&$fd # one after the other: one upstream connection serves them all
		fds="$fds $fd"
	done
	sleep 1
}
hold_more
before=$(pss "$worker")
hold_more
after=$(pss "$worker")
for fd in $fds; do exec {fd}>&-; done
awk -v t="$tree_kib" -v k=$((after - before)) -v n=$hold \
	'BEGIN {printf "memory       baton: %d KiB for all its processes when idle, %.2f KiB more for each of %d idle connections\n", t, k / n, n}'

printf '%-12s %-8s %10s %12s %8s %8s\n' row proxy us/request requests/s busy% origin%
for row in $rows; do
	: >"$dir/res"
	for _ in $(seq "$REPEATS"); do
		for proxy in $(proxies_of "$row"); do
			pid=${!proxy}
			before=$(cpu_us "$pid") origin_before=$(cpu_us $origin)
			done_=$(load "$row" "$(port_of $proxy "$row")")
			after=$(cpu_us "$pid") origin_after=$(cpu_us $origin)
			[ -n "$done_" ] && [ "$done_" -gt 0 ] || { echo "bench: $row through $proxy: no requests"; cat "$dir/load"; exit 1; }
			awk -v t=$((after - before)) -v o=$((origin_after - origin_before)) -v n="$done_" -v s="$SECONDS_EACH" -v p=$proxy \
				'BEGIN {printf "%s %.2f %.0f %.0f %.0f\n", p, t / n, n / s, t / s / 1e4, o / s / 1e4}' >>"$dir/res"
		done
	done
	best=
	for proxy in $(proxies_of "$row"); do
		us=$(column $proxy 2)
		printf '%-12s %-8s %10s %12s %8s %8s\n' "$row" $proxy "$us" "$(column $proxy 3)" "$(column $proxy 4)" "$(column $proxy 5)"
		case $proxy in
		baton) us_baton=$us ;;
		floor) awk -v r="$row" -v b="$us_baton" -v f="$us" 'BEGIN {printf "%-12s ratio to the floor: %.2f\n", r, b / f}' ;;
		*) best=$(awk -v a="${best:-$us}" -v b="$us" 'BEGIN {print a < b ? a : b}') ;;
		esac
	done
	awk -v r="$row" -v b="$us_baton" -v p="$best" 'BEGIN {printf "%-12s ratio to the best of the others: %.2f\n", r, b / p}'
done

for row in h1_1k h2_1k; do
	case " $rows " in *" $row "*) ;; *) continue ;; esac
	strace -q -c -f -p "$worker" -o "$dir/strace" & st=$!
	sleep 0.5
	done_=$(load $row $baton_port)
	kill -INT $st; wait $st 2>/dev/null
	calls=$(awk '$NF == "total" {print $4}' "$dir/strace")
	awk -v r=$row -v c="$calls" -v n="$done_" 'BEGIN {printf "%-12s baton: %.2f system calls a request\n", r, c / n}'
done
if command -v valgrind >/dev/null; then
	for row in h1_1k h2_1k; do
		case " $rows " in *" $row "*) B=$B tests/bench/instructions.sh $row ;; esac
	done
fi
