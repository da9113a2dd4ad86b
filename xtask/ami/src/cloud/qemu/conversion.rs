//! Disks that `qemu-img` makes: a machine's own, laid over another, and an image of it.

use std::{io::Read as _, process::Stdio};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use nix::sys::signal::Signal;
use serde::Deserialize;
use tokio::process::Child;

use super::store::Attributes;
use crate::{cloud::ImageState, ground::process};

/// A machine's own disk, in its folder.
pub const DISK: &str = "disk.qcow2";

/// An image in the making.
pub struct Conversion {
    child: Child,
    /// Where the disk is being written.
    pub partial: Utf8PathBuf,
    /// What lies beside the image once it is there.
    pub attributes: Attributes,
    failed: Option<String>,
}

impl Conversion {
    /// Begins to make an image of the disk in a stopped machine's folder.
    ///
    /// # Errors
    /// When `qemu-img` can't be started.
    pub fn start(folder: &Utf8Path, attributes: Attributes) -> Result<Conversion> {
        let partial = folder.join("image.qcow2");
        // Standalone, and compressed at the level that costs less time than writing the bytes it saves.
        let mut command = process::command("qemu-img", Signal::SIGKILL);
        command.args(["convert", "-c", "-m", "2", "-W", "-O", "qcow2", "-o", "compression_type=zstd"]);
        command.arg(folder.join(DISK)).arg(&partial).kill_on_drop(true);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().context("failed to start qemu-img")?;
        Ok(Conversion { child, partial, attributes, failed: None })
    }

    /// How far it is.
    ///
    /// # Errors
    /// When the system can't say.
    pub fn progress(&mut self) -> Result<ImageState> {
        if let Some(reason) = &self.failed {
            return Ok(ImageState::Failed(reason.clone()));
        }
        match self.child.try_wait().context("failed to look at qemu-img")? {
            None => Ok(ImageState::Pending(String::new())),
            Some(ended) if ended.success() => Ok(ImageState::Available),
            Some(ended) => {
                let mut said = Vec::new();
                if let Some(stderr) = self.child.stderr.take() {
                    let stderr = stderr.into_owned_fd().context("failed to read what qemu-img said")?;
                    std::fs::File::from(stderr).read_to_end(&mut said)?;
                }
                // It names files, and those have any bytes.
                let said = String::from_utf8_lossy(&said);
                let reason = format!("qemu-img failed ({ended}): {}", said.trim());
                self.failed = Some(reason.clone());
                Ok(ImageState::Failed(reason))
            }
        }
    }
}

/// Makes a disk that has a backing file's content until it is written to.
///
/// # Errors
/// When the backing file is no image, or the disk can't be made.
pub async fn overlay(disk: &Utf8Path, backing: &Utf8Path, size_gib: u32) -> Result<()> {
    let mut info = process::command("qemu-img", Signal::SIGKILL);
    info.args(["info", "--output=json"]).arg(backing);
    let info = process::output(&format!("reading the image {backing}"), info).await?;
    let Info { format, size_bytes } = parse_info(&info).with_context(|| format!("failed to read what {backing} is"))?;
    // A base may be larger than the recipe's disk; it can't be cut, so the larger one counts.
    let size_bytes = size_bytes.max(u64::from(size_gib) << 30);
    let mut create = process::command("qemu-img", Signal::SIGKILL);
    create.args(["create", "-q", "-f", "qcow2", "-F", &format, "-b"]).arg(backing).arg(disk);
    create.arg(size_bytes.to_string());
    process::output(&format!("making the disk {disk}"), create).await.map(drop)
}

/// What qemu-img says of a disk.
#[derive(Debug, PartialEq, Deserialize)]
struct Info {
    format: String,
    #[serde(rename = "virtual-size")]
    size_bytes: u64,
}

fn parse_info(printed: &str) -> Result<Info> {
    serde_json::from_str(printed).context("qemu-img info printed something else")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::untrusted::{check, text};

    const PRINTED: &str = r#"{
    "virtual-size": 4294967296,
    "filename": "base.qcow2",
    "cluster-size": 65536,
    "format": "qcow2",
    "format-specific": { "type": "qcow2", "data": { "compat": "1.1", "extended-l2": false } },
    "dirty-flag": false
}"#;

    #[test]
    fn reads_what_qemu_img_says() {
        let info = parse_info(PRINTED).expect("what it says");
        assert_eq!(info, Info { format: "qcow2".to_owned(), size_bytes: 4 << 30 });
    }

    #[test]
    fn whatever_qemu_img_says_it_is_taken_or_refused_with_the_line() {
        check(1000, text(PRINTED), |printed| {
            if let Err(error) = parse_info(&printed) {
                assert!(format!("{error:#}").contains(" at line "), "{error:#}");
            }
        });
    }

    #[test]
    fn what_a_failing_qemu_img_says_is_told_though_it_is_no_utf_8() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let state = runtime.block_on(async {
            let mut command = process::command("sh", Signal::SIGKILL);
            command.args(["-c", "printf 'no such file: \\377\\n' >&2; exit 1"]).stderr(Stdio::piped());
            let (child, partial) = (command.spawn().expect("sh"), Utf8PathBuf::new());
            let attributes = Attributes {
                name: String::new(),
                description: String::new(),
                created: String::new(),
                deprecate_at: None,
                public: false,
                snapshots_public: false,
                tags: Vec::new(),
            };
            let mut conversion = Conversion { child, partial, attributes, failed: None };
            conversion.child.wait().await.expect("its end");
            conversion.progress().expect("how it ended")
        });
        let ImageState::Failed(reason) = state else { panic!("it failed") };
        assert!(reason.ends_with("no such file: \u{fffd}"), "{reason}");
    }
}
