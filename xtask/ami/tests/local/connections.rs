//! The connection to a machine breaks while scripts run on it: each goes on, and is followed on.

use std::time::Duration;

use crate::{
    bench::Bench,
    running::Running,
    support::{files, workspace},
};

/// How long the whole may take under emulation, the outage included.
const PATIENCE: Duration = Duration::from_secs(1200);

/// A script of sh with two ways to break connections: `offline` lets nothing reach the machine for longer than a silent
/// connection is kept, and `cut` ends all SSH sessions of it, from a process that is none.
const CUT: &str = r#"offline() {
    for device in /sys/class/net/*; do
        [ ! -e "$device/device" ] || link=${device##*/}
    done
    ip link set "$link" down
    sleep 90
    ip link set "$link" up
}
cut() {
    for process in /proc/[0-9]*; do
        case $(tr '\0' ' ' < "$process/cmdline" 2> /dev/null) in
        "sshd: "*"[priv]"* | "sshd: "*@*) kill -9 "${process#/proc/}" || true ;;
        esac
    done
}
"#;

/// Each part fails if it runs twice.
const PROVISION: &str = r#"
mkdir "/run/ran-$1"
case $1 in
prepare) offline ;;
install)
    cut
    cp -r "$2/root/." / && rm -r "$2"
    ;;
esac
"#;

#[test]
fn a_connection_that_breaks_in_every_script_costs_no_step() {
    let Some(bench) = Bench::quick() else { return };
    bench.script("provision.sh", &format!("set -e\n{CUT}{PROVISION}"));
    let seal = std::fs::read_to_string(workspace().join(".release/ami/seal.sh")).expect("seal.sh");
    let (seal, _) = seal.rsplit_once("exit\n").expect("its end");
    // After it no login is possible: its exit status comes over the console.
    bench.script("seal.sh", &format!("{seal}{CUT}cut\n"));
    bench.script("check.sh", &format!("{CUT}echo ok before\ncut\noffline\necho ok after\necho checked 2\n"));
    let ended = Running::start(&mut bench.release(&[])).end_within(PATIENCE);
    assert_eq!(ended.code, Some(0), "{ended}");
    for whats in [
        // They go side by side, and what notices first logs in again for both.
        &["preparing the instance (", "uploading "][..],
        &["installing the payload ("],
        &["sealing ("],
        &["checking the image ("],
    ] {
        let is_lost = |line: &&str| line.contains("logging in again") && whats.iter().any(|what| line.contains(what));
        assert!(ended.stderr.lines().any(|line| is_lost(&line)), "{whats:?} was not interrupted: {ended}");
    }
    let journal = bench.journal("done");
    let logins = journal.iter().filter(|line| line["event"] == "done" && line["step"].to_string().contains("login"));
    assert_eq!(logins.count(), 2, "{journal:?}");
    assert!(!files(&bench.home.path().join("images")).is_empty());
}
