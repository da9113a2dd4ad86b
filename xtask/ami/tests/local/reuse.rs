//! Private images one after another: the second starts from the base that the first one kept.
//!
//! To see how long each takes, on a computer that does nothing else: `cargo xtask bench private`

use std::time::Instant;

use serde_json::Value;

use crate::{
    bench::Bench,
    running::Running,
    support::{recipe, write},
};

/// Makes a private image. Returns its report, how many seconds it took until the result was told, and how many in all.
fn make(bench: &Bench, words: &[&str]) -> (Value, f64) {
    let began = Instant::now();
    let base = ["--base-image", bench.base.as_str()];
    let ended = Running::start(&mut bench.release(&[&["--private", "--json"], &base[..], words].concat())).end();
    let took_secs = began.elapsed().as_secs_f64();
    assert_eq!(ended.code, Some(0), "{ended}");
    bench.home.expect_nothing_runs(&ended);
    (serde_json::from_str(&ended.stdout).expect("nothing but JSON"), took_secs)
}

#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
#[test]
#[ignore = "cargo xtask bench runs it: it makes three images, to compare how long they take"]
fn private_images_one_after_another() {
    // The base of earlier builds, to be compared with them.
    let system = std::env::var_os("OF_DEBIAN_12").map(|_| "debian-12");
    // Of a base without the packages: one that is made with them is not kept once more.
    let Some(bench) = Bench::bare(system, &[]) else { return };
    write(&bench.root.join(".release/ami/ami.toml"), recipe(&[]));
    let load = || std::fs::read_to_string("/proc/loadavg").expect("the load").trim().to_owned();
    let mut times = Vec::new();
    for (what, words) in
        [("without a kept base", &["--no-reuse-base"][..]), ("keeping one", &[]), ("starting from it", &[])]
    {
        let before = load();
        let (report, took_secs) = make(&bench, words);
        println!("{took_secs:>6.1} s {what}, load before {before}");
        for timing in report["timings"].as_array().expect("timings") {
            println!("        {:>8} ms {}", timing["took_ms"], timing["step"]);
        }
        times.push((report, took_secs));
    }
    let [(plain, without), (keeping, first), (reusing, second)] = &times[..] else { panic!("three") };
    println!("private without={without:.1} keeping={first:.1} reusing={second:.1}");
    assert!(plain["reused_base"].is_null() && keeping["reused_base"].is_null());
    assert!(reusing["reused_base"].is_string(), "{reusing}");
    assert_eq!((&reusing["base"], &reusing["packages"]), (&plain["base"], &plain["packages"]));
    let cleaned = bench.manage(&["clean", "--expired"]);
    assert_eq!((cleaned.code, bench.images().len()), (Some(0), 4), "nothing has expired: {cleaned}");
}
