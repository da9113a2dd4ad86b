//! Machines: find the base, grant SSH access, launch, describe, log in, stop, terminate.

use anyhow::Result;
use camino::Utf8Path;
use xtask::region::Region;

use super::{Instance, Launch, Paced, Shutdown, SshAccess, Termination, tags::Tags};
use crate::{
    elf::facts::Facts,
    event::{facts::Base, ids::InstanceId},
    machine::{Destination, Machine, keys::Login, through::Through},
};

/// Launches instances and logs in to them.
#[expect(async_fn_in_trait, reason = "the futures are awaited on one thread, so they need not be Send")]
pub trait Compute: Paced {
    /// A login session on an instance.
    type Machine: Machine;

    /// Whether instances keep running when this process ends. Such an instance shuts itself down after
    /// `limits.machine_lifetime` of the recipe.
    fn machines_outlive_process(&self) -> bool;

    /// Finds the base that the image is made from, or makes it where the cloud can.
    ///
    /// # Errors
    /// When there is no base, or making it fails. The output of the programs that make it goes to `log`.
    async fn base(&self, log: &Utf8Path) -> Result<Base>;

    /// What the base brings. `None` where the cloud can't read it from the base.
    ///
    /// # Errors
    /// When the base can't be found, made or read. The output of the programs that make it goes to `log`.
    async fn base_facts(&self, _log: &Utf8Path) -> Result<Option<Facts>> {
        Ok(None)
    }

    /// Creates an SSH access, on EC2 a key pair and a security group. Instances are launched with it by its name.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn grant_access(&self, region: &Region, access: &SshAccess) -> Result<()>;

    /// Deletes an SSH access. Does nothing when it is already gone.
    ///
    /// # Errors
    /// When the cloud refuses, for instance because an instance still uses the access.
    async fn revoke_access(&self, region: &Region, name: &str) -> Result<()>;

    /// Detaches an instance from its SSH access, so that the access can be deleted before the instance has terminated.
    /// Does nothing where an instance doesn't keep its access from being deleted.
    ///
    /// # Errors
    /// When the cloud refuses; on EC2 also while the instance is pending.
    async fn detach_access(&self, _region: &Region, _id: &InstanceId) -> Result<()> {
        Ok(())
    }

    /// Lets this computer in again where its address has changed since the access was granted. The tags are the access's.
    ///
    /// # Errors
    /// When the address cannot be told, or the cloud refuses.
    async fn renew_access(&self, _region: &Region, _name: &str, _tags: &Tags) -> Result<()> {
        Ok(())
    }

    /// What to try when an instance runs, but no login is possible; empty when there is no advice.
    fn way_in(&self) -> String {
        String::new()
    }

    /// Launches an instance. It is `Pending` at first.
    ///
    /// # Errors
    /// When the cloud refuses, or the image doesn't exist.
    async fn launch(&self, region: &Region, launch: &Launch) -> Result<InstanceId>;

    /// Describes an instance. `None` when the cloud doesn't know it: not yet, or no longer.
    ///
    /// # Errors
    /// When the cloud doesn't answer.
    async fn instance(&self, region: &Region, id: &InstanceId) -> Result<Option<Instance>>;

    /// Lists the instances with a build's tag, except those that terminate or have terminated.
    ///
    /// # Errors
    /// When the cloud doesn't answer.
    async fn instances_of(&self, region: &Region, build: &str) -> Result<Vec<InstanceId>>;

    /// Returns the console output of an instance, as far as the cloud has received it.
    ///
    /// # Errors
    /// When the cloud doesn't answer.
    async fn console(&self, region: &Region, id: &InstanceId) -> Result<String>;

    /// Tries once, for some seconds at most, to log in. The host key is pinned, so another machine at this address is
    /// refused.
    ///
    /// # Errors
    /// When the machine doesn't answer, has a different host key, or refuses the login.
    async fn connect(&self, to: &Destination<'_>, login: &Login, log: &Utf8Path) -> Result<Self::Machine>;

    /// The command that the connection to a machine goes through. None when it is direct.
    fn through(&self, _to: &Destination<'_>) -> Option<Through> {
        None
    }

    /// The users to try on machines of this base, likeliest first; `configured` are those of the recipe.
    fn users(&self, _base: &Base, configured: &[String]) -> Vec<String> {
        configured.to_vec()
    }

    /// Stops an instance. It becomes `Stopped` some time later.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn stop(&self, region: &Region, id: &InstanceId, how: Shutdown) -> Result<()>;

    /// Orders an instance to terminate, which deletes its disk. Does nothing when it is already gone.
    ///
    /// # Errors
    /// When the cloud refuses.
    async fn terminate(&self, region: &Region, id: &InstanceId) -> Result<Termination>;
}
