#!/bin/sh
# Makes a container image of Debian's packages, with make and a compiler, and sees to it that podman runs it:
#
#     engine.sh FOLDER IMAGE
#
# The image and podman's settings are below FOLDER, apart from those of the user. Ends with 1, having said why, where no
# container runs.
set -eu

folder=$1 image=$2
mkdir -p "$folder"
CONTAINERS_STORAGE_CONF=$folder/storage.conf
CONTAINERS_CONF=$folder/containers.conf
export CONTAINERS_STORAGE_CONF CONTAINERS_CONF
printf '[storage]\ndriver = "overlay"\ngraphroot = "%s"\nrunroot = "%s"\n' "$folder/images" "$folder/run" >"$CONTAINERS_STORAGE_CONF"

# A computer that is a container itself may permit no more files than it has, and some runtimes only know its other half of
# cgroups.
settings() {
    limits='default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]'
    printf '[containers]\nnetns = "none"\n%s\n[engine]\nruntime = "%s"\n' "$limits" "$1" >"$CONTAINERS_CONF"
}

settings crun
if ! podman image exists "$image"; then
    # No script of a package need run for a compiler to work, but for the one that gives it its usual name.
    # shellcheck disable=SC2016 # mmdebstrap's own shell has the folder as its first word.
    mmdebstrap --quiet --variant=extract --include=make,gcc,libc6-dev,dash,coreutils,base-files \
        --extract-hook='ln -s gcc "$1/usr/bin/cc"' trixie "$folder/image.tar"
    podman import --quiet "$folder/image.tar" "$image"
    rm "$folder/image.tar"
fi

for runtime in crun runc; do
    settings "$runtime"
    if podman run --rm "$image" make --version >"$folder/said" 2>&1; then
        exit 0
    fi
    sed "s/^/with $runtime: /" "$folder/said"
done
exit 1
