#!/bin/bash
# Brings the base's own packages up to date, for provision.sh, which takes this in: it has `apt_get` and `say`.

# In /run, so that neither is in the image.
readonly BASE_PACKAGES=/run/wallaroo-base-packages
readonly SECURITY_PINS=/run/wallaroo-security-pins

# Notes the base's packages before anything is installed. The tool compares them with those of the image.
note_base_packages() {
    [[ ! -e $BASE_PACKAGES ]] || return 0
    # In braces is what dpkg-query puts in.
    # shellcheck disable=SC2016
    dpkg-query -W -f '${db:Status-Abbrev}\t${Package}\t${Architecture}\t${Version}\n' > "$BASE_PACKAGES.new"
    mv "$BASE_PACKAGES.new" "$BASE_PACKAGES"
}

# Upgrades nothing, what has security updates, or all. No package is ever removed, and one that was put on hold stays.
# Updates that Ubuntu gives only to a part of its machines are left out: which part is by the machine's id.
upgrade_base() {
    local log=$1 pins=()
    case $2 in
        none) return 0 ;;
        security)
            security_pins > "$SECURITY_PINS"
            pins=(-o "Dir::Etc::Preferences=$SECURITY_PINS")
            ;;
    esac
    say "upgrading the base's packages: $2"
    apt_get "$log" ${pins[@]+"${pins[@]}"} -o APT::Get::Never-Include-Phased-Updates=true \
        --no-install-recommends --with-new-pkgs upgrade
}

# Preferences by which apt itself takes a package's newest version among the security updates, even if other sources have
# a newer one. What is installed is `now` to apt and has 100. A version with less loses against it, and still can be
# installed where a security update needs a package that there was not. The base's own preferences come after: the first
# that matches counts.
security_pins() {
    # Debian has a label of its own for them, Ubuntu a suite; archives of both have each.
    pin 500 'release l=Debian-Security' 'release a=*-security' 'release n=*-security'
    pin 100 'release a=now'
    pin 50 'release a=*' 'release n=*' 'release l=*' 'release o=*' 'origin *' 'origin ""'
    cat /etc/apt/preferences 2> /dev/null || true
}

pin() {
    local which
    for which in "${@:2}"; do
        printf 'Package: *\nPin: %s\nPin-Priority: %s\n\n' "$which" "$1"
    done
}
