//! The verdict on a program, held against that of the base's own loader.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use xtask_ami::{
    cloud::qemu::{
        disk::{Disk, RawDisk},
        facts,
    },
    elf::{facts::Facts, host::Host, survey::Tree as _},
    recipe::Recipe,
};

use crate::{
    bench::Bench,
    patches::{weakly, without},
    programs::{MAIN, cc, needing, needing_levels},
    support::{folder, recipe, write_program},
};

const LIBRARIES: &str = "/usr/lib/x86_64-linux-gnu";
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// The versions that programs ask libraries for: of all kinds that the base defines, and newer ones.
const VERSIONS: [(&str, Option<&str>); 22] = [
    ("libc.so.6", None),
    ("libc.so.6", Some("GLIBC_2.2.5")),
    ("libc.so.6", Some("GLIBC_2.36")),
    ("libc.so.6", Some("GLIBC_2.99")),
    ("libc.so.6", Some("GLIBC_PRIVATE")),
    ("libc.so.6", Some("GLIBC_ABI_DT_RELR")),
    ("libc.so.6", Some("GLIBC_ABI_GNU2_TLS")),
    ("libm.so.6", Some("GLIBC_2.35")),
    // The C library has it, the mathematical one does not.
    ("libm.so.6", Some("GLIBC_2.36")),
    ("libmvec.so.1", Some("GLIBC_2.22")),
    ("libanl.so.1", None),
    ("libcrypt.so.1", Some("XCRYPT_2.0")),
    ("libcrypt.so.1", Some("XCRYPT_9.0")),
    ("libstdc++.so.6", Some("GLIBCXX_3.4.30")),
    ("libstdc++.so.6", Some("GLIBCXX_3.4.99")),
    ("libstdc++.so.6", Some("CXXABI_1.3.13")),
    ("libgcc_s.so.1", Some("GCC_14.0.0")),
    ("libssl.so.3", Some("OPENSSL_3.0.0")),
    ("libssl.so.3", Some("OPENSSL_9.0.0")),
    // It defines no versions, so every one is taken.
    ("libaudit.so.1", Some("AUDIT_9.0")),
    ("libz.so.1", Some("ZLIB_1.2.9")),
    ("libnowhere.so.1", None),
];

/// The programs to judge.
fn programs(folder: &Utf8Path) -> Vec<Utf8PathBuf> {
    let of_versions = VERSIONS.iter().enumerate();
    let mut all: Vec<Utf8PathBuf> = of_versions
        .map(|(index, (library, version))| needing(folder, &format!("version-{index}"), library, *version))
        .collect();
    let newest = needing(folder, "newest", "libstdc++.so.6", Some("GLIBCXX_3.4.99"));
    all.push(weakly(&newest, "GLIBCXX_3.4.99", "weak"));
    for levels in [0b1, 0b10, 0b100, 0b1000, 0b1_0000, 0b111] {
        all.push(needing_levels(folder, &format!("levels-{levels:b}"), levels));
    }
    all.push(cc(folder, "plain", MAIN, &[]));
    all.push(cc(folder, "not-pie", MAIN, &["-no-pie", "-s"]));
    let source = "#include <math.h>\nint main(int n, char **v) { return pow(n, n) != exp(0); }\n";
    all.push(cc(folder, "mathematical", source, &["-lm"]));
    let source = "int a; int *b = &a; int main(void) { return *b; }\n";
    let packed = cc(folder, "packed", source, &["-Wl,-z,pack-relative-relocs", "-pie", "-fPIE"]);
    all.push(without(&packed, "GLIBC_ABI_DT_RELR", "GLIBC_2.2.5", "packed-unmarked"));
    all.push(packed);
    all
}

/// The base's libraries in a folder, and its loader.
fn unpacked(disk: &Disk, folder: &Utf8Path) -> Utf8PathBuf {
    let libraries = folder.join("lib");
    std::fs::create_dir(&libraries).expect("a folder");
    for name in disk.names(LIBRARIES).expect("libraries").iter().filter(|name| name.contains(".so")) {
        if let Some(content) = disk.content(&format!("{LIBRARIES}/{name}")).expect("a library") {
            std::fs::write(libraries.join(name), content).expect("a copy");
        }
    }
    let loader = folder.join("loader");
    write_program(&loader, disk.content(LOADER).expect("a file").expect("a loader"));
    loader
}

/// The host for this computer's CPU, as the base's loader names its highest level: the levels are the only part of the
/// verdict that depends on the computer.
fn host(loader: &Utf8Path, facts: Facts) -> Host {
    let help = Command::new(loader).arg("--help").output().expect("the loader");
    let help = String::from_utf8(help.stdout).expect("UTF-8");
    let supported = help.lines().filter(|line| line.contains("(supported"));
    let mut levels: Vec<&str> = supported.filter_map(|line| line.split_whitespace().next()).collect();
    levels.retain(|level| level.starts_with("x86-64-v"));
    levels.sort_unstable();
    let level = levels.last().copied().unwrap_or("x86-64");
    let text = recipe(&[("target_cpu = \"sandybridge\"", &format!("target_cpu = \"{level}\""))]);
    let recipe = Recipe::parse(Utf8Path::new("ami.toml"), &text).expect("a recipe");
    Host::new(&recipe, "debian-13", recipe.system("debian-13").expect("a system"), Some(facts), true)
}

#[test]
fn a_program_is_refused_if_and_only_if_the_loader_of_the_base_refuses_it() {
    let Some(bench) = Bench::new() else { return };
    let (_guard, folder) = folder();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let open = || runtime.block_on(RawDisk::of(&bench.base, &folder)).expect("a disk");
    let (system, facts) = facts::on_disk(open(), "the base", |itself| itself).expect("a base");
    assert_eq!(system, "debian-13");
    let loader = unpacked(&open().open().expect("a disk"), &folder);
    let host = host(&loader, facts.expect("facts"));
    let (mut run, mut refused, mut differ) = (0, 0, Vec::new());
    for program in programs(&folder) {
        let faults = host.faults_of_file("machida", &program);
        let mut command = Command::new(&loader);
        command.args(["--inhibit-cache", "--library-path", folder.join("lib").as_str(), program.as_str()]);
        let said = command.output().expect("the loader");
        match said.status.success() {
            true => run += 1,
            false => refused += 1,
        }
        if said.status.success() != faults.is_empty() {
            differ.push(format!("{program}: {faults:?}, but the loader: {}", String::from_utf8_lossy(&said.stderr)));
        }
    }
    assert!(differ.is_empty(), "{differ:#?}");
    assert!(run >= 15 && refused >= 8, "{run} run, {refused} are refused");
}

#[test]
fn the_command_reads_a_base_and_gives_the_same_bytes_again() {
    let Some(bench) = Bench::new() else { return };
    let read = || {
        let ended = bench.manage(&["system-facts", "--image", bench.base.as_str()]);
        let path = bench.root.canonicalize_utf8().expect("a path").join(".release/ami/systems/debian-13.toml");
        assert_eq!((ended.code, ended.stdout.trim_end()), (Some(0), path.as_str()), "{ended}");
        std::fs::read_to_string(path).expect("a file")
    };
    let text = read();
    assert_eq!(read(), text);
    let facts = Facts::parse(&text).expect("facts");
    let versions = facts.library("libstdc++.so.6", &[]).expect("a library");
    assert!(facts.read && versions.iter().any(|version| version == "GLIBCXX_3.4.30"), "{versions:?}");
    // What the disk can't say about packages is as the checkout has it.
    assert!(facts.library("libsnappy.so.1", &["libsnappy1v5".to_owned()]).is_some());
}
