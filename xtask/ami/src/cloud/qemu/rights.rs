//! What this computer lets this user do, tried before a base is made: to mount file systems, and to run the base's programs.

use std::{io::Write as _, os::unix::fs::PermissionsExt as _, path::Path, process::Stdio, time::Duration};

use nix::sys::signal::Signal;

use super::{
    accelerator::{GUEST, this_architecture},
    programs,
};
use crate::ground::{finding::Finding, process};

const TRY: &str = include_str!("rights.sh");

/// The timeout of each try, which takes milliseconds.
const TRY_LIMIT: Duration = Duration::from_secs(20);

/// The other way to get a base.
const OTHERWISE: &str = "or give a disk image with --base-image FILE";

/// A program for Linux on x86-64 that exits with 0: an ELF header, one segment, and the system call.
const PROGRAM: [u8; 132] = program();

const fn program() -> [u8; 132] {
    let header: &[u8] =
        b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0\x78\0\x40\0\0\0\0\0\x40\0\0\0\0\0\0\0\
        \0\0\0\0\0\0\0\0\0\0\0\0\x40\0\x38\0\x01\0\0\0\0\0\0\0\
        \x01\0\0\0\x05\0\0\0\0\0\0\0\0\0\0\0\0\0\x40\0\0\0\0\0\0\0\x40\0\0\0\0\0\x84\0\0\0\0\0\0\0\x84\0\0\0\0\0\0\0\
        \0\x10\0\0\0\0\0\0\
        \xbf\0\0\0\0\xb8\x3c\0\0\0\x0f\x05";
    let mut program = [0; 132];
    let mut at = 0;
    while at < header.len() {
        program[at] = header[at];
        at += 1;
    }
    program
}

/// What keeps this user from making a base on this computer. The programs that it takes must be installed.
pub async fn findings() -> Vec<Finding> {
    let mut findings = Vec::new();
    let begin: &[&str] = if nix::unistd::geteuid().is_root() {
        &["unshare", "--mount", "--propagation", "private", "--"]
    } else {
        // With subordinate ids, as mmdebstrap itself.
        &["mmdebstrap", "--unshare-helper"]
    };
    findings.extend(mount_finding(begin).await);
    findings.extend(run_finding(&PROGRAM).await);
    findings
}

/// Mounts file systems in a namespace that the command `begin` starts.
async fn mount_finding(begin: &[&str]) -> Option<Finding> {
    let mut command = process::command("sh", Signal::SIGKILL);
    command.args(["-c", TRY, "sh"]).args(begin).env("PATH", programs::search_path()).env("LC_ALL", "C");
    command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(TRY_LIMIT, command.output()).await;
    // What can't be tried is left to the making of the base.
    let Ok(Ok(output)) = output else { return None };
    if output.status.success() {
        return None;
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    let (reason, remedy) = printed.trim_end().split_once('\n')?;
    Some(Finding {
        problem: format!("a base cannot be made: {}", reason.trim()),
        remedy: format!("{}, {OTHERWISE}", remedy.trim()),
    })
}

/// Runs a program of the base's architecture.
async fn run_finding(program: &[u8]) -> Option<Finding> {
    let folder = tempfile::tempdir().ok()?;
    let path = folder.path().join("program");
    write_program(&path, program).ok()?;
    let status = loop {
        let mut command = process::command(&path, Signal::SIGKILL);
        command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        match tokio::time::timeout(TRY_LIMIT, command.status()).await.ok()? {
            // Another thread has begun a process while the file was open for writing, and that process has it for a moment.
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => tokio::task::yield_now().await,
            status => break status,
        }
    };
    match status {
        Ok(status) if status.success() => return None,
        Err(error) if error.raw_os_error() != Some(nix::errno::Errno::ENOEXEC as i32) => return None,
        _ => {}
    }
    let arch = this_architecture();
    Some(Finding {
        problem: format!(
            "a base cannot be made: its programs are for {GUEST}, and this computer ({arch}) does not run them"
        ),
        remedy: format!("sudo apt-get install qemu-user-static binfmt-support, {OTHERWISE}"),
    })
}

fn write_program(path: &Path, program: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::File::create(path)?;
    file.write_all(program)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{missing, skipped};

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
    }

    /// The command that begins a namespace as mmdebstrap does for a user, within a namespace of root without rights.
    const NAMESPACE: [&str; 7] = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--"];

    fn may_make_namespaces() -> bool {
        let output = std::process::Command::new(NAMESPACE[0]).args(&NAMESPACE[1..]).arg("true").output();
        output.is_ok_and(|output| output.status.success())
    }

    #[test]
    fn a_root_without_rights_is_told_before_a_base_is_made() {
        // It is about root: for another user there is nothing to try.
        if !nix::unistd::geteuid().is_root() || skipped(missing(&["setpriv"])) {
            return;
        }
        let mount = ["unshare", "--mount", "--propagation", "private", "--"];
        let dropped = [&["setpriv", "--bounding-set", "-sys_admin"][..], &mount].concat();
        let finding = run(mount_finding(&dropped)).expect("a finding");
        assert!(finding.problem.starts_with("a base cannot be made: root may not mount file systems"), "{finding:?}");
        assert!(finding.problem.contains("Operation not permitted"), "{finding:?}");
        assert!(!finding.problem.contains("dmesg"), "{finding:?}");
        assert!(finding.remedy.contains("--privileged") && finding.remedy.contains("--base-image"), "{finding:?}");
        if !skipped((!may_make_namespaces()).then_some("right to make namespaces")) {
            assert_eq!(run(mount_finding(&mount)), None);
        }
    }

    #[test]
    fn a_kernel_without_user_namespaces_is_told_with_the_setting() {
        if skipped((!may_make_namespaces()).then_some("right to make namespaces")) {
            return;
        }
        // The limit holds for this namespace and those in it.
        let limited = "echo 0 > /proc/sys/user/max_user_namespaces && exec sh -c \"$TRY\" sh \
                       unshare --user --map-root-user --mount --pid --fork --";
        let mut command = std::process::Command::new("unshare");
        command.args(["--user", "--map-root-user", "sh", "-c", limited]).env("TRY", TRY);
        let output = command.output().expect("unshare");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success());
        let lines: Vec<&str> = printed.lines().collect();
        assert!(lines[0].ends_with("user.max_user_namespaces is 0"), "{printed}");
        assert_eq!(lines[1..], ["sudo sysctl -w user.max_user_namespaces=15000"]);
    }

    #[test]
    fn a_program_of_another_architecture_is_told_with_the_package() {
        // The same program for a machine that no kernel knows.
        let mut other = PROGRAM;
        other[18..20].copy_from_slice(&[0xfe, 0xfe]);
        let finding = run(run_finding(&other)).expect("a finding");
        assert!(finding.problem.contains("its programs are for x86_64"), "{finding:?}");
        assert!(finding.remedy.contains("qemu-user-static"), "{finding:?}");
        if this_architecture() == GUEST {
            assert_eq!(run(run_finding(&PROGRAM)), None);
        }
    }
}
