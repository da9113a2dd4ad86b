//! What programs need of a base, and the words for what it lacks.

use super::*;

#[path = "../../../tests/kit/patches.rs"]
mod patches;
#[path = "../../../tests/kit/programs.rs"]
mod programs;

use patches::{weakly, without};
use programs::{needing, needing_levels};

const REMEDY: &str = ", or in a container of it (build.container in ami.toml), or choose another base";

#[test]
fn a_version_that_no_library_of_the_base_defines_is_a_fault() {
    let (_guard, folder) = folder();
    for (library, version, system, sentence) in [
        ("libstdc++.so.6", "GLIBCXX_3.4.33", "debian-12", Some("but debian-12 has 3.4.30")),
        ("libstdc++.so.6", "CXXABI_1.3.99", "debian-12", Some("but debian-12 has 1.3.13")),
        ("libssl.so.3", "OPENSSL_3.2.0", "debian-12", Some("but debian-12 has 3.0.")),
        ("libz.so.1", "ZLIB_1.2.99", "debian-12", Some("but debian-12 has 1.2.12")),
        ("libz.so.1", "NEW_1.0", "debian-12", Some("but that of debian-12 does not define it")),
        ("libc.so.6", "GLIBC_2.99", "debian-12", Some("but debian-12 has 2.36")),
        ("libm.so.6", "GLIBC_2.99", "debian-12", Some("but debian-12 has 2.35")),
        ("libc.so.6", "GLIBC_ABI_NEWS", "debian-12", Some("but debian-12 has 2.36")),
        ("libstdc++.so.6", "GLIBCXX_3.4.30", "debian-12", None),
        ("libssl.so.3", "OPENSSL_3.0.0", "debian-12", None),
        ("libc.so.6", "GLIBC_2.4", "debian-12", None),
        ("libc.so.6", "GLIBC_PRIVATE", "debian-12", None),
        ("libc.so.6", "GLIBC_ABI_DT_RELR", "debian-12", None),
        ("libc.so.6", "GLIBC_2.24", "ubuntu-16.04", Some("but ubuntu-16.04 has 2.23")),
        ("libc.so.6", "GLIBC_ABI_DT_RELR", "ubuntu-16.04", Some("but ubuntu-16.04 has 2.23")),
        ("libstdc++.so.6", "GLIBCXX_3.4.22", "ubuntu-16.04", Some("but ubuntu-16.04 has 3.4.21")),
        ("libstdc++.so.6", "GLIBCXX_3.4.9", "ubuntu-16.04", None),
        ("libc.so.6", "GLIBC_2.4", "ubuntu-16.04", None),
        // No list of its versions is known for this system.
        ("libcrypto.so.1.0.0", "OPENSSL_1.0.2g", "ubuntu-16.04", None),
    ] {
        let built = needing(&folder, "machida", library, Some(version));
        let complaints: Vec<String> =
            complaints(&built, system).into_iter().filter(|it| it.contains(version)).collect();
        match sentence {
            None => assert_eq!(complaints, Vec::<String>::new()),
            Some(sentence) => {
                let words = format!("machida needs {version} of {library}, {sentence}");
                let is_said =
                    |it: &String| it.starts_with(&words) && it.ends_with(&format!("build on {system}{REMEDY}"));
                assert!(complaints.len() == 1 && is_said(&complaints[0]), "{words}: {complaints:?}");
            }
        }
    }
}

#[test]
fn the_newest_version_of_each_family_is_told_and_a_weak_one_is_not_needed() {
    let (_guard, folder) = folder();
    let newest = needing(&folder, "newest", "libstdc++.so.6", Some("GLIBCXX_3.4.33"));
    let mut elf = inspect(&newest).expect("a program");
    let more =
        |name: &str| NeededVersion { name: name.to_owned(), library: "libstdc++.so.6".to_owned(), is_weak: false };
    elf.versions.extend(["GLIBCXX_3.4.100", "GLIBCXX_3.4.31", "CXXABI_1.3.15", "CXXABI_1.3.14"].map(more));
    let complaints = host("debian-12").faults("machida", &elf);
    let told = |version: &str| complaints.iter().filter(|it| it.contains(&format!("needs {version} of"))).count();
    assert_eq!((complaints.len(), told("GLIBCXX_3.4.100"), told("CXXABI_1.3.15")), (2, 1, 1), "{complaints:?}");

    let weak = weakly(&newest, "GLIBCXX_3.4.33", "weak");
    assert_eq!(super::complaints(&weak, "debian-12"), Vec::<String>::new());
}

#[test]
fn libraries_that_a_base_has_beside_the_usual_ones_are_taken() {
    let (_guard, folder) = folder();
    for library in ["libmvec.so.1", "libanl.so.1", "libcrypt.so.1", "libbz2.so.1.0", "liblzma.so.5", "libuuid.so.1"] {
        let built = needing(&folder, "machida", library, None);
        for (system, described) in &recipe().systems {
            assert!(!described.packages.is_empty());
            let complaints: Vec<String> =
                complaints(&built, system).into_iter().filter(|it| it.contains(library)).collect();
            assert_eq!(complaints, Vec::<String>::new(), "{library} on {system}");
        }
    }
}

