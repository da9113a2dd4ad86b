use std::{cell::Cell, time::Duration};

use super::*;
use crate::fixture::{folder, gcc, recipe, sha256_file, write};

/// Makes what the shipped recipe wants, of one C file each; `make` prints the variables that it got.
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
        Checkout { _guard: guard, root, folder, recipe: recipe(), system_name: "debian-12" }
    }

    /// Only machida is built.
    fn alone() -> Checkout {
        let mut checkout = Checkout::new();
        checkout.recipe.binaries.truncate(1);
        checkout
    }

    fn job(&self) -> Job<'_> {
        Job {
            recipe: &self.recipe,
            root: &self.root,
            system_name: self.system_name,
            system: self.recipe.system(self.system_name).expect("a system"),
            folder: &self.folder,
        }
    }

    fn build(&self, clean: bool) -> Result<Vec<Built>> {
        block_on(build(&self.job(), clean, &crate::fixture::events()))
    }

    fn as_they_lie(&self) -> Result<Vec<Built>> {
        block_on(inspect_as_they_lie(&self.job(), &crate::fixture::events()))
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
    assert_eq!(checkout.as_they_lie().expect("binaries"), built);
}

#[test]
fn make_gets_the_variables_and_nothing_of_cargos() {
    let checkout = Checkout::alone();
    checkout.build(true).expect("binaries");
    let log = checkout.log();
    assert!(log.contains("target_cpu=sandybridge resilience=off origin=command line level=0"), "{log}");
    for foreign in ["CARGO=", "CARGO_PKG_NAME=", "CARGO_MANIFEST_DIR="] {
        assert!(std::env::var_os(foreign.trim_end_matches('=')).is_some(), "cargo no longer sets {foreign}");
        assert!(!log.lines().any(|line| line.starts_with(foreign)), "{foreign} {log}");
    }
    assert!(is_foreign("MAKEFLAGS") && is_foreign("MFLAGS") && is_foreign("RUSTUP_TOOLCHAIN"));
    assert!(!is_foreign("CARGO_HOME") && !is_foreign("RUSTFLAGS") && !is_foreign("PATH"));
}

#[test]
fn a_binarys_own_variables_come_last() {
    let mut checkout = Checkout::alone();
    checkout.recipe.binaries[0].variables.push("resilience=on".to_owned());
    checkout.build(true).expect("binaries");
    assert!(checkout.log().contains("target_cpu=sandybridge resilience=on"), "{}", checkout.log());
}

#[test]
fn make_runs_through_the_container() {
    let mut checkout = Checkout::alone();
    checkout.recipe.build.container = sh("echo in \"$0\": \"$@\"; exec \"$@\"");
    checkout.recipe.build.container.push("{root}/here".to_owned());
    checkout.build(false).expect("binaries");
    let said = format!("in {}/here: make build-machida target_cpu=sandybridge", checkout.root);
    assert!(checkout.log().contains(&said), "{}", checkout.log());
}

