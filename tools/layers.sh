#!/bin/sh
# Proves the include order: a folder may include itself and what its row names,
# and a library's header is included in its home only (docs/architecture.md, "Layers").
set -u
cd "$(dirname "$0")/.." || exit 1
bad=0

allowed() { # folder -> folders it may include from
	case $1 in
	lib/base) echo lib/base ;;
	lib/event) echo lib/base lib/event ;;
	lib/ipc) echo lib/base lib/event lib/ipc ;;
	lib/net) echo lib/base lib/event lib/net ;;
	shm) echo lib/base shm ;;
	conf) echo lib/base conf envoy google xds ;;
	lib/tls) echo lib/base lib/event lib/net shm conf lib/tls envoy google xds ;;
	lib/http) echo lib/base shm lib/http ;;
	lib/upstream) echo lib/base lib/event lib/net shm conf lib/tls lib/http lib/upstream envoy google xds ;;
	master) echo lib/base lib/event lib/ipc lib/net shm master ;;
	admin) echo lib/base lib/event lib/ipc lib/net shm conf lib/tls lib/http lib/upstream admin envoy google xds ;;
	worker) echo lib/base lib/event lib/ipc lib/net shm conf lib/tls lib/http lib/upstream worker envoy google xds ;;
	tools) echo lib/base lib/event lib/ipc shm tools ;;
	tests) echo lib master admin worker shm conf tests envoy google xds ;;
	esac
}

home() { # library header -> folders where it may be included
	case $1 in
	event2/*) echo lib/event ;;
	http_parser.h) echo lib/http ;;
	nghttp2/*) echo lib/http tests ;;
	yaml.h | jansson.h) echo conf tests ;;
	protobuf-c/*) echo conf tests ;;
	openssl/*) echo lib/tls ;;
	ares.h) echo lib/net ;;
	pcre2.h | xxhash.h) echo lib/base ;;
	cap-ng.h | seccomp.h) echo master/privileges ;;
	curses.h | ncurses.h | ncursesw/*) echo tools ;;
	*) echo any ;;
	esac
}

folder_of() {
	case $1 in
	lib/*/*) f=${1#lib/}; echo "lib/${f%%/*}" ;;
	*) echo "${1%%/*}" ;;
	esac
}

for f in $(git ls-files -co --exclude-standard '*.c' '*.h' '*.def'); do
	from=$(folder_of "$f")
	for inc in $(sed -n 's/^[ \t]*#[ \t]*include[ \t]*"\([^"]*\)".*/\1/p' "$f"); do
		to=$(folder_of "$inc")
		ok=0
		# Tables are data: what documents them may read them.
		case $from:$inc in tools:*.def) ok=1 ;; esac
		for a in $(allowed "$from"); do
			case $to in "$a" | "$a"/*) ok=1 ;; esac
		done
		[ $ok = 1 ] || { echo "$f: includes \"$inc\": $from may not include $to"; bad=1; }
	done
	for inc in $(sed -n 's/^[ \t]*#[ \t]*include[ \t]*<\([^>]*\)>.*/\1/p' "$f"); do
		homes=$(home "$inc")
		[ "$homes" = any ] && continue
		ok=0
		for h in $homes; do case $f in "$h"*) ok=1 ;; esac; done
		[ $ok = 1 ] || { echo "$f: <$inc> is included outside its home ($homes)"; bad=1; }
	done
done
[ $bad = 0 ] && echo "layers: ok"
exit $bad
