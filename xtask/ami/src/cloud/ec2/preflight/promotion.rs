//! The preflight checks of a promotion: names, quotas, blocks and permissions in all regions at once. It launches nothing,
//! so base and network do not matter.

use anyhow::Result;
use futures_util::future::join_all;

use super::{check_lifetime, collector::FindingCollector, parameters, permissions, regions, settings, usual};
use crate::cloud::{
    Account as _,
    ec2::{Ec2, requests::image::Source},
    preflight::{Preflight, Request},
};

impl Ec2 {
    /// Runs all checks of a promotion of this image.
    pub(super) async fn preflight_of_promotion(&self, request: &Request, source: &Source<'_>) -> Result<Preflight> {
        let caller = Box::pin(self.caller()).await?;
        let estimate = usual::COPIES + usual::PUBLISH;
        let mut collector = FindingCollector::new(self.flags());
        collector.warnings.extend(self.clients.ignored_profile());
        check_lifetime(caller, estimate, &mut collector);
        let client = self.clients.preflight(&self.build_region);
        let usable = regions::usable(&client, request, &mut collector).await;
        let facts = usable.iter().map(|region| Box::pin(regions::inspect(&self.clients, request, region)));
        let facts = join_all(facts).await;
        let (answered, blocked) = (regions::answered(&facts), regions::blocked(&facts));
        let places = (answered.as_slice(), blocked.as_ref());
        Box::pin(permissions::check_promotion(self, request, source, places, &mut collector)).await;
        collector.merge(Box::pin(parameters::check(&self.clients, request, &answered, self.flags())).await);
        regions::report(request, facts, &mut collector);
        collector.findings.extend(settings::encryption_findings(&self.recipe.instance, request));
        Box::pin(collector.decode_denials(&self.clients)).await;
        let mut facts = vec![("Account".to_owned(), format!("{}, {}", caller.account, caller.arn))];
        facts.extend(self.clients.source().map(|source| ("Credentials".to_owned(), source.words())));
        facts.extend(self.clients.http().facts());
        let (findings, warnings) = collector.finish(&caller.arn);
        Ok(Preflight { facts, findings, warnings, estimate, ..Preflight::default() })
    }
}
