#!/bin/bash
# ring 0.17.14 (a crate of Rust, the TLS of the AWS SDK for Rust): its build script asks cargo to run it again when variables
# change by which cargo tells a program of its package, such as CARGO_PKG_NAME. Cargo compares them with its own environment.
# It has none when a person starts it, and those of another package when a program that `cargo run` runs starts it. So ring,
# and everything that stands on it, is compiled again whenever the two take turns.
#
# Output seen with cargo 1.95.0:
#   first: compiled
#   once more: fresh
#   with another CARGO_PKG_NAME: compiled
#   without it: compiled
#
# It compiles ring in a temporary folder, and fails when the behaviour is another.
set -euo pipefail

folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
echo > src/lib.rs
cat > Cargo.toml << 'TOML'
[package]
name = "example"
version = "0.1.0"
edition = "2024"

[dependencies]
ring = "=0.17.14"
TOML

compiled() {
    local output
    output=$(env -u RUSTC_WRAPPER "${@:2}" cargo check --target-dir target 2>&1)
    case $output in
        *" ring v0.17.14"*) echo "$1: compiled" ;;
        *) echo "$1: fresh" ;;
    esac
}

unset CARGO_PKG_NAME
said=$(compiled "first"
    compiled "once more"
    compiled "with another CARGO_PKG_NAME" CARGO_PKG_NAME=another
    compiled "without it")
echo "$said"
[ "$said" = "first: compiled
once more: fresh
with another CARGO_PKG_NAME: compiled
without it: compiled" ]
