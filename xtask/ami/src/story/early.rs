//! Uploads each binary as soon as it is built and inspected, while others are built and the machine is prepared.
//!
//! What is not uploaded by then, for whatever reason, is in the payload. So a failure here ends nothing.

use anyhow::Result;
use tokio::{sync::mpsc::UnboundedReceiver, time::Instant};

use super::run::Run;
use crate::{
    event::{facts::Built, progress::Progress},
    events::millis,
    machine::{Input, Machine, Upload},
    ship::payload::{self, Payload},
};

/// The folder on the machine with a folder for each binary, until the payload is installed.
const EARLY: &str = "/var/tmp/wallaroo-early";

/// Uploads binaries until there are no more of them, and returns those that were.
pub async fn upload(run: &Run, machine: &impl Machine, mut inspected: UnboundedReceiver<Built>) -> Vec<Built> {
    let mut uploaded: Vec<Built> = Vec::new();
    while let Some(binary) = inspected.recv().await {
        // Its folder would be that of the other.
        if uploaded.iter().any(|other| other.sha256 == binary.sha256) {
            continue;
        }
        let (name, began) = (binary.name.clone(), Instant::now());
        run.events.say(Progress::UploadingBinary { binary: name.clone() });
        // What went wrong goes wrong with the payload once more, and ends the build there, or it does not matter. Each may have
        // taken as long as an upload may.
        if let Err(error) = upload_one(run, machine, &binary).await {
            run.events.say(Progress::NotUploaded { binary: name, why: format!("{error:#}") });
            break;
        }
        let (size_bytes, took_ms) = (binary.size_bytes, millis(began));
        run.events.say(Progress::Uploaded { binary: Some(name), size_bytes, took_ms });
        uploaded.push(binary);
    }
    uploaded
}

async fn upload_one(run: &Run, machine: &impl Machine, binary: &Built) -> Result<()> {
    let tar = run.folder.join(format!("{}-{}", payload::TAR, binary.name));
    let written = {
        let (root, tar, binary) = (run.spec.source.root.clone(), tar.clone(), binary.clone());
        // On another thread, because it reads every byte, and the instance needs this one meanwhile.
        tokio::task::spawn_blocking(move || Payload::gather(&[binary], &root, &[])?.write(&tar, &[]))
    };
    written.await??;
    let folder = folder(binary);
    let upload = Upload::new(&tar, &folder);
    let limit = run.spec.recipe.limits.script;
    let uploaded = machine.upload(&format!("uploading {}", binary.name), &upload, limit).await;
    // One that stays is removed with the payload's.
    let _ = tokio::fs::remove_file(&tar).await;
    uploaded
}

/// Places uploaded binaries in the payload that is unpacked in the folder `staging`, and removes what else was uploaded early,
/// by whichever process. What is placed is verified with the rest of the payload.
///
/// # Errors
/// When the machine fails.
pub async fn place(run: &Run, machine: &impl Machine, uploaded: &[Built], staging: &str) -> Result<()> {
    let (command, limit) = (placing(uploaded, staging), run.spec.recipe.limits.script);
    machine.run("placing what was uploaded", &command, Input::None, limit).await.map(drop)
}

/// The command may run again where the connection is lost. What it does not find is there then.
fn placing(uploaded: &[Built], staging: &str) -> String {
    let place = |binary: &Built| {
        let path = payload::path_of(binary);
        let from = format!("{}/root{path}", folder(binary));
        format!("if [ -e {from} ]; then ln -f {from} {staging}/root{path} || exit; fi; ")
    };
    format!("sudo -n sh -c '{}rm -rf {EARLY}'", uploaded.iter().map(place).collect::<String>())
}

fn folder(binary: &Built) -> String {
    format!("{EARLY}/{}", binary.sha256)
}

#[cfg(test)]
mod tests {
    use camino::{Utf8Path, Utf8PathBuf};

    use super::*;

    fn built(name: &str, sha256: &str) -> Built {
        Built { name: name.to_owned(), path: Utf8PathBuf::new(), sha256: sha256.to_owned(), size_bytes: 1 }
    }

    /// Runs the command on this computer, with this folder for /var/tmp.
    fn runs(folder: &Utf8Path, uploaded: &[Built]) -> bool {
        let command = placing(uploaded, "/var/tmp/staging").replace("/var/tmp", folder.as_str());
        let command = command.strip_prefix("sudo -n ").expect("root's rights");
        std::process::Command::new("sh").args(["-c", command]).status().expect("sh").success()
    }

    #[test]
    fn what_was_uploaded_is_placed_once_and_all_else_removed() {
        let (_guard, folder) = crate::fixture::folder();
        let (machida, sender) = (built("machida", "12ab"), built("sender", "34cd"));
        let early = folder.join("wallaroo-early");
        // The last two were not uploaded whole, or by an earlier process.
        for (at, name) in [("12ab", "machida"), ("34cd", "sender"), ("56ef", "data_receiver"), ("56ef-parts", "1")] {
            let bin = early.join(at).join("root/usr/bin");
            std::fs::create_dir_all(&bin).expect("a folder");
            std::fs::write(bin.join(name), name).expect("a file");
        }
        let bin = folder.join("staging/root/usr/bin");
        std::fs::create_dir_all(&bin).expect("a folder");
        let placed = || {
            let names = bin.read_dir_utf8().expect("a folder").map(|it| it.expect("it").file_name().to_owned());
            let mut names: Vec<String> = names.collect();
            names.sort();
            names
        };
        for _ in 0..2 {
            assert!(runs(&folder, &[machida.clone(), sender.clone()]), "it may run again");
            assert_eq!(placed(), ["machida", "sender"]);
            assert_eq!(std::fs::read_to_string(bin.join("sender")).expect("a file"), "sender");
            assert!(!early.exists());
        }
        std::fs::create_dir(&early).expect("a folder");
        assert!(runs(&folder, &[]) && !early.exists(), "an earlier process left it");
    }

    #[test]
    fn what_cannot_be_placed_fails() {
        let (_guard, folder) = crate::fixture::folder();
        let machida = built("machida", "12ab");
        let bin = folder.join("wallaroo-early/12ab/root/usr/bin");
        std::fs::create_dir_all(&bin).expect("a folder");
        std::fs::write(bin.join("machida"), "machida").expect("a file");
        assert!(!runs(&folder, &[machida]), "there is no folder to place it in");
        assert!(bin.join("machida").exists(), "and it is lost");
    }
}