#[test]
fn a_library_counts_only_while_the_recipe_has_its_package() {
    let (_guard, folder) = folder();
    let built = needing(&folder, "machida", "libsnappy.so.1", None);
    assert_eq!(complaints(&built, "debian-12"), Vec::<String>::new());
    let mut recipe = recipe();
    recipe.systems.get_mut("debian-12").expect("a system").packages.retain(|package| package.name != "libsnappy");
    let facts = Facts::find(&[facts_folder()], "debian-12").expect("facts");
    let host = Host::new(&recipe, "debian-12", &recipe.systems["debian-12"], facts, true);
    assert_eq!(
        host.faults_of_file("machida", &built),
        ["machida needs libsnappy.so.1, but neither debian-12 nor a package of the recipe has it: add the package \
             libsnappy1v5, which contains it, to ami.toml"]
    );
}

#[test]
fn without_facts_only_what_the_recipe_says_is_checked() {
    let (_guard, folder) = folder();
    let built = needing(&folder, "machida", "libc.so.6", Some("GLIBC_2.99"));
    let recipe = recipe();
    let mut system = recipe.system("debian-12").expect("a system").clone();
    system.packages.clear();
    let host = |system: &_| Host::new(&recipe, "debian-12", system, None, true);
    assert_eq!(host(&system).faults_of_file("machida", &built), Vec::<String>::new());
    assert!(host(&system).ignorance().expect("a warning").contains("system-facts --system debian-12 --image FILE`"));
    (system.glibc, system.libraries) = (Some("2.3".to_owned()), vec!["libm.so.6".to_owned()]);
    let complaints = host(&system).faults_of_file("machida", &built);
    assert!(host(&system).ignorance().is_none() && complaints.len() == 2, "{complaints:?}");
    assert!(complaints[0].contains("but debian-12 has 2.3: ") && complaints[1].contains("needs libc.so.6, but"));
}

#[test]
fn a_level_of_x86_64_that_the_target_cpu_or_the_instance_type_lacks_is_a_fault() {
    let (_guard, folder) = folder();
    for (levels, cpu, instance_type, sentences) in [
        (0b0100, "sandybridge", "m5.large", &["a CPU of x86-64-v3, but target_cpu sandybridge is x86-64-v2: "][..]),
        (0b1000, "haswell", "m5.large", &["a CPU of x86-64-v4, but target_cpu haswell is x86-64-v3: "]),
        (0b1100, "skylake-avx512", "m5a.large", &["x86-64-v4, but the instance type m5a.large is x86-64-v3: "]),
        (0b1000, "nehalem", "m4.large", &["but target_cpu nehalem is", "but the instance type m4.large is"]),
        (0b0010, "sandybridge", "m3.large", &[]),
        (0b0100, "haswell", "m5.large", &[]),
        (0b1000, "native", "m5.large", &[]),
    ] {
        let built = needing_levels(&folder, "machida", levels);
        let mut recipe = recipe();
        cpu.clone_into(&mut recipe.build.target_cpu);
        instance_type.clone_into(&mut recipe.instance.instance_type);
        let facts = Facts::find(&[facts_folder()], "debian-12").expect("facts");
        let host = Host::new(&recipe, "debian-12", &recipe.systems["debian-12"], facts, false);
        let complaints = host.faults_of_file("machida", &built);
        assert_eq!(complaints.len(), sentences.len(), "{complaints:?}");
        let told = |(complaint, sentence): (&String, &&str)| {
            complaint.starts_with("machida needs ") && complaint.contains(*sentence)
        };
        assert!(complaints.iter().zip(sentences).all(told), "{complaints:?}");
    }
}

#[test]
fn packed_relocations_need_a_glibc_that_reads_them_and_their_mark() {
    let (_guard, folder) = folder();
    let source = "int a; int *b = &a; int main(void) { return *b; }\n";
    let built = gcc(&folder, "machida", source, &["-Wl,-z,pack-relative-relocs", "-pie", "-fPIE"]);
    assert!(inspect(&built).expect("a program").packed_relocations);
    assert_eq!(complaints(&built, "debian-12"), Vec::<String>::new());
    let all = complaints(&built, "ubuntu-16.04");
    assert!(all[0].starts_with("machida needs GLIBC_ABI_DT_RELR of libc.so.6, but ubuntu-16.04 has 2.23: "), "{all:?}");
    let bare = without(&built, "GLIBC_ABI_DT_RELR", "GLIBC_2.2.5", "bare");
    assert!(complaint(&bare).contains("(DT_RELR) without the version GLIBC_ABI_DT_RELR, so glibc does not load it"));
    let old = complaints(&bare, "ubuntu-16.04");
    assert!(old.iter().any(|it| it.contains("which need glibc 2.36, but ubuntu-16.04 is older")), "{old:?}");
}

#[test]
fn the_machine_is_the_bases_own() {
    let (_guard, folder) = folder();
    let built = gcc(&folder, "machida", MAIN, &[]);
    let (recipe, mut facts) = (recipe(), Facts::find(&[facts_folder()], "debian-12").expect("facts").expect("facts"));
    facts.machine = Target::AARCH64.to_string();
    facts.interpreter = "/lib/ld-linux-aarch64.so.1".to_owned();
    let host = |facts: Facts| Host::new(&recipe, "debian-12", &recipe.systems["debian-12"], Some(facts), true);
    let complaints = host(facts).faults_of_file("machida", &built);
    assert_eq!(complaints, ["machida is compiled for 64-bit x86-64, but debian-12 is 64-bit ARM: compile it for that"]);
}
