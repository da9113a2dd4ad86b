//! The preflight checks of EC2: identity, regions, names, quotas, blocks, base, network and permissions, in all regions
//! at once. They only describe and dry-run; nothing is created.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use aws_sdk_ec2::{Client, types::InstanceType};
use futures_util::future::{join, join_all};
use ipnet::IpNet;
use xtask::instance::Reach;

use super::{
    Ec2, address::LetIn, answer::Answer as _, base::BaseImage, clients::Caller, network::Placement, price,
    requests::image::Source,
};
use crate::{
    cloud::{
        Account as _,
        preflight::{Preflight, Request},
    },
    ground::finding::Finding,
};
use collector::FindingCollector;
use identity::Lifetime;
use paths::{Family, Paths};
use permissions::DryRunInputs;

mod advice;
mod identity;
mod grantees;
mod keys;
mod parameters;
mod paths;
mod promotion;
mod permissions;
mod collector;
mod refusals;
mod regions;
mod settings;

/// The usual duration of each phase. An assumption from published figures of similar tools; the timelines of real
/// builds should replace it.
mod usual {
    use std::time::Duration;

    /// From the launch to the first login.
    pub const LAUNCH: Duration = Duration::from_secs(60);
    /// Installing the packages and binaries, and sealing.
    pub const PACKAGES: Duration = Duration::from_secs(60);
    /// The shutdown.
    pub const STOP: Duration = Duration::from_secs(30);
    /// Creating the image.
    pub const IMAGE: Duration = Duration::from_secs(180);
    /// Booting and checking it.
    pub const VERIFY: Duration = Duration::from_secs(90);
    /// Copying it to other regions, at the same time as verifying it.
    pub const COPIES: Duration = Duration::from_secs(480);
    /// Making all copies public.
    pub const PUBLISH: Duration = Duration::from_secs(10);
}

impl Ec2 {
    /// Checks that the credentials are valid.
    ///
    /// # Errors
    /// A [`Finding`] when there are none, or they are invalid.
    pub async fn sign_in(&self) -> Result<()> {
        self.caller().await.map(drop)
    }

    /// The identity that the credentials belong to. STS is called once.
    ///
    /// # Errors
    /// A [`Finding`] when they are missing or invalid, or STS does not answer.
    pub(super) async fn caller(&self) -> Result<&Caller> {
        let profile = self.settings.profile.as_deref();
        self.caller.get_or_try_init(|| identity::verify(&self.clients, profile)).await
    }

