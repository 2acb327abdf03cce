#!/bin/sh
# Runs every fuzz target, one after the other, for the time given (default 30s), in the packages given (default all).
# Go sometimes ends a run without a finding with "context deadline exceeded"; such a run counts as clean.
set -eu
time=${1:-30s}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- ./...
out=$(mktemp)
trap 'rm -f "$out"' EXIT
for pkg in $(go list "$@"); do
	for target in $(go test -list '^Fuzz' "$pkg" | grep '^Fuzz' || true); do
		echo "== $pkg $target $time"
		if ! go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 5s "$pkg" >"$out" 2>&1; then
			if grep -q 'Failing input' "$out" || ! grep -q 'context deadline exceeded' "$out"; then
				cat "$out"
				exit 1
			fi
		fi
		tail -n 2 "$out"
	done
done
