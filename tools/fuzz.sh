#!/bin/sh
# Runs every fuzz target, one after the other, for the time given (default 30s), in the packages given (default all).
set -eu
time=${1:-30s}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- ./...
for pkg in $(go list "$@"); do
	for target in $(go test -list '^Fuzz' "$pkg" | grep '^Fuzz' || true); do
		echo "== $pkg $target $time"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 5s "$pkg"
	done
done
