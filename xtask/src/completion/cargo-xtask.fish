# Completes `cargo xtask` in fish, beside what fish knows of cargo.

function __cargo_xtask_words
    set --local words (commandline --current-process --tokenize --cut-at-cursor)
    set --erase words[1]
    if string match --quiet -- '+*' "$words[1]"
        set --erase words[1]
    end
    string join -- \n $words
end

function __cargo_xtask_is
    set --local words (__cargo_xtask_words)
    test "$words[1]" = xtask
end

function __cargo_xtask_program
    set --local folder $PWD
    while test -n "$folder"
        if test -f $folder/xtask/Cargo.toml
            set --local target $folder/xtask/target
            test -n "$CARGO_TARGET_DIR"; and set target $CARGO_TARGET_DIR
            test -x $target/debug/xtask; and echo $target/debug/xtask
            return
        end
        set folder (string replace --regex '/[^/]*$' '' -- $folder)
    end
end

function __cargo_xtask_complete
    set --local words (__cargo_xtask_words)
    set --local program (__cargo_xtask_program)
    if test -n "$program"
        XTASK_COMPLETE=fish $program -- $words (commandline --current-token --cut-at-cursor) 2>/dev/null
        return
    end
    switch (count $words)
        case 1
            string split ' ' -- '{TASKS}'
        case 2
            string split ' ' -- '{COMMANDS} {FLAGS}'
        case '*'
            string split ' ' -- '{FLAGS}'
    end
end

complete --command cargo --condition __cargo_xtask_is --keep-order --exclusive --arguments '(__cargo_xtask_complete)'
