# Completes `cargo xtask` in zsh. All else of cargo is completed as before this was loaded.

_cargo_xtask_program() {
    local folder=$PWD
    while [[ -n $folder ]]; do
        if [[ -f $folder/xtask/Cargo.toml ]]; then
            local program=${CARGO_TARGET_DIR:-$folder/xtask/target}/debug/xtask
            [[ -x $program ]] && print -r -- $program
            return
        fi
        folder=${folder%/*}
    done
}

_cargo_xtask() {
    local first=2
    [[ ${words[2]} == +* ]] && first=3
    if (( CURRENT <= first )) || [[ ${words[first]} != xtask ]]; then
        ${_cargo_xtask_other:-_default} "$@"
        return
    fi

    local index=$(( CURRENT - first )) program=$(_cargo_xtask_program)
    local -a found plain folders
    if [[ -n $program ]]; then
        found=("${(@f)$(XTASK_COMPLETE=zsh _CLAP_IFS=$'\n' _CLAP_COMPLETE_INDEX=$index \
            $program -- "${(@)words[first,CURRENT]}" 2> /dev/null)}")
    elif (( index < 2 )); then
        found=({TASKS})
    elif (( index == 2 )); then
        found=({COMMANDS} {FLAGS})
    else
        found=({FLAGS})
    fi
    local reply
    for reply in $found; do
        if [[ ${reply%%:*} == */ ]]; then
            folders+=("${${reply%%:*}%/}")
        else
            plain+=("$reply")
        fi
    done
    (( $#folders )) && _describe -V folder folders -S / -r /
    (( $#plain )) && _describe -V value plain
}

if (( ! $+functions[compdef] )); then
    autoload -Uz compinit && compinit
fi
[[ ${_comps[cargo]-} == _cargo_xtask ]] || _cargo_xtask_other=${_comps[cargo]-}
compdef _cargo_xtask cargo
