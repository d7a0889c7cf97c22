#!/bin/sh
# Runs each fuzzer on its corpus (tests/fuzz/corpus/<name>) for FUZZ_SECONDS.
set -u
B=${B:-build/fuzz}
bad=0
for f in "$B"/fuzz/fuzz_*; do
	[ -x "$f" ] && [ ! -d "$f" ] || continue
	name=${f##*/fuzz_}
	work=$(mktemp -d)
	if "$f" -max_total_time="${FUZZ_SECONDS:-10}" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="$work/" "$work" "tests/fuzz/corpus/$name" >"$work.log" 2>&1; then
		printf 'ok    fuzz %s (%s runs)\n' "$name" \
			"$(sed -n 's/^stat::number_of_executed_units: *//p' "$work.log")"
	else
		bad=1
		tail -n 40 "$work.log"
		printf 'FAIL  fuzz %s\n' "$name"
	fi
	rm -rf "$work" "$work.log"
done
exit $bad
