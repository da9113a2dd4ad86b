use std::{cell::Cell, time::Duration};

use super::*;
use crate::fixture::{folder, gcc, host, recipe, sha256_file, write};

/// Builds the binaries of the shipped recipe from one C file each, and prints make's variables.
const MAKEFILE: &str = "
.PHONY: build-machida clean-machida
build-machida: machida/build/machida
machida/build/machida: machida/main.c
\t@echo \"target_cpu=$(target_cpu) resilience=$(resilience) origin=$(origin target_cpu) level=$(MAKELEVEL)\"
\t@env
\tmkdir -p machida/build && gcc -o $@ -D'VARIANT=\"$(variant)\"' $<
clean-machida:
\trm -rf machida/build
";

const PART: &str = "
NAME = $(notdir $(CURDIR))
$(NAME): main.c
\tgcc -o $@ $<
.PHONY: clean
clean:
\trm -f $(NAME)
";

const MAIN: &str = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n";

struct Checkout {
    _guard: tempfile::TempDir,
    root: Utf8PathBuf,
    folder: Utf8PathBuf,
    recipe: Recipe,
    system_name: &'static str,
    commit_secs: Option<u64>,
}

impl Checkout {
    fn new() -> Checkout {
        let (guard, outer) = folder();
        let root = outer.join("checkout");
        write(&root.join("Makefile"), MAKEFILE);
        write(&root.join("machida/main.c"), MAIN);
        for part in ["utils/cluster_shutdown", "utils/data_receiver", "giles/sender"] {
            write(&root.join(part).join("Makefile"), PART);
            write(&root.join(part).join("main.c"), MAIN);
        }
        let folder = outer.join("build");
        Checkout { _guard: guard, root, folder, recipe: recipe(), system_name: "debian-12", commit_secs: None }
    }

    /// A recipe with machida only.
    fn machida_only() -> Checkout {
        let mut checkout = Checkout::new();
        checkout.recipe.binaries.truncate(1);
        checkout
    }

    fn job(&self) -> Job<'_> {
        Job { recipe: &self.recipe, root: &self.root, folder: &self.folder, commit_secs: self.commit_secs }
    }

    fn build(&self, clean: bool) -> Result<Vec<Built>> {
        self.runnable(block_on(build(&self.job(), clean, |_| {}, &crate::fixture::events()))?)
    }

    fn existing(&self) -> Result<Vec<Built>> {
        self.runnable(block_on(copy_existing(&self.job(), |_| {}, &crate::fixture::events()))?)
    }

    fn runnable(&self, built: Vec<Built>) -> Result<Vec<Built>> {
        let host = host(self.system_name);
        let faults: Vec<_> = built.iter().flat_map(|binary| block_on(faults(&host, binary)).expect("an end")).collect();
        refuse(&host, &faults)?;
        Ok(built)
    }

    fn complaint(&self) -> String {
        format!("{:#}", self.build(true).expect_err("a fault"))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("make-machida.log")).expect("a log")
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

fn sh(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(str::to_owned).to_vec()
}

#[test]
fn all_are_built_in_order_and_copied() {
    let checkout = Checkout::new();
    let built = checkout.build(true).expect("binaries");
    let names: Vec<&str> = built.iter().map(|binary| binary.name.as_str()).collect();
    assert_eq!(names, ["machida", "cluster_shutdown", "data_receiver", "sender"]);
    for binary in &built {
        assert_eq!(binary.path, checkout.folder.join("binaries").join(&binary.name));
        let digest = sha256_file(&binary.path);
        assert_eq!((&digest.sha256, digest.size_bytes), (&binary.sha256, binary.size_bytes));
        assert_eq!(std::fs::metadata(&binary.path).expect("a copy").permissions().mode() & 0o7777, 0o755);
    }
    assert_eq!(checkout.existing().expect("binaries"), built);
}

#[test]
fn the_same_commit_gives_the_same_bytes_at_any_time() {
    let mut checkout = Checkout::machida_only();
    // What any build may say of itself.
    write(&checkout.root.join("machida/main.c"), MAIN.replace("hello", "\" __DATE__ \" \" __TIME__ \""));
    let mut built = |commit_secs| {
        checkout.commit_secs = commit_secs;
        checkout.build(true).expect("binaries").remove(0)
    };
    let first = built(Some(1_500_000_000));
    assert_eq!(built(Some(1_500_000_000)).sha256, first.sha256);
    assert_ne!(built(Some(1_600_000_000)).sha256, first.sha256);
    let said = std::process::Command::new(&first.path).output().expect("a program").stdout;
    assert_eq!(String::from_utf8_lossy(&said), "Sep 13 2020 12:26:40\n", "the last one built is at the same path");
}

