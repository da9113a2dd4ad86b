use camino::Utf8PathBuf;
use proptest::{
    collection::vec,
    prelude::{Strategy as _, any, prop_oneof},
    sample::{Index, select},
};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use super::{facts::Facts, host::Host, *};
use crate::{
    fixture::{facts_folder, folder, gcc, host, recipe},
    ground::untrusted::check,
};

mod needs;

/// The dynamic loader of every x86-64 system (x86-64 psABI).
const INTERPRETER: &str = "/lib64/ld-linux-x86-64.so.2";

const MAIN: &str = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n";

fn complaints(path: &Utf8Path, system: &str) -> Vec<String> {
    host(system).faults_of_file("machida", path)
}

fn complaint(path: &Utf8Path) -> String {
    let mut all = complaints(path, "debian-12");
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// A copy of `path` with `bytes` at `offset`.
fn patched(path: &Utf8Path, name: &str, offset: usize, bytes: &[u8]) -> Utf8PathBuf {
    let mut content = std::fs::read(path).expect("a program");
    content[offset..offset + bytes.len()].copy_from_slice(bytes);
    let target = path.with_file_name(name);
    std::fs::write(&target, content).expect("a copy");
    target
}

/// A copy of `path` with all occurrences of a string replaced by another of the same length.
fn replaced(path: &Utf8Path, name: &str, from: &str, to: &str) -> Utf8PathBuf {
    assert_eq!(from.len(), to.len());
    let mut content = std::fs::read(path).expect("a program");
    let all: Vec<usize> =
        (0..content.len() - from.len()).filter(|&at| content[at..].starts_with(from.as_bytes())).collect();
    assert!(!all.is_empty(), "{path} has no {from}");
    for at in all {
        content[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    let target = path.with_file_name(name);
    std::fs::write(&target, content).expect("a copy");
    target
}

#[test]
fn the_requirements_of_a_dynamic_program_are_read() {
    let (_guard, folder) = folder();
    let elf = inspect(&gcc(&folder, "machida", MAIN, &[])).expect("a program");
    assert_eq!(elf.target, Target::X86_64);
    assert_eq!(elf.interpreter.as_deref(), Some(INTERPRETER));
    assert_eq!(elf.needed, ["libc.so.6"]);
    let of_libc = |version: &NeededVersion| version.library == "libc.so.6" && version.name.starts_with("GLIBC_2.");
    assert!(!elf.versions.is_empty() && elf.versions.iter().all(of_libc), "{:?}", elf.versions);
    assert!(!elf.packed_relocations && elf.isa.are_within(isa::Levels::up_to(1)), "{elf:?}");
}

#[test]
fn a_library_that_no_package_has_is_a_fault() {
    let (_guard, folder) = folder();
    gcc(&folder, "libfoo.so", "int foo(void) { return 0; }\n", &["-shared", "-fPIC", "-Wl,-soname,libfoo.so.1"]);
    let source = "int foo(void);\nint main(void) { return foo(); }\n";
    let built = gcc(&folder, "sender", source, &["-L.", "-lfoo"]);
    assert_eq!(
        complaint(&built),
        "machida needs libfoo.so.1, but neither debian-12 nor a package of the recipe has it: add the package that \
         contains it to ami.toml"
    );
    // A developer may know more than the facts: the recipe adds to them.
    for of_package in [true, false] {
        let mut recipe = recipe();
        let system = recipe.systems.get_mut("debian-12").expect("a system");
        let libraries = if of_package { &mut system.packages[0].libraries } else { &mut system.libraries };
        libraries.push("libfoo.so.1".to_owned());
        let facts = Facts::find(&[facts_folder()], "debian-12").expect("facts");
        let host = Host::new(&recipe, "debian-12", &recipe.systems["debian-12"], facts, true);
        assert_eq!(host.faults_of_file("sender", &built), Vec::<String>::new());
    }
}

#[test]
fn static_programs_pass_everywhere() {
    let (_guard, folder) = folder();
    for (name, flags) in [("static", &["-static"][..]), ("static-pie", &["-static-pie"])] {
        let built = gcc(&folder, name, MAIN, flags);
        let elf = inspect(&built).expect("a program");
        assert!(elf.interpreter.is_none() && elf.needed.is_empty(), "{name}: {elf:?}");
        assert_eq!(complaints(&built, "ubuntu-16.04"), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn a_program_without_sections_is_read() {
    let (_guard, folder) = folder();
    let built = gcc(&folder, "machida", MAIN, &[]);
    // e_shoff, e_shnum and e_shstrndx.
    let no_offset = patched(&built, "a", 40, &[0; 8]);
    let stripped = patched(&no_offset, "b", 60, &[0; 4]);
    assert_eq!(inspect(&stripped).expect("a program"), inspect(&built).expect("a program"));
}

#[test]
fn a_segment_that_is_empty_in_the_file_may_start_after_its_end() {
    let (_guard, folder) = folder();
    let built = gcc(&folder, "machida", MAIN, &[]);
    let content = std::fs::read(&built).expect("a program");
    let stack = elf::PT_GNU_STACK.0.to_le_bytes();
    let at = (64..).step_by(56).find(|&at| content[at..].starts_with(&stack)).expect("the stack's header");
    let behind = patched(&built, "behind", at + 8, &[0xff, 0xff, 0xff, 0x7f]);
    assert_eq!(complaints(&behind, "debian-12"), Vec::<String>::new());
}

#[test]
fn each_unusable_file_is_described_in_a_sentence() {
    let (_guard, folder) = folder();
    let built = gcc(&folder, "machida", MAIN, &[]);
    let file = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.join(name), bytes).expect("a file");
        folder.join(name)
    };
    let library = ["-shared", "-fPIC"];
    nix::unistd::mkfifo(folder.join("pipe").as_std_path(), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    for (path, sentence) in [
        (file("script", b"#!/bin/sh\nexec python\n"), "machida is a script (`#!/bin/sh`), not a compiled program"),
        (file("empty", b""), "machida is empty"),
        (file("text", b"hello"), "machida is not a compiled program: it does not begin with an ELF header"),
        (file("mac", &[0xcf, 0xfa, 0xed, 0xfe, 7]), "machida is compiled for macOS: compile it for Linux"),
        (file("head", b"\x7fELF\x02\x01\x01"), "machida is truncated: 7 bytes"),
        (
            patched(&built, "32", 4, &[1]),
            "compiled for 32-bit x86-64, but debian-12 is 64-bit x86-64: compile it for that",
        ),
        (patched(&built, "arm", 18, &[183, 0]), "machida is compiled for 64-bit ARM, but debian-12 is 64-bit x86-64"),
        (
            patched(&built, "arm32", 4, &[1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 40, 0]),
            "for 32-bit ARM, but debian-12",
        ),
        (
            patched(&built, "be", 5, &[2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 22]),
            "for 64-bit s390 (big-endian), but deb",
        ),
        (patched(&built, "odd", 18, &[0xee, 0xee]), "machida is compiled for 64-bit machine 61166, but debian-12"),
        (patched(&built, "core", 16, &[4, 0]), "machida is a core dump, not a program"),
        (patched(&built, "class", 4, &[9]), "machida is damaged: its ELF class is 9"),
        (gcc(&folder, "object", MAIN, &["-c"]), "machida is an object file that was not linked, not a program"),
        (gcc(&folder, "library", "int f;", &library), "machida is a shared library, not a program"),
        (
            replaced(&built, "musl", INTERPRETER, "/lib/ld-musl-x86_64.so.1\0\0\0"),
            "loaded by /lib/ld-musl-x86_64.so.1, but ",
        ),
        (folder.clone(), "machida is not a file"),
        (folder.join("pipe"), "machida is not a file"),
        (folder.join("none"), "machida cannot be read: No such file"),
    ] {
        let complaint = complaint(&path);
        assert!(complaint.contains(sentence), "{path}: {complaint}");
    }
}

#[test]
fn a_program_truncated_anywhere_is_refused() {
    let (_guard, folder) = folder();
    let built = gcc(&folder, "machida", MAIN, &[]);
    let content = std::fs::read(&built).expect("a program");
    let cut = folder.join("cut");
    for len in [20, 63, 64, 100, 600, content.len() / 2, content.len() - 1] {
        std::fs::write(&cut, &content[..len]).expect("a copy");
        let complaint = complaint(&cut);
        assert!(complaint.starts_with("machida is truncated: "), "{len}: {complaint}");
    }
}

#[test]
fn damaged_programs_cause_no_panic() {
    let (_guard, folder) = folder();
    let built = gcc(&folder, "machida", MAIN, &["-s"]);
    let content = std::fs::read(&built).expect("a program");
    let path = folder.join("damaged");
    let host = host("debian-12");
    let mut random = SmallRng::seed_from_u64(20_161_604);
    for _ in 0..4000 {
        let mut damaged = content.clone();
        for _ in 0..random.random_range(1..8) {
            // Most of what is read is at the start of the file and in the dynamic table.
            let end = if random.random_bool(0.7) { 0x700 } else { damaged.len() };
            let at = random.random_range(0..end);
            damaged[at] = if random.random_bool(0.3) { 0xff } else { random.random() };
        }
        if random.random_bool(0.2) {
            damaged.truncate(random.random_range(0..content.len()));
        }
        std::fs::write(&path, &damaged).expect("a copy");
        for complaint in host.faults_of_file("machida", &path) {
            assert!(!complaint.contains(char::is_control), "{complaint:?}");
        }
    }
}

/// The offsets of sizes and offsets in a program's headers, dynamic table and versions.
fn sizes_and_offsets(content: &[u8]) -> Vec<usize> {
    let number = |at: usize| usize::try_from(u64::from_le_bytes(content[at..at + 8].try_into().expect("8 bytes")));
    let headers = (64..64 + 56 * usize::from(content[56])).step_by(56);
    let ranges = headers.map(|at| (content[at], number(at + 8).expect("an offset"), number(at + 32).expect("a size")));
    let dynamic = ranges.filter(|(kind, ..)| *kind == 2).flat_map(|(_, at, size)| (at..at + size).step_by(8));
    // The table of needed versions is in the first page.
    (0..0x700).step_by(2).chain(dynamic).collect()
}

#[test]
fn wrong_sizes_and_offsets_cause_no_panic_and_no_hang() {
    let (_guard, folder) = folder();
    let content = std::fs::read(gcc(&folder, "machida", MAIN, &["-s"])).expect("a program");
    let (offsets, path) = (sizes_and_offsets(&content), folder.join("damaged"));
    let host = host("debian-12");
    let length = content.len() as u64;
    let number = prop_oneof![
        0..70_u64,
        length - 4..length + 4,
        any::<u64>(),
        (0..64_u32).prop_map(|bit| 1 << bit),
        (0..9_u64).prop_map(|less| u64::MAX - less),
    ];
    check(500, vec((any::<Index>(), select(&[1_usize, 2, 4, 8][..]), number), 1..6), |all| {
        let mut damaged = content.clone();
        for (at, size, number) in &all {
            let at = *at.get(&offsets);
            damaged[at..at + size].copy_from_slice(&number.to_le_bytes()[..*size]);
        }
        std::fs::write(&path, &damaged).expect("a copy");
        for complaint in host.faults_of_file("machida", &path) {
            assert!(complaint.starts_with("machida ") && !complaint.contains(char::is_control), "{complaint:?}");
        }
    });
}
