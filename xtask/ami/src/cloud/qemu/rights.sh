#!/bin/sh
# Tries what making a base does with this computer's kernel. The words are a command that begins a new mount namespace, as
# root or as a user, and runs what follows it. On failure it prints the reason, and on the next line what mends it.
"$@" sh -c 'mount -t tmpfs none /tmp && mkdir /tmp/proc && mount -t proc proc /tmp/proc' > /dev/null 2>&1 && exit

setting() {
    [ "$(cat "/proc/sys/$1" 2> /dev/null)" = "$2" ]
}

reason() {
    printf '%s\n%s\n' "$1" "$2"
    exit 1
}

if [ "$(id -u)" != 0 ]; then
    who="this user may not create user namespaces"
    ! grep -q '^NoNewPrivs:.*1' /proc/self/status ||
        reason "$who: its processes gain no privileges (no_new_privs)" "run the container without no-new-privileges"
else
    who="root may not mount file systems here"
fi
! setting user/max_user_namespaces 0 ||
    reason "$who: user.max_user_namespaces is 0" "sudo sysctl -w user.max_user_namespaces=15000"
if [ "$(id -u)" != 0 ]; then
    ! setting kernel/unprivileged_userns_clone 0 ||
        reason "$who: kernel.unprivileged_userns_clone is 0" "sudo sysctl -w kernel.unprivileged_userns_clone=1"
    ! setting kernel/apparmor_restrict_unprivileged_userns 1 || reason \
        "$who: kernel.apparmor_restrict_unprivileged_userns is 1" \
        "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
fi
message=$("$@" sh -c 'mount -t tmpfs none /tmp && mkdir /tmp/proc && mount -t proc proc /tmp/proc' 2>&1 |
    grep -vF 'dmesg(1)' | tail -n 1)
reason "$who: ${message:-it failed}" "run the container with --privileged"