#[test]
fn make_gets_the_variables_and_none_of_cargos() {
    let checkout = Checkout::machida_only();
    checkout.build(true).expect("binaries");
    let log = checkout.log();
    assert!(log.contains("target_cpu=sandybridge resilience=off origin=command line level=0"), "{log}");
    for foreign in ["CARGO=", "CARGO_PKG_NAME=", "CARGO_MANIFEST_DIR="] {
        assert!(std::env::var_os(foreign.trim_end_matches('=')).is_some(), "cargo does not set {foreign}");
        assert!(!log.lines().any(|line| line.starts_with(foreign)), "{foreign} {log}");
    }
    assert!(is_inherited("MAKEFLAGS") && is_inherited("MFLAGS") && is_inherited("RUSTUP_TOOLCHAIN"));
    assert!(!is_inherited("CARGO_HOME") && !is_inherited("RUSTFLAGS") && !is_inherited("PATH"));
}

#[test]
fn a_binarys_own_variables_come_last() {
    let mut checkout = Checkout::machida_only();
    checkout.recipe.binaries[0].variables.push("resilience=on".to_owned());
    checkout.build(true).expect("binaries");
    assert!(checkout.log().contains("target_cpu=sandybridge resilience=on"), "{}", checkout.log());
}

#[test]
fn make_runs_through_the_container() {
    let mut checkout = Checkout::machida_only();
    let mut words = sh("echo in \"$0\": \"$@\"; exec \"$@\"");
    words.push("{root}/here".to_owned());
    checkout.recipe.build.container = Container::Command(words);
    checkout.build(false).expect("binaries");
    let said = format!("in {}/here: make build-machida target_cpu=sandybridge", checkout.root);
    assert!(checkout.log().contains(&said), "{}", checkout.log());
}

#[test]
fn clean_runs_first_and_only_when_asked() {
    let checkout = Checkout::machida_only();
    checkout.build(false).expect("binaries");
    assert!(!checkout.log().contains("rm -rf"), "{}", checkout.log());
    let log_of_one = checkout.log().len();
    checkout.build(false).expect("binaries");
    assert!(checkout.log()[log_of_one..].contains("is up to date") || checkout.log().contains("Nothing to be done"));
    checkout.build(true).expect("binaries");
    assert!(checkout.log().contains("rm -rf machida/build"), "{}", checkout.log());
}

