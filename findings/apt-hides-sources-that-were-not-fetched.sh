#!/bin/bash
# apt 2.6.1 (Debian 12): `apt-get indextargets`, by its manual a list of what `apt-get update` would download, leaves out each
# source whose Release file was not fetched yet, and ends with 0. In most container images no lists are there, so that a program
# that makes a base from the sources of its computer finds none, and adding one does not help before `apt-get update`. With
# --no-release-info, which the manual does not have, the source is there.
#
# Output seen:
#   as documented:
#   without Release files: file:/srv/mirror/debian/ bookworm
#
# It unpacks the package into a temporary folder, and fails when the behaviour is another.
set -euo pipefail

folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get --quiet=2 -o APT::Sandbox::User=root download apt=2.6.1 libapt-pkg6.0=2.6.1
for package in *.deb; do dpkg-deb --extract "$package" unpacked; done
mkdir --parents lists/partial parts
echo "deb [trusted=yes] file:/srv/mirror/debian bookworm main" > sources.list

# shellcheck disable=SC2016 # apt fills in what is in the format.
sources() {
    LD_LIBRARY_PATH=$(echo unpacked/usr/lib/*/) unpacked/usr/bin/apt-get -o Dir::Etc::SourceList="$folder/sources.list" \
        -o Dir::Etc::SourceParts="$folder/parts" -o Dir::State::Lists="$folder/lists" \
        indextargets "$@" --format ' $(REPO_URI) $(RELEASE)' 'Created-By: Packages' | sort --unique
}
said="as documented:$(sources)
without Release files:$(sources --no-release-info)"
echo "$said"
[ "$said" = "as documented:
without Release files: file:/srv/mirror/debian/ bookworm" ]
