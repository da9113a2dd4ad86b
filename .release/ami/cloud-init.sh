#!/bin/bash
# What cloud-init does on a machine, for the other scripts here, which take this one in: they have `say` and `fail`.

# cloud-init of a base ends within a minute. On Ubuntu it may wait for snapd, which takes longer.
readonly CLOUD_INIT_LIMIT_SECS=600

# What cloud-init does, in one line: `off`, `running STAGE`, `done` or `failed STAGE`. systemd has a job for each stage
# until the stage's process has ended. `cloud-init status` does not help: older versions lack it, newer ones exit with 2
# after a warning, and it reports the end before the process ends. Stages have other units in newer versions.
cloud_init_state() {
    local run=/run/cloud-init jobs='' stage unit
    if ! command -v cloud-init > /dev/null || [[ -e $run/disabled || -e /etc/cloud/cloud-init.disabled ]]; then
        echo off
        return
    fi
    # The stage that runs, or else the last one that has begun.
    stage=$(sed -n 's/.*"stage": *"\([^"]*\)".*/\1/p' "$run/status.json" 2> /dev/null | tail -n 1 || true)
    if [[ -d /run/systemd/system ]]; then
        jobs=$(systemctl list-jobs --full --no-legend | grep -oE 'cloud-(init|config|final)[^ ]*\.service' | head -n 1 || true)
    elif [[ ! -s $run/result.json ]]; then
        jobs=cloud-init
    fi
    if [[ -n $jobs ]]; then
        echo "running ${stage:-$jobs}"
    # Since 0.7.3 the final stage writes it when it ends.
    elif [[ -s $run/result.json ]]; then
        echo "done"
    else
        unit=$(systemctl list-units --state=failed --full --no-legend --plain 'cloud-*' | awk '{ print $1; exit }' || true)
        # Without a data source the generator starts none of the stages.
        if [[ -n $unit || -s $run/status.json ]]; then echo "failed ${unit:-${stage:-its last stage}}"; else echo off; fi
    fi
}

# What went wrong in cloud-init, on lines: its errors, each with its stage, and the last lines of its log. result.json
# lists only real errors; what newer versions call recoverable, such as deprecated keys, is not among them.
cloud_init_faults() {
    local run=/run/cloud-init state log
    state=$(cloud_init_state)
    case $state in
        failed*) echo "cloud-init ended without a result, in ${state#failed }" ;;
        done) tr -d '[:space:]' < "$run/result.json" | grep -q '"errors":\[\]' && return ;;
        *) return 0 ;;
    esac
    tr -s '[:space:]' ' ' < "$run/status.json" 2> /dev/null |
        grep -oE '"(init-local|init|modules-config|modules-final)": *\{[^{}]*"errors": *\[[^]]+\]' |
        sed -E 's/^"([^"]*)".*"errors": *\[ *([^]]*)\]$/its stage \1: \2/' || true
    [[ ! -s $run/result.json ]] || echo "its result: $(tr -s '[:space:]' ' ' < "$run/result.json")"
    for log in /var/log/cloud-init-output.log /var/log/cloud-init.log; do
        [[ ! -s $log ]] || { echo "the last lines of $log:"; tail -n 5 "$log"; return; }
    done
}

# Logins are possible before cloud-init's last stage begins, and each stage writes below /var/lib/cloud when it begins
# and when it ends. Stopping cloud-init instead would image a machine that is half set up. Every half a minute it says
# what it waits for.
wait_for_cloud_init() {
    local begun=$SECONDS next=$SECONDS state faults
    while state=$(cloud_init_state); [[ $state == "running "* ]]; do
        ((SECONDS - begun < CLOUD_INIT_LIMIT_SECS)) ||
            fail "timed out after $CLOUD_INIT_LIMIT_SECS s of waiting until cloud-init has finished: it is in ${state#running }"
        if ((SECONDS >= next)); then
            say "waiting until cloud-init has finished, at most $CLOUD_INIT_LIMIT_SECS s: it is in ${state#running }"
            next=$((SECONDS + 30))
        fi
        sleep 1
    done
    faults=$(cloud_init_faults)
    [[ -z $faults ]] || fail "cloud-init reports an error: $faults"
    case $state in
        off) ! command -v cloud-init > /dev/null || say "cloud-init did nothing: it is disabled, or found no data source" ;;
        *) say "cloud-init has finished" ;;
    esac
}
