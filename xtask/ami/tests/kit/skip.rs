//! Tests that cannot be made on this computer.

/// Whether the test can't be made because of what `lacks` on this computer. It says so; where that is not read, on a CI
/// server, that is a failure.
pub fn skipped(lacks: Option<&str>) -> bool {
    let Some(lacks) = lacks else { return false };
    assert!(std::env::var_os("CI").is_none(), "CI is set, so nothing may be skipped, and this computer lacks {lacks}");
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    // Not with eprintln!, which the test harness keeps to itself when a test passes.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("skipped: {name}: no {lacks}\n").as_bytes());
    true
}

/// The first of these programs that isn't on this computer.
pub fn missing<'a>(programs: &[&'a str]) -> Option<&'a str> {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let is_there = |program: &&str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    programs.iter().copied().find(|program| !is_there(program))
}
