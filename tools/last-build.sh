#!/bin/sh
# Builds the last tag (or $TAG, any commit) under $B/last and prints the folder of its programs.
# Prints nothing, and says so, where there is no tag.
set -eu
tag=${TAG:-$(git describe --tags --abbrev=0 2>/dev/null || true)}
if [ -z "$tag" ]; then
	echo "soak: there is no tag yet: no restarts into and from the last release" >&2
	exit 0
fi
dir=${B:-build}/last/$(git rev-parse --short "$tag^{commit}")
if [ ! -x "$dir/build/baton" ]; then
	echo "soak: building $tag in $dir" >&2
	mkdir -p "$dir"
	git archive "$tag" | tar -x -C "$dir"
	make -s -C "$dir" B=build build/baton >&2
fi
echo "$dir/build"
