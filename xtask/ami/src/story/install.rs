//! Installs the payload on the instance: the binaries, the checkout's files, and the manifest.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use camino::Utf8PathBuf;
use tokio::time::Instant;

use super::{early, make::Parts, run::Run};
use crate::{
    event::{
        facts::{Base, Sources},
        progress::Progress,
        step::{Handle, Step},
    },
    events::millis,
    ground::sha256,
    machine::{Input, Job, Machine, Upload},
    ship::{
        inventory::Inventory,
        manifest::{self, BaseOf, Manifest},
        payload::{self, Payload},
        sbom,
    },
};

/// Where the payload is unpacked on the instance.
const STAGING: &str = "/var/tmp/wallaroo-staging";

/// The unit that runs /etc/rc.local where systemd has no generator for it, and its path on the image.
const RC_LOCAL_UNIT: &str = include_str!("rc-local.service");
const RC_LOCAL_UNIT_PATH: &str = "/etc/systemd/system/wallaroo-rc-local.service";

/// What provision.sh writes on every machine, or on those whose packages need it.
const WRITTEN: [&str; 3] =
    ["/etc/rc.local", "/usr/share/wallaroo/identity", "/etc/systemd/system/wallaroo-identity.service"];

/// What the machine has before the payload is installed.
pub struct Found {
    /// All packages.
    pub inventory: Inventory,
    /// The versions of the recipe's packages, by name.
    pub packages: BTreeMap<String, String>,
}

/// Installs the payload, and returns the SHA-256 of each file by its path on the image. Where an earlier process has `begun`
/// to install it, that is followed to its end.
///
/// # Errors
/// When a file has changed since it was built or hashed, or the instance fails.
pub async fn payload(
    machine: &impl Machine,
    run: &Run,
    base: &Base,
    parts: &Parts,
    (found, begun): (&Found, Option<&Handle>),
) -> Result<BTreeMap<String, String>> {
    let (spec, limit) = (&run.spec, run.spec.recipe.limits.script);
    let mut sha256 = parts.sources.clone();
    sha256.extend(parts.binaries.iter().map(|binary| (payload::path_of(binary), binary.sha256.clone())));
    sha256.insert(RC_LOCAL_UNIT_PATH.to_owned(), sha256::sha256(RC_LOCAL_UNIT.as_bytes()));
    let sbom = bill_of_materials(run, base, parts, &sha256, found)?;
    sha256.insert(sbom::PATH.to_owned(), sha256::sha256(sbom.as_bytes()));
    let written = written(machine, limit).await?;
    let listed: Sources = sha256.clone().into_iter().chain(written.clone()).collect();
    let manifest = manifest(run, base, &listed, found).text()?;
    sha256.insert(manifest::PATH.to_owned(), sha256::sha256(manifest.as_bytes()));
    for (name, text) in [(sbom::NAME, &sbom), (manifest::NAME, &manifest)] {
        let path = run.folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("failed to write {path}"))?;
    }
    let tar = run.folder.join(payload::TAR);
    let made = [(RC_LOCAL_UNIT_PATH, RC_LOCAL_UNIT.to_owned()), (sbom::PATH, sbom), (manifest::PATH, manifest)];
    write(run, parts, made, tar.clone(), sha256.clone()).await?;
    let payload = Handle::from(sha256::sha256(&serde_json::to_vec(&sha256)?));
    match begun {
        // It was uploaded whole, and may be installed by now.
        Some(begun) => ensure!(
            *begun == payload,
            "another payload was being installed, by another version of this tool: resume the build once more, on another \
             instance"
        ),
        None => {
            run.events.say(Progress::Uploading { files: sha256.len() - parts.uploaded.len() });
            let (upload, began) = (Upload::new(&tar, STAGING), Instant::now());
            machine.upload("uploading the payload", &upload, limit).await?;
            let (size_bytes, took_ms) = (upload.size_bytes(), millis(began));
            run.events.say(Progress::Uploaded { binary: None, size_bytes, took_ms });
            early::place(run, machine, &parts.uploaded, STAGING).await?;
        }
    }
    let work = async {
        let provision = spec.scripts.text(&spec.scripts.provision)?;
        let job = Job::new("installing the payload (provision.sh)", "install", provision, limit);
        machine.script(&mut job.arguments(["install", STAGING].map(str::to_owned))).await?;
        Ok(())
    };
    run.events.record(Step::Install, payload, work).await?;
    // On another thread: to free the blocks of a large file takes a while.
    tokio::fs::remove_file(&tar).await.with_context(|| format!("failed to remove {tar}"))?;
    sha256.extend(written);
    Ok(sha256)
}

