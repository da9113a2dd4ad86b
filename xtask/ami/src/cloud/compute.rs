//! Machines: a base, a way in, launched, looked at, logged in to, ended.

use std::net::SocketAddr;

use anyhow::Result;
use camino::Utf8Path;
use xtask::region::Region;

use super::{Instance, Launch, Paced, SshAccess};
use crate::{
    event::{facts::Base, ids::InstanceId},
    machine::{Machine, keys::Login},
};

/// What instances are launched and used with.
#[expect(async_fn_in_trait, reason = "the futures are awaited on one thread, so they need not be Send")]
pub trait Compute: Paced {
    /// What a login on an instance gives.
    type Machine: Machine;

    /// Whether machines live on when this process ends. Such machines end themselves after the recipe's limit.
    fn machines_outlive_us(&self) -> bool;

    /// The base that the image is made of; found, or made when it can be.
    ///
    /// # Errors
    /// When there is none, or making it fails; its output goes to `log`.
    async fn base(&self, log: &Utf8Path) -> Result<Base>;

    /// Lets the holder of `key` log in to instances launched with this access's name.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn grant_access(&self, region: &Region, access: &SshAccess) -> Result<()>;

    /// Takes an access away. One that isn't there is fine.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn revoke_access(&self, region: &Region, name: &str) -> Result<()>;

    /// Takes an instance out of what lets in to it, so that this can be taken away before the instance is gone. Where
    /// instances hold nothing fast, nothing is done.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn detach_access(&self, _region: &Region, _id: &InstanceId) -> Result<()> {
        Ok(())
    }

    /// Launches an instance; it is `Pending` at first.
    ///
    /// # Errors
    /// When the cloud refuses, or the image isn't there.
    async fn launch(&self, region: &Region, launch: &Launch) -> Result<InstanceId>;

    /// An instance as it is now; none when the cloud doesn't know it (yet, or any more).
    ///
    /// # Errors
    /// When the cloud doesn't answer.
    async fn instance(&self, region: &Region, id: &InstanceId) -> Result<Option<Instance>>;

    /// The instances that carry a build's tag, those that have ended aside.
    ///
    /// # Errors
    /// When the cloud doesn't answer.
    async fn instances_of(&self, region: &Region, build: &str) -> Result<Vec<InstanceId>>;

    /// What an instance printed on its console, as far as the cloud has it.
    ///
    /// # Errors
    /// When the cloud doesn't answer.
    async fn console(&self, region: &Region, id: &InstanceId) -> Result<String>;

    /// One attempt to log in, with a bound of seconds: pinned to the host key, so another machine is never talked to.
    ///
    /// # Errors
    /// When nobody answers, the host key is another, or the login is refused.
    async fn connect(&self, address: SocketAddr, login: &Login, log: &Utf8Path) -> Result<Self::Machine>;

    /// Asks an instance to shut down. It is `Stopped` some time later.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn stop(&self, region: &Region, id: &InstanceId) -> Result<()>;

    /// Ends an instance and deletes its disk. One that isn't there is fine.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn terminate(&self, region: &Region, id: &InstanceId) -> Result<()>;
}
