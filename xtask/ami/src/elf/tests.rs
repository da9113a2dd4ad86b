use camino::Utf8PathBuf;
use proptest::{
    collection::vec,
    prelude::{Strategy as _, any, prop_oneof},
    sample::{Index, select},
};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use super::*;
use crate::{
    fixture::{folder, gcc, recipe},
    ground::untrusted::check,
};

const MAIN: &str = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n";

fn complaints(path: &Utf8Path, system: &str) -> Vec<String> {
    faults_of_file("machida", path, system, recipe().system(system).expect("a system"))
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
    assert!(!elf.is_static());
    let glibc = elf.glibc.expect("a version");
    assert_eq!(glibc.library, "libc.so.6");
    assert_eq!(glibc.name, format!("GLIBC_{}.{}", glibc.version[0], glibc.version[1]));
}

#[test]
fn a_program_of_this_machine_runs_on_a_new_base_and_not_on_an_old_one() {
    let (_guard, folder) = folder();
    let built = gcc(&folder, "machida", MAIN, &[]);
    // This computer's gcc may link to any version; the expected message is for one of them.
    let name = inspect(&built).expect("a program").glibc.expect("a version").name;
    if name != "GLIBC_2.34" {
        return;
    }
    assert_eq!(complaints(&built, "debian-12"), Vec::<String>::new());
    assert_eq!(
        complaints(&built, "ubuntu-16.04"),
        ["machida needs GLIBC_2.34, but ubuntu-16.04 has 2.23: build on ubuntu-16.04, or in a container of it \
             (build.container in ami.toml), or choose another base"]
    );
}

#[test]
fn versions_are_compared_by_number_and_the_highest_counts() {
    let (_guard, folder) = folder();
    let source = "#include <math.h>\nint main(int n, char **v) { return (int) pow(n, n) + (int) exp(n); }\n";
    let built = gcc(&folder, "machida", source, &["-lm"]);
    let highest = inspect(&built).expect("a program").glibc.expect("a version").name;
    let newer = replaced(&built, "newer", &highest, &format!("{}99", &highest[..highest.len() - 2]));
    assert!(
        complaint(&newer).starts_with("machida needs GLIBC_2.99, but debian-12 has 2.36: "),
        "{}",
        complaint(&newer)
    );
    let older = replaced(&built, "older", &highest, &format!("{}09", &highest[..highest.len() - 2]));
    assert_eq!(complaints(&older, "debian-12"), Vec::<String>::new());
    let private = replaced(&built, "private", "GLIBC_2.2.5\0", "GLIBC_PRIVA\0");
    assert_eq!(inspect(&private).expect("a program").glibc.expect("a version").name, highest);
}

#[test]
fn packed_relocations_need_glibc_2_36() {
    let (_guard, folder) = folder();
    let built = gcc(&folder, "machida", MAIN, &["-Wl,-z,pack-relative-relocs"]);
    let glibc = inspect(&built).expect("a program").glibc.expect("a version");
    assert_eq!((glibc.version.as_slice(), glibc.name.as_str()), (&[2, 36][..], "GLIBC_ABI_DT_RELR"));
    let all = complaints(&built, "ubuntu-16.04");
    assert!(all[0].starts_with("machida needs GLIBC_ABI_DT_RELR (glibc 2.36), but ubuntu-16.04 has 2.23: "), "{all:?}");
    let other = replaced(&built, "other", "GLIBC_ABI_DT_RELR", "GLIBC_ABI_DT_NEWS");
    assert!(complaint(&other).contains("GLIBC_ABI_DT_NEWS (glibc 2.42), but debian-12 has 2.36"));
}

#[test]
fn versions_of_other_libraries_are_not_the_c_librarys() {
    assert_eq!(Glibc::parse("GLIBCXX_3.4.30", "libstdc++.so.6"), None);
    assert_eq!(Glibc::parse("OPENSSL_3.0.0", "libssl.so.3"), None);
    assert_eq!(Glibc::parse("GLIBC_PRIVATE", "libc.so.6"), None);
    let newer = Glibc::parse("GLIBC_2.4", "libc.so.6") < Glibc::parse("GLIBC_2.17", "libc.so.6");
    assert!(newer && Glibc::parse("GLIBC_2.2.5", "libc.so.6") < Glibc::parse("GLIBC_2.3", "libc.so.6"));
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
    let elf = inspect(&built).expect("a program");
    let mut system = recipe().system("debian-12").expect("a system").clone();
    system.packages[0].libraries.push("libfoo.so.1".to_owned());
    assert_eq!(faults("sender", &elf, "debian-12", &system), Vec::<String>::new());
}

#[test]
fn static_programs_pass_everywhere() {
    let (_guard, folder) = folder();
    for (name, flags) in [("static", &["-static"][..]), ("static-pie", &["-static-pie"])] {
        let built = gcc(&folder, name, MAIN, flags);
        assert!(inspect(&built).expect("a program").is_static(), "{name}");
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
    let recipe = recipe();
    let system = recipe.system("debian-12").expect("a system");
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
        for complaint in faults_of_file("machida", &path, "debian-12", system) {
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
    let recipe = recipe();
    let system = recipe.system("debian-12").expect("a system");
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
        for complaint in faults_of_file("machida", &path, "debian-12", system) {
            assert!(complaint.starts_with("machida ") && !complaint.contains(char::is_control), "{complaint:?}");
        }
    });
}
