#!/bin/sh
# Installs what is missing to build (install-deps.sh build), to test (test) or to compare (bench):
# Debian packages, and npm packages for tests and for the demo (demo).  Prints one line and exits 1
# when it cannot.
set -eu

build="gcc make pkg-config libevent-dev libhttp-parser-dev libnghttp2-dev libssl-dev libyaml-dev
libcmocka-dev libprotobuf-c-dev protobuf-c-compiler protobuf-compiler libprotobuf-dev libc-ares-dev
libpcre2-dev libjansson-dev libxxhash-dev libcap-ng-dev libncurses-dev"
demo="hey"
test="$demo systemd clang libclang-rt-14-dev curl nghttp2-client prometheus openssl procps strace valgrind"
peers="nginx-light haproxy nghttp2-proxy nghttp2-server"
case ${1:-build} in
build) demo= test= peers= npm= ;;
demo) test=$demo peers= npm=examples/hitless-deploy ;;
test) peers= npm="tests/interop examples/hitless-deploy" ;;
*) npm="tests/interop examples/hitless-deploy" ;;
esac

install_packages() {
	if ! command -v apt-get >/dev/null 2>&1; then
		echo "baton: these packages are missing and there is no apt-get to install them:$missing" >&2
		exit 1
	fi
	as_root=
	if [ "$(id -u)" != 0 ]; then
		if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
			as_root=sudo
		else
			echo "baton: not root; run this first: sudo apt-get install -y$missing" >&2
			exit 1
		fi
	fi
	echo "baton: installing:$missing"
	export DEBIAN_FRONTEND=noninteractive
	log=$(mktemp)
	# Debian's prometheus package would start a server; only promtool is wanted.
	if ! { $as_root apt-get update && $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
		apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
		echo "baton: apt-get failed; its last lines:" >&2
		tail -n 5 "$log" >&2
		exit 1
	fi
	rm -f "$log"
}

missing=
for p in $build $test $peers; do
	dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || missing="$missing $p"
done
if [ -n "$test" ]; then # any node will do; Debian's comes without npm
	command -v node >/dev/null 2>&1 || missing="$missing nodejs"
	command -v npm >/dev/null 2>&1 || missing="$missing npm"
fi
if [ -n "$missing" ]; then
	install_packages
fi
for folder in $npm; do
	[ -d "$folder/node_modules" ] && continue
	echo "baton: installing the packages of $folder"
	log=$(mktemp)
	# What npm has already it need not ask for again: a machine without a network may do.
	if ! (cd "$folder" && npm ci --no-audit --no-fund --prefer-offline --fetch-retries=1 \
		--loglevel=error) >"$log" 2>&1; then
		echo "baton: npm failed in $folder; its last lines:" >&2
		grep -v 'A complete log' "$log" | tail -n 5 >&2
		rm -f "$log"
		exit 1
	fi
	rm -f "$log"
done

