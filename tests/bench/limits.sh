#!/bin/bash
# What a request may cost at most: instructions in user space and system
# calls of the released build, counted for a fixed number of requests; and what
# an idle connection may take of memory.  A change that costs more fails here;
# one that costs much less lowers the figures below (what was measured,
# docs/performance.md).
#
#   B=build tests/bench/limits.sh
set -u
cd "$(dirname "$0")/../.." || exit 1
failed=0
for tool in valgrind strace h2load; do
	command -v $tool >/dev/null || { echo "limits: $tool is not installed (tools/install-deps.sh test)"; exit 1; }
done

# Another process on the machine changes how much one wake-up finds to do: the best of three counts.
check() { # row, instructions measured, system calls measured, requests
	local got calls
	for _ in 1 2 3; do
		got=$(REQUESTS=$4 tests/bench/instructions.sh "$1" | awk '/instructions a request/ {print $3}')
		calls=$(REQUESTS=$4 tests/bench/syscalls.sh "$1" | awk '/system calls a request/ {print $3}')
		awk -v row="$1" -v got="${got:-none}" -v want="$2" -v calls="${calls:-none}" -v want_calls="$3" 'BEGIN {
			most = want * 1.05; most_calls = want_calls + 0.1
			bad = got == "none" || calls == "none" || got > most || calls > most_calls
			printf "%s  %s: %s instructions a request (at most %d), %s system calls (at most %.2f)\n",
			    bad ? "more" : "ok  ", row, got, most, calls, most_calls
			exit bad
		}' && return
	done
	echo "FAIL  $1"
	failed=1
}

idle() { # KiB of a worker for an idle HTTP/1 connection
	local got
	for _ in 1 2 3; do
		got=$(HELD=2000 tests/bench/memory.sh | awk '/KiB for each/ {print $3}')
		awk -v got="${got:-none}" -v want="$1" 'BEGIN {
			most = want * 1.05
			bad = got == "none" || got > most
			printf "%s  idle: %s KiB for each connection (at most %.3f)\n", bad ? "more" : "ok  ", got, most
			exit bad
		}' && return
	done
	echo "FAIL  idle"
	failed=1
}

idle 0.467
check h1_1k 10370 4.19 4000
check h1_newconn 14760 8.30 1000
check h2_1k 20240 2.12 4000
check ws_1k 2040 4.19 20000
exit $failed
