//! `ami check --deep`: two machines of a local image, compared with each other and with its disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use anyhow::{Context as _, Result, anyhow, bail};
use camino::{Utf8Path, Utf8PathBuf};
use xtask::{
    cli::{CommonFlags, RegionFlags},
    region::Region,
};

use super::guest::Guest;
use crate::{
    ask::checkout::Checkout,
    catalogue::Catalogue,
    cloud::{
        Compute as _, InstanceState, LaunchSource, Paced as _, Phase, Shutdown,
        qemu::{
            Qemu,
            disk::RawDisk,
            inventory::{Inventory, Search},
            twins::{self, stay},
        },
    },
    event::{
        facts::{Base, Verification},
        ids::{ImageId, InstanceId},
        progress::Progress,
    },
    events::Events,
    ground::{
        outcome::Failure,
        wait::{self, Patience, Poll},
    },
    machine::{Input, Machine as _, openssh},
    ship::manifest,
    show::print::print,
    story::traces,
};

/// Waits for the end of a boot, on systemd of any age.
const BOOTED: &str = "while case $(systemctl is-system-running) in initializing|starting) ;; *) false ;; esac; \
                      do sleep 1; done";

/// What a person types: commands that leave something, wherever the system keeps it.
const TYPED: [&str; 6] = ["sudo -n true", "id", "python3 -q", "1 + 1", "exit()", "history"];

/// Checks a local image: a file, or the id or version of an image of `--local`.
///
/// # Errors
/// When there is no such image, or it does not boot; with all findings.
pub async fn check(
    cloud: &Qemu,
    checkout: &Checkout,
    image: &str,
    common: &CommonFlags,
    events: &Events,
) -> Result<(), Failure> {
    if common.json {
        return Err(Failure::Refused(anyhow!("`check --deep` prints no JSON: leave out --json, or check a --version")));
    }
    let (region, file) = find(cloud, checkout, image, events).await.map_err(Failure::Refused)?;
    let scratch = cloud.prepare_to_compare(common.yes, events).await.map_err(Failure::Refused)?;
    let comparison = Comparison { cloud, checkout, region: &region, file: &file, folder: scratch.path(), events };
    let read = comparison.read().await.with_context(|| format!("failed to read {file}")).map_err(Failure::Refused)?;
    let faults = comparison.faults(read).await.map_err(Failure::Failed)?;
    if !faults.is_empty() {
        return Err(Failure::Failed(anyhow!(
            "{image} is not as it should be:\n  {}\nhave .release/ami/seal.sh remove or reset these, and make the image again",
            faults.join("\n  ")
        )));
    }
    let text = format!("{image} has nothing of the machine that it was made on, and its machines share nothing\n");
    print(&text).map_err(Failure::Failed)
}

/// The region and the file of an image.
async fn find(cloud: &Qemu, checkout: &Checkout, wanted: &str, events: &Events) -> Result<(Region, Utf8PathBuf)> {
    let home = checkout.home_region(&RegionFlags::default(), None);
    if Utf8Path::new(wanted).is_file() {
        return Ok((home, camino::absolute_utf8(wanted)?));
    }
    let looked = Catalogue::look(cloud, &checkout.recipe, &BTreeSet::new(), events).await?;
    let catalogue = looked.found;
    let near = catalogue.near_image(wanted);
    let entry = catalogue.entries.into_iter().find(|entry| entry.image.id.0 == wanted || entry.is_of(wanted));
    if let Some(entry) = entry {
        let file = cloud.image_file(&entry.region, &entry.image.id);
        return Ok((entry.region, file));
    }
    bail!(
        "there is no local image `{wanted}`, and no such file{near}; disks on EC2 cannot be compared, because EC2 lets \
         no one read them without a machine that they are attached to: make the image with --local, and check that \
         one; to list the local images: cargo xtask ami list --local"
    )
}

/// What is on the disk of an image.
struct Image {
    /// Its system, by the name that its own file has for it.
    system: String,
    inventory: Inventory,
    /// What the content of its files tells.
    seen: Verification,
    /// The files that the build installed.
    payload: Arc<BTreeSet<String>>,
}

/// An image to compare with its machines.
struct Comparison<'a> {
    cloud: &'a Qemu,
    checkout: &'a Checkout,
    region: &'a Region,
    file: &'a Utf8Path,
    folder: &'a Utf8Path,
    events: &'a Events,
}

