//! A root folder that a script takes for the whole machine, in a mount namespace that ends with the script.

use std::{io::Write as _, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;
use xtask_ami::ask::scripts::Scripts;

/// Binds what a script needs of this computer, and runs the script in the root as root.
const ENTER: &str = r#"set -e
root=$1 script=$2
shift 2
for place in proc sys dev usr/bin usr/sbin usr/lib usr/lib64 usr/libexec; do
    [ "$place" != sys ] || [ ! -e "$root/sys" ] || continue
    [ ! -e "/$place" ] || { mkdir -p "$root/$place" && mount --rbind "/$place" "$root/$place"; }
done
[ ! -e "$root/stat" ] || mount --bind "$root/stat" "$root/proc/stat"
while read -r file; do
    mount --bind "$root$file" "$root$file" && mount -o remount,bind,ro "$root$file"
done < "$root/read-only"
# No script may reach this computer's own file systems through the kernel.
[ ! -e /proc/sysrq-trigger ] || mount --bind /dev/null "$root/proc/sysrq-trigger"
mkdir -p "$root/etc/alternatives" "$root/run/script"
ln -sf "$(readlink -f "$(command -v awk)")" "$root/etc/alternatives/awk"
cat "$script" > "$root/run/script/text"
exec chroot "$root" /usr/bin/env -i /bin/bash /run/script/text "$@"
"#;

/// sshd, as far as seal.sh asks it.
const SSHD: &str =
    "#!/bin/sh\necho hostkey /etc/ssh/ssh_host_ed25519_key\necho authorizedkeysfile .ssh/authorized_keys\n";

/// A root folder.
pub struct Root {
    path: Utf8PathBuf,
    _guard: TempDir,
}

/// How a script ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Root {
    /// What every machine has. None where this user may not make mount namespaces.
    pub fn new() -> Option<Root> {
        let may = namespace().arg("true").output().is_ok_and(|output| output.status.success());
        if !may {
            assert!(std::env::var_os("CI").is_none(), "this computer permits no mount namespaces");
            // Directly to stderr: the test harness shows the output of eprintln only for failed tests.
            let _ = writeln!(std::io::stderr(), "skipped: this computer permits no mount namespaces");
            return None;
        }
        let guard = tempfile::tempdir().expect("a folder");
        let path = Utf8Path::from_path(guard.path()).expect("a path in UTF-8").to_owned();
        for folder in ["usr/local/sbin", "run", "tmp", "root", "home/debian", "var/log", "var/lib/dpkg/info"] {
            std::fs::create_dir_all(path.join(folder)).expect("a folder");
        }
        for name in ["bin", "sbin", "lib", "lib64"] {
            std::os::unix::fs::symlink(Path::new("usr").join(name), path.join(name)).expect("a link");
        }
        let root = Root { path, _guard: guard };
        root.write("/read-only", "");
        root.write("/etc/shadow", "root:*:19000:0:99999:7:::\n");
        root.write("/etc/ssh/sshd_config", "Include /etc/ssh/sshd_config.d/*.conf\n");
        root.write("/etc/ssh/sshd_config.d/README", "none\n");
        root.write(
            "/etc/ssh/ssh_host_ed25519_key.pub",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHostHostHost root@host\n",
        );
        root.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        root.write("/var/lib/dpkg/status", "");
        root.program("sshd", SSHD);
        Some(root)
    }

    /// The same with a /sys that only has what the test writes there.
    pub fn with_own_sys() -> Option<Root> {
        let root = Root::new()?;
        root.write("/sys/kernel/x", "");
        Some(root)
    }

    /// From now on scripts can't write to a file.
    pub fn read_only(&self, path: &str) {
        self.write("/read-only", format!("{path}\n"));
    }

    /// Writes a program to where it is found first.
    pub fn program(&self, name: &str, text: &str) {
        let path = path_in(&self.path, "/usr/local/sbin").join(name);
        std::fs::write(&path, text).expect("a program");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    }

    /// Writes a file.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = path_in(&self.path, path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    /// Makes a link.
    pub fn link(&self, path: &str, target: &str) {
        let path = path_in(&self.path, path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::os::unix::fs::symlink(target, path).expect("a link");
    }

    /// The folder itself.
    pub fn folder(&self) -> &Utf8Path {
        &self.path
    }

    /// The text of a file; none if it isn't there.
    pub fn read(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(path_in(&self.path, path)).ok()
    }

    /// The length of a file in bytes; 0 if it isn't there.
    pub fn length(&self, path: &str) -> u64 {
        path_in(&self.path, path).metadata().map_or(0, |metadata| metadata.len())
    }

    /// From now on the machine has booted after all files were written.
    pub fn reboot(&self) {
        self.write("/stat", "cpu 0\nbtime 2100000000\n");
    }

    /// Runs a script of `.release/ami`.
    pub fn run(&self, script: &str, words: &[&str]) -> Ended {
        let scripts = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.release/ami");
        // As the tool sends it to machines.
        let all = Scripts::found(|name| scripts.join(name));
        let text = all.text(&scripts.join(script)).expect("a script");
        self.write("/run/sent", text);
        self.run_file(&path_in(&self.path, "/run/sent"), words)
    }

    /// Runs a script that lies in the root.
    pub fn run_own(&self, path: &str) -> Ended {
        self.run_file(&path_in(&self.path, path), &[])
    }

    fn run_file(&self, script: &Utf8Path, words: &[&str]) -> Ended {
        let mut command = namespace();
        command.args(["sh", "-c", ENTER, "sh", self.path.as_str(), script.as_str()]).args(words);
        let output = command.output().expect("unshare");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

fn path_in(root: &Utf8Path, path: &str) -> Utf8PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn namespace() -> Command {
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "--propagation", "private", "--"]);
    command
}