#[test]
fn clean_goes_first_and_only_when_asked() {
    let checkout = Checkout::alone();
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
    let checkout = Checkout::alone();
    write(&checkout.root.join("machida/main.c"), "int main(void) { return nothing; }\n");
    let error = checkout.complaint();
    let command = format!("`make build-machida target_cpu=sandybridge resilience=off` in {}", checkout.root);
    for word in ["building machida", &command, "exit status: 2", "undeclared", "make-machida.log"] {
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[test]
fn make_that_ends_well_without_the_binary_is_an_error() {
    let checkout = Checkout::alone();
    write(&checkout.root.join("Makefile"), "build-machida clean-machida:\n\t@mkdir -p machida/build\n");
    let error = checkout.complaint();
    assert!(
        error.contains("ended well, but the file ") && error.contains("machida/build/machida isn't there"),
        "{error}"
    );
    write(&checkout.root.join("Makefile"), "build-machida clean-machida:\n\t@mkdir -p machida/build/machida\n");
    assert!(checkout.complaint().contains("machida/build/machida isn't there"), "a folder is not a binary");
}

#[test]
fn a_file_that_was_left_from_before_does_not_pass_as_built() {
    let checkout = Checkout::alone();
    checkout.build(true).expect("binaries");
    write(&checkout.root.join("Makefile"), "build-machida clean-machida:\n\t@true\n");
    let error = checkout.complaint();
    assert!(error.contains("left ") && error.contains("machida/build/machida as it was before"), "{error}");
    checkout.build(false).expect("an old binary is fine where make says that it is up to date");
}

/// What a program prints that was written just now. As long as another test starts a program, that one may hold it open
/// for writing (ETXTBSY).
fn run(program: &Utf8Path) -> Vec<u8> {
    for _ in 0..1000 {
        match std::process::Command::new(program).output() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
            output => return output.expect("an answer").stdout,
        }
    }
    panic!("{program} is busy for ever");
}

#[test]
fn variants_with_one_result_are_told_apart() {
    let mut checkout = Checkout::alone();
    write(&checkout.root.join("machida/main.c"), "#include <stdio.h>\nint main(void) { puts(VARIANT); return 0; }\n");
    let mut variant = checkout.recipe.binaries[0].clone();
    variant.name = "machida-resilience".to_owned();
    variant.variables = vec!["variant=resilience".to_owned()];
    checkout.recipe.binaries.push(variant);
    // Not even a build that goes on with what is there may take one for the other.
    for _ in 0..2 {
        let built = checkout.build(false).expect("binaries");
        let said = |binary: &Built| run(&binary.path);
        assert_eq!((said(&built[0]), said(&built[1])), (b"\n".to_vec(), b"resilience\n".to_vec()));
    }
    let error = checkout.as_they_lie().expect_err("one file for two").to_string();
    assert!(error.contains("machida-resilience: machida/build/machida is not the only binary"), "{error}");
}

#[test]
fn all_that_cannot_run_is_said_together_after_the_last_is_built() {
    let mut checkout = Checkout::new();
    write(&checkout.root.join("machida/main.c"), MAIN);
    write(&checkout.root.join("Makefile"), MAKEFILE.replace("gcc -o $@", "gcc -c -o $@"));
    checkout.recipe.binaries[1].make = vec!["script".to_owned()];
    let script = "\nscript:\n\tprintf '#!/bin/sh\\n' > utils/cluster_shutdown/cluster_shutdown\n";
    write(&checkout.root.join("Makefile"), MAKEFILE.replace("gcc -o $@", "gcc -c -o $@") + script);
    let error = checkout.complaint();
    assert_eq!(
        error,
        "the binaries can't run on debian-12:\n  machida is an object file that was not linked, not a program\n  \
         cluster_shutdown is a script (`#!/bin/sh`), not a compiled program"
    );
    assert!(checkout.folder.join("binaries/sender").is_file(), "the others were not built");
    assert_eq!(checkout.as_they_lie().expect_err("the same").to_string(), error);
}

#[test]
fn without_a_build_all_that_is_missing_is_named() {
    let checkout = Checkout::new();
    let built = gcc(&checkout.root, "any", MAIN, &[]);
    std::fs::rename(built, checkout.root.join("utils/data_receiver/data_receiver")).expect("a binary");
    let error = checkout.as_they_lie().expect_err("three missing").to_string();
    for word in [
        "machida: machida/build/machida isn't there; `make build-machida target_cpu=sandybridge resilience=off` builds",
        "cluster_shutdown: utils/",
        "sender: giles/sender/sender isn't there; `make -C giles/sender target_cpu",
        "leave --skip-build out",
    ] {
        assert!(error.contains(word), "{word}: {error}");
    }
    assert!(!error.contains("data_receiver"), "{error}");
}

#[test]
fn a_build_that_is_given_up_ends_make() {
    let checkout = Checkout::alone();
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
            built = build(&job, false, &events) => panic!("{built:?}"),
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
fn builds_take_turns_in_a_checkout() {
    let checkout = Checkout::alone();
    // It fails where another one makes at the same time.
    let lines = ["mkdir turn", "mkdir -p machida/build", "gcc -o machida/build/machida machida/main.c", "rmdir turn"];
    let lines: String = lines.iter().map(|line| format!("\t{line}\n")).collect();
    write(&checkout.root.join("Makefile"), format!("build-machida:\n{lines}\nclean-machida:\n"));
    let (job, events) = (checkout.job(), crate::fixture::events());
    let other = Job { folder: &checkout.root.with_file_name("other"), ..checkout.job() };
    block_on(async {
        let (first, second, third) = tokio::join!(
            build(&job, false, &events),
            build(&other, false, &events),
            // What it takes may be half there in another one's turn.
            async {
                while !checkout.root.join("turn").exists() && !checkout.root.join("machida/build/machida").exists() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                inspect_as_they_lie(&job, &events).await
            }
        );
        let built = [first, second, third].map(|built| built.expect("a turn")[0].sha256.clone());
        assert!(built.iter().all(|sum| *sum == built[0]), "{built:?}");
    });
}

#[test]
fn a_missing_program_is_named_with_what_installs_it() {
    let (_guard, folder) = folder();
    let mut recipe = recipe();
    let missing = |recipe: &Recipe| missing_program_in(recipe, folder.as_os_str());
    assert!(missing(&recipe).expect("no make").remedy.contains("sudo apt-get install make"));
    write(&folder.join("make"), "not executable");
    assert!(missing(&recipe).is_some());
    std::fs::set_permissions(folder.join("make"), std::fs::Permissions::from_mode(0o755)).expect("executable");
    assert_eq!(missing(&recipe), None);
    recipe.build.container = vec!["docker".to_owned(), "run".to_owned()];
    assert!(missing(&recipe).expect("no docker").remedy.contains("build.container in ami.toml"));
    recipe.build.container[0] = "/bin/sh".to_owned();
    assert_eq!(missing(&recipe), None);
}
