#!/usr/bin/awk -f
# perf script -> one line for each stack, outermost function first, and how often it was seen.
function count_stack() {
	if (stack != "") seen[stack]++
	stack = ""
}
/^[^ \t]/ {count_stack(); next}
NF >= 2 {
	name = $2
	sub(/\+0x[0-9a-f]+$/, "", name)
	stack = stack == "" ? name : name ";" stack
}
END {
	count_stack()
	for (s in seen) print s, seen[s]
}