    /// Runs all checks of the request.
    pub(super) async fn run_preflight(&self, request: &Request) -> Result<Preflight> {
        if let Some((region, image)) = &request.promotes {
            return Box::pin(self.preflight_of_promotion(request, &Source { image: &image.0, region })).await;
        }
        // Boxed here and below: the SDK's futures are large, and together they would overflow the stack.
        let caller = Box::pin(self.caller()).await?;
        let mut collector = FindingCollector::new(self.flags());
        collector.warnings.extend(self.clients.ignored_profile());
        collector.warnings.extend(self.doubt_about_address());
        check_lifetime(caller, estimate(request), &mut collector);

        let client = self.clients.preflight(&self.build_region);
        let regions = async {
            let mut collector = FindingCollector::new(self.flags());
            let usable = regions::usable(&client, request, &mut collector).await;
            let inspections = usable.iter().map(|region| Box::pin(regions::inspect(&self.clients, request, region)));
            (join_all(inspections).await, collector)
        };
        let base = Box::pin(self.find_base(&client));
        let build_region = join(base, Box::pin(self.network(&client)));
        let ((facts, of_regions), (base, (placements, group, ssh_source))) =
            join(Box::pin(regions), build_region).await;
        collector.merge(of_regions);
        let base = collector.collect(base);
        if let Some(base) = &base {
            self.check_type(&client, base, &mut collector).await;
        }
        let placements = collector.collect(placements).unwrap_or_default();
        collector.collect(group);
        let let_in = ssh_source.and_then(|ssh_source| collector.collect(ssh_source));
        collector.warnings.extend(self.closed_port());
        collector.findings.extend(self.missing_program(&std::env::var_os("PATH").unwrap_or_default()));

        let (usable, blocked) = (regions::answered(&facts), regions::blocked(&facts));
        let inputs = DryRunInputs {
            base: base.as_ref(),
            placements,
            let_in: let_in.as_ref().map(|it| it.blocks.as_slice()).unwrap_or_default(),
            opens_no_port: self.opens_no_port(),
            blocked: blocked.as_ref().filter(|_| request.unblock_public_access),
        };
        let key = keys::check(&self.clients, self.recipe.instance.kms_key.as_ref(), request, &usable, self.flags());
        let ((), of_key) =
            join(permissions::check(self, request, &usable, &inputs, &mut collector), Box::pin(key)).await;
        collector.merge(of_key);
        collector.merge(Box::pin(parameters::check(&self.clients, request, &usable, self.flags())).await);
        regions::report(request, facts, &mut collector);
        self.check_paths(&client, placements, &mut collector).await;
        collector.findings.extend(grantees::findings(request.audience.as_ref(), caller));
        Box::pin(collector.decode_denials(&self.clients)).await;
        let mut facts = vec![("Account".to_owned(), format!("{}, {}", caller.account, caller.arn))];
        facts.extend(self.clients.source().map(|source| ("Credentials".to_owned(), source.words())));
        facts.extend(self.clients.http().facts());
        facts.extend(base.as_ref().map(|base| ("Base".to_owned(), base.fact(SystemTime::now()))));
        facts.extend(self.network_facts(placements));
        facts.extend(self.ssh_facts(base.as_ref().map(|base| &base.base)));
        facts.extend(self.recipe.facts());
        let given_group =
            self.settings.security_group.as_ref().map(|group| format!("the addresses that {group} permits"));
        let no_port = self.opens_no_port().then(|| "nowhere: no port is opened".to_owned());
        let ssh_from = given_group.or(no_port).or(let_in.as_ref().map(LetIn::text));
        facts.extend(ssh_from.map(|ssh_from| ("SSH from".to_owned(), ssh_from)));
        facts.extend(self.setting_facts(placements.first(), base.as_ref().map(|base| &base.disks)));
        self.report_settings(request, placements.first(), let_in.as_ref(), &mut collector);
        Ok(self.report_on(request, caller, base.as_ref(), facts, collector))
    }

    /// Whether the recipe's instance type meets what the base demands. Only unusual demands are worth the call.
    async fn check_type(&self, client: &Client, base: &BaseImage, collector: &mut FindingCollector) {
        if !base.demands.depend_on_type() {
            return;
        }
        let kind = &self.recipe.instance.instance_type;
        let answer = client.describe_instance_types().instance_types(InstanceType::from(kind.as_str())).send().await;
        match answer.answer("DescribeInstanceTypes", self.build_region.as_str()) {
            Ok(answer) => {
                let unmet = answer.instance_types().iter().flat_map(|kind| base.demands.unmet_by(&base.base, kind));
                collector.findings.extend(unmet);
            }
            // That there is no such type is told by the zones that offer it.
            Err(error) if error.has_code(&["InvalidInstanceType*"]) => {}
            Err(error) => collector.warnings.push(format!("cannot check whether {kind} suits the base: {error}")),
        }
    }

    /// The subnets, whether the security group is in their VPC, and the addresses that SSH to the machines is opened to;
    /// `None` where a given group says so.
    async fn network(&self, client: &Client) -> (Result<&[Placement]>, Result<()>, Option<Result<LetIn>>) {
        let placements = self.placements_with(client).await;
        let known = placements.as_deref().unwrap_or_default();
        if self.settings.security_group.is_some() {
            let group = self.check_security_group(client, known).await;
            return (placements, group, None);
        }
        if self.opens_no_port() {
            return (placements, Ok(()), None);
        }
        // Without a subnet, which is a finding of its own, the public addresses are told.
        let anywhere = Placement { gives_public_address: true, ..Placement::default() };
        let let_in = self.ssh_from(known.first().unwrap_or(&anywhere)).await.map_err(|error| {
            let remedy = "give the addresses of this computer with --ssh-from".to_owned();
            Finding { problem: format!("{error:#}"), remedy }.into()
        });
        (placements, Ok(()), Some(let_in))
    }

