//! The whole job on every Debian that the recipe describes.

use std::{
    fs::File,
    io::Write as _,
    time::{Duration, Instant, SystemTime},
};

use serde_json::Value;

use crate::{
    bench::Bench,
    running::Running,
    support::{recipe, write},
};

/// What provisioning finds of the recipe's packages.
enum Packages {
    /// They are in the base, which was made today.
    Newest,
    /// They are in the base, and there may be newer ones.
    Old,
    /// They have to be installed.
    Missing,
}

/// What is tried beside the default: the stable Debian before it, and the next one, whose systemd runs no rc.local.
const TELLING: [(&str, Packages); 2] = [("debian-12", Packages::Old), ("debian-14", Packages::Missing)];

/// The default, which the release of the sample goes through, too.
const DEFAULT: &str = "debian-13";

/// What the others are compared with.
const BESIDE: &str = "debian-12";

/// After which a base is not the newest any more.
const A_WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// The one whose archive is no longer complete: its security updates are listed, and gone.
const ARCHIVED: &str = "debian-11";

/// The name of OpenSSL's package there.
fn libssl(system: &str) -> &'static str {
    match system {
        "debian-11" => "libssl1.1",
        "debian-12" => "libssl3",
        _ => "libssl3t64",
    }
}

/// What the recipe needs for a system.
fn changes(system: &str) -> Vec<(&'static str, &'static str)> {
    // The lists of a suite that is being made, or was archived, may be older than they promise to be.
    let old_lists = ("[local_base]", "[local_base]\ncheck_valid_until = false");
    match system {
        ARCHIVED => vec![
            ("[local_base]", "[local_base]\ncheck_valid_until = false\nsecurity_mirror = \"none\""),
            // Its C library is older than the one that programs are linked with here.
            ("\"resilience=off\"", "\"resilience=off\", \"LDFLAGS=-static\""),
        ],
        "debian-14" => vec![old_lists],
        _ => Vec::new(),
    }
}

fn goes_through(system: &'static str, of_base: &Packages) {
    let changes = changes(system);
    let bench = match of_base {
        Packages::Missing => Bench::bare(Some(system), &changes),
        Packages::Newest | Packages::Old => Bench::of(Some(system), &changes),
    };
    let Some(bench) = bench else { return };
    let mut words = vec!["--private", "--no-reuse-base", "--json"];
    match of_base {
        Packages::Newest => {}
        Packages::Old => {
            let base = File::open(bench.home.path().join("bases").join(bench.base.file_name().expect("a name")));
            base.and_then(|base| base.set_modified(SystemTime::now() - A_WEEK)).expect("a date");
        }
        Packages::Missing => {
            write(&bench.root.join(".release/ami/ami.toml"), recipe(&changes));
            words.extend(["--base-image", bench.base.as_str()]);
        }
    }
    let ended = Running::start(&mut bench.release(&words)).end();
    assert_eq!(ended.code, Some(0), "{system}: {ended}");
    let report: Value = serde_json::from_str(&ended.stdout).expect("nothing but JSON");
    assert_eq!(report["base"]["system"], system);
    assert!(report["packages"][libssl(system)].is_string(), "{system}: {report}");
    let checks = report["verification"]["checks"].as_array().expect("checks");
    let line = format!("  {system}: {}\n", seconds(&report["timings"]));
    std::io::stderr().write_all(line.as_bytes()).expect("printed");
    assert!(checks.len() > 30 && checks.iter().all(|check| check["fault"].is_null()), "{system}: {checks:?}");
}

/// The steps that took a second or more, in the order in which they ended, and when the last one did.
fn seconds(timings: &Value) -> String {
    let timings = timings.as_array().expect("timings");
    let ms = |timing: &Value, key: &str| timing[key].as_u64().expect("milliseconds");
    let long = timings.iter().filter(|timing| ms(timing, "took_ms") >= 1000);
    let steps =
        long.map(|timing| format!("{} {} s, ", timing["step"].as_str().unwrap_or("?"), ms(timing, "took_ms") / 1000));
    let end_ms = timings.iter().map(|timing| ms(timing, "ended_ms")).max().unwrap_or_default();
    format!("{}in all {} s", steps.collect::<String>(), end_ms / 1000)
}

#[test]
fn each_debian_goes_through_the_whole_job() {
    let all = std::env::var_os("EVERY_BASE").is_some_and(|value| !value.is_empty());
    let others = [(DEFAULT, Packages::Newest), (ARCHIVED, Packages::Newest)].into_iter().filter(|_| all);
    for (system, of_base) in TELLING.into_iter().chain(others) {
        goes_through(system, &of_base);
    }
}

#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
#[test]
#[ignore = "cargo xtask bench runs it: it makes a base and an image of each Debian, to compare how long the images take"]
fn each_debian_beside_the_one_before_the_stable_one() {
    for system in [BESIDE, ARCHIVED, DEFAULT, "debian-14"] {
        let Some(bench) = Bench::of(Some(system), &changes(system)) else { return };
        // As if it were made today, so that each has as few packages to upgrade.
        let base = File::open(bench.home.path().join("bases").join(bench.base.file_name().expect("a name")));
        base.and_then(|base| base.set_modified(SystemTime::now())).expect("a date");
        let began = Instant::now();
        let ended = Running::start(&mut bench.release(&["--private", "--no-reuse-base", "--json"])).end();
        let took_secs = began.elapsed().as_secs_f64();
        assert_eq!(ended.code, Some(0), "{system}: {ended}");
        let report: Value = serde_json::from_str(&ended.stdout).expect("nothing but JSON");
        println!("{system}: {}", seconds(&report["timings"]));
        println!("base system={system} took={took_secs:.1}");
    }
}
