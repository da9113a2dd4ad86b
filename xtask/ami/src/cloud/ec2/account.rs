//! [`Account`] on EC2.

use std::collections::BTreeSet;

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

    async fn regions(&self, others: &BTreeSet<Region>) -> Result<Vec<Region>> {
        self.explained(Box::pin(self.enabled_regions(others))).await
    }

    async fn preflight(&self, request: &Request) -> Result<Preflight> {
        Box::pin(self.run_preflight(request)).await
    }

    async fn leftovers(&self, region: &Region) -> Result<Vec<Leftover>> {
        self.explained(Box::pin(self.leftovers_in(region))).await
    }

    async fn remove(&self, region: &Region, leftover: &Leftover) -> Result<()> {
        self.explained(Box::pin(self.remove_leftover(region, leftover))).await
    }

    fn flags(&self) -> String {
        let profile = self.settings.profile.as_deref().map(|profile| format!(" --profile {}", process::quote(profile)));
        profile.unwrap_or_default()
    }

    fn how_to(&self, what: HowTo<'_>) -> String {
        commands::how_to(what, &self.flags())
    }
}