    async fn check_paths(&self, client: &Client, placements: &[Placement], collector: &mut FindingCollector) {
        let reached_at = placements.first().and_then(|placement| self.reached_at(placement));
        let paths = Paths { client, region: &self.build_region, placements, reached_at };
        Box::pin(paths.check(collector)).await;
    }

    /// The public addresses that machines in this subnet are logged in to at, as [`Ec2::dialled`] chooses them.
    fn reached_at(&self, placement: &Placement) -> Option<Family> {
        // A command finds its own way to the machines.
        if !self.recipe.ssh.through.is_empty() || self.recipe.instance.reach == Some(Reach::Private) {
            return None;
        }
        let let_in = self.let_in.borrow();
        let is_open_to =
            |is_family: fn(&IpNet) -> bool| let_in.as_ref().is_none_or(|let_in| let_in.blocks.iter().any(is_family));
        let has_ipv4 = self.has_public_ipv4(placement);
        if placement.has_ipv6 && is_open_to(|it| matches!(it, IpNet::V6(_))) {
            let is_first = has_ipv4 && is_open_to(|it| matches!(it, IpNet::V4(_)));
            return Some(if is_first { Family::Ipv4 } else { Family::Ipv6 });
        }
        has_ipv4.then_some(Family::Ipv4)
    }

    fn report_on(
        &self,
        request: &Request,
        caller: &Caller,
        base: Option<&BaseImage>,
        facts: Vec<(String, String)>,
        mut collector: FindingCollector,
    ) -> Preflight {
        if let Some(found) = base {
            collector.findings.extend(found.findings(&self.recipe, request.public, request.shared));
            let instance_type = &self.recipe.instance.instance_type;
            collector.findings.extend(found.limits.findings(&found.base, instance_type, request.public));
            collector.warnings.extend(found.demands.bill(&found.base));
            if found.is_system_assumed {
                let (id, system) = (&found.base.id, &found.base.system);
                collector.warnings.push(format!(
                    "assuming that the base {id} is {system}: neither its name nor a tag tells its system"
                ));
            }
        }
        let instance = &self.recipe.instance;
        let estimate = estimate(request);
        let (type_name, disk_gib) = (&instance.instance_type, instance.root_volume_gib);
        let cost = price::cost(&self.build_region, &request.regions, type_name, disk_gib, estimate);
        let (findings, warnings) = collector.finish(&caller.arn);
        let base_system = base.map(|found| found.base.system.clone());
        let base_name = base.map(|found| found.base.described());
        Preflight { facts, findings, warnings, base_system, base_name, base_facts: None, estimate, cost: Some(cost) }
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

/// The usual duration of a build on EC2, without make.
fn estimate(request: &Request) -> Duration {
    let made = usual::LAUNCH + usual::PACKAGES + usual::STOP + usual::IMAGE;
    let is_copied = request.regions.iter().any(|region| *region != request.build_region);
    let verified = if is_copied { usual::VERIFY.max(usual::COPIES) } else { usual::VERIFY };
    let published = if request.shared { usual::PUBLISH } else { Duration::ZERO };
    made + verified + published
}

fn check_lifetime(caller: &Caller, estimate: Duration, collector: &mut FindingCollector) {
    match identity::lifetime(caller.expires, SystemTime::now(), estimate) {
        Lifetime::Enough => {}
        Lifetime::Short(warning) => collector.warnings.push(warning),
        Lifetime::TooShort(finding) => collector.findings.push(finding),
    }
}
