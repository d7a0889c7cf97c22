#!/usr/bin/awk -f
# Folded stacks (fold.awk) -> a flame graph, an SVG.  A function stands on the one
# that called it, as wide as its share of the samples, the widest first.  Its title
# (what a browser shows under the pointer) has all of its name and its samples.
#
#   tests/bench/flame.awk -v title=h1_1k ROW.folded >ROW.svg
BEGIN {
	width = 1600; row = 16; margin = 8; letter = 6.7
	thinnest = 0.4 # what is narrower is not drawn
	colour["baton"] = "#9fc5e8 #b4d2ee"
	colour["library"] = "#b6d7a8 #c7e2bb"
	colour["kernel"] = "#f6b26b #f9c48d"
	name[0] = "all"
}
{
	n = $NF
	sub(/ [0-9]+$/, "")
	frames = split($0, frame, ";")
	samples[0] += n
	at = 0
	for (i = 1; i <= frames; i++) {
		if (!((at, frame[i]) in node)) {
			node[at, frame[i]] = ++nodes
			name[nodes] = frame[i]
			child[at, ++children[at]] = nodes
		}
		at = node[at, frame[i]]
		samples[at] += n
	}
	self[kind(name[at])] += n
	if (frames > deepest)
		deepest = frames
}
function kind(function_name) {
	return function_name ~ /_\[k\]$/ ? "kernel" : function_name ~ /_\[l\]$/ ? "library" : "baton"
}
function escaped(text) {
	gsub(/&/, "\\&amp;", text)
	gsub(/</, "\\&lt;", text)
	gsub(/>/, "\\&gt;", text)
	return text
}
function share(n) { return sprintf("%.1f %%", 100 * n / samples[0]) }
function widest_first(of, i, j, v) {
	for (i = 2; i <= children[of]; i++) {
		v = child[of, i]
		for (j = i - 1; j >= 1 && samples[child[of, j]] < samples[v]; j--)
			child[of, j + 1] = child[of, j]
		child[of, j + 1] = v
	}
}
function box(x, y, w, fill, text, tip) {
	printf "<g><title>%s</title><rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>", escaped(tip), x, y, w, row - 1, fill
	text = substr(text, 1, int((w - 4) / letter))
	if (length(text) > 2)
		printf "<text x=\"%.1f\" y=\"%d\">%s</text>", x + 2, y + 11, escaped(text)
	print "</g>"
}
function draw(at, x, depth, w, i, fill, text) { # and all that stands on it
	w = samples[at] * scale
	if (w < thinnest)
		return
	text = name[at]
	split(colour[kind(text)], fill, " ")
	sub(/_\[[kl]\]$/, "", text)
	box(x, bottom - depth * row, w - 0.3, fill[1 + depth % 2], text, text ": " samples[at] " samples, " share(samples[at]))
	widest_first(at)
	for (i = 1; i <= children[at]; i++) {
		draw(child[at, i], x, depth + 1)
		x += samples[child[at, i]] * scale
	}
}
END {
	if (!samples[0])
		exit 1
	scale = (width - 2 * margin) / samples[0]
	bottom = (deepest + 3) * row
	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"monospace\" font-size=\"11\">\n", width, bottom + 2 * row
	print "<rect width=\"100%\" height=\"100%\" fill=\"#fdfdfb\"/>"
	printf "<text x=\"%d\" y=\"18\" font-size=\"14\">%s: %d samples</text>\n", margin, escaped(title), samples[0]
	x = 400
	for (i = split("kernel library baton", kinds, " "); i >= 1; i--) {
		split(colour[kinds[i]], fill, " ")
		box(x, 7, 180, fill[1], kinds[i] " itself: " share(self[kinds[i]]), kinds[i])
		x += 190
	}
	draw(0, margin, 0)
	print "</svg>"
}