impl Comparison<'_> {
    /// Reads the image's disk.
    async fn read(&self) -> Result<Image> {
        let disk = RawDisk::of(self.file, self.folder).await?;
        let read = tokio::task::spawn_blocking(move || {
            let disk = disk.open()?;
            let mut seen = Verification::default();
            traces::look_at_disk(&disk, &BTreeMap::new(), &mut seen)?;
            let manifest = disk
                .read(manifest::PATH)?
                .with_context(|| format!("the image has no {}: give one that this tool made", manifest::PATH))?;
            let payload = Arc::new(stay::payload(&manifest)?);
            let stays = |path: &str| stay::reason(path, &payload).is_some();
            let inventory = Inventory::of(&disk, &Search { stays: &stays, made_secs: Some(0) })?;
            anyhow::Ok(Image { system: disk.system()?, inventory, seen, payload })
        });
        read.await?
    }

    /// Everything that is wrong with the image, a line each.
    async fn faults(&self, image: Image) -> Result<Vec<String>> {
        let Image { system, inventory: image, seen, payload } = image;
        let recipe = &self.checkout.recipe;
        let users = &recipe.system(&recipe.system_called(system))?.ssh_users;
        let name = self.file.file_name().unwrap_or_default().to_owned();
        self.events.say(Progress::Booting { image: ImageId(self.file.to_string()), name });
        let (one, other) = tokio::try_join!(self.machine(users, &payload, 1), self.machine(users, &payload, 2))?;
        let findings = twins::compare(&image, [&one, &other], &payload);
        let faults =
            seen.faults().map(|check| format!("{}: {}", check.name, check.fault.as_deref().unwrap_or_default()));
        Ok(faults.chain(findings.iter().map(ToString::to_string)).collect())
    }

    /// Boots a machine, works on the first one as a person does, shuts it down, and reads its disk.
    async fn machine(&self, users: &[String], payload: &Arc<BTreeSet<String>>, number: usize) -> Result<Inventory> {
        let folder = self.folder.join(number.to_string());
        std::fs::create_dir(&folder).with_context(|| format!("failed to create {folder}"))?;
        let name = format!("{}-{number}", self.folder.file_name().unwrap_or_default());
        let (cloud, recipe, region, events) = (self.cloud, &self.checkout.recipe, self.region, self.events);
        let guest = Guest { cloud, recipe, region, folder: &folder, name, events };
        let file = self.file.to_string();
        let login = guest.login(&file, users)?;
        let base = Base {
            id: file.clone(),
            name: file,
            system: String::new(),
            sha256: None,
            owner: None,
            hardware: None,
            packages_as_of: None,
        };
        let instance = guest.launch(&login, LaunchSource::Base(base)).await?;
        let (address, machine) = guest.reach(&login, &instance).await?;
        machine.run("booting", BOOTED, Input::None, recipe.limits.login).await?;
        if number == 1 {
            let typing = openssh::type_lines(&folder, &login, address, &TYPED);
            tokio::time::timeout(recipe.limits.login, typing).await.context("timed out typing on the machine")??;
        }
        self.stop(&instance).await?;
        let disk = cloud.machine_disk(&instance, self.folder).await?;
        cloud.terminate(region, &instance).await?;
        let payload = Arc::clone(payload);
        let read = tokio::task::spawn_blocking(move || {
            let stays = |path: &str| stay::reason(path, &payload).is_some();
            Inventory::of(&disk.open()?, &Search { stays: &stays, made_secs: None })
        });
        read.await?
    }

    async fn stop(&self, instance: &InstanceId) -> Result<()> {
        self.cloud.stop(self.region, instance, Shutdown::Ordered).await?;
        let patience = Patience { limit: self.checkout.recipe.limits.stop, pace: self.cloud.pace(Phase::Stop) };
        wait::until(format_args!("{instance} to shut down"), patience, self.events, async || {
            let now = self.cloud.instance(self.region, instance).await?.context("the machine is gone")?;
            let off = matches!(now.state, InstanceState::Stopped);
            Ok(if off { Poll::Ready(()) } else { Poll::NotYet(now.state.to_string()) })
        })
        .await
    }
}
