# For bench.sh: what its rows are.
#
#   memory      PSS when idle, with 1,000 and with 10,000 idle client connections
#   h1_1k       HTTP/1, answers of 1 KiB, 64 connections; in pairs: without statistics
#   h1_1k_log   the same with an access log; in pairs: without it
#   h1_64k      answers of 64 KiB, 32 connections
#   h1_1m       answers of 1 MiB, 16 connections
#   post_64k    uploads of 64 KiB, 32 connections
#   h1_newconn  a connection for each request, 32 at a time
#   h2_1k       HTTP/2 to HTTP/1, 10 connections with 32 streams
#   h2_h2       HTTP/2 to HTTP/2 (nginx has none towards its upstream); H2_ORIGIN=nginx: an
#               upstream who writes each frame alone, and is the limit itself
#   ws_1k       WebSocket messages of 1 KiB there and back, 64 connections
#   rate_10k    10,000 requests a second whether or not they are answered (load.c),
#               64 connections, latency from when each was due
#   h1_1k_two   h1_1k with two workers, which share both CPUs with the load
#   h1_rr_1000  h1_1k with 1,000 upstream hosts, round robin; the floor has a connection to each
#   h1_lr_1000  the same, of two drawn hosts the one with fewer requests (connections: nginx);
#               the floor draws one
#   h1_vhosts   h1_1k, baton with 10,000 virtual hosts, each asked for in turn; in pairs: one
#   scale       what grows with baton's configuration: starts, restarts, dumps, memory (scale.sh)
all_rows="memory h1_1k h1_1k_log h1_64k h1_1m post_64k h1_newconn h2_1k h2_h2 ws_1k rate_10k h1_1k_two"
all_rows+=" h1_rr_1000 h1_lr_1000 h1_vhosts scale"

turns_of() { # row -> what `load turns` asks and of what size, and how many connections; nothing for rows of other loads
	case $1 in
	h1_1k | h1_1k_log | h1_1k_two | h1_rr_1000 | h1_lr_1000) echo "names 1 64" ;;
	h1_vhosts) echo "names 10000 64" ;;
	h1_64k) echo "get 65536 32" ;;
	h1_1m) echo "get 1048576 16" ;;
	post_64k) echo "post 65536 32" ;;
	h1_newconn) echo "close 1024 32" ;;
	ws_1k) echo "ws 1024 64" ;;
	esac
}
load_command() { # row, port: the other loads
	case $1 in
	h2_1k | h2_h2) echo "h2load -D $SECONDS_EACH -c10 -m32 -w16 -W16 http://127.0.0.1:$2/" ;;
	rate_10k) echo "$B/load rate $2 $SECONDS_EACH 64 10000" ;;
	esac
}
most_under_way() { # row -> requests that the generator may leave unanswered when it ends
	case $1 in
	h2_*) echo 320 ;;
	ws_1k) echo 20 ;; # 64 heads of 200 bytes
	*) echo 0 ;;
	esac
}
proxies_of() { # row; the floor stands last and is no peer
	case $1 in
	h1_1k_log) echo "baton nginx" ;;
	h1_1k_two) echo "baton nginx haproxy" ;;
	h1_vhosts) echo "baton" ;;
	h2_h2) echo "baton haproxy nghttpx" ;;
	h2_1k) echo "baton nginx haproxy nghttpx" ;;
	*) echo "baton nginx haproxy floor" ;;
	esac
}
pairs_of() { # row -> what is measured in pairs beside it (pairs.sh), nothing or its name there
	case $1 in
	h1_1k) echo h1_1k_stats ;;
	h1_1k_log | h1_vhosts) echo "$1" ;;
	esac
}
wanted_of() { # row -> of whom baton may take what share at most
	case $1 in
	h1_1k) echo "best 0.90 floor 1.25" ;;
	h1_1k_log) echo "nginx 1.00" ;;
	h1_1m) echo "best 1.00 haproxy 0.65" ;;
	post_64k) echo "best 1.00 haproxy 0.60" ;;
	h1_newconn) echo "best 1.00 nginx 1.00" ;;
	h2_1k) echo "best 1.00 nghttpx 1.00" ;;
	h2_h2) echo "best 1.00 nghttpx 0.90" ;;
	h1_rr_1000 | h1_lr_1000) echo "best 1.00 floor 1.30" ;;
	*) echo "best 1.00" ;;
	esac
}
in_row() { # proxy, row -> the name of the process that is meant
	case $1-$2 in
	floor-h1_rr_1000) echo floor_hosts ;;
	floor-h1_lr_1000) echo floor_drawn ;;
	floor-* | origin-h1_*) echo "$1" ;;
	nghttpx-h2_h2) echo nghttpx_h2up ;;
	origin-h2_h2) echo h2_origin ;;
	*-h1_1k_two) echo "${1}2" ;;
	*-h1_rr_1000) echo "${1}_rr" ;;
	*-h1_lr_1000) echo "${1}_lr" ;;
	*-h1_vhosts) echo "${1}_vhosts" ;;
	*) echo "$1" ;;
	esac
}
port_of() { # proxy, row
	local p
	case $1-$2 in
	baton-h1_1k_log) p=log ;;
	nginx-h1_1k_log) p=nginx_log ;;
	nginx-h2_1k | haproxy-h2_1k) p=$1_h2 ;;
	*-h2_h2) p=$1_h2up ;;
	*) p=$(in_row "$1" "$2") ;;
	esac
	p=${p}_port
	echo "${!p}"
}
pid_of() { # proxy, row
	local p
	p=$(in_row "$1" "$2")
	echo "${!p}"
}

# ---- memory: before the other rows, which leave free lists

pss() { # KiB of a process tree, pages shared with others divided
	local p
	for p in $(tree "$1"); do awk '/^Pss:/ {print $2}' /proc/"$p"/smaps_rollup; done | awk '{k += $1} END {print k}'
}
# A request on each connection, one after the other: one upstream connection serves them all.
memory() {
	local proxy idle some many holder
	printf '%-12s %-8s %10s %12s %12s %22s\n' row proxy "idle KiB" "1,000 KiB" "10,000 KiB" "KiB a connection more"
	mkfifo "$dir/hold.in" "$dir/hold.out"
	for proxy in baton nginx haproxy; do
		idle=$(pss "${!proxy}")
		"$B/load" hold "$(port_of $proxy memory)" <"$dir/hold.in" >"$dir/hold.out" & holder=$!
		exec 4>"$dir/hold.in" 5<"$dir/hold.out"
		echo 1000 >&4; read -r _ <&5; sleep 1
		some=$(pss "${!proxy}")
		echo 9000 >&4; read -r _ <&5; sleep 1
		many=$(pss "${!proxy}")
		exec 4>&- 5<&-
		wait $holder
		awk -v p=$proxy -v i="$idle" -v s="$some" -v m="$many" \
			'BEGIN {
				each = (m - s) / 9000
				printf "%-12s %-8s %10d %12d %12d %22.2f\n", "memory", p, i, s, m, each
				if (p == "baton")
					printf "%-12s idle wanted 10240: %s; each more wanted 0.55: %s\n", "memory",
					    i <= 10240 ? "ok" : "MISSED", each <= 0.55 ? "ok" : "MISSED"
			}'
	done
}
