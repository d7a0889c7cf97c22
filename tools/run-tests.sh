#!/bin/sh
# Runs test programs one after another; prints a line each and the totals.
# Each program is a cmocka group; the whole output of a failing one is shown.
set -u
passed=0 failed=0 tests=0 bad=
for t in "$@"; do
	out=$(mktemp)
	if timeout "${TEST_TIMEOUT:-300}" "$t" >"$out" 2>&1; then
		n=$(grep -c '^\[       OK \]' "$out")
		passed=$((passed + 1)) tests=$((tests + n))
		printf 'ok    %s (%d)\n' "${t#build/}" "$n"
	else
		code=$?
		failed=$((failed + 1)) bad="$bad ${t#build/}"
		cat "$out"
		printf 'FAIL  %s (exit %d)\n' "${t#build/}" "$code"
	fi
	rm -f "$out"
done
[ -z "$bad" ] || printf 'failing programs:%s\n' "$bad"
printf 'tests run: %d in %d programs\n' "$tests" $((passed + failed))
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ] && [ "$tests" -gt 0 ]
