//! `ami boot`: boots a local image and logs in.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use camino::Utf8Path;
use xtask::cli::{BootFlags, CommonFlags};

use super::guest::Guest;
use crate::{
    ask::checkout::Checkout,
    catalogue::{Catalogue, Entry},
    cloud::tags::TAG_SYSTEM,
    cloud::{Compute as _, Image, LaunchSource, qemu::Qemu},
    event::progress::Progress,
    events::Events,
    ground::outcome::Failure,
    machine::openssh,
};

/// Boots the image that the flags name, opens a shell or runs the command on it, and ends the machine after that.
///
/// # Errors
/// When there is no such image, it does not boot, or the shell or command exits with another code than 0.
pub async fn boot(
    cloud: &Qemu,
    checkout: &Checkout,
    flags: &BootFlags,
    common: &CommonFlags,
    events: &Events,
) -> Result<(), Failure> {
    cloud.prepare_to_boot(common.yes).await.map_err(Failure::Refused)?;
    let looked = Catalogue::look(cloud, &checkout.recipe, &BTreeSet::new(), events).await.map_err(Failure::Failed)?;
    looked.unanswered.all("list the images").map_err(Failure::Failed)?;
    let catalogue = looked.found;
    let Entry { region, image, .. } = pick(&catalogue, &flags.image).map_err(Failure::Refused)?;
    let system = image.tag(TAG_SYSTEM).context("the image has no tag that says which system it is");
    let system = system.and_then(|name| checkout.recipe.system(name)).map_err(Failure::Refused)?;
    let keys = tempfile::Builder::new().prefix("wallaroo-boot-").tempdir();
    let keys = keys.context("failed to create a folder for the keys").map_err(Failure::Failed)?;
    let folder = Utf8Path::from_path(keys.path()).context("set TMPDIR to a path in UTF-8").map_err(Failure::Failed)?;
    let name = folder.file_name().unwrap_or("wallaroo-boot").to_owned();
    let guest = Guest { cloud, recipe: &checkout.recipe, region, folder, name, events };
    match run(&guest, image, &system.ssh_users, &flags.command).await.map_err(Failure::Failed)? {
        0 => Ok(()),
        code => Err(Failure::Reported(u8::try_from(code).unwrap_or(1))),
    }
}

/// The image with this id or version. Of a version, the first region's: all regions have the same image.
fn pick<'a>(catalogue: &'a Catalogue, wanted: &str) -> Result<&'a Entry> {
    let is_it = |entry: &&Entry| entry.image.id.0 == wanted || entry.is_of(wanted);
    catalogue.entries.iter().find(is_it).with_context(|| {
        let near = catalogue.near_image(wanted);
        format!("there is no local image `{wanted}`{near}; to list the images: cargo xtask ami list --local")
    })
}

/// Boots the machine, opens the shell or runs the command, and ends the machine.
async fn run(guest: &Guest<'_>, image: &Image, users: &[String], command: &[String]) -> Result<i32> {
    let login = guest.login(&image.name, users)?;
    let instance = guest.launch(&login, LaunchSource::Image(image.id.clone())).await?;
    let (id, name) = (image.id.clone(), image.name.clone());
    guest.events.say(Progress::Booting { image: id, name });
    let (address, _) = guest.reach(&login, &instance).await?;
    guest.events.say(Progress::Reached { address: address.to_string() });
    let code = openssh::run(guest.folder, &login, address, command).await;
    if let Err(error) = guest.cloud.terminate(guest.region, &instance).await {
        guest.events.warn(format_args!("{error:#}"));
    }
    code
}
