//! All that can be known of EC2 before anything is created: identity, regions, names, quotas, blocks, base, network and
//! permissions, in all regions at once. Only questions and dry runs go out.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use aws_sdk_ec2::Client;
use futures_util::future::{join, join_all, join3};

use super::{Ec2, base::BaseFound, clients::Caller, network::Placement, policy::placeholder, price};
use crate::{
    cloud::{
        Account as _,
        preflight::{Preflight, Request},
    },
    ground::finding::Finding,
};
use identity::Lifetime;
use permissions::Given;
use report::Report;
use seen::{Block, Seen};

mod identity;
mod permissions;
mod report;
mod seen;

/// How long each phase usually takes. An assumption, after what the makers of such tools publish of theirs; to be
/// replaced by what the timelines of real builds say.
mod usual {
    use std::time::Duration;

    /// From the launch to the first login.
    pub const LAUNCH: Duration = Duration::from_secs(60);
    /// To install the packages, the binaries, and to seal.
    pub const PACKAGES: Duration = Duration::from_secs(60);
    /// To shut down.
    pub const STOP: Duration = Duration::from_secs(30);
    /// To make the image.
    pub const IMAGE: Duration = Duration::from_secs(180);
    /// To boot and check it.
    pub const VERIFY: Duration = Duration::from_secs(90);
    /// To copy it to other regions, which goes on while it is verified.
    pub const COPIES: Duration = Duration::from_secs(480);
    /// To make all copies public.
    pub const PUBLISH: Duration = Duration::from_secs(10);
}

impl Ec2 {
    /// Finds out whether there are valid credentials, and those that were asked for.
    ///
    /// # Errors
    /// When there are none, or others would be used, with what to do about it.
    pub async fn sign_in(&self) -> Result<()> {
        let profile = self.settings.profile.as_deref();
        // What looks after images acts at once, so it must not be on another account than the one that was named.
        if let Some(finding) = identity::overridden_profile(profile, |name| std::env::var_os(name).is_some()) {
            return Err(finding.into());
        }
        self.caller().await.map(drop)
    }

    /// Who the credentials belong to; asked once.
    ///
    /// # Errors
    /// A [`Finding`] when they are missing or not valid, or nobody answers.
    pub(super) async fn caller(&self) -> Result<&Caller> {
        let profile = self.settings.profile.as_deref();
        self.caller.get_or_try_init(|| identity::ask(&self.clients, profile)).await
    }

    /// What the plan tells of EC2, and all that stands in the way.
    pub(super) async fn look(&self, request: &Request) -> Result<Preflight> {
        let profile = self.settings.profile.as_deref();
        // Boxed here and below, because the SDK's futures are large, and all of them at once too large for a stack.
        let caller = Box::pin(self.caller()).await?;
        let mut report = Report::new(self.flags());
        report.findings.extend(identity::overridden_profile(profile, |name| std::env::var_os(name).is_some()));
        tell_lifetime(caller, estimate(request), &mut report);

        let client = self.clients.asker(&self.home);
        let regions = async {
            let mut report = Report::new(self.flags());
            let usable = seen::usable(&client, request, &mut report).await;
            let looks = usable.iter().map(|region| Box::pin(seen::look(&self.clients, request, region)));
            (join_all(looks).await, report)
        };
        let base = Box::pin(self.find_base(&client));
        let home = join3(base, Box::pin(self.network(&client)), Box::pin(self.way_in()));
        let ((seen, of_regions), (base, (placements, group), way_in)) = join(Box::pin(regions), home).await;
        report.absorb(of_regions);
        let base = report.take(base);
        let placements = report.take(placements).unwrap_or_default();
        report.take(group);
        let way_in = report.take(way_in);

        // Where nobody answered, nobody will, and all that would be lost is time.
        let answered = seen.iter().filter(|seen| !matches!(&seen.own, Err(error) if error.code.is_none()));
        let usable: Vec<_> = answered.map(|seen| seen.region.clone()).collect();
        let is_blocked = |seen: &&Seen| matches!(seen.images, Some(Ok(Block::ByAccount)));
        let blocked = seen.iter().find(is_blocked).map(|seen| seen.region.clone());
        let given = Given {
            base: base.as_ref().map_or(placeholder::IMAGE, |found| found.base.id.as_str()),
            instance_type: &self.recipe.instance.instance_type,
            root_device: base.as_ref().and_then(|found| found.root_device.as_deref()),
            root_volume_gib: self.recipe.instance.root_volume_gib,
            placement: placements.first(),
            security_group: self.settings.security_group.as_deref(),
            blocked: blocked.as_ref().filter(|_| request.unblock_public_access),
        };
        permissions::ask(&self.clients, request, &usable, &given, &mut report).await;
        seen::tell(request, seen, &mut report);
        let mut facts = vec![("Account".to_owned(), format!("{}, {}", caller.account, caller.arn))];
        facts.extend(base.as_ref().map(|base| ("Base".to_owned(), base.fact(SystemTime::now()))));
        facts.extend(self.network_facts(placements));
        facts.extend(way_in.map(|way_in| ("SSH from".to_owned(), way_in)));
        Ok(self.report_on(request, caller, base.as_ref(), facts, report))
    }