#[test]
fn a_failing_make_shows_its_last_lines_and_the_command() {
    let checkout = Checkout::machida_only();
    write(&checkout.root.join("machida/main.c"), "int main(void) { return nothing; }\n");
    let error = checkout.complaint();
    let command = format!("`make build-machida target_cpu=sandybridge resilience=off` in {}", checkout.root);
    for word in ["building machida", &command, "exit status: 2", "undeclared", "make-machida.log"] {
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[test]
fn a_successful_make_without_the_binary_is_an_error() {
    let checkout = Checkout::machida_only();
    write(&checkout.root.join("Makefile"), "build-machida clean-machida:\n\t@mkdir -p machida/build\n");
    let error = checkout.complaint();
    assert!(
        error.contains("succeeded, but the file ") && error.contains("machida/build/machida does not exist"),
        "{error}"
    );
    write(&checkout.root.join("Makefile"), "build-machida clean-machida:\n\t@mkdir -p machida/build/machida\n");
    assert!(checkout.complaint().contains("machida/build/machida does not exist"), "a folder is not a binary");
}

#[test]
fn a_file_from_an_earlier_build_does_not_count_as_built() {
    let checkout = Checkout::machida_only();
    checkout.build(true).expect("binaries");
    write(&checkout.root.join("Makefile"), "build-machida clean-machida:\n\t@true\n");
    let error = checkout.complaint();
    assert!(
        error.contains("succeeded, but did not rebuild ") && error.contains("machida/build/machida: correct `clean`"),
        "{error}"
    );
    checkout.build(false).expect("without clean, an up-to-date binary is accepted");
}

/// The output of a program that was just written. While another test starts a program, its child may hold this file open
/// for writing (ETXTBSY).
fn run(program: &Utf8Path) -> Vec<u8> {
    for _ in 0..1000 {
        match std::process::Command::new(program).output() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
            output => return output.expect("an answer").stdout,
        }
    }
    panic!("{program} stays busy");
}

#[test]
fn variants_with_the_same_result_path_are_not_mixed_up() {
    let mut checkout = Checkout::machida_only();
    write(&checkout.root.join("machida/main.c"), "#include <stdio.h>\nint main(void) { puts(VARIANT); return 0; }\n");
    let mut variant = checkout.recipe.binaries[0].clone();
    variant.name = "machida-resilience".to_owned();
    variant.variables = vec!["variant=resilience".to_owned()];
    checkout.recipe.binaries.push(variant);
    // Not even without clean may one be taken for the other.
    for _ in 0..2 {
        let built = checkout.build(false).expect("binaries");
        let said = |binary: &Built| run(&binary.path);
        assert_eq!((said(&built[0]), said(&built[1])), (b"\n".to_vec(), b"resilience\n".to_vec()));
    }
    let error = checkout.existing().expect_err("one file for two binaries").to_string();
    assert!(
        error.contains("machida-resilience: machida/build/machida is the result path of another binary"),
        "{error}"
    );
}

#[test]
fn all_faults_are_reported_together_after_the_last_build() {
    let mut checkout = Checkout::new();
    write(&checkout.root.join("machida/main.c"), MAIN);
    write(&checkout.root.join("Makefile"), MAKEFILE.replace("gcc -o $@", "gcc -c -o $@"));
    checkout.recipe.binaries[1].make = vec!["script".to_owned()];
    let script = "\nscript:\n\tprintf '#!/bin/sh\\n' > utils/cluster_shutdown/cluster_shutdown\n";
    write(&checkout.root.join("Makefile"), MAKEFILE.replace("gcc -o $@", "gcc -c -o $@") + script);
    let error = checkout.complaint();
    assert_eq!(
        error,
        "the binaries cannot run on debian-12:\n  machida is an object file that was not linked, not a program\n  \
         cluster_shutdown is a script (`#!/bin/sh`), not a compiled program"
    );
    assert!(checkout.folder.join("binaries/sender").is_file(), "the others were not built");
    assert_eq!(checkout.existing().expect_err("the same").to_string(), error);
}

#[test]
fn skipping_the_build_names_every_missing_binary() {
    let checkout = Checkout::new();
    let built = gcc(&checkout.root, "any", MAIN, &[]);
    std::fs::rename(built, checkout.root.join("utils/data_receiver/data_receiver")).expect("a binary");
    let error = checkout.existing().expect_err("three missing").to_string();
    for word in [
        "machida: machida/build/machida does not exist; `make build-machida target_cpu=sandybridge resilience=off` builds",
        "cluster_shutdown: utils/",
        "sender: giles/sender/sender does not exist; `make -C giles/sender target_cpu",
        "omit --skip-build",
    ] {
        assert!(error.contains(word), "{word}: {error}");
    }
    assert!(!error.contains("data_receiver"), "{error}");
}

#[test]
fn dropping_a_build_terminates_make() {
    let checkout = Checkout::machida_only();
    write(&checkout.root.join("Makefile"), "build-machida:\n\techo $$$$ > pid; sleep 600\n");
    let pid = checkout.root.join("pid");
    block_on(async {
        let (job, events) = (checkout.job(), crate::fixture::events());
        let started = async {
            while std::fs::read_to_string(&pid).unwrap_or_default().is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            built = build(&job, false, |_| {}, &events) => panic!("{built:?}"),
            () = started => {}
        }
    });
    let pid: i32 = std::fs::read_to_string(&pid).expect("a pid").trim().parse().expect("a number");
    let gone = Cell::new(false);
    for _ in 0..200 {
        gone.set(nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_err());
        if gone.get() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("process {pid} of make still runs");
}

#[test]
fn builds_in_one_checkout_wait_for_each_other() {
    let checkout = Checkout::machida_only();
    // This fails if two makes run at the same time.
    let lines = ["mkdir turn", "mkdir -p machida/build", "gcc -o machida/build/machida machida/main.c", "rmdir turn"];
    let lines: String = lines.iter().map(|line| format!("\t{line}\n")).collect();
    write(&checkout.root.join("Makefile"), format!("build-machida:\n{lines}\nclean-machida:\n"));
    let (job, events) = (checkout.job(), crate::fixture::events());
    let other = Job { folder: &checkout.root.with_file_name("other"), ..checkout.job() };
    block_on(async {
        let (first, second, third) = tokio::join!(
            build(&job, false, |_| {}, &events),
            build(&other, false, |_| {}, &events),
            // While another build runs make, an existing binary may be incomplete.
            async {
                while !checkout.root.join("turn").exists() && !checkout.root.join("machida/build/machida").exists() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                copy_existing(&job, |_| {}, &events).await
            }
        );
        let built = [first, second, third].map(|built| built.expect("a turn")[0].sha256.clone());
        assert!(built.iter().all(|sum| *sum == built[0]), "{built:?}");
    });
}

#[test]
fn a_missing_program_is_reported_with_its_remedy() {
    let (_guard, folder) = folder();
    let mut recipe = recipe();
    let missing = |recipe: &Recipe| missing_program_in(recipe, folder.as_os_str());
    assert!(missing(&recipe).expect("no make").remedy.contains("sudo apt-get install make"));
    write(&folder.join("make"), "not executable");
    assert!(missing(&recipe).is_some());
    std::fs::set_permissions(folder.join("make"), std::fs::Permissions::from_mode(0o755)).expect("executable");
    assert_eq!(missing(&recipe), None);
    recipe.build.container = Container::Command(vec!["docker".to_owned(), "run".to_owned()]);
    assert!(missing(&recipe).expect("no docker").remedy.contains("build.container in ami.toml"));
    recipe.build.container = Container::Command(vec!["/bin/sh".to_owned()]);
    assert_eq!(missing(&recipe), None);
}
