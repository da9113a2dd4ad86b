//! EC2's machines.

use std::net::SocketAddr;

use anyhow::Result;
use camino::Utf8Path;
use xtask::region::Region;

use super::Ec2;
use crate::{
    cloud::{Compute, Instance, Launch, SshAccess},
    event::{facts::Base, ids::InstanceId},
    machine::{keys::Login, ssh::Ssh},
};

// The SDK's futures are large, and nest deeply: boxed where a trait's methods call them, they don't overflow the stack of
// whoever awaits them.
impl Compute for Ec2 {
    type Machine = Ssh;

    fn machines_outlive_us(&self) -> bool {
        true
    }

    async fn base(&self, _log: &Utf8Path) -> Result<Base> {
        Box::pin(self.the_base()).await
    }

    async fn grant_access(&self, region: &Region, access: &SshAccess) -> Result<()> {
        Box::pin(self.grant(region, access)).await
    }

    async fn revoke_access(&self, region: &Region, name: &str) -> Result<()> {
        Box::pin(self.revoke(region, name)).await
    }

    async fn detach_access(&self, region: &Region, id: &InstanceId) -> Result<()> {
        Box::pin(self.leave_group(region, id)).await
    }

    async fn launch(&self, region: &Region, launch: &Launch) -> Result<InstanceId> {
        Box::pin(self.launch_where_there_is_room(region, launch)).await
    }

    async fn instance(&self, region: &Region, id: &InstanceId) -> Result<Option<Instance>> {
        Box::pin(self.instance_now(region, id)).await
    }

    async fn instances_of(&self, region: &Region, build: &str) -> Result<Vec<InstanceId>> {
        Box::pin(self.instances_tagged(region, build)).await
    }

    async fn console(&self, region: &Region, id: &InstanceId) -> Result<String> {
        Box::pin(self.console_output(region, id)).await
    }

    async fn connect(&self, address: SocketAddr, login: &Login, log: &Utf8Path) -> Result<Ssh> {
        Ssh::connect(address, login, log, &self.events).await
    }

    async fn stop(&self, region: &Region, id: &InstanceId) -> Result<()> {
        Box::pin(self.stop_for_imaging(region, id)).await
    }

    async fn terminate(&self, region: &Region, id: &InstanceId) -> Result<()> {
        Box::pin(self.terminate_instance(region, id)).await
    }
}
