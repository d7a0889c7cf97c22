#!/usr/bin/awk -f
# perf script -> one line for each stack, outermost function first, and how often it was seen.
# Functions of the kernel end with _[k], those of libraries with _[l].  What the compiler
# appended to a name is left out, as are the ends of stacks that perf could not follow.
function count_stack() {
	if (stack != "") seen[stack]++
	stack = ""
}
function library(path) {
	sub(/^.*\//, "", path)
	sub(/(-[0-9.]+)?\.so.*$/, "", path)
	return "[" path "]"
}
/^[^ \t]/ {count_stack(); next}
NF >= 3 && $3 != "([unknown])" {
	name = $2
	sub(/\+0x[0-9a-f]+$/, "", name)
	sub(/\.(lto_priv|isra|part|constprop|cold).*$/, "", name)
	if ($3 ~ /\.so|^\(\[vdso/) {
		if (name == "[unknown]") name = library($3)
		name = name "_[l]"
	} else if ($3 ~ /^\(\[/)
		name = name "_[k]"
	stack = stack == "" ? name : name ";" stack
}
END {
	count_stack()
	for (s in seen) print s, seen[s]
}