    /// Who reaches the machines: this computer must.
    async fn way_in(&self) -> Result<String> {
        if let Some(group) = &self.settings.security_group {
            return Ok(format!("wherever {group} lets it in"));
        }
        let remedy = "give the addresses that may reach the machines with --ssh-from".to_owned();
        let found = self.ssh_from().await;
        found.map(|addresses| addresses.to_string()).map_err(|error| {
            let problem = format!("{error:#}");
            Finding { problem, remedy }.into()
        })
    }

    /// The subnets, and whether the security group goes with them.
    async fn network(&self, client: &Client) -> (Result<&[Placement]>, Result<()>) {
        let placements = self.placements_by(client).await;
        let group = self.check_security_group(client, placements.as_deref().unwrap_or_default()).await;
        (placements, group)
    }

    fn report_on(
        &self,
        request: &Request,
        caller: &Caller,
        base: Option<&BaseFound>,
        facts: Vec<(String, String)>,
        mut report: Report,
    ) -> Preflight {
        if let Some(found) = base {
            report.findings.extend(found.findings(&self.recipe, request.shared));
            if found.is_system_assumed {
                let (id, system) = (&found.base.id, &found.base.system);
                report
                    .warnings
                    .push(format!("the base {id} is taken for {system}: neither its name nor a tag says so"));
            }
        }
        let instance = &self.recipe.instance;
        let estimate = estimate(request);
        let (type_name, disk_gib) = (&instance.instance_type, instance.root_volume_gib);
        let cost = price::cost(&self.home, &request.regions, type_name, disk_gib, estimate);
        let (findings, warnings) = report.finish(&caller.arn);
        let base_system = base.map(|found| found.base.system.clone());
        Preflight { facts, findings, warnings, base_system, estimate, cost: Some(cost) }
    }

    fn network_facts(&self, placements: &[Placement]) -> Vec<(String, String)> {
        let Some(first) = placements.first() else { return Vec::new() };
        let zones: Vec<&str> = placements.iter().map(|placement| placement.zone.as_str()).collect();
        let network = match &self.settings.subnet {
            Some(subnet) => format!("{subnet} of {}", first.vpc_id),
            None => format!("{}, the default VPC", first.vpc_id),
        };
        let instance = format!("{} in {}", self.recipe.instance.instance_type, zones.join(", "));
        vec![("Instance".to_owned(), instance), ("Network".to_owned(), network)]
    }
}

/// How long the cloud's part of a build usually takes.
fn estimate(request: &Request) -> Duration {
    let made = usual::LAUNCH + usual::PACKAGES + usual::STOP + usual::IMAGE;
    let is_copied = request.regions.iter().any(|region| *region != request.build_region);
    let verified = if is_copied { usual::VERIFY.max(usual::COPIES) } else { usual::VERIFY };
    let published = if request.shared { usual::PUBLISH } else { Duration::ZERO };
    made + verified + published
}

fn tell_lifetime(caller: &Caller, estimate: Duration, report: &mut Report) {
    match identity::lifetime(caller.expires, SystemTime::now(), estimate) {
        Lifetime::Enough => {}
        Lifetime::Short(warning) => report.warnings.push(warning),
        Lifetime::TooShort(finding) => report.findings.push(finding),
    }
}
