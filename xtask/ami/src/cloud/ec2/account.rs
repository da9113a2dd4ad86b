//! [`Account`] on EC2.

use anyhow::Result;
use xtask::region::Region;

use super::{Ec2, commands};
use crate::{
    cloud::{
        Account, HowTo, Leftover,
        preflight::{Preflight, Request},
    },
    event::about::{CloudKind, Identity},
    ground::process,
};

impl Account for Ec2 {
    async fn identity(&self) -> Result<Identity> {
        let account = Box::pin(self.caller()).await?.account.clone();
        Ok(Identity { kind: CloudKind::Ec2, account, endpoint: self.clients.custom_endpoint() })
    }

    async fn regions(&self) -> Result<Vec<Region>> {
        Box::pin(self.enabled_regions()).await
    }

    async fn preflight(&self, request: &Request) -> Result<Preflight> {
        Box::pin(self.run_preflight(request)).await
    }

    async fn leftovers(&self, region: &Region) -> Result<Vec<Leftover>> {
        Box::pin(self.leftovers_in(region)).await
    }

    async fn remove(&self, region: &Region, leftover: &Leftover) -> Result<()> {
        Box::pin(self.remove_leftover(region, leftover)).await
    }

    fn flags(&self) -> String {
        let profile = self.settings.profile.as_deref().map(|profile| format!(" --profile {}", process::quote(profile)));
        profile.unwrap_or_default()
    }

    fn how_to(&self, what: HowTo<'_>) -> String {
        commands::how_to(what, &self.flags())
    }
}
