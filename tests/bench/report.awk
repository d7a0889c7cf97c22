#!/usr/bin/awk -f
# For bench.sh: what a row of it says, from a line for each turn of a proxy:
# name, microseconds a request, requests a second, busy %, origin's %, and of a
# fixed rate p50, p99 and what the generator was late.
#
#   awk -v row=h1_1k -v proxies="baton nginx floor" -v wanted="best 0.90 floor 1.25" -f report.awk results
#
# The first proxy is compared with the others, turn by turn: the k-th of each.
# What is slow for one turn is slow for both sides of its ratio, so the median of
# the turns' ratios says more than the ratio of two medians.  Beside it stands
# the middle half of the turns, and what is wanted at most.
# The best of the others is the one to which that ratio is the greatest.
BEGIN {
	in_all = split(proxies, order, " ")
	n = split(wanted, w, " ")
	for (i = 1; i < n; i += 2)
		most[w[i]] = w[i + 1]
}
{
	k = ++turns[$1]
	for (c = 2; c <= NF; c++)
		run[$1, c, k] = $c
	if (NF > columns)
		columns = NF
}
function is_peer(p) { return p != order[1] && p != "floor" }
function sort(n, i, j, v) { # the first n of list
	for (i = 2; i <= n; i++) {
		v = list[i]
		for (j = i - 1; j >= 1 && list[j] > v; j--)
			list[j + 1] = list[j]
		list[j + 1] = v
	}
}
function low(n) { return list[int((n + 3) / 4)] } # the middle half begins, and ends
function high(n) { return list[n - int((n - 1) / 4)] }
function median(n) { sort(n); return (list[int((n + 1) / 2)] + list[int(n / 2) + 1]) / 2 }
function column(p, c, k) {
	for (k = 1; k <= turns[p]; k++)
		list[k] = run[p, c, k] + 0
	return median(turns[p])
}
function verdict(to, value) {
	if (!(to in most))
		return ""
	return sprintf(", wanted %s: %s", most[to], value <= most[to] + 0 ? "ok" : "MISSED")
}
function ratio(to, k, n, m) { # of the row's first proxy; prints it, too
	n = turns[order[1]] < turns[to] ? turns[order[1]] : turns[to]
	for (k = 1; k <= n; k++)
		list[k] = run[order[1], 2, k] / run[to, 2, k]
	m = median(n)
	printf "%-12s ratio to %s: %.2f (%.2f..%.2f)%s\n", row, to == "floor" ? "the floor" : to, m, low(n), high(n), verdict(to, m)
	return m
}
function line(p, m) {
	m = column(p, 2)
	printf "%-12s %-8s %10.2f %13s", row, p, m, sprintf("%.2f-%.2f", low(turns[p]), high(turns[p]))
	printf " %10.0f %6.0f %7.0f", column(p, 3), column(p, 4), column(p, 5)
	if (columns >= 7)
		printf " %8.0f %8.0f", column(p, 6), column(p, 7)
	printf "\n"
}
END {
	for (i = 1; i <= in_all; i++) {
		line(order[i])
		peers += is_peer(order[i])
	}
	for (i = 2; i <= in_all; i++) {
		m = ratio(order[i])
		if (is_peer(order[i]) && m > worst) { # of those that it is farthest from beating
			worst = m
			best = order[i]
		}
	}
	if (peers > 1)
		printf "%-12s ratio to the best of the others, %s: %.2f%s\n", row, best, worst, verdict("best", worst)
	if (columns >= 8)
		printf "%-12s the generator itself was late by %.0f us (p99)\n", row, column(order[1], 8)
}
