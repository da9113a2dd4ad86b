//! A machine of this computer that a command boots, without a build.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use camino::Utf8Path;
use xtask::region::Region;

use crate::{
    cloud::{Compute as _, InstanceState, Launch, LaunchSource, Paced as _, Phase, SshAccess, qemu::Qemu},
    event::ids::InstanceId,
    events::Events,
    ground::wait::{self, Patience, Poll},
    machine::{
        Destination, cloud_init,
        keys::{HostKey, Login, LoginKey, Users},
        ssh::Ssh,
    },
    recipe::Recipe,
};

/// A machine to boot.
pub struct Guest<'a> {
    /// Where.
    pub cloud: &'a Qemu,
    /// The recipe, with the limits.
    pub recipe: &'a Recipe,
    /// The region of its image.
    pub region: &'a Region,
    /// Where its keys go, and the log of its logins.
    pub folder: &'a Utf8Path,
    /// Unique among the machines of this process.
    pub name: String,
    /// Where events are emitted.
    pub events: &'a Events,
}

impl Guest<'_> {
    /// New keys for a machine of an image of this name, which lets in one of these users.
    ///
    /// # Errors
    /// When they can't be made.
    pub fn login(&self, image: &str, users: &[String]) -> Result<Login> {
        let key_type = self.recipe.ssh.key_type_for(image);
        let comment = "wallaroo-boot";
        let (key, host_key) = (LoginKey::generate(key_type, comment)?, HostKey::generate(key_type, comment)?);
        Ok(Login { users: Users::of(users), key, host_key })
    }

    /// Launches the machine.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn launch(&self, login: &Login, source: LaunchSource) -> Result<InstanceId> {
        let name = self.name.clone();
        let (public_key, is_imported) = (login.key.public()?, login.key.is_imported());
        let access = SshAccess { name: name.clone(), public_key, is_imported, tags: Vec::new() };
        self.cloud.grant_access(self.region, &access).await?;
        let launch = Launch {
            token: name.clone(),
            source,
            access: name,
            user_data: cloud_init::user_data(login, self.recipe.limits.machine_lifetime)?,
            instance_type: String::new(),
            root_volume_gib: self.recipe.instance.root_volume_gib,
            tags: Vec::new(),
        };
        self.cloud.launch(self.region, &launch).await
    }

    /// Waits until a login succeeds.
    ///
    /// # Errors
    /// When the machine ends, or accepts no login within the limit.
    pub async fn reach(&self, login: &Login, instance: &InstanceId) -> Result<(SocketAddr, Ssh)> {
        let patience = Patience { limit: self.recipe.limits.login, pace: self.cloud.pace(Phase::Login) };
        wait::until("a login", patience, self.events, async || {
            let now = self.cloud.instance(self.region, instance).await?.context("the machine is gone")?;
            let (InstanceState::Running, Some(address)) = (now.state, now.address) else {
                bail!("the machine ended: {}", now.reason.unwrap_or_default())
            };
            let to = Destination { region: self.region, instance, address };
            Ok(match self.cloud.connect(&to, login, &self.folder.join("boot.log")).await {
                Ok(machine) => Poll::Ready((address, machine)),
                Err(error) => Poll::NotYet(format!("{error:#}")),
            })
        })
        .await
    }
}
