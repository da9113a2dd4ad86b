#!/bin/sh
# Compiles a crate: cargo calls this with rustc and its arguments (`build.rustc-wrapper`), unless RUSTC_WRAPPER is set.
#
# Of aws-sdk-ec2, with its 1.2 million lines, the tool uses some hundred functions. The crate itself says that it is mostly
# unused, which only nightly cargo passes on to rustc. Told so, rustc compiles just what is used, together with the code that
# uses it. The wrapper is no part of what cargo compares, so nothing is compiled a second time with or without it. A
# toolchain that does not know the option compiles the whole crate.
rustc=$1
shift
option=-Zhint-mostly-unused
case " $* " in
*" --crate-name aws_sdk_ec2 "*)
    if RUSTC_BOOTSTRAP=1 "$rustc" -Zhelp 2> /dev/null | grep --quiet -e "${option#-Z}"; then
        export RUSTC_BOOTSTRAP=1
        set -- "$@" "$option"
    fi
    ;;
esac
exec "$rustc" "$@"
