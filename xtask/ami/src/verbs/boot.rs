//! `ami boot`: boots a local image and logs in.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use camino::Utf8Path;
use xtask::{
    cli::{BootFlags, CommonFlags},
    region::Region,
};

use crate::{
    ask::checkout::Checkout,
    catalogue::{Catalogue, Entry},
    cloud::tags::TAG_SYSTEM,
    cloud::{Compute as _, Image, InstanceState, Launch, LaunchSource, Paced as _, Phase, SshAccess, qemu::Qemu},
    event::progress::Progress,
    events::Events,
    ground::{
        outcome::Failure,
        wait::{self, Patience, Poll},
    },
    machine::{
        Destination, cloud_init,
        keys::{HostKey, Login, LoginKey, Users},
        openssh,
    },
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
    let session = Session { cloud, checkout, region, image, folder, events };
    let login = session.login(&system.ssh_users).map_err(Failure::Failed)?;
    let code = session.run(&login, &flags.command).await.map_err(Failure::Failed)?;
    match code {
        0 => Ok(()),
        code => Err(Failure::Reported(u8::try_from(code).unwrap_or(1))),
    }
}

/// The image with this id or version. Of a version, the first region's: all regions have the same image.
fn pick<'a>(catalogue: &'a Catalogue, wanted: &str) -> Result<&'a Entry> {
    let is_it = |entry: &&Entry| entry.image.id.0 == wanted || entry.is_of(wanted);
    catalogue.entries.iter().find(is_it).with_context(|| {
        format!("there is no local image `{wanted}`; to list the images: cargo xtask ami list --local")
    })
}

struct Session<'a> {
    cloud: &'a Qemu,
    checkout: &'a Checkout,
    region: &'a Region,
    image: &'a Image,
    folder: &'a Utf8Path,
    events: &'a Events,
}

impl Session<'_> {
    fn login(&self, users: &[String]) -> Result<Login> {
        let key_type = self.checkout.recipe.ssh.key_type_for(&self.image.name);
        let comment = "wallaroo-boot";
        let (key, host_key) = (LoginKey::generate(key_type, comment)?, HostKey::generate(key_type, comment)?);
        Ok(Login { users: Users::of(users), key, host_key })
    }

    async fn run(&self, login: &Login, command: &[String]) -> Result<i32> {
        let name = self.folder.file_name().unwrap_or("wallaroo-boot").to_owned();
        let (public_key, is_imported) = (login.key.public()?, login.key.is_imported());
        let access = SshAccess { name: name.clone(), public_key, is_imported, tags: Vec::new() };
        self.cloud.grant_access(self.region, &access).await?;
        let launch = Launch {
            token: name.clone(),
            source: LaunchSource::Image(self.image.id.clone()),
            access: name,
            user_data: cloud_init::user_data(login, self.checkout.recipe.limits.machine_lifetime)?,
            instance_type: String::new(),
            root_volume_gib: self.checkout.recipe.instance.root_volume_gib,
            tags: Vec::new(),
        };
        let instance = self.cloud.launch(self.region, &launch).await?;
        let (image, name) = (self.image.id.clone(), self.image.name.clone());
        self.events.say(Progress::Booting { image, name });
        let limit = self.checkout.recipe.limits.login;
        let patience = Patience { limit, pace: self.cloud.pace(Phase::Login) };
        let address = wait::until("a login", patience, self.events, async || {
            let now = self.cloud.instance(self.region, &instance).await?.context("the machine is gone")?;
            let (InstanceState::Running, Some(address)) = (now.state, now.address) else {
                bail!("the machine ended: {}", now.reason.unwrap_or_default())
            };
            let to = Destination { region: self.region, instance: &instance, address };
            Ok(match self.cloud.connect(&to, login, &self.folder.join("boot.log")).await {
                Ok(_) => Poll::Ready(address),
                Err(error) => Poll::NotYet(format!("{error:#}")),
            })
        })
        .await?;
        self.events.say(Progress::Reached { address: address.to_string() });
        let code = openssh::run(self.folder, login, address, command).await;
        if let Err(error) = self.cloud.terminate(self.region, &instance).await {
            self.events.warn(format_args!("{error:#}"));
        }
        code
    }
}
