#!/bin/sh
# Proves that the simulation bites: applies each patch of this folder to the source, plays seeds until one breaks an
# invariant, and takes the patch back. Prints the seed that caught it, and what it broke; ends with 1 when one got away.
#
#     mutations.sh [PATCH…]      SEEDS=n plays that many for each, 2000 by default
set -eu

folder=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cd "$folder/../../../../.."
: "${SEEDS:=2000}"
export SEEDS
output=$(mktemp)
applied=

restore() {
    test -z "$applied" || git apply --reverse "$applied"
    applied=
}
trap 'restore; rm -f "$output"' EXIT
trap 'exit 130' INT TERM

# The first violation of this law, or else of any, with its seed.
caught() {
    awk -v law="invariant $1:" '
        /^SEED=/ { seed = $1 }
        /^ *"invariant / {
            sub(/^ */, seed ": ")
            if (!any) any = $0
            if (!own && index($0, law)) own = $0
        }
        END { print own ? own : any }
    ' "$output"
}

test $# -gt 0 || set -- "$folder"/*.patch
escaped=0
for patch do
    git apply "$patch"
    applied=$patch
    name=$(basename "$patch" .patch)
    if ! cargo test --quiet --no-default-features --package xtask-ami --test simulation --no-run >"$output" 2>&1; then
        echo "$name: does not compile"
        cat "$output"
        escaped=1
    elif cargo test --quiet --no-default-features --package xtask-ami --test simulation -- --exact \
        the_invariants_hold_whatever_breaks >"$output" 2>&1; then
        echo "$name: GOT AWAY"
        escaped=1
    else
        echo "$name: $(caught "${name%%-*}")"
    fi
    restore
done
exit $escaped
