//! [`Compute`] on EC2.

use anyhow::Result;
use camino::Utf8Path;
use xtask::region::Region;

use super::Ec2;
use crate::{
    cloud::{Compute, Instance, Launch, Shutdown, SshAccess, Termination, tags::Tags},
    event::{facts::Base, ids::InstanceId},
    machine::{
        Destination,
        keys::Login,
        ssh::{Cipher, Ssh, Way},
        through::Through,
    },
};

// The SDK's futures are large and nest deeply, so the methods of the traits box them: unboxed, they overflow the stack.
impl Compute for Ec2 {
    type Machine = Ssh;

    fn machines_outlive_process(&self) -> bool {
        true
    }

    async fn base(&self, _log: &Utf8Path) -> Result<Base> {
        self.explained(Box::pin(self.resolve_base())).await
    }

    async fn grant_access(&self, region: &Region, access: &SshAccess) -> Result<()> {
        self.explained(Box::pin(self.grant(region, access))).await
    }

    async fn revoke_access(&self, region: &Region, name: &str) -> Result<()> {
        self.explained(Box::pin(self.revoke(region, name))).await
    }

    async fn detach_access(&self, region: &Region, id: &InstanceId) -> Result<()> {
        self.explained(Box::pin(self.detach_group(region, id))).await
    }

    async fn renew_access(&self, region: &Region, name: &str, tags: &Tags) -> Result<()> {
        self.explained(Box::pin(self.renew(region, name, tags))).await
    }

    fn way_in(&self) -> String {
        self.way_in_advice()
    }

    async fn launch(&self, region: &Region, launch: &Launch) -> Result<InstanceId> {
        self.explained(Box::pin(self.launch_in_any_zone(region, launch))).await
    }

    async fn instance(&self, region: &Region, id: &InstanceId) -> Result<Option<Instance>> {
        self.explained(Box::pin(self.describe_instance(region, id))).await
    }

    async fn instances_of(&self, region: &Region, build: &str) -> Result<Vec<InstanceId>> {
        self.explained(Box::pin(self.instances_of_build(region, build))).await
    }

    async fn console(&self, region: &Region, id: &InstanceId) -> Result<String> {
        self.explained(Box::pin(self.console_output(region, id))).await
    }

    async fn connect(&self, to: &Destination<'_>, login: &Login, log: &Utf8Path) -> Result<Ssh> {
        let through = self.through_to(to);
        let way = Way { through: through.as_ref(), cipher: Cipher::Aes };
        Ssh::connect(to, login, way, log, &self.events).await
    }

    fn through(&self, to: &Destination<'_>) -> Option<Through> {
        self.through_to(to)
    }

    fn users(&self, base: &Base, configured: &[String]) -> Vec<String> {
        self.users_of(base, configured)
    }

    async fn stop(&self, region: &Region, id: &InstanceId, how: Shutdown) -> Result<()> {
        self.explained(Box::pin(self.stop_for_imaging(region, id, how))).await
    }

    async fn terminate(&self, region: &Region, id: &InstanceId) -> Result<Termination> {
        self.explained(Box::pin(self.terminate_instance(region, id))).await
    }
}
