//! Disks made by `qemu-img`: the overlay disk of a machine, and an image of it.

use std::{io::Read as _, process::Stdio};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use nix::sys::signal::Signal;
use tokio::process::Child;

use super::{format::Info, store::Attributes};
use crate::{cloud::ImageState, ground::process};

/// The file of a machine's disk, in its folder.
pub const DISK: &str = "disk.qcow2";

/// An image being created.
pub struct Conversion {
    child: Child,
    /// The incomplete disk.
    pub partial: Utf8PathBuf,
    /// The attributes of the image.
    pub attributes: Attributes,
    failed: Option<String>,
}

impl Conversion {
    /// Starts to create an image from the disk in a stopped machine's folder.
    ///
    /// # Errors
    /// When `qemu-img` can't be started.
    pub fn start(folder: &Utf8Path, attributes: Attributes) -> Result<Conversion> {
        let partial = folder.join("image.qcow2");
        // Without a backing file, and compressed: zstd takes less time than writing the bytes that it saves.
        let mut command = process::command("qemu-img", Signal::SIGKILL);
        command.args(["convert", "-c", "-m", "2", "-W", "-O", "qcow2", "-o", "compression_type=zstd"]);
        command.arg(folder.join(DISK)).arg(&partial).kill_on_drop(true);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().context("failed to start qemu-img")?;
        Ok(Conversion { child, partial, attributes, failed: None })
    }

    /// The state of the image.
    ///
    /// # Errors
    /// When the state of qemu-img's process can't be read.
    pub fn progress(&mut self) -> Result<ImageState> {
        if let Some(reason) = &self.failed {
            return Ok(ImageState::Failed(reason.clone()));
        }
        match self.child.try_wait().context("failed to check on qemu-img")? {
            None => Ok(ImageState::Pending(String::new())),
            Some(ended) if ended.success() => Ok(ImageState::Available),
            Some(ended) => {
                let mut bytes = Vec::new();
                if let Some(stderr) = self.child.stderr.take() {
                    let stderr = stderr.into_owned_fd().context("failed to read the output of qemu-img")?;
                    std::fs::File::from(stderr).read_to_end(&mut bytes)?;
                }
                // It may contain names of files, which may be any bytes.
                let message = String::from_utf8_lossy(&bytes);
                let reason = format!("qemu-img failed ({ended}): {}", message.trim());
                self.failed = Some(reason.clone());
                Ok(ImageState::Failed(reason))
            }
        }
    }
}

/// Creates a disk over a backing file: the backing file's content, until it is written to.
///
/// # Errors
/// When the backing file is not a disk image, or the disk can't be created.
pub async fn overlay(disk: &Utf8Path, backing: &Utf8Path, size_gib: u32) -> Result<()> {
    let info = Info::of(backing).await.with_context(|| format!("failed to read the image {backing}"))?;
    let Info { format, size_bytes, .. } = info;
    // A disk can't be smaller than its base, so a base larger than the recipe's size wins.
    let size_bytes = size_bytes.max(u64::from(size_gib) << 30);
    let mut create = process::command("qemu-img", Signal::SIGKILL);
    create.args(["create", "-q", "-f", "qcow2", "-F", &format, "-b"]).arg(backing).arg(disk);
    create.arg(size_bytes.to_string());
    process::output(&format!("making the disk {disk}"), create).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_qemu_img_is_reported_even_if_it_is_not_utf_8() {
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
