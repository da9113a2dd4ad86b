//! Binaries as they lie in the tree, and that no base can run.

use crate::*;

/// Compiles C to `path`.
fn gcc(path: &Utf8Path, source: &str, flags: &[&str]) {
    write(&path.with_extension("c"), source);
    let mut command = Command::new("gcc");
    command.current_dir(path.parent().expect("a parent")).arg("-o").arg(path).arg(path.with_extension("c")).args(flags);
    let output = command.output().expect("gcc");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Writes a copy of a program with other bytes at an offset.
fn patched(program: &Utf8Path, target: &Utf8Path, offset: usize, bytes: &[u8]) {
    let mut content = std::fs::read(program).expect("a program");
    content[offset..offset + bytes.len()].copy_from_slice(bytes);
    write_program(target, content);
}

#[test]
fn binaries_that_cannot_run_are_all_in_one_message() {
    let (home, (_guard, folder)) = (Home::new(), folder());
    let (root, good) = (sample(&folder), folder.join("good"));
    gcc(&good, MAIN, &[]);
    let [machida, cluster_shutdown, data_receiver, sender] = BINARIES.map(|binary| root.join(binary));

    let words = [
        "machida: machida/build/machida does not exist",
        "`make build-machida",
        "sender: giles/sender/sender does not",
    ];
    let ended = refused(&home, &mut home.ami(release(&root, &["--skip-build"])), &words);
    assert_eq!(ended.stderr.matches(" does not exist; ").count(), 4, "{ended}");

    // Offsets of the ELF header: 4 is the class, 18 the machine.
    write_program(&machida, "#!/bin/sh\necho machida\n");
    patched(&good, &cluster_shutdown, 4, &[1]);
    patched(&good, &data_receiver, 18, &[40, 0]);
    let whole = std::fs::read(&good).expect("a program");
    write_program(&sender, &whole[..whole.len() / 2]);
    let words = [
        "machida is a script (`#!/bin/sh`), not a compiled program",
        "cluster_shutdown is compiled for 32-bit x86-64, but debian-13 is 64-bit x86-64",
        "data_receiver is compiled for 64-bit ARM",
        "sender is truncated",
        "omit --skip-build",
    ];
    refused(&home, &mut home.ami(release(&root, &["--skip-build"])), &words);

    let newest = b"GLIBC_2.34\0";
    let Some(at) = whole.windows(newest.len()).position(|bytes| bytes == newest) else {
        panic!("gcc of this computer asks for another glibc than 2.34");
    };
    patched(&good, &machida, at, b"GLIBC_2.99\0");
    let library = folder.join("libfoo.so");
    gcc(&library, "int foo(void) { return 0; }\n", &["-shared", "-fPIC", "-Wl,-soname,libfoo.so.1"]);
    gcc(&cluster_shutdown, "int foo(void);\nint main(void) { return foo(); }\n", &["-L", folder.as_str(), "-lfoo"]);
    write_program(&data_receiver, "");
    std::fs::copy(&good, &sender).expect("a copy");
    let words = [
        "machida needs GLIBC_2.99 of libc.so.6, but debian-13 has 2.41: build on debian-13",
        "build.container in ami.toml",
        "cluster_shutdown needs libfoo.so.1, but neither debian-13 nor a package of the recipe has it",
        "data_receiver is empty",
    ];
    let ended = refused(&home, &mut home.ami(release(&root, &["--skip-build"])), &words);
    assert!(!ended.stderr.contains("sender"), "{ended}");
}
