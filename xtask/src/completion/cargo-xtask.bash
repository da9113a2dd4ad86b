# Completes `cargo xtask` in bash. All else of cargo is completed as before this was loaded.

_cargo_xtask_program() {
    local folder=$PWD
    while [[ -n $folder ]]; do
        if [[ -f $folder/xtask/Cargo.toml ]]; then
            local program=${CARGO_TARGET_DIR:-$folder/xtask/target}/debug/xtask
            [[ -x $program ]] && printf '%s' "$program"
            return
        fi
        folder=${folder%/*}
    done
}

_cargo_xtask() {
    local first=1
    [[ ${COMP_WORDS[1]-} == +* ]] && first=2
    if ((COMP_CWORD <= first)) || [[ ${COMP_WORDS[first]} != xtask ]]; then
        [[ -z ${_cargo_xtask_other-} ]] || "$_cargo_xtask_other" "$@"
        return
    fi

    # Bash ends words at `=` and `:`, too.
    local words=() word i glue='' last=-1
    for ((i = first; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ -n $word && $word != *[^=:]* ]] && ((last >= 0)); then
            words[last]+=$word
            glue=yes
            continue
        fi
        ((i < COMP_CWORD)) || [[ $word != "$2"* ]] || word=$2
        if [[ -n $glue ]]; then
            words[last]+=$word
        else
            words+=("$word")
            last=$((last + 1))
        fi
        glue=''
    done
    local typed=${words[last]}
    local before=${typed%"$2"}

    COMPREPLY=()
    local program reply found=()
    program=$(_cargo_xtask_program)
    if [[ -n $program ]]; then
        while IFS= read -r reply || [[ -n $reply ]]; do
            found+=("$reply")
        done < <(XTASK_COMPLETE=bash _CLAP_IFS=$'\n' _CLAP_COMPLETE_INDEX=$last "$program" -- "${words[@]}" 2> /dev/null)
    else
        local known='{TASKS}'
        ((last < 2)) || known='{FLAGS}'
        ((last != 2)) || known='{COMMANDS} {FLAGS}'
        for reply in $known; do
            [[ $reply != "$typed"* ]] || found+=("$reply")
        done
    fi
    ((${#found[@]} > 0)) || return 0
    for reply in "${found[@]}"; do
        reply=${reply#"$before"}
        [[ $reply != *[[:space:]\(\)\']* ]] || printf -v reply %q "$reply"
        COMPREPLY+=("$reply")
    done
    [[ ${COMPREPLY[0]} != */ ]] || compopt -o nospace 2> /dev/null
}

if declare -F _comp_load > /dev/null; then
    _comp_load cargo 2> /dev/null
elif declare -F _completion_loader > /dev/null; then
    _completion_loader cargo 2> /dev/null
fi
if [[ $(complete -p cargo 2> /dev/null) =~ \ -F\ ([^ ]+)\  && ${BASH_REMATCH[1]} != _cargo_xtask ]]; then
    _cargo_xtask_other=${BASH_REMATCH[1]}
fi
if ((BASH_VERSINFO[0] > 4 || BASH_VERSINFO[0] == 4 && BASH_VERSINFO[1] >= 4)); then
    complete -o bashdefault -o default -o nosort -F _cargo_xtask cargo
else
    complete -o bashdefault -o default -F _cargo_xtask cargo
fi
