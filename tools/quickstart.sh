#!/bin/bash
# `make run`: two demo upstreams and baton with examples/quickstart/baton.yaml,
# until Ctrl-C.  Everything that was started is ended by its pid.
set -u
cd "$(dirname "$0")/.." || exit 1
B=${B:-build}
config=examples/quickstart/baton.yaml
pids=

finish() {
	trap - EXIT INT TERM
	for p in $pids; do kill "$p" 2>/dev/null; done
	wait 2>/dev/null
	rm -f "$log"
	exit "${1:-0}"
}

for port in 8000 8001 9001 9002; do
	if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
		echo "quickstart: port $port is taken; end what listens there and try again" >&2
		exit 1
	fi
done
log=$(mktemp)
trap 'finish 1' EXIT
trap 'echo; finish 0' INT TERM

"$B/origin" --name one --port 9001 >/dev/null & pids="$!"
"$B/origin" --name two --port 9002 >/dev/null & pids="$pids $!"
"$B/baton" -c "$config" --log-level warning --shutdown-deadline-s 5 --pid-file "$log" &
master=$!
pids="$master $pids"

# Ready when the admin port says so; given up when baton ends.
until [ "$(curl -s -m 1 -o /dev/null -w '%{http_code}' http://127.0.0.1:8001/ready)" = 200 ]; do
	if ! kill -0 "$master" 2>/dev/null; then
		echo "quickstart: baton did not start; the line above says why" >&2
		exit 1
	fi
	sleep 0.1
done

cat <<TEXT

baton runs: traffic on http://127.0.0.1:8000, admin on http://127.0.0.1:8001, master's pid is $master.
Access log lines appear below.  Try, in another terminal:

  a request                  curl -i http://127.0.0.1:8000/hello
    one upstream by path     curl http://127.0.0.1:8000/one/hello
    as the URL asks          curl -i 'http://127.0.0.1:8000/?status=503&delay_ms=200&size=20'
    what the upstream saw    curl http://127.0.0.1:8000/echo
    HTTP/2                   curl --http2-prior-knowledge -i http://127.0.0.1:8000/hello
  the numbers
    from the admin port      curl -s 'http://127.0.0.1:8001/stats?usedonly&filter=downstream_rq'
    from shared memory       $B/batonstat          (live; -1 once, -p for Prometheus)
    the processes            $B/batonctl ps
  a health failover
    out of rotation          kill -TTOU $master;  curl -i http://127.0.0.1:8000/healthz
    back in                  kill -TTIN $master;  curl -i http://127.0.0.1:8000/healthz
  a worker dies              kill -9 \$(pgrep -f 'baton: worker 1');  curl http://127.0.0.1:8000/hello

Ctrl-C ends all of it.

TEXT
wait "$master"
finish $?