/// The SHA-256 of what provision.sh wrote, so that the manifest lists it, too.
async fn written(machine: &impl Machine, limit: Duration) -> Result<Sources> {
    let command = format!("sudo -n sha256sum -- {} 2> /dev/null || true", WRITTEN.join(" "));
    let printed = machine.run("hashing what provision.sh wrote", &command, Input::None, limit).await?;
    let is_sum = |sum: &str| sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
    let lines = printed.lines().filter_map(|line| line.split_once("  "));
    let known = lines.filter(|(sum, path)| is_sum(sum) && WRITTEN.contains(path));
    Ok(known.map(|(sum, path)| (path.to_owned(), sum.to_owned())).collect())
}

/// What the image is made of.
fn manifest(run: &Run, base: &Base, sha256: &Sources, found: &Found) -> Manifest {
    let spec = &run.spec;
    Manifest {
        name: spec.recipe.release_name(&spec.version),
        version: spec.version.to_string(),
        commit: spec.source.commit.clone(),
        dirty: spec.source.dirty,
        target_cpu: spec.recipe.build.target_cpu.clone(),
        base: BaseOf { name: base.name.clone(), system: base.system.clone(), sha256: base.sha256.clone() },
        settings: manifest::settings(&spec.recipe),
        sha256: sha256.clone(),
        packages: found.packages.clone(),
        upgraded: found.inventory.upgraded.clone(),
    }
}

/// The bill of materials, of all files but itself and the manifest, which has its sum.
fn bill_of_materials(run: &Run, base: &Base, parts: &Parts, sha256: &Sources, found: &Found) -> Result<String> {
    let mut files = sha256.clone();
    files.retain(|path, _| !parts.binaries.iter().any(|binary| *path == payload::path_of(binary)));
    sbom::text(&sbom::Parts {
        name: &run.spec.recipe.release_name(&run.spec.version),
        version: run.spec.version.as_str(),
        system: &base.system,
        commit_secs: run.spec.source.commit_secs,
        binaries: &parts.binaries,
        files: &files,
        packages: &found.inventory.packages,
    })
}

/// Writes the payload as a tar, without what was uploaded before. Its contents must be what was built and hashed, and so must
/// the rest.
async fn write(
    run: &Run,
    parts: &Parts,
    made: [(&'static str, String); 3],
    tar: Utf8PathBuf,
    expected: Sources,
) -> Result<()> {
    let (root, files) = (run.spec.source.root.clone(), run.system()?.files.clone());
    let (binaries, uploaded) = (parts.binaries.clone(), parts.uploaded.clone());
    // On another thread, because it reads every byte, and signals and the instance need this one meanwhile.
    let written = tokio::task::spawn_blocking(move || {
        let mut payload = Payload::gather(&binaries, &root, &files)?;
        for (path, text) in made {
            payload.add(path.into(), text.into_bytes())?;
        }
        let written = payload.write(&tar, &uploaded)?;
        let written: Sources = written.into_iter().map(|(path, sum)| (path.into_string(), sum)).collect();
        let all = written.keys().chain(expected.keys().filter(|path| !written.contains_key(*path)));
        let changed: Vec<&str> =
            all.filter(|path| written.get(*path) != expected.get(*path)).map(String::as_str).collect();
        if !changed.is_empty() {
            bail!("these have changed in {root} since the binaries were built: {}", changed.join(", "));
        }
        Ok(())
    });
    written.await?
}
